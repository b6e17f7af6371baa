/* SPDX-License-Identifier: Apache-2.0
 *
 * sleep.h - jobs that wait without a run, and when each is looked at again.
 *
 * Control loop. A hundred thousand jobs may wait for one pass phrase or one mount: as long as
 * nothing of a job is begun, all it needs is its place here. A heap by time; it is pure but for the
 * room's one timer (room_sleep).
 */
#ifndef JOBS_SLEEP_H
#define JOBS_SLEEP_H

#include <uv.h>

#include "jobs/job.h"

struct sleepers {
    struct job **at; /* at[0] is due first; at[i] knows i as asleep - 1 */
    uint32_t n, size;
    uint32_t n_watches; /* of them */
    uv_timer_t timer;
    int open;
};

void sleepers_add(struct sleepers *s, struct job *j, uint64_t due_ms);

/* Nothing for a job that is not asleep. */
void sleepers_remove(struct sleepers *s, struct job *j);

/* The job that is due first; NULL: nobody sleeps. */
struct job *sleepers_first(const struct sleepers *s);

/* j, of which nothing is begun, waits for why, delay_ms at most; 0: until it is woken. */
void room_sleep(struct room *r, struct job *j, enum ocp_why why, uint64_t delay_ms);

/* All that wait for one of these reasons (OC_BIT of each) are queued again, in the order of their
 * ids. One alone is woken by room_admit(). */
void room_wake_all(struct room *r, unsigned whys);

/* When j is looked at again, on the wall clock in milliseconds; 0: no time is set. */
uint64_t room_wakes_at(const struct job *j);

void room_end_sleep(struct room *r);

#endif
