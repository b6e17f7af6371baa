/* SPDX-License-Identifier: Apache-2.0
 *
 * test_calls.c - every builder: target, headers, body; what it refuses; that it signs as the SDK.
 */
#include "cm.h"

#include <stdlib.h>

#include "oci/calls.h"
#include "vectors.h"

#define UPLOAD "7b2c2f6f-0000-4d4b-9a65-0e5d2e0f9f11"
#define COMPARTMENT                                                                                \
    "ocid1.compartment.oc1..aaaaaaaam3we6vgnherjq5q2idnccdflvjsnog7mlr6rtdb25gilchfeyjxa"

static const char host[] = "objectstorage.us-phoenix-1.oraclecloud.com";

static struct oci_where at(const char *object)
{
    return (struct oci_where){host, "axexample", "my-bucket", object};
}

static struct vector *vector(const char *name)
{
    static struct vector v;
    char path[512];
    vector_path("vectors.txt", path);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (vector_next(f, &v) && strcmp(v.name, name))
        ;
    fclose(f);
    assert_string_equal(v.name, name);
    return &v;
}

/* The request is the vector's, and so is the string to sign but for the body's hash. */
static void same_as(struct oci_request *r, const char *name)
{
    struct vector *v = vector(name);
    row_check(name, !strcmp(r->method, v->method));
    row_check(name, !strcmp(r->target, v->target));
    row_check(name, !strcmp(r->host, v->host));
    struct oci_to_sign in = oci_request_to_sign(r, v->date, NULL);
    row_check(name, !strcmp(oci_names(&in), v->names));
    if (!r->content_sha256) {
        struct oc_buf out;
        oc_buf_init(&out, OCI_STRING_MAX);
        assert_int_equal(oci_string_to_sign(&in, &out, NULL), 0);
        row_check(name, out.len == v->n_string && !memcmp(out.data, v->string, out.len));
        oc_buf_fini(&out);
    }
    oci_request_fini(r);
    assert_null(r->target);
    assert_null(r->arena.head);
}

static void test_reads_are_the_sdks(void **state)
{
    struct oci_request r;
    static const char *const objects[][2] = {
        {"a b.txt", "get-object-space"},
        {"a+b.txt", "get-object-plus"},
        {"100%.txt", "get-object-percent"},
        {"a%2Fb.txt", "get-object-percent-escape"},
        {"dir/sub/file.txt", "get-object-slash"},
        {"/lead//double/", "get-object-lead-slash"},
        {"é/漢字 😀", "get-object-unicode"},
        {"a/../b/./c", "get-object-inner-dotdot"},
        {"!*'();:@&=$,/?#[]", "get-object-reserved"},
        {"AZaz09-._~", "get-object-unreserved"},
        {"back\\slash\"q\"<>^`{|}", "get-object-backslash"},
        {"tab\there", "get-object-control"},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(objects); i++) {
        struct oci_where w = at(objects[i][0]);
        assert_int_equal(oci_call_get(&w, NULL, &r, NULL), 0);
        same_as(&r, objects[i][1]);
    }
    struct oci_where w = at(NULL);
    assert_int_equal(oci_call_namespace(host, NULL, &r, NULL), 0);
    same_as(&r, "get-namespace");
    assert_int_equal(oci_call_namespace(host, COMPARTMENT, &r, NULL), 0);
    same_as(&r, "get-namespace-compartment");
    w = at("old.bin");
    assert_int_equal(oci_call_delete(&w, NULL, &r, NULL), 0);
    same_as(&r, "delete-object");
    w = at("big/file.bin");
    assert_int_equal(oci_call_upload_abort(&w, UPLOAD, &r, NULL), 0);
    same_as(&r, "abort-multipart");
}

static void test_user_is_the_sdks(void **state)
{
    struct oci_request r;
    struct vector *v = vector("identity-get-user");
    char identity[256];
    (void)state;
    snprintf(identity, sizeof identity, "%s", v->host);
    assert_int_equal(oci_call_user(identity, v->target + strlen("/20160918/users/"), &r, NULL), 0);
    same_as(&r, "identity-get-user");
}

