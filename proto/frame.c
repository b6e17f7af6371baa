/* SPDX-License-Identifier: Apache-2.0
 *
 * frame.c - finds frames in a stream of bytes, takes their envelope apart, and writes them.
 *
 * No I/O, no allocation but oc_buf's. Any thread. Used by sessions, libocid and listings; start at
 * ocp_frame_next() for reading and at ocp_frame_request() for writing.
 */
#include "frame.h"

#include <string.h>

#include <msgpack/pack.h>

enum { PREFIX = 4 };

int ocp_frame_next(const char *data, size_t n, struct ocp_str *ret, size_t *ret_used,
                   size_t *ret_want, struct oc_err *err)
{
    const unsigned char *p = (const unsigned char *)data;
    *ret_want = 0;
    if (n < PREFIX)
        return 0;
    uint32_t len = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    if (len > OCP_MAX_FRAME)
        return oc_fail(err, OCID_E_TOO_LARGE, 0, "a frame of %u bytes is announced, %d is the most",
                       len, OCP_MAX_FRAME);
    *ret_want = PREFIX + (size_t)len;
    if (n < *ret_want)
        return 0;
    *ret = (struct ocp_str){data + PREFIX, len};
    *ret_used = *ret_want;
    return 1;
}

/* The envelope's own items are few and small: a reader of its own would be longer than this. */
static int read_id(const char *p, size_t n, uint64_t *ret, size_t *ret_used)
{
    size_t len;
    uint64_t id;
    struct ocp_iter it = {0};
    unsigned char c = n ? (unsigned char)*p : 0xc0;
    if (c >= 0x80 && (c < 0xcc || c > 0xcf)) /* not an integer of at least 0 */
        return 0;
    if (ocp_check(p, n, &len, NULL) ||
        !ocp_next_u64(&(struct ocp_span){p, (uint32_t)len, 1}, &it, &id))
        return 0;
    *ret = id;
    *ret_used = len;
    return 1;
}

static int is_map(const char *p, size_t n)
{
    unsigned char c = n ? (unsigned char)*p : 0xc0;
    return (c & 0xf0) == 0x80 || c == 0xde || c == 0xdf;
}

static int read_method(const char *p, size_t n, struct ocp_str *ret, size_t *ret_used)
{
    unsigned char c = n ? (unsigned char)*p : 0xc0;
    size_t head = (c & 0xe0) == 0xa0 ? 1 : c == 0xd9 ? 2 : 0;
    size_t len = head == 1 ? c & 31u : head == 2 && n > 1 ? (unsigned char)p[1] : 0;
    if (!head || head + len > n)
        return 0;
    *ret = (struct ocp_str){p + head, (uint32_t)len};
    *ret_used = head + len;
    return 1;
}

static int wrong(struct oc_err *err, const char *what)
{
    return oc_fail(err, OCID_E_PROTOCOL, 0, "the message is not a request or reply: %s", what);
}

int ocp_envelope_read(struct ocp_str payload, struct ocp_envelope *ret, struct oc_err *err)
{
    struct ocp_envelope env = {0};
    size_t len, used;
    uint64_t shape;
    int rc = ocp_check(payload.p, payload.n, &len, err);
    if (rc)
        return rc;
    if (len != payload.n)
        return wrong(err, "bytes follow it");
    const char *p = payload.p, *end = p + len;
    if ((unsigned char)*p++ != 0x94)
        return wrong(err, "not an array of four");
    if (!read_id(p, (size_t)(end - p), &shape, &used) || shape > OCP_REPLY)
        return wrong(err, "its first element is neither 0 nor 1");
    p += used;
    env.shape = (enum ocp_shape)shape;
    if (!read_id(p, (size_t)(end - p), &env.id, &used))
        return wrong(err, "its id is not an integer of at least 0");
    p += used;
    if (env.shape == OCP_REQUEST) {
        if (!read_method(p, (size_t)(end - p), &env.method, &used))
            return wrong(err, "its method is not a string of at most 255 bytes");
        p += used;
    } else if ((unsigned char)*p == 0xc0) {
        p++;
    } else {
        env.is_error = 1;
        if (!is_map(p, (size_t)(end - p)))
            return wrong(err, "its error is not a map");
        ocp_check(p, (size_t)(end - p), &used, NULL); /* has passed above, here for its length */
        env.body = (struct ocp_span){p, (uint32_t)used, 1};
    }
    if (!env.is_error) {
        if (!is_map(p, (size_t)(end - p)))
            return wrong(err, "its body is not a map");
        env.body = (struct ocp_span){p, (uint32_t)(end - p), 1};
    }
    *ret = env;
    return 0;
}

static int pack_write(void *data, const char *bytes, size_t n)
{
    return oc_buf_add(data, bytes, n);
}

static size_t frame_begin(struct oc_buf *b)
{
    size_t start = b->len;
    oc_buf_add(b, "\0\0\0", PREFIX);
    return start;
}

/* Writes the length, or takes the beginning of the frame away again. */
static int frame_end(struct oc_buf *b, size_t start)
{
    size_t len = b->len - start - PREFIX;
    if (!b->failed && len > OCP_MAX_FRAME)
        b->failed = OCID_E_TOO_LARGE;
    if (b->failed) {
        b->len = start;
        return b->failed;
    }
    for (int i = 0; i < PREFIX; i++)
        b->data[start + (size_t)i] = (char)(len >> (24 - 8 * i));
    return 0;
}

static void pack_envelope(msgpack_packer *pk, struct oc_buf *b, enum ocp_shape shape, uint64_t id)
{
    msgpack_packer_init(pk, b, pack_write);
    msgpack_pack_array(pk, 4);
    msgpack_pack_int(pk, (int)shape);
    msgpack_pack_uint64(pk, id);
}

int ocp_frame_request(struct oc_buf *b, uint64_t id, int method, const void *params)
{
    const struct ocp_method *m = ocp_method(method);
    msgpack_packer pk;
    size_t start = frame_begin(b);
    pack_envelope(&pk, b, OCP_REQUEST, id);
    msgpack_pack_str(&pk, strlen(m->name));
    msgpack_pack_str_body(&pk, m->name, strlen(m->name));
    ocp_pack(m->request, params, b);
    return frame_end(b, start);
}

int ocp_frame_reply(struct oc_buf *b, uint64_t id, int method, const void *result)
{
    msgpack_packer pk;
    size_t start = frame_begin(b);
    pack_envelope(&pk, b, OCP_REPLY, id);
    msgpack_pack_nil(&pk);
    ocp_pack(ocp_method(method)->reply, result, b);
    return frame_end(b, start);
}

int ocp_frame_error(struct oc_buf *b, uint64_t id, const struct oc_err *err, int64_t index)
{
    struct ocp_error error;
    msgpack_packer pk;
    ocp_error_of(err, index, &error);
    size_t start = frame_begin(b);
    pack_envelope(&pk, b, OCP_REPLY, id);
    ocp_pack(&ocp_desc_error, &error, b);
    msgpack_pack_nil(&pk);
    return frame_end(b, start);
}

int ocp_frame_message(struct oc_buf *b, const struct ocp_desc *desc, const void *in)
{
    size_t start = frame_begin(b);
    ocp_pack(desc, in, b);
    return frame_end(b, start);
}
