/* SPDX-License-Identifier: Apache-2.0
 *
 * timeout.h - jobs' own time limits: from when it was submitted, however often the daemon was
 * started since.
 *
 * Control loop.
 */
#ifndef JOBS_TIMEOUT_H
#define JOBS_TIMEOUT_H

#include "jobs/job.h"

/* Starts its clock; a job that is over ends it. When it runs out the job fails, and with a set all
 * of its members are cancelled. */
void timeout_begin(struct room *r, struct job *j, uint64_t timeout_ms);
void timeout_end(struct job *j);

/* All of them: the daemon ends. */
void timeouts_close(struct room *r);

#endif
