/* SPDX-License-Identifier: Apache-2.0
 *
 * plan.h - planners: what is the next step of a transfer?
 *
 * Pure: no clock, no I/O, no allocation after init. A planner proposes steps; who drives it (jobs)
 * carries each out and reports its end, in any order. Nothing is decided by the driver but when.
 * Planners know no errors but "it worked", "this step again" and "the transfer has failed": the
 * driver has the error's retry rule, keeps the delay, and says AGAIN for a step to be repeated. A
 * planner starts over by itself five times; then it is STEP_FAILED, whatever the driver knows of.
 */
#ifndef XFER_PLAN_H
#define XFER_PLAN_H

#include <stdint.h>

#include "oci/checksum.h"
#include "proto/err.h"

enum step_kind {
    STEP_WAIT,    /* nothing now: ask again when a step in flight has ended */
    STEP_REQUEST, /* send op */
    STEP_SAVE,    /* write the transfer's row; nothing else until it is on disk */
    STEP_CHECK,   /* put: compare the source with its recorded identity */
    STEP_OPEN,    /* get: make the part file, or open the one named in the row */
    STEP_VERIFY,  /* get: read the part file and sum it as MD5 */
    STEP_PUBLISH, /* get: fsync, link or rename into place, fsync the directory */
    STEP_DONE,    /* the transfer has succeeded */
    STEP_FAILED,  /* for good, with the driver's last error; what had to be cleaned up has been */
};

enum step_op {
    OP_NONE,
    OP_PUT,        /* the whole object */
    OP_CREATE,     /* start of a multipart upload */
    OP_LIST_PARTS, /* which parts the service has; AGAIN also asks for the next page, OK was the
                      last */
    OP_PART,
    OP_COMMIT,
    OP_HEAD,  /* put: did a commit (or a put) whose answer was lost succeed? get: the size */
    OP_ABORT, /* forget the upload; "no such upload" counts as success */
    OP_RANGE, /* get: bytes offset..offset+length-1; pinned by if-match but for the first */
};

struct xfer_step {
    enum step_kind kind;
    enum step_op op;
    uint32_t part_no; /* PART, RANGE: from 1 */
    uint64_t offset, length;
};

enum step_end {
    STEP_OK,
    STEP_AGAIN,     /* it failed, and may be tried again */
    STEP_LOST,      /* COMMIT: its answer was lost, or is not believed */
    STEP_REFUSED,   /* CREATE, COMMIT, PUT: for what is there, which may be our own work */
    STEP_FATAL,     /* it failed for good: the transfer fails */
    STEP_NO_UPLOAD, /* PART, COMMIT, LIST_PARTS: the service does not know the upload (any more);
                       HEAD: what is there is not ours, or nothing is */
    STEP_CHANGED,   /* get, any step: the object is another one now (412), the part file is not what
                       it was, or the sum is wrong: start over. COMMIT: the service refuses the parts
                       as named, but knows the upload: list them again, send what is missing */
};

/* ---- put ---- */

enum put_phase { PUT_NEW, PUT_INTENT, PUT_OPEN, PUT_COMMITTING, PUT_ABORTING };

struct put_limits {
    uint64_t threshold,
        part_bytes; /* single put up to threshold; wanted size of a part, 0: 32 MiB */
};

struct xfer_put;

/* A new put of size bytes. OCID_E_TOO_LARGE when no legal part size fits the object into 10000
 * parts (or the object is over 10 TiB, or a forced part size over 50 GiB). */
int xfer_put_new(uint64_t size, const struct put_limits *limits, struct xfer_put **ret,
                 struct oc_err *err);

/* What the sums of the whole object have to be. */
struct put_sums {
    int has_crc32c;
    uint32_t crc32c;
    char md5[OCI_MULTIPART_MD5_SIZE]; /* as opc-multipart-md5 or content-md5; "": not known */
};

/* The rest of one that was interrupted, from its row: phase, part size and whether an upload id is
 * known; then its sums and each part that the database holds, before the first step. Parts the
 * database has and the service does not list with the same etag are sent again. An intent without
 * an id starts anew. With a commit that may have got through, HEAD comes first, whatever is known
 * of the parts; if it finds our bytes the upload is aborted, since they may have been there before.
 * SAVE in phase PUT_INTENT: an older upload is gone, and the rows of its parts with it. */
int xfer_put_resume(uint64_t size, int phase, uint64_t part_bytes, int have_id,
                    struct xfer_put **ret, struct oc_err *err);

/* A put whose source tells its size by ending: it is kept on disk a part at a time, and what has
 * arrived is kept no longer. What ends within limits->threshold is one PutObject; else parts become
 * larger, so that they suffice for the largest object. phase and have_id as of a row; PUT_NEW: a
 * new one, or one of which no upload was begun. limits->part_bytes: the row's, if there is one. */
