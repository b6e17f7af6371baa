/* SPDX-License-Identifier: Apache-2.0
 *
 * test_watch.c - when a watch looks again.
 */
#include "jobs/watch.h"

#include "jobs/kit.h"

static void test_bounds(void **state)
{
    static const struct {
        const char *name;
        uint64_t age_ms, every_ms, n_others, most_ms;
    } rows[] = {
        {"new", 0, 0, 0, 500},
        {"a minute old", 60000, 0, 0, 7500},
        {"a day old", 86400000, 0, 0, 30000},
        {"a day old, seldom", 86400000, 600000, 0, 600000},
        {"often", 86400000, 200, 0, 200},
        {"among many", 0, 0, 10000, 100000},
        {"among many, often", 0, 200, 10000, 100000},
        {"among few", 86400000, 0, 50, 30000},
        {"older than time", UINT64_MAX, UINT64_MAX / 8, 0, UINT64_MAX / 8},
    };
    (void)state;
    for (unsigned i = 0; i < N_ROWS(rows); i++) {
        uint64_t longest = watch_delay_ms(rows[i].age_ms, rows[i].every_ms, rows[i].n_others, 0);
        uint64_t shortest =
            watch_delay_ms(rows[i].age_ms, rows[i].every_ms, rows[i].n_others, UINT64_MAX);
        if (longest != rows[i].most_ms || shortest != longest - longest / 2)
            fail_msg("%s: %llu to %llu", rows[i].name, (unsigned long long)shortest,
                     (unsigned long long)longest);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
