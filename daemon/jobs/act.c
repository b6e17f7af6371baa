/* SPDX-License-Identifier: Apache-2.0
 *
 * act.c - cancel, pause, resume, retry, seal; sets, successors and time limits.
 *
 * Control loop. A set's id stands for all its members.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/log.h"
#include "core/mem.h"
#include "jobs/refused.h"
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

/* ---- rows of a state that is kept ---- */

/* While its row says that the job has ended nobody would look, after a crash, for what it leaves
 * behind: a part file. */
static void begin_again(struct room *r, struct job *j)
{
    if (!j || !j->again || r->stopping)
        return;
    j->again = 0;
    if (j->state == OCP_ENUM_state_queued)
        room_admit(r, j);
}

static void on_state_written(struct room_op *o)
{
    room_on_written(o->room, o->op.id, &o->op.err);
    if (o->op.err.code)
        log_warn("job %" PRIu64 ": its state is not on disk, a restart would undo the change: %s",
                 o->op.id, o->op.err.text);
    else
        begin_again(o->room, book_find(&o->room->book, o->op.id));
}

static void write_state(struct room *r, struct job *j)
{
    if (!j->durable || job_is_over(j))
        return;
    if (OC_MUTANT("state")) {
        begin_again(r, j);
        return;
    }
    struct room_op *o = room_op_new(r, STORE_STATE, on_state_written, NULL);
    o->row = (struct store_job){.id = j->id,
                                .state = j->state == OCP_ENUM_state_paused ? OCP_ENUM_state_paused
                                                                           : OCP_ENUM_state_queued,
                                .sealed = j->tally && j->tally->sealed};
    o->op.id = j->id;
    o->op.jobs = &o->row;
    o->op.n = 1;
    room_op_post(o);
}

/* ---- sets ---- */

void room_check_set(struct room *r, struct job *set)
{
    const struct tally *t = set->tally;
    struct ocp_outcome o = {0};
    struct oc_err err;
    if (!tally_is_over(t) || set->run || job_is_over(set))
        return;
    OCP_SET(&o, outcome, bytes, t->bytes_done);
    if (t->n_failed)
        oc_fail(&err, OCID_E_SOME_FAILED, 0, "%" PRIu64 " of %" PRIu64 " jobs have failed",
                t->n_failed, t->n_total);
    else if (t->n_cancelled && t->n_cancelled == t->n_total)
        oc_fail(&err, OCID_E_CANCELLED, 0, "all of its jobs were cancelled");
    else
        err.code = 0;
    job_end(r, set, err.code ? &err : NULL, &o);
}

void room_seal(struct room *r, struct job *set)
{
    if (set->tally->sealed || job_is_over(set))
        return;
    set->tally->sealed = 1;
    write_state(r, set);
    feed_touch(&r->feed, set);
    room_check_set(r, set);
}

void room_reopen_set(struct room *r, struct job *set)
{
    if (!job_final(set))
        return;
    feed_not_final(&r->feed, set);
    set->ended_at = 0;
    job_enter(r, set, OCP_ENUM_state_queued, OCP_ENUM_why_none);
    write_state(r, set);
    job_enter(r, set, OCP_ENUM_state_waiting, OCP_ENUM_why_members);
}

/* ---- predecessors and successors ---- */

static void predecessor_ended(struct room *r, struct job *j, uint64_t id, int succeeded)
{
    struct oc_err err;
    if (job_is_over(j) || !j->n_after)
        return;
    if (!succeeded) {
        oc_fail(&err, OCID_E_PREDECESSOR, 0, "job %" PRIu64 ", which it follows, has not succeeded",
                id);
        job_end(r, j, &err, NULL);
    } else if (!--j->n_after && j->state == OCP_ENUM_state_waiting) {
        room_admit(r, j);
    }
}

struct looked_up {
    uint64_t successor, id[1];
};

static void on_looked_up(struct room_op *o)
{
    struct looked_up *l = o->arg;
    struct job *j = book_find(&o->room->book, l->successor);
    int ok = o->op.n == 1 && o->op.jobs[0].state == OCP_ENUM_state_done && j &&
             o->op.jobs[0].uid == j->uid;
    if (j)
        predecessor_ended(o->room, j, l->id[0], ok);
}

static void look_up(struct room *r, struct job *j, uint64_t id)
{
    struct looked_up *l = OC_NEW(struct looked_up);
    l->successor = j->id;
    l->id[0] = id;
    struct room_op *o = room_op_new(r, STORE_READ_JOBS, on_looked_up, l);
    o->text[0] = (char *)l;
    o->op.ids = l->id;
    o->op.n_ids = 1;
    room_op_post(o);
}

/* An id that is not smaller than j's own names nothing that can end before it: the look-up says
 * so. */
void room_watch_after(struct room *r, struct job *j, const struct ocp_job *spec)
{
    struct ocp_iter it = {0};
    uint64_t id;
    while (ocp_next_u64(&spec->after, &it, &id)) {
        const struct job *before = id < j->id ? room_find(r, j->uid, id) : NULL;
        if (before && before->state == OCP_ENUM_state_done)
            continue;
        j->n_after++;
        if (before && !job_final(before))
            book_after_add(&r->book, id, j->id);
        else
            look_up(r, j, id);
    }
}

