/* SPDX-License-Identifier: Apache-2.0
 *
 * run_get.c - drives the planner of a download into a file, or one request into a pipe.
 *
 * Control loop. xfer/get.c says what is next. The part file lies beside the destination until its
 * bytes are proven and on the disk; a name never shows a partial file.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "jobs/files.h"
#include "jobs/room.h"
#include "jobs/run.h"

enum { SUM_TRIES = 3, MTIME_DIGITS = 32 };

struct get {
    struct xfer_get *plan; /* NULL: into a pipe */
    struct xfer_file *file;
    char *part_path;
    int empty;   /* as far as we know: no range fits, so it is asked for as a whole */
    int resumed; /* the part file of an earlier life is taken */
    unsigned n_sum;
    int verified;
    char etag[129], version_id[129], request_id[129], content_md5[32];
    uint32_t object_crc32c; /* of the whole, as the service says */
    int has_object_crc32c;
    int64_t mtime_ns;
    uint64_t piped; /* into the pipe so far */
    uint32_t piped_crc32c;
    uint64_t size, part_bytes;
};

enum { SUMS_SIZE = 128 };

static int to_pipe(const struct run *u)
{
    return u->job->pipe_fd >= 0 && !u->spec.dest.n;
}

/* A part of the object was asked for: nothing that the service says of the whole proves it. */
static int is_part(const struct run *u)
{
    return u->spec.offset || u->spec.length;
}

static uint64_t part_bytes_of(const struct run *u)
{
    return (uint64_t)u->room->config->transfer_part_mib << 20;
}

static char *dest_of(const struct run *u)
{
    return oc_strndup(u->spec.dest.p, u->spec.dest.n);
}

/* ---- getting ready ---- */

/* Parts of an earlier life, one after the other: what is on disk must still have their sums. */
struct recheck {
    struct run *run;
    struct store_part *parts;
    uint32_t n, at;
};

static void recheck_next(struct recheck *c);

static void recheck_end(struct recheck *c)
{
    struct run *u = c->run;
    free(c->parts);
    free(c);
    if (run_work_end(u))
        run_ready(u);
}

static void on_rechecked(struct file_task *t)
{
    struct recheck *c = t->arg;
    struct get *g = c->run->of;
    const struct store_part *p = &c->parts[c->at++];
    if (!t->err.code && t->crc32c == p->crc32c)
        xfer_get_have(g->plan, p->part_no, p->bytes, p->crc32c);
    file_task_free(t);
    recheck_next(c);
}

static void recheck_next(struct recheck *c)
{
    struct get *g = c->run->of;
    if (c->at == c->n || c->run->stopping) {
        recheck_end(c);
        return;
    }
    struct file_task *t = file_task_new(FILE_CRC, on_rechecked, c);
    t->path = oc_strdup(g->part_path);
    t->file = xfer_file_ref(g->file);
    t->offset = (c->parts[c->at].part_no - 1) * g->part_bytes;
    t->length = c->parts[c->at].bytes;
    file_task_submit(c->run->room->gate, t);
}

static void on_reopened(struct file_task *t)
{
    struct recheck *c = t->arg;
    struct get *g = c->run->of;
    struct oc_err err = t->err;
    g->file = t->file;
    t->file = NULL;
    file_task_free(t);
    if (!err.code) {
        recheck_next(c);
        return;
    }
    c->n = 0;
    struct run *u = c->run;
    u->n_work++; /* the run must outlive the end of the check */
    recheck_end(c);
    if (run_work_end(u))
        run_fail(u, &err);
}

static void open_file(struct run *u, int fresh, void (*done)(struct file_task *t), void *arg)
{
    struct get *g = u->of;
    struct file_task *t = file_task_new(FILE_PART, done, arg);
    t->path = oc_strdup(g->part_path);
    t->dest = dest_of(u);
    t->root_len = u->spec.below;
    t->overwrite = u->spec.overwrite || run_may_be_there(u);
    t->fresh = fresh;
    file_task_submit(u->room->gate, t);
}

