/* SPDX-License-Identifier: Apache-2.0
 *
 * token.h - a token of the Auth service: how long it lives, and of whom it speaks.
 *
 * Any thread. Tokens are believed as they stand: the service judges them.
 */
#ifndef SIGNER_TOKEN_H
#define SIGNER_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "proto/err.h"

enum { TOKEN_MAX = 8000, TOKEN_OCID_SIZE = 256 };

struct token {
    char *text;                    /* without "ST$"; NULL: none */
    int64_t issued_at, expires_at; /* by the clock of the service; 0: it does not say */
    char tenancy[TOKEN_OCID_SIZE], user[TOKEN_OCID_SIZE]; /* "": it does not say */
};

/* Takes text[0..n), blanks around it allowed. OCID_E_LOGIN, with *ret empty: it is no token; the
 * sentence does not show it. */
int token_parse(const char *text, size_t n, struct token *ret, struct oc_err *err);

/* A copy of its own. */
void token_copy(struct token *to, const struct token *from);

/* Wipes and frees. */
void token_fini(struct token *t);

/* When it should be renewed: ahead of its end by half of its life, and five minutes at most.
 * 0: never. */
int64_t token_renew_at(const struct token *t);

/* 1 if it is over at that time. */
int token_expired(const struct token *t, int64_t now);

#endif
