/* SPDX-License-Identifier: Apache-2.0
 *
 * mode_instance.c - an instance principal.
 *
 * Control thread.
 */
#include "signer/creds_read.h"
#include "signer/mode.h"

static void load(struct cred *c, const struct cred *old, const char *pass, size_t pass_n)
{
    (void)old;
    (void)pass;
    (void)pass_n;
    creds_no_key(c, WIRE_KEY_ABSENT, OCID_E_KEY, "");
}

const struct mode mode_instance_principal = {
    .name = "instance_principal",
    .token_key = "delegation_token_file",
    .load = load,
};
