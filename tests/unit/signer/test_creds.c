/* SPDX-License-Identifier: Apache-2.0
 *
 * test_creds.c - what profiles lack, and how keys come and go: unlock, lock, time limit, reload.
 */
#include "signer/fixture.h"

#include <time.h>

#include "signer/creds.h"
#include "signer/secret.h"

static struct creds_options options;

static struct creds *open_creds(const struct fixture *f)
{
    char text[CREDS_TEXT_SIZE];
    struct oc_err err;
    options = (struct creds_options){.config = f->config, .home = f->dir};
    struct creds *c = creds_new(&options);
    creds_read(c, text, &err);
    return c;
}

static const struct cred *get(struct creds *c, const char *profile)
{
    struct oc_err err;
    const struct cred *cred = creds_find(c, profile, strlen(profile), &err);
    assert_non_null(cred);
    return cred;
}

static int borrow(struct creds *c, const char *profile)
{
    struct borrowed by;
    struct oc_err err;
    int rc = creds_borrow(c, profile, strlen(profile), 0, time(NULL), &by, &err);
    if (!rc)
        key_unref(by.key);
    return rc;
}

static int unlock(struct creds *c, const char *profile, const char *pass, uint64_t now,
                  uint64_t ttl, char *text)
{
    struct oc_err err;
    int rc = creds_unlock(c, profile, strlen(profile), pass, strlen(pass), now, ttl, text, &err);
    if (rc)
        memcpy(text, err.text, CREDS_TEXT_SIZE);
    return rc;
}

#define GOOD "user=" USER "\ntenancy=" TENANCY "\nregion=fra\n"
#define FP   "fingerprint=" TEST_PRINT "\n"
#define KEY  "key_file=" TEST_KEY "\n"

