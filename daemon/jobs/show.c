/* SPDX-License-Identifier: Apache-2.0
 *
 * show.c - jobs as status messages.
 *
 * Control loop.
 */
#include <string.h>

#include "jobs/room.h"
#include "jobs/run.h"

static struct ocp_span one(const char *p, uint32_t n)
{
    return (struct ocp_span){p, n, 1};
}

static void show_set(const struct job *j, struct ocp_status *s)
{
    const struct tally *t = j->tally;
    uint64_t moving = 0, to_come = 0;
    for (const struct job *m = t->kin; m; m = m->kin.next) {
        struct ocp_status of = {0};
        to_come += m->bytes;
        if (m->state != OCP_ENUM_state_running)
            continue;
        if (m->run)
            run_progress(m->run, &of);
        moving += of.bytes_done;
    }
    OCP_SET(s, status, n_total, t->n_total);
    OCP_SET(s, status, n_done, t->n_done);
    OCP_SET(s, status, n_failed, t->n_failed);
    OCP_SET(s, status, n_cancelled, t->n_cancelled);
    OCP_SET(s, status, sealed, t->sealed);
    OCP_SET(s, status, bytes_done, t->bytes_done + moving);
    OCP_SET(s, status, bytes_total, t->bytes_done + to_come);
}

void room_pack_status(const struct room *r, const struct job *j, struct oc_buf *b)
{
    struct ocp_status s = {0};
    char held[257];
    OCP_SET(&s, status, id, j->id);
    OCP_SET(&s, status, state, j->state);
    if (j->why)
        OCP_SET(&s, status, why, j->why);
    OCP_SET(&s, status, seq, j->seq);
    OCP_SET(&s, status, created_at, (uint64_t)j->created_at);
    if (job_final(j))
        OCP_SET(&s, status, ended_at, (uint64_t)j->ended_at);
    if (j->run && j->run->retry_at && !j->run->stopping)
        OCP_SET(&s, status, retry_at, j->run->retry_at);
    else if (room_wakes_at(j))
        OCP_SET(&s, status, retry_at, room_wakes_at(j));
    if (j->tries)
        OCP_SET(&s, status, tries, (uint64_t)j->tries);
    if (j->reading && !job_final(j))
        OCP_SET(&s, status, reading, true);
    if (j->tally)
        show_set(j, &s);
    else if (j->run)
        run_progress(j->run, &s);
    if (room_held(r, j, held, sizeof held))
        OCP_SET(&s, status, held, ocp_str(held));
    OCP_SET(&s, status, job, one(j->spec, j->spec_len));
    if (j->outcome)
        OCP_SET(&s, status, outcome, one(j->outcome, j->outcome_len));
    ocp_pack(&ocp_desc_status, &s, b);
}

void room_pack_row(const struct store_job *row, struct oc_buf *b)
{
    struct ocp_status s = {0};
    OCP_SET(&s, status, id, row->id);
    OCP_SET(&s, status, state, row->state);
    OCP_SET(&s, status, created_at, (uint64_t)row->created_at);
    if (row->ended_at)
        OCP_SET(&s, status, ended_at, (uint64_t)row->ended_at);
    OCP_SET(&s, status, job, one(row->spec.p, row->spec.n));
    if (row->outcome.n)
        OCP_SET(&s, status, outcome, one(row->outcome.p, row->outcome.n));
    ocp_pack(&ocp_desc_status, &s, b);
}
