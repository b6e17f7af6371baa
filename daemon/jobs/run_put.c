/* SPDX-License-Identifier: Apache-2.0
 *
 * run_put.c - drives the planner of an upload: file, requests, rows.
 *
 * Control loop. xfer/put.c says what is next; here each step is carried out and its end reported.
 * A stream is a put of what comes down a pipe: its bytes go to the spool file as far as the planner
 * has room for them, and what has arrived is cut out of it again. See stream_feed().
 */
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/log.h"
#include "core/mem.h"
#include "jobs/files.h"
#include "jobs/room.h"
#include "jobs/run_put.h"
#include "jobs/spec.h"

enum { SUM_TRIES = 3 };

static char *copy(struct ocp_str s)
{
    return s.n ? oc_strndup(s.p, s.n) : NULL;
}

/* ---- getting ready: the row of an earlier life, then the file, then the plan ---- */

static void with_plan(struct run *u);

static void take_source(struct run *u, struct file_task *t)
{
    struct put *p = u->of;
    p->file = oc_take(t->file);
    if (p->file)
        u->mount = xfer_file_mount(p->file);
    if (!t->identity.known) /* a spool file that grows */
        return;
    p->bytes = oc_take(t->bytes);
    p->sums.has_crc32c = p->bytes != NULL;
    p->sums.crc32c = t->crc32c;
    p->identity = t->identity;
    if (!p->ctime_ns) /* else it is of the life that has read the first part */
        p->ctime_ns = t->identity.ctime_ns;
    u->job->bytes = t->identity.size;
}

/* It is open: before there is a plan, or because that turned out to need it. */
static void with_source(struct run *u)
{
    struct put *p = u->of;
    struct put_facts f;
    struct oc_err err;
    if (!p->plan) {
        with_plan(u);
        return;
    }
    xfer_put_facts(p->plan, &f);
    if (f.size == p->identity.size) {
        run_ready(u);
        return;
    }
    oc_fail(&err, OCID_E_SOURCE_CHANGED, 0, "the source has changed: its size is not what it was");
    run_fail(u, &err);
}

void put_on_source(struct file_task *t)
{
    struct run *u = t->arg;
    struct put *p = u->of;
    p->at_source = 0;
    if (run_work_end(u)) {
        if (t->err.code) {
            run_fail(u, &t->err);
        } else {
            take_source(u, t);
            with_source(u);
        }
    }
    file_task_free(t);
}

static void open_source(struct run *u)
{
    struct put *p = u->of;
    const struct ocp_job *s = &u->spec;
    struct file_task *t = file_task_new(FILE_SOURCE, put_on_source, u);
    t->path = copy(s->source);
    if (OCP_HAS(s, job, inode))
        t->identity = (struct file_identity){.known = 1,
                                             .size = s->size,
                                             .dev = s->dev,
                                             .inode = s->inode,
                                             .mtime_ns = s->mtime_ns,
                                             .ctime_ns = s->ctime_ns};
    p->at_source = 1;
    run_work_begin(u);
    if (t->identity.known && t->identity.size <= FILE_SMALL_BYTES)
        file_task_gather(&u->room->sources, u->room->gate, t);
    else
        file_task_submit(u->room->gate, t);
    room_pump(u->room); /* flushes */
}

/* A commit was asked for, and what the object has to be is known: what has become of it is asked
 * first, for which no source is needed; it may have gone since. */
static int asks_first(const struct run *u)
{
    const struct store_xfer *row = room_saved_row(u->room, u->job->id);
    return row && (row->has_crc32c || row->md5.n) && row->phase >= PUT_COMMITTING;
}

static void prepare(struct run *u)
{
    if (!u->of)
        u->of = OC_NEW(struct put);
    struct put *p = u->of;
    if (p->plan)
        run_ready(u);
    else if (u->stopping) /* only to clean up: no file is needed */
        with_plan(u);
    else if (!spec_is_stream(&u->spec) && asks_first(u))
        with_plan(u);
    else if (spec_is_stream(&u->spec))
        stream_open(u);
    else
        open_source(u);
}

static void limits_of(const struct run *u, struct put_limits *ret)
{
    const struct config *c = u->room->config;
    ret->threshold = (uint64_t)c->transfer_multipart_threshold_mib << 20;
    ret->part_bytes =
        u->spec.part_bytes ? u->spec.part_bytes : (uint64_t)c->transfer_part_mib << 20;
    if (u->spec.part_bytes && u->spec.part_bytes < ret->threshold)
        ret->threshold = u->spec.part_bytes;
}

