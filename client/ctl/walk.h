/* SPDX-License-Identifier: Apache-2.0
 *
 * walk.h - finds the files below a directory, and makes object names of their paths.
 */
#ifndef CTL_WALK_H
#define CTL_WALK_H

#include <stdbool.h>
#include <stddef.h>

#include "ctl/args.h"

struct walk {
    enum links links;
    /* Each regular file: its absolute path, and its path below the root. Something else than 0
     * ends the walk, which returns it. */
    int (*on_file)(void *user, const char *path, const char *below);
    /* What is not sent, and why; lost: it should have been. */
    void (*on_skip)(void *user, const char *path, const char *why, bool lost);
    void *user;
};

/* root is an absolute path of a directory. Blocks on the file system. */
int walk_run(const struct walk *w, const char *root);

/* Writes prefix and below, in which bytes that no object name can have are percent-encoded. 1 if
 * there were any, 0 if not, -1 if it is longer than out. */
int walk_name(const char *prefix, const char *below, char *out, size_t size);

#endif
