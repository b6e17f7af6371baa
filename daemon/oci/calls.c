/* SPDX-License-Identifier: Apache-2.0
 *
 * calls.c - builds requests: target, headers and body of one API call.
 *
 * Pure; any thread. Asked by the planners in xfer for every request; each builder makes its path,
 * begins the request, adds headers, and ends it. All of a request lies in its arena, for a small
 * put in one chunk.
 * Source: Object Storage API, operations and headers; identity API, GetUser.
 */
#include "calls.h"

#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "encode.h"
#include "endpoint.h"

enum {
    MAX_PIECES = 48,
    FIXED_HEADERS = 20,
    META_NAME_MAX = 256,
    VALUE_MAX = 4096, /* bytes of one header value */
    EXPECT_BYTES = 16 * 1024 * 1024,
    EXPECT_CONDITIONAL_BYTES = 64 * 1024,
};

/* A target before it is written: pieces that are copied or encoded. */
struct path {
    struct piece {
        const char *text;
        size_t n;
        int encode;
    } piece[MAX_PIECES];
    unsigned n_pieces, n_queries, n_numbers;
    char number[4][24];
};

static void add_piece(struct path *p, const char *text, int encode)
{
    if (p->n_pieces == MAX_PIECES)
        abort(); /* the builders below have at most half of that */
    p->piece[p->n_pieces++] = (struct piece){text, strlen(text), encode};
}

/* "/name/VALUE", "/name" when value is NULL. */
static void segment(struct path *p, const char *name, const char *value)
{
    add_piece(p, name, 0);
    if (value)
        add_piece(p, value, 1);
}

/* "?name=VALUE" or "&name=VALUE"; nothing when value is NULL. name ends in "=". */
static void query(struct path *p, const char *name, const char *value)
{
    if (!value)
        return;
    add_piece(p, p->n_queries++ ? "&" : "?", 0);
    add_piece(p, name, 0);
    add_piece(p, value, 1);
}

static void query_number(struct path *p, const char *name, unsigned value)
{
    char *text = p->number[p->n_numbers++];
    snprintf(text, sizeof p->number[0], "%u", value);
    query(p, name, text);
}

static const char *write_path(struct oci_arena *a, const struct path *p)
{
    size_t n = 1;
    for (unsigned i = 0; i < p->n_pieces; i++)
        n += p->piece[i].encode ? oci_encoded_len(p->piece[i].text, p->piece[i].n) : p->piece[i].n;
    char *target = oci_arena_bytes(a, n), *at = target;
    for (unsigned i = 0; i < p->n_pieces; i++) {
        const struct piece *piece = &p->piece[i];
        if (piece->encode)
            at = oci_encode(at, piece->text, piece->n);
        else
            at = mempcpy(at, piece->text, piece->n);
    }
    *at = 0;
    return target;
}

static const char *copy(struct oci_request *r, const char *text)
{
    return oci_arena_text(&r->arena, text, strlen(text));
}

static void begin(struct oci_request *r, const char *method, const char *host,
                  const struct path *path, size_t n_headers)
{
    *r = (struct oci_request){.method = method};
    r->headers = oci_arena_get(&r->arena, (FIXED_HEADERS + n_headers) * sizeof *r->headers);
    r->host = copy(r, host);
    r->target = write_path(&r->arena, path);
}

void oci_request_fini(struct oci_request *r)
{
    if (!r)
        return;
    oci_arena_fini(&r->arena);
    *r = (struct oci_request){0};
}

const char *oci_request_header(const struct oci_request *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (!strcasecmp(r->headers[i].name, name))
            return r->headers[i].value;
    return NULL;
}

struct oci_to_sign oci_request_to_sign(const struct oci_request *r, const char *date,
                                       const char *obo_token)
{
    return (struct oci_to_sign){
        .names = r->names,
        .method = r->method,
        .target = r->target,
        .host = r->host,
        .date = date,
        .obo_token = obo_token,
        .content_length = r->content_length,
        .content_type = r->content_type,
        .content_sha256 = r->content_sha256,
    };
}

