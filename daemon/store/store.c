/* SPDX-License-Identifier: Apache-2.0
 *
 * store.c - the store thread: what gathered during one commit goes into the next.
 *
 * Ops come by a mailbox and go back by another, a batch and a wake-up at a time. Start at
 * store_main(). The database is this thread's alone from the first post to the join in
 * store_close(); before and after it is the control loop's.
 *
 * Checkpoints copy the log back into the database: never between a post and its answer, but when
 * nothing waits and the log is worth it, or when it has grown so long that it must not grow on.
 */
#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/log.h"
#include "core/mem.h"
#include "proto/text.h"
#include "store/ballast.h"
#include "store/damage.h"
#include "store/lock.h"
#include "store/migrate.h"
#include "store/rows.h"

enum {
    PAGE_BYTES = 4096,
    LOG_MADE_BYTES = 8 << 20,                 /* written ahead */
    LOG_SOFT_PAGES = (6 << 20) / PAGE_BYTES,  /* checkpoint when idle */
    LOG_HARD_PAGES = (24 << 20) / PAGE_BYTES, /* checkpoint in any case */
    CHECK_MOST = 16 << 20, /* bytes of a database that is checked in full after a crash */
};

struct store {
    /* constant after store_open() */
    int lock_fd;
    char uuid[40];
    uint64_t last_id;
    char *dir;
    void (*on_damage)(void *arg, const struct oc_err *err);
    void *arg;
    sqlite3 *db;
    struct rows *rows;
    pthread_t thread;

    /* between the threads */
    struct mailbox posts, answers;

    /* control loop */
    int closing;

    /* store thread */
    struct mail_list searches; /* reads without an index, a stretch at a time */
    struct ballast ballast;
    int short_of_space; /* in this batch */
    int log_pages;      /* of the WAL, as of the last commit */
    int stuck;          /* the last checkpoint failed, which was said */
    int damaged; /* set before the first post or by the store thread, which moves it aside then */
    struct oc_err damage;

    /* either: the letter that says so goes once */
    struct store_op tell_damage;
};

static struct store_op *op_of(struct mail *m)
{
    return OC_OWNER(m, struct store_op, mail);
}

/* ---- damage ---- */

static void tell_damage(struct store_op *op)
{
    struct store *s = OC_OWNER(op, struct store, tell_damage);
    if (s->on_damage)
        s->on_damage(s->arg, &s->damage);
}

/* After a failure: if the database is damaged it is moved aside, so that the next start does not go
 * on with it. What was posted still goes to it, wherever it is. */
static void see_damage(struct store *s, const struct oc_err *err)
{
    if (s->damaged || !damage_met(s->db))
        return;
    s->damage = *err;
    if (!damage_sure(s->db, s->dir, &s->damage))
        return;
    s->damaged = 1;
    damage_aside(s->dir, &s->damage);
    s->tell_damage.done = tell_damage;
    mailbox_post(&s->answers, &s->tell_damage.mail);
}

/* ---- one batch, one commit ---- */

/* One op in a savepoint of its own: it alone fails. */
static enum rows_end run_apart(struct store *s, struct store_op *op)
{
    if (rows_apart(s->rows, &op->err) < 0)
        return ROWS_DISK;
    enum rows_end end = rows_run(s->rows, op);
    if (end == ROWS_DISK)
        return end;
    struct oc_err lost;
    int rc = end == ROWS_OK ? rows_keep(s->rows, &lost) : rows_undo(s->rows, &lost);
    if (rc < 0) {
        op->err = lost;
        return ROWS_DISK;
    }
    return ROWS_OK;
}

/* While the disk is full what is left of it is for the jobs that were accepted. */
static int is_refused(struct store *s, struct store_op *op)
{
    if (!s->short_of_space || (op->verb != STORE_ADD && !op->tied))
        return 0;
    oc_fail(&op->err, OCID_E_SPACE, 0,
            "the disk of the queue is full: free some of it, '%s' is where it is", s->dir);
    return 1;
}

/* All ops within the open transaction. Not apart, it stops at the first that fails. */
static enum rows_end run_ops(struct store *s, const struct mail_list *batch, int apart,
                             struct oc_err *err)
{
    for (struct mail *m = batch->head; m; m = m->next) {
        struct store_op *op = op_of(m);
        oc_err_clear(&op->err);
        if (rows_has_results(op))
            store_op_fini(op); /* of a try before */
        if (is_refused(s, op))
            continue;
        enum rows_end end = apart ? run_apart(s, op) : rows_run(s->rows, op);
        if (end != ROWS_OK) {
            *err = op->err;
            return end;
        }
    }
    return ROWS_OK;
}

