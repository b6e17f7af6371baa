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

/* Fills *ret, whose code and text say everything that is wrong with the section. set is what
 * ocid.conf says of the profile; its name is the set's if it has no section. The pass phrase
 * is borrowed from f: *pass is empty if there is none. */
void creds_fill(const struct profile_file *f, unsigned section, const char *path,
                const struct creds_options *o, const struct creds_set *set, struct cred *ret,
                struct profile_text *pass);

/* Loads the key of *cred with the pass phrase and checks its fingerprint: sets state, key, key_code
 * and key_text. Returns key_code. */
int creds_load_key(struct cred *cred, const char *pass, size_t pass_n);

/* For the modes: there is no key, and why. Returns code. */
int creds_no_key(struct cred *c, enum wire_key state, int code, const char *text);

/* The key and the token are the credential's from here on. */
void creds_take_key(struct cred *c, struct key *key);
void creds_take_token(struct cred *c, struct token *token);

/* The region that the mode has found out; that of ocid.conf comes first. */
void creds_region(struct cred *c, const char *region);

/* A key that was opened stays so while it is the same one. */
void creds_keep_open(struct cred *fresh, const struct cred *old);

/* Forms that Oracle's SDK accepts. */
int creds_is_ocid(const char *s);

/* Appends a sentence to the notes. */
void creds_note(struct cred *cred, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