int xfer_put_stream(const struct put_limits *limits, int phase, int have_id, struct xfer_put **ret,
                    struct oc_err *err);

/* So many bytes are on disk; ended: there are no more. OCID_E_TOO_LARGE: it does not fit. */
int xfer_put_grow(struct xfer_put *p, uint64_t size, int ended, struct oc_err *err);

/* Where a part of it begins. */
uint64_t xfer_put_offset(const struct xfer_put *p, uint32_t part_no);

/* Up to where the source may be read now: one part more than are in flight is kept. */
uint64_t xfer_put_room(const struct xfer_put *p);

void xfer_put_have(struct xfer_put *p, uint32_t part_no, uint64_t bytes, const char *etag,
                   uint32_t crc32c);
void xfer_put_whole(struct xfer_put *p, const struct put_sums *sums);
void xfer_put_free(struct xfer_put *p);

/* Next step; several REQUEST steps may be in flight at once. */
void xfer_put_next(struct xfer_put *p, struct xfer_step *ret);

/* How a step ended. For PART and STEP_OK: etag and CRC32C of the part (as summed from the bytes
 * sent); its row is posted before the next SAVE. For PUT: the CRC32C of the body, if it was sent.
 */
void xfer_put_end(struct xfer_put *p, const struct xfer_step *s, enum step_end how,
                  const char *etag, uint32_t crc32c);

/* LIST_PARTS: one part that the service has, before xfer_put_end(). */
void xfer_put_listed(struct xfer_put *p, uint32_t part_no, uint64_t bytes, const char *etag);

/* The MD5 of a part in base64, as the service tells it: before the end of its PART, or once it was
 * listed. NULL, or what is none, is not known. */
void xfer_put_md5(struct xfer_put *p, uint32_t part_no, const char *md5);

/* Cancelled or failed from outside (source changed, timeout): no new parts; ABORT follows once
 * nothing is in flight, if there may be an upload; then STEP_FAILED. */
void xfer_put_stop(struct xfer_put *p);

struct put_facts {
    int phase, multipart;
    int lost; /* a stream: the service lacks what is kept here no longer; it has failed */
    uint64_t size, part_bytes, bytes_done;
    uint32_t n_parts, n_done, n_inflight;
    uint32_t crc32c; /* of the whole object, once all parts are done, or the one body was sent */
    const struct put_sums *whole; /* multipart: from its commit on; borrowed from the planner */
};
void xfer_put_facts(const struct xfer_put *p, struct put_facts *ret);

/* etag of a part that is done; NULL otherwise. For the commit and for rows. */
const char *xfer_put_etag(const struct xfer_put *p, uint32_t part_no, uint32_t *ret_crc32c);

/* ---- get ---- */

enum get_phase { GET_NEW, GET_OPEN, GET_VERIFYING, GET_PUBLISHING };

struct xfer_get;

/* A new get; the first range tells size and etag. part_bytes 0: 32 MiB; at least 64 KiB.
 * An object of one part needs no row. A SAVE in phase GET_NEW takes back what a row has said, and
 * the rows of the parts: what they tell of is overwritten from then on. */
int xfer_get_new(uint64_t part_bytes, struct xfer_get **ret, struct oc_err *err);

/* The rest of an interrupted one: size and part size of its row; then, before the first step, the
 * parts that are on disk (their CRC32C checked again by the driver). Size 0: the row had been taken
 * back. OCID_E_TOO_LARGE: over a million parts. */
int xfer_get_resume(uint64_t size, uint64_t part_bytes, struct xfer_get **ret, struct oc_err *err);
void xfer_get_have(struct xfer_get *g, uint32_t part_no, uint64_t bytes, uint32_t crc32c);
void xfer_get_free(struct xfer_get *g);
void xfer_get_next(struct xfer_get *g, struct xfer_step *ret);

/* The first range has answered: size of the object (0: empty, 416), before xfer_get_end(). The
 * bytes of that first range count when it ends. need_md5: there is a content-md5 and no CRC32C, so
 * STEP_VERIFY is wanted unless the one range was the whole object (its MD5 is known already). After
 * a resume it sets need_md5 only. 0, or OCID_E_TOO_LARGE: over a million parts; the get has failed.
 */
int xfer_get_sized(struct xfer_get *g, uint64_t size, int need_md5);
void xfer_get_end(struct xfer_get *g, const struct xfer_step *s, enum step_end how,
                  uint32_t crc32c);
void xfer_get_stop(struct xfer_get *g);

struct get_facts {
    int phase, sized;
    uint64_t size, part_bytes, bytes_done;
    uint32_t n_parts, n_done, n_inflight;
    uint32_t crc32c; /* of the whole object, once all parts are done */
};
void xfer_get_facts(const struct xfer_get *g, struct get_facts *ret);

#endif
