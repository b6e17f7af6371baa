/* SPDX-License-Identifier: Apache-2.0
 *
 * test_errors.c - status and code -> our error, its retry rule, and what the sentence says.
 */
#include "cm.h"

#include <stdlib.h>

#include "oci/errors.h"

#define NEVER OC_RETRY_NEVER
#define LATER OC_RETRY_LATER
#define CURED OC_RETRY_CURED

/* The retry column is that of Oracle's SDKs, but that a 401 waits for a person. */
static const struct {
    int status;
    const char *code;
    int want;
    enum oci_kind kind;
    enum oc_retry retry;
} rows[] = {
    {304, "", OCID_E_CONDITION, OCI_KIND_NOT_MODIFIED, NEVER},
    {400, "CannotParseRequest", OCID_E_INVALID, OCI_KIND_OTHER, NEVER},
    {400, "InvalidParameter", OCID_E_INVALID, OCI_KIND_OTHER, NEVER},
    {400, "LimitExceeded", OCID_E_DENIED, OCI_KIND_OTHER, NEVER},
    {400, "QuotaExceeded", OCID_E_DENIED, OCI_KIND_OTHER, NEVER},
    {400, "StorageQuotaExceeded", OCID_E_DENIED, OCI_KIND_OTHER, NEVER},
    {400, "UnmatchedContentMD5", OCID_E_CHECKSUM, OCI_KIND_SUM, NEVER},
    {400, "UnmatchedContentCRC32C", OCID_E_CHECKSUM, OCI_KIND_SUM, NEVER},
    {400, "MissingOrInvalidChecksum", OCID_E_UNSUPPORTED, OCI_KIND_SUM_UNKNOWN, NEVER},
    {400, "InvalidUploadPart", OCID_E_SERVER, OCI_KIND_BAD_PART, NEVER},
    {400, "InvalidUploadPartOrder", OCID_E_SERVER, OCI_KIND_BAD_PART, NEVER},
    {400, "InvalidObjectName", OCID_E_NAME, OCI_KIND_OTHER, NEVER},
    {400, "InvalidBucketName", OCID_E_NAME, OCI_KIND_OTHER, NEVER},
    {400, "MetadataTooLarge", OCID_E_TOO_LARGE, OCI_KIND_OTHER, NEVER},
    {400, "InsufficientServicePermissions", OCID_E_DENIED, OCI_KIND_OTHER, NEVER},
    {400, "SomethingNew", OCID_E_INVALID, OCI_KIND_OTHER, NEVER},
    {401, "NotAuthenticated", OCID_E_LOGIN, OCI_KIND_CREDENTIALS, CURED},
    {402, "SignUpRequired", OCID_E_DENIED, OCI_KIND_OTHER, NEVER},
    {403, "NotAuthorized", OCID_E_DENIED, OCI_KIND_OTHER, NEVER},
    {403, "NotAllowed", OCID_E_DENIED, OCI_KIND_OTHER, NEVER},
    {403, "BucketIsReadonly", OCID_E_DENIED, OCI_KIND_OTHER, NEVER},
    {404, "ObjectNotFound", OCID_E_NOT_FOUND, OCI_KIND_NO_OBJECT, NEVER},
    {404, "BucketNotFound", OCID_E_NOT_FOUND, OCI_KIND_NO_BUCKET, NEVER},
    {404, "NamespaceNotFound", OCID_E_NOT_FOUND, OCI_KIND_NO_NAMESPACE, NEVER},
    {404, "UploadNotFound", OCID_E_NOT_FOUND, OCI_KIND_NO_UPLOAD, NEVER},
    {404, "NotAuthorizedOrNotFound", OCID_E_NOT_FOUND, OCI_KIND_OTHER, NEVER},
    {404, "LifecyclePolicyNotFound", OCID_E_NOT_FOUND, OCI_KIND_OTHER, NEVER},
    {405, "MethodNotAllowed", OCID_E_SERVER, OCI_KIND_OTHER, NEVER},
    {407, "", OCID_E_CONFIG, OCI_KIND_OTHER, CURED},
    {408, "RequestTimeout", OCID_E_UNAVAILABLE, OCI_KIND_OTHER, LATER},
    {409, "IncorrectState", OCID_E_UNAVAILABLE, OCI_KIND_CONCURRENT, LATER},
    {409, "LockConflict", OCID_E_UNAVAILABLE, OCI_KIND_CONCURRENT, LATER},
    {409, "ConcurrentObjectUpdate", OCID_E_UNAVAILABLE, OCI_KIND_CONCURRENT, LATER},
    {409, "ConcurrentBucketUpdate", OCID_E_UNAVAILABLE, OCI_KIND_CONCURRENT, LATER},
    {409, "ExternalServerIncorrectState", OCID_E_UNAVAILABLE, OCI_KIND_OTHER, LATER},
    {409, "BucketAlreadyExists", OCID_E_EXISTS, OCI_KIND_EXISTS, NEVER},
    {409, "BucketNotEmpty", OCID_E_STATE, OCI_KIND_OTHER, NEVER},
    {409, "NotRestored", OCID_E_STATE, OCI_KIND_NOT_RESTORED, NEVER},
    {409, "RestoreInProgress", OCID_E_STATE, OCI_KIND_NOT_RESTORED, NEVER},
    {409, "Conflict", OCID_E_STATE, OCI_KIND_OTHER, NEVER},
    {411, "ContentLengthRequired", OCID_E_SERVER, OCI_KIND_OTHER, NEVER},
    {412, "IfMatchFailed", OCID_E_CONDITION, OCI_KIND_IF_MATCH, NEVER},
    {412, "IfNoneMatchFailed", OCID_E_EXISTS, OCI_KIND_EXISTS, NEVER},
    {412, "NoEtagMatch", OCID_E_CONDITION, OCI_KIND_IF_MATCH, NEVER},
    {413, "RequestEntityTooLarge", OCID_E_TOO_LARGE, OCI_KIND_OTHER, NEVER},
    {415, "UnsupportedMediaType", OCID_E_SERVER, OCI_KIND_OTHER, NEVER},
    {416, "InvalidRange", OCID_E_INVALID, OCI_KIND_RANGE, NEVER},
    {422, "UnprocessableEntity", OCID_E_INVALID, OCI_KIND_OTHER, NEVER},
    {428, "IfMatchRequired", OCID_E_CONDITION, OCI_KIND_OTHER, NEVER},
    {429, "TooManyRequests", OCID_E_THROTTLED, OCI_KIND_THROTTLED, LATER},
    {429, "AnythingElse", OCID_E_THROTTLED, OCI_KIND_THROTTLED, LATER},
    {431, "RequestHeaderFieldsTooLarge", OCID_E_SERVER, OCI_KIND_OTHER, NEVER},
    {500, "InternalServerError", OCID_E_UNAVAILABLE, OCI_KIND_OTHER, LATER},
    {501, "NotImplemented", OCID_E_SERVER, OCI_KIND_OTHER, NEVER},
    {502, "", OCID_E_UNAVAILABLE, OCI_KIND_OTHER, LATER},
    {503, "ServiceUnavailable", OCID_E_UNAVAILABLE, OCI_KIND_THROTTLED, LATER},
    {504, "", OCID_E_UNAVAILABLE, OCI_KIND_OTHER, LATER},
    {599, "", OCID_E_UNAVAILABLE, OCI_KIND_OTHER, LATER},
    {302, "", OCID_E_SERVER, OCI_KIND_OTHER, NEVER},
    {101, "", OCID_E_SERVER, OCI_KIND_OTHER, NEVER},
    {418, "", OCID_E_SERVER, OCI_KIND_OTHER, NEVER},
};

