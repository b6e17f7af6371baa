/* SPDX-License-Identifier: Apache-2.0
 *
 * disk.c - what the jobs room writes down and reads back.
 *
 * Control loop. A verdict is shown once its row is on disk; when the disk is full it is tried again
 * every few seconds, and the job stays as it was meanwhile.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "core/log.h"
#include "core/mem.h"
#include "jobs/after.h"
#include "jobs/files.h"
#include "jobs/room.h"
#include "jobs/run.h"
#include "jobs/timeout.h"
#include "jobs/watch.h"

enum {
    WRITE_AGAIN_MS = 3000,
    LINGER_MS = 20, /* while others are at work, verdicts share a commit */
    LINGER_MOST = 512,
};

static void on_op(struct store_op *op)
{
    struct room_op *o = OC_OWNER(op, struct room_op, op);
    struct room *r = o->room;
    r->n_ops--;
    if (o->done)
        o->done(o);
    if (o->again)
        return; /* it goes into another commit */
    if (o->owns_parts) {
        free(o->op.parts);
        o->op.parts = NULL;
    }
    store_op_fini(&o->op);
    for (int i = 0; i < 3; i++)
        free(o->text[i]);
    free(o);
    room_pump(r);
}

struct room_op *room_op_new(struct room *r, enum store_verb verb, void (*done)(struct room_op *o),
                            void *arg)
{
    struct room_op *o = OC_NEW(struct room_op);
    o->room = r;
    o->op.verb = verb;
    o->op.done = on_op;
    o->done = done;
    o->arg = arg;
    return o;
}

/* Whatever is written takes the verdicts along that were waiting for company. */
static void post(struct room *r, struct mail *op)
{
    r->n_ops++;
    mail_list_add(&r->linger.ops, op);
}

void room_flush_ends(struct room *r)
{
    if (r->linger.open)
        uv_timer_stop(&r->linger.timer);
    if (r->linger.ops.n)
        store_post_all(r->store, &r->linger.ops);
}

void room_op_post(struct room_op *o)
{
    post(o->room, &o->op.mail);
    room_flush_ends(o->room);
}

void room_op_post_both(struct room_op *a, struct room_op *b)
{
    post(a->room, &a->op.mail);
    post(b->room, &b->op.mail);
    room_flush_ends(a->room);
}

/* The row of a transfer; afresh: what was known of its parts is void. */
void room_save_xfer(struct room_op *o, int afresh)
{
    if (!afresh) {
        room_op_post(o);
        return;
    }
    struct room_op *drop = room_op_new(o->room, STORE_DROP_PARTS, NULL, NULL);
    drop->op.id = o->op.xfer.job;
    room_op_post_both(drop, o);
}

/* ---- verdicts ---- */

static void post_again(uv_timer_t *t)
{
    struct room *r = t->data;
    struct room_op *o, *all = r->again.first;
    r->again.first = NULL;
    while ((o = all)) {
        all = o->next;
        o->again = 0;
        room_op_post(o);
    }
}

static void keep_for_later(struct room_op *o)
{
    struct room *r = o->room;
    if (!r->again.open) {
        uv_timer_init(r->uv, &r->again.timer);
        r->again.timer.data = r;
        r->again.open = 1;
    }
    if (!r->again.first)
        uv_timer_start(&r->again.timer, post_again, WRITE_AGAIN_MS, 0);
    o->again = 1;
    o->next = r->again.first;
    r->again.first = o;
}

static void on_end_written(struct room_op *o)
{
    struct job *j = book_find(&o->room->book, o->job);
    if (j)
        j->unwritten = o->op.err.code != 0;
    if (!o->op.err.code) {
        o->on_end(o->room, o->job, o->state);
        return;
    }
    if (o->room->stopping) /* the queue still has the job: it ends again after the start */
        return;
    log_error("the end of job %" PRIu64 " cannot be written, trying again in %d s: %s", o->job,
              WRITE_AGAIN_MS / 1000, o->op.err.text);
    keep_for_later(o);
}

