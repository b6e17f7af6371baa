/* SPDX-License-Identifier: Apache-2.0
 *
 * batch.h - gathers the members of a set and submits them in arrays while more are found.
 */
#ifndef CTL_BATCH_H
#define CTL_BATCH_H

#include "ctl/ctl.h"

enum { BATCH_JOBS = 250, BATCH_STRINGS = 512 << 10 };

struct batch {
    struct ctl *ctl;
    uint64_t set; /* 0: made with the first job */
    struct ocid_job set_job;
    struct ocid_job jobs[BATCH_JOBS];
    struct ocid_pair pairs[BATCH_JOBS][ARGS_PAIRS_MAX + 1];
    char *strings; /* what the jobs borrow */
    size_t n, n_strings;
    uint64_t n_taken, n_lost, bytes;
    int status;                                    /* of what has ended it, 0: goes on */
    int (*submit)(struct batch *b, uint64_t *ids); /* ocid_submit(), or a test's */
};

/* set_job: what is submitted first. */
void batch_init(struct batch *b, struct ctl *ctl, const struct ocid_job *set_job);
void batch_fini(struct batch *b);

/* A copy of text that lives as long as the jobs at hand; NULL: no room, flush first. */
const char *batch_text(struct batch *b, const char *text);

/* There is room for one more job and its strings; else flushes. 0 or b->status. */
int batch_room(struct batch *b);

/* The job is ready at b->jobs[b->n], its pairs at b->pairs[b->n]. */
void batch_add(struct batch *b);

/* Submits what was gathered. What is refused for itself is said and left out. 0 or b->status. */
int batch_flush(struct batch *b);

#endif
