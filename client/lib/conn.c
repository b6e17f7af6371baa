/* SPDX-License-Identifier: Apache-2.0
 *
 * conn.c - one connection to the daemon: socket, hello, frames, replies to their calls.
 *
 * All of libocid's waiting is in lib_poll(); all reading and writing in lib_pump(). Callbacks run
 * from there only. Used by client.c and stream.c; start at ocid_begin().
 */
#include "lib/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ocid/version.h"
#include "proto/paths.h"

enum { READ_BYTES = 64 << 10, READ_ROUNDS = 16, WRITE_FRAMES = 16 };

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

static void destroy(struct ocid *c);

int lib_leave(struct ocid *c, int rc)
{
    if (!--c->busy && c->closing)
        destroy(c);
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

/* ---- Calls */

static void frame_free(struct lib_frame *f)
{
    for (unsigned i = 0; i < f->n_fds; i++)
        close(f->fds[i]);
    oc_buf_fini(&f->bytes);
    free(f);
}

static void frames_free(struct lib_frame *f)
{
    while (f) {
        struct lib_frame *next = f->next;
        frame_free(f);
        f = next;
    }
}

static void pieces_free(struct lib_piece *p)
{
    while (p) {
        struct lib_piece *next = p->next;
        free(p);
        p = next;
    }
}

struct lib_call *lib_call_new(struct ocid *c, int method, ocid_reply_fn *fn, void *user)
{
    struct lib_call *call = calloc(1, sizeof *call);
    if (!call) {
        lib_fail(c, OCID_E_NOMEM, 0, "out of memory");
        return NULL;
    }
    call->method = method;
    call->fn = fn;
    call->user = user;
    call->frames_end = &call->frames;
    call->pieces_end = &call->pieces;
    return call;
}

void lib_call_drop(struct lib_call *call)
{
    frames_free(call->frames);
    pieces_free(call->pieces);
    lib_arena_fini(&call->arena);
    free(call);
}

static int copy_fds(struct ocid *c, struct lib_frame *f, const int *fds, unsigned n)
{
    for (; f->n_fds < n; f->n_fds++) {
        int fd = fcntl(fds[f->n_fds], F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            return lib_fail(c, errno == EBADF ? OCID_E_INVALID : OCID_E_IO, errno,
                            "cannot pass the descriptor %d", fds[f->n_fds]);
        f->fds[f->n_fds] = fd;
    }
    return 0;
}

int lib_call_add(struct ocid *c, struct lib_call *call, const void *params, const int *fds,
                 unsigned n_fds, size_t first, size_t n)
{
    struct lib_frame *f = calloc(1, sizeof *f);
    struct lib_piece *p = calloc(1, sizeof *p);
    if (!f || !p) {
        free(f);
        free(p);
        return lib_fail(c, OCID_E_NOMEM, 0, "out of memory");
    }
    oc_buf_init(&f->bytes, OCP_MAX_FRAME + 4);
    f->id = c->next_id;
    *p = (struct lib_piece){.call = call, .id = c->next_id++, .first = first, .n = n};
    *call->frames_end = f;
    call->frames_end = &f->next;
    *call->pieces_end = p;
    call->pieces_end = &p->next;
    call->n_left++;

    int rc = ocp_frame_request(&f->bytes, p->id, call->method, params);
    if (rc)
        return lib_fail(c, rc, 0, "the request: %s", oc_err_text(rc));
    call->bytes += f->bytes.len;
    if (call->bytes + c->out_bytes > LIB_MAX_QUEUED)
        return lib_fail(c, OCID_E_QUEUE_FULL, 0,
                        "%d MiB of requests wait to be sent; dispatch the connection first",
                        LIB_MAX_QUEUED >> 20);
    return copy_fds(c, f, fds, n_fds);
}

int lib_call_post(struct ocid *c, struct lib_call *call, uint64_t *ret_request)
{
    call->request = call->pieces->id;
    call->reply.request = call->request;
    *c->out_end = call->frames;
    c->out_end = call->frames_end;
    *c->pieces_end = call->pieces;
    c->pieces_end = call->pieces_end;
    c->out_bytes += call->bytes;
    call->frames = NULL;
    call->pieces = NULL;
    *c->calls_end = call;
    c->calls_end = &call->next;
    if (ret_request)
        *ret_request = call->request;
    return 0;
}

static void unlink_call(struct ocid *c, struct lib_call *call)
{
    struct lib_call **at = &c->calls;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    if (!*at)
        c->calls_end = at;
}

/* The one end of a call. It has left the list before its callback runs. */
static void finish(struct ocid *c, struct lib_call *call)
{
    unlink_call(c, call);
    if (call->why.code)
        call->reply.failure = &call->why;
    call->reply.ids = call->ids;
    if (!call->n_left)
        call->reply.acks = call->acks; /* those of all its messages, or none */
    if (call->fn) {
        bool before = c->in_callback;
        c->in_callback = true;
        call->fn(call->user, &call->reply);
        c->in_callback = before;
        c->n_called++;
    }
    if (call->keep) {
        lib_arena_fini(&c->kept);
        c->kept = call->arena;
        call->arena = (struct lib_arena){0};
    }
    lib_call_drop(call);
}

static struct lib_call *find_call(struct ocid *c, uint64_t request)
{
    struct lib_call *call = c->calls;
    while (call && call->request != request)
        call = call->next;
    return call;
}

/* Frames that were not begun yet are still sent: the daemon goes on with the request. */
static int forget(struct ocid *c, uint64_t request)
{
    struct lib_call *call = find_call(c, request);
    if (!call)
        return 0;
    for (struct lib_piece *p = c->pieces; p; p = p->next)
        if (p->call == call)
            p->call = NULL;
    unlink_call(c, call);
    lib_call_drop(call);
    return 1;
}

int ocid_forget(struct ocid *c, uint64_t request)
{
    int rc = lib_enter(c, false);
    if (rc)
        return rc;
    if (!forget(c, request))
        rc = lib_fail(c, OCID_E_NOT_FOUND, 0, "no request %llu waits for a reply",
                      (unsigned long long)request);
    return lib_leave(c, rc);
}

/* ---- The end of a connection */

/* quiet: in a forked child, where the requests are the parent's. */
static void drop_all(struct ocid *c, const struct oc_err *why, bool quiet)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->state = LIB_LOST;
    c->lost = *why;
    frames_free(c->out);
    pieces_free(c->pieces);
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
        finish(c, call);
    }
}

