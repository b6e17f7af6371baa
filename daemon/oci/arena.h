/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.h - bytes that belong to one request or one reply and are freed together.
 *
 * What was given out never moves, so that structs may point into it. Usually one allocation a
 * request. Aborts when memory is gone, as all of the daemon does. Any thread, one at a time.
 */
#ifndef OCI_ARENA_H
#define OCI_ARENA_H

#include <stddef.h>

struct oci_arena {
    struct oci_chunk *head; /* newest first */
    size_t total;           /* bytes given out so far */
};

/* Wipes (a request may hold a token) and frees; *a is empty and usable again. NULL is allowed. */
void oci_arena_fini(struct oci_arena *a);

/* n bytes aligned for any object, not zeroed. */
void *oci_arena_get(struct oci_arena *a, size_t n);

/* n bytes for text, not aligned. */
char *oci_arena_bytes(struct oci_arena *a, size_t n);

/* A copy of in[0..n) with NUL behind it. */
char *oci_arena_text(struct oci_arena *a, const char *in, size_t n);

#endif
