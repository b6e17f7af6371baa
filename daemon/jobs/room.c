/* SPDX-License-Identifier: Apache-2.0
 *
 * room.c - opens and closes the jobs room, and grants: who may start, who may send.
 *
 * Control loop. Start at pump(): everything that may have become possible is asked for by
 * room_pump() and done there, once a turn.
 */
#include "jobs/room.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "jobs/hung.h"
#include "jobs/refused.h"
#include "jobs/run.h"
#include "jobs/timeout.h"

enum {
    READY_AHEAD = 32,       /* small jobs read and summed before their connection is free */
    SIGN_AHEAD = 4,         /* times as many as are in flight are signed ahead */
    FEW = 8,                /* in flight: then as many, or who comes later waits too long */
    START_BATCH = 8,        /* of these are begun at a time, when there are as many */
    READY_BULK_AHEAD = 4,   /* large files open and waiting to send */
    BULK_REQUEST_KIB = 700, /* buffers of curl and TLS of one large request */
    BULK_SHARE = 8,
    BULK_LEAST = 4,
    GRACE_AGAIN_MS = 500, /* what was begun since is cancelled, too */
    BULK_TURN = 8,        /* of so many grants one is for bulk, however many small jobs wait */
    HOLD_TURN = 256,      /* jobs of shut hosts that are put aside in one turn of the loop */
    PROBES = 4,           /* of them that ask again when hosts may be looked at */
    PROBE_AMONG = 64,
    PROBE_LEAST_MS = 50,
};

static void pump(struct deferred *d);

static void evict(void *arg, struct job *j)
{
    struct room *r = arg;
    struct ocp_job spec;
    tally_forget(j);
    feed_not_final(&r->feed, j);
    feed_forget(&r->feed, j);
    book_remove(&r->book, j);
    j->sharer->n_in[j->state]--;
    sched_sharer_unref(&r->sched, j->sharer);
    job_spec(j, &spec);
    if (!j->durable && spec.key.n)
        book_key_remove(&r->book, j->uid, spec.key);
    job_free(j);
}

int room_open(struct room *r, struct oc_err *err)
{
    r->pump.call = pump;
    mail_list_init(&r->linger.ops);
    sched_init(&r->sched);
    r->sched.may = slots_sharer_may;
    r->sched.arg = r;
    book_init(&r->book, store_last_id(r->store) + 1);
    feed_init(&r->feed, r->loop, evict, r);
    return room_load(r, err);
}

/* ---- shut hosts ---- */

static struct flow *flow_find(const struct room *r, const char *host)
{
    for (struct flow *f = r->flows; f && host; f = f->next)
        if (!strcmp(f->host, host))
            return f;
    return NULL;
}

/* Of the job's objects, if it is known. */
static const char *host_of(const struct room *r, const struct job *j)
{
    const struct account *a = account_of(r, j);
    return a && a->at ? a->at->storage.host : NULL;
}

/* Its host is shut, and it is not time to look. What somebody waits for on the spot is tried, it
 * gives up by itself. */
static int is_held_back(const struct room *r, const struct job *j)
{
    const struct flow *f = j->durable ? flow_find(r, host_of(r, j)) : NULL;
    return f && flow_is_shut(f) && clock_mono_ms() < f->probe_at_ms;
}

/* 1: its host takes a request; a shut one takes no other for a while. */
static int may_send(const struct room *r, const struct job *j)
{
    struct flow *f = j->durable ? flow_find(r, host_of(r, j)) : NULL;
    return !f || flow_may_send(f, clock_mono_ms(), clock_random());
}

static void on_probe(uv_timer_t *t);

/* When the first of the shut hosts may be looked at. */
static void arm_probe(struct room *r)
{
    uint64_t now_ms = clock_mono_ms(), at_ms = UINT64_MAX;
    if (!r->sched.n_held || r->stopping)
        return;
    for (const struct flow *f = r->flows; f; f = f->next)
        if (flow_is_shut(f) && f->probe_at_ms < at_ms)
            at_ms = f->probe_at_ms;
    if (!r->probe.open)
        uv_timer_init(r->uv, &r->probe.timer);
    r->probe.open = 1;
    uint64_t wait_ms = at_ms > now_ms && at_ms != UINT64_MAX ? at_ms - now_ms : 0;
    uv_timer_start(&r->probe.timer, on_probe, wait_ms > PROBE_LEAST_MS ? wait_ms : PROBE_LEAST_MS,
                   0);
}

void room_line_up(struct room *r, struct job *j, int at_head)
{
    int bulk = sched_is_bulk(j);
    int ready = j->run && slot_has(j->run);
    enum sched_queue q =
        ready ? (bulk ? READY_BULK : READY_EXPRESS) : (bulk ? START_BULK : START_EXPRESS);
    sched_add(&r->sched, j, q, at_head);
    room_pump(r);
}