static void tell_successors(struct room *r, struct job *j)
{
    uint64_t id;
    while ((id = book_after_take(&r->book, j->id))) {
        struct job *next = book_find(&r->book, id);
        if (next)
            predecessor_ended(r, next, j->id, j->state == OCP_ENUM_state_done);
    }
}

/* ---- birth, end ---- */

struct job *room_set_of(const struct room *r, const struct job *j)
{
    struct job *set = j->set_id ? book_find(&r->book, j->set_id) : NULL;
    return set && set->tally ? set : NULL;
}

void room_adopt(struct room *r, struct job *j, const char *label)
{
    j->sharer = sched_sharer_ref(&r->sched, j->uid, label);
    j->sharer->n_in[j->state]++;
    if (job_in_memory(j)) {
        j->sharer->n_in_memory++;
        j->sharer->bytes_in_memory += j->bytes;
    }
    book_add(&r->book, j);
    feed_touch(&r->feed, j);
    struct job *set = room_set_of(r, j);
    if (set) {
        tally_join(set, j);
        feed_touch(&r->feed, set);
    }
}

/* A pulled name that cannot become a file: its label says why. */
static int has_no_place(struct room *r, struct job *j)
{
    struct ocp_job spec;
    struct oc_err err;
    if (j->kind != OCP_ENUM_kind_get || j->pipe_fd >= 0)
        return 0;
    job_spec(j, &spec);
    if (spec.dest.n)
        return 0;
    oc_fail(&err, OCID_E_NAME, 0, "the name cannot be used below the destination: %.*s",
            (int)spec.label.n, spec.label.p);
    job_end(r, j, &err, NULL);
    return 1;
}

void room_admit(struct room *r, struct job *j)
{
    if (has_no_place(r, j))
        return;
    if (j->n_after) {
        job_enter(r, j, OCP_ENUM_state_waiting, OCP_ENUM_why_after);
        return;
    }
    if (j->tally && (j->kind == OCP_ENUM_kind_set || j->tally->sealed)) {
        job_enter(r, j, OCP_ENUM_state_waiting, OCP_ENUM_why_members);
        room_check_set(r, j);
        return;
    }
    job_enter(r, j, OCP_ENUM_state_queued, OCP_ENUM_why_none);
    room_line_up(r, j, 0);
}

void room_park(struct room *r, struct job *j, enum ocp_state park)
{
    if (r->stopping)
        return; /* the row says queued; nobody looks at the rest */
    if (park == OCP_ENUM_state_paused)
        job_enter(r, j, park, OCP_ENUM_why_none);
    else
        room_admit(r, j);
}

void room_on_final(struct room *r, struct job *j)
{
    room_end_timer(j);
    tally_ended(j);
    if (j->set) {
        feed_touch(&r->feed, j->set);
        room_check_set(r, j->set);
    }
    if (j->tally)
        limits_drop_set(r, j->id);
    tell_successors(r, j);
    if (++r->n_ended % 10000 == 0)
        room_prune(r);
    room_pump(r);
}

/* ---- time limits ---- */

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

static void act_on_members(struct room *r, enum room_act act, struct job *set);

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
        act_on_members(t->room, ACT_CANCEL, j);
}

void room_limit_time(struct room *r, struct job *j, uint64_t timeout_ms)
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

void room_end_timer(struct job *j)
{
    if (j->timer)
        timer_end(j->timer);
}

void room_end_timers(struct room *r)
{
    struct job_timer *t, *next;
    DL_FOREACH_SAFE(r->timers, t, next)
    {
        timer_end(t);
    }
}

/* ---- what people ask for ---- */

static int refuse(const struct job *j, const char *what, struct oc_err *err)
{
    return oc_fail(err, OCID_E_STATE, 0, "job %" PRIu64 " is %s: it cannot be %s", j->id,
                   ocp_enum_name(&ocp_enum_state, j->state), what);
}

static int is_cancelled(const struct job *j)
{
    return j->state == OCP_ENUM_state_cancelled || j->ending == 1 + OCP_ENUM_state_cancelled;
}

static int cancel(struct room *r, struct job *j, struct oc_err *err)
{
    struct oc_err verdict;
    if (is_cancelled(j)) /* twice is once */
        return 0;
    if (job_is_over(j))
        return refuse(j, "cancelled", err);
    oc_fail(&verdict, OCID_E_CANCELLED, 0, "cancelled");
    if (j->run)
        run_stop(j->run, &verdict, OCP_ENUM_state_cancelled);
    else
        job_end(r, j, &verdict, NULL);
    return 0;
}

