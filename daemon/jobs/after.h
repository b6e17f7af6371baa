/* SPDX-License-Identifier: Apache-2.0
 *
 * after.h - who waits for whom: a job begins when all that are named in its `after` are done, and
 * fails when one of them has not succeeded.
 *
 * Control loop. What has left memory is looked up in the store.
 */
#ifndef JOBS_AFTER_H
#define JOBS_AFTER_H

#include "jobs/job.h"

/* Looks up what its predecessors have come to; the job waits meanwhile. */
void after_watch(struct room *r, struct job *j, const struct ocp_job *spec);

/* The same of a job that is tried again: some may have ended since. */
void after_watch_again(struct room *r, struct job *j, const struct ocp_job *spec);

/* j has become final: those that wait for it hear of it. */
void after_tell(struct room *r, struct job *j);

#endif
