/* SPDX-License-Identifier: Apache-2.0
 *
 * job.c - the job machine and its one end.
 *
 * Control loop. Start at job_enter(), the sole writer of state, and job_end(), the only way out.
 */
#include "jobs/job.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "jobs/room.h"
#include "jobs/run.h"
#include "jobs/spec.h"

enum {
    Q = 1 << OCP_ENUM_state_queued,
    R = 1 << OCP_ENUM_state_running,
    W = 1 << OCP_ENUM_state_waiting,
    P = 1 << OCP_ENUM_state_paused,
    F = 1 << OCP_ENUM_state_done | 1 << OCP_ENUM_state_failed | 1 << OCP_ENUM_state_cancelled,
};

static const unsigned job_may[OCP_ENUM_state_COUNT] = {
    [OCP_ENUM_state_queued] = R | W | P | F,
    [OCP_ENUM_state_running] = Q | W | P | F,
    [OCP_ENUM_state_waiting] = Q | R | W | P | F,
    [OCP_ENUM_state_paused] = Q | W | F,
    [OCP_ENUM_state_done] = Q, /* a set, when one of its members is tried again */
    [OCP_ENUM_state_failed] = Q,
    [OCP_ENUM_state_cancelled] = Q,
};

static void keep(char **to, uint32_t *len, const struct oc_buf *b)
{
    free(*to);
    *to = b->len ? oc_memdup(b->data, b->len) : NULL;
    *len = (uint32_t)b->len;
}

static void take_facts(struct job *j, const struct ocp_job *spec)
{
    j->pipe_fd = -1;
    j->kind = (uint8_t)spec->kind;
    j->priority = OCP_HAS(spec, job, priority) ? (uint8_t)spec->priority : 4;
    j->bytes = spec->size;
    j->set_id = spec->set;
    if (job_is_set(j))
        j->tally = OC_NEW(struct tally);
}

struct job *job_new(uint64_t id, uint32_t uid, const struct ocp_job *spec)
{
    struct job *j = OC_NEW(struct job);
    struct oc_buf b;
    oc_buf_init(&b, 2 * OCP_MAX_FRAME);
    ocp_pack(&ocp_desc_job, spec, &b);
    assert(!b.failed);
    keep(&j->spec, &j->spec_len, &b);
    oc_buf_fini(&b);
    j->id = id;
    j->uid = uid;
    j->created_at = clock_wall_ms();
    take_facts(j, spec);
    return j;
}

struct job *job_restore(const struct store_job *row)
{
    struct job *j = OC_NEW(struct job);
    struct ocp_job msg;
    j->id = row->id;
    j->uid = row->uid;
    j->spec = oc_memdup(row->spec.p, row->spec.n);
    j->spec_len = row->spec.n;
    j->outcome = row->outcome.n ? oc_memdup(row->outcome.p, row->outcome.n) : NULL;
    j->outcome_len = row->outcome.n;
    j->created_at = row->created_at;
    j->ended_at = row->ended_at;
    j->state = (uint8_t)row->state;
    j->durable = j->restored = 1;
    job_spec(j, &msg);
    take_facts(j, &msg);
    if (j->tally)
        j->tally->sealed = row->sealed || job_final(j);
    j->reading = (uint8_t)spec_is_stream(&msg);
    return j;
}

int job_in_memory(const struct job *j)
{
    return j->kind == OCP_ENUM_kind_put && j->pipe_fd >= 0 && !j->reading;
}

void job_close_pipe(struct job *j)
{
    if (job_in_memory(j) && j->sharer) {
        j->sharer->n_in_memory--;
        j->sharer->bytes_in_memory -= j->bytes;
    }
    if (j->pipe_fd >= 0)
        close(j->pipe_fd);
    j->pipe_fd = -1;
}

void job_free(struct job *j)
{
    if (!j)
        return;
    job_close_pipe(j);
    free(j->tally);
    free(j->spec);
    free(j->outcome);
    free(j);
}

void job_spec(const struct job *j, struct ocp_job *ret)
{
    int rc = ocp_unpack(&ocp_desc_job, j->spec, j->spec_len, ret, NULL);
    assert(!rc);
    (void)rc;
}

void job_enter(struct room *r, struct job *j, enum ocp_state next, enum ocp_why why)
{
    if (j->state == next && j->why == why) {
        feed_touch(&r->feed, j);
        return;
    }
    assert(job_may[j->state] & OC_BIT(next));
    assert((next == OCP_ENUM_state_waiting) == (why != OCP_ENUM_why_none));
    log_debug("job %" PRIu64 ": %s > %s %s", j->id, ocp_enum_name(&ocp_enum_state, j->state),
              ocp_enum_name(&ocp_enum_state, (int)next), ocp_enum_name(&ocp_enum_why, (int)why));
    sleepers_remove(&r->sleepers, j);
    j->sharer->n_in[j->state]--;
    j->sharer->n_in[next]++;
    j->state = (uint8_t)next;
    j->why = (uint8_t)why;
    feed_touch(&r->feed, j);
    if (job_final(j)) {
        feed_final(&r->feed, j);
        room_on_final(r, j);
    }
}

static void put_error(struct ocp_outcome *o, const struct oc_err *err)
{
    struct ocp_error e;
    ocp_error_of(err, -1, &e); /* what is not UTF-8 has been escaped there */
    OCP_SET(o, outcome, text, e.text);
    if (OCP_HAS(&e, error, http_status))
        OCP_SET(o, outcome, http_status, e.http_status);
    if (OCP_HAS(&e, error, service_code))
        OCP_SET(o, outcome, service_code, e.service_code);
    if (OCP_HAS(&e, error, request_id))
        OCP_SET(o, outcome, request_id, e.request_id);
}

static void keep_outcome(struct job *j, const struct ocp_outcome *o)
{
    struct oc_buf b;
    oc_buf_init(&b, OCP_MAX_FRAME);
    ocp_pack(&ocp_desc_outcome, o, &b);
    keep(&j->outcome, &j->outcome_len, &b);
    oc_buf_fini(&b);
}

void job_note(struct job *j, const struct oc_err *err)
{
    struct ocp_outcome o = {0};
    put_error(&o, err);
    keep_outcome(j, &o);
}

/* The verdict is on disk: the job shows its final state. */
static void on_ended(struct room *r, uint64_t id, int state)
{
    struct job *j = book_find(&r->book, id);
    j->ending = 0;
    job_enter(r, j, (enum ocp_state)state, OCP_ENUM_why_none);
    room_drop_spool(r, j);
    if (!j->run)
        room_tidy(r, j);
}

void job_end(struct room *r, struct job *j, const struct oc_err *err, struct ocp_outcome *facts)
{
    if (job_is_over(j))
        return;
    struct ocp_outcome none = {0}, *o = facts ? facts : &none;
    enum ocp_state state = OCP_ENUM_state_done;
    if (err) {
        state = err->code == OCID_E_CANCELLED ? OCP_ENUM_state_cancelled : OCP_ENUM_state_failed;
        put_error(o, err);
        /* oc_err_name() is thread-local storage: packed before it is asked again */
        if (state == OCP_ENUM_state_failed)
            OCP_SET(o, outcome, error, ocp_str(oc_err_name(err->code)));
    }
    keep_outcome(j, o);
    sched_remove(&r->sched, j);
    sleepers_remove(&r->sleepers, j);
    j->ending = (uint8_t)(1 + state);
    j->again = AGAIN_NOT;
    j->ended_at = clock_wall_ms();
    room_log_end(j, state, err);
    if (j->durable)
        room_write_end(r, j, state, on_ended);
    else
        on_ended(r, j->id, (int)state);
}
