/* SPDX-License-Identifier: Apache-2.0
 *
 * ballast.c - space that is held so that what was accepted can still be written when the disk is
 * full.
 *
 * A file of its size beside the queue. When a commit finds no space it is removed, and the commit
 * tried again; until there is room for it once more the store refuses new jobs, so that what it
 * held is for the ends of those that are there.
 */
#include "store/ballast.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/log.h"
#include "core/loop.h"
#include "proto/text.h"

enum { LOOK_MS = 500 };

/* Twice as much must be free, or it would be given back at once. */
static int has_space(const struct ballast *b)
{
    struct statvfs fs;
    int fd = open(b->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int ok = fd >= 0 && !fstatvfs(fd, &fs) && fs.f_bavail * fs.f_frsize >= 2 * b->bytes &&
             !posix_fallocate(fd, 0, (off_t)b->bytes);
    if (fd >= 0)
        close(fd);
    if (!ok)
        unlink(b->path);
    return ok;
}

static int make(struct ballast *b)
{
    uint64_t now_ms = clock_mono_ms();
    if (b->looked_at_ms && now_ms - b->looked_at_ms < LOOK_MS)
        return 0;
    b->looked_at_ms = now_ms;
    return b->there = has_space(b);
}

void ballast_open(struct ballast *b, const char *dir, uint64_t bytes)
{
    struct stat st;
    oc_text_join(b->path, sizeof b->path, dir, "/", "ballast");
    b->bytes = bytes;
    b->there = !stat(b->path, &st) && (uint64_t)st.st_size == bytes;
    if (b->there)
        return;
    unlink(b->path); /* of another size */
    if (bytes && !make(b))
        log_warn("less than %u MiB are free where the queue is: new jobs are refused until there "
                 "are, or daemon.ballast_mib is less",
                 (unsigned)(2 * bytes >> 20));
}

int ballast_give(struct ballast *b)
{
    if (!b->there)
        return 0;
    unlink(b->path);
    b->there = 0;
    b->looked_at_ms = clock_mono_ms();
    log_warn(
        "the disk of the queue is full: '%s' has made room for what was accepted; new jobs are "
        "refused until %u MiB are free",
        b->path, (unsigned)(2 * b->bytes >> 20));
    return 1;
}

int ballast_is_short(struct ballast *b)
{
    if (!b->bytes || b->there)
        return 0;
    if (!make(b))
        return 1;
    log_info("there is space for the queue again: new jobs are taken");
    return 0;
}