/* Adds a header whose value is known to be harmless; returns the copy of the value. */
static const char *put_header(struct oci_request *r, const char *name, const char *value)
{
    size_t n_name = strlen(name), n = strlen(value);
    char *line = oci_arena_bytes(&r->arena, n_name + n + 3);
    memcpy(line, name, n_name);
    memcpy(line + n_name, ": ", 2);
    memcpy(line + n_name + 2, value, n + 1);
    r->headers[r->n_headers++] = (struct oci_header){line, name, line + n_name + 2};
    return line + n_name + 2;
}

static int is_printable(char c)
{
    return c >= 0x20 && c < 0x7f;
}

/* What a person may have typed and a header can carry. The start of a multipart upload has the
 * same rule, so that the way of upload does not decide what is allowed. */
static int value_check(const char *name, const char *value, struct oc_err *err)
{
    size_t n = strnlen(value, VALUE_MAX + 1);
    if (!n || n > VALUE_MAX)
        return oc_fail(err, OCID_E_INVALID, 0, "the value of '%s' %s", name,
                       n ? "has more than 4096 bytes; shorten it" : "is empty; leave it out");
    for (size_t i = 0; i < n; i++)
        if (!is_printable(value[i]))
            return oc_fail(err, OCID_E_INVALID, 0,
                           "the value of '%s' has a byte that a header cannot carry; write it "
                           "with printable ASCII characters only",
                           name);
    if (value[0] == ' ' || value[n - 1] == ' ')
        return oc_fail(err, OCID_E_INVALID, 0,
                       "the value of '%s' begins or ends with a space, which would get lost; take "
                       "it away",
                       name);
    return 0;
}

/* NULL adds nothing. */
static int add_header(struct oci_request *r, const char *name, const char *value,
                      struct oc_err *err)
{
    int code = value ? value_check(name, value, err) : 0;
    if (value && !code)
        put_header(r, name, value);
    return code;
}

static int conditions(struct oci_request *r, const char *if_match, const char *if_none_match,
                      struct oc_err *err)
{
    if (if_match && if_none_match)
        return oc_fail(err, OCID_E_INVALID, 0,
                       "if_match and if_absent or if_none_match exclude each other; give one");
    r->conditional = if_match || if_none_match;
    int code = add_header(r, "if-match", if_match, err);
    return code ? code : add_header(r, "if-none-match", if_none_match, err);
}

/* The algorithm, and the value if it is known. */
static void add_sum(struct oci_request *r, const struct oci_sum *sum)
{
    char text[OCI_MD5_TEXT_SIZE];
    if (sum->kind == OCI_SUM_CRC32C) {
        put_header(r, "opc-checksum-algorithm", "CRC32C");
        if (sum->known) {
            oci_crc_text(sum->crc32c, text);
            put_header(r, "opc-content-crc32c", text);
        }
    } else if (sum->kind == OCI_SUM_MD5 && sum->known) {
        oci_base64(sum->md5, OCI_MD5_SIZE, text);
        put_header(r, "content-md5", text);
    }
}

/* Body that the caller has. */
static void body_elsewhere(struct oci_request *r, uint64_t bytes)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, bytes);
    put_header(r, "content-length", text);
    r->body_kind = OCI_BODY_ELSEWHERE;
    r->body_bytes = bytes;
    r->expect_continue = bytes >= EXPECT_BYTES;
    if (r->conditional && bytes >= EXPECT_CONDITIONAL_BYTES)
        r->expect_continue = 1;
}

/* A body that the signature covers. */
static int body_text(struct oci_request *r, const char *text, struct oc_err *err)
{
    uint8_t sha[EVP_MAX_MD_SIZE];
    char sha_text[OCI_BASE64_SIZE(32)], length[24];
    unsigned n_sha = 0;
    size_t n = strlen(text);
    r->body = oci_arena_text(&r->arena, text, n);
    r->body_bytes = n;
    r->body_kind = OCI_BODY_HERE;
    if (!EVP_Digest(r->body, n, sha, &n_sha, EVP_sha256(), NULL) || n_sha != 32)
        return oc_fail(err, OCID_E_INTERNAL, 0, "libcrypto cannot compute SHA-256");
    oci_base64(sha, n_sha, sha_text);
    snprintf(length, sizeof length, "%zu", n);
    r->content_length = put_header(r, "content-length", length);
    r->content_type = put_header(r, "content-type", "application/json");
    r->content_sha256 = put_header(r, "x-content-sha256", sha_text);
    return 0;
}