static int lose(struct ocid *c, const struct oc_err *why)
{
    drop_all(c, why, false);
    return lib_failed(c, why, -1);
}

static void destroy(struct ocid *c)
{
    struct oc_err why;
    oc_fail(&why, OCID_E_DETACHED, 0, "the connection was closed before the reply came");
    c->closing = true;
    c->busy++; /* a callback that closes again changes nothing */
    drop_all(c, &why, c->pid != getpid());
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
        destroy(c);
}

/* ---- Replies */

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

/* An error that the daemon has sent; the place in the array goes to *ret_index. */
static void read_error(const struct ocp_span *body, struct oc_err *ret, int64_t *ret_index)
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

static void on_reply(struct ocid *c, struct lib_piece *p, const struct ocp_envelope *env)
{
    struct lib_call *call = p->call;
    struct oc_err err;
    int64_t index = -1;
    if (!call)
        return;
    if (env->is_error) {
        read_error(&env->body, &err, &index);
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
        finish(c, call);
}

/* ---- hello */

/* Each side knows the other's range, so that the one that is behind can be named. */
static int wrong_version(const struct ocp_welcome *w, struct oc_err *err)
{
    char daemon[65];
    ocp_str_copy(w->software, daemon, sizeof daemon);
    if (w->version > OCID_PROTOCOL_MAX)
        return oc_fail(
            err, OCID_E_VERSION, 0,
            "the daemon (%s) speaks protocol %llu, this program's libocid %s at most %d: "
            "restart this program with the newer libocid",
            daemon, (unsigned long long)w->version, OCID_VERSION, OCID_PROTOCOL_MAX);
    return oc_fail(err, OCID_E_VERSION, 0,
                   "the daemon (%s) speaks protocol %llu, this program's libocid %s at least %d: "
                   "restart the daemon with the newer ocid",
                   daemon, (unsigned long long)w->version, OCID_VERSION, OCID_PROTOCOL_MIN);
}

static const char *info_str(struct ocid *c, struct ocp_str s)
{
    char *out = lib_alloc(&c->info_arena, (size_t)s.n + 1);
    return out ? ocp_str_copy(s, out, (size_t)s.n + 1) : NULL;
}

static int on_welcome(struct ocid *c, const struct ocp_envelope *env, struct oc_err *err)
{
    struct ocp_welcome w;
    int64_t index;
    if (env->is_error) {
        read_error(&env->body, err, &index);
        return err->code;
    }
    int rc = ocp_unpack(&ocp_desc_welcome, env->body.p, env->body.n, &w, err);
    if (rc)
        return err->code = OCID_E_PROTOCOL;
    if (w.version < OCID_PROTOCOL_MIN || w.version > OCID_PROTOCOL_MAX)
        return wrong_version(&w, err);
    lib_arena_clear(&c->info_arena);
    c->info = (struct ocid_info){
        .version = (unsigned)w.version,
        .epoch = w.epoch,
        .pid = w.pid,
        .software = info_str(c, w.software),
        .features = info_str(c, w.features),
        .uuid = info_str(c, w.uuid),
        .socket = c->socket,
    };
    if (!c->info.software || !c->info.features || !c->info.uuid) {
        c->info.uuid = NULL;
        return oc_fail(err, OCID_E_NOMEM, 0, "out of memory");
    }
    if (w.max_frame >= 4096 && w.max_frame < OCP_MAX_FRAME)
        c->max_frame = (size_t)w.max_frame;
    if (w.max_jobs && w.max_jobs < OCP_MAX_JOBS)
        c->max_jobs = (uint32_t)w.max_jobs;
    c->state = LIB_READY;
    return 0;
}

static int say_hello(struct ocid *c)
{
    struct ocp_hello hello = {0};
    struct lib_call *call = lib_call_new(c, OCP_METHOD_hello, NULL, NULL);
    if (!call)
        return OCID_E_NOMEM;
    OCP_SET(&hello, hello, min, OCID_PROTOCOL_MIN);
    OCP_SET(&hello, hello, max, OCID_PROTOCOL_MAX);
    OCP_SET(&hello, hello, software, ocp_str(c->software));
    if (c->label)
        OCP_SET(&hello, hello, label, ocp_str(c->label));
    int rc = lib_call_add(c, call, &hello, NULL, 0, 0, 0);
    if (rc)
        lib_call_drop(call);
    else
        lib_call_post(c, call, NULL);
    return rc;
}

/* ---- Reading and writing */

static int on_frame(struct ocid *c, struct ocp_str payload)
{
    struct ocp_envelope env;
    struct oc_err err;
    int64_t index;
    int rc = ocp_envelope_read(payload, &env, &err);
    if (rc)
        return lose(c, &err);
    if (env.is_error && !env.id) { /* the daemon hangs up, and says why */
        read_error(&env.body, &err, &index);
        return lose(c, &err);
    }
    struct lib_piece **at = &c->pieces;
    while (*at && (*at)->id != env.id)
        at = &(*at)->next;
    struct lib_piece *p = *at;
    if (env.shape != OCP_REPLY || !p || (c->state == LIB_HELLO && p != c->pieces)) {
        oc_fail(&err, OCID_E_PROTOCOL, 0, "the daemon has sent what nobody asked for");
        return lose(c, &err);
    }
    *at = p->next;
    if (!*at)
        c->pieces_end = at;
    if (p->id == c->fds_out)
        c->fds_out = 0;
    if (c->state == LIB_HELLO && (rc = on_welcome(c, &env, &err))) {
        free(p);
        return lose(c, &err);
    }
    if (p->call && p->call->method == OCP_METHOD_hello)
        finish(c, p->call);
    else
        on_reply(c, p, &env);
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
        return lose(c, &err);
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
    return lose(c, &err);
}

static int read_some(struct ocid *c)
{
    for (int round = 0; round < READ_ROUNDS; round++) {
        char *to;
        int rc = oc_buf_reserve(&c->in, READ_BYTES, &to);
        if (rc) {
            struct oc_err err;
            oc_fail(&err, rc, 0, "cannot read the daemon's reply: %s", oc_err_text(rc));
            return lose(c, &err);
        }
        ssize_t n = recv(c->fd, to, READ_BYTES, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n <= 0)
            return gone(c, n < 0 && errno != ECONNRESET ? errno : 0);
        c->in.len += (size_t)n;
        if ((rc = parse(c)) || c->state == LIB_LOST)
            return rc;
        if (n < READ_BYTES)
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
        frame_free(f);
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
            return lose(c, &err);
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

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t lib_deadline(int timeout_ms)
{
    return timeout_ms < 0 ? INT64_MAX : now_ms() + timeout_ms;
}

static int remaining(int64_t deadline)
{
    int64_t left = deadline == INT64_MAX ? -1 : deadline - now_ms();
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
        n = poll(p, 3, remaining(deadline));
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
    struct lib_call *call = find_call(c, request);
    if (call)
        call->keep = true;
    for (;;) {
        lib_pump(c, ready); /* a lost connection ends the call, too */
        if (w->done)
            break;
        int rc = c->closing ? lib_fail(c, OCID_E_DETACHED, 0, "the connection was closed")
                            : lib_poll(c, -1, deadline, &ready, &unused);
        if (rc) {
            forget(c, request);
            return rc;
        }
    }
    if (w->why.code)
        c->failure = w->why;
    return w->why.code;
}

/* ---- Opening */

static int connect_to(struct ocid *c, const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n >= sizeof addr.sun_path)
        return ENAMETOOLONG;
    memcpy(addr.sun_path, path, n);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        return errno;
    int rc;
    do
        rc = connect(c->fd, (struct sockaddr *)&addr, sizeof addr);
    while (rc < 0 && errno == EINTR);
    if (!rc)
        return 0;
    int sys = errno;
    close(c->fd);
    c->fd = -1;
    return sys;
}

static int refused(struct ocid *c, const char *path, int sys)
{
    switch (sys) {
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
        return lib_fail(c, OCID_E_NO_DAEMON, 0,
                        "no daemon listens at '%s'; start it with: ocictl start", path);
    case EACCES:
    case EPERM:
        return lib_fail(c, OCID_E_DENIED_PEER, 0, "you may not connect to the daemon at '%s'",
                        path);
    case EAGAIN:
        return lib_fail(c, OCID_E_TIMED_OUT, 0, "the daemon at '%s' is too busy to be connected to",
                        path);
    case ENAMETOOLONG:
        return lib_fail(c, OCID_E_INVALID, 0, "the socket's path is too long: '%s'", path);
    default:
        return lib_fail(c, OCID_E_IO, sys, "cannot connect to the daemon at '%s'", path);
    }
}

static bool nobody(int sys)
{
    return sys == ENOENT || sys == ENOTDIR || sys == ECONNREFUSED;
}

/* The user's own daemon first, the system's if there is none. c->socket stays what the caller set
 * and is what was found otherwise. */
static int connect_somewhere(struct ocid *c, bool named)
{
    char path[OCP_SOCKET_MAX];
    struct oc_err err;
    int rc, sys;
    if (named) {
        sys = connect_to(c, c->socket);
        return sys ? refused(c, c->socket, sys) : 0;
    }
    if ((rc = ocp_socket_path(path, sizeof path, &err)))
        return lib_failed(c, &err, -1);
    const char *at = path;
    sys = connect_to(c, path);
    if (nobody(sys)) {
        int other = connect_to(c, OCP_SOCKET_SYSTEM);
        if (!nobody(other)) {
            sys = other;
            at = OCP_SOCKET_SYSTEM;
        }
    }
    if (sys)
        return refused(c, at, sys);
    free(c->socket);
    c->socket = strdup(at);
    return c->socket ? 0 : lib_fail(c, OCID_E_NOMEM, 0, "out of memory");
}

/* From LIB_LOST to LIB_HELLO. */
static int begin(struct ocid *c)
{
    c->write_broken = false;
    c->max_frame = OCP_MAX_FRAME;
    c->max_jobs = OCP_MAX_JOBS;
    oc_buf_init(&c->in, OCP_MAX_FRAME + 4 + READ_BYTES);
    int rc = connect_somewhere(c, c->named);
    if (!rc)
        rc = say_hello(c);
    if (rc && c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
    if (!rc) {
        c->state = LIB_HELLO;
        c->hello_out = true;
    }
    return rc;
}

static char *copy_or_null(const char *s, bool *oom)
{
    char *out = s ? strdup(s) : NULL;
    *oom |= s && !out;
    return out;
}

static struct ocid *conn_new(const struct ocid_options *opt, struct oc_err *err)
{
    struct ocid_options o = ocid_options_of();
    bool oom = false;
    if (opt && lib_struct(&o, sizeof o, opt, "ocid_options_of()", err))
        return NULL;
    struct ocid *c = calloc(1, sizeof *c);
    if (!c) {
        oc_fail(err, OCID_E_NOMEM, 0, "out of memory");
        return NULL;
    }
    c->fd = -1;
    c->next_id = 1;
    c->pid = getpid();
    c->out_end = &c->out;
    c->pieces_end = &c->pieces;
    c->calls_end = &c->calls;
    c->failure.index = -1;
    c->named = o.socket != NULL;
    oc_fail(&c->lost, OCID_E_NO_DAEMON, 0, "the connection is not open");
    c->socket = copy_or_null(o.socket, &oom);
    c->label = copy_or_null(o.label, &oom);
    c->software = copy_or_null(o.software ? o.software : "libocid " OCID_VERSION, &oom);
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (oom || c->wake_fd < 0) {
        oc_fail(err, oom ? OCID_E_NOMEM : OCID_E_IO, oom ? 0 : errno, "cannot open a connection");
        destroy(c);
        return NULL;
    }
    return c;
}

/* Moves the failure of a connection that is given up to where the caller looks. */
static int give_up(struct ocid *c, struct ocid_failure *why)
{
    int rc = c->failure.code;
    if (why)
        *why = c->failure;
    destroy(c);
    return rc;
}

int ocid_begin(const struct ocid_options *opt, struct ocid **ret, struct ocid_failure *why)
{
    struct oc_err err;
    struct ocid *c = conn_new(opt, &err);
    if (!c) {
        if (why)
            lib_failure_of(&err, -1, why);
        return err.code;
    }
    if (begin(c))
        return give_up(c, why);
    *ret = c;
    return 0;
}

/* A full backlog answers EAGAIN at once and cannot be waited for but by asking again. */
int lib_connect(struct ocid *c, int64_t deadline)
{
    bool ready = false, unused;
    int rc;
    while ((rc = begin(c)) == OCID_E_TIMED_OUT && remaining(deadline)) {
        int64_t soon = now_ms() + 10;
        rc = lib_poll(c, -1, soon < deadline ? soon : deadline, &ready, &unused);
        if (rc != OCID_E_TIMED_OUT)
            return rc;
    }
    while (!rc && c->state == LIB_HELLO) {
        if ((rc = lib_pump(c, ready)) || c->state != LIB_HELLO)
            break;
        if ((rc = lib_poll(c, -1, deadline, &ready, &unused))) {
            struct oc_err err = {.code = rc};
            ocp_str_copy(ocp_str(c->failure.text), err.text, sizeof err.text);
            lose(c, &err);
        }
    }
    return rc;
}

int ocid_open(const struct ocid_options *opt, int timeout_ms, struct ocid **ret,
              struct ocid_failure *why)
{
    struct oc_err err;
    struct ocid *c = conn_new(opt, &err);
    if (!c) {
        if (why)
            lib_failure_of(&err, -1, why);
        return err.code;
    }
    if (lib_connect(c, lib_deadline(timeout_ms)))
        return give_up(c, why);
    *ret = c;
    return 0;
}

int ocid_reopen(struct ocid *c, int timeout_ms)
{
    struct oc_err err;
    bool child = c->pid != getpid();
    if (c->in_callback && !child)
        return lib_fail(c, OCID_E_STATE, 0, "a callback must not make calls that wait");
    oc_fail(&err, OCID_E_NO_DAEMON, 0, "the connection was opened again before the reply came");
    c->busy = child ? 1 : c->busy + 1;
    drop_all(c, &err, child);
    c->info = (struct ocid_info){0};
    if (child) {
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0)
            return lib_leave(c, lib_fail(c, OCID_E_IO, errno, "cannot open a connection"));
        close(c->wake_fd); /* shared with the parent until now */
        c->wake_fd = fd;
        c->pid = getpid();
        c->in_callback = c->closing = false;
    }
    int rc = lib_connect(c, lib_deadline(timeout_ms));
    return lib_leave(c, rc);
}
