/* SPDX-License-Identifier: Apache-2.0
 *
 * frame.h - length prefix, size ceiling, incremental reader; and the envelope inside a frame.
 *
 * A frame is a u32 in big-endian order, then so many bytes: one MessagePack value of
 * MessagePack-RPC shape. Any thread.
 */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include "proto/codec.h"

enum ocp_shape { OCP_REQUEST = 0, OCP_REPLY = 1 };

struct ocp_envelope {
    enum ocp_shape shape;
    uint64_t id;
    struct ocp_str method; /* request */
    struct ocp_span body;  /* request: the map of parameters; reply: the result, or the error */
    int is_error;          /* reply */
};

/* Looks for a whole frame at the front of data. 1: *ret is its payload and *ret_used what it took;
 * 0: more bytes are needed (*ret_want: how many in all, 0 while unknown); OCID_E_TOO_LARGE when the
 * prefix claims more than OCP_MAX_FRAME. */
int ocp_frame_next(const char *data, size_t n, struct ocp_str *ret, size_t *ret_used,
                   size_t *ret_want, struct oc_err *err);

/* Checks the payload (ocp_check) and takes the envelope apart. */
int ocp_envelope_read(struct ocp_str payload, struct ocp_envelope *ret, struct oc_err *err);

/* Appends a whole frame to b, or nothing: 0, OCID_E_NOMEM or OCID_E_TOO_LARGE (more than
 * OCP_MAX_FRAME, or than b's ceiling). After a failure b has the bytes it had, and b->failed is set
 * until its owner clears it. */
int ocp_frame_request(struct oc_buf *b, uint64_t id, int method, const void *params);
int ocp_frame_reply(struct oc_buf *b, uint64_t id, int method, const void *result);
int ocp_frame_error(struct oc_buf *b, uint64_t id, const struct oc_err *err, int64_t index);

/* A bare message in a frame: rows of a listing in a pipe. */
int ocp_frame_message(struct oc_buf *b, const struct ocp_desc *desc, const void *in);

#endif
