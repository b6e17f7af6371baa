/* SPDX-License-Identifier: Apache-2.0
 *
 * check.h - what is wrong with a configuration, one profile of it and its key, and what mends it.
 *
 * Reads only. Blocks on the file system, and on a tenth of a second of signing.
 */
#ifndef SIGNER_CHECK_H
#define SIGNER_CHECK_H

#include "signer/setup.h"
#include "vault/wire.h"

enum { CHECK_HOST_SIZE = 256 };

enum check_level {
    CHECK_OK,
    CHECK_WARN,   /* it works, but should not stay so */
    CHECK_FAIL,   /* nothing can be signed, or nobody will accept it */
    CHECK_LOCKED, /* the key wants a pass phrase that was not given */
};

/* One thing that was looked at: name is a word, text one sentence, mend a command ("": none). */
typedef void check_told(void *arg, enum check_level level, const char *name, const char *text,
                        const char *mend);

/* "" where it could not be told. */
struct check_facts {
    char host[CHECK_HOST_SIZE]; /* of Object Storage by the profile's region */
    char key_id[WIRE_KEY_ID_MAX + 1], key_file[PATH_MAX];
};

/* In the order in which a person would look; ends where the rest would be guesswork. home, config,
 * profile, pass, quick, and auth and
 * region as ocid.conf has them, of o matter. */
void check_profile(const struct setup_options *o, check_told *told, void *arg,
                   struct check_facts *ret);

#endif