static void test_problems(void **state)
{
    const struct fixture *f = *state;
    static const struct {
        const char *section, *want; /* "" for none; else part of the sentence */
    } rows[] = {
        {GOOD FP KEY, ""},
        {GOOD FP KEY "log_requests=TRUE\nendpoint=x\nunknown=y\n", ""},
        {"",
         "user missing, tenancy missing, fingerprint missing, key_file missing, region missing"},
        {GOOD KEY, "fingerprint missing"},
        {GOOD FP, "key_file missing"},
        {GOOD KEY "fingerprint=AB:75:bd\n", "fingerprint malformed (line 6)"},
        {FP KEY "user=me\ntenancy=ocid1..a.b.\nregion=fra\n",
         "user malformed (line 4), tenancy malformed (line 5)"},
        {FP KEY "tenancy=a.b.c.d.e\nuser=.a.b.c.d\nregion=fra\n", "user malformed"},
        {FP KEY "tenancy=a:b:::e\nuser=a.b.c.d.e\nregion=\n", "region missing"},
        {GOOD FP KEY "key_content=x\n", "key_content is not allowed in a file (line 7)"},
        {GOOD FP KEY "log_requests=maybe\n", "log_requests malformed (line 7)"},
        {GOOD FP "key_file=/tmp\n", "key_file '/tmp' (line 6) is not a file"},
        {"key_file=" TEST_KEY "\nregion=fra\nsecurity_token_file=~/token\n", ""},
        {"authentication_type=instance_principal\n", ""},
        {"authentication_type=other\n", "authentication_type unknown (line 2)"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        fixture_config(f, "[a]\n%s", rows[i].section);
        struct creds *c = open_creds(f);
        const struct cred *a = get(c, "a");
        print_message("%zu: %s\n", i, a->text);
        assert_int_equal(a->code, rows[i].want[0] ? OCID_E_CONFIG : 0);
        assert_non_null(strstr(a->text, rows[i].want));
        creds_free(c);
    }
}

static void test_facts(void **state)
{
    const struct fixture *f = *state;
    fixture_config(f, "[DEFAULT]\n" GOOD FP "key_file=~/k.pem\n[session]\nuser_gone=1\n"
                      "[s]\nsecurity_token_file=~/t\n");
    fixture_copy(f, "test-key.pem", "k.pem");
    struct creds *c = open_creds(f);
    const struct cred *d = get(c, "DEFAULT");
    assert_string_equal(d->key_id, TENANCY "/" USER "/" TEST_PRINT);
    assert_string_equal(d->hosts.region, "eu-frankfurt-1");
    assert_int_equal(d->state, WIRE_KEY_OK);
    assert_string_equal(d->notes, "");
    assert_ptr_equal(d->mode, &mode_api_key);
    assert_ptr_equal(get(c, "s")->mode, &mode_session); /* a user that is inherited says nothing */
    assert_int_equal(get(c, "session")->state, WIRE_KEY_OK);
    creds_free(c);

    char path[128];
    snprintf(path, sizeof path, "%s/k.pem", f->dir);
    chmod(path, 0644);
    fixture_config(f, "[a]\n" GOOD FP "key_file=~/k.pem\npass_phrase=x\n");
    c = open_creds(f);
    assert_non_null(strstr(get(c, "a")->notes, "k.pem' are too open"));
    assert_non_null(strstr(get(c, "a")->notes, "pass phrase of the key stands in"));
    creds_free(c);
}

static void test_key_states(void **state)
{
    const struct fixture *f = *state;
    static const struct {
        const char *key, *print, *pass;
        enum wire_key want;
        int code;
        const char *text;
    } rows[] = {
        {"test-key.pem", TEST_PRINT, "", WIRE_KEY_OK, 0, ""},
        {"test-key.pkcs8-enc.pem", TEST_PRINT, PASS, WIRE_KEY_OK, 0, ""},
        {"test-key.pkcs8-enc.pem", TEST_PRINT, "", WIRE_KEY_LOCKED, OCID_E_LOCKED, "requires a"},
        {"test-key.pkcs8-enc.pem", TEST_PRINT, "no", WIRE_KEY_BAD, OCID_E_KEY, "is incorrect"},
        {"test-key.pub.pem", TEST_PRINT, "", WIRE_KEY_BAD, OCID_E_KEY, "a public key was"},
        {"nothing.pem", TEST_PRINT, "", WIRE_KEY_ABSENT, OCID_E_KEY, "No such file"},
        {"leaf-key.pem", TEST_PRINT, "", WIRE_KEY_BAD, OCID_E_AUTH, "has " LEAF_PRINT},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char key[128];
        snprintf(key, sizeof key, VECTORS "/%s", rows[i].key);
        fixture_config(f, PROFILE_FMT "pass_phrase=%s\n", "a", rows[i].print, "fra", key,
                       rows[i].pass);
        struct creds *c = open_creds(f);
        print_message("%s: %s\n", rows[i].key, get(c, "a")->key_text);
        assert_int_equal(get(c, "a")->state, rows[i].want);
        assert_non_null(strstr(get(c, "a")->key_text, rows[i].text));
        assert_int_equal(borrow(c, "a"), rows[i].code);
        creds_free(c);
    }
}

static void test_no_file(void **state)
{
    const struct fixture *f = *state;
    struct creds *c = open_creds(f);
    char text[CREDS_TEXT_SIZE];
    struct oc_err err;
    assert_null(creds_find(c, "a", 1, &err));
    assert_non_null(strstr(err.text, "could not find config file"));
    assert_int_equal(borrow(c, "a"), OCID_E_CONFIG);
    fixture_config(f, "[a]\nnonsense\n");
    assert_int_equal(creds_read(c, text, &err), OCID_E_CONFIG);
    assert_non_null(strstr(err.text, "line 2"));
    fixture_config(f, PROFILE_FMT, "a", TEST_PRINT, "fra", TEST_KEY);
    assert_int_equal(creds_read(c, text, &err), 0);
    assert_int_equal(borrow(c, "a"), 0);
    assert_null(creds_find(c, "b", 1, &err));
    assert_non_null(strstr(err.text, "Profile 'b' not found in config file '"));
    creds_free(c);
}

static void test_unlock(void **state)
{
    const struct fixture *f = *state;
    char text[CREDS_TEXT_SIZE];
    struct oc_err err;
    const char *enc = VECTORS "/test-key.pkcs8-enc.pem", *trad = VECTORS "/test-key.trad-des3.pem";
    fixture_config(f, PROFILE_FMT PROFILE_FMT PROFILE_FMT PROFILE_FMT, "a", TEST_PRINT, "fra", enc,
                   "b", TEST_PRINT, "phx", enc, "c", TEST_PRINT, "fra", trad, "plain", TEST_PRINT,
                   "fra", TEST_KEY);
    struct creds *c = open_creds(f);
    assert_int_equal(unlock(c, "a", "wrong", 0, 0, text), OCID_E_KEY);
    assert_non_null(strstr(text, "is incorrect"));
    assert_int_equal(borrow(c, "a"), OCID_E_LOCKED);
    assert_int_equal(unlock(c, "nobody", PASS, 0, 0, text), OCID_E_CONFIG);
    assert_int_equal(unlock(c, "a", PASS, 1000, 500, text), 0);
    assert_string_equal(text, "opened 'a', 'b'"); /* the same file */
    assert_int_equal(borrow(c, "b"), 0);
    assert_int_equal(borrow(c, "c"), OCID_E_LOCKED);
    assert_int_equal(unlock(c, "", PASS, 1200, 0, text), 0);
    assert_string_equal(text, "opened 'c'");

    assert_int_equal(creds_next_due(c), 1500);
    assert_int_equal(creds_expire(c, 1499), 0);
    assert_int_equal(creds_expire(c, 1500), 1);
    assert_int_equal(borrow(c, "a"), OCID_E_LOCKED);
    assert_int_equal(borrow(c, "c"), 0);
    assert_int_equal(creds_next_due(c), 0);

    assert_int_equal(creds_lock(c, "", 0, text, &err), 0);
    assert_string_equal(text, "locked 'a', 'b', 'c', 'plain'");
    assert_int_equal(borrow(c, "plain"), OCID_E_LOCKED);
    assert_int_equal(creds_read(c, text, &err), 0); /* a reload opens nothing that was locked */
    assert_int_equal(borrow(c, "plain"), OCID_E_LOCKED);
    assert_int_equal(unlock(c, "plain", "", 0, 0, text), 0);
    assert_int_equal(borrow(c, "plain"), 0);
    creds_free(c);
}

/* A key that stays open over a reload, and ones that do not. */
static void test_reload(void **state)
{
    const struct fixture *f = *state;
    char text[CREDS_TEXT_SIZE], key[128];
    struct oc_err err;
    snprintf(key, sizeof key, "%s/k.pem", f->dir);
    fixture_copy(f, "test-key.pkcs8-enc.pem", "k.pem");
    fixture_config(f, PROFILE_FMT, "a", TEST_PRINT, "fra", key);
    struct creds *c = open_creds(f);
    assert_int_equal(unlock(c, "a", PASS, 0, 0, text), 0);
    assert_int_equal(creds_read(c, text, &err), 0);
    assert_int_equal(borrow(c, "a"), 0);
    assert_string_equal(text, "");

    fixture_write(key, "garbage", 7);
    assert_int_equal(creds_read(c, text, &err), 0);
    assert_int_equal(borrow(c, "a"), 0);
    assert_non_null(strstr(text, "'a' keeps its old credential: "));
    assert_int_equal(unlink(key), 0);
    assert_int_equal(creds_read(c, text, &err), 0);
    assert_int_equal(borrow(c, "a"), 0);

    fixture_config(f, "[a]\nuser=x\n");
    assert_int_equal(creds_read(c, text, &err), 0);
    assert_non_null(strstr(text, "user malformed"));
    assert_int_equal(borrow(c, "a"), 0);
    fixture_config(f, "no section\n");
    assert_int_equal(creds_read(c, text, &err), OCID_E_CONFIG);
    assert_int_equal(borrow(c, "a"), 0);

    fixture_config(f, PROFILE_FMT, "a", LEAF_PRINT, "fra", VECTORS "/leaf-key.pem");
    assert_int_equal(creds_read(c, text, &err), 0);
    assert_string_equal(get(c, "a")->fingerprint, LEAF_PRINT);
    fixture_config(f, PROFILE_FMT, "a", TEST_PRINT, "fra", VECTORS "/test-key.trad-des3.pem");
    assert_int_equal(creds_read(c, text, &err), 0);
    assert_int_equal(borrow(c, "a"), OCID_E_LOCKED); /* another key, and a locked one */
    fixture_config(f, "[b]\n");
    assert_int_equal(creds_read(c, text, &err), 0);
    assert_int_equal(borrow(c, "a"), OCID_E_CONFIG);
    creds_free(c);
}

static void test_offsets(void **state)
{
    const struct fixture *f = *state;
    struct creds *c = open_creds(f);
    char host[32];
    creds_offset(c, "Host", 4, -70);
    assert_int_equal(creds_ahead(c, "hOST", 4), -70);
    assert_int_equal(creds_ahead(c, "hos", 3), 0);
    creds_offset(c, "host", 4, 5);
    assert_int_equal(creds_ahead(c, "host", 4), 5);
    for (int i = 0; i < CREDS_OFFSETS_MAX; i++) {
        int n = snprintf(host, sizeof host, "h%d", i);
        creds_offset(c, host, (size_t)n, i);
    }
    assert_int_equal(creds_ahead(c, "host", 4), 0); /* the oldest has gone */
    assert_int_equal(creds_ahead(c, "h63", 3), 63);
    creds_free(c);
}

static void test_expand(void **state)
{
    (void)state;
    static const struct {
        const char *home, *path, *want;
    } rows[] = {
        {"/h", "~/k", "/h/k"},
        {"/h/", "~/k", "/h/k"},
        {"/h", "~", "/h"},
        {"/", "~", "/"},
        {"/", "~/k", "/k"},
        {"/h", "/a/~/k", "/a/~/k"},
        {"/h", "k", "k"},
        {NULL, "~/k", "~/k"},
        {"/h", "~root/k", "/root/k"},
        {"/h", "", ""},
        {"/h", "~nobody-here/k", "~nobody-here/k"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char out[PATH_MAX];
        creds_expand(rows[i].home, rows[i].path, out, sizeof out);
        assert_string_equal(out, rows[i].want);
    }
}

/* {"sub":"ocid1.user.oc1..u","exp":32503680000}, and one with "exp":1000 */
#define TOKEN     "e30.eyJzdWIiOiJvY2lkMS51c2VyLm9jMS4udSIsImV4cCI6MzI1MDM2ODAwMDB9.c2ln"
#define OLD_TOKEN "e30.eyJleHAiOjEwMDB9.c2ln"

static void set(struct creds *c, const char *lines)
{
    char text[CREDS_TEXT_SIZE];
    struct oc_err err;
    assert_int_equal(creds_set(c, lines, strlen(lines), &err), 0);
    assert_int_equal(creds_read(c, text, &err), 0);
}

static void test_session(void **state)
{
    const struct fixture *f = *state;
    char token[128], text[CREDS_TEXT_SIZE];
    struct oc_err err;
    snprintf(token, sizeof token, "%s/token", f->dir);
    fixture_config(f, "[s]\n" KEY "region=fra\ntenancy=" TENANCY "\nsecurity_token_file=~/token\n");
    struct creds *c = open_creds(f);
    set(c, "s\t\t\tno\n"); /* nobody refreshes it here */
    assert_int_equal(borrow(c, "s"), OCID_E_LOGIN);
    assert_non_null(strstr(get(c, "s")->key_text, "/token'"));
    fixture_write(token, TOKEN "\n", strlen(TOKEN) + 1);
    assert_int_equal(creds_read(c, text, &err), 0);
    struct borrowed by;
    assert_int_equal(creds_borrow(c, "s", 1, 0, 1000, &by, &err), 0);
    assert_string_equal(by.key_id, "ST$" TOKEN);
    assert_int_equal(by.good_s, 32503680000 - 1000);
    key_unref(by.key);
    assert_string_equal(get(c, "s")->user, "ocid1.user.oc1..u");

    fixture_write(token, "garbage", 7); /* keeps what it had, and says so */
    assert_int_equal(creds_read(c, text, &err), 0);
    assert_non_null(strstr(text, "'s' keeps its old credential: "));
    assert_int_equal(borrow(c, "s"), 0);
    fixture_write(token, OLD_TOKEN, strlen(OLD_TOKEN));
    assert_int_equal(creds_read(c, text, &err), 0);
    assert_int_equal(borrow(c, "s"), OCID_E_LOGIN);
    assert_int_equal(creds_renew_in(c, time(NULL)), 0);
    assert_int_equal(creds_renew(c, time(NULL)), 1); /* its end is told */
    assert_int_equal(creds_renew(c, time(NULL) + 2), 0);
    assert_int_equal(creds_renew_in(c, time(NULL) + 2) >= 0, 1);
    fixture_write(token, TOKEN, strlen(TOKEN));
    assert_int_equal(creds_renew(c, time(NULL) + 60), 1);
    assert_int_equal(borrow(c, "s"), 0);
    creds_free(c);
}

static void test_a_session_stays_open(void **state)
{
    const struct fixture *f = *state;
    char token[128], text[CREDS_TEXT_SIZE];
    snprintf(token, sizeof token, "%s/token", f->dir);
    fixture_write(token, OLD_TOKEN, strlen(OLD_TOKEN));
    fixture_config(f, "[s]\nkey_file=" VECTORS "/test-key.pkcs8-enc.pem\nregion=fra\n" FP
                      "security_token_file=~/token\n");
    struct creds *c = open_creds(f);
    set(c, "s\t\t\tno\n");
    assert_int_equal(borrow(c, "s"), OCID_E_LOCKED);
    assert_int_equal(unlock(c, "s", PASS, 0, 0, text), 0);
    assert_int_equal(borrow(c, "s"), OCID_E_LOGIN);
    fixture_write(token, TOKEN, strlen(TOKEN));
    assert_int_equal(creds_renew(c, time(NULL)), 1);
    assert_int_equal(borrow(c, "s"), 0); /* nobody was asked for the pass phrase again */
    creds_free(c);
}

static void test_what_ocid_conf_says(void **state)
{
    const struct fixture *f = *state;
    struct oc_err err;
    static const char *const bad[] = {"a", "a\tb", "a\tb\tc", "a\tb\tc\td", "a\tb\tc\td\ne\n"};
    fixture_config(f, "[DEFAULT]\n" GOOD FP KEY "[a]\n");
    struct creds *c = open_creds(f);
    for (size_t i = 0; i < N_ROWS(bad); i++)
        assert_int_equal(creds_set(c, bad[i], strlen(bad[i]), &err), OCID_E_INVALID);
    set(c, "a\t\tphx\tyes\nb\tinstance_principal\tlhr\tyes\nc\tnonsense\t\tyes\n");
    assert_string_equal(get(c, "a")->hosts.region, "us-phoenix-1");
    assert_int_equal(borrow(c, "a"), 0);
    assert_ptr_equal(get(c, "b")->mode, &mode_instance_principal);
    assert_string_equal(get(c, "b")->hosts.region, "uk-london-1");
    assert_string_equal(get(c, "b")->tenancy, ""); /* inherits nothing */
    assert_non_null(strstr(get(c, "c")->text, "auth = nonsense in ocid.conf unknown"));
    unlink(f->config);
    set(c, "b\tinstance_principal\t\tyes\n"); /* enough without a configuration of the SDKs */
    assert_string_equal(get(c, "b")->hosts.region, "");
    creds_free(c);
}

static void test_resource(void **state)
{
    const struct fixture *f = *state;
    char text[CREDS_TEXT_SIZE], path[128];
    struct oc_err err;
    fixture_copy(f, "test-key.pem", "k.pem");
    snprintf(path, sizeof path, "%s/k.pem", f->dir);
    setenv("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2", 1);
    setenv("OCI_RESOURCE_PRINCIPAL_RPST", TOKEN, 1);
    setenv("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM", path, 1);
    setenv("OCI_RESOURCE_PRINCIPAL_REGION", "fra", 1);
    struct creds *c = open_creds(f);
    set(c, "fn\tresource_principal\t\tyes\n");
    assert_null(getenv("OCI_RESOURCE_PRINCIPAL_RPST")); /* taken away */
    assert_int_equal(borrow(c, "fn"), 0);
    assert_string_equal(get(c, "fn")->hosts.region, "eu-frankfurt-1");
    assert_int_equal(creds_renew_in(c, 0), -1); /* a value stays as it is */
    unlink(path);
    assert_int_equal(creds_read(c, text, &err), 0);
    assert_non_null(strstr(text, "'fn' keeps its old credential"));
    assert_int_equal(borrow(c, "fn"), 0);
    creds_free(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_problems),
        TEST(test_facts),
        TEST(test_key_states),
        TEST(test_no_file),
        TEST(test_unlock),
        TEST(test_reload),
        TEST(test_offsets),
        TEST(test_expand),
        TEST(test_session),
        TEST(test_a_session_stays_open),
        TEST(test_what_ocid_conf_says),
        TEST(test_resource),
    };
    assert_int_equal(secret_init() >= 0, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
