/* SPDX-License-Identifier: Apache-2.0
 *
 * client.c - the calls of client.h: each is a request with a callback, and a blocking form that
 * waits for it.
 *
 * Start at ocid_send_submit() and ocid_submit(). Rows and pipes are in stream.c.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/conn.h"

enum {
    IN_FLIGHT = 4,      /* messages of one ocid_submit() on their way at a time */
    POLL_MS = 60000,    /* longest long poll of ocid_wait() */
    CALM_MS = 100,      /* changes that end no job are heard of so often */
    BACK_MS = 15000,    /* how long ocid_wait() waits for a daemon that was restarted */
    BACK_STEP_MS = 100, /* between two tries to reach it */
};

/* ---- Names */

const char *ocid_error_name(int code)
{
    return oc_err_name(code);
}

const char *ocid_error_text(int code)
{
    return oc_err_text(code);
}

int ocid_error_exit(int code)
{
    return oc_err_exit(code);
}

const char *ocid_error_mend(int code)
{
    return oc_err_mend(code);
}

char *ocid_failure_print(const struct ocid_failure *why, char *out, size_t size)
{
    struct oc_err err = {.code = why->code, .http_status = why->http_status};
    ocp_str_copy(ocp_str(why->text), err.text, sizeof err.text);
    ocp_str_copy(ocp_str(why->service_code), err.service_code, sizeof err.service_code);
    ocp_str_copy(ocp_str(why->request_id), err.request_id, sizeof err.request_id);
    oc_err_print(&err, out, size);
    return out;
}

const char *ocid_kind_name(int kind)
{
    return ocp_enum_name(&ocp_enum_kind, kind);
}

const char *ocid_state_name(int state)
{
    return ocp_enum_name(&ocp_enum_state, state);
}

const char *ocid_why_name(int why)
{
    return ocp_enum_name(&ocp_enum_why, why);
}

const char *ocid_verified_name(int verified)
{
    return ocp_enum_name(&ocp_enum_verified, verified);
}

int ocid_kind_find(const char *name)
{
    return ocp_enum_find(&ocp_enum_kind, name, strlen(name));
}

int ocid_state_find(const char *name)
{
    return ocp_enum_find(&ocp_enum_state, name, strlen(name));
}

/* ---- Sending */

/* A request that is one message; params may be wrong (rc): then nothing is sent. */
static int send_one(struct ocid *c, int method, const void *params, const int *fd,
                    ocid_reply_fn *fn, void *user, uint64_t *ret_request)
{
    struct lib_call *call = lib_call_new(c, method, fn, user);
    if (!call)
        return OCID_E_NOMEM;
    int rc = lib_call_add(c, call, params, fd, fd ? 1 : 0, 0, 0);
    if (rc)
        lib_call_drop(call);
    else
        lib_call_post(c, call, ret_request);
    return rc;
}

/* As many jobs as one message takes: their number, or an error with c->failure. */
static int64_t add_batch(struct ocid *c, struct lib_call *call, struct lib_batch *b,
                         const struct ocid_job *jobs, size_t n, size_t first)
{
    struct ocp_submit submit = {0};
    struct oc_err err;
    lib_batch_clear(b);
    size_t end = first;
    for (; end < n; end++) {
        int rc = lib_batch_add(b, lib_job_at(jobs, end), &err);
        if (rc < 0)
            return lib_failed(c, &err, (int64_t)end);
        if (!rc)
            break;
    }
    OCP_SET(&submit, submit, jobs, ocp_span(&b->jobs, b->n));
    int rc = lib_call_add(c, call, &submit, b->fds, b->n_fds, first, end - first);
    return rc ? rc : (int64_t)(end - first);
}

/* Posts a call of at most max_messages; *ret_end is the first job that it does not have. ids: where
 * the ids go, NULL: into the answer's own memory. */
