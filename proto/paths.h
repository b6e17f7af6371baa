/* SPDX-License-Identifier: Apache-2.0
 *
 * paths.h - where the daemon's socket is; the daemon and its clients must agree.
 *
 * Blocks on stat() and mkdir() of local directories. Any thread while nobody changes the
 * environment.
 */
#ifndef PROTO_PATHS_H
#define PROTO_PATHS_H

#include <stddef.h>

#include "err.h"

#define OCP_SOCKET_SYSTEM "/run/ocid/ocid.sock"

/* Room for any path that fits into a sockaddr_un. */
enum { OCP_SOCKET_MAX = 108 };

/* Path of the user's own socket: ocid/ocid.sock in the runtime directory, which is
 * $XDG_RUNTIME_DIR, else /run/user/UID, whichever is first a directory of ours that no other may
 * write; failing both, ocid-UID/ocid.sock in the temporary directory ($TMPDIR, else /tmp). Nothing
 * is made, and the socket need not be there; but 0 means that no other user can have put it there.
 * OCID_E_DENIED_PEER: the directory belongs to somebody else. OCID_E_TOO_LARGE: beyond size. */
int ocp_socket_path(char *out, size_t size, struct oc_err *err);

/* The same for the daemon: its directory is there afterwards. OCID_E_CONFIG, too, if it cannot be.
 */
int ocp_socket_make(char *out, size_t size, struct oc_err *err);

/* 0 if path itself (not what a link leads to) is a directory of ours that no other may write;
 * OCID_E_NOT_FOUND, OCID_E_DENIED_PEER, OCID_E_CONFIG (another fault). */
int ocp_dir_check(const char *path, struct oc_err *err);

/* Makes it with mode 0700 if it is missing, then checks it. What is ours but open to others is
 * closed to them. */
int ocp_dir_make(const char *path, struct oc_err *err);

#endif
