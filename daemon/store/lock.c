/* SPDX-License-Identifier: Apache-2.0
 *
 * lock.c - one daemon a database: a lock file that names its holder.
 *
 * The lock is the open file's (OFD), so it ends with the process however that dies and no other
 * close() in it can lose it. The text is for people only, and tells after a crash that there was
 * one: who ends in order takes his name out.
 */
#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/text.h"

static long holder(int fd)
{
    char text[24] = {0};
    return pread(fd, text, sizeof text - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;
}

static int refused(int fd, const char *dir, int sys, struct oc_err *err)
{
    if (sys != EAGAIN && sys != EACCES)
        return oc_fail(err, OCID_E_IO, sys, "cannot lock '%s/lock'", dir);
    long pid = holder(fd);
    if (pid > 0)
        return oc_fail(err, OCID_E_STATE, 0,
                       "another ocid (pid %ld) uses '%s'; end that one first, or use its socket",
                       pid, dir);
    return oc_fail(err, OCID_E_STATE, 0, "another ocid uses '%s'", dir);
}

/* Always as many bytes, so that a full disk has room for them the second time. pid 0: nobody. */
static int write_pid(int fd, long pid)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%-20ld\n", pid);
    return pwrite(fd, text, (size_t)n, 0) != n ? -1 : 0;
}

int lock_open(const char *dir, int *ret_fd, int *ret_unclean, struct oc_err *err)
{
    char path[PATH_MAX];
    oc_text_join(path, sizeof path, dir, "/", "lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return oc_fail(err, OCID_E_IO, errno, "cannot open '%s'", path);

    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int rc = 0;
    if (fcntl(fd, F_OFD_SETLK, &whole) < 0) {
        rc = refused(fd, dir, errno, err);
    } else {
        *ret_unclean = holder(fd) != 0;
        if (write_pid(fd, getpid()) < 0 && errno != ENOSPC && errno != EDQUOT)
            rc = oc_fail(err, OCID_E_IO, errno, "cannot write '%s'", path);
    }
    if (rc < 0) {
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

int lock_was_used(const char *dir)
{
    char path[PATH_MAX];
    oc_text_join(path, sizeof path, dir, "/", "lock");
    return !access(path, F_OK);
}

void lock_close(int fd, int clean)
{
    if (fd < 0)
        return;
    if (clean)
        write_pid(fd, 0); /* else the next start looks closer than it had to */
    close(fd);
}
