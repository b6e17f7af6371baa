/* SPDX-License-Identifier: Apache-2.0
 *
 * bodies.c - JSON bodies of answers -> structs; declared in replies.h.
 *
 * Pure; any thread. The sender is not trusted: size, depth and number of values are checked before
 * jansson sees the text, so that a page of a few MiB cannot become a gigabyte of nodes.
 * Source: Object Storage API (bodies), identity API (user); RFC 8259, RFC 3339.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text.h"

#include "replies.h"

enum {
    MAX_CONTAINERS = 16384, /* ten thousand parts and to spare */
    MAX_VALUES = 131072,
};

static int bad(struct oc_err *err, const char *what, const char *why)
{
    return oc_fail(err, OCID_E_SERVER, 0, "the service's answer (%s) makes no sense: %s", what,
                   why);
}

/* Counts brackets and commas outside of strings. NULL, or what is too much. */
static const char *too_much(const char *body, size_t n)
{
    size_t depth = 0, containers = 0, values = 0;
    int in_string = 0;
    for (size_t i = 0; i < n; i++) {
        char c = body[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = 0;
        } else if (c == '"') {
            in_string = 1;
        } else if (c == '{' || c == '[') {
            containers++;
            if (++depth > OCI_DEPTH_MAX)
                return "it is nested too deeply";
        } else if ((c == '}' || c == ']') && depth) {
            depth--;
        } else if (c == ',') {
            values++;
        }
    }
    return containers > MAX_CONTAINERS || values > MAX_VALUES ? "it has too many values" : NULL;
}

/* A new reference, or NULL and *err. */
static json_t *load(const char *body, size_t n, const char *what, struct oc_err *err)
{
    json_error_t error;
    const char *why = n > OCI_BODY_MAX ? "it is too long" : too_much(body, n);
    json_t *root = why ? NULL : json_loadb(body, n, JSON_DECODE_ANY, &error);
    if (!root)
        bad(err, what, why ? why : error.text);
    return root;
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* 0 when it is absent or not a time. */
static int64_t time_of(const json_t *object, const char *key)
{
    const char *text = text_of(object, key);
    int64_t ms;
    return text && !oci_time_parse(text, &ms) ? ms : 0;
}

/* 1 and *ret if there is a number that can be a size. */
static int size_of(const json_t *object, const char *key, uint64_t *ret)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return 0;
    *ret = (uint64_t)json_integer_value(value);
    return 1;
}

/* Copies with NUL; 0, or INVALID when it does not fit. */
static int copy(char *out, size_t size, const char *text)
{
    size_t n = strlen(text);
    if (n >= size)
        return OCID_E_INVALID;
    memcpy(out, text, n + 1);
    return 0;
}

static int digits(const char *text, size_t n, int *ret)
{
    *ret = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return OCID_E_INVALID;
        *ret = *ret * 10 + text[i] - '0';
    }
    return 0;
}

/* "Z" or "+02:00", to the end; *ret_min is what local time is ahead. */
static int offset(const char *text, int *ret_min)
{
    int hour, min;
    *ret_min = 0;
    if ((text[0] == 'Z' || text[0] == 'z') && !text[1])
        return 0;
    if ((text[0] != '+' && text[0] != '-') || strlen(text) != 6 || text[3] != ':' ||
        digits(text + 1, 2, &hour) || digits(text + 4, 2, &min) || hour > 23 || min > 59)
        return OCID_E_INVALID;
    *ret_min = (text[0] == '-' ? -1 : 1) * (hour * 60 + min);
    return 0;
}

/* ".123456": milliseconds count. Returns what stands behind it. */
static const char *fraction(const char *text, int *ret_ms)
{
    static const int weight[] = {100, 10, 1};
    *ret_ms = 0;
    if (*text != '.')
        return text;
    size_t n = strspn(++text, "0123456789");
    for (size_t i = 0; i < n && i < 3; i++)
        *ret_ms += (text[i] - '0') * weight[i];
    return n ? text + n : "";
}

/* Days since 1970 of a date of the Gregorian calendar. */
static int64_t days_from(int year, int month, int day)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t y = year - (month < 3); /* leap days up to this date are those of the years up to y */
    int64_t leaps = y / 4 - y / 100 + y / 400;
    return (int64_t)year * 365 + leaps + before[month - 1] + day - 1 - 719527;
}

