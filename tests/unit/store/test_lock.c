/* SPDX-License-Identifier: Apache-2.0
 *
 * test_lock.c - one holder at a time, and what is left of one that died.
 */
#include <signal.h>
#include <sys/wait.h>

#include "store/lock.h"
#include "tests/unit/store/kit.h"

static void one_holder_at_a_time(void **state)
{
    struct kit *k = *state;
    struct oc_err err;
    int fd, other, unclean;
    assert_int_equal(lock_open(k->dir, &fd, &unclean, &err), 0);
    assert_int_equal(unclean, 0);
    assert_int_equal(lock_open(k->dir, &other, &unclean, &err), OCID_E_STATE);
    lock_close(fd, 1);
    assert_int_equal(lock_open(k->dir, &fd, &unclean, &err), 0);
    assert_int_equal(unclean, 0);
    lock_close(fd, 0);
    assert_int_equal(lock_open(k->dir, &fd, &unclean, &err), 0);
    assert_int_equal(unclean, 1);
    lock_close(fd, 1);
    lock_close(-1, 1);
}

static void a_holder_that_is_killed_lets_go(void **state)
{
    struct kit *k = *state;
    struct oc_err err;
    int ends[2], fd, unclean;
    char c;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (!child) {
        if (lock_open(k->dir, &fd, &unclean, NULL) < 0 || write(ends[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ends[0], &c, 1), 1);
    assert_int_equal(lock_open(k->dir, &fd, &unclean, &err), OCID_E_STATE);
    char pid[32];
    snprintf(pid, sizeof pid, "pid %ld", (long)child);
    assert_non_null(strstr(err.text, pid));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(lock_open(k->dir, &fd, &unclean, &err), 0);
    assert_int_equal(unclean, 1);
    lock_close(fd, 1);
    close(ends[0]);
    close(ends[1]);
}

static void a_directory_that_cannot_be_used(void **state)
{
    (void)state;
    struct oc_err err;
    int fd, unclean;
    assert_int_equal(lock_open("/nonexistent", &fd, &unclean, &err), OCID_E_IO);
    assert_non_null(strstr(err.text, "'/nonexistent/lock'"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_holder_that_is_killed_lets_go),
        T(one_holder_at_a_time),
        T(a_directory_that_cannot_be_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
