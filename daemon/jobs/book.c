/* SPDX-License-Identifier: Apache-2.0
 *
 * book.c - finds jobs by id, ids by key, successors by predecessor.
 *
 * Control loop. Ids only grow, so the table is a row of pages that are freed when they are empty;
 * nothing is ever rehashed on the way of a submit.
 */
#include "jobs/book.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "core/mem.h"

enum { PAGE_BITS = 10, PAGE_JOBS = 1 << PAGE_BITS };

struct book_page {
    unsigned n;
    struct job *jobs[PAGE_JOBS];
};

struct book_key {
    UT_hash_handle hh;
    uint64_t id;
    unsigned n;
    char text[]; /* uid in 4 bytes, then the key */
};

struct book_after {
    UT_hash_handle hh;
    uint64_t predecessor, *ids;
    unsigned n;
};

void book_init(struct book *b, uint64_t next_id)
{
    *b = (struct book){.next_id = next_id, .first_page = next_id >> PAGE_BITS};
}

void book_fini(struct book *b)
{
    for (uint64_t p = 0; p < b->n_pages; p++) {
        for (unsigned i = 0; b->pages[p] && i < PAGE_JOBS; i++)
            job_free(b->pages[p]->jobs[i]);
        free(b->pages[p]);
    }
    free(b->pages);
    struct book_key *k, *next_key;
    HASH_ITER (hh, b->keys, k, next_key) {
        HASH_DEL(b->keys, k);
        free(k);
    }
    struct book_after *a, *next_after;
    HASH_ITER (hh, b->after, a, next_after) {
        HASH_DEL(b->after, a);
        free(a->ids);
        free(a);
    }
    *b = (struct book){0};
}

/* Jobs that were read back may be older than the first page. */
static struct book_page **page_of(struct book *b, uint64_t id)
{
    uint64_t page = id >> PAGE_BITS;
    if (!b->n_pages)
        b->first_page = page;
    if (page < b->first_page) {
        uint64_t more = b->first_page - page;
        b->pages = oc_grow(b->pages, b->n_pages + more, sizeof *b->pages);
        memmove(b->pages + more, b->pages, b->n_pages * sizeof *b->pages);
        memset(b->pages, 0, more * sizeof *b->pages);
        b->first_page = page;
        b->n_pages += more;
    }
    if (page >= b->first_page + b->n_pages) {
        uint64_t want = page - b->first_page + 1;
        b->pages = oc_grow(b->pages, want, sizeof *b->pages);
        memset(b->pages + b->n_pages, 0, (want - b->n_pages) * sizeof *b->pages);
        b->n_pages = want;
    }
    return &b->pages[page - b->first_page];
}

void book_add(struct book *b, struct job *j)
{
    struct book_page **page = page_of(b, j->id);
    if (!*page)
        *page = OC_NEW(struct book_page);
    assert(!(*page)->jobs[j->id & (PAGE_JOBS - 1)]);
    (*page)->jobs[j->id & (PAGE_JOBS - 1)] = j;
    (*page)->n++;
    b->n_jobs++;
}

struct job *book_find(const struct book *b, uint64_t id)
{
    uint64_t page = id >> PAGE_BITS;
    if (page < b->first_page || page >= b->first_page + b->n_pages)
        return NULL;
    const struct book_page *p = b->pages[page - b->first_page];
    return p ? p->jobs[id & (PAGE_JOBS - 1)] : NULL;
}

void book_remove(struct book *b, struct job *j)
{
    struct book_page **page = page_of(b, j->id);
    assert(*page && (*page)->jobs[j->id & (PAGE_JOBS - 1)] == j);
    (*page)->jobs[j->id & (PAGE_JOBS - 1)] = NULL;
    b->n_jobs--;
    if (--(*page)->n)
        return;
    free(*page);
    *page = NULL;
}

