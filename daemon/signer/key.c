/* SPDX-License-Identifier: Apache-2.0
 *
 * key.c - one private key: decoded, checked, named by its fingerprint; signs.
 *
 * Any thread. Used by creds.c and worker.c; start at key_load().
 * Each signing thread has a seat with its own copy of the key, made when it first signs: a shared
 * one has a lock around its blinding. Digest and context are set up once and used again.
 */
#include "signer/key.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "signer/secret.h"

struct seat {
    EVP_PKEY *own;
    EVP_PKEY_CTX *sign;
    EVP_MD_CTX *digest;
};

struct key {
    atomic_uint refs;
    unsigned bits;
    char fingerprint[KEY_FINGERPRINT_SIZE];
    EVP_PKEY *pkey;
    EVP_MD *sha256;
    pthread_mutex_t seating; /* pkey is copied by one thread at a time */
    struct seat seat[KEY_SEATS];
};

struct pass {
    const char *s;
    size_t n;
    int asked;
};

/* Never asks a terminal. */
static int on_pass(char *buf, int size, int writing, void *arg)
{
    struct pass *p = arg;
    (void)writing;
    p->asked = 1;
    if (!p->s || p->n > (size_t)size)
        return -1;
    memcpy(buf, p->s, p->n);
    return (int)p->n;
}

static int is_public(const char *pem, size_t n)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)n);
    struct pass none = {.s = NULL};
    EVP_PKEY *pub = bio ? PEM_read_bio_PUBKEY(bio, NULL, on_pass, &none) : NULL;
    int found = pub || memmem(pem, n, "-----BEGIN RSA PUBLIC KEY-----", 30) ||
                (n > 4 && !memcmp(pem, "ssh-", 4));
    EVP_PKEY_free(pub);
    BIO_free(bio);
    return found;
}

static int decode(const char *pem, size_t n, struct pass *pass, EVP_PKEY **ret, struct oc_err *err)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)n);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, on_pass, pass) : NULL;
    BIO_free(bio);
    int rc = 0;
    if (pkey)
        *ret = pkey;
    else if (pass->asked && !pass->s)
        rc = oc_fail(err, OCID_E_LOCKED, 0,
                     "The provided key requires a passphrase; 'ocictl unlock' asks for it.");
    else if (is_public(pem, n))
        rc = oc_fail(err, OCID_E_KEY, 0,
                     "Authentication requires a private key, but a public key was provided.");
    else
        rc = oc_fail(err, OCID_E_KEY, 0, "%s",
                     !memmem(pem, n, "PRIVATE KEY-----", 16)
                         ? "The provided key is not a private key: it has no line '-----BEGIN ... "
                           "PRIVATE KEY-----'."
                     : pass->asked ? "The provided passphrase is incorrect."
                                   : "The provided private key is damaged: it cannot be decoded.");
    ERR_clear_error();
    return rc;
}

static int check_kind(struct key *k, struct oc_err *err)
{
    if (EVP_PKEY_get_base_id(k->pkey) != EVP_PKEY_RSA)
        return oc_fail(err, OCID_E_KEY, 0, "The provided key is not an RSA key.");
    k->bits = (unsigned)EVP_PKEY_get_bits(k->pkey);
    if (k->bits < KEY_BITS_LEAST || k->bits > KEY_BITS_MOST)
        return oc_fail(err, OCID_E_KEY, 0, "The provided key has %u bits; 2048 are usual.",
                       k->bits);
    return 0;
}

static void name_it(EVP_PKEY *pkey, char out[KEY_FINGERPRINT_SIZE])
{
    unsigned char *der = NULL, md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    int len = i2d_PUBKEY(pkey, &der);
    EVP_MD *md5 = EVP_MD_fetch(NULL, "MD5", "-fips");
    if (len > 0 && md5 && EVP_Digest(der, (size_t)len, md, &n, md5, NULL))
        for (unsigned i = 0; i < n && i < 16; i++)
            snprintf(out + 3 * i, 4, i + 1 < n ? "%02x:" : "%02x", md[i]);
    EVP_MD_free(md5);
    OPENSSL_free(der);
}

