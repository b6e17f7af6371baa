/* SPDX-License-Identifier: Apache-2.0
 *
 * timeout.c - jobs' own time limits.
 *
 * Control loop.
 */
#include "jobs/timeout.h"

#include <stdlib.h>

#include "core/life.h"
#include "core/mem.h"
#include "jobs/room.h"
#include "jobs/run.h"

#define LONGEST_MS (100ull * 366 * 86400 * 1000) /* a longer time limit is none */

struct job_timer {
    uv_timer_t timer;
    struct life life;
    struct room *room;
    struct job *job; /* NULL: it has ended */
    struct job_timer *prev, *next;
};

static void timer_gone(void *owner)
{
    struct job_timer *t = owner;
    DL_DELETE(t->room->timers, t);
    free(t);
}

static void timer_end(struct job_timer *t)
{
    if (!life_end(&t->life))
        return;
    if (t->job)
        t->job->timer = NULL;
    t->job = NULL;
    life_close(&t->life, (uv_handle_t *)&t->timer);
    life_done(&t->life);
}

static void on_time_over(uv_timer_t *timer)
{
    struct job_timer *t = OC_OWNER(timer, struct job_timer, timer);
    struct job *j = t->job;
    struct oc_err err;
    oc_fail(&err, OCID_E_JOB_TIMEOUT, 0, "the job's own time limit has passed");
    timer_end(t);
    if (j->run)
        run_stop(j->run, &err, OCP_ENUM_state_failed);
    else
        job_end(t->room, j, &err, NULL);
    if (j->tally)
        room_act_on_members(t->room, ACT_CANCEL, j);
}

void timeout_begin(struct room *r, struct job *j, uint64_t timeout_ms)
{
    if (timeout_ms > LONGEST_MS)
        return;
    struct job_timer *t = OC_NEW(struct job_timer);
    int64_t left = j->created_at + (int64_t)timeout_ms - clock_wall_ms();
    t->room = r;
    t->job = j;
    j->timer = t;
    DL_APPEND(r->timers, t);
    life_init(&t->life, timer_gone, t);
    uv_timer_init(r->uv, &t->timer);
    life_open(&t->life, (uv_handle_t *)&t->timer);
    uv_timer_start(&t->timer, on_time_over, left > 0 ? (uint64_t)left : 0, 0);
}

void timeout_end(struct job *j)
{
    if (j->timer)
        timer_end(j->timer);
}

void timeouts_close(struct room *r)
{
    struct job_timer *t, *next;
    DL_FOREACH_SAFE(r->timers, t, next)
    {
        timer_end(t);
    }
}