int oci_time_parse(const char *text, int64_t *ret_ms)
{
    int year, month, day, hour, min, sec, ms, ahead;
    if (strlen(text) < 20 || text[4] != '-' || text[7] != '-' || (text[10] | 0x20) != 't' ||
        text[13] != ':' || text[16] != ':')
        return OCID_E_INVALID;
    if (digits(text, 4, &year) || digits(text + 5, 2, &month) || digits(text + 8, 2, &day) ||
        digits(text + 11, 2, &hour) || digits(text + 14, 2, &min) || digits(text + 17, 2, &sec))
        return OCID_E_INVALID;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || min > 59 ||
        sec > 60)
        return OCID_E_INVALID;
    if (offset(fraction(text + 19, &ms), &ahead))
        return OCID_E_INVALID;
    int64_t minutes = days_from(year, month, day) * 1440 + hour * 60 + min - ahead;
    *ret_ms = (minutes * 60 + sec) * 1000 + ms;
    return 0;
}

int oci_parse_namespace(const char *body, size_t n, char *ret_namespace, size_t size,
                        struct oc_err *err)
{
    json_t *root = load(body, n, "namespace", err);
    if (!root)
        return OCID_E_SERVER;
    const char *text = json_string_value(root);
    int code = text && *text ? copy(ret_namespace, size, text) : OCID_E_INVALID;
    if (code)
        code = bad(err, "namespace", "it is not a name");
    json_decref(root);
    return code;
}

int oci_parse_upload(const char *body, size_t n, char ret_id[OCI_UPLOAD_ID_SIZE],
                     struct oc_err *err)
{
    json_t *root = load(body, n, "multipart upload", err);
    if (!root)
        return OCID_E_SERVER;
    const char *id = text_of(root, "uploadId");
    int code = id && *id ? copy(ret_id, OCI_UPLOAD_ID_SIZE, id) : OCID_E_INVALID;
    if (code)
        code = bad(err, "multipart upload", "it has no usable uploadId");
    json_decref(root);
    return code;
}

static int each_object(const json_t *list, const struct oci_objects_sink *sink, struct oc_err *err)
{
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry)
    {
        struct oci_object o = {
            .name = text_of(entry, "name"),
            .etag = text_of(entry, "etag"),
            .md5 = text_of(entry, "md5"),
            .storage_tier = text_of(entry, "storageTier"),
            .archival_state = text_of(entry, "archivalState"),
            .created_ms = time_of(entry, "timeCreated"),
            .modified_ms = time_of(entry, "timeModified"),
        };
        o.has_size = size_of(entry, "size", &o.size);
        if (!o.name)
            return bad(err, "list of objects", "an object has no name");
        int code = sink->on_object(sink->arg, &o);
        if (code)
            return code;
    }
    return 0;
}

static int each_prefix(const json_t *list, const struct oci_objects_sink *sink, struct oc_err *err)
{
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry)
    {
        if (!json_is_string(entry))
            return bad(err, "list of objects", "a prefix is not a name");
        int code = sink->on_prefix ? sink->on_prefix(sink->arg, json_string_value(entry)) : 0;
        if (code)
            return code;
    }
    return 0;
}

/* Absent and null are the end of the list. */
static int next_start(const json_t *root, const char *start, char **ret_next, struct oc_err *err)
{
    const json_t *next = json_object_get(root, "nextStartWith");
    if (!next || json_is_null(next))
        return 0;
    const char *text = json_string_value(next);
    if (!text || strcmp(text, start ? start : "") <= 0)
        return bad(err, "list of objects", "its next page is not beyond this one");
    *ret_next = strdup(text);
    if (!*ret_next)
        abort();
    return 0;
}

/* Fields of the wrong type are treated as absent, but for the lists themselves. */
static int is_list(const json_t *value)
{
    return !value || json_is_null(value) || json_is_array(value);
}

int oci_parse_objects(const char *body, size_t n, const char *start,
                      const struct oci_objects_sink *sink, char **ret_next, struct oc_err *err)
{
    char *next = NULL;
    json_t *root = load(body, n, "list of objects", err);
    if (!root)
        return OCID_E_SERVER;
    const json_t *objects = json_object_get(root, "objects");
    const json_t *prefixes = json_object_get(root, "prefixes");
    int code = 0;
    if (!json_is_array(objects) || !is_list(prefixes))
        code = bad(err, "list of objects", "it has no objects");
    if (!code)
        code = next_start(root, start, &next, err);
    if (!code)
        code = each_object(objects, sink, err);
    if (!code)
        code = each_prefix(prefixes, sink, err);
    json_decref(root);
    if (code)
        free(next);
    else
        *ret_next = next;
    return code;
}

