/* SPDX-License-Identifier: Apache-2.0
 *
 * recover.c - a new queue of what can be read of a damaged one.
 *
 * Rows are read by their numbers, so that a damaged page costs those on it and no others. If the
 * first page cannot be read (the table of tables is there), that of a fresh queue is put in its
 * place: ours are all made by the same steps, so their tables begin at the same pages. A row is
 * believed if what is in it can be unpacked. Start at recover_run().
 */
#include "store/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/codec.h"
#include "proto/text.h"
#include "store/damage.h"
#include "store/lock.h"
#include "store/migrate.h"
#include "store/rows.h"

enum { PAGE_BYTES = 4096, BLIND_IDS = 100000, SIZE_AT = 28, FORMAT_AT = 18, FIRST_TYPE_AT = 100 };

#define READING DAMAGE_QUEUE ".reading"
#define NEW     DAMAGE_QUEUE ".new"

struct recovery {
    const char *dir;
    char reading[PATH_MAX], fresh[PATH_MAX], queue[PATH_MAX];
    sqlite3 *in, *out;
    sqlite3_stmt *job, *jobs, *transfer, *parts; /* of in */
    sqlite3_stmt *add_job, *add_transfer, *add_part;
    struct recovered *ret;
    uint64_t last; /* largest id that may be; 0: not known */
};

/* ---- files ---- */

static int copy(const char *from, const char *to, struct oc_err *err)
{
    static char buffer[256 << 10];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return errno == ENOENT ? 0 : oc_fail(err, OCID_E_IO, errno, "cannot read '%s'", from);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    ssize_t n = 0;
    int bad = out < 0;
    while (!bad && (n = read(in, buffer, sizeof buffer)) > 0)
        bad = write(out, buffer, (size_t)n) != n;
    bad |= n < 0;
    int sys = errno;
    close(in);
    if (out >= 0 && close(out))
        bad = 1;
    if (!bad)
        return 0;
    return oc_fail(err, sys == ENOSPC ? OCID_E_SPACE : OCID_E_IO, sys, "cannot copy '%s' to '%s'",
                   from, to);
}

static void drop(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-journal", "-shm"};
    char each[PATH_MAX];
    for (unsigned i = 0; i < 4; i++) {
        oc_text_join(each, sizeof each, path, ends[i], "");
        unlink(each);
    }
}

static int copy_both(struct recovery *r, struct oc_err *err)
{
    char from[PATH_MAX], to[PATH_MAX];
    drop(r->reading);
    oc_text_join(from, sizeof from, r->ret->from, "-wal", "");
    oc_text_join(to, sizeof to, r->reading, "-wal", "");
    r->ret->log_lost = damage_log_lost(r->ret->from);
    int rc = copy(r->ret->from, r->reading, err);
    return rc ? rc : copy(from, to, err);
}

/* ---- the first page ---- */

static void put_u32(unsigned char *at, uint32_t v)
{
    for (int i = 3; i >= 0; i--, v >>= 8)
        at[i] = (unsigned char)v;
}

/* That of the new queue, with the size of the old one. */
static int replace_first_page(const struct recovery *r)
{
    unsigned char page[PAGE_BYTES];
    struct stat st;
    int in = open(r->fresh, O_RDONLY | O_CLOEXEC), out = open(r->reading, O_RDWR | O_CLOEXEC);
    int ok = in >= 0 && out >= 0 && pread(in, page, sizeof page, 0) == PAGE_BYTES &&
             page[FIRST_TYPE_AT] == 0x0d && !fstat(out, &st) && st.st_size >= PAGE_BYTES;
    if (ok) {
        page[FORMAT_AT] = page[FORMAT_AT + 1] = 2; /* with a log */
        put_u32(page + SIZE_AT, (uint32_t)(st.st_size / PAGE_BYTES));
        ok = pwrite(out, page, sizeof page, 0) == PAGE_BYTES;
    }
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return ok ? 0 : -1;
}

static int prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret)
{
    return sqlite3_prepare_v2(db, sql, -1, ret, NULL);
}