static int post_jobs(struct ocid *c, const struct ocid_job *jobs, size_t n, size_t max_messages,
                     uint64_t *ids, ocid_reply_fn *fn, void *user, uint64_t *ret_request,
                     size_t *ret_end)
{
    struct lib_batch b;
    int64_t taken = 0;
    size_t end = 0;
    struct lib_call *call = lib_call_new(c, OCP_METHOD_job_submit, fn, user);
    if (!call)
        return OCID_E_NOMEM;
    lib_batch_init(&b, c->max_jobs, c->max_frame - 64);
    while (end < n && call->n_left < max_messages && taken >= 0) {
        taken = add_batch(c, call, &b, jobs, n, end);
        end += taken > 0 ? (size_t)taken : 0;
    }
    lib_batch_fini(&b);
    call->ids = ids;
    if (taken >= 0 && !ids && !(call->ids = lib_alloc(&call->arena, end * sizeof *call->ids)))
        taken = lib_fail(c, OCID_E_NOMEM, 0, "out of memory");
    if (taken < 0) {
        lib_call_drop(call);
        return (int)taken;
    }
    call->reply.n = end;
    *ret_end = end;
    return lib_call_post(c, call, ret_request);
}

static int check_jobs(struct ocid *c, const struct ocid_job *jobs, size_t n)
{
    if (!n)
        return lib_fail(c, OCID_E_INVALID, 0, "no job was given");
    for (size_t i = 0; i < n; i++)
        if (lib_job_at(jobs, i)->struct_size != jobs->struct_size || !jobs->struct_size) {
            lib_fail(c, OCID_E_INVALID, 0, "the job was not begun with ocid_job_of()");
            c->failure.index = (int64_t)i;
            return OCID_E_INVALID;
        }
    return 0;
}

int ocid_send_submit(struct ocid *c, const struct ocid_job *jobs, size_t n, ocid_reply_fn *fn,
                     void *user, uint64_t *ret_request)
{
    size_t end;
    int rc = lib_enter(c, false);
    if (rc)
        return rc;
    if (!(rc = check_jobs(c, jobs, n)))
        rc = post_jobs(c, jobs, n, SIZE_MAX, NULL, fn, user, ret_request, &end);
    return lib_leave(c, rc);
}

/* U64S of at most one message. */
static int add_ids(struct ocid *c, struct oc_buf *b, const uint64_t *ids, size_t n)
{
    oc_buf_clear(b);
    for (size_t i = 0; i < n; i++)
        ocp_add_u64(b, ids[i]);
    return b->failed ? lib_fail(c, b->failed, 0, "%s", oc_err_text(b->failed)) : 0;
}

static int query_out(struct ocid *c, const struct ocid_query *in, struct ocp_status_ask *out,
                     struct oc_buf *ids)
{
    struct ocid_query q;
    struct oc_err err;
    int rc = lib_struct(&q, sizeof q, in, "ocid_query_of()", &err);
    if (rc)
        return lib_failed(c, &err, -1);
    if (q.n_ids > OCP_MAX_JOBS || q.limit > OCP_MAX_JOBS || q.wait_ms > 600000 ||
        q.calm_ms > 600000)
        return lib_fail(c, OCID_E_INVALID, 0,
                        "a question has at most %d ids, a limit of %d and a wait of 600 s",
                        OCP_MAX_JOBS, OCP_MAX_JOBS);
    if ((rc = add_ids(c, ids, q.ids, q.n_ids)))
        return rc;
    if (q.n_ids)
        OCP_SET(out, status_ask, ids, ocp_span(ids, (uint32_t)q.n_ids));
    if (q.set)
        OCP_SET(out, status_ask, set, q.set);
    if (q.since) {
        OCP_SET(out, status_ask, epoch, q.epoch);
        OCP_SET(out, status_ask, since, q.since);
    }
    if (q.wait_ms)
        OCP_SET(out, status_ask, wait_ms, q.wait_ms);
    if (q.limit)
        OCP_SET(out, status_ask, limit, q.limit);
    if (q.calm_ms)
        OCP_SET(out, status_ask, calm_ms, q.calm_ms);
    return 0;
}

static int send_status(struct ocid *c, const struct ocid_query *q, ocid_reply_fn *fn, void *user,
                       uint64_t *ret_request)
{
    struct ocp_status_ask ask = {0};
    struct oc_buf ids;
    oc_buf_init(&ids, OCP_MAX_FRAME);
    int rc = query_out(c, q, &ask, &ids);
    if (!rc)
        rc = send_one(c, OCP_METHOD_job_status, &ask, NULL, fn, user, ret_request);
    oc_buf_fini(&ids);
    return rc;
}

int ocid_send_status(struct ocid *c, const struct ocid_query *q, ocid_reply_fn *fn, void *user,
                     uint64_t *ret_request)
{
    int rc = lib_enter(c, false);
    return rc ? rc : lib_leave(c, send_status(c, q, fn, user, ret_request));
}

