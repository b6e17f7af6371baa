/* SPDX-License-Identifier: Apache-2.0
 *
 * submit.c - from a submitted array to jobs on disk: all of them or none.
 *
 * Control loop. Check, spool what came as files (pipes are read later, by their jobs), one commit,
 * then the ids are told. A set's own pages of members go the same way.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "jobs/after.h"
#include "jobs/files.h"
#include "jobs/room.h"
#include "jobs/spec.h"
#include "jobs/timeout.h"

enum { PIPE_BYTES = 1 << 20 };

/* One array on its way. */
struct batch {
    struct room *room;
    struct deferred answer; /* for what fails or needs no disk */
    struct room_op *op;
    uint32_t uid;
    char label[65];
    char *packed; /* own copy of the array while files are spooled, else NULL */
    struct ocp_span list;
    struct spooled {
        int fd;
        char *path;
        struct file_identity identity;
    } * spools;   /* one a job; path NULL: nothing to spool */
    int in_doubt; /* a commit that failed as it was synced may be found after a crash: its jobs
                     would need their spooled bytes. The next start sweeps those that nobody needs
                   */
    unsigned n_spooling;
    unsigned counts; /* in room.n_submits */
    uint32_t n;
    struct job **jobs; /* NULL where an idempotency key named an older one */
    uint64_t *ids;
    struct store_job *rows;
    uint32_t n_rows;
    int *pipes;
    struct oc_err err;
    int64_t index;
    void (*done)(void *arg, const uint64_t *ids, uint32_t n, const struct oc_err *err,
                 int64_t index);
    void *arg;
};

static void batch_free(struct batch *b)
{
    b->room->n_submits -= b->counts;
    b->room->n_ops--; /* the daemon does not close before a batch is answered */
    room_pump(b->room);
    if (b->op) {
        free(b->op->text[0]);
        free(b->op);
    }
    for (uint32_t i = 0; b->spools && i < b->n; i++) {
        if (b->spools[i].fd >= 0)
            close(b->spools[i].fd);
        free(b->spools[i].path);
    }
    for (uint32_t i = 0; b->pipes && i < b->n; i++)
        if (b->pipes[i] >= 0)
            close(b->pipes[i]);
    free(b->spools);
    free(b->pipes);
    free(b->packed);
    free(b->jobs);
    free(b->ids);
    free(b->rows);
    free(b);
}

/* ---- the answer ---- */

/* What was spooled for a job that is not taken. */
static void drop_spool(struct batch *b, uint32_t i)
{
    if (b->spools && b->spools[i].path)
        room_remove(b->room, b->spools[i].path);
}

/* The set of a job of the batch, as long as its row is on its way. */
static void set_coming(struct batch *b, const struct ocp_job *spec, int coming)
{
    struct job *set = spec->set ? room_find(b->room, b->uid, spec->set) : NULL;
    if (!set)
        return;
    if (coming) {
        set->tally->n_coming++;
    } else {
        set->tally->n_coming--;
        room_check_set(b->room, set);
    }
}

static void refuse(struct batch *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        struct ocp_job spec;
        if (b->jobs[i]) {
            job_spec(b->jobs[i], &spec);
            if (spec.key.n)
                book_key_remove(&b->room->book, b->uid, spec.key);
            set_coming(b, &spec, 0);
            job_free(b->jobs[i]);
        }
        if (!b->in_doubt)
            drop_spool(b, i);
    }
    b->done(b->arg, NULL, 0, &b->err, b->index);
    batch_free(b);
}

static void take_one(struct batch *b, struct job *j)
{
    struct room *r = b->room;
    struct ocp_job spec;
    struct oc_err err;
    job_spec(j, &spec);
    room_adopt(r, j, b->label);
    if (spec.timeout_ms)
        timeout_begin(r, j, spec.timeout_ms);
    if (spec.after.count)
        after_watch(r, j, &spec);
    if (j->set && job_is_over(j->set)) {
        oc_fail(&err, OCID_E_CANCELLED, 0, "its set ended while it was taken");
        job_end(r, j, &err, NULL);
    } else {
        room_admit(r, j);
    }
    set_coming(b, &spec, 0);
}

static void take(struct batch *b)
{
    struct room *r = b->room;
    for (uint32_t i = 0; i < b->n; i++)
        if (b->jobs[i])
            take_one(b, b->jobs[i]);
    b->done(b->arg, b->ids, b->n, NULL, -1);
    batch_free(b);
    room_pump(r);
}

static void answer_later(struct deferred *d)
{
    struct batch *b = OC_OWNER(d, struct batch, answer);
    if (b->err.code)
        refuse(b);
    else
        take(b);
}