/* An array's entries, one call each. */
static int each(const char *body, size_t n, const char *what,
                int (*on)(const json_t *entry, void *with, struct oc_err *err), void *with,
                struct oc_err *err)
{
    json_t *root = load(body, n, what, err);
    if (!root)
        return OCID_E_SERVER;
    size_t i;
    json_t *entry;
    int code = json_is_array(root) ? 0 : bad(err, what, "it is not a list");
    if (!code) {
        json_array_foreach(root, i, entry)
        {
            code = on(entry, with, err);
            if (code)
                break;
        }
    }
    json_decref(root);
    return code;
}

/* The caller's callback and its argument. */
struct call {
    int (*on_upload)(void *arg, const struct oci_upload *upload);
    int (*on_part)(void *arg, const struct oci_part *part);
    int (*on_bucket)(void *arg, const struct oci_bucket *bucket);
    int (*on_par)(void *arg, const struct oci_par *par);
    void *arg;
};

static int one_upload(const json_t *entry, void *with, struct oc_err *err)
{
    const struct call *call = with;
    struct oci_upload u = {
        .object = text_of(entry, "object"),
        .id = text_of(entry, "uploadId"),
        .bucket = text_of(entry, "bucket"),
        .created_ms = time_of(entry, "timeCreated"),
    };
    if (!u.object || !u.id)
        return bad(err, "list of uploads", "one has no object or no uploadId");
    return call->on_upload(call->arg, &u);
}

int oci_parse_uploads(const char *body, size_t n,
                      int (*on_upload)(void *arg, const struct oci_upload *upload), void *arg,
                      struct oc_err *err)
{
    struct call call = {.on_upload = on_upload, .arg = arg};
    return each(body, n, "list of uploads", one_upload, &call, err);
}

static int one_part(const json_t *entry, void *with, struct oc_err *err)
{
    const struct call *call = with;
    struct oci_part p = {.etag = text_of(entry, "etag"), .md5 = text_of(entry, "md5")};
    uint64_t part_no;
    if (!size_of(entry, "partNumber", &part_no) || part_no < 1 || part_no > 10000 || !p.etag ||
        !size_of(entry, "size", &p.size))
        return bad(err, "list of parts", "one has no number, etag or size");
    p.part_no = (unsigned)part_no;
    return call->on_part(call->arg, &p);
}

int oci_parse_parts(const char *body, size_t n,
                    int (*on_part)(void *arg, const struct oci_part *part), void *arg,
                    struct oc_err *err)
{
    struct call call = {.on_part = on_part, .arg = arg};
    return each(body, n, "list of parts", one_part, &call, err);
}

static int one_bucket(const json_t *entry, void *with, struct oc_err *err)
{
    const struct call *call = with;
    struct oci_bucket b = {
        .name = text_of(entry, "name"),
        .namespace = text_of(entry, "namespace"),
        .compartment = text_of(entry, "compartmentId"),
        .etag = text_of(entry, "etag"),
        .storage_tier = text_of(entry, "storageTier"),
        .versioning = text_of(entry, "versioning"),
        .public_access = text_of(entry, "publicAccessType"),
        .created_ms = time_of(entry, "timeCreated"),
    };
    if (!b.name)
        return bad(err, "bucket", "it has no name");
    return call->on_bucket(call->arg, &b);
}

int oci_parse_buckets(const char *body, size_t n,
                      int (*on_bucket)(void *arg, const struct oci_bucket *bucket), void *arg,
                      struct oc_err *err)
{
    struct call call = {.on_bucket = on_bucket, .arg = arg};
    return each(body, n, "list of buckets", one_bucket, &call, err);
}

int oci_parse_bucket(const char *body, size_t n,
                     int (*on_bucket)(void *arg, const struct oci_bucket *bucket), void *arg,
                     struct oc_err *err)
{
    struct call call = {.on_bucket = on_bucket, .arg = arg};
    json_t *root = load(body, n, "bucket", err);
    if (!root)
        return OCID_E_SERVER;
    int code = one_bucket(root, &call, err);
    json_decref(root);
    return code;
}

