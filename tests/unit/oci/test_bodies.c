/* SPDX-License-Identifier: Apache-2.0
 *
 * test_bodies.c - JSON bodies of honest and of hostile answers.
 */
#include "cm.h"

#include <stdlib.h>

#include "oci/replies.h"

static void test_times(void **state)
{
    static const struct {
        const char *text;
        int code;
        int64_t ms;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0, 0},
        {"2023-01-25T14:52:44.123Z", 0, 1674658364123},
        {"2023-01-25T14:52:44.1Z", 0, 1674658364100},
        {"2023-01-25T14:52:44.123456789Z", 0, 1674658364123},
        {"2023-01-25T16:52:44+02:00", 0, 1674658364000},
        {"2023-01-25T14:52:44+00:00", 0, 1674658364000},
        {"2023-01-25t09:22:44-05:30", 0, 1674658364000},
        {"2000-02-29T00:00:00Z", 0, 951782400000},
        {"2024-02-29T23:59:59Z", 0, 1709251199000},
        {"2024-03-01T00:00:00Z", 0, 1709251200000},
        {"2100-03-01T00:00:00Z", 0, 4107542400000},
        {"1969-12-31T23:59:59.999Z", 0, -1},
        {"", OCID_E_INVALID, 0},
        {"2023-01-25", OCID_E_INVALID, 0},
        {"2023-01-25T14:52:44", OCID_E_INVALID, 0},
        {"2023-01-25T14:52:44.Z", OCID_E_INVALID, 0},
        {"2023-01-25T14:52:44ZZ", OCID_E_INVALID, 0},
        {"2023-13-25T14:52:44Z", OCID_E_INVALID, 0},
        {"2023-00-25T14:52:44Z", OCID_E_INVALID, 0},
        {"2023-01-25T25:52:44Z", OCID_E_INVALID, 0},
        {"2023-01-25T14:52:44+2:00x", OCID_E_INVALID, 0},
        {"2023/01/25T14:52:44Z", OCID_E_INVALID, 0},
        {"yesterday at about noon", OCID_E_INVALID, 0},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        int64_t ms = 0;
        row_check(rows[i].text, oci_time_parse(rows[i].text, &ms) == rows[i].code);
        row_check(rows[i].text, ms == rows[i].ms);
    }
}

static void test_namespaces_and_uploads(void **state)
{
    static const struct {
        const char *body;
        int code;
    } spaces[] = {
        {"\"axexample\"", 0},
        {" \"axexample\"\n", 0},
        {"\"\"", OCID_E_SERVER},
        {"axexample", OCID_E_SERVER},
        {"[\"axexample\"]", OCID_E_SERVER},
        {"", OCID_E_SERVER},
        {"null", OCID_E_SERVER},
        {"\"much-too-long-for-it\"", OCID_E_SERVER},
        {"\"a\\u0000b\"", OCID_E_SERVER},
    };
    static const struct {
        const char *body;
        int code;
    } uploads[] = {
        {"{\"namespace\":\"n\",\"uploadId\":\"u-1\",\"x\":null}", 0},
        {"{\"uploadId\":\"\"}", OCID_E_SERVER},
        {"{\"uploadId\":7}", OCID_E_SERVER},
        {"{\"uploadId\":null}", OCID_E_SERVER},
        {"{}", OCID_E_SERVER},
        {"[]", OCID_E_SERVER},
        {"{\"uploadId\":\"u-1\"", OCID_E_SERVER},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(spaces); i++) {
        char out[16];
        struct oc_err err = {0};
        row_check(spaces[i].body, oci_parse_namespace(spaces[i].body, strlen(spaces[i].body), out,
                                                      sizeof out, &err) == spaces[i].code);
        if (spaces[i].code)
            row_check(spaces[i].body, err.text[0]);
        else
            assert_string_equal(out, "axexample");
    }
    for (size_t i = 0; i < N_ROWS(uploads); i++) {
        char id[OCI_UPLOAD_ID_SIZE];
        row_check(uploads[i].body, oci_parse_upload(uploads[i].body, strlen(uploads[i].body), id,
                                                    NULL) == uploads[i].code);
        if (!uploads[i].code)
            assert_string_equal(id, "u-1");
    }
}

/* What a list gave, as one line of text. */
struct seen {
    char text[512];
    int stop;
};