static int send_jobs(struct ocid *c, int state, uint64_t set, uint64_t cursor, uint64_t limit,
                     ocid_reply_fn *fn, void *user, uint64_t *ret_request)
{
    struct ocp_list_ask ask = {0};
    if (state >= OCP_ENUM_state_COUNT || limit > OCP_MAX_JOBS)
        return lib_fail(c, OCID_E_INVALID, 0, "no such state, or a limit above %d", OCP_MAX_JOBS);
    if (state >= 0)
        OCP_SET(&ask, list_ask, state, state);
    if (set)
        OCP_SET(&ask, list_ask, set, set);
    if (cursor)
        OCP_SET(&ask, list_ask, cursor, cursor);
    if (limit)
        OCP_SET(&ask, list_ask, limit, limit);
    return send_one(c, OCP_METHOD_job_list, &ask, NULL, fn, user, ret_request);
}

int ocid_send_jobs(struct ocid *c, int state, uint64_t set, uint64_t cursor, uint64_t limit,
                   ocid_reply_fn *fn, void *user, uint64_t *ret_request)
{
    int rc = lib_enter(c, false);
    return rc ? rc : lib_leave(c, send_jobs(c, state, set, cursor, limit, fn, user, ret_request));
}

static int act_method(enum ocid_act act)
{
    switch (act) {
    case OCID_ACT_CANCEL:
        return OCP_METHOD_job_cancel;
    case OCID_ACT_PAUSE:
        return OCP_METHOD_job_pause;
    case OCID_ACT_RESUME:
        return OCP_METHOD_job_resume;
    case OCID_ACT_RETRY:
        return OCP_METHOD_job_retry;
    case OCID_ACT_SEAL:
        return OCP_METHOD_job_seal;
    }
    return -1;
}

static int add_act(struct ocid *c, struct lib_call *call, struct oc_buf *b, const uint64_t *ids,
                   size_t first, size_t n)
{
    struct ocp_jobs_ask ask = {0};
    int rc = add_ids(c, b, ids + first, n);
    if (rc)
        return rc;
    OCP_SET(&ask, jobs_ask, ids, ocp_span(b, (uint32_t)n));
    return lib_call_add(c, call, &ask, NULL, 0, first, n);
}

static int send_act(struct ocid *c, enum ocid_act act, const uint64_t *ids, size_t n,
                    ocid_reply_fn *fn, void *user, uint64_t *ret_request)
{
    struct oc_buf b;
    int rc = 0;
    if (act_method(act) < 0 || !n)
        return lib_fail(c, OCID_E_INVALID, 0, "no job was given, or nothing to do with it");
    struct lib_call *call = lib_call_new(c, act_method(act), fn, user);
    if (!call)
        return OCID_E_NOMEM;
    oc_buf_init(&b, OCP_MAX_FRAME);
    for (size_t at = 0; !rc && at < n; at += c->max_jobs)
        rc = add_act(c, call, &b, ids, at, n - at < c->max_jobs ? n - at : c->max_jobs);
    oc_buf_fini(&b);
    if (!rc && !(call->acks = lib_alloc(&call->arena, n * sizeof *call->acks)))
        rc = lib_fail(c, OCID_E_NOMEM, 0, "out of memory");
    if (rc) {
        lib_call_drop(call);
        return rc;
    }
    call->reply.n = n;
    return lib_call_post(c, call, ret_request);
}

int ocid_send_act(struct ocid *c, enum ocid_act act, const uint64_t *ids, size_t n,
                  ocid_reply_fn *fn, void *user, uint64_t *ret_request)
{
    int rc = lib_enter(c, false);
    return rc ? rc : lib_leave(c, send_act(c, act, ids, n, fn, user, ret_request));
}

static int send_none(struct ocid *c, int method, ocid_reply_fn *fn, void *user,
                     uint64_t *ret_request)
{
    struct ocp_none none = {0};
    int rc = lib_enter(c, false);
    return rc ? rc : lib_leave(c, send_one(c, method, &none, NULL, fn, user, ret_request));
}

int ocid_send_stats(struct ocid *c, ocid_reply_fn *fn, void *user, uint64_t *ret_request)
{
    return send_none(c, OCP_METHOD_daemon_stats, fn, user, ret_request);
}

