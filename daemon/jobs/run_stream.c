/* SPDX-License-Identifier: Apache-2.0
 *
 * run_stream.c - the source of a put that comes down a pipe.
 *
 * Control loop. Its bytes go to the spool file as far as the planner has room for them, and what
 * has arrived is cut out of it again. Start at stream_feed().
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "core/fault.h"
#include "core/mem.h"
#include "jobs/files.h"
#include "jobs/room.h"
#include "jobs/run_put.h"

void stream_open(struct run *u)
{
    struct oc_err err;
    int fresh = u->job->pipe_fd >= 0;
    if (!fresh && u->job->reading) {
        oc_fail(&err, OCID_E_SOURCE_CHANGED, 0,
                "the daemon ended before the end of the pipe was read: push it again");
        run_fail(u, &err);
        return;
    }
    struct file_task *t = file_task_new(FILE_STREAM, put_on_source, u);
    t->path = oc_strndup(u->spec.source.p, u->spec.source.n);
    t->fresh = fresh;
    run_work_begin(u);
    file_task_submit(u->room->gate, t);
}

void stream_end(struct run *u)
{
    struct put *p = u->of;
    if (!p->polling)
        return;
    uv_poll_stop(&p->poll);
    life_close(&u->life, (uv_handle_t *)&p->poll);
    p->polling = 0;
    u->free_late = p;
}

/* The row tells that there is no more: from now on the job outlives the daemon. */
static void on_end_saved(struct room_op *o)
{
    struct run *u = o->arg;
    struct put *p = u->of;
    struct oc_err err = o->op.err;
    p->filling = 0;
    if (!err.code) {
        p->ended = 1;
        stream_end(u);
        job_close_pipe(u->job); /* before it looks like a memfd */
        u->job->reading = 0;
        feed_touch(&u->room->feed, u->job);
        xfer_put_grow(p->plan, p->n_read, 1, &err);
    }
    run_go_on(u, &err);
}

static void save_end(struct run *u)
{
    struct put *p = u->of;
    struct room_op *o = room_op_new(u->room, STORE_XFER, on_end_saved, u);
    put_row_to(u, o);
    if (!OC_MUTANT("stream"))
        o->op.xfer.total = p->n_read;
    p->filling = 1;
    run_work_begin(u);
    room_op_post(o);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct put *p = OC_OWNER(poll, struct put, poll);
    (void)status;
    (void)events;
    uv_poll_stop(&p->poll);
    stream_feed(poll->data);
}

static int wait_for_more(struct run *u, struct oc_err *err)
{
    struct put *p = u->of;
    if (!p->polling && uv_poll_init(u->room->uv, &p->poll, u->job->pipe_fd))
        return oc_fail(err, OCID_E_INVALID, 0, "the pipe cannot be watched");
    if (!p->polling)
        life_open(&u->life, (uv_handle_t *)&p->poll);
    p->polling = 1;
    uv_poll_start(&p->poll, UV_READABLE | UV_DISCONNECT, on_readable);
    return 0;
}

/* A pipe's writer that has died looks as one that has finished: a size that was told shows it. */
static int check_size(const struct run *u, int ended, struct oc_err *err)
{
    const struct put *p = u->of;
    if (!OCP_HAS(&u->spec, job, size) || p->n_read == u->spec.size ||
        (p->n_read < u->spec.size && !ended))
        return 0;
    return oc_fail(err, OCID_E_SOURCE_CHANGED, 0,
                   "the pipe gave %s%" PRIu64 " bytes, and %" PRIu64 " were announced",
                   ended ? "" : "more than ", ended ? p->n_read : u->spec.size, u->spec.size);
}

static void on_filled(struct file_task *t)
{
    struct run *u = t->arg;
    struct put *p = u->of;
    struct oc_err err = t->err;
    int ended = t->ended;
    uint64_t n = t->size;
    file_task_free(t);
    p->filling = 0;
    p->n_read += n;
    if (!run_work_end(u))
        return;
    if (p->n_read > u->job->bytes)
        u->job->bytes = p->n_read;
    if (!err.code)
        check_size(u, ended, &err);
    if (n && (err.code == 0 || oc_err_retry(err.code) != OC_RETRY_NEVER)) {
        struct oc_err large;
        if (xfer_put_grow(p->plan, p->n_read, 0, &large))
            err = large;
    }
    if (!err.code && ended) {
        save_end(u);
        return;
    }
    if (!err.code && !n)
        wait_for_more(u, &err);
    if (err.code) {
        run_fail(u, &err);
        return;
    }
    u->n_work++; /* it must outlive stream_feed() */
    stream_feed(u);
    if (run_work_end(u) && n && !u->retry_at)
        run_ready(u);
}

void stream_feed(struct run *u)
{
    struct put *p = u->of;
    if (!u->job->reading || !p->plan || p->filling || u->stopping || u->retry_at)
        return;
    if (u->room->stopping) {
        run_rest(u);
        return;
    }
    uint64_t room = xfer_put_room(p->plan);
    if (room <= p->n_read || (p->polling && uv_is_active((uv_handle_t *)&p->poll)))
        return;
    struct file_task *t = file_task_new(FILE_FILL, on_filled, u);
    t->fd = fcntl(u->job->pipe_fd, F_DUPFD_CLOEXEC, 3);
    t->path = oc_strndup(u->spec.source.p, u->spec.source.n);
    t->file = xfer_file_ref(p->file);
    t->offset = p->n_read;
    t->length = room - p->n_read;
    p->filling = 1;
    if (u->job->state != OCP_ENUM_state_running)
        job_enter(u->room, u->job, OCP_ENUM_state_running, OCP_ENUM_why_none);
    run_work_begin(u);
    file_task_submit(u->room->gate, t);
}

static void on_dropped(struct file_task *t)
{
    room_pump(t->arg); /* the daemon may wait for it to end */
    file_task_free(t);
}

void stream_drop(struct run *u, uint32_t part_no, uint64_t length)
{
    struct put *p = u->of;
    struct file_task *t = file_task_new(FILE_DROP, on_dropped, u->room);
    t->file = xfer_file_ref(p->file);
    t->offset = xfer_put_offset(p->plan, part_no);
    t->length = length;
    file_task_submit(u->room->gate, t);
}