static void note(struct seen *s, const char *text)
{
    size_t used = strlen(s->text);
    snprintf(s->text + used, sizeof s->text - used, "%s;", text);
}

static int on_object(void *arg, const struct oci_object *o)
{
    char text[128];
    struct seen *s = arg;
    snprintf(text, sizeof text, "%s %d %llu %s %lld", o->name, o->has_size,
             (unsigned long long)o->size, o->etag ? o->etag : "-", (long long)o->modified_ms);
    note(s, text);
    return s->stop;
}

static int on_prefix(void *arg, const char *prefix)
{
    note(arg, prefix);
    return 0;
}

static void test_lists_of_objects(void **state)
{
    static const struct {
        const char *body, *start;
        int code;
        const char *seen, *next;
    } rows[] = {
        {"{\"objects\":[]}", NULL, 0, "", NULL},
        {"{\"objects\":[],\"prefixes\":null,\"nextStartWith\":null}", "x", 0, "", NULL},
        {"{\"objects\":[{\"name\":\"a\",\"size\":5,\"etag\":\"E\",\"timeModified\":"
         "\"1970-01-01T00:00:01Z\",\"new\":{\"x\":[1]}},{\"name\":\"b\"}],"
         "\"prefixes\":[\"c/\",\"d/\"],\"nextStartWith\":\"e\"}",
         NULL, 0, "a 1 5 E 1000;b 0 0 - 0;c/;d/;", "e"},
        {"{\"objects\":[{\"name\":\"\u00e9\",\"size\":9223372036854775807}]}", NULL, 0,
         "\u00e9 1 9223372036854775807 - 0;", NULL},
        {"{\"objects\":[{\"name\":\"a\",\"size\":-1,\"etag\":7,\"timeModified\":\"x\"}]}", NULL, 0,
         "a 0 0 - 0;", NULL},
        {"{\"objects\":[{\"name\":\"a\",\"size\":1.5}]}", NULL, 0, "a 0 0 - 0;", NULL},
        {"{\"objects\":[],\"nextStartWith\":\"b\"}", "b", OCID_E_SERVER, "", NULL},
        {"{\"objects\":[],\"nextStartWith\":\"a\"}", "b", OCID_E_SERVER, "", NULL},
        {"{\"objects\":[],\"nextStartWith\":\"\"}", NULL, OCID_E_SERVER, "", NULL},
        {"{\"objects\":[],\"nextStartWith\":5}", NULL, OCID_E_SERVER, "", NULL},
        {"{\"objects\":[],\"nextStartWith\":\"b\\u0001\"}", "b", 0, "", "b\x01"},
        {"{\"objects\":[{\"size\":5}]}", NULL, OCID_E_SERVER, "", NULL},
        {"{\"objects\":[{\"name\":null}]}", NULL, OCID_E_SERVER, "", NULL},
        {"{\"objects\":[7]}", NULL, OCID_E_SERVER, "", NULL},
        {"{\"objects\":[],\"prefixes\":[1]}", NULL, OCID_E_SERVER, "", NULL},
        {"{\"objects\":[],\"prefixes\":\"a/\"}", NULL, OCID_E_SERVER, "", NULL},
        {"{\"objects\":{}}", NULL, OCID_E_SERVER, "", NULL},
        {"{\"objects\":null}", NULL, OCID_E_SERVER, "", NULL},
        {"{}", NULL, OCID_E_SERVER, "", NULL},
        {"[]", NULL, OCID_E_SERVER, "", NULL},
        {"\"x\"", NULL, OCID_E_SERVER, "", NULL},
        {"", NULL, OCID_E_SERVER, "", NULL},
        {"{\"objects\":[{\"name\":\"a\"}", NULL, OCID_E_SERVER, "", NULL},
        {"{\"objects\":[{\"name\":\"a\"}]} x", NULL, OCID_E_SERVER, "", NULL},
        {"{\"objects\":[{\"name\":\"a\\u0000b\"}]}", NULL, OCID_E_SERVER, "", NULL},
        {"{\"objects\":[{\"name\":\"\xff\"}]}", NULL, OCID_E_SERVER, "", NULL},
        {"{\"objects\":[{\"name\":\"a\",\"size\":99999999999999999999}]}", NULL, OCID_E_SERVER, "",
         NULL},
        {"{\"objects\":[{\"name\":\"a\",\"size\":1e999999}]}", NULL, OCID_E_SERVER, "", NULL},
        {"<html>busy</html>", NULL, OCID_E_SERVER, "", NULL},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct seen seen = {.stop = 0};
        struct oci_objects_sink sink = {on_object, on_prefix, &seen};
        struct oc_err err = {0};
        char *next = NULL;
        int code = oci_parse_objects(rows[i].body, strlen(rows[i].body), rows[i].start, &sink,
                                     &next, &err);
        row_check(rows[i].body, code == rows[i].code && !code == !err.text[0]);
        row_check(rows[i].body, !strcmp(seen.text, rows[i].seen));
        row_check(rows[i].body, !next == !rows[i].next && (!next || !strcmp(next, rows[i].next)));
        free(next);
    }
}

