/* SPDX-License-Identifier: Apache-2.0
 *
 * spool.h - standard input as a file without a name, whose length is known.
 */
#ifndef CTL_SPOOL_H
#define CTL_SPOOL_H

#include <stddef.h>
#include <stdint.h>

enum { SPOOL_MEMORY = 8 << 20 };

/* Copies in to its end: into memory up to so many bytes, else into a file in $TMPDIR or /tmp.
 * *ret_fd is the caller's to close. 0, or -1 and a sentence. Blocks. */
int spool_read(int in, size_t memory, int *ret_fd, uint64_t *ret_bytes, char *why, size_t why_size);

#endif
