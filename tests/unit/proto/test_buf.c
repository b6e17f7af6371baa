/* SPDX-License-Identifier: Apache-2.0
 *
 * test_buf.c - growth, ceilings, and what a failure leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ocid/error.h"
#include "proto/buf.h"

static void test_grows_up_to_its_ceiling(void **state)
{
    (void)state;
    struct oc_buf b;
    oc_buf_init(&b, 1000);
    assert_null(b.data);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(oc_buf_add(&b, &(char){(char)i}, 1), 0);
    assert_int_equal(b.len, 1000);
    assert_true(b.room <= 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(b.data[i], (char)i);
    assert_int_equal(oc_buf_add(&b, "", 0), 0);
    assert_int_equal(oc_buf_add(&b, "x", 1), OCID_E_TOO_LARGE);
    assert_int_equal(b.len, 1000);
    assert_int_equal(oc_buf_add(&b, "", 0), OCID_E_TOO_LARGE); /* until cleared */
    oc_buf_clear(&b);
    assert_int_equal(oc_buf_add(&b, "xy", 2), 0);
    oc_buf_fini(&b);
    assert_null(b.data);
    assert_int_equal(b.ceiling, 1000);
    assert_int_equal(oc_buf_add(&b, "xy", 2), 0); /* usable again */
    oc_buf_fini(&b);
    oc_buf_fini(NULL);
}

static void test_sizes_that_would_wrap(void **state)
{
    (void)state;
    struct oc_buf b;
    char *to;
    oc_buf_init(&b, 100);
    assert_int_equal(oc_buf_add(&b, "abc", 3), 0);
    assert_int_equal(oc_buf_reserve(&b, SIZE_MAX, &to), OCID_E_TOO_LARGE);
    oc_buf_clear(&b);
    assert_int_equal(oc_buf_reserve(&b, SIZE_MAX - 2, &to), OCID_E_TOO_LARGE);
    oc_buf_clear(&b);
    assert_int_equal(oc_buf_reserve(&b, 100, &to), 0);
    memset(to, 'x', 100);
    b.len = 100;
    oc_buf_fini(&b);
}

static void test_drop(void **state)
{
    (void)state;
    struct oc_buf b;
    oc_buf_init(&b, 100);
    oc_buf_drop(&b, 5);
    oc_buf_add(&b, "abcdef", 6);
    oc_buf_drop(&b, 0);
    assert_int_equal(b.len, 6);
    oc_buf_drop(&b, 2);
    assert_int_equal(b.len, 4);
    assert_memory_equal(b.data, "cdef", 4);
    oc_buf_drop(&b, 99);
    assert_int_equal(b.len, 0);
    oc_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_up_to_its_ceiling),
        cmocka_unit_test(test_sizes_that_would_wrap),
        cmocka_unit_test(test_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