static void test_a_callback_may_stop_the_list(void **state)
{
    static const char body[] = "{\"objects\":[{\"name\":\"a\"},{\"name\":\"b\"}],"
                               "\"nextStartWith\":\"c\"}";
    struct seen seen = {.stop = 17};
    struct oci_objects_sink sink = {on_object, NULL, &seen};
    char *next = NULL;
    (void)state;
    assert_int_equal(oci_parse_objects(body, sizeof body - 1, NULL, &sink, &next, NULL), 17);
    assert_string_equal(seen.text, "a 0 0 - 0;");
    assert_null(next);
}

/* Every cut of a good page is refused, and none of it is read beyond its end. */
static void test_every_cut_page_is_refused(void **state)
{
    static const char body[] = "{\"objects\":[{\"name\":\"a\\u00e9\\n\",\"size\":12}],"
                               "\"prefixes\":[\"p/\"],\"nextStartWith\":\"z\"}";
    (void)state;
    for (size_t n = 0; n < sizeof body - 1; n++) {
        struct seen seen = {.stop = 0};
        struct oci_objects_sink sink = {on_object, on_prefix, &seen};
        char *cut = malloc(n ? n : 1), *next = NULL;
        memcpy(cut, body, n);
        assert_int_equal(oci_parse_objects(cut, n, NULL, &sink, &next, NULL), OCID_E_SERVER);
        assert_string_equal(seen.text, "");
        assert_null(next);
        free(cut);
    }
}

static void test_bombs_are_refused_before_they_grow(void **state)
{
    static const struct {
        const char *name, *unit;
        size_t n;
        const char *says;
    } rows[] = {
        {"deep arrays", "[", 1000000, "nested"},
        {"deep objects", "{\"a\":", 500000, "nested"},
        {"many objects", "{},", 1000000, "too many"},
        {"many arrays", "[],", 1000000, "too many"},
        {"many numbers", "1,", 1000000, "too many"},
        {"too long", " ", OCI_BODY_MAX + 1, "too long"},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        size_t n_unit = strlen(rows[i].unit), n = 1 + rows[i].n * n_unit;
        char *body = malloc(n), id[OCI_UPLOAD_ID_SIZE];
        struct oc_err err = {0};
        body[0] = '[';
        for (size_t k = 0; k < rows[i].n; k++)
            memcpy(body + 1 + k * n_unit, rows[i].unit, n_unit);
        row_check(rows[i].name, oci_parse_upload(body, n, id, &err) == OCID_E_SERVER);
        row_check(rows[i].name, strstr(err.text, rows[i].says));
        free(body);
    }
}

static void test_brackets_in_names_do_not_count(void **state)
{
    static const char body[] =
        "{\"objects\":[{\"name\":\"[[[[[[[[[[[[[[[[[[[[{{{{{{\\\"[[[[[[\\\\\"}]}";
    struct seen seen = {.stop = 0};
    struct oci_objects_sink sink = {on_object, on_prefix, &seen};
    char *next = NULL;
    (void)state;
    assert_int_equal(oci_parse_objects(body, sizeof body - 1, NULL, &sink, &next, NULL), 0);
    assert_string_equal(seen.text, "[[[[[[[[[[[[[[[[[[[[{{{{{{\"[[[[[[\\ 0 0 - 0;");
}

