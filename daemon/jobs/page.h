/* SPDX-License-Identifier: Apache-2.0
 *
 * page.h - one page of a listing, taken apart: into rows for a client, lines of a file, or the
 * members of a pull.
 */
#ifndef JOBS_PAGE_H
#define JOBS_PAGE_H

#include <stddef.h>
#include <stdint.h>

#include "core/work.h"
#include "jobs/uploads.h"
#include "proto/buf.h"
#include "proto/types.h"

struct xfer_file;

enum page_to { PAGE_TO_PIPE, PAGE_TO_FILE, PAGE_TO_MEMBERS };

/* Made on the loop, filled in the pool, read on the loop again. */
struct page {
    struct work work; /* .run = page_take_apart */
    void *arg;        /* the maker's */
    enum page_to to;
    int kind;                /* of the job */
    const char *uuid;        /* the store's */
    char *body, *page_token; /* of the answer; owned */
    char *start;             /* that the page was asked with; owned */
    size_t n;                /* of body */
    uint64_t left;           /* rows that may still come; UINT64_MAX: any number */
    char last_prefix[1025];
    /* members */
    struct ocp_job member; /* what every member has; borrows from the run */
    char *dest, *prefix;   /* owned */
    /* file */
    struct xfer_file *file; /* a reference */
    uint64_t offset;        /* where its rows go */
    /* results */
    struct oc_buf rows;
    struct uploads uploads;
    uint32_t n_rows;
    int has_objects; /* members: also if none of them becomes a file */
    char *next;      /* start of the page after, NULL: this was the last */
    struct oc_err err;
};

/* In the pool: fills the results, writes and syncs the rows of a file. err.code: OCID_E_SERVER for
 * what cannot be read, OCID_E_SPACE or OCID_E_DESTINATION for the file. */
void page_take_apart(struct work *w);
void page_free(struct page *t);

#endif
