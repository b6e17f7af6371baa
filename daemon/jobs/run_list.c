/* SPDX-License-Identifier: Apache-2.0
 *
 * run_list.c - listings, page by page: into a client's pipe, into a file, or as the members of a
 * pull.
 *
 * Control loop; a page is taken apart in the pool. One page is in memory at a time, whatever the
 * length of the list. The rows of a page of unfinished uploads go to the client once the parts of
 * each were asked for, several at a time. Where a durable one goes on after a crash is in its row:
 * cursor, and bytes of the file that are on disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "jobs/files.h"
#include "jobs/page.h"
#include "jobs/room.h"
#include "jobs/run.h"
#include "jobs/uploads.h"
#include "proto/frame.h"
#include "proto/text.h"

enum { PAGE_BYTES = 4 << 20, UPLOADS_A_PAGE = 100 };

struct list {
    enum page_to to;
    char *cursor; /* start of the next page, NULL: the first */
    char *next;   /* pull: behind the page whose members are on their way to disk */
    uint64_t n_rows;
    int last; /* the page in hand is the last one */
    char last_prefix[1025];
    struct xfer_file *file;
    char *part_path;
    uint64_t file_bytes; /* of the file, on disk */
    char inode[24];      /* the file's number, as text: after a crash it tells a publication */
    int opened, resumed;
    struct oc_buf page;     /* packed rows, or JSON lines */
    size_t page_at;         /* of it, in the pipe */
    struct uploads uploads; /* of the page in hand, while their parts are asked for */
    int sizing;
    uv_poll_t poll;
    struct run *run;
    int polling;
};

static void next_page(struct run *u);

/* ---- the pipe ---- */

static void end_row(struct list *l)
{
    struct ocp_row row = {0};
    OCP_SET(&row, row, end, true);
    ocp_frame_message(&l->page, &ocp_desc_row, &row);
}

static void finish(struct run *u)
{
    struct ocp_outcome o = {0};
    const struct list *l = u->of;
    char rows[24];
    struct oc_buf b;
    oc_buf_init(&b, 256);
    ocp_add_pair(&b, "rows", rows, (size_t)snprintf(rows, sizeof rows, "%" PRIu64, l->n_rows));
    OCP_SET(&o, outcome, result, ocp_span(&b, 1));
    run_done(u, &o);
    oc_buf_fini(&b);
}

/* Writes what the pipe takes. A reader that has gone ends the job. */
static void write_pipe(struct run *u)
{
    struct list *l = u->of;
    while (l->page_at < l->page.len) {
        ssize_t n = write(u->job->pipe_fd, l->page.data + l->page_at, l->page.len - l->page_at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            struct oc_err err;
            oc_fail(&err, OCID_E_CANCELLED, 0, "the reader of the listing has gone");
            run_stop(u, &err, OCP_ENUM_state_cancelled);
            return;
        }
        l->page_at += (size_t)n;
    }
    oc_buf_clear(&l->page);
    l->page_at = 0;
    uv_poll_stop(&l->poll);
    if (l->last)
        finish(u);
    else
        run_ready(u);
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
    struct list *l = OC_OWNER(poll, struct list, poll);
    (void)status;
    (void)events;
    write_pipe(l->run);
}

/* The pipe is fresh and ours alone: the client made it for this. */
static int watch_pipe(struct run *u)
{
    struct list *l = u->of;
    int fd = u->job->pipe_fd;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (uv_poll_init(u->room->uv, &l->poll, fd))
        return -1;
    life_open(&u->life, (uv_handle_t *)&l->poll);
    l->polling = 1;
    return 0;
}

/* ---- pages ---- */

/* All pages of a pull are members now: the set waits for them without a run. */
static void leave(struct run *u)
{
    room_seal(u->room, u->job);
    run_stop(u, NULL, OCP_ENUM_state_waiting);
}

/* The next page begins behind it. */
static void page_ends(struct list *l, char *next, uint32_t n_rows)
{
    free(l->cursor);
    l->cursor = next;
    l->last = !next;
    l->n_rows += n_rows;
}

