/* SPDX-License-Identifier: Apache-2.0
 *
 * mode.c - the modes by name.
 *
 * Any thread.
 */
#include "signer/mode.h"

#include <string.h>

static const struct mode *const modes[] = {
    &mode_api_key,
    &mode_session,
    &mode_instance_principal,
    &mode_resource_principal,
};

const struct mode *mode_find(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strlen(modes[i]->name) == n && !memcmp(modes[i]->name, name, n))
            return modes[i];
    return NULL;
}
