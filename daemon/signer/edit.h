/* SPDX-License-Identifier: Apache-2.0
 *
 * edit.h - sets the keys of one profile in the text of ~/.oci/config and touches nothing else.
 *
 * Pure; any thread.
 */
#ifndef SIGNER_EDIT_H
#define SIGNER_EDIT_H

#include <stddef.h>

#include "proto/err.h"

enum { EDIT_SET_MAX = 8 };

/* A key in lower case; value NULL: it is to go. */
struct edit_set {
    const char *key, *value;
};

/* Text[0..n) with these keys in section name: lines of that section are replaced, added below its
 * head or taken out, or the section is appended; every other byte stays. *ret from secret_new(),
 * *ret_n bytes and a NUL. *changed: keys that were there with another value (or are gone now).
 * OCID_E_CONFIG: text cannot be read as a configuration. */
int edit_profile(const char *text, size_t n, const char *name, const struct edit_set *set,
                 size_t n_set, char **ret, size_t *ret_n, unsigned *changed, struct oc_err *err);

#endif
