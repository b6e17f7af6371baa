/* SPDX-License-Identifier: Apache-2.0
 *
 * test_key.c - every form of PEM, every way to be wrong, the fingerprint, one signature.
 */
#include "signer/fixture.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>

#include "signer/key.h"
#include "signer/secret.h"

#define NEEDS_PASS "The provided key requires a passphrase; 'ocictl unlock' asks for it."
#define IS_PUBLIC  "Authentication requires a private key, but a public key was provided."
#define WRONG_PASS "The provided passphrase is incorrect."
#define IS_NONE                                                                                    \
    "The provided key is not a private key: it has no line '-----BEGIN ... PRIVATE KEY-----'."

static int load_file(const char *name, const char *pass, struct key **ret, struct oc_err *err)
{
    char path[PATH_MAX], *pem;
    size_t n;
    snprintf(path, sizeof path, VECTORS "/%s", name);
    assert_int_equal(secret_read(path, KEY_FILE_MAX, &pem, &n, err), 0);
    int rc = key_load(pem, n, pass, pass ? strlen(pass) : 0, ret, err);
    secret_free(pem);
    assert_int_equal(ERR_peek_error(), 0); /* nothing is left in libcrypto's queue */
    return rc;
}

static void test_forms(void **state)
{
    (void)state;
    static const struct {
        const char *file, *pass;
        int code;
        const char *text; /* or the fingerprint */
    } rows[] = {
        {"test-key.pem", NULL, 0, TEST_PRINT},
        {"test-key.pem", "not needed", 0, TEST_PRINT},
        {"test-key.pem", "", 0, TEST_PRINT},
        {"test-key.pkcs1.pem", NULL, 0, TEST_PRINT},
        {"test-key.oci-label.pem", NULL, 0, TEST_PRINT},
        {"test-key.trad-aes128.pem", PASS, 0, TEST_PRINT},
        {"test-key.trad-aes256.pem", PASS, 0, TEST_PRINT},
        {"test-key.trad-des3.pem", PASS, 0, TEST_PRINT},
        {"test-key.pkcs8-enc.pem", PASS, 0, TEST_PRINT},
        {"test-key.pkcs8-enc.oci-label.pem", PASS, 0, TEST_PRINT},
        {"published-key.pem", NULL, 0, OTHER_PRINT},
        {"leaf-key.pem", NULL, 0, LEAF_PRINT},
        {"test-key.trad-aes128.pem", NULL, OCID_E_LOCKED, NEEDS_PASS},
        {"test-key.trad-aes256.pem", "", OCID_E_LOCKED, NEEDS_PASS},
        {"test-key.trad-des3.pem", NULL, OCID_E_LOCKED, NEEDS_PASS},
        {"test-key.pkcs8-enc.pem", NULL, OCID_E_LOCKED, NEEDS_PASS},
        {"test-key.pkcs8-enc.oci-label.pem", NULL, OCID_E_LOCKED, NEEDS_PASS},
        {"test-key.trad-aes128.pem", "wrong", OCID_E_KEY, WRONG_PASS},
        {"test-key.trad-des3.pem", "wrong", OCID_E_KEY, WRONG_PASS},
        {"test-key.pkcs8-enc.pem", "wrong", OCID_E_KEY, WRONG_PASS},
        {"test-key.pkcs8-enc.pem", "correct horse", OCID_E_KEY, WRONG_PASS},
        {"test-key.pub.pem", NULL, OCID_E_KEY, IS_PUBLIC},
        {"test-key.pub.pem", "x", OCID_E_KEY, IS_PUBLIC},
        {"leaf-cert.pem", NULL, OCID_E_KEY, IS_NONE},
        {"README.md", NULL, OCID_E_KEY, IS_NONE},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct key *key;
        struct oc_err err;
        print_message("%s, pass phrase %s\n", rows[i].file, rows[i].pass ? rows[i].pass : "-");
        assert_int_equal(load_file(rows[i].file, rows[i].pass, &key, &err), rows[i].code);
        if (rows[i].code) {
            assert_string_equal(err.text, rows[i].text);
            continue;
        }
        assert_string_equal(key_fingerprint(key), rows[i].text);
        key_unref(key);
    }
}

