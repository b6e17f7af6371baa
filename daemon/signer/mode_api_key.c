/* SPDX-License-Identifier: Apache-2.0
 *
 * mode_api_key.c - a user's API key: tenancy/user/fingerprint and the key file of the profile.
 *
 * Control thread.
 */
#include "signer/creds_read.h"
#include "signer/mode.h"

static void load(struct cred *c, const struct cred *old, const char *pass, size_t pass_n)
{
    (void)old;
    creds_load_key(c, pass, pass_n);
}

const struct mode mode_api_key = {
    .name = "api_key",
    .needs = MODE_USER | MODE_KEY | MODE_REGION,
    .token_key = "security_token_file", /* shown, not used */
    .load = load,
};