struct job *book_each(const struct book *b, uint64_t from)
{
    uint64_t id = from < b->first_page << PAGE_BITS ? b->first_page << PAGE_BITS : from;
    uint64_t end = (b->first_page + b->n_pages) << PAGE_BITS;
    while (id < end) {
        const struct book_page *p = b->pages[(id >> PAGE_BITS) - b->first_page];
        if (!p) {
            id = ((id >> PAGE_BITS) + 1) << PAGE_BITS;
            continue;
        }
        if (p->jobs[id & (PAGE_JOBS - 1)])
            return p->jobs[id & (PAGE_JOBS - 1)];
        id++;
    }
    return NULL;
}

struct job *book_before(const struct book *b, uint64_t before)
{
    uint64_t end = (b->first_page + b->n_pages) << PAGE_BITS;
    uint64_t id = before < end ? before : end;
    while (id-- > b->first_page << PAGE_BITS) {
        const struct book_page *p = b->pages[(id >> PAGE_BITS) - b->first_page];
        if (!p) {
            id &= ~(uint64_t)(PAGE_JOBS - 1);
            continue;
        }
        if (p->jobs[id & (PAGE_JOBS - 1)])
            return p->jobs[id & (PAGE_JOBS - 1)];
    }
    return NULL;
}

static struct book_key *key_make(uint32_t uid, struct ocp_str key, uint64_t id)
{
    struct book_key *k = oc_new(1, sizeof *k + sizeof uid + key.n);
    memcpy(k->text, &uid, sizeof uid);
    memcpy(k->text + sizeof uid, key.p, key.n);
    k->n = (unsigned)sizeof uid + key.n;
    k->id = id;
    return k;
}

static struct book_key *key_find(const struct book *b, uint32_t uid, struct ocp_str key)
{
    struct book_key *found, *k = key_make(uid, key, 0);
    HASH_FIND(hh, b->keys, k->text, k->n, found);
    free(k);
    return found;
}

uint64_t book_key_find(const struct book *b, uint32_t uid, struct ocp_str key)
{
    struct book_key *k = key_find(b, uid, key);
    return k ? k->id : 0;
}

void book_key_add(struct book *b, uint32_t uid, struct ocp_str key, uint64_t id)
{
    struct book_key *k = key_make(uid, key, id);
    HASH_ADD(hh, b->keys, text, k->n, k);
}

void book_key_remove(struct book *b, uint32_t uid, struct ocp_str key)
{
    struct book_key *k = key_find(b, uid, key);
    if (k)
        HASH_DEL(b->keys, k);
    free(k);
}

void book_after_add(struct book *b, uint64_t predecessor, uint64_t successor)
{
    struct book_after *a;
    HASH_FIND(hh, b->after, &predecessor, sizeof predecessor, a);
    if (!a) {
        a = OC_NEW(struct book_after);
        a->predecessor = predecessor;
        HASH_ADD(hh, b->after, predecessor, sizeof a->predecessor, a);
    }
    a->ids = oc_grow(a->ids, a->n + 1, sizeof *a->ids);
    a->ids[a->n++] = successor;
}

static struct book_after *after_find(const struct book *b, uint64_t predecessor)
{
    struct book_after *a;
    HASH_FIND(hh, b->after, &predecessor, sizeof predecessor, a);
    return a;
}

static void free_if_empty(struct book *b, struct book_after *a)
{
    if (a->n)
        return;
    HASH_DEL(b->after, a);
    free(a->ids);
    free(a);
}

uint64_t book_after_take(struct book *b, uint64_t predecessor)
{
    struct book_after *a = after_find(b, predecessor);
    if (!a)
        return 0;
    uint64_t id = a->ids[--a->n];
    free_if_empty(b, a);
    return id;
}

void book_after_drop(struct book *b, uint64_t predecessor, uint64_t successor)
{
    struct book_after *a = after_find(b, predecessor);
    if (!a)
        return;
    unsigned kept = 0;
    for (unsigned i = 0; i < a->n; i++)
        if (a->ids[i] != successor)
            a->ids[kept++] = a->ids[i];
    a->n = kept;
    free_if_empty(b, a);
}