static int one_par(const json_t *entry, void *with, struct oc_err *err)
{
    const struct call *call = with;
    const char *listing = text_of(entry, "bucketListingAction");
    struct oci_par p = {
        .id = text_of(entry, "id"),
        .name = text_of(entry, "name"),
        .access = text_of(entry, "accessType"),
        .object = text_of(entry, "objectName"),
        .uri = text_of(entry, "accessUri"),
        .full = text_of(entry, "fullPath"),
        .listing = listing && !strcmp(listing, "ListObjects"),
        .created_ms = time_of(entry, "timeCreated"),
        .expires_ms = time_of(entry, "timeExpires"),
    };
    if (!p.id || !*p.id || !p.name || !p.access)
        return bad(err, "pre-authenticated request", "it has no id, name or accessType");
    return call->on_par(call->arg, &p);
}

int oci_parse_pars(const char *body, size_t n, int (*on_par)(void *arg, const struct oci_par *par),
                   void *arg, struct oc_err *err)
{
    struct call call = {.on_par = on_par, .arg = arg};
    return each(body, n, "list of pre-authenticated requests", one_par, &call, err);
}

int oci_parse_par(const char *body, size_t n, int (*on_par)(void *arg, const struct oci_par *par),
                  void *arg, struct oc_err *err)
{
    struct call call = {.on_par = on_par, .arg = arg};
    json_t *root = load(body, n, "pre-authenticated request", err);
    if (!root)
        return OCID_E_SERVER;
    const char *uri = text_of(root, "accessUri");
    int code = uri && !strncmp(uri, "/p/", 3)
                   ? one_par(root, &call, err)
                   : bad(err, "pre-authenticated request", "it has no accessUri");
    json_decref(root);
    return code;
}

int oci_par_link(const struct oci_par *par, const char *base, char *out, size_t size)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "-._~%/+=:@,!*";
    size_t n_full = par->full ? strlen(par->full) : 0, n_uri = strlen(par->uri), n = 0;
    int whole = n_full > n_uri && !strncmp(par->full, "http", 4) &&
                !strcmp(par->full + n_full - n_uri, par->uri);
    const char *const pieces[] = {whole ? par->full : base, whole ? "" : par->uri};
    for (size_t i = 0; i < 2; i++)
        for (const char *c = pieces[i]; *c; c++) {
            if (n + 4 > size)
                return OCID_E_TOO_LARGE;
            if (strchr(plain, *c))
                out[n++] = *c;
            else
                n += (size_t)sprintf(out + n, "%%%02X", (unsigned char)*c);
        }
    out[n] = 0;
    return 0;
}

/* A member's text, cut to size; "" if it has none. */
static void take_text(const json_t *object, const char *key, char *out, size_t size)
{
    const char *text = text_of(object, key);
    oc_text_join(out, size, text ? text : "", "", "");
}

int oci_parse_user(const char *body, size_t n, struct oci_user *ret, struct oc_err *err)
{
    json_t *root = load(body, n, "user", err);
    if (!root)
        return OCID_E_SERVER;
    int code = text_of(root, "id") ? 0 : bad(err, "user", "it has no id");
    if (!code) {
        take_text(root, "id", ret->id, sizeof ret->id);
        take_text(root, "name", ret->name, sizeof ret->name);
        take_text(root, "lifecycleState", ret->state, sizeof ret->state);
        take_text(root, "description", ret->description, sizeof ret->description);
        take_text(root, "email", ret->email, sizeof ret->email);
        take_text(root, "timeCreated", ret->created, sizeof ret->created);
        size_t size =
            json_dumpb(root, ret->json, sizeof ret->json - 1, JSON_COMPACT | JSON_ENSURE_ASCII);
        ret->json[size < sizeof ret->json ? size : 0] = 0;
    }
    json_decref(root);
    return code;
}

void oci_parse_error(const char *body, size_t n, struct oci_service_error *ret)
{
    *ret = (struct oci_service_error){0};
    json_t *root = n && n <= OCI_ERROR_BODY_MAX ? load(body, n, "error", NULL) : NULL;
    const char *code = text_of(root, "code"), *message = text_of(root, "message");
    if (code || message) {
        code = code ? code : "";
        message = message ? message : "";
        oc_text_escape(code, strlen(code), ret->code, sizeof ret->code);
        oc_text_escape(message, strlen(message), ret->message, sizeof ret->message);
    } else {
        oc_text_escape(body, n, ret->message, sizeof ret->message);
    }
    json_decref(root);
}
