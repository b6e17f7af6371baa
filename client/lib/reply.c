/* SPDX-License-Identifier: Apache-2.0
 *
 * reply.c - the daemon's replies into the answers of their calls.
 */
#include "lib/conn.h"

/* index: place in the message, -1: the daemon named none. */
static void piece_failed(struct lib_call *call, const struct lib_piece *p, const struct oc_err *err,
                         int64_t index)
{
    int64_t at = -1;
    if (p->n)
        at = (int64_t)p->first + (index >= 0 && (uint64_t)index < p->n ? index : 0);
    if (!call->why.code || at < call->why.index)
        lib_failure_of(err, at, &call->why);
}

static int reply_ids(struct lib_call *call, const struct lib_piece *p,
                     const struct ocp_submitted *in, struct oc_err *err)
{
    struct ocp_iter it = {0};
    if (in->ids.count != p->n)
        return oc_fail(err, OCID_E_PROTOCOL, 0, "the daemon gave %u ids for %zu jobs",
                       in->ids.count, p->n);
    for (size_t i = 0; ocp_next_u64(&in->ids, &it, &call->ids[p->first + i]); i++)
        ;
    return 0;
}

/* The first job that was not acted on is the failure of the call. */
static int reply_acks(struct lib_call *call, const struct lib_piece *p, const struct ocp_acks *in,
                      struct oc_err *err)
{
    int rc = lib_acks(&call->arena, in, call->acks + p->first, p->n, err);
    for (size_t i = p->first; !rc && i < p->first + p->n; i++) {
        const struct ocid_ack *ack = &call->acks[i];
        if (!ack->error || (call->why.code && call->why.index <= (int64_t)i))
            continue;
        struct oc_err no = {.code = ack->error};
        ocp_str_copy(ocp_str(ack->text), no.text, sizeof no.text);
        lib_failure_of(&no, (int64_t)i, &call->why);
    }
    return rc;
}

static int reply_page(struct lib_call *call, const struct ocp_statuses *in, struct oc_err *err)
{
    struct ocid_page *page = lib_alloc(&call->arena, sizeof *page);
    if (!page)
        return oc_fail(err, OCID_E_NOMEM, 0, "out of memory");
    call->reply.page = page;
    return lib_page(&call->arena, in, page, err);
}

static int reply_stats(struct lib_call *call, const struct ocp_stats *in, struct oc_err *err)
{
    struct ocid_stats *stats = lib_alloc(&call->arena, sizeof *stats);
    if (!stats)
        return oc_fail(err, OCID_E_NOMEM, 0, "out of memory");
    call->reply.stats = stats;
    return lib_stats(&call->arena, in, stats, err);
}

/* The result of one message into the answer of its call. */
static int reply_result(struct lib_call *call, const struct lib_piece *p,
                        const struct ocp_span *body, struct oc_err *err)
{
    union {
        struct ocp_submitted submitted;
        struct ocp_statuses statuses;
        struct ocp_acks acks;
        struct ocp_stats stats;
        struct ocp_unlocked unlocked;
        struct ocp_none none;
    } in;
    const struct ocp_desc *desc = ocp_method(call->method)->reply;
    int rc = ocp_unpack(desc, body->p, body->n, &in, err);
    if (rc)
        return rc;
    if (desc == &ocp_desc_submitted)
        return reply_ids(call, p, &in.submitted, err);
    if (desc == &ocp_desc_statuses)
        return reply_page(call, &in.statuses, err);
    if (desc == &ocp_desc_acks)
        return reply_acks(call, p, &in.acks, err);
    if (desc == &ocp_desc_stats)
        return reply_stats(call, &in.stats, err);
    if (desc == &ocp_desc_unlocked)
        return lib_pairs(&call->arena, &in.unlocked.profiles, &call->reply.profiles, &call->reply.n,
                         err);
    return 0;
}

void lib_reply_error(const struct ocp_span *body, struct oc_err *ret, int64_t *ret_index)
{
    struct ocp_error e;
    *ret_index = -1;
    if (ocp_unpack(&ocp_desc_error, body->p, body->n, &e, ret)) {
        ret->code = OCID_E_PROTOCOL;
        return;
    }
    ocp_error_to(&e, ret);
    if (!ret->code)
        ret->code = OCID_E_INTERNAL;
    if (OCP_HAS(&e, error, index) && e.index < INT64_MAX)
        *ret_index = (int64_t)e.index;
}

void lib_reply(struct ocid *c, struct lib_piece *p, const struct ocp_envelope *env)
{
    struct lib_call *call = p->call;
    struct oc_err err;
    int64_t index = -1;
    if (!call)
        return;
    if (env->is_error) {
        lib_reply_error(&env->body, &err, &index);
        call->acks = NULL;
        piece_failed(call, p, &err, index);
    } else if (call->acks || call->method == OCP_METHOD_job_submit || !p->n) {
        int rc = reply_result(call, p, &env->body, &err);
        if (rc) {
            if (rc == OCID_E_INVALID)
                err.code = OCID_E_PROTOCOL; /* not the caller's fault */
            call->acks = NULL;
            piece_failed(call, p, &err, -1);
        }
    }
    if (!--call->n_left)
        lib_call_finish(c, call);
}
