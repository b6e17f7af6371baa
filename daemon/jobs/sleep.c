/* SPDX-License-Identifier: Apache-2.0
 *
 * sleep.c - jobs that wait without a run.
 *
 * Control loop. A run puts its job here when it has to wait before anything was begun; a job leaves
 * by job_enter() and job_end(), whatever the cause.
 */
#include "jobs/sleep.h"

#include <stdlib.h>

#include "core/mem.h"
#include "jobs/room.h"

/* ---- the heap ---- */

static void place(struct sleepers *s, uint32_t i, struct job *j)
{
    s->at[i] = j;
    j->asleep = i + 1;
}

static int before(const struct job *a, const struct job *b)
{
    return a->due_ms < b->due_ms || (a->due_ms == b->due_ms && a->id < b->id);
}

static void rise(struct sleepers *s, uint32_t i, struct job *j)
{
    for (; i && before(j, s->at[(i - 1) / 2]); i = (i - 1) / 2)
        place(s, i, s->at[(i - 1) / 2]);
    place(s, i, j);
}

static void sink(struct sleepers *s, uint32_t i, struct job *j)
{
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child + 1 < s->n && before(s->at[child + 1], s->at[child]))
            child++;
        if (child >= s->n || !before(s->at[child], j))
            break;
        place(s, i, s->at[child]);
        i = child;
    }
    place(s, i, j);
}

void sleepers_add(struct sleepers *s, struct job *j, uint64_t due_ms)
{
    if (s->n == s->size) {
        s->size = s->size ? 2 * s->size : 64;
        s->at = oc_grow(s->at, s->size, sizeof *s->at);
    }
    j->due_ms = due_ms;
    s->n_watches += j->kind == OCP_ENUM_kind_watch;
    rise(s, s->n++, j);
}

void sleepers_remove(struct sleepers *s, struct job *j)
{
    if (!j->asleep)
        return;
    uint32_t i = j->asleep - 1;
    struct job *last = s->at[--s->n];
    j->asleep = 0;
    s->n_watches -= j->kind == OCP_ENUM_kind_watch;
    if (last == j)
        return;
    if (before(last, j))
        rise(s, i, last);
    else
        sink(s, i, last);
}

struct job *sleepers_first(const struct sleepers *s)
{
    return s->n ? s->at[0] : NULL;
}

/* ---- the room's ---- */

static void on_timer(uv_timer_t *t);

static void arm(struct room *r)
{
    const struct job *first = sleepers_first(&r->sleepers);
    uint64_t now_ms = clock_mono_ms();
    if (!r->sleepers.open)
        uv_timer_init(r->uv, &r->sleepers.timer);
    r->sleepers.open = 1;
    if (first && first->due_ms != UINT64_MAX)
        uv_timer_start(&r->sleepers.timer, on_timer,
                       first->due_ms > now_ms ? first->due_ms - now_ms : 0, 0);
}

static void on_timer(uv_timer_t *t)
{
    struct room *r = OC_OWNER(t, struct room, sleepers.timer);
    struct job *j;
    uint64_t now_ms = clock_mono_ms();
    if (r->stopping)
        return;
    while ((j = sleepers_first(&r->sleepers)) && j->due_ms <= now_ms)
        room_admit(r, j);
    arm(r);
}

void room_sleep(struct room *r, struct job *j, enum ocp_why why, uint64_t delay_ms)
{
    job_enter(r, j, OCP_ENUM_state_waiting, why);
    sleepers_add(&r->sleepers, j, delay_ms ? clock_mono_ms() + delay_ms : UINT64_MAX);
    if (sleepers_first(&r->sleepers) == j)
        arm(r);
}

static int by_id(const void *a, const void *b)
{
    const struct job *const *x = a, *const *y = b;
    return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

void room_wake_all(struct room *r, unsigned whys)
{
    const struct sleepers *s = &r->sleepers;
    struct job **woken = oc_grow(NULL, s->n, sizeof *woken);
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n; i++)
        if (whys & OC_BIT(s->at[i]->why))
            woken[n++] = s->at[i];
    if (n)
        qsort(woken, n, sizeof *woken, by_id);
    for (uint32_t i = 0; i < n; i++)
        room_admit(r, woken[i]);
    free(woken);
}

uint64_t room_wakes_at(const struct job *j)
{
    uint64_t now_ms = clock_mono_ms();
    if (!j->asleep || j->due_ms == UINT64_MAX)
        return 0;
    return (uint64_t)clock_wall_ms() + (j->due_ms > now_ms ? j->due_ms - now_ms : 0);
}

void room_end_sleep(struct room *r)
{
    if (r->sleepers.open)
        uv_close((uv_handle_t *)&r->sleepers.timer, NULL);
    free(r->sleepers.at);
}