/* Takes json away. */
static int body_json(struct oci_request *r, json_t *json, struct oc_err *err)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return oc_fail(err, OCID_E_INVALID, 0, "a text of the request is not UTF-8");
    int code = body_text(r, text, err);
    free(text);
    return code;
}

/* A builder that met an error leaves nothing behind. */
static int end(struct oci_request *r, int code)
{
    if (code)
        oci_request_fini(r);
    return code;
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* "/n/NS/b/BUCKET" with kind NULL, "/n/NS/b/BUCKET/o/OBJECT" with "/o/" (or "/u/"). */
static int object_path(const struct oci_where *w, const char *kind, struct path *p,
                       struct oc_err *err)
{
    const char *bucket = or_empty(w->bucket), *object = or_empty(w->object);
    int code = oci_namespace_check(or_empty(w->namespace), strlen(or_empty(w->namespace)), err);
    if (!code)
        code = oci_bucket_check(bucket, strlen(bucket), err);
    if (!code && kind)
        code = oci_object_check(object, strlen(object), err);
    if (code)
        return code;
    segment(p, "/n/", w->namespace);
    segment(p, "/b/", bucket);
    if (kind)
        segment(p, kind, object);
    return 0;
}

/* The path "/n/NS/b/BUCKET/u/OBJECT?uploadId=ID". */
static int upload_path(const struct oci_where *w, const char *upload_id, struct path *p,
                       struct oc_err *err)
{
    int code = object_path(w, "/u/", p, err);
    if (!code && !*or_empty(upload_id))
        code = oc_fail(err, OCID_E_INVALID, 0, "the id of the multipart upload is missing");
    if (!code)
        query(p, "uploadId=", upload_id);
    return code;
}

static void page_query(struct path *p, unsigned limit, const char *page)
{
    if (limit)
        query_number(p, "limit=", limit > OCI_PAGE_MAX ? OCI_PAGE_MAX : limit);
    query(p, "page=", page);
}

int oci_call_namespace(const char *host, const char *compartment, struct oci_request *ret,
                       struct oc_err *err)
{
    struct path p = {.n_pieces = 0};
    (void)err; /* every text can be encoded */
    segment(&p, "/n", NULL);
    query(&p, "compartmentId=", compartment);
    begin(ret, "GET", host, &p, 0);
    return 0;
}

static const char meta_prefix[] = "opc-meta-";
enum { N_META_PREFIX = sizeof meta_prefix - 1 };

/* The name with its prefix, as a token of HTTP; NULL and *err if it cannot be one. */
static const char *meta_name(struct oci_request *r, const char *name, struct oc_err *err)
{
    if (!strncasecmp(name, meta_prefix, N_META_PREFIX))
        name += N_META_PREFIX;
    size_t n = strlen(name);
    int fits = n && n <= META_NAME_MAX;
    for (size_t i = 0; fits && i < n; i++)
        fits = is_printable(name[i]) && !strchr(" \"(),/:;<=>?@[\\]{}", name[i]);
    if (!fits) {
        oc_fail(err, OCID_E_INVALID, 0,
                "metadata name '%.64s' cannot be sent; use letters, digits, '-' and '_'", name);
        return NULL;
    }
    char *out = oci_arena_bytes(&r->arena, N_META_PREFIX + n + 1);
    memcpy(out, meta_prefix, N_META_PREFIX);
    memcpy(out + N_META_PREFIX, name, n + 1);
    return out;
}

/* Text that a header carries unharmed goes as it is. */
static int is_harmless(const char *value)
{
    size_t n = strlen(value);
    for (size_t i = 0; i < n; i++)
        if (!is_printable(value[i]))
            return 0;
    return !n || (value[0] != ' ' && value[n - 1] != ' ');
}

/* Everything else is encoded: each byte outside of printable ASCII, "%", and spaces at the ends. */
static const char *meta_value(struct oci_request *r, const char *value)
{
    size_t n = strlen(value);
    if (is_harmless(value))
        return value;
    char *out = oci_arena_bytes(&r->arena, 3 * n + 1), *at = out;
    for (size_t i = 0; i < n; i++) {
        int edge = value[i] == ' ' && (i == 0 || i == n - 1);
        if (is_printable(value[i]) && value[i] != '%' && !edge)
            *at++ = value[i];
        else
            at += sprintf(at, "%%%02X", (unsigned char)value[i]);
    }
    *at = 0;
    return out;
}

static int meta_check(const struct oci_put_options *o, struct oc_err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < o->n_metadata; i++)
        total += strlen(o->metadata[i].name) + strlen(o->metadata[i].value);
    if (total > VALUE_MAX || o->n_metadata > 128)
        return oc_fail(err, OCID_E_INVALID, 0,
                       "the metadata has %zu pairs of %zu bytes, but the service takes about 4000 "
                       "bytes and ocid 128 pairs; shorten it",
                       o->n_metadata, total);
    return 0;
}

