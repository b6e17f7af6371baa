/* SPDX-License-Identifier: Apache-2.0
 *
 * tally.c - what has become of the members of a set.
 *
 * Pure; control loop.
 */
#include "jobs/tally.h"

#include <assert.h>
#include <utlist.h>

static void count(struct tally *t, int state, struct ocp_str outcome)
{
    switch (state) {
    case OCP_ENUM_state_done:
        t->n_done++;
        t->bytes_done += store_outcome_bytes(outcome);
        break;
    case OCP_ENUM_state_failed:
        t->n_failed++;
        break;
    default:
        t->n_cancelled++;
    }
}

static void count_final(struct tally *t, const struct job *j)
{
    count(t, j->state, (struct ocp_str){j->outcome, j->outcome_len});
}

void tally_join(struct job *set, struct job *j)
{
    struct tally *t = set->tally;
    assert(!j->set && j->set_id == set->id);
    j->set = set;
    t->n_here++;
    t->n_total++;
    if (job_final(j))
        count_final(t, j);
    else
        DL_APPEND2(t->kin, j, kin.prev, kin.next);
}

void tally_row(struct job *set, const struct store_job *row, struct job *j)
{
    struct tally *t = set->tally;
    if (row->id >= t->counted_from)
        return;
    t->counted_from = row->id;
    if (j) {
        tally_join(set, j);
    } else if (row->ended_at) { /* else it has ended and left memory since the row was read */
        t->n_total++;
        count(t, row->state, row->outcome);
    }
}

void tally_rows_end(struct job *set)
{
    set->tally->counted_from = 0;
}

void tally_back(struct job *set, struct job *j)
{
    assert(!j->set && job_final(j));
    if (j->id < set->tally->counted_from)
        return;
    j->set = set;
    set->tally->n_here++;
}

void tally_ended(struct job *j)
{
    if (!j->set)
        return;
    DL_DELETE2(j->set->tally->kin, j, kin.prev, kin.next);
    count_final(j->set->tally, j);
}

/* What is done is never tried again. */
void tally_again(struct job *j)
{
    struct tally *t = j->set ? j->set->tally : NULL;
    if (!t)
        return;
    t->n_failed -= j->state == OCP_ENUM_state_failed;
    t->n_cancelled -= j->state == OCP_ENUM_state_cancelled;
    DL_APPEND2(t->kin, j, kin.prev, kin.next);
}

void tally_forget(struct job *j)
{
    if (j->set)
        j->set->tally->n_here--;
    j->set = NULL;
}

void tally_load(struct job *set, const struct store_tally *t)
{
    set->tally->n_total += t->n_done + t->n_failed + t->n_cancelled;
    set->tally->n_done += t->n_done;
    set->tally->n_failed += t->n_failed;
    set->tally->n_cancelled += t->n_cancelled;
    set->tally->bytes_done += t->bytes;
}

int tally_is_over(const struct tally *t)
{
    return t->sealed && !t->n_coming && !t->counted_from &&
           t->n_done + t->n_failed + t->n_cancelled == t->n_total;
}
