/* SPDX-License-Identifier: Apache-2.0
 *
 * kit.h - cmocka, rows, a temporary directory, and what is written to stderr.
 */
#ifndef TEST_CTL_KIT_H
#define TEST_CTL_KIT_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
/* clang-format on */
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#define N_ROWS(rows) (sizeof(rows) / sizeof *(rows))

#define row_check(name, ok)                                                                        \
    do {                                                                                           \
        if (!(ok))                                                                                 \
            fail_msg("row '%s': %s", (name), #ok);                                                 \
    } while (0)

#define row_text(name, got, want)                                                                  \
    do {                                                                                           \
        if (strcmp((got), (want)) != 0)                                                            \
            fail_msg("row '%s': '%s' is not '%s'", (name), (got), (want));                         \
    } while (0)

/* Sends a descriptor into a file without a name until kit_release(), which gives its text. */
struct kit_capture {
    int fd, was, file;
};

static inline void kit_capture(struct kit_capture *c, int fd)
{
    char path[] = "/tmp/ocid-ctl-XXXXXX";
    fflush(NULL);
    c->fd = fd;
    c->was = dup(fd);
    c->file = mkstemp(path);
    unlink(path);
    dup2(c->file, fd);
}

static inline char *kit_release(struct kit_capture *c)
{
    static char text[16384];
    fflush(NULL);
    dup2(c->was, c->fd);
    close(c->was);
    ssize_t n = pread(c->file, text, sizeof text - 1, 0);
    close(c->file);
    text[n > 0 ? n : 0] = 0;
    return text;
}

static inline void kit_remove(const char *dir)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    if (system(command))
        fail_msg("cannot remove '%s'", dir);
}

#endif
