/* SPDX-License-Identifier: Apache-2.0
 *
 * test_frame.c - prefixes, envelopes, and frames that come in pieces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "walk.h"

#define N(rows) (sizeof(rows) / sizeof *(rows))

static void test_prefix(void **state)
{
    (void)state;
    static const struct {
        const char *name, *bytes;
        size_t n;
        int want;
        size_t ret_want;
    } rows[] = {
        {"nothing", "", 0, 0, 0},
        {"half a prefix", "\0\0\0", 3, 0, 0},
        {"prefix alone", "\0\0\0\2", 4, 0, 6},
        {"one byte short", "\0\0\0\2x", 5, 0, 6},
        {"whole", "\0\0\0\2xy", 6, 1, 6},
        {"more behind", "\0\0\0\2xyz", 7, 1, 6},
        {"empty", "\0\0\0\0", 4, 1, 4},
        {"largest", "\0\x10\0\0", 4, 0, OCP_MAX_FRAME + 4},
        {"one over", "\0\x10\0\1", 4, OCID_E_TOO_LARGE, 0},
        {"2 GiB", "\x80\0\0\0", 4, OCID_E_TOO_LARGE, 0},
        {"4 GiB", "\xff\xff\xff\xff", 4, OCID_E_TOO_LARGE, 0},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct ocp_str payload = {0};
        size_t used = 0, want = 99;
        struct oc_err err = {0};
        int rc = ocp_frame_next(rows[i].bytes, rows[i].n, &payload, &used, &want, &err);
        if (rc != rows[i].want || want != rows[i].ret_want)
            fail_msg("%s: %d, %zu", rows[i].name, rc, want);
        assert_int_equal(used, rc == 1 ? rows[i].ret_want : 0);
        assert_int_equal(payload.n, rc == 1 ? rows[i].ret_want - 4 : 0);
    }
}

static void test_bad_envelopes(void **state)
{
    (void)state;
    static const struct {
        const char *name, *bytes;
        size_t n;
    } rows[] = {
        {"empty", "", 0},
        {"nil", "\xc0", 1},
        {"map", "\x80", 1},
        {"three", "\x93\0\1\xa1x", 5},
        {"five", "\x95\0\1\xa1x\x80\x80", 7},
        {"array 16", "\xdc\0\4\0\1\xa1x\x80", 8},
        {"notification", "\x94\2\1\xa1x\x80", 6},
        {"negative shape", "\x94\xff\1\xa1x\x80", 6},
        {"shape is a str", "\x94\xa1x\1\xa1x\x80", 7},
        {"negative id", "\x94\0\xff\xa1x\x80", 6},
        {"id is a float", "\x94\0\xca\0\0\0\0\xa1x\x80", 10},
        {"id is nil", "\x94\0\xc0\xa1x\x80", 6},
        {"method is an integer", "\x94\0\1\1\x80", 5},
        {"method is bin", "\x94\0\1\xc4\1x\x80", 7},
        {"params are an array", "\x94\0\1\xa1x\x90", 6},
        {"params are nil", "\x94\0\1\xa1x\xc0", 6},
        {"result is an array", "\x94\1\1\xc0\x90", 5},
        {"error is a str", "\x94\1\1\xa1x\xc0", 6},
        {"bytes behind", "\x94\0\1\xa1x\x80\xc0", 7},
        {"cut", "\x94\0\1\xa1x", 5},
        {"2 GiB method", "\x94\0\1\xdb\x7f\xff\xff\xff", 8},
        {"reserved", "\x94\0\1\xa1x\x81\xc1\xc0", 8},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct ocp_envelope env;
        struct oc_err err = {0};
        char *exact = malloc(rows[i].n + 1);
        memcpy(exact, rows[i].bytes, rows[i].n);
        exact = realloc(exact, rows[i].n ? rows[i].n : 1);
        int rc = ocp_envelope_read((struct ocp_str){exact, (uint32_t)rows[i].n}, &env, &err);
        if (rc != OCID_E_PROTOCOL || !err.text[0])
            fail_msg("%s: %d %s", rows[i].name, rc, err.text);
        free(exact);
    }
}

static const uint64_t ids[] = {0, 1, 127, 128, 65535, 4294967296u, UINT64_MAX};

static void read_back(struct oc_buf *b, size_t start, struct ocp_envelope *env)
{
    struct ocp_str payload;
    size_t used, want;
    struct oc_err err = {0};
    assert_int_equal(ocp_frame_next(b->data + start, b->len - start, &payload, &used, &want, &err),
                     1);
    assert_int_equal(used, b->len - start);
    if (ocp_envelope_read(payload, env, &err))
        fail_msg("%s", err.text);
}

static void test_requests_and_replies(void **state)
{
    (void)state;
    for (int m = 0; m < OCP_METHOD_COUNT; m++)
        for (size_t i = 0; i < N(ids); i++) {
            struct walk w = {0};
            struct ocp_envelope env;
            struct oc_buf b, again;
            char in[4096];
            oc_buf_init(&b, 1 << 20);
            oc_buf_init(&again, 1 << 20);
            oc_buf_add(&b, "before", 6);
            walk_fill(&w, ocp_method(m)->request, WALK_ALL, in);
            assert_int_equal(ocp_frame_request(&b, ids[i], m, in), 0);
            read_back(&b, 6, &env);
            assert_int_equal(env.shape, OCP_REQUEST);
            assert_true(env.id == ids[i]);
            assert_true(ocp_str_is(env.method, ocp_method(m)->name));
            assert_int_equal(env.body.count, 1);
            assert_int_equal(
                walk_again(&w, ocp_method(m)->request, env.body.p, env.body.n, &again, NULL), 0);
            assert_memory_equal(again.data, env.body.p, env.body.n);

            oc_buf_clear(&b);
            oc_buf_clear(&again);
            walk_fill(&w, ocp_method(m)->reply, WALK_ALL, in);
            assert_int_equal(ocp_frame_reply(&b, ids[i], m, in), 0);
            read_back(&b, 0, &env);
            assert_int_equal(env.shape, OCP_REPLY);
            assert_false(env.is_error);
            assert_true(env.id == ids[i]);
            assert_int_equal(
                walk_again(&w, ocp_method(m)->reply, env.body.p, env.body.n, &again, NULL), 0);
            oc_buf_fini(&b);
            oc_buf_fini(&again);
            walk_fini(&w);
        }
}

static void test_errors(void **state)
{
    (void)state;
    struct oc_err err, back;
    struct ocp_envelope env;
    struct ocp_error e;
    struct oc_buf b;
    oc_buf_init(&b, 4096);
    oc_fail(&err, OCID_E_QUEUE_FULL, 0, "no room");
    assert_int_equal(ocp_frame_error(&b, 5, &err, 3), 0);
    read_back(&b, 0, &env);
    assert_true(env.is_error);
    assert_int_equal(env.id, 5);
    assert_int_equal(ocp_unpack(&ocp_desc_error, env.body.p, env.body.n, &e, NULL), 0);
    assert_int_equal(e.index, 3);
    ocp_error_to(&e, &back);
    assert_int_equal(back.code, OCID_E_QUEUE_FULL);
    oc_buf_fini(&b);
}

static void test_rows_in_a_pipe(void **state)
{
    (void)state;
    struct ocp_row row = {0}, back;
    struct ocp_str payload;
    struct oc_buf b;
    size_t used, want, at = 0;
    oc_buf_init(&b, 4096);
    OCP_SET(&row, row, name, ocp_str("a/b"));
    for (uint64_t i = 0; i < 3; i++) {
        OCP_SET(&row, row, size, i);
        assert_int_equal(ocp_frame_message(&b, &ocp_desc_row, &row), 0);
    }
    for (uint64_t i = 0; i < 3; i++, at += used) {
        assert_int_equal(ocp_frame_next(b.data + at, b.len - at, &payload, &used, &want, NULL), 1);
        assert_int_equal(ocp_unpack(&ocp_desc_row, payload.p, payload.n, &back, NULL), 0);
        assert_int_equal(back.size, i);
    }
    assert_int_equal(at, b.len);
    oc_buf_fini(&b);
}

/* What does not fit leaves nothing behind: an earlier frame in the buffer can still be sent. */
static void test_too_large(void **state)
{
    (void)state;
    struct walk w = {0};
    struct ocp_submit s = {0};
    struct oc_buf b, jobs;
    oc_buf_init(&jobs, 4 << 20);
    oc_buf_init(&b, 4 << 20);
    char *text = walk_text(&w, "x", "y", OCP_MAX_FRAME);
    oc_buf_add(&jobs, text, OCP_MAX_FRAME);
    OCP_SET(&s, submit, jobs, ocp_span(&jobs, 1));
    oc_buf_add(&b, "before", 6);
    assert_int_equal(ocp_frame_request(&b, 1, OCP_METHOD_job_submit, &s), OCID_E_TOO_LARGE);
    assert_int_equal(b.len, 6);
    assert_int_equal(b.failed, OCID_E_TOO_LARGE);
    assert_int_equal(ocp_frame_message(&b, &ocp_desc_submit, &s), OCID_E_TOO_LARGE);
    b.failed = 0;
    struct ocp_none none = {0};
    assert_int_equal(ocp_frame_reply(&b, 1, OCP_METHOD_daemon_reload, &none), 0);

    size_t full = b.len; /* a ceiling reached in the middle of a frame */
    b.ceiling = full + 9;
    assert_int_equal(ocp_frame_request(&b, 1, OCP_METHOD_daemon_stats, &none), OCID_E_TOO_LARGE);
    assert_int_equal(b.len, full);
    oc_buf_fini(&b);
    oc_buf_fini(&jobs);
    walk_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_bad_envelopes),
        cmocka_unit_test(test_requests_and_replies),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_rows_in_a_pipe),
        cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
