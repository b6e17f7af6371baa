/* SPDX-License-Identifier: Apache-2.0
 *
 * key.h - one private key: from PEM text to signatures. Immutable and shared by counting.
 *
 * Any thread, unless said otherwise.
 */
#ifndef SIGNER_KEY_H
#define SIGNER_KEY_H

#include <stddef.h>

#include "proto/err.h"

enum {
    KEY_FILE_MAX = 256 * 1024,
    KEY_FINGERPRINT_SIZE = 48, /* sixteen pairs of hex digits, colons, NUL */
    KEY_BITS_LEAST = 1024,
    KEY_BITS_GOOD = 2048,
    KEY_BITS_MOST = 16384,
    KEY_SIGNATURE_MAX = KEY_BITS_MOST / 8,
    KEY_SEATS = 64, /* threads that may sign */
};

struct key;

/* Reads every PEM form; text after the END line is ignored. pass NULL: none is given; one that is
 * not needed does no harm. The count is 1. OCID_E_LOCKED: it wants a pass phrase; OCID_E_KEY: it
 * is no private RSA key that we can use, or the pass phrase is wrong. */
int key_load(const char *pem, size_t n, const char *pass, size_t pass_n, struct key **ret,
             struct oc_err *err);

/* A fresh one, which takes a tenth of a second or more. The count is 1. */
int key_generate(unsigned bits, struct key **ret, struct oc_err *err);

/* Base64 of the public half (SubjectPublicKeyInfo) in one line, with a NUL; 0 if it does not fit.
 */
int key_public_text(const struct key *k, char *out, size_t size);

/* A fresh RSA key as PKCS#8 PEM with Oracle's label behind it, encrypted if pass_n is not 0: *ret
 * from secret_new(), ended with a NUL that *n does not count. Takes a tenth of a second or more. */
int key_make(unsigned bits, const char *pass, size_t pass_n, char **ret, size_t *n,
             struct oc_err *err);

struct key *key_ref(struct key *k);

/* The last one wipes. NULL is allowed. */
void key_unref(struct key *k);

/* The public half as PEM with a NUL. 0: it does not fit into size. */
int key_public(const struct key *k, char *out, size_t size);

/* Fingerprint and size of a public key in PEM. OCID_E_KEY: it is no such thing. */
int key_public_fingerprint(const char *pem, size_t n, char out[KEY_FINGERPRINT_SIZE],
                           unsigned *bits);

unsigned key_bits(const struct key *k);

/* MD5 of the public half, as the configuration has it; "" when this libcrypto has no MD5. */
const char *key_fingerprint(const struct key *k);

/* RSASSA-PKCS1-v1_5 with SHA-256 over text; out has KEY_SIGNATURE_MAX bytes, *ret_n are used. seat
 * (0..KEY_SEATS-1) is the calling thread's own. 0 or OCID_E_INTERNAL. */
int key_sign(struct key *k, unsigned seat, const char *text, size_t n, unsigned char *out,
             size_t *ret_n, struct oc_err *err);

#endif