static int put_headers(struct oci_request *r, const struct oci_put_options *o, struct oc_err *err)
{
    const struct oci_pair plain[] = {
        {"content-type", o->content_type ? o->content_type : "application/octet-stream"},
        {"cache-control", o->cache_control},
        {"content-disposition", o->content_disposition},
        {"content-encoding", o->content_encoding},
        {"content-language", o->content_language},
        {"storage-tier", o->storage_tier},
    };
    int code = conditions(r, o->if_match, o->if_absent ? "*" : NULL, err);
    for (size_t i = 0; !code && i < sizeof plain / sizeof *plain; i++)
        code = add_header(r, plain[i].name, plain[i].value, err);
    for (size_t i = 0; !code && i < o->n_metadata; i++) {
        const char *name = meta_name(r, o->metadata[i].name, err);
        if (!name)
            return OCID_E_INVALID;
        put_header(r, name, meta_value(r, o->metadata[i].value));
    }
    return code;
}

int oci_call_put(const struct oci_where *w, uint64_t bytes, const struct oci_put_options *options,
                 struct oci_request *ret, struct oc_err *err)
{
    struct path p = {.n_pieces = 0};
    *ret = (struct oci_request){0};
    int code = object_path(w, "/o/", &p, err);
    if (!code)
        code = meta_check(options, err);
    if (code)
        return code;
    begin(ret, "PUT", w->host, &p, options->n_metadata);
    ret->is_object = 1;
    code = put_headers(ret, options, err);
    if (!code) {
        add_sum(ret, &options->sum);
        body_elsewhere(ret, bytes);
    }
    return end(ret, code);
}

/* 0, or INVALID when value is not UTF-8; NULL adds nothing. */
static int set_text(json_t *object, const char *name, const char *value, struct oc_err *err)
{
    if (value && json_object_set_new(object, name, json_string(value)))
        return oc_fail(err, OCID_E_INVALID, 0, "the value of '%s' is not UTF-8", name);
    return 0;
}

/* Metadata as an object with the names that a put sends as headers. */
static int json_metadata(struct oci_request *r, json_t *body, const struct oci_put_options *o,
                         struct oc_err *err)
{
    json_t *pairs = o->n_metadata ? json_object() : NULL;
    int code = 0;
    for (size_t i = 0; !code && i < o->n_metadata; i++) {
        const char *name = meta_name(r, o->metadata[i].name, err);
        if (!name)
            code = OCID_E_INVALID;
        else
            code = set_text(pairs, name, meta_value(r, o->metadata[i].value), err);
    }
    if (pairs)
        json_object_set_new(body, "metadata", pairs);
    return code;
}

