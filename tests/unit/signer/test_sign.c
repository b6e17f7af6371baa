/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sign.c - requests for signatures: every vector to the byte, and what is refused.
 */
#include "signer/fixture.h"

#include "signer/creds.h"
#include "signer/rules.h"
#include "signer/secret.h"
#include "signer/sign.h"

static struct creds_options options;
static const char *const hosts[] = {"127.0.0.1:18080"};

static struct creds *open_creds(const struct fixture *f)
{
    char text[CREDS_TEXT_SIZE];
    struct oc_err err;
    options = (struct creds_options){.config = f->config, .hosts = hosts, .n_hosts = 1};
    struct creds *c = creds_new(&options);
    assert_int_equal(creds_read(c, text, &err), 0);
    return c;
}

struct answer {
    struct wire_head head;
    struct wire_part part[WIRE_PARTS];
    char bytes[WIRE_SIGNED_MAX];
};

static void ask(struct creds *c, const char *profile, const char *string, size_t n, int64_t now,
                struct answer *ret)
{
    static char asked[WIRE_ASK_MAX + 100000];
    struct wire_head head = {.verb = WIRE_SIGN, .tag = 0x1122334455667788};
    struct wire_part part[] = {{profile, strlen(profile)}, {string, n}};
    size_t asked_n = wire_pack(&head, part, 2, asked, sizeof asked);
    size_t got = sign_answer(c, 1, asked, asked_n, now, ret->bytes);
    assert_true(wire_parse(ret->bytes, got, &ret->head, ret->part));
    assert_int_equal(ret->head.verb, WIRE_SIGN);
    assert_int_equal(ret->head.tag, head.tag);
}

static void test_vectors(void **state)
{
    const struct fixture *f = *state;
    vector_config(f);
    struct creds *c = open_creds(f);
    FILE *in = fopen(VECTORS "/vectors.txt", "r");
    struct vector v;
    struct answer a;
    int n = 0;
    for (; vector_next(in, &v); n++) {
        struct rules_string s;
        struct oc_err err;
        assert_int_equal(rules_parse(v.string, v.string_n, &s, &err), 0);
        ask(c, vector_profile(&v), v.string, v.string_n, s.date, &a);
        if (a.head.code)
            fail_msg("%s: %.*s", v.name, (int)a.part[2].n, a.part[2].s);
        assert_int_equal(a.part[1].n, strlen(v.signature));
        assert_memory_equal(a.part[1].s, v.signature, a.part[1].n);
    }
    fclose(in);
    assert_int_equal(n, 55);
    creds_free(c);
}

#define STRING(host) "date: Thu, 01 Jan 2026 00:00:00 GMT\n(request-target): get /n\nhost: " host
#define HOST         "objectstorage.us-phoenix-1.oraclecloud.com"
#define AT           1767225600

static void test_refused(void **state)
{
    const struct fixture *f = *state;
    fixture_config(f, PROFILE_FMT PROFILE_FMT "[bad]\n", "a", TEST_PRINT, "phx", TEST_KEY, "locked",
                   TEST_PRINT, "phx", VECTORS "/test-key.trad-des3.pem");
    struct creds *c = open_creds(f);
    struct answer a;
    static const struct {
        const char *name, *profile, *string;
        int64_t now;
        int code;
    } rows[] = {
        {"good", "a", STRING(HOST), AT, 0},
        {"store", "a", STRING("127.0.0.1:18080"), AT + 10, 0},
        {"host of elsewhere", "a", STRING("evil.example"), AT, OCID_E_DENIED},
        {"stale", "a", STRING(HOST), AT + 301, OCID_E_UNAVAILABLE},
        {"early", "a", STRING(HOST), AT - 301, OCID_E_UNAVAILABLE},
        {"nonsense", "a", "text", AT, OCID_E_INVALID},
        {"nothing", "a", "", AT, OCID_E_INVALID},
        {"no such profile", "A", STRING(HOST), AT, OCID_E_CONFIG},
        {"no profile", "", STRING(HOST), AT, OCID_E_CONFIG},
        {"bad profile", "bad", STRING(HOST), AT, OCID_E_CONFIG},
        {"locked", "locked", STRING(HOST), AT, OCID_E_LOCKED},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        ask(c, rows[i].profile, rows[i].string, strlen(rows[i].string), rows[i].now, &a);
        print_message("%s: %.*s\n", rows[i].name, (int)a.part[2].n, a.part[2].s);
        assert_int_equal(a.head.code, rows[i].code);
        assert_int_equal(a.part[1].n, rows[i].code ? 0 : 344);
        assert_int_equal(a.part[0].n, rows[i].code ? 0 : strlen(TENANCY "/" USER "/" TEST_PRINT));
    }
    creds_offset(c, HOST, strlen(HOST), -1000);
    ask(c, "a", STRING(HOST), strlen(STRING(HOST)), AT + 1000, &a);
    assert_int_equal(a.head.code, 0);
    creds_free(c);
}

static void test_packets(void **state)
{
    const struct fixture *f = *state;
    fixture_config(f, PROFILE_FMT, "a", TEST_PRINT, "phx", TEST_KEY);
    struct creds *c = open_creds(f);
    struct answer a;
    static char large[WIRE_STRING_MAX + 1], packet[WIRE_ASK_MAX];
    memset(large, 'x', sizeof large);
    ask(c, "a", large, sizeof large, AT, &a);
    assert_int_equal(a.head.code, OCID_E_INVALID);

    struct wire_head head = {.verb = WIRE_SIGN, .tag = 7};
    struct wire_part part[] = {{"a", 1}, {STRING(HOST), strlen(STRING(HOST))}};
    size_t n = wire_pack(&head, part, 2, packet, sizeof packet);
    for (size_t cut = 0; cut <= n; cut++) {
        size_t got = sign_answer(c, 0, packet, cut, AT, a.bytes);
        assert_true(wire_parse(a.bytes, got, &a.head, a.part));
        assert_int_equal(a.head.code, cut < n ? OCID_E_INVALID : 0);
    }
    packet[n] = 'x'; /* a byte too many */
    sign_answer(c, 0, packet, n + 1, AT, a.bytes);
    memcpy(&head, a.bytes, sizeof head);
    assert_int_equal(head.code, OCID_E_INVALID);
    for (size_t at = 0; at < sizeof head; at++) { /* nonsense in each byte of the head */
        char old = packet[at];
        packet[at] = (char)0xff;
        size_t got = sign_answer(c, 0, packet, n, AT, a.bytes);
        assert_true(wire_parse(a.bytes, got, &a.head, a.part));
        packet[at] = old;
    }
    creds_free(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_vectors), TEST(test_refused), TEST(test_packets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
