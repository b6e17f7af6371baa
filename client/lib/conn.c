/* SPDX-License-Identifier: Apache-2.0
 *
 * conn.c - one connection to the daemon: frames out and in, waiting, its end.
 *
 * All of libocid's waiting is in lib_poll(); all reading and writing in lib_pump(). Callbacks run
 * from there only. open.c makes the connection, call.c the requests, reply.c reads the answers.
 */
#include "lib/conn.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { READ_ROUNDS = 16, WRITE_FRAMES = 16 };

/* ---- Failures, entering and leaving */

int lib_failed(struct ocid *c, const struct oc_err *err, int64_t index)
{
    lib_failure_of(err, index, &c->failure);
    return err->code;
}

int lib_fail(struct ocid *c, int code, int sys, const char *fmt, ...)
{
    struct oc_err err;
    char text[sizeof err.text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    oc_fail(&err, code, sys, "%s", text);
    return lib_failed(c, &err, -1);
}

int lib_enter(struct ocid *c, bool blocking)
{
    if (c->pid != getpid())
        return lib_fail(c, OCID_E_STATE, 0,
                        "this connection belongs to process %ld; a forked child opens its own",
                        (long)c->pid);
    if (blocking && c->in_callback)
        return lib_fail(c, OCID_E_STATE, 0, "a callback must not make calls that wait");
    if (c->closing)
        return lib_fail(c, OCID_E_STATE, 0, "the connection was closed");
    if (c->state == LIB_LOST)
        return lib_failed(c, &c->lost, -1);
    c->busy++;
    return 0;
}

int lib_leave(struct ocid *c, int rc)
{
    if (!--c->busy && c->closing)
        lib_destroy(c);
    return rc;
}

const struct ocid_failure *ocid_failure(const struct ocid *c)
{
    return &c->failure;
}

const struct ocid_info *ocid_info(const struct ocid *c)
{
    return c->info.uuid ? &c->info : NULL;
}

void ocid_interrupt(struct ocid *c)
{
    int sys = errno;
    ssize_t n = write(c->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
    (void)n; /* full: it is set already */
    errno = sys;
}

/* ---- The end of a connection */

void lib_drop_all(struct ocid *c, const struct oc_err *why, bool quiet)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->state = LIB_LOST;
    c->lost = *why;
    lib_frames_free(c->out);
    lib_pieces_free(c->pieces);
    c->out = NULL;
    c->out_end = &c->out;
    c->out_bytes = 0;
    c->fds_out = 0;
    c->pieces = NULL;
    c->pieces_end = &c->pieces;
    oc_buf_fini(&c->in);
    while (c->calls) {
        struct lib_call *call = c->calls;
        if (!call->why.code)
            lib_failure_of(why, -1, &call->why);
        if (quiet)
            call->fn = NULL;
        lib_call_finish(c, call);
    }
}

int lib_lose(struct ocid *c, const struct oc_err *why)
{
    lib_drop_all(c, why, false);
    return lib_failed(c, why, -1);
}

void lib_destroy(struct ocid *c)
{
    struct oc_err why;
    oc_fail(&why, OCID_E_DETACHED, 0, "the connection was closed before the reply came");
    c->closing = true;
    c->busy++; /* a callback that closes again changes nothing */
    lib_drop_all(c, &why, c->pid != getpid());
    if (c->wake_fd >= 0)
        close(c->wake_fd);
    lib_arena_fini(&c->kept);
    lib_arena_fini(&c->info_arena);
    free(c->socket);
    free(c->label);
    free(c->software);
    free(c);
}

void ocid_close(struct ocid *c)
{
    if (!c)
        return;
    if (c->busy && c->pid == getpid())
        c->closing = true; /* freed by lib_leave() of whoever called us back */
    else
        lib_destroy(c);
}

/* ---- Reading and writing */

static int on_frame(struct ocid *c, struct ocp_str payload)
{
    struct ocp_envelope env;
    struct oc_err err;
    int64_t index;
    int rc = ocp_envelope_read(payload, &env, &err);
    if (rc)
        return lib_lose(c, &err);
    if (env.is_error && !env.id) { /* the daemon hangs up, and says why */
        lib_reply_error(&env.body, &err, &index);
        return lib_lose(c, &err);
    }
    struct lib_piece **at = &c->pieces;
    while (*at && (*at)->id != env.id)
        at = &(*at)->next;
    struct lib_piece *p = *at;
    if (env.shape != OCP_REPLY || !p || (c->state == LIB_HELLO && p != c->pieces)) {
        oc_fail(&err, OCID_E_PROTOCOL, 0, "the daemon has sent what nobody asked for");
        return lib_lose(c, &err);
    }
    *at = p->next;
    if (!*at)
        c->pieces_end = at;
    if (p->id == c->fds_out)
        c->fds_out = 0;
    if (c->state == LIB_HELLO && (rc = lib_welcome(c, &env, &err))) {
        free(p);
        return lib_lose(c, &err);
    }
    if (p->call && p->call->method == OCP_METHOD_hello)
        lib_call_finish(c, p->call);
    else
        lib_reply(c, p, &env);
    free(p);
    return 0;
}

/* Whole frames at the front of c->in. Callbacks cannot end the connection: lib_leave() does. */
static int parse(struct ocid *c)
{
    size_t at = 0, used, want;
    struct ocp_str payload;
    struct oc_err err;
    int rc = 0, found;
    while ((found = ocp_frame_next(c->in.data + at, c->in.len - at, &payload, &used, &want,
                                   &err)) == 1) {
        at += used;
        if ((rc = on_frame(c, payload)))
            return rc;
    }
    if (found < 0) {
        err.code = OCID_E_PROTOCOL;
        return lib_lose(c, &err);
    }
    oc_buf_drop(&c->in, at);
    return 0;
}

static int gone(struct ocid *c, int sys)
{
    struct oc_err err;
    if (c->state == LIB_HELLO)
        oc_fail(&err, OCID_E_NO_DAEMON, sys, "the daemon at '%s' has hung up without a greeting",
                c->socket);
    else
        oc_fail(
            &err, OCID_E_NO_DAEMON, sys,
            "the daemon has gone before it replied; jobs that have an id go on when it is back");
    return lib_lose(c, &err);
}

static int read_some(struct ocid *c)
{
    for (int round = 0; round < READ_ROUNDS; round++) {
        char *to;
        int rc = oc_buf_reserve(&c->in, LIB_READ_BYTES, &to);
        if (rc) {
            struct oc_err err;
            oc_fail(&err, rc, 0, "cannot read the daemon's reply: %s", oc_err_text(rc));
            return lib_lose(c, &err);
        }
        ssize_t n = recv(c->fd, to, LIB_READ_BYTES, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n <= 0)
            return gone(c, n < 0 && errno != ECONNRESET ? errno : 0);
        c->in.len += (size_t)n;
        if ((rc = parse(c)) || c->state == LIB_LOST)
            return rc;
        if (n < LIB_READ_BYTES)
            return 0;
    }
    return 0;
}

/* Nothing but hello leaves before the welcome; no descriptors before those of an earlier message
 * have been taken, so that the daemon cannot mistake whose they are. */
static bool may_write(const struct ocid *c)
{
    return c->out && !c->write_broken && !(c->out->n_fds && c->fds_out) &&
           (c->state == LIB_READY || (c->state == LIB_HELLO && c->hello_out));
}

/* Some frames in one sendmsg(); descriptors leave with the first byte of their own frame, which is
 * the first of its sendmsg(). */
static ssize_t write_frames(struct ocid *c)
{
    struct iovec iov[WRITE_FRAMES];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * OCP_MAX_FDS)];
    } control;
    struct msghdr msg = {.msg_iov = iov};
    struct lib_frame *f = c->out;
    if (f->n_fds && !f->sent) {
        memset(&control, 0, sizeof control);
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * f->n_fds);
        struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(sizeof(int) * f->n_fds);
        memcpy(CMSG_DATA(cm), f->fds, sizeof(int) * f->n_fds);
    }
    for (; f && msg.msg_iovlen < WRITE_FRAMES && (f == c->out || !f->n_fds); f = f->next) {
        iov[msg.msg_iovlen++] = (struct iovec){f->bytes.data + f->sent, f->bytes.len - f->sent};
        if (c->state == LIB_HELLO)
            break;
    }
    return sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void written(struct ocid *c, size_t n)
{
    while (n) {
        struct lib_frame *f = c->out;
        size_t part = f->bytes.len - f->sent < n ? f->bytes.len - f->sent : n;
        if (f->n_fds)
            c->fds_out = f->id;
        for (unsigned i = 0; i < f->n_fds; i++)
            close(f->fds[i]);
        f->n_fds = 0;
        f->sent += part;
        n -= part;
        c->out_bytes -= part;
        if (f->sent < f->bytes.len)
            return;
        c->out = f->next;
        if (!c->out)
            c->out_end = &c->out;
        c->hello_out = false;
        lib_frame_free(f);
    }
}

