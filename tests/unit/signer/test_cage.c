/* SPDX-License-Identifier: Apache-2.0
 *
 * test_cage.c - what the signer can still do once it is shut in, each in a process of its own.
 */
#include "signer/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "signer/cage.h"

enum { SKIPPED = 77 };

static struct creds *read_creds(const struct fixture *f)
{
    char text[CREDS_TEXT_SIZE];
    struct oc_err err;
    struct creds_options o = {.config = f->config, .home = f->dir};
    struct creds *c = creds_new(&o);
    (void)creds_read(c, text, &err);
    return c;
}

/* Runs what in a child; 0 is fine, else a line number. */
static void in_child(void (*what)(const struct fixture *f), const struct fixture *f)
{
    int status;
    pid_t pid = fork();
    if (!pid) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        what(f);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIPPED)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define NEED(yes)                                                                                  \
    do {                                                                                           \
        if (!(yes)) {                                                                              \
            fprintf(stderr, "line %d: %s, errno %d\n", __LINE__, #yes, errno);                     \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void *nothing(void *arg)
{
    return arg;
}

static void without_calls(const struct fixture *f)
{
    int pair[2];
    pthread_t t;
    (void)f;
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    int rc = cage_calls();
    if (rc == ENOSYS || rc == EINVAL)
        _exit(SKIPPED);
    NEED(!rc);
    NEED(socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM);
    NEED(socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EPERM);
    NEED(execl("/bin/true", "true", (char *)NULL) < 0 && errno == EPERM);
    NEED(fork() < 0 && errno == EPERM);
    NEED(kill(getppid(), 0) < 0 && errno == EPERM);
    NEED(write(pair[0], "x", 1) == 1); /* what is open stays */
    NEED(!pthread_create(&t, NULL, nothing, NULL) && !pthread_join(t, NULL));
}

static void test_no_sockets_and_no_programs(void **state)
{
    in_child(without_calls, *state);
}

static int can_read(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int can_write(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void without_files(const struct fixture *f)
{
    char path[256], other[] = "/tmp/ocid-other-XXXXXX", outside[256];
    NEED(mkdtemp(other));
    snprintf(outside, sizeof outside, "%s/file", other);
    fixture_write(outside, "x", 1);
    snprintf(path, sizeof path, "%s/keys", f->dir);
    NEED(!mkdir(path, 0700));
    int rc = cage_files(read_creds(f));
    if (rc == ENOSYS || rc == EOPNOTSUPP) {
        unlink(outside);
        rmdir(other);
        _exit(SKIPPED);
    }
    NEED(!rc);
    NEED(can_read(f->config));
    NEED(can_read(TEST_KEY)); /* the configuration names it */
    NEED(can_read(outside));  /* the next one may lie there */
    NEED(!can_write(outside) && errno == EACCES);
    NEED(!can_write(TEST_KEY) && errno == EACCES);
    snprintf(path, sizeof path, "%s/token.new", f->dir);
    NEED(can_write(path)); /* a refreshed token, beside the configuration */
    snprintf(outside, sizeof outside, "%s/token", f->dir);
    NEED(!rename(path, outside));
}

static void test_other_files_cannot_be_written(void **state)
{
    const struct fixture *f = *state;
    char text[512];
    int n = snprintf(text, sizeof text,
                     "[DEFAULT]\nuser=" USER "\ntenancy=" TENANCY "\nfingerprint=" TEST_PRINT
                     "\nkey_file=" TEST_KEY "\nregion=us-phoenix-1\n");
    fixture_write(f->config, text, (size_t)n);
    in_child(without_files, f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_sockets_and_no_programs, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_other_files_cannot_be_written, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests_name("signer/cage", tests, NULL, NULL);
}
