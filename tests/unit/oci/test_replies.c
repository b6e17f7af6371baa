/* SPDX-License-Identifier: Apache-2.0
 *
 * test_replies.c - headers of honest and of hostile answers.
 */
#include "cm.h"

#include <stdlib.h>

#include "oci/replies.h"

static int feed(struct oci_reply *r, const char *const *lines)
{
    int code = 0;
    for (; *lines && !code; lines++)
        code = oci_reply_line(r, *lines, strlen(*lines), NULL);
    return code;
}

static void test_a_download(void **state)
{
    static const char *const lines[] = {
        "HTTP/1.1 206 Partial Content\r\n",
        "Content-Type: text/plain\r\n",
        "content-length: 100\r\n",
        "Content-Range: bytes 0-99/1000\r\n",
        "ETag:  8c2f-11 \r\n",
        "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n",
        "content-md5: JfnnlDI7RTiF9RgfG2JNCw==\r\n",
        "opc-multipart-md5: PD5ogkMEAdWEB+IMesn1FQ==-3\r\n",
        "OPC-Content-CRC32C: 4waSgw==\r\n",
        "opc-request-id: iad-1:abc\r\n",
        "opc-client-request-id: 0123\r\n",
        "storage-tier: Archive\r\n",
        "archival-state: Restored\r\n",
        "version-id: v1\r\n",
        "opc-meta-colour: blue\r\n",
        "Opc-Meta-Size: big: very\r\n",
        "opc-next-page: p2\r\n",
        "x-unknown: ignored\r\n",
        "\r\n",
        NULL,
    };
    struct oci_reply r;
    (void)state;
    oci_reply_init(&r);
    assert_int_equal(feed(&r, lines), 0);
    assert_int_equal(r.status, 206);
    assert_int_equal(r.content_length, 100);
    assert_true(r.has_range && r.range_first == 0 && r.range_last == 99 && r.range_total == 1000);
    assert_string_equal(r.etag, "8c2f-11");
    assert_true(r.date == 1767225600 && r.last_modified == 784111777);
    assert_string_equal(r.content_type, "text/plain");
    assert_string_equal(r.content_md5, "JfnnlDI7RTiF9RgfG2JNCw==");
    assert_string_equal(r.opc_multipart_md5, "PD5ogkMEAdWEB+IMesn1FQ==-3");
    assert_true(r.has_crc32c && r.crc32c == 0xe3069283);
    assert_string_equal(r.opc_request_id, "iad-1:abc");
    assert_string_equal(r.opc_client_request_id, "0123");
    assert_string_equal(r.storage_tier, "Archive");
    assert_string_equal(r.archival_state, "Restored");
    assert_string_equal(r.version_id, "v1");
    assert_string_equal(r.opc_next_page, "p2");
    assert_null(r.opc_content_md5);
    assert_int_equal(r.n_meta, 2);
    assert_string_equal(r.meta->name, "colour");
    assert_string_equal(r.meta->next->value, "big: very");
    assert_null(r.meta->next->next);
    oci_reply_fini(&r);
    assert_null(r.etag);
}

static void test_an_interim_answer_is_forgotten(void **state)
{
    static const char *const lines[] = {
        "HTTP/1.1 200 Connection established\r\n",
        "etag: proxy\r\n",
        "opc-meta-a: b\r\n",
        "\r\n",
        "HTTP/1.1 100 Continue\r\n",
        "\r\n",
        "HTTP/1.1 200 OK\r\n",
        "\r\n",
        NULL,
    };
    struct oci_reply r;
    (void)state;
    oci_reply_init(&r);
    assert_int_equal(feed(&r, lines), 0);
    assert_int_equal(r.status, 200);
    assert_null(r.etag);
    assert_null(r.meta);
    assert_int_equal(r.content_length, -1);
    oci_reply_fini(&r);
}

static void test_status_lines(void **state)
{
    static const struct {
        const char *line;
        int status;
    } rows[] = {
        {"HTTP/1.1 200 OK", 200}, {"HTTP/2 404\r\n", 404}, {"HTTP/1.1 200", 200},
        {"HTTP/1.1", 0},          {"HTTP/1.1 ", 0},        {"HTTP/1.1 20", 0},
        {"HTTP/1.1 2000", 0},     {"HTTP/1.1 999 No", 0},  {"HTTP/1.1 099 No", 0},
        {"HTTP/1.1 -20 No", 0},   {"HTTP/1.1 200OK", 0},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct oci_reply r;
        struct oc_err err;
        oci_reply_init(&r);
        int code = oci_reply_line(&r, rows[i].line, strlen(rows[i].line), &err);
        row_check(rows[i].line, r.status == rows[i].status);
        row_check(rows[i].line, code == (rows[i].status ? 0 : OCID_E_SERVER));
        oci_reply_fini(&r);
    }
}

