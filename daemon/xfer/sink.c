/* SPDX-License-Identifier: Apache-2.0
 *
 * sink.c - the bytes of an answer on their way to memory, a file or a pipe.
 *
 * Transfer thread. Bodies of errors always go to memory. A sink that would block pauses its
 * transfer: a slow file is written by the pool, two pieces deep; of a full pipe the rest is kept
 * and an epoll says when to go on, since O_NONBLOCK would show on the other side too.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/fault.h"
#include "xfer/room.h"

enum { WRITE_AT = IO_BYTES / 2 }; /* filled so far, a piece is worth the pool */

static void unwritable(struct xfer_job *j, int sys)
{
    int code = sys == ENOSPC || sys == EDQUOT ? OCID_E_SPACE
               : sys == EIO                   ? OCID_E_IO
                                              : OCID_E_DESTINATION;
    j->r->local_sys = sys;
    job_fail(j, code, sys, "cannot write what came of %s", job_what(j));
}

/* ---- memory ---- */

static void memory_add(struct xfer_job *j, const char *bytes, size_t n)
{
    struct xfer_request *r = j->r;
    if (r->reply_len + n + 1 > j->memory_room) {
        size_t room = j->memory_room ? j->memory_room * 2 : 1024;
        while (room < r->reply_len + n + 1)
            room *= 2;
        r->reply_body = oc_grow(r->reply_body, room, 1);
        j->memory_room = room;
    }
    memcpy(r->reply_body + r->reply_len, bytes, n);
    r->reply_len += n;
    r->reply_body[r->reply_len] = 0;
}

/* More of an error than is worth keeping ends the transfer. */
static size_t error_add(struct xfer_job *j, const char *bytes, size_t n)
{
    size_t left = OCI_ERROR_BODY_MAX - j->r->reply_len;
    j->enough = n > left;
    memory_add(j, bytes, j->enough ? left : n);
    return j->enough ? 0 : n;
}

static size_t to_memory(struct xfer_job *j, const char *bytes, size_t n)
{
    if (j->r->reply_len + n > j->r->max_memory) {
        job_fail(j, OCID_E_SERVER, 0, "the answer about %s has more than %zu bytes", job_what(j),
                 j->r->max_memory);
        return 0;
    }
    memory_add(j, bytes, n);
    return n;
}

/* ---- file ---- */

static size_t write_now(struct xfer_job *j, const char *bytes, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t put =
            pwrite(j->r->file->fd, bytes + done, n - done, (off_t)(j->r->offset + j->at + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0 || OC_FAULT("xfer.write")) {
            unwritable(j, put < 0 ? errno : ENOSPC);
            return 0;
        }
        done += (size_t)put;
    }
    return n;
}

static void fill_submit(struct xfer_job *j)
{
    struct body_io *io = j->fill;
    j->fill = NULL;
    io->op = IO_WRITE;
    io_submit(j, io);
}

/* Bytes taken, 0: the pool is behind. */
static size_t write_later(struct xfer_job *j, const char *bytes, size_t n)
{
    if (j->fill && j->fill->len + n > IO_BYTES) {
        if (j->busy)
            return 0;
        fill_submit(j);
    }
    if (!j->fill) {
        j->fill = io_get(j->e);
        j->fill->offset = j->r->offset + j->at;
    }
    memcpy(j->fill->buf + j->fill->len, bytes, n);
    j->fill->len += n;
    if (j->fill->len >= WRITE_AT && !j->busy)
        fill_submit(j);
    return n;
}

void sink_on_written(struct xfer_job *j, struct body_io *io)
{
    if (io->sys)
        unwritable(j, io->sys);
    io_put(io);
    if (j->state == MOVE_SETTLING)
        job_settle(j);
    else if (j->r->err.code)
        job_finish(j, CURLE_WRITE_ERROR);
    else {
        if (j->fill && j->fill->len >= WRITE_AT)
            fill_submit(j);
        body_resume(j);
    }
}

/* ---- pipe ---- */

/* Without blocking, and without a flag that the reader's side could see. Bytes written, 0 when the
 * pipe is full, -1: errno. */
static ssize_t pipe_write(int fd, const char *bytes, size_t n)
{
    struct iovec v = {(char *)bytes, n};
    ssize_t put = -1;
    errno = EOPNOTSUPP;
    if (!OC_FAULT("xfer.oldpipe"))
        put = pwritev2(fd, &v, 1, -1, RWF_NOWAIT);
    if (put < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)) {
        /* An older kernel: what poll() promises room for is PIPE_BUF bytes. */
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (poll(&p, 1, 0) <= 0)
            return 0;
        put = write(fd, bytes, n < PIPE_BUF ? n : PIPE_BUF);
    }
    if (put < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    return put;
}

static void pipe_watch(struct xfer_job *j)
{
    struct epoll_event ev = {.events = EPOLLOUT | EPOLLONESHOT, .data.ptr = j};
    int op = j->pipe_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(j->e->pipes_fd, op, j->pipe_fd, &ev) < 0)
        unwritable(j, errno);
    j->pipe_watched = 1;
}

