/* SPDX-License-Identifier: Apache-2.0
 *
 * mode_instance.c - an instance principal: a compute instance trades its certificate for a token.
 *
 * Control thread. The metadata service gives certificate, key and intermediate certificate; they
 * rotate several times a day, so each renewal asks for them. The certificate's key signs one
 * request to the Auth service; the token that comes back is for a session key that is made here
 * and never leaves.
 * Source: InstancePrincipalsSecurityTokenSigner of Oracle's Python SDK.
 */
#include <ctype.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "signer/creds_read.h"
#include "signer/json.h"
#include "signer/mode.h"
#include "signer/secret.h"

enum { PEM_MAX = 8192, SESSION_BITS = 2048, PUBLIC_SIZE = 1024, BODY_MAX = 2 * PEM_MAX };

enum at { AT_START, AT_REGION, AT_REGION_INFO, AT_CERT, AT_KEY, AT_BETWEEN, AT_TOKEN };

struct state {
    enum at at;
    char region[RULES_REGION_SIZE];
    char cert[PEM_MAX], between[PEM_MAX]; /* PEM without its lines */
    char tenancy[CREDS_OCID_SIZE], print[64];
    struct key *session;
    char *body; /* from secret_new() */
};

static void end(void *state)
{
    struct state *s = state;
    key_unref(s->session);
    secret_free(s->body);
}

static void load(struct cred *c, const struct cred *old, const char *pass, size_t pass_n)
{
    (void)pass;
    (void)pass_n;
    creds_no_key(c, WIRE_KEY_ABSENT, OCID_E_LOGIN, "the instance has not asked for a token yet");
    if (old && !old->key)
        creds_no_key(c, old->state, old->key_code, old->key_text);
    if (!old || !old->key)
        return;
    struct token token;
    token_copy(&token, &old->token);
    creds_take_key(c, key_ref(old->key));
    creds_take_token(c, &token);
    if (!c->hosts.region[0])
        creds_region(c, old->hosts.region);
}

/* --- what comes --- */

static int take_region(struct state *s, struct cred *fresh, const struct mode_answer *a)
{
    struct rules_hosts h = {.region = ""};
    char text[RULES_REGION_SIZE];
    snprintf(text, sizeof text, "%.*s", (int)(a->n < sizeof text ? a->n : 0), a->text);
    rules_region(&h, text);
    if (!h.known)
        return 0;
    memcpy(s->region, h.region, sizeof s->region);
    creds_region(fresh, s->region);
    return 1;
}

/* A region that no table has: its domain is taken as a whole. */
static int take_region_info(struct state *s, struct cred *fresh, const struct mode_answer *a,
                            struct oc_err *err)
{
    char id[64], domain[64];
    if (!json_text(a->text, a->n, "regionIdentifier", id, sizeof id) ||
        !json_text(a->text, a->n, "realmDomainComponent", domain, sizeof domain))
        return oc_fail(err, OCID_E_LOGIN, 0,
                       "the metadata service does not say in which region this is; set region in "
                       "[profile %.100s] of ocid.conf",
                       fresh->name);
    snprintf(s->region, sizeof s->region, "%s.%s", id, domain);
    creds_region(fresh, s->region);
    return 0;
}

/* The base64 of the first block. */
static int strip(const struct mode_answer *a, char out[PEM_MAX])
{
    static const char first[] = "-----BEGIN CERTIFICATE-----";
    const char *at = memmem(a->text, a->n, first, sizeof first - 1), *stop = a->text + a->n;
    size_t n = 0;
    if (!at)
        return 0;
    for (at += sizeof first - 1; at < stop && *at != '-'; at++) {
        if (isspace((unsigned char)*at))
            continue;
        if (n == PEM_MAX - 1 || (!isalnum((unsigned char)*at) && !memchr("+/=", *at, 3)))
            return 0;
        out[n++] = *at;
    }
    out[n] = 0;
    return n > 0 && at < stop;
}

/* The tenancy stands in one of the subject's values, whichever. */
static int find_tenancy(X509 *x, char out[CREDS_OCID_SIZE])
{
    static const char *const before[] = {"opc-tenant:", "opc-identity:"};
    X509_NAME *name = X509_get_subject_name(x);
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < X509_NAME_entry_count(name); i++) {
            const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i));
            const char *text = (const char *)ASN1_STRING_get0_data(value);
            size_t n = (size_t)ASN1_STRING_length(value), skip = strlen(before[k]);
            if (n <= skip || memcmp(text, before[k], skip) || n - skip >= CREDS_OCID_SIZE)
                continue;
            memcpy(out, text + skip, n - skip);
            out[n - skip] = 0;
            return creds_is_ocid(out);
        }
    return 0;
}

static int take_cert(struct state *s, const struct cred *fresh, const struct mode_answer *a,
                     struct oc_err *err)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    BIO *bio = BIO_new_mem_buf(a->text, (int)a->n);
    X509 *x = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    int good = x && strip(a, s->cert) && X509_digest(x, EVP_sha1(), md, &n) && n == 20;
    for (unsigned i = 0; good && i < n; i++)
        snprintf(s->print + 3 * i, 4, i + 1 < n ? "%02X:" : "%02X", md[i]);
    if (good && !find_tenancy(x, s->tenancy))
        good = 0;
    X509_free(x);
    BIO_free(bio);
    ERR_clear_error();
    if (!good)
        return oc_fail(err, OCID_E_LOGIN, 0, "the instance's certificate is not one");
    if (fresh->token.text && strcmp(fresh->tenancy, s->tenancy))
        return oc_fail(err, OCID_E_LOGIN, 0,
                       "the instance's certificate names another tenancy "
                       "than before");
    return 0;
}

