/* SPDX-License-Identifier: Apache-2.0
 *
 * renew.c - tokens that come over the network: one renewal a profile at a time, step by step.
 *
 * Control thread. A mode says what it wants to ask next, ocid asks, and the mode hears the answer;
 * what it has in the end replaces the credential as a whole. The old one is used until then, and
 * stays when the renewal fails: that is tried again after 1, 2, 4 … 60 s.
 */
#include "signer/renew.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 64, PAUSE_MOST_S = 60, FRESH_S = 2, AWAY_S = 86400 };

struct renewal {
    uint64_t tag; /* of the fetch under way; 0: free */
    struct cred *fresh;
    void *state; /* the mode's */
};

struct renewals {
    struct creds *creds;
    struct renewals_hooks hooks;
    uint64_t last_tag;
    struct renewal slot[AT_ONCE];
};

struct renewals *renewals_new(struct creds *c, const struct renewals_hooks *hooks)
{
    struct renewals *r = calloc(1, sizeof *r);
    if (!r)
        abort();
    r->creds = c;
    r->hooks = *hooks;
    return r;
}

static void drop(struct renewal *w)
{
    w->fresh->mode->end(w->state);
    free(w->state);
    creds_copy_free(w->fresh);
    *w = (struct renewal){0};
}

void renewals_free(struct renewals *r)
{
    if (!r)
        return;
    for (int i = 0; i < AT_ONCE; i++)
        if (r->slot[i].tag)
            drop(&r->slot[i]);
    free(r);
}

static int64_t pause_s(unsigned n_failed)
{
    return n_failed > 5 ? PAUSE_MOST_S : 1 << n_failed;
}

/* One step; ends the renewal unless there is another. */
static void step(struct renewals *r, struct renewal *w, const struct mode_answer *answer,
                 int64_t now)
{
    struct mode_ask ask = {0};
    struct oc_err err = {0};
    char profile[WIRE_PROFILE_MAX + 1];
    int rc = w->fresh->mode->step(w->state, w->fresh, answer, &ask, &err);
    if (rc == MODE_ASK) {
        w->tag = ++r->last_tag;
        if (ask.kind == WIRE_FETCH_FEDERATE)
            creds_lend(r->creds, w->fresh);
        r->hooks.fetch(r->hooks.arg, w->tag, w->fresh->name, &ask);
        return;
    }
    snprintf(profile, sizeof profile, "%s", w->fresh->name);
    int changed = 0;
    if (rc == MODE_DONE)
        changed = creds_renewed(r->creds, w->fresh, now);
    else
        creds_not_renewed(r->creds, profile, now + pause_s(w->fresh->n_failed), &err);
    drop(w);
    r->hooks.over(r->hooks.arg, profile, changed);
}

static struct renewal *find(struct renewals *r, const char *profile, size_t n)
{
    for (int i = 0; i < AT_ONCE; i++)
        if (r->slot[i].tag && strlen(r->slot[i].fresh->name) == n &&
            !memcmp(r->slot[i].fresh->name, profile, n))
            return &r->slot[i];
    return NULL;
}

static struct renewal *find_tag(struct renewals *r, uint64_t tag)
{
    for (int i = 0; i < AT_ONCE; i++)
        if (tag && r->slot[i].tag == tag)
            return &r->slot[i];
    return NULL;
}

static struct renewal *find_free(struct renewals *r)
{
    for (int i = 0; i < AT_ONCE; i++)
        if (!r->slot[i].tag)
            return &r->slot[i];
    return NULL;
}

static void begin(struct renewals *r, const struct cred *c, int64_t now)
{
    struct renewal *w = find_free(r);
    if (!w)
        return; /* when another one has ended */
    w->tag = ++r->last_tag;
    w->fresh = creds_copy(c);
    if (!(w->state = calloc(1, c->mode->state_size)))
        abort();
    creds_put_off(r->creds, c, now + AWAY_S); /* its end says when the next one is due */
    step(r, w, NULL, now);
}

void renewals_due(struct renewals *r, int64_t now)
{
    const struct cred *c;
    for (size_t i = 0; (c = creds_at(r->creds, i)); i++)
        if (creds_by_network(c) && creds_due(r->creds, c, now) &&
            !find(r, c->name, strlen(c->name)))
            begin(r, c, now);
}

int renewals_want(struct renewals *r, const char *profile, size_t n, int64_t now)
{
    struct oc_err err;
    const struct cred *c = creds_find(r->creds, profile, n, &err);
    if (!c || !creds_by_network(c) || c->code || c->state == WIRE_KEY_LOCKED)
        return 0;
    int may = c->n_failed ? creds_due(r->creds, c, now) : now >= c->tried_at + FRESH_S;
    if (!find(r, profile, n) && may)
        begin(r, c, now);
    return find(r, profile, n) != NULL;
}

void renewals_answer(struct renewals *r, uint64_t tag, const struct mode_answer *a, int64_t now)
{
    struct renewal *w = find_tag(r, tag);
    if (w)
        step(r, w, a, now);
}
