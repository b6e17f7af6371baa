/* SPDX-License-Identifier: Apache-2.0
 *
 * test_spec.c - what may be submitted: each kind with what it needs, without it, and with more.
 */
#include "jobs/spec.h"

#include "jobs/kit.h"
#include "ocid/error.h"

enum { B = 1, O = 2, S = 4, D = 8, F = 16, SPOOL = 32 };

static struct ocp_job job_of(int kind, unsigned with)
{
    struct ocp_job j = {0};
    OCP_SET(&j, job, kind, kind);
    if (with & B)
        OCP_SET(&j, job, bucket, ocp_str("bucket"));
    if (with & O)
        OCP_SET(&j, job, object, ocp_str("a/b"));
    if (with & S)
        OCP_SET(&j, job, source, ocp_str("/tmp/source"));
    if (with & D)
        OCP_SET(&j, job, dest, ocp_str("/tmp/dest"));
    if (with & F)
        OCP_SET(&j, job, fd, 0);
    if (with & SPOOL)
        OCP_SET(&j, job, spool, true);
    if (kind == OCP_ENUM_kind_abort)
        OCP_SET(&j, job, upload_id, ocp_str("id"));
    if (kind == OCP_ENUM_kind_share)
        OCP_SET(&j, job, expires_at, 4000000000000);
    if (kind == OCP_ENUM_kind_revoke)
        OCP_SET(&j, job, share_id, ocp_str("id"));
    return j;
}

static const struct {
    int kind;
    unsigned good[3]; /* sets of fields that do */
    unsigned durable; /* which of them has a row, a bit each */
} kinds[] = {
    {OCP_ENUM_kind_put, {B | O | S, B | O | F | SPOOL, B | O | S | F}, 7},
    {OCP_ENUM_kind_get, {B | O | D, B | O | F}, 1},
    {OCP_ENUM_kind_list, {B | D, B | F, B | O | F}, 1},
    {OCP_ENUM_kind_head, {B | O}, 0},
    {OCP_ENUM_kind_delete, {B | O}, 1},
    {OCP_ENUM_kind_mkbucket, {B}, 1},
    {OCP_ENUM_kind_buckets, {F}, 0},
    {OCP_ENUM_kind_whoami, {0}, 0},
    {OCP_ENUM_kind_namespace, {0}, 0},
    {OCP_ENUM_kind_set, {0}, 1},
    {OCP_ENUM_kind_pull, {B | D, B | O | D}, 3},
    {OCP_ENUM_kind_uploads, {B | F}, 0},
    {OCP_ENUM_kind_abort, {B | O}, 1},
    {OCP_ENUM_kind_share, {B | O}, 1},
    {OCP_ENUM_kind_shares, {B | F, B | O | F}, 0},
    {OCP_ENUM_kind_revoke, {B}, 1},
    {OCP_ENUM_kind_watch, {B | O}, 1},
};

static int is_good(unsigned row, unsigned with)
{
    for (unsigned i = 0; i < 3; i++)
        if (kinds[row].good[i] == with && (i == 0 || kinds[row].good[i]))
            return 1;
    /* a list into a file may have a prefix, too */
    return kinds[row].kind == OCP_ENUM_kind_list && with == (B | O | D);
}

/* All sets of fields there are. */
static void test_each_kind_takes_its_fields_and_no_others(void **state)
{
    struct oc_err err;
    (void)state;
    assert_int_equal(N_ROWS(kinds), OCP_ENUM_kind_COUNT);
    for (unsigned row = 0; row < N_ROWS(kinds); row++)
        for (unsigned with = 0; with <= (B | O | S | D | F); with++)
            for (unsigned spool = 0; spool <= SPOOL; spool += SPOOL) {
                if (spool && kinds[row].kind != OCP_ENUM_kind_put)
                    continue;
                struct ocp_job j = job_of(kinds[row].kind, with | spool);
                int rc = spec_check(&j, 1, &err);
                if ((rc == 0) != is_good(row, with | spool))
                    fail_msg("%s with 0x%x: %s", ocp_enum_name(&ocp_enum_kind, kinds[row].kind),
                             with | spool, rc ? err.text : "taken");
            }
}

