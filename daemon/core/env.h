/* SPDX-License-Identifier: Apache-2.0
 *
 * env.h - cuts the environment to what we know, so that nobody steers the daemon or the libraries
 * below it (proxies, key logs, preloads) by a variable.
 *
 * First thing in main, before there are other threads.
 */
#ifndef CORE_ENV_H
#define CORE_ENV_H

/* Removes every variable that is not allowed. more: further names, NULL-ended, or NULL; a name that
 * ends in '*' stands for all that begin so. Returns how many were removed. */
unsigned env_cut(const char *const *more);

/* 1 if "NAME=value" may stay. Pure. */
int env_allows(const char *entry, const char *const *more);

#endif