static void on_linger(uv_timer_t *t)
{
    room_flush_ends(t->data);
}

/* A verdict whose job does no harm when it is done once more after a crash may wait a moment, while
 * those of other small ones will come. */
static int may_linger(const struct room *r, const struct job *j, enum ocp_state state)
{
    struct ocp_job spec;
    if (j->kind != OCP_ENUM_kind_put || state != OCP_ENUM_state_done || !room_small_in_flight(r) ||
        r->stopping || r->linger.ops.n >= LINGER_MOST)
        return 0;
    job_spec(j, &spec);
    return !spec.if_absent && !spec.if_match.n;
}

static void linger(struct room_op *o)
{
    struct room *r = o->room;
    if (!r->linger.open) {
        uv_timer_init(r->uv, &r->linger.timer);
        r->linger.timer.data = r;
        r->linger.open = 1;
    }
    if (!r->linger.ops.n)
        uv_timer_start(&r->linger.timer, on_linger, LINGER_MS, 0);
    post(r, &o->op.mail);
}

/* Of what it has made at the service, something may have to be taken back when it does not end
 * well: an upload, a link. */
static int leaves_remote(int kind)
{
    return kind == OCP_ENUM_kind_put || kind == OCP_ENUM_kind_share;
}

/* A part file goes after the verdict; until it has gone a row says that it may be there. */
static int leaves_part(const struct job *j, enum ocp_state state)
{
    struct ocp_job spec;
    if (state == OCP_ENUM_state_done || !(j->restored || (j->run && j->run->of)) ||
        (j->kind != OCP_ENUM_kind_get && j->kind != OCP_ENUM_kind_list))
        return 0;
    job_spec(j, &spec);
    return spec.dest.n > 0;
}

void room_write_end(struct room *r, struct job *j, enum ocp_state state,
                    void (*done)(struct room *r, uint64_t id, int state))
{
    struct room_op *o = room_op_new(r, STORE_END, on_end_written, NULL);
    o->job = j->id;
    o->state = (int)state;
    o->on_end = done;
    o->row = (struct store_job){.id = j->id,
                                .state = (int)state,
                                .ended_at = j->ended_at,
                                .outcome = {j->outcome, j->outcome_len}};
    o->op.id = j->id;
    o->op.jobs = &o->row;
    o->op.n = 1;
    o->op.keep_xfer = leaves_remote(j->kind) && state != OCP_ENUM_state_done;
    if (leaves_part(j, state)) {
        struct room_op *row = room_op_new(r, STORE_XFER, NULL, NULL);
        row->op.xfer.job = j->id;
        o->op.keep_xfer = 1;
        room_op_post_both(row, o);
    } else if (may_linger(r, j, state)) {
        linger(o);
    } else {
        room_op_post(o);
    }
}

void room_close_disk(struct room *r)
{
    if (r->again.open)
        uv_close((uv_handle_t *)&r->again.timer, NULL);
    if (r->linger.open)
        uv_close((uv_handle_t *)&r->linger.timer, NULL);
    while (r->again.first) {
        struct room_op *o = r->again.first;
        r->again.first = o->next;
        store_op_fini(&o->op);
        free(o);
    }
}

/* ---- what a job leaves behind ---- */

static void on_removed(struct file_task *t)
{
    room_pump(t->arg); /* the daemon may wait for it to end */
    file_task_free(t);
}

static void remove_file(struct room *r, char *path)
{
    struct file_task *t = file_task_new(FILE_REMOVE, on_removed, r);
    t->path = path;
    file_task_submit(r->gate, t);
}

void room_remove(struct room *r, const char *path)
{
    remove_file(r, oc_strdup(path));
}

struct part_removal {
    struct room *room;
    uint64_t job;
    UT_hash_handle hh;
};

int room_removes_part(const struct room *r, uint64_t job)
{
    struct part_removal *p;
    HASH_FIND(hh, r->removals, &job, sizeof job, p);
    return p != NULL;
}