static void on_members(void *arg, const uint64_t *ids, uint32_t n, const struct oc_err *err,
                       int64_t index)
{
    struct run *u = arg;
    struct list *l = u->of;
    struct oc_err copy = {0};
    (void)ids;
    (void)index;
    if (err)
        copy = *err;
    else
        page_ends(l, oc_take(l->next), n);
    if (!run_work_end(u))
        return;
    if (err)
        run_retry(u, &copy);
    else if (l->last)
        leave(u);
    else
        run_ready(u);
}

static void on_row_saved(struct room_op *o)
{
    struct run *u = o->arg;
    struct list *l = u->of;
    struct oc_err err = o->op.err;
    if (!run_work_end(u))
        return;
    if (err.code)
        run_retry(u, &err);
    else if (l->last)
        next_page(u);
    else
        run_ready(u);
}

/* The row of a listing: how far it is, and which file its rows are in. */
static struct store_xfer row_of(const struct run *u)
{
    const struct list *l = u->of;
    return (struct store_xfer){.job = u->job->id,
                               .total = l->file_bytes,
                               .part_bytes = l->n_rows,
                               .phase = l->last,
                               .etag = ocp_str(l->inode),
                               .cursor = ocp_str(l->cursor ? l->cursor : "")};
}

static void save_row(struct run *u)
{
    struct list *l = u->of;
    struct room_op *o = room_op_new(u->room, STORE_XFER, on_row_saved, u);
    o->op.xfer = row_of(u);
    o->text[0] = oc_strdup(o->op.xfer.cursor.p);
    o->text[1] = oc_strdup(l->inode);
    o->op.xfer.cursor.p = o->text[0];
    o->op.xfer.etag.p = o->text[1];
    run_work_begin(u);
    room_op_post(o);
}

/* The rows in hand go to the client. */
static void to_pipe(struct list *l)
{
    if (l->last)
        end_row(l);
    uv_poll_start(&l->poll, UV_WRITABLE, on_writable);
}

static void uploads_go_on(struct run *u);

/* A prefix is there as long as objects have it; a bucket without any is there, and empty. */
static int is_missing(const struct run *u, const struct page *t)
{
    const struct list *l = u->of;
    return l->to == PAGE_TO_MEMBERS && u->spec.object.n && !l->cursor && !t->next &&
           !t->has_objects;
}

static void page_done(struct run *u, struct page *t)
{
    struct list *l = u->of;
    struct oc_err err;
    if (is_missing(u, t)) {
        oc_fail(&err, OCID_E_NOT_FOUND, 0, "there is no %s, nor any whose name begins so", u->what);
        run_fail(u, &err);
        return;
    }
    char *next = oc_take(t->next);
    if (t->kind == OCP_ENUM_kind_uploads) {
        page_ends(l, next, 0);
        l->uploads = t->uploads;
        t->uploads = (struct uploads){0};
        l->sizing = 1;
        uploads_go_on(u);
        return;
    }
    memcpy(l->last_prefix, t->last_prefix, sizeof l->last_prefix);
    if (l->to == PAGE_TO_MEMBERS) { /* asked for again if they cannot be taken now */
        free(l->next);
        l->next = next;
        run_work_begin(u);
        room_add_members(u->room, u->job, &t->rows, t->n_rows, next, on_members, u);
        return;
    }
    page_ends(l, next, t->n_rows);
    switch (l->to) {
    case PAGE_TO_PIPE:
        oc_buf_fini(&l->page);
        l->page = t->rows;
        oc_buf_init(&t->rows, 0);
        to_pipe(l);
        break;
    case PAGE_TO_FILE:
        l->file_bytes += t->rows.len;
        save_row(u);
        break;
    case PAGE_TO_MEMBERS:
        break;
    }
}

static void on_taken_apart(struct work *w)
{
    struct page *t = OC_OWNER(w, struct page, work);
    struct run *u = t->arg;
    struct oc_err err = t->err;
    if (run_work_end(u)) {
        if (err.code)
            run_fail(u, &err);
        else
            page_done(u, t);
    }
    page_free(t);
}

