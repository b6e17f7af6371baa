/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.c - chunks of memory that are filled from front to back and freed together.
 *
 * Any thread, one at a time. Used by calls.c and replies.c; start at oci_arena_get().
 */
#include "arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 2048 };

struct oci_chunk {
    struct oci_chunk *next;
    size_t used, room;
    alignas(max_align_t) char bytes[];
};

static struct oci_chunk *chunk_new(size_t n)
{
    size_t room = n > CHUNK_BYTES ? n : CHUNK_BYTES - sizeof(struct oci_chunk);
    struct oci_chunk *chunk = malloc(sizeof *chunk + room);
    if (!chunk)
        abort();
    chunk->used = 0;
    chunk->room = room;
    return chunk;
}

void oci_arena_fini(struct oci_arena *a)
{
    if (!a)
        return;
    for (struct oci_chunk *chunk = a->head, *next; chunk; chunk = next) {
        next = chunk->next;
        explicit_bzero(chunk->bytes, chunk->used);
        free(chunk);
    }
    *a = (struct oci_arena){0};
}

static void *take(struct oci_arena *a, size_t n, size_t align)
{
    struct oci_chunk *chunk = a->head;
    size_t at = chunk ? (chunk->used + align - 1) & ~(align - 1) : 0;
    if (!chunk || at > chunk->room || n > chunk->room - at) {
        chunk = chunk_new(n);
        chunk->next = a->head;
        a->head = chunk;
        at = 0;
    }
    chunk->used = at + n;
    a->total += n;
    return chunk->bytes + at;
}

void *oci_arena_get(struct oci_arena *a, size_t n)
{
    return take(a, n, alignof(max_align_t));
}

char *oci_arena_bytes(struct oci_arena *a, size_t n)
{
    return take(a, n, 1);
}

char *oci_arena_text(struct oci_arena *a, const char *in, size_t n)
{
    char *out = take(a, n + 1, 1);
    memcpy(out, in, n);
    out[n] = 0;
    return out;
}