static void test_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char name[96];
        struct oci_reply reply = {.status = rows[i].status, .retry_after = 3};
        struct oci_service_error error = {0};
        struct oci_failure f = {.what = "object 'b/o'", .reply = &reply, .error = &error};
        struct oc_err err;
        enum oci_kind kind;
        snprintf(name, sizeof name, "%d %s", rows[i].status, rows[i].code);
        snprintf(error.code, sizeof error.code, "%s", rows[i].code);
        reply.opc_request_id = "iad-1:abc";
        row_check(name, oci_judge(&f, &kind, &err) == rows[i].want);
        row_check(name, err.code == rows[i].want && kind == rows[i].kind);
        row_check(name, oc_err_retry(err.code) == rows[i].retry);
        row_check(name, !strncmp(err.text, "object 'b/o': ", 14) && err.text[14]);
        row_check(name, err.http_status == rows[i].status && err.retry_after == 3);
        row_check(name, !strcmp(err.service_code, rows[i].code));
        row_check(name, !strcmp(err.request_id, "iad-1:abc"));
    }
}

static void test_clock_skew_is_told_apart(void **state)
{
    struct oci_reply reply = {.status = 401, .date = 1767225600};
    struct oci_service_error error = {
        "NotAuthenticated",
        "Date 'Wed, 25 Jan 2023 14:52:44 UTC' is not within allowed clock skew. Current '...'"};
    struct oci_failure f = {.reply = &reply, .error = &error};
    enum oci_kind kind;
    struct oc_err err;
    (void)state;
    assert_int_equal(oci_judge(&f, &kind, &err), OCID_E_LOGIN);
    assert_int_equal(kind, OCI_KIND_CLOCK);
    assert_string_equal(err.text, "this machine's clock is more than five minutes off; set it "
                                  "('timedatectl'): the service has Thu, 01 Jan 2026 00:00:00 GMT");
    strcpy(error.message, "Failed to verify the HTTP(S) Signature");
    assert_int_equal(oci_judge(&f, &kind, &err), OCID_E_LOGIN);
    assert_int_equal(kind, OCI_KIND_CREDENTIALS);
    assert_non_null(strstr(err.text, "Failed to verify the HTTP(S) Signature"));
    assert_non_null(strstr(err.text, "ocictl doctor"));
    f.error = NULL; /* a HEAD */
    f.clock_off_s = -301;
    oci_judge(&f, &kind, &err);
    assert_int_equal(kind, OCI_KIND_CLOCK);
    f.clock_off_s = 300;
    oci_judge(&f, &kind, &err);
    assert_int_equal(kind, OCI_KIND_CREDENTIALS);
}