static void check_string(const struct oci_request *r, const struct vector *v)
{
    struct oci_to_sign in = oci_request_to_sign(r, v->date, NULL);
    struct oc_buf out;
    oc_buf_init(&out, OCI_STRING_MAX);
    assert_int_equal(oci_string_to_sign(&in, &out, NULL), 0);
    assert_int_equal(out.len, v->n_string);
    assert_memory_equal(out.data, v->string, out.len);
    oc_buf_fini(&out);
}

static void test_tokens_are_asked_for_as_the_sdk_does(void **state)
{
    (void)state;
    struct oci_request r;
    struct vector *v = vector("session-refresh");
    const char *body = "{\"currentToken\": \"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ0ZXN0In0.c2ln\"}";
    assert_int_equal(oci_call_auth(v->host, v->target, body, 0, &r, NULL), 0);
    assert_string_equal(r.method, v->method);
    check_string(&r, v);
    oci_request_fini(&r);
    v = vector("federation-x509");
    assert_int_equal(oci_call_auth(v->host, v->target, "{}", 1, &r, NULL), 0);
    assert_string_equal(r.names, v->names);
    assert_string_equal(r.target, v->target);
    oci_request_fini(&r);
    assert_int_equal(oci_call_metadata("169.254.169.254", "identity/cert.pem", &r, NULL), 0);
    assert_string_equal(r.target, "/opc/v2/identity/cert.pem");
    assert_string_equal(oci_request_header(&r, "authorization"), "Bearer Oracle");
    oci_request_fini(&r);
}

static void test_puts_are_the_sdks(void **state)
{
    struct oci_request r;
    struct oci_put_options o = {0};
    struct oci_where w = at("hello.txt");
    (void)state;
    assert_int_equal(oci_call_put(&w, 13, &o, &r, NULL), 0);
    assert_int_equal(r.body_kind, OCI_BODY_ELSEWHERE);
    assert_string_equal(oci_request_header(&r, "content-length"), "13");
    assert_null(oci_request_header(&r, "x-content-sha256"));
    same_as(&r, "put-object-unsigned-body");
    w = at("empty");
    assert_int_equal(oci_call_put(&w, 0, &o, &r, NULL), 0);
    assert_string_equal(oci_request_header(&r, "content-length"), "0");
    assert_int_equal(r.body_kind, OCI_BODY_ELSEWHERE);
    same_as(&r, "put-object-empty");
    w = at("big/file.bin");
    assert_int_equal(oci_call_upload_part(&w, UPLOAD, 3, 10, &o.sum, &r, NULL), 0);
    same_as(&r, "upload-part");
}

/* Signed headers are among the sent ones, and describe the body. */
static void check_signed_body(const struct oci_request *r)
{
    char length[24];
    snprintf(length, sizeof length, "%zu", strlen(r->body));
    assert_int_equal(r->body_kind, OCI_BODY_HERE);
    assert_int_equal(r->body_bytes, strlen(r->body));
    assert_string_equal(r->content_length, length);
    assert_string_equal(r->content_type, "application/json");
    assert_ptr_equal(oci_request_header(r, "Content-Length"), r->content_length);
    assert_ptr_equal(oci_request_header(r, "X-Content-SHA256"), r->content_sha256);
    assert_int_equal(strlen(r->content_sha256), 44);
}

static void test_posts_have_the_sdks_shape(void **state)
{
    struct oci_request r;
    struct oci_where w = at("big/file.bin");
    const struct oci_part_etag parts[] = {{1, "e1"}, {3, "e3"}};
    const struct oci_pair meta[] = {{"colour", "blue"}};
    struct oci_put_options o = {.metadata = meta, .n_metadata = 1};
    (void)state;
    assert_int_equal(oci_call_upload_create(&w, &o, &r, NULL), 0);
    check_signed_body(&r);
    assert_string_equal(r.body, "{\"object\":\"big/file.bin\",\"contentType\":\"application/"
                                "octet-stream\",\"metadata\":{\"opc-meta-colour\":\"blue\"}}");
    same_as(&r, "create-multipart");
    assert_int_equal(oci_call_upload_commit(&w, UPLOAD, parts, 2, NULL, 0, &r, NULL), 0);
    check_signed_body(&r);
    assert_string_equal(r.body, "{\"partsToCommit\":[{\"partNum\":1,\"etag\":\"e1\"},"
                                "{\"partNum\":3,\"etag\":\"e3\"}]}");
    same_as(&r, "commit-multipart");
    assert_int_equal(oci_call_bucket_create(&w, COMPARTMENT, "Archive", &r, NULL), 0);
    check_signed_body(&r);
    assert_string_equal(r.body, "{\"name\":\"my-bucket\",\"compartmentId\":\"" COMPARTMENT
                                "\",\"storageTier\":\"Archive\"}");
    same_as(&r, "create-bucket");
}

