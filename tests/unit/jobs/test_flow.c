/* SPDX-License-Identifier: Apache-2.0
 *
 * test_flow.c - how many requests a host is sent at a time, against made-up servers.
 */
#include "jobs/kit.h"

#include "jobs/flow.h"

enum { MOST = 256 };

/* A server that is base_us away and does rate requests a second; fills it for so many answers, with
 * the flow's limit in flight. signed_rate: so many can be signed a second. */
static void serve(struct flow *f, unsigned n, double base_us, double rate, double signed_rate,
                  uint64_t *now_ms)
{
    double us = 0;
    for (unsigned i = 0; i < n; i++) {
        double asked = f->limit * 1e6 / base_us; /* a second, were the server not the limit */
        double took = asked > rate ? f->limit * 1e6 / rate : base_us;
        double done = asked > rate ? rate : asked;
        struct flow_news news = {
            .ok = 1, .others_wait = done < signed_rate, .took_us = (uint32_t)took};
        flow_heard(f, &news, *now_ms + (uint64_t)(us / 1000), MOST);
        us += 1e6 / (done < signed_rate ? done : signed_rate);
    }
    *now_ms += (uint64_t)(us / 1000);
}

static void test_limits(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double base_us, rate, signed_rate;
        unsigned least, most;
    } rows[] = {
        {"near and slow: no more than it can do", 300, 5000, 8000, 8, 32},
        {"near, and signing is the limit", 300, 50000, 8000, 8, 24},
        {"20 ms away: rate x latency", 20000, 50000, 8000, 155, 170},
        {"80 ms away: as many as are allowed", 80000, 50000, 8000, MOST, MOST},
        {"20 ms away and slow", 20000, 1000, 8000, 16, 60},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct flow f;
        uint64_t now = 100000;
        flow_init(&f, MOST);
        serve(&f, 200000, rows[i].base_us, rows[i].rate, rows[i].signed_rate, &now);
        if (f.limit < rows[i].least || f.limit > rows[i].most)
            fail_msg("%s: %g in flight", rows[i].name, f.limit);
    }
}

static void test_it_is_there_within_some_rounds(void **state)
{
    (void)state;
    struct flow f;
    uint64_t now = 100000;
    flow_init(&f, MOST);
    serve(&f, 500, 20000, 50000, 8000, &now);
    assert_true(f.limit > 150);
    assert_true(now < 100000 + 10 * 20);
}

static void test_throttled_answers_halve_it_once_a_second(void **state)
{
    (void)state;
    struct flow f;
    struct flow_news slow_down = {.throttled = 1}, fine = {.ok = 1, .others_wait = 1};
    flow_init(&f, MOST);
    f.limit = 64;
    assert_int_equal(flow_heard(&f, &slow_down, 5000, MOST), 1);
    assert_int_equal(f.limit, 32);
    assert_int_equal(flow_heard(&f, &slow_down, 5900, MOST), 0);
    assert_int_equal(f.limit, 32);
    for (int i = 0; i < 40; i++)
        flow_heard(&f, &fine, 6000, MOST);
    assert_in_range((int)f.limit, 33, 34); /* back by one a round */
    for (uint64_t now = 10000; now < 40000; now += 2000)
        flow_heard(&f, &slow_down, now, MOST);
    assert_int_equal(f.limit, 1);
}

static void test_other_failures_change_nothing(void **state)
{
    (void)state;
    struct flow f;
    struct flow_news lost = {.others_wait = 1, .took_us = 3};
    flow_init(&f, MOST);
    double was = f.limit;
    assert_int_equal(flow_heard(&f, &lost, 5000, MOST), 0);
    assert_true(f.limit == was && !f.typical_us);
}

static void test_a_smaller_limit_of_the_configuration_holds_at_once(void **state)
{
    (void)state;
    struct flow f;
    struct flow_news fine = {.ok = 1};
    flow_init(&f, 4);
    assert_int_equal(f.limit, 4);
    f.limit = 100;
    flow_heard(&f, &fine, 5000, 10);
    assert_int_equal(f.limit, 10);
}

/* Sends whenever it may, for so long; every request fails. How many that were. */
static unsigned fail_for(struct flow *f, uint64_t *now_ms, uint64_t for_ms, uint64_t hint_ms)
{
    struct flow_news down = {.failed = 1, .throttled = 1, .retry_after_ms = hint_ms};
    unsigned n = 0;
    for (uint64_t end = *now_ms + for_ms; *now_ms < end; (*now_ms)++)
        if (flow_may_send(f, *now_ms, *now_ms * 0x9e3779b97f4a7c15u)) {
            flow_heard(f, &down, *now_ms, MOST);
            n++;
        }
    return n;
}

static void test_an_outage_costs_the_budget_and_some_looks(void **state)
{
    struct flow f;
    uint64_t now = 100000;
    (void)state;
    flow_init(&f, MOST);
    assert_false(flow_is_shut(&f));
    unsigned n = fail_for(&f, &now, 60000, 0);
    assert_true(flow_is_shut(&f));
    if (n < 100 + 12 || n > 100 + 30)
        fail_msg("%u requests in a minute", n);
    assert_true(fail_for(&f, &now, 3600000, 0) < 1500);
}

static void test_a_host_that_says_when_is_left_alone_until_then(void **state)
{
    struct flow f;
    uint64_t now = 100000;
    (void)state;
    flow_init(&f, MOST);
    fail_for(&f, &now, 1000, 0);
    fail_for(&f, &now, 5000, 30000); /* one look hears of it */
    assert_true(fail_for(&f, &now, 24000, 30000) <= 1);
}

static void test_an_answer_opens_it_and_few_failures_do_not_shut_it(void **state)
{
    struct flow f;
    uint64_t now = 100000;
    struct flow_news fine = {.ok = 1}, down = {.failed = 1};
    (void)state;
    flow_init(&f, MOST);
    fail_for(&f, &now, 10000, 0);
    assert_true(flow_is_shut(&f));
    flow_heard(&f, &fine, now, MOST);
    assert_false(flow_is_shut(&f));
    for (unsigned i = 0; i < 10000; i++) { /* one in seven */
        flow_heard(&f, i % 7 ? &fine : &down, now, MOST);
        assert_false(flow_is_shut(&f));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_it_is_there_within_some_rounds),
        cmocka_unit_test(test_throttled_answers_halve_it_once_a_second),
        cmocka_unit_test(test_other_failures_change_nothing),
        cmocka_unit_test(test_a_smaller_limit_of_the_configuration_holds_at_once),
        cmocka_unit_test(test_an_outage_costs_the_budget_and_some_looks),
        cmocka_unit_test(test_a_host_that_says_when_is_left_alone_until_then),
        cmocka_unit_test(test_an_answer_opens_it_and_few_failures_do_not_shut_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
