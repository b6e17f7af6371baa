/* SPDX-License-Identifier: Apache-2.0
 *
 * vault.h - our side of ocid-signer: start it, ask for facts and signatures.
 *
 * struct vault lives on the control loop, struct vault_link on the transfer loop; they share
 * nothing but the process behind them. Callbacks run on the loop of the object, never before the
 * call that asked for them has returned.
 */
#ifndef VAULT_VAULT_H
#define VAULT_VAULT_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "proto/err.h"
#include "vault/wire.h"

struct vault;
struct vault_link;

/* A request that the signer wants to be made. The body may hold a token, and so may the answer:
 * both are wiped after use. */
struct vault_fetch {
    uint64_t tag;
    enum wire_fetch kind;
    const char *profile, *target, *region, *body;
};

struct vault_options {
    const char *program; /* NULL: ocid-signer beside ourselves, else in the libexec directory */
    const char *config;  /* of profiles; NULL: ~/.oci/config, else ~/.oraclebmc/config */
    const char *home;    /* what ~ stands for; NULL: $HOME, else the password entry */
    const char *region;  /* of profiles that name none; NULL: none */
    const char *const *hosts; /* allowed beyond those of a profile's region ("127.0.0.1:8080") */
    size_t n_hosts;
    const char *profiles; /* what ocid.conf says of them, see vault_profiles(); NULL: nothing */
    int resources;        /* hand the variables of resource principals on, and forget them here */
    unsigned threads;     /* 0: as many as cores */

    /* The signer has ended by itself; all that was asked has been answered with an error. Once. */
    void (*on_dead)(void *arg, const struct oc_err *err);
    /* The signer wants a request to be made: *f is borrowed until the callback returns, and
     * answered by vault_fetched() later. NULL: there is no network, and it hears so. */
    void (*on_fetch)(void *arg, const struct vault_fetch *f);
    /* Facts have changed (unlock, lock, reload, or by themselves). May be NULL. */
    void (*on_change)(void *arg);
    void *arg;
};

/* What is no secret of a profile. */
struct vault_facts {
    char profile[WIRE_PROFILE_MAX + 1];
    char *mode;   /* how it proves who it is: "api_key", "session", … */
    char *key_id; /* "" for who signs by a token */
    char *tenancy, *user, *region, *fingerprint;
    char *token_file;  /* path of the security or delegation token; "" */
    enum wire_key key; /* of the moment */
    char *key_text;    /* why the key is not WIRE_KEY_OK; "" */
    char *notes;       /* warnings to show ("pass_phrase stands in the file; …"); "" */
    struct oc_err err; /* code 0, or what is wrong with the profile: all of it in one sentence */
};

/* Starts the signer. Returns NULL and fills *err when that fails; what the configuration lacks
 * shows in facts, not here. Everything in o is copied but arg. */
struct vault *vault_open(uv_loop_t *control_loop, const struct vault_options *o,
                         struct oc_err *err);

/* Ends the signer and waits on the loop until it is gone; callbacks that are due get
 * OCID_E_STOPPING before. NULL is allowed; v is not touched by the caller afterwards. */
void vault_close(struct vault *v);

/* The signing end for vault_link_new(), given away once (-1 after that). */
int vault_sign_fd(struct vault *v);

/* Process id, for tests and status. */
int vault_pid(const struct vault *v);

/* *facts is borrowed until the callback returns, err->code is that of the facts. When the answer
 * could not be had, facts is NULL and *err says why. */
typedef void (*vault_facts_cb)(void *arg, const struct vault_facts *facts,
                               const struct oc_err *err);
void vault_facts(struct vault *v, const char *profile, vault_facts_cb cb, void *arg);

/* Facts that are known already, else NULL; borrowed until the next turn of the loop. */
const struct vault_facts *vault_facts_known(const struct vault *v, const char *profile);

/* err->code 0: done, and text says what was done ("opened 'DEFAULT', 'ADMIN'"); for a reload text
 * may name what went wrong though the rest is in force. Otherwise *err says why not. */
typedef void (*vault_done_cb)(void *arg, const char *text, const struct oc_err *err);

/* The signer reads the pass phrase from fd (a pipe or socket) until newline or end and tries it on
 * the profile's key, and on those of other profiles with the same key file; profile "": on all.
 * fd is closed here in any case. ttl_ms 0: until lock or the end. OCID_E_KEY: wrong pass phrase. */
void vault_unlock(struct vault *v, const char *profile, int fd, uint64_t ttl_ms, vault_done_cb cb,
                  void *arg);

/* Wipes the key of one profile ("": of all) until the next unlock. */
void vault_lock(struct vault *v, const char *profile, vault_done_cb cb, void *arg);

/* What ocid.conf says of profiles from the next reload on: a line each,
 * "NAME\tMODE\tREGION\tREFRESH\n". */
void vault_profiles(struct vault *v, const char *lines);

/* Reads configuration and keys again; what is bad now keeps its old credential, and text says so.
 * OCID_E_CONFIG: the file cannot be read at all, everything stays as it was. */
void vault_reload(struct vault *v, vault_done_cb cb, void *arg);

/* The service has refused what the profile signed: files are read again and a token is renewed,
 * once for all who say so at the same time. cb when that is over; the rest is as of vault_reload().
 */
void vault_refused(struct vault *v, const char *profile, vault_done_cb cb, void *arg);

/* The answer to a fetch: code 0 and the body of the answer with its status, or a code, the status
 * if one came, and why. text is copied; beyond WIRE_STRING_MAX bytes it is an error itself. */
void vault_fetched(struct vault *v, uint64_t tag, int code, int status, const char *text);

/* Tells the signer that a host's clock is ahead of ours by seconds. */
void vault_offset(struct vault *v, const char *host, int64_t seconds);

/* One signature. Embedded by its owner; valid and in place until the callback or the cancel. */
struct vault_ask {
    /* Set before vault_link_sign(); borrowed until the callback. */
    const char *profile;
    const char *string; /* to sign, len bytes */
    size_t len;
    void (*cb)(struct vault_ask *ask);
    void *arg;

    /* Valid during the callback only. code 0, or the error whose sentence is in *err:
     * OCID_E_LOCKED, _KEY, _LOGIN (token), _AUTH (fingerprint), _CONFIG (profile), _DENIED (host),
     * _INVALID (string), _UNAVAILABLE (stale date: build the string anew), _STOPPING (signer is
     * gone). */
    int code;
    const struct oc_err *err;
    const char *key_id;    /* may hold a token: a copy is to be wiped after use */
    const char *signature; /* base64; both end with NUL */
    int64_t good_s;        /* seconds until the token's end; 0: no limit */

    /* The link's own. */
    struct vault_link *link; /* NULL: not under way */
    struct vault_ask *next, **back;
    uint32_t slot;
};

/* Takes over sign_fd. */
struct vault_link *vault_link_new(uv_loop_t *transfer_loop, int sign_fd);

/* Queues; everything of one turn of the loop goes out in one system call before it sleeps. Too long
 * a string or profile is OCID_E_TOO_LARGE, by the callback like all else. */
void vault_link_sign(struct vault_link *l, struct vault_ask *ask);

/* Forgets an ask, whose callback will not run then. Nothing for one that is not under way. */
void vault_link_cancel(struct vault_ask *ask);

/* Asks under way get OCID_E_STOPPING on the loop, then the link is freed; no new asks from here
 * on. NULL is allowed. */
void vault_link_close(struct vault_link *l);

/* Questions under way, waiting or sent. */
unsigned vault_link_pending(const struct vault_link *l);

#endif