static void test_hash_of_a_known_body(void **state)
{
    struct oci_request r;
    struct oci_where w = {"h", "n", "b", "o"};
    const struct oci_part_etag part = {1, "e"};
    (void)state;
    assert_int_equal(oci_call_upload_commit(&w, "u", &part, 1, "E", 0, &r, NULL), 0);
    assert_string_equal(r.body, "{\"partsToCommit\":[{\"partNum\":1,\"etag\":\"e\"}]}");
    assert_string_equal(r.content_sha256, "s8K7/ESCzkk04RuQn2/zPq9oiNELvv5xyjPv+LPHlvM=");
    assert_string_equal(oci_request_header(&r, "if-match"), "E");
    assert_true(r.conditional);
    oci_request_fini(&r);
}

static void test_put_headers(void **state)
{
    static const struct oci_pair meta[] = {{"opc-meta-plain", "as it is 100%"},
                                           {"Name", "é 50%"},
                                           {"edges", " x "},
                                           {"break", "a\r\nhost: evil"},
                                           {"none", ""}};
    static const char *const want[][2] = {
        {"content-type", "text/plain"},
        {"cache-control", "no-store"},
        {"content-disposition", "attachment"},
        {"content-encoding", "gzip"},
        {"content-language", "de"},
        {"storage-tier", "Archive"},
        {"if-none-match", "*"},
        {"opc-checksum-algorithm", "CRC32C"},
        {"opc-content-crc32c", "4waSgw=="},
        {"content-length", "9"},
        {"opc-meta-plain", "as it is 100%"},
        {"opc-meta-Name", "%C3%A9 50%25"},
        {"opc-meta-edges", "%20x%20"},
        {"opc-meta-break", "a%0D%0Ahost: evil"},
        {"opc-meta-none", ""},
    };
    struct oci_put_options o = {
        .content_type = "text/plain",
        .cache_control = "no-store",
        .content_disposition = "attachment",
        .content_encoding = "gzip",
        .content_language = "de",
        .storage_tier = "Archive",
        .metadata = meta,
        .n_metadata = N_ROWS(meta),
        .if_absent = 1,
        .sum = {.kind = OCI_SUM_CRC32C, .known = 1, .crc32c = 0xe3069283},
    };
    struct oci_where w = at("o");
    struct oci_request r;
    (void)state;
    assert_int_equal(oci_call_put(&w, 9, &o, &r, NULL), 0);
    assert_int_equal(r.n_headers, N_ROWS(want));
    for (size_t i = 0; i < N_ROWS(want); i++) {
        const char *value = oci_request_header(&r, want[i][0]);
        row_check(want[i][0], value && !strcmp(value, want[i][1]));
    }
    for (size_t i = 0; i < r.n_headers; i++) {
        size_t n = strlen(r.headers[i].name);
        assert_memory_equal(r.headers[i].line, r.headers[i].name, n);
        assert_memory_equal(r.headers[i].line + n, ": ", 2);
        assert_ptr_equal(r.headers[i].line + n + 2, r.headers[i].value);
        assert_null(strpbrk(r.headers[i].line, "\r\n"));
    }
    oci_request_fini(&r);
}

