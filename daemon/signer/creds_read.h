/* SPDX-License-Identifier: Apache-2.0
 *
 * creds_read.h - one section of the configuration -> one struct cred without its key.
 *
 * Control thread; asks the file system for the rights of files.
 */
#ifndef SIGNER_CREDS_READ_H
#define SIGNER_CREDS_READ_H

#include "signer/creds.h"
#include "signer/profile.h"

/* Fills *ret, whose code and text say everything that is wrong with the section. The pass phrase
 * is borrowed from f: *pass is empty if there is none. */
void creds_fill(const struct profile_file *f, unsigned section, const char *path,
                const struct creds_options *o, struct cred *ret, struct profile_text *pass);

/* Loads the key of *cred with the pass phrase and checks its fingerprint: sets state, key, key_code
 * and key_text. Returns key_code. */
int creds_load_key(struct cred *cred, const char *pass, size_t pass_n);

/* Appends a sentence to the notes. */
void creds_note(struct cred *cred, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