static void on_part_removed(struct file_task *t)
{
    struct part_removal *p = t->arg;
    if (t->err.code) {
        log_warn("%s: tried again at the next start", t->err.text);
    } else {
        struct room_op *o = room_op_new(p->room, STORE_DROP_XFER, NULL, NULL);
        o->op.id = p->job;
        room_op_post(o);
    }
    struct job *j = book_find(&p->room->book, p->job);
    HASH_DEL(p->room->removals, p);
    if (j)
        room_begin_again(p->room, j);
    room_pump(p->room);
    free(p);
    file_task_free(t);
}

void room_remove_part(struct room *r, uint64_t job, struct ocp_str dest)
{
    struct part_removal *p = OC_NEW(struct part_removal);
    p->room = r;
    p->job = job;
    HASH_ADD(hh, r->removals, job, sizeof p->job, p);
    struct file_task *t = file_task_new(FILE_REMOVE, on_part_removed, p);
    t->path = file_part_name(dest, job);
    t->dest = oc_strndup(dest.p, dest.n); /* gone for good before the row is */
    file_task_submit(r->gate, t);
}

/* Only now: until the verdict was on disk, the job might have come back after a crash. */
void room_drop_spool(struct room *r, const struct job *j)
{
    struct ocp_job spec;
    if (j->kind != OCP_ENUM_kind_put)
        return;
    job_spec(j, &spec);
    if (spec.spool)
        remove_file(r, oc_strndup(spec.source.p, spec.source.n));
}

void room_tidy(struct room *r, struct job *j)
{
    struct ocp_job spec;
    job_close_pipe(j);
    if (!j->restored || r->stopping)
        return;
    job_spec(j, &spec);
    if (j->kind != OCP_ENUM_kind_put && spec.dest.n && !j->tally)
        room_remove_part(r, j->id, spec.dest);
    struct saved *s = room_saved_take(r, j->id);
    if (!s)
        return;
    if (leaves_remote(j->kind)) {
        room_saved_keep(r, &s->row);
        run_start_cleaning(r, j);
    }
    room_saved_free(s);
}

void room_log_end(const struct job *j, enum ocp_state state, const struct oc_err *err)
{
    char id[40], name[40], text[sizeof err->text + 300];
    const char *fields[] = {id, name, NULL};
    enum log_level level = state == OCP_ENUM_state_failed ? LOG_L_WARN
                           : j->set                       ? LOG_L_DEBUG
                                                          : LOG_L_INFO;
    if (!log_wants(level))
        return;
    snprintf(id, sizeof id, "OCID_JOB=%" PRIu64, j->id);
    snprintf(name, sizeof name, "OCID_STATE=%s", ocp_enum_name(&ocp_enum_state, (int)state));
    log_line(level, fields, "job %" PRIu64 " (%s) %s%s%s", j->id,
             ocp_enum_name(&ocp_enum_kind, j->kind), ocp_enum_name(&ocp_enum_state, (int)state),
             err ? ": " : "", err ? oc_err_print(err, text, sizeof text) : "");
}

/* ---- reading back ---- */

struct loading {
    struct room *room;
    uint64_t *orphans; /* jobs that have ended and left an upload, a link or a part file */
    unsigned n_orphans;
};

static void load_job(void *arg, const struct store_job *row)
{
    struct room *r = ((struct loading *)arg)->room;
    struct ocp_job spec;
    char label[65];
    struct job *j = job_restore(row);
    job_spec(j, &spec);
    room_adopt(r, j, ocp_str_copy(row->client, label, sizeof label));
    if (spec.timeout_ms)
        timeout_begin(r, j, spec.timeout_ms);
}

static void load_xfer(void *arg, const struct store_xfer *row)
{
    struct loading *l = arg;
    room_saved_keep(l->room, row);
    struct job *j = book_find(&l->room->book, row->job);
    if (j) {
        j->reading &= row->total == STORE_TOTAL_UNKNOWN;
        return;
    }
    l->orphans = oc_grow(l->orphans, l->n_orphans + 1, sizeof *l->orphans);
    l->orphans[l->n_orphans++] = row->job;
}

