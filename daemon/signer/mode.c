/* SPDX-License-Identifier: Apache-2.0
 *
 * mode.c - the modes by name, and what those have in common that ask the Auth service.
 *
 * Any thread.
 */
#include "signer/mode.h"

#include <string.h>

#include "signer/creds.h"
#include "signer/json.h"

static const struct mode *const modes[] = {
#define MODE(NAME, name) &mode_##name,
#include "proto/modes.def"
#undef MODE
};

const struct mode *mode_find(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strlen(modes[i]->name) == n && !memcmp(modes[i]->name, name, n))
            return modes[i];
    return NULL;
}

int mode_ask_auth(const struct cred *fresh, enum wire_fetch kind, const char *target,
                  const char *body, struct mode_ask *ret)
{
    *ret = (struct mode_ask){
        .kind = kind, .target = target, .region = fresh->hosts.region, .body = body};
    return MODE_ASK;
}

int mode_answer_token(const struct mode_answer *a, struct token *ret, struct oc_err *err)
{
    char text[TOKEN_MAX + 1];
    int good = json_text(a->text, a->n, "token", text, sizeof text) &&
               !token_parse(text, strlen(text), ret, err);
    explicit_bzero(text, sizeof text);
    if (good)
        return 0;
    return oc_fail(err, OCID_E_UNAVAILABLE, 0, "the Auth service has answered without a token");
}