static void on_parts(struct room_op *o)
{
    struct run *u = o->arg;
    struct put *p = u->of;
    char etag[129];
    for (uint32_t i = 0; !o->op.err.code && p->plan && i < o->op.n; i++) {
        const struct store_part *part = &o->op.parts[i];
        xfer_put_have(p->plan, part->part_no, part->bytes,
                      ocp_str_copy(part->etag, etag, sizeof etag), part->crc32c);
    }
    if (o->op.n && OCP_HAS(&u->spec, job, ctime_ns)) /* it may have moved since they were read */
        p->ctime_ns = u->spec.ctime_ns;
    struct oc_err err = o->op.err;
    run_go_on(u, &err);
}

static void sums_of_row(const struct store_xfer *row, struct put_sums *ret)
{
    *ret = (struct put_sums){.has_crc32c = row->has_crc32c, .crc32c = row->crc32c};
    ocp_str_copy(row->md5, ret->md5, sizeof ret->md5);
}

/* The plan of what a row tells. */
static int plan_of_row(struct run *u, const struct store_xfer *row, struct oc_err *err)
{
    struct put *p = u->of;
    struct put_limits limits;
    int have_id = p->upload_id[0] != 0;
    if (!spec_is_stream(&u->spec)) {
        int rc = xfer_put_resume(row->total, row->phase, row->part_bytes, have_id, &p->plan, err);
        if (!rc && p->identity.known && row->total != p->identity.size)
            rc = oc_fail(err, OCID_E_SOURCE_CHANGED, 0,
                         "the source has changed: its size is not what it was");
        return rc;
    }
    limits_of(u, &limits);
    limits.part_bytes = row->part_bytes;
    int rc = xfer_put_stream(&limits, row->phase, have_id, &p->plan, err);
    if (rc || row->total == STORE_TOTAL_UNKNOWN)
        return rc;
    p->ended = 1;
    p->n_read = u->job->bytes = row->total;
    return xfer_put_grow(p->plan, row->total, 1, err);
}

/* Goes on from the row of an earlier life. 1: the plan was resumed and its parts are being read. */
static int resume(struct run *u)
{
    struct put *p = u->of;
    struct oc_err err;
    struct saved *s = room_saved_take(u->room, u->job->id);
    if (!s)
        return 0;
    ocp_str_copy(s->row.remote_id, p->upload_id, sizeof p->upload_id);
    struct put_sums whole;
    sums_of_row(&s->row, &whole);
    int rc = plan_of_row(u, &s->row, &err);
    room_saved_free(s);
    if (rc) {
        run_fail(u, &err);
        return 1;
    }
    xfer_put_whole(p->plan, &whole);
    if (u->stopping)
        xfer_put_stop(p->plan);
    struct room_op *o = room_op_new(u->room, STORE_READ_PARTS, on_parts, u);
    o->op.id = u->job->id;
    run_work_begin(u);
    room_op_post(o);
    return 1;
}

static void with_plan(struct run *u)
{
    struct put *p = u->of;
    struct put_limits limits;
    struct oc_err err;
    if (resume(u))
        return;
    if (u->stopping) { /* nothing is left to clean up */
        u->has_verdict = 0;
        run_settle(u);
        return;
    }
    limits_of(u, &limits);
    int rc = spec_is_stream(&u->spec) ? xfer_put_stream(&limits, PUT_NEW, 0, &p->plan, &err)
                                      : xfer_put_new(p->identity.size, &limits, &p->plan, &err);
    if (rc)
        run_fail(u, &err);
    else
        run_ready(u);
}

/* ---- steps ---- */

static int lacks_source(const struct run *u, enum step_op op)
{
    const struct put *p = u->of;
    return (op == OP_PART || op == OP_PUT) && !p->file && !p->bytes;
}

