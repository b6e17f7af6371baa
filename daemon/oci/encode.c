/* SPDX-License-Identifier: Apache-2.0
 *
 * encode.c - percent-encoding and the rules for names.
 *
 * Pure; any thread. Used by calls.c, by jobs for what a person typed, and by xfer.
 * Source: Object Storage API (names, limits); what Oracle's Python SDK encodes.
 */
#include "encode.h"

#include <string.h>

#include "proto/text.h"

static int is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static int is_plain(char c)
{
    return is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* "." and ".." alone would be taken for steps of the path. */
static int is_dots(const char *in, size_t n)
{
    return (n == 1 && in[0] == '.') || (n == 2 && in[0] == '.' && in[1] == '.');
}

char *oci_encode(char *out, const char *in, size_t n)
{
    static const char hex[] = "0123456789ABCDEF";
    int dots = is_dots(in, n);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)in[i];
        if (is_plain(in[i]) && !dots) {
            *out++ = in[i];
            continue;
        }
        *out++ = '%';
        *out++ = hex[c >> 4];
        *out++ = hex[c & 15];
    }
    return out;
}

size_t oci_encoded_len(const char *in, size_t n)
{
    size_t len = 0;
    if (is_dots(in, n))
        return 3 * n;
    for (size_t i = 0; i < n; i++)
        len += is_plain(in[i]) ? 1 : 3;
    return len;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int oci_decode(const char *in, size_t n, int plus, char *out, size_t *ret_n)
{
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (in[i] != '%') {
            out[used++] = plus && in[i] == '+' ? ' ' : in[i];
            continue;
        }
        if (n - i < 3 || hex_of(in[i + 1]) < 0 || hex_of(in[i + 2]) < 0)
            return OCID_E_INVALID;
        out[used++] = (char)(hex_of(in[i + 1]) << 4 | hex_of(in[i + 2]));
        i += 2;
    }
    *ret_n = used;
    return 0;
}

/* The rule that buckets and namespaces share. */
static int label_check(const char *kind, const char *name, size_t n, size_t max, struct oc_err *err)
{
    if (!n)
        return oc_fail(err, OCID_E_NAME, 0, "the %s name is empty; give one", kind);
    if (n > max)
        return oc_fail(err, OCID_E_NAME, 0,
                       "the %s name has %zu bytes, but at most %zu are allowed; shorten it", kind,
                       n, max);
    for (size_t i = 0; i < n; i++)
        if (!is_alnum(name[i]) && (name[i] == '~' || !is_plain(name[i])))
            return oc_fail(err, OCID_E_NAME, 0,
                           "%s '%.*s' cannot be used: only letters, digits, '.', '_' and '-' may "
                           "stand in its name",
                           kind, (int)n, name);
    if (is_dots(name, n))
        return oc_fail(err, OCID_E_NAME, 0,
                       "%s '%.*s' cannot be used: it would be a step of the path; give its real "
                       "name",
                       kind, (int)n, name);
    return 0;
}

int oci_bucket_check(const char *name, size_t n, struct oc_err *err)
{
    return label_check("bucket", name, n, OCI_BUCKET_MAX, err);
}

int oci_namespace_check(const char *name, size_t n, struct oc_err *err)
{
    return label_check("namespace", name, n, OCI_NAMESPACE_MAX, err);
}

/* Length of name as it is shown in a sentence. */
static int shown(size_t n)
{
    return n > 128 ? 128 : (int)n;
}

int oci_prefix_check(const char *name, size_t n, struct oc_err *err)
{
    if (n > OCI_OBJECT_MAX)
        return oc_fail(err, OCID_E_NAME, 0,
                       "object name '%.*s...' has %zu bytes, but at most %d are allowed; shorten "
                       "it",
                       64, name, n, OCI_OBJECT_MAX);
    for (size_t i = 0; i < n; i++)
        if (!name[i] || name[i] == '\r' || name[i] == '\n')
            return oc_fail(err, OCID_E_NAME, 0,
                           "object name '%.*s' has %s in it, which the service does not allow; "
                           "take it out",
                           shown(n), name, name[i] ? "a line break" : "a NUL byte");
    if (!oc_utf8_valid(name, n))
        return oc_fail(err, OCID_E_NAME, 0,
                       "object name '%.*s' is not UTF-8; rename it, or give the object another "
                       "name",
                       shown(n), name);
    return 0;
}

int oci_object_check(const char *name, size_t n, struct oc_err *err)
{
    if (!n)
        return oc_fail(err, OCID_E_NAME, 0, "the object name is empty; give one");
    if (is_dots(name, n))
        return oc_fail(err, OCID_E_NAME, 0,
                       "object name '%.*s' cannot be used: it would be a step of the path; give "
                       "another",
                       (int)n, name);
    return oci_prefix_check(name, n, err);
}

static const char scheme[] = "oci://";
enum { N_SCHEME = sizeof scheme - 1 };

int oci_uri_is(const char *text, size_t n)
{
    return n >= N_SCHEME && !memcmp(text, scheme, N_SCHEME);
}

int oci_uri_parse(const char *text, size_t n, struct oci_uri *ret, struct oc_err *err)
{
    if (!oci_uri_is(text, n))
        return oc_fail(err, OCID_E_NAME, 0,
                       "'%.*s' is not of the form oci://bucket[@namespace]/object", shown(n), text);
    const char *at = text + N_SCHEME, *end = text + n;
    const char *slash = memchr(at, '/', (size_t)(end - at));
    const char *stop = slash ? slash : end;
    const char *sign = memchr(at, '@', (size_t)(stop - at));
    struct oci_uri uri = {
        .bucket = at,
        .n_bucket = (size_t)((sign ? sign : stop) - at),
        .namespace = sign ? sign + 1 : NULL,
        .n_namespace = sign ? (size_t)(stop - sign - 1) : 0,
        .object = slash ? slash + 1 : end,
        .n_object = slash ? (size_t)(end - slash - 1) : 0,
    };
    int code = oci_bucket_check(uri.bucket, uri.n_bucket, err);
    if (!code && sign)
        code = oci_namespace_check(uri.namespace, uri.n_namespace, err);
    if (!code)
        code = oci_prefix_check(uri.object, uri.n_object, err);
    if (!code)
        *ret = uri;
    return code;
}