static int take_seat(struct key *k, struct seat *s)
{
    pthread_mutex_lock(&k->seating);
    s->own = EVP_PKEY_dup(k->pkey);
    pthread_mutex_unlock(&k->seating);
    s->sign = EVP_PKEY_CTX_new(s->own ? s->own : k->pkey, NULL);
    s->digest = EVP_MD_CTX_new();
    return s->sign && s->digest && EVP_PKEY_sign_init(s->sign) > 0 &&
           EVP_PKEY_CTX_set_rsa_padding(s->sign, RSA_PKCS1_PADDING) > 0 &&
           EVP_PKEY_CTX_set_signature_md(s->sign, k->sha256) > 0;
}

static void leave_seat(struct seat *s)
{
    EVP_PKEY_CTX_free(s->sign);
    EVP_MD_CTX_free(s->digest);
    EVP_PKEY_free(s->own);
    *s = (struct seat){0};
}

static int digest(struct key *k, struct seat *s, const char *text, size_t n, unsigned char md[32])
{
    unsigned md_n = 0;
    return EVP_DigestInit_ex2(s->digest, k->sha256, NULL) && EVP_DigestUpdate(s->digest, text, n) &&
           EVP_DigestFinal_ex(s->digest, md, &md_n) && md_n == 32;
}

int key_sign(struct key *k, unsigned seat, const char *text, size_t n, unsigned char *out,
             size_t *ret_n, struct oc_err *err)
{
    struct seat *s = &k->seat[seat];
    unsigned char md[EVP_MAX_MD_SIZE];
    *ret_n = KEY_SIGNATURE_MAX;
    if ((s->sign || take_seat(k, s)) && digest(k, s, text, n, md) &&
        EVP_PKEY_sign(s->sign, out, ret_n, md, 32) > 0)
        return 0;
    leave_seat(s);
    ERR_clear_error();
    return oc_fail(err, OCID_E_INTERNAL, 0, "libcrypto could not sign");
}

/* A key whose halves do not fit would give signatures that nobody accepts. */
static int check_halves(struct key *k, struct oc_err *err)
{
    static const unsigned char md[32] = {1};
    unsigned char sig[KEY_SIGNATURE_MAX];
    size_t n = sizeof sig;
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(k->pkey, NULL), *v = EVP_PKEY_CTX_new(k->pkey, NULL);
    int good = c && v && EVP_PKEY_sign_init(c) > 0 && EVP_PKEY_verify_init(v) > 0 &&
               EVP_PKEY_CTX_set_signature_md(c, k->sha256) > 0 &&
               EVP_PKEY_CTX_set_signature_md(v, k->sha256) > 0 &&
               EVP_PKEY_sign(c, sig, &n, md, sizeof md) > 0 &&
               EVP_PKEY_verify(v, sig, n, md, sizeof md) == 1;
    EVP_PKEY_CTX_free(c);
    EVP_PKEY_CTX_free(v);
    ERR_clear_error();
    return good ? 0
                : oc_fail(err, OCID_E_KEY, 0,
                          "The provided key is damaged: its public and private halves do not fit.");
}

/* pkey is the key's from here on, or gone. */
static int adopt(EVP_PKEY *pkey, struct key **ret, struct oc_err *err)
{
    struct key *k = calloc(1, sizeof *k);
    if (!k)
        abort();
    atomic_init(&k->refs, 1);
    pthread_mutex_init(&k->seating, NULL);
    k->pkey = pkey;
    k->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    int rc = k->sha256 ? check_kind(k, err) : oc_fail(err, OCID_E_INTERNAL, 0, "no SHA-256");
    if (!rc)
        rc = check_halves(k, err);
    if (rc) {
        key_unref(k);
        return rc;
    }
    name_it(k->pkey, k->fingerprint);
    *ret = k;
    return 0;
}

int key_load(const char *pem, size_t n, const char *pass, size_t pass_n, struct key **ret,
             struct oc_err *err)
{
    struct pass p = {.s = pass && pass_n ? pass : NULL, .n = pass_n};
    EVP_PKEY *pkey = NULL;
    if (n > KEY_FILE_MAX)
        return oc_fail(err, OCID_E_KEY, 0, "The key file is too large.");
    int rc = decode(pem, n, &p, &pkey, err);
    if (rc)
        return rc;
    return adopt(pkey, ret, err);
}