static void test_what_only_the_request_tells(void **state)
{
    static const struct {
        const char *name;
        int status, is_object, if_absent, want;
        enum oci_kind kind;
    } about[] = {
        {"HEAD of an object", 404, 1, 0, OCID_E_NOT_FOUND, OCI_KIND_NO_OBJECT},
        {"HEAD of a bucket", 404, 0, 0, OCID_E_NOT_FOUND, OCI_KIND_OTHER},
        {"create only", 412, 1, 1, OCID_E_EXISTS, OCI_KIND_EXISTS},
        {"replace only", 412, 1, 0, OCID_E_CONDITION, OCI_KIND_IF_MATCH},
        {"HEAD, 401", 401, 1, 0, OCID_E_LOGIN, OCI_KIND_CREDENTIALS},
        {"HEAD, 503", 503, 1, 0, OCID_E_UNAVAILABLE, OCI_KIND_THROTTLED},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(about); i++) {
        struct oci_reply reply = {.status = about[i].status};
        struct oci_failure f = {.reply = &reply,
                                .method = "HEAD",
                                .is_object = about[i].is_object,
                                .if_absent = about[i].if_absent};
        struct oc_err err;
        enum oci_kind kind;
        row_check(about[i].name, oci_judge(&f, &kind, &err) == about[i].want);
        row_check(about[i].name, kind == about[i].kind);
        row_check(about[i].name, !err.service_code[0]);
    }
}

static void test_networks(void **state)
{
    static const struct {
        enum oci_net net;
        int want;
    } nets[] = {
        {OCI_NET_RESOLVE, OCID_E_NETWORK},  {OCI_NET_CONNECT, OCID_E_NETWORK},
        {OCI_NET_PROXY, OCID_E_NETWORK},    {OCI_NET_TLS, OCID_E_NETWORK},
        {OCI_NET_CERT, OCID_E_CONFIG},      {OCI_NET_CAFILE, OCID_E_CONFIG},
        {OCI_NET_RESET, OCID_E_NETWORK},    {OCI_NET_STALLED, OCID_E_NETWORK},
        {OCI_NET_PROTOCOL, OCID_E_NETWORK}, {OCI_NET_OK, OCID_E_INTERNAL},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(nets); i++) {
        struct oci_reply reply = {.status = 200}; /* broke after its headers */
        struct oci_failure f = {.what = "part 7",
                                .host = "store.example.org",
                                .detail = "curl says so",
                                .net = nets[i].net,
                                .reply = nets[i].net == OCI_NET_RESET ? &reply : NULL};
        struct oc_err err;
        enum oci_kind kind;
        assert_int_equal(oci_judge(&f, &kind, &err), nets[i].want);
        assert_memory_equal(err.text, "part 7: store.example.org: ", 27);
        assert_non_null(strstr(err.text, ": curl says so"));
        assert_int_equal(err.http_status, 0);
        assert_int_equal(kind, OCI_KIND_OTHER);
    }
}

static void test_long_texts_are_cut(void **state)
{
    char *big = malloc(5000);
    struct oci_reply reply = {.status = 400, .opc_request_id = big};
    struct oci_service_error error = {0};
    struct oc_err err;
    (void)state;
    memset(big, 'x', 4999);
    big[4999] = 0;
    memset(error.code, 'c', sizeof error.code - 1);
    memset(error.message, 'm', sizeof error.message - 1);
    struct oci_failure f = {.what = big, .reply = &reply, .error = &error};
    assert_int_equal(oci_judge(&f, NULL, &err), OCID_E_INVALID);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_int_equal(strlen(err.request_id), sizeof err.request_id - 1);
    assert_int_equal(strlen(err.service_code), sizeof error.code - 1);
    assert_int_equal(oci_judge(&f, NULL, NULL), OCID_E_INVALID);
    free(big);
}

static void test_success(void **state)
{
    (void)state;
    for (int status = 0; status < 700; status++)
        assert_int_equal(oci_status_ok(status), status / 100 == 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table),
        cmocka_unit_test(test_clock_skew_is_told_apart),
        cmocka_unit_test(test_what_only_the_request_tells),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_success),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
