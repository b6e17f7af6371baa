/* SPDX-License-Identifier: Apache-2.0
 *
 * test_encode.c - percent-encoding, names, URIs.
 */
#include "cm.h"

#include <stdlib.h>

#include "oci/encode.h"

static const struct {
    const char *plain, *encoded;
} names[] = {
    {"", ""},
    {"a b.txt", "a%20b.txt"},
    {"a+b.txt", "a%2Bb.txt"},
    {"100%.txt", "100%25.txt"},
    {"a%2Fb.txt", "a%252Fb.txt"},
    {"dir/sub/f", "dir%2Fsub%2Ff"},
    {"/lead//x/", "%2Flead%2F%2Fx%2F"},
    {"é/漢字 😀", "%C3%A9%2F%E6%BC%A2%E5%AD%97%20%F0%9F%98%80"},
    {"!*'();:@&=$,/?#[]", "%21%2A%27%28%29%3B%3A%40%26%3D%24%2C%2F%3F%23%5B%5D"},
    {".", "%2E"},
    {"..", "%2E%2E"},
    {"...", "..."},
    {"a/../b/./c", "a%2F..%2Fb%2F.%2Fc"},
    {"AZaz09-._~", "AZaz09-._~"},
    {"back\\slash\"q\"<>^`{|}", "back%5Cslash%22q%22%3C%3E%5E%60%7B%7C%7D"},
    {"tab\there", "tab%09here"},
    {"\xff\x80", "%FF%80"},
};

static void test_encoding_is_as_the_sdk_sends(void **state)
{
    char out[256], back[256];
    size_t n_back;
    (void)state;
    for (size_t i = 0; i < N_ROWS(names); i++) {
        size_t n = strlen(names[i].plain);
        *oci_encode(out, names[i].plain, n) = 0;
        assert_string_equal(out, names[i].encoded);
        assert_int_equal(oci_encoded_len(names[i].plain, n), strlen(out));
        assert_int_equal(oci_decode(out, strlen(out), 0, back, &n_back), 0);
        assert_int_equal(n_back, n);
        assert_memory_equal(back, names[i].plain, n);
    }
}

static void test_every_byte_comes_back(void **state)
{
    char in[256], out[768], back[768];
    size_t n;
    (void)state;
    for (int i = 0; i < 256; i++)
        in[i] = (char)i;
    char *end = oci_encode(out, in, sizeof in);
    assert_int_equal(oci_decode(out, (size_t)(end - out), 1, back, &n), 0);
    assert_int_equal(n, sizeof in);
    assert_memory_equal(back, in, sizeof in);
}

static void test_decoding(void **state)
{
    static const struct {
        const char *in;
        int plus, code;
        const char *out;
    } rows[] = {
        {"a+b", 0, 0, "a+b"},           {"a+b", 1, 0, "a b"},
        {"%c3%a9%2fx", 0, 0, "é/x"},    {"%", 0, OCID_E_INVALID, ""},
        {"a%2", 0, OCID_E_INVALID, ""}, {"%zz", 0, OCID_E_INVALID, ""},
        {"%G0", 0, OCID_E_INVALID, ""}, {"%-1", 0, OCID_E_INVALID, ""},
        {"%252F", 0, 0, "%2F"},         {"%2%46", 0, OCID_E_INVALID, ""},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char out[64];
        size_t n = 0;
        row_check(rows[i].in, oci_decode(rows[i].in, strlen(rows[i].in), rows[i].plus, out, &n) ==
                                  rows[i].code);
        if (!rows[i].code)
            row_check(rows[i].in, n == strlen(rows[i].out) && !memcmp(out, rows[i].out, n));
    }
}

