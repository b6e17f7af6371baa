/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sched.c - who is served next: shares by bytes, priority, order, queues apart.
 */
#include "jobs/sched.h"

#include "jobs/kit.h"

#define MIB (1ull << 20)

enum { QUANTUM_MIB = 64, MOST = 4096 };

struct hall {
    struct sched s;
    struct job *made[MOST];
    unsigned n;
};

static struct job *enter(struct hall *h, struct sharer *sh, uint64_t bytes, int priority,
                         enum sched_queue q)
{
    struct job *j = h->made[h->n] = kit_job(h->n + 1, bytes, priority);
    h->n++;
    j->sharer = sh;
    sched_add(&h->s, j, q, 0);
    return j;
}

static void empty(struct hall *h)
{
    while (h->n) {
        sched_remove(&h->s, h->made[--h->n]);
        free(h->made[h->n]);
    }
    sched_fini(&h->s);
    memset(h, 0, sizeof *h);
}

static struct hall hall;

static void test_shares_are_equal_in_bytes(void **state)
{
    static const struct {
        const char *name;
        uint64_t a_mib, b_mib;
    } rows[] = {{"alike", 32, 32}, {"large and small", 48, 2}, {"over a quantum", 200, 10}};
    (void)state;
    for (unsigned i = 0; i < N_ROWS(rows); i++) {
        struct sharer *a = sched_sharer_ref(&hall.s, 1, "a"), *b = sched_sharer_ref(&hall.s, 2, "");
        uint64_t got[2] = {0};
        for (unsigned k = 0; k < MOST / 2; k++) {
            enter(&hall, a, rows[i].a_mib * MIB, 4, START_BULK);
            enter(&hall, b, rows[i].b_mib * MIB, 4, START_BULK);
        }
        uint64_t largest = rows[i].a_mib > rows[i].b_mib ? rows[i].a_mib : rows[i].b_mib;
        for (unsigned k = 0; k < 1000; k++) {
            struct job *j = sched_take(&hall.s, START_BULK);
            sched_charge(j, START_BULK, j->bytes);
            got[j->sharer == b] += j->bytes + SCHED_REQUEST_BYTES;
            uint64_t apart = got[0] > got[1] ? got[0] - got[1] : got[1] - got[0];
            if (apart > 2 * (QUANTUM_MIB + largest) * MIB)
                fail_msg("%s: after %u they are %" PRIu64 " MiB apart", rows[i].name, k,
                         apart / MIB);
            if (hall.s.n_queued[START_BULK] < 200)
                break;
        }
        empty(&hall);
    }
}

/* One large file, granted a part at a time, against many: leaving the lane for each request
 * neither forgives what was used nor loses the turn. */
static void test_a_job_that_goes_on_has_its_share(void **state)
{
    struct sharer *a = sched_sharer_ref(&hall.s, 1, ""), *b = sched_sharer_ref(&hall.s, 2, "");
    uint64_t got[2] = {0};
    (void)state;
    enter(&hall, a, 1 << 30, 4, READY_BULK);
    for (unsigned k = 0; k < 500; k++)
        enter(&hall, b, 32 * MIB, 4, READY_BULK);
    for (unsigned k = 0; k < 400; k++) {
        struct job *j = sched_take(&hall.s, READY_BULK);
        got[j->sharer == b] += 32 * MIB;
        if (j->sharer == a)
            sched_add(&hall.s, j, READY_BULK, 1);
        sched_charge(j, READY_BULK, 32 * MIB);
    }
    uint64_t apart = got[0] > got[1] ? got[0] - got[1] : got[1] - got[0];
    assert_true(apart <= 2 * QUANTUM_MIB * MIB);
    empty(&hall);
}

static void test_an_old_debt_is_small(void **state)
{
    struct sharer *a = sched_sharer_ref(&hall.s, 1, ""), *b = sched_sharer_ref(&hall.s, 2, "");
    (void)state;
    enter(&hall, a, 50ull << 30, 4, START_BULK);
    struct job *j = sched_take(&hall.s, START_BULK);
    sched_charge(j, START_BULK, j->bytes);
    struct job *again = enter(&hall, a, 2 * MIB, 4, START_BULK);
    for (unsigned k = 0; k < 1000; k++)
        enter(&hall, b, 32 * MIB, 4, START_BULK);
    unsigned turns = 0;
    while ((j = sched_take(&hall.s, START_BULK)) != again) {
        sched_charge(j, START_BULK, j->bytes);
        turns++;
    }
    assert_in_range(turns, 0, 8);
    empty(&hall);
}

