/* SPDX-License-Identifier: Apache-2.0
 *
 * account.c - profile -> endpoints and namespace, asked for once and remembered.
 *
 * Control loop. Start at account_need().
 */
#include "jobs/account.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "jobs/refused.h"
#include "jobs/room.h"

static void on_facts(void *arg, const struct vault_facts *facts, const struct oc_err *err);
static void on_namespace(struct answer_to *self, struct xfer_request *req);

static struct account *find(const struct room *r, const char *profile)
{
    for (struct account *a = r->accounts.list; a; a = a->next)
        if (!strcmp(a->profile, profile))
            return a;
    return NULL;
}

/* "" stands for the configured one. */
static const char *name_of(const struct room *r, const char *profile)
{
    return *profile ? profile : r->config->credentials_profile;
}

struct account *account_get(struct room *r, const char *profile)
{
    profile = name_of(r, profile);
    struct account *a = find(r, profile);
    if (a)
        return a;
    a = OC_NEW(struct account);
    snprintf(a->profile, sizeof a->profile, "%s", profile);
    a->room = r;
    a->tenancy = oc_strdup("");
    a->user = oc_strdup("");
    a->answer.on_done = on_namespace;
    a->next = r->accounts.list;
    r->accounts.list = a;
    return a;
}

struct account *account_of(const struct room *r, const struct job *j)
{
    struct ocp_job spec;
    char profile[WIRE_PROFILE_MAX + 1];
    if (j->run)
        return j->run->account;
    job_spec(j, &spec);
    return find(r, name_of(r, ocp_str_copy(spec.profile, profile, sizeof profile)));
}

static int is_met(const struct account *a, enum account_need need)
{
    return a->facts == ACCOUNT_KNOWN && (need == NEED_FACTS || a->namespace[0]);
}

/* Answers those whose need is met; with an error, all of them. */
static void tell(struct account *a, const struct oc_err *err)
{
    struct account_wait *all = a->waits, *w;
    a->waits = NULL;
    while ((w = all)) {
        all = w->next;
        if (!err && !is_met(a, w->need)) {
            w->next = a->waits;
            a->waits = w;
            continue;
        }
        w->waiting = 0;
        w->ready(w, err);
    }
}

static void ask_namespace(struct account *a)
{
    struct oc_err err;
    struct xfer_request *q = &a->request;
    *q = (struct xfer_request){0};
    if (oci_call_namespace(a->at->storage.host, NULL, &q->call, &err)) {
        tell(a, &err);
        return;
    }
    q->base = a->at->storage.base;
    q->profile = a->profile;
    q->what = "the namespace";
    q->max_memory = OCI_ERROR_BODY_MAX;
    q->owner = &a->answer;
    a->asking_namespace = 1;
    engine_post(a->room->engine, q);
    room_pump(a->room);
}

/* For those who still wait. */
static void ask(struct account *a)
{
    if (!a->waits)
        return;
    if (a->facts == ACCOUNT_NEW) {
        a->facts = ACCOUNT_ASKING;
        vault_facts(a->room->vault, a->profile, on_facts, a);
    } else if (a->facts == ACCOUNT_KNOWN && !a->asking_namespace) {
        ask_namespace(a);
    }
}

/* As run.c does it for other requests: a better clock or fresh credentials, once. */
static int mend_auth(struct account *a, const struct xfer_request *req)
{
    if (!req->err.code)
        a->n_auth = 0;
    else if (req->kind == OCI_KIND_CLOCK && !a->n_auth++)
        room_learn_clock(a->room, a, req->server_date_offset_s);
    else if (req->kind == OCI_KIND_CREDENTIALS && !a->n_auth++)
        room_refused(a->room, a);
    else
        return a->n_auth = 0;
    return a->n_auth > 0;
}

