/* SPDX-License-Identifier: Apache-2.0
 *
 * secret.h - memory for secrets: own pages, locked, out of cores, wiped when freed.
 *
 * Any thread. Locking is best effort: a container may refuse it.
 */
#ifndef SIGNER_SECRET_H
#define SIGNER_SECRET_H

#include <stddef.h>
#include <sys/types.h>

#include "proto/err.h"

/* Zeroed; the process ends when there is none. */
void *secret_new(size_t n);

/* Wipes and gives back; NULL is allowed. */
void secret_free(void *p);

/* Makes OpenSSL's memory wiped when freed, and opens its locked heap; the first thing in main().
 * 1: all done; 0: the heap could not be locked; -1: there is no locked heap. */
int secret_init(void);

/* Reads a whole regular file of at most max bytes with read() alone: *ret from secret_new(), ended
 * with a NUL that *n does not count. Errors: OCID_E_FILE (not there), _TOO_LARGE, _IO. */
int secret_read(const char *path, size_t max, char **ret, size_t *n, struct oc_err *err);

#endif