static void load_key(void *arg, uint32_t uid, struct ocp_str key, uint64_t id)
{
    book_key_add(&((struct loading *)arg)->room->book, uid, key, id);
}

static void load_tally(void *arg, const struct store_tally *t)
{
    struct job *set = book_find(&((struct loading *)arg)->room->book, t->set);
    if (set && set->tally)
        tally_load(set, t);
}

struct job *room_revive(struct room *r, const struct store_job *row)
{
    char label[65];
    if (!job_state_final(row->state) || book_find(&r->book, row->id))
        return NULL;
    struct job *j = job_restore(row);
    if (j->tally)
        j->tally->counted_from = UINT64_MAX;
    j->sharer =
        sched_sharer_ref(&r->sched, row->uid, ocp_str_copy(row->client, label, sizeof label));
    j->sharer->n_in[j->state]++;
    book_add(&r->book, j);
    struct job *set = room_set_of(r, j);
    if (set)
        tally_back(set, j);
    feed_touch(&r->feed, j);
    feed_final(&r->feed, j);
    return j;
}

/* Jobs that ended while a part file, or an upload or a link at the service, was still there: it
 * goes now. */
static void on_orphans(struct room_op *o)
{
    struct room *r = o->room;
    for (uint32_t i = 0; i < o->op.n; i++) {
        const struct store_job *row = &o->op.jobs[i];
        struct ocp_job spec;
        if (r->stopping)
            continue;
        if (leaves_remote(row->kind)) {
            struct job *j = room_revive(r, row);
            if (j)
                run_start_cleaning(r, j);
            continue;
        }
        struct job *j = job_restore(row);
        job_spec(j, &spec);
        room_remove_part(r, j->id, spec.dest);
        job_free(j);
    }
}

/* Its bytes went with the daemon before this one. */
static void end_lost(struct room *r, struct job *j)
{
    struct oc_err err;
    oc_fail(&err, OCID_E_LOST, 0,
            "its bytes were kept in the memory of a daemon that has ended: put them again");
    job_end(r, j, &err, NULL);
}

/* Watches look again one after the other, not all at once. */
static void admit_loaded(struct room *r, struct job *j)
{
    if (j->kind == OCP_ENUM_kind_watch && !j->n_after)
        room_sleep(r, j, OCP_ENUM_why_object, 1 + WATCH_APART_MS * r->sleepers.n_watches);
    else
        room_admit(r, j);
}

