/* SPDX-License-Identifier: Apache-2.0
 *
 * test_spool.c - standard input in memory and on disk.
 */
#include "kit.h"

#include <pthread.h>
#include <sys/stat.h>

#include "ctl/spool.h"

enum { MEMORY = 100000 };

struct source {
    int fd;
    size_t n;
};

static void *feed(void *arg)
{
    struct source *s = arg;
    for (size_t i = 0; i < s->n; i++) {
        char c = (char)(i * 7 + i / 251);
        if (write(s->fd, &c, 1) != 1)
            break;
    }
    close(s->fd);
    return NULL;
}

static void spool(size_t n, bool memory)
{
    int fds[2], fd;
    uint64_t bytes;
    char why[256], *got = malloc(n + 1);
    struct stat st;
    pthread_t thread;
    assert_int_equal(pipe(fds), 0);
    struct source s = {fds[1], n};
    pthread_create(&thread, NULL, feed, &s);
    assert_int_equal(spool_read(fds[0], MEMORY, &fd, &bytes, why, sizeof why), 0);
    pthread_join(thread, NULL);
    assert_int_equal(bytes, n);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    assert_int_equal(st.st_size, n);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_true((fcntl(fd, F_GET_SEALS) >= 0) == memory || !memory);
    assert_int_equal(st.st_nlink, 0);
    assert_int_equal(read(fd, got, n + 1), n);
    for (size_t i = 0; i < n; i++)
        if (got[i] != (char)(i * 7 + i / 251))
            fail_msg("byte %zu of %zu differs", i, n);
    close(fds[0]);
    close(fd);
    free(got);
}

static void test_sizes(void **state)
{
    (void)state;
    spool(0, true);
    spool(1, true);
    spool(MEMORY, true);
    spool(MEMORY + 1, false);
    spool(3 * MEMORY, false);
}

static void test_no_place(void **state)
{
    int fd = open("/dev/zero", O_RDONLY), out;
    uint64_t bytes;
    char why[256];
    (void)state;
    setenv("TMPDIR", "/nonexistent/place", 1);
    assert_int_equal(spool_read(fd, 1000, &out, &bytes, why, sizeof why), -1);
    assert_non_null(strstr(why, "cannot make a file in /nonexistent/place"));
    unsetenv("TMPDIR");
    close(fd);
}

static void test_a_source_that_fails(void **state)
{
    int dir = open("/tmp", O_RDONLY | O_DIRECTORY), out;
    uint64_t bytes;
    char why[256];
    (void)state;
    assert_int_equal(spool_read(dir, 1000, &out, &bytes, why, sizeof why), -1);
    assert_non_null(strstr(why, "cannot read standard input"));
    close(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_no_place),
        cmocka_unit_test(test_a_source_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
