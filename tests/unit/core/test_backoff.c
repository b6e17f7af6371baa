/* SPDX-License-Identifier: Apache-2.0
 *
 * test_backoff.c - delays by rows, and within bounds for any arguments.
 */
#include "core/unit.h"

#include <stdio.h>

#include "core/backoff.h"

#define MOST UINT64_MAX

static void test_rows(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned attempt;
        uint64_t base, cap, hint, random, least, most;
    } rows[] = {
        {"first, lowest", 1, 500, 60000, 0, 0, 0, 0},
        {"first, highest", 1, 500, 60000, 0, MOST, 500, 500},
        {"attempt 0 is as 1", 0, 500, 60000, 0, MOST, 500, 500},
        {"third", 3, 500, 60000, 0, MOST, 2000, 2000},
        {"half way", 1, 1000, 60000, 0, MOST / 2, 500, 500},
        {"cap", 8, 500, 60000, 0, MOST, 60000, 60000},
        {"no shift too far", 200, 500, 60000, 0, MOST, 60000, 60000},
        {"64th", 65, 1, MOST, 0, MOST, MOST, MOST},
        {"no base", 5, 0, 60000, 0, MOST, 0, 0},
        {"base over cap", 1, 90000, 60000, 0, MOST, 60000, 60000},
        {"hint is a floor", 1, 500, 60000, 8000, 0, 8000, 10000},
        {"hint beyond the cap", 1, 500, 1000, 8000, MOST, 8000, 10000},
        {"jitter beyond the hint", 8, 500, 60000, 1000, MOST, 60000, 60000},
        {"absurd hint", 1, 500, 60000, MOST, 1, MOST, MOST},
    };
    for (unsigned i = 0; i < N_ROWS(rows); i++) {
        uint64_t got =
            backoff_ms(rows[i].attempt, rows[i].base, rows[i].cap, rows[i].hint, rows[i].random);
        if (got < rows[i].least || got > rows[i].most)
            fail_msg("%s: %lu", rows[i].name, (unsigned long)got);
    }
}

static uint64_t next_random(uint64_t *seed)
{
    *seed += 0x9e3779b97f4a7c15u;
    uint64_t z = (*seed ^ (*seed >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Within bounds for any arguments, and spread over the whole window. */
static void test_property(void **state)
{
    (void)state;
    uint64_t seed = 1, base = 250, cap = 30000;
    for (unsigned attempt = 1; attempt <= 70; attempt++) {
        uint64_t window = attempt > 8 ? cap : base << (attempt - 1);
        if (window > cap)
            window = cap;
        double sum = 0, hinted = 0;
        enum { N = 4000, HINT = 4000 };
        for (int i = 0; i < N; i++) {
            uint64_t got = backoff_ms(attempt, base, cap, 0, next_random(&seed));
            assert_true(got <= window);
            sum += (double)got;
            got = backoff_ms(attempt, base, cap, HINT, next_random(&seed));
            assert_true(got >= HINT);
            assert_true(got <= (window > HINT * 5 / 4 ? window : HINT * 5 / 4));
            hinted += (double)got;
        }
        assert_true(sum / N > (double)window * 0.47 && sum / N < (double)window * 0.53);
        if (window <= HINT) /* the quarter is spread evenly, too */
            assert_true(hinted / N > HINT * 1.118 && hinted / N < HINT * 1.132);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows),
                                       cmocka_unit_test(test_property)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