static int json_put_options(struct oci_request *r, json_t *body, const struct oci_put_options *o,
                            struct oc_err *err)
{
    const struct oci_pair plain[] = {
        {"contentType", o->content_type ? o->content_type : "application/octet-stream"},
        {"cacheControl", o->cache_control},
        {"contentDisposition", o->content_disposition},
        {"contentEncoding", o->content_encoding},
        {"contentLanguage", o->content_language},
        {"storageTier", o->storage_tier},
    };
    int code = 0;
    for (size_t i = 0; !code && i < sizeof plain / sizeof *plain; i++) {
        if (plain[i].value)
            code = value_check(plain[i].name, plain[i].value, err);
        if (!code)
            code = set_text(body, plain[i].name, plain[i].value, err);
    }
    return code ? code : json_metadata(r, body, o, err);
}

int oci_call_upload_create(const struct oci_where *w, const struct oci_put_options *options,
                           struct oci_request *ret, struct oc_err *err)
{
    struct path p = {.n_pieces = 0};
    struct path object = {.n_pieces = 0};
    *ret = (struct oci_request){0};
    int code = object_path(w, "/o/", &object, err); /* checks the name */
    if (!code)
        code = object_path(w, NULL, &p, err);
    if (!code)
        code = meta_check(options, err);
    if (code)
        return code;
    segment(&p, "/u", NULL);
    begin(ret, "POST", w->host, &p, 0);
    ret->is_object = 1;
    json_t *body = json_object();
    code = set_text(body, "object", w->object, err);
    if (!code)
        code = json_put_options(ret, body, options, err);
    if (!code)
        code = conditions(ret, options->if_match, options->if_absent ? "*" : NULL, err);
    if (!code && options->sum.kind == OCI_SUM_CRC32C)
        put_header(ret, "opc-checksum-algorithm", "CRC32C");
    if (code)
        json_decref(body);
    else
        code = body_json(ret, body, err);
    return end(ret, code);
}

static int part_no_check(unsigned part_no, struct oc_err *err)
{
    if (part_no < 1 || part_no > OCI_PARTS_MAX)
        return oc_fail(err, OCID_E_INVALID, 0, "part number %u is not between 1 and %d", part_no,
                       OCI_PARTS_MAX);
    return 0;
}

int oci_call_upload_part(const struct oci_where *w, const char *upload_id, unsigned part_no,
                         uint64_t bytes, const struct oci_sum *sum, struct oci_request *ret,
                         struct oc_err *err)
{
    struct path p = {.n_pieces = 0};
    *ret = (struct oci_request){0};
    int code = upload_path(w, upload_id, &p, err);
    if (!code)
        code = part_no_check(part_no, err);
    if (code)
        return code;
    query_number(&p, "uploadPartNum=", part_no);
    begin(ret, "PUT", w->host, &p, 0);
    ret->is_object = 1;
    put_header(ret, "content-type", "application/octet-stream");
    add_sum(ret, sum);
    body_elsewhere(ret, bytes);
    return 0;
}

/* {"partsToCommit":[{"partNum":1,"etag":"..."}]} */
static int commit_body(json_t *body, const struct oci_part_etag *parts, size_t n_parts,
                       struct oc_err *err)
{
    json_t *list = json_array();
    json_object_set_new(body, "partsToCommit", list);
    if (!n_parts || n_parts > OCI_PARTS_MAX)
        return oc_fail(err, OCID_E_INVALID, 0, "%zu parts cannot be committed, only 1 to %d",
                       n_parts, OCI_PARTS_MAX);
    for (size_t i = 0; i < n_parts; i++) {
        int code = part_no_check(parts[i].part_no, err);
        if (code)
            return code;
        if (i && parts[i].part_no <= parts[i - 1].part_no)
            return oc_fail(err, OCID_E_INVALID, 0, "part %u does not stand in order",
                           parts[i].part_no);
        json_t *part = json_object();
        json_array_append_new(list, part);
        json_object_set_new(part, "partNum", json_integer(parts[i].part_no));
        if ((code = set_text(part, "etag", or_empty(parts[i].etag), err)))
            return code;
    }
    return 0;
}

