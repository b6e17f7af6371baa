/* SPDX-License-Identifier: Apache-2.0
 *
 * token.c - a token of the Auth service: how long it lives, and of whom it speaks.
 *
 * Any thread. A token is no secret of the signer's, but good for as long as it lives: what is freed
 * is wiped.
 * Source: RFC 7519 (JWT), RFC 4648 section 5 (base64url).
 */
#include "signer/token.h"

#include <stdlib.h>
#include <string.h>

#include "signer/json.h"

enum { MARGIN_S = 300, SHARE = 2 };

static int digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Bytes written to out, which has room for n. */
static size_t decode(const char *in, size_t n, char *out)
{
    uint32_t bits = 0;
    size_t have = 0, done = 0;
    for (size_t i = 0; i < n; i++) {
        bits = bits << 6 | (uint32_t)digit(in[i]);
        have += 6;
        if (have >= 8)
            out[done++] = (char)(bits >> (have -= 8));
    }
    return done;
}

/* Three parts of base64url: where the second one is. */
static int split(const char *s, size_t n, const char **body, size_t *body_n)
{
    size_t part[3] = {0}, at = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '.' && ++at > 2)
            return 0;
        if (s[i] != '.' && digit(s[i]) < 0)
            return 0;
        part[at] += s[i] != '.';
    }
    *body = s + part[0] + 1;
    *body_n = part[1];
    return at == 2 && part[0] && part[1] && part[2];
}

static void take_claims(struct token *t, const char *claims, size_t n)
{
    json_number(claims, n, "iat", &t->issued_at);
    json_number(claims, n, "exp", &t->expires_at);
    if (!json_text(claims, n, "res_tenant", t->tenancy, sizeof t->tenancy))
        json_text(claims, n, "tenant", t->tenancy, sizeof t->tenancy);
    if (json_text(claims, n, "sub", t->user, sizeof t->user) && strncmp(t->user, "ocid1.user.", 11))
        t->user[0] = 0; /* an instance or a resource, which is no user */
}

int token_parse(const char *text, size_t n, struct token *ret, struct oc_err *err)
{
    char claims[TOKEN_MAX];
    const char *body;
    size_t body_n;
    *ret = (struct token){0};
    while (n && memchr(" \t\r\n", text[0], 4))
        text++, n--;
    while (n && memchr(" \t\r\n", text[n - 1], 4))
        n--;
    if (n > TOKEN_MAX || !split(text, n, &body, &body_n))
        return oc_fail(err, OCID_E_LOGIN, 0, n ? "it is no token" : "it is empty");
    take_claims(ret, claims, decode(body, body_n, claims));
    if (!(ret->text = strndup(text, n)))
        abort();
    return 0;
}

void token_copy(struct token *to, const struct token *from)
{
    *to = *from;
    if (from->text && !(to->text = strdup(from->text)))
        abort();
}

void token_fini(struct token *t)
{
    if (t->text)
        explicit_bzero(t->text, strlen(t->text));
    free(t->text);
    *t = (struct token){0};
}

int64_t token_renew_at(const struct token *t)
{
    if (!t->expires_at)
        return 0;
    int64_t life = t->issued_at && t->issued_at < t->expires_at ? t->expires_at - t->issued_at : 0;
    int64_t margin = life && life / SHARE < MARGIN_S ? life / SHARE : MARGIN_S;
    return t->expires_at - (margin ? margin : 1);
}

int token_expired(const struct token *t, int64_t now)
{
    return t->expires_at && now >= t->expires_at;
}
