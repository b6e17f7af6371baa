/* SPDX-License-Identifier: Apache-2.0
 *
 * test_rules.c - which strings, hosts and dates are signed.
 */
#include "signer/fixture.h"

#include "signer/rules.h"

#define DATE "date: Thu, 01 Jan 2026 00:00:00 GMT\n"
#define AT   1767225600

static void test_strings(void **state)
{
    (void)state;
    static const struct {
        const char *name, *s;
        int code;
    } rows[] = {
        {"get", DATE "(request-target): get /n\nhost: h", 0},
        {"x-date", "x-date: Thu, 01 Jan 2026 00:00:00 GMT\n(request-target): get /n\nhost: h", 0},
        {"wrong weekday", "date: Fri, 01 Jan 2026 00:00:00 GMT\n(request-target): get /\nhost: h",
         0},
        {"body",
         DATE "(request-target): post /x?y=%2F\nhost: h\ncontent-length: 0\n"
              "content-type: application/json\nx-content-sha256: abc=",
         0},
        {"empty value", DATE "(request-target): get /n\nhost: ", 0},
        {"newline at the end", DATE "(request-target): get /n\nhost: h\n", OCID_E_INVALID},
        {"empty", "", OCID_E_INVALID},
        {"no colon", DATE "(request-target) get /n", OCID_E_INVALID},
        {"no date", "(request-target): get /n\nhost: h", OCID_E_INVALID},
        {"no target", DATE "host: h", OCID_E_INVALID},
        {"both dates", DATE "x-" DATE "(request-target): get /n\nhost: h", OCID_E_INVALID},
        {"host twice", DATE "(request-target): get /n\nhost: h\nhost: h", OCID_E_INVALID},
        {"unknown header", DATE "(request-target): get /n\nhost: h\ncookie: x", OCID_E_INVALID},
        {"upper case", DATE "(request-target): get /n\nHost: h", OCID_E_INVALID},
        {"unknown method", DATE "(request-target): trace /n\nhost: h", OCID_E_INVALID},
        {"method in capitals", DATE "(request-target): GET /n\nhost: h", OCID_E_INVALID},
        {"no path", DATE "(request-target): get n\nhost: h", OCID_E_INVALID},
        {"a URL", DATE "(request-target): get http://h/n\nhost: h", OCID_E_INVALID},
        {"space in the path", DATE "(request-target): get /n x\nhost: h", OCID_E_INVALID},
        {"tab", DATE "(request-target): get /n\tx\nhost: h", OCID_E_INVALID},
        {"carriage return", DATE "(request-target): get /n\r\nhost: h", OCID_E_INVALID},
        {"not ASCII", DATE "(request-target): get /\xc3\xa9\nhost: h", OCID_E_INVALID},
        {"short date", "date: Thu, 1 Jan 2026 00:00:00 GMT\n(request-target): get /n",
         OCID_E_INVALID},
        {"zone", "date: Thu, 01 Jan 2026 00:00:00 UTC\n(request-target): get /n", OCID_E_INVALID},
        {"month", "date: Thu, 01 Jam 2026 00:00:00 GMT\n(request-target): get /n", OCID_E_INVALID},
        {"hour", "date: Thu, 01 Jan 2026 24:00:00 GMT\n(request-target): get /n", OCID_E_INVALID},
        {"sign", "date: Thu, 01 Jan 2026 -1:00:00 GMT\n(request-target): get /n", OCID_E_INVALID},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct rules_string s;
        struct oc_err err;
        print_message("%s\n", rows[i].name);
        assert_int_equal(rules_parse(rows[i].s, strlen(rows[i].s), &s, &err), rows[i].code);
        if (!rows[i].code)
            assert_int_equal(s.date, AT);
    }
}

