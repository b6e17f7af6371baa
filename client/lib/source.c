/* SPDX-License-Identifier: Apache-2.0
 *
 * source.c - files and bytes that become the source of a put.
 *
 * Blocks on stat() and on writing memory. Used by applications before ocid_submit().
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/convert.h"
#include "proto/io.h"

static int fail(struct ocid_failure *why, int code, int sys, const char *what, const char *path)
{
    struct oc_err err;
    oc_fail(&err, code, sys, "%s '%s'", what, path);
    if (why)
        lib_failure_of(&err, -1, why);
    return code;
}

int ocid_source(struct ocid_job *job, const char *path, int fd, struct ocid_failure *why)
{
    struct stat st;
    if (!path || path[0] != '/')
        return fail(why, OCID_E_INVALID, 0,
                    "the path of a source must be absolute:", path ? path : "");
    if (fd >= 0 ? fstat(fd, &st) : stat(path, &st))
        return fail(why, OCID_E_FILE, errno, "cannot look at", path);
    if (!S_ISREG(st.st_mode))
        return fail(why, OCID_E_FILE, 0, "not a regular file:", path);
    if (fd < 0 && faccessat(AT_FDCWD, path, R_OK, AT_EACCESS))
        return fail(why, OCID_E_FILE, errno, "cannot read", path);
    job->source = path;
    job->identified = true;
    job->size = (uint64_t)st.st_size;
    job->dev = st.st_dev;
    job->inode = st.st_ino;
    job->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    job->ctime_ns = (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
    return 0;
}

/* 0, or errno. */
static int fill(int fd, const void *bytes, size_t n)
{
    int sys = oc_write_all(fd, bytes, n);
    if (!sys && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE))
        sys = errno;
    return sys;
}

int ocid_bytes(const void *bytes, size_t n, int *ret_fd, struct ocid_failure *why)
{
    int fd = memfd_create("ocid", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return fail(why, OCID_E_IO, errno, "cannot make", "a memfd");
    int sys = fill(fd, bytes, n);
    if (sys) {
        close(fd);
        return fail(why, OCID_E_SPACE, sys, "cannot fill", "a memfd");
    }
    *ret_fd = fd;
    return 0;
}
