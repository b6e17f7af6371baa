/* SPDX-License-Identifier: Apache-2.0
 *
 * test_share.c - the names of links, and what the service's words for them mean.
 */
#include "jobs/share.h"

#include "jobs/kit.h"
#include "ocid/error.h"

static const char uuid[] = "00112233-4455-4677-8899-aabbccddeeff";

static void test_a_link_belongs_to_the_job_it_is_named_after(void **state)
{
    char name[SHARE_NAME_SIZE];
    (void)state;
    assert_string_equal(share_name(uuid, 7, name), "ocid-00112233-4455-4677-8899-aabbccddeeff-7");
    assert_int_equal(share_owner(uuid, name), 7);
    share_name(uuid, UINT64_MAX, name);
    assert_true(share_owner(uuid, name) == UINT64_MAX);
    assert_int_equal(share_owner("another", name), 0);
}

static void test_names_that_are_nobodys(void **state)
{
    static const char *const names[] = {
        "",       "-",
        "7",      "for Ann",
        "ocid-7", "ocid-00112233-4455-4677-8899-aabbccddeeff-",
        "-7",     "ocid-00112233-4455-4677-8899-aabbccddeeff-07",
        "ocid--", "ocid-00112233-4455-4677-8899-aabbccddeeff-7 ",
    };
    (void)state;
    for (unsigned i = 0; i < N_ROWS(names); i++)
        if (share_owner(uuid, names[i]))
            fail_msg("'%s' is taken for ours", names[i]);
}

static void test_access(void **state)
{
    static const struct {
        const char *type, *ours;
        int prefix;
    } rows[] = {
        {"ObjectRead", "read", 0},
        {"ObjectWrite", "write", 0},
        {"ObjectReadWrite", "read_write", 0},
        {"AnyObjectRead", "read", 1},
        {"AnyObjectWrite", "write", 1},
        {"AnyObjectReadWrite", "read_write", 1},
        {"Something", "Something", 0},
    };
    (void)state;
    for (unsigned i = 0; i < N_ROWS(rows); i++) {
        int prefix;
        assert_string_equal(share_access(rows[i].type, &prefix), rows[i].ours);
        assert_int_equal(prefix, rows[i].prefix);
    }
}

static void test_gone(void **state)
{
    struct run_request q = {0};
    (void)state;
    assert_false(share_gone(&q));
    q.x.err.code = OCID_E_NOT_FOUND;
    assert_true(share_gone(&q));
    q.x.kind = OCI_KIND_NO_BUCKET;
    assert_false(share_gone(&q));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_link_belongs_to_the_job_it_is_named_after),
        cmocka_unit_test(test_names_that_are_nobodys),
        cmocka_unit_test(test_access),
        cmocka_unit_test(test_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
