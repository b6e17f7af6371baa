/* SPDX-License-Identifier: Apache-2.0
 *
 * test_text.c - joining, escaping, and what is UTF-8.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/text.h"

#define N(rows) (sizeof(rows) / sizeof *(rows))

static const struct {
    const char *name, *bytes;
    int valid;
} utf8[] = {
    {"empty", "", 1},
    {"ASCII", "hello", 1},
    {"long ASCII", "hello, this is longer than a word of the machine", 1},
    {"two bytes", "\xc3\xa4", 1},
    {"three bytes", "\xe2\x82\xac", 1},
    {"four bytes", "\xf0\x9f\x90\x88", 1},
    {"smallest of two", "\xc2\x80", 1},
    {"smallest of three", "\xe0\xa0\x80", 1},
    {"smallest of four", "\xf0\x90\x80\x80", 1},
    {"largest", "\xf4\x8f\xbf\xbf", 1},
    {"before the surrogates", "\xed\x9f\xbf", 1},
    {"after the surrogates", "\xee\x80\x80", 1},
    {"tail alone", "\x80", 0},
    {"0xfe", "\xfe", 0},
    {"0xff", "\xff", 0},
    {"overlong slash", "\xc0\xaf", 0},
    {"overlong of two", "\xc1\xbf", 0},
    {"overlong of three", "\xe0\x9f\xbf", 0},
    {"overlong of four", "\xf0\x8f\xbf\xbf", 0},
    {"surrogate", "\xed\xa0\x80", 0},
    {"last surrogate", "\xed\xbf\xbf", 0},
    {"beyond Unicode", "\xf4\x90\x80\x80", 0},
    {"0xf5", "\xf5\x80\x80\x80", 0},
    {"cut two", "\xc3", 0},
    {"cut three", "\xe2\x82", 0},
    {"cut four", "\xf0\x9f\x90", 0},
    {"two without tail", "\xc3(", 0},
    {"late fault", "sixteen bytes of it, then\xff", 0},
    {"fault in the second word",
     "12345678\x80"
     "123456789",
     0},
    {"word, then two bytes",
     "1234567\xc3\xa4"
     "12345678",
     1},
};

static void test_utf8(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(utf8); i++) {
        size_t n = strlen(utf8[i].bytes);
        for (size_t shift = 0; shift < 9; shift++) { /* at each place of a word */
            char *exact = malloc(n + shift + 1);
            memset(exact, 'a', shift);
            memcpy(exact + shift, utf8[i].bytes, n);
            if (oc_utf8_valid(exact, n + shift) != utf8[i].valid)
                fail_msg("%s, shifted by %zu", utf8[i].name, shift);
            free(exact);
        }
    }
}

/* Against a slow reading of the definition, over all sequences of three bytes and some of four. */
static int by_definition(const unsigned char *s, size_t n)
{
    size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 0;
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (!len || len > n || s[0] > 0xf7)
        return 0;
    unsigned c = len == 1 ? s[0] : s[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    return c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : (int)len;
}

static void test_utf8_by_definition(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 1u << 24; v++) {
        unsigned char s[4] = {(unsigned char)(v >> 16), (unsigned char)(v >> 8), (unsigned char)v,
                              (unsigned char)(0x80 | (v & 0x3f))};
        if ((int)oc_utf8_len((char *)s, 4) != by_definition(s, 4))
            fail_msg("%02x %02x %02x %02x", s[0], s[1], s[2], s[3]);
        if ((int)oc_utf8_len((char *)s, 3) != by_definition(s, 3))
            fail_msg("%02x %02x %02x", s[0], s[1], s[2]);
    }
}

static void test_escape(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want;
        size_t size;
    } rows[] = {
        {"plain", "plain", 64},
        {"a\nb\x1b[0m", "a\\x0ab\\x1b[0m", 64},
        {"\x7f", "\\x7f", 64},
        {"\xc2\x9b"
         "2J",
         "\\xc2\\x9b2J", 64}, /* a C1 control in UTF-8 */
        {"\xc3\xa4\xff", "\xc3\xa4\\xff", 64},
        {"\xe2\x82", "\\xe2\\x82", 64},
        {"abc", "ab", 3},
        {"ab\n", "ab", 6}, /* never half an escape */
        {"ab\n", "ab\\x0a", 7},
        {"a\xc3\xa4", "a", 3}, /* never half a character */
        {"abc", "", 1},
    };
    for (size_t i = 0; i < N(rows); i++) {
        char out[64];
        size_t n = oc_text_escape(rows[i].in, strlen(rows[i].in), out, rows[i].size);
        assert_string_equal(out, rows[i].want);
        assert_int_equal(n, strlen(out));
    }
    assert_int_equal(oc_text_escape("abc", 3, NULL, 0), 0);
    char out[16];
    assert_int_equal(oc_text_escape("a\0b", 3, out, sizeof out), 6);
    assert_string_equal(out, "a\\x00b");
}

static void test_join(void **state)
{
    (void)state;
    char out[8];
    oc_text_join(out, sizeof out, "a", ": ", "b");
    assert_string_equal(out, "a: b");
    oc_text_join(out, sizeof out, "abcdef", "ghi", "j");
    assert_string_equal(out, "abcdefg");
    oc_text_join(out, 1, "abc", "", "d");
    assert_string_equal(out, "");
}

static void test_time(void **state)
{
    (void)state;
    char out[OC_TIME_SIZE];
    assert_string_equal(oc_text_time(0, out), "1970-01-01T00:00:00.000Z");
    assert_string_equal(oc_text_time(1714564800123, out), "2024-05-01T12:00:00.123Z");
    assert_string_equal(oc_text_time(4102444800000, out), "2100-01-01T00:00:00.000Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8),   cmocka_unit_test(test_utf8_by_definition),
        cmocka_unit_test(test_escape), cmocka_unit_test(test_join),
        cmocka_unit_test(test_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
