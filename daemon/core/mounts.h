/* SPDX-License-Identifier: Apache-2.0
 *
 * mounts.h - which file system a path is on, without touching it.
 *
 * Any thread. The kernel's table of mounts is read, which never waits for a file system, and read
 * again when it has changed.
 */
#ifndef CORE_MOUNTS_H
#define CORE_MOUNTS_H

#include <sys/types.h>

/* The device of the mount that path (absolute; links are not followed) is on, if that mount may
 * hang: the network's, and programs'. 0: a local one, or not known. */
dev_t mounts_slow_of(const char *path);

/* dev, if it is such a mount's; else 0. */
dev_t mounts_slow_dev(dev_t dev);

/* Whether file systems of this type (as /proc/self/mountinfo names it) may hang. */
int mounts_type_is_slow(const char *type);

/* One line of /proc/self/mountinfo, cut up in place: 0, or -1 if it is none. */
struct mount_line {
    dev_t dev;
    char *point; /* NUL-ended, its escapes undone */
    const char *type;
};
int mounts_parse(char *line, struct mount_line *ret);

#endif