static void later(struct batch *b)
{
    b->answer.call = answer_later;
    loop_defer(b->room->loop, &b->answer);
}

static void fail(struct batch *b, int64_t index)
{
    b->index = index;
    later(b);
}

static void on_added(struct room_op *o)
{
    struct batch *b = o->arg;
    b->err = o->op.err;
    b->index = -1;
    b->in_doubt = b->err.code != 0;
    if (b->err.code)
        refuse(b);
    else
        take(b);
}

/* ---- building ---- */

static uint64_t count_jobs(const struct room *r, uint32_t uid)
{
    uint64_t n[OCP_ENUM_state_COUNT];
    room_count(r, uid, n);
    return n[OCP_ENUM_state_queued] + n[OCP_ENUM_state_running] + n[OCP_ENUM_state_waiting] +
           n[OCP_ENUM_state_paused];
}

static int check_set(struct batch *b, const struct ocp_job *spec)
{
    struct job *set = spec->set ? room_find(b->room, b->uid, spec->set) : NULL;
    if (!spec->set)
        return 0;
    if (!set || !set->tally)
        return oc_fail(&b->err, OCID_E_NOT_FOUND, 0, "no such set: %" PRIu64, spec->set);
    if (set->tally->sealed || job_is_over(set))
        return oc_fail(&b->err, OCID_E_STATE, 0, "set %" PRIu64 " is sealed: make a new one",
                       spec->set);
    return 0;
}

static void add_row(struct batch *b, struct job *j, const struct ocp_job *spec)
{
    b->rows[b->n_rows++] = (struct store_job){
        .id = j->id,
        .set = spec->set,
        .uid = j->uid,
        .kind = j->kind,
        .state = OCP_ENUM_state_queued,
        .created_at = j->created_at,
        .client = ocp_str(b->label),
        .key = spec->key,
        .spec = {j->spec, j->spec_len},
    };
}

static void set_source(struct ocp_job *spec, const char *path, const struct file_identity *id)
{
    OCP_SET(spec, job, source, ocp_str(path));
    if (!id->known) { /* a pipe: a size is what it must come to */
        spec->has &= ~(1ull << OCP_FIELD_job_inode);
        return;
    }
    OCP_SET(spec, job, size, id->size);
    OCP_SET(spec, job, dev, id->dev);
    OCP_SET(spec, job, inode, id->inode);
    OCP_SET(spec, job, mtime_ns, id->mtime_ns);
    OCP_SET(spec, job, ctime_ns, id->ctime_ns);
}

/* The memfd that is held is opened by that name when its turn comes; a row of it says what was
 * lost. 0: the message is not about one. */
static int use_memory(const struct batch *b, uint32_t i, struct ocp_job *spec, char path[32])
{
    struct stat st;
    struct file_identity id;
    if (spec->kind != OCP_ENUM_kind_put || !b->pipes || b->pipes[i] < 0 || b->spools[i].path ||
        fstat(b->pipes[i], &st))
        return 0;
    file_identity_of(&st, &id);
    snprintf(path, 32, "/proc/self/fd/%d", b->pipes[i]);
    set_source(spec, path, &id);
    spec->has &= ~(1ull << OCP_FIELD_job_spool);
    spec->spool = 0;
    return 1;
}

static int build_one(struct batch *b, uint32_t i, struct ocp_job *spec)
{
    char path[32];
    struct room *r = b->room;
    uint64_t old = spec->key.n ? book_key_find(&r->book, b->uid, spec->key) : 0;
    if (old) {
        b->ids[i] = old;
        drop_spool(b, i);
        return 0;
    }
    if (check_set(b, spec))
        return -1;
    if (b->spools && b->spools[i].path)
        set_source(spec, b->spools[i].path, &b->spools[i].identity);
    if (!use_memory(b, i, spec, path)) {
        spec->has &= ~(1ull << OCP_FIELD_job_in_memory); /* it is on disk */
        spec->in_memory = 0;
    }
    int durable = spec_durable(spec);
    set_coming(b, spec, 1);
    spec->has &= ~(1ull << OCP_FIELD_job_fd); /* it meant this message only */
    struct job *j = job_new(r->book.next_id++, b->uid, spec);
    b->jobs[i] = j;
    b->ids[i] = j->id;
    if (b->pipes) {
        j->pipe_fd = b->pipes[i];
        b->pipes[i] = -1;
    }
    if (spec->key.n)
        book_key_add(&r->book, b->uid, spec->key, j->id);
    j->durable = (uint8_t)durable;
    j->reading = (uint8_t)spec_is_stream(spec);
    if (j->durable) {
        struct ocp_job kept;
        job_spec(j, &kept); /* the row borrows from the job, not from the message */
        add_row(b, j, &kept);
    }
    return 0;
}

