/* SPDX-License-Identifier: Apache-2.0
 *
 * again.c - a set is tried again, also what of it has left memory.
 *
 * Control loop. The rows of its members are read page by page, newest first. Each that has failed
 * or was cancelled is queued as it comes; a set that had left memory itself learns its counts on
 * the way, and finds members that were tried again by their own ids while it was away. As long as
 * rows are to come, the set cannot end. A crash in between leaves a set of which some members are
 * queued: the next life goes on with these.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <utlist.h>

#include "core/mem.h"
#include "jobs/room.h"

enum { PAGE_ROWS = 1000 };

struct again {
    struct room *room;
    struct job *set;  /* n_coming holds it */
    int64_t ended_at; /* of the set before, 0: it was at work */
    uint64_t n_again;
    uint64_t cursor;
    void (*done)(void *arg, const struct oc_err *err);
    void *arg;
};

static void read_page(struct again *a);

/* The daemon ends, or the set was ended since. */
static int over(const struct again *a)
{
    return a->room->stopping || a->set->ending ||
           (job_final(a->set) && a->set->ended_at != a->ended_at);
}

static void take(struct again *a, const struct store_job *row)
{
    struct job *j = room_find(a->room, row->uid, row->id);
    if (!j && (row->state == OCP_ENUM_state_failed || row->state == OCP_ENUM_state_cancelled))
        j = room_revive(a->room, row);
    tally_row(a->set, row, j);
    if (!j)
        return;
    if (!job_final(j))
        room_reopen_set(a->room, a->set);
    else if (!room_act(a->room, j->uid, ACT_RETRY, j->id, NULL))
        a->n_again++;
}

/* If not all rows could be read, what was queued goes on, and a set that has not counted all of its
 * members does not end before it is tried again, or in the next life, which counts them. */
static void finish(struct again *a, const struct oc_err *err)
{
    struct oc_err none = {0};
    if (!err->code && !a->n_again && job_final(a->set))
        oc_fail(&none, OCID_E_STATE, 0, "set %" PRIu64 " has no job that can be tried again",
                a->set->id);
    a->set->tally->n_coming--;
    if (!err->code && !over(a))
        tally_rows_end(a->set);
    if (!a->room->stopping)
        room_check_set(a->room, a->set);
    a->done(a->arg, err->code ? err : &none);
    free(a);
}

static void on_page(struct room_op *o)
{
    struct again *a = o->arg;
    for (uint32_t i = 0; i < o->op.n && !over(a); i++)
        if (o->op.jobs[i].uid == a->set->uid)
            take(a, &o->op.jobs[i]);
    if (o->op.err.code || o->op.n < PAGE_ROWS || over(a)) {
        finish(a, &o->op.err);
        return;
    }
    a->cursor = o->op.jobs[o->op.n - 1].id;
    read_page(a);
}

static void read_page(struct again *a)
{
    struct room_op *o = room_op_new(a->room, STORE_READ_PAGE, on_page, a);
    o->op.page.uid = a->set->uid;
    o->op.page.state = -1;
    o->op.page.set = a->set->id;
    o->op.page.cursor = a->cursor;
    o->op.page.limit = PAGE_ROWS;
    room_op_post(o);
}

int room_retry_set(struct room *r, struct job *set,
                   void (*done)(void *arg, const struct oc_err *err), void *arg, struct oc_err *err)
{
    if (set->ending || set->state == OCP_ENUM_state_done)
        return oc_fail(err, OCID_E_STATE, 0, "set %" PRIu64 " is done: it cannot be tried again",
                       set->id);
    struct again *a = OC_NEW(struct again);
    a->room = r;
    a->set = set;
    a->ended_at = set->ended_at;
    a->done = done;
    a->arg = arg;
    set->tally->n_coming++;
    read_page(a);
    return 0;
}