static void test_priority_then_order(void **state)
{
    static const int priorities[] = {4, 9, 0, 4, 9, 5};
    static const unsigned want[] = {2, 5, 6, 1, 4, 3};
    struct sharer *a = sched_sharer_ref(&hall.s, 1, "");
    (void)state;
    for (unsigned i = 0; i < N_ROWS(priorities); i++)
        enter(&hall, a, 10, priorities[i], START_EXPRESS);
    for (unsigned i = 0; i < N_ROWS(want); i++)
        assert_int_equal(sched_take(&hall.s, START_EXPRESS)->id, want[i]);
    assert_null(sched_take(&hall.s, START_EXPRESS));
    empty(&hall);
}

static void test_queues_are_apart(void **state)
{
    struct sharer *a = sched_sharer_ref(&hall.s, 1, "");
    (void)state;
    for (int q = 0; q < SCHED_QUEUES; q++)
        enter(&hall, a, 10, 4, (enum sched_queue)q);
    for (int q = 0; q < SCHED_QUEUES; q++) {
        assert_int_equal(hall.s.n_queued[q], 1);
        assert_int_equal(sched_take(&hall.s, (enum sched_queue)q)->id, q + 1);
        assert_null(sched_take(&hall.s, (enum sched_queue)q));
    }
    struct job small = {.bytes = SCHED_SMALL_BYTES}, large = {.bytes = SCHED_SMALL_BYTES + 1};
    assert_false(sched_is_bulk(&small));
    assert_true(sched_is_bulk(&large));
    empty(&hall);
}

static void test_sharers_go_with_their_last_job(void **state)
{
    (void)state;
    struct sharer *a = sched_sharer_ref(&hall.s, 1, "x");
    assert_ptr_equal(sched_sharer_ref(&hall.s, 1, "x"), a);
    struct sharer *b = sched_sharer_ref(&hall.s, 1, "y"), *c = sched_sharer_ref(&hall.s, 2, "x");
    assert_true(a != b && b != c && a != c);
    sched_sharer_unref(&hall.s, a);
    sched_sharer_unref(&hall.s, b);
    sched_sharer_unref(&hall.s, a);
    sched_sharer_unref(&hall.s, c);
    assert_null(hall.s.sharers);
}

/* Whatever is added, removed, taken and put back: the counts are those of the lanes, nothing is
 * lost and nothing is served twice. */
static void test_counts_hold_at_random(void **state)
{
    uint64_t rng = kit_seed();
    struct sharer *sh[3];
    unsigned in = 0;
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        sh[i] = sched_sharer_ref(&hall.s, i, "");
    for (unsigned i = 0; i < MOST; i++)
        hall.made[hall.n++] = kit_job(i + 1, kit_random(&rng, 1 << 22), (int)kit_random(&rng, 10));
    for (unsigned i = 0; i < 200000; i++) {
        enum sched_queue q = kit_random(&rng, SCHED_QUEUES);
        struct job *j = hall.made[kit_random(&rng, MOST)];
        j->sharer = j->sharer ? j->sharer : sh[kit_random(&rng, 3)];
        if (kit_random(&rng, 3) == 0) {
            in -= j->in_lane != 0;
            sched_remove(&hall.s, j);
        } else if (!j->in_lane) {
            sched_add(&hall.s, j, q, (int)kit_random(&rng, 2));
            in++;
        } else if ((j = sched_take(&hall.s, q))) {
            assert_false(j->in_lane);
            sched_charge(j, q, j->bytes);
            in--;
        }
        uint64_t n = 0;
        for (int k = 0; k < SCHED_QUEUES; k++)
            n += hall.s.n_queued[k];
        assert_int_equal(n, in);
    }
    for (int q = 0; q < SCHED_QUEUES; q++)
        while (sched_take(&hall.s, (enum sched_queue)q))
            in--;
    assert_int_equal(in, 0);
    empty(&hall);
}

