/* SPDX-License-Identifier: Apache-2.0
 *
 * run.c - one job at work: what all kinds share. Retries, waits, cancel, the way out.
 *
 * Control loop. A run is begun by the scheduler (run_start), granted requests one at a time
 * (run_grant), and leaves through run_settle() once nothing of it is in flight.
 */
#include "jobs/run.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/backoff.h"
#include "core/log.h"
#include "core/mem.h"
#include "jobs/hung.h"
#include "jobs/refused.h"
#include "jobs/room.h"
#include "proto/text.h"

enum { RETRY_BASE_MS = 500, EPHEMERAL_TRIES = 4 };

static const struct run_ops *ops_of(int kind)
{
    switch (kind) {
    case OCP_ENUM_kind_put:
        return &run_put_ops;
    case OCP_ENUM_kind_get:
        return &run_get_ops;
    case OCP_ENUM_kind_list:
    case OCP_ENUM_kind_buckets:
    case OCP_ENUM_kind_pull:
    case OCP_ENUM_kind_uploads:
    case OCP_ENUM_kind_shares:
        return &run_list_ops;
    case OCP_ENUM_kind_share:
        return &run_share_ops;
    case OCP_ENUM_kind_watch:
        return &run_watch_ops;
    default:
        return &run_call_ops;
    }
}

enum ocp_why run_why(int code)
{
    switch (code) {
    case OCID_E_LOCKED:
        return OCP_ENUM_why_locked;
    case OCID_E_LOGIN:
    case OCID_E_KEY:
    case OCID_E_CONFIG:
        return OCP_ENUM_why_login;
    case OCID_E_FILE:
        return OCP_ENUM_why_file;
    case OCID_E_SPACE:
        return OCP_ENUM_why_space;
    case OCID_E_DESTINATION:
        return OCP_ENUM_why_destination;
    case OCID_E_NETWORK:
        return OCP_ENUM_why_network;
    default:
        return OCP_ENUM_why_retry;
    }
}

/* ---- birth and death ---- */

static void gone(void *owner)
{
    struct run *u = owner;
    struct room *r = u->room;
    DL_DELETE(r->runs, u);
    r->n_runs--;
    if (!--u->account->n_runs)
        account_drop(u->account);
    free(u->free_late);
    free(u);
    room_pump(r);
}

static void describe(struct run *u)
{
    const struct ocp_job *s = &u->spec;
    char object[96];
    if (!s->object.n) {
        snprintf(u->what, sizeof u->what, "%.*s", (int)s->bucket.n, s->bucket.p);
        return;
    }
    oc_text_escape(s->object.p, s->object.n, object, sizeof object);
    snprintf(u->what, sizeof u->what, "object '%.*s/%s'",
             (int)(s->bucket.n > 48 ? 48 : s->bucket.n), s->bucket.p, object);
}

static void wake(struct run *u);

static void on_timer(uv_timer_t *t)
{
    wake(OC_OWNER(t, struct run, timer));
}

static void on_account(struct account_wait *w, const struct oc_err *err);

static struct run *run_new(struct room *r, struct job *j)
{
    struct run *u = OC_NEW(struct run);
    char profile[129];
    u->room = r;
    u->job = j;
    u->ops = ops_of(j->kind);
    u->wait.ready = on_account;
    job_spec(j, &u->spec);
    describe(u);
    u->account = account_get(r, ocp_str_copy(u->spec.profile, profile, sizeof profile));
    u->account->n_runs++;
    u->mount = hung_mount_of(j);
    life_init(&u->life, gone, u);
    uv_timer_init(r->uv, &u->timer);
    life_open(&u->life, (uv_handle_t *)&u->timer);
    DL_APPEND(r->runs, u);
    r->n_runs++;
    j->run = u;
    return u;
}

void run_starting(struct run *u, int is)
{
    if (u->starting == is)
        return;
    int bulk = is ? sched_is_bulk(u->job) : u->starting_bulk;
    u->starting = is;
    u->starting_bulk = bulk;
    if (is)
        u->room->n_starting[bulk]++;
    else
        u->room->n_starting[bulk]--;
}

