/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_replies.c - everything that daemon/oci reads of an answer: headers, errors, pages, dates.
 *
 * A libFuzzer program; links ocid-oci. The first byte chooses the reader, the rest is its input.
 * Build with the preset "fuzz"; by hand:
 *   clang -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Iinclude -I. -Idaemon
 *     tests/fuzz/fuzz_replies.c daemon/oci/[a-z]*.c proto/err.c proto/text.c proto/buf.c
 *     -ljansson -lcrypto
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "oci/canonical.h"
#include "oci/checksum.h"
#include "oci/encode.h"
#include "oci/endpoint.h"
#include "oci/errors.h"
#include "oci/replies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t n_seen;

static int on_object(void *arg, const struct oci_object *o)
{
    (void)arg;
    n_seen += strlen(o->name) + (o->etag ? strlen(o->etag) : 0);
    return 0;
}

static int on_prefix(void *arg, const char *prefix)
{
    (void)arg;
    n_seen += strlen(prefix);
    return 0;
}

static int on_upload(void *arg, const struct oci_upload *u)
{
    (void)arg;
    n_seen += strlen(u->object) + strlen(u->id);
    return 0;
}

static int on_part(void *arg, const struct oci_part *p)
{
    (void)arg;
    assert(p->part_no >= 1 && p->part_no <= 10000);
    return 0;
}

static int on_par(void *arg, const struct oci_par *p)
{
    static char link[OCI_LINK_SIZE];
    (void)arg;
    n_seen += strlen(p->id) + strlen(p->name) + strlen(p->access);
    if (p->uri && !oci_par_link(p, "https://h", link, sizeof link))
        for (const char *c = link; *c; c++)
            assert(*c > ' ' && *c < 0x7f);
    return 0;
}

static int on_bucket(void *arg, const struct oci_bucket *b)
{
    (void)arg;
    n_seen += strlen(b->name);
    return 0;
}

/* Lines of headers, then what is made of a failure with them. */
static void headers(const char *text, size_t n)
{
    struct oci_reply r;
    struct oc_err err;
    oci_reply_init(&r);
    for (const char *end = text + n; text < end;) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        size_t len = stop ? (size_t)(stop - text) + 1 : (size_t)(end - text);
        if (oci_reply_line(&r, text, len, &err))
            break;
        text += len;
    }
    assert(r.arena.total <= 4 * OCI_HEADERS_MAX);
    struct oci_failure f = {.reply = &r};
    oci_judge(&f, NULL, &err);
    oci_reply_fini(&r);
}

static void objects(const char *body, size_t n)
{
    const struct oci_objects_sink sink = {on_object, on_prefix, NULL};
    char *next = NULL;
    struct oc_err err;
    if (!oci_parse_objects(body, n, "m", &sink, &next, &err) && next)
        assert(strcmp(next, "m") > 0);
    free(next);
}

static void error_body(const char *body, size_t n)
{
    struct oci_service_error e;
    struct oci_reply r = {.status = 400};
    struct oc_err err;
    char out[4096];
    oci_parse_error(body, n, &e);
    struct oci_failure f = {.what = "x", .reply = &r, .error = &e};
    oci_judge(&f, NULL, &err);
    oc_err_print(&err, out, sizeof out);
    for (const char *c = out; *c; c++)
        assert((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void small_bodies(const char *body, size_t n)
{
    char space[65], id[OCI_UPLOAD_ID_SIZE];
    struct oci_user user;
    oci_parse_namespace(body, n, space, sizeof space, NULL);
    oci_parse_upload(body, n, id, NULL);
    oci_parse_user(body, n, &user, NULL);
    oci_parse_bucket(body, n, on_bucket, NULL, NULL);
    oci_parse_par(body, n, on_par, NULL, NULL);
}

static void lists(const char *body, size_t n)
{
    oci_parse_uploads(body, n, on_upload, NULL, NULL);
    oci_parse_parts(body, n, on_part, NULL, NULL);
    oci_parse_pars(body, n, on_par, NULL, NULL);
    oci_parse_buckets(body, n, on_bucket, NULL, NULL);
}

/* Whatever is read as a date is written back the same. */
static void texts(const char *text, size_t n)
{
    char *copy = strndup(text, n), *out = malloc(n + 1);
    struct oci_uri uri;
    time_t at;
    int64_t ms;
    size_t got;
    if (!oci_date_parse(text, n, &at)) {
        char again[OCI_DATE_SIZE];
        oci_date_format(at, again);
        assert(!memcmp(again, text, 22));
    }
    oci_time_parse(copy, &ms);
    oci_uri_parse(text, n, &uri, NULL);
    oci_decode(text, n, 1, out, &got);
    oci_unbase64(text, n, out, n, &got);
    oci_endpoint_check(OCI_OBJECT_STORAGE, copy, NULL);
    free(copy);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const char *, size_t) = {headers,      objects, error_body,
                                                            small_bodies, lists,   texts};
    if (size < 1)
        return 0;
    char *copy = malloc(size); /* of its own, so that a read beyond its end is seen */
    memcpy(copy, data + 1, size - 1);
    readers[data[0] % (sizeof readers / sizeof *readers)](copy, size - 1);
    free(copy);
    return 0;
}