static void on_parts(struct room_op *o)
{
    struct recheck *c = OC_NEW(struct recheck);
    c->run = o->arg;
    c->parts = o->op.n ? oc_memdup(o->op.parts, o->op.n * sizeof *o->op.parts) : NULL;
    c->n = o->op.err.code ? 0 : o->op.n;
    open_file(c->run, 0, on_reopened, c);
}

/* What the first answer said of the whole, kept in the row's cursor by row_of(). */
static void read_sums(struct get *g, struct ocp_str cursor)
{
    unsigned crc = 0;
    long long mtime = 0;
    char text[SUMS_SIZE];
    ocp_str_copy(cursor, text, sizeof text);
    if (sscanf(text, "%d %x %lld %31s", &g->has_object_crc32c, &crc, &mtime, g->content_md5) < 4 ||
        !strcmp(g->content_md5, "-"))
        g->content_md5[0] = 0;
    g->object_crc32c = crc;
    g->mtime_ns = mtime;
}

/* MD5 alone can prove the whole. */
static int needs_md5(const struct run *u)
{
    const struct get *g = u->of;
    return g->content_md5[0] && !g->has_object_crc32c &&
           u->room->config->transfer_checksum != CONFIG_CHECKSUM_OFF;
}

/* Goes on from the row of an earlier life: 1 when it does, 0 without a row, -1 with *err. */
static int resume(struct run *u, struct oc_err *err)
{
    struct get *g = u->of;
    struct saved *s = room_saved_take(u->room, u->job->id);
    if (!s)
        return 0;
    int rc = xfer_get_resume(s->row.total, s->row.part_bytes, &g->plan, err);
    ocp_str_copy(s->row.etag, g->etag, sizeof g->etag);
    read_sums(g, s->row.cursor);
    g->size = s->row.total;
    g->part_bytes = s->row.part_bytes;
    g->resumed = !rc;
    room_saved_free(s);
    if (rc)
        return -1;
    if (g->size)
        xfer_get_sized(g->plan, g->size, needs_md5(u));
    struct room_op *o = room_op_new(u->room, STORE_READ_PARTS, on_parts, u);
    o->op.id = u->job->id;
    run_work_begin(u);
    room_op_post(o);
    return 1;
}

static void prepare(struct run *u)
{
    struct oc_err err;
    if (u->stopping) { /* nothing of a download is left at the service */
        u->has_verdict = 0;
        run_settle(u);
        return;
    }
    if (!u->of)
        u->of = OC_NEW(struct get);
    struct get *g = u->of;
    if (to_pipe(u) || g->plan) {
        run_ready(u);
        return;
    }
    if (!g->part_path)
        g->part_path = file_part_name(u->spec.dest, u->job->id);
    int resumed = resume(u, &err);
    if (resumed > 0)
        return;
    g->empty = OCP_HAS(&u->spec, job, size) && !u->spec.size; /* as the listing of a pull said */
    if (resumed < 0 || xfer_get_new(part_bytes_of(u), &g->plan, &err))
        run_fail(u, &err);
    else
        run_ready(u);
}

/* ---- steps that are not requests ---- */

static void step_end(struct run *u, enum step_kind kind, enum step_end how)
{
    struct get *g = u->of;
    struct xfer_step s = {.kind = kind};
    xfer_get_end(g->plan, &s, how, 0);
}

static void on_file(struct file_task *t)
{
    struct run *u = t->arg;
    struct get *g = u->of;
    struct oc_err err = t->err;
    if (!err.code) {
        if (g->file)
            xfer_file_unref(g->file);
        g->file = t->file;
        t->file = NULL;
    }
    file_task_free(t);
    step_end(u, STEP_OPEN, err.code ? STEP_AGAIN : STEP_OK);
    run_go_on(u, &err);
}

/* 1: it is open already. */
static int open_part(struct run *u)
{
    struct get *g = u->of;
    if (g->resumed && g->file) { /* open since its parts were checked */
        step_end(u, STEP_OPEN, STEP_OK);
        return 1;
    }
    run_work_begin(u);
    open_file(u, 1, on_file, u);
    return 0;
}

