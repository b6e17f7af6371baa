/* SPDX-License-Identifier: Apache-2.0
 *
 * mime.c - looks suffixes up in the system's table, and remembers what it has found.
 *
 * The table is mapped and searched as text: most pushes ask once. Source: mime.types(5).
 */
#include "ctl/mime.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/ctl.h"

enum { SUFFIX_MAX = 32, KEPT = 64 };

static const char unknown[] = "application/octet-stream";

static struct {
    char suffix[SUFFIX_MAX];
    const char *type;
} kept[KEPT];
static unsigned n_kept;

struct text {
    const char *p;
    size_t n;
};

static struct text map_table(const char *path)
{
    struct text t = {NULL, 0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p != MAP_FAILED)
            t = (struct text){p, (size_t)st.st_size};
    }
    if (fd >= 0)
        close(fd);
    return t;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of a line that ends at end; empty at its end. */
static struct text word(const char **at, const char *end)
{
    while (*at < end && blank(**at))
        ++*at;
    const char *start = *at;
    while (*at < end && !blank(**at))
        ++*at;
    return (struct text){start, (size_t)(*at - start)};
}

/* One copy of each type that was found, for good: jobs borrow it. */
static const char *keep(struct text type)
{
    static struct known {
        struct known *next;
        char type[];
    } * known;
    for (struct known *k = known; k; k = k->next)
        if (!strncmp(k->type, type.p, type.n) && !k->type[type.n])
            return k->type;
    struct known *k = ctl_alloc(sizeof *k + type.n + 1);
    memcpy(k->type, type.p, type.n);
    k->next = known;
    known = k;
    return k->type;
}

static const char *look_up(struct text t, const char *suffix)
{
    size_t n = strlen(suffix);
    const char *end = t.p + t.n;
    for (const char *line = t.p; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line)), *at = line;
        stop = stop ? stop : end;
        struct text type = word(&at, stop), w;
        while (type.n && *type.p != '#' && (w = word(&at, stop)).n && *w.p != '#')
            if (w.n == n && !strncasecmp(w.p, suffix, n))
                return keep(type);
        line = stop < end ? stop + 1 : end;
    }
    return unknown;
}

const char *mime_type(const char *table, const char *path)
{
    static struct text system_table;
    static bool mapped;
    const char *dot = strrchr(ctl_base(path), '.');
    if (!dot || dot == ctl_base(path) || !dot[1] || strlen(dot + 1) >= SUFFIX_MAX)
        return unknown;
    for (unsigned i = 0; !table && i < n_kept && i < KEPT; i++)
        if (!strcmp(kept[i].suffix, dot + 1))
            return kept[i].type;
    if (!table && !mapped) {
        system_table = map_table("/etc/mime.types");
        mapped = true;
    }
    struct text t = table ? map_table(table) : system_table;
    const char *type = t.p ? look_up(t, dot + 1) : unknown;
    if (table && t.p)
        munmap((void *)(uintptr_t)t.p, t.n);
    if (!table) {
        snprintf(kept[n_kept % KEPT].suffix, SUFFIX_MAX, "%s", dot + 1);
        kept[n_kept++ % KEPT].type = type;
    }
    return type;
}
