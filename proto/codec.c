/* SPDX-License-Identifier: Apache-2.0
 *
 * codec.c - packs and unpacks messages by walking the field tables.
 *
 * Reads MessagePack straight from the bytes and allocates nothing: what a length claims is compared
 * with the bytes that are left, never believed. Writes through msgpack-c's packer. Any thread.
 * Used by frame.c, sessions and libocid; start at ocp_unpack().
 * Source: the MessagePack specification, https://github.com/msgpack/msgpack (spec.md).
 */
#include "codec.h"

#include <string.h>

#include <msgpack/pack.h>

#include "text.h"

/* What stands at the front of a value. */
enum shape { NIL, BOOL, POS, NEG, REAL, STR, BIN, ARRAY, MAP };

struct item {
    enum shape shape;
    uint32_t head; /* bytes before strings and elements; of other shapes the whole */
    uint64_t v; /* POS, BOOL: value; NEG: int64_t; STR, BIN: bytes; ARRAY, MAP: elements, pairs */
};

static inline uint64_t big_endian(const unsigned char *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

static inline void item_set(struct item *it, enum shape shape, uint32_t head, uint64_t v)
{
    it->shape = shape;
    it->head = head;
    it->v = v;
}

/* A head whose value or length follows in n bytes. */
static inline int item_wide(struct item *it, enum shape shape, const unsigned char *p, unsigned n)
{
    item_set(it, shape, 1 + n, big_endian(p + 1, n));
    return 0;
}

static inline int item_signed(struct item *it, const unsigned char *p, unsigned n)
{
    unsigned shift = 64 - 8 * n;
    int64_t v = (int64_t)(big_endian(p + 1, n) << shift) >> shift;
    item_set(it, v < 0 ? NEG : POS, 1 + n, (uint64_t)v);
    return 0;
}

/* Bytes of a head that follow its first one, for 0xc0 to 0xdf; 255: not in this protocol. */
static const unsigned char more_bytes[32] = {0,   255, 0,   0, 1, 2, 4, 255, 255, 255, 4,
                                             8,   1,   2,   4, 8, 1, 2, 4,   8,   255, 255,
                                             255, 255, 255, 1, 2, 4, 2, 4,   2,   4};

/* NULL, or what is wrong. Strings and counts that cannot fit into n bytes are wrong. */
static inline const char *item_read(const char *bytes, size_t n, struct item *it)
{
    const unsigned char *p = (const unsigned char *)bytes;
    if (!n)
        return "it ends too early";
    unsigned c = p[0];
    if (c < 0x80)
        item_set(it, POS, 1, c);
    else if (c < 0x90)
        item_set(it, MAP, 1, c & 15);
    else if (c < 0xa0)
        item_set(it, ARRAY, 1, c & 15);
    else if (c < 0xc0)
        item_set(it, STR, 1, c & 31);
    else if (c >= 0xe0)
        item_set(it, NEG, 1, (uint64_t)(int64_t)(signed char)c);
    else {
        unsigned more = more_bytes[c - 0xc0];
        if (more == 255)
            return c == 0xc1 ? "the byte 0xc1 stands in it" : "it has an extension type";
        if (n < 1 + more)
            return "it ends too early";
        if (c == 0xc0)
            item_set(it, NIL, 1, 0);
        else if (c <= 0xc3)
            item_set(it, BOOL, 1, c & 1);
        else if (c <= 0xc6)
            item_wide(it, BIN, p, more);
        else if (c <= 0xcb)
            item_set(it, REAL, 1 + more, 0);
        else if (c <= 0xcf)
            item_wide(it, POS, p, more);
        else if (c <= 0xd3)
            item_signed(it, p, more);
        else if (c <= 0xdb)
            item_wide(it, STR, p, more);
        else
            item_wide(it, c <= 0xdd ? ARRAY : MAP, p, more);
    }
    uint64_t left = n - it->head;
    switch (it->shape) {
    case STR:
    case BIN:
        return it->v > left ? "a length is larger than what is left of it" : NULL;
    case ARRAY:
        return it->v > left ? "a count is larger than what is left of it" : NULL;
    case MAP:
        return it->v > left / 2 ? "a count is larger than what is left of it" : NULL;
    default:
        return NULL;
    }
}

/* Bytes of one item, without elements. */
static inline size_t item_len(const struct item *it)
{
    return it->head + (it->shape == STR || it->shape == BIN ? it->v : 0);
}

static inline uint64_t item_children(const struct item *it)
{
    return it->shape == ARRAY ? it->v : it->shape == MAP ? 2 * it->v : 0;
}

int ocp_check(const char *bytes, size_t n, size_t *ret_len, struct oc_err *err)
{
    uint64_t left[OCP_MAX_DEPTH];
    unsigned depth = 0;
    size_t at = 0;
    do {
        struct item it;
        const char *wrong = item_read(bytes + at, n - at, &it);
        if (wrong)
            return oc_fail(err, OCID_E_PROTOCOL, 0, "the message is broken at byte %zu: %s", at,
                           wrong);
        if (it.shape == ARRAY || it.shape == MAP) {
            if (depth == OCP_MAX_DEPTH)
                return oc_fail(err, OCID_E_PROTOCOL, 0, "the message is nested deeper than %d",
                               OCP_MAX_DEPTH);
            left[depth++] = item_children(&it) + 1;
        }
        at += item_len(&it);
        while (depth && !--left[depth - 1])
            depth--;
    } while (depth);
    *ret_len = at;
    return 0;
}

/* Length of the value at bytes, 0 if it is broken. Without a stack: it has passed ocp_check(), and
 * if it has not, each turn still takes a byte. */
static size_t skip(const char *bytes, size_t n)
{
    uint64_t pending = 1;
    size_t at = 0;
    for (; pending; pending--) {
        struct item it;
        if (item_read(bytes + at, n - at, &it))
            return 0;
        at += item_len(&it);
        pending += item_children(&it);
    }
    return at;
}

/* Whether a string may stand in a STR or MAP: UTF-8 without NUL, as C on either side wants it. */
static inline int is_text(const char *p, size_t n)
{
    return oc_utf8_valid(p, n) && !memchr(p, 0, n);
}

static int wrong_type(const struct ocp_desc *d, const struct ocp_field *f, struct oc_err *err)
{
    return oc_fail(err, OCID_E_INVALID, 0, "field '%s' of '%s' has the wrong type", f->name,
                   d->name);
}

static int over_bound(const struct ocp_desc *d, const struct ocp_field *f, struct oc_err *err)
{
    return oc_fail(err, OCID_E_INVALID, 0, "field '%s' of '%s' is beyond its limit of %llu",
                   f->name, d->name, (unsigned long long)f->bound);
}

static int not_text(const struct ocp_desc *d, const struct ocp_field *f, struct oc_err *err)
{
    return oc_fail(err, OCID_E_INVALID, 0, "field '%s' of '%s' is not UTF-8 without NUL bytes",
                   f->name, d->name);
}

static int read_str(const struct ocp_desc *d, const struct ocp_field *f, const char *p,
                    const struct item *it, struct ocp_str *ret, struct oc_err *err)
{
    if (it->shape != STR && !(f->type == OCP_BYTES && it->shape == BIN))
        return wrong_type(d, f, err);
    if (it->v > f->bound)
        return over_bound(d, f, err);
    const char *text = p + it->head;
    if (f->type == OCP_STR && !is_text(text, it->v))
        return not_text(d, f, err);
    if (f->type == OCP_BYTES && memchr(text, 0, it->v))
        return oc_fail(err, OCID_E_INVALID, 0, "field '%s' of '%s' has a NUL byte", f->name,
                       d->name);
    *ret = (struct ocp_str){text, (uint32_t)it->v};
    return 0;
}

static int read_enum(const struct ocp_desc *d, const struct ocp_field *f, const char *p,
                     const struct item *it, int *ret, struct oc_err *err)
{
    if (it->shape != STR)
        return wrong_type(d, f, err);
    int v = ocp_enum_find(f->values, p + it->head, it->v);
    if (v < 0)
        return oc_fail(err, OCID_E_INVALID, 0, "field '%s' of '%s' has an unknown value", f->name,
                       d->name);
    *ret = v;
    return 0;
}

/* Elements of U64S, MAP and LIST are looked at once here, so that iterators need not fail on their
 * shape. *used starts behind the head and ends behind the last element. */
static int read_elements(const struct ocp_desc *d, const struct ocp_field *f, const char *p,
                         size_t n, uint64_t count, size_t *used, struct oc_err *err)
{
    for (uint64_t i = 0; i < count; i++) {
        struct item it;
        if (item_read(p + *used, n - *used, &it))
            return wrong_type(d, f, err);
        size_t len = item_len(&it);
        if (f->type == OCP_U64S ? it.shape != POS : it.shape != (f->type == OCP_MAP ? STR : MAP))
            return wrong_type(d, f, err);
        if (f->type == OCP_MAP && !is_text(p + *used + it.head, it.v))
            return not_text(d, f, err);
        if (f->type == OCP_LIST && !(len = skip(p + *used, n - *used)))
            return wrong_type(d, f, err);
        *used += len;
    }
    return 0;
}

static int read_span(const struct ocp_desc *d, const struct ocp_field *f, const char *p, size_t n,
                     const struct item *it, struct ocp_span *ret, size_t *used, struct oc_err *err)
{
    if (it->shape != (f->type == OCP_MAP || f->type == OCP_SUB ? MAP : ARRAY))
        return wrong_type(d, f, err);
    if (f->type == OCP_SUB) {
        if (!(*used = skip(p, n)))
            return wrong_type(d, f, err);
        *ret = (struct ocp_span){p, (uint32_t)*used, 1};
        return 0;
    }
    if (it->v > f->bound)
        return over_bound(d, f, err);
    *used = it->head;
    int rc = read_elements(d, f, p, n, item_children(it), used, err);
    if (rc)
        return rc;
    *ret = (struct ocp_span){p + it->head, (uint32_t)(*used - it->head), (uint32_t)it->v};
    return 0;
}

/* One value into its place in the struct; *used is its length. */
static inline int read_field(const struct ocp_desc *d, const struct ocp_field *f, const char *p,
                             size_t n, void *out, size_t *used, struct oc_err *err)
{
    struct item it;
    if (item_read(p, n, &it))
        return wrong_type(d, f, err);
    void *to = (char *)out + f->offset;
    *used = item_len(&it);
    switch ((enum ocp_type)f->type) {
    case OCP_BOOL:
        if (it.shape != BOOL)
            return wrong_type(d, f, err);
        *(bool *)to = it.v;
        return 0;
    case OCP_U64:
        if (it.shape != POS)
            return wrong_type(d, f, err);
        if (f->bound && it.v > f->bound)
            return over_bound(d, f, err);
        *(uint64_t *)to = it.v;
        return 0;
    case OCP_I64:
        if (it.shape != NEG && (it.shape != POS || it.v > INT64_MAX))
            return wrong_type(d, f, err);
        *(int64_t *)to = (int64_t)it.v;
        return 0;
    case OCP_STR:
    case OCP_BYTES:
        return read_str(d, f, p, &it, to, err);
    case OCP_ENUM:
        return read_enum(d, f, p, &it, to, err);
    default:
        return read_span(d, f, p, n, &it, to, used, err);
    }
}

/* Our own clients write in the order of the table: the field after the last one is tried first. */
static inline int find_field(const struct ocp_desc *d, const char *key, size_t n, unsigned hint)
{
    for (unsigned i = hint; i < d->n_fields; i++)
        if (d->fields[i].name_len == n && !memcmp(d->fields[i].name, key, n))
            return (int)i;
    for (unsigned i = 0; i < hint; i++)
        if (d->fields[i].name_len == n && !memcmp(d->fields[i].name, key, n))
            return (int)i;
    return -1;
}

static int missing(const struct ocp_desc *d, uint64_t has, struct oc_err *err)
{
    unsigned i = (unsigned)__builtin_ctzll(d->required & ~has);
    return oc_fail(err, OCID_E_INVALID, 0, "field '%s' of '%s' is missing", d->fields[i].name,
                   d->name);
}

static int broken(const struct ocp_desc *d, struct oc_err *err)
{
    return oc_fail(err, OCID_E_INVALID, 0, "'%s' is not a whole map", d->name);
}

static int unpack(const struct ocp_desc *d, const char *p, size_t n, void *out, size_t *ret_used,
                  struct oc_err *err)
{
    struct item map, key;
    memset(out, 0, d->size);
    if (n > UINT32_MAX || item_read(p, n, &map) || map.shape != MAP)
        return broken(d, err);
    uint64_t has = 0;
    unsigned hint = 0;
    size_t at = map.head, used;
    for (uint64_t i = 0; i < map.v; i++, at += used) {
        int idx = -1;
        if (item_read(p + at, n - at, &key))
            return broken(d, err);
        if (key.shape == STR)
            idx = find_field(d, p + at + key.head, key.v, hint);
        if (!(used = key.shape == STR ? item_len(&key) : skip(p + at, n - at)))
            return broken(d, err);
        at += used;
        if (idx < 0) {
            if (!(used = skip(p + at, n - at)))
                return broken(d, err);
            continue;
        }
        const struct ocp_field *f = &d->fields[idx];
        if (has >> idx & 1)
            return oc_fail(err, OCID_E_INVALID, 0, "field '%s' of '%s' stands there twice", f->name,
                           d->name);
        int rc = read_field(d, f, p + at, n - at, out, &used, err);
        if (rc)
            return rc;
        has |= 1ull << idx;
        hint = (unsigned)idx + 1;
    }
    if (d->required & ~has)
        return missing(d, has, err);
    memcpy(out, &has, sizeof has); /* `has` is the first member of every message */
    *ret_used = at;
    return 0;
}

int ocp_unpack(const struct ocp_desc *desc, const char *bytes, size_t n, void *out,
               struct oc_err *err)
{
    size_t used;
    int rc = unpack(desc, bytes, n, out, &used, err);
    if (rc)
        return rc;
    return used == n ? 0 : broken(desc, err);
}

int ocp_next_u64(const struct ocp_span *list, struct ocp_iter *it, uint64_t *ret)
{
    struct item item;
    if (it->i >= list->count || item_read(list->p + it->at, list->n - it->at, &item))
        return 0;
    it->at += item.head;
    it->i++;
    *ret = item.v;
    return 1;
}

static int next_str(const struct ocp_span *list, struct ocp_iter *it, struct ocp_str *ret)
{
    struct item item;
    if (item_read(list->p + it->at, list->n - it->at, &item) || item.shape != STR)
        return 0;
    *ret = (struct ocp_str){list->p + it->at + item.head, (uint32_t)item.v};
    it->at += item_len(&item);
    return 1;
}

int ocp_next_pair(const struct ocp_span *map, struct ocp_iter *it, struct ocp_str *ret_key,
                  struct ocp_str *ret_value)
{
    if (it->i >= map->count || !next_str(map, it, ret_key) || !next_str(map, it, ret_value))
        return 0;
    it->i++;
    return 1;
}

int ocp_next_sub(const struct ocp_desc *desc, const struct ocp_span *list, struct ocp_iter *it,
                 void *out, struct ocp_str *ret_raw, struct oc_err *err)
{
    size_t used;
    if (it->i >= list->count)
        return 0;
    int rc = unpack(desc, list->p + it->at, list->n - it->at, out, &used, err);
    if (rc)
        return rc;
    if (ret_raw)
        *ret_raw = (struct ocp_str){list->p + it->at, (uint32_t)used};
    it->at += used;
    it->i++;
    return 1;
}

static int pack_write(void *data, const char *bytes, size_t n)
{
    return oc_buf_add(data, bytes, n);
}

static void pack_text(msgpack_packer *pk, const char *s, size_t n)
{
    msgpack_pack_str(pk, n);
    if (n)
        msgpack_pack_str_body(pk, s, n);
}

static void pack_field(msgpack_packer *pk, const struct ocp_field *f, const void *from,
                       struct oc_buf *b)
{
    const struct ocp_str *s = from;
    const struct ocp_span *span = from;
    switch ((enum ocp_type)f->type) {
    case OCP_BOOL:
        if (*(const bool *)from)
            msgpack_pack_true(pk);
        else
            msgpack_pack_false(pk);
        return;
    case OCP_U64:
        msgpack_pack_uint64(pk, *(const uint64_t *)from);
        return;
    case OCP_I64:
        msgpack_pack_int64(pk, *(const int64_t *)from);
        return;
    case OCP_STR:
        pack_text(pk, s->p, s->n);
        return;
    case OCP_BYTES:
        msgpack_pack_bin(pk, s->n);
        oc_buf_add(b, s->p, s->n);
        return;
    case OCP_ENUM: {
        const char *name = ocp_enum_name(f->values, *(const int *)from);
        pack_text(pk, name, strlen(name));
        return;
    }
    case OCP_MAP:
        msgpack_pack_map(pk, span->count);
        break;
    case OCP_U64S:
    case OCP_LIST:
        msgpack_pack_array(pk, span->count);
        break;
    case OCP_SUB:
        break;
    }
    oc_buf_add(b, span->p, span->n);
}

int ocp_pack(const struct ocp_desc *desc, const void *in, struct oc_buf *b)
{
    msgpack_packer pk;
    msgpack_packer_init(&pk, b, pack_write);
    uint64_t has;
    size_t start = b->len;
    memcpy(&has, in, sizeof has);
    msgpack_pack_map(&pk, (size_t)__builtin_popcountll(has));
    for (; has; has &= has - 1) {
        const struct ocp_field *f = &desc->fields[__builtin_ctzll(has)];
        pack_text(&pk, f->name, f->name_len);
        pack_field(&pk, f, (const char *)in + f->offset, b);
    }
    if (b->failed)
        b->len = start;
    return b->failed;
}

void ocp_add_u64(struct oc_buf *b, uint64_t v)
{
    msgpack_packer pk;
    msgpack_packer_init(&pk, b, pack_write);
    msgpack_pack_uint64(&pk, v);
}

void ocp_add_pair(struct oc_buf *b, const char *key, const char *value, size_t n)
{
    msgpack_packer pk;
    msgpack_packer_init(&pk, b, pack_write);
    pack_text(&pk, key, strlen(key));
    pack_text(&pk, value, n);
}

struct ocp_span ocp_span(const struct oc_buf *b, uint32_t count)
{
    return (struct ocp_span){b->data, (uint32_t)b->len, count};
}

struct ocp_str ocp_str(const char *s)
{
    return (struct ocp_str){s, s ? (uint32_t)strlen(s) : 0};
}

int ocp_str_is(struct ocp_str s, const char *text)
{
    return s.n == strlen(text) && !memcmp(s.p ? s.p : "", text, s.n);
}

char *ocp_str_copy(struct ocp_str s, char *out, size_t size)
{
    size_t n = s.n < size ? s.n : size ? size - 1 : 0;
    if (n)
        memcpy(out, s.p, n);
    if (size)
        out[n] = 0;
    return out;
}

/* A reply must not become unreadable because a file name in its sentence is not UTF-8. */
static struct ocp_str sentence(const char *text)
{
    static _Thread_local char escaped[1024];
    size_t n = strlen(text);
    if (oc_utf8_valid(text, n))
        return (struct ocp_str){text, (uint32_t)n};
    return (struct ocp_str){escaped, (uint32_t)oc_text_escape(text, n, escaped, sizeof escaped)};
}

void ocp_error_of(const struct oc_err *err, int64_t index, struct ocp_error *out)
{
    *out = (struct ocp_error){0};
    OCP_SET(out, error, code, ocp_str(oc_err_name(err->code)));
    OCP_SET(out, error, text, sentence(err->text[0] ? err->text : oc_err_text(err->code)));
    if (err->http_status > 0 && err->http_status <= 999)
        OCP_SET(out, error, http_status, (uint64_t)err->http_status);
    if (err->service_code[0] && oc_utf8_valid(err->service_code, strlen(err->service_code)))
        OCP_SET(out, error, service_code, ocp_str(err->service_code));
    if (err->request_id[0] && oc_utf8_valid(err->request_id, strlen(err->request_id)))
        OCP_SET(out, error, request_id, ocp_str(err->request_id));
    if (index >= 0)
        OCP_SET(out, error, index, (uint64_t)index);
}

void ocp_error_to(const struct ocp_error *in, struct oc_err *out)
{
    *out = (struct oc_err){
        .code = oc_err_by_name(in->code.p ? in->code.p : "", in->code.n),
        .http_status = (int)in->http_status,
    };
    ocp_str_copy(in->text, out->text, sizeof out->text);
    ocp_str_copy(in->service_code, out->service_code, sizeof out->service_code);
    ocp_str_copy(in->request_id, out->request_id, sizeof out->request_id);
}
