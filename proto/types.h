/* SPDX-License-Identifier: Apache-2.0
 *
 * types.h - structs, enums and tables unfolded from messages.def.
 *
 * For message "job": struct ocp_job, enum ocp_job_field (OCP_FIELD_job_bucket), ocp_desc_job.
 * For enum "state": enum ocp_state (OCP_ENUM_state_queued, …_COUNT), ocp_enum_state.
 * A struct's `has` tells which fields are present: OCP_HAS(&job, job, bucket), OCP_SET(…).
 */
#ifndef PROTO_TYPES_H
#define PROTO_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ocp_str {
    const char *p;
    uint32_t n;
};

/* The packed elements of an array or map, or one packed sub-message (count 1). */
struct ocp_span {
    const char *p;
    uint32_t n, count;
};

enum ocp_type {
    OCP_BOOL,
    OCP_U64,
    OCP_I64,
    OCP_STR,
    OCP_BYTES,
    OCP_U64S,
    OCP_MAP,
    OCP_ENUM,
    OCP_SUB,
    OCP_LIST
};

struct ocp_enum {
    const char *name;
    int n;
    const char *const *names, *const *docs;
};

struct ocp_desc;

struct ocp_field {
    const char *name;
    uint8_t name_len, type, required;
    uint16_t offset;
    uint64_t bound;
    const struct ocp_enum *values; /* OCP_ENUM */
    const struct ocp_desc *sub;    /* OCP_SUB, OCP_LIST */
    const char *doc;
};

struct ocp_desc {
    const char *name;
    unsigned since, n_fields;
    size_t size;
    const struct ocp_field *fields;
    const char *doc;
    uint64_t required; /* mask of the fields that must be there */
};

/* All enums and messages, ended by NULL. */
extern const struct ocp_enum *const ocp_enums[];
extern const struct ocp_desc *const ocp_messages[];

struct ocp_method {
    const char *name;
    const struct ocp_desc *request, *reply;
    unsigned since;
    const char *doc;
};

/* clang-format off */
/* Enums. */
#define ENUM_BEGIN(e)       enum ocp_##e {
#define ENUM_ROW(e, v, doc) OCP_ENUM_##e##_##v,
#define ENUM_END(e)         OCP_ENUM_##e##_COUNT };
#define MSG_BEGIN(m, since, doc)
#define FIELD(m, type, name, need, bound, doc)
#define FIELD_ENUM(m, e, name, need, doc)
#define FIELD_SUB(m, sub, name, need, doc)
#define FIELD_LIST(m, sub, name, need, bound, doc)
#define MSG_END(m)
#define METHOD(id, name, request, reply, since, doc)
#include "proto/messages.def"
#include "proto/undef.h"

/* Structs. */
#define OCP_C_BOOL  bool
#define OCP_C_U64   uint64_t
#define OCP_C_I64   int64_t
#define OCP_C_STR   struct ocp_str
#define OCP_C_BYTES struct ocp_str
#define OCP_C_U64S  struct ocp_span
#define OCP_C_MAP   struct ocp_span
#define ENUM_BEGIN(e)
#define ENUM_ROW(e, v, doc)
#define ENUM_END(e)
#define MSG_BEGIN(m, since, doc)                   struct ocp_##m { uint64_t has;
#define FIELD(m, type, name, need, bound, doc)     OCP_C_##type name;
#define FIELD_ENUM(m, e, name, need, doc)          int name;
#define FIELD_SUB(m, sub, name, need, doc)         struct ocp_span name;
#define FIELD_LIST(m, sub, name, need, bound, doc) struct ocp_span name;
#define MSG_END(m)                                 };
#define METHOD(id, name, request, reply, since, doc)
#include "proto/messages.def"
#include "proto/undef.h"

/* Places of fields, tables. */
#define ENUM_BEGIN(e)                              extern const struct ocp_enum ocp_enum_##e;
#define ENUM_ROW(e, v, doc)
#define ENUM_END(e)
#define MSG_BEGIN(m, since, doc)                   extern const struct ocp_desc ocp_desc_##m; enum ocp_##m##_field {
#define FIELD(m, type, name, need, bound, doc)     OCP_FIELD_##m##_##name,
#define FIELD_ENUM(m, e, name, need, doc)          OCP_FIELD_##m##_##name,
#define FIELD_SUB(m, sub, name, need, doc)         OCP_FIELD_##m##_##name,
#define FIELD_LIST(m, sub, name, need, bound, doc) OCP_FIELD_##m##_##name,
#define MSG_END(m)                                 OCP_FIELD_##m##_COUNT };
#define METHOD(id, name, request, reply, since, doc)
#include "proto/messages.def"
#include "proto/undef.h"

enum ocp_method_id {
#define ENUM_BEGIN(e)
#define ENUM_ROW(e, v, doc)
#define ENUM_END(e)
#define MSG_BEGIN(m, since, doc)
#define FIELD(m, type, name, need, bound, doc)
#define FIELD_ENUM(m, e, name, need, doc)
#define FIELD_SUB(m, sub, name, need, doc)
#define FIELD_LIST(m, sub, name, need, bound, doc)
#define MSG_END(m)
#define METHOD(id, name, request, reply, since, doc) OCP_METHOD_##id,
#include "proto/messages.def"
#include "proto/undef.h"
    OCP_METHOD_COUNT
};

/* clang-format on */

#define OCP_HAS(s, m, field) (((s)->has >> OCP_FIELD_##m##_##field) & 1)
#define OCP_SET(s, m, field, value)                                                                \
    ((s)->field = (value), (void)((s)->has |= 1ull << OCP_FIELD_##m##_##field))

#endif