int key_generate(unsigned bits, struct key **ret, struct oc_err *err)
{
    EVP_PKEY *pkey = EVP_RSA_gen(bits);
    if (!pkey) {
        ERR_clear_error();
        return oc_fail(err, OCID_E_INTERNAL, 0, "libcrypto could not make a key");
    }
    return adopt(pkey, ret, err);
}

int key_public_text(const struct key *k, char *out, size_t size)
{
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(k->pkey, &der);
    int fits = n > 0 && (size_t)n < size && 4 * (((size_t)n + 2) / 3) < size;
    if (fits)
        EVP_EncodeBlock((unsigned char *)out, der, n);
    OPENSSL_free(der);
    return fits;
}

/* AES-256 with PBKDF2 if there is a pass phrase; the label lets scanners know a leaked key. */
static int encode(EVP_PKEY *pkey, const char *pass, size_t pass_n, BIO *out)
{
    const EVP_CIPHER *cipher = pass_n ? EVP_aes_256_cbc() : NULL;
    return PEM_write_bio_PKCS8PrivateKey(out, pkey, cipher, cipher ? pass : NULL,
                                         cipher ? (int)pass_n : 0, NULL, NULL) &&
           BIO_puts(out, "OCI_API_KEY\n") > 0;
}

int key_make(unsigned bits, const char *pass, size_t pass_n, char **ret, size_t *n,
             struct oc_err *err)
{
    struct key *k;
    int rc = key_generate(bits, &k, err);
    if (rc)
        return rc;
    BIO *bio = BIO_new(BIO_s_secmem());
    char *text;
    long len = bio && encode(k->pkey, pass, pass_n, bio) ? BIO_get_mem_data(bio, &text) : 0;
    if (len > 0) {
        *ret = secret_new((size_t)len + 1);
        memcpy(*ret, text, (size_t)len);
        *n = (size_t)len;
    }
    BIO_free(bio);
    key_unref(k);
    ERR_clear_error();
    return len > 0 ? 0 : oc_fail(err, OCID_E_INTERNAL, 0, "libcrypto could not write the key");
}

struct key *key_ref(struct key *k)
{
    atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
    return k;
}

void key_unref(struct key *k)
{
    if (!k || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < KEY_SEATS; i++)
        leave_seat(&k->seat[i]);
    EVP_PKEY_free(k->pkey);
    EVP_MD_free(k->sha256);
    pthread_mutex_destroy(&k->seating);
    free(k);
}

unsigned key_bits(const struct key *k)
{
    return k->bits;
}

int key_public_fingerprint(const char *pem, size_t n, char out[KEY_FINGERPRINT_SIZE],
                           unsigned *bits)
{
    struct pass none = {.s = NULL};
    BIO *bio = BIO_new_mem_buf(pem, (int)n);
    EVP_PKEY *pub = bio ? PEM_read_bio_PUBKEY(bio, NULL, on_pass, &none) : NULL;
    out[0] = 0;
    if (pub && EVP_PKEY_get_base_id(pub) == EVP_PKEY_RSA) {
        name_it(pub, out);
        *bits = (unsigned)EVP_PKEY_get_bits(pub);
    }
    EVP_PKEY_free(pub);
    BIO_free(bio);
    ERR_clear_error();
    return out[0] ? 0 : OCID_E_KEY;
}

int key_public(const struct key *k, char *out, size_t size)
{
    char *text;
    BIO *bio = BIO_new(BIO_s_mem());
    long n = bio && PEM_write_bio_PUBKEY(bio, k->pkey) ? BIO_get_mem_data(bio, &text) : 0;
    int good = n > 0 && (size_t)n < size;
    if (good) {
        memcpy(out, text, (size_t)n);
        out[n] = 0;
    }
    BIO_free(bio);
    ERR_clear_error();
    return good;
}

const char *key_fingerprint(const struct key *k)
{
    return k->fingerprint;
}
