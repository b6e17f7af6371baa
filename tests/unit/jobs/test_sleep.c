/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sleep.c - who wakes first, and who leaves before.
 */
#include "jobs/sleep.h"

#include "jobs/kit.h"

enum { MOST = 300, ROUNDS = 20000 };

static void test_the_first_due_wakes_first_at_random(void **state)
{
    struct sleepers s = {0};
    struct job *jobs[MOST];
    uint64_t random = kit_seed();
    (void)state;
    for (unsigned i = 0; i < MOST; i++)
        jobs[i] = kit_job(i + 1, 0, 4);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct job *j = jobs[kit_random(&random, MOST)];
        if (j->asleep)
            sleepers_remove(&s, j);
        else
            sleepers_add(&s, j, kit_random(&random, 8) ? kit_random(&random, 50) : UINT64_MAX);
        const struct job *first = sleepers_first(&s);
        uint32_t n = 0;
        for (unsigned i = 0; i < MOST; i++) {
            if (!jobs[i]->asleep)
                continue;
            n++;
            assert_ptr_equal(s.at[jobs[i]->asleep - 1], jobs[i]);
            assert_true(first->due_ms < jobs[i]->due_ms ||
                        (first->due_ms == jobs[i]->due_ms && first->id <= jobs[i]->id));
        }
        assert_int_equal(n, s.n);
    }
    for (unsigned i = 0; i < MOST; i++) {
        sleepers_remove(&s, jobs[i]);
        sleepers_remove(&s, jobs[i]); /* twice is once */
        free(jobs[i]);
    }
    assert_null(sleepers_first(&s));
    free(s.at);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_due_wakes_first_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
