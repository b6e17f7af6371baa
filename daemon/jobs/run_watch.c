/* SPDX-License-Identifier: Apache-2.0
 *
 * run_watch.c - a watch: done when an object has appeared, is another one than it was, or has gone.
 *
 * Control loop. A run is one look, by a HEAD; until the next one the job waits without a run
 * (sleep.h), as ten thousand of them may. Nothing of it is kept but what was asked for, so a
 * restart changes nothing. The answer to a HEAD cannot say whether the object or the bucket is
 * missing: the first look that finds nothing asks for that, since a bucket that is not there is a
 * mistake.
 */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "jobs/room.h"
#include "jobs/run.h"
#include "jobs/watch.h"

struct watch {
    int ask_bucket; /* the object is not there; is the bucket? */
};

static void prepare(struct run *u)
{
    if (u->stopping) {
        u->has_verdict = 0;
        run_settle(u);
        return;
    }
    if (!u->of)
        u->of = OC_NEW(struct watch);
    run_ready(u);
}

static int build(struct run *u, struct run_request *q, struct oc_err *err)
{
    const struct watch *w = u->of;
    struct run_names names;
    struct oci_where where = run_where(u, &names);
    char etag[129];
    if (w->ask_bucket) {
        struct oci_list_options list = {.prefix = names.object, .fields = "name", .limit = 1};
        q->x.max_memory = OCI_BODY_MAX;
        return oci_call_list(&where, &list, &q->x.call, err);
    }
    struct oci_get_options head = {0};
    if (u->spec.if_none_match.n)
        head.if_none_match = ocp_str_copy(u->spec.if_none_match, etag, sizeof etag);
    return oci_call_head(&where, &head, &q->x.call, err);
}

static enum run_sent send_one(struct run *u)
{
    run_ask(u, build);
    return RUN_BUSY;
}

static void look_again(struct run *u)
{
    int64_t age_ms = clock_wall_ms() - u->job->created_at;
    u->job->attempt = 0; /* it was an answer */
    run_sleep(u, OCP_ENUM_why_object,
              watch_delay_ms(age_ms > 0 ? (uint64_t)age_ms : 0, u->spec.every_ms,
                             u->room->sleepers.n_watches, clock_random()));
}

static void seen(struct run *u, const struct run_request *q)
{
    struct ocp_outcome o = {0};
    char etag[129] = "", version[129] = "", request_id[129] = "";
    run_take_text(etag, sizeof etag, q->x.reply.etag);
    run_take_text(version, sizeof version, q->x.reply.version_id);
    run_take_text(request_id, sizeof request_id, q->x.reply.opc_request_id);
    if (etag[0])
        OCP_SET(&o, outcome, etag, ocp_str(etag));
    if (version[0])
        OCP_SET(&o, outcome, version_id, ocp_str(version));
    if (request_id[0])
        OCP_SET(&o, outcome, request_id, ocp_str(request_id));
    if (!u->spec.gone && q->x.reply.content_length >= 0)
        OCP_SET(&o, outcome, bytes, (uint64_t)q->x.reply.content_length);
    run_done(u, &o);
}

static void there(struct run *u, const struct run_request *q)
{
    int same = q->x.reply.etag && ocp_str_is(u->spec.if_none_match, q->x.reply.etag);
    if (u->spec.gone || same)
        look_again(u);
    else
        seen(u, q);
}

static void not_there(struct run *u, const struct run_request *q)
{
    if (u->spec.gone)
        seen(u, q);
    else
        look_again(u);
}

/* Who may not list objects cannot be told: the object alone counts. */
static void bucket_answered(struct run *u, const struct run_request *q, int ok)
{
    int refused = q->x.err.code == OCID_E_DENIED ||
                  (q->x.err.code == OCID_E_NOT_FOUND && q->x.kind != OCI_KIND_NO_BUCKET &&
                   q->x.kind != OCI_KIND_NO_NAMESPACE);
    if (ok || refused)
        not_there(u, q);
    else
        run_fail(u, &q->x.err);
}

static void answered(struct run *u, struct run_request *q, int ok)
{
    struct watch *w = u->of;
    struct oc_err err = q->x.err;
    if (u->stopping)
        return;
    if (w->ask_bucket)
        bucket_answered(u, q, ok);
    else if (ok)
        there(u, q);
    else if (q->x.kind == OCI_KIND_NOT_MODIFIED)
        look_again(u);
    else if (err.code == OCID_E_NOT_FOUND && !u->job->restored)
        w->ask_bucket = 1;
    else if (err.code == OCID_E_NOT_FOUND)
        not_there(u, q);
    else
        run_fail(u, &err);
}

static void watch_free(struct run *u)
{
    free(u->of);
}

const struct run_ops run_watch_ops = {
    .need = NEED_NAMESPACE,
    .prepare = prepare,
    .send = send_one,
    .answered = answered,
    .free = watch_free,
};