static void build(struct batch *b)
{
    struct ocp_iter it = {0};
    struct ocp_job spec;
    if (count_jobs(b->room, b->uid) + b->n > b->room->config->limits_jobs_per_user) {
        oc_fail(&b->err, OCID_E_QUEUE_FULL, 0,
                "the queue is full: %u jobs a user are allowed ([limits] jobs_per_user)",
                (unsigned)b->room->config->limits_jobs_per_user);
        fail(b, -1);
        return;
    }
    for (uint32_t i = 0; i < b->n; i++) {
        int rc = ocp_next_sub(&ocp_desc_job, &b->list, &it, &spec, NULL, &b->err);
        if (rc < 0 || build_one(b, i, &spec)) {
            fail(b, i);
            return;
        }
    }
    if (!b->n_rows) {
        later(b);
        return;
    }
    b->counts = 1;
    b->room->n_submits++;
    room_pump(b->room);
    struct room_op *o = room_op_new(b->room, STORE_ADD, on_added, b);
    o->op.jobs = b->rows;
    o->op.n = b->n_rows;
    if (b->op) { /* the cursor of a pull goes into the same commit */
        struct room_op *with = b->op;
        b->op = NULL;
        with->op.tied = 1;
        room_op_post_both(o, with);
    } else {
        room_op_post(o);
    }
}

/* ---- descriptors ---- */

static void on_spooled(struct file_task *t)
{
    struct batch *b = t->arg;
    for (uint32_t i = 0; i < b->n; i++)
        if (b->spools[i].path && !strcmp(b->spools[i].path, t->path)) {
            b->spools[i].identity = t->identity;
            if (t->err.code && !b->err.code) {
                b->err = t->err;
                b->index = i;
            }
        }
    file_task_free(t);
    if (--b->n_spooling)
        return;
    if (b->err.code)
        refuse(b);
    else
        build(b);
}

static void spool_all(struct batch *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        b->n_spooling += b->spools[i].fd >= 0;
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->spools[i].fd < 0)
            continue;
        struct file_task *t = file_task_new(FILE_SPOOL, on_spooled, b);
        t->path = oc_strdup(b->spools[i].path);
        t->fd = b->spools[i].fd;
        b->spools[i].fd = -1;
        file_task_submit(b->room->gate, t);
    }
}

/* A memfd that nobody can change any more, and room for it. Does not block: it is in memory. */
static int may_hold(const struct batch *b, int fd)
{
    enum { SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW };
    const struct config *c = b->room->config;
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;
    uint64_t bytes, n = room_held_in_memory(b->room, b->uid, &bytes);
    return seals >= 0 && (seals & SEALS) == SEALS && !fstat(fd, &st) &&
           bytes + (uint64_t)st.st_size <= (uint64_t)c->limits_memory_mib_per_user << 20 &&
           n < c->limits_descriptors_per_user;
}

/* An own description of the pipe, so that it blocks for others as before. */
static int claim_pipe(struct batch *b, uint32_t i, int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    b->pipes[i] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    int sys = errno;
    if (b->pipes[i] >= 0)
        fcntl(b->pipes[i], F_SETPIPE_SZ, PIPE_BYTES); /* it may not be allowed */
    close(fd);
    return b->pipes[i] >= 0 ? 0
                            : oc_fail(&b->err, OCID_E_INVALID, sys,
                                      "the pipe cannot be opened: pass one of your own");
}

/* Takes the descriptor a job names out of the message's. */
static int claim_fd(struct batch *b, uint32_t i, const struct ocp_job *spec,
                    const struct submit_ask *ask)
{
    if (!OCP_HAS(spec, job, fd))
        return 0;
    int fd = ask->fds[spec->fd];
    struct statx st;
    if (fd < 0)
        return oc_fail(&b->err, OCID_E_INVALID, 0, "two jobs name the same descriptor");
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st)) /* asks no server */
        return oc_fail(&b->err, OCID_E_INVALID, 0, "the descriptor cannot be looked at");
    ask->fds[spec->fd] = -1;
    if (spec->kind != OCP_ENUM_kind_put) {
        b->pipes[i] = fd;
        return S_ISFIFO(st.stx_mode) || S_ISSOCK(st.stx_mode)
                   ? 0
                   : oc_fail(&b->err, OCID_E_INVALID, 0, "the descriptor must be a pipe");
    }
    if (!spec->spool) {
        close(fd); /* the path is enough: the peer is who we are */
        return 0;
    }
    if (spec->in_memory && may_hold(b, fd)) {
        b->pipes[i] = fd;
        return 0;
    }
    if (S_ISFIFO(st.stx_mode)) {
        if (claim_pipe(b, i, fd))
            return b->err.code;
    } else {
        b->spools[i].fd = fd;
        if (!S_ISREG(st.stx_mode))
            return oc_fail(&b->err, OCID_E_INVALID, 0,
                           "only files, memfds and pipes can be spooled: write into a pipe");
    }
    b->spools[i].path = oc_new(1, sizeof b->room->spool_dir + 40);
    sprintf(b->spools[i].path, "%s/%016" PRIx64, b->room->spool_dir, clock_random());
    return 0;
}

