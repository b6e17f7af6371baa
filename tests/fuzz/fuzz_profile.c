/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_profile.c - the reader of ~/.oci/config, the loader of PEM and the check of what is signed.
 *
 * The first byte chooses. What was read must be found again, and a string that is taken is one that
 * ends without a newline and has a target.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "signer/key.h"
#include "signer/profile.h"
#include "signer/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_profile(const char *text, size_t n)
{
    struct profile_file *f;
    struct oc_err err;
    if (profile_parse(text, n, &f, &err))
        return;
    const struct profile_entry *e;
    for (size_t i = 0; (e = profile_entry_at(f, i)); i++) {
        assert(e->section < profile_n_sections(f) && !e->key.s[e->key.n] &&
               !e->value.s[e->value.n]);
        assert(profile_get(f, e->section, e->key.s, e->key.n) == e);
    }
    for (unsigned s = 0; s < profile_n_sections(f); s++) {
        struct profile_text name = profile_name(f, s);
        assert(profile_find(f, name.s, name.n) == (int)s && !name.s[name.n]);
    }
    profile_free(f);
}

static void load_key(const char *text, size_t n)
{
    unsigned char out[KEY_SIGNATURE_MAX];
    size_t out_n;
    struct key *key;
    struct oc_err err;
    if (key_load(text, n, "pass", n & 1 ? 4 : 0, &key, &err))
        return;
    assert(!key_sign(key, 0, text, n, out, &out_n, &err));
    key_unref(key);
}

static void check_string(const char *text, size_t n)
{
    struct rules_hosts hosts = {.region = ""};
    struct rules_string s;
    struct oc_err err;
    if (rules_parse(text, n, &s, &err))
        return;
    assert(text[n - 1] != '\n' && memmem(text, n, "(request-target): ", 18));
    rules_region(&hosts, "eu-frankfurt-1");
    rules_host(&hosts, &s, &err);
    rules_date(&s, 0, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data + 1;
    if (!size)
        return 0;
    if (data[0] % 4 == 0)
        load_key(text, size - 1);
    else if (data[0] % 4 == 1)
        check_string(text, size - 1);
    else
        read_profile(text, size - 1);
    return 0;
}
