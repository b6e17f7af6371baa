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
#include "signer/mode.h"
#include "signer/rules.h"
#include "signer/token.h"
#include "vault/wire.h"

enum {
    CREDS_MAX = 1024,       /* profiles that are kept */
    CREDS_OFFSETS_MAX = 64, /* hosts whose clock we know */
    CREDS_SET_MAX = 64,     /* profiles that ocid.conf says something about */
    CREDS_OCID_SIZE = 256,
    CREDS_TEXT_SIZE = WIRE_TEXT_MAX + 1,
    CREDS_NOTES_SIZE = 768,
    CREDS_KEY_ID_SIZE = 2 * CREDS_OCID_SIZE + KEY_FINGERPRINT_SIZE + 2,
};

struct creds_options {
    const char *config; /* NULL: the usual places */
    const char *home;   /* of "~"; NULL: "~" stays as it is */
    const char *region; /* of profiles that name none; NULL */
    const char *const *hosts;
    size_t n_hosts;
};

/* What ocid.conf says about a profile. */
struct creds_set {
    char name[WIRE_PROFILE_MAX + 1];
    char mode[32];                  /* "": as the profile's section looks */
    char region[RULES_REGION_SIZE]; /* "": as the section, or the mode, says */
    int files_only;                 /* others refresh its session: the file is read again */
};

/* One profile. Immutable for all but the control thread, which changes it under the lock. */
struct cred {
    char name[WIRE_PROFILE_MAX + 1];
    const struct mode *mode;
    char key_id[CREDS_KEY_ID_SIZE]; /* of an API key */
    char tenancy[CREDS_OCID_SIZE], user[CREDS_OCID_SIZE], fingerprint[KEY_FINGERPRINT_SIZE];
    char key_file[PATH_MAX], token_file[PATH_MAX];
    struct rules_hosts hosts;
    int region_set; /* by ocid.conf */
    char notes[CREDS_NOTES_SIZE];
    int code; /* 0, or what is wrong with the profile, in text */
    char text[CREDS_TEXT_SIZE];

    enum wire_key state;
    int key_code; /* 0, or why there is no key, in key_text */
    char key_text[CREDS_TEXT_SIZE];
    struct key *key;      /* not NULL: state is WIRE_KEY_OK */
    struct token token;   /* its text NULL: it signs by key_id */
    unsigned n_failed;    /* renewals in a row */
    int64_t tried_at;     /* when the last one ended, by our own clock */
    struct key *lent_key; /* signs a federation that is under way, as lent_id */
    char lent_id[CREDS_KEY_ID_SIZE];
    char why[CREDS_TEXT_SIZE]; /* the last renewal failed; "" */
    int over;                  /* the end of its token has been told */
    int64_t renew_at;     /* when the mode is to load again, by the service's clock; 0: never */
    int files_only;       /* the token is not refreshed here */
    int held;             /* locked by hand: stays so until the next unlock */
    uint64_t due_mono_ms; /* 0: never, else locked then */
};

struct creds;

struct creds *creds_new(const struct creds_options *o);

/* Wipes; nobody may have a borrowed one any more. */
void creds_free(struct creds *c);

/* Calls fn with the path of every file that a reading looks at. */
void creds_files(const struct creds *c, void (*fn)(void *arg, const char *path), void *arg);

/* What ocid.conf says, from the next reading on: a line a profile, "NAME\tMODE\tREGION\tREFRESH\n";
 * REFRESH is yes or no. OCID_E_INVALID: it is not of that form, and nothing has changed. */
int creds_set(struct creds *c, const char *lines, size_t n, struct oc_err *err);

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

/* Loads again what is due for it (now in seconds since 1970, by our own clock). 1 if a credential
 * has changed, or its token has come to its end. */
int creds_renew(struct creds *c, int64_t now);

/* Seconds until the next one is due, from 0; -1: never. */
int64_t creds_renew_in(const struct creds *c, int64_t now);

/* The clock of a host is ahead of ours by seconds; the oldest of many is forgotten. */
void creds_offset(struct creds *c, const char *host, size_t n, int64_t seconds);

/* What signing needs. */
struct borrowed {
    struct key *key; /* to be given back by key_unref() */
    struct rules_hosts hosts;
    char key_id[WIRE_KEY_ID_MAX + 1];
    int64_t good_s; /* seconds that the token lives on; 0: it does not say */
};

/* Any thread: takes *ret under the lock, now in seconds since 1970. federated: what was lent, if
 * there is such a thing.
 * OCID_E_CONFIG, _LOCKED, _KEY, _AUTH, _LOGIN: why there is no key, or no token that is valid
 * now. */
int creds_borrow(struct creds *c, const char *profile, size_t n, int federated, int64_t now,
                 struct borrowed *ret, struct oc_err *err);

/* Why its token cannot be used now, into err (OCID_E_LOGIN); 0 if it can, or there is none. */
int creds_over(const struct creds *c, const struct cred *cred, int64_t now, struct oc_err *err);

/* For renewals. The nth profile, NULL behind the last. */
const struct cred *creds_at(const struct creds *c, size_t i);

/* 1 if it is to be renewed now. */
int creds_due(const struct creds *c, const struct cred *cred, int64_t now);

/* It is not due before that time. */
void creds_put_off(struct creds *c, const struct cred *cred, int64_t until);

/* 1 if it gets its token over the network. */
int creds_by_network(const struct cred *cred);

/* A copy of its own, and its end. */
struct cred *creds_copy(const struct cred *cred);
void creds_copy_free(struct cred *cred);

/* The key and id that fresh has been lent sign the profile's federation from here on. */
void creds_lend(struct creds *c, const struct cred *fresh);

/* Puts what fresh has in the profile's place. 1: it has, and signs with it. */
int creds_renewed(struct creds *c, const struct cred *fresh, int64_t now);

/* Keeps what it has; without a valid token err is why there is none. again_at: when to try again.
 */
void creds_not_renewed(struct creds *c, const char *profile, int64_t again_at,
                       const struct oc_err *err);

/* Any thread: seconds that a host is ahead; n 0: the one that was learnt last. */
int64_t creds_ahead(struct creds *c, const char *host, size_t n);

/* An explicit path, else ~/.oci/config, else ~/.oraclebmc/config if only that is there. Cut to
 * size. */
void creds_find_config(const struct creds_options *o, char *out, size_t size);

/* Python's expanduser: "~" and "~name" at the start. Cut to size. */
void creds_expand(const char *home, const char *path, char *out, size_t size);

#endif
