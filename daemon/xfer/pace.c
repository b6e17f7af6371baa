/* SPDX-License-Identifier: Apache-2.0
 *
 * pace.c - limits of bandwidth: a bucket of bytes each, that those whom it holds for share, both
 * ways.
 *
 * Transfer thread. Who moves bytes asks for some first, from all buckets that hold for it. While
 * one of these is empty, transfers pause and wait in line, and none with a body begins. A timer
 * goes on when there is something in it again: those in line get equal pieces in turn; every other
 * time what has not begun comes first, so that small requests wait neither for large ones nor
 * instead of them. Bytes that cannot be cut (a whole small body, what libcurl has read) may take a
 * bucket below zero. Start at pace_ask().
 */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "xfer/room.h"

enum {
    MILLI = 1000, /* buckets count thousandths of a byte */
    BURST = 8,    /* at most an eighth of a second's bytes gather */
    DEBT = 2,     /* half a second's are owed at most after a change */
    LEAST_PIECE = 16 * 1024,
    MOST_PIECE = 1024 * 1024,
    LEAST_MS = 5,
    MOST_MS = 250,
    WAY_MS = 1,             /* from one look whether the way is free to the next */
    WAY_MOST_NS = 10000000, /* that they wait at once */
    WAY_BEGIN_NS = 5000000, /* that is there to be used, when they begin to wait again */
    WAY_EARNS = 2,          /* for each moment that they move they may wait so many */
    SLOW = 4 * 1024 * 1024, /* bytes a second: large buffers would come in bursts */
};

int xfer_limit_holds(const struct xfer_limit *l, const struct xfer_who *who)
{
    switch (l->scope) {
    case OCP_ENUM_scope_all:
        return 1;
    case OCP_ENUM_scope_user:
        return who->label && who->uid == l->uid;
    case OCP_ENUM_scope_client:
        return who->label && who->uid == l->uid && !strcmp(who->label, l->label);
    default:
        return who->label && who->set == l->set;
    }
}

int xfer_limit_same(const struct xfer_limit *a, const struct xfer_limit *b)
{
    return a->scope == b->scope && a->uid == b->uid && a->set == b->set && a->fixed == b->fixed &&
           !strcmp(a->label, b->label);
}

/* ---- buckets ---- */

static struct bucket *bucket_of(const struct xfer_job *j, unsigned i)
{
    return &j->e->buckets[j->buckets[i]];
}

static void refill(struct engine *e, struct bucket *b)
{
    uint64_t now = engine_now_ms(e), passed = now - b->at_ms;
    int64_t most = (int64_t)(b->l.bytes_per_s * MILLI / BURST);
    b->left += (int64_t)((passed < MILLI ? passed : MILLI) * b->l.bytes_per_s);
    b->at_ms = now;
    if (b->left > most)
        b->left = most;
}

static int gives_way(struct engine *e)
{
    if (!e->way_given && !atomic_load_explicit(&e->give_way, memory_order_relaxed))
        return 0; /* the usual case costs no look at the clock */
    uint64_t now = uv_hrtime(), passed = now - e->way_at_ns, left = e->way_left_ns;
    e->way_at_ns = now;
    if (e->way_given)
        left = passed < left ? left - passed : 0;
    else
        left = passed < WAY_MOST_NS - left ? left + WAY_EARNS * passed : WAY_MOST_NS;
    e->way_left_ns = left < WAY_MOST_NS ? left : WAY_MOST_NS;
    e->way_given = atomic_load_explicit(&e->give_way, memory_order_relaxed) &&
                   left > (e->way_given ? 0 : WAY_BEGIN_NS);
    return e->way_given;
}

