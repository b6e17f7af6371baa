/* SPDX-License-Identifier: Apache-2.0
 *
 * paths.h - where the daemon's files are: configuration, state directory, socket.
 *
 * Blocks (stat, mkdir); at start, or in the pool. The socket's place is proto/paths.h, since
 * clients look there too.
 */
#ifndef CORE_PATHS_H
#define CORE_PATHS_H

#include "proto/err.h"

struct config;

struct paths {
    char *socket;    /* its directory exists, and is ours alone in user mode */
    char *state_dir; /* exists, 0700, ours, on a local file system */
};

/* Absolute path of the configuration file at its default place; the caller frees it. */
int paths_config(int system, char **ret, struct oc_err *err);

/* "~/x" by the home directory (HOME, else the user's entry); others are copied. The caller frees.
 */
int paths_expand(const char *path, char **ret, struct oc_err *err);

/* Computes both, makes the directories that are missing, and refuses those that another user owns
 * or may write. A default state directory on a network file system is replaced by a local one,
 * which is logged. OCID_E_CONFIG with what to set. */
int paths_open(const struct config *c, int system, struct paths *ret, struct oc_err *err);
void paths_fini(struct paths *p);

enum paths_fs { PATHS_FS_LOCAL, PATHS_FS_FUSE, PATHS_FS_NETWORK };

/* What statfs() calls a file system. Pure. */
enum paths_fs paths_fs_kind(unsigned long f_type);

#endif
