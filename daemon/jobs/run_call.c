/* SPDX-License-Identifier: Apache-2.0
 *
 * run_call.c - jobs of one request: head, delete, mkbucket, whoami, namespace, abort,
 * revoke.
 *
 * Control loop. What the answer says becomes the outcome's result.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "jobs/room.h"
#include "jobs/run.h"
#include "jobs/share.h"
#include "jobs/uploads.h"
#include "proto/text.h"

/* Pairs of the result, as they are found. */
struct result {
    struct oc_buf b;
    uint32_t n;
};

static void add(struct result *r, const char *key, const char *value)
{
    char clean[1025];
    if (!value || !*value)
        return;
    ocp_add_pair(&r->b, key, clean, oc_text_escape(value, strlen(value), clean, sizeof clean));
    r->n++;
}

static void prepare(struct run *u)
{
    if (u->stopping) {
        u->has_verdict = 0;
        run_settle(u);
    } else {
        run_ready(u);
    }
}

static int build_delete(struct run *u, struct run_request *q, struct oc_err *err)
{
    struct run_names names;
    struct oci_where w = run_where(u, &names);
    char match[129], version[129];
    struct oci_get_options o = {0};
    if (u->spec.if_match.n)
        o.if_match = ocp_str_copy(u->spec.if_match, match, sizeof match);
    if (u->spec.version_id.n)
        o.version_id = ocp_str_copy(u->spec.version_id, version, sizeof version);
    return u->job->kind == OCP_ENUM_kind_head ? oci_call_head(&w, &o, &q->x.call, err)
                                              : oci_call_delete(&w, &o, &q->x.call, err);
}

/* What a job of ours is at work on is not taken from under it. */
static int build_abort(struct run *u, struct run_request *q, struct oc_err *err)
{
    struct run_names names;
    struct oci_where w = run_where(u, &names);
    struct upload_owner owner;
    char id[512];
    ocp_str_copy(u->spec.upload_id, id, sizeof id);
    upload_owner_find(u->room, u->spec.bucket, names.object, id, &owner);
    if (!owner.unfinished)
        return oci_call_upload_abort(&w, id, &q->x.call, err);
    if (owner.uid != u->job->uid)
        return oc_fail(err, OCID_E_STATE, 0, "the upload is another's, who is at work on it");
    return oc_fail(err, OCID_E_STATE, 0,
                   "the upload %s that of job %" PRIu64 ", which has not ended: cancel the job",
                   owner.certain ? "is" : "may be", owner.job);
}

static int build(struct run *u, struct run_request *q, struct oc_err *err)
{
    struct run_names names;
    struct oci_where w = run_where(u, &names);
    char compartment[257], tier[33], id[2049];
    switch (u->job->kind) {
    case OCP_ENUM_kind_head:
    case OCP_ENUM_kind_delete:
        return build_delete(u, q, err);
    case OCP_ENUM_kind_mkbucket:
        ocp_str_copy(u->spec.compartment, compartment, sizeof compartment);
        ocp_str_copy(u->spec.storage_tier, tier, sizeof tier);
        if (u->of)
            return oci_call_bucket(&w, &q->x.call, err);
        return oci_call_bucket_create(&w, run_compartment(u, compartment), tier[0] ? tier : NULL,
                                      &q->x.call, err);
    case OCP_ENUM_kind_abort:
        return build_abort(u, q, err);
    case OCP_ENUM_kind_revoke:
        return oci_call_par_delete(&w, ocp_str_copy(u->spec.share_id, id, sizeof id), &q->x.call,
                                   err);
    case OCP_ENUM_kind_whoami:
        q->x.base = u->account->at->identity.base;
        q->x.what = "the user of the profile";
        if (!u->account->user[0])
            return oc_fail(err, OCID_E_CONFIG, 0,
                           "profile '%s' names no user: whoami has nobody to ask for",
                           u->account->profile);
        return oci_call_user(u->account->at->identity.host, u->account->user, &q->x.call, err);
    default:
        q->x.what = "the namespace";
        return oci_call_namespace(u->account->at->storage.host, NULL, &q->x.call, err);
    }
}

static enum run_sent send_one(struct run *u)
{
    run_ask(u, build);
    return RUN_BUSY;
}

static void add_head(struct result *res, const struct oci_reply *r)
{
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)r->content_length);
    add(res, "content-length", number);
    add(res, "content-type", r->content_type);
    add(res, "etag", r->etag);
    add(res, "content-md5", r->content_md5);
    add(res, "opc-multipart-md5", r->opc_multipart_md5);
    add(res, "storage-tier", r->storage_tier);
    add(res, "archival-state", r->archival_state);
    add(res, "version-id", r->version_id);
    if (r->has_crc32c) {
        snprintf(number, sizeof number, "%08x", r->crc32c);
        add(res, "crc32c", number);
    }
    if (r->last_modified) {
        char when[32];
        struct tm tm;
        gmtime_r(&r->last_modified, &tm);
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
        add(res, "last-modified", when);
    }
    for (const struct oci_meta *m = r->meta; m; m = m->next) {
        char key[300];
        snprintf(key, sizeof key, "opc-meta-%.256s", m->name);
        add(res, key, m->value);
    }
}

static int on_bucket(void *arg, const struct oci_bucket *b)
{
    struct result *res = arg;
    add(res, "name", b->name);
    add(res, "namespace", b->namespace);
    add(res, "compartment", b->compartment);
    add(res, "etag", b->etag);
    return 0;
}

/* Where the credential came from. */
static void add_credential(struct run *u, struct result *res)
{
    const struct vault_facts *f = vault_facts_known(u->room->vault, u->account->profile);
    add(res, "profile", u->account->profile);
    add(res, "config", u->room->config->credentials_config_file);
    if (f) {
        add(res, "credential", f->mode);
        add(res, "fingerprint", f->fingerprint);
    }
    add(res, "endpoint", u->account->at->storage.base);
}