int ocid_send_limit(struct ocid *c, const struct ocid_limit *limit, ocid_reply_fn *fn, void *user,
                    uint64_t *ret_request)
{
    struct ocid_limit l;
    struct ocp_limit m = {0};
    struct oc_err err;
    int rc = lib_enter(c, false);
    if (rc)
        return rc;
    if (lib_struct(&l, sizeof l, limit, "ocid_limit_of()", &err))
        return lib_leave(c, lib_failed(c, &err, -1));
    if ((unsigned)l.scope > OCID_SCOPE_SET)
        return lib_leave(c, lib_fail(c, OCID_E_INVALID, 0, "no such scope of a limit"));
    OCP_SET(&m, limit, scope, (int)l.scope);
    if (l.uid != OCID_UNKNOWN)
        OCP_SET(&m, limit, uid, l.uid);
    if (l.label)
        OCP_SET(&m, limit, label, ocp_str(l.label));
    if (l.set)
        OCP_SET(&m, limit, set, l.set);
    if (l.bytes_per_s != OCID_UNKNOWN)
        OCP_SET(&m, limit, bytes_per_s, l.bytes_per_s);
    if (l.jobs != OCID_UNKNOWN)
        OCP_SET(&m, limit, jobs, l.jobs);
    return lib_leave(c, send_one(c, OCP_METHOD_daemon_limit, &m, NULL, fn, user, ret_request));
}

int ocid_send_reload(struct ocid *c, ocid_reply_fn *fn, void *user, uint64_t *ret_request)
{
    return send_none(c, OCP_METHOD_daemon_reload, fn, user, ret_request);
}

int ocid_send_unlock(struct ocid *c, const char *profile, int fd, uint64_t ttl_ms,
                     ocid_reply_fn *fn, void *user, uint64_t *ret_request)
{
    struct ocp_unlock unlock = {0};
    int rc = lib_enter(c, false);
    if (rc)
        return rc;
    if (profile)
        OCP_SET(&unlock, unlock, profile, ocp_str(profile));
    OCP_SET(&unlock, unlock, fd, 0);
    if (ttl_ms)
        OCP_SET(&unlock, unlock, ttl_ms, ttl_ms);
    return lib_leave(c, send_one(c, OCP_METHOD_vault_unlock, &unlock, &fd, fn, user, ret_request));
}

int ocid_send_lock(struct ocid *c, const char *profile, ocid_reply_fn *fn, void *user,
                   uint64_t *ret_request)
{
    struct ocp_lock lock = {0};
    int rc = lib_enter(c, false);
    if (rc)
        return rc;
    if (profile)
        OCP_SET(&lock, lock, profile, ocp_str(profile));
    return lib_leave(c, send_one(c, OCP_METHOD_vault_lock, &lock, NULL, fn, user, ret_request));
}

/* ---- The blocking forms */

/* One slice of the array: up to IN_FLIGHT messages at a time, so that a long array is not copied as
 * a whole before its first byte leaves. */
static int submit_slice(struct ocid *c, const struct ocid_job *jobs, size_t n, int64_t deadline,
                        uint64_t *ids, size_t *ret_end)
{
    struct lib_wait w = {0};
    uint64_t request;
    int rc = post_jobs(c, jobs, n, IN_FLIGHT, ids, lib_on_reply, &w, &request, ret_end);
    return rc ? rc : lib_await(c, request, &w, deadline);
}

static int submit(struct ocid *c, const struct ocid_job *jobs, size_t n, int64_t deadline,
                  uint64_t *ids)
{
    size_t at = 0, end;
    int rc = check_jobs(c, jobs, n);
    if (n)
        memset(ids, 0, n * sizeof *ids);
    for (; !rc && at < n; at += rc ? 0 : end)
        rc = submit_slice(c, lib_job_at(jobs, at), n - at, deadline, ids + at, &end);
    if (rc && at && c->failure.index >= 0)
        c->failure.index += (int64_t)at;
    if (rc && c->failure.index < 0) /* none was named: the first that has no id */
        for (c->failure.index = (int64_t)at; c->failure.index < (int64_t)n - 1; c->failure.index++)
            if (!ids[c->failure.index])
                break;
    return rc;
}