static void test_what_is_held_comes_back_in_its_order(void **state)
{
    (void)state;
    struct sharer *a = sched_sharer_ref(&hall.s, 1, "a");
    struct job *j, *held[4];
    for (unsigned i = 0; i < 4; i++)
        enter(&hall, a, MIB, 4, START_EXPRESS);
    for (unsigned i = 0; i < 4; i++) {
        held[i] = sched_take(&hall.s, START_EXPRESS);
        sched_hold(&hall.s, held[i]);
    }
    assert_null(sched_take(&hall.s, START_EXPRESS));
    sched_remove(&hall.s, held[1]); /* cancelled */
    assert_int_equal(hall.s.n_held, 3);
    struct job *later = enter(&hall, a, MIB, 4, START_EXPRESS);
    while ((j = sched_take_held(&hall.s, 1)))
        sched_add(&hall.s, j, START_EXPRESS, 1);
    assert_ptr_equal(sched_take(&hall.s, START_EXPRESS), held[0]);
    assert_ptr_equal(sched_take(&hall.s, START_EXPRESS), held[2]);
    assert_ptr_equal(sched_take(&hall.s, START_EXPRESS), held[3]);
    assert_ptr_equal(sched_take(&hall.s, START_EXPRESS), later);
    empty(&hall);
}

static int not_a(void *arg, const struct sharer *sh, enum sched_queue q)
{
    return sh != arg || q != START_BULK;
}

/* Whoever may not go loses nothing: neither what he has queued nor his deficit. */
static void test_who_may_not_lets_the_next_one_go(void **state)
{
    (void)state;
    struct sharer *a = sched_sharer_ref(&hall.s, 1, "a"), *b = sched_sharer_ref(&hall.s, 1, "b");
    struct job *of_a = enter(&hall, a, 2 * MIB, 4, START_BULK);
    struct job *of_b = enter(&hall, b, 2 * MIB, 4, START_BULK);
    struct job *other = enter(&hall, a, 2 * MIB, 4, READY_BULK);
    hall.s.may = not_a;
    hall.s.arg = a;
    assert_ptr_equal(sched_take(&hall.s, START_BULK), of_b);
    assert_null(sched_take(&hall.s, START_BULK));
    assert_ptr_equal(sched_take(&hall.s, READY_BULK), other);
    hall.s.arg = NULL;
    assert_ptr_equal(sched_take(&hall.s, START_BULK), of_a);
    empty(&hall);
}

static void test_members_aside_come_back_in_their_order(void **state)
{
    (void)state;
    struct sharer *a = sched_sharer_ref(&hall.s, 1, "a");
    struct tally tally = {0};
    struct job set = {.tally = &tally}, *m[5];
    for (unsigned i = 0; i < 5; i++) {
        m[i] = enter(&hall, a, i < 4 ? 2 * MIB : 1, 4, i < 4 ? START_BULK : START_EXPRESS);
        m[i]->set = &set;
        assert_ptr_equal(sched_take(&hall.s, i < 4 ? START_BULK : START_EXPRESS), m[i]);
        sched_set_aside(m[i], i < 4 ? START_BULK : START_EXPRESS);
    }
    sched_remove(&hall.s, m[1]); /* cancelled */
    sched_release_aside(&hall.s, &set, START_BULK, 0);
    assert_null(sched_take(&hall.s, START_BULK));
    sched_release_aside(&hall.s, &set, START_BULK, 2);
    assert_ptr_equal(sched_take(&hall.s, START_BULK), m[0]);
    assert_ptr_equal(sched_take(&hall.s, START_BULK), m[2]);
    assert_null(sched_take(&hall.s, START_BULK));
    sched_release_aside(&hall.s, &set, START_BULK, UINT64_MAX);
    assert_ptr_equal(sched_take(&hall.s, START_BULK), m[3]);
    assert_null(sched_take(&hall.s, START_EXPRESS));
    sched_release_aside(&hall.s, &set, START_EXPRESS, 1);
    assert_ptr_equal(sched_take(&hall.s, START_EXPRESS), m[4]);
    empty(&hall);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares_are_equal_in_bytes),
        cmocka_unit_test(test_a_job_that_goes_on_has_its_share),
        cmocka_unit_test(test_an_old_debt_is_small),
        cmocka_unit_test(test_priority_then_order),
        cmocka_unit_test(test_queues_are_apart),
        cmocka_unit_test(test_sharers_go_with_their_last_job),
        cmocka_unit_test(test_counts_hold_at_random),
        cmocka_unit_test(test_what_is_held_comes_back_in_its_order),
        cmocka_unit_test(test_who_may_not_lets_the_next_one_go),
        cmocka_unit_test(test_members_aside_come_back_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
