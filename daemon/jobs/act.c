/* SPDX-License-Identifier: Apache-2.0
 *
 * act.c - cancel, pause, resume, retry, seal; how jobs are taken in, and what their end brings.
 *
 * Control loop. A set's id stands for all its members.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "core/fault.h"
#include "core/log.h"
#include "jobs/after.h"
#include "jobs/refused.h"
#include "jobs/room.h"
#include "jobs/run.h"
#include "jobs/timeout.h"

/* ---- rows of a state that is kept ---- */

void room_begin_again(struct room *r, struct job *j)
{
    if (j->again != AGAIN_WRITTEN || r->stopping || room_removes_part(r, j->id))
        return;
    j->again = AGAIN_NOT;
    if (j->state == OCP_ENUM_state_queued)
        room_admit(r, j);
}

static void is_written(struct room *r, struct job *j)
{
    if (j->again)
        j->again = AGAIN_WRITTEN;
    room_begin_again(r, j);
}

static void on_state_written(struct room_op *o)
{
    struct job *j = book_find(&o->room->book, o->op.id);
    if (j)
        j->unwritten = o->op.err.code != 0;
    if (o->op.err.code)
        log_warn("job %" PRIu64 ": its state is not on disk, a restart would undo the change: %s",
                 o->op.id, o->op.err.text);
    else if (j)
        is_written(o->room, j);
}

static void write_state(struct room *r, struct job *j)
{
    if (!j->durable || job_is_over(j))
        return;
    if (OC_MUTANT("state")) {
        is_written(r, j);
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
    timeout_end(j);
    tally_ended(j);
    if (j->set) {
        feed_touch(&r->feed, j->set);
        room_check_set(r, j->set);
    }
    if (j->tally)
        limits_drop_set(r, j->id);
    after_tell(r, j);
    if (++r->n_ended % 10000 == 0)
        room_prune(r);
    room_pump(r);
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
    j->again = AGAIN_UNWRITTEN;
    job_enter(r, j, OCP_ENUM_state_queued, OCP_ENUM_why_none);
    after_watch_again(r, j, &spec);
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

void room_act_on_members(struct room *r, enum room_act act, struct job *set)
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
    /* a cancelled set ends even if more were to come; a pull that still lists is at work itself */
    if (act == ACT_CANCEL || (j->kind == OCP_ENUM_kind_pull && !j->tally->sealed))
        act_one(r, act, j, NULL);
    room_act_on_members(r, act, j);
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
