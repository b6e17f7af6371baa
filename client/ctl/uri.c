/* SPDX-License-Identifier: Apache-2.0
 *
 * uri.c - splits oci:// URIs and says how to mend those that are none.
 *
 * Pure. The daemon's rules are the same; here they are checked before anything is sent.
 */
#include "ctl/uri.h"

#include <stdio.h>
#include <string.h>

#include "proto/text.h"

static const char scheme[] = "oci://";
enum { N_SCHEME = sizeof scheme - 1, OBJECT_MAX = 1024 };

bool uri_is(const char *text)
{
    return !strncmp(text, scheme, N_SCHEME);
}

static int fail(char *why, size_t size, const char *text, const char *what)
{
    snprintf(why, size, "'%.200s': %s", text, what);
    return -1;
}

static bool bucket_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

static bool all_bucket_chars(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!bucket_char(p[i]))
            return false;
    return true;
}

int uri_parse(const char *text, struct uri *ret, char *why, size_t size)
{
    if (!uri_is(text))
        return fail(why, size, text, "not of the form oci://bucket[@namespace]/object");
    const char *at = text + N_SCHEME;
    size_t n = strcspn(at, "/"), n_bucket = strcspn(at, "@/");
    if (!n_bucket)
        return fail(why, size, text, "no bucket is named: oci://bucket[@namespace]/object");
    if (n_bucket > 256 || !all_bucket_chars(at, n_bucket))
        return fail(why, size, text,
                    "a bucket name has at most 256 letters, digits, '-', '_' and '.'");
    size_t n_space = n_bucket < n ? n - n_bucket - 1 : 0;
    if (n_bucket < n && (!n_space || n_space > 64 || !all_bucket_chars(at + n_bucket + 1, n_space)))
        return fail(why, size, text, "behind '@' stands a namespace: 1 to 64 letters and digits");
    const char *object = at[n] ? at + n + 1 : at + n;
    if (strlen(object) > OBJECT_MAX)
        return fail(why, size, text, "an object name has at most 1024 bytes");
    if (!oc_utf8_valid(object, strlen(object)))
        return fail(why, size, text, "an object name is UTF-8");
    if (object[strcspn(object, "\r\n")])
        return fail(why, size, text, "an object name has no line breaks");
    snprintf(ret->bucket, sizeof ret->bucket, "%.*s", (int)n_bucket, at);
    snprintf(ret->space, sizeof ret->space, "%.*s", (int)n_space, at + n_bucket + 1);
    ret->object = object;
    return 0;
}

bool uri_is_object(const struct uri *uri)
{
    return *uri->object && strcmp(uri->object, ".") != 0 && strcmp(uri->object, "..") != 0;
}

bool uri_is_below(const struct uri *uri)
{
    size_t n = strlen(uri->object);
    return !n || uri->object[n - 1] == '/';
}
