/* SPDX-License-Identifier: Apache-2.0
 *
 * after.c - who waits for whom.
 *
 * Control loop. A job counts its predecessors that have not ended; the book knows their successors.
 */
#include "jobs/after.h"

#include <inttypes.h>

#include "core/mem.h"
#include "jobs/room.h"

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
void after_watch(struct room *r, struct job *j, const struct ocp_job *spec)
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

void after_tell(struct room *r, struct job *j)
{
    uint64_t id;
    while ((id = book_after_take(&r->book, j->id))) {
        struct job *next = book_find(&r->book, id);
        if (next)
            predecessor_ended(r, next, j->id, j->state == OCP_ENUM_state_done);
    }
}

void after_watch_again(struct room *r, struct job *j, const struct ocp_job *spec)
{
    struct ocp_iter it = {0};
    uint64_t id;
    while (ocp_next_u64(&spec->after, &it, &id))
        book_after_drop(&r->book, id, j->id);
    j->n_after = 0;
    after_watch(r, j, spec);
}