static int request(struct run *u, const struct xfer_step *s)
{
    struct put *p = u->of;
    struct oc_err err;
    if (u->room->stopping && !u->cleaning) {
        xfer_put_end(p->plan, s, STEP_AGAIN, NULL, 0);
        run_rest(u);
        return 0;
    }
    if (lacks_source(u, s->op)) {
        xfer_put_end(p->plan, s, STEP_AGAIN, NULL, 0);
        open_source(u);
        return 0;
    }
    struct run_request *q = run_request_new(u);
    q->step = *s;
    if (put_build(u, q, &err)) {
        run_request_drop(q);
        xfer_put_end(p->plan, s, STEP_FATAL, NULL, 0);
        run_fail(u, &err);
        return 0;
    }
    run_post(u, q);
    return 1;
}

static void on_saved(struct room_op *o)
{
    struct run *u = o->arg;
    struct put *p = u->of;
    struct xfer_step s = {.kind = STEP_SAVE};
    xfer_put_end(p->plan, &s, o->op.err.code ? STEP_AGAIN : STEP_OK, NULL, 0);
    struct oc_err err = o->op.err;
    run_go_on(u, &err);
}

/* The row of the transfer: its phase, the upload's id and, from the commit on, what the object has
 * to be. Borrows from the run. */
static struct store_xfer row_of(const struct run *u)
{
    const struct put *p = u->of;
    struct put_facts f;
    xfer_put_facts(p->plan, &f);
    return (struct store_xfer){.job = u->job->id,
                               .phase = f.phase,
                               .total = spec_is_stream(&u->spec) && !p->ended ? STORE_TOTAL_UNKNOWN
                                                                              : f.size,
                               .part_bytes = f.part_bytes,
                               .remote_id = ocp_str(p->upload_id),
                               .has_crc32c = f.whole->has_crc32c && put_engine_sums(u),
                               .crc32c = f.whole->crc32c,
                               .md5 = ocp_str(f.whole->md5)};
}

void put_row_to(const struct run *u, struct room_op *o)
{
    o->op.xfer = row_of(u);
    o->op.xfer.remote_id.p = o->text[0] = oc_strdup(o->op.xfer.remote_id.p);
    o->op.xfer.md5.p = o->text[1] = oc_strdup(o->op.xfer.md5.p);
}

static void save(struct run *u)
{
    struct put *p = u->of;
    struct put_facts f;
    xfer_put_facts(p->plan, &f);
    if (f.phase == PUT_INTENT && OC_MUTANT("intent")) {
        struct xfer_step s = {.kind = STEP_SAVE};
        xfer_put_end(p->plan, &s, STEP_OK, NULL, 0);
        run_ready(u);
        return;
    }
    struct room_op *o = room_op_new(u->room, STORE_XFER, on_saved, u);
    if (f.phase == PUT_INTENT) /* that of an older upload */
        p->upload_id[0] = 0;
    put_row_to(u, o);
    run_work_begin(u);
    room_save_xfer(o, o->op.xfer.phase == PUT_INTENT);
}

static void on_checked(struct file_task *t)
{
    struct run *u = t->arg;
    struct put *p = u->of;
    struct xfer_step s = {.kind = STEP_CHECK};
    struct oc_err err = t->err;
    file_task_free(t);
    enum step_end how = !err.code                                  ? STEP_OK
                        : oc_err_retry(err.code) == OC_RETRY_NEVER ? STEP_FATAL
                                                                   : STEP_AGAIN;
    xfer_put_end(p->plan, &s, how, NULL, 0);
    run_go_on(u, &err);
}

static void check(struct run *u)
{
    struct put *p = u->of;
    struct put_facts f;
    struct xfer_step s = {.kind = STEP_CHECK};
    if (!p->file || spec_is_stream(&u->spec)) { /* read whole, and compared then; or our own */
        xfer_put_end(p->plan, &s, STEP_OK, NULL, 0);
        return;
    }
    struct file_task *t = file_task_new(FILE_CHECK, on_checked, u);
    t->path = copy(u->spec.source);
    t->file = xfer_file_ref(p->file);
    t->identity = p->identity;
    t->identity.ctime_ns = p->ctime_ns;
    xfer_put_facts(p->plan, &f);
    t->summed = f.n_done == f.n_parts && u->room->config->transfer_checksum != CONFIG_CHECKSUM_OFF;
    t->crc32c = f.crc32c;
    run_work_begin(u);
    file_task_submit(u->room->gate, t);
}

