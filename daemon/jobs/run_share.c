/* SPDX-License-Identifier: Apache-2.0
 *
 * run_share.c - makes a link that needs no credentials (a pre-authenticated request).
 *
 * Control loop. The service tells a link once, in the answer to the request that makes it, and
 * would make a second one if it were asked again. So the link is named after the job, and an intent
 * is on disk before it is asked for: whenever an answer was lost, in this life or an earlier one,
 * the links of that name are looked for and ended, and only then a new one is made. The same is
 * done behind a job that does not end well. Nothing of a link stands in the log.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/mem.h"
#include "jobs/room.h"
#include "jobs/run.h"
#include "jobs/share.h"
#include "proto/text.h"

enum asks { ASKS_LINK, ASKS_LIST, ASKS_END };

struct share {
    char name[SHARE_NAME_SIZE];
    enum asks asked; /* what is in flight: one request at a time */
    int intent;      /* a row says that links of this name may exist */
    int doubt;       /* there may be some that we do not know: look for them first */
    char *page;      /* where the next page of that list begins; NULL: at the first */
    char **ids;      /* links of that name, to be ended */
    size_t n_ids;
    char *id, *url; /* the link; NULL: not made yet */
    char expires[OC_TIME_SIZE], request_id[129];
};

/* ---- the row ---- */

static struct store_xfer row_of(const struct run *u)
{
    return (struct store_xfer){.job = u->job->id, .phase = 1};
}

static void on_saved(struct room_op *o)
{
    struct run *u = o->arg;
    struct share *s = u->of;
    struct oc_err err = o->op.err;
    s->intent = !err.code;
    run_go_on(u, &err);
}

static void save(struct run *u)
{
    struct room_op *o = room_op_new(u->room, STORE_XFER, on_saved, u);
    o->op.xfer = row_of(u);
    run_work_begin(u);
    room_op_post(o);
}

/* ---- requests ---- */

static int build_link(const struct run *u, const struct share *s, struct run_request *q,
                      struct oc_err *err)
{
    static const enum oci_access access[] = {[OCP_ENUM_access_read] = OCI_ACCESS_READ,
                                             [OCP_ENUM_access_write] = OCI_ACCESS_WRITE,
                                             [OCP_ENUM_access_read_write] = OCI_ACCESS_READ_WRITE};
    struct run_names names;
    struct oci_where w = run_where(u, &names);
    struct oci_par_options o = {.name = s->name,
                                .access = access[u->spec.access],
                                .prefix = u->spec.prefix,
                                .listing = u->spec.listing,
                                .expires_ms = (int64_t)u->spec.expires_at};
    q->step.op = OP_CREATE; /* only its answer tells what there is to be ended */
    return oci_call_par_create(&w, &o, &q->x.call, err);
}

static int build(struct run *u, struct run_request *q, struct oc_err *err)
{
    struct share *s = u->of;
    struct run_names names;
    struct oci_where w = run_where(u, &names);
    q->x.max_memory = s->asked == ASKS_LIST ? OCI_BODY_MAX : OCI_ERROR_BODY_MAX;
    switch (s->asked) {
    case ASKS_LINK:
        return build_link(u, s, q, err);
    case ASKS_END:
        return oci_call_par_delete(&w, s->ids[s->n_ids - 1], &q->x.call, err);
    default:
        return oci_call_pars(&w, OCI_PAGE_MAX, s->page, &q->x.call, err);
    }
}

static void request(struct run *u, enum asks asks)
{
    struct share *s = u->of;
    s->asked = asks;
    run_ask(u, build);
}

/* ---- answers ---- */

static int on_made(void *arg, const struct oci_par *p)
{
    struct run *u = arg;
    struct share *s = u->of;
    char link[OCI_LINK_SIZE];
    if (oci_par_link(p, u->account->at->storage.base, link, sizeof link))
        return OCID_E_SERVER;
    s->id = oc_strdup(p->id);
    s->url = oc_strdup(link);
    oc_text_time(p->expires_ms ? p->expires_ms : (int64_t)u->spec.expires_at, s->expires);
    return 0;
}

static int made(struct run *u, struct run_request *q, int ok, struct oc_err *err)
{
    struct share *s = u->of;
    s->doubt |= run_unseen(q, ok);
    if (!ok)
        return err->code;
    int rc = oci_parse_par(q->x.reply_body, q->x.reply_len, on_made, u, err);
    if (rc) {
        s->doubt = 1;
        return rc == err->code
                   ? rc
                   : oc_fail(err, rc, 0, "%s: the link in the answer is too long", u->what);
    }
    run_take_text(s->request_id, sizeof s->request_id, q->x.reply.opc_request_id);
    return 0;
}

