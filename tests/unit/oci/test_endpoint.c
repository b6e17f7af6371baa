/* SPDX-License-Identifier: Apache-2.0
 *
 * test_endpoint.c - regions, realms, overrides, and who may speak plain http.
 */
#include "cm.h"

#include "oci/endpoint.h"

#define OS OCI_OBJECT_STORAGE
#define ID OCI_IDENTITY

static const struct {
    const char *name;
    enum oci_service service;
    struct oci_place place;
    const char *base; /* NULL: refused */
} rows[] = {
    {"id",
     OS,
     {.region = "eu-frankfurt-1"},
     "https://objectstorage.eu-frankfurt-1.oraclecloud.com"},
    {"short code", OS, {.region = "fra"}, "https://objectstorage.eu-frankfurt-1.oraclecloud.com"},
    {"spaces, capitals",
     OS,
     {.region = " PHX\n"},
     "https://objectstorage.us-phoenix-1.oraclecloud.com"},
    {"identity", ID, {.region = "iad"}, "https://identity.us-ashburn-1.oci.oraclecloud.com"},
    {"auth", OCI_AUTH, {.region = "iad"}, "https://auth.us-ashburn-1.oraclecloud.com"},
    {"government",
     OS,
     {.region = "us-gov-ashburn-1"},
     "https://objectstorage.us-gov-ashburn-1.oraclegovcloud.com"},
    {"oc4", OS, {.region = "ltn"}, "https://objectstorage.uk-gov-london-1.oraclegovcloud.uk"},
    {"oc8", ID, {.region = "nja"}, "https://identity.ap-chiyoda-1.oci.oraclecloud8.com"},
    {"oc19", OS, {.region = "str"}, "https://objectstorage.eu-frankfurt-2.oraclecloud.eu"},
    {"oc52", OS, {.region = "hnw"}, "https://objectstorage.sa-riodejaneiro-1.oraclecloud52.com"},
    {"unknown region",
     OS,
     {.region = "xx-new-1"},
     "https://objectstorage.xx-new-1.oraclecloud.com"},
    {"unknown region, own realm",
     OS,
     {.region = "xx-new-1", .domain = "oraclecloud99.com"},
     "https://objectstorage.xx-new-1.oraclecloud99.com"},
    {"whole domain", OS, {.region = "r1.example.org"}, "https://objectstorage.r1.example.org"},
    {"dual stack",
     OS,
     {.region = "fra", .dual_stack = 1},
     "https://objectstorage.eu-frankfurt-1.ds.oci.oraclecloud.com"},
    {"dual stack is the storage's",
     ID,
     {.region = "fra", .dual_stack = 1},
     "https://identity.eu-frankfurt-1.oci.oraclecloud.com"},
    {"dedicated",
     OS,
     {.region = "fra", .dedicated = 1, .namespace = "axexample"},
     "https://axexample.objectstorage.eu-frankfurt-1.oci.customer-oci.com"},
    {"dedicated, no namespace yet",
     OS,
     {.region = "fra", .dedicated = 1},
     "https://objectstorage.eu-frankfurt-1.oci.customer-oci.com"},
    {"dedicated, dual stack",
     OS,
     {.region = "fra", .dedicated = 1, .dual_stack = 1, .namespace = "ns"},
     "https://ns.objectstorage.eu-frankfurt-1.ds.oci.customer-oci.com"},
    {"dedicated elsewhere", OS, {.region = "ric", .dedicated = 1, .namespace = "ns"}, NULL},
    {"dedicated, bad namespace", OS, {.region = "fra", .dedicated = 1, .namespace = "a/b"}, NULL},
    {"no region", OS, {.region = NULL}, NULL},
    {"blank region", OS, {.region = "  "}, NULL},
    {"slash in region", OS, {.region = "fra/x"}, NULL},
    {"at sign in region", OS, {.region = "a@evil.com"}, NULL},
    {"bad domain", OS, {.region = "xx-new-1", .domain = "a b"}, NULL},
    {"override wins",
     OS,
     {.region = "fra", .override = "https://store.example.org"},
     "https://store.example.org"},
    {"override, port",
     OS,
     {.override = "https://store.example.org:8443"},
     "https://store.example.org:8443"},
    {"override, default port",
     OS,
     {.override = "https://store.example.org:443/"},
     "https://store.example.org"},
    {"override, capitals",
     OS,
     {.override = "HTTPS://Store.Example.ORG"},
     "https://store.example.org"},
    {"override, IPv6", OS, {.override = "https://[2001:db8::1]:444"}, "https://[2001:db8::1]:444"},
    {"identity, its path",
     ID,
     {.override = "https://id.example.org/20160918"},
     "https://id.example.org"},
    {"identity, its path and a slash",
     ID,
     {.override = "https://id.example.org/20160918/"},
     "https://id.example.org"},
    {"identity, other path", ID, {.override = "https://id.example.org/20160918x"}, NULL},
    {"storage, path", OS, {.override = "https://store.example.org/n"}, NULL},
    {"query", OS, {.override = "https://store.example.org?x"}, NULL},
    {"fragment", OS, {.override = "https://store.example.org#x"}, NULL},
    {"user", OS, {.override = "https://me@store.example.org"}, NULL},
    {"user and password", OS, {.override = "https://me:pw@store.example.org"}, NULL},
    {"no scheme", OS, {.override = "store.example.org"}, NULL},
    {"other scheme", OS, {.override = "ftp://store.example.org"}, NULL},
    {"no host", OS, {.override = "https://"}, NULL},
    {"no host, port", OS, {.override = "https://:443"}, NULL},
    {"port 0", OS, {.override = "https://h:0"}, NULL},
    {"port too high", OS, {.override = "https://h:65536"}, NULL},
    {"port far too high", OS, {.override = "https://h:99999999999999999999"}, NULL},
    {"port missing", OS, {.override = "https://h:"}, NULL},
    {"port not a number", OS, {.override = "https://h:8a"}, NULL},
    {"space", OS, {.override = "https://h h"}, NULL},
    {"open bracket", OS, {.override = "https://[::1"}, NULL},
    {"not IPv6", OS, {.override = "https://[hello]"}, NULL},
    {"http, 127.0.0.1", OS, {.override = "http://127.0.0.1:8080"}, "http://127.0.0.1:8080"},
    {"http, 127/8", OS, {.override = "http://127.9.8.7"}, "http://127.9.8.7"},
    {"http, ::1", OS, {.override = "http://[::1]:80"}, "http://[::1]"},
    {"http, localhost", OS, {.override = "http://LocalHost:4000/"}, "http://localhost:4000"},
    {"http, elsewhere", OS, {.override = "http://store.example.org"}, NULL},
    {"http, looks like loopback", OS, {.override = "http://127.0.0.1.example.org"}, NULL},
    {"http, starts like it", OS, {.override = "http://127.evil"}, NULL},
    {"http, localhost's neighbour", OS, {.override = "http://localhost.example.org"}, NULL},
    {"http, 128", OS, {.override = "http://128.0.0.1"}, NULL},
    {"http, other IPv6", OS, {.override = "http://[::2]"}, NULL},
    {"http, link-local metadata", OS, {.override = "http://169.254.169.254"}, NULL},
};