/* One of each host that may be looked at now, of those that are held longest. */
static void on_probe(uv_timer_t *t)
{
    struct room *r = OC_OWNER(t, struct room, probe.timer);
    struct job *j;
    uint64_t n = r->sched.n_held < PROBE_AMONG ? r->sched.n_held : PROBE_AMONG;
    for (unsigned n_added = 0; n && n_added < PROBES && (j = sched_take_held(&r->sched, 0)); n--) {
        if (is_held_back(r, j)) {
            sched_hold(&r->sched, j);
        } else {
            room_line_up(r, j, 1);
            n_added++;
        }
    }
    room_pump(r);
    arm_probe(r);
}

/* A host answers again: all that are held have their turn, before those that came later. */
static void release_held(struct room *r)
{
    struct job *j;
    while ((j = sched_take_held(&r->sched, 1)))
        room_line_up(r, j, 1);
}

static void put_aside(struct room *r, struct job *j)
{
    if (j->run && !j->run->n_requests)
        slot_give(j->run);
    sched_hold(&r->sched, j);
    if (r->sched.n_held == 1)
        arm_probe(r);
}

/* ---- grants ---- */

/* 1: it may not start now, for its host's, its set's, its account's or its mount's sake. */
static int is_put_aside(struct room *r, struct job *j, enum sched_queue q)
{
    if (is_held_back(r, j))
        put_aside(r, j);
    else if (slots_set_is_full(r, j, q))
        sched_set_aside(j, q);
    else
        return refused_sleeps(r, j) || hung_sleeps(r, j);
    return 1;
}

/* The next one of that queue: 1: it is begun, 0: it was put aside, -1: there is none that may go.
 */
static int start_next(struct room *r, enum sched_queue q)
{
    struct job *j = sched_take(&r->sched, q);
    if (!j)
        return -1;
    if (is_put_aside(r, j, q))
        return 0;
    sched_charge(j, q, j->bytes);
    run_start(r, j);
    return 1;
}

static void start_some(struct room *r)
{
    unsigned n_held = 0;
    int begun;
    if (r->stopping)
        return;
    unsigned ahead = r->n_starting[0] + (unsigned)r->sched.n_queued[READY_EXPRESS];
    if (ahead > READY_AHEAD - START_BATCH)
        ahead = READY_AHEAD; /* one wake-up of the pool for several, a little later */
    while (ahead < READY_AHEAD && n_held < HOLD_TURN &&
           (begun = start_next(r, START_EXPRESS)) >= 0) {
        ahead += (unsigned)begun;
        n_held += !begun;
    }
    while (r->n_starting[1] + r->sched.n_queued[READY_BULK] < READY_BULK_AHEAD &&
           n_held < HOLD_TURN && (begun = start_next(r, START_BULK)) >= 0)
        n_held += !begun;
    if (n_held == HOLD_TURN)
        room_pump(r);
}

unsigned room_limit(const struct room *r)
{
    unsigned limit = 0;
    for (const struct flow *f = r->flows; f; f = f->next)
        limit += f->n_posted ? (unsigned)f->limit : 0;
    return limit;
}

/* Large requests take an eighth of the connections, four at least: a few fill a link, and more only
 * push each other's buffers out of the cache. They fit into the memory allowed. */
static unsigned bulk_limit(const struct room *r)
{
    unsigned limit = room_limit(r) / BULK_SHARE;
    unsigned most = r->config->transfer_memory_mib * 1024 / BULK_REQUEST_KIB;
    limit = limit < BULK_LEAST ? BULK_LEAST : limit;
    limit = limit < most ? limit : most;
    return limit ? limit : 1;
}

/* Some more than are in flight: while they wait for a connection they are signed. */
int room_has_room(const struct room *r, int apart, int bulk)
{
    unsigned limit = room_limit(r);
    unsigned ahead = limit < FEW ? limit : SIGN_AHEAD * limit;
    if (!ahead)
        ahead = 1;
    if (bulk && r->bulk_in_flight[apart] >= bulk_limit(r))
        return 0;
    return r->in_flight[apart] < limit + (ahead < r->sign_ahead ? ahead : r->sign_ahead);
}

/* The next one whose sharer has room, large or small in turn. */
static struct job *next_ready(struct room *r, enum sched_queue *ret)
{
    int bulk = r->sched.n_queued[READY_BULK] && ++r->turn % BULK_TURN == 0;
    *ret = bulk ? READY_BULK : READY_EXPRESS;
    struct job *j = sched_take(&r->sched, *ret);
    if (j)
        return j;
    *ret = bulk ? READY_EXPRESS : READY_BULK;
    return sched_take(&r->sched, *ret);
}

