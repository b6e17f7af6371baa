/* SPDX-License-Identifier: Apache-2.0
 *
 * json.c - members of a JSON object: as much as tokens and the answers that bring them need.
 *
 * Pure; any thread. What it does not ask for it steps over without taking it apart: strings to
 * their quote, everything else by its brackets.
 * Source: RFC 8259.
 */
#include "signer/json.h"

#include <string.h>

struct at {
    const char *p, *end;
};

static void blanks(struct at *a)
{
    while (a->p < a->end && memchr(" \t\r\n", *a->p, 4))
        a->p++;
}

static int take(struct at *a, char c)
{
    blanks(a);
    if (a->p == a->end || *a->p != c)
        return 0;
    a->p++;
    return 1;
}

/* Behind the closing quote; *s and *n are what is between. */
static int string(struct at *a, const char **s, size_t *n)
{
    if (!take(a, '"'))
        return 0;
    *s = a->p;
    for (; a->p < a->end && *a->p != '"'; a->p++)
        if (*a->p == '\\' && ++a->p == a->end)
            return 0;
    *n = (size_t)(a->p - *s);
    return take(a, '"');
}

/* Behind a value of any kind: up to the comma or bracket that ends it. */
static int value(struct at *a, struct at *ret)
{
    const char *s;
    size_t n;
    unsigned depth = 0;
    blanks(a);
    ret->p = a->p;
    while (a->p < a->end) {
        char c = *a->p;
        if (c == '"') {
            if (!string(a, &s, &n))
                return 0;
            continue;
        }
        if (!depth && memchr(",}]", c, 3))
            break;
        if (c == '{' || c == '[')
            depth++;
        if (c == '}' || c == ']')
            depth--;
        a->p++;
    }
    ret->end = a->p;
    return a->p < a->end && ret->p < ret->end;
}

static int find(const char *text, size_t n, const char *name, struct at *ret)
{
    struct at a = {text, text + n};
    const char *key;
    size_t key_n;
    if (!take(&a, '{'))
        return 0;
    do {
        if (!string(&a, &key, &key_n) || !take(&a, ':') || !value(&a, ret))
            return 0;
        if (key_n == strlen(name) && !memcmp(key, name, key_n))
            return 1;
    } while (take(&a, ','));
    return 0;
}

int json_text(const char *text, size_t n, const char *name, char *out, size_t size)
{
    struct at v;
    const char *s;
    size_t len;
    if (!find(text, n, name, &v) || !string(&v, &s, &len))
        return 0;
    if (len >= size || memchr(s, '\\', len) || memchr(s, 0, len))
        return 0;
    memcpy(out, s, len);
    out[len] = 0;
    return 1;
}

int json_number(const char *text, size_t n, const char *name, int64_t *ret)
{
    struct at v;
    int64_t sum = 0;
    if (!find(text, n, name, &v))
        return 0;
    while (v.end > v.p && memchr(" \t\r\n", v.end[-1], 4))
        v.end--;
    for (; v.p < v.end; v.p++) {
        if (*v.p < '0' || *v.p > '9' || sum > INT64_MAX / 10 - 1)
            return 0;
        sum = 10 * sum + *v.p - '0';
    }
    *ret = sum;
    return 1;
}
