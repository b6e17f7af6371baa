/* SPDX-License-Identifier: Apache-2.0
 *
 * mode.h - how a profile proves who it is: one file a mode (mode_*.c), one row in proto/modes.def.
 *
 * Control thread. creds.c keeps what a mode has loaded, and calls it again when the token is to be
 * renewed, a file has changed or the service has refused a request.
 */
#ifndef SIGNER_MODE_H
#define SIGNER_MODE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/err.h"
#include "signer/token.h"
#include "vault/wire.h"

struct cred;

/* A request that ocid is to make for a mode. Borrowed from the mode's state. */
struct mode_ask {
    enum wire_fetch kind;
    const char *target; /* document of the metadata service, or path */
    const char *region; /* of the Auth service; NULL: of none */
    const char *body;   /* JSON; NULL: none */
};

/* What came of it. Borrowed. */
struct mode_answer {
    int code;         /* 0, or OCID_E_: text says why */
    int status;       /* of HTTP, 0: none came */
    const char *text; /* the body, or the sentence; n bytes */
    size_t n;
};

/* What a step says. Anything else is an error's code. */
enum { MODE_DONE = 0, MODE_ASK = 1 };

/* What the profile's section must have. */
enum mode_needs {
    MODE_USER = 1, /* user, tenancy and fingerprint */
    MODE_KEY = 2,  /* key_file */
    MODE_REGION = 4,
};

struct mode {
    const char *name; /* auth = NAME in a [profile] of ocid.conf */
    unsigned needs;
    const char *mend;      /* what a person does when the token is over; NULL: nothing */
    const char *token_key; /* the section's key with the path of a token file; NULL: none */

    /* Sets state, key, key_code and key_text of c, and its token if it signs by one. old is the
     * credential before, or NULL: what lies in no file is carried over from it. The pass phrase is
     * that of the section or of an unlock. */
    void (*load)(struct cred *c, const struct cred *old, const char *pass, size_t pass_n);

    /* For tokens that come over the network; all nothing for others. A renewal begins with a
     * state of zeros, then goes by steps: the first without an answer, the others with that to
     * their ask. MODE_DONE: fresh, a copy of the credential, has the new token and key. */
    size_t state_size;
    int (*step)(void *state, struct cred *fresh, const struct mode_answer *answer,
                struct mode_ask *ret, struct oc_err *err);
    void (*end)(void *state); /* gives back what the state holds */
};

/* Of that name, n bytes; NULL: there is none. */
const struct mode *mode_find(const char *name, size_t n);

/* Asks the Auth service of the profile's region: MODE_ASK. body stays the caller's. */
int mode_ask_auth(const struct cred *fresh, enum wire_fetch kind, const char *target,
                  const char *body, struct mode_ask *ret);

/* The token in an answer of the Auth service. 0, or OCID_E_UNAVAILABLE: there is none. */
int mode_answer_token(const struct mode_answer *a, struct token *ret, struct oc_err *err);

#define MODE(NAME, name) extern const struct mode mode_##name;
#include "proto/modes.def"
#undef MODE

#endif