/* The facts may have been forgotten meanwhile; then they are asked for before the waits end. */
static void on_namespace(struct answer_to *self, struct xfer_request *req)
{
    struct account *a = OC_OWNER(self, struct account, answer);
    struct oc_err err = req->err;
    a->asking_namespace = 0;
    if (mend_auth(a, req)) {
        xfer_request_fini(req);
        ask(a);
        return;
    }
    if (!err.code)
        oci_parse_namespace(req->reply_body, req->reply_len, a->namespace, sizeof a->namespace,
                            &err);
    xfer_request_fini(req);
    if (a->namespace[0])
        refused_ends(a, NULL);
    else if (err.code == OCID_E_LOGIN)
        refused_begins(a, NULL, &err);
    tell(a, a->namespace[0] ? NULL : &err);
    ask(a);
}

void account_free(struct account *a)
{
    while (a->at) {
        struct account_place *at = a->at;
        a->at = at->older;
        free(at);
    }
    free(a->tenancy);
    free(a->user);
    free(a);
}

static int place_services(struct account *a, const struct vault_facts *facts, struct oc_err *err)
{
    const struct config *c = a->room->config;
    struct oci_place place = {.override = c->network_endpoint, .region = facts->region};
    struct account_place at = {0};
    int rc = oci_endpoint_make(OCI_OBJECT_STORAGE, &place, &at.storage, err);
    if (rc)
        return rc;
    place.override = c->network_identity_endpoint;
    if (!*place.override)
        place.override = c->network_endpoint; /* a stand-in serves both */
    if ((rc = oci_endpoint_make(OCI_IDENTITY, &place, &at.identity, err)))
        return rc;
    if (a->at && !strcmp(a->at->storage.base, at.storage.base) &&
        !strcmp(a->at->identity.base, at.identity.base))
        return 0;
    at.older = a->at;
    a->at = oc_memdup(&at, sizeof at);
    return 0;
}

static void on_facts(void *arg, const struct vault_facts *facts, const struct oc_err *vault_err)
{
    struct account *a = arg;
    struct oc_err err = {0};
    a->facts = ACCOUNT_NEW;
    if (!a->room) {
        if (!a->renewing)
            account_free(a);
        return;
    }
    if (!facts || facts->err.code) {
        tell(a, facts ? &facts->err : vault_err);
        return;
    }
    if (place_services(a, facts, &err)) {
        tell(a, &err);
        return;
    }
    if (strcmp(a->tenancy, facts->tenancy))
        a->namespace[0] = 0;
    if (*a->room->config->network_namespace)
        snprintf(a->namespace, sizeof a->namespace, "%s", a->room->config->network_namespace);
    free(a->tenancy);
    free(a->user);
    a->tenancy = oc_strdup(facts->tenancy);
    a->user = oc_strdup(facts->user);
    a->facts = ACCOUNT_KNOWN;
    tell(a, NULL);
    ask(a);
}

int account_need(struct account *a, struct account_wait *w, enum account_need need)
{
    assert(!w->waiting);
    if (is_met(a, need))
        return 1;
    w->need = need;
    w->waiting = 1;
    w->next = a->waits;
    a->waits = w;
    ask(a);
    return 0;
}

void account_drop(struct account *a)
{
    struct account **at = &a->room->accounts.list;
    if (a->waits || a->asking_namespace || a->renewing || a->facts != ACCOUNT_NEW || a->at)
        return;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    account_free(a);
}

void account_need_end(struct account *a, struct account_wait *w)
{
    for (struct account_wait **at = &a->waits; *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            w->waiting = 0;
            return;
        }
}

void accounts_forget(struct accounts *all)
{
    for (struct account *a = all->list; a; a = a->next)
        if (a->facts == ACCOUNT_KNOWN)
            a->facts = ACCOUNT_NEW;
}

void accounts_fini(struct accounts *all)
{
    while (all->list) {
        struct account *a = all->list;
        assert(!a->waits && !a->asking_namespace);
        all->list = a->next;
        a->room = NULL;
        if (a->facts != ACCOUNT_ASKING && !a->renewing)
            account_free(a); /* else the answer frees it: the vault closes later */
    }
}
