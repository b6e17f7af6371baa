/* SPDX-License-Identifier: Apache-2.0
 *
 * dispatch.c - message -> handler, and when it is allowed.
 *
 * Control loop.
 */
#include <string.h>

#include "rpc/handlers.h"

static void (*const handlers[OCP_METHOD_COUNT])(struct session *s, const struct ticket *t,
                                                const void *msg) = {
    [OCP_METHOD_hello] = on_hello,          [OCP_METHOD_job_submit] = on_submit,
    [OCP_METHOD_job_status] = on_status,    [OCP_METHOD_job_list] = on_list,
    [OCP_METHOD_job_cancel] = on_act,       [OCP_METHOD_job_pause] = on_act,
    [OCP_METHOD_job_resume] = on_act,       [OCP_METHOD_job_retry] = on_act,
    [OCP_METHOD_job_seal] = on_act,         [OCP_METHOD_daemon_stats] = on_stats,
    [OCP_METHOD_daemon_reload] = on_reload, [OCP_METHOD_vault_unlock] = on_unlock,
    [OCP_METHOD_vault_lock] = on_lock,      [OCP_METHOD_daemon_limit] = on_limit,
};

/* The largest request message. */
union any {
    struct ocp_hello hello;
    struct ocp_submit submit;
    struct ocp_status_ask status;
    struct ocp_list_ask list;
    struct ocp_jobs_ask jobs;
    struct ocp_limit limit;
    struct ocp_unlock unlock;
    struct ocp_lock lock;
    struct ocp_none none;
};

void dispatch(struct session *s, const struct ocp_envelope *e)
{
    struct oc_err err;
    union any msg;
    int id = ocp_method_find(e->method.p, e->method.n);
    if (id < 0) {
        oc_fail(&err, OCID_E_UNSUPPORTED, 0,
                "this daemon knows no method '%.*s': is it older than the client? Restart it",
                (int)(e->method.n > 64 ? 64 : e->method.n), e->method.p);
        session_error(s, e->id, &err, -1);
        return;
    }
    const struct ocp_method *m = ocp_method(id);
    if ((id == OCP_METHOD_hello) != !s->version) {
        oc_fail(&err, OCID_E_PROTOCOL, 0,
                s->version ? "hello has been said already" : "hello must come first");
        session_error(s, e->id, &err, -1);
        return;
    }
    if (ocp_unpack(m->request, e->body.p, e->body.n, &msg, &err)) {
        session_error(s, e->id, &err, -1);
        return;
    }
    struct ticket t = {s->server, s->id, e->id, id};
    handlers[id](s, &t, &msg);
}