static int write_some(struct ocid *c)
{
    while (may_write(c)) {
        ssize_t n = write_frames(c);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            c->write_broken = true; /* perhaps it has said why: that is read next */
            return 0;
        }
        if (n < 0) {
            struct oc_err err;
            oc_fail(&err, OCID_E_IO, errno, "cannot write to the daemon at '%s'", c->socket);
            return lib_lose(c, &err);
        }
        written(c, (size_t)n);
    }
    return 0;
}

int lib_pump(struct ocid *c, bool reading)
{
    int rc = write_some(c);
    if (!rc && reading)
        rc = read_some(c);
    if (!rc && c->state == LIB_READY)
        rc = write_some(c); /* what waited for the welcome, or was sent by callbacks */
    return rc;
}

int ocid_fd(const struct ocid *c)
{
    return c->fd;
}

short ocid_events(const struct ocid *c)
{
    return (short)(c->fd < 0 ? 0 : may_write(c) ? POLLIN | POLLOUT : POLLIN);
}

int ocid_dispatch(struct ocid *c)
{
    int rc = lib_enter(c, true);
    if (rc)
        return rc;
    unsigned before = c->n_called;
    rc = lib_pump(c, true);
    return lib_leave(c, rc ? rc : (int)(c->n_called - before));
}

