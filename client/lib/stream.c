/* SPDX-License-Identifier: Apache-2.0
 *
 * stream.c - pipes between the caller and the daemon: the bytes of a put or get, rows of a listing.
 *
 * The kernel does the flow control. A listing reads its pipe and its connection at the same time,
 * so that the caller hears what the job waits for. Used by applications; start at ocid_list().
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/conn.h"

enum { PIPE_BYTES = 1 << 20, ROUND_BYTES = 64 << 10, LIST_POLL_MS = 60000 };

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ours: 0 if we read, 1 if we write. The daemon's end is closed once it was sent. */
static int submit_pipe(struct ocid *c, const struct ocid_job *job, int ours, int timeout_ms,
                       uint64_t *ret_id, int *ret_fd)
{
    int fds[2];
    struct ocid_job with;
    struct oc_err err;
    uint64_t id;
    int rc = lib_struct(&with, sizeof with, job, "ocid_job_of()", &err);
    if (rc)
        return lib_failed(c, &err, -1);
    with.struct_size = sizeof with;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return lib_fail(c, OCID_E_IO, errno, "cannot make a pipe");
    (void)fcntl(fds[ours], F_SETPIPE_SZ, PIPE_BYTES); /* fewer wake-ups; refused: it goes without */
    with.fd = fds[!ours];
    rc = ocid_submit(c, &with, 1, timeout_ms, &id);
    close(fds[!ours]);
    if (rc) {
        close(fds[ours]);
        return rc;
    }
    *ret_id = id;
    *ret_fd = fds[ours];
    return 0;
}

int ocid_put_pipe(struct ocid *c, const struct ocid_job *job, int timeout_ms, uint64_t *ret_id,
                  int *ret_fd)
{
    int rc = lib_enter(c, true);
    return rc ? rc : lib_leave(c, submit_pipe(c, job, 1, timeout_ms, ret_id, ret_fd));
}

int ocid_get_pipe(struct ocid *c, const struct ocid_job *job, int timeout_ms, uint64_t *ret_id,
                  int *ret_fd)
{
    int rc = lib_enter(c, true);
    return rc ? rc : lib_leave(c, submit_pipe(c, job, 0, timeout_ms, ret_id, ret_fd));
}

struct lister {
    struct ocid *c;
    ocid_row_fn *on_row;
    ocid_status_fn *on_change;
    void *user;
    int64_t deadline;
    uint64_t id;
    int fd; /* -1: at its end */
    struct oc_buf in;
    struct lib_arena row;
    bool complete; /* the row that says `end` has come */

    /* following the job */
    uint64_t request, epoch, since; /* request 0: no question is out */
    bool final;
    int stop; /* what on_change returned */
    struct ocid_failure why;
};

static int on_row(struct lister *l, struct ocp_str payload)
{
    struct ocp_row in;
    struct ocid_row row;
    struct oc_err err;
    size_t len;
    int rc = ocp_check(payload.p, payload.n, &len, &err);
    if (!rc)
        rc = ocp_unpack(&ocp_desc_row, payload.p, payload.n, &in, &err);
    if (!rc && (in.end || (!OCP_HAS(&in, row, name) && !OCP_HAS(&in, row, prefix)))) {
        l->complete = in.end;
        return 0;
    }
    lib_arena_clear(&l->row);
    if (!rc)
        rc = lib_row(&l->row, &in, &row, &err);
    if (rc == OCID_E_INVALID)
        rc = err.code = OCID_E_PROTOCOL;
    return rc ? lib_failed(l->c, &err, -1) : l->on_row(l->user, &row);
}

static int on_rows(struct lister *l)
{
    size_t at = 0, used, want;
    struct ocp_str payload;
    struct oc_err err;
    int found, rc = 0;
    while (!l->complete && (found = ocp_frame_next(l->in.data + at, l->in.len - at, &payload, &used,
                                                   &want, &err)) != 0) {
        if (found < 0) {
            err.code = OCID_E_PROTOCOL;
            return lib_failed(l->c, &err, -1);
        }
        at += used;
        if ((rc = on_row(l, payload)))
            return rc;
    }
    oc_buf_drop(&l->in, at);
    return 0;
}

