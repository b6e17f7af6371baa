/* SPDX-License-Identifier: Apache-2.0
 *
 * limits.h - live limits: who may move how many bytes a second, and have how many jobs at work.
 *
 * Control loop. One table: what somebody has set (ocictl limit), kept over restarts, and beside it
 * the bandwidth of ocid.conf. Rates are carried out by the transfer thread, which gets a copy; the
 * number of jobs by slots.c.
 */
#ifndef JOBS_LIMITS_H
#define JOBS_LIMITS_H

#include "jobs/job.h"
#include "xfer/engine.h"

enum { LIMITS_MOST = 255 };

struct limit {
    struct limit *next;
    struct xfer_limit of;  /* whose; bytes_per_s 0: no limit of bandwidth */
    uint64_t jobs;         /* 0: no limit of jobs */
    uint64_t at_work[2];   /* slots.c's: small, large */
    uint64_t in_flight[2]; /* slots.c's: requests of theirs */
};

struct limits {
    struct limit *first;
    unsigned n, n_of_jobs; /* n_of_jobs: that limit jobs */
};

struct room;
struct run;

/* From the row of the queue, once all jobs are there. */
void limits_load(struct room *r, struct ocp_str packed);
void limits_fini(struct room *r);

/* Sets or lifts one, as uid asks. done comes once that is on disk, never before this returns; it
 * holds already then. Or an error at once. */
int room_limit_set(struct room *r, uint32_t uid, const struct ocp_limit *ask,
                   void (*done)(void *arg, const struct oc_err *err), void *arg,
                   struct oc_err *err);

/* Appends those that hold for uid as packed limit messages; returns how many. */
uint32_t room_limits_pack(const struct room *r, uint32_t uid, struct oc_buf *b);

/* Which limit holds the job back, as a sentence; NULL: none. */
const char *room_held(const struct room *r, const struct job *j, char *out, size_t size);

/* The transfer thread hears of all rates (the configuration is a new one). */
void limits_tell_engine(struct room *r);

/* The set has ended, and its limit with it. */
void limits_drop_set(struct room *r, uint64_t set);

/* Whose transfers j's requests are: the same as long as it lives, or what is counted by it would be
 * taken from where it was not added. */
struct xfer_who limits_who(const struct job *j);

#endif