static void admit_all(struct room *r)
{
    struct ocp_job spec;
    for (struct job *j = book_each(&r->book, 0); j; j = book_each(&r->book, j->id + 1)) {
        job_spec(j, &spec);
        if (spec.after.count)
            after_watch(r, j, &spec);
        if (spec.in_memory && !j->ending)
            end_lost(r, j);
        if (j->state != OCP_ENUM_state_paused && !j->ending)
            admit_loaded(r, j);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Paths of the spool that jobs still need, sorted. */
static char **list_spooled(struct room *r, size_t *ret_n)
{
    char **paths = NULL;
    size_t n = 0;
    for (struct job *j = book_each(&r->book, 0); j; j = book_each(&r->book, j->id + 1)) {
        struct ocp_job spec;
        if (j->kind != OCP_ENUM_kind_put)
            continue;
        job_spec(j, &spec);
        if (!spec.spool)
            continue;
        if (!(n & (n - 1)))
            paths = oc_grow(paths, n ? 2 * n : 1, sizeof *paths);
        paths[n++] = oc_strndup(spec.source.p, spec.source.n);
    }
    if (n)
        qsort(paths, n, sizeof *paths, by_text);
    *ret_n = n;
    return paths;
}

/* Copies whose job was never taken or has ended: a crash came before they were removed. Blocking,
 * before the loop runs. */
static void sweep_spool(struct room *r)
{
    char path[sizeof r->spool_dir + 256];
    const char *key = path;
    size_t n = 0;
    DIR *dir = opendir(r->spool_dir);
    if (!dir)
        return;
    char **needed = list_spooled(r, &n);
    for (const struct dirent *e; (e = readdir(dir));) {
        snprintf(path, sizeof path, "%s/%.255s", r->spool_dir, e->d_name);
        if (e->d_name[0] != '.' && !(n && bsearch(&key, needed, n, sizeof *needed, by_text)))
            unlink(path);
    }
    closedir(dir);
    while (n)
        free(needed[--n]);
    free(needed);
}

static void load_limits(void *arg, struct ocp_str packed)
{
    struct loading *l = arg;
    limits_load(l->room, packed);
}

int room_load(struct room *r, struct oc_err *err)
{
    struct loading l = {.room = r};
    struct store_loader to = {load_job, load_xfer, load_key, load_tally, load_limits, &l};
    int rc = store_load(r->store, &to, err);
    if (rc)
        return rc;
    if (r->book.n_jobs)
        log_info("%" PRIu64 " jobs are in the queue", r->book.n_jobs);
    limits_tell_engine(r);
    admit_all(r);
    if (l.n_orphans) {
        struct room_op *o = room_op_new(r, STORE_READ_JOBS, on_orphans, NULL);
        o->op.ids = l.orphans;
        o->op.n_ids = l.n_orphans;
        o->text[0] = (char *)l.orphans; /* freed with it */
        room_op_post(o);
    }
    sweep_spool(r);
    room_prune(r);
    return 0;
}

static void prune(struct room *r);

/* Their keys may be used again. There may be more: the store takes away some thousand at a time. */
static void on_pruned(struct room_op *o)
{
    for (uint32_t i = 0; i < o->op.n; i++)
        if (o->op.jobs[i].key.n)
            book_key_remove(&o->room->book, o->op.jobs[i].uid, o->op.jobs[i].key);
    o->room->pruning = 0;
    if (o->op.n && !o->op.err.code && !o->room->stopping)
        prune(o->room);
}

static void prune(struct room *r)
{
    struct room_op *o = room_op_new(r, STORE_PRUNE, on_pruned, NULL);
    r->pruning = 1;
    o->op.before = clock_wall_ms() - (int64_t)r->config->daemon_keep_days * 86400000;
    o->op.keep = r->config->daemon_keep_jobs;
    room_op_post(o);
}

/* Final rows beyond what the configuration keeps: at the start and after many ends, so that no
 * timer is needed. */
void room_prune(struct room *r)
{
    if (!r->pruning && !r->stopping)
        prune(r);
}

static struct ocp_str own(struct ocp_str s)
{
    return (struct ocp_str){oc_strndup(s.p ? s.p : "", s.n), s.n};
}

void room_saved_keep(struct room *r, const struct store_xfer *row)
{
    struct saved *s = OC_NEW(struct saved);
    s->row = *row;
    s->row.remote_id = own(row->remote_id);
    s->row.etag = own(row->etag);
    s->row.cursor = own(row->cursor);
    s->row.md5 = own(row->md5);
    s->next = r->saved;
    r->saved = s;
}

const struct store_xfer *room_saved_row(const struct room *r, uint64_t job)
{
    const struct saved *s = r->saved;
    while (s && s->row.job != job)
        s = s->next;
    return s ? &s->row : NULL;
}

struct saved *room_saved_take(struct room *r, uint64_t job)
{
    for (struct saved **at = &r->saved; *at; at = &(*at)->next)
        if ((*at)->row.job == job) {
            struct saved *s = *at;
            *at = s->next;
            return s;
        }
    return NULL;
}

void room_saved_free(struct saved *s)
{
    free((char *)s->row.remote_id.p);
    free((char *)s->row.etag.p);
    free((char *)s->row.cursor.p);
    free((char *)s->row.md5.p);
    free(s);
}
