/* SPDX-License-Identifier: Apache-2.0
 *
 * slots.c - places under the limits that hold.
 *
 * Control loop. Start at slots_sharer_may() and slot_take().
 */
#include "jobs/slots.h"

#include <assert.h>

#include "jobs/room.h"
#include "jobs/run.h"

enum {
    /* requests in flight that a limit of bandwidth has use for: a connection moves so many bytes a
     * second at least, where it is not the limit that holds it */
    BULK_LEAST = 2,
    BULK_EACH = 2 << 20,
    SMALL_LEAST = 16,
    SMALL_EACH = 64 << 10,
};

/* What somebody waits for on the spot is not counted, nor are sets, which wait for their members.
 */
static int is_counted(const struct job *j)
{
    return j->durable && !j->tally;
}

/* A limit of bandwidth for some. */
static int is_apart(const struct limit *l)
{
    return l->of.bytes_per_s && l->of.scope != OCP_ENUM_scope_all;
}

static int is_full(const struct limit *l, int bulk)
{
    return l->jobs && l->at_work[bulk] >= l->jobs;
}

static int is_start(enum sched_queue q)
{
    return q == START_EXPRESS || q == START_BULK;
}

static int is_bulk(enum sched_queue q)
{
    return q == START_BULK || q == READY_BULK;
}

/* ---- who may go on ---- */

/* How many more the limit has room for in that queue. */
static uint64_t room_in(const struct limit *l, enum sched_queue q)
{
    int bulk = is_bulk(q);
    if (is_start(q))
        return !l->jobs ? UINT64_MAX : is_full(l, bulk) ? 0 : l->jobs - l->at_work[bulk];
    if (!is_apart(l))
        return UINT64_MAX;
    uint64_t most = bulk ? BULK_LEAST + l->of.bytes_per_s / BULK_EACH
                         : SMALL_LEAST + l->of.bytes_per_s / SMALL_EACH;
    return most > l->in_flight[bulk] ? most - l->in_flight[bulk] : 0;
}

int slots_sharer_may(void *room, const struct sharer *sh, enum sched_queue q)
{
    const struct room *r = room;
    struct xfer_who who = {.label = sh->label, .uid = sh->uid};
    int apart = 0;
    for (const struct limit *l = r->limits.first; l; l = l->next) {
        if (l->of.scope == OCP_ENUM_scope_set || !xfer_limit_holds(&l->of, &who))
            continue;
        if (!room_in(l, q))
            return 0;
        apart |= is_apart(l);
    }
    return is_start(q) || room_has_room(r, apart, q == READY_BULK);
}

static const struct limit *of_set(const struct room *r, uint64_t set)
{
    for (const struct limit *l = r->limits.first; l; l = l->next)
        if (l->of.scope == OCP_ENUM_scope_set && l->of.set == set)
            return l;
    return NULL;
}

int slots_set_is_full(const struct room *r, const struct job *j, enum sched_queue q)
{
    const struct limit *l = j->set && is_counted(j) ? of_set(r, j->set_id) : NULL;
    return l && !room_in(l, q);
}

void slots_release(struct room *r, struct job *set)
{
    if (!set)
        return;
    const struct limit *l = of_set(r, set->id);
    for (int q = 0; q < SCHED_QUEUES; q++)
        sched_release_aside(&r->sched, set, (enum sched_queue)q,
                            l ? room_in(l, (enum sched_queue)q) : UINT64_MAX);
    room_pump(r);
}

const struct limit *slots_full_for(const struct room *r, const struct job *j)
{
    struct xfer_who who = limits_who(j);
    if (!r->limits.n_of_jobs || !is_counted(j))
        return NULL;
    for (const struct limit *l = r->limits.first; l; l = l->next)
        if (is_full(l, sched_is_bulk(j)) && xfer_limit_holds(&l->of, &who))
            return l;
    return NULL;
}

/* ---- counts ---- */

void slots_count(const struct room *r, struct limit *l)
{
    for (const struct run *u = r->runs; u; u = u->next) {
        struct xfer_who who = limits_who(u->job);
        if (!xfer_limit_holds(&l->of, &who))
            continue;
        if (u->slot)
            l->at_work[u->slot - 1]++;
        for (const struct run_request *q = u->requests; q; q = q->next)
            l->in_flight[q->bulk]++;
    }
}

int slots_apart(const struct room *r, const struct job *j)
{
    struct xfer_who who = limits_who(j);
    for (const struct limit *l = r->limits.first; l; l = l->next)
        if (is_apart(l) && xfer_limit_holds(&l->of, &who))
            return 1;
    return 0;
}

static void add(uint64_t *count, int more)
{
    assert(more > 0 || *count);
    *count += (uint64_t)more;
}

void slots_count_request(struct room *r, const struct job *j, int bulk, int more)
{
    struct xfer_who who = limits_who(j);
    for (struct limit *l = r->limits.first; l; l = l->next)
        if (xfer_limit_holds(&l->of, &who))
            add(&l->in_flight[bulk], more);
    if (more < 0 && r->limits.first)
        slots_release(r, room_set_of(r, j));
}

static void count_job(struct run *u, int bulk, int more)
{
    struct xfer_who who = limits_who(u->job);
    for (struct limit *l = u->room->limits.first; l; l = l->next)
        if (xfer_limit_holds(&l->of, &who))
            add(&l->at_work[bulk], more);
}

int slot_has(const struct run *u)
{
    return u->slot || !is_counted(u->job);
}

void slot_take(struct run *u)
{
    if (slot_has(u))
        return;
    u->slot = 1 + sched_is_bulk(u->job);
    count_job(u, u->slot - 1, 1);
}

int slot_try(struct run *u)
{
    if (!slot_has(u) && slots_full_for(u->room, u->job))
        return 0;
    slot_take(u);
    return 1;
}

void slot_give(struct run *u)
{
    if (!u->slot)
        return;
    count_job(u, u->slot - 1, -1);
    u->slot = 0;
    if (u->room->limits.first)
        slots_release(u->room, room_set_of(u->room, u->job));
    room_pump(u->room);
}
