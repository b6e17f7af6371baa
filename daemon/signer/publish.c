/* SPDX-License-Identifier: Apache-2.0
 *
 * publish.c - puts a whole file under its name, or leaves what was there.
 *
 * Blocks on the file system. A new name is linked from a file without one, so that a key that was
 * never finished leaves nothing behind; where that cannot be done, and to replace, the bytes stand
 * under NAME.new first, which the next try takes away.
 */
#include "signer/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/io.h"
#include "proto/text.h"

enum { PUBLISH_PATH = PATH_MAX + 8 };

static int failed(struct oc_err *err, int sys, const char *path)
{
    int code = sys == EEXIST                    ? OCID_E_EXISTS
               : sys == ENOSPC || sys == EDQUOT ? OCID_E_SPACE
                                                : OCID_E_IO;
    return oc_fail(err, code, sys, "cannot write '%s'", path);
}

static void parent(const char *path, char *out, size_t size)
{
    oc_text_join(out, size, path, "", "");
    char *slash = strrchr(out, '/');
    if (!slash)
        oc_text_join(out, size, ".", "", "");
    else
        slash[slash == out] = 0;
}

int publish_dir(const char *path, struct oc_err *err)
{
    char dir[PUBLISH_PATH];
    struct stat st;
    parent(path, dir, sizeof dir);
    if (!stat(dir, &st) && S_ISDIR(st.st_mode))
        return 0;
    if (strcmp(dir, "/") && strcmp(dir, ".") && publish_dir(dir, err))
        return err->code;
    return mkdir(dir, 0700) && errno != EEXIST
               ? oc_fail(err, OCID_E_IO, errno, "cannot make the directory '%s'", dir)
               : 0;
}

/* 0, or errno. */
static int fill(int fd, const char *bytes, size_t n, unsigned mode)
{
    int sys = oc_write_all(fd, bytes, n);
    if (!sys && (fchmod(fd, mode) || fsync(fd)))
        sys = errno;
    return sys;
}

/* 0, or errno; ENOTSUP: this file system cannot. */
static int link_nameless(const char *dir, const char *path, const char *bytes, size_t n,
                         unsigned mode)
{
    char self[64];
    int fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return ENOTSUP;
    int sys = fill(fd, bytes, n, mode);
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (!sys && linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW))
        sys = errno == ENOENT ? ENOTSUP : errno; /* no /proc here */
    close(fd);
    return sys;
}

/* 0, or errno. */
static int by_name(const char *path, const char *bytes, size_t n, unsigned mode, int replace)
{
    char fresh[PUBLISH_PATH];
    oc_text_join(fresh, sizeof fresh, path, ".new", "");
    if (unlink(fresh) && errno != ENOENT)
        return errno;
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int sys = fill(fd, bytes, n, mode);
    close(fd);
    if (!sys && (replace ? rename(fresh, path) : link(fresh, path)))
        sys = errno;
    if (sys || !replace)
        unlink(fresh);
    return sys;
}

int publish(const char *path, const char *bytes, size_t n, unsigned mode, int replace,
            struct oc_err *err)
{
    char real[PATH_MAX], dir[PUBLISH_PATH];
    if (!replace || !realpath(path, real)) /* not there yet, else a link stays */
        oc_text_join(real, sizeof real, path, "", "");
    parent(real, dir, sizeof dir);
    int sys = replace ? ENOTSUP : link_nameless(dir, real, bytes, n, mode);
    if (sys == ENOTSUP)
        sys = by_name(real, bytes, n, mode, replace);
    if (sys)
        return failed(err, sys, real);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd))
        sys = errno;
    if (fd >= 0)
        close(fd);
    return sys && sys != EINVAL ? failed(err, sys, dir) : 0;
}
