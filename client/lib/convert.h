/* SPDX-License-Identifier: Apache-2.0
 *
 * convert.h - between the plain C structs of client.h and the messages of proto/.
 *
 * Any thread. Nothing here blocks or does I/O.
 */
#ifndef LIB_CONVERT_H
#define LIB_CONVERT_H

#include "ocid/client.h"
#include "proto/codec.h"

/* Memory of one answer, freed as a whole. Zeroed is empty. */
struct lib_arena {
    struct lib_chunk *chunks;
};

/* NULL when out of memory. Zeroed, aligned for any struct. */
void *lib_alloc(struct lib_arena *a, size_t n);
void lib_arena_fini(struct lib_arena *a);

/* Forgets what was allocated and keeps a little memory for the next. */
void lib_arena_clear(struct lib_arena *a);

/* Jobs of one job.submit. */
struct lib_batch {
    struct oc_buf jobs, lists; /* lists: of the job at hand */
    int fds[OCP_MAX_FDS];      /* borrowed from the caller */
    unsigned n_fds;
    uint32_t n, max;
};
void lib_batch_init(struct lib_batch *b, uint32_t max_jobs, size_t max_bytes);
void lib_batch_fini(struct lib_batch *b);
void lib_batch_clear(struct lib_batch *b);

/* 1: taken; 0: full, the job belongs to the next batch; or an error. */
int lib_batch_add(struct lib_batch *b, const struct ocid_job *job, struct oc_err *err);

/* The job at place i: the stride is the caller's struct_size, not ours. */
const struct ocid_job *lib_job_at(const struct ocid_job *jobs, size_t i);

/* Copies a caller's struct whose first member is its size: what an older caller lacks is 0, what a
 * newer caller has set beyond ours is OCID_E_UNSUPPORTED. */
int lib_struct(void *ours, size_t ours_size, const void *theirs, const char *made_by,
               struct oc_err *err);

void lib_failure_of(const struct oc_err *err, int64_t index, struct ocid_failure *out);
void lib_failure_of_job(const struct ocid_status *job, int64_t index, struct ocid_failure *out);

/* Answers. Results live in the arena; 0 or an error. */
int lib_page(struct lib_arena *a, const struct ocp_statuses *in, struct ocid_page *out,
             struct oc_err *err);
int lib_stats(struct lib_arena *a, const struct ocp_stats *in, struct ocid_stats *out,
              struct oc_err *err);
int lib_pairs(struct lib_arena *a, const struct ocp_span *in, const struct ocid_pair **ret,
              size_t *ret_n, struct oc_err *err);
int lib_row(struct lib_arena *a, const struct ocp_row *in, struct ocid_row *out,
            struct oc_err *err);

/* acks[0..n) of the ids of one message. */
int lib_acks(struct lib_arena *a, const struct ocp_acks *in, struct ocid_ack *acks, size_t n,
             struct oc_err *err);

#endif
