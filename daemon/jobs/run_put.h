/* SPDX-License-Identifier: Apache-2.0
 *
 * run_put.h - what run_put.c, run_stream.c, put_requests.c and put_proof.c know of an upload.
 *
 * Control loop; private to these.
 */
#ifndef JOBS_RUN_PUT_H
#define JOBS_RUN_PUT_H

#include "jobs/files.h"
#include "jobs/room.h"
#include "jobs/run.h"

struct put {
    struct xfer_put *plan;
    struct xfer_file *file; /* NULL: small, or not open yet */
    char *bytes;            /* small: the whole of it */
    struct put_sums sums;   /* of the source, as far as they were needed; not of its parts */
    int at_source;          /* it is being opened, or read for its sum: nothing else is next */
    struct oc_err refused;  /* with the condition not met; whose the object is, is being asked */
    struct file_identity identity;
    int64_t ctime_ns; /* of the source, from before its first byte was read, in whichever life */
    char upload_id[OCI_UPLOAD_ID_SIZE];
    char page[256];        /* LIST_PARTS: opc-next-page */
    uv_poll_t poll;        /* stream: of the pipe */
    int polling;           /* it is open */
    int filling;           /* bytes, or the news of their end, are on their way to disk */
    int ended;             /* they all are on disk, and so is that */
    uint64_t n_read;       /* on disk so far */
    unsigned n_sum;        /* sums that did not agree, in a row */
    struct oc_err damaged; /* the last sums that did not agree: the reason if it is given up */
    int verified;
    char etag[129], version_id[129], request_id[129];
};

/* The source, or the spool file of a stream, has been opened: takes it, and goes on with
 * the plan of an earlier life or a new one. */
void put_on_source(struct file_task *t);

/* Fills in the row of the transfer as it stands, for a STORE_XFER. */
void put_row_to(const struct run *u, struct room_op *o);

/* put_requests.c: the request of a step. 0, or an error for which the job fails. */
int put_build(struct run *u, struct run_request *q, struct oc_err *err);

/* put_proof.c: what the service is told to sum, and what the engine sums (XFER_…): CRC32C; MD5 too
 * while it is not known whether the endpoint does CRC32C. */
enum oci_sum_kind put_sum_kind(const struct run *u);
unsigned put_engine_sums(const struct run *u);

/* An answer to PUT or PART: do the service's sums of the body agree with ours? To COMMIT: does the
 * object's with the one that its parts come to? 0, or OCID_E_CHECKSUM with both values. */
int put_sums_agree(struct run *u, struct run_request *q, struct oc_err *err);
int put_object_agrees(struct run *u, struct run_request *q, struct oc_err *err);

/* HEAD after a lost answer: is what is there ours? Only a proof counts: to call another's object
 * ours would be to lose the source's bytes. STEP_OK, or STEP_NO_UPLOAD: it is not; where the sums
 * that are at hand are not those of the answer, the source's own is made: STEP_AGAIN. */
enum step_end put_is_ours(struct run *u, struct run_request *q);

/* Opens the spool file, then put_on_source(). Without its pipe a stream goes on only if its end was
 * read in an earlier life; else the job fails. */
void stream_open(struct run *u);

/* Reads on if the planner has room: a part more than are in flight is kept. The pool reads, as much
 * as is there; when that was nothing the loop waits for more. Nothing for a put that is no stream.
 */
void stream_feed(struct run *u);

/* What has arrived, and is known to have, needs no place on disk. */
void stream_drop(struct run *u, uint32_t part_no, uint64_t length);

/* The pipe is watched no more. */
void stream_end(struct run *u);

#endif
