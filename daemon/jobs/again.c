/* SPDX-License-Identifier: Apache-2.0
 *
 * again.c - a set is tried again, also what of it has left memory.
 *
 * Control loop. The rows of its members are read page by page, newest first. Each that has failed
 * or was cancelled is queued as it comes; a set that had left memory itself learns its counts on
 * the way. As long as rows are to come, the set cannot end. A crash in between leaves a set of
 * which some members are queued: the next life goes on with these.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <utlist.h>

#include "core/mem.h"
#include "jobs/room.h"

enum { PAGE_ROWS = 1000 };

struct again {
    struct room *room;
    struct job *set; /* n_coming holds it */
    int counts;      /* its tally is still to be summed up */
    uint64_t n_again;
    uint64_t cursor;
    void (*done)(void *arg, const struct oc_err *err);
    void *arg;
};

static void read_page(struct again *a);

static void count(struct tally *t, const struct store_job *row)
{
    t->n_total++;
    t->n_done += row->state == OCP_ENUM_state_done;
    t->n_failed += row->state == OCP_ENUM_state_failed;
    t->n_cancelled += row->state == OCP_ENUM_state_cancelled;
    if (row->state == OCP_ENUM_state_done)
        t->bytes_done += store_outcome_bytes(row->outcome);
    t->bytes_total = t->bytes_done;
}

/* One that was tried again by its own id while its set was away. */
static void find_its_set(struct again *a, struct job *j)
{
    if (j->set)
        return;
    j->set = a->set;
    a->set->tally->n_here++;
    if (!job_final(j))
        DL_APPEND2(a->set->tally->kin, j, kin.prev, kin.next);
}

static void take(struct again *a, const struct store_job *row)
{
    if (a->counts)
        count(a->set->tally, row);
    struct job *j = room_find(a->room, row->uid, row->id);
    if (!j && (row->state == OCP_ENUM_state_failed || row->state == OCP_ENUM_state_cancelled))
        j = room_revive(a->room, row);
    if (!j)
        return;
    find_its_set(a, j);
    if (job_final(j) && !room_act(a->room, j->uid, ACT_RETRY, j->id, NULL))
        a->n_again++;
}

/* Not read to the end, it is held as it is: what was queued goes on, and its counts are those of
 * its rows in the next life. */
static void finish(struct again *a, const struct oc_err *err)
{
    struct oc_err none = {0};
    if (!err->code && !a->n_again && job_final(a->set))
        oc_fail(&none, OCID_E_STATE, 0, "set %" PRIu64 " has no job that can be tried again",
                a->set->id);
    if (!err->code && !a->room->stopping) {
        a->set->tally->n_coming--;
        room_check_set(a->room, a->set);
    }
    a->done(a->arg, err->code ? err : &none);
    free(a);
}

static void on_page(struct room_op *o)
{
    struct again *a = o->arg;
    int over = a->room->stopping || a->set->ending;
    for (uint32_t i = 0; i < o->op.n && !over; i++)
        if (o->op.jobs[i].uid == a->set->uid)
            take(a, &o->op.jobs[i]);
    if (o->op.err.code || o->op.n < PAGE_ROWS || over) {
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
    a->counts = job_final(set) && !set->tally->n_total;
    a->done = done;
    a->arg = arg;
    set->tally->n_coming++;
    read_page(a);
    return 0;
}
