/* SPDX-License-Identifier: Apache-2.0
 *
 * parts.c - the parts of one object: which are to do, in flight, done; what they sum up to.
 *
 * Pure; control loop. Twelve bytes a part, and no scan but the one that finds the next.
 */
#include "xfer/parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "oci/checksum.h"

/* Parts that become larger: with either, 10,000 hold 10 TiB, and none is over 50 GiB. Few small
 * ones before they double, for what waits to be sent is kept on disk. */
enum { SUM_STRIDE = 64, DOUBLING = 1000, DOUBLING_SMALL = 500 };
#define SMALL_BYTES (16 * MIB)

uint64_t parts_count(uint64_t size, uint64_t part_bytes)
{
    return size / part_bytes + (size % part_bytes != 0);
}

void parts_init(struct parts *p, uint64_t size, uint64_t part_bytes)
{
    uint64_t n = parts_count(size, part_bytes);
    assert(n <= UINT32_MAX);
    *p = (struct parts){.size = size, .part_bytes = part_bytes, .n = (uint32_t)n};
    p->cells = oc_new(p->n, sizeof *p->cells);
}

void parts_init_growing(struct parts *p, uint64_t part_bytes)
{
    *p = (struct parts){.part_bytes = part_bytes,
                        .doubling = part_bytes < SMALL_BYTES ? DOUBLING_SMALL : DOUBLING};
}

void parts_grow(struct parts *p, uint64_t size, int ended)
{
    uint32_t n = p->n;
    while (parts_end(p, n + 1) <= size)
        n++;
    if (ended && (n ? parts_end(p, n) : 0) < size)
        n++;
    p->size = size;
    if (n == p->n)
        return;
    p->cells = oc_grow(p->cells, n, sizeof *p->cells);
    memset(p->cells + p->n, 0, (n - p->n) * sizeof *p->cells);
    p->n = n;
}

void parts_fini(struct parts *p)
{
    free(p->cells);
    p->cells = NULL;
    p->n = p->n_done = p->n_flying = p->n_known = 0;
    p->bytes_done = 0;
}

struct part_cell *parts_cell(const struct parts *p, uint32_t part_no)
{
    return part_no && part_no <= p->n ? &p->cells[part_no - 1] : NULL;
}

uint64_t parts_end(const struct parts *p, uint32_t part_no)
{
    if (!p->doubling)
        return part_no * p->part_bytes;
    uint32_t doubled = part_no / p->doubling;
    uint64_t before = p->part_bytes * p->doubling * ((1ull << doubled) - 1);
    return before + (p->part_bytes << doubled) * (part_no % p->doubling);
}

uint64_t parts_offset(const struct parts *p, uint32_t part_no)
{
    return parts_end(p, part_no - 1);
}

uint64_t parts_length(const struct parts *p, uint32_t part_no)
{
    uint64_t end = parts_end(p, part_no);
    return (end < p->size ? end : p->size) - parts_offset(p, part_no);
}

static uint32_t *counter(struct parts *p, enum part_state state)
{
    switch (state) {
    case PART_FLYING:
        return &p->n_flying;
    case PART_DONE:
        return &p->n_done;
    case PART_KNOWN:
        return &p->n_known;
    case PART_TODO:
        break;
    }
    return NULL;
}

/* Takes up to so many parts that are done, from where the sum stands, into it: a few whenever one
 * is done, so that there is never much to do at once. */
static void sum_on(struct parts *p, uint32_t most)
{
    for (; most && p->summed < p->n && p->cells[p->summed].state == PART_DONE; most--) {
        uint32_t crc = p->cells[p->summed].crc32c;
        p->summed++;
        p->crc = p->summed == 1 ? crc : oci_crc32c_combine(p->crc, crc, parts_length(p, p->summed));
    }
}

void parts_set(struct parts *p, uint32_t part_no, enum part_state state)
{
    struct part_cell *cell = parts_cell(p, part_no);
    enum part_state before = (enum part_state)cell->state;
    if (before == state)
        return;
    uint32_t *from = counter(p, before), *to = counter(p, state);
    if (from)
        --*from;
    if (to)
        ++*to;
    if (before == PART_DONE)
        p->bytes_done -= parts_length(p, part_no);
    if (state == PART_DONE)
        p->bytes_done += parts_length(p, part_no);
    if (before == PART_DONE && p->summed >= part_no)
        p->summed = 0;
    if (state == PART_TODO && p->next > part_no - 1)
        p->next = part_no - 1;
    cell->state = (uint8_t)state;
    sum_on(p, SUM_STRIDE);
}

int parts_take(struct parts *p, enum step_op op, struct xfer_step *ret)
{
    while (p->next < p->n && p->cells[p->next].state != PART_TODO)
        p->next++;
    if (p->next == p->n)
        return 0;
    uint32_t part_no = ++p->next;
    parts_set(p, part_no, PART_FLYING);
    *ret = (struct xfer_step){
        .kind = STEP_REQUEST,
        .op = op,
        .part_no = part_no,
        .offset = parts_offset(p, part_no),
        .length = parts_length(p, part_no),
    };
    return 1;
}

uint32_t parts_crc(struct parts *p)
{
    if (!p->n || p->n_done < p->n)
        return 0;
    sum_on(p, p->n);
    return p->crc;
}