static enum rows_end run_transaction(struct store *s, const struct mail_list *batch, int apart,
                                     struct oc_err *err)
{
    if (rows_begin(s->rows, err) < 0) {
        see_damage(s, err);
        return ROWS_DISK;
    }
    enum rows_end end = run_ops(s, batch, apart, err);
    if (end != ROWS_OK) {
        see_damage(s, err);
        rows_rollback(s->rows);
        return end;
    }
    if (rows_commit(s->rows, err) < 0) {
        see_damage(s, err);
        return ROWS_DISK;
    }
    return ROWS_OK;
}

/* Savepoints would be paid for by each op, so they come only once one was refused. */
static enum rows_end try_batch(struct store *s, const struct mail_list *batch, struct oc_err *err)
{
    s->short_of_space = ballast_is_short(&s->ballast);
    enum rows_end end = run_transaction(s, batch, 0, err);
    return end == ROWS_REFUSED ? run_transaction(s, batch, 1, err) : end;
}

static void run_batch(struct store *s, struct mail_list *batch)
{
    struct oc_err err;
    enum rows_end end = try_batch(s, batch, &err);
    if (end == ROWS_DISK && err.code == OCID_E_SPACE && ballast_give(&s->ballast))
        end = try_batch(s, batch, &err);
    if (end == ROWS_OK)
        return;
    for (struct mail *m = batch->head; m; m = m->next)
        op_of(m)->err = err;
}

/* ---- searches ---- */

/* One stretch in a transaction of its own. 1 when the op has ended. */
static int run_stretch(struct store *s, struct store_op *op)
{
    uint32_t n = op->n;
    oc_err_clear(&op->err);
    int write = rows_is_write(op);
    if (write && rows_begin(s->rows, &op->err) < 0)
        return 1;
    enum rows_end end = rows_run(s->rows, op);
    if (end == ROWS_OK || end == ROWS_MORE) {
        if (!write || rows_commit(s->rows, &op->err) == 0)
            return end == ROWS_OK;
    }
    see_damage(s, &op->err);
    rows_rollback(s->rows);
    op->n = n; /* what earlier stretches did stands */
    return 1;
}

static void run_searches(struct store *s)
{
    struct mail *m = mail_list_pop(&s->searches);
    if (!m)
        return;
    if (run_stretch(s, op_of(m)))
        mailbox_post(&s->answers, m);
    else
        mail_list_add(&s->searches, m);
}

/* ---- the thread ---- */

static int on_commit(void *arg, sqlite3 *db, const char *name, int pages)
{
    (void)db, (void)name;
    ((struct store *)arg)->log_pages = pages;
    return SQLITE_OK;
}

static void checkpoint(struct store *s)
{
    int log = 0, done = 0;
    int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &log, &done);
    if ((rc & 0xff) == SQLITE_FULL && ballast_give(&s->ballast))
        rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &log, &done);
    if (rc != SQLITE_OK && !s->stuck) {
        struct oc_err err;
        char text[512];
        migrate_fail(s->db, rc, &err, "copy the queue's log into its database");
        log_warn("%s; the log grows until that works", oc_err_print(&err, text, sizeof text));
        see_damage(s, &err);
    }
    s->stuck = rc != SQLITE_OK;
    s->log_pages = 0; /* next try after as many pages again */
}

static void sort_out(struct store *s, struct mail_list *all, struct mail_list *ret_batch)
{
    mail_list_init(ret_batch);
    for (struct mail *m; (m = mail_list_pop(all));)
        mail_list_add(rows_is_search(op_of(m)) ? &s->searches : ret_batch, m);
}

/* Waits for letters unless there is something to do without. 0: the end. */
static int next_batch(struct store *s, struct mail_list *ret)
{
    mailbox_poll(&s->posts, ret);
    if (ret->n || s->searches.n)
        return 1;
    if (s->log_pages >= LOG_SOFT_PAGES)
        checkpoint(s);
    return mailbox_take(&s->posts, ret);
}

static void *store_main(void *arg)
{
    struct store *s = arg;
    struct mail_list all, batch;
    pthread_setname_np(pthread_self(), "ocid-store");
    while (next_batch(s, &all)) {
        sort_out(s, &all, &batch);
        if (batch.n)
            run_batch(s, &batch);
        mailbox_post_all(&s->answers, &batch);
        run_searches(s);
        if (s->log_pages >= LOG_HARD_PAGES)
            checkpoint(s);
    }
    return NULL;
}