/* Milliseconds until it may move bytes as far as can be told; 0: now. */
static uint64_t closed_ms(struct xfer_job *j)
{
    uint64_t most = j->r->gives_way && gives_way(j->e) ? WAY_MS : 0;
    for (unsigned i = 0; i < j->n_buckets; i++) {
        struct bucket *b = bucket_of(j, i);
        refill(j->e, b);
        uint64_t ms = b->left > 0 ? 0 : (uint64_t)-b->left / b->l.bytes_per_s + LEAST_MS;
        most = ms > most ? ms : most;
    }
    return most;
}

static int others_wait(const struct xfer_job *j)
{
    for (unsigned i = 0; i < j->n_buckets; i++)
        if (bucket_of(j, i)->n_waits)
            return 1;
    return 0;
}

void pace_take(struct xfer_job *j, uint64_t n)
{
    for (unsigned i = 0; i < j->n_buckets; i++)
        bucket_of(j, i)->left -= (int64_t)n * MILLI;
}

static void grant(struct xfer_job *j, uint64_t want)
{
    for (unsigned i = 0; i < j->n_buckets; i++) {
        const struct bucket *b = bucket_of(j, i);
        uint64_t share = b->left > 0 ? (uint64_t)b->left / MILLI / (b->n_waits + 1) : 0;
        share = share > LEAST_PIECE ? share : LEAST_PIECE;
        want = want < share ? want : share;
    }
    pace_take(j, want);
    j->granted = (size_t)want;
}

/* ---- the line ---- */

static void on_pace(uv_timer_t *t);

static void look_in(struct engine *e, uint64_t ms)
{
    ms = ms < WAY_MS ? WAY_MS : ms < MOST_MS ? ms : MOST_MS;
    if (!uv_is_active((uv_handle_t *)&e->pace) || uv_timer_get_due_in(&e->pace) > ms)
        uv_timer_start(&e->pace, on_pace, ms, 0);
}

static void line_in(struct xfer_job *j)
{
    j->pace = PACE_WAITS;
    DL_APPEND2(j->e->paced, j, pace_prev, pace_next);
    for (unsigned i = 0; i < j->n_buckets; i++)
        bucket_of(j, i)->n_waits++;
}

static void line_out(struct xfer_job *j)
{
    j->pace = PACE_NONE;
    DL_DELETE2(j->e->paced, j, pace_prev, pace_next);
    for (unsigned i = 0; i < j->n_buckets; i++)
        bucket_of(j, i)->n_waits--;
}

static void due_in(struct xfer_job *j)
{
    j->pace = PACE_DUE;
    DL_APPEND2(j->e->due, j, pace_prev, pace_next);
}

static void due_out(struct xfer_job *j)
{
    j->pace = PACE_NONE;
    DL_DELETE2(j->e->due, j, pace_prev, pace_next);
}

void pace_leave(struct xfer_job *j)
{
    if (j->pace == PACE_WAITS)
        line_out(j);
    else if (j->pace == PACE_DUE)
        due_out(j);
}

void pace_end(struct xfer_job *j)
{
    pace_leave(j);
    for (unsigned i = 0; i < j->n_buckets; i++)
        bucket_of(j, i)->left += (int64_t)j->granted * MILLI;
    j->granted = 0;
}

/* It pauses, and its place is at the end of the line. */
static size_t wait_in_line(struct xfer_job *j, uint64_t ms)
{
    pace_leave(j);
    line_in(j);
    look_in(j->e, ms);
    return 0;
}

size_t pace_ask(struct xfer_job *j, size_t n)
{
    if (!j->n_buckets && !j->r->gives_way)
        return n;
    if (j->pace == PACE_WAITS)
        return 0;
    if (j->r->gives_way && gives_way(j->e))
        return wait_in_line(j, WAY_MS);
    if (!j->n_buckets)
        return n;
    if (!j->granted) {
        uint64_t ms = closed_ms(j);
        if (ms || others_wait(j))
            return wait_in_line(j, ms);
        grant(j, n);
    }
    return j->granted < n ? j->granted : n;
}

