/* SPDX-License-Identifier: Apache-2.0
 *
 * json.h - any message as one line of JSON, by walking its table.
 *
 * Any thread.
 */
#ifndef PROTO_JSON_H
#define PROTO_JSON_H

#include "proto/codec.h"

/* Appends {"field": value, …} without a line's end: present fields only, in the order of the
 * table; enums by name, maps as objects, lists as arrays. Bytes that are not UTF-8 become U+FFFD.
 * Integers are written whole (a reader with doubles loses those above 2^53). Failure shows in
 * b->failed. */
void ocp_json(const struct ocp_desc *desc, const void *in, struct oc_buf *b);

/* One JSON string with its quotes. */
void ocp_json_text(const char *p, size_t n, struct oc_buf *b);

#endif