int ocid_submit(struct ocid *c, const struct ocid_job *jobs, size_t n, int timeout_ms,
                uint64_t *ret_ids)
{
    int rc = lib_enter(c, true);
    return rc ? rc : lib_leave(c, submit(c, jobs, n, lib_deadline(timeout_ms), ret_ids));
}

static int status(struct ocid *c, const struct ocid_query *q, int64_t deadline,
                  const struct ocid_page **ret)
{
    struct lib_wait w = {0};
    uint64_t request;
    int rc = send_status(c, q, lib_on_reply, &w, &request);
    if (!rc)
        rc = lib_await(c, request, &w, deadline);
    if (!rc)
        *ret = w.reply.page;
    return rc;
}

int ocid_status(struct ocid *c, const struct ocid_query *q, int timeout_ms,
                const struct ocid_page **ret)
{
    int rc = lib_enter(c, true);
    return rc ? rc : lib_leave(c, status(c, q, lib_deadline(timeout_ms), ret));
}

static int jobs_pages(struct ocid *c, int state, uint64_t set, uint64_t limit, int64_t deadline,
                      ocid_status_fn *on_job, void *user)
{
    uint64_t cursor = 0, left = limit ? limit : UINT64_MAX;
    do {
        struct lib_wait w = {0};
        uint64_t request;
        uint64_t most = left < OCP_MAX_JOBS ? left : OCP_MAX_JOBS;
        int rc = send_jobs(c, state, set, cursor, most, lib_on_reply, &w, &request);
        if (!rc)
            rc = lib_await(c, request, &w, deadline);
        /* on_job may call us, which would free this page */
        struct lib_arena page = c->kept;
        c->kept = (struct lib_arena){0};
        for (size_t i = 0; !rc && left && i < w.reply.page->n_jobs; i++, left--)
            rc = on_job(user, &w.reply.page->jobs[i]);
        cursor = !rc && w.reply.page->more ? w.reply.page->cursor : 0;
        lib_arena_fini(&page);
        if (rc)
            return rc;
    } while (cursor && left);
    return 0;
}

int ocid_jobs(struct ocid *c, int state, uint64_t set, uint64_t limit, int timeout_ms,
              ocid_status_fn *on_job, void *user)
{
    int rc = lib_enter(c, true);
    return rc ? rc
              : lib_leave(c,
                          jobs_pages(c, state, set, limit, lib_deadline(timeout_ms), on_job, user));
}

int ocid_act(struct ocid *c, enum ocid_act act, const uint64_t *ids, size_t n, int timeout_ms,
             const struct ocid_ack **ret)
{
    struct lib_wait w = {0};
    uint64_t request;
    int rc = lib_enter(c, true);
    if (rc)
        return rc;
    rc = send_act(c, act, ids, n, lib_on_reply, &w, &request);
    if (!rc)
        rc = lib_await(c, request, &w, lib_deadline(timeout_ms));
    if (ret && w.done && w.reply.acks)
        *ret = w.reply.acks;
    return lib_leave(c, rc);
}

static int await_stats(struct ocid *c, int rc, uint64_t request, struct lib_wait *w, int timeout_ms,
                       const struct ocid_stats **ret)
{
    if (!rc)
        rc = lib_await(c, request, w, lib_deadline(timeout_ms));
    if (!rc && ret)
        *ret = w->reply.stats;
    return lib_leave(c, rc);
}

int ocid_stats(struct ocid *c, int timeout_ms, const struct ocid_stats **ret)
{
    struct lib_wait w = {0};
    uint64_t request;
    int rc = lib_enter(c, true);
    if (rc)
        return rc;
    rc = ocid_send_stats(c, lib_on_reply, &w, &request);
    return await_stats(c, rc, request, &w, timeout_ms, ret);
}

int ocid_limit(struct ocid *c, const struct ocid_limit *limit, int timeout_ms,
               const struct ocid_stats **ret)
{
    struct lib_wait w = {0};
    uint64_t request;
    int rc = lib_enter(c, true);
    if (rc)
        return rc;
    rc = ocid_send_limit(c, limit, lib_on_reply, &w, &request);
    return await_stats(c, rc, request, &w, timeout_ms, ret);
}

int ocid_reload(struct ocid *c, int timeout_ms)
{
    struct lib_wait w = {0};
    uint64_t request;
    int rc = lib_enter(c, true);
    if (rc)
        return rc;
    rc = ocid_send_reload(c, lib_on_reply, &w, &request);
    if (!rc)
        rc = lib_await(c, request, &w, lib_deadline(timeout_ms));
    return lib_leave(c, rc);
}

