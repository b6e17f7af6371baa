/* SPDX-License-Identifier: Apache-2.0
 *
 * test_progress.c - rates, and lines on terminals and elsewhere.
 */
#include "kit.h"

#include "ctl/progress.h"

enum { MIB = 1 << 20 };

static void test_rates_settle(void **state)
{
    struct rate r;
    (void)state;
    rate_init(&r);
    rate_add(&r, 0, 1000);
    assert_true(r.per_s < 0);
    rate_add(&r, 50, 1050); /* too soon to tell */
    assert_true(r.per_s < 0);
    rate_add(&r, 1000, 2000);
    assert_true(r.per_s > 999 && r.per_s < 1001);
    for (int s = 3; s < 30; s++)
        rate_add(&r, 1000 + (uint64_t)(s - 2) * 5000, (uint64_t)s * 1000);
    assert_true(r.per_s > 4900 && r.per_s < 5001);
    rate_add(&r, 10, 31000); /* a part is sent again */
    assert_true(r.per_s > 4900);
    for (int s = 32; s < 90; s++)
        rate_add(&r, 10, (uint64_t)s * 1000);
    assert_true(r.per_s < 5);
}

static struct ocid_job put(const char *object)
{
    struct ocid_job job = ocid_job_of(OCID_KIND_PUT);
    job.bucket = "b";
    job.object = object;
    return job;
}

static struct ocid_status running(uint64_t id, const struct ocid_job *job, uint64_t done,
                                  uint64_t total)
{
    return (struct ocid_status){.id = id,
                                .state = OCID_STATE_RUNNING,
                                .job = job,
                                .bytes_done = done,
                                .bytes_total = total};
}

static void test_lines(void **state)
{
    struct progress p;
    char line[2048];
    struct ocid_job job = put("a\033.bin"), same = put("x"), longer = put(NULL);
    char name[120] = "";
    (void)state;
    progress_init(&p, NULL, true, 0);
    p.columns = 80;
    progress_begin(&p);
    struct ocid_status s = running(1, &job, MIB, 4 * MIB);
    progress_job(&p, &s, 1000);
    progress_format(&p, &p.lines[0], line, sizeof line);
    assert_non_null(strstr(line, "a\\x1b.bin "));
    assert_non_null(strstr(line, "1.00 MiB of  4.00 MiB  25%            -  ETA -"));
    s = running(1, &job, 2 * MIB, 4 * MIB);
    progress_job(&p, &s, 2000);
    progress_format(&p, &p.lines[0], line, sizeof line);
    assert_non_null(strstr(line, "2.00 MiB of  4.00 MiB  50%   1.00 MiB/s  ETA 3 s"));
    s = running(2, &same, 7, OCID_UNKNOWN);
    progress_job(&p, &s, 2000);
    progress_format(&p, &p.lines[1], line, sizeof line);
    assert_non_null(strstr(line, "  7 B            -"));
    assert_null(strstr(line, "ETA"));
    s.state = OCID_STATE_WAITING;
    s.why = OCID_WHY_LOCKED;
    progress_job(&p, &s, 2000);
    progress_format(&p, &p.lines[1], line, sizeof line);
    assert_non_null(strstr(line, "waiting: locked"));

    memset(name, 'n', 110);
    strcpy(name + 100, "the-end");
    longer.object = name;
    s = running(3, &longer, 1, 2);
    progress_job(&p, &s, 2000);
    progress_format(&p, &p.lines[2], line, sizeof line);
    assert_true(render_width(line) < 80);
    assert_non_null(strstr(line, "the-end"));
    assert_int_equal(strncmp(line, "...", 3), 0);
}

static void test_total(void **state)
{
    struct progress p;
    char line[2048];
    (void)state;
    progress_init(&p, NULL, true, 0);
    p.n_total = 120;
    p.n_done = 37;
    p.n_failed = 2;
    progress_totals(&p, MIB, 4 * MIB, 1000);
    progress_format_total(&p, line, sizeof line);
    assert_non_null(strstr(line, "37 of 120 done, 2 failed:"));
    assert_non_null(strstr(line, "25%"));
}

static void test_at_most_eight_lines(void **state)
{
    struct progress p;
    struct ocid_job job = put("o");
    int n = 0;
    (void)state;
    progress_init(&p, NULL, true, 0);
    progress_begin(&p);
    for (uint64_t id = 1; id <= 20; id++) {
        struct ocid_status s = running(id, &job, 0, 1);
        progress_job(&p, &s, 0);
    }
    for (int i = 0; i < PROGRESS_LINES; i++)
        n += p.lines[i].id == (uint64_t)i + 1;
    assert_int_equal(n, PROGRESS_LINES);
    progress_begin(&p); /* who is not heard of any more gives its line away */
    struct ocid_status s = running(30, &job, 0, 1);
    progress_job(&p, &s, 0);
    for (int i = n = 0; i < PROGRESS_LINES; i++)
        n += p.lines[i].id == 30;
    assert_int_equal(n, 1);
}

static char *drawn(struct progress *p, uint64_t now)
{
    static char text[8192];
    memset(text, 0, sizeof text);
    FILE *out = fmemopen(text, sizeof text - 1, "w");
    p->out = out;
    progress_draw(p, now);
    fclose(out);
    p->out = NULL;
    return text;
}

static void test_a_terminal_is_drawn_over(void **state)
{
    struct progress p;
    struct ocid_job job = put("o");
    (void)state;
    progress_init(&p, NULL, true, 1000);
    progress_begin(&p);
    struct ocid_status s = running(1, &job, 0, 10);
    progress_job(&p, &s, 1000);
    assert_string_equal(drawn(&p, 1100), ""); /* not yet */
    const char *text = drawn(&p, 1200);
    assert_null(strstr(text, "\033[1A"));
    assert_non_null(strstr(text, "o "));
    p.several = true;
    assert_string_equal(drawn(&p, 1300), "");
    assert_non_null(strstr(drawn(&p, 1400), "\033[1A"));
    assert_int_equal(p.n_drawn, 2);
}

static void test_elsewhere_a_line_in_ten_seconds(void **state)
{
    struct progress p;
    (void)state;
    progress_init(&p, NULL, false, 0);
    p.n_total = 3;
    assert_int_equal(progress_due(&p, 0), 10000);
    assert_string_equal(drawn(&p, 9999), "");
    const char *text = drawn(&p, 10000);
    assert_int_equal(strncmp(text, "10 s: 0 of 3 done:", 18), 0);
    assert_null(strchr(text, '\033'));
    assert_string_equal(drawn(&p, 19000), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates_settle),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_total),
        cmocka_unit_test(test_at_most_eight_lines),
        cmocka_unit_test(test_a_terminal_is_drawn_over),
        cmocka_unit_test(test_elsewhere_a_line_in_ten_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