static void submit_page(struct run *u, struct run_request *q)
{
    struct list *l = u->of;
    const struct ocp_job *s = &u->spec;
    struct page *t = OC_NEW(struct page);
    t->work.run = page_take_apart;
    t->work.done = on_taken_apart;
    t->arg = u;
    t->to = l->to;
    t->kind = u->job->kind;
    t->uuid = store_uuid(u->room->store);
    t->body = q->x.reply_body;
    t->n = q->x.reply_len;
    q->x.reply_body = NULL;
    if (q->x.reply.opc_next_page)
        t->page_token = oc_strdup(q->x.reply.opc_next_page);
    t->start = l->cursor    ? oc_strdup(l->cursor)
               : s->start.n ? oc_strndup(s->start.p, s->start.n)
                            : NULL;
    t->left = s->limit ? s->limit - l->n_rows : UINT64_MAX;
    memcpy(t->last_prefix, l->last_prefix, sizeof t->last_prefix);
    oc_buf_init(&t->rows, 64 << 20);
    if (l->to == PAGE_TO_MEMBERS) {
        t->dest = oc_strndup(s->dest.p, s->dest.n);
        t->prefix = oc_strndup(s->object.p ? s->object.p : "", s->object.n);
        room_member_of(u->job, s, &t->member);
    }
    if (l->file)
        t->file = xfer_file_ref(l->file);
    t->offset = l->file_bytes;
    run_work_begin(u);
    work_submit(u->room->gate, &t->work, 0);
}

static int build(struct run *u, struct run_request *q, struct oc_err *err)
{
    struct list *l = u->of;
    struct run_names names;
    struct oci_where w = run_where(u, &names);
    const struct ocp_job *s = &u->spec;
    char start[1025], end[1025], fields[129], compartment[257];
    q->x.max_memory = PAGE_BYTES;
    if (u->job->kind == OCP_ENUM_kind_buckets)
        return oci_call_buckets(&w, run_compartment(u, compartment), OCI_PAGE_MAX, l->cursor,
                                &q->x.call, err);
    if (u->job->kind == OCP_ENUM_kind_uploads)
        return oci_call_uploads(&w, UPLOADS_A_PAGE, l->cursor, &q->x.call, err);
    if (u->job->kind == OCP_ENUM_kind_shares)
        return oci_call_pars(&w, OCI_PAGE_MAX, l->cursor, &q->x.call, err);
    struct oci_list_options o = {
        .prefix = names.object[0] ? names.object : NULL,
        .start = l->cursor    ? l->cursor
                 : s->start.n ? ocp_str_copy(s->start, start, sizeof start)
                              : NULL,
        .end = s->end.n ? ocp_str_copy(s->end, end, sizeof end) : NULL,
        .delimiter = s->delimiter.n ? "/" : NULL,
        .fields = l->to == PAGE_TO_MEMBERS ? "name,size"
                  : s->fields.n            ? ocp_str_copy(s->fields, fields, sizeof fields)
                                           : NULL,
        .limit = s->limit && s->limit - l->n_rows < OCI_PAGE_MAX ? (unsigned)(s->limit - l->n_rows)
                                                                 : OCI_PAGE_MAX,
    };
    return oci_call_list(&w, &o, &q->x.call, err);
}

/* The rows that were written are not there any more. */
static void start_anew(struct list *l)
{
    free(l->cursor);
    l->cursor = NULL;
    l->last_prefix[0] = 0;
    l->file_bytes = l->n_rows = l->last = 0;
}

/* Nor is the file. */
static void forget_file(struct list *l)
{
    start_anew(l);
    xfer_file_unref(l->file);
    l->file = NULL;
    l->opened = l->resumed = 0;
}

static void on_published(struct file_task *t)
{
    struct run *u = t->arg;
    struct oc_err err = t->err;
    if (t->gone)
        forget_file(u->of);
    if (t->err.code == OCID_E_EXISTS)
        u->job->unseen = 0;
    file_task_free(t);
    u->published = !err.code;
    if (!run_work_end(u))
        return;
    if (err.code)
        run_fail(u, &err);
    else
        finish(u);
}

static void publish(struct run *u)
{
    struct list *l = u->of;
    struct file_task *t = file_task_new(FILE_PUBLISH, on_published, u);
    t->path = oc_strdup(l->part_path);
    t->dest = oc_strndup(u->spec.dest.p, u->spec.dest.n);
    t->file = xfer_file_ref(l->file);
    t->size = l->file_bytes;
    t->overwrite = u->spec.overwrite;
    t->same_is_ok = run_may_be_there(u);
    u->job->unseen = 1; /* whoever cancels it now does not see it end */
    run_work_begin(u);
    file_task_submit(u->room->gate, t);
}

