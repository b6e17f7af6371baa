/* SPDX-License-Identifier: Apache-2.0
 *
 * test_alloc.c - each allocation of libocid fails in its turn: an error with a sentence, no crash,
 * nothing leaked, and the next call works (after ocid_reopen() if the connection had to go).
 */
#include "fake.h"

#include <poll.h>
#include <signal.h>

#include "failing.h"

static int any(struct fake *f, int method, const struct ocp_envelope *env)
{
    struct ocp_none none = {0};
    struct ocp_status s = fake_status(1000, OCP_ENUM_state_done);
    struct oc_buf b, o;
    switch (method) {
    case OCP_METHOD_job_submit: {
        struct ocp_submit in;
        if (ocp_unpack(&ocp_desc_submit, env->body.p, env->body.n, &in, NULL))
            return -1;
        fake_ids(f, env->id, 1000, in.jobs.count);
        int fd = fake_take_fd(f);
        if (fd >= 0) { /* a listing of one row */
            struct ocp_row row = {0};
            oc_buf_init(&o, 4096);
            OCP_SET(&row, row, name, ocp_str("a"));
            ocp_frame_message(&o, &ocp_desc_row, &row);
            row = (struct ocp_row){0};
            OCP_SET(&row, row, end, true);
            ocp_frame_message(&o, &ocp_desc_row, &row);
            ssize_t n = write(fd, o.data, o.len);
            (void)n;
            close(fd);
            oc_buf_fini(&o);
        }
        return 0;
    }
    case OCP_METHOD_job_status:
    case OCP_METHOD_job_list: {
        struct ocp_job job = {0};
        struct ocp_outcome outcome = {0};
        oc_buf_init(&b, 4096);
        oc_buf_init(&o, 4096);
        OCP_SET(&job, job, kind, OCP_ENUM_kind_put);
        OCP_SET(&job, job, object, ocp_str("o"));
        ocp_pack(&ocp_desc_job, &job, &b);
        OCP_SET(&s, status, job, ocp_span(&b, 1));
        OCP_SET(&outcome, outcome, etag, ocp_str("e"));
        ocp_pack(&ocp_desc_outcome, &outcome, &o);
        OCP_SET(&s, status, outcome, ocp_span(&o, 1));
        fake_statuses(f, env->id, method, 2, &s, 1);
        oc_buf_fini(&b);
        oc_buf_fini(&o);
        return 0;
    }
    case OCP_METHOD_job_cancel: {
        struct ocp_acks acks = {0};
        struct ocp_ack ack = {0};
        oc_buf_init(&b, 4096);
        OCP_SET(&ack, ack, id, 1);
        ocp_pack(&ocp_desc_ack, &ack, &b);
        OCP_SET(&acks, acks, jobs, ocp_span(&b, 1));
        ocp_frame_reply(&f->out, env->id, method, &acks);
        oc_buf_fini(&b);
        return 0;
    }
    case OCP_METHOD_daemon_stats:
    case OCP_METHOD_daemon_limit: {
        struct ocp_stats st = {.has = (1ull << OCP_FIELD_stats_profiles) - 1};
        st.software = ocp_str("fake");
        if (method == OCP_METHOD_daemon_limit)
            OCP_SET(&st, stats, limits, ((struct ocp_span){env->body.p, env->body.n, 1}));
        ocp_frame_reply(&f->out, env->id, method, &st);
        return 0;
    }
    case OCP_METHOD_daemon_reload:
        ocp_frame_reply(&f->out, env->id, method, &none);
        return 0;
    default: {
        struct ocp_unlocked u = {0};
        oc_buf_init(&b, 4096);
        ocp_add_pair(&b, "DEFAULT", "open", 4);
        OCP_SET(&u, unlocked, profiles, ocp_span(&b, 1));
        ocp_frame_reply(&f->out, env->id, method, &u);
        oc_buf_fini(&b);
        return 0;
    }
    }
}

static int on_job(void *user, const struct ocid_status *job)
{
    (void)user;
    return job->id == 1000 ? 0 : -99;
}

static int on_row(void *user, const struct ocid_row *row)
{
    (void)user;
    return row->name ? 0 : -99;
}

static const struct ocid_pair metadata = {"k", "v"};
static const uint64_t ids[] = {1000};

static int do_submit(struct ocid *c)
{
    struct ocid_job job = ocid_job_of(OCID_KIND_PUT);
    uint64_t id;
    job.bucket = "b";
    job.metadata = &metadata;
    job.n_metadata = 1;
    job.after = ids;
    job.n_after = 1;
    return ocid_submit(c, &job, 1, 5000, &id);
}

