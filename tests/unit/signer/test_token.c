/* SPDX-License-Identifier: Apache-2.0
 *
 * test_token.c - members of JSON objects, and what a token says of itself.
 */
#include "signer/fixture.h"

#include "signer/json.h"
#include "signer/token.h"

static void test_json_text(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want; /* of member "token"; NULL: none */
    } rows[] = {
        {"{\"token\":\"a.b\"}", "a.b"},
        {" { \"x\" : { \"token\" : \"in\" } , \"token\" : \"out\" } ", "out"},
        {"{\"x\":[1,{\"token\":\"in\"},\"}\"],\"token\":\"out\"}", "out"},
        {"{\"x\":\"\\\"}\",\"token\":\"out\"}", "out"},
        {"{\"x\":\"\\\\\",\"token\":\"out\"}", "out"},
        {"{\"token\":\"first\",\"token\":\"second\"}", "first"},
        {"{\"token\":\"\"}", ""},
        {"{\"tokens\":\"a\"}", NULL},
        {"{\"token\":7}", NULL},
        {"{\"token\":null}", NULL},
        {"{\"token\":\"a\\u0041\"}", NULL},
        {"{\"token\":\"longer than the room\"}", NULL},
        {"{\"token\":\"a", NULL},
        {"{\"token\":\"a\\", NULL},
        {"{\"token\"", NULL},
        {"{\"token\":", NULL},
        {"{\"token\":}", NULL},
        {"{}", NULL},
        {"{", NULL},
        {"", NULL},
        {"[\"token\",\"a\"]", NULL},
        {"\"token\":\"a\"", NULL},
        {"{\"x\":1]]],\"token\":\"a\"}", NULL},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char out[16] = "untouched";
        int found = json_text(rows[i].text, strlen(rows[i].text), "token", out, sizeof out);
        print_message("%s\n", rows[i].text);
        assert_int_equal(found, rows[i].want != NULL);
        assert_string_equal(out, found ? rows[i].want : "untouched");
    }
    char out[16];
    assert_int_equal(json_text("{\"token\":\"a\0b\"}", 15, "token", out, sizeof out), 0);
}

/* Each beginning of a text is looked at in memory of just its size: a checker sees any byte more.
 */
static void test_json_ends_anywhere(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":[1,\"x\\\"\",{}],\"exp\" : 12 }";
    int64_t number;
    for (size_t n = 0; n < sizeof text; n++) {
        char *part = malloc(n ? n : 1);
        memcpy(part, text, n);
        int found = json_number(part, n, "exp", &number);
        assert_int_equal(found, n == sizeof text - 1);
        free(part);
    }
}

static void test_json_number(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int found;
        int64_t want;
    } rows[] = {
        {"{\"exp\":0}", 1, 0},
        {"{\"exp\": 1795643188 }", 1, 1795643188},
        {"{\"exp\":9223372036854775807}", 0, 0},
        {"{\"exp\":99999999999999999999999}", 0, 0},
        {"{\"exp\":-1}", 0, 0},
        {"{\"exp\":1.5}", 0, 0},
        {"{\"exp\":\"1\"}", 0, 0},
        {"{\"exp\":{\"exp\":1}}", 0, 0},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        int64_t got = 0;
        assert_int_equal(json_number(rows[i].text, strlen(rows[i].text), "exp", &got),
                         rows[i].found);
        assert_int_equal(got, rows[i].want);
    }
}

/* {"alg":"RS256"} . claims . sig */
#define HEAD "eyJhbGciOiJSUzI1NiJ9."
/* {"sub":"ocid1.user.oc1..u","tenant":"ocid1.tenancy.oc1..t","iat":1000,"exp":4600} */
#define SESSION                                                                                    \
    HEAD "eyJzdWIiOiJvY2lkMS51c2VyLm9jMS4udSIsInRlbmFudCI6Im9jaWQxLnRlbmFuY3kub2MxLi50Iiwi"        \
         "aWF0IjoxMDAwLCJleHAiOjQ2MDB9.c2ln"
/* {"sub":"ocid1.fnfunc.oc1..f","res_tenant":"ocid1.tenancy.oc1..r","exp":4600} */
#define FUNCTION                                                                                   \
    HEAD "eyJzdWIiOiJvY2lkMS5mbmZ1bmMub2MxLi5mIiwicmVzX3RlbmFudCI6Im9jaWQxLnRlbmFuY3kub2Mx"        \
         "Li5yIiwiZXhwIjo0NjAwfQ.c2ln"

static void parse(const char *text, struct token *ret)
{
    struct oc_err err;
    assert_int_equal(token_parse(text, strlen(text), ret, &err), 0);
}

static void test_claims(void **state)
{
    (void)state;
    struct token t;
    parse(" \n" SESSION "\r\n", &t);
    assert_string_equal(t.text, SESSION);
    assert_string_equal(t.user, "ocid1.user.oc1..u");
    assert_string_equal(t.tenancy, "ocid1.tenancy.oc1..t");
    assert_int_equal(t.issued_at, 1000);
    assert_int_equal(t.expires_at, 4600);
    struct token copy;
    token_copy(&copy, &t);
    token_fini(&t);
    assert_null(t.text);
    assert_string_equal(copy.text, SESSION);
    token_fini(&copy);
    parse(FUNCTION, &t);
    assert_string_equal(t.user, ""); /* a function is nobody's user */
    assert_string_equal(t.tenancy, "ocid1.tenancy.oc1..r");
    token_fini(&t);
    parse("a.b.c", &t); /* no claims that can be read */
    assert_int_equal(t.expires_at, 0);
    token_fini(&t);
}

static void test_no_token(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",     " \n",     "a",       "a.b",      "a.b.c.d", "a..c",     ".b.c",
        "a.b.", "a.b.c\"", "a b.c.d", "a.b.c\nd", "a.b=.c",  "ST$a.b.c",
    };
    struct token t;
    struct oc_err err;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        assert_int_equal(token_parse(rows[i], strlen(rows[i]), &t, &err), OCID_E_LOGIN);
        assert_null(t.text);
    }
    char *long_one = malloc(TOKEN_MAX + 2);
    memset(long_one, 'a', TOKEN_MAX + 1);
    long_one[1] = long_one[3] = '.';
    assert_int_equal(token_parse(long_one, TOKEN_MAX + 1, &t, &err), OCID_E_LOGIN);
    assert_int_equal(token_parse(long_one, TOKEN_MAX, &t, &err), 0);
    token_fini(&t);
    free(long_one);
}

static void test_times(void **state)
{
    (void)state;
    static const struct {
        int64_t issued, expires, renew;
    } rows[] = {
        {0, 0, 0},          /* does not end */
        {0, 5000, 4700},    /* no beginning: five minutes */
        {1000, 4600, 4300}, /* an hour */
        {1000, 1400, 1200}, /* half */
        {1000, 1003, 1002}, /* never at its very end */
        {5000, 4600, 4300}, /* nonsense */
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct token t = {.issued_at = rows[i].issued, .expires_at = rows[i].expires};
        assert_int_equal(token_renew_at(&t), rows[i].renew);
        assert_int_equal(token_expired(&t, rows[i].expires - 1), 0);
        assert_int_equal(token_expired(&t, rows[i].expires), rows[i].expires > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_text),   cmocka_unit_test(test_json_ends_anywhere),
        cmocka_unit_test(test_json_number), cmocka_unit_test(test_claims),
        cmocka_unit_test(test_no_token),    cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
