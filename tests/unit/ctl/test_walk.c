/* SPDX-License-Identifier: Apache-2.0
 *
 * test_walk.c - trees with loops, odd names and special files.
 */
#include "kit.h"

#include <sys/stat.h>

#include "ctl/walk.h"

enum { SEEN = 64, TEXT = 400 };

struct seen {
    char files[SEEN][TEXT], skips[SEEN][TEXT];
    int n_files, n_skips, n_lost, stop_at;
    char dir[64];
};

static int on_file(void *user, const char *path, const char *below)
{
    struct seen *s = user;
    assert_int_equal(strncmp(path, s->dir, strlen(s->dir)), 0);
    assert_int_equal(access(path, R_OK), 0);
    assert_string_equal(path + strlen(s->dir) + 1, below);
    snprintf(s->files[s->n_files++], TEXT, "%s", below);
    return s->n_files == s->stop_at ? 77 : 0;
}

static void on_skip(void *user, const char *path, const char *why, bool lost)
{
    struct seen *s = user;
    snprintf(s->skips[s->n_skips++], TEXT, "%s: %s", path + strlen(s->dir), why);
    s->n_lost += lost;
}

static void put(const struct seen *s, const char *name)
{
    char path[TEXT];
    snprintf(path, sizeof path, "%s/%s", s->dir, name);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void put_dir(const struct seen *s, const char *name)
{
    char path[TEXT];
    snprintf(path, sizeof path, "%s/%s", s->dir, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void put_link(const struct seen *s, const char *to, const char *name)
{
    char path[TEXT];
    snprintf(path, sizeof path, "%s/%s", s->dir, name);
    assert_int_equal(symlink(to, path), 0);
}

static int setup(void **state)
{
    char path[TEXT];
    struct seen *s = calloc(1, sizeof *s);
    strcpy(s->dir, "/tmp/ocid-walk-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    put(s, "a.txt");
    put_dir(s, "sub");
    put(s, "sub/b.txt");
    put_dir(s, "sub/deep");
    put(s, "sub/deep/c.txt");
    put_dir(s, "empty");
    put(s, "bad\xff.bin");
    put(s, "line\nbreak");
    put(s, "é 漢.txt");
    put(s, ".hidden");
    snprintf(path, sizeof path, "%s/pipe", s->dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct seen *s = *state;
    kit_remove(s->dir);
    free(s);
    return 0;
}

static int run(struct seen *s, enum links links)
{
    struct walk w = {links, on_file, on_skip, s};
    return walk_run(&w, s->dir);
}

static bool file(const struct seen *s, const char *name)
{
    for (int i = 0; i < s->n_files; i++)
        if (!strcmp(s->files[i], name))
            return true;
    return false;
}

static bool skipped(const struct seen *s, const char *text)
{
    for (int i = 0; i < s->n_skips; i++)
        if (!strcmp(s->skips[i], text))
            return true;
    return false;
}

static void test_files_of_all_levels(void **state)
{
    struct seen *s = *state;
    assert_int_equal(run(s, LINKS_FOLLOW), 0);
    assert_int_equal(s->n_files, 7);
    assert_true(file(s, "a.txt") && file(s, "sub/b.txt") && file(s, "sub/deep/c.txt"));
    assert_true(file(s, ".hidden") && file(s, "bad\xff.bin") && file(s, "line\nbreak"));
    assert_int_equal(s->n_skips, 1);
    assert_true(skipped(s, "/pipe: skipped: a named pipe"));
    assert_int_equal(s->n_lost, 0);
}

static void make_links(struct seen *s)
{
    put_link(s, "..", "sub/up");
    put_link(s, ".", "sub/self");
    put_link(s, "../a.txt", "sub/to-file");
    put_link(s, "nowhere", "sub/dangling");
    put_link(s, "circle", "circle");
    put_link(s, "sub/deep", "short");
}

static void test_links_are_followed_and_loops_are_left(void **state)
{
    struct seen *s = *state;
    make_links(s);
    assert_int_equal(run(s, LINKS_FOLLOW), 0);
    assert_int_equal(s->n_files, 9);
    assert_true(file(s, "sub/to-file") && file(s, "short/c.txt"));
    assert_true(skipped(s, "/sub/up: skipped: it leads back to a directory that it is in"));
    assert_true(skipped(s, "/sub/self: skipped: it leads back to a directory that it is in"));
    assert_true(skipped(s, "/sub/dangling: skipped: the link leads nowhere"));
    assert_true(skipped(s, "/circle: skipped: the link leads to itself"));
    assert_int_equal(s->n_lost, 0);
}

static void test_links_are_skipped_on_request(void **state)
{
    struct seen *s = *state;
    make_links(s);
    assert_int_equal(run(s, LINKS_SKIP), 0);
    assert_int_equal(s->n_files, 7);
    assert_int_equal(s->n_skips, 1);
}

static void test_links_are_errors_on_request(void **state)
{
    struct seen *s = *state;
    make_links(s);
    assert_int_equal(run(s, LINKS_ERROR), 0);
    assert_int_equal(s->n_files, 7);
    assert_int_equal(s->n_lost, 6);
}

static void test_the_callback_ends_it(void **state)
{
    struct seen *s = *state;
    s->stop_at = 3;
    assert_int_equal(run(s, LINKS_FOLLOW), 77);
    assert_int_equal(s->n_files, 3);
}

static void test_what_cannot_be_read_is_lost(void **state)
{
    struct seen *s = *state;
    struct walk w = {LINKS_FOLLOW, on_file, on_skip, s};
    char gone[TEXT];
    snprintf(gone, sizeof gone, "%s/gone", s->dir);
    assert_int_equal(walk_run(&w, gone), 0);
    assert_int_equal(s->n_lost, 1);
    assert_true(skipped(s, "/gone: No such file or directory"));
}

static void test_a_path_that_is_too_long_is_said(void **state)
{
    struct seen *s = *state;
    char name[251];
    int at = open(s->dir, O_RDONLY | O_DIRECTORY);
    memset(name, 'd', 250);
    name[250] = 0;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(mkdirat(at, name, 0700), 0);
        int next = openat(at, name, O_RDONLY | O_DIRECTORY);
        close(at);
        at = next;
    }
    close(at);
    assert_int_equal(run(s, LINKS_FOLLOW), 0);
    assert_int_equal(s->n_files, 7);
    assert_int_equal(s->n_lost, 1);
}

static void test_names(void **state)
{
    static const struct {
        const char *prefix, *below, *want;
        int rc;
    } rows[] = {
        {"p/", "a/b.txt", "p/a/b.txt", 0},
        {"", "é 漢", "é 漢", 0},
        {"p/", "bad\xff.bin", "p/bad%FF.bin", 1},
        {"", "a\nb\rc", "a%0Ab%0Dc", 1},
        {"", "\xc3", "%C3", 1},
        {"", "100%", "100%", 0},
        {"", "tab\t", "tab\t", 0},
    };
    char out[64], tight[8];
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        row_check(rows[i].want,
                  walk_name(rows[i].prefix, rows[i].below, out, sizeof out) == rows[i].rc);
        row_text(rows[i].want, out, rows[i].want);
    }
    assert_int_equal(walk_name("", "1234567890", tight, sizeof tight), -1);
    assert_int_equal(walk_name("12345", "\xff\xff", tight, sizeof tight), -1);
}

#define in_tree(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_tree(test_files_of_all_levels),
        in_tree(test_links_are_followed_and_loops_are_left),
        in_tree(test_links_are_skipped_on_request),
        in_tree(test_links_are_errors_on_request),
        in_tree(test_the_callback_ends_it),
        in_tree(test_what_cannot_be_read_is_lost),
        in_tree(test_a_path_that_is_too_long_is_said),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
