/* SPDX-License-Identifier: Apache-2.0
 *
 * recover.h - a new queue of what can be read of a damaged one.
 *
 * Blocks; no daemon may run. The damaged file is read in a copy and stays as it is.
 */
#ifndef STORE_RECOVER_H
#define STORE_RECOVER_H

#include <limits.h>
#include <stdint.h>

#include "proto/err.h"

enum { RECOVER_IDS = 10 };

struct recovered {
    char from[PATH_MAX];
    uint64_t n_jobs, n_unfinished; /* read */
    uint64_t n_lost;               /* ids whose rows, if there were any, cannot be read */
    uint64_t lost[RECOVER_IDS];    /* the first of them */
    uint64_t n_transfers_lost;     /* unfinished jobs that begin anew */
    int log_lost;                  /* the newest commits may be missing */
    int new_identity;              /* ids begin again: another database to clients */
};

/* Looks at the queue of dir; if it is damaged, or was moved aside, makes a new one of it.
 * OCID_E_STATE: a daemon runs, or the queue is whole; OCID_E_NOT_FOUND: there is nothing to be
 * read. */
int recover_run(const char *dir, struct recovered *ret, struct oc_err *err);

#endif
