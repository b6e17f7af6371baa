/* SPDX-License-Identifier: Apache-2.0
 *
 * test_words.c - sentences of errors, and paths.
 */
#include "kit.h"

#include <errno.h>

#include "ctl/ctl.h"

static const struct {
    const char *what, *text;
    int code, http;
    const char *want;
    int status;
} rows[] = {
    {"get 'logs/a.gz'", "object 'b/logs/a.gz': no such object", OCID_E_NOT_FOUND, 404,
     "ocictl: get 'logs/a.gz': no such object (404 ObjectNotFound, request 1F3C)\n", 4},
    {"get 'x'", "get 'x': it exists", OCID_E_EXISTS, 0, "ocictl: get 'x': it exists\n", 6},
    {NULL, "the queue is full", OCID_E_QUEUE_FULL, 0, "ocictl: the queue is full\n", 75},
    {"put 'a\033b'", "no\nway", OCID_E_DENIED, 0, "ocictl: put 'a\\x1bb': no\\x0away\n", 5},
    {"buckets", "object 'b/o': odd", OCID_E_SERVER, 0, "ocictl: buckets: object 'b/o': odd\n", 1},
};

static void test_errors_say_what_which_and_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct ocid_failure why = {.code = rows[i].code, .http_status = rows[i].http};
        struct kit_capture c;
        strcpy(why.text, rows[i].text);
        if (why.http_status) {
            strcpy(why.service_code, "ObjectNotFound");
            strcpy(why.request_id, "1F3C");
        }
        kit_capture(&c, STDERR_FILENO);
        int status = ctl_failed(rows[i].what, &why);
        row_text(rows[i].want, kit_release(&c), rows[i].want);
        row_check(rows[i].want, status == rows[i].status);
    }
}

static void test_detached_says_how_to_follow(void **state)
{
    static const uint64_t ids[] = {1, 2, 3, 4, 5};
    struct kit_capture c;
    (void)state;
    kit_capture(&c, STDERR_FILENO);
    assert_int_equal(ctl_detached(ids, 1), 130);
    assert_int_equal(ctl_detached(ids, 5), 130);
    assert_string_equal(kit_release(&c),
                        "ocictl: detached: job 1 goes on; follow with: ocictl wait 1\n"
                        "ocictl: detached: jobs 1 2 3 4 ... go on; follow with: ocictl wait 1 2 3 "
                        "4 ...\n");
}

static void test_absolute_paths(void **state)
{
    static const struct {
        const char *cwd, *path, *want;
    } paths[] = {
        {"/tmp", "a", "/tmp/a"},
        {"/tmp", "./a//b/", "/tmp/a/b"},
        {"/tmp", ".", "/tmp"},
        {"/tmp", "../x", "/tmp/../x"},
        {"/tmp", "/a/./b//c", "/a/b/c"},
        {"/", "a", "/a"},
        {"/", ".", "/"},
        {"/", "/", "/"},
        {"/tmp", "...", "/tmp/..."},
    };
    char was[4096];
    (void)state;
    assert_non_null(getcwd(was, sizeof was));
    for (size_t i = 0; i < N_ROWS(paths); i++) {
        assert_int_equal(chdir(paths[i].cwd), 0);
        char *got = ctl_absolute(paths[i].path);
        row_text(paths[i].path, got, paths[i].want);
        free(got);
    }
    assert_int_equal(chdir(was), 0);
    assert_string_equal(ctl_base("/a/b"), "b");
    assert_string_equal(ctl_base("b"), "b");
    assert_string_equal(ctl_base("/a/"), "");
}

static void test_directories_are_made(void **state)
{
    char dir[64] = "/tmp/ocid-words-XXXXXX", path[128];
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a/b/c", dir);
    assert_int_equal(ctl_make_dirs(path, 0700), 0);
    assert_int_equal(ctl_make_dirs(path, 0700), 0);
    assert_true(ctl_is_dir(path));
    snprintf(path, sizeof path, "%s/file", dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_false(ctl_is_dir(path));
    strcat(path, "/below");
    assert_int_equal(ctl_make_dirs(path, 0700), ENOTDIR);
    kit_remove(dir);
    strcpy(path, "/sys/ocid-words"); /* nobody may, and nothing is there: the first is why */
    int sys = ctl_make_dirs(path, 0700);
    assert_true(sys == EPERM || sys == EACCES || sys == EROFS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_say_what_which_and_why),
        cmocka_unit_test(test_detached_says_how_to_follow),
        cmocka_unit_test(test_absolute_paths),
        cmocka_unit_test(test_directories_are_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