/* The bytes have arrived changed: all of them again, some times. */
static void fail_sum(struct run *u, const struct oc_err *err)
{
    struct get *g = u->of;
    if (++g->n_sum < SUM_TRIES)
        run_retry(u, err);
    else
        run_fail(u, err);
}

/* The MD5 of all bytes against the object's. 0, or OCID_E_CHECKSUM with both. */
static int md5_agrees(struct run *u, const uint8_t sum[OCI_MD5_SIZE], struct oc_err *err)
{
    struct get *g = u->of;
    char md5[OCI_MD5_TEXT_SIZE];
    oci_base64(sum, OCI_MD5_SIZE, md5);
    if (strcmp(md5, g->content_md5))
        return oc_fail(err, OCID_E_CHECKSUM, 0,
                       "%s arrived changed: MD5 %s, but the service says %s", u->what, md5,
                       g->content_md5);
    g->verified = OCP_ENUM_verified_md5;
    return 0;
}

static void on_sum(struct file_task *t)
{
    struct run *u = t->arg;
    struct oc_err err = t->err;
    int changed = !err.code && md5_agrees(u, t->md5, &err);
    file_task_free(t);
    step_end(u, STEP_VERIFY, changed ? STEP_CHANGED : err.code ? STEP_AGAIN : STEP_OK);
    if (!changed)
        run_go_on(u, &err);
    else if (run_work_end(u))
        fail_sum(u, &err);
}

static void sum_file(struct run *u)
{
    struct get *g = u->of;
    struct get_facts f;
    xfer_get_facts(g->plan, &f);
    struct file_task *t = file_task_new(FILE_SUM, on_sum, u);
    t->path = oc_strdup(g->part_path);
    t->file = xfer_file_ref(g->file);
    t->size = f.size;
    run_work_begin(u);
    file_task_submit(u->room->gate, t);
}

static void finish(struct run *u)
{
    struct get *g = u->of;
    struct ocp_outcome o = {0};
    if (g->etag[0])
        OCP_SET(&o, outcome, etag, ocp_str(g->etag));
    if (g->version_id[0])
        OCP_SET(&o, outcome, version_id, ocp_str(g->version_id));
    if (g->request_id[0])
        OCP_SET(&o, outcome, request_id, ocp_str(g->request_id));
    OCP_SET(&o, outcome, verified, g->verified);
    OCP_SET(&o, outcome, bytes, g->size);
    run_done(u, &o);
}

/* Nothing of it is at hand any more, whatever it is now: as at the beginning. */
static void forget(struct get *g)
{
    g->etag[0] = g->content_md5[0] = 0;
    g->size = 0;
    g->resumed = 0;
    g->verified = OCP_ENUM_verified_none;
}

static void on_published(struct file_task *t)
{
    struct run *u = t->arg;
    struct oc_err err = t->err;
    int gone = t->gone;
    if (t->err.code == OCID_E_EXISTS)
        u->job->unseen = 0;
    file_task_free(t);
    if (gone)
        forget(u->of);
    step_end(u, STEP_PUBLISH, gone ? STEP_CHANGED : err.code ? STEP_AGAIN : STEP_OK);
    if (!err.code) /* the part file is the destination now */
        u->published = 1;
    run_go_on(u, &err);
}

/* All parts are there: their sums combine to the object's, unless MD5 has proven it already. */
static int whole_agrees(struct run *u, struct oc_err *err)
{
    struct get *g = u->of;
    struct get_facts f;
    xfer_get_facts(g->plan, &f);
    if (g->verified == OCP_ENUM_verified_md5)
        return 0;
    if (u->room->config->transfer_checksum == CONFIG_CHECKSUM_OFF) {
        g->verified = OCP_ENUM_verified_none;
        return 0;
    }
    g->verified = g->has_object_crc32c ? OCP_ENUM_verified_crc32c : OCP_ENUM_verified_length;
    if (!g->has_object_crc32c || f.crc32c == g->object_crc32c)
        return 0;
    return oc_fail(err, OCID_E_CHECKSUM, 0,
                   "%s arrived changed: CRC32C %08x, but the service says %08x", u->what, f.crc32c,
                   g->object_crc32c);
}