static void begin(struct run *u)
{
    run_starting(u, !u->stopping);
    if (account_need(u->account, &u->wait, u->spec.namespace.n ? NEED_FACTS : u->ops->need))
        u->ops->prepare(u);
}

/* What the settings or the other end can mend at any time, a certificate or a proxy's login, is
 * looked at again as a dead network is. In the facts of a profile it is a file, which is watched.
 */
static void wait_for_mending(const struct run *u, struct oc_err *err)
{
    if (err->code == OCID_E_CONFIG && u->job->durable)
        err->code = OCID_E_NETWORK;
}

static void on_account(struct account_wait *w, const struct oc_err *err)
{
    struct run *u = OC_OWNER(w, struct run, wait);
    if (!err) {
        u->ops->prepare(u);
        return;
    }
    struct oc_err why = *err;
    if (u->account->facts == ACCOUNT_KNOWN)
        wait_for_mending(u, &why);
    run_fail(u, &why);
}

static void go_on(struct run *u)
{
    if (u->prepared)
        run_ready(u);
    else if (!u->wait.waiting && !u->n_work)
        begin(u);
}

void run_start(struct room *r, struct job *j)
{
    struct run *u = j->run;
    slot_take(u ? u : run_new(r, j));
    if (u)
        go_on(u);
    else
        begin(j->run);
}

void run_start_cleaning(struct room *r, struct job *j)
{
    struct run *u = run_new(r, j);
    u->stopping = u->has_verdict = 1;
    u->verdict.code = OCID_E_CANCELLED;
    begin(u);
}

static void park(struct run *u)
{
    if (u->sleep_why && !u->room->stopping)
        room_sleep(u->room, u->job, u->sleep_why, u->sleep_ms);
    else
        room_park(u->room, u->job, u->park);
}

static void leave(struct run *u)
{
    struct room *r = u->room;
    struct job *j = u->job;
    int over = job_is_over(j);
    run_starting(u, 0);
    slot_give(u);
    if (u->ops->free)
        u->ops->free(u);
    j->run = NULL;
    sched_remove(&r->sched, j);
    if (!over && !u->has_verdict) {
        j->restored |= u->prepared != 0;
        park(u);
    } else if (u->has_verdict) {
        room_tidy(r, j);
    } else {
        job_close_pipe(j);
    }
    life_end(&u->life);
    life_close(&u->life, (uv_handle_t *)&u->timer);
    life_done(&u->life);
}

/* Everything that was begun has ended: what remains is to clean up, to park, to go. */
void run_settle(struct run *u)
{
    if (!u->stopping || u->n_requests || u->n_work || u->wait.waiting || u->life.ended)
        return;
    if (u->has_verdict && u->verdict.code && u->ops->clean && !u->retry_at && u->ops->clean(u)) {
        u->cleaning = 1;
        return;
    }
    if (!u->retry_at && !u->life.ended) /* else cleaning waits for a better time, or is given up */
        leave(u);
}

/* A request that makes an upload is waited for: without the id in its answer nobody could ever
 * abort what it has made. */
static void cancel_requests(struct run *u)
{
    for (struct run_request *q = u->requests; q; q = q->next)
        if (q->step.op != OP_CREATE || u->room->stopping)
            engine_cancel(u->room->engine, &q->x);
}

static void be_still(struct run *u)
{
    u->retry_at = 0;
    uv_timer_stop(&u->timer);
    account_need_end(u->account, &u->wait);
    cancel_requests(u);
}

static void plan_no_more(struct run *u)
{
    if (u->ops->stop)
        u->ops->stop(u);
}

void run_progress(const struct run *u, struct ocp_status *ret)
{
    if (u->ops->progress)
        u->ops->progress(u, ret);
}

static void take_verdict(struct run *u, const struct oc_err *verdict)
{
    u->verdict = *verdict;
    u->has_verdict = 1;
    plan_no_more(u);
    job_end(u->room, u->job, verdict, NULL);
}