static int await_profiles(struct ocid *c, int rc, uint64_t request, struct lib_wait *w,
                          int timeout_ms, const struct ocid_pair **ret, size_t *ret_n)
{
    if (!rc)
        rc = lib_await(c, request, w, lib_deadline(timeout_ms));
    if (!rc && ret)
        *ret = w->reply.profiles;
    if (!rc && ret_n)
        *ret_n = w->reply.n;
    return lib_leave(c, rc);
}

int ocid_unlock(struct ocid *c, const char *profile, int fd, uint64_t ttl_ms, int timeout_ms,
                const struct ocid_pair **ret, size_t *ret_n)
{
    struct lib_wait w = {0};
    uint64_t request = 0;
    int rc = lib_enter(c, true);
    if (rc)
        return rc;
    rc = ocid_send_unlock(c, profile, fd, ttl_ms, lib_on_reply, &w, &request);
    return await_profiles(c, rc, request, &w, timeout_ms, ret, ret_n);
}

int ocid_lock(struct ocid *c, const char *profile, int timeout_ms, const struct ocid_pair **ret,
              size_t *ret_n)
{
    struct lib_wait w = {0};
    uint64_t request = 0;
    int rc = lib_enter(c, true);
    if (rc)
        return rc;
    rc = ocid_send_lock(c, profile, lib_on_reply, &w, &request);
    return await_profiles(c, rc, request, &w, timeout_ms, ret, ret_n);
}

/* ---- Waiting for jobs */

struct waiter {
    struct ocid *c;
    const uint64_t *ids; /* the window: at most OCP_MAX_JOBS of the caller's */
    size_t first, n, n_ended;
    bool known[OCP_MAX_JOBS], ended[OCP_MAX_JOBS];
    uint64_t pending[OCP_MAX_JOBS]; /* those of the window that have not ended */
    struct ocid_failure worst;      /* of the job that stands first in the caller's array */
    ocid_status_fn *on_change;
    void *user;
    int64_t deadline;
    uint64_t epoch, since;
    bool rest;           /* an answer was cut: those that nothing is known of yet are asked for */
    uint64_t rest_since; /* and after that, what has changed since then */
};

/* The same id may stand there twice. */
static int heard(struct waiter *w, const struct ocid_status *job)
{
    bool told = false;
    for (size_t i = 0; i < w->n; i++) {
        if (w->ids[w->first + i] != job->id || w->ended[i])
            continue;
        w->known[i] = true;
        if (ocid_state_final(job->state)) {
            int64_t index = (int64_t)(w->first + i);
            w->ended[i] = true;
            w->n_ended++;
            if (job->state != OCID_STATE_DONE && (!w->worst.code || index < w->worst.index))
                lib_failure_of_job(job, index, &w->worst);
        }
        int rc = !told && w->on_change ? w->on_change(w->user, job) : 0;
        told = true;
        if (rc)
            return rc;
    }
    return 0;
}

/* The daemon is restarted, or the machine's sockets are: ids stay what they are if the database
 * is the same. */
static int come_back(struct waiter *w)
{
    struct ocid *c = w->c;
    char uuid[65];
    int64_t until = lib_deadline(BACK_MS);
    bool unused;
    int rc;
    if (until > w->deadline)
        until = w->deadline;
    ocp_str_copy(ocp_str(c->info.uuid), uuid, sizeof uuid);
    while ((rc = ocid_reopen(c, BACK_STEP_MS * 10)) == OCID_E_NO_DAEMON || rc == OCID_E_TIMED_OUT ||
           rc == OCID_E_STOPPING) {
        struct ocid_failure why = c->failure;
        int64_t soon = lib_deadline(BACK_STEP_MS);
        rc = lib_poll(c, -1, soon, &unused, &unused);
        if (rc != OCID_E_TIMED_OUT)
            return rc;
        c->failure = why;
        if (lib_deadline(0) >= until)
            return lib_deadline(0) >= w->deadline
                       ? lib_fail(c, OCID_E_TIMED_OUT, 0, "the jobs have not ended in time")
                       : c->failure.code;
    }
    if (!rc && strcmp(uuid, c->info.uuid))
        return lib_fail(c, OCID_E_NOT_FOUND, 0,
                        "the daemon has another database now: it does not know these jobs");
    w->epoch = w->since = 0;
    w->rest = false;
    return rc;
}

