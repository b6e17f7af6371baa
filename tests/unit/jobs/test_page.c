/* SPDX-License-Identifier: Apache-2.0
 *
 * test_page.c - what becomes of a page of a listing: the paths of a pull's members, rows, the end.
 */
#include "jobs/page.h"

#include "jobs/kit.h"
#include "proto/codec.h"
#include "proto/frame.h"

static struct page *page_of(enum page_to to, const char *objects, const char *prefixes)
{
    struct page *p = OC_NEW(struct page);
    char body[8192];
    int n = snprintf(body, sizeof body, "{\"objects\":[%s],\"prefixes\":[%s]}", objects, prefixes);
    p->to = to;
    p->kind = to == PAGE_TO_MEMBERS ? OCP_ENUM_kind_pull : OCP_ENUM_kind_list;
    p->body = oc_strndup(body, (size_t)n);
    p->n = (size_t)n;
    p->left = UINT64_MAX;
    oc_buf_init(&p->rows, 1 << 20);
    return p;
}

/* What "a/" below "/dest" makes of one name. */
static void member_of(const char *name, struct ocp_job *ret, struct page **ret_page)
{
    char object[4096];
    struct oc_err err;
    snprintf(object, sizeof object, "{\"name\":\"%s\",\"size\":1}", name);
    struct page *p = *ret_page = page_of(PAGE_TO_MEMBERS, object, "");
    p->dest = oc_strdup("/dest");
    p->prefix = oc_strdup("a/");
    page_take_apart(&p->work);
    if (p->err.code || p->n_rows != 1)
        fail_msg("%s: error %d, %u members", name, p->err.code, p->n_rows);
    assert_int_equal(ocp_unpack(&ocp_desc_job, p->rows.data, p->rows.len, ret, &err), 0);
    assert_int_equal(ret->kind, OCP_ENUM_kind_get);
}

static void test_a_member_is_a_file_below_the_destination(void **state)
{
    static const char *const rows[][2] = {
        {"a/b", "/dest/b"},
        {"a/b/c", "/dest/b/c"},
        {"a/..b/c..", "/dest/..b/c.."},
        {"a/\xc3\xa4", "/dest/\xc3\xa4"},
    };
    (void)state;
    for (unsigned i = 0; i < N_ROWS(rows); i++) {
        struct ocp_job job;
        struct page *p;
        member_of(rows[i][0], &job, &p);
        if (!ocp_str_is(job.dest, rows[i][1]) || !ocp_str_is(job.object, rows[i][0]))
            fail_msg("%s goes to '%.*s'", rows[i][0], (int)job.dest.n, job.dest.p);
        page_free(p);
    }
}

/* It is made all the same: the job says why there is no file. */
static void test_a_name_that_can_be_no_file_says_why(void **state)
{
    static const char *const rows[][2] = {
        {"b/c", "it does not begin with the prefix asked for"},
        {"a/", "nothing is left of it behind the prefix"},
        {"a///b", "it begins with '/'"},
        {"a/b/", "it ends in '/': a directory marker"},
        {"a/b//c", "it has an empty component"},
        {"a/../b", "it has a component '.' or '..'"},
        {"a/b/..", "it has a component '.' or '..'"},
        {"a/.", "it has a component '.' or '..'"},
        {"a/b\\nc", "it has control bytes"},
    };
    (void)state;
    for (unsigned i = 0; i < N_ROWS(rows); i++) {
        struct ocp_job job;
        struct page *p;
        member_of(rows[i][0], &job, &p);
        if (job.dest.n || !ocp_str_is(job.label, rows[i][1]))
            fail_msg("%s: '%.*s', '%.*s'", rows[i][0], (int)job.dest.n, job.dest.p,
                     (int)job.label.n, job.label.p);
        page_free(p);
    }
    char component[300] = "a/";
    memset(component + 2, 'x', 256);
    struct ocp_job job;
    struct page *p;
    member_of(component, &job, &p);
    assert_true(ocp_str_is(job.label, "a component is longer than 255 bytes"));
    page_free(p);
}

static void test_markers_of_directories_are_no_members(void **state)
{
    (void)state;
    struct page *p = page_of(PAGE_TO_MEMBERS, "{\"name\":\"a/b/\",\"size\":0}", "");
    p->dest = oc_strdup("/dest");
    p->prefix = oc_strdup("a/");
    page_take_apart(&p->work);
    assert_int_equal(p->err.code, 0);
    assert_int_equal(p->n_rows, 0);
    page_free(p);
}

/* A prefix whose objects go over two pages comes with both. */
static void test_a_prefix_is_said_once(void **state)
{
    (void)state;
    struct page *p = page_of(PAGE_TO_PIPE, "", "\"x/\",\"y/\"");
    snprintf(p->last_prefix, sizeof p->last_prefix, "x/");
    page_take_apart(&p->work);
    assert_int_equal(p->n_rows, 1);
    assert_string_equal(p->last_prefix, "y/");
    page_free(p);
}

static void test_a_limit_ends_the_list(void **state)
{
    static const struct {
        uint64_t left;
        uint32_t rows;
        int ends;
    } rows[] = {{UINT64_MAX, 2, 0}, {3, 2, 0}, {2, 2, 1}, {1, 1, 1}};
    (void)state;
    for (unsigned i = 0; i < N_ROWS(rows); i++) {
        struct page *p = OC_NEW(struct page);
        p->to = PAGE_TO_PIPE;
        p->kind = OCP_ENUM_kind_list;
        p->body = oc_strdup("{\"objects\":[{\"name\":\"a\"},{\"name\":\"b\"}],"
                            "\"nextStartWith\":\"c\"}");
        p->n = strlen(p->body);
        p->left = rows[i].left;
        oc_buf_init(&p->rows, 1 << 20);
        page_take_apart(&p->work);
        assert_int_equal(p->err.code, 0);
        assert_int_equal(p->n_rows, rows[i].rows);
        if (rows[i].ends)
            assert_null(p->next);
        else
            assert_string_equal(p->next, "c");
        page_free(p);
    }
}

static void test_what_is_no_list_is_the_servers_error(void **state)
{
    (void)state;
    struct page *p = page_of(PAGE_TO_PIPE, "{\"name\":", "");
    page_take_apart(&p->work);
    assert_int_equal(p->err.code, OCID_E_SERVER);
    assert_null(p->next);
    page_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_member_is_a_file_below_the_destination),
        cmocka_unit_test(test_a_name_that_can_be_no_file_says_why),
        cmocka_unit_test(test_markers_of_directories_are_no_members),
        cmocka_unit_test(test_a_prefix_is_said_once),
        cmocka_unit_test(test_a_limit_ends_the_list),
        cmocka_unit_test(test_what_is_no_list_is_the_servers_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