static void on_file(struct file_task *t)
{
    struct run *u = t->arg;
    struct list *l = u->of;
    struct oc_err err = t->err;
    int published = t->published;
    if (!err.code && !published) {
        if (t->size < l->file_bytes)
            start_anew(l);
        snprintf(l->inode, sizeof l->inode, "%" PRIu64, t->inode);
        l->file = t->file;
        t->file = NULL;
        l->opened = 1;
    }
    file_task_free(t);
    if (!published) {
        run_go_on(u, &err);
        return;
    }
    u->published = 1;
    if (run_work_end(u))
        finish(u);
}

static void open_file(struct run *u)
{
    struct list *l = u->of;
    struct file_task *t = file_task_new(FILE_PART, on_file, u);
    t->path = oc_strdup(l->part_path);
    t->dest = oc_strndup(u->spec.dest.p, u->spec.dest.n);
    t->overwrite = u->spec.overwrite || run_may_be_there(u);
    t->fresh = !l->resumed;
    t->inode = l->last ? strtoull(l->inode, NULL, 10) : 0;
    t->size = l->file_bytes;
    run_work_begin(u);
    file_task_submit(u->room->gate, t);
}

static void next_page(struct run *u)
{
    const struct list *l = u->of;
    if (l->to == PAGE_TO_FILE && l->last)
        publish(u);
    else
        run_ask(u, build);
}

/* ---- the parts of a page of uploads ---- */

static void add_upload(struct run *u, const struct upload *up)
{
    struct list *l = u->of;
    struct ocp_row row = {0};
    struct upload_owner owner;
    char created[OC_TIME_SIZE];
    if (up->state == UPLOAD_GONE)
        return;
    upload_owner_find(u->room, u->spec.bucket, up->object, up->id, &owner);
    OCP_SET(&row, row, name, ocp_str(up->object));
    OCP_SET(&row, row, upload_id, ocp_str(up->id));
    OCP_SET(&row, row, size, up->bytes);
    OCP_SET(&row, row, parts, up->n_parts);
    if (up->created_ms)
        OCP_SET(&row, row, time_created, ocp_str(oc_text_time(up->created_ms, created)));
    if (owner.certain && owner.uid == u->job->uid)
        OCP_SET(&row, row, job, owner.job);
    ocp_frame_message(&l->page, &ocp_desc_row, &row);
    l->n_rows++;
}

/* All parts of the page are known: its rows go to the client. Else there is more to ask for. */
static void uploads_go_on(struct run *u)
{
    struct list *l = u->of;
    if (l->uploads.n_left) {
        run_ready(u);
        return;
    }
    for (size_t i = 0; i < l->uploads.n; i++)
        add_upload(u, &l->uploads.all[i]);
    uploads_fini(&l->uploads);
    l->sizing = 0;
    to_pipe(l);
}

static enum run_sent ask_parts(struct run *u)
{
    struct list *l = u->of;
    struct run_names names;
    struct oc_err err;
    long at = uploads_next(&l->uploads);
    if (at < 0)
        return RUN_BUSY;
    if (u->room->stopping) {
        run_rest(u);
        return RUN_BUSY;
    }
    struct upload *up = &l->uploads.all[at];
    struct oci_where w = run_where(u, &names);
    struct run_request *q = run_request_new(u);
    w.object = up->object;
    q->x.max_memory = OCI_BODY_MAX;
    q->step.part_no = (unsigned)at;
    if (oci_call_parts(&w, up->id, OCI_PAGE_MAX, up->parts_page, &q->x.call, &err)) {
        run_request_drop(q);
        run_fail(u, &err);
        return RUN_BUSY;
    }
    up->state = UPLOAD_ASKED;
    run_post(u, q);
    return RUN_SENT;
}

