/* SPDX-License-Identifier: Apache-2.0
 *
 * creds.h - the profiles and their keys: read, unlocked, locked, read again.
 *
 * One thread changes them (the control thread), any thread may borrow a key to sign with.
 */
#ifndef SIGNER_CREDS_H
#define SIGNER_CREDS_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "signer/key.h"
#include "signer/rules.h"
#include "vault/wire.h"

enum {
    CREDS_MAX = 1024,       /* profiles that are kept */
    CREDS_OFFSETS_MAX = 64, /* hosts whose clock we know */
    CREDS_OCID_SIZE = 256,
    CREDS_TEXT_SIZE = WIRE_TEXT_MAX + 1,
    CREDS_NOTES_SIZE = 768,
};

struct creds_options {
    const char *config; /* NULL: the usual places */
    const char *home;   /* of "~"; NULL: "~" stays as it is */
    const char *region; /* of profiles that name none; NULL */
    const char *const *hosts;
    size_t n_hosts;
};

/* One profile. Immutable for all but the control thread, which changes it under the lock. */
struct cred {
    char name[WIRE_PROFILE_MAX + 1];
    enum wire_kind kind;
    char key_id[WIRE_KEY_ID_MAX + 1];
    char tenancy[CREDS_OCID_SIZE], user[CREDS_OCID_SIZE], fingerprint[KEY_FINGERPRINT_SIZE];
    char key_file[PATH_MAX], token_file[PATH_MAX];
    struct rules_hosts hosts;
    char notes[CREDS_NOTES_SIZE];
    int code; /* 0, or what is wrong with the profile, in text */
    char text[CREDS_TEXT_SIZE];

    enum wire_key state;
    int key_code; /* 0, or why there is no key, in key_text */
    char key_text[CREDS_TEXT_SIZE];
    struct key *key;      /* not NULL: state is WIRE_KEY_OK */
    int held;             /* locked by hand: stays so until the next unlock */
    uint64_t due_mono_ms; /* 0: never, else locked then */
};

struct creds;

struct creds *creds_new(const struct creds_options *o);

/* Wipes; nobody may have a borrowed one any more. */
void creds_free(struct creds *c);

/* Reads the configuration and all keys. The first time everything that is wrong shows in the
 * facts; later a profile that has become bad keeps its old credential, and text (of
 * CREDS_TEXT_SIZE) says so. OCID_E_CONFIG: the file cannot be used, everything stays. */
int creds_read(struct creds *c, char *text, struct oc_err *err);

/* The profile, NULL and *err (OCID_E_CONFIG) if there is none. Control thread. */
const struct cred *creds_find(struct creds *c, const char *profile, size_t n, struct oc_err *err);

/* Tries a pass phrase on the key of profile and of those with the same key file; n 0: on all that
 * are not open. text: which were opened. now and ttl in ms of the monotonic clock, ttl 0: for ever.
 */
int creds_unlock(struct creds *c, const char *profile, size_t n, const char *pass, size_t pass_n,
                 uint64_t now_ms, uint64_t ttl_ms, char *text, struct oc_err *err);

/* Wipes the key of a profile, n 0: of all. */
int creds_lock(struct creds *c, const char *profile, size_t n, char *text, struct oc_err *err);

/* Locks what is due. 1 if there was any. */
int creds_expire(struct creds *c, uint64_t now_ms);

/* When the next one is due, 0: never. */
uint64_t creds_next_due(const struct creds *c);

/* The clock of a host is ahead of ours by seconds; the oldest of many is forgotten. */
void creds_offset(struct creds *c, const char *host, size_t n, int64_t seconds);

/* Any thread: takes what signing needs under the lock. *ret is to be given back by key_unref().
 * OCID_E_CONFIG, _LOCKED, _KEY, _AUTH: why there is no key. */
int creds_borrow(struct creds *c, const char *profile, size_t n, struct key **ret,
                 struct rules_hosts *hosts, char key_id[WIRE_KEY_ID_MAX + 1], struct oc_err *err);

/* Any thread: seconds that a host is ahead. */
int64_t creds_ahead(struct creds *c, const char *host, size_t n);

/* Python's expanduser: "~" and "~name" at the start. Cut to size. */
void creds_expand(const char *home, const char *path, char *out, size_t size);

#endif
