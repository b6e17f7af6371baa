/* SPDX-License-Identifier: Apache-2.0
 *
 * test_err.c - the table of errors, and what a person gets to read.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/err.h"

static const struct {
    int code;
    const char *name;
    int retry, status;
    const char *text;
} all[] = {
#define ROW(number, name, retry, status, text)                                                     \
    {OCID_E_##name, #name, OC_RETRY_##retry, status, text},
    OCID_ERRORS(ROW)
#undef ROW
};

enum { N_ALL = sizeof all / sizeof *all };

static void test_table(void **state)
{
    (void)state;
    for (int i = 0; i < N_ALL; i++) {
        const char *name = oc_err_name(all[i].code);
        assert_int_equal(strcasecmp(name, all[i].name), 0);
        assert_null(strpbrk(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
        assert_int_equal(oc_err_by_name(name, strlen(name)), all[i].code);
        assert_int_equal(oc_err_by_name(name, strlen(name) - 1), OCID_E_INTERNAL);
        assert_string_equal(oc_err_text(all[i].code), all[i].text);
        assert_int_equal(oc_err_retry(all[i].code), all[i].retry);
        assert_int_equal(oc_err_exit(all[i].code), all[i].status);
        assert_true(all[i].code < 0);
        assert_true(strlen(name) <= 32); /* the bound of error.code */
        for (int j = 0; j < i; j++)
            assert_int_not_equal(all[i].code, all[j].code);
    }
}

static void test_what_mends_is_apart_from_what_is_wrong(void **state)
{
    (void)state;
    assert_string_equal(oc_err_mend(OCID_E_NO_DAEMON), "ocictl start");
    assert_non_null(strstr(oc_err_mend(OCID_E_DENIED_PEER), "systemctl"));
    assert_null(oc_err_mend(OCID_E_INTERNAL));
    assert_null(oc_err_mend(0));
    for (int i = 0; i < N_ALL; i++)
        assert_true(!oc_err_mend(all[i].code) || !strstr(all[i].text, oc_err_mend(all[i].code)));
}

static void test_what_is_not_in_the_table(void **state)
{
    (void)state;
    assert_string_equal(oc_err_name(-9999), "internal");
    assert_string_equal(oc_err_name(0), "ok");
    assert_int_equal(oc_err_by_name("ok", 2), OCID_OK);
    assert_int_equal(oc_err_by_name("tomorrow", 8), OCID_E_INTERNAL);
    assert_int_equal(oc_err_by_name("", 0), OCID_E_INTERNAL);
    assert_int_equal(oc_err_exit(0), 0);
    assert_int_equal(oc_err_exit(-9999), 1);
    assert_int_equal(oc_err_retry(12345), OC_RETRY_NEVER);
    assert_string_equal(oc_err_text(0), "no error");
}

static void test_fill_and_wrap(void **state)
{
    (void)state;
    struct oc_err err;
    char long_name[1000];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    memset(&err, 0xff, sizeof err);
    assert_int_equal(oc_fail(&err, OCID_E_IO, ENOENT, "cannot read '%s'", "f"), OCID_E_IO);
    assert_string_equal(err.text, "cannot read 'f': No such file or directory");
    assert_int_equal(err.sys, ENOENT);
    assert_int_equal(err.http_status, 0);
    assert_string_equal(err.request_id, "");
    assert_int_equal(oc_wrap(&err, "job %d", 7), OCID_E_IO);
    assert_string_equal(err.text, "job 7: cannot read 'f': No such file or directory");
    assert_int_equal(oc_fail(&err, OCID_E_IO, EIO, "%s", long_name), OCID_E_IO);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    oc_wrap(&err, "%s", long_name);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_int_equal(oc_fail(&err, OCID_E_IO, 99999, "odd"), OCID_E_IO); /* no such errno */
    assert_int_equal(strncmp(err.text, "odd", 3), 0);
    assert_int_equal(oc_fail(NULL, OCID_E_NAME, 0, "nobody listens"), OCID_E_NAME);
    assert_int_equal(oc_wrap(NULL, "nobody listens"), OCID_E_INTERNAL);
    oc_err_clear(&err);
    assert_int_equal(err.code, 0);
}

static void test_print(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int http;
        const char *service, *request, *want;
    } rows[] = {
        {"get 'a': no such object", 404, "ObjectNotFound", "1F3C",
         "get 'a': no such object (404 ObjectNotFound, request 1F3C)"},
        {"get 'a': no", 503, "", "", "get 'a': no (503)"},
        {"get 'a': no", 503, "", "1F", "get 'a': no (503, request 1F)"},
        {"get 'a': no", 0, "", "", "get 'a': no"},
        {"", 0, "", "", "no such object, bucket or job"},
        {"bell \a and \x1b[2J", 0, "", "", "bell \\x07 and \\x1b[2J"},
        {"bad \xff utf", 400, "\x1b", "", "bad \\xff utf (400 \\x1b)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct oc_err err = {.code = OCID_E_NOT_FOUND, .http_status = rows[i].http};
        char out[512], little[10];
        strcpy(err.text, rows[i].text);
        strcpy(err.service_code, rows[i].service);
        strcpy(err.request_id, rows[i].request);
        assert_ptr_equal(oc_err_print(&err, out, sizeof out), out);
        assert_string_equal(out, rows[i].want);
        oc_err_print(&err, little, sizeof little);
        assert_true(strlen(little) < sizeof little);
        assert_int_equal(strncmp(little, out, strlen(little)), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_what_mends_is_apart_from_what_is_wrong),
        cmocka_unit_test(test_what_is_not_in_the_table),
        cmocka_unit_test(test_fill_and_wrap),
        cmocka_unit_test(test_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