/* ---- Waiting */

int64_t lib_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t lib_deadline(int timeout_ms)
{
    return timeout_ms < 0 ? INT64_MAX : lib_now_ms() + timeout_ms;
}

int lib_remaining(int64_t deadline)
{
    int64_t left = deadline == INT64_MAX ? -1 : deadline - lib_now_ms();
    if (deadline == INT64_MAX)
        return -1;
    return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

int lib_poll(struct ocid *c, int fd, int64_t deadline, bool *ret_conn, bool *ret_fd)
{
    struct pollfd p[] = {
        {.fd = c->wake_fd, .events = POLLIN},
        {.fd = c->fd, .events = ocid_events(c)},
        {.fd = fd, .events = POLLIN},
    };
    int n;
    do
        n = poll(p, 3, lib_remaining(deadline));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return lib_fail(c, OCID_E_IO, errno, "cannot wait for the daemon");
    if (p[0].revents) {
        uint64_t times;
        ssize_t got = read(c->wake_fd, &times, sizeof times);
        (void)got;
        return lib_fail(c, OCID_E_DETACHED, 0, "interrupted; the daemon goes on");
    }
    *ret_conn = p[1].revents;
    *ret_fd = p[2].revents;
    return n ? 0 : lib_fail(c, OCID_E_TIMED_OUT, 0, "the daemon has not answered in time");
}

void lib_on_reply(void *user, const struct ocid_reply *reply)
{
    struct lib_wait *w = user;
    w->done = true;
    w->reply = *reply;
    if (reply->failure)
        w->why = *reply->failure;
}

int lib_await(struct ocid *c, uint64_t request, struct lib_wait *w, int64_t deadline)
{
    bool ready = false, unused;
    struct lib_call *call = lib_call_find(c, request);
    if (call)
        call->keep = true;
    for (;;) {
        lib_pump(c, ready); /* a lost connection ends the call, too */
        if (w->done)
            break;
        int rc = c->closing ? lib_fail(c, OCID_E_DETACHED, 0, "the connection was closed")
                            : lib_poll(c, -1, deadline, &ready, &unused);
        if (rc) {
            lib_call_forget(c, request);
            return rc;
        }
    }
    if (w->why.code)
        c->failure = w->why;
    return w->why.code;
}