static int read_rows(struct lister *l)
{
    char *to;
    int rc = oc_buf_reserve(&l->in, ROUND_BYTES, &to);
    if (rc)
        return lib_fail(l->c, rc, 0, "cannot read the listing: %s", oc_err_text(rc));
    ssize_t n = read(l->fd, to, ROUND_BYTES);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n < 0)
        return lib_fail(l->c, OCID_E_IO, errno, "cannot read the listing");
    if (n == 0)
        close_fd(&l->fd);
    l->in.len += (size_t)n;
    return on_rows(l);
}

/* A callback of the connection: only notes what it hears. */
static void on_status(void *user, const struct ocid_reply *reply)
{
    struct lister *l = user;
    l->request = 0;
    if (reply->failure) {
        l->why = *reply->failure;
        l->final = true;
        return;
    }
    l->epoch = reply->page->epoch;
    l->since = reply->page->seq;
    for (size_t i = 0; i < reply->page->n_jobs; i++) {
        const struct ocid_status *job = &reply->page->jobs[i];
        if (job->id != l->id)
            continue;
        l->final = ocid_state_final(job->state);
        if (l->final && job->state != OCID_STATE_DONE)
            lib_failure_of_job(job, 0, &l->why);
        if (l->on_change && !l->stop)
            l->stop = l->on_change(l->user, job);
    }
}

static int follow(struct lister *l)
{
    struct ocid_query q = ocid_query_of();
    if (l->request || l->final)
        return 0;
    q.ids = &l->id;
    q.n_ids = 1;
    q.epoch = l->epoch;
    q.since = l->since;
    q.wait_ms = LIST_POLL_MS;
    return ocid_send_status(l->c, &q, on_status, l, &l->request);
}

/* Rows that are in the pipe come before the verdict: the job may have ended, its rows not. */
static int list_step(struct lister *l)
{
    bool conn, pipe;
    int rc = 0;
    if (l->on_change || l->fd < 0)
        rc = follow(l);
    if (!rc)
        rc = lib_pump(l->c, false);
    if (!rc)
        rc = lib_poll(l->c, l->fd, l->deadline, &conn, &pipe);
    if (!rc && pipe)
        rc = read_rows(l);
    if (!rc && conn && !l->complete)
        rc = lib_pump(l->c, true);
    if (!rc && l->stop)
        return l->stop;
    if (rc || l->complete || !l->final || (l->fd >= 0 && (!l->why.code || pipe)))
        return rc;
    if (l->why.code) {
        l->c->failure = l->why;
        return l->why.code;
    }
    return lib_fail(l->c, OCID_E_PROTOCOL, 0, "the listing has no end: rows may be missing");
}

static int list(struct ocid *c, const struct ocid_job *job, int timeout_ms, struct lister *l)
{
    l->deadline = lib_deadline(timeout_ms);
    int rc = submit_pipe(c, job, 0, timeout_ms, &l->id, &l->fd);
    if (!rc && fcntl(l->fd, F_SETFL, O_RDONLY | O_NONBLOCK) < 0)
        rc = lib_fail(c, OCID_E_IO, errno, "cannot read the listing");
    oc_buf_init(&l->in, OCP_MAX_FRAME + 4 + ROUND_BYTES);
    while (!rc && !l->complete)
        rc = list_step(l);
    struct ocid_failure why = c->failure;
    if (l->request)
        (void)ocid_forget(c, l->request);
    if (rc && l->id && !l->final && c->state == LIB_READY) { /* nobody reads it any more */
        (void)ocid_send_act(c, OCID_ACT_CANCEL, &l->id, 1, NULL, NULL, NULL);
        (void)lib_pump(c, false);
    }
    c->failure = why;
    close_fd(&l->fd);
    oc_buf_fini(&l->in);
    lib_arena_fini(&l->row);
    return rc;
}

int ocid_list(struct ocid *c, const struct ocid_job *job, int timeout_ms, ocid_row_fn *row_fn,
              ocid_status_fn *on_change, void *user)
{
    struct lister l = {
        .c = c,
        .on_row = row_fn,
        .on_change = on_change,
        .user = user,
        .fd = -1,
    };
    int rc = lib_enter(c, true);
    return rc ? rc : lib_leave(c, list(c, job, timeout_ms, &l));
}