int oci_call_upload_commit(const struct oci_where *w, const char *upload_id,
                           const struct oci_part_etag *parts, size_t n_parts, const char *if_match,
                           int if_absent, struct oci_request *ret, struct oc_err *err)
{
    struct path p = {.n_pieces = 0};
    *ret = (struct oci_request){0};
    int code = upload_path(w, upload_id, &p, err);
    if (code)
        return code;
    begin(ret, "POST", w->host, &p, 0);
    ret->is_object = 1;
    code = conditions(ret, if_match, if_absent ? "*" : NULL, err);
    json_t *body = json_object();
    if (!code)
        code = commit_body(body, parts, n_parts, err);
    if (code)
        json_decref(body);
    else
        code = body_json(ret, body, err);
    return end(ret, code);
}

int oci_call_upload_abort(const struct oci_where *w, const char *upload_id, struct oci_request *ret,
                          struct oc_err *err)
{
    struct path p = {.n_pieces = 0};
    *ret = (struct oci_request){0};
    int code = upload_path(w, upload_id, &p, err);
    if (code)
        return code;
    begin(ret, "DELETE", w->host, &p, 0);
    ret->is_object = 1;
    return 0;
}

int oci_call_parts(const struct oci_where *w, const char *upload_id, unsigned limit,
                   const char *page, struct oci_request *ret, struct oc_err *err)
{
    struct path p = {.n_pieces = 0};
    *ret = (struct oci_request){0};
    int code = upload_path(w, upload_id, &p, err);
    if (code)
        return code;
    page_query(&p, limit, page);
    begin(ret, "GET", w->host, &p, 0);
    ret->is_object = 1;
    return 0;
}

int oci_call_uploads(const struct oci_where *w, unsigned limit, const char *page,
                     struct oci_request *ret, struct oc_err *err)
{
    struct path p = {.n_pieces = 0};
    *ret = (struct oci_request){0};
    int code = object_path(w, NULL, &p, err);
    if (code)
        return code;
    segment(&p, "/u", NULL);
    page_query(&p, limit, page);
    begin(ret, "GET", w->host, &p, 0);
    return 0;
}

/* Get, head and delete of an object. */
static int object_call(const char *method, const struct oci_where *w,
                       const struct oci_get_options *o, struct oci_request *ret, struct oc_err *err)
{
    struct path p = {.n_pieces = 0};
    *ret = (struct oci_request){0};
    int code = object_path(w, "/o/", &p, err);
    if (code)
        return code;
    query(&p, "versionId=", o ? o->version_id : NULL);
    begin(ret, method, w->host, &p, 0);
    ret->is_object = 1;
    if (o)
        code = conditions(ret, o->if_match, o->if_none_match, err);
    return end(ret, code);
}

int oci_call_get(const struct oci_where *w, const struct oci_get_options *options,
                 struct oci_request *ret, struct oc_err *err)
{
    char range[64];
    int code = object_call("GET", w, options, ret, err);
    if (code || !options || !options->ranged)
        return code;
    if (options->first > options->last) {
        code = oc_fail(err, OCID_E_INVALID, 0, "the range ends before it begins");
        return end(ret, code);
    }
    snprintf(range, sizeof range, "bytes=%" PRIu64 "-%" PRIu64, options->first, options->last);
    if (options->last == UINT64_MAX)
        strchr(range, '-')[1] = 0;
    put_header(ret, "range", range);
    return 0;
}

int oci_call_head(const struct oci_where *w, const struct oci_get_options *options,
                  struct oci_request *ret, struct oc_err *err)
{
    return object_call("HEAD", w, options, ret, err);
}

int oci_call_delete(const struct oci_where *w, const struct oci_get_options *options,
                    struct oci_request *ret, struct oc_err *err)
{
    return object_call("DELETE", w, options, ret, err);
}

static int list_check(const struct oci_list_options *o, struct oc_err *err)
{
    const char *name[] = {o->prefix, o->start, o->end};
    for (size_t i = 0; i < 3; i++) {
        int code = name[i] ? oci_prefix_check(name[i], strlen(name[i]), err) : 0;
        if (code)
            return code;
    }
    if (o->delimiter && strcmp(o->delimiter, "/"))
        return oc_fail(err, OCID_E_INVALID, 0,
                       "delimiter '%.16s' is not possible; the service knows '/' only",
                       o->delimiter);
    return 0;
}

