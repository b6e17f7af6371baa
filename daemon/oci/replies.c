/* SPDX-License-Identifier: Apache-2.0
 *
 * replies.c - headers of answers, one line at a time, into struct oci_reply.
 *
 * Pure; any thread. Fed by libcurl's header callback; bodies are in bodies.c. The sender is not
 * trusted: lines, their sum and the metadata have ceilings.
 * Source: Object Storage API, response headers; RFC 9110.
 */
#include "replies.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "canonical.h"
#include "checksum.h"

enum { DAY_S = 86400 };

void oci_reply_init(struct oci_reply *r)
{
    *r = (struct oci_reply){.content_length = -1, .range_total = -1};
    r->meta_end = &r->meta;
}

void oci_reply_fini(struct oci_reply *r)
{
    if (!r)
        return;
    oci_arena_fini(&r->arena);
    oci_reply_init(r);
}

/* Digits of text as a number. 0, or INVALID when there are none, others, or too many. */
static int number(const char *text, size_t n, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    if (!n || n > 20)
        return OCID_E_INVALID;
    for (size_t i = 0; i < n; i++) {
        unsigned digit = (unsigned char)text[i] - '0';
        if (digit > 9 || value > (max - digit) / 10)
            return OCID_E_INVALID;
        value = value * 10 + digit;
    }
    *ret = value;
    return 0;
}

static int on_length(struct oci_reply *r, const char *text, size_t n)
{
    uint64_t value;
    if (r->content_length < 0 && !number(text, n, INT64_MAX, &value))
        r->content_length = (int64_t)value;
    return 0;
}

/* What stands before the slash: "A-B" or "*". */
static int range_part(struct oci_reply *r, const char *text, size_t n)
{
    const char *dash = memchr(text, '-', n);
    if (n == 1 && text[0] == '*') {
        r->range_none = 1;
        return 0;
    }
    if (!dash || number(text, (size_t)(dash - text), INT64_MAX, &r->range_first) ||
        number(dash + 1, (size_t)(text + n - dash - 1), INT64_MAX, &r->range_last))
        return OCID_E_SERVER;
    return r->range_first <= r->range_last ? 0 : OCID_E_SERVER;
}

/* "bytes A-B/TOTAL". A get depends on it: one that cannot be read is an error. */
static int on_range(struct oci_reply *r, const char *text, size_t n)
{
    const char *slash = memchr(text, '/', n), *end = text + n;
    uint64_t total;
    if (r->has_range || n < 6 || strncasecmp(text, "bytes ", 6) || !slash)
        return OCID_E_SERVER;
    if (range_part(r, text + 6, (size_t)(slash - text - 6)))
        return OCID_E_SERVER;
    r->has_range = 1;
    if (end - slash == 2 && slash[1] == '*')
        return 0;
    if (number(slash + 1, (size_t)(end - slash - 1), INT64_MAX, &total))
        return OCID_E_SERVER;
    r->range_total = (int64_t)total;
    return r->range_none || r->range_last < total ? 0 : OCID_E_SERVER;
}

static int on_crc(struct oci_reply *r, const char *text, size_t n)
{
    if (!r->has_crc32c && !oci_crc_parse(text, n, &r->crc32c))
        r->has_crc32c = 1;
    return 0;
}

/* A time to retry at counts from the server's own clock. */
static void settle_retry(struct oci_reply *r)
{
    if (!r->retry_at || !r->date || r->retry_at <= r->date)
        return;
    time_t wait = r->retry_at - r->date;
    r->retry_after = wait > DAY_S ? DAY_S : (uint32_t)wait;
}

static int on_date(struct oci_reply *r, const char *text, size_t n)
{
    if (!r->date)
        (void)oci_date_parse(text, n, &r->date);
    settle_retry(r);
    return 0;
}

static int on_last_modified(struct oci_reply *r, const char *text, size_t n)
{
    if (!r->last_modified)
        (void)oci_date_parse(text, n, &r->last_modified);
    return 0;
}

static int on_retry_after(struct oci_reply *r, const char *text, size_t n)
{
    uint64_t seconds;
    if (!number(text, n, UINT64_MAX, &seconds))
        r->retry_after = seconds > DAY_S ? DAY_S : (uint32_t)seconds;
    else if (!oci_date_parse(text, n, &r->retry_at))
        settle_retry(r);
    return 0;
}

static int on_meta(struct oci_reply *r, const char *name, size_t n_name, const char *value,
                   size_t n)
{
    if (!n_name || r->n_meta == OCI_META_MAX)
        return 0;
    struct oci_meta *m = oci_arena_get(&r->arena, sizeof *m);
    *m = (struct oci_meta){
        .name = oci_arena_text(&r->arena, name, n_name),
        .value = oci_arena_text(&r->arena, value, n),
    };
    *r->meta_end = m;
    r->meta_end = &m->next;
    r->n_meta++;
    return 0;
}

