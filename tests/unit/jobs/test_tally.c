/* SPDX-License-Identifier: Apache-2.0
 *
 * test_tally.c - a set's counts are those of its members, whatever comes between two rows.
 */
#include "jobs/tally.h"

#include <utlist.h>

#include "jobs/kit.h"

enum { MEMBERS = 40, STEPS = 200000 };

/* What the store has of a member, and the member itself while it is in memory. */
static struct store_job rows[MEMBERS];
static struct job *members[MEMBERS];
static struct job *set;
static unsigned next_row; /* whose turn is next, from above; 0: nobody reads */

static struct job *set_new(uint64_t counted_from)
{
    struct job *s = kit_job(1, 0, 4);
    s->tally = OC_NEW(struct tally);
    s->tally->sealed = 1;
    s->tally->counted_from = counted_from;
    return s;
}

static void check(void)
{
    struct tally want = {0};
    struct tally *t = set->tally;
    struct job *kin;
    uint64_t n_kin = 0, n_live = 0;
    for (unsigned i = 0; i < MEMBERS; i++) {
        const struct job *j = members[i];
        int is_counted = rows[i].id >= t->counted_from;
        int state = j ? j->state : rows[i].state;
        want.n_here += j && j->set;
        assert_true(!j || (j->set ? j->set == set && is_counted : !is_counted));
        n_live += j && j->set && !job_final(j);
        want.n_total += (uint64_t)is_counted;
        want.n_done += is_counted && state == OCP_ENUM_state_done;
        want.n_failed += is_counted && state == OCP_ENUM_state_failed;
        want.n_cancelled += is_counted && state == OCP_ENUM_state_cancelled;
    }
    assert_int_equal(t->n_total, want.n_total);
    assert_int_equal(t->n_done, want.n_done);
    assert_int_equal(t->n_failed, want.n_failed);
    assert_int_equal(t->n_cancelled, want.n_cancelled);
    assert_int_equal(t->n_here, want.n_here);
    DL_COUNT2(t->kin, kin, n_kin, kin.next);
    assert_int_equal(n_kin, n_live);
    int all_final = 1;
    for (unsigned i = 0; i < MEMBERS; i++)
        all_final &= !members[i] || job_final(members[i]);
    assert_int_equal(tally_is_over(t), all_final && !t->counted_from);
}

static void back(unsigned i)
{
    if (members[i])
        return;
    struct job *j = members[i] = kit_job(rows[i].id, 0, 4);
    j->set_id = set->id;
    j->state = (uint8_t)rows[i].state;
    tally_back(set, j);
}

static void again(unsigned i)
{
    struct job *j = members[i];
    if (!j || !job_final(j) || j->state == OCP_ENUM_state_done)
        return;
    tally_again(j);
    j->state = OCP_ENUM_state_queued;
    rows[i].ended_at = 0;
}

static void end(unsigned i, uint64_t how)
{
    static const uint8_t ends[] = {OCP_ENUM_state_done, OCP_ENUM_state_failed,
                                   OCP_ENUM_state_cancelled};
    struct job *j = members[i];
    if (!j || job_final(j))
        return;
    j->state = ends[how];
    rows[i].state = j->state;
    rows[i].ended_at = 1;
    tally_ended(j);
}

static void forget(unsigned i)
{
    if (!members[i] || !job_final(members[i]))
        return;
    tally_forget(members[i]);
    free(members[i]);
    members[i] = NULL;
}

/* Its set leaves memory as soon as it may, and comes back without counts. */
static void away(void)
{
    if (!tally_is_over(set->tally) || set->tally->n_here || next_row)
        return;
    free(set->tally);
    free(set);
    set = set_new(UINT64_MAX);
}

/* Two may read at once: each row is read, and some twice. */
static void read_on(uint64_t how)
{
    if (!next_row)
        next_row = MEMBERS;
    unsigned i = how % 3 ? --next_row : next_row - 1;
    tally_row(set, &rows[i], members[i]);
    if (!next_row)
        tally_rows_end(set);
}

static void test_counts_are_those_of_the_members_at_random(void **state)
{
    uint64_t random = kit_seed();
    (void)state;
    set = set_new(0);
    for (unsigned i = 0; i < MEMBERS; i++) {
        rows[i].id = i + 2;
        members[i] = kit_job(rows[i].id, 0, 4);
        members[i]->set_id = set->id;
        tally_join(set, members[i]);
    }
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)kit_random(&random, MEMBERS);
        unsigned calm = step / 1000 % 3; /* now and then all come to their end */
        switch (kit_random(&random, 8)) {
        case 0:
            if (!calm)
                back(i);
            break;
        case 1:
            if (!calm)
                again(i);
            break;
        case 2:
        case 3:
            end(i, kit_random(&random, 3));
            break;
        case 4:
        case 5:
            forget(i);
            break;
        case 6:
            away();
            break;
        default:
            read_on(kit_random(&random, 9));
        }
        check();
    }
    for (unsigned i = 0; i < MEMBERS; i++) {
        end(i, 0);
        forget(i);
    }
    assert_null(set->tally->kin);
    free(set->tally);
    free(set);
}

/* What is shown of bytes after a restart is what was shown before. */
static void test_bytes_are_those_of_the_outcomes(void **state)
{
    struct ocp_outcome o = {0};
    struct oc_buf b;
    (void)state;
    OCP_SET(&o, outcome, bytes, 700);
    oc_buf_init(&b, OCP_MAX_FRAME);
    ocp_pack(&ocp_desc_outcome, &o, &b);
    set = set_new(0);
    struct job *j = kit_job(2, 500, 4); /* it has grown since it was submitted */
    j->set_id = set->id;
    tally_join(set, j);
    j->state = OCP_ENUM_state_done;
    j->outcome = (char *)b.data;
    j->outcome_len = (uint32_t)b.len;
    tally_ended(j);
    assert_int_equal(set->tally->bytes_done, 700);
    struct job *later = set_new(0);
    tally_load(later, &(struct store_tally){.set = 1, .n_done = 1, .bytes = 700});
    assert_int_equal(later->tally->bytes_done, 700);
    assert_int_equal(later->tally->n_total, 1);
    oc_buf_fini(&b);
    for (unsigned i = 0; i < 2; i++) {
        struct job *s = i ? later : set;
        free(s->tally);
        free(s);
    }
    free(j);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_are_those_of_the_members_at_random),
        cmocka_unit_test(test_bytes_are_those_of_the_outcomes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
