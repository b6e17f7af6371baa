/* SPDX-License-Identifier: Apache-2.0
 *
 * parts.h - the parts of one object: which are to do, in flight, done; what they sum up to.
 *
 * Pure; for the planners.
 */
#ifndef XFER_PARTS_H
#define XFER_PARTS_H

#include <stdint.h>

#include "xfer/plan.h"

#define MIB 1048576ull

enum {
    PARTS_DEFAULT_MIB = 32,
    PLAN_ANEW_MOST = 5, /* how often a transfer starts over by itself */
};

enum part_state {
    PART_TODO,
    PART_FLYING,
    PART_DONE,
    PART_KNOWN, /* put: in the database; whether the service has it is yet to be seen */
};

struct part_cell {
    uint32_t crc32c, etag_at;
    uint8_t state; /* enum part_state; parts_set() alone writes it */
    uint8_t has_md5;
};

struct parts {
    uint64_t size, part_bytes, bytes_done;
    uint32_t doubling; /* parts after which they are twice as large; 0: all are part_bytes */
    uint32_t n, n_done, n_flying, n_known;
    uint32_t next;   /* index: nothing below it is to do */
    uint32_t summed; /* as many parts from the first are in crc */
    uint32_t crc;
    struct part_cell *cells;
};

/* How many parts of part_bytes (not 0) cover size. */
uint64_t parts_count(uint64_t size, uint64_t part_bytes);

/* All to do. parts_count() must fit into 32 bits; size 0 has no parts. */
void parts_init(struct parts *p, uint64_t size, uint64_t part_bytes);

/* Of something whose size shows later: no parts yet, and they become larger, so that 10,000 of them
 * hold the largest object. */
void parts_init_growing(struct parts *p, uint64_t part_bytes);

/* So many bytes are there now: their whole parts, and (ended) the last one, are to do. */
void parts_grow(struct parts *p, uint64_t size, int ended);
void parts_fini(struct parts *p);

/* NULL for a number that is none of ours. */
struct part_cell *parts_cell(const struct parts *p, uint32_t part_no);
uint64_t parts_offset(const struct parts *p, uint32_t part_no);
uint64_t parts_length(const struct parts *p, uint32_t part_no);

/* Where a part ends that is whole; also of numbers that are none yet. */
uint64_t parts_end(const struct parts *p, uint32_t part_no);

void parts_set(struct parts *p, uint32_t part_no, enum part_state state);

/* The lowest part that is to do takes off and fills *ret; 0 when there is none. */
int parts_take(struct parts *p, enum step_op op, struct xfer_step *ret);

/* CRC32C of the whole; 0 until all parts are done. */
uint32_t parts_crc(struct parts *p);

#endif