static void finish(struct run *u)
{
    struct put *p = u->of;
    struct put_facts f;
    struct ocp_outcome o = {0};
    xfer_put_facts(p->plan, &f);
    if (p->etag[0])
        OCP_SET(&o, outcome, etag, ocp_str(p->etag));
    if (p->version_id[0])
        OCP_SET(&o, outcome, version_id, ocp_str(p->version_id));
    if (p->request_id[0])
        OCP_SET(&o, outcome, request_id, ocp_str(p->request_id));
    OCP_SET(&o, outcome, verified, p->verified);
    OCP_SET(&o, outcome, bytes, f.size);
    run_done(u, &o);
}

/* ---- what is next ---- */

static enum run_sent send_next(struct run *u)
{
    struct put *p = u->of;
    struct xfer_step s;
    stream_feed(u);
    for (;;) {
        if ((u->stopping && !u->cleaning) || p->at_source)
            return RUN_BUSY;
        xfer_put_next(p->plan, &s);
        switch (s.kind) {
        case STEP_REQUEST:
            if (!request(u, &s))
                return RUN_BUSY;
            stream_feed(u); /* with one more in flight there is room for one more */
            return RUN_SENT;
        case STEP_SAVE:
            save(u);
            return RUN_BUSY;
        case STEP_CHECK:
            check(u);
            if (p->file && !spec_is_stream(&u->spec))
                return RUN_BUSY;
            continue;
        case STEP_DONE:
            finish(u);
            return RUN_BUSY;
        case STEP_FAILED: /* it has started over too often */
            if (p->damaged.code)
                u->last = p->damaged;
            run_give_up(u);
            return RUN_BUSY;
        default:
            return RUN_BUSY;
        }
    }
}

/* ---- answers ---- */

static void on_part_saved(struct room_op *o)
{
    struct run *u = o->arg;
    if (spec_is_stream(&u->spec) && !o->op.err.code && !run_is_over(u))
        stream_drop(u, o->op.parts->part_no, o->op.parts->bytes);
    run_work_end(u);
}

static void save_part(struct run *u, struct run_request *q)
{
    struct room_op *o = room_op_new(u->room, STORE_PART, on_part_saved, u);
    o->op.parts = oc_new(1, sizeof *o->op.parts);
    o->owns_parts = 1;
    o->text[0] = oc_strdup(q->x.reply.etag ? q->x.reply.etag : "");
    *o->op.parts = (struct store_part){.job = u->job->id,
                                       .part_no = q->step.part_no,
                                       .bytes = q->step.length,
                                       .crc32c = q->x.crc32c,
                                       .etag = ocp_str(o->text[0])};
    run_work_begin(u);
    room_op_post(o);
}

static int on_listed(void *arg, const struct oci_part *part)
{
    struct put *p = arg;
    xfer_put_listed(p->plan, part->part_no, part->size, part->etag);
    xfer_put_md5(p->plan, part->part_no, part->md5);
    return 0;
}

/* What a success means for the plan; an err of its own where the answer is not good enough. */
static enum step_end judge(struct run *u, struct run_request *q, struct oc_err *err)
{
    struct put *p = u->of;
    const struct oci_reply *r = &q->x.reply;
    switch (q->step.op) {
    case OP_PUT:
    case OP_PART:
        if (put_sums_agree(u, q, err))
            return STEP_AGAIN;
        break;
    case OP_CREATE:
        if (oci_parse_upload(q->x.reply_body, q->x.reply_len, p->upload_id, err))
            return STEP_AGAIN;
        return STEP_OK;
    case OP_LIST_PARTS:
        if (oci_parse_parts(q->x.reply_body, q->x.reply_len, on_listed, p, err))
            return STEP_AGAIN;
        p->page[0] = 0;
        run_take_text(p->page, sizeof p->page, r->opc_next_page);
        return p->page[0] ? STEP_AGAIN : STEP_OK;
    case OP_COMMIT: /* it is there already: HEAD tells whether it or the answer is damaged */
        if (put_object_agrees(u, q, err))
            return STEP_LOST;
        break;
    case OP_HEAD: {
        enum step_end how = put_is_ours(u, q);
        if (how == STEP_OK)
            break;
        if (how == STEP_NO_UPLOAD && p->refused.code) { /* it is another's */
            *err = p->refused;
            return STEP_FATAL;
        }
        return how;
    }
    default:
        return STEP_OK;
    }
    if (q->step.op != OP_PART) {
        run_take_text(p->etag, sizeof p->etag, r->etag);
        run_take_text(p->version_id, sizeof p->version_id, r->version_id);
        run_take_text(p->request_id, sizeof p->request_id, r->opc_request_id);
    }
    return STEP_OK;
}