static struct batch *batch_new(struct room *r, uint32_t uid, const char *label, uint32_t n)
{
    struct batch *b = OC_NEW(struct batch);
    r->n_ops++;
    b->room = r;
    b->uid = uid;
    b->n = n;
    b->index = -1;
    snprintf(b->label, sizeof b->label, "%s", label);
    b->jobs = oc_new(n, sizeof *b->jobs);
    b->ids = oc_new(n, sizeof *b->ids);
    b->rows = oc_new(n, sizeof *b->rows);
    return b;
}

static void with_descriptors(struct batch *b)
{
    b->pipes = oc_new(b->n, sizeof *b->pipes);
    b->spools = oc_new(b->n, sizeof *b->spools);
    for (uint32_t i = 0; i < b->n; i++)
        b->pipes[i] = b->spools[i].fd = -1;
}

void room_submit(struct room *r, const struct submit_ask *ask, const struct ocp_span *jobs)
{
    struct batch *b = batch_new(r, ask->uid, ask->label, jobs->count);
    struct ocp_iter it = {0};
    struct ocp_job spec;
    struct ocp_str raw;
    int spooling = 0;
    b->list = *jobs;
    b->done = ask->done;
    b->arg = ask->arg;
    if (ask->n_fds)
        with_descriptors(b);
    if (r->stopping)
        oc_fail(&b->err, OCID_E_STOPPING, 0, "the daemon is stopping: try again when it is back");
    for (uint32_t i = 0; i < b->n && !b->err.code; i++) {
        if (ocp_next_sub(&ocp_desc_job, jobs, &it, &spec, &raw, &b->err) < 0 ||
            spec_size_check(raw.n, &b->err) || spec_check(&spec, ask->n_fds, &b->err) ||
            claim_fd(b, i, &spec, ask)) {
            b->index = i;
            break;
        }
        spooling += b->spools && b->spools[i].fd >= 0;
    }
    if (b->err.code) {
        later(b);
    } else if (spooling) {
        b->list.p = b->packed = oc_memdup(jobs->p, jobs->n);
        spool_all(b);
    } else {
        build(b);
    }
}

/* ---- members of a pull ---- */

void room_member_of(const struct job *set, const struct ocp_job *spec, struct ocp_job *ret)
{
    *ret = (struct ocp_job){0};
    OCP_SET(ret, job, bucket, spec->bucket);
    if (spec->namespace.n)
        OCP_SET(ret, job, namespace, spec->namespace);
    if (spec->profile.n)
        OCP_SET(ret, job, profile, spec->profile);
    if (spec->overwrite)
        OCP_SET(ret, job, overwrite, true);
    OCP_SET(ret, job, priority, set->priority);
    OCP_SET(ret, job, set, set->id);
    OCP_SET(ret, job, below, spec->dest.n);
}

void room_add_members(struct room *r, struct job *set, const struct oc_buf *jobs, uint32_t n,
                      const char *cursor,
                      void (*done)(void *arg, const uint64_t *ids, uint32_t n,
                                   const struct oc_err *err, int64_t index),
                      void *arg)
{
    struct batch *b = batch_new(r, set->uid, set->sharer->label, n);
    b->done = done;
    b->arg = arg;
    b->packed = n ? oc_memdup(jobs->data, jobs->len) : NULL;
    b->list = (struct ocp_span){b->packed, (uint32_t)jobs->len, n};
    b->op = room_op_new(r, STORE_XFER, NULL, NULL);
    b->op->text[0] = oc_strdup(cursor ? cursor : "");
    b->op->op.xfer =
        (struct store_xfer){.job = set->id, .phase = !cursor, .cursor = ocp_str(b->op->text[0])};
    if (!n) { /* an empty page: its cursor alone */
        room_op_post(b->op);
        b->op = NULL;
    }
    build(b);
}