static void test_sums(void **state)
{
    static const struct {
        const char *name;
        struct oci_sum sum;
        const char *algorithm, *crc, *md5;
    } rows[] = {
        {"none", {.kind = OCI_SUM_NONE}, NULL, NULL, NULL},
        {"crc, service computes", {.kind = OCI_SUM_CRC32C}, "CRC32C", NULL, NULL},
        {"crc of nothing", {.kind = OCI_SUM_CRC32C, .known = 1}, "CRC32C", "AAAAAA==", NULL},
        {"md5 not known yet", {.kind = OCI_SUM_MD5}, NULL, NULL, NULL},
        {"md5",
         {.kind = OCI_SUM_MD5,
          .known = 1,
          .md5 = {0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0, 0xb2, 4, 0xe9, 0x80, 9, 0x98, 0xec, 0xf8, 0x42,
                  0x7e}},
         NULL,
         NULL,
         "1B2M2Y8AsgTpgAmY7PhCfg=="},
    };
    struct oci_where w = at("o");
    struct oci_request r;
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        const char *const names[] = {"opc-checksum-algorithm", "opc-content-crc32c", "content-md5"};
        const char *const want[] = {rows[i].algorithm, rows[i].crc, rows[i].md5};
        assert_int_equal(oci_call_upload_part(&w, "u", 1, 5, &rows[i].sum, &r, NULL), 0);
        for (int k = 0; k < 3; k++) {
            const char *value = oci_request_header(&r, names[k]);
            row_check(rows[i].name, !value == !want[k] && (!value || !strcmp(value, want[k])));
        }
        oci_request_fini(&r);
    }
}

static void test_ranges_and_conditions(void **state)
{
    static const struct {
        const char *name;
        struct oci_get_options o;
        const char *range, *if_match, *target;
    } rows[] = {
        {"whole", {.ranged = 0}, NULL, NULL, "/n/axexample/b/my-bucket/o/o"},
        {"first byte", {.ranged = 1}, "bytes=0-0", NULL, "/n/axexample/b/my-bucket/o/o"},
        {"to the end",
         {.ranged = 1, .first = 5, .last = UINT64_MAX},
         "bytes=5-",
         NULL,
         "/n/axexample/b/my-bucket/o/o"},
        {"huge",
         {.ranged = 1, .first = 10995116277759, .last = 10995116277760, .if_match = "E"},
         "bytes=10995116277759-10995116277760",
         "E",
         "/n/axexample/b/my-bucket/o/o"},
        {"version",
         {.version_id = "0f1e-2d3c"},
         NULL,
         NULL,
         "/n/axexample/b/my-bucket/o/o?versionId=0f1e-2d3c"},
    };
    struct oci_where w = at("o");
    struct oci_request r;
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        assert_int_equal(oci_call_get(&w, &rows[i].o, &r, NULL), 0);
        const char *range = oci_request_header(&r, "range"), *if_match;
        if_match = oci_request_header(&r, "if-match");
        row_check(rows[i].name,
                  !range == !rows[i].range && (!range || !strcmp(range, rows[i].range)));
        row_check(rows[i].name, !if_match == !rows[i].if_match);
        row_check(rows[i].name, !strcmp(r.target, rows[i].target));
        row_check(rows[i].name, r.body_kind == OCI_BODY_NONE && !r.content_length);
        oci_request_fini(&r);
    }
    assert_int_equal(oci_call_head(&w, &(struct oci_get_options){.ranged = 1}, &r, NULL), 0);
    assert_string_equal(r.method, "HEAD");
    assert_null(oci_request_header(&r, "range"));
    oci_request_fini(&r);
}

static void test_lists(void **state)
{
    static const struct {
        const char *name;
        struct oci_list_options o;
        const char *query;
    } rows[] = {
        {"all",
         {.limit = 0},
         "limit=1000&fields="
         "name%2Csize%2Cetag%2Cmd5%2CtimeModified%2C"
         "storageTier%2CarchivalState"},
        {"awkward",
         {.prefix = "a b+c/é&=%?#",
          .start = "z/ü 1",
          .end = "漢~-._*",
          .delimiter = "/",
          .fields = "name",
          .limit = 10},
         "prefix=a%20b%2Bc%2F%C3%A9%26%3D%25%3F%23&start=z%2F%C3%BC%201&end=%E6%BC%A2~-._%2A"
         "&limit=10&delimiter=%2F&fields=name"},
        {"limit is cut", {.limit = 5000, .fields = "name", .prefix = ""}, "limit=1000&fields=name"},
    };
    struct oci_where w = at(NULL);
    struct oci_request r;
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char target[512];
        snprintf(target, sizeof target, "/n/axexample/b/my-bucket/o?%s", rows[i].query);
        assert_int_equal(oci_call_list(&w, &rows[i].o, &r, NULL), 0);
        row_check(rows[i].name, !strcmp(r.target, target));
        oci_request_fini(&r);
    }
    assert_int_equal(oci_call_list(&w, NULL, &r, NULL), 0);
    oci_request_fini(&r);
    assert_int_equal(oci_call_list(&w, &(struct oci_list_options){.delimiter = "-"}, &r, NULL),
                     OCID_E_INVALID);
    assert_int_equal(oci_call_list(&w, &(struct oci_list_options){.prefix = "a\nb"}, &r, NULL),
                     OCID_E_NAME);
}