static void test_which_have_a_row(void **state)
{
    (void)state;
    for (unsigned row = 0; row < N_ROWS(kinds); row++)
        for (unsigned i = 0; i < 3 && (!i || kinds[row].good[i]); i++) {
            struct ocp_job j = job_of(kinds[row].kind, kinds[row].good[i]);
            assert_int_equal(spec_durable(&j), kinds[row].durable >> i & 1);
        }
}

static void test_names_paths_and_options(void **state)
{
    static const struct {
        const char *name;
        int kind, code;
        unsigned with;
        const char *bucket, *object, *source, *dest, *delimiter, *if_match;
        int if_absent, fd;
        uint64_t set, offset, length;
    } rows[] = {
        {"fd beyond the message", OCP_ENUM_kind_buckets, OCID_E_INVALID, F, .fd = 1},
        {"bucket with a slash", OCP_ENUM_kind_head, OCID_E_NAME, B | O, .bucket = "a/b"},
        {"object with a line feed", OCP_ENUM_kind_head, OCID_E_NAME, B | O, .object = "a\nb"},
        {"relative source", OCP_ENUM_kind_put, OCID_E_INVALID, B | O | S, .source = "a"},
        {"source is a directory", OCP_ENUM_kind_put, OCID_E_INVALID, B | O | S, .source = "/a/"},
        {"relative dest", OCP_ENUM_kind_get, OCID_E_INVALID, B | O | D, .dest = "a"},
        {"a pull into a directory", OCP_ENUM_kind_pull, 0, B | D, .dest = "/a/"},
        {"delimiter", OCP_ENUM_kind_list, 0, B | D, .delimiter = "/"},
        {"another delimiter", OCP_ENUM_kind_list, OCID_E_INVALID, B | D, .delimiter = ":"},
        {"both conditions", OCP_ENUM_kind_put, OCID_E_INVALID, B | O | S, .if_match = "e",
         .if_absent = 1},
        {"one condition", OCP_ENUM_kind_put, 0, B | O | S, .if_absent = 1},
        {"a set in a set", OCP_ENUM_kind_set, OCID_E_INVALID, 0, .set = 1},
        {"a pull in a set", OCP_ENUM_kind_pull, OCID_E_INVALID, B | D, .set = 1},
        {"a put in a set", OCP_ENUM_kind_put, 0, B | O | S, .set = 1},
        {"a part into a pipe", OCP_ENUM_kind_get, 0, B | O | F, .offset = 1, .length = 2},
        {"the last part there can be", OCP_ENUM_kind_get, 0, B | O | F, .offset = UINT64_MAX - 2,
         .length = 2},
        {"a part beyond it", OCP_ENUM_kind_get, OCID_E_INVALID, B | O | F, .offset = UINT64_MAX - 1,
         .length = 2},
        {"a part into a file", OCP_ENUM_kind_get, OCID_E_INVALID, B | O | D, .offset = 1},
        {"a part of a put", OCP_ENUM_kind_put, OCID_E_INVALID, B | O | S, .length = 1},
    };
    (void)state;
    for (unsigned i = 0; i < N_ROWS(rows); i++) {
        struct ocp_job j = job_of(rows[i].kind, rows[i].with);
        struct oc_err err = {0};
        j.bucket = rows[i].bucket ? ocp_str(rows[i].bucket) : j.bucket;
        j.object = rows[i].object ? ocp_str(rows[i].object) : j.object;
        j.source = rows[i].source ? ocp_str(rows[i].source) : j.source;
        j.dest = rows[i].dest ? ocp_str(rows[i].dest) : j.dest;
        if (rows[i].delimiter)
            j.delimiter = ocp_str(rows[i].delimiter);
        if (rows[i].if_match)
            j.if_match = ocp_str(rows[i].if_match);
        j.if_absent = rows[i].if_absent;
        j.fd = (uint64_t)rows[i].fd;
        j.set = rows[i].set;
        j.offset = rows[i].offset;
        j.length = rows[i].length;
        int rc = spec_check(&j, 1, &err);
        if (rc != rows[i].code)
            fail_msg("%s: %d (%s)", rows[i].name, rc, err.text);
    }
}

