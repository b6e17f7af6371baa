/* SPDX-License-Identifier: Apache-2.0
 *
 * test_paths.c - where the socket is, and whose directory is not trusted with it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/paths.h"

static char root[32], path[OCP_SOCKET_MAX], want[256];

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/ocid-sock-XXXXXX");
    unsetenv("XDG_RUNTIME_DIR");
    unsetenv("TMPDIR");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

/* Whether this machine has a runtime directory of ours whatever the environment says. */
static int has_run_user(void)
{
    struct stat st;
    snprintf(want, sizeof want, "/run/user/%lu", (unsigned long)geteuid());
    return stat(want, &st) == 0 && st.st_uid == geteuid();
}

static void test_runtime_dir(void **state)
{
    (void)state;
    struct oc_err err;
    setenv("XDG_RUNTIME_DIR", root, 1);
    snprintf(want, sizeof want, "%s/ocid/ocid.sock", root);
    assert_int_equal(ocp_socket_path(path, sizeof path, &err), 0);
    assert_string_equal(path, want);
    *strrchr(want, '/') = 0;
    assert_int_equal(access(want, F_OK), -1); /* nothing was made */
    assert_int_equal(ocp_socket_make(path, sizeof path, &err), 0);
    assert_int_equal(access(want, F_OK), 0);
    assert_int_equal(ocp_dir_check(want, &err), 0);
    assert_int_equal(ocp_socket_path(path, sizeof path, &err), 0);
    assert_int_equal(ocp_socket_path(path, strlen(path), &err), OCID_E_TOO_LARGE);
}

static void test_temporary_dir(void **state)
{
    (void)state;
    struct oc_err err;
    if (has_run_user())
        skip();
    setenv("TMPDIR", root, 1);
    setenv("XDG_RUNTIME_DIR", "/nowhere", 1); /* not there: passed over */
    snprintf(want, sizeof want, "%s/ocid-%lu/ocid.sock", root, (unsigned long)geteuid());
    assert_int_equal(ocp_socket_make(path, sizeof path, &err), 0);
    assert_string_equal(path, want);
    assert_int_equal(chmod(root, 0777), 0); /* anybody could move our directory away */
    assert_int_equal(ocp_socket_path(path, sizeof path, &err), 0);
    assert_int_equal(strncmp(path, "/tmp/ocid-", 10), 0);
    assert_string_not_equal(path, want);
    assert_int_equal(chmod(root, 01777), 0);
    assert_int_equal(ocp_socket_path(path, sizeof path, &err), 0);
    assert_string_equal(path, want);
}

static void test_others_may_write(void **state)
{
    (void)state;
    struct oc_err err;
    struct stat st;
    setenv("XDG_RUNTIME_DIR", root, 1);
    snprintf(want, sizeof want, "%s/ocid", root);
    assert_int_equal(mkdir(want, 0700), 0);
    assert_int_equal(chmod(want, 0770), 0);
    assert_int_equal(ocp_socket_path(path, sizeof path, &err), OCID_E_CONFIG);
    assert_int_equal(ocp_socket_make(path, sizeof path, &err), 0); /* ours: closed to them */
    assert_int_equal(stat(want, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(chmod(want, 0755), 0); /* a manager's way; they may only look */
    assert_int_equal(ocp_socket_path(path, sizeof path, &err), 0);

    rmdir(want);
    assert_int_equal(symlink("/tmp", want), 0);
    assert_int_equal(ocp_socket_path(path, sizeof path, &err), OCID_E_CONFIG);
    assert_int_equal(ocp_socket_make(path, sizeof path, &err), OCID_E_CONFIG);
    assert_int_equal(unlink(want), 0);
}

static void test_somebody_elses(void **state)
{
    (void)state;
    struct oc_err err;
    if (geteuid() != 0)
        skip(); /* nobody else's directory can be made */
    setenv("XDG_RUNTIME_DIR", root, 1);
    snprintf(want, sizeof want, "%s/ocid", root);
    assert_int_equal(mkdir(want, 0700), 0);
    assert_int_equal(chown(want, 65534, 65534), 0);
    assert_int_equal(ocp_socket_path(path, sizeof path, &err), OCID_E_DENIED_PEER);
    assert_int_equal(ocp_socket_make(path, sizeof path, &err), OCID_E_DENIED_PEER);
    assert_int_equal(chown(root, 65534, 65534), 0); /* as su leaves the variable */
    snprintf(want, sizeof want, "%s/", root);
    assert_int_equal(ocp_socket_path(path, sizeof path, &err), 0);
    assert_int_not_equal(strncmp(path, want, strlen(want)), 0);
}

#define PATHS_TEST(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PATHS_TEST(test_runtime_dir),
        PATHS_TEST(test_temporary_dir),
        PATHS_TEST(test_others_may_write),
        PATHS_TEST(test_somebody_elses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
