/* SPDX-License-Identifier: Apache-2.0
 *
 * share.h - links that need no credentials: whose they are, and how they are shown.
 *
 * Pure; any thread.
 */
#ifndef JOBS_SHARE_H
#define JOBS_SHARE_H

#include <stdint.h>

#include "jobs/run.h"
#include "oci/replies.h"
#include "proto/types.h"

enum { SHARE_NAME_SIZE = 80 };

/* The name of a job's link at the service: no other job of any daemon has it. uuid is the store's.
 */
char *share_name(const char *uuid, uint64_t job, char out[SHARE_NAME_SIZE]);

/* The job whose link has that name; 0: none of this store's. */
uint64_t share_owner(const char *uuid, const char *name);

/* The answer says that there is no such link, and not that the bucket is missing. */
int share_gone(const struct run_request *q);

/* Our word for an accessType; one that we do not know stays as it is. *ret_prefix: it opens a
 * prefix. */
const char *share_access(const char *type, int *ret_prefix);

#endif
