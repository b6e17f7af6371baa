/* SPDX-License-Identifier: Apache-2.0
 *
 * test_paths.c - the daemon's directories: where, 0700, nobody else's, not on a network.
 */
#include "core/unit.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config.h"
#include "core/fault.h"
#include "core/paths.h"
#include "proto/paths.h"

static char root[64], host[HOST_NAME_MAX + 1];

static char *in_root(const char *name)
{
    static char path[4][512];
    static unsigned i;
    i = (i + 1) % 4;
    snprintf(path[i], sizeof path[i], "%s/%s", root, name);
    return path[i];
}

static void remove_tree(const char *path)
{
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/ocid-paths-XXXXXX");
    if (!mkdtemp(root) || gethostname(host, sizeof host) < 0)
        return -1;
    setenv("HOME", in_root("home"), 1);
    setenv("XDG_RUNTIME_DIR", in_root("run"), 1);
    unsetenv("XDG_STATE_HOME");
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("TMPDIR");
    return mkdir(in_root("run"), 0700) || mkdir(in_root("home"), 0755);
}

static int remove_root(void **state)
{
    (void)state;
    remove_tree(root);
    return 0;
}

/* With these lines under [daemon]. */
static struct config *settings(const char *lines, const char *value)
{
    struct config *c = NULL;
    struct oc_err err;
    char text[600];
    snprintf(text, sizeof text, "[daemon]\n%s%s\n", lines, value);
    if (config_parse("test", text, strlen(text), &c, &err))
        fail_msg("%s", err.text);
    return c;
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static void test_defaults(void **state)
{
    (void)state;
    struct config *c = settings("", "");
    struct paths p;
    struct oc_err err;
    char want[600];
    assert_int_equal(paths_open(c, 0, &p, &err), 0);
    assert_string_equal(p.socket, in_root("run/ocid/ocid.sock"));
    snprintf(want, sizeof want, "%s/home/.local/state/ocid/%s", root, host);
    assert_string_equal(p.state_dir, want);
    assert_int_equal(mode_of(want), 0700);
    assert_int_equal(mode_of(in_root("home/.local")), 0700);
    assert_int_equal(mode_of(in_root("run/ocid")), 0700);
    paths_fini(&p);
    paths_fini(&p);
    assert_int_equal(paths_open(c, 0, &p, &err), 0); /* all there already */
    paths_fini(&p);
    config_unref(c);
}

static void test_variables(void **state)
{
    (void)state;
    struct config *c = settings("", "");
    struct paths p;
    struct oc_err err;
    char want[600], *conf = NULL;
    setenv("XDG_STATE_HOME", in_root("st"), 1);
    setenv("XDG_CONFIG_HOME", in_root("cf"), 1);
    assert_int_equal(paths_open(c, 0, &p, &err), 0);
    snprintf(want, sizeof want, "%s/st/ocid/%s", root, host);
    assert_string_equal(p.state_dir, want);
    paths_fini(&p);
    assert_int_equal(paths_config(0, &conf, &err), 0);
    assert_string_equal(conf, in_root("cf/ocid/ocid.conf"));
    free(conf);
    setenv("XDG_CONFIG_HOME", "relative", 1); /* to be ignored */
    assert_int_equal(paths_config(0, &conf, &err), 0);
    assert_string_equal(conf, in_root("home/.config/ocid/ocid.conf"));
    free(conf);
    assert_int_equal(paths_config(1, &conf, &err), 0);
    assert_string_equal(conf, "/etc/ocid/ocid.conf");
    free(conf);
    config_unref(c);
}

static void test_settings_win(void **state)
{
    (void)state;
    struct config *c = settings("socket = /x/y.sock\nstate_dir = ", "~/a/b");
    struct paths p;
    struct oc_err err;
    assert_int_equal(mkdir(in_root("home/a"), 0755), 0);
    assert_int_equal(mkdir(in_root("home/a/b"), 0755), 0);
    assert_int_equal(paths_open(c, 0, &p, &err), 0);
    assert_string_equal(p.socket, "/x/y.sock");
    assert_string_equal(p.state_dir, in_root("home/a/b"));
    assert_int_equal(mode_of(p.state_dir), 0700); /* closed to others */
    paths_fini(&p);
    config_unref(c);
}

static void test_a_socket_too_long_with_its_home(void **state)
{
    (void)state;
    static const char long_name[] = "~/0123456789012345678901234567890123456789"
                                    "0123456789012345678901234567890123456789.sock";
    struct config *c = settings("socket = ", long_name);
    struct paths p;
    struct oc_err err;
    assert_int_equal(paths_open(c, 0, &p, &err), OCID_E_CONFIG);
    assert_non_null(strstr(err.text, "shorter path"));
    config_unref(c);
}

static void test_what_cannot_be_a_state_dir(void **state)
{
    (void)state;
    struct config *c = settings("state_dir = ", in_root("s"));
    struct paths p;
    struct oc_err err;
    close(open(in_root("s"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(paths_open(c, 0, &p, &err), OCID_E_CONFIG);
    assert_non_null(strstr(err.text, "is not a directory"));
    unlink(in_root("s"));
    assert_int_equal(mkdir(in_root("t"), 0700), 0);
    assert_int_equal(symlink("t", in_root("s")), 0);
    assert_int_equal(paths_open(c, 0, &p, &err), OCID_E_CONFIG);
    unlink(in_root("s"));
    if (geteuid() == 0) {
        assert_int_equal(mkdir(in_root("s"), 0700), 0);
        assert_int_equal(chown(in_root("s"), 65534, 65534), 0);
        assert_int_equal(paths_open(c, 0, &p, &err), OCID_E_DENIED_PEER);
    }
    config_unref(c);
    close(open(in_root("file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    c = settings("state_dir = ", in_root("file/s"));
    assert_int_equal(paths_open(c, 0, &p, &err), OCID_E_CONFIG);
    assert_non_null(strstr(err.text, "cannot make the directory"));
    config_unref(c);
}

static void test_network_file_systems(void **state)
{
    (void)state;
    static const struct {
        unsigned long type;
        enum paths_fs want;
    } rows[] = {
        {0xef53, PATHS_FS_LOCAL},       {0x58465342, PATHS_FS_LOCAL},
        {0x9123683e, PATHS_FS_LOCAL},   {0x01021994, PATHS_FS_LOCAL},
        {0x794c7630, PATHS_FS_LOCAL},   {0x6969, PATHS_FS_NETWORK},
        {0xff534d42, PATHS_FS_NETWORK}, {0xffffffffff534d42, PATHS_FS_NETWORK},
        {0xfe534d42, PATHS_FS_NETWORK}, {0x0bd00bd0, PATHS_FS_NETWORK},
        {0x65735546, PATHS_FS_FUSE},
    };
    for (unsigned i = 0; i < N_ROWS(rows); i++)
        assert_int_equal(paths_fs_kind(rows[i].type), rows[i].want);
}

#ifdef OCID_FAULTS
static void test_a_network_home_gets_a_local_state_dir(void **state)
{
    (void)state;
    struct config *c = settings("", "");
    struct paths p;
    struct oc_err err;
    char want[600];
    fault_init("paths.network:1");
    log_init(LOG_L_ERROR, 0);
    assert_int_equal(paths_open(c, 0, &p, &err), 0);
    snprintf(want, sizeof want, "/var/tmp/ocid-%lu/%s", (unsigned long)geteuid(), host);
    assert_string_equal(p.state_dir, want);
    assert_int_equal(mode_of(want), 0700);
    paths_fini(&p);
    rmdir(want);

    fault_init("paths.network:1+");
    assert_int_equal(paths_open(c, 0, &p, &err), OCID_E_CONFIG);
    assert_non_null(strstr(err.text, "set state_dir in [daemon]"));
    config_unref(c);
    rmdir(want);
    *strrchr(want, '/') = 0;
    rmdir(want);

    /* what somebody has set is refused, not replaced */
    c = settings("state_dir = ", in_root("s"));
    fault_init("paths.network:1");
    assert_int_equal(paths_open(c, 0, &p, &err), OCID_E_CONFIG);
    assert_non_null(strstr(err.text, "lies on a network file system"));
    config_unref(c);
    fault_init(NULL);
}
#endif

static void test_expand(void **state)
{
    (void)state;
    char *path = NULL;
    struct oc_err err;
    assert_int_equal(paths_expand("~/x", &path, &err), 0);
    assert_string_equal(path, in_root("home/x"));
    free(path);
    assert_int_equal(paths_expand("/x", &path, &err), 0);
    assert_string_equal(path, "/x");
    free(path);
    unsetenv("HOME"); /* then the user's entry, if there is one */
    int rc = paths_expand("~/x", &path, &err);
    assert_true(rc == 0 || rc == OCID_E_CONFIG);
    if (!rc)
        free(path);
}

#define PATHS_TEST(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PATHS_TEST(test_defaults),
        PATHS_TEST(test_variables),
        PATHS_TEST(test_settings_win),
        PATHS_TEST(test_a_socket_too_long_with_its_home),
        PATHS_TEST(test_what_cannot_be_a_state_dir),
        PATHS_TEST(test_network_file_systems),
#ifdef OCID_FAULTS
        PATHS_TEST(test_a_network_home_gets_a_local_state_dir),
#endif
        PATHS_TEST(test_expand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