/* Jobs that have ended are not asked for again: the daemon may have put them away. */
static size_t still_pending(struct waiter *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++)
        if (!w->ended[i] && !(w->rest && w->known[i]))
            w->pending[n++] = w->ids[w->first + i];
    return n;
}

/* Once a whole answer was heard, what was not in it does not exist. */
static int all_known(struct waiter *w)
{
    for (size_t i = 0; i < w->n; i++)
        if (!w->known[i]) {
            lib_fail(w->c, OCID_E_NOT_FOUND, 0, "there is no job %llu",
                     (unsigned long long)w->ids[w->first + i]);
            w->c->failure.index = (int64_t)(w->first + i);
            return OCID_E_NOT_FOUND;
        }
    return 0;
}

static bool some_unknown(const struct waiter *w)
{
    for (size_t i = 0; i < w->n; i++)
        if (!w->known[i])
            return true;
    return false;
}

/* What to ask next. Jobs that ended long ago have no number: once an answer was cut, `since` says
 * nothing of those that are still to come. */
static void go_on_from(struct waiter *w, bool more, uint64_t seq)
{
    bool rest = more && some_unknown(w);
    if (rest && !w->rest)
        w->rest_since = seq;
    w->since = rest ? 0 : w->rest ? w->rest_since : seq;
    w->rest = rest;
}

static int wait_once(struct waiter *w)
{
    struct ocid_query q = ocid_query_of();
    const struct ocid_page *page = NULL;
    struct ocid *c = w->c;
    int64_t left = w->deadline == INT64_MAX ? POLL_MS : w->deadline - lib_deadline(0);
    q.ids = w->pending;
    q.n_ids = still_pending(w);
    q.epoch = w->epoch;
    q.since = w->since;
    q.wait_ms = left < 0 ? 0 : left < POLL_MS ? (uint64_t)left : POLL_MS;
    q.calm_ms = w->on_change ? CALM_MS : q.wait_ms;
    int rc = status(c, &q, w->deadline, &page);
    if (rc && (c->state == LIB_LOST || rc == OCID_E_STOPPING) && rc != OCID_E_PROTOCOL)
        return come_back(w);
    if (rc == OCID_E_NOT_FOUND)
        return all_known(w) ? rc : lib_fail(c, rc, 0, "the jobs are not there any more");
    if (rc)
        return rc;
    bool more = page->more;
    struct lib_arena kept = c->kept; /* on_change may make calls */
    c->kept = (struct lib_arena){0};
    uint64_t seq = page->seq;
    w->epoch = page->epoch;
    for (size_t i = 0; !rc && i < page->n_jobs; i++)
        rc = heard(w, &page->jobs[i]);
    go_on_from(w, more, seq);
    lib_arena_fini(&kept);
    return rc || more ? rc : all_known(w);
}

static int wait_all(struct waiter *w, size_t n)
{
    int rc = 0;
    for (w->first = 0; !rc && w->first < n; w->first += w->n) {
        w->n = n - w->first < OCP_MAX_JOBS ? n - w->first : OCP_MAX_JOBS;
        w->n_ended = 0;
        w->epoch = w->since = 0;
        w->rest = false;
        memset(w->known, 0, sizeof w->known);
        memset(w->ended, 0, sizeof w->ended);
        while (!rc && w->n_ended < w->n)
            rc = wait_once(w);
    }
    if (!rc && w->worst.code)
        w->c->failure = w->worst;
    return rc ? rc : w->worst.code;
}

int ocid_wait(struct ocid *c, const uint64_t *ids, size_t n, int timeout_ms,
              ocid_status_fn *on_change, void *user)
{
    int rc = lib_enter(c, true);
    if (rc)
        return rc;
    struct waiter *w = calloc(1, sizeof *w);
    if (!w)
        return lib_leave(c, lib_fail(c, OCID_E_NOMEM, 0, "out of memory"));
    *w = (struct waiter){
        .c = c,
        .ids = ids,
        .on_change = on_change,
        .user = user,
        .deadline = lib_deadline(timeout_ms),
    };
    rc = wait_all(w, n);
    free(w);
    return lib_leave(c, rc);
}
