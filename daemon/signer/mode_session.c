/* SPDX-License-Identifier: Apache-2.0
 *
 * mode_session.c - a session of `oci session authenticate`: its key file and its token file.
 *
 * Control thread.
 */
#include "signer/creds_read.h"
#include "signer/mode.h"
#include "signer/secret.h"

/* The file's token, 0 or OCID_E_LOGIN. */
static int read_token(const struct cred *c, struct token *ret, struct oc_err *err)
{
    char *text;
    size_t n;
    int rc = secret_read(c->token_file, TOKEN_MAX, &text, &n, err);
    if (rc)
        return err->code = OCID_E_LOGIN;
    rc = token_parse(text, n, ret, err);
    secret_free(text);
    if (rc)
        oc_wrap(err, "token '%s'", c->token_file);
    return rc;
}

static void load(struct cred *c, const struct cred *old, const char *pass, size_t pass_n)
{
    struct token token;
    struct oc_err err;
    (void)old;
    if (creds_load_key(c, pass, pass_n) && c->state != WIRE_KEY_LOCKED)
        return;
    if (!read_token(c, &token, &err))
        creds_take_token(c, &token);
    else
        creds_no_key(c, WIRE_KEY_ABSENT, OCID_E_LOGIN, err.text);
}

const struct mode mode_session = {
    .name = "session",
    .needs = MODE_KEY | MODE_REGION,
    .mend = "log in anew by `oci session authenticate`",
    .token_key = "security_token_file",
    .load = load,
};