/* ---- control loop ---- */

static void on_answers(void *owner, struct mail_list *batch)
{
    (void)owner;
    for (struct mail *m; (m = mail_list_pop(batch));) {
        struct store_op *op = op_of(m);
        op->done(op);
    }
}

static void clear_results(struct store_op *op)
{
    oc_err_clear(&op->err);
    if (!rows_has_results(op))
        return;
    store_op_fini(op);
    op->jobs = NULL;
    op->parts = NULL;
    op->n = 0;
}

void store_post(struct store *s, struct store_op *op)
{
    struct mail_list one;
    mail_list_init(&one);
    mail_list_add(&one, &op->mail);
    store_post_all(s, &one);
}

void store_post_all(struct store *s, struct mail_list *ops)
{
    for (struct mail *m = ops->head; m; m = m->next) {
        clear_results(op_of(m));
        if (s->closing)
            oc_fail(&op_of(m)->err, OCID_E_STOPPING, 0, "the queue is closed");
    }
    mailbox_post_all(s->closing ? &s->answers : &s->posts, ops);
}

const char *store_uuid(const struct store *s)
{
    return s->uuid;
}

uint64_t store_last_id(const struct store *s)
{
    return s->last_id;
}

int store_load(struct store *s, const struct store_loader *to, struct oc_err *err)
{
    int rc = rows_load(s->db, to, err);
    if (rc < 0 && damage_met(s->db)) {
        s->damaged = damage_sure(s->db, s->dir, err);
        return s->damaged ? damage_aside(s->dir, err) : rc;
    }
    return rc;
}

/* ---- opening and closing ---- */

/* Counting its memory would cost SQLite a lock at each allocation. Too late the second time. */
static int open_sqlite(const char *path, sqlite3 **ret)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    return sqlite3_open_v2(path, ret, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
}

static int set_up(sqlite3 *db)
{
    /* Exclusive: the index of the log is on our heap, and no lock is taken for a transaction. */
    static const char settings[] = "PRAGMA locking_mode = EXCLUSIVE;"
                                   "PRAGMA journal_mode = WAL;"
                                   "PRAGMA synchronous = FULL;"
                                   "PRAGMA wal_autocheckpoint = 0;"
                                   "PRAGMA journal_size_limit = 33554432;"
                                   "PRAGMA cache_size = -2048;"
                                   "PRAGMA mmap_size = 0;"
                                   "PRAGMA temp_store = MEMORY;"
                                   "PRAGMA trusted_schema = OFF;"
                                   "PRAGMA cell_size_check = ON;";
    static const char lossy[] = "PRAGMA synchronous = NORMAL;";
    sqlite3_extended_result_codes(db, 1);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    int rc = sqlite3_exec(db, settings, NULL, NULL, NULL);
    return !rc && OC_MUTANT("sync") ? sqlite3_exec(db, lossy, NULL, NULL, NULL) : rc;
}

/* Whole before it has its name: a queue without a byte in it is a damaged one. used: there was one
 * before. */
static int make_file(const char *dir, const char *path, int used, struct oc_err *err)
{
    char fresh[PATH_MAX], log[PATH_MAX];
    int rc = damage_check(dir, err);
    if (rc < 0 || !access(path, F_OK))
        return rc;
    oc_text_join(fresh, sizeof fresh, path, ".new", "");
    oc_text_join(log, sizeof log, path, "-wal", "");
    if ((rc = migrate_new(fresh, migrate_steps, migrate_n_steps, err)) < 0)
        return rc;
    unlink(log); /* of another database */
    if (rename(fresh, path) < 0)
        return oc_fail(err, OCID_E_IO, errno, "cannot rename '%s'", fresh);
    if (used)
        log_warn("the queue that was in '%s' is not there any more: a new one begins empty", dir);
    return damage_sync_dir(dir, err);
}

/* Syncing bytes that overwrite others costs half of what it does when a file grows by them, so the
 * log is given its usual size ahead. Zeros end what SQLite finds in it. Without space: later. */
