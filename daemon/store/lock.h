/* SPDX-License-Identifier: Apache-2.0
 *
 * lock.h - one daemon a database: a lock file that names its holder.
 */
#ifndef STORE_LOCK_H
#define STORE_LOCK_H

#include "proto/err.h"

/* Takes dir's lock and writes our pid into it. *ret_fd holds it; *ret_unclean: the last holder did
 * not come to lock_close(). OCID_E_STATE with the holder's pid in the sentence, or OCID_E_IO. */
int lock_open(const char *dir, int *ret_fd, int *ret_unclean, struct oc_err *err);

/* 1: a daemon has held the lock of dir before. */
int lock_was_used(const char *dir);

/* Lets go; clean: nothing was left undone. fd -1 is allowed. */
void lock_close(int fd, int clean);

#endif
