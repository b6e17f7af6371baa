/* SPDX-License-Identifier: Apache-2.0
 *
 * paths.c - where the daemon's socket is, and that nobody else could have put it there.
 *
 * libc only; no allocation. Source: XDG Base Directory Specification 0.8, sockaddr_un in unix(7).
 */
#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int ocp_dir_check(const char *path, struct oc_err *err)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return oc_fail(err, errno == ENOENT ? OCID_E_NOT_FOUND : OCID_E_CONFIG, errno,
                       "cannot use the directory '%s'", path);
    if (!S_ISDIR(st.st_mode))
        return oc_fail(err, OCID_E_CONFIG, 0, "'%s' is not a directory; move it away", path);
    if (st.st_uid != geteuid())
        return oc_fail(err, OCID_E_DENIED_PEER, 0, "the directory '%s' belongs to another user",
                       path);
    if (st.st_mode & 022)
        return oc_fail(err, OCID_E_CONFIG, 0, "others may write to '%s'; chmod 0700 it", path);
    return 0;
}

/* fchmod() through a descriptor: the name cannot be changed under us to something else. */
static int close_to_others(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = fstat(fd, &st);
    if (rc == 0 && st.st_uid == geteuid() && (st.st_mode & 077))
        rc = fchmod(fd, 0700);
    close(fd);
    return rc;
}

int ocp_dir_make(const char *path, struct oc_err *err)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST) {
        int sys = errno; /* a read-only parent says so even of what exists */
        struct stat st;
        if (lstat(path, &st) < 0)
            return oc_fail(err, OCID_E_CONFIG, sys, "cannot make the directory '%s'", path);
    }
    (void)close_to_others(path); /* what is wrong then is said below */
    return ocp_dir_check(path, err);
}

/* A runtime directory is ours, and no other may write there. */
static int usable(const char *dir)
{
    struct stat st;
    return dir && dir[0] == '/' && stat(dir, &st) == 0 && S_ISDIR(st.st_mode) &&
           st.st_uid == geteuid() && !(st.st_mode & 022);
}

/* Where many may write, only the sticky bit keeps others from moving our directory away. */
static const char *temporary(void)
{
    const char *dir = getenv("TMPDIR");
    struct stat st;
    if (dir && dir[0] == '/' && stat(dir, &st) == 0 && S_ISDIR(st.st_mode) &&
        (!(st.st_mode & 022) || (st.st_mode & S_ISVTX)))
        return dir;
    return "/tmp";
}

/* The directory of the socket. */
static int socket_dir(char *out, size_t size, struct oc_err *err)
{
    char by_uid[64];
    unsigned long uid = geteuid();
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    snprintf(by_uid, sizeof by_uid, "/run/user/%lu", uid);
    int n;
    if (usable(runtime))
        n = snprintf(out, size, "%s/ocid", runtime);
    else if (usable(by_uid))
        n = snprintf(out, size, "%s/ocid", by_uid);
    else
        n = snprintf(out, size, "%s/ocid-%lu", temporary(), uid);
    if (n < 0 || (size_t)n + sizeof "/ocid.sock" > size)
        return oc_fail(err, OCID_E_TOO_LARGE, 0,
                       "the path of the socket is longer than %zu bytes; set XDG_RUNTIME_DIR to a "
                       "shorter one",
                       size - 1);
    return 0;
}

static void add_name(char *out, size_t size)
{
    size_t n = 0;
    while (out[n])
        n++;
    snprintf(out + n, size - n, "/ocid.sock");
}

int ocp_socket_path(char *out, size_t size, struct oc_err *err)
{
    int rc = socket_dir(out, size, err);
    if (rc)
        return rc;
    rc = ocp_dir_check(out, err);
    if (rc && rc != OCID_E_NOT_FOUND)
        return rc;
    add_name(out, size);
    return 0;
}

int ocp_socket_make(char *out, size_t size, struct oc_err *err)
{
    int rc = socket_dir(out, size, err);
    if (!rc)
        rc = ocp_dir_make(out, err);
    if (!rc)
        add_name(out, size);
    return rc;
}