/* It was stopping already. A verdict is more than a pause; the end of the daemon ends a clean-up,
 * which goes on after the start. */
static void stop_again(struct run *u, const struct oc_err *verdict, enum ocp_state park)
{
    int over = job_is_over(u->job);
    if (verdict && !over) {
        take_verdict(u, verdict);
    } else if (!verdict && !over) {
        u->park = park;
    } else if (!verdict && u->room->stopping) {
        u->has_verdict = 0;
        be_still(u);
    }
    run_settle(u);
}

void run_stop(struct run *u, const struct oc_err *verdict, enum ocp_state park)
{
    if (u->stopping) {
        stop_again(u, verdict, park);
        return;
    }
    u->stopping = 1;
    run_starting(u, 0);
    u->park = park;
    sched_remove(&u->room->sched, u->job);
    be_still(u);
    if (verdict)
        take_verdict(u, verdict);
    else
        plan_no_more(u);
    run_settle(u);
}

void run_rest(struct run *u)
{
    if (!u->n_requests)
        run_stop(u, NULL, OCP_ENUM_state_queued);
}

void run_done(struct run *u, struct ocp_outcome *facts)
{
    u->stopping = u->has_verdict = 1;
    u->verdict.code = 0;
    job_end(u->room, u->job, NULL, facts);
    run_settle(u);
}

/* ---- failures ---- */

/* Nothing of it is begun: its job can wait alone, which costs next to nothing. */
static int may_sleep(const struct run *u)
{
    return !u->prepared && !u->stopping && u->job->durable && !u->n_requests && !u->n_work;
}

void run_sleep(struct run *u, enum ocp_why why, uint64_t delay_ms)
{
    u->sleep_why = why;
    u->sleep_ms = delay_ms;
    run_stop(u, NULL, OCP_ENUM_state_waiting);
}

void run_wait_for(struct run *u, enum ocp_why why, uint64_t delay_ms)
{
    if (u->room->stopping) {
        run_stop(u, NULL, OCP_ENUM_state_queued);
        return;
    }
    if (may_sleep(u)) {
        run_sleep(u, why, delay_ms);
        return;
    }
    u->retry_at = (uint64_t)clock_wall_ms() + delay_ms;
    if (delay_ms)
        uv_timer_start(&u->timer, on_timer, delay_ms, 0);
    sched_remove(&u->room->sched, u->job);
    run_starting(u, 0);
    if (!u->n_requests)
        slot_give(u);
    if (!u->stopping)
        job_enter(u->room, u->job, OCP_ENUM_state_waiting, why);
    room_pump(u->room);
}

void run_retry(struct run *u, const struct oc_err *err)
{
    struct room *r = u->room;
    unsigned most = u->job->durable ? r->config->network_max_tries : EPHEMERAL_TRIES;
    if (u->retry_at)
        return; /* a retry is due already: several requests may fail at once */
    u->job->attempt++;
    u->job->tries++;
    r->n_retries++;
    if (most && u->job->attempt >= most && !u->stopping) {
        run_stop(u, err, OCP_ENUM_state_failed);
        return;
    }
    if (!u->stopping)
        job_note(u->job, err);
    uint64_t delay =
        backoff_ms(u->job->attempt, RETRY_BASE_MS, 1000ull * r->config->network_retry_cap_seconds,
                   1000ull * err->retry_after, clock_random());
    run_wait_for(u, err->code == OCID_E_NETWORK ? OCP_ENUM_why_network : OCP_ENUM_why_retry,
                 delay ? delay : 1);
}

