/* SPDX-License-Identifier: Apache-2.0
 *
 * test_uri.c - URIs that people type.
 */
#include "kit.h"

#include "ctl/uri.h"

static const struct {
    const char *text, *bucket, *space, *object;
} good[] = {
    {"oci://b/o", "b", "", "o"},
    {"oci://b", "b", "", ""},
    {"oci://b/", "b", "", ""},
    {"oci://b@ns/o/p", "b", "ns", "o/p"},
    {"oci://b@ns", "b", "ns", ""},
    {"oci://a.b-c_D9/logs/", "a.b-c_D9", "", "logs/"},
    {"oci://b//lead", "b", "", "/lead"},
    {"oci://b/a@b", "b", "", "a@b"},
    {"oci://b/a%2Fb?c#d", "b", "", "a%2Fb?c#d"},
    {"oci://b/é 漢", "b", "", "é 漢"},
    {"oci://b/tab\there", "b", "", "tab\there"},
};

static void test_good_ones_are_split(void **state)
{
    char why[256];
    struct uri uri;
    (void)state;
    for (size_t i = 0; i < N_ROWS(good); i++) {
        row_check(good[i].text, uri_parse(good[i].text, &uri, why, sizeof why) == 0);
        row_text(good[i].text, uri.bucket, good[i].bucket);
        row_text(good[i].text, uri.space, good[i].space);
        row_text(good[i].text, uri.object, good[i].object);
    }
}

static const struct {
    const char *text, *why;
} bad[] = {
    {"b/o", "not of the form"},           {"", "not of the form"},
    {"OCI://b/o", "not of the form"},     {"s3://b/o", "not of the form"},
    {"oci:/b/o", "not of the form"},      {"oci://", "no bucket is named"},
    {"oci:///o", "no bucket is named"},   {"oci://@ns/o", "no bucket is named"},
    {"oci://b@/o", "namespace"},          {"oci://b@n s/o", "namespace"},
    {"oci://b c/o", "a bucket name has"}, {"oci://b:9/o", "a bucket name has"},
    {"oci://b/a\nb", "line breaks"},      {"oci://b/\xff", "UTF-8"},
};

static void test_bad_ones_say_why(void **state)
{
    char why[256], longest[1200] = "oci://b/";
    struct uri uri;
    (void)state;
    for (size_t i = 0; i < N_ROWS(bad); i++) {
        row_check(bad[i].text, uri_parse(bad[i].text, &uri, why, sizeof why) == -1);
        row_check(bad[i].text, strstr(why, bad[i].why));
    }
    memset(longest + 8, 'x', 1025);
    assert_int_equal(uri_parse(longest, &uri, why, sizeof why), -1);
    longest[8 + 1024] = 0;
    assert_int_equal(uri_parse(longest, &uri, why, sizeof why), 0);
}

static void test_objects_and_places(void **state)
{
    static const struct {
        const char *text;
        bool object, below;
    } rows[] = {
        {"oci://b", false, true},   {"oci://b/", false, true},   {"oci://b/p/", true, true},
        {"oci://b/o", true, false}, {"oci://b/.", false, false}, {"oci://b/..", false, false},
    };
    char why[256];
    struct uri uri;
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        assert_int_equal(uri_parse(rows[i].text, &uri, why, sizeof why), 0);
        row_check(rows[i].text, uri_is_object(&uri) == rows[i].object);
        row_check(rows[i].text, uri_is_below(&uri) == rows[i].below);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_ones_are_split),
        cmocka_unit_test(test_bad_ones_say_why),
        cmocka_unit_test(test_objects_and_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
