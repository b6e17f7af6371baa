/* SPDX-License-Identifier: Apache-2.0
 *
 * kit.h - what the tests of the jobs room share: cmocka in the right order, plain jobs, a seed.
 */
#ifndef UNIT_JOBS_KIT_H
#define UNIT_JOBS_KIT_H

/* cmocka.h wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/loop.h"
#include "core/mem.h"
#include "jobs/job.h"

#define N_ROWS(rows) (sizeof(rows) / sizeof *(rows))

/* A job that is nothing but its numbers. */
static inline struct job *kit_job(uint64_t id, uint64_t bytes, int priority)
{
    struct job *j = OC_NEW(struct job);
    j->id = id;
    j->bytes = bytes;
    j->priority = (uint8_t)priority;
    j->pipe_fd = -1;
    return j;
}

/* xorshift64*, seeded by OCID_SEED or at random; the seed is printed. */
static inline uint64_t kit_seed(void)
{
    const char *given = getenv("OCID_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : clock_random() >> 16 | 1;
    print_message("OCID_SEED=%" PRIu64 "\n", seed);
    return seed;
}

static inline uint64_t kit_random(uint64_t *state, uint64_t below)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (*state * 0x2545f4914f6cdd1dull >> 16) % below;
}

#endif
