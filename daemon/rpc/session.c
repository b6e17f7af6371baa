/* SPDX-License-Identifier: Apache-2.0
 *
 * session.c - one client's bytes: incremental frames, passed descriptors, bounded output.
 *
 * Control loop. uv_poll and recvmsg, since libuv cannot receive the descriptors of plain files.
 * Descriptors belong to the frame whose bytes they came with: frames are handled before more is
 * read, and what no request took is closed once the input is empty.
 */
#include "rpc/session.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "core/fault.h"
#include "core/log.h"
#include "core/mem.h"
#include "rpc/handlers.h"

enum { READ_BYTES = 64 << 10 };

static void on_event(uv_poll_t *poll, int status, int events);

static void gone(void *owner)
{
    struct session *s = owner;
    oc_buf_fini(&s->in);
    oc_buf_fini(&s->out);
    free(s);
}

static void drop_fds(struct session *s)
{
    for (unsigned i = 0; i < s->n_fds; i++)
        if (s->fds[i] >= 0)
            close(s->fds[i]);
    s->n_fds = 0;
}

static ssize_t send_some(struct session *s, size_t from)
{
    if (OC_FAULT("rpc.send")) {
        errno = ENOBUFS;
        return -1;
    }
    return send(s->fd, s->out.data + from, s->out.len - from, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* As much of the output as the socket takes. -1 and errno: the client is gone. */
static int push(struct session *s)
{
    size_t at = 0;
    ssize_t n = 0;
    while (at < s->out.len) {
        n = send_some(s, at);
        if (n < 0 && errno != EINTR)
            break;
        at += n > 0 ? (size_t)n : 0;
    }
    oc_buf_drop(&s->out, at);
    return n < 0 && errno != EAGAIN ? -1 : 0;
}

void session_close(struct session *s)
{
    if (!life_end(&s->life))
        return;
    push(s);
    DL_DELETE(s->server->sessions, s);
    s->server->n_sessions--;
    follows_end(s);
    drop_fds(s);
    life_close(&s->life, (uv_handle_t *)&s->poll);
    life_close(&s->life, (uv_handle_t *)&s->timer);
    life_close(&s->life, (uv_handle_t *)&s->before_poll);
    close(s->fd);
    life_done(&s->life);
}

/* Enough is asked for, or answered and not read: no more is taken up. */
static int is_full(const struct session *s)
{
    return s->out.len >= SESSION_OUT_BYTES || s->n_pending >= SESSION_PENDING ||
           s->pending_bytes >= SESSION_PENDING_BYTES;
}

static void watch(struct session *s)
{
    int events = 0;
    if (!is_full(s) && !s->closing_after_write)
        events |= UV_READABLE;
    if ((s->out.len && !s->unsent) || (s->stalled && events))
        events |= UV_WRITABLE; /* stalled: frames are at hand and may be handled now */
    if (events == s->events)
        return;
    s->events = events;
    if (events)
        uv_poll_start(&s->poll, events, on_event);
    else
        uv_poll_stop(&s->poll);
}

/* The connection is of no use any more. A client that has gone is nothing to speak of; a kernel
 * that refuses is: its poll would call at once again, so whoever is left tries anew. */
static void broken(struct session *s, const char *what)
{
    if (errno != EPIPE && errno != ECONNRESET)
        log_warn("a client of uid %u is hung up on: cannot %s: %s", s->uid, what, strerror(errno));
    oc_buf_clear(&s->out);
    session_close(s);
}

/* ---- output ---- */

static void flush(struct session *s)
{
    s->unsent = 0;
    uv_prepare_stop(&s->before_poll);
    if (push(s)) {
        broken(s, "answer it");
        return;
    }
    if (!s->out.len && s->out.room > READ_BYTES)
        oc_buf_fini(&s->out); /* an idle client keeps no large buffer */
    if (!s->out.len && s->closing_after_write) {
        session_close(s);
        return;
    }
    watch(s);
}

static void on_before_poll(uv_prepare_t *p)
{
    flush(OC_OWNER(p, struct session, before_poll));
}

/* What is answered in one turn of the loop leaves together at its end. */
static void sent(struct session *s)
{
    if (s->out.failed) {
        log_warn("a client of uid %u reads no replies: dropped", s->uid);
        session_close(s);
    } else if (s->out.len >= SESSION_OUT_BYTES) {
        flush(s);
    } else if (!s->unsent) {
        s->unsent = 1;
        uv_prepare_start(&s->before_poll, on_before_poll);
    }
}

static void answered(struct session *s)
{
    if (!--s->n_pending)
        s->pending_bytes = 0;
}

void session_reply(struct session *s, uint64_t request, int method, const void *result)
{
    answered(s);
    ocp_frame_reply(&s->out, request, method, result);
    sent(s);
}

void session_error(struct session *s, uint64_t request, const struct oc_err *err, int64_t index)
{
    answered(s);
    ocp_frame_error(&s->out, request, err, index);
    sent(s);
}

static void on_slow(uv_timer_t *t);

/* The client broke a rule: it is told once, without a request's id, and dropped; soon, even if it
 * does not read. */
static void refuse(struct session *s, const struct oc_err *err)
{
    log_info("a client of uid %u is dropped: %s", s->uid, err->text);
    s->closing_after_write = 1;
    uv_timer_start(&s->timer, on_slow, s->server->frame_ms, 0);
    ocp_frame_error(&s->out, 0, err, -1);
    flush(s);
}

/* ---- input ---- */

static void on_slow(uv_timer_t *t)
{
    struct session *s = OC_OWNER(t, struct session, timer);
    struct oc_err err;
    if (s->closing_after_write) {
        session_close(s);
        return;
    }
    oc_fail(&err, OCID_E_PROTOCOL, 0,
            s->version ? "a frame was not complete within %u ms" : "no hello came within %u ms",
            (unsigned)s->server->frame_ms);
    refuse(s, &err);
}

/* The clock runs while something is expected, from the first byte of a frame on. */
static void time_input(struct session *s)
{
    int expect = (s->in.len > 0 && !s->stalled) || !s->version;
    if (expect && !s->timing)
        uv_timer_start(&s->timer, on_slow, s->server->frame_ms, 0);
    else if (!expect && s->timing)
        uv_timer_stop(&s->timer);
    s->timing = expect;
}

static int take_fds(struct session *s, struct msghdr *msg, struct oc_err *err)
{
    int rc = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        unsigned n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (unsigned i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (s->n_fds == OCP_MAX_FDS) {
                close(fd);
                rc = oc_fail(err, OCID_E_TOO_LARGE, 0,
                             "more than %d descriptors came with a message", OCP_MAX_FDS);
                continue;
            }
            s->fds[s->n_fds++] = fd;
        }
    }
    if (msg->msg_flags & MSG_CTRUNC)
        rc = oc_fail(err, OCID_E_TOO_LARGE, 0, "more than %d descriptors came with a message",
                     OCP_MAX_FDS);
    return rc;
}

int session_take_fd(struct session *s, uint64_t place)
{
    if (place >= s->n_fds)
        return -1;
    int fd = s->fds[place];
    s->fds[place] = -1;
    return fd;
}

/* Everything complete in the input; 0 when the session is gone or waits for its output. */
static int handle_frames(struct session *s)
{
    uint64_t id = s->id;
    struct server *server = s->server;
    struct oc_err err;
    size_t at = 0;
    s->stalled = 0;
    for (;;) {
        struct ocp_str payload;
        struct ocp_envelope e;
        size_t used, want;
        if (is_full(s)) {
            s->stalled = s->in.len > at;
            break;
        }
        int rc = ocp_frame_next(s->in.data + at, s->in.len - at, &payload, &used, &want, &err);
        if (!rc)
            break;
        if (rc < 0 || ocp_envelope_read(payload, &e, &err)) {
            refuse(s, &err);
            return 0;
        }
        if (e.shape != OCP_REQUEST) {
            oc_fail(&err, OCID_E_PROTOCOL, 0, "a client sends requests, not replies");
            refuse(s, &err);
            return 0;
        }
        s->n_pending++;
        s->pending_bytes += used;
        dispatch(s, &e);
        if (!server_session(server, id) || s->closing_after_write)
            return 0; /* its replies could not be sent, or it has been refused */
        at += used;
        if (s->in.len == at)
            drop_fds(s);
    }
    oc_buf_drop(&s->in, at);
    if (!s->in.len)
        oc_buf_fini(&s->in);
    if (at && s->timing) { /* what is left begins another frame */
        uv_timer_stop(&s->timer);
        s->timing = 0;
    }
    return 1;
}

static void on_readable(struct session *s)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(OCP_MAX_FDS * sizeof(int))];
    } control;
    struct oc_err err;
    char *to;
    int rc = oc_buf_reserve(&s->in, READ_BYTES, &to);
    assert(!rc); /* less than a frame is in it */
    (void)rc;
    struct iovec iov = {to, READ_BYTES};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(s->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        if (n < 0)
            broken(s, "read from it");
        else
            session_close(s);
        return;
    }
    s->in.len += (size_t)n;
    if (take_fds(s, &msg, &err)) {
        refuse(s, &err);
        return;
    }
    if (handle_frames(s)) {
        time_input(s);
        watch(s);
    }
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct session *s = OC_OWNER(poll, struct session, poll);
    uint64_t id = s->id;
    struct server *server = s->server;
    if (status < 0) {
        session_close(s);
        return;
    }
    if (events & UV_WRITABLE)
        flush(s);
    if (!server_session(server, id))
        return;
    if (events & UV_WRITABLE && s->stalled) {
        if (!handle_frames(s))
            return;
        time_input(s);
        watch(s);
    }
    if (events & UV_READABLE && !s->stalled && !s->closing_after_write)
        on_readable(s);
}

void session_new(struct server *server, int fd, uint32_t uid)
{
    struct session *s = OC_NEW(struct session);
    uv_loop_t *uv = loop_uv(server->loop);
    int rc = OC_FAULT("rpc.watch") ? UV_ENOSPC : uv_poll_init(uv, &s->poll, fd);
    if (rc) {
        log_warn("a client was turned away: its connection cannot be watched: %s", uv_strerror(rc));
        close(fd);
        free(s);
        return;
    }
    s->server = server;
    s->fd = fd;
    s->uid = uid;
    s->id = ++server->next_session;
    oc_buf_init(&s->in, OCP_MAX_FRAME + 4 + READ_BYTES);
    oc_buf_init(&s->out, SESSION_OUT_MAX);
    DL_APPEND(server->sessions, s);
    server->n_sessions++;
    life_init(&s->life, gone, s);
    life_open(&s->life, (uv_handle_t *)&s->poll);
    uv_timer_init(uv, &s->timer);
    life_open(&s->life, (uv_handle_t *)&s->timer);
    uv_prepare_init(uv, &s->before_poll);
    life_open(&s->life, (uv_handle_t *)&s->before_poll);
    time_input(s);
    watch(s);
}
