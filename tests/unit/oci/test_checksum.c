/* SPDX-License-Identifier: Apache-2.0
 *
 * test_checksum.c - the values of checksums.json, combination, base64.
 */
#include "cm.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "oci/checksum.h"
#include "ocid/error.h"
#include "vectors.h"

static json_t *load(void)
{
    char path[512];
    json_error_t error;
    vector_path("checksums.json", path);
    json_t *root = json_load_file(path, 0, &error);
    assert_non_null(root);
    return root;
}

static void test_whole_values(void **state)
{
    json_t *root = load(), *row;
    size_t i;
    (void)state;
    json_array_foreach(json_object_get(root, "whole"), i, row)
    {
        const char *text = json_string_value(json_object_get(row, "bytes_base64"));
        char bytes[64], crc[OCI_CRC_TEXT_SIZE];
        size_t n;
        assert_int_equal(oci_unbase64(text, strlen(text), bytes, sizeof bytes, &n), 0);
        assert_int_equal(n, json_integer_value(json_object_get(row, "length")));
        oci_crc_text(oci_crc32c(0, bytes, n), crc);
        assert_string_equal(crc, json_string_value(json_object_get(row, "crc32c")));
    }
    assert_int_equal(i, 3);
    json_decref(root);
}

static void test_multipart_values(void **state)
{
    json_t *root = load(), *parts = json_object_get(root, "multipart"), *length;
    uint8_t md5[8][OCI_MD5_SIZE];
    char text[OCI_MULTIPART_MD5_SIZE], crc_text[OCI_CRC_TEXT_SIZE];
    uint32_t crc = 0;
    size_t i;
    (void)state;
    json_array_foreach(json_object_get(parts, "part_lengths"), i, length)
    {
        size_t n = (size_t)json_integer_value(length);
        char *bytes = malloc(n);
        memset(bytes, 'A' + (int)i, n);
        crc = oci_crc32c_combine(crc, oci_crc32c(0, bytes, n), n);
        EVP_Digest(bytes, n, md5[i], NULL, EVP_md5(), NULL);
        free(bytes);
    }
    assert_int_equal(oci_multipart_md5((const uint8_t(*)[OCI_MD5_SIZE])md5, i, text), 0);
    assert_string_equal(text, json_string_value(json_object_get(parts, "opc_multipart_md5")));
    oci_crc_text(crc, crc_text);
    assert_string_equal(crc_text, json_string_value(json_object_get(parts, "object_crc32c")));
    json_decref(root);
}

static void test_md5_of_most_parts_fits(void **state)
{
    uint8_t(*md5)[OCI_MD5_SIZE] = calloc(10000, OCI_MD5_SIZE);
    char text[OCI_MULTIPART_MD5_SIZE];
    (void)state;
    assert_int_equal(oci_multipart_md5((const uint8_t(*)[OCI_MD5_SIZE])md5, 10000, text), 0);
    assert_string_equal(text + 24, "-10000");
    free(md5);
}

/* By the definition, a bit at a time. */
static uint32_t slow(uint32_t crc, const uint8_t *bytes, size_t n)
{
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static void test_any_split_gives_the_same(void **state)
{
    enum { N = 4099 };
    static uint8_t bytes[N];
    (void)state;
    for (int i = 0; i < N; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    uint32_t whole = slow(0, bytes, N);
    for (size_t at = 0; at <= N; at += at < 40 ? 1 : 97) {
        uint32_t a = oci_crc32c(0, bytes, at), b = oci_crc32c(0, bytes + at, N - at);
        assert_int_equal(a, slow(0, bytes, at));
        assert_int_equal(oci_crc32c(a, bytes + at, N - at), whole);
        assert_int_equal(oci_crc32c_combine(a, b, N - at), whole);
    }
}

/* 10 TiB of zeros, doubled, against the same by single steps of another width. */
static void test_combination_of_huge_lengths(void **state)
{
    uint8_t zeros[1024] = {0};
    uint32_t kib = oci_crc32c(0, zeros, sizeof zeros), doubled = kib, tripled = kib;
    uint64_t n = sizeof zeros;
    (void)state;
    for (int i = 0; i < 32; i++, n *= 2)
        doubled = oci_crc32c_combine(doubled, doubled, n);
    uint32_t quarter = kib;
    n = sizeof zeros;
    for (int i = 0; i < 30; i++, n *= 2)
        quarter = oci_crc32c_combine(quarter, quarter, n);
    tripled = quarter;
    for (int i = 0; i < 3; i++)
        tripled = oci_crc32c_combine(tripled, quarter, n);
    assert_int_equal(doubled, tripled);
    assert_int_equal(oci_crc32c_combine(0x12345678, 0, 0), 0x12345678);
}

static void test_base64_both_ways(void **state)
{
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"},
                                          {"\xfb\xff\xbf", "+/+/"}};
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char text[16], back[16];
        size_t n = strlen(rows[i][0]), got;
        assert_int_equal(oci_base64(rows[i][0], n, text), strlen(rows[i][1]));
        assert_string_equal(text, rows[i][1]);
        assert_int_equal(oci_unbase64(text, strlen(text), back, n, &got), 0);
        assert_int_equal(got, n);
        assert_memory_equal(back, rows[i][0], n);
    }
}

static void test_base64_that_is_none(void **state)
{
    static const char *const rows[] = {"Z",    "Zg",   "Zg=",  "Zg==\n",   "Zh==",
                                       "Zm9=", "Z===", "====", "Zg==Zg==", "Zm 9",
                                       "Zm-9", "=Zg=", "Z=g=", "Zm9v="};
    char out[16];
    size_t n;
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++)
        row_check(rows[i],
                  oci_unbase64(rows[i], strlen(rows[i]), out, sizeof out, &n) == OCID_E_INVALID);
    assert_int_equal(oci_unbase64("Zm9v", 4, out, 2, &n), OCID_E_TOO_LARGE);
}

static void test_crc_texts(void **state)
{
    uint32_t crc = 0;
    (void)state;
    assert_int_equal(oci_crc_parse("4waSgw==", 8, &crc), 0);
    assert_int_equal(crc, 0xe3069283);
    assert_int_equal(oci_crc_parse("4waSgw", 6, &crc), OCID_E_INVALID);
    assert_int_equal(oci_crc_parse("4waS", 4, &crc), OCID_E_INVALID);
    assert_int_equal(oci_crc_parse("4waSgwA=", 8, &crc), OCID_E_INVALID);
    assert_int_equal(oci_crc_parse("", 0, &crc), OCID_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_values),
        cmocka_unit_test(test_multipart_values),
        cmocka_unit_test(test_md5_of_most_parts_fits),
        cmocka_unit_test(test_any_split_gives_the_same),
        cmocka_unit_test(test_combination_of_huge_lengths),
        cmocka_unit_test(test_base64_both_ways),
        cmocka_unit_test(test_base64_that_is_none),
        cmocka_unit_test(test_crc_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
