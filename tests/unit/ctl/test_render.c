/* SPDX-License-Identifier: Apache-2.0
 *
 * test_render.c - numbers, times, names and jobs as people see them.
 */
#include "kit.h"

#include <time.h>

#include "ctl/render.h"

static void test_sizes(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *want;
    } rows[] = {
        {0, "0 B"},
        {999, "999 B"},
        {1000, "0.98 KiB"},
        {1024, "1.00 KiB"},
        {10234, "9.99 KiB"},
        {10240, "10.0 KiB"},
        {102400, "100 KiB"},
        {1023 << 10, "1.00 MiB"},
        {1536 << 10, "1.50 MiB"},
        {10ull << 30, "10.0 GiB"},
        {10ull << 40, "10.0 TiB"},
        {UINT64_MAX - 1, "16.0 EiB"},
        {OCID_UNKNOWN, "-"},
    };
    char out[RENDER_NUMBER];
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++)
        row_text(rows[i].want, render_size(rows[i].bytes, out), rows[i].want);
    assert_string_equal(render_rate(0, out), "0 B/s");
    assert_string_equal(render_rate(12.5 * 1048576, out), "12.5 MiB/s");
    assert_string_equal(render_rate(-1, out), "0 B/s");
}

static void test_spans_and_what_is_left(void **state)
{
    static const struct {
        uint64_t ms;
        const char *want;
    } rows[] = {
        {0, "0 ms"},
        {999, "999 ms"},
        {1000, "1 s"},
        {59999, "59 s"},
        {60000, "1:00"},
        {65000, "1:05"},
        {3600000, "1:00:00"},
        {7384000, "2:03:04"},
        {86400000, "1 d 00 h"},
        {363600000, "4 d 05 h"},
    };
    static const struct {
        const char *want;
        uint64_t done, total;
        double rate;
    } etas[] = {
        {"-", 0, 100, -1},        {"-", 0, OCID_UNKNOWN, 50}, {"-", 0, 100, 0},
        {"3 s", 0, 100, 50},      {"1 s", 99, 100, 50},       {"1:41", 0, 1000, 10},
        {"-", 0, 1ull << 60, 10}, {"-", 200, 100, 10},
    };
    char out[RENDER_NUMBER];
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++)
        row_text(rows[i].want, render_span(rows[i].ms, out), rows[i].want);
    for (size_t i = 0; i < N_ROWS(etas); i++)
        row_text(etas[i].want, render_eta(etas[i].done, etas[i].total, etas[i].rate, out),
                 etas[i].want);
}

static void test_moments_and_percents(void **state)
{
    char out[RENDER_NUMBER];
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    assert_string_equal(render_time(1714564803000, out), "2024-05-01 12:00:03");
    assert_string_equal(render_time(0, out), "-");
    assert_string_equal(render_percent(0, 10, out), "0%");
    assert_string_equal(render_percent(999, 1000, out), "99%");
    assert_string_equal(render_percent(10, 10, out), "100%");
    assert_string_equal(render_percent(0, 0, out), "100%");
    assert_string_equal(render_percent(5, OCID_UNKNOWN, out), "-");
}

static void test_names_cannot_move_the_cursor(void **state)
{
    static const struct {
        const char *name, *want;
    } rows[] = {
        {"plain", "plain"},   {"\033[2J", "\\x1b[2J"},    {"a\nb\tc\rd", "a\\x0ab\\x09c\\x0dd"},
        {"\x7f", "\\x7f"},    {"\xc2\x9b", "\\xc2\\x9b"}, {"\xff", "\\xff"},
        {"漢字 é", "漢字 é"},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++)
        row_text(rows[i].want, render_name(rows[i].name), rows[i].want);
    assert_string_equal(render_name(NULL), "");
}

static void test_widths(void **state)
{
    (void)state;
    assert_int_equal(render_width("abc"), 3);
    assert_int_equal(render_width("é"), 1);
    assert_int_equal(render_width("e\xcc\x81"), 1);
    assert_int_equal(render_width("漢字"), 4);
    assert_int_equal(render_fit("abc", 2), 2);
    assert_int_equal(render_fit("漢字", 3), 3);
    assert_int_equal(render_fit("abc", 9), 3);
}

static struct ocid_job job_of(enum ocid_kind kind)
{
    struct ocid_job job = ocid_job_of(kind);
    job.bucket = "b";
    job.object = "logs/\033a.gz";
    job.source = "/home/x\n";
    job.dest = "/tmp/d";
    return job;
}

static void test_what_a_job_is(void **state)
{
    static const struct {
        enum ocid_kind kind;
        const char *want, *subject;
    } rows[] = {
        {OCID_KIND_PUT, "put /home/x\\x0a to oci://b/logs/\\x1ba.gz", "put 'logs/\033a.gz'"},
        {OCID_KIND_GET, "get oci://b/logs/\\x1ba.gz to /tmp/d", "get 'logs/\033a.gz'"},
        {OCID_KIND_PULL, "pull oci://b/logs/\\x1ba.gz to /tmp/d", "pull 'logs/\033a.gz'"},
        {OCID_KIND_LIST, "list oci://b/logs/\\x1ba.gz to /tmp/d", "list 'logs/\033a.gz'"},
        {OCID_KIND_HEAD, "head oci://b/logs/\\x1ba.gz", "head 'logs/\033a.gz'"},
        {OCID_KIND_DELETE, "delete oci://b/logs/\\x1ba.gz", "delete 'logs/\033a.gz'"},
        {OCID_KIND_MKBUCKET, "mkbucket b", "mkbucket 'logs/\033a.gz'"},
        {OCID_KIND_SET, "set", "set 'logs/\033a.gz'"},
    };
    char out[9000];
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct ocid_job job = job_of(rows[i].kind);
        row_text(rows[i].want, render_what(&job, out, sizeof out), rows[i].want);
        row_text(rows[i].want, render_subject(&job, 1, out, sizeof out), rows[i].subject);
    }
    assert_string_equal(render_subject(NULL, 12, out, sizeof out), "job 12");
    struct ocid_job job = job_of(OCID_KIND_PUT);
    job.name_space = "ns";
    job.label = "nightly\n";
    job.spool = true;
    assert_string_equal(render_what(&job, out, sizeof out),
                        "put (standard input) to oci://b@ns/logs/\\x1ba.gz (nightly\\x0a)");
}

