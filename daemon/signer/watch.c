/* SPDX-License-Identifier: Apache-2.0
 *
 * watch.c - tells when one of some files has changed, been replaced, or come.
 *
 * Control thread. Directories are watched, and names in them compared: a file that is replaced by a
 * rename is another one afterwards.
 * Source: inotify(7).
 */
#include "signer/watch.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { FILES_MAX = 256, EVENTS = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ATTRIB };

struct file {
    int dir; /* the kernel's number of its directory */
    char name[NAME_MAX + 1];
};

struct watch {
    int fd;
    unsigned n;
    struct file file[FILES_MAX];
};

struct watch *watch_new(void)
{
    struct watch *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    return w;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        close(w->fd);
    free(w);
}

int watch_fd(const struct watch *w)
{
    return w->fd;
}

/* Directories that are not added again stay watched until the end: they are few. */
void watch_clear(struct watch *w)
{
    w->n = 0;
}

void watch_add(struct watch *w, const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (w->fd < 0 || w->n == FILES_MAX || !slash || !slash[1] || strlen(slash + 1) > NAME_MAX)
        return;
    snprintf(dir, sizeof dir, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    int number = inotify_add_watch(w->fd, dir, EVENTS | IN_ONLYDIR);
    if (number < 0)
        return;
    w->file[w->n].dir = number;
    snprintf(w->file[w->n].name, sizeof w->file[w->n].name, "%s", slash + 1);
    w->n++;
}

static int is_ours(const struct watch *w, const struct inotify_event *e)
{
    for (unsigned i = 0; i < w->n; i++)
        if (w->file[i].dir == e->wd && e->len && !strcmp(w->file[i].name, e->name))
            return 1;
    return (e->mask & IN_Q_OVERFLOW) != 0;
}

int watch_take(struct watch *w)
{
    char bytes[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
    int ours = 0;
    for (ssize_t n; w->fd >= 0 && (n = read(w->fd, bytes, sizeof bytes)) > 0;)
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const void *)(bytes + at);
            ours |= is_ours(w, e);
            at += (ssize_t)(sizeof *e + e->len);
        }
    return ours;
}
