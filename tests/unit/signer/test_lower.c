/* SPDX-License-Identifier: Apache-2.0
 *
 * test_lower.c - white space and lower case as Python has them; all letters: tests/differential.
 */
#include "signer/fixture.h"

#include "signer/lower.h"

static void test_case(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want;
    } rows[] = {
        {"", ""},         {"User", "user"}, {"a.B-C_9", "a.b-c_9"},
        {"É", "é"},       {"İ", "i̇"},       {"K", "k"},
        {"ẞ", "ß"},       {"ſ", "ſ"},       {"Σ", "σ"},
        {"ΑΣ", "ας"},     {"ΑΣΑ", "ασα"},   {"Α.Σ", "α.ς"},
        {"ΑΣ.", "ας."},   {"ΑΣ.Α", "ασ.α"}, {".Σ", ".σ"},
        {"ΑΣ Σ", "ας σ"}, {"Ⱥ", "ⱥ"},       {"\U00010400", "\U00010428"},
        {"ΣΣ", "σς"},     {"日本", "日本"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char out[64];
        size_t n = lower_case(rows[i].in, strlen(rows[i].in), out);
        out[n] = 0;
        assert_string_equal(out, rows[i].want);
    }
}

static void test_strip(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want;
        size_t front;
    } rows[] = {
        {"", "", 0},
        {" a ", "a", 1},
        {"\t\x0b\x0c\x1c\x1f a b\r\n", "a b", 6},
        {"\xc2\xa0\xc2\x85\xe2\x80\x83x\xe3\x80\x80", "x", 3},
        {" \xe2\x80\xa8 ", "", 3},
        {"\xe2\x80\x8b", "\xe2\x80\x8b", 0}, /* zero width space is none */
        {"\xef\xbb\xbf", "\xef\xbb\xbf", 0}, /* nor is a byte order mark */
        {"\x1b", "\x1b", 0},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        const char *s = rows[i].in;
        size_t n = strlen(s);
        assert_int_equal(lower_strip(&s, &n), rows[i].front);
        assert_int_equal(n, strlen(rows[i].want));
        assert_memory_equal(s, rows[i].want, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_case), cmocka_unit_test(test_strip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
