/* SPDX-License-Identifier: Apache-2.0
 *
 * codec.h - packs and unpacks messages by walking the field tables made from messages.def.
 *
 * Unpacking allocates nothing: strings, lists and sub-messages point into the bytes given, which
 * must outlive the struct. Any thread.
 */
#ifndef PROTO_CODEC_H
#define PROTO_CODEC_H

#include "proto/buf.h"
#include "proto/err.h"
#include "proto/types.h"

/* Deepest nesting and most bytes of one frame. */
enum { OCP_MAX_DEPTH = 8, OCP_MAX_FRAME = 1 << 20, OCP_MAX_FDS = 64, OCP_MAX_JOBS = 1000 };

/* Walks one MessagePack value: lengths and counts no larger than the bytes left, depth, no ext
 * types, no reserved byte. *ret_len is its length. Nothing may be decoded that did not pass here
 * once. 0 or OCID_E_PROTOCOL with a sentence. */
int ocp_check(const char *bytes, size_t n, size_t *ret_len, struct oc_err *err);

/* One message from a map that passed ocp_check(). Unknown keys are skipped, a known key twice, a
 * wrong type, a value out of bounds or a missing required field is OCID_E_INVALID with the field's
 * name in the sentence. out is zeroed first. desc is &ocp_desc_<message>. */
int ocp_unpack(const struct ocp_desc *desc, const char *bytes, size_t n, void *out,
               struct oc_err *err);

/* Appends the message to b: present fields only, in the order of the table. Bounds are the
 * caller's duty. Failure shows in b->failed, too. */
int ocp_pack(const struct ocp_desc *desc, const void *in, struct oc_buf *b);

/* Lists, one element at a time. Start with it = {0}; 1 and the element, or 0 at the end. */
struct ocp_iter {
    size_t at;
    uint32_t i;
};
int ocp_next_u64(const struct ocp_span *list, struct ocp_iter *it, uint64_t *ret);
int ocp_next_pair(const struct ocp_span *map, struct ocp_iter *it, struct ocp_str *ret_key,
                  struct ocp_str *ret_value);
/* 1, 0 at the end, or a negative error with err filled; *ret_raw (may be NULL) is its bytes. */
int ocp_next_sub(const struct ocp_desc *desc, const struct ocp_span *list, struct ocp_iter *it,
                 void *out, struct ocp_str *ret_raw, struct oc_err *err);

/* Building a list: add elements to a buffer of its own, count them, then point the field at it. */
void ocp_add_u64(struct oc_buf *b, uint64_t v);
void ocp_add_pair(struct oc_buf *b, const char *key, const char *value, size_t n);
struct ocp_span ocp_span(const struct oc_buf *b, uint32_t count);

/* Names of enum values and methods; ocp_enum_find and ocp_method_find give -1 for an unknown one.
 */
const char *ocp_enum_name(const struct ocp_enum *e, int value);
int ocp_enum_find(const struct ocp_enum *e, const char *name, size_t n);
const struct ocp_method *ocp_method(int id);
int ocp_method_find(const char *name, size_t n);

struct ocp_str ocp_str(const char *s);
int ocp_str_is(struct ocp_str s, const char *text);

/* A NUL-ended copy, cut to size. Returns out. */
char *ocp_str_copy(struct ocp_str s, char *out, size_t size);

/* The error message of a reply from struct oc_err, and back. index < 0: none. */
void ocp_error_of(const struct oc_err *err, int64_t index, struct ocp_error *out);
void ocp_error_to(const struct ocp_error *in, struct oc_err *out);

#endif