static void send_some(struct room *r)
{
    enum sched_queue q;
    struct job *j;
    while ((j = next_ready(r, &q))) {
        if (!may_send(r, j)) {
            put_aside(r, j);
            continue;
        }
        if (hung_waits(j->run))
            continue;
        if (slots_set_is_full(r, j, q)) {
            sched_set_aside(j, q);
            continue;
        }
        uint64_t part = (uint64_t)r->config->transfer_part_mib << 20;
        run_grant(j->run);
        sched_charge(j, q, j->bytes < part ? j->bytes : part);
    }
}

static void check_idle(struct room *r)
{
    if (!r->stopping || !r->idle || r->n_runs || r->n_ops || work_pending(r->gate))
        return;
    void (*idle)(void *) = r->idle;
    r->idle = NULL;
    idle(r->idle_arg);
}

/* What is large gives way to what is small, from its submit to its answer, while that is not much:
 * of many the latency matters to nobody. */
static void give_way(struct room *r)
{
    unsigned n = r->n_submits + r->n_starting[0] + room_small_in_flight(r);
    engine_give_way(r->engine, n > 0 && n <= FEW);
}

static void pump(struct deferred *d)
{
    struct room *r = OC_OWNER(d, struct room, pump);
    if (r->stopping && !r->idle) /* closing: the engine may be gone */
        return;
    start_some(r);
    send_some(r);
    start_some(r); /* what left room behind */
    file_tasks_flush(&r->sources, r->gate);
    give_way(r);
    engine_flush(r->engine);
    check_idle(r);
}

void room_pump(struct room *r)
{
    loop_defer(r->loop, &r->pump);
}

void room_on_done(struct xfer_request *req, void *room)
{
    struct answer_to *to = req->owner;
    to->on_done(to, req);
    room_pump(room);
}

static struct flow *flow_of(struct room *r, const char *host)
{
    struct flow *f = flow_find(r, host);
    if (f)
        return f;
    f = OC_NEW(struct flow);
    flow_init(f, r->config->transfer_connections);
    f->host = oc_strdup(host);
    f->next = r->flows;
    return r->flows = f;
}

unsigned room_small_in_flight(const struct room *r)
{
    return r->in_flight[0] + r->in_flight[1] - r->bulk_in_flight[0] - r->bulk_in_flight[1];
}

void room_count_request(struct room *r, struct run_request *q)
{
    q->flow = flow_of(r, q->x.call.host);
    q->x.host_limit = (unsigned)q->flow->limit;
    q->flow->n_posted++;
    q->apart = (uint8_t)slots_apart(r, q->run->job);
    q->x.apart = q->apart;
    q->x.gives_way = q->bulk;
    r->in_flight[q->apart]++;
    r->bulk_in_flight[q->apart] += q->bulk;
    slots_count_request(r, q->run->job, q->bulk, 1);
}

void room_count_answer(struct room *r, const struct run_request *q)
{
    struct flow *f = q->flow;
    int small = !q->bulk && (q->x.to == SINK_MEMORY || q->x.length <= FILE_SMALL_BYTES);
    struct flow_news news = {.ok = !q->x.err.code,
                             .throttled = q->x.kind == OCI_KIND_THROTTLED,
                             .failed =
                                 q->x.err.code && oc_err_retry(q->x.err.code) == OC_RETRY_LATER,
                             .retry_after_ms = 1000ull * q->x.err.retry_after,
                             .others_wait = q->x.others_wait,
                             .took_us = small ? q->x.took_us : 0};
    int was_shut = flow_is_shut(f);
    f->n_posted--;
    r->in_flight[q->apart]--;
    r->bulk_in_flight[q->apart] -= q->bulk;
    slots_count_request(r, q->run->job, q->bulk, -1);
    if (flow_heard(f, &news, clock_mono_ms(), r->config->transfer_connections))
        log_warn("%s asks to slow down: at most %u requests at a time for now", f->host,
                 (unsigned)f->limit);
    if (!was_shut && flow_is_shut(f))
        log_warn(
            "%s answers nothing but failures: what is queued for it waits, and one request looks "
            "now and then",
            f->host);
    if (was_shut && !flow_is_shut(f)) {
        log_info("%s answers again", f->host);
        release_held(r);
    }
}

/* ---- keys and clocks ---- */

