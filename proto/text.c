/* SPDX-License-Identifier: Apache-2.0
 *
 * text.c - joins, escapes and checks text.
 *
 * Pure; any thread. Source of the UTF-8 rules: Unicode 15, table 3-7.
 */
#include "text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void oc_text_join(char *out, size_t size, const char *a, const char *b, const char *c)
{
    const char *part[] = {a, b, c};
    size_t used = 0;
    for (int i = 0; i < 3; i++) {
        size_t n = strnlen(part[i], size - 1 - used);
        memcpy(out + used, part[i], n);
        used += n;
    }
    out[used] = 0;
}

static int tail_byte(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

size_t oc_utf8_len(const char *in, size_t n)
{
    const unsigned char *s = (const unsigned char *)in;
    if (n >= 1 && s[0] < 0x80)
        return 1;
    if (n >= 2 && s[0] >= 0xc2 && s[0] <= 0xdf && tail_byte(in[1]))
        return 2;
    if (n >= 3 && (s[0] & 0xf0) == 0xe0 && tail_byte(in[1]) && tail_byte(in[2])) {
        int overlong = s[0] == 0xe0 && s[1] < 0xa0, surrogate = s[0] == 0xed && s[1] > 0x9f;
        return overlong || surrogate ? 0 : 3;
    }
    if (n >= 4 && s[0] >= 0xf0 && s[0] <= 0xf4 && tail_byte(in[1]) && tail_byte(in[2]) &&
        tail_byte(in[3])) {
        int overlong = s[0] == 0xf0 && s[1] < 0x90, beyond = s[0] == 0xf4 && s[1] > 0x8f;
        return overlong || beyond ? 0 : 4;
    }
    return 0;
}

int oc_utf8_valid(const char *in, size_t n)
{
    for (size_t at = 0; at < n;) {
        uint64_t word; /* eight bytes of ASCII at a time: most names are nothing else */
        if (n - at >= sizeof word && (memcpy(&word, in + at, sizeof word), 1) &&
            !(word & 0x8080808080808080u)) {
            at += sizeof word;
            continue;
        }
        size_t len = oc_utf8_len(in + at, n - at);
        if (!len)
            return 0;
        at += len;
    }
    return 1;
}

/* C0, DEL and C1 controls move cursors. */
static int is_control(const char *in, size_t len)
{
    unsigned char c = (unsigned char)in[0];
    return (len == 1 && (c < 0x20 || c == 0x7f)) ||
           (len == 2 && c == 0xc2 && (in[1] & 0xe0) == 0x80);
}

size_t oc_text_escape(const char *in, size_t n, char *out, size_t size)
{
    size_t used = 0;
    for (size_t at = 0; at < n;) {
        size_t len = oc_utf8_len(in + at, n - at);
        int escape = !len || is_control(in + at, len);
        if (!len)
            len = 1;
        size_t want = escape ? 4 * len : len;
        if (used + want >= size)
            break;
        if (!escape)
            memcpy(out + used, in + at, len);
        for (size_t i = 0; escape && i < len; i++)
            snprintf(out + used + 4 * i, 5, "\\x%02x", (unsigned char)in[at + i]);
        used += want;
        at += len;
    }
    if (size)
        out[used] = 0;
    return used;
}

char *oc_text_time(int64_t ms, char out[OC_TIME_SIZE])
{
    struct tm tm;
    time_t s = (time_t)(ms / 1000);
    gmtime_r(&s, &tm);
    size_t n = strftime(out, OC_TIME_SIZE - 8, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, 8, ".%03uZ", (unsigned)(ms % 1000));
    return out;
}
