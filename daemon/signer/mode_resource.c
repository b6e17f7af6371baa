/* SPDX-License-Identifier: Apache-2.0
 *
 * mode_resource.c - a resource principal, version 2.2: what a function or a container instance has
 * in its environment, as values or as the absolute paths of files that the platform replaces.
 *
 * Control thread. ocid hands these variables on at the start if a profile names this mode; they are
 * taken out of the environment when they are first looked at.
 * Source: EphemeralResourcePrincipalSigner of Oracle's Python SDK.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "signer/creds_read.h"
#include "signer/mode.h"
#include "signer/secret.h"

#define PREFIX "OCI_RESOURCE_PRINCIPAL_"

enum { V_VERSION, V_RPST, V_PEM, V_PASS, V_REGION, N_VARIABLES };

static const char *const names[N_VARIABLES] = {
    PREFIX "VERSION", PREFIX "RPST", PREFIX "PRIVATE_PEM", PREFIX "PRIVATE_PEM_PASSPHRASE",
    PREFIX "REGION",
};

static char *variable[N_VARIABLES]; /* in memory for secrets; NULL: not set */

static void take_variables(void)
{
    for (int i = 0; i < N_VARIABLES; i++) {
        char *s = getenv(names[i]);
        if (!s)
            continue;
        size_t n = strlen(s);
        secret_free(variable[i]);
        variable[i] = secret_new(n + 1);
        memcpy(variable[i], s, n);
        explicit_bzero(s, n);
        unsetenv(names[i]);
    }
}

/* The value, or the content of the file that it names: *ret from secret_new(). */
static int take(int i, size_t max, char **ret, size_t *n, struct oc_err *err)
{
    const char *s = variable[i];
    if (!s)
        return oc_fail(err, OCID_E_LOGIN, 0, "%s is not set; it is looked at when ocid starts",
                       names[i]);
    if (s[0] == '/') {
        if (secret_read(s, max, ret, n, err)) {
            err->code = OCID_E_LOGIN;
            oc_wrap(err, "%s", names[i]);
            return err->code;
        }
        return 0;
    }
    *n = strlen(s);
    *ret = secret_new(*n + 1);
    memcpy(*ret, s, *n);
    return 0;
}

static int take_token(struct token *ret, struct oc_err *err)
{
    char *text;
    size_t n;
    int rc = take(V_RPST, TOKEN_MAX, &text, &n, err);
    if (rc)
        return rc;
    rc = token_parse(text, n, ret, err);
    secret_free(text);
    if (rc)
        oc_wrap(err, "%s", names[V_RPST]);
    return rc;
}

/* A newline at the end of a pass phrase's file is not part of it. */
static int take_key(struct key **ret, struct oc_err *err)
{
    char *pem, *pass = NULL;
    size_t n, pass_n = 0;
    int rc = take(V_PEM, KEY_FILE_MAX, &pem, &n, err);
    if (rc)
        return rc;
    if (variable[V_PASS])
        rc = take(V_PASS, WIRE_PASS_MAX, &pass, &pass_n, err);
    while (pass_n && (pass[pass_n - 1] == '\n' || pass[pass_n - 1] == '\r'))
        pass_n--;
    if (!rc && (rc = key_load(pem, n, pass, pass_n, ret, err)))
        oc_wrap(err, "%s", names[V_PEM]);
    secret_free(pem);
    secret_free(pass);
    return rc;
}

static int check(struct oc_err *err)
{
    const char *version = variable[V_VERSION];
    if (!version)
        return oc_fail(err, OCID_E_LOGIN, 0,
                       "%s is not set: this is no function or container instance, or ocid was "
                       "started without its environment",
                       names[V_VERSION]);
    if (strcmp(version, "2.2"))
        return oc_fail(err, OCID_E_LOGIN, 0,
                       "resource principals of version '%.20s' are not known "
                       "here; 2.2 is",
                       version);
    if (!variable[V_REGION])
        return oc_fail(err, OCID_E_LOGIN, 0, "%s is not set", names[V_REGION]);
    return 0;
}

/* Files are watched and may be read, as those of other profiles are. */
static void name_files(struct cred *c)
{
    const char *pem = variable[V_PEM], *rpst = variable[V_RPST];
    snprintf(c->key_file, sizeof c->key_file, "%s", pem && pem[0] == '/' ? pem : "");
    snprintf(c->token_file, sizeof c->token_file, "%s", rpst && rpst[0] == '/' ? rpst : "");
}

static void load(struct cred *c, const struct cred *old, const char *pass, size_t pass_n)
{
    struct token token = {0};
    struct key *key = NULL;
    struct oc_err err;
    (void)old;
    (void)pass;
    (void)pass_n;
    take_variables();
    name_files(c);
    int rc = check(&err);
    if (!rc)
        rc = take_token(&token, &err);
    if (!rc)
        rc = take_key(&key, &err);
    if (rc) {
        token_fini(&token);
        creds_no_key(c, WIRE_KEY_ABSENT, OCID_E_LOGIN, err.text);
        return;
    }
    creds_take_key(c, key);
    creds_take_token(c, &token);
    creds_region(c, variable[V_REGION]);
    if (variable[V_RPST][0] != '/')
        c->renew_at = 0; /* a value of the environment stays what it is */
}

const struct mode mode_resource_principal = {
    .name = "resource_principal",
    .mend = "the platform has not given another one",
    .load = load,
};