/* A full page with all fields and the longest names is within the limits. */
static void test_the_largest_page_fits(void **state)
{
    enum { ROOM = 3 * 1024 * 1024 };
    char *body = malloc(ROOM), *next = NULL, name[1025];
    struct seen seen = {.stop = 0};
    struct oci_objects_sink sink = {on_object, on_prefix, &seen};
    (void)state;
    memset(name, '"', sizeof name - 1);
    size_t n = (size_t)sprintf(body, "{\"objects\":[");
    for (int i = 0; i < 1000; i++) {
        n += (size_t)sprintf(body + n, "%s{\"name\":\"", i ? "," : "");
        for (int k = 0; k < 1024; k++)
            n += (size_t)sprintf(body + n, "\\\"");
        n += (size_t)sprintf(body + n, "\",\"size\":1,\"etag\":\"E\",\"md5\":\"M\",\"storageTier\":"
                                       "\"Standard\",\"timeModified\":\"2023-01-25T14:52:44Z\"}");
    }
    n += (size_t)sprintf(body + n, "]}");
    assert_true(n < ROOM);
    assert_int_equal(oci_parse_objects(body, n, NULL, &sink, &next, NULL), 0);
    free(body);
}

static int on_upload(void *arg, const struct oci_upload *u)
{
    note(arg, u->object);
    note(arg, u->id);
    return 0;
}

static int on_part(void *arg, const struct oci_part *p)
{
    char text[64];
    snprintf(text, sizeof text, "%u %s %llu", p->part_no, p->etag, (unsigned long long)p->size);
    note(arg, text);
    return 0;
}

static int on_bucket(void *arg, const struct oci_bucket *b)
{
    note(arg, b->name);
    note(arg, b->storage_tier ? b->storage_tier : "-");
    return 0;
}

static int on_par(void *arg, const struct oci_par *p)
{
    note(arg, p->id);
    note(arg, p->object ? p->object : "-");
    note(arg, p->listing ? "listing" : "-");
    return 0;
}

enum list { UPLOADS, PARTS, BUCKETS, BUCKET, PARS, PAR };

static int parse(enum list list, const char *body, struct seen *seen, struct oc_err *err)
{
    size_t n = strlen(body);
    switch (list) {
    case UPLOADS:
        return oci_parse_uploads(body, n, on_upload, seen, err);
    case PARTS:
        return oci_parse_parts(body, n, on_part, seen, err);
    case PARS:
        return oci_parse_pars(body, n, on_par, seen, err);
    case PAR:
        return oci_parse_par(body, n, on_par, seen, err);
    case BUCKETS:
        return oci_parse_buckets(body, n, on_bucket, seen, err);
    default:
        return oci_parse_bucket(body, n, on_bucket, seen, err);
    }
}