static void publish(struct run *u)
{
    struct get *g = u->of;
    struct oc_err err;
    if (whole_agrees(u, &err)) {
        forget(g);
        step_end(u, STEP_PUBLISH, STEP_CHANGED);
        fail_sum(u, &err);
        return;
    }
    struct file_task *t = file_task_new(FILE_PUBLISH, on_published, u);
    t->path = oc_strdup(g->part_path);
    t->dest = dest_of(u);
    t->file = xfer_file_ref(g->file);
    t->size = g->size;
    t->overwrite = u->spec.overwrite;
    t->same_is_ok = run_may_be_there(u);
    t->mtime_ns = g->mtime_ns;
    u->job->unseen = 1; /* whoever cancels it now does not see it end */
    run_work_begin(u);
    file_task_submit(u->room->gate, t);
}

static void on_saved(struct room_op *o)
{
    struct run *u = o->arg;
    struct oc_err err = o->op.err;
    step_end(u, STEP_SAVE, err.code ? STEP_AGAIN : STEP_OK);
    run_go_on(u, &err);
}

/* The row of the transfer. What the first answer said of the whole is in its cursor. */
static struct store_xfer row_of(const struct run *u, char sums[SUMS_SIZE])
{
    const struct get *g = u->of;
    struct get_facts f;
    xfer_get_facts(g->plan, &f);
    snprintf(sums, SUMS_SIZE, "%d %x %lld %s", g->has_object_crc32c, g->object_crc32c,
             (long long)g->mtime_ns, g->content_md5[0] ? g->content_md5 : "-");
    return (struct store_xfer){.job = u->job->id,
                               .phase = f.phase,
                               .total = f.size,
                               .part_bytes = f.part_bytes,
                               .etag = ocp_str(g->etag),
                               .cursor = ocp_str(sums)};
}

static void save(struct run *u)
{
    struct get *g = u->of;
    struct room_op *o = room_op_new(u->room, STORE_XFER, on_saved, u);
    o->text[0] = oc_strdup(g->etag);
    o->text[1] = oc_new(1, SUMS_SIZE);
    o->op.xfer = row_of(u, o->text[1]);
    o->op.xfer.etag = ocp_str(o->text[0]);
    run_work_begin(u);
    room_save_xfer(o, o->op.xfer.phase == GET_NEW);
}

/* ---- requests ---- */

/* This answer may be all of it: then the MD5 that it comes with, if any, must be its own. */
static int unproven(const struct run *u)
{
    const struct get *g = u->of;
    struct get_facts f;
    if (!g->plan)
        return !g->piped && !is_part(u);
    xfer_get_facts(g->plan, &f);
    return !f.sized;
}

/* Place of the last byte that the pipe is to get. */
static uint64_t pipe_last(const struct run *u)
{
    return u->spec.length ? u->spec.offset + u->spec.length - 1 : UINT64_MAX;
}

static int build(struct run *u, struct run_request *q, struct oc_err *err)
{
    struct get *g = u->of;
    struct run_names names;
    char match[129], version[129];
    struct oci_where w = run_where(u, &names);
    int piping = !g->plan;
    struct oci_get_options o = {
        .ranged = piping ? g->piped > 0 || is_part(u) : !g->empty,
        .first = q->step.offset,
        .last = piping ? pipe_last(u) : q->step.offset + q->step.length - 1,
        .if_match = g->etag[0]           ? g->etag
                    : u->spec.if_match.n ? ocp_str_copy(u->spec.if_match, match, sizeof match)
                                         : NULL,
        .version_id =
            u->spec.version_id.n ? ocp_str_copy(u->spec.version_id, version, sizeof version) : NULL,
    };
    q->x.ranged = o.ranged;
    q->x.sums = u->room->config->transfer_checksum == CONFIG_CHECKSUM_OFF
                    ? 0
                    : XFER_CRC32C | (unproven(u) ? XFER_MD5_LATE : 0);
    q->x.offset = q->step.offset;
    q->x.length = q->step.length;
    q->x.to = piping ? SINK_PIPE : SINK_FILE;
    q->x.pipe_fd = u->job->pipe_fd;
    if (!piping)
        q->x.file = xfer_file_ref(g->file);
    return oci_call_get(&w, &o, &q->x.call, err);
}