int oci_call_list(const struct oci_where *w, const struct oci_list_options *options,
                  struct oci_request *ret, struct oc_err *err)
{
    static const struct oci_list_options everything;
    const struct oci_list_options *o = options ? options : &everything;
    struct path p = {.n_pieces = 0};
    *ret = (struct oci_request){0};
    int code = object_path(w, NULL, &p, err);
    if (!code)
        code = list_check(o, err);
    if (code)
        return code;
    segment(&p, "/o", NULL);
    query(&p, "prefix=", o->prefix && *o->prefix ? o->prefix : NULL);
    query(&p, "start=", o->start && *o->start ? o->start : NULL);
    query(&p, "end=", o->end && *o->end ? o->end : NULL);
    query_number(&p, "limit=", o->limit && o->limit < OCI_PAGE_MAX ? o->limit : OCI_PAGE_MAX);
    query(&p, "delimiter=", o->delimiter);
    query(&p, "fields=", o->fields ? o->fields : OCI_LIST_FIELDS);
    begin(ret, "GET", w->host, &p, 0);
    return 0;
}

int oci_call_buckets(const struct oci_where *w, const char *compartment, unsigned limit,
                     const char *page, struct oci_request *ret, struct oc_err *err)
{
    struct path p = {.n_pieces = 0};
    *ret = (struct oci_request){0};
    int code = oci_namespace_check(or_empty(w->namespace), strlen(or_empty(w->namespace)), err);
    if (!code && !*or_empty(compartment))
        code =
            oc_fail(err, OCID_E_INVALID, 0, "a list of buckets needs a compartment; give its OCID");
    if (code)
        return code;
    segment(&p, "/n/", w->namespace);
    segment(&p, "/b", NULL);
    query(&p, "compartmentId=", compartment);
    page_query(&p, limit, page);
    begin(ret, "GET", w->host, &p, 0);
    return 0;
}

int oci_call_bucket_create(const struct oci_where *w, const char *compartment,
                           const char *storage_tier, struct oci_request *ret, struct oc_err *err)
{
    struct path p = {.n_pieces = 0}, bucket = {.n_pieces = 0};
    *ret = (struct oci_request){0};
    int code = object_path(w, NULL, &bucket, err); /* checks the names */
    if (!code && !*or_empty(compartment))
        code = oc_fail(err, OCID_E_INVALID, 0, "a new bucket needs a compartment; give its OCID");
    if (code)
        return code;
    segment(&p, "/n/", w->namespace);
    segment(&p, "/b", NULL);
    begin(ret, "POST", w->host, &p, 0);
    json_t *body = json_object();
    code = set_text(body, "name", w->bucket, err);
    if (!code)
        code = set_text(body, "compartmentId", compartment, err);
    if (!code)
        code = set_text(body, "storageTier", storage_tier, err);
    if (code)
        json_decref(body);
    else
        code = body_json(ret, body, err);
    return end(ret, code);
}

int oci_call_bucket(const struct oci_where *w, struct oci_request *ret, struct oc_err *err)
{
    struct path p = {.n_pieces = 0};
    *ret = (struct oci_request){0};
    int code = object_path(w, NULL, &p, err);
    if (code)
        return code;
    begin(ret, "GET", w->host, &p, 0);
    return 0;
}

static const char *access_type(const struct oci_par_options *o)
{
    static const char *const names[][2] = {
        [OCI_ACCESS_READ] = {"ObjectRead", "AnyObjectRead"},
        [OCI_ACCESS_WRITE] = {"ObjectWrite", "AnyObjectWrite"},
        [OCI_ACCESS_READ_WRITE] = {"ObjectReadWrite", "AnyObjectReadWrite"},
    };
    return names[o->access][o->prefix != 0];
}