/* A header is kept as text, or a function makes something of it. */
static const struct row {
    const char *name;
    size_t text; /* offset of the field */
    int (*on)(struct oci_reply *r, const char *text, size_t n);
} rows[] = {
    {"etag", offsetof(struct oci_reply, etag), NULL},
    {"content-type", offsetof(struct oci_reply, content_type), NULL},
    {"content-md5", offsetof(struct oci_reply, content_md5), NULL},
    {"opc-content-md5", offsetof(struct oci_reply, opc_content_md5), NULL},
    {"opc-multipart-md5", offsetof(struct oci_reply, opc_multipart_md5), NULL},
    {"opc-request-id", offsetof(struct oci_reply, opc_request_id), NULL},
    {"opc-client-request-id", offsetof(struct oci_reply, opc_client_request_id), NULL},
    {"opc-next-page", offsetof(struct oci_reply, opc_next_page), NULL},
    {"storage-tier", offsetof(struct oci_reply, storage_tier), NULL},
    {"archival-state", offsetof(struct oci_reply, archival_state), NULL},
    {"version-id", offsetof(struct oci_reply, version_id), NULL},
    {"content-length", 0, on_length},
    {"content-range", 0, on_range},
    {"opc-content-crc32c", 0, on_crc},
    {"date", 0, on_date},
    {"last-modified", 0, on_last_modified},
    {"retry-after", 0, on_retry_after},
};

static const char meta_prefix[] = "opc-meta-";
enum { N_META_PREFIX = sizeof meta_prefix - 1 };

static int dispatch(struct oci_reply *r, const char *name, size_t n_name, const char *value,
                    size_t n)
{
    if (n_name > N_META_PREFIX && !strncasecmp(name, meta_prefix, N_META_PREFIX))
        return on_meta(r, name + N_META_PREFIX, n_name - N_META_PREFIX, value, n);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strlen(rows[i].name) != n_name || strncasecmp(rows[i].name, name, n_name))
            continue;
        if (rows[i].on)
            return rows[i].on(r, value, n);
        const char **field = (const char **)((char *)r + rows[i].text);
        if (!*field && n)
            *field = oci_arena_text(&r->arena, value, n);
        return 0;
    }
    return 0;
}

static int has_control(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7f)
            return 1;
    return 0;
}

static int count(struct oci_reply *r, size_t n, struct oc_err *err)
{
    r->n_bytes += n;
    if (n > OCI_LINE_MAX || r->n_bytes > OCI_HEADERS_MAX)
        return oc_fail(err, OCID_E_SERVER, 0, "the service sent headers of more than %d bytes",
                       n > OCI_LINE_MAX ? OCI_LINE_MAX : OCI_HEADERS_MAX);
    return 0;
}

static int is_space(char c)
{
    return c == ' ' || c == '\t';
}

static int take(struct oci_reply *r, const char *name, size_t n_name, const char *value, size_t n,
                struct oc_err *err)
{
    for (; n && is_space(value[0]); n--)
        value++;
    while (n && is_space(value[n - 1]))
        n--;
    if (has_control(value, n) || has_control(name, n_name))
        return 0;
    if (dispatch(r, name, n_name, value, n))
        return oc_fail(err, OCID_E_SERVER, 0, "the service sent '%.*s: %.*s', which makes no sense",
                       n_name > 64 ? 64 : (int)n_name, name, n > 64 ? 64 : (int)n, value);
    return 0;
}

int oci_reply_header(struct oci_reply *r, const char *name, size_t n_name, const char *value,
                     size_t n_value, struct oc_err *err)
{
    int code = count(r, n_name + n_value + 2, err);
    return code ? code : take(r, name, n_name, value, n_value, err);
}

/* "HTTP/1.1 200 OK": everything before it belonged to another answer, but still counts. */
static int on_status(struct oci_reply *r, const char *line, size_t n, struct oc_err *err)
{
    size_t n_bytes = r->n_bytes;
    const char *space = memchr(line, ' ', n);
    uint64_t status = 0;
    oci_reply_fini(r);
    r->n_bytes = n_bytes;
    if (!space || line + n - space < 4 || number(space + 1, 3, 599, &status) || status < 100 ||
        (line + n - space > 4 && space[4] != ' '))
        return oc_fail(err, OCID_E_SERVER, 0, "the service sent a status line that is none");
    r->status = (int)status;
    return 0;
}

int oci_reply_line(struct oci_reply *r, const char *line, size_t n, struct oc_err *err)
{
    int code = count(r, n, err);
    if (code)
        return code;
    while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        n--;
    if (n >= 5 && !memcmp(line, "HTTP/", 5))
        return on_status(r, line, n, err);
    const char *colon = memchr(line, ':', n);
    if (!colon || colon == line)
        return 0;
    return take(r, line, (size_t)(colon - line), colon + 1, (size_t)(line + n - colon - 1), err);
}