static void rest_keep(struct xfer_job *j, const char *bytes, size_t n)
{
    if (j->rest_room < n) {
        j->rest = oc_grow(j->rest, n, 1);
        j->rest_room = n;
    }
    memcpy(j->rest, bytes, n);
    j->rest_len = n;
    j->rest_at = 0;
    pipe_watch(j);
}

/* Takes n bytes, or 0 with a verdict. The rest that found no room was empty before. */
static size_t to_pipe(struct xfer_job *j, const char *bytes, size_t n)
{
    size_t done = 0;
    if (j->pipe_fd < 0)
        j->pipe_fd = fcntl(j->r->pipe_fd, F_DUPFD_CLOEXEC, 3);
    while (done < n) {
        ssize_t put = j->pipe_fd < 0 ? -1 : pipe_write(j->pipe_fd, bytes + done, n - done);
        if (put < 0) {
            unwritable(j, errno);
            return 0;
        }
        if (!put)
            break;
        done += (size_t)put;
    }
    if (done < n)
        rest_keep(j, bytes + done, n - done);
    return j->r->err.code ? 0 : n;
}

/* The pipe has room again, or its reader has gone. */
static void pipe_ready(struct xfer_job *j)
{
    while (j->rest_at < j->rest_len) {
        ssize_t put = pipe_write(j->pipe_fd, j->rest + j->rest_at, j->rest_len - j->rest_at);
        if (put < 0) {
            unwritable(j, errno);
            break;
        }
        if (!put) {
            pipe_watch(j);
            break;
        }
        j->rest_at += (size_t)put;
    }
    if (j->r->err.code)
        j->rest_len = 0;
    else if (j->rest_at < j->rest_len)
        return;
    j->rest_len = j->rest_at = 0;
    if (j->state == MOVE_SETTLING)
        job_settle(j);
    else if (j->r->err.code)
        job_finish(j, CURLE_WRITE_ERROR);
    else
        body_resume(j);
}

void sink_on_pipes(uv_poll_t *p, int status, int events)
{
    struct engine *e = p->data;
    struct epoll_event ev;
    (void)status;
    (void)events;
    /* One at a time: a job that has an event may end by what the one before it does. */
    for (unsigned i = 0; i < 64 && epoll_wait(e->pipes_fd, &ev, 1, 0) == 1; i++)
        pipe_ready(ev.data.ptr);
    engine_pump(e);
}

/* ---- all ---- */

static int is_behind(const struct xfer_job *j, size_t n)
{
    if (j->r->to == SINK_PIPE)
        return j->rest_len > 0;
    return j->r->to == SINK_FILE && j->r->file->slow && j->busy && j->fill &&
           j->fill->len + n > IO_BYTES;
}

static size_t to_file(struct xfer_job *j, const char *bytes, size_t n)
{
    if (n > j->r->length - j->at) {
        job_fail(j, OCID_E_SERVER, 0, "more bytes came of %s than were asked for", job_what(j));
        return 0;
    }
    return j->r->file->slow ? write_later(j, bytes, n) : write_now(j, bytes, n);
}

size_t on_write_cb(char *bytes, size_t size, size_t n, void *arg)
{
    struct xfer_job *j = ((struct lane *)arg)->job;
    size_t taken;
    n *= size;
    j->heard_ms = engine_now_ms(j->e);
    if (j->to_error)
        return error_add(j, bytes, n);
    if ((j->r->from == BODY_NONE && !pace_ask(j, n)) || is_behind(j, n)) {
        j->paused = 1;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (j->r->to == SINK_MEMORY)
        taken = to_memory(j, bytes, n);
    else
        taken = j->r->to == SINK_FILE ? to_file(j, bytes, n) : to_pipe(j, bytes, n);
    if (taken != n)
        return 0;
    if (j->r->from == BODY_NONE) {
        body_sum(j, bytes, n);
        pace_moved(j, n);
        j->at += n;
        atomic_store_explicit(&j->r->bytes_moved, j->at, memory_order_relaxed);
        atomic_fetch_add_explicit(&j->e->bytes_down, n, memory_order_relaxed);
    }
    return n;
}

int sink_flush(struct xfer_job *j)
{
    if (j->r->err.code) {
        io_put(j->fill);
        j->fill = NULL;
        j->rest_len = 0;
    }
    if (j->fill && !j->busy)
        fill_submit(j);
    return !j->busy && !j->rest_len;
}

void sink_drop(struct xfer_job *j)
{
    if (j->busy) {
        j->busy->job = NULL;
        j->busy = NULL;
    }
    io_put(j->fill);
    j->fill = NULL;
    j->rest_len = j->rest_at = 0;
    if (j->pipe_fd >= 0) {
        if (j->pipe_watched)
            epoll_ctl(j->e->pipes_fd, EPOLL_CTL_DEL, j->pipe_fd, NULL);
        close(j->pipe_fd);
    }
    j->pipe_fd = -1;
    j->pipe_watched = 0;
}
