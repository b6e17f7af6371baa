/* SPDX-License-Identifier: Apache-2.0
 *
 * publish.h - puts a whole file under its name, or leaves what was there.
 *
 * Blocks on the file system. Any thread.
 */
#ifndef SIGNER_PUBLISH_H
#define SIGNER_PUBLISH_H

#include <stddef.h>

#include "proto/err.h"

/* The name shows all n bytes, on disk, with these rights, or what it showed before, at whatever
 * moment the process or the machine ends. replace 0: OCID_E_EXISTS if the name is taken. A link in
 * the place of the file stays one: what it leads to is replaced. OCID_E_IO, _SPACE. */
int publish(const char *path, const char *bytes, size_t n, unsigned mode, int replace,
            struct oc_err *err);

/* Makes the directory of path (and those above it) with mode 0700 where they are missing. */
int publish_dir(const char *path, struct oc_err *err);

#endif