static void test_places(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct oci_endpoint e = {0};
        struct oc_err err = {0};
        int code = oci_endpoint_make(rows[i].service, &rows[i].place, &e, &err);
        row_check(rows[i].name, !code == !!rows[i].base);
        if (code) {
            row_check(rows[i].name, (code == OCID_E_CONFIG || code == OCID_E_NAME) && err.text[0]);
            continue;
        }
        row_check(rows[i].name, !strcmp(e.base, rows[i].base));
        row_check(rows[i].name, e.tls == !strncmp(e.base, "https:", 6));
        row_check(rows[i].name, !strcmp(e.host, strstr(e.base, "://") + 3));
    }
}

static void test_ports(void **state)
{
    struct oci_endpoint e;
    (void)state;
    assert_int_equal(oci_endpoint_make(OS, &(struct oci_place){.region = "fra"}, &e, NULL), 0);
    assert_int_equal(e.port, 443);
    assert_int_equal(
        oci_endpoint_make(OS, &(struct oci_place){.override = "http://localhost"}, &e, NULL), 0);
    assert_int_equal(e.port, 80);
    assert_int_equal(
        oci_endpoint_make(OS, &(struct oci_place){.override = "https://localhost:80"}, &e, NULL),
        0);
    assert_int_equal(e.port, 80);
    assert_string_equal(e.host, "localhost:80");
}

static void test_http_refusal_says_how_to_mend(void **state)
{
    struct oc_err err;
    (void)state;
    assert_int_equal(oci_endpoint_check(OS, "http://10.0.0.1", &err), OCID_E_CONFIG);
    assert_non_null(strstr(err.text, "plain http"));
    assert_non_null(strstr(err.text, "https://"));
    assert_int_equal(oci_endpoint_check(OS, "http://127.0.0.1:1", &err), 0);
}

static void test_a_password_is_not_shown(void **state)
{
    struct oc_err err;
    (void)state;
    assert_int_equal(oci_endpoint_check(OS, "https://me:hunter2@h", &err), OCID_E_CONFIG);
    assert_null(strstr(err.text, "hunter2"));
    assert_non_null(strstr(err.text, "user name"));
}

static void test_long_texts_are_refused_or_cut(void **state)
{
    char text[1200];
    struct oci_endpoint e;
    (void)state;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    struct oci_place region = {.region = text}, domain = {.region = "xx-new-1", .domain = text};
    assert_int_equal(oci_endpoint_make(OS, &region, &e, NULL), OCID_E_CONFIG);
    assert_int_equal(oci_endpoint_make(OS, &domain, &e, NULL), OCID_E_CONFIG);
    memcpy(text, "https://", 8);
    assert_int_equal(oci_endpoint_check(OS, text, NULL), OCID_E_CONFIG);
}

static void test_table_has_no_twins(void **state)
{
    size_t n = 0;
    (void)state;
    for (const struct oci_region *r; (r = oci_region_at(n)); n++) {
        assert_ptr_equal(oci_region_find(r->id), r);
        assert_ptr_equal(oci_region_find(r->key), r);
        assert_int_equal(strlen(r->key), 3);
        assert_memory_equal(r->realm, "oc", 2);
    }
    assert_true(n > 80);
    assert_null(oci_region_find(""));
    assert_null(oci_region_find("nowhere"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_http_refusal_says_how_to_mend),
        cmocka_unit_test(test_a_password_is_not_shown),
        cmocka_unit_test(test_long_texts_are_refused_or_cut),
        cmocka_unit_test(test_table_has_no_twins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