static void test_a_nul_in_a_path(void **state)
{
    struct ocp_job j = job_of(OCP_ENUM_kind_put, B | O | S);
    struct oc_err err;
    (void)state;
    j.source = (struct ocp_str){"/a\0b", 4};
    assert_int_equal(spec_check(&j, 0, &err), OCID_E_INVALID);
}

static void test_an_upload_is_named_by_an_abort_only(void **state)
{
    struct ocp_job abort_it = job_of(OCP_ENUM_kind_abort, B | O);
    struct ocp_job head = job_of(OCP_ENUM_kind_head, B | O);
    struct oc_err err;
    (void)state;
    abort_it.upload_id = (struct ocp_str){0};
    assert_int_equal(spec_check(&abort_it, 0, &err), OCID_E_INVALID);
    head.upload_id = ocp_str("id");
    assert_int_equal(spec_check(&head, 0, &err), OCID_E_INVALID);
}

static void test_shares_say_what_they_open(void **state)
{
    static const struct {
        const char *name;
        unsigned with;
        int access, prefix, listing, expires, ok;
    } rows[] = {
        {"an object", B | O, OCP_ENUM_access_read_write, 0, 0, 1, 1},
        {"a prefix", B | O, OCP_ENUM_access_write, 1, 0, 1, 1},
        {"a bucket", B, OCP_ENUM_access_read, 1, 1, 1, 1},
        {"without an end", B | O, OCP_ENUM_access_read, 0, 0, 0, 0},
        {"without an object", B, OCP_ENUM_access_read, 0, 0, 1, 0},
        {"names of an object", B | O, OCP_ENUM_access_read, 0, 1, 1, 0},
        {"names of what is written", B | O, OCP_ENUM_access_write, 1, 1, 1, 0},
    };
    (void)state;
    for (unsigned i = 0; i < N_ROWS(rows); i++) {
        struct ocp_job j = job_of(OCP_ENUM_kind_share, rows[i].with);
        struct oc_err err = {0};
        OCP_SET(&j, job, access, rows[i].access);
        j.prefix = rows[i].prefix;
        j.listing = rows[i].listing;
        j.expires_at = rows[i].expires ? j.expires_at : 0;
        if ((spec_check(&j, 0, &err) == 0) != rows[i].ok)
            fail_msg("%s: %s", rows[i].name, err.text);
    }
    struct ocp_job head = job_of(OCP_ENUM_kind_head, B | O);
    struct oc_err err;
    head.prefix = true;
    assert_int_equal(spec_check(&head, 0, &err), OCID_E_INVALID);
    struct ocp_job revoke = job_of(OCP_ENUM_kind_revoke, B);
    revoke.share_id = (struct ocp_str){0};
    assert_int_equal(spec_check(&revoke, 0, &err), OCID_E_INVALID);
}

static void test_a_watch_waits_for_one_thing(void **state)
{
    struct ocp_job watch = job_of(OCP_ENUM_kind_watch, B | O);
    struct ocp_job head = job_of(OCP_ENUM_kind_head, B | O);
    struct oc_err err;
    (void)state;
    watch.if_none_match = ocp_str("etag");
    watch.every_ms = 1;
    assert_int_equal(spec_check(&watch, 0, &err), 0);
    watch.gone = true;
    assert_int_equal(spec_check(&watch, 0, &err), OCID_E_INVALID);
    head.gone = true;
    assert_int_equal(spec_check(&head, 0, &err), OCID_E_INVALID);
}

static void test_size(void **state)
{
    struct oc_err err;
    (void)state;
    assert_int_equal(spec_size_check(32 << 10, &err), 0);
    assert_int_equal(spec_size_check((32 << 10) + 1, &err), OCID_E_TOO_LARGE);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_takes_its_fields_and_no_others),
        cmocka_unit_test(test_which_have_a_row),
        cmocka_unit_test(test_names_paths_and_options),
        cmocka_unit_test(test_a_nul_in_a_path),
        cmocka_unit_test(test_an_upload_is_named_by_an_abort_only),
        cmocka_unit_test(test_shares_say_what_they_open),
        cmocka_unit_test(test_a_watch_waits_for_one_thing),
        cmocka_unit_test(test_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
