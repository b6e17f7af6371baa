/* SPDX-License-Identifier: Apache-2.0
 *
 * test_mime.c - media types by suffix.
 */
#include "kit.h"

#include "ctl/mime.h"

static const char table[] = "# a comment: text/wrong txt\n"
                            "\n"
                            "text/plain\t\t\t\tasc txt text\n"
                            "application/json json # map\n"
                            "application/nothing\n"
                            "image/jpeg jpeg jpg jpe\n"
                            "application/gzip gz";

static void test_suffixes(void **state)
{
    static const struct {
        const char *path, *want;
    } rows[] = {
        {"a.txt", "text/plain"},
        {"/x.y/a.TXT", "text/plain"},
        {"a.tar.gz", "application/gzip"},
        {"photo.JPG", "image/jpeg"},
        {"a.json", "application/json"},
        {"a.map", "application/octet-stream"},
        {"a.tx", "application/octet-stream"},
        {"a.t", "application/octet-stream"},
        {"txt", "application/octet-stream"},
        {".txt", "application/octet-stream"},
        {"a.", "application/octet-stream"},
        {"dir.txt/plain", "application/octet-stream"},
        {"", "application/octet-stream"},
        {"a.this-suffix-is-longer-than-any-other", "application/octet-stream"},
    };
    char path[] = "/tmp/ocid-mime-XXXXXX";
    int fd = mkstemp(path);
    (void)state;
    assert_int_equal(write(fd, table, sizeof table - 1), sizeof table - 1);
    close(fd);
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        const char *type = mime_type(path, rows[i].path);
        row_text(rows[i].path, type, rows[i].want);
    }
    unlink(path);
    assert_string_equal(mime_type(path, "a.txt"), "application/octet-stream");
}

static void test_the_system_s_table_is_remembered(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(mime_type(NULL, "a.html"), mime_type(NULL, "b.html"));
    for (int i = 0; i < 200; i++) { /* more than are remembered */
        char name[32];
        snprintf(name, sizeof name, "a.none%d", i);
        assert_string_equal(mime_type(NULL, name), "application/octet-stream");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suffixes),
        cmocka_unit_test(test_the_system_s_table_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