static int request(struct run *u, const struct xfer_step *s)
{
    struct oc_err err;
    struct get *g = u->of;
    if (u->room->stopping) {
        if (g->plan)
            xfer_get_end(g->plan, s, STEP_AGAIN, 0);
        run_rest(u);
        return 0;
    }
    struct run_request *q = run_request_new(u);
    q->step = *s;
    if (!build(u, q, &err)) {
        run_post(u, q);
        return 1;
    }
    run_request_drop(q);
    if (g->plan)
        xfer_get_end(g->plan, s, STEP_FATAL, 0);
    run_fail(u, &err);
    return 0;
}

static enum run_sent send_pipe(struct run *u)
{
    struct get *g = u->of;
    struct xfer_step s = {
        .kind = STEP_REQUEST, .op = OP_RANGE, .offset = u->spec.offset + g->piped};
    s.length = g->size ? g->size - g->piped : UINT64_MAX;
    if (!u->n_requests)
        request(u, &s);
    return RUN_BUSY;
}

static enum run_sent send_next(struct run *u)
{
    struct get *g = u->of;
    struct xfer_step s;
    if (!g->plan)
        return send_pipe(u);
    xfer_get_next(g->plan, &s);
    switch (s.kind) {
    case STEP_REQUEST:
        return request(u, &s) ? RUN_SENT : RUN_BUSY;
    case STEP_OPEN:
        if (open_part(u))
            return send_next(u);
        break;
    case STEP_FAILED: /* it has started over too often */
        run_give_up(u);
        break;
    case STEP_SAVE:
        save(u);
        break;
    case STEP_VERIFY:
        sum_file(u);
        break;
    case STEP_PUBLISH:
        publish(u);
        break;
    case STEP_DONE:
        finish(u);
        break;
    default:
        break;
    }
    return RUN_BUSY;
}

/* ---- answers ---- */

/* mtime as `ocictl push` keeps it, else when the object was made. */
static int64_t mtime_of(const struct oci_reply *r)
{
    for (const struct oci_meta *m = r->meta; m; m = m->next)
        if (!strcasecmp(m->name, "mtime-ns"))
            return strtoll(m->value, NULL, 10);
    return (int64_t)r->last_modified * 1000000000;
}

/* From here on the size is that of the part, and the sums of the whole are none of it. */
static void learn_part(struct run *u)
{
    struct get *g = u->of;
    uint64_t end = u->spec.length && pipe_last(u) < g->size ? pipe_last(u) + 1 : g->size;
    g->size = end > u->spec.offset ? end - u->spec.offset : 0;
    g->has_object_crc32c = 0;
    g->content_md5[0] = 0;
}

/* The first answer tells which object it is; the rest is pinned to it. */
static void learn(struct run *u, struct run_request *q)
{
    struct get *g = u->of;
    const struct oci_reply *r = &q->x.reply;
    run_take_text(g->etag, sizeof g->etag, r->etag);
    run_take_text(g->version_id, sizeof g->version_id, r->version_id);
    run_take_text(g->content_md5, sizeof g->content_md5, r->content_md5);
    run_take_text(g->request_id, sizeof g->request_id, r->opc_request_id);
    g->has_object_crc32c = r->has_crc32c;
    g->object_crc32c = r->crc32c;
    g->mtime_ns = mtime_of(r);
    g->size = r->has_range ? (uint64_t)r->range_total : (uint64_t)r->content_length;
    if (is_part(u))
        learn_part(u);
    if (g->size > SCHED_SMALL_BYTES)
        u->job->bytes = g->size;
}

/* One range was all of it, and its MD5 was summed on the way. */
static int md5_of_whole(struct run *u, struct run_request *q, struct oc_err *err)
{
    const struct get *g = u->of;
    return q->x.has_md5 && g->content_md5[0] ? md5_agrees(u, q->x.md5, err) : 0;
}

