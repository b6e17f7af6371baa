/* SPDX-License-Identifier: Apache-2.0
 *
 * fetch.c - requests that the signer wants to be made: it has no network itself.
 *
 * Control loop. Start at room_fetch(). They go to two places only, whatever the signer says: to the
 * metadata service of this machine, and to the Auth service of a region. What they carry (tokens,
 * the key of an instance) is wiped once it has been handed over.
 * Source: instance metadata of Oracle Cloud, version 2.
 */
#include "jobs/fetch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "jobs/room.h"

enum { ANSWER_MAX = WIRE_STRING_MAX };

/* Link-local: plain http is right there, and nowhere else. */
static const char *const metadata_hosts[] = {"169.254.169.254", "[fd00:c1::a9fe:a9fe]"};

struct fetch {
    struct answer_to answer;
    struct xfer_request x;
    struct room *room;
    uint64_t tag;
    enum wire_fetch kind;
    char profile[WIRE_PROFILE_MAX + 1];
    char host[OCI_HOST_SIZE], base[OCI_BASE_SIZE];
    char *document;
    unsigned n_hosts; /* of the metadata service that were tried */
    int clock_learnt;
};

static void on_done(struct answer_to *self, struct xfer_request *req);

static void fetch_free(struct fetch *f)
{
    if (f->x.reply_body)
        explicit_bzero(f->x.reply_body, f->x.reply_len);
    xfer_request_fini(&f->x);
    free(f->document);
    free(f);
}

/* 0, or *err. */
static int place_metadata(struct fetch *f, struct oc_err *err)
{
    const char *override = f->room->config->network_metadata_endpoint;
    struct oci_place place = {.override = override};
    struct oci_endpoint at;
    if (!*override) {
        snprintf(f->host, sizeof f->host, "%s", metadata_hosts[f->n_hosts]);
        snprintf(f->base, sizeof f->base, "http://%s", f->host);
        return 0;
    }
    int rc = oci_endpoint_make(OCI_AUTH, &place, &at, err);
    memcpy(f->host, at.host, sizeof f->host);
    memcpy(f->base, at.base, sizeof f->base);
    return rc;
}

static int place_auth(struct fetch *f, const char *region, struct oc_err *err)
{
    const struct config *c = f->room->config;
    struct oci_place place = {.override = c->network_auth_endpoint, .region = region};
    struct oci_endpoint at;
    if (!*place.override)
        place.override = c->network_endpoint; /* a stand-in serves all */
    int rc = oci_endpoint_make(OCI_AUTH, &place, &at, err);
    memcpy(f->host, at.host, sizeof f->host);
    memcpy(f->base, at.base, sizeof f->base);
    return rc;
}

static int build(struct fetch *f, const struct vault_fetch *asked, struct oc_err *err)
{
    struct xfer_request *x = &f->x;
    *x = (struct xfer_request){.owner = &f->answer,
                               .max_memory = ANSWER_MAX,
                               .base = f->base,
                               .urgent = 1, /* transfers may be waiting for just this */
                               .priority = UINT8_MAX};
    if (f->kind == WIRE_FETCH_METADATA) {
        x->what = "the metadata service";
        int rc = place_metadata(f, err);
        return rc ? rc : oci_call_metadata(f->host, f->document, &x->call, err);
    }
    x->what = "the Auth service";
    x->profile = f->profile;
    x->from = BODY_REQUEST;
    int rc = place_auth(f, asked->region, err);
    return rc ? rc
              : oci_call_auth(f->host, asked->target, asked->body, f->kind == WIRE_FETCH_FEDERATE,
                              &x->call, err);
}

static void post(struct fetch *f)
{
    engine_post(f->room->engine, &f->x);
    room_pump(f->room);
}

/* An instance that has IPv6 alone, or a clock that is wrong. 1: it has been sent once more. */
static int again(struct fetch *f)
{
    struct oc_err err;
    if (f->x.err.code == OCID_E_NETWORK && f->kind == WIRE_FETCH_METADATA &&
        !*f->room->config->network_metadata_endpoint && !f->n_hosts++) {
        xfer_request_fini(&f->x);
        if (build(f, NULL, &err))
            return 0;
        post(f);
        return 1;
    }
    if (f->x.kind != OCI_KIND_CLOCK || f->clock_learnt++)
        return 0;
    log_warn("our clock differs from that of %s by %" PRId64 " s: requests are dated by theirs",
             f->host, f->x.server_date_offset_s);
    engine_set_clock(f->room->engine, f->host, f->x.server_date_offset_s);
    vault_offset(f->room->vault, f->host, f->x.server_date_offset_s);
    return 0; /* the signer begins anew */
}

static void on_done(struct answer_to *self, struct xfer_request *req)
{
    struct fetch *f = OC_OWNER(self, struct fetch, answer);
    if (again(f))
        return;
    int code = req->kind == OCI_KIND_CLOCK ? OCID_E_UNAVAILABLE : req->err.code;
    const char *text = code ? req->err.text : req->reply_body ? req->reply_body : "";
    vault_fetched(f->room->vault, f->tag, code, req->reply.status, text);
    fetch_free(f);
}

void room_fetch(struct room *r, const struct vault_fetch *asked)
{
    struct fetch *f = OC_NEW(struct fetch);
    struct oc_err err;
    f->answer.on_done = on_done;
    f->room = r;
    f->tag = asked->tag;
    f->kind = asked->kind;
    snprintf(f->profile, sizeof f->profile, "%s", asked->profile);
    f->document = oc_strdup(asked->target);
    if (build(f, asked, &err)) {
        vault_fetched(r->vault, f->tag, err.code, 0, err.text);
        fetch_free(f);
        return;
    }
    post(f);
}