static void test_ranges(void **state)
{
    static const struct {
        const char *value;
        int code, none;
        int64_t total;
    } rows[] = {
        {"bytes 0-0/1", 0, 0, 1},
        {"BYTES 5-9/*", 0, 0, -1},
        {"bytes */0", 0, 1, 0},
        {"bytes */*", 0, 1, -1},
        {"bytes 0-9223372036854775806/9223372036854775807", 0, 0, INT64_MAX},
        {"bytes 0-1/1", OCID_E_SERVER, 0, 0},
        {"bytes 9-5/10", OCID_E_SERVER, 0, 0},
        {"bytes 0-/10", OCID_E_SERVER, 0, 0},
        {"bytes -5/10", OCID_E_SERVER, 0, 0},
        {"bytes 0-5", OCID_E_SERVER, 0, 0},
        {"bytes 0-5/", OCID_E_SERVER, 0, 0},
        {"bytes 0-5/x", OCID_E_SERVER, 0, 0},
        {"bytes 0-5/99999999999999999999", OCID_E_SERVER, 0, 0},
        {"bytes 18446744073709551616-18446744073709551617/*", OCID_E_SERVER, 0, 0},
        {"items 0-5/10", OCID_E_SERVER, 0, 0},
        {"bytes", OCID_E_SERVER, 0, 0},
        {"bytes /", OCID_E_SERVER, 0, 0},
        {"", OCID_E_SERVER, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct oci_reply r;
        oci_reply_init(&r);
        int code =
            oci_reply_header(&r, "content-range", 13, rows[i].value, strlen(rows[i].value), NULL);
        row_check(rows[i].value, code == rows[i].code);
        if (!code)
            row_check(rows[i].value, r.has_range && r.range_none == rows[i].none &&
                                         r.range_total == rows[i].total);
        oci_reply_fini(&r);
    }
}

static void test_retry_after(void **state)
{
    static const struct {
        const char *name, *date, *after;
        uint32_t want;
    } rows[] = {
        {"seconds", NULL, "120", 120},
        {"zero", NULL, "0", 0},
        {"a day at most", NULL, "999999999", 86400},
        {"too big for a number", NULL, "99999999999999999999999", 0},
        {"a time", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:07 GMT", 30},
        {"a time gone by", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:07 GMT", 0},
        {"a time far away", "Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 31 Dec 9999 23:59:59 GMT",
         86400},
        {"a time without a date", NULL, "Sun, 06 Nov 1994 08:50:07 GMT", 0},
        {"negative", NULL, "-5", 0},
        {"words", NULL, "soon", 0},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++)
        for (int date_first = 0; date_first < 2; date_first++) {
            struct oci_reply r;
            oci_reply_init(&r);
            for (int k = 0; k < 2; k++)
                if (k == date_first)
                    oci_reply_header(&r, "Retry-After", 11, rows[i].after, strlen(rows[i].after),
                                     NULL);
                else if (rows[i].date)
                    oci_reply_header(&r, "Date", 4, rows[i].date, strlen(rows[i].date), NULL);
            row_check(rows[i].name, r.retry_after == rows[i].want);
            oci_reply_fini(&r);
        }
}

static void test_nonsense_is_dropped(void **state)
{
    static const char *const lines[] = {
        "HTTP/1.1 200 OK\r\n",
        "content-length: 12x\r\n",
        "content-length: 99999999999999999999\r\n",
        "content-length: -1\r\n",
        "date: yesterday\r\n",
        "opc-content-crc32c: hello\r\n",
        "etag:\r\n",
        "etag: first\r\n",
        "etag: second\r\n",
        "no colon here\r\n",
        ": no name\r\n",
        "opc-meta-: x\r\n",
        "version-id: a\x01"
        "b\r\n",
        "",
        "\r\n",
        NULL,
    };
    struct oci_reply r;
    (void)state;
    oci_reply_init(&r);
    assert_int_equal(feed(&r, lines), 0);
    assert_int_equal(r.content_length, -1);
    assert_true(r.date == 0 && !r.has_crc32c && !r.version_id && !r.meta);
    assert_string_equal(r.etag, "first");
    assert_int_equal(oci_reply_line(&r, "storage-tier: a\0b", 17, NULL), 0);
    assert_null(r.storage_tier);
    oci_reply_fini(&r);
    oci_reply_fini(NULL);
}

static void test_memory_is_bounded(void **state)
{
    char *line = malloc(20000);
    struct oci_reply r;
    struct oc_err err;
    unsigned n = 0;
    (void)state;
    memset(line, 'x', 20000);
    memcpy(line, "etag: ", 6);
    oci_reply_init(&r);
    assert_int_equal(oci_reply_line(&r, line, 20000, &err), OCID_E_SERVER);
    oci_reply_fini(&r);
    memcpy(line, "opc-meta-a: ", 12);
    while (!oci_reply_line(&r, line, 40, &err))
        n++;
    assert_int_equal(n, OCI_HEADERS_MAX / 40);
    assert_int_equal(r.n_meta, OCI_META_MAX);
    assert_true(r.arena.total < 2 * OCI_HEADERS_MAX);
    oci_reply_fini(&r);
    /* Endless interim answers count as well. */
    for (n = 0; !oci_reply_line(&r, "HTTP/1.1 100 Continue\r\n", 23, &err); n++)
        assert_true(n < OCI_HEADERS_MAX);
    oci_reply_fini(&r);
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_download),
        cmocka_unit_test(test_an_interim_answer_is_forgotten),
        cmocka_unit_test(test_status_lines),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_nonsense_is_dropped),
        cmocka_unit_test(test_memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