void run_fail(struct run *u, const struct oc_err *err)
{
    enum oc_retry rule = oc_err_retry(err->code);
    if (rule == OC_RETRY_LATER) {
        run_retry(u, err);
    } else if (rule == OC_RETRY_NEVER || (!u->job->durable && !u->stopping)) {
        if (u->stopping) {
            log_warn("%s: clean-up after job %" PRIu64 " is given up: %s", u->what, u->job->id,
                     err->text);
            u->has_verdict = 0;
            run_settle(u);
        } else {
            run_stop(u, err, OCP_ENUM_state_failed);
        }
    } else {
        enum ocp_why why = run_why(err->code);
        if (!u->stopping)
            job_note(u->job, err);
        run_wait_for(u, why,
                     why == OCP_ENUM_why_locked || why == OCP_ENUM_why_login ? 0
                                                                             : RUN_LOOK_AGAIN_MS);
    }
}

void run_give_up(struct run *u)
{
    if (!u->last.code)
        oc_fail(&u->last, OCID_E_SERVER, 0, "%s: started over too often", u->what);
    run_stop(u, &u->last, OCP_ENUM_state_failed);
}

static void wake(struct run *u)
{
    if (!u->retry_at)
        return;
    u->retry_at = 0;
    u->hung = 0;
    uv_timer_stop(&u->timer);
    if (u->stopping) {
        if (u->prepared)
            run_settle(u);
        else if (!u->wait.waiting)
            begin(u);
        return;
    }
    job_enter(u->room, u->job, u->n_requests ? OCP_ENUM_state_running : OCP_ENUM_state_queued,
              OCP_ENUM_why_none);
    if (slot_try(u))
        go_on(u);
    else /* it starts once more when its turn has come */
        room_line_up(u->room, u->job, 1);
}

void run_kick(struct run *u)
{
    if (!u->retry_at)
        return;
    u->n_kicks++;
    u->n_auth = 0;
    wake(u);
}

/* ---- requests ---- */

void run_ready(struct run *u)
{
    u->prepared = 1;
    run_starting(u, 0);
    if (u->stopping) {
        run_settle(u);
        return;
    }
    if (u->job->in_lane || u->retry_at)
        return;
    int has_slot = slot_try(u); /* it may have given it back meanwhile */
    room_line_up(u->room, u->job, u->n_requests > 0 || !has_slot);
}

static void on_answer(struct answer_to *self, struct xfer_request *req);

struct run_request *run_request_new(struct run *u)
{
    struct run_request *q = OC_NEW(struct run_request);
    q->run = u;
    q->answer.on_done = on_answer;
    q->x.owner = &q->answer;
    q->x.profile = u->account->profile;
    q->x.priority = u->job->priority;
    q->x.who = limits_who(u->job);
    q->x.what = u->what;
    q->x.base = u->account->at->storage.base;
    q->x.max_memory = OCI_ERROR_BODY_MAX;
    return q;
}

void run_request_drop(struct run_request *q)
{
    xfer_request_fini(&q->x);
    free(q);
}

void run_post(struct run *u, struct run_request *q)
{
    if (q->x.call.body_kind == OCI_BODY_HERE)
        q->x.from = BODY_REQUEST;
    DL_APPEND(u->requests, q);
    q->bulk = (uint8_t)sched_is_bulk(u->job);
    q->n_kicks = u->n_kicks;
    q->n_renewed = u->account->n_renewed;
    u->n_requests++;
    room_count_request(u->room, q);
    engine_post(u->room->engine, &q->x);
    room_pump(u->room); /* flushes */
}

void run_ask(struct run *u, run_build_fn *build)
{
    struct oc_err err;
    if (u->n_requests)
        return;
    if (u->room->stopping && !u->cleaning) {
        run_rest(u);
        return;
    }
    struct run_request *q = run_request_new(u);
    if (build(u, q, &err)) {
        run_request_drop(q);
        run_fail(u, &err);
    } else {
        run_post(u, q);
    }
}

/* A 401 for the clock is met by the service's; else once by fresh credentials: then it waits for a
 * person. */