static int read_user(struct run *u, struct run_request *q, struct result *res, struct oc_err *err)
{
    struct oci_user user;
    int rc = oci_parse_user(q->x.reply_body, q->x.reply_len, &user, err);
    if (rc)
        return rc;
    add(res, "id", user.id);
    add(res, "name", user.name);
    add(res, "description", user.description);
    add(res, "email", user.email);
    add(res, "created", user.created);
    add(res, "state", user.state);
    add(res, "tenancy", u->account->tenancy);
    add_credential(u, res);
    if (user.json[0]) {
        ocp_add_pair(&res->b, "user", user.json, strlen(user.json));
        res->n++;
    }
    return 0;
}

/* And of the service itself: where it is, and by how much its clock is ahead of ours. */
static int read_namespace(struct run *u, struct run_request *q, struct result *res,
                          struct oc_err *err)
{
    char ns[257], seconds[24];
    int rc = oci_parse_namespace(q->x.reply_body, q->x.reply_len, ns, sizeof ns, err);
    if (rc)
        return rc;
    add(res, "namespace", ns);
    add(res, "endpoint", u->account->at->storage.base);
    if (q->x.reply.date) {
        snprintf(seconds, sizeof seconds, "%" PRId64, q->x.server_date_offset_s);
        add(res, "clock_ahead_s", seconds);
    }
    return 0;
}

static int read_answer(struct run *u, struct run_request *q, struct result *res, struct oc_err *err)
{
    switch (u->job->kind) {
    case OCP_ENUM_kind_head:
        add_head(res, &q->x.reply);
        return 0;
    case OCP_ENUM_kind_mkbucket:
        return oci_parse_bucket(q->x.reply_body, q->x.reply_len, on_bucket, res, err);
    case OCP_ENUM_kind_whoami:
        return read_user(u, q, res, err);
    case OCP_ENUM_kind_namespace:
        return read_namespace(u, q, res, err);
    default:
        return 0;
    }
}

/* ---- a bucket that is there already: our own first try may have made it ---- */

struct bucket_look {
    const struct run *run;
    int64_t since_ms; /* the job's birth, by the service's clock */
    int ours;
};

/* Nobody else is told from us who makes it in the same moments, in the same compartment. */
static int on_bucket_found(void *arg, const struct oci_bucket *b)
{
    struct bucket_look *l = arg;
    char compartment[257];
    const char *wanted = run_compartment(l->run, compartment);
    l->ours = b->created_ms >= l->since_ms && b->compartment && !strcmp(b->compartment, wanted);
    return 0;
}

/* u->of holds the refusal while whose bucket it is is being asked. 1: that has begun, or is the end
 * of the job; 0: the answer stands for itself. */
static int ask_whose(struct run *u, struct run_request *q, int ok)
{
    enum { SECOND = 1000 }; /* as fine as a Date is */
    struct bucket_look look = {u, u->job->created_at + (q->x.server_date_offset_s - 1) * SECOND, 0};
    struct oc_err err;
    if (!u->of && !ok && q->x.kind == OCI_KIND_EXISTS && (u->job->unseen || u->job->restored)) {
        u->of = oc_memdup(&q->x.err, sizeof q->x.err);
        return 1;
    }
    if (!u->of || (!ok && q->x.kind != OCI_KIND_NO_BUCKET))
        return 0;
    if (ok && oci_parse_bucket(q->x.reply_body, q->x.reply_len, on_bucket_found, &look, &err)) {
        run_fail(u, &err);
        return 1;
    }
    if (look.ours)
        return 0;
    run_fail(u, u->of);
    return 1;
}

static void answered(struct run *u, struct run_request *q, int ok)
{
    struct oc_err err = q->x.err;
    struct result res = {0};
    struct ocp_outcome o = {0};
    u->job->unseen |= (ok && u->stopping) || run_unseen(q, ok); /* its end says nothing of it */
    if (u->stopping)
        return;
    if (u->job->kind == OCP_ENUM_kind_mkbucket && ask_whose(u, q, ok))
        return;
    int lost = ((u->job->kind == OCP_ENUM_kind_delete && q->x.kind == OCI_KIND_NO_OBJECT) ||
                (u->job->kind == OCP_ENUM_kind_abort && q->x.kind == OCI_KIND_NO_UPLOAD) ||
                (u->job->kind == OCP_ENUM_kind_revoke && share_gone(q))) &&
               (u->job->unseen || u->job->restored); /* our own first try had succeeded */
    oc_buf_init(&res.b, 64 << 10);
    if (!ok && !lost) {
        run_fail(u, &err);
    } else if (ok && read_answer(u, q, &res, &err)) {
        run_fail(u, &err);
    } else {
        OCP_SET(&o, outcome, result, ocp_span(&res.b, res.n));
        char etag[129] = "", request_id[129] = "";
        run_take_text(etag, sizeof etag, q->x.reply.etag);
        run_take_text(request_id, sizeof request_id, q->x.reply.opc_request_id);
        if (request_id[0])
            OCP_SET(&o, outcome, request_id, ocp_str(request_id));
        if (etag[0])
            OCP_SET(&o, outcome, etag, ocp_str(etag));
        run_done(u, &o);
    }
    oc_buf_fini(&res.b);
}

static void call_free(struct run *u)
{
    free(u->of);
}

const struct run_ops run_call_ops = {
    .need = NEED_NAMESPACE,
    .prepare = prepare,
    .send = send_one,
    .answered = answered,
    .free = call_free,
};