static int on_listed(void *arg, const struct oci_par *p)
{
    struct share *s = arg;
    if (strcmp(p->name, s->name) != 0 || (s->id && !strcmp(p->id, s->id)))
        return 0;
    s->ids = oc_grow(s->ids, s->n_ids + 1, sizeof *s->ids);
    s->ids[s->n_ids++] = oc_strdup(p->id);
    return 0;
}

static int listed(struct share *s, struct run_request *q, int ok, struct oc_err *err)
{
    int rc = ok ? oci_parse_pars(q->x.reply_body, q->x.reply_len, on_listed, s, err) : err->code;
    if (rc)
        return rc;
    free(s->page);
    s->page = q->x.reply.opc_next_page ? oc_strdup(q->x.reply.opc_next_page) : NULL;
    s->doubt = s->page != NULL;
    return 0;
}

static int ended(struct share *s, struct run_request *q, int ok, const struct oc_err *err)
{
    if (!ok && !share_gone(q))
        return err->code;
    free(s->ids[--s->n_ids]);
    return 0;
}

static void answered(struct run *u, struct run_request *q, int ok)
{
    struct share *s = u->of;
    struct oc_err err = q->x.err;
    int rc = s->asked == ASKS_LINK   ? made(u, q, ok, &err)
             : s->asked == ASKS_LIST ? listed(s, q, ok, &err)
                                     : ended(s, q, ok, &err);
    if (rc && (!u->stopping || u->cleaning))
        run_fail(u, &err);
}

/* ---- the plan ---- */

static void finish(struct run *u)
{
    struct share *s = u->of;
    struct ocp_outcome o = {0};
    struct oc_buf b;
    oc_buf_init(&b, 4 * OCI_LINK_SIZE);
    ocp_add_pair(&b, "url", s->url, strlen(s->url));
    ocp_add_pair(&b, "expires", s->expires, strlen(s->expires));
    ocp_add_pair(&b, "share_id", s->id, strlen(s->id));
    ocp_add_pair(&b, "share_name", s->name, strlen(s->name));
    OCP_SET(&o, outcome, result, ocp_span(&b, 4));
    if (s->request_id[0])
        OCP_SET(&o, outcome, request_id, ocp_str(s->request_id));
    run_done(u, &o);
    oc_buf_fini(&b);
}

static enum run_sent send_next(struct run *u)
{
    struct share *s = u->of;
    if (u->n_requests || u->n_work > 1) /* run_grant() itself counts as one */
        return RUN_BUSY;
    s->intent |= OC_MUTANT("link");
    if (!s->intent)
        save(u);
    else if (s->n_ids)
        request(u, ASKS_END);
    else if (s->doubt)
        request(u, ASKS_LIST);
    else if (!s->url)
        request(u, ASKS_LINK);
    else
        finish(u);
    return RUN_BUSY;
}

/* ---- birth and death ---- */

static void forget_link(struct share *s)
{
    free(s->id);
    free(s->url);
    s->id = s->url = NULL;
}

/* The job has ended otherwise than done: what it has made is ended, too. */
static int clean(struct run *u)
{
    struct share *s = u->of;
    if (!s || !s->intent)
        return 0;
    if (s->url) {
        forget_link(s);
        s->doubt = 1;
    }
    if (s->n_ids || s->doubt) {
        u->cleaning = 1;
        request(u, s->n_ids ? ASKS_END : ASKS_LIST);
        return u->n_requests > 0;
    }
    struct room_op *o = room_op_new(u->room, STORE_DROP_XFER, NULL, NULL);
    o->op.id = u->job->id;
    room_op_post(o);
    s->intent = 0;
    return 0;
}

static void prepare(struct run *u)
{
    struct share *s = u->of;
    if (!s) {
        s = u->of = OC_NEW(struct share);
        share_name(store_uuid(u->room->store), u->job->id, s->name);
        struct saved *row = room_saved_take(u->room, u->job->id);
        s->intent = s->doubt = row != NULL;
        if (row)
            room_saved_free(row);
    }
    if (u->stopping && !s->intent) /* nothing is left to clean up */
        u->has_verdict = 0;
    run_ready(u);
}

static void share_free(struct run *u)
{
    struct share *s = u->of;
    if (!s)
        return;
    if (s->intent && !job_is_over(u->job)) {
        struct store_xfer row = row_of(u);
        room_saved_keep(u->room, &row);
    }
    while (s->n_ids)
        free(s->ids[--s->n_ids]);
    free(s->ids);
    free(s->page);
    forget_link(s);
    free(s);
}

const struct run_ops run_share_ops = {
    .need = NEED_NAMESPACE,
    .prepare = prepare,
    .send = send_next,
    .answered = answered,
    .clean = clean,
    .free = share_free,
};
