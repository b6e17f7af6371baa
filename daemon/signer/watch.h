/* SPDX-License-Identifier: Apache-2.0
 *
 * watch.h - tells when one of some files has changed, been replaced, or come.
 *
 * Control thread. Best effort: a file system of another machine tells nothing.
 */
#ifndef SIGNER_WATCH_H
#define SIGNER_WATCH_H

struct watch;

struct watch *watch_new(void);
void watch_free(struct watch *w);

/* To poll for reading; -1: the kernel refuses to watch. */
int watch_fd(const struct watch *w);

/* Forgets all files. */
void watch_clear(struct watch *w);

/* One more; an empty path, or one below a directory that is not there, is left out. */
void watch_add(struct watch *w, const char *path);

/* Takes what has been told. 1 if a watched file is among it. */
int watch_take(struct watch *w);

#endif