static void test_pages(void **state)
{
    struct oci_where w = at("big/file.bin");
    struct oci_request r;
    (void)state;
    assert_int_equal(oci_call_buckets(&w, COMPARTMENT, 25, "1:page-token==", &r, NULL), 0);
    assert_string_equal(r.target, "/n/axexample/b?compartmentId=" COMPARTMENT
                                  "&limit=25&page=1%3Apage-token%3D%3D");
    oci_request_fini(&r);
    assert_int_equal(oci_call_uploads(&w, 0, NULL, &r, NULL), 0);
    assert_string_equal(r.target, "/n/axexample/b/my-bucket/u");
    oci_request_fini(&r);
    assert_int_equal(oci_call_parts(&w, UPLOAD, 1000, "p/+", &r, NULL), 0);
    assert_string_equal(r.target, "/n/axexample/b/my-bucket/u/big%2Ffile.bin?uploadId=" UPLOAD
                                  "&limit=1000&page=p%2F%2B");
    oci_request_fini(&r);
    assert_int_equal(oci_call_bucket(&w, &r, NULL), 0);
    assert_string_equal(r.target, "/n/axexample/b/my-bucket");
    oci_request_fini(&r);
}

static void test_links(void **state)
{
    static const struct {
        const char *object;
        enum oci_access access;
        int prefix, listing;
        const char *body; /* NULL: refused */
    } rows[] = {
        {"a b", OCI_ACCESS_READ, 0, 0,
         "{\"name\":\"mine\",\"accessType\":\"ObjectRead\",\"timeExpires\":"
         "\"2033-05-18T03:33:20Z\",\"objectName\":\"a b\"}"},
        {"run/", OCI_ACCESS_READ_WRITE, 1, 1,
         "{\"name\":\"mine\",\"accessType\":\"AnyObjectReadWrite\",\"timeExpires\":"
         "\"2033-05-18T03:33:20Z\",\"objectName\":\"run/\",\"bucketListingAction\":"
         "\"ListObjects\"}"},
        {"", OCI_ACCESS_WRITE, 1, 0,
         "{\"name\":\"mine\",\"accessType\":\"AnyObjectWrite\",\"timeExpires\":"
         "\"2033-05-18T03:33:20Z\"}"},
        {"", OCI_ACCESS_READ, 0, 0, NULL},
        {"o", OCI_ACCESS_READ, 0, 1, NULL},
        {"o", OCI_ACCESS_WRITE, 1, 1, NULL},
    };
    struct oci_request r;
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct oci_where w = at(rows[i].object);
        struct oci_par_options o = {"mine", rows[i].access, rows[i].prefix, rows[i].listing,
                                    2000000000000};
        row_check(rows[i].object,
                  (oci_call_par_create(&w, &o, &r, NULL) == 0) == (rows[i].body != NULL));
        if (!rows[i].body)
            continue;
        check_signed_body(&r);
        assert_string_equal(r.method, "POST");
        assert_string_equal(r.target, "/n/axexample/b/my-bucket/p");
        assert_string_equal(r.body, rows[i].body);
        oci_request_fini(&r);
    }
    struct oci_where w = at("run 7/");
    assert_int_equal(oci_call_pars(&w, 10, "p+", &r, NULL), 0);
    assert_string_equal(r.target, "/n/axexample/b/my-bucket/p?objectNamePrefix=run%207%2F"
                                  "&limit=10&page=p%2B");
    oci_request_fini(&r);
    assert_int_equal(oci_call_par_delete(&w, "a/b+c=:o", &r, NULL), 0);
    assert_string_equal(r.method, "DELETE");
    assert_string_equal(r.target, "/n/axexample/b/my-bucket/p/a%2Fb%2Bc%3D%3Ao");
    oci_request_fini(&r);
    assert_int_equal(oci_call_par_delete(&w, "", &r, NULL), OCID_E_INVALID);
}

