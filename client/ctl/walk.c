/* SPDX-License-Identifier: Apache-2.0
 *
 * walk.c - depth first, one open directory a level, nothing kept: files are told as they are found.
 *
 * A directory that is among its own parents (a link upwards, a bind mount) is skipped, so every
 * walk ends. Blocks; start at walk_run().
 */
#include "ctl/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/text.h"

enum { PATH_BYTES = 4096 + 1 };

/* Directories that we are in. */
struct level {
    const struct level *up;
    dev_t dev;
    ino_t ino;
};

struct state {
    const struct walk *w;
    size_t n_root; /* bytes of path that are the root and its slash */
    size_t n;
    char path[PATH_BYTES];
};

static void skip(struct state *s, const char *why, bool lost)
{
    s->w->on_skip(s->w->user, s->path, why, lost);
}

static bool inside(const struct level *l, const struct stat *st)
{
    for (; l; l = l->up)
        if (l->dev == st->st_dev && l->ino == st->st_ino)
            return true;
    return false;
}

static int walk_dir(struct state *s, int at, const char *name, const struct level *up);

static const char *special(mode_t mode)
{
    return S_ISFIFO(mode)   ? "skipped: a named pipe"
           : S_ISSOCK(mode) ? "skipped: a socket"
           : S_ISCHR(mode)  ? "skipped: a character device"
           : S_ISBLK(mode)  ? "skipped: a block device"
                            : "skipped: not a regular file";
}

static int walk_mode(struct state *s, int at, const char *name, mode_t mode, const struct level *up)
{
    if (S_ISREG(mode))
        return s->w->on_file(s->w->user, s->path, s->path + s->n_root);
    if (S_ISDIR(mode))
        return walk_dir(s, at, name, up);
    skip(s, special(mode), false);
    return 0;
}

static int walk_link(struct state *s, int at, const char *name, const struct level *up)
{
    struct stat st;
    if (s->w->links == LINKS_SKIP)
        return 0;
    if (s->w->links == LINKS_ERROR) {
        skip(s, "a symbolic link, and --symlinks error was given", true);
        return 0;
    }
    if (!fstatat(at, name, &st, 0))
        return walk_mode(s, at, name, st.st_mode, up);
    if (errno == ENOENT)
        skip(s, "skipped: the link leads nowhere", false);
    else if (errno == ELOOP)
        skip(s, "skipped: the link leads to itself", false);
    else
        skip(s, strerror(errno), true);
    return 0;
}

/* Where the file system tells the type along with the name, nothing more is asked. */
static int walk_entry(struct state *s, int at, const struct dirent *e, const struct level *up)
{
    struct stat st;
    switch (e->d_type) {
    case DT_REG:
        return walk_mode(s, at, e->d_name, S_IFREG, up);
    case DT_DIR:
        return walk_mode(s, at, e->d_name, S_IFDIR, up);
    case DT_LNK:
        return walk_link(s, at, e->d_name, up);
    default:
        if (fstatat(at, e->d_name, &st, AT_SYMLINK_NOFOLLOW)) {
            skip(s, strerror(errno), true);
            return 0;
        }
        return S_ISLNK(st.st_mode) ? walk_link(s, at, e->d_name, up)
                                   : walk_mode(s, at, e->d_name, st.st_mode, up);
    }
}

static int walk_entries(struct state *s, DIR *dir, const struct level *here)
{
    const struct dirent *e;
    size_t n = s->n;
    int rc = 0;
    while (!rc && (errno = 0, e = readdir(dir)) != NULL) {
        size_t len = strlen(e->d_name);
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if (n + 1 + len >= PATH_BYTES) {
            skip(s, "has a path below it that is longer than 4096 bytes", true);
            continue;
        }
        if (n && s->path[n - 1] != '/')
            s->path[s->n++] = '/';
        memcpy(s->path + s->n, e->d_name, len + 1);
        s->n += len;
        rc = walk_entry(s, dirfd(dir), e, here);
        s->n = n;
        s->path[n] = 0;
    }
    if (!rc && errno)
        skip(s, strerror(errno), true);
    return rc;
}

static int walk_dir(struct state *s, int at, const char *name, const struct level *up)
{
    struct stat st;
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK), rc = 0;
    DIR *dir = fd >= 0 && !fstat(fd, &st) ? fdopendir(fd) : NULL;
    if (!dir) {
        skip(s, strerror(errno), true);
        if (fd >= 0)
            close(fd);
        return 0;
    }
    struct level here = {up, st.st_dev, st.st_ino};
    if (inside(up, &st))
        skip(s, "skipped: it leads back to a directory that it is in", false);
    else
        rc = walk_entries(s, dir, &here);
    closedir(dir);
    return rc;
}

/* A level takes a descriptor: as many as we may. */
static void raise_limit(void)
{
    struct rlimit r;
    if (!getrlimit(RLIMIT_NOFILE, &r) && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r); /* refused: very deep trees are said to be too deep */
    }
}

int walk_run(const struct walk *w, const char *root)
{
    struct state s = {.w = w, .n = strlen(root)};
    if (s.n >= PATH_BYTES - 1) {
        w->on_skip(w->user, root, "the path is longer than 4096 bytes", true);
        return 0;
    }
    raise_limit();
    memcpy(s.path, root, s.n + 1);
    s.n_root = s.n + (s.path[s.n - 1] != '/');
    return walk_dir(&s, AT_FDCWD, root, NULL);
}

int walk_name(const char *prefix, const char *below, char *out, size_t size)
{
    size_t n = strlen(below), used = (size_t)snprintf(out, size, "%s", prefix);
    int encoded = 0;
    for (size_t at = 0; at < n;) {
        size_t len = oc_utf8_len(below + at, n - at);
        if (used + (len ? len : 3) + 3 > size)
            return -1;
        if (!len || below[at] == '\n' || below[at] == '\r') {
            used += (size_t)snprintf(out + used, size - used, "%%%02X", (unsigned char)below[at]);
            encoded = 1;
            len = 1;
        } else {
            memcpy(out + used, below + at, len);
            used += len;
        }
        at += len;
    }
    if (used >= size)
        return -1;
    out[used] = 0;
    return encoded;
}