static int open_in(struct recovery *r)
{
    int rc = sqlite3_open_v2(r->reading, &r->in, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (!rc)
        rc = sqlite3_exec(r->in, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cell_size_check = ON;",
                          NULL, NULL, NULL);
    if (!rc)
        rc = prepare(r->in, "SELECT " ROWS_JOB_COLUMNS " FROM jobs WHERE id = ?1", &r->job);
    if (!rc)
        rc = prepare(r->in, "SELECT " ROWS_JOB_COLUMNS " FROM jobs WHERE id >= ?1 ORDER BY id",
                     &r->jobs);
    if (!rc)
        rc = prepare(r->in, "SELECT * FROM transfers WHERE job = ?1", &r->transfer);
    if (!rc)
        rc = prepare(r->in, "SELECT * FROM parts WHERE job = ?1 ORDER BY part_no", &r->parts);
    return rc;
}

static void close_in(struct recovery *r)
{
    sqlite3_stmt **all[] = {&r->job, &r->jobs, &r->transfer, &r->parts};
    for (unsigned i = 0; i < 4; i++) {
        sqlite3_finalize(*all[i]);
        *all[i] = NULL;
    }
    sqlite3_close(r->in);
    r->in = NULL;
}

static int open_damaged(struct recovery *r, struct oc_err *err)
{
    if (open_in(r) == SQLITE_OK)
        return 0;
    close_in(r);
    int rc = copy_both(r, err); /* what an open has changed is undone */
    if (rc)
        return rc;
    if (!replace_first_page(r) && open_in(r) == SQLITE_OK)
        return 0;
    return oc_fail(
        err, OCID_E_NOT_FOUND, 0,
        "nothing can be read of '%s' (%s): to begin with an empty queue move that file away",
        r->ret->from, sqlite3_errmsg(r->in));
}

/* ---- the new queue ---- */

static int open_out(struct recovery *r, struct oc_err *err)
{
    drop(r->fresh);
    int rc = migrate_new(r->fresh, migrate_steps, migrate_n_steps, err);
    if (rc)
        return rc;
    rc = sqlite3_open_v2(r->fresh, &r->out, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (!rc)
        rc = sqlite3_exec(r->out, "BEGIN EXCLUSIVE", NULL, NULL, NULL);
    if (!rc)
        rc = prepare(r->out,
                     "INSERT INTO jobs (" ROWS_JOB_COLUMNS
                     ") VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)",
                     &r->add_job);
    if (!rc)
        rc = prepare(r->out, "INSERT OR REPLACE INTO transfers VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)",
                     &r->add_transfer);
    if (!rc)
        rc = prepare(r->out, "INSERT OR REPLACE INTO parts VALUES (?1,?2,?3,?4,?5)", &r->add_part);
    return rc ? migrate_fail(r->out, rc, err, "make a new queue") : 0;
}

static int put_row(sqlite3_stmt *to, sqlite3_stmt *from)
{
    for (int i = 0; i < sqlite3_column_count(from); i++)
        sqlite3_bind_value(to, i + 1, sqlite3_column_value(from, i));
    int rc = sqlite3_step(to);
    sqlite3_reset(to);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* ---- rows ---- */

static int is_message(const struct ocp_desc *desc, struct ocp_str s, void *to)
{
    size_t n;
    return !ocp_check(s.p, s.n, &n, NULL) && n == s.n && !ocp_unpack(desc, s.p, s.n, to, NULL);
}

static int is_job(const struct store_job *row)
{
    struct ocp_job spec;
    struct ocp_outcome outcome;
    int final = row->state >= OCP_ENUM_state_done && row->state <= OCP_ENUM_state_cancelled;
    int open = row->state == OCP_ENUM_state_queued || row->state == OCP_ENUM_state_paused;
    return row->kind >= 0 && row->kind < OCP_ENUM_kind_COUNT && (final || open) &&
           final == (row->ended_at > 0) && is_message(&ocp_desc_job, row->spec, &spec) &&
           (int)spec.kind == row->kind &&
           (!row->outcome.n || is_message(&ocp_desc_outcome, row->outcome, &outcome));
}

static void lose(struct recovery *r, uint64_t id)
{
    if (r->ret->n_lost < RECOVER_IDS)
        r->ret->lost[r->ret->n_lost] = id;
    r->ret->n_lost++;
}

/* All rows of one job in a table; those before a damaged one are kept. */
static int copy_of(sqlite3_stmt *from, sqlite3_stmt *to, uint64_t job)
{
    int rc;
    sqlite3_bind_int64(from, 1, (sqlite3_int64)job);
    while ((rc = sqlite3_step(from)) == SQLITE_ROW && (rc = put_row(to, from)) == SQLITE_OK) {
    }
    sqlite3_reset(from);
    return rc == SQLITE_DONE ? 0 : -1;
}

static int take_job(struct recovery *r, sqlite3_stmt *q, struct oc_err *err)
{
    struct store_job row;
    rows_job(q, &row);
    if (!is_job(&row)) {
        lose(r, row.id);
        return 0;
    }
    int rc = put_row(r->add_job, q);
    if (rc)
        return migrate_fail(r->out, rc, err, "write the new queue");
    r->ret->n_jobs++;
    r->ret->n_unfinished += !row.ended_at;
    if (copy_of(r->transfer, r->add_transfer, row.id) && !row.ended_at)
        r->ret->n_transfers_lost++;
    copy_of(r->parts, r->add_part, row.id);
    return 0;
}

/* From *next on until one cannot be read. SQLITE_DONE: that was all; SQLITE_CORRUPT: *next is the
 * id to be looked at alone; else err is filled. */
static int take_run(struct recovery *r, uint64_t *next, struct oc_err *err)
{
    int rc;
    sqlite3_bind_int64(r->jobs, 1, (sqlite3_int64)*next);
    while ((rc = sqlite3_step(r->jobs)) == SQLITE_ROW) {
        *next = (uint64_t)sqlite3_column_int64(r->jobs, 0) + 1;
        if (take_job(r, r->jobs, err)) {
            rc = SQLITE_ERROR;
            break;
        }
    }
    sqlite3_reset(r->jobs);
    return rc == SQLITE_DONE || rc == SQLITE_ERROR ? rc : SQLITE_CORRUPT;
}

/* Ids one by one, until one is read. 0, or err is filled. */
static int take_alone(struct recovery *r, uint64_t *next, struct oc_err *err)
{
    uint64_t to = r->last ? r->last : *next + BLIND_IDS;
    for (int found = 0; !found && *next <= to; (*next)++) {
        sqlite3_bind_int64(r->job, 1, (sqlite3_int64)*next);
        int rc = sqlite3_step(r->job);
        found = rc == SQLITE_ROW;
        if (found && take_job(r, r->job, err)) {
            sqlite3_reset(r->job);
            return err->code;
        }
        if (!found && rc != SQLITE_DONE && r->last)
            lose(r, *next);
        sqlite3_reset(r->job);
    }
    if (!r->last && *next > to)
        r->last = *next - 1;
    return 0;
}

static int take_jobs(struct recovery *r, struct oc_err *err)
{
    uint64_t next = 1;
    for (;;) {
        int rc = take_run(r, &next, err);
        if (rc == SQLITE_DONE)
            return 0;
        if (rc == SQLITE_ERROR || take_alone(r, &next, err))
            return err->code;
        if (r->last && next > r->last)
            return 0;
    }
}

static uint64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *q = NULL;
    uint64_t v = 0;
    if (!prepare(db, sql, &q) && sqlite3_step(q) == SQLITE_ROW)
        v = (uint64_t)sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return v;
}

/* What somebody has limited stays so, if it can be read. */
static void keep_limits(struct recovery *r)
{
    sqlite3_stmt *q = NULL, *to = NULL;
    if (!prepare(r->in, "SELECT value FROM meta WHERE name = 'limits'", &q) &&
        sqlite3_step(q) == SQLITE_ROW &&
        !prepare(r->out, "INSERT OR REPLACE INTO meta VALUES ('limits', ?1)", &to))
        put_row(to, q);
    sqlite3_finalize(q);
    sqlite3_finalize(to);
}

/* Ids are never used again, so the new queue is the old one to clients only if the largest is
 * known.
 */
static int keep_identity(struct recovery *r, uint64_t seq, struct oc_err *err)
{
    sqlite3_stmt *q = NULL, *to = NULL;
    int rc = SQLITE_ERROR;
    if (seq && !prepare(r->in, "SELECT value FROM meta WHERE name = 'uuid'", &q) &&
        sqlite3_step(q) == SQLITE_ROW && sqlite3_column_bytes(q, 0) == 36 &&
        !(rc = prepare(r->out, "UPDATE meta SET value = ?1 WHERE name = 'uuid'", &to)))
        rc = put_row(to, q);
    sqlite3_finalize(q);
    sqlite3_finalize(to);
    r->ret->new_identity = rc != SQLITE_OK;
    keep_limits(r);
    char sql[320];
    snprintf(sql, sizeof sql,
             "DELETE FROM sqlite_sequence WHERE name = 'jobs' AND seq < %llu;"
             "INSERT INTO sqlite_sequence SELECT 'jobs', %llu WHERE NOT EXISTS"
             " (SELECT 1 FROM sqlite_sequence WHERE name = 'jobs')",
             (unsigned long long)seq, (unsigned long long)seq);
    rc = sqlite3_exec(r->out, sql, NULL, NULL, NULL);
    return rc ? migrate_fail(r->out, rc, err, "write the new queue") : 0;
}

static int transfer_all(struct recovery *r, struct oc_err *err)
{
    uint64_t seq = number(r->in, "SELECT seq FROM sqlite_sequence WHERE name = 'jobs'");
    r->last = seq ? seq : number(r->in, "SELECT id FROM jobs ORDER BY id DESC LIMIT 1");
    int rc = take_jobs(r, err);
    if (!rc && !seq && !r->ret->n_jobs)
        rc =
            oc_fail(err, OCID_E_NOT_FOUND, 0,
                    "nothing can be read of '%s': to begin with an empty queue move that file away",
                    r->ret->from);
    if (!rc)
        rc = keep_identity(r, seq, err);
    if (rc)
        return rc;
    rc = sqlite3_exec(r->out, "COMMIT", NULL, NULL, NULL);
    return rc ? migrate_fail(r->out, rc, err, "write the new queue") : 0;
}

static void close_out(struct recovery *r)
{
    sqlite3_finalize(r->add_job);
    sqlite3_finalize(r->add_transfer);
    sqlite3_finalize(r->add_part);
    sqlite3_close(r->out);
}

/* ---- the whole of it ---- */

/* A queue that is in its place is moved aside if it is damaged, else left alone. */
static int find_damaged(struct recovery *r, struct oc_err *err)
{
    struct stat st;
    int damaged = 0;
    if (stat(r->queue, &st))
        return damage_find(r->dir, r->ret->from, err);
    if (!damage_look_at(r->queue, &damaged, err))
        return oc_fail(err, OCID_E_STATE, 0, "'%s' is whole: there is nothing to recover",
                       r->queue);
    if (!damaged)
        return err->code;
    damage_aside(r->dir, err);
    return stat(r->queue, &st) ? damage_find(r->dir, r->ret->from, err) : err->code;
}

static int publish(struct recovery *r, struct oc_err *err)
{
    char log[PATH_MAX];
    oc_text_join(log, sizeof log, r->queue, "-wal", "");
    unlink(log);
    if (rename(r->fresh, r->queue))
        return oc_fail(err, OCID_E_IO, errno, "cannot rename '%s'", r->fresh);
    return damage_sync_dir(r->dir, err);
}

static int run(struct recovery *r, struct oc_err *err)
{
    int rc = find_damaged(r, err);
    if (!rc)
        rc = open_out(r, err);
    if (!rc)
        rc = copy_both(r, err);
    if (!rc)
        rc = open_damaged(r, err);
    if (!rc)
        rc = transfer_all(r, err);
    close_in(r);
    close_out(r);
    if (!rc)
        rc = publish(r, err);
    drop(r->reading);
    if (rc)
        drop(r->fresh);
    return rc;
}

int recover_run(const char *dir, struct recovered *ret, struct oc_err *err)
{
    struct recovery r = {.dir = dir, .ret = ret};
    int lock = -1, unclean;
    *ret = (struct recovered){0};
    oc_text_join(r.queue, sizeof r.queue, dir, "/", DAMAGE_QUEUE);
    oc_text_join(r.reading, sizeof r.reading, dir, "/", READING);
    oc_text_join(r.fresh, sizeof r.fresh, dir, "/", NEW);
    int rc = lock_open(dir, &lock, &unclean, err);
    if (!rc)
        rc = run(&r, err);
    lock_close(lock, !rc || !unclean);
    return rc;
}