static int do_status(struct ocid *c)
{
    struct ocid_query q = ocid_query_of();
    const struct ocid_page *page;
    return ocid_status(c, &q, 5000, &page);
}

static int do_wait(struct ocid *c)
{
    return ocid_wait(c, ids, 1, 5000, on_job, NULL);
}

static int do_jobs(struct ocid *c)
{
    return ocid_jobs(c, -1, 0, 0, 5000, on_job, NULL);
}

static int do_act(struct ocid *c)
{
    const struct ocid_ack *acks;
    return ocid_act(c, OCID_ACT_CANCEL, ids, 1, 5000, &acks);
}

static int do_list(struct ocid *c)
{
    struct ocid_job job = ocid_job_of(OCID_KIND_LIST);
    return ocid_list(c, &job, 5000, on_row, on_job, NULL);
}

static int do_stats(struct ocid *c)
{
    const struct ocid_stats *stats;
    return ocid_stats(c, 5000, &stats);
}

static int do_limit(struct ocid *c)
{
    struct ocid_limit limit = ocid_limit_of(OCID_SCOPE_CLIENT);
    limit.label = "nb";
    limit.bytes_per_s = 1 << 20;
    return ocid_limit(c, &limit, 5000, NULL);
}

static int do_reload(struct ocid *c)
{
    return ocid_reload(c, 5000);
}

static int do_unlock(struct ocid *c)
{
    return ocid_unlock(c, "DEFAULT", 0, 0, 5000, NULL, NULL);
}

static int do_lock(struct ocid *c)
{
    return ocid_lock(c, NULL, 5000, NULL, NULL);
}

static int do_reopen(struct ocid *c)
{
    return ocid_reopen(c, 5000);
}

/* ---- without waiting: the reply comes through a callback, exactly once ---- */

struct heard {
    int n, rc, said; /* callbacks; the error of the last one, and whether it had a sentence */
};

static struct heard heard;

static void on_reply(void *user, const struct ocid_reply *reply)
{
    struct heard *h = user;
    h->n++;
    h->rc = reply->failure ? reply->failure->code : 0;
    h->said = reply->failure && reply->failure->text[0];
}

/* rc: of the call that sent it. */
static int hear(struct ocid *c, int rc)
{
    if (rc) {
        assert_int_equal(heard.n, 0);
        return rc;
    }
    while (!heard.n) {
        struct pollfd p = {.fd = ocid_fd(c), .events = ocid_events(c)};
        assert_int_equal(poll(&p, 1, 5000), 1);
        if (ocid_dispatch(c) < 0)
            break;
    }
    assert_int_equal(heard.n, 1);
    return heard.rc;
}

static int do_send_submit(struct ocid *c)
{
    struct ocid_job job = ocid_job_of(OCID_KIND_PUT);
    heard = (struct heard){0};
    job.bucket = "b";
    job.metadata = &metadata;
    job.n_metadata = 1;
    return hear(c, ocid_send_submit(c, &job, 1, on_reply, &heard, NULL));
}

static int do_send_status(struct ocid *c)
{
    struct ocid_query q = ocid_query_of();
    heard = (struct heard){0};
    return hear(c, ocid_send_status(c, &q, on_reply, &heard, NULL));
}

static int do_send_jobs(struct ocid *c)
{
    heard = (struct heard){0};
    return hear(c, ocid_send_jobs(c, -1, 0, 0, 0, on_reply, &heard, NULL));
}

static int do_send_act(struct ocid *c)
{
    heard = (struct heard){0};
    return hear(c, ocid_send_act(c, OCID_ACT_CANCEL, ids, 1, on_reply, &heard, NULL));
}

static int do_send_stats(struct ocid *c)
{
    heard = (struct heard){0};
    return hear(c, ocid_send_stats(c, on_reply, &heard, NULL));
}

static int do_send_reload(struct ocid *c)
{
    heard = (struct heard){0};
    return hear(c, ocid_send_reload(c, on_reply, &heard, NULL));
}

static int do_send_unlock(struct ocid *c)
{
    heard = (struct heard){0};
    return hear(c, ocid_send_unlock(c, "DEFAULT", 0, 0, on_reply, &heard, NULL));
}

static int do_send_lock(struct ocid *c)
{
    heard = (struct heard){0};
    return hear(c, ocid_send_lock(c, NULL, on_reply, &heard, NULL));
}