static void on_renewed(void *arg, const char *text, const struct oc_err *err)
{
    struct account *a = arg;
    a->renewing = 0;
    a->n_renewed++;
    if (!a->room) {
        if (a->facts != ACCOUNT_ASKING)
            account_free(a);
        return;
    }
    if (a->facts == ACCOUNT_KNOWN)
        a->facts = ACCOUNT_NEW; /* they may be others */
    if (err->code)
        log_warn("keys are used as they were: %s", err->text);
    else if (text && *text)
        log_info("%s", text);
}

/* Once at a time, however many requests were refused. */
void room_refused(struct room *r, struct account *a)
{
    if (a->renewing)
        return;
    a->renewing = 1;
    vault_refused(r->vault, a->profile, on_renewed, a);
}

void room_learn_clock(struct room *r, struct account *a, int64_t offset_s)
{
    log_warn("our clock differs from that of %s by %" PRId64 " s: requests are dated by theirs",
             a->at->storage.host, offset_s);
    engine_set_clock(r->engine, a->at->storage.host, offset_s);
    vault_offset(r->vault, a->at->storage.host, offset_s);
}

void room_keys_changed(struct room *r)
{
    struct run *u, *next;
    accounts_forget(&r->accounts);
    refused_forget(r);
    DL_FOREACH_SAFE(r->runs, u, next)
    {
        if (u->stopping || u->job->why == OCP_ENUM_why_locked || u->job->why == OCP_ENUM_why_login)
            run_kick(u);
    }
    room_wake_all(r, OC_BIT(OCP_ENUM_why_locked) | OC_BIT(OCP_ENUM_why_login));
}

void room_configured(struct room *r, const struct config *config)
{
    r->config = config;
    limits_tell_engine(r);
    room_keys_changed(r);
    room_pump(r);
}

/* ---- the end ---- */

static void stop_runs(struct room *r, int all)
{
    struct run *u, *next;
    DL_FOREACH_SAFE(r->runs, u, next)
    {
        if (all || (!u->n_requests && !u->n_work))
            run_stop(u, NULL, OCP_ENUM_state_queued);
    }
}

static void on_grace(uv_timer_t *t)
{
    struct room *r = OC_OWNER(t, struct room, grace);
    stop_runs(r, 1);
    room_pump(r);
}

void room_stop(struct room *r, uint64_t grace_ms, void (*idle)(void *arg), void *arg)
{
    r->stopping = 1;
    r->idle = idle;
    r->idle_arg = arg;
    uv_timer_init(r->uv, &r->grace);
    uv_timer_start(&r->grace, on_grace, grace_ms, GRACE_AGAIN_MS);
    room_flush_ends(r);
    stop_runs(r, 0);
    room_pump(r);
}

void room_close(struct room *r)
{
    uv_close((uv_handle_t *)&r->grace, NULL);
    if (r->probe.open)
        uv_close((uv_handle_t *)&r->probe.timer, NULL);
    hung_close(r);
    refused_close(r);
    timeouts_close(r);
    room_end_sleep(r);
    room_close_disk(r);
    while (r->saved) {
        struct saved *s = r->saved;
        r->saved = s->next;
        room_saved_free(s);
    }
    while (r->flows) {
        struct flow *f = r->flows;
        r->flows = f->next;
        free(f->host);
        free(f);
    }
    limits_fini(r);
    accounts_fini(&r->accounts);
    feed_fini(&r->feed);
    book_fini(&r->book);
    sched_fini(&r->sched);
}

/* ---- questions ---- */

struct job *room_find(struct room *r, uint32_t uid, uint64_t id)
{
    struct job *j = book_find(&r->book, id);
    return j && j->uid == uid ? j : NULL;
}

uint64_t room_held_in_memory(const struct room *r, uint32_t uid, uint64_t *ret_bytes)
{
    uint64_t n = 0;
    *ret_bytes = 0;
    for (const struct sharer *sh = r->sched.sharers; sh; sh = sh->next) {
        n += sh->uid == uid ? sh->n_in_memory : 0;
        *ret_bytes += sh->uid == uid ? sh->bytes_in_memory : 0;
    }
    return n;
}

void room_count(const struct room *r, uint32_t uid, uint64_t ret[OCP_ENUM_state_COUNT])
{
    memset(ret, 0, OCP_ENUM_state_COUNT * sizeof *ret);
    for (const struct sharer *sh = r->sched.sharers; sh; sh = sh->next)
        for (int s = 0; sh->uid == uid && s < OCP_ENUM_state_COUNT; s++)
            ret[s] += sh->n_in[s];
}

const char *run_compartment(const struct run *u, char out[257])
{
    const char *configured = u->room->config->network_compartment;
    if (u->spec.compartment.n)
        return ocp_str_copy(u->spec.compartment, out, 257);
    snprintf(out, 257, "%s", *configured ? configured : u->account->tenancy);
    return out;
}