static void stretch_log(const char *path)
{
    static const char zeros[64 * 1024];
    char log[PATH_MAX];
    oc_text_join(log, sizeof log, path, "-wal", "");
    int fd = open(log, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    off_t at = lseek(fd, 0, SEEK_END);
    while (at >= 0 && at < LOG_MADE_BYTES && pwrite(fd, zeros, sizeof zeros, at) == sizeof zeros)
        at += sizeof zeros;
    fdatasync(fd);
    close(fd);
}

/* After a crash a small database is looked through at once; of a large one store_load() reads the
 * jobs anyhow, and the rest is found damaged when it is read. */
static int check_whole(struct store *s, const char *path, int unclean, struct oc_err *err)
{
    struct stat st;
    if (!unclean || stat(path, &st) < 0 || st.st_size > CHECK_MOST)
        return 0;
    return damage_look(s->db, path, &s->damaged, err);
}

static int open_file(struct store *s, const char *path, int unclean, struct oc_err *err)
{
    if (OC_FAULT("store.open"))
        return oc_fail(err, OCID_E_IO, EIO, "cannot open '%s'", path);
    if (damage_lost(path, err)) {
        s->damaged = 1;
        return err->code;
    }
    int rc = open_sqlite(path, &s->db);
    if (rc == SQLITE_OK)
        rc = set_up(s->db);
    if (rc == SQLITE_OK)
        stretch_log(path);
    if (rc == SQLITE_OK)
        ballast_open(&s->ballast, s->dir, s->ballast.bytes);
    if (rc != SQLITE_OK) {
        migrate_fail(s->db, rc, err, "open the queue");
        return oc_wrap(err, "'%s'", path);
    }
    sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if ((rc = check_whole(s, path, unclean, err)) < 0 ||
        (rc = migrate_run(s->db, path, migrate_steps, migrate_n_steps, err)) < 0)
        return rc;
    sqlite3_wal_hook(s->db, on_commit, s);
    if ((rc = rows_new(s->db, &s->rows, err)) < 0)
        return rc;
    return rows_identity(s->rows, s->uuid, &s->last_id, err);
}

static int open_database(struct store *s, const char *dir, int used, int unclean,
                         struct oc_err *err)
{
    char path[PATH_MAX];
    oc_text_join(path, sizeof path, dir, "/", DAMAGE_QUEUE);
    int rc = make_file(dir, path, used, err);
    if (rc < 0 || (rc = open_file(s, path, unclean, err)) == 0)
        return rc;
    if (s->db && (s->damaged || damage_met(s->db)))
        s->damaged = damage_sure(s->db, dir, err);
    return s->damaged ? damage_aside(dir, err) : rc;
}

/* The control loop's signals are not for this thread. */
static int start_thread(struct store *s, struct oc_err *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&s->thread, NULL, store_main, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc ? oc_fail(err, OCID_E_INTERNAL, rc, "cannot start the store thread") : 0;
}

/* A damaged one keeps its log: what is in that is perhaps all that can be read. */
static void close_database(struct store *s, int clean)
{
    rows_free(s->rows);
    if (s->damaged && s->db)
        sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(s->db); /* copies the log back; NULL is allowed */
    lock_close(s->lock_fd, clean);
}

static void store_gone(void *owner)
{
    struct store *s = owner;
    mailbox_fini(&s->posts);
    free(s->dir);
    free(s);
}

static int open_threads(uv_loop_t *control, struct store *s, struct oc_err *err)
{
    int rc = mailbox_open(&s->answers, control, on_answers, s);
    if (rc < 0)
        return oc_fail(err, OCID_E_INTERNAL, -rc, "cannot open the store's mailbox");
    s->answers.on_closed = store_gone;
    return start_thread(s, err);
}

int store_open(uv_loop_t *control, const struct store_options *opt, struct store **ret,
               struct oc_err *err)
{
    struct store *s = OC_NEW(struct store);
    int unclean = 0, used = lock_was_used(opt->dir), rc;
    s->lock_fd = -1;
    s->dir = oc_strdup(opt->dir);
    s->ballast.bytes = opt->ballast_bytes;
    s->on_damage = opt->on_damage;
    s->arg = opt->arg;
    mailbox_init(&s->posts);
    mail_list_init(&s->searches);
    if ((rc = lock_open(opt->dir, &s->lock_fd, &unclean, err)) < 0 ||
        (rc = open_database(s, opt->dir, used, unclean, err)) < 0 ||
        (rc = open_threads(control, s, err)) < 0) {
        close_database(s, !unclean);
        if (s->answers.on_closed)
            mailbox_close(&s->answers); /* frees s in a later turn */
        else
            store_gone(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s || s->closing)
        return;
    s->closing = 1;
    mailbox_stop(&s->posts);
    pthread_join(s->thread, NULL);
    struct mail_list late;
    for (mailbox_poll(&s->answers, &late); late.n; mailbox_poll(&s->answers, &late))
        on_answers(s, &late);
    close_database(s, 1);
    mailbox_close(&s->answers); /* frees s */
}