/* What is forgotten costs nothing more; the daemon's answer to it is passed over. */
static int do_forget(struct ocid *c)
{
    uint64_t request;
    heard = (struct heard){0};
    int rc = ocid_send_stats(c, on_reply, &heard, &request);
    if (!rc && !(rc = ocid_forget(c, request)))
        rc = do_stats(c);
    assert_int_equal(heard.n, 0);
    return rc;
}

/* Either there is an end of a pipe to be closed, or an error. */
static int use_pipe(struct ocid *c, enum ocid_kind kind)
{
    struct ocid_job job = ocid_job_of(kind);
    uint64_t id;
    int fd = -1;
    int rc = kind == OCID_KIND_GET ? ocid_get_pipe(c, &job, 5000, &id, &fd)
                                   : ocid_put_pipe(c, &job, 5000, &id, &fd);
    assert_int_equal(fd >= 0, !rc);
    if (!rc)
        close(fd);
    return rc;
}

static int do_get_pipe(struct ocid *c)
{
    return use_pipe(c, OCID_KIND_GET);
}

static int do_put_pipe(struct ocid *c)
{
    signal(SIGPIPE, SIG_IGN); /* the fake writes a listing into whatever it is given */
    return use_pipe(c, OCID_KIND_PUT);
}

static int do_source_and_bytes(struct ocid *c)
{
    struct ocid_job job = ocid_job_of(OCID_KIND_PUT);
    int fd;
    (void)c;
    assert_int_equal(ocid_source(&job, "/proc/self/exe", -1, NULL), 0); /* neither allocates */
    assert_int_equal(ocid_bytes("b", 1, &fd, NULL), 0);
    close(fd);
    return 0;
}

static const struct {
    const char *name;
    int (*call)(struct ocid *);
} calls[] = {
    {"submit", do_submit},
    {"status", do_status},
    {"wait", do_wait},
    {"jobs", do_jobs},
    {"act", do_act},
    {"list", do_list},
    {"stats", do_stats},
    {"limit", do_limit},
    {"reload", do_reload},
    {"unlock", do_unlock},
    {"lock", do_lock},
    {"reopen", do_reopen},
    {"send_submit", do_send_submit},
    {"send_status", do_send_status},
    {"send_jobs", do_send_jobs},
    {"send_act", do_send_act},
    {"send_stats", do_send_stats},
    {"send_reload", do_send_reload},
    {"send_unlock", do_send_unlock},
    {"send_lock", do_send_lock},
    {"forget", do_forget},
    {"get_pipe", do_get_pipe},
    {"put_pipe", do_put_pipe},
    {"source", do_source_and_bytes},
};

static void test_every_allocation_of_every_call(void **state)
{
    (void)state;
    struct fake f = {0};
    fake_begin(&f, any, NULL);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (long nth = 1;; nth++) {
            struct ocid *c = fake_open(&f);
            heard = (struct heard){0};
            failing_begin(nth);
            int rc = calls[i].call(c);
            int failed = failing_end();
            if (!failed && rc)
                fail_msg("%s: %s", calls[i].name, ocid_failure(c)->text);
            if (failed && rc && !heard.said && !ocid_failure(c)->text[0])
                fail_msg("%s, allocation %ld: no sentence", calls[i].name, nth);
            if (failed && rc && rc != OCID_E_NOMEM)
                fail_msg("%s, allocation %ld: %d %s", calls[i].name, nth, rc,
                         ocid_failure(c)->text);
            if (ocid_fd(c) < 0)
                assert_int_equal(ocid_reopen(c, 5000), 0);
            rc = calls[i].call(c);
            if (rc)
                fail_msg("%s after allocation %ld: %s", calls[i].name, nth, ocid_failure(c)->text);
            ocid_close(c);
            if (!failed)
                break;
        }
    fake_end(&f);
}

static void test_every_allocation_of_open(void **state)
{
    (void)state;
    struct fake f = {0};
    struct ocid_options o = ocid_options_of();
    fake_begin(&f, any, NULL);
    o.socket = f.path;
    o.label = "l";
    o.software = "s";
    for (long nth = 1;; nth++) {
        struct ocid_failure why = {0};
        struct ocid *c = NULL;
        failing_begin(nth);
        int rc = ocid_open(&o, 5000, &c, &why);
        int failed = failing_end();
        assert_int_equal(rc, failed ? OCID_E_NOMEM : 0);
        assert_int_equal(why.code, rc);
        ocid_close(c);
        if (!failed)
            break;
    }
    fake_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation_of_every_call),
        cmocka_unit_test(test_every_allocation_of_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