static void test_dates(void **state)
{
    (void)state;
    static const struct {
        const char *date;
        int64_t at;
    } rows[] = {
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Tue, 29 Feb 2000 23:59:59 GMT", 951868799},
        {"Wed, 01 Mar 2000 00:00:00 GMT", 951868800},
        {"Mon, 01 Mar 2100 00:00:00 GMT", 4107542400},
        {"Fri, 31 Dec 9999 23:59:60 GMT", 253402300800},
    };
    struct rules_string s;
    struct oc_err err;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char text[128];
        int n = snprintf(text, sizeof text, "date: %s\n(request-target): get /", rows[i].date);
        assert_int_equal(rules_parse(text, (size_t)n, &s, &err), 0);
        assert_int_equal(s.date, rows[i].at);
        assert_int_equal(rules_date(&s, rows[i].at + RULES_SKEW_S, &err), 0);
        assert_int_equal(rules_date(&s, rows[i].at - RULES_SKEW_S, &err), 0);
        assert_int_equal(rules_date(&s, rows[i].at + RULES_SKEW_S + 1, &err), OCID_E_UNAVAILABLE);
        assert_int_equal(rules_date(&s, rows[i].at - RULES_SKEW_S - 1, &err), OCID_E_UNAVAILABLE);
    }
}

static void test_hosts(void **state)
{
    (void)state;
    static const char *const extra[] = {"127.0.0.1:8080", "store.example"};
    static const struct {
        const char *region, *host;
        int code;
    } rows[] = {
        {"us-phoenix-1", "objectstorage.us-phoenix-1.oraclecloud.com", 0},
        {"us-phoenix-1", "ObjectStorage.US-Phoenix-1.oraclecloud.com", 0},
        {" PHX ", "identity.us-phoenix-1.oci.oraclecloud.com", 0},
        {"phx", "ns.objectstorage.us-phoenix-1.oci.customer-oci.com", 0},
        {"phx", "objectstorage.us-phoenix-1.ds.oci.oraclecloud.com", 0},
        {"phx", "ns.objectstorage.us-phoenix-1.ds.oci.customer-oci.com", 0},
        {"lfi", "objectstorage.us-langley-1.oraclegovcloud.com", 0},
        {"eu-new-9", "objectstorage.eu-new-9.oraclecloud.com", 0},
        {"cloud.example.org", "objectstorage.cloud.example.org", 0},
        {"phx", "127.0.0.1:8080", 0},
        {"", "STORE.example", 0},
        {"phx", "objectstorage.us-ashburn-1.oraclecloud.com", OCID_E_DENIED},
        {"phx", "objectstorage.us-phoenix-1.oraclegovcloud.com", OCID_E_DENIED},
        {"phx", "us-phoenix-1.oraclecloud.com", OCID_E_DENIED},
        {"phx", ".us-phoenix-1.oraclecloud.com", OCID_E_DENIED},
        {"phx", "objectstorage.us-phoenix-1.oraclecloud.com.evil.example", OCID_E_DENIED},
        {"phx", "evil.example/objectstorage.us-phoenix-1.oraclecloud.com", OCID_E_DENIED},
        {"phx", "evil.example:80#.us-phoenix-1.oraclecloud.com", OCID_E_DENIED},
        {"phx", "objectstorage.us-phoenix-1.oraclecloud.com:444", OCID_E_DENIED},
        {"phx", "objectstoragexus-phoenix-1.oraclecloud.com", OCID_E_DENIED},
        {"phx", "ns.objectstorage.us-phoenix-1.customer-oci.com", OCID_E_DENIED},
        {"phx", "127.0.0.1:8081", OCID_E_DENIED},
        {"phx", "", OCID_E_DENIED},
        {"", "objectstorage..oraclecloud.com", OCID_E_DENIED},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct rules_hosts h = {.extra = extra, .n_extra = N_ROWS(extra)};
        struct rules_string s = {.host = rows[i].host, .host_n = strlen(rows[i].host)};
        struct oc_err err;
        print_message("%s %s\n", rows[i].region, rows[i].host);
        rules_region(&h, rows[i].region);
        assert_int_equal(rules_host(&h, &s, &err), rows[i].code);
    }
}

static void test_no_host(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        int code;
    } rows[] = {
        {"post /v1/x509", 0},
        {"get /v1/x509", OCID_E_INVALID},
        {"post /v1/x509?x", OCID_E_INVALID},
        {"put /n/x/b/y/o/z", OCID_E_INVALID},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct rules_hosts h = {.region = ""};
        struct rules_string s;
        struct oc_err err;
        char text[128];
        int n = snprintf(text, sizeof text, DATE "(request-target): %s", rows[i].target);
        assert_int_equal(rules_parse(text, (size_t)n, &s, &err), 0);
        assert_int_equal(rules_host(&h, &s, &err), rows[i].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_no_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