void pace_moved(struct xfer_job *j, size_t n)
{
    size_t ahead = n > j->granted ? n - j->granted : 0;
    if (!j->n_buckets)
        return;
    j->granted -= n - ahead;
    pace_take(j, ahead);
}

int pace_may_begin(struct xfer_job *j)
{
    if (!j->n_buckets)
        return 1;
    uint64_t ms = closed_ms(j);
    if (!ms && (j->e->pace_begins || !others_wait(j)))
        return 1;
    look_in(j->e, ms ? ms : LEAST_MS);
    return 0;
}

int pace_is_slow(const struct xfer_job *j)
{
    for (unsigned i = 0; i < j->n_buckets; i++)
        if (bucket_of(j, i)->l.bytes_per_s < SLOW)
            return 1;
    return 0;
}

/* Going on with one may end others, so the list is looked at afresh each time. */
static void resume_due(struct engine *e)
{
    struct xfer_job *j;
    while ((j = e->due)) {
        due_out(j);
        body_resume(j);
    }
}

static void serve_line(struct engine *e)
{
    struct xfer_job *j, *next;
    DL_FOREACH_SAFE2(e->paced, j, next, pace_next)
    {
        const struct xfer_request *r = j->r;
        uint64_t rest = r->from == BODY_FILE ? r->length - j->at : MOST_PIECE;
        if (closed_ms(j))
            continue;
        line_out(j);
        if (j->n_buckets && !j->granted)
            grant(j, rest < MOST_PIECE ? rest : MOST_PIECE);
        due_in(j);
    }
    resume_due(e);
}

static void begin_some(struct engine *e)
{
    e->pace_begins = 1;
    engine_pump(e);
    e->pace_begins = 0;
}

static void on_pace(uv_timer_t *t)
{
    struct engine *e = t->data;
    struct xfer_job *j;
    e->pace_turn = !e->pace_turn;
    if (e->pace_turn)
        begin_some(e);
    serve_line(e);
    if (!e->pace_turn)
        begin_some(e);
    engine_pump(e);
    DL_FOREACH2(e->paced, j, pace_next)
    look_in(e, closed_ms(j));
}

/* ---- which hold ---- */

void pace_resolve(struct xfer_job *j)
{
    struct engine *e = j->e;
    j->n_buckets = 0;
    for (unsigned i = 0; i < e->n_buckets && !j->r->urgent && j->n_buckets < PACE_MOST; i++)
        if (xfer_limit_holds(&e->buckets[i].l, &j->r->who))
            j->buckets[j->n_buckets++] = (uint16_t)i;
}

/* Goes on where the bucket of the same name was, but for a debt that a lower limit could not pay
 * soon. */
static void bucket_init(struct engine *e, struct bucket *b, const struct xfer_limit *l)
{
    int64_t least = -(int64_t)(l->bytes_per_s * MILLI / DEBT);
    *b = (struct bucket){.l = *l, .at_ms = engine_now_ms(e)};
    for (unsigned i = 0; i < e->n_buckets; i++)
        if (xfer_limit_same(&e->buckets[i].l, l))
            b->left = e->buckets[i].left;
    if (b->left < least)
        b->left = least;
    refill(e, b);
}

static void resolve_all(struct xfer_job *list)
{
    struct xfer_job *j;
    DL_FOREACH (list, j) {
        j->granted = 0;
        pace_resolve(j);
    }
}

void pace_limits(struct engine *e, const struct xfer_limit *limits, unsigned n)
{
    struct bucket *fresh = n ? oc_grow(NULL, n, sizeof *fresh) : NULL;
    struct xfer_job *j;
    for (unsigned i = 0; i < n; i++)
        bucket_init(e, &fresh[i], &limits[i]);
    while ((j = e->paced)) {
        line_out(j);
        due_in(j);
    }
    free(e->buckets);
    e->buckets = fresh;
    e->n_buckets = n;
    resolve_all(e->queued);
    resolve_all(e->ready);
    resolve_all(e->active);
    resume_due(e);
    engine_pump(e);
}