static void test_garbage(void **state)
{
    (void)state;
    char pem[8192], cut[8192];
    size_t n = fixture_read(TEST_KEY, pem, sizeof pem);
    struct key *key;
    struct oc_err err;
    assert_int_equal(key_load("", 0, NULL, 0, &key, &err), OCID_E_KEY);
    assert_int_equal(key_load("\0\0\0", 3, NULL, 0, &key, &err), OCID_E_KEY);
    for (size_t len = 0; len < n - 30; len += 97)
        assert_int_equal(key_load(pem, len, NULL, 0, &key, &err), OCID_E_KEY);
    assert_string_equal(err.text, "The provided private key is damaged: it cannot be decoded.");
    for (size_t at = 60; at < n - 60; at += 131) {
        memcpy(cut, pem, n);
        cut[at] = cut[at] == 'A' ? 'B' : 'A'; /* what still decodes must fit together */
        if (!key_load(cut, n, NULL, 0, &key, &err)) {
            unsigned char a[KEY_SIGNATURE_MAX];
            size_t a_n;
            assert_int_equal(key_sign(key, 0, "x", 1, a, &a_n, &err), 0);
            key_unref(key);
        }
    }
    static char large[KEY_FILE_MAX + 1];
    assert_int_equal(key_load(large, sizeof large, NULL, 0, &key, &err), OCID_E_KEY);
}

static void load_made(EVP_PKEY *pkey, const char *want)
{
    struct key *key;
    struct oc_err err;
    char *pem;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
    long n = BIO_get_mem_data(bio, &pem);
    assert_int_equal(key_load(pem, (size_t)n, NULL, 0, &key, &err), OCID_E_KEY);
    assert_string_equal(err.text, want);
    BIO_free(bio);
    EVP_PKEY_free(pkey);
}

static void test_other_kinds(void **state)
{
    (void)state;
    load_made(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"), "The provided key is not an RSA key.");
    load_made(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), "The provided key is not an RSA key.");
    load_made(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)512),
              "The provided key has 512 bits; 2048 are usual.");
}

static void test_make(void **state)
{
    (void)state;
    static const char *const phrases[] = {"", PASS};
    for (size_t i = 0; i < N_ROWS(phrases); i++) {
        struct oc_err err;
        struct key *key;
        char *pem, public[4096], print[KEY_FINGERPRINT_SIZE];
        size_t n, pass_n = strlen(phrases[i]);
        unsigned bits = 0;
        assert_int_equal(key_make(2048, phrases[i], pass_n, &pem, &n, &err), 0);
        assert_int_equal(strlen(pem), n);
        assert_non_null(strstr(pem, pass_n ? "-----BEGIN ENCRYPTED PRIVATE KEY-----"
                                           : "-----BEGIN PRIVATE KEY-----"));
        assert_string_equal(pem + n - 12, "OCI_API_KEY\n");
        if (pass_n) {
            assert_int_equal(key_load(pem, n, NULL, 0, &key, &err), OCID_E_LOCKED);
            assert_int_equal(key_load(pem, n, "wrong", 5, &key, &err), OCID_E_KEY);
        }
        assert_int_equal(key_load(pem, n, phrases[i], pass_n, &key, &err), 0);
        assert_int_equal(key_bits(key), 2048);
        assert_int_equal(key_public(key, public, 100), 0);
        assert_int_equal(key_public(key, public, sizeof public), 1);
        assert_int_equal(key_public_fingerprint(public, strlen(public), print, &bits), 0);
        assert_string_equal(print, key_fingerprint(key));
        assert_int_equal(bits, 2048);
        assert_int_equal(key_public_fingerprint(pem, n, print, &bits), OCID_E_KEY);
        key_unref(key);
        secret_free(pem);
    }
}

struct signing {
    struct key *key;
    unsigned seat;
    unsigned char sig[KEY_SIGNATURE_MAX];
};

static void *sign_many(void *arg)
{
    struct signing *s = arg;
    struct oc_err err;
    size_t n;
    for (int i = 0; i < 50; i++)
        if (key_sign(s->key, s->seat, "text", 4, s->sig, &n, &err) || n != 256)
            return s;
    key_unref(s->key);
    return NULL;
}

/* The owner lets go while threads still sign: the key stays until the last of them. */
static void test_shared(void **state)
{
    (void)state;
    struct key *key;
    struct oc_err err;
    struct signing s[4];
    pthread_t thread[4];
    assert_int_equal(load_file("test-key.pem", NULL, &key, &err), 0);
    assert_int_equal(key_bits(key), 2048);
    for (unsigned i = 0; i < 4; i++) {
        s[i] = (struct signing){.key = key_ref(key), .seat = i};
        pthread_create(&thread[i], NULL, sign_many, &s[i]);
    }
    key_unref(key);
    for (unsigned i = 0; i < 4; i++) {
        void *bad;
        pthread_join(thread[i], &bad);
        assert_null(bad);
        assert_memory_equal(s[i].sig, s[0].sig, 256);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),       cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_other_kinds), cmocka_unit_test(test_make),
        cmocka_unit_test(test_shared),
    };
    assert_int_equal(secret_init() >= 0, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
