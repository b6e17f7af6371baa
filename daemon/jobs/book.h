/* SPDX-License-Identifier: Apache-2.0
 *
 * book.h - id -> job, idempotency keys, successors; pages of pointers, since ids are dense.
 *
 * Control loop.
 */
#ifndef JOBS_BOOK_H
#define JOBS_BOOK_H

#include <stdint.h>

#include "jobs/job.h"

struct book_page;
struct book_key;
struct book_after;

struct book {
    struct book_page **pages;
    uint64_t first_page, n_pages;
    uint64_t next_id, n_jobs;
    struct book_key *keys;
    struct book_after *after; /* predecessor -> who waits for it */
};

void book_init(struct book *b, uint64_t next_id);
void book_fini(struct book *b); /* frees the jobs that are left */

void book_add(struct book *b, struct job *j);
void book_remove(struct book *b, struct job *j);
struct job *book_find(const struct book *b, uint64_t id);

/* First job whose id is from or more; last one whose id is less than before; NULL: none. */
struct job *book_each(const struct book *b, uint64_t from);
struct job *book_before(const struct book *b, uint64_t before);

/* The id that this key of uid's stands for; 0: none. */
uint64_t book_key_find(const struct book *b, uint32_t uid, struct ocp_str key);
void book_key_add(struct book *b, uint32_t uid, struct ocp_str key, uint64_t id);
void book_key_remove(struct book *b, uint32_t uid, struct ocp_str key);

/* successor waits for predecessor; book_after_take() gives them back one at a time, 0 at the
 * end. */
void book_after_add(struct book *b, uint64_t predecessor, uint64_t successor);
uint64_t book_after_take(struct book *b, uint64_t predecessor);

/* successor does not wait for predecessor any more. */
void book_after_drop(struct book *b, uint64_t predecessor, uint64_t successor);

#endif
