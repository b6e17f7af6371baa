/* SPDX-License-Identifier: Apache-2.0
 *
 * slots.h - places under the limits that hold: of jobs at work, and of requests in flight.
 *
 * Control loop. A job takes a slot of each limit that holds for it when it starts, and gives it
 * back when it ends or waits. Small jobs are counted apart from large ones, so that neither waits
 * for the other. Requests of a limit of bandwidth that holds for some only are counted apart from
 * those of others, and they are no more than it has use for, so that they take no place of others'.
 */
#ifndef JOBS_SLOTS_H
#define JOBS_SLOTS_H

#include "jobs/limits.h"
#include "jobs/sched.h"

/* ---- who may go on ---- */

/* 0: a limit other than of a set is full for all of this sharer's, or there is no room for requests
 * of his; for struct sched. */
int slots_sharer_may(void *room, const struct sharer *sh, enum sched_queue q);

/* 1: the limit of its set is full for it. */
int slots_set_is_full(const struct room *r, const struct job *j, enum sched_queue q);

/* Members of the set (NULL: none) that were put aside may go on, as many as there is room for. */
void slots_release(struct room *r, struct job *set);

/* The limit that has no slot for j, which has none; NULL: there is none such. */
const struct limit *slots_full_for(const struct room *r, const struct job *j);

/* ---- counts ---- */

/* A new limit counts what is at work and in flight already. */
void slots_count(const struct room *r, struct limit *l);

/* Whether j's requests are counted apart; one more (1) or one less (-1) is in flight. */
int slots_apart(const struct room *r, const struct job *j);
void slots_count_request(struct room *r, const struct job *j, int bulk, int more);

/* The run has a slot, or needs none. */
int slot_has(const struct run *u);

/* Takes one for its run if there is room (1); takes one in any case; gives it back. */
int slot_try(struct run *u);
void slot_take(struct run *u);
void slot_give(struct run *u);

#endif
