/* SPDX-License-Identifier: Apache-2.0
 *
 * uploads.h - unfinished multipart uploads: those of a page of their list, and whose they are.
 */
#ifndef JOBS_UPLOADS_H
#define JOBS_UPLOADS_H

#include <stddef.h>
#include <stdint.h>

#include "oci/replies.h"
#include "proto/types.h"

struct room;

enum upload_state {
    UPLOAD_UNKNOWN, /* what it holds has to be asked for */
    UPLOAD_ASKED,   /* that request is in flight */
    UPLOAD_KNOWN,
    UPLOAD_GONE, /* committed or aborted meanwhile */
};

struct upload {
    char *object, *id;
    int64_t created_ms;
    uint64_t bytes, n_parts;
    char *parts_page; /* where the next page of its parts begins; NULL: at the first */
    enum upload_state state;
};

/* Zeroed before the first use. */
struct uploads {
    struct upload *all;
    size_t n, room;
    size_t n_left; /* that are neither known nor gone */
};

/* Of one page, in the pool or on the loop. 0, or OCID_E_SERVER. */
int uploads_parse(struct uploads *l, const char *body, size_t n, struct oc_err *err);
void uploads_fini(struct uploads *l);

/* Place of one whose parts are to be asked for next, or -1: all others are in flight or known. */
long uploads_next(const struct uploads *l);

/* One page of its parts has come; next is the page after, NULL: it was the last. 0, or
 * OCID_E_SERVER: it is to be asked for again. */
int uploads_parts(struct uploads *l, size_t at, const char *body, size_t n, const char *next,
                  struct oc_err *err);
void uploads_again(struct uploads *l, size_t at);
void uploads_gone(struct uploads *l, size_t at);

/* Whose an upload is, as far as this daemon knows. */
struct upload_owner {
    uint64_t job;   /* 0: of none */
    uint32_t uid;   /* of the job */
    int certain;    /* the id is the job's; else it may be, since the answer with it has not come */
    int unfinished; /* the job has not ended */
};
void upload_owner_find(const struct room *r, struct ocp_str bucket, const char *object,
                       const char *id, struct upload_owner *ret);

#endif