static void on_parts(struct run *u, struct run_request *q, int ok)
{
    struct list *l = u->of;
    size_t at = q->step.part_no;
    struct oc_err err = q->x.err;
    if (ok && !uploads_parts(&l->uploads, at, q->x.reply_body, q->x.reply_len,
                             q->x.reply.opc_next_page, &err)) {
        uploads_go_on(u);
    } else if (!ok && q->x.kind == OCI_KIND_NO_UPLOAD) {
        uploads_gone(&l->uploads, at);
        uploads_go_on(u);
    } else {
        uploads_again(&l->uploads, at);
        run_fail(u, &err);
    }
}

static enum run_sent send_next(struct run *u)
{
    struct list *l = u->of;
    if (l->sizing)
        return ask_parts(u);
    if (u->n_requests || u->n_work > 1 || l->page.len) /* run_grant() itself counts as one */
        return RUN_BUSY;
    if (l->to == PAGE_TO_FILE && !l->opened)
        open_file(u);
    else if (l->to == PAGE_TO_MEMBERS && l->last)
        leave(u);
    else
        next_page(u);
    return RUN_BUSY;
}

static void answered(struct run *u, struct run_request *q, int ok)
{
    struct list *l = u->of;
    if (u->stopping)
        return;
    if (l->sizing)
        on_parts(u, q, ok);
    else if (ok)
        submit_page(u, q);
    else
        run_fail(u, &q->x.err);
}

/* ---- birth and death ---- */

static void resume(struct run *u)
{
    struct list *l = u->of;
    struct saved *s = room_saved_take(u->room, u->job->id);
    if (!s)
        return;
    if (s->row.cursor.n)
        l->cursor = oc_strndup(s->row.cursor.p, s->row.cursor.n);
    ocp_str_copy(s->row.etag, l->inode, sizeof l->inode);
    l->file_bytes = s->row.total;
    l->n_rows = s->row.part_bytes;
    l->last = s->row.phase;
    l->resumed = 1;
    room_saved_free(s);
}

static void prepare(struct run *u)
{
    struct list *l = u->of;
    struct oc_err err;
    if (u->stopping) {
        u->has_verdict = 0;
        run_settle(u);
        return;
    }
    if (!l) {
        l = u->of = OC_NEW(struct list);
        l->run = u;
        l->to = u->job->kind == OCP_ENUM_kind_pull ? PAGE_TO_MEMBERS
                : u->spec.dest.n                   ? PAGE_TO_FILE
                                                   : PAGE_TO_PIPE;
        oc_buf_init(&l->page, 64 << 20);
        if (l->to == PAGE_TO_FILE)
            l->part_path = file_part_name(u->spec.dest, u->job->id);
        resume(u);
        if (l->to == PAGE_TO_PIPE && watch_pipe(u)) {
            oc_fail(&err, OCID_E_INVALID, 0, "the descriptor passed for the listing is no pipe");
            run_fail(u, &err);
            return;
        }
    }
    run_ready(u);
}

static void stop(struct run *u)
{
    struct list *l = u->of;
    if (l && l->polling)
        uv_poll_stop(&l->poll);
}

static void progress(const struct run *u, struct ocp_status *ret)
{
    const struct list *l = u->of;
    if (l)
        OCP_SET(ret, status, bytes_done, l->n_rows);
}

/* The struct goes with the last handle: its poll is closed here and still closing after. */
static void list_free(struct run *u)
{
    struct list *l = u->of;
    if (!l)
        return;
    int over = job_is_over(u->job);
    if ((l->cursor || l->last) && l->to != PAGE_TO_PIPE && !over) {
        struct store_xfer row = row_of(u);
        room_saved_keep(u->room, &row);
    }
    if (l->part_path && over && (!u->published || u->verdict.code))
        room_remove_part(u->room, u->job->id, u->spec.dest);
    if (l->file)
        xfer_file_unref(l->file);
    oc_buf_fini(&l->page);
    uploads_fini(&l->uploads);
    free(l->cursor);
    free(l->next);
    free(l->part_path);
    if (l->polling) {
        uv_poll_stop(&l->poll);
        life_close(&u->life, (uv_handle_t *)&l->poll);
        u->free_late = l;
    } else {
        free(l);
    }
}

const struct run_ops run_list_ops = {
    .need = NEED_NAMESPACE,
    .prepare = prepare,
    .send = send_next,
    .answered = answered,
    .stop = stop,
    .progress = progress,
    .free = list_free,
};