/* The condition of a write was not met: there is an object, or it has another etag. */
static int is_refused(const struct run *u, const struct run_request *q)
{
    return (q->x.kind == OCI_KIND_EXISTS || q->x.kind == OCI_KIND_IF_MATCH) &&
           (u->spec.if_absent || u->spec.if_match.n) && q->step.op != OP_PART;
}

/* What is there may be our own work: of a request whose answer nobody has seen, or of an earlier
 * life. */
static int may_be_ours(const struct run *u)
{
    return u->job->unseen || u->job->restored;
}

/* A failed request: what it means for the plan. */
static enum step_end judge_failure(const struct run *u, const struct run_request *q)
{
    const struct oc_err *err = &q->x.err;
    enum step_op op = q->step.op;
    if (q->x.kind == OCI_KIND_NO_UPLOAD)
        return STEP_NO_UPLOAD;
    if (op == OP_COMMIT && q->x.kind == OCI_KIND_BAD_PART)
        return STEP_CHANGED; /* what it has is listed again */
    if (op == OP_HEAD && q->x.kind == OCI_KIND_NO_OBJECT)
        return STEP_NO_UPLOAD;
    if (is_refused(u, q) && may_be_ours(u))
        return STEP_REFUSED;
    if (q->x.kind == OCI_KIND_SUM || err->code == OCID_E_CANCELLED)
        return STEP_AGAIN;
    if (oc_err_retry(err->code) == OC_RETRY_NEVER)
        return STEP_FATAL;
    return STEP_AGAIN;
}

/* Nobody can know the id of what it has made: a person has to look. */
static void tell_lost(const struct run *u, const struct run_request *q, enum step_end how)
{
    int status = q->x.reply.status; /* 0: no answer came */
    if (q->step.op == OP_CREATE &&
        (q->x.n_sent > 1 || (how != STEP_OK && q->x.sent_any && (!status || status / 100 == 2))))
        log_warn(
            "%s: an answer to the making of its upload was lost; 'ocictl uploads' shows whether "
            "one is left over",
            u->what);
}

static void answered(struct run *u, struct run_request *q, int ok)
{
    struct put *p = u->of;
    struct put_facts f;
    struct oc_err err = {0};
    if (q->step.op == OP_PUT || q->step.op == OP_COMMIT)
        u->job->unseen |= ok || run_unseen(q, ok);
    enum step_end how = ok ? judge(u, q, &err) : judge_failure(u, q);
    tell_lost(u, q, how);
    if (!ok)
        err = q->x.err;
    if (q->step.op == OP_PUT && q->x.sum_first && q->x.sent_any) {
        p->sums.has_crc32c = 1;
        p->sums.crc32c = q->x.crc32c_announced;
    }
    if (how == STEP_REFUSED)
        p->refused = err;
    else if (q->step.op == OP_HEAD && how != STEP_AGAIN)
        oc_err_clear(&p->refused);
    if (ok && how == STEP_OK && q->step.op == OP_PART)
        xfer_put_md5(p->plan, q->step.part_no, q->x.reply.opc_content_md5);
    xfer_put_end(p->plan, &q->step, how, q->x.reply.etag, q->x.crc32c);
    if (ok && how == STEP_OK && q->step.op == OP_PART && !run_is_over(u))
        save_part(u, q);
    if (how == STEP_OK)
        p->n_sum = 0;
    if (q->step.op == OP_ABORT && how != STEP_AGAIN)
        p->upload_id[0] = 0;
    xfer_put_facts(p->plan, &f);
    if (how == STEP_NO_UPLOAD && (q->step.op == OP_PART || q->step.op == OP_LIST_PARTS) &&
        f.phase != PUT_COMMITTING && !u->stopping)
        log_info("%s: the service does not know the upload any more: it is sent anew", u->what);
    if (f.lost && !u->stopping) {
        oc_fail(&err, OCID_E_SOURCE_CHANGED, 0,
                "the service has lost parts of the upload, which are kept here no longer: push it "
                "again");
        run_fail(u, &err);
        return;
    }
    stream_feed(u);
    if (err.code == OCID_E_CHECKSUM)
        p->damaged = err;
    if (!err.code || how == STEP_NO_UPLOAD || how == STEP_REFUSED || how == STEP_CHANGED ||
        (how == STEP_LOST && ok))
        return;
    if (u->stopping && !u->cleaning)
        return;
    if (err.code == OCID_E_CHECKSUM && ++p->n_sum < SUM_TRIES)
        run_retry(u, &err);
    else
        run_fail(u, &err);
}

