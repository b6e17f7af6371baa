/* SPDX-License-Identifier: Apache-2.0
 *
 * lower.c - white space and lower case as Python's str has them.
 *
 * Pure; any thread. Used by profile.c: two keys are the same if Python lower-cases them alike, and
 * a blank is what Python strips. Tables from lower_tables.h; the two special cases are U+0130 and
 * the Greek sigma, which is another letter at the end of a word.
 */
#include "signer/lower.h"

#include <string.h>

#include "signer/lower_tables.h"

enum { SIGMA = 0x3a3, SIGMA_SMALL = 0x3c3, SIGMA_FINAL = 0x3c2, DOTTED_I = 0x130, DOT = 0x307 };

#define N_ROWS(table) (sizeof(table) / sizeof *(table))

uint32_t lower_char(const char *in, size_t *len)
{
    const unsigned char *s = (const unsigned char *)in;
    if (s[0] < 0x80) {
        *len = 1;
        return s[0];
    }
    if (s[0] < 0xe0) {
        *len = 2;
        return (uint32_t)(s[0] & 0x1f) << 6 | (s[1] & 0x3f);
    }
    if (s[0] < 0xf0) {
        *len = 3;
        return (uint32_t)(s[0] & 0x0f) << 12 | (uint32_t)(s[1] & 0x3f) << 6 | (s[2] & 0x3f);
    }
    *len = 4;
    return (uint32_t)(s[0] & 0x07) << 18 | (uint32_t)(s[1] & 0x3f) << 12 |
           (uint32_t)(s[2] & 0x3f) << 6 | (s[3] & 0x3f);
}

static size_t put_char(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

int lower_is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Start of the character that ends before at. */
static size_t char_before(const char *s, size_t at)
{
    do
        at--;
    while (at && ((unsigned char)s[at] & 0xc0) == 0x80);
    return at;
}

size_t lower_rstrip(const char *s, size_t n)
{
    while (n) {
        size_t len, at = char_before(s, n);
        if (!lower_is_space(lower_char(s + at, &len)))
            break;
        n = at;
    }
    return n;
}

size_t lower_strip(const char **s, size_t *n)
{
    size_t len, chars = 0;
    for (; *n && lower_is_space(lower_char(*s, &len)); chars++) {
        *s += len;
        *n -= len;
    }
    *n = lower_rstrip(*s, *n);
    return chars;
}

#define FIND_ROW(table, c)                                                                         \
    size_t lo = 0, hi = N_ROWS(table);                                                             \
    while (lo < hi) {                                                                              \
        size_t mid = (lo + hi) / 2;                                                                \
        if ((table)[mid].last < (c))                                                               \
            lo = mid + 1;                                                                          \
        else                                                                                       \
            hi = mid;                                                                              \
    }                                                                                              \
    int found = lo < N_ROWS(table) && (table)[lo].first <= (c)

static int is_cased(uint32_t c)
{
    FIND_ROW(cased_rows, c);
    return found;
}

static int is_ignorable(uint32_t c)
{
    FIND_ROW(ignorable_rows, c);
    return found;
}

static uint32_t lower_one(uint32_t c)
{
    FIND_ROW(lower_rows, c);
    if (!found || (c - lower_rows[lo].first) % lower_rows[lo].step)
        return c;
    return (uint32_t)((int32_t)c + lower_rows[lo].delta);
}

/* Is the sigma at in[at] the last letter of a word? */
static int sigma_is_final(const char *in, size_t n, size_t at)
{
    size_t len, before = at, after = at + 2;
    uint32_t c = 0;
    int any = 0;
    while (before && !any) {
        before = char_before(in, before);
        c = lower_char(in + before, &len);
        any = !is_ignorable(c);
    }
    if (!any || !is_cased(c))
        return 0;
    for (; after < n; after += len) {
        c = lower_char(in + after, &len);
        if (!is_ignorable(c))
            return !is_cased(c);
    }
    return 1;
}

size_t lower_case(const char *in, size_t n, char *out)
{
    size_t used = 0, len;
    for (size_t at = 0; at < n; at += len) {
        uint32_t c = lower_char(in + at, &len);
        if (c == DOTTED_I) {
            out[used++] = 'i';
            used += put_char(out + used, DOT);
        } else if (c == SIGMA) {
            used += put_char(out + used, sigma_is_final(in, n, at) ? SIGMA_FINAL : SIGMA_SMALL);
        } else {
            used += put_char(out + used, lower_one(c));
        }
    }
    return used;
}
