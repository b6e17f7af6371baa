/* SPDX-License-Identifier: Apache-2.0
 *
 * tables.c - the tables that messages.def unfolds into: enums, fields, messages, methods.
 *
 * Constant data; any thread. Read by codec.c and mkdocs.c; start at messages.def.
 */
#include "proto/codec.h"

#include <string.h>

#define OCP_OPTIONAL 0
#define OCP_REQUIRED 1

/* clang-format off */

/* Names of the values of enums. */
#define ENUM_BEGIN(e)       static const char *const names_##e[] = {
#define ENUM_ROW(e, v, doc) #v,
#define ENUM_END(e)         };
#define MSG_BEGIN(m, since, doc)
#define FIELD(m, type, name, need, bound, doc)
#define FIELD_ENUM(m, e, name, need, doc)
#define FIELD_SUB(m, sub, name, need, doc)
#define FIELD_LIST(m, sub, name, need, bound, doc)
#define MSG_END(m)
#define METHOD(id, name, request, reply, since, doc)
#include "proto/messages.def"
#include "proto/undef.h"

/* What they mean. */
#define ENUM_BEGIN(e)       static const char *const docs_##e[] = {
#define ENUM_ROW(e, v, doc) doc,
#define ENUM_END(e)         };
#define MSG_BEGIN(m, since, doc)
#define FIELD(m, type, name, need, bound, doc)
#define FIELD_ENUM(m, e, name, need, doc)
#define FIELD_SUB(m, sub, name, need, doc)
#define FIELD_LIST(m, sub, name, need, bound, doc)
#define MSG_END(m)
#define METHOD(id, name, request, reply, since, doc)
#include "proto/messages.def"
#include "proto/undef.h"

/* Enums. */
#define ENUM_BEGIN(e) \
    const struct ocp_enum ocp_enum_##e = {#e, OCP_ENUM_##e##_COUNT, names_##e, docs_##e};
#define ENUM_ROW(e, v, doc)
#define ENUM_END(e)
#define MSG_BEGIN(m, since, doc)
#define FIELD(m, type, name, need, bound, doc)
#define FIELD_ENUM(m, e, name, need, doc)
#define FIELD_SUB(m, sub, name, need, doc)
#define FIELD_LIST(m, sub, name, need, bound, doc)
#define MSG_END(m)
#define METHOD(id, name, request, reply, since, doc)
#include "proto/messages.def"
#include "proto/undef.h"

/* Fields. */
#define PLACE(m, name, type, need) \
    #name, sizeof #name - 1, type, OCP_##need, offsetof(struct ocp_##m, name)
#define ENUM_BEGIN(e)
#define ENUM_ROW(e, v, doc)
#define ENUM_END(e)
#define MSG_BEGIN(m, since, doc) static const struct ocp_field fields_##m[] = {
#define FIELD(m, type, name, need, bound, doc) \
    {PLACE(m, name, OCP_##type, need), bound, NULL, NULL, doc},
#define FIELD_ENUM(m, e, name, need, doc) \
    {PLACE(m, name, OCP_ENUM, need), 0, &ocp_enum_##e, NULL, doc},
#define FIELD_SUB(m, sub, name, need, doc) \
    {PLACE(m, name, OCP_SUB, need), 0, NULL, &ocp_desc_##sub, doc},
#define FIELD_LIST(m, sub, name, need, bound, doc) \
    {PLACE(m, name, OCP_LIST, need), bound, NULL, &ocp_desc_##sub, doc},
#define MSG_END(m)               };
#define METHOD(id, name, request, reply, since, doc)
#include "proto/messages.def"
#include "proto/undef.h"

/* Messages; `required` is the mask of the fields that must be there. */
#define NEED(m, name, need) | (uint64_t)OCP_##need << OCP_FIELD_##m##_##name
#define ENUM_BEGIN(e)
#define ENUM_ROW(e, v, doc)
#define ENUM_END(e)
#define MSG_BEGIN(m, since, doc) \
    _Static_assert(OCP_FIELD_##m##_COUNT <= 64, "`has` holds 64 fields"); \
    const struct ocp_desc ocp_desc_##m = { \
        #m, since, OCP_FIELD_##m##_COUNT, sizeof(struct ocp_##m), fields_##m, doc, 0
#define FIELD(m, type, name, need, bound, doc)     NEED(m, name, need)
#define FIELD_ENUM(m, e, name, need, doc)          NEED(m, name, need)
#define FIELD_SUB(m, sub, name, need, doc)         NEED(m, name, need)
#define FIELD_LIST(m, sub, name, need, bound, doc) NEED(m, name, need)
#define MSG_END(m)                                 };
#define METHOD(id, name, request, reply, since, doc)
#include "proto/messages.def"
#include "proto/undef.h"

/* All of them, for walks. */
const struct ocp_enum *const ocp_enums[] = {
#define ENUM_BEGIN(e) &ocp_enum_##e,
#define ENUM_ROW(e, v, doc)
#define ENUM_END(e)
#define MSG_BEGIN(m, since, doc)
#define FIELD(m, type, name, need, bound, doc)
#define FIELD_ENUM(m, e, name, need, doc)
#define FIELD_SUB(m, sub, name, need, doc)
#define FIELD_LIST(m, sub, name, need, bound, doc)
#define MSG_END(m)
#define METHOD(id, name, request, reply, since, doc)
#include "proto/messages.def"
#include "proto/undef.h"
    NULL,
};

const struct ocp_desc *const ocp_messages[] = {
#define ENUM_BEGIN(e)
#define ENUM_ROW(e, v, doc)
#define ENUM_END(e)
#define MSG_BEGIN(m, since, doc) &ocp_desc_##m,
#define FIELD(m, type, name, need, bound, doc)
#define FIELD_ENUM(m, e, name, need, doc)
#define FIELD_SUB(m, sub, name, need, doc)
#define FIELD_LIST(m, sub, name, need, bound, doc)
#define MSG_END(m)
#define METHOD(id, name, request, reply, since, doc)
#include "proto/messages.def"
#include "proto/undef.h"
    NULL,
};

static const struct ocp_method methods[] = {
#define ENUM_BEGIN(e)
#define ENUM_ROW(e, v, doc)
#define ENUM_END(e)
#define MSG_BEGIN(m, since, doc)
#define FIELD(m, type, name, need, bound, doc)
#define FIELD_ENUM(m, e, name, need, doc)
#define FIELD_SUB(m, sub, name, need, doc)
#define FIELD_LIST(m, sub, name, need, bound, doc)
#define MSG_END(m)
#define METHOD(id, name, request, reply, since, doc) \
    {name, &ocp_desc_##request, &ocp_desc_##reply, since, doc},
#include "proto/messages.def"
#include "proto/undef.h"
};

/* clang-format on */

const struct ocp_method *ocp_method(int id)
{
    return id >= 0 && id < OCP_METHOD_COUNT ? &methods[id] : NULL;
}

int ocp_method_find(const char *name, size_t n)
{
    for (int i = 0; i < OCP_METHOD_COUNT; i++)
        if (strlen(methods[i].name) == n && !memcmp(methods[i].name, name, n))
            return i;
    return -1;
}

const char *ocp_enum_name(const struct ocp_enum *e, int value)
{
    return value >= 0 && value < e->n ? e->names[value] : "unknown";
}

int ocp_enum_find(const struct ocp_enum *e, const char *name, size_t n)
{
    for (int i = 0; i < e->n; i++)
        if (strlen(e->names[i]) == n && !memcmp(e->names[i], name, n))
            return i;
    return -1;
}
