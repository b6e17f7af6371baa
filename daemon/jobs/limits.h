/* SPDX-License-Identifier: Apache-2.0
 *
 * limits.h - live limits: who may move how many bytes a second, and have how many jobs at work.
 *
 * Control loop. One table: what somebody has set (ocictl limit), kept over restarts, and beside it
 * the bandwidth of ocid.conf. Rates are carried out by the transfer thread, which gets a copy; jobs
 * take a slot of each limit that holds for them when they start, and give it back when they end or
 * wait. Small jobs are counted apart from large ones, so that neither waits for the other.
 */
#ifndef JOBS_LIMITS_H
#define JOBS_LIMITS_H

#include "jobs/job.h"
#include "jobs/sched.h"
#include "xfer/engine.h"

enum { LIMITS_MOST = 255 };

struct limit {
    struct limit *next;
    struct xfer_limit of;  /* whose; bytes_per_s 0: no limit of bandwidth */
    uint64_t jobs;         /* 0: no limit of jobs */
    uint64_t at_work[2];   /* small, large */
    uint64_t in_flight[2]; /* requests of theirs */
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

/* ---- requests: those of a limit of bandwidth that holds for some only are counted apart, and they
 * are no more than it has use for, so that they take no place of others' ---- */

int limits_apart(const struct room *r, const struct job *j);
void limits_count_request(struct room *r, const struct job *j, int bulk, int more);

/* ---- slots ---- */

/* 0: a limit other than of a set is full for all of this sharer's, or there is no room for requests
 * of his; for struct sched. */
int limits_sharer_may(void *room, const struct sharer *sh, enum sched_queue q);

/* 1: the limit of its set is full for it. */
int limits_set_is_full(const struct room *r, const struct job *j, enum sched_queue q);

/* The run has one, or needs none. */
int limits_slot_has(const struct run *u);

/* Takes one for its run if there is room (1); takes one in any case; gives it back. */
int limits_slot_try(struct run *u);
void limits_slot_take(struct run *u);
void limits_slot_give(struct run *u);

#endif