/* ---- the end ---- */

static void stop(struct run *u)
{
    struct put *p = u->of;
    if (p && p->plan && u->has_verdict)
        xfer_put_stop(p->plan);
}

/* The row as it is now: the answer with the upload's id may have come after the last one. */
static void write_row(struct run *u)
{
    struct room_op *o = room_op_new(u->room, STORE_XFER, NULL, NULL);
    put_row_to(u, o);
    room_op_post(o);
}

static int clean(struct run *u)
{
    struct put *p = u->of;
    struct xfer_step s;
    if (!p || !p->plan)
        return 0;
    xfer_put_stop(p->plan);
    xfer_put_next(p->plan, &s);
    if (s.kind == STEP_REQUEST) {
        u->cleaning = 1;
        return request(u, &s);
    }
    if (s.kind ==
        STEP_SAVE) { /* nobody waits for the row, but a crash may come before the answer */
        write_row(u);
        xfer_put_end(p->plan, &s, STEP_OK, NULL, 0);
        return clean(u);
    }
    struct room_op *o = room_op_new(u->room, STORE_DROP_XFER, NULL, NULL);
    o->op.id = u->job->id;
    room_op_post(o);
    return 0;
}

static void progress(const struct run *u, struct ocp_status *ret)
{
    const struct put *p = u->of;
    struct put_facts f;
    if (!p || !p->plan)
        return;
    xfer_put_facts(p->plan, &f);
    uint64_t moving = 0;
    for (const struct run_request *q = u->requests; q; q = q->next)
        if (q->step.op == OP_PUT || q->step.op == OP_PART)
            moving += q->x.bytes_moved;
    OCP_SET(ret, status, bytes_done, f.bytes_done + moving);
    if (!spec_is_stream(&u->spec) || p->ended)
        OCP_SET(ret, status, bytes_total, f.size);
    else if (OCP_HAS(&u->spec, job, size))
        OCP_SET(ret, status, bytes_total, u->spec.size);
    if (f.multipart && (!spec_is_stream(&u->spec) || p->ended)) {
        OCP_SET(ret, status, parts_done, (uint64_t)f.n_done);
        OCP_SET(ret, status, parts_total, (uint64_t)f.n_parts);
    }
}

enum run_owns run_put_owns(const struct run *u, struct ocp_str bucket, const char *object,
                           const char *upload_id)
{
    const struct put *p = u->of;
    struct put_facts f;
    if (u->ops != &run_put_ops || !p || !p->plan)
        return RUN_OWNS_NOT;
    if (p->upload_id[0])
        return strcmp(p->upload_id, upload_id) ? RUN_OWNS_NOT : RUN_OWNS;
    xfer_put_facts(p->plan, &f);
    if (f.phase == PUT_NEW || !ocp_str_is(u->spec.object, object) || u->spec.bucket.n != bucket.n ||
        memcmp(u->spec.bucket.p, bucket.p, bucket.n) != 0)
        return RUN_OWNS_NOT;
    return RUN_OWNS_PERHAPS;
}

/* The job goes on later, in this life or the next. */
static void keep(struct run *u)
{
    struct store_xfer row = row_of(u);
    room_saved_keep(u->room, &row);
    write_row(u);
}

static void put_free(struct run *u)
{
    struct put *p = u->of;
    struct put_facts f = {.phase = PUT_NEW};
    if (!p)
        return;
    if (p->plan)
        xfer_put_facts(p->plan, &f);
    int has_row = f.phase != PUT_NEW || (p->ended && spec_is_stream(&u->spec));
    if (has_row && !job_is_over(u->job))
        keep(u);
    xfer_put_free(p->plan);
    if (p->file)
        xfer_file_unref(p->file);
    free(p->bytes);
    stream_end(u);
    if (u->free_late != p)
        free(p);
}

const struct run_ops run_put_ops = {
    .need = NEED_NAMESPACE,
    .prepare = prepare,
    .send = send_next,
    .answered = answered,
    .stop = stop,
    .clean = clean,
    .progress = progress,
    .free = put_free,
};