static int par_body(json_t *body, const struct oci_where *w, const struct oci_par_options *o,
                    struct oc_err *err)
{
    char expires[32];
    struct tm tm;
    time_t s = (time_t)(o->expires_ms / 1000);
    gmtime_r(&s, &tm);
    strftime(expires, sizeof expires, "%Y-%m-%dT%H:%M:%SZ", &tm);
    int code = set_text(body, "name", o->name, err);
    if (!code)
        code = set_text(body, "accessType", access_type(o), err);
    if (!code)
        code = set_text(body, "timeExpires", expires, err);
    if (!code && *or_empty(w->object))
        code = set_text(body, "objectName", w->object, err);
    if (!code && o->listing)
        code = set_text(body, "bucketListingAction", "ListObjects", err);
    return code;
}

int oci_call_par_create(const struct oci_where *w, const struct oci_par_options *options,
                        struct oci_request *ret, struct oc_err *err)
{
    struct path p = {.n_pieces = 0}, object = {.n_pieces = 0};
    *ret = (struct oci_request){0};
    int code = object_path(w, options->prefix ? NULL : "/o/", &object, err); /* checks the names */
    if (!code && options->prefix)
        code = oci_prefix_check(or_empty(w->object), strlen(or_empty(w->object)), err);
    if (!code && options->listing && (!options->prefix || options->access == OCI_ACCESS_WRITE))
        code = oc_fail(err, OCID_E_INVALID, 0,
                       "names can be listed by the link to a prefix that may be read only");
    if (!code)
        code = object_path(w, NULL, &p, err);
    if (code)
        return code;
    segment(&p, "/p", NULL);
    begin(ret, "POST", w->host, &p, 0);
    json_t *body = json_object();
    code = par_body(body, w, options, err);
    if (code)
        json_decref(body);
    else
        code = body_json(ret, body, err);
    return end(ret, code);
}

int oci_call_pars(const struct oci_where *w, unsigned limit, const char *page,
                  struct oci_request *ret, struct oc_err *err)
{
    struct path p = {.n_pieces = 0};
    *ret = (struct oci_request){0};
    int code = object_path(w, NULL, &p, err);
    if (code)
        return code;
    segment(&p, "/p", NULL);
    query(&p, "objectNamePrefix=", *or_empty(w->object) ? w->object : NULL);
    page_query(&p, limit, page);
    begin(ret, "GET", w->host, &p, 0);
    return 0;
}

int oci_call_par_delete(const struct oci_where *w, const char *id, struct oci_request *ret,
                        struct oc_err *err)
{
    struct path p = {.n_pieces = 0};
    *ret = (struct oci_request){0};
    int code = object_path(w, NULL, &p, err);
    if (!code && !*or_empty(id))
        code = oc_fail(err, OCID_E_INVALID, 0, "the id of the link is missing");
    if (code)
        return code;
    segment(&p, "/p/", id);
    begin(ret, "DELETE", w->host, &p, 0);
    return 0;
}

int oci_call_metadata(const char *host, const char *document, struct oci_request *ret,
                      struct oc_err *err)
{
    struct path p = {.n_pieces = 0};
    segment(&p, "/opc/v2/", NULL);
    add_piece(&p, document, 0);
    begin(ret, "GET", host, &p, 1);
    return end(ret, add_header(ret, "authorization", "Bearer Oracle", err));
}

int oci_call_auth(const char *host, const char *target, const char *json, int federated,
                  struct oci_request *ret, struct oc_err *err)
{
    struct path p = {.n_pieces = 0};
    add_piece(&p, target, 0);
    begin(ret, "POST", host, &p, 0);
    if (federated)
        ret->names = OCI_NAMES_FEDERATED;
    return end(ret, body_text(ret, json, err));
}

int oci_call_user(const char *host, const char *user_id, struct oci_request *ret,
                  struct oc_err *err)
{
    struct path p = {.n_pieces = 0};
    *ret = (struct oci_request){0};
    if (!*or_empty(user_id))
        return oc_fail(err, OCID_E_INVALID, 0, "the user's OCID is missing; set 'user'");
    segment(&p, OCI_IDENTITY_PATH "/users/", user_id);
    begin(ret, "GET", host, &p, 0);
    return 0;
}