static int pause_one(struct room *r, struct job *j, struct oc_err *err)
{
    if (job_is_over(j) || j->state == OCP_ENUM_state_paused)
        return refuse(j, "paused", err);
    if (j->pipe_fd >= 0 && !job_in_memory(j))
        return oc_fail(err, OCID_E_STATE, 0,
                       j->kind == OCP_ENUM_kind_put
                           ? "job %" PRIu64 " can be paused when the end of its pipe has been read"
                           : "job %" PRIu64
                             " writes into a pipe, which cannot be taken up again later",
                       j->id);
    if (j->run) {
        run_stop(j->run, NULL, OCP_ENUM_state_paused);
    } else {
        sched_remove(&r->sched, j);
    }
    if (j->state != OCP_ENUM_state_paused)
        job_enter(r, j, OCP_ENUM_state_paused, OCP_ENUM_why_none);
    write_state(r, j);
    return 0;
}

static int resume(struct room *r, struct job *j, struct oc_err *err)
{
    if (j->state == OCP_ENUM_state_waiting && j->run) {
        run_kick(j->run);
        return 0;
    }
    if (j->asleep) {
        refused_look(r, j);
        room_admit(r, j);
        return 0;
    }
    if (j->state != OCP_ENUM_state_paused || j->ending)
        return refuse(j, "resumed", err);
    if (j->run) { /* its requests are still ending */
        j->run->park = OCP_ENUM_state_queued;
        job_enter(r, j, OCP_ENUM_state_queued, OCP_ENUM_why_none);
    } else if (j->again) {
        job_enter(r, j, OCP_ENUM_state_queued, OCP_ENUM_why_none);
    } else {
        j->attempt = 0;
        room_admit(r, j);
    }
    write_state(r, j);
    return 0;
}

/* Predecessors are looked at afresh: some may have ended since. */
static void watch_again(struct room *r, struct job *j, const struct ocp_job *spec)
{
    struct ocp_iter it = {0};
    uint64_t id;
    while (ocp_next_u64(&spec->after, &it, &id))
        book_after_drop(&r->book, id, j->id);
    j->n_after = 0;
    room_watch_after(r, j, spec);
}

static int retry(struct room *r, struct job *j, struct oc_err *err)
{
    struct ocp_job spec;
    if (j->again && j->unwritten) /* it is written once more */
        return 0;
    if (!job_final(j) || j->state == OCP_ENUM_state_done || !j->durable || j->run || j->tally ||
        (j->set && (j->set->ending || j->set->run)))
        return refuse(j, "tried again", err);
    job_spec(j, &spec);
    if (spec.spool || spec.in_memory)
        return oc_fail(err, OCID_E_STATE, 0,
                       "job %" PRIu64 ": the bytes passed with it are gone: submit it anew", j->id);
    tally_again(j);
    if (j->set)
        room_reopen_set(r, j->set);
    feed_not_final(&r->feed, j);
    free(j->outcome);
    j->outcome = NULL;
    j->outcome_len = 0;
    j->ended_at = 0;
    j->tries = j->attempt = 0;
    j->again = 1;
    job_enter(r, j, OCP_ENUM_state_queued, OCP_ENUM_why_none);
    watch_again(r, j, &spec);
    write_state(r, j);
    return 0;
}

static int seal(struct room *r, struct job *j, struct oc_err *err)
{
    if (j->kind != OCP_ENUM_kind_set)
        return oc_fail(err, OCID_E_INVALID, 0, "job %" PRIu64 " is not a set", j->id);
    if (job_is_over(j))
        return refuse(j, "sealed", err);
    room_seal(r, j);
    return 0;
}

static int act_one(struct room *r, enum room_act act, struct job *j, struct oc_err *err)
{
    if (j->unwritten)
        write_state(r, j);
    switch (act) {
    case ACT_CANCEL:
        return cancel(r, j, err);
    case ACT_PAUSE:
        return pause_one(r, j, err);
    case ACT_RESUME:
        return resume(r, j, err);
    case ACT_RETRY:
        return retry(r, j, err);
    default:
        return seal(r, j, err);
    }
}

/* The members first; then a cancelled set ends even if more were to come. */
static void act_on_members(struct room *r, enum room_act act, struct job *set)
{
    struct job *j, *next;
    for (j = set->tally->kin; j; j = next) {
        next = j->kin.next;
        act_one(r, act, j, NULL);
    }
}

int room_act(struct room *r, uint32_t uid, enum room_act act, uint64_t id, struct oc_err *err)
{
    struct job *j = room_find(r, uid, id);
    if (!j)
        return oc_fail(err, OCID_E_NOT_FOUND, 0, "no such job: %" PRIu64, id);
    if (!j->tally || act == ACT_SEAL)
        return act_one(r, act, j, err);
    if (job_is_over(j) && !(act == ACT_CANCEL && is_cancelled(j)))
        return refuse(j, act == ACT_CANCEL ? "cancelled" : "changed", err);
    if (act == ACT_CANCEL || (j->kind == OCP_ENUM_kind_pull && !j->tally->sealed))
        act_one(r, act, j, NULL); /* a pull that still lists is at work itself */
    act_on_members(r, act, j);
    return 0;
}

int room_is_written(const struct job *j)
{
    const struct job *member;
    if (j->tally)
        DL_FOREACH2(j->tally->kin, member, kin.next)
        {
            if (member->unwritten)
                return 0;
        }
    return !j->unwritten;
}