static void test_options_that_are_refused(void **state)
{
    static const struct oci_pair bad_name[] = {{"a b", "v"}}, empty_name[] = {{"opc-meta-", "v"}},
                                 colon[] = {{"a:b", "v"}};
    static char big_text[5000];
    static const struct oci_pair big[] = {{"a", big_text}};
    memset(big_text, 'x', sizeof big_text - 1);
    static const struct {
        const char *name;
        struct oci_put_options o;
    } rows[] = {
        {"line break", {.content_type = "a\r\nx: y"}},
        {"empty", {.content_type = ""}},
        {"not ASCII", {.content_disposition = "attachment; filename=ä"}},
        {"space at the end", {.cache_control = "x "}},
        {"too long", {.content_language = big_text}},
        {"etag with line break", {.if_match = "a\nb"}},
        {"both conditions", {.if_match = "a", .if_absent = 1}},
        {"metadata name with space", {.metadata = bad_name, .n_metadata = 1}},
        {"metadata without name", {.metadata = empty_name, .n_metadata = 1}},
        {"metadata name with colon", {.metadata = colon, .n_metadata = 1}},
        {"too much metadata", {.metadata = big, .n_metadata = 1}},
    };
    struct oci_where w = at("o");
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct oci_request r;
        struct oc_err err = {0};
        row_check(rows[i].name, oci_call_put(&w, 1, &rows[i].o, &r, &err) == OCID_E_INVALID);
        row_check(rows[i].name, err.text[0] && !r.arena.head);
        err.text[0] = 0;
        row_check(rows[i].name, oci_call_upload_create(&w, &rows[i].o, &r, &err) == OCID_E_INVALID);
        row_check(rows[i].name, err.text[0] && !r.arena.head);
    }
}

static void test_names_that_are_refused(void **state)
{
    static const struct oci_where rows[] = {
        {host, "ns", "b", ""},     {host, "ns", "b", "."},   {host, "ns", "b", NULL},
        {host, "ns", "", "o"},     {host, "", "b", "o"},     {host, NULL, "b", "o"},
        {host, "ns", "a/b", "o"},  {host, "../x", "b", "o"}, {host, "ns", "b", "a\rb"},
        {host, "ns", "b", "\xff"},
    };
    struct oci_put_options o = {0};
    struct oci_request r;
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        assert_int_equal(oci_call_put(&rows[i], 1, &o, &r, NULL), OCID_E_NAME);
        assert_int_equal(oci_call_get(&rows[i], NULL, &r, NULL), OCID_E_NAME);
        assert_int_equal(oci_call_upload_create(&rows[i], &o, &r, NULL), OCID_E_NAME);
        assert_int_equal(oci_call_upload_abort(&rows[i], "u", &r, NULL), OCID_E_NAME);
        assert_null(r.arena.head);
    }
}