static void test_object_names(void **state)
{
    static const struct {
        const char *name;
        size_t n;
        int code;
    } rows[] = {
        {"a", 1, 0},
        {"a/../b", 6, 0},
        {"...", 3, 0},
        {"/", 1, 0},
        {"\x01\x7f", 2, 0},
        {"", 0, OCID_E_NAME},
        {".", 1, OCID_E_NAME},
        {"..", 2, OCID_E_NAME},
        {"a\0b", 3, OCID_E_NAME},
        {"a\rb", 3, OCID_E_NAME},
        {"a\nb", 3, OCID_E_NAME},
        {"\xff", 1, OCID_E_NAME},
        {"\xed\xa0\x80", 3, OCID_E_NAME},
    };
    char *big = malloc(1025);
    struct oc_err err;
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        oc_err_clear(&err);
        row_check(rows[i].name, oci_object_check(rows[i].name, rows[i].n, &err) == rows[i].code);
        row_check(rows[i].name, !rows[i].code == !err.text[0]);
    }
    memset(big, 'x', 1025);
    assert_int_equal(oci_object_check(big, 1024, &err), 0);
    assert_int_equal(oci_object_check(big, 1025, &err), OCID_E_NAME);
    assert_non_null(strstr(err.text, "shorten"));
    free(big);
    assert_int_equal(oci_prefix_check("", 0, &err), 0);
    assert_int_equal(oci_prefix_check("..", 2, &err), 0);
}

static void test_bucket_names(void **state)
{
    static const struct {
        const char *name;
        int code;
    } rows[] = {
        {"my-bucket_1.x", 0}, {"A", 0},
        {"", OCID_E_NAME},    {".", OCID_E_NAME},
        {"..", OCID_E_NAME},  {"a/b", OCID_E_NAME},
        {"a b", OCID_E_NAME}, {"a~b", OCID_E_NAME},
        {"ü", OCID_E_NAME},   {"a@b", OCID_E_NAME},
        {"a?b", OCID_E_NAME},
    };
    char big[258];
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++)
        row_check(rows[i].name,
                  oci_bucket_check(rows[i].name, strlen(rows[i].name), NULL) == rows[i].code);
    memset(big, 'b', sizeof big);
    assert_int_equal(oci_bucket_check(big, 256, NULL), 0);
    assert_int_equal(oci_bucket_check(big, 257, NULL), OCID_E_NAME);
    assert_int_equal(oci_namespace_check(big, 65, NULL), OCID_E_NAME);
}

static void test_uris(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *bucket, *namespace, *object;
    } rows[] = {
        {"oci://b/o", 0, "b", NULL, "o"},
        {"oci://b@ns/dir/o", 0, "b", "ns", "dir/o"},
        {"oci://b", 0, "b", NULL, ""},
        {"oci://b/", 0, "b", NULL, ""},
        {"oci://b@ns", 0, "b", "ns", ""},
        {"oci://b//x", 0, "b", NULL, "/x"},
        {"oci://b/a@b", 0, "b", NULL, "a@b"},
        {"oci://b/a%20b", 0, "b", NULL, "a%20b"},
        {"oci://b/logs/", 0, "b", NULL, "logs/"},
        {"oci:///o", OCID_E_NAME, "", "", ""},
        {"oci://b@/o", OCID_E_NAME, "", "", ""},
        {"oci://b@n@m/o", OCID_E_NAME, "", "", ""},
        {"oci://b b/o", OCID_E_NAME, "", "", ""},
        {"oci://b/a\nb", OCID_E_NAME, "", "", ""},
        {"s3://b/o", OCID_E_NAME, "", "", ""},
        {"/etc/passwd", OCID_E_NAME, "", "", ""},
        {"", OCID_E_NAME, "", "", ""},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct oci_uri uri;
        struct oc_err err;
        int code = oci_uri_parse(rows[i].text, strlen(rows[i].text), &uri, &err);
        row_check(rows[i].text, code == rows[i].code);
        if (code)
            continue;
        row_check(rows[i].text, uri.n_bucket == strlen(rows[i].bucket) &&
                                    !memcmp(uri.bucket, rows[i].bucket, uri.n_bucket));
        row_check(rows[i].text, !uri.namespace == !rows[i].namespace);
        row_check(rows[i].text, uri.n_object == strlen(rows[i].object) &&
                                    !memcmp(uri.object, rows[i].object, uri.n_object));
        if (uri.namespace)
            row_check(rows[i].text, uri.n_namespace == strlen(rows[i].namespace) &&
                                        !memcmp(uri.namespace, rows[i].namespace, uri.n_namespace));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoding_is_as_the_sdk_sends),
        cmocka_unit_test(test_every_byte_comes_back),
        cmocka_unit_test(test_decoding),
        cmocka_unit_test(test_object_names),
        cmocka_unit_test(test_bucket_names),
        cmocka_unit_test(test_uris),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
