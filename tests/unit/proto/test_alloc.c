/* SPDX-License-Identifier: Apache-2.0
 *
 * test_alloc.c - each allocation of proto/ fails in its turn: an error, no crash, nothing lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "failing.h"
#include "ocid/error.h"
#include "proto/frame.h"
#include "walk.h"

/* A frame after another one. The first must stay what it was. */
static int make_frames(int method, const void *in, struct oc_buf *b, size_t *ret_first)
{
    struct ocp_none none = {0};
    int rc = ocp_frame_request(b, 1, OCP_METHOD_daemon_stats, &none);
    *ret_first = b->len;
    return rc ? rc : ocp_frame_request(b, 2, method, in);
}

static void test_every_allocation_of_a_frame(void **state)
{
    (void)state;
    struct walk w = {0};
    char in[4096];
    for (int m = 0; m < OCP_METHOD_COUNT; m++) {
        walk_fill(&w, ocp_method(m)->request, WALK_ALL, in);
        for (long nth = 1;; nth++) {
            struct oc_buf b;
            size_t first = 0;
            oc_buf_init(&b, 1 << 20);
            failing_begin(nth);
            int rc = make_frames(m, in, &b, &first);
            int failed = failing_end();
            assert_int_equal(rc, failed ? OCID_E_NOMEM : 0);
            assert_int_equal(b.failed, rc);
            if (failed)
                assert_int_equal(b.len, first);
            oc_buf_fini(&b);
            if (!failed)
                break;
        }
    }
    walk_fini(&w);
}

/* Reading allocates nothing at all, whatever the bytes claim. */
static void test_reading_allocates_nothing(void **state)
{
    (void)state;
    for (const struct ocp_desc *const *d = ocp_messages; *d; d++) {
        struct walk w = {0};
        struct oc_buf b;
        char in[4096];
        size_t len;
        oc_buf_init(&b, 1 << 20);
        walk_fill(&w, *d, WALK_ALL, in);
        ocp_pack(*d, in, &b);
        failing_begin(1);
        int rc = ocp_check(b.data, b.len, &len, NULL) || ocp_unpack(*d, b.data, b.len, in, NULL);
        rc |= ocp_check("\xdd\x7f\xff\xff\xff", 5, &len, NULL) != OCID_E_PROTOCOL;
        assert_int_equal(failing_end(), 0);
        assert_int_equal(rc, 0);
        oc_buf_fini(&b);
        walk_fini(&w);
    }
}

static void test_a_buffer_keeps_what_it_had(void **state)
{
    (void)state;
    struct oc_buf b;
    char big[1000] = {0};
    oc_buf_init(&b, 1 << 20);
    assert_int_equal(oc_buf_add(&b, "abc", 3), 0);
    failing_begin(1);
    assert_int_equal(oc_buf_add(&b, big, sizeof big), OCID_E_NOMEM);
    assert_int_equal(failing_end(), 1);
    assert_int_equal(oc_buf_add(&b, "d", 1), OCID_E_NOMEM); /* until cleared */
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.data, "abc", 3);
    b.failed = 0;
    assert_int_equal(oc_buf_add(&b, big, sizeof big), 0);
    assert_int_equal(b.len, 1003);
    oc_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation_of_a_frame),
        cmocka_unit_test(test_reading_allocates_nothing),
        cmocka_unit_test(test_a_buffer_keeps_what_it_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
