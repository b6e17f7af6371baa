/* SPDX-License-Identifier: Apache-2.0
 *
 * test_dispatch.c - each method finds its handler, when it is allowed. Handlers and the session's
 * answer are the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "ocid/error.h"
#include "rpc/handlers.h"

static char called[32];
static int refused;
static struct ticket last;

#define HANDLER(name)                                                                              \
    void name(struct session *s, const struct ticket *t, const void *msg)                          \
    {                                                                                              \
        (void)s;                                                                                   \
        (void)msg;                                                                                 \
        snprintf(called, sizeof called, "%s", #name);                                              \
        last = *t;                                                                                 \
    }

HANDLER(on_hello)
HANDLER(on_submit)
HANDLER(on_status)
HANDLER(on_list)
HANDLER(on_act)
HANDLER(on_stats)
HANDLER(on_limit)
HANDLER(on_reload)
HANDLER(on_unlock)
HANDLER(on_lock)

void session_error(struct session *s, uint64_t request, const struct oc_err *err, int64_t index)
{
    (void)s;
    assert_int_equal(request, 77);
    assert_int_equal(index, -1);
    assert_true(err->text[0]);
    refused = err->code;
}

static int ask(unsigned version, const char *method, const char *body, size_t n)
{
    struct server server = {0};
    struct session s = {.server = &server, .id = 5, .version = version};
    struct ocp_envelope e = {
        .shape = OCP_REQUEST, .id = 77, .method = ocp_str(method), .body = {body, (uint32_t)n, 0}};
    called[0] = 0;
    refused = 0;
    dispatch(&s, &e);
    return refused;
}

static void test_each_method_has_its_handler(void **state)
{
    static const struct {
        const char *method, *handler;
        const char *body;
        size_t n;
    } rows[] = {
#define BODY(text) text, sizeof text - 1
        {"hello", "on_hello", BODY("\x82\xa3min\x01\xa3max\x01")},
        {"job.submit", "on_submit", BODY("\x81\xa4jobs\x90")},
        {"job.status", "on_status", BODY("\x80")},
        {"job.list", "on_list", BODY("\x80")},
        {"job.cancel", "on_act", BODY("\x81\xa3ids\x90")},
        {"job.pause", "on_act", BODY("\x81\xa3ids\x91\x01")},
        {"job.resume", "on_act", BODY("\x81\xa3ids\x90")},
        {"job.retry", "on_act", BODY("\x81\xa3ids\x90")},
        {"job.seal", "on_act", BODY("\x81\xa3ids\x90")},
        {"daemon.stats", "on_stats", BODY("\x80")},
        {"daemon.limit", "on_limit",
         BODY("\x81\xa5scope\xa3"
              "all")},
        {"daemon.reload", "on_reload", BODY("\x81\xa3new\xc0")}, /* unknown keys are skipped */
        {"vault.unlock", "on_unlock",
         BODY("\x81\xa2"
              "fd\x00")},
        {"vault.lock", "on_lock", BODY("\x80")},
    };
    (void)state;
    assert_int_equal(sizeof rows / sizeof *rows, OCP_METHOD_COUNT);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned version = strcmp(rows[i].method, "hello") ? 1 : 0;
        assert_int_equal(ask(version, rows[i].method, rows[i].body, rows[i].n), 0);
        assert_string_equal(called, rows[i].handler);
        assert_int_equal(last.request, 77);
        assert_int_equal(last.session, 5);
        assert_int_equal(last.method, ocp_method_find(rows[i].method, strlen(rows[i].method)));
        assert_int_equal(ask(!version, rows[i].method, rows[i].body, rows[i].n), OCID_E_PROTOCOL);
        assert_string_equal(called, "");
    }
}

static void test_what_is_not_understood(void **state)
{
    static const struct {
        const char *method;
        int code;
        const char *body;
        size_t n;
    } rows[] = {
        {"job.explode", OCID_E_UNSUPPORTED, BODY("\x80")},
        {"", OCID_E_UNSUPPORTED, BODY("\x80")},
        {"job.cancel", OCID_E_INVALID, BODY("\x80")},             /* ids are missing */
        {"job.cancel", OCID_E_INVALID, BODY("\x81\xa3ids\xa1x")}, /* of another type */
        {"job.status", OCID_E_INVALID, BODY("\x81\xa7wait_ms\xce\xff\xff\xff\xff")},
        {"job.list", OCID_E_INVALID, BODY("\x81\xa5state\xa3odd")},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(ask(1, rows[i].method, rows[i].body, rows[i].n), rows[i].code);
        assert_string_equal(called, "");
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_method_has_its_handler),
        cmocka_unit_test(test_what_is_not_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
