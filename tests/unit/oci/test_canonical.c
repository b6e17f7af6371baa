/* SPDX-License-Identifier: Apache-2.0
 *
 * test_canonical.c - all vectors: string, signature and header to the byte; dates.
 */
#include "cm.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "oci/canonical.h"
#include "vectors.h"

static struct oci_to_sign input_of(const struct vector *v)
{
    return (struct oci_to_sign){
        .names = v->names,
        .method = v->method,
        .target = v->target,
        .host = v->host,
        .date = v->date,
        .obo_token = v->obo[0] ? v->obo : NULL,
        .content_length = v->length[0] ? v->length : NULL,
        .content_type = v->type[0] ? v->type : NULL,
        .content_sha256 = v->sha256[0] ? v->sha256 : NULL,
    };
}

static FILE *open_vectors(void)
{
    char path[512];
    vector_path("vectors.txt", path);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    return f;
}

static void sign(const char *key, const char *text, size_t n, char *out)
{
    char path[512];
    uint8_t signature[512];
    size_t n_signature = sizeof signature;
    vector_path(key, path);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    EVP_PKEY *pkey = PEM_read_PrivateKey(f, NULL, NULL, NULL);
    fclose(f);
    assert_non_null(pkey);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey), 1);
    assert_int_equal(EVP_DigestSign(ctx, signature, &n_signature, (const uint8_t *)text, n), 1);
    oci_base64(signature, n_signature, out);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
}

static void test_every_vector_gives_its_string_and_signature(void **state)
{
    static struct vector v;
    char signature[1024];
    unsigned n = 0;
    FILE *f = open_vectors();
    (void)state;
    while (vector_next(f, &v)) {
        struct oci_to_sign in = input_of(&v);
        struct oc_buf out;
        struct oc_err err;
        oc_buf_init(&out, OCI_STRING_MAX);
        assert_int_equal(oci_string_to_sign(&in, &out, &err), 0);
        row_check(v.name, out.len == v.n_string && !memcmp(out.data, v.string, out.len));
        sign(v.key, out.data, out.len, signature);
        row_check(v.name, !strcmp(signature, v.signature));
        oc_buf_fini(&out);
        n++;
    }
    fclose(f);
    assert_int_equal(n, 55);
}

/* The list that we choose ourselves is the one that Oracle's Python SDK signs. */
static void test_our_names_are_the_sdks(void **state)
{
    static struct vector v;
    unsigned n = 0;
    FILE *f = open_vectors();
    (void)state;
    while (vector_next(f, &v)) {
        struct oci_to_sign in = input_of(&v);
        if (!strncmp(v.names, "x-date", 6) || !strcmp(v.name, "federation-x509"))
            continue;
        in.names = NULL;
        row_check(v.name, !strcmp(oci_names(&in), v.names));
        n++;
    }
    fclose(f);
    assert_int_equal(n, 47);
    assert_string_equal(OCI_NAMES_FEDERATED,
                        "date (request-target) content-length content-type x-content-sha256");
}

/* 1 if the order of parameters is ours. */
static int check_header(const json_t *entry)
{
    const char *want = json_string_value(json_object_get(entry, "authorization"));
    const char *signature = json_string_value(json_object_get(entry, "signature"));
    const char *key_id = json_string_value(json_object_get(entry, "key_id"));
    const json_t *list = json_object_get(entry, "headers_to_sign");
    char names[256] = "";
    struct oc_buf out;
    if (!want || strncmp(want, "Signature version=\"1\",headers=", 30))
        return 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        strcat(names, i ? " " : "");
        strcat(names, json_string_value(json_array_get(list, i)));
    }
    oc_buf_init(&out, OCI_AUTHORIZATION_MAX);
    assert_int_equal(oci_authorization(names, key_id, signature, &out, NULL), 0);
    assert_int_equal(out.len, strlen(want));
    assert_memory_equal(out.data, want, out.len);
    oc_buf_fini(&out);
    return 1;
}

static void test_authorization_is_that_of_the_documentation(void **state)
{
    char path[512];
    json_error_t error;
    int n = 0;
    (void)state;
    vector_path("vectors.json", path);
    json_t *root = json_load_file(path, 0, &error);
    for (size_t i = 0; i < json_array_size(root); i++)
        n += check_header(json_array_get(root, i));
    json_decref(root);
    assert_int_equal(n, 2);
}

