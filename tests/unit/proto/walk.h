/* SPDX-License-Identifier: Apache-2.0
 *
 * walk.h - fills any message with values made from its table, and packs again what was read.
 *
 * Used by the tests of the codec and by the program that makes tests/vectors/frames.
 */
#ifndef TESTS_WALK_H
#define TESTS_WALK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"

#define WALK_ALL UINT64_MAX

enum { WALK_MAX = 4096 };

/* Memory that the filled structs point to. */
struct walk {
    struct oc_buf *bufs[WALK_MAX];
    char *texts[WALK_MAX];
    int n_bufs, n_texts;
};

static inline struct oc_buf *walk_buf(struct walk *w)
{
    struct oc_buf *b = malloc(sizeof *b);
    if (!b || w->n_bufs == WALK_MAX)
        abort();
    oc_buf_init(b, 8 << 20);
    return w->bufs[w->n_bufs++] = b;
}

static inline void walk_fini(struct walk *w)
{
    for (int i = 0; i < w->n_bufs; i++) {
        oc_buf_fini(w->bufs[i]);
        free(w->bufs[i]);
    }
    for (int i = 0; i < w->n_texts; i++)
        free(w->texts[i]);
    w->n_bufs = w->n_texts = 0;
}

/* n bytes of text that begin with the field's name. */
static inline char *walk_text(struct walk *w, const char *d, const char *f, size_t n)
{
    char name[128];
    size_t len = (size_t)snprintf(name, sizeof name, "%s.%s", d, f);
    char *text = malloc(n + 1);
    if (!text || w->n_texts == WALK_MAX)
        abort();
    for (size_t i = 0; i < n; i++)
        text[i] = i < len ? name[i] : (char)('a' + i % 26);
    text[n] = 0;
    return w->texts[w->n_texts++] = text;
}

static const uint64_t walk_u64[] = {0,     127,        128,         255,       256,       65535,
                                    65536, 4294967295, 4294967296u, INT64_MAX, UINT64_MAX};
static const int64_t walk_i64[] = {0,   -1,   -32,    -33,    -128,         -129,      -32768,
                                   127, 1000, -32769, 100000, -2147483649l, INT64_MIN, INT64_MAX};

#define WALK_PICK(list, i) ((list)[(i) % (sizeof(list) / sizeof *(list))])

static inline void walk_fill(struct walk *w, const struct ocp_desc *d, uint64_t mask, void *out);

/* n elements of a list or map. */
static inline struct ocp_span walk_list(struct walk *w, const struct ocp_desc *d,
                                        const struct ocp_field *f, uint32_t n)
{
    struct oc_buf *b = walk_buf(w);
    for (uint32_t i = 0; i < n; i++) {
        char key[32], sub[4096];
        snprintf(key, sizeof key, "key-%u", i);
        if (f->type == OCP_U64S)
            ocp_add_u64(b, WALK_PICK(walk_u64, i));
        else if (f->type == OCP_MAP)
            ocp_add_pair(b, key, d->name, strlen(d->name));
        else {
            walk_fill(w, f->sub, i % 2 || n > 3 ? f->sub->required : WALK_ALL, sub);
            ocp_pack(f->sub, sub, b);
        }
    }
    return ocp_span(b, n);
}

static inline void walk_field(struct walk *w, const struct ocp_desc *d, unsigned i, void *out)
{
    const struct ocp_field *f = &d->fields[i];
    void *to = (char *)out + f->offset;
    char sub[4096];
    uint64_t v = WALK_PICK(walk_u64, i);
    size_t len = strlen(d->name) + 1 + f->name_len;
    switch ((enum ocp_type)f->type) {
    case OCP_BOOL:
        *(bool *)to = i % 2;
        return;
    case OCP_U64:
        *(uint64_t *)to = f->bound && v > f->bound ? f->bound : v;
        return;
    case OCP_I64:
        *(int64_t *)to = WALK_PICK(walk_i64, i);
        return;
    case OCP_STR:
    case OCP_BYTES:
        *(struct ocp_str *)to =
            ocp_str(walk_text(w, d->name, f->name, len < f->bound ? len : f->bound));
        return;
    case OCP_ENUM:
        *(int *)to = (int)(i % (unsigned)f->values->n);
        return;
    case OCP_SUB:
        walk_fill(w, f->sub, WALK_ALL, sub);
        struct oc_buf *b = walk_buf(w);
        ocp_pack(f->sub, sub, b);
        *(struct ocp_span *)to = ocp_span(b, 1);
        return;
    default:
        *(struct ocp_span *)to = walk_list(w, d, f, f->bound < 3 ? (uint32_t)f->bound : 3);
    }
}

/* Fills the fields of mask; they point into w. */
static inline void walk_fill(struct walk *w, const struct ocp_desc *d, uint64_t mask, void *out)
{
    uint64_t has = d->n_fields ? mask & (UINT64_MAX >> (64 - d->n_fields)) : 0;
    memset(out, 0, d->size);
    memcpy(out, &has, sizeof has);
    for (unsigned i = 0; i < d->n_fields; i++)
        if (has >> i & 1)
            walk_field(w, d, i, out);
}

/* Reads a message and all in it, and packs it again from what was understood. 0 or an error. */
static inline int walk_again(struct walk *w, const struct ocp_desc *d, const char *p, size_t n,
                             struct oc_buf *b, struct oc_err *err)
{
    char in[4096];
    struct ocp_iter it;
    int rc = ocp_unpack(d, p, n, in, err);
    for (unsigned i = 0; !rc && i < d->n_fields; i++) {
        const struct ocp_field *f = &d->fields[i];
        struct ocp_span *span = (struct ocp_span *)(void *)(in + f->offset);
        uint64_t has, v;
        memcpy(&has, in, sizeof has);
        if (!(has >> i & 1) || f->type < OCP_U64S || f->type == OCP_ENUM)
            continue;
        struct oc_buf *own = walk_buf(w);
        struct ocp_str key, value;
        char sub[4096];
        it = (struct ocp_iter){0};
        if (f->type == OCP_U64S)
            while (ocp_next_u64(span, &it, &v))
                ocp_add_u64(own, v);
        else if (f->type == OCP_MAP)
            while (ocp_next_pair(span, &it, &key, &value)) {
                char k[256];
                ocp_add_pair(own, ocp_str_copy(key, k, sizeof k), value.p, value.n);
            }
        else if (f->type == OCP_SUB)
            rc = walk_again(w, f->sub, span->p, span->n, own, err);
        else
            while (!rc && (rc = ocp_next_sub(f->sub, span, &it, sub, &key, err)) == 1)
                rc = walk_again(w, f->sub, key.p, key.n, own, err);
        *span = ocp_span(own, span->count);
    }
    return rc ? rc : ocp_pack(d, in, b);
}

#endif
