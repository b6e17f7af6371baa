/* SPDX-License-Identifier: Apache-2.0
 *
 * account.h - what a profile stands for: where its services are, its namespace, its tenancy.
 *
 * Control loop. Facts come from the signer; the namespace is asked of the service once, if neither
 * the job nor the configuration names it. Those who need an account wait in its list.
 */
#ifndef JOBS_ACCOUNT_H
#define JOBS_ACCOUNT_H

#include "oci/endpoint.h"
#include "proto/err.h"
#include "vault/vault.h"
#include "xfer/engine.h"

struct room;
struct job;

/* Whoever gets an answer of the engine: every xfer_request's owner points at one of these. */
struct answer_to {
    void (*on_done)(struct answer_to *self, struct xfer_request *req);
};

enum account_need { NEED_FACTS, NEED_NAMESPACE };

/* Somebody who waits; embedded in its owner. */
struct account_wait {
    struct account_wait *next;
    enum account_need need;
    void (*ready)(struct account_wait *w, const struct oc_err *err); /* err NULL: it is ready */
    int waiting;
};

/* Never changed once it is made: requests in flight borrow from it. */
struct account_place {
    struct account_place *older;
    struct oci_endpoint storage, identity;
};

struct account {
    struct account *next;
    struct room *room;
    char profile[WIRE_PROFILE_MAX + 1];
    enum { ACCOUNT_NEW, ACCOUNT_ASKING, ACCOUNT_KNOWN } facts;
    struct account_place *at; /* the one in force; older ones stay until the end */
    char *tenancy, *user;
    char namespace[257];
    int asking_namespace;
    unsigned n_renewed;    /* how often that has ended */
    int renewing;          /* the signer has been told that they were refused */
    struct oc_err refused; /* refused.c's: code 0: the service takes them, as far as we know */
    int may_look;          /* refused.c's: the next job is started nevertheless */
    unsigned n_auth;       /* 401s in a row that were met by a better clock or fresh credentials */
    enum { SUMS_UNKNOWN, SUMS_CRC32C, SUMS_NO_CRC32C } sums; /* what the endpoint answers with */
    struct account_wait *waits;
    unsigned n_runs; /* that refer to it */
    struct answer_to answer;
    struct xfer_request request; /* for the namespace */
};

struct accounts {
    struct account *list;
};

/* The account of a profile ("": the configured default), made if it is new. Lives until
 * accounts_fini(). */
struct account *account_get(struct room *r, const char *profile);

/* The account of a job's profile if there is one, else NULL. */
struct account *account_of(const struct room *r, const struct job *j);

/* Calls w->ready() when the need is met or cannot be met; always in a later turn unless it is met
 * already, when it returns 1 and does not call. */
int account_need(struct account *a, struct account_wait *w, enum account_need need);
void account_need_end(struct account *a, struct account_wait *w);

/* No run refers to it any more: it goes if nothing is known of it, as with a profile that there is
 * not. */
void account_drop(struct account *a);

/* For the answers that come after accounts_fini(). */
void account_free(struct account *a);

/* Facts and endpoints are asked for again by whoever comes next; requests under way go on with what
 * they have. */
void accounts_forget(struct accounts *all);

/* Nothing may be in flight or waiting. */
void accounts_fini(struct accounts *all);

#endif