static void test_what_is_refused(void **state)
{
    static const struct {
        const char *name;
        struct oci_to_sign in;
        size_t ceiling;
        int code;
    } rows[] = {
        {"no date", {.method = "GET", .target = "/n", .host = "h"}, 1000, OCID_E_INVALID},
        {"no host", {.method = "GET", .target = "/n", .date = "d"}, 1000, OCID_E_INVALID},
        {"unknown name",
         {.names = "date x-other", .method = "GET", .target = "/n", .host = "h", .date = "d"},
         1000,
         OCID_E_INVALID},
        {"line break in the target",
         {.method = "GET", .target = "/n\nhost: x", .host = "h", .date = "d"},
         1000,
         OCID_E_INVALID},
        {"line break in the token",
         {.method = "GET", .target = "/n", .host = "h", .date = "d", .obo_token = "a\r\nb"},
         1000,
         OCID_E_INVALID},
        {"two spaces",
         {.names = "date  host", .method = "GET", .target = "/n", .host = "h", .date = "d"},
         1000,
         OCID_E_INVALID},
        {"beyond the ceiling",
         {.method = "GET", .target = "/n", .host = "h", .date = "d"},
         20,
         OCID_E_TOO_LARGE},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct oc_buf out;
        struct oc_err err;
        oc_buf_init(&out, rows[i].ceiling);
        row_check(rows[i].name, oci_string_to_sign(&rows[i].in, &out, &err) == rows[i].code);
        row_check(rows[i].name, err.text[0]);
        oc_buf_fini(&out);
    }
}

static void test_a_key_id_cannot_leave_its_quotes(void **state)
{
    struct oc_buf out;
    (void)state;
    oc_buf_init(&out, 1000);
    assert_int_equal(oci_authorization("date", "a\"b", "c", &out, NULL), OCID_E_INVALID);
    assert_int_equal(oci_authorization("date", "a\r\nb", "c", &out, NULL), OCID_E_INVALID);
    assert_int_equal(out.len, 0);
    oc_buf_fini(&out);
}

static const struct {
    int64_t at;
    const char *text;
} dates[] = {
    {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
    {-1, "Wed, 31 Dec 1969 23:59:59 GMT"},
    {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
    {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
    {1767225600, "Thu, 01 Jan 2026 00:00:00 GMT"},
    {4107542399, "Sun, 28 Feb 2100 23:59:59 GMT"},
    {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
    {-62135596800, "Mon, 01 Jan 0001 00:00:00 GMT"},
};

static void test_dates_both_ways(void **state)
{
    char text[OCI_DATE_SIZE];
    time_t at;
    (void)state;
    for (size_t i = 0; i < N_ROWS(dates); i++) {
        oci_date_format((time_t)dates[i].at, text);
        assert_string_equal(text, dates[i].text);
        assert_int_equal(oci_date_parse(text, strlen(text), &at), 0);
        assert_true(at == (time_t)dates[i].at);
    }
    oci_date_format(INT64_MAX, text);
    assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
    oci_date_format(INT64_MIN, text);
    assert_string_equal(text, "Mon, 01 Jan 0001 00:00:00 GMT");
}

/* Every day of four centuries agrees with the C library. */
static void test_dates_agree_with_gmtime(void **state)
{
    char ours[OCI_DATE_SIZE], theirs[64];
    (void)state;
    for (int64_t day = -70000; day < 80000; day++) {
        time_t at = (time_t)(day * 86400 + (day * 7919 % 86400 + 86400) % 86400);
        struct tm tm;
        gmtime_r(&at, &tm);
        strftime(theirs, sizeof theirs, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        oci_date_format(at, ours);
        assert_string_equal(ours, theirs);
    }
}

static void test_dates_that_are_none(void **state)
{
    static const char *const rows[] = {
        "",
        "Thu, 01 Jan 2026 00:00:00 UTC",
        "Fri, 01 Jan 2026 00:00:00 GMT", /* it was a Thursday */
        "Thu, 05 Jan 2014 21:31:40 GMT", /* the published vectors' own mistake */
        "Sun, 30 Feb 2025 00:00:00 GMT",
        "Thu, 01 jan 2026 00:00:00 GMT",
        "Thu, 1 Jan 2026 00:00:00 GMT",
        "Thu, 01 Jan 2026 24:00:00 GMT",
        "Thu, 01 Jan 2026 00:60:00 GMT",
        "Thu, 01 Jan 2026 00:00:61 GMT",
        "Thu, 01 Jan 2026 00:00:00 GMT ",
        "Thu, 00 Jan 2026 00:00:00 GMT",
        "Thu, 01 Jan 0000 00:00:00 GMT",
        "Thursday, 01-Jan-26 00:00:00 GMT",
    };
    time_t at = 7;
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++)
        row_check(rows[i], oci_date_parse(rows[i], strlen(rows[i]), &at) == OCID_E_INVALID);
    assert_true(at == 7);
    assert_int_equal(oci_date_parse("Sat, 31 Dec 2016 23:59:60 GMT", 29, &at), 0);
    assert_true(at == 1483228799);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_vector_gives_its_string_and_signature),
        cmocka_unit_test(test_our_names_are_the_sdks),
        cmocka_unit_test(test_authorization_is_that_of_the_documentation),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_a_key_id_cannot_leave_its_quotes),
        cmocka_unit_test(test_dates_both_ways),
        cmocka_unit_test(test_dates_agree_with_gmtime),
        cmocka_unit_test(test_dates_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