static void test_every_reason_to_wait_has_words(void **state)
{
    char out[512], words[OCID_WHY_OBJECT + 1][512], state_text[64];
    struct ocid_job job = job_of(OCID_KIND_PUT);
    struct ocid_status s = {.state = OCID_STATE_WAITING, .job = &job};
    (void)state;
    for (int why = OCID_WHY_RETRY; why <= OCID_WHY_OBJECT; why++) {
        s.why = (enum ocid_why)why;
        const char *text = render_why(&s, 1000, out, sizeof out);
        row_check(ocid_why_name(why), text && *text);
        snprintf(words[why], sizeof words[why], "%s", text);
        for (int other = OCID_WHY_RETRY; other < why; other++)
            row_check(ocid_why_name(why), strcmp(words[why], words[other]) != 0);
    }
    s.why = OCID_WHY_RETRY;
    s.retry_at = 5000;
    assert_string_equal(render_why(&s, 1000, out, sizeof out),
                        "a try has failed; the next one is in 4 s");
    assert_string_equal(render_state(&s, state_text, sizeof state_text), "waiting: retry");
    s.why = OCID_WHY_NETWORK;
    assert_string_equal(render_why(&s, 1000, out, sizeof out),
                        "the service cannot be reached; the next try is in 4 s");
    s.why = OCID_WHY_LOCKED;
    job.profile = "P";
    assert_string_equal(render_why(&s, 1000, out, sizeof out),
                        "the key is locked: ocictl unlock --profile P");
    s.state = OCID_STATE_RUNNING;
    assert_null(render_why(&s, 1000, out, sizeof out));
}

static void test_one_in_full_tells_all(void **state)
{
    struct ocid_job job = job_of(OCID_KIND_PUT);
    struct ocid_pair pair = {"color", "r\033ed"};
    struct ocid_outcome o = {
        .error = OCID_E_NOT_FOUND,
        .error_name = "not_found",
        .text = "no such bucket",
        .http_status = 404,
        .service_code = "BucketNotFound",
        .request_id = "1F3C",
        .bytes = OCID_UNKNOWN,
    };
    struct ocid_status s = {
        .id = 12,
        .state = OCID_STATE_FAILED,
        .created_at = 1714564803000,
        .tries = 3,
        .bytes_total = 2048,
        .parts_done = 2,
        .parts_total = 5,
        .job = &job,
        .outcome = &o,
    };
    struct kit_capture c;
    (void)state;
    job.metadata = &pair;
    job.n_metadata = 1;
    kit_capture(&c, STDOUT_FILENO);
    render_job(&s, 0, false);
    const char *text = kit_release(&c);
    static const char *const want[] = {
        "id                   12\n",
        "state                failed\n",
        "from                 /home/x\\x0a\n",
        "to                   oci://b/logs/\\x1ba.gz\n",
        "metadata color       r\\x1bed\n",
        "bytes                2048 (2.00 KiB)\n",
        "parts                2 of 5\n",
        "repeated requests    3\n",
        "created              2024-05-01 12:00:03\n",
        "error                not_found: no such bucket\n",
        "answer               404 BucketNotFound\n",
        "request              1F3C\n",
    };
    for (size_t i = 0; i < N_ROWS(want); i++)
        if (!strstr(text, want[i]))
            fail_msg("'%s' is not in:\n%s", want[i], text);
    assert_null(strchr(text, '\033'));
}

static void test_a_set_is_one_line(void **state)
{
    struct ocid_job job = ocid_job_of(OCID_KIND_SET);
    struct ocid_status s = {.id = 9,
                            .state = OCID_STATE_WAITING,
                            .why = OCID_WHY_MEMBERS,
                            .n_total = 120,
                            .n_done = 37,
                            .n_failed = 2,
                            .bytes_total = 1000,
                            .bytes_done = 500,
                            .job = &job};
    struct kit_capture c;
    (void)state;
    job.label = "push x";
    kit_capture(&c, STDOUT_FILENO);
    render_line(&s, false);
    assert_string_equal(kit_release(&c),
                        "       9  waiting: members          37/120     50%  -                    "
                        "set (push x), 2 failed, not complete\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_spans_and_what_is_left),
        cmocka_unit_test(test_moments_and_percents),
        cmocka_unit_test(test_names_cannot_move_the_cursor),
        cmocka_unit_test(test_widths),
        cmocka_unit_test(test_what_a_job_is),
        cmocka_unit_test(test_every_reason_to_wait_has_words),
        cmocka_unit_test(test_one_in_full_tells_all),
        cmocka_unit_test(test_a_set_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
