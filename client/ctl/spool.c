/* SPDX-License-Identifier: Apache-2.0
 *
 * spool.c - keeps what comes down a pipe until the daemon has it.
 *
 * Blocks on both ends; Ctrl-C kills, nothing is left behind since the file has no name.
 */
#include "ctl/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ROUND = 64 << 10 };

static int fail(char *why, size_t size, const char *what, const char *which)
{
    snprintf(why, size, "%s%s: %s", what, which, strerror(errno));
    return -1;
}

/* Some file systems know no O_TMPFILE. */
static int open_unnamed(const char *dir)
{
    char path[4096];
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    if (snprintf(path, sizeof path, "%s/ocictl-XXXXXX", dir) >= (int)sizeof path)
        return -1;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

static int write_all(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t part = write(fd, bytes, n);
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0)
            return -1;
        bytes += part;
        n -= (size_t)part;
    }
    return 0;
}

static int move_to(int from, int to)
{
    char bytes[ROUND];
    ssize_t n;
    if (lseek(from, 0, SEEK_SET) < 0)
        return -1;
    while ((n = read(from, bytes, sizeof bytes)) > 0)
        if (write_all(to, bytes, (size_t)n))
            return -1;
    return n < 0 ? -1 : 0;
}

/* From memory into a file, once it has become too much. */
static int to_disk(int *fd, char *why, size_t size)
{
    const char *dir = getenv("TMPDIR");
    if (!dir || *dir != '/')
        dir = "/tmp";
    int file = open_unnamed(dir);
    if (file < 0)
        return fail(why, size, "cannot make a file in ", dir);
    if (move_to(*fd, file)) {
        fail(why, size, "cannot write a file in ", dir);
        close(file);
        return -1;
    }
    close(*fd);
    *fd = file;
    return 0;
}

static int copy(int in, size_t memory, int *fd, uint64_t *total, char *why, size_t size)
{
    char bytes[ROUND];
    ssize_t n;
    int on_disk = 0;
    while ((n = read(in, bytes, sizeof bytes)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(why, size, "cannot read standard input", "");
        if (!on_disk && *total + (uint64_t)n > memory) {
            if (to_disk(fd, why, size))
                return -1;
            on_disk = 1;
        }
        if (write_all(*fd, bytes, (size_t)n))
            return fail(why, size, "cannot keep standard input (TMPDIR names the place)", "");
        *total += (uint64_t)n;
    }
    return lseek(*fd, 0, SEEK_SET) < 0 ? fail(why, size, "cannot rewind", "") : 0;
}

int spool_read(int in, size_t memory, int *ret_fd, uint64_t *ret_bytes, char *why, size_t size)
{
    uint64_t total = 0;
    int fd = memfd_create("ocictl", MFD_CLOEXEC);
    if (fd < 0)
        return fail(why, size, "cannot keep standard input", "");
    if (copy(in, memory, &fd, &total, why, size)) {
        close(fd);
        return -1;
    }
    *ret_fd = fd;
    *ret_bytes = total;
    return 0;
}