static void test_other_lists(void **state)
{
    static const struct {
        enum list list;
        const char *body;
        int code;
        const char *seen;
    } rows[] = {
        {UPLOADS, "[]", 0, ""},
        {UPLOADS, "[{\"object\":\"o\",\"uploadId\":\"u\",\"bucket\":\"b\"}]", 0, "o;u;"},
        {UPLOADS, "[{\"object\":\"o\"}]", OCID_E_SERVER, ""},
        {UPLOADS, "{}", OCID_E_SERVER, ""},
        {UPLOADS, "[null]", OCID_E_SERVER, ""},
        {PARTS, "[{\"partNumber\":1,\"etag\":\"e\",\"md5\":\"m\",\"size\":10}]", 0, "1 e 10;"},
        {PARTS, "[{\"partNumber\":10000,\"etag\":\"e\",\"md5\":null,\"size\":0}]", 0, "10000 e 0;"},
        {PARTS, "[{\"partNumber\":0,\"etag\":\"e\",\"size\":10}]", OCID_E_SERVER, ""},
        {PARTS, "[{\"partNumber\":10001,\"etag\":\"e\",\"size\":10}]", OCID_E_SERVER, ""},
        {PARTS, "[{\"partNumber\":4294967297,\"etag\":\"e\",\"size\":1}]", OCID_E_SERVER, ""},
        {PARTS, "[{\"partNumber\":\"1\",\"etag\":\"e\",\"size\":10}]", OCID_E_SERVER, ""},
        {PARTS, "[{\"partNum\":1,\"etag\":\"e\",\"size\":10}]", OCID_E_SERVER, ""},
        {PARTS, "[{\"partNumber\":1,\"etag\":\"e\",\"size\":-10}]", OCID_E_SERVER, ""},
        {PARTS, "[{\"partNumber\":1,\"size\":10}]", OCID_E_SERVER, ""},
        {BUCKETS, "[{\"name\":\"b\",\"namespace\":\"n\"},{\"name\":\"c\"}]", 0, "b;-;c;-;"},
        {BUCKETS, "[{}]", OCID_E_SERVER, ""},
        {BUCKETS, "null", OCID_E_SERVER, ""},
        {BUCKET, "{\"name\":\"b\",\"storageTier\":\"Archive\",\"approximateCount\":null}", 0,
         "b;Archive;"},
        {BUCKET, "[]", OCID_E_SERVER, ""},
        {BUCKET, "5", OCID_E_SERVER, ""},
        {PARS,
         "[{\"id\":\"i\",\"name\":\"n\",\"accessType\":\"AnyObjectRead\",\"objectName\":null,"
         "\"bucketListingAction\":\"ListObjects\"}]",
         0, "i;-;listing;"},
        {PARS, "[{\"id\":\"\",\"name\":\"n\",\"accessType\":\"ObjectRead\"}]", OCID_E_SERVER, ""},
        {PARS, "[{\"id\":\"i\",\"name\":\"n\"}]", OCID_E_SERVER, ""},
        {PAR,
         "{\"id\":\"i\",\"name\":\"n\",\"accessType\":\"ObjectRead\",\"objectName\":\"o\","
         "\"accessUri\":\"/p/T/n/n/b/b/o/o\",\"bucketListingAction\":\"Deny\"}",
         0, "i;o;-;"},
        {PAR, "{\"id\":\"i\",\"name\":\"n\",\"accessType\":\"ObjectRead\"}", OCID_E_SERVER, ""},
        {PAR, "{\"id\":\"i\",\"name\":\"n\",\"accessType\":\"x\",\"accessUri\":\"http://evil/\"}",
         OCID_E_SERVER, ""},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct seen seen = {.stop = 0};
        struct oc_err err = {0};
        row_check(rows[i].body, parse(rows[i].list, rows[i].body, &seen, &err) == rows[i].code);
        row_check(rows[i].body, !strcmp(seen.text, rows[i].seen));
        row_check(rows[i].body, !rows[i].code == !err.text[0]);
    }
}

static void test_links_are_urls(void **state)
{
    static const struct {
        const char *uri, *full, *link;
    } rows[] = {
        {"/p/T/n/n/b/b/o/o", "https://n.host/p/T/n/n/b/b/o/o", "https://n.host/p/T/n/n/b/b/o/o"},
        {"/p/T/o/o", NULL, "https://base/p/T/o/o"},
        {"/p/T/o/o", "https://n.host/something/else", "https://base/p/T/o/o"},
        {"/p/T/o/o", "javascript:/p/T/o/o", "https://base/p/T/o/o"},
        {"/p/T/o/a%20b%2Fc", NULL, "https://base/p/T/o/a%20b%2Fc"},
        {"/p/T/o/a b\033;'$?#\xc3\xa9", NULL, "https://base/p/T/o/a%20b%1B%3B%27%24%3F%23%C3%A9"},
    };
    char link[64];
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct oci_par p = {.uri = rows[i].uri, .full = rows[i].full};
        assert_int_equal(oci_par_link(&p, "https://base", link, sizeof link), 0);
        assert_string_equal(link, rows[i].link);
    }
    struct oci_par p = {.uri = "/p/T/o/o"};
    assert_int_equal(oci_par_link(&p, "https://base", link, 20), OCID_E_TOO_LARGE);
}