static void on_part_saved(struct room_op *o)
{
    run_work_end(o->arg);
}

static void save_part(struct run *u, const struct run_request *q, uint64_t bytes)
{
    struct room_op *o = room_op_new(u->room, STORE_PART, on_part_saved, u);
    o->op.parts = OC_NEW(struct store_part);
    o->owns_parts = 1;
    *o->op.parts = (struct store_part){.job = u->job->id,
                                       .part_no = q->step.part_no,
                                       .bytes = bytes,
                                       .crc32c = q->x.crc32c,
                                       .etag = ocp_str("")};
    run_work_begin(u);
    room_op_post(o);
}

struct part_synced {
    struct run *run;
    struct xfer_step step;
    uint32_t crc32c;
    uint64_t bytes;
};

/* A range of a large object is recorded only once its bytes are on the disk. */
static void on_synced(struct file_task *t)
{
    struct part_synced *s = t->arg;
    struct run *u = s->run;
    if (!t->err.code && !run_is_over(u)) {
        struct run_request q = {.step = s->step};
        q.x.crc32c = s->crc32c;
        save_part(u, &q, s->bytes);
    }
    free(s);
    file_task_free(t);
    if (run_work_end(u))
        run_ready(u);
}

static void sync_part(struct run *u, const struct run_request *q)
{
    struct get *g = u->of;
    struct part_synced *s = OC_NEW(struct part_synced);
    *s = (struct part_synced){u, q->step, q->x.crc32c, q->x.bytes_moved};
    struct file_task *t = file_task_new(FILE_SYNC, on_synced, s);
    t->path = oc_strdup(g->part_path);
    t->file = xfer_file_ref(g->file);
    run_work_begin(u);
    file_task_submit(u->room->gate, t);
}

static void range_ok(struct run *u, struct run_request *q)
{
    struct get *g = u->of;
    struct oc_err err = {0};
    struct get_facts f;
    xfer_get_facts(g->plan, &f);
    if (!f.sized) {
        learn(u, q);
        int one = q->x.bytes_moved == g->size;
        if (one && md5_of_whole(u, q, &err)) {
            xfer_get_end(g->plan, &q->step, STEP_AGAIN, 0);
            fail_sum(u, &err);
            return;
        }
        if (xfer_get_sized(g->plan, g->size, needs_md5(u) && !one))
            oc_fail(&u->last, OCID_E_TOO_LARGE, 0, "%s: over a million parts", u->what);
    }
    xfer_get_end(g->plan, &q->step, STEP_OK, q->x.crc32c);
    xfer_get_facts(g->plan, &f);
    if (f.n_parts > 1 && !run_is_over(u))
        sync_part(u, q);
}

static void local_error(struct oc_err *err, int sys)
{
    if (sys == ENOSPC || sys == EDQUOT)
        err->code = OCID_E_SPACE;
    else
        err->code = OCID_E_DESTINATION;
}

static void range_failed(struct run *u, struct run_request *q)
{
    struct get *g = u->of;
    struct oc_err err = q->x.err;
    struct get_facts f;
    xfer_get_facts(g->plan, &f);
    if (q->x.kind == OCI_KIND_RANGE && !f.sized && !g->empty) { /* no etag, no time, no sum */
        g->empty = 1;
        xfer_get_end(g->plan, &q->step, STEP_AGAIN, 0);
        return;
    }
    if (g->empty && err.code == OCID_E_SERVER && !f.sized && !u->stopping) { /* not any more */
        g->empty = 0;
        xfer_get_end(g->plan, &q->step, STEP_AGAIN, 0);
        run_retry(u, &err);
        return;
    }
    if (q->x.kind == OCI_KIND_IF_MATCH && f.sized && !u->spec.if_match.n) {
        if (g->etag[0])
            log_info("%s is another one now: it is fetched anew", u->what);
        forget(g);
        xfer_get_end(g->plan, &q->step, STEP_CHANGED, 0);
        return;
    }
    if (q->x.local_sys)
        local_error(&err, q->x.local_sys);
    if (u->stopping) {
        xfer_get_end(g->plan, &q->step, STEP_AGAIN, 0);
        return;
    }
    xfer_get_end(g->plan, &q->step,
                 oc_err_retry(err.code) == OC_RETRY_NEVER ? STEP_FATAL : STEP_AGAIN, 0);
    run_fail(u, &err);
}

