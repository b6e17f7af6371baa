/* SPDX-License-Identifier: Apache-2.0
 *
 * mounts.c - which file system a path is on, without touching it.
 *
 * Any thread, under a lock. The descriptor of mountinfo stays open: poll() says when the table has
 * changed.
 */
#include "core/mounts.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/mem.h"

struct point {
    char *path;
    size_t len; /* without a slash at the end: 0 for the root */
    dev_t dev;
    int slow;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct point *points;
static size_t n_points;
static int table_fd = -1;

int mounts_type_is_slow(const char *type)
{
    static const char *const local[] = {"ext2",  "ext3",    "ext4", "xfs",      "btrfs", "tmpfs",
                                        "ramfs", "overlay", "f2fs", "bcachefs", "zfs",   "rootfs"};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (!strcmp(type, local[i]))
            return 0;
    return 1;
}

/* A blank, a tab, a newline and a backslash are written as three octal digits. */
static void unescape(char *s)
{
    char *to = s;
    for (; *s; s++) {
        unsigned c;
        if (*s == '\\' && sscanf(s + 1, "%3o", &c) == 1) {
            *to++ = (char)c;
            s += 3;
        } else {
            *to++ = *s;
        }
    }
    *to = 0;
}

int mounts_parse(char *line, struct mount_line *ret)
{
    unsigned major, minor;
    int at = 0;
    if (sscanf(line, "%*d %*d %u:%u %*s %n", &major, &minor, &at) != 2 || !at)
        return -1;
    char *end = strchr(line + at, ' ');
    char *dash = end ? strstr(end, " - ") : NULL;
    if (!dash)
        return -1;
    *end = 0;
    dash[3 + strcspn(dash + 3, " ")] = 0;
    *ret = (struct mount_line){makedev(major, minor), line + at, dash + 3};
    unescape(ret->point);
    return 0;
}

static void add(const struct mount_line *m)
{
    size_t len = strlen(m->point);
    points = oc_grow(points, n_points + 1, sizeof *points);
    points[n_points++] = (struct point){.path = oc_strdup(m->point),
                                        .len = len == 1 ? 0 : len,
                                        .dev = m->dev,
                                        .slow = mounts_type_is_slow(m->type)};
}

static void read_table(void)
{
    struct mount_line m;
    char *line = NULL;
    size_t room = 0;
    FILE *f = fopen("/proc/self/mountinfo", "re");
    while (n_points)
        free(points[--n_points].path);
    while (f && getline(&line, &room, f) > 0)
        if (!mounts_parse(line, &m))
            add(&m);
    free(line);
    if (f)
        fclose(f);
}

/* Under the lock. */
static void refresh(void)
{
    int is_new = table_fd < 0;
    if (is_new)
        table_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    struct pollfd p = {.fd = table_fd, .events = POLLPRI};
    if (is_new || (poll(&p, 1, 0) > 0 && p.revents & (POLLPRI | POLLERR)))
        read_table();
}

/* The longest that fits; of two at one place the later one, which covers the other. */
static const struct point *find(const char *path)
{
    const struct point *best = NULL;
    for (size_t i = 0; i < n_points; i++) {
        const struct point *p = &points[i];
        if ((!best || p->len >= best->len) && !strncmp(path, p->path, p->len) &&
            (path[p->len] == '/' || !path[p->len]))
            best = p;
    }
    return best;
}

dev_t mounts_slow_of(const char *path)
{
    pthread_mutex_lock(&lock);
    refresh();
    const struct point *p = find(path);
    dev_t dev = p && p->slow ? p->dev : 0;
    pthread_mutex_unlock(&lock);
    return dev;
}

dev_t mounts_slow_dev(dev_t dev)
{
    dev_t found = 0;
    pthread_mutex_lock(&lock);
    refresh();
    for (size_t i = 0; !found && i < n_points; i++)
        if (points[i].dev == dev && points[i].slow)
            found = dev;
    pthread_mutex_unlock(&lock);
    return found;
}
