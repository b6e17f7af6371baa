/* SPDX-License-Identifier: Apache-2.0
 *
 * test_mounts.c - lines of /proc/self/mountinfo, and which types may hang.
 */
#include "core/unit.h"

#include <string.h>
#include <sys/sysmacros.h>

#include "core/mounts.h"

static const struct {
    const char *line;
    unsigned major, minor;
    const char *point, *type; /* NULL: no line of the table */
    int slow;
} rows[] = {
    {"22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n", 0, 20, "/sys", "sysfs", 1},
    {"28 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n", 254, 0, "/", "ext4", 0},
    {"90 28 0:51 / /mnt/a\\040b\\134c rw shared:1 master:2 - nfs4 h:/x rw", 0, 51, "/mnt/a b\\c",
     "nfs4", 1},
    {"91 28 0:52 / /m rw - fuse.sshfs u@h: rw", 0, 52, "/m", "fuse.sshfs", 1},
    {"92 28 0:53 /a /m/- rw - tmpfs - rw", 0, 53, "/m/-", "tmpfs", 0},
    {"93 28 0:54 / /m rw", 0, 0, NULL, NULL, 0},
    {"", 0, 0, NULL, NULL, 0},
    {"nonsense - ext4 x", 0, 0, NULL, NULL, 0},
};

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char line[256];
        struct mount_line m;
        strcpy(line, rows[i].line);
        int rc = mounts_parse(line, &m);
        assert_int_equal(rc, rows[i].point ? 0 : -1);
        if (rc)
            continue;
        assert_true(m.dev == makedev(rows[i].major, rows[i].minor));
        assert_string_equal(m.point, rows[i].point);
        assert_string_equal(m.type, rows[i].type);
        assert_int_equal(mounts_type_is_slow(m.type), rows[i].slow);
    }
}

/* Of this machine: /proc is one of the kernel's own, which is not on the list of disks. */
static void test_the_longest_mount_counts(void **state)
{
    (void)state;
    dev_t proc = mounts_slow_of("/proc/self/x");
    assert_true(proc != 0);
    assert_true(mounts_slow_dev(proc) == proc);
    assert_true(mounts_slow_of("/proc") == proc);
    assert_true(mounts_slow_of("/procx") != proc);
    assert_true(mounts_slow_of("relative") == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_the_longest_mount_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