static void pipe_answered(struct run *u, struct run_request *q, int ok)
{
    struct get *g = u->of;
    struct oc_err err = q->x.err;
    if (!g->piped && (ok || q->x.bytes_moved))
        learn(u, q);
    g->piped_crc32c =
        g->piped ? oci_crc32c_combine(g->piped_crc32c, q->x.crc32c, q->x.bytes_moved) : q->x.crc32c;
    g->piped += q->x.bytes_moved;
    if (u->stopping)
        return;
    if (q->x.local_sys) {
        oc_fail(&err, OCID_E_CANCELLED, 0, "the reader of the pipe has gone");
        run_stop(u, &err, OCP_ENUM_state_cancelled);
    } else if (!ok && is_part(u) && !g->piped && q->x.kind == OCI_KIND_RANGE) {
        g->verified = OCP_ENUM_verified_length; /* it begins behind the end: no bytes */
        finish(u);
    } else if (!ok) {
        run_fail(u, &err);
    } else if (g->has_object_crc32c && g->piped_crc32c != g->object_crc32c) {
        oc_fail(&err, OCID_E_CHECKSUM, 0,
                "%s arrived changed, and has been passed on so: CRC32C %08x, but the service says "
                "%08x",
                u->what, g->piped_crc32c, g->object_crc32c);
        run_stop(u, &err, OCP_ENUM_state_failed);
    } else if (q->x.bytes_moved == g->size && md5_of_whole(u, q, &err)) {
        run_stop(u, &err, OCP_ENUM_state_failed);
    } else {
        if (g->verified != OCP_ENUM_verified_md5)
            g->verified =
                g->has_object_crc32c ? OCP_ENUM_verified_crc32c : OCP_ENUM_verified_length;
        finish(u);
    }
}

static void answered(struct run *u, struct run_request *q, int ok)
{
    struct get *g = u->of;
    if (!g->plan)
        pipe_answered(u, q, ok);
    else if (ok)
        range_ok(u, q);
    else
        range_failed(u, q);
}

static void stop(struct run *u)
{
    struct get *g = u->of;
    if (g && g->plan && u->has_verdict)
        xfer_get_stop(g->plan);
}

static void progress(const struct run *u, struct ocp_status *ret)
{
    const struct get *g = u->of;
    struct get_facts f = {0};
    if (!g)
        return;
    uint64_t done = g->piped;
    if (g->plan) {
        xfer_get_facts(g->plan, &f);
        done = f.bytes_done;
    }
    for (const struct run_request *q = u->requests; q; q = q->next)
        done += q->x.bytes_moved;
    OCP_SET(ret, status, bytes_done, done);
    if (g->size)
        OCP_SET(ret, status, bytes_total, g->size);
    if (f.n_parts > 1) {
        OCP_SET(ret, status, parts_done, (uint64_t)f.n_done);
        OCP_SET(ret, status, parts_total, (uint64_t)f.n_parts);
    }
}

static void get_free(struct run *u)
{
    struct get *g = u->of;
    char sums[SUMS_SIZE];
    if (!g)
        return;
    struct get_facts f = {0};
    if (g->plan)
        xfer_get_facts(g->plan, &f);
    int over = job_is_over(u->job);
    if (f.n_parts > 1 && !over) {
        struct store_xfer row = row_of(u, sums);
        room_saved_keep(u->room, &row);
    }
    if (over && g->part_path && (!u->published || u->verdict.code))
        room_remove_part(u->room, u->job->id, u->spec.dest);
    xfer_get_free(g->plan);
    if (g->file)
        xfer_file_unref(g->file);
    free(g->part_path);
    free(g);
}

const struct run_ops run_get_ops = {
    .need = NEED_NAMESPACE,
    .prepare = prepare,
    .send = send_next,
    .answered = answered,
    .stop = stop,
    .progress = progress,
    .free = get_free,
};
