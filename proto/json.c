/* SPDX-License-Identifier: Apache-2.0
 *
 * json.c - messages as JSON lines: `ocictl --json`, and listings in files.
 *
 * Pure but for the buffer; any thread. Source: RFC 8259.
 */
#include "proto/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/text.h"

static void add(struct oc_buf *b, const char *text)
{
    oc_buf_add(b, text, strlen(text));
}

void ocp_json_text(const char *p, size_t n, struct oc_buf *b)
{
    add(b, "\"");
    for (size_t at = 0; at < n;) {
        size_t len = oc_utf8_len(p + at, n - at);
        unsigned char c = (unsigned char)p[at];
        char escape[8];
        if (!len) {
            add(b, "\\ufffd");
        } else if (c == '"' || c == '\\') {
            snprintf(escape, sizeof escape, "\\%c", c);
            add(b, escape);
        } else if (c < 0x20 || c == 0x7f) {
            snprintf(escape, sizeof escape, "\\u%04x", c);
            add(b, escape);
        } else {
            oc_buf_add(b, p + at, len);
        }
        at += len ? len : 1;
    }
    add(b, "\"");
}

static void number(struct oc_buf *b, uint64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, v);
    add(b, text);
}

static void sub(const struct ocp_desc *desc, const struct ocp_span *s, struct oc_buf *b)
{
    union {
        uint64_t align;
        char bytes[2048];
    } msg;
    struct ocp_iter it = {0};
    for (uint32_t i = 0; desc->size <= sizeof msg; i++) {
        if (ocp_next_sub(desc, s, &it, &msg, NULL, NULL) <= 0)
            break;
        if (i)
            add(b, ",");
        ocp_json(desc, &msg, b);
    }
}

static void map(const struct ocp_span *s, struct oc_buf *b)
{
    struct ocp_iter it = {0};
    struct ocp_str k, v;
    add(b, "{");
    for (uint32_t i = 0; ocp_next_pair(s, &it, &k, &v); i++) {
        if (i)
            add(b, ",");
        ocp_json_text(k.p, k.n, b);
        add(b, ":");
        ocp_json_text(v.p, v.n, b);
    }
    add(b, "}");
}

static void numbers(const struct ocp_span *s, struct oc_buf *b)
{
    struct ocp_iter it = {0};
    uint64_t v;
    add(b, "[");
    for (uint32_t i = 0; ocp_next_u64(s, &it, &v); i++) {
        if (i)
            add(b, ",");
        number(b, v);
    }
    add(b, "]");
}

static void value(const struct ocp_field *f, const void *at, struct oc_buf *b)
{
    const struct ocp_str *text = at;
    switch (f->type) {
    case OCP_BOOL:
        add(b, *(const bool *)at ? "true" : "false");
        break;
    case OCP_U64:
        number(b, *(const uint64_t *)at);
        break;
    case OCP_I64:
        if (*(const int64_t *)at < 0)
            add(b, "-");
        number(b, *(const int64_t *)at < 0 ? -*(const uint64_t *)at : *(const uint64_t *)at);
        break;
    case OCP_STR:
    case OCP_BYTES:
        ocp_json_text(text->p, text->n, b);
        break;
    case OCP_ENUM:
        ocp_json_text(ocp_enum_name(f->values, *(const int *)at),
                      strlen(ocp_enum_name(f->values, *(const int *)at)), b);
        break;
    case OCP_U64S:
        numbers(at, b);
        break;
    case OCP_MAP:
        map(at, b);
        break;
    case OCP_SUB:
        sub(f->sub, at, b);
        break;
    case OCP_LIST:
        add(b, "[");
        sub(f->sub, at, b);
        add(b, "]");
        break;
    }
}

void ocp_json(const struct ocp_desc *desc, const void *in, struct oc_buf *b)
{
    uint64_t has = *(const uint64_t *)in;
    const char *comma = "";
    add(b, "{");
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const struct ocp_field *f = &desc->fields[i];
        if (!(has >> i & 1))
            continue;
        add(b, comma);
        ocp_json_text(f->name, f->name_len, b);
        add(b, ":");
        value(f, (const char *)in + f->offset, b);
        comma = ",";
    }
    add(b, "}");
}