static void test_users(void **state)
{
    static const char body[] = "{\"id\":\"ocid1.user.oc1..x\",\"name\":\"me\",\"email\":null,"
                               "\"lifecycleState\":\"ACTIVE\"}";
    static char big[OCI_USER_JSON_SIZE + 100];
    struct oci_user u;
    (void)state;
    assert_int_equal(oci_parse_user(body, sizeof body - 1, &u, NULL), 0);
    assert_string_equal(u.id, "ocid1.user.oc1..x");
    assert_string_equal(u.name, "me");
    assert_string_equal(u.state, "ACTIVE");
    assert_string_equal(u.email, "");
    assert_string_equal(u.json, body);
    int n = snprintf(big, sizeof big, "{\"id\":\"%0900d\"}", 0);
    assert_int_equal(oci_parse_user(big, (size_t)n, &u, NULL), 0);
    assert_int_equal(strlen(u.id), sizeof u.id - 1);
    assert_string_equal(u.json, big);
    n = snprintf(big, sizeof big, "{\"id\":\"%0*d\"}", OCI_USER_JSON_SIZE - 10, 0);
    assert_int_equal(oci_parse_user(big, (size_t)n, &u, NULL), 0);
    assert_int_equal(strlen(u.json), sizeof u.json - 1);
    assert_string_equal(u.json, big);
    n = snprintf(big, sizeof big, "{\"id\":\"%0*d\"}", OCI_USER_JSON_SIZE - 9, 0);
    assert_int_equal(oci_parse_user(big, (size_t)n, &u, NULL), 0);
    assert_string_equal(u.json, "");
    static const char odd[] = "{\"id\":\"\\u001b\xc3\xa4\"}";
    assert_int_equal(oci_parse_user(odd, sizeof odd - 1, &u, NULL), 0);
    assert_string_equal(u.json, "{\"id\":\"\\u001B\\u00E4\"}");
    assert_int_equal(oci_parse_user("{}", 2, &u, NULL), OCID_E_SERVER);
    assert_int_equal(oci_parse_user("{", 1, &u, NULL), OCID_E_SERVER);
}

static void test_error_bodies(void **state)
{
    static const struct {
        const char *body, *code, *message;
    } rows[] = {
        {"{\"code\":\"BucketNotFound\",\"message\":\"The bucket 'x'\"}", "BucketNotFound",
         "The bucket 'x'"},
        {"{\"code\":\"X\"}", "X", ""},
        {"{\"message\":\"m\",\"code\":5}", "", "m"},
        {"{\"code\":\"a\\u001b[2Jb\",\"message\":\"\\r\\n\"}", "a\\x1b[2Jb", "\\x0d\\x0a"},
        {"<html>\n502\x1b</html>", "", "<html>\\x0a502\\x1b</html>"},
        {"{\"other\":1}", "", "{\"other\":1}"},
        {"{\"code\":\"Cut", "", "{\"code\":\"Cut"},
        {"[[[[[[[[[[[[[[[[[[[[[[", "", "[[[[[[[[[[[[[[[[[[[[[["},
        {"\xff\xfe", "", "\\xff\\xfe"},
        {"null", "", "null"},
        {"", "", ""},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct oci_service_error e;
        oci_parse_error(rows[i].body, strlen(rows[i].body), &e);
        row_check(rows[i].body, !strcmp(e.code, rows[i].code));
        row_check(rows[i].body, !strcmp(e.message, rows[i].message));
    }
}

static void test_error_bodies_are_cut(void **state)
{
    char *body = malloc(100000);
    struct oci_service_error e;
    (void)state;
    memset(body, 'x', 100000);
    oci_parse_error(body, 100000, &e);
    assert_int_equal(strlen(e.message), sizeof e.message - 1);
    size_t n = (size_t)snprintf(body, 100000, "{\"code\":\"%0500d\",\"message\":\"%0500d\"}", 1, 2);
    oci_parse_error(body, n, &e);
    assert_int_equal(strlen(e.code), sizeof e.code - 1);
    assert_int_equal(strlen(e.message), sizeof e.message - 1);
    oci_parse_error(NULL, 0, &e);
    assert_string_equal(e.message, "");
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_namespaces_and_uploads),
        cmocka_unit_test(test_lists_of_objects),
        cmocka_unit_test(test_a_callback_may_stop_the_list),
        cmocka_unit_test(test_every_cut_page_is_refused),
        cmocka_unit_test(test_bombs_are_refused_before_they_grow),
        cmocka_unit_test(test_brackets_in_names_do_not_count),
        cmocka_unit_test(test_the_largest_page_fits),
        cmocka_unit_test(test_other_lists),
        cmocka_unit_test(test_links_are_urls),
        cmocka_unit_test(test_users),
        cmocka_unit_test(test_error_bodies),
        cmocka_unit_test(test_error_bodies_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