static void test_uploads_that_are_refused(void **state)
{
    struct oci_where w = at("o");
    struct oci_sum sum = {0};
    struct oci_request r;
    const struct oci_part_etag order[] = {{2, "a"}, {1, "b"}}, twice[] = {{1, "a"}, {1, "b"}},
                               zero[] = {{0, "a"}}, broken[] = {{1, "\xff"}};
    (void)state;
    assert_int_equal(oci_call_upload_part(&w, "u", 0, 1, &sum, &r, NULL), OCID_E_INVALID);
    assert_int_equal(oci_call_upload_part(&w, "u", 10001, 1, &sum, &r, NULL), OCID_E_INVALID);
    assert_int_equal(oci_call_upload_part(&w, "", 1, 1, &sum, &r, NULL), OCID_E_INVALID);
    assert_int_equal(oci_call_upload_part(&w, NULL, 1, 1, &sum, &r, NULL), OCID_E_INVALID);
    assert_int_equal(oci_call_upload_commit(&w, "u", NULL, 0, NULL, 0, &r, NULL), OCID_E_INVALID);
    assert_int_equal(oci_call_upload_commit(&w, "u", order, 2, NULL, 0, &r, NULL), OCID_E_INVALID);
    assert_int_equal(oci_call_upload_commit(&w, "u", twice, 2, NULL, 0, &r, NULL), OCID_E_INVALID);
    assert_int_equal(oci_call_upload_commit(&w, "u", zero, 1, NULL, 0, &r, NULL), OCID_E_INVALID);
    assert_int_equal(oci_call_upload_commit(&w, "u", broken, 1, NULL, 0, &r, NULL), OCID_E_INVALID);
    assert_int_equal(
        oci_call_get(&w, &(struct oci_get_options){.ranged = 1, .first = 2, .last = 1}, &r, NULL),
        OCID_E_INVALID);
    assert_int_equal(oci_call_bucket_create(&w, "", NULL, &r, NULL), OCID_E_INVALID);
    assert_int_equal(oci_call_user(host, "", &r, NULL), OCID_E_INVALID);
    assert_null(r.arena.head);
}

static void test_expect_is_hinted_where_it_pays(void **state)
{
    static const struct {
        const char *name;
        uint64_t bytes;
        int if_absent, want;
    } rows[] = {
        {"small", 4096, 0, 0},
        {"small, conditional", 4096, 1, 0},
        {"larger, conditional", 1 << 20, 1, 1},
        {"larger", 1 << 20, 0, 0},
        {"big", 32 << 20, 0, 1},
    };
    struct oci_where w = at("o");
    struct oci_request r;
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct oci_put_options o = {.if_absent = rows[i].if_absent};
        assert_int_equal(oci_call_put(&w, rows[i].bytes, &o, &r, NULL), 0);
        row_check(rows[i].name, r.expect_continue == rows[i].want);
        oci_request_fini(&r);
    }
}

/* A thousand small puts a second: all of one lies in one chunk. */
static void test_a_small_put_is_one_allocation(void **state)
{
    struct oci_where w = at("logs/2026/01/01/host-17/part-000123.json");
    struct oci_put_options o = {.sum = {.kind = OCI_SUM_CRC32C, .known = 1}};
    struct oci_request r;
    (void)state;
    assert_int_equal(oci_call_put(&w, 4096, &o, &r, NULL), 0);
    assert_true(r.arena.total < 1900);
    assert_null(*(void **)r.arena.head); /* no further chunk */
    oci_request_fini(&r);
}

static void test_commit_of_most_parts(void **state)
{
    struct oci_part_etag *parts = calloc(OCI_PARTS_MAX, sizeof *parts);
    struct oci_where w = at("o");
    struct oci_request r;
    (void)state;
    for (unsigned i = 0; i < OCI_PARTS_MAX; i++)
        parts[i] = (struct oci_part_etag){i + 1, UPLOAD};
    assert_int_equal(oci_call_upload_commit(&w, "u", parts, OCI_PARTS_MAX, NULL, 1, &r, NULL), 0);
    assert_true(r.body_bytes > 500000);
    oci_request_fini(&r);
    oci_request_fini(NULL);
    free(parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_are_the_sdks),
        cmocka_unit_test(test_user_is_the_sdks),
        cmocka_unit_test(test_tokens_are_asked_for_as_the_sdk_does),
        cmocka_unit_test(test_puts_are_the_sdks),
        cmocka_unit_test(test_posts_have_the_sdks_shape),
        cmocka_unit_test(test_hash_of_a_known_body),
        cmocka_unit_test(test_put_headers),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_ranges_and_conditions),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_options_that_are_refused),
        cmocka_unit_test(test_names_that_are_refused),
        cmocka_unit_test(test_uploads_that_are_refused),
        cmocka_unit_test(test_expect_is_hinted_where_it_pays),
        cmocka_unit_test(test_a_small_put_is_one_allocation),
        cmocka_unit_test(test_commit_of_most_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