static int take_key(struct state *s, struct cred *fresh, const struct mode_answer *a,
                    struct oc_err *err)
{
    struct key *key;
    if (key_load(a->text, a->n, NULL, 0, &key, err)) {
        oc_wrap(err, "the instance's key");
        return err->code = OCID_E_LOGIN;
    }
    key_unref(fresh->lent_key);
    fresh->lent_key = key;
    snprintf(fresh->lent_id, sizeof fresh->lent_id, "%s/fed-x509/%s", s->tenancy, s->print);
    return 0;
}

static int make_body(struct state *s, struct oc_err *err)
{
    char public[PUBLIC_SIZE];
    if (key_generate(SESSION_BITS, &s->session, err))
        return err->code;
    if (!key_public_text(s->session, public, sizeof public))
        return oc_fail(err, OCID_E_INTERNAL, 0, "the session key is too long");
    s->body = secret_new(BODY_MAX);
    int n = snprintf(s->body, BODY_MAX,
                     "{\"certificate\":\"%s\",\"publicKey\":\"%s\","
                     "\"intermediateCertificates\":[\"%s\"]}",
                     s->cert, public, s->between);
    return n < BODY_MAX ? 0 : oc_fail(err, OCID_E_TOO_LARGE, 0, "the certificates are too long");
}

static int take_token(struct state *s, struct cred *fresh, const struct mode_answer *a,
                      struct oc_err *err)
{
    struct token token;
    if (mode_answer_token(a, &token, err))
        return err->code;
    creds_take_key(fresh, s->session);
    s->session = NULL;
    creds_take_token(fresh, &token);
    snprintf(fresh->tenancy, sizeof fresh->tenancy, "%s", s->tenancy);
    return 0;
}

/* --- steps --- */

/* Time may mend it, or it says who has to. */
static int refused(const struct state *s, const struct mode_answer *a, struct oc_err *err)
{
    int n = (int)(a->n < 250 ? a->n : 250);
    if (s->at == AT_TOKEN && a->status >= 400 && a->status < 500 && a->status != 429)
        return oc_fail(err, OCID_E_LOGIN, 0, "the Auth service refuses this instance: %.*s", n,
                       a->text);
    if (s->at != AT_TOKEN && (a->status == 401 || a->status == 403 || a->status == 404))
        return oc_fail(err, OCID_E_LOGIN, 0,
                       "no certificate of an instance: is this a compute instance? %.*s", n,
                       a->text);
    return oc_fail(err, a->code, 0, "%.*s", n, a->text);
}

static int ask(struct state *s, enum at next, const char *document, struct mode_ask *ret)
{
    s->at = next;
    *ret = (struct mode_ask){.kind = WIRE_FETCH_METADATA, .target = document};
    return MODE_ASK;
}

static int ask_token(struct state *s, const struct cred *fresh, struct mode_ask *ret)
{
    s->at = AT_TOKEN;
    return mode_ask_auth(fresh, WIRE_FETCH_FEDERATE, "/v1/x509", s->body, ret);
}

static int step(void *state, struct cred *fresh, const struct mode_answer *a, struct mode_ask *ret,
                struct oc_err *err)
{
    struct state *s = state;
    if (a && a->code)
        return refused(s, a, err);
    switch (s->at) {
    case AT_START:
        if (!fresh->hosts.region[0])
            return ask(s, AT_REGION, "instance/region", ret);
        return ask(s, AT_CERT, "identity/cert.pem", ret);
    case AT_REGION:
        if (!take_region(s, fresh, a))
            return ask(s, AT_REGION_INFO, "instance/regionInfo", ret);
        return ask(s, AT_CERT, "identity/cert.pem", ret);
    case AT_REGION_INFO:
        return take_region_info(s, fresh, a, err) ? err->code
                                                  : ask(s, AT_CERT, "identity/cert.pem", ret);
    case AT_CERT:
        return take_cert(s, fresh, a, err) ? err->code : ask(s, AT_KEY, "identity/key.pem", ret);
    case AT_KEY:
        return take_key(s, fresh, a, err) ? err->code
                                          : ask(s, AT_BETWEEN, "identity/intermediate.pem", ret);
    case AT_BETWEEN:
        if (!strip(a, s->between))
            return oc_fail(err, OCID_E_LOGIN, 0, "the intermediate certificate is not one");
        return make_body(s, err) ? err->code : ask_token(s, fresh, ret);
    case AT_TOKEN:
        return take_token(s, fresh, a, err);
    }
    return oc_fail(err, OCID_E_INTERNAL, 0, "a renewal has lost its way");
}

const struct mode mode_instance_principal = {
    .name = "instance_principal",
    .token_key = "delegation_token_file",
    .load = load,
    .state_size = sizeof(struct state),
    .step = step,
    .end = end,
};
