/* SPDX-License-Identifier: Apache-2.0
 *
 * sched.c - deficit round robin over sharers. Pure; the control loop asks.
 *
 * A sharer in a ring has something queued in that class. Its deficit grows by a quantum when its
 * turn comes and shrinks by what it was charged; whoever is not above zero lets the next one go.
 * Who leaves keeps what is left, at most a quantum either way: a job that goes on leaves its lane
 * for each request.
 */
#include "jobs/sched.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

static const int64_t quantum[SCHED_QUEUES] = {256 << 10, 64 << 20, 256 << 10, 64 << 20};

void sched_init(struct sched *s)
{
    *s = (struct sched){0};
}

void sched_fini(struct sched *s)
{
    while (s->sharers) {
        struct sharer *sh = s->sharers;
        s->sharers = sh->next;
        free(sh);
    }
}

struct sharer *sched_sharer_ref(struct sched *s, uint32_t uid, const char *label)
{
    struct sharer *sh;
    for (sh = s->sharers; sh; sh = sh->next)
        if (sh->uid == uid && !strcmp(sh->label, label))
            break;
    if (!sh) {
        sh = OC_NEW(struct sharer);
        sh->uid = uid;
        strncpy(sh->label, label, sizeof sh->label - 1);
        sh->next = s->sharers;
        s->sharers = sh;
    }
    sh->n_jobs++;
    return sh;
}

void sched_sharer_unref(struct sched *s, struct sharer *sh)
{
    if (--sh->n_jobs)
        return;
    struct sharer **at = &s->sharers;
    while (*at != sh)
        at = &(*at)->next;
    *at = sh->next;
    free(sh);
}

int sched_is_bulk(const struct job *j)
{
    return j->bytes > SCHED_SMALL_BYTES;
}

static void ring_in(struct sched *s, struct sharer *sh, enum sched_queue q, int at_head)
{
    struct sharer *at = s->ring[q];
    if (!at) {
        sh->of[q].ring_prev = sh->of[q].ring_next = sh;
        s->ring[q] = sh;
        return;
    }
    sh->of[q].ring_next = at;
    sh->of[q].ring_prev = at->of[q].ring_prev;
    at->of[q].ring_prev->of[q].ring_next = sh;
    at->of[q].ring_prev = sh;
    if (at_head)
        s->ring[q] = sh;
}

static void ring_out(struct sched *s, struct sharer *sh, enum sched_queue q)
{
    struct sharer *next = sh->of[q].ring_next;
    sh->of[q].ring_prev->of[q].ring_next = next;
    next->of[q].ring_prev = sh->of[q].ring_prev;
    if (s->ring[q] == sh)
        s->ring[q] = next == sh ? NULL : next;
    sh->of[q].ring_prev = sh->of[q].ring_next = NULL;
}

void sched_add(struct sched *s, struct job *j, enum sched_queue q, int at_head)
{
    assert(!j->in_lane);
    struct sharer *sh = j->sharer;
    struct lane *l = &sh->of[q].lanes[j->priority];
    j->lane.prev = at_head ? NULL : l->tail;
    j->lane.next = at_head ? l->head : NULL;
    *(j->lane.prev ? &j->lane.prev->lane.next : &l->head) = j;
    *(j->lane.next ? &j->lane.next->lane.prev : &l->tail) = j;
    j->in_lane = (uint8_t)(1 + q);
    if (!sh->of[q].n_queued++)
        ring_in(s, sh, q, at_head);
    s->n_queued[q]++;
}

enum { HELD = SCHED_QUEUES, ASIDE /* and behind it: of each queue */ };

static void lane_out(struct lane *l, struct job *j)
{
    *(j->lane.prev ? &j->lane.prev->lane.next : &l->head) = j->lane.next;
    *(j->lane.next ? &j->lane.next->lane.prev : &l->tail) = j->lane.prev;
    j->in_lane = 0;
}

static void lane_append(struct lane *l, struct job *j)
{
    assert(!j->in_lane);
    j->lane = (struct job_link){.prev = l->tail};
    *(l->tail ? &l->tail->lane.next : &l->head) = j;
    l->tail = j;
}

void sched_hold(struct sched *s, struct job *j)
{
    lane_append(&s->held, j);
    j->in_lane = 1 + HELD;
    s->n_held++;
}

void sched_set_aside(struct job *j, enum sched_queue q)
{
    lane_append(&j->set->tally->aside[q], j);
    j->in_lane = (uint8_t)(1 + ASIDE + q);
}

/* The last of them first, so that they keep their order. */
void sched_release_aside(struct sched *s, struct job *set, enum sched_queue q, uint64_t n)
{
    struct lane *l = &set->tally->aside[q];
    struct job *j = n ? l->head : NULL, *before;
    for (uint64_t i = 1; i < n && j && j->lane.next; i++)
        j = j->lane.next;
    for (; j; j = before) {
        before = j->lane.prev;
        lane_out(l, j);
        sched_add(s, j, q, 1);
    }
}

struct job *sched_take_held(struct sched *s, int last)
{
    struct job *j = last ? s->held.tail : s->held.head;
    if (j)
        sched_remove(s, j);
    return j;
}

void sched_remove(struct sched *s, struct job *j)
{
    if (!j->in_lane)
        return;
    if (j->in_lane == 1 + HELD) {
        lane_out(&s->held, j);
        s->n_held--;
        return;
    }
    if (j->in_lane > 1 + HELD) {
        lane_out(&j->set->tally->aside[j->in_lane - 1 - ASIDE], j);
        return;
    }
    enum sched_queue q = j->in_lane - 1;
    struct sharer *sh = j->sharer;
    lane_out(&sh->of[q].lanes[j->priority], j);
    if (!--sh->of[q].n_queued)
        ring_out(s, sh, q);
    s->n_queued[q]--;
}

static struct job *first_of(const struct sharer *sh, enum sched_queue q)
{
    for (int p = SCHED_PRIORITIES - 1; p >= 0; p--)
        if (sh->of[q].lanes[p].head)
            return sh->of[q].lanes[p].head;
    return NULL;
}

/* The ring turns to the next one that may go; 0: there is none. Who may not keeps his deficit. */
static int turn_to_next(struct sched *s, enum sched_queue q)
{
    struct sharer *first = s->ring[q], *sh = first;
    while (sh && s->may && !s->may(s->arg, sh, q)) {
        sh = sh->of[q].ring_next;
        if (sh == first)
            return 0;
    }
    s->ring[q] = sh;
    return sh != NULL;
}

struct job *sched_take(struct sched *s, enum sched_queue q)
{
    int may;
    while ((may = turn_to_next(s, q)) && s->ring[q]->of[q].deficit <= 0) {
        s->ring[q]->of[q].deficit += quantum[q];
        s->ring[q] = s->ring[q]->of[q].ring_next;
    }
    if (!may)
        return NULL;
    struct job *j = first_of(s->ring[q], q);
    sched_remove(s, j);
    return j;
}

void sched_charge(const struct job *j, enum sched_queue q, uint64_t bytes)
{
    struct sharer *sh = j->sharer;
    sh->of[q].deficit -= (int64_t)bytes + SCHED_REQUEST_BYTES;
    if (!sh->of[q].ring_next && sh->of[q].deficit < -quantum[q])
        sh->of[q].deficit = -quantum[q];
}