static void mend_auth(struct run *u, struct run_request *q)
{
    struct oc_err *err = &q->x.err;
    if (q->x.kind != OCI_KIND_CLOCK && q->x.kind != OCI_KIND_CREDENTIALS)
        return;
    if (q->x.kind == OCI_KIND_CLOCK) {
        room_learn_clock(u->room, u->account, q->x.server_date_offset_s);
        err->code = OCID_E_UNAVAILABLE;
        return;
    }
    if (u->n_auth && q->n_kicks == u->n_kicks && q->n_renewed > u->n_renewed) {
        if (u->job->durable) {
            err->code = OCID_E_LOGIN;
            refused_begins(u->account, u, err);
        }
        return;
    }
    if (!u->n_auth++) /* what is signed after the next renewal is signed afresh */
        u->n_renewed = u->account->n_renewed;
    room_refused(u->room, u->account);
    err->code = OCID_E_UNAVAILABLE;
}

/* An answer to who we say we are, whatever it says. */
static int is_taken(const struct xfer_request *req)
{
    int status = req->err.http_status;
    return !req->err.code || status == 403 || status == 404 || status == 409 || status == 412;
}

static void on_answer(struct answer_to *self, struct xfer_request *req)
{
    struct run_request *q = OC_OWNER(self, struct run_request, answer);
    struct run *u = q->run;
    int ok = !req->err.code;
    DL_DELETE(u->requests, q);
    u->n_requests--;
    if (u->retry_at && !u->n_requests)
        slot_give(u);
    wait_for_mending(u, &req->err);
    room_count_answer(u->room, q);
    if (is_taken(req))
        refused_ends(u->account, u);
    if (ok)
        u->job->attempt = u->n_auth = 0;
    else
        mend_auth(u, q);
    if (!ok)
        u->last = req->err;
    u->n_work++; /* answered() may end the run; it must outlive the call */
    u->ops->answered(u, q, ok);
    run_request_drop(q);
    if (run_work_end(u) && u->prepared)
        run_ready(u);
}

int run_unseen(const struct run_request *q, int ok)
{
    int status = q->x.err.http_status; /* 0: no answer came, or it makes no sense */
    return q->x.n_sent > 1 || (!ok && q->x.sent_any && !(status >= 400 && status < 500));
}

int run_may_be_there(const struct run *u)
{
    return u->job->restored || u->job->unseen;
}

struct oci_where run_where(const struct run *u, struct run_names *names)
{
    ocp_str_copy(u->spec.bucket, names->bucket, sizeof names->bucket);
    ocp_str_copy(u->spec.object, names->object, sizeof names->object);
    if (u->spec.namespace.n)
        ocp_str_copy(u->spec.namespace, names->namespace, sizeof names->namespace);
    else
        run_take_text(names->namespace, sizeof names->namespace, u->account->namespace);
    return (struct oci_where){u->account->at->storage.host, names->namespace, names->bucket,
                              names->object};
}

void run_take_text(char *to, size_t size, const char *from)
{
    if (from)
        oc_text_escape(from, strlen(from), to, size);
}

void run_work_begin(struct run *u)
{
    u->n_work++;
    if (u->mount)
        hung_watch(u->room);
}

int run_work_end(struct run *u)
{
    if (!--u->n_work && u->hung)
        hung_ends(u);
    if (!u->stopping)
        return 1;
    run_settle(u);
    return 0;
}

void run_go_on(struct run *u, const struct oc_err *err)
{
    if (!run_work_end(u))
        return;
    if (err->code)
        run_fail(u, err);
    else
        run_ready(u);
}

int run_grant(struct run *u)
{
    uint64_t before = u->n_requests;
    if (u->stopping || u->retry_at)
        return 0;
    u->n_work++;
    enum run_sent sent = u->ops->send(u);
    if (u->n_requests > before && !u->stopping && !u->retry_at &&
        u->job->state != OCP_ENUM_state_running)
        job_enter(u->room, u->job, OCP_ENUM_state_running, OCP_ENUM_why_none);
    if (!run_work_end(u))
        return 0;
    if (sent == RUN_SENT && !u->job->in_lane && !u->retry_at)
        room_line_up(u->room, u->job, 1);
    return sent == RUN_SENT;
}
