/* SPDX-License-Identifier: Apache-2.0
 *
 * rows.c - operations of the store as SQL: prepared statements, rows in and out.
 *
 * Store thread; no policy and no threads of its own. Start at rows_run(). Strings are bound where
 * they lie, since an op stays as it is until its answer.
 */
#include "store/rows.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/fault.h"
#include "core/mem.h"
#include "store/migrate.h"

#define A_ROW "(?,?,?,?,?,?,?,?,?,?,?,?)"

/* X(name, SQL). AUTOINCREMENT reads and writes its table once a statement, so that eight rows in
 * one cost little more than half of what they do one by one. */
#define STATEMENTS(X)                                                                              \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(APART, "SAVEPOINT one")                                                                      \
    X(KEEP, "RELEASE one")                                                                         \
    X(UNDO, "ROLLBACK TO one")                                                                     \
    X(ADD, "INSERT INTO jobs (" ROWS_JOB_COLUMNS ") VALUES " A_ROW)                                \
    X(ADD_8, "INSERT INTO jobs (" ROWS_JOB_COLUMNS ") VALUES " A_ROW "," A_ROW "," A_ROW "," A_ROW \
             "," A_ROW "," A_ROW "," A_ROW "," A_ROW)                                              \
    X(END, "UPDATE jobs SET state=?2, ended_at=?3, outcome=?4 WHERE id=?1")                        \
    X(STATE, "UPDATE jobs SET state=?2, sealed=?3, outcome=?4, ended_at=0 WHERE id=?1")            \
    X(XFER, "INSERT OR REPLACE INTO transfers VALUES (?,?,?,?,?,?,?,?,?)")                         \
    X(PART, "INSERT OR REPLACE INTO parts VALUES (?,?,?,?,?)")                                     \
    X(DROP_XFER, "DELETE FROM transfers WHERE job=?1")                                             \
    X(DROP_PARTS, "DELETE FROM parts WHERE job=?1")                                                \
    X(DROP_JOB, "DELETE FROM jobs WHERE id=?1")                                                    \
    X(LIMITS, "INSERT OR REPLACE INTO meta VALUES ('limits', ?1)")                                 \
    X(READ_PARTS, "SELECT part_no, bytes, crc32c, etag FROM parts WHERE job=?1 ORDER BY part_no")  \
    X(READ_JOB, "SELECT " ROWS_JOB_COLUMNS " FROM jobs WHERE id=?1")                               \
    X(READ_DOWN, "SELECT " ROWS_JOB_COLUMNS " FROM jobs WHERE id<?1 AND id>?2 ORDER BY id DESC")   \
    X(UNWRITE, "INSERT OR REPLACE INTO meta VALUES ('failed_commits', 1 + "                        \
               "coalesce((SELECT value FROM meta WHERE name='failed_commits'), 0))")               \
    X(HAS_XFER, "SELECT 1 FROM transfers WHERE job=?1")                                            \
    X(SET_LIVES, "SELECT 1 FROM jobs WHERE id=?1 AND ended_at=0")

enum statement {
#define STATEMENT_ENUM(name, sql) Q_##name,
    STATEMENTS(STATEMENT_ENUM)
#undef STATEMENT_ENUM
        N_STATEMENTS
};

static const char *const statement_sql[] = {
#define STATEMENT_SQL(name, sql) sql,
    STATEMENTS(STATEMENT_SQL)
#undef STATEMENT_SQL
};

struct rows {
    sqlite3 *db;
    sqlite3_stmt *q[N_STATEMENTS];
};

enum {
    STRETCH = 2000,    /* rows that a search looks at before others have their turn */
    PRUNE_MOST = 4096, /* rows that one prune takes away */
    CHUNK_BYTES = 16 * 1024,
    JOB_COLUMNS = 12,
};

/* ---- results: strings in chunks that never move, rows in one array ---- */

struct chunk {
    struct chunk *next;
    size_t used, room;
    char bytes[];
};

struct results {
    struct chunk *chunks;
    uint32_t room;             /* of op->jobs or op->parts */
    uint64_t cursor, n_finals; /* of a search: where it stands */
};

static struct results *results_of(struct store_op *op)
{
    if (!op->arena)
        op->arena = OC_NEW(struct results);
    return op->arena;
}

void store_op_fini(struct store_op *op)
{
    struct results *res = op ? op->arena : NULL;
    if (!res)
        return;
    while (res->chunks) {
        struct chunk *next = res->chunks->next;
        free(res->chunks);
        res->chunks = next;
    }
    free(res);
    op->arena = NULL;
    free(op->jobs);
    free(op->parts);
    op->jobs = NULL;
    op->parts = NULL;
    op->n = 0;
}

static const char *results_copy(struct results *res, const void *bytes, size_t n)
{
    struct chunk *c = res->chunks;
    if (!c || c->room - c->used < n) {
        size_t room = n > CHUNK_BYTES ? n : CHUNK_BYTES;
        c = oc_new(1, sizeof *c + room);
        c->room = room;
        c->next = res->chunks;
        res->chunks = c;
    }
    char *to = c->bytes + c->used;
    c->used += n;
    memcpy(to, bytes, n);
    return to;
}

/* Room for one more element of a result array. */
static void *results_next(struct results *res, void *array, uint32_t n, size_t size)
{
    if (n < res->room)
        return array;
    res->room = res->room ? 2 * res->room : 16;
    return oc_grow(array, res->room, size);
}

/* ---- columns ---- */

static void bind_number(sqlite3_stmt *q, int at, uint64_t v)
{
    sqlite3_bind_int64(q, at, (sqlite3_int64)v);
}

static void bind_text(sqlite3_stmt *q, int at, struct ocp_str s)
{
    if (s.n)
        sqlite3_bind_text(q, at, s.p, (int)s.n, SQLITE_STATIC);
    else
        sqlite3_bind_null(q, at);
}

static void bind_bytes(sqlite3_stmt *q, int at, struct ocp_str s)
{
    if (s.n)
        sqlite3_bind_blob(q, at, s.p, (int)s.n, SQLITE_STATIC);
    else
        sqlite3_bind_null(q, at);
}

static uint64_t col_number(sqlite3_stmt *q, int at)
{
    return (uint64_t)sqlite3_column_int64(q, at);
}

struct ocp_str rows_bytes(sqlite3_stmt *q, int at)
{
    struct ocp_str s = {.p = sqlite3_column_blob(q, at)};
    s.n = (uint32_t)sqlite3_column_bytes(q, at);
    if (!s.p)
        s.p = "";
    return s;
}

static struct ocp_str col_copy(sqlite3_stmt *q, int at, struct results *res)
{
    struct ocp_str s = rows_bytes(q, at);
    s.p = s.n ? results_copy(res, s.p, s.n) : "";
    return s;
}

static void col_job_numbers(sqlite3_stmt *q, struct store_job *ret)
{
    ret->id = col_number(q, 0);
    ret->set = col_number(q, 1);
    ret->uid = (uint32_t)col_number(q, 2);
    ret->kind = sqlite3_column_int(q, 3);
    ret->state = sqlite3_column_int(q, 4);
    ret->sealed = sqlite3_column_int(q, 5);
    ret->created_at = sqlite3_column_int64(q, 6);
    ret->ended_at = sqlite3_column_int64(q, 7);
}

void rows_job(sqlite3_stmt *q, struct store_job *ret)
{
    col_job_numbers(q, ret);
    ret->client = rows_bytes(q, 8);
    ret->key = rows_bytes(q, 9);
    ret->outcome = rows_bytes(q, 10);
    ret->spec = rows_bytes(q, 11);
}

/* Adds the row that q stands on to op->jobs; brief: without what is long. */
static void take_job(sqlite3_stmt *q, struct store_op *op, int brief)
{
    struct results *res = results_of(op);
    op->jobs = results_next(res, op->jobs, op->n, sizeof *op->jobs);
    struct store_job *job = &op->jobs[op->n++];
    *job = (struct store_job){0};
    col_job_numbers(q, job);
    job->client = brief ? (struct ocp_str){.p = ""} : col_copy(q, 8, res);
    job->key = col_copy(q, 9, res);
    job->outcome = brief ? (struct ocp_str){.p = ""} : col_copy(q, 10, res);
    job->spec = brief ? (struct ocp_str){.p = ""} : col_copy(q, 11, res);
}

/* ---- running a statement ---- */

/* Runs one that returns no rows. An SQLite code. */
static int run(sqlite3_stmt *q)
{
    int rc = sqlite3_step(q);
    int after = sqlite3_reset(q);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : after;
}

/* What an SQLite code means for the op that met it. */
static enum rows_end judge(struct rows *r, struct store_op *op, int rc, const char *what)
{
    if (rc == SQLITE_OK)
        return ROWS_OK;
    int plain = rc & 0xff;
    if (plain == SQLITE_CONSTRAINT || plain == SQLITE_TOOBIG || plain == SQLITE_MISMATCH) {
        oc_fail(&op->err, OCID_E_INTERNAL, 0, "cannot %s: %s", what, sqlite3_errmsg(r->db));
        return ROWS_REFUSED;
    }
    migrate_fail(r->db, rc, &op->err, what);
    return ROWS_DISK;
}

static enum rows_end missing(struct store_op *op, uint64_t id)
{
    oc_fail(&op->err, OCID_E_NOT_FOUND, 0, "the queue has no job %llu", (unsigned long long)id);
    return ROWS_REFUSED;
}

static void bind_job(sqlite3_stmt *q, int at, const struct store_job *job)
{
    bind_number(q, at + 1, job->id);
    bind_number(q, at + 2, job->set);
    bind_number(q, at + 3, job->uid);
    sqlite3_bind_int(q, at + 4, job->kind);
    sqlite3_bind_int(q, at + 5, job->state);
    sqlite3_bind_int(q, at + 6, job->sealed);
    sqlite3_bind_int64(q, at + 7, job->created_at);
    sqlite3_bind_int64(q, at + 8, job->ended_at);
    bind_text(q, at + 9, job->client);
    bind_text(q, at + 10, job->key);
    bind_bytes(q, at + 11, job->outcome);
    bind_bytes(q, at + 12, job->spec);
}

static enum rows_end run_add(struct rows *r, struct store_op *op)
{
    int rc = SQLITE_OK;
    uint32_t i = 0;
    for (; rc == SQLITE_OK && op->n - i >= 8; i += 8) {
        for (int k = 0; k < 8; k++)
            bind_job(r->q[Q_ADD_8], k * JOB_COLUMNS, &op->jobs[i + (uint32_t)k]);
        rc = run(r->q[Q_ADD_8]);
    }
    for (; rc == SQLITE_OK && i < op->n; i++) {
        bind_job(r->q[Q_ADD], 0, &op->jobs[i]);
        rc = run(r->q[Q_ADD]);
    }
    return judge(r, op, rc, "add jobs to the queue");
}

static int drop_parts(struct rows *r, uint64_t id)
{
    bind_number(r->q[Q_DROP_PARTS], 1, id);
    return run(r->q[Q_DROP_PARTS]);
}

static int drop_xfer(struct rows *r, uint64_t id)
{
    bind_number(r->q[Q_DROP_XFER], 1, id);
    int rc = run(r->q[Q_DROP_XFER]);
    return rc == SQLITE_OK ? drop_parts(r, id) : rc;
}

static enum rows_end run_end(struct rows *r, struct store_op *op)
{
    const struct store_job *job = op->jobs;
    sqlite3_stmt *q = r->q[Q_END];
    bind_number(q, 1, job->id);
    sqlite3_bind_int(q, 2, job->state);
    sqlite3_bind_int64(q, 3, job->ended_at);
    bind_bytes(q, 4, job->outcome);
    int rc = run(q);
    if (rc == SQLITE_OK && !sqlite3_changes(r->db))
        return missing(op, job->id);
    if (rc == SQLITE_OK && !op->keep_xfer)
        rc = drop_xfer(r, job->id);
    return judge(r, op, rc, "write the end of a job");
}

static enum rows_end run_state(struct rows *r, struct store_op *op)
{
    const struct store_job *job = op->jobs;
    sqlite3_stmt *q = r->q[Q_STATE];
    bind_number(q, 1, job->id);
    sqlite3_bind_int(q, 2, job->state);
    sqlite3_bind_int(q, 3, job->sealed);
    bind_bytes(q, 4, job->outcome);
    int rc = run(q);
    if (rc == SQLITE_OK && !sqlite3_changes(r->db))
        return missing(op, job->id);
    return judge(r, op, rc, "write the state of a job");
}

static enum rows_end run_xfer(struct rows *r, struct store_op *op)
{
    const struct store_xfer *x = &op->xfer;
    sqlite3_stmt *q = r->q[Q_XFER];
    bind_number(q, 1, x->job);
    sqlite3_bind_int(q, 2, x->phase);
    bind_number(q, 3, x->total);
    bind_number(q, 4, x->part_bytes);
    bind_text(q, 5, x->remote_id);
    bind_text(q, 6, x->etag);
    bind_bytes(q, 7, x->cursor);
    if (x->has_crc32c)
        bind_number(q, 8, x->crc32c);
    else
        sqlite3_bind_null(q, 8);
    bind_text(q, 9, x->md5);
    return judge(r, op, run(q), "write the transfer of a job");
}

static enum rows_end run_limits(struct rows *r, struct store_op *op)
{
    sqlite3_stmt *q = r->q[Q_LIMITS];
    sqlite3_bind_blob(q, 1, op->limits.n ? op->limits.p : "", (int)op->limits.n, SQLITE_STATIC);
    return judge(r, op, run(q), "write the limits");
}

static enum rows_end run_part(struct rows *r, struct store_op *op)
{
    int rc = SQLITE_OK;
    uint32_t n = op->n ? op->n : 1;
    for (uint32_t i = 0; rc == SQLITE_OK && i < n; i++) {
        const struct store_part *p = &op->parts[i];
        sqlite3_stmt *q = r->q[Q_PART];
        bind_number(q, 1, p->job);
        bind_number(q, 2, p->part_no);
        bind_number(q, 3, p->bytes);
        bind_number(q, 4, p->crc32c);
        bind_text(q, 5, p->etag);
        rc = run(q);
    }
    return judge(r, op, rc, "write a part");
}

static enum rows_end run_read_parts(struct rows *r, struct store_op *op)
{
    struct results *res = results_of(op);
    sqlite3_stmt *q = r->q[Q_READ_PARTS];
    bind_number(q, 1, op->id);
    while (sqlite3_step(q) == SQLITE_ROW) {
        op->parts = results_next(res, op->parts, op->n, sizeof *op->parts);
        struct store_part *p = &op->parts[op->n++];
        *p = (struct store_part){
            .job = op->id,
            .part_no = (uint32_t)col_number(q, 0),
            .bytes = col_number(q, 1),
            .crc32c = (uint32_t)col_number(q, 2),
            .etag = col_copy(q, 3, res),
        };
    }
    return judge(r, op, sqlite3_reset(q), "read the parts of a job");
}

static enum rows_end run_read_jobs(struct rows *r, struct store_op *op)
{
    sqlite3_stmt *q = r->q[Q_READ_JOB];
    int rc = SQLITE_OK;
    for (uint32_t i = 0; rc == SQLITE_OK && i < op->n_ids; i++) {
        bind_number(q, 1, op->ids[i]);
        if (sqlite3_step(q) == SQLITE_ROW)
            take_job(q, op, 0);
        rc = sqlite3_reset(q);
    }
    return judge(r, op, rc, "read jobs");
}

/* ---- searches: without an index, a stretch at a time ---- */

static int wanted(const struct store_op *op, const struct store_job *row)
{
    return row->uid == op->page.uid && row->set == op->page.set &&
           (op->page.state < 0 || row->state == op->page.state);
}

/* Rows from where the search stands, downwards to the id above which they are wanted. */
static sqlite3_stmt *search_from(struct rows *r, struct store_op *op, uint64_t above)
{
    struct results *res = results_of(op);
    sqlite3_stmt *q = r->q[Q_READ_DOWN];
    if (!res->cursor)
        res->cursor = op->page.cursor ? op->page.cursor : INT64_MAX;
    bind_number(q, 1, res->cursor);
    bind_number(q, 2, above);
    return q;
}

static enum rows_end run_page(struct rows *r, struct store_op *op)
{
    struct results *res = results_of(op);
    sqlite3_stmt *q = search_from(r, op, op->page.set); /* members are younger than it */
    unsigned seen = 0;
    int rc = SQLITE_DONE;
    while (op->n < op->page.limit && seen < STRETCH && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        struct store_job row = {0};
        col_job_numbers(q, &row);
        res->cursor = row.id;
        if (wanted(op, &row))
            take_job(q, op, 0);
        seen++;
    }
    int after = sqlite3_reset(q);
    if (after == SQLITE_OK && rc == SQLITE_ROW && op->n < op->page.limit)
        return ROWS_MORE;
    return judge(r, op, after, "read jobs");
}

/* 1 if a row exists; a failure shows in *rc. */
static int exists(sqlite3_stmt *q, uint64_t id, int *rc)
{
    bind_number(q, 1, id);
    int found = sqlite3_step(q) == SQLITE_ROW;
    int after = sqlite3_reset(q);
    if (*rc == SQLITE_OK)
        *rc = after;
    return found;
}

/* Rows that somebody still needs stay: members of a set that lives count in its sums, and a
 * transfer is an upload that has yet to be forgotten. */
static int may_go(struct rows *r, const struct store_job *row, int *rc)
{
    return !(row->set && exists(r->q[Q_SET_LIVES], row->set, rc)) &&
           !exists(r->q[Q_HAS_XFER], row->id, rc);
}

static enum rows_end run_prune(struct rows *r, struct store_op *op)
{
    struct results *res = results_of(op);
    sqlite3_stmt *q = search_from(r, op, 0);
    uint32_t first = op->n;
    unsigned seen = 0;
    int rc = SQLITE_DONE, verdict = SQLITE_OK;
    while (op->n < PRUNE_MOST && seen < STRETCH && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        struct store_job row = {0};
        col_job_numbers(q, &row);
        res->cursor = row.id;
        seen++;
        if (!row.ended_at || (res->n_finals++ < op->keep && row.ended_at >= op->before))
            continue;
        if (may_go(r, &row, &verdict))
            take_job(q, op, 1);
    }
    int after = sqlite3_reset(q);
    for (uint32_t i = first; after == SQLITE_OK && verdict == SQLITE_OK && i < op->n; i++) {
        bind_number(r->q[Q_DROP_JOB], 1, op->jobs[i].id);
        verdict = run(r->q[Q_DROP_JOB]);
    }
    if (after == SQLITE_OK && verdict == SQLITE_OK && rc == SQLITE_ROW && op->n < PRUNE_MOST)
        return ROWS_MORE;
    return judge(r, op, after == SQLITE_OK ? verdict : after, "prune the queue");
}

/* ---- all verbs ---- */

int rows_is_search(const struct store_op *op)
{
    return op->verb == STORE_READ_PAGE || op->verb == STORE_PRUNE;
}

int rows_has_results(const struct store_op *op)
{
    return op->verb == STORE_READ_PARTS || op->verb == STORE_READ_JOBS || rows_is_search(op);
}

int rows_is_write(const struct store_op *op)
{
    return op->verb == STORE_PRUNE || !rows_has_results(op);
}

static enum rows_end run_verb(struct rows *r, struct store_op *op)
{
    switch (op->verb) {
    case STORE_ADD:
        return run_add(r, op);
    case STORE_END:
        return run_end(r, op);
    case STORE_STATE:
        return run_state(r, op);
    case STORE_XFER:
        return run_xfer(r, op);
    case STORE_PART:
        return run_part(r, op);
    case STORE_LIMITS:
        return run_limits(r, op);
    case STORE_DROP_XFER:
        return judge(r, op, drop_xfer(r, op->id), "forget a transfer");
    case STORE_DROP_PARTS:
        return judge(r, op, drop_parts(r, op->id), "forget parts");
    case STORE_READ_PARTS:
        return run_read_parts(r, op);
    case STORE_READ_JOBS:
        return run_read_jobs(r, op);
    case STORE_READ_PAGE:
        return run_page(r, op);
    case STORE_PRUNE:
        return run_prune(r, op);
    }
    assert(!"a verb of the store");
    return ROWS_REFUSED;
}

enum rows_end rows_run(struct rows *r, struct store_op *op)
{
    if (rows_is_write(op) && OC_FAULT("store.write"))
        return judge(r, op, SQLITE_FULL, "write to the queue");
    if (op->verb == STORE_READ_PARTS && OC_FAULT("store.read"))
        return judge(r, op, SQLITE_IOERR, "read the parts of a job");
    return run_verb(r, op);
}

/* ---- transactions ---- */

void rows_rollback(struct rows *r)
{
    if (!sqlite3_get_autocommit(r->db))
        run(r->q[Q_ROLLBACK]);
}

static int control(struct rows *r, enum statement which, struct oc_err *err, const char *what)
{
    int rc = run(r->q[which]);
    if (rc == SQLITE_OK)
        return 0;
    int code = migrate_fail(r->db, rc, err, what);
    rows_rollback(r);
    return code;
}

static int faulty(struct rows *r, struct oc_err *err, const char *what)
{
    int code = migrate_fail(r->db, SQLITE_IOERR, err, what);
    rows_rollback(r);
    return code;
}

int rows_begin(struct rows *r, struct oc_err *err)
{
    if (OC_FAULT("store.begin"))
        return faulty(r, err, "begin to write the queue");
    return control(r, Q_BEGIN, err, "begin to write the queue");
}

/* A commit that has failed as late as at its sync lies whole in the log's file, and a crash would
 * bring it back. Another one that changes next to nothing takes its place there, even if its own
 * sync fails, too. */
static void unwrite(struct rows *r)
{
    if (run(r->q[Q_BEGIN]) == SQLITE_OK && run(r->q[Q_UNWRITE]) == SQLITE_OK)
        run(r->q[Q_COMMIT]);
    rows_rollback(r);
}

int rows_commit(struct rows *r, struct oc_err *err)
{
    if (OC_FAULT("store.commit"))
        return faulty(r, err, "write the queue");
    int code = control(r, Q_COMMIT, err, "write the queue");
    if (code)
        unwrite(r);
    return code;
}

int rows_apart(struct rows *r, struct oc_err *err)
{
    return control(r, Q_APART, err, "write the queue");
}

int rows_keep(struct rows *r, struct oc_err *err)
{
    return control(r, Q_KEEP, err, "write the queue");
}

int rows_undo(struct rows *r, struct oc_err *err)
{
    int code = control(r, Q_UNDO, err, "write the queue");
    return code < 0 ? code : rows_keep(r, err);
}

/* ---- opening ---- */

int rows_new(sqlite3 *db, struct rows **ret, struct oc_err *err)
{
    struct rows *r = OC_NEW(struct rows);
    r->db = db;
    for (int i = 0; i < N_STATEMENTS; i++) {
        int rc =
            sqlite3_prepare_v3(db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &r->q[i], NULL);
        if (rc != SQLITE_OK) {
            rc = migrate_fail(db, rc, err, "read the queue");
            rows_free(r);
            return rc;
        }
    }
    *ret = r;
    return 0;
}

void rows_free(struct rows *r)
{
    if (!r)
        return;
    for (int i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(r->q[i]);
    free(r);
}

int rows_identity(struct rows *r, char uuid[40], uint64_t *ret_last_id, struct oc_err *err)
{
    static const char sql[] =
        "SELECT (SELECT value FROM meta WHERE name='uuid'),"
        " max(coalesce((SELECT seq FROM sqlite_sequence WHERE name='jobs'), 0),"
        "     coalesce((SELECT max(id) FROM jobs), 0))";
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(r->db, sql, -1, &q, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        struct ocp_str text = rows_bytes(q, 0);
        snprintf(uuid, 40, "%.*s", (int)text.n, text.p);
        *ret_last_id = col_number(q, 1);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(q);
    return rc == SQLITE_OK ? 0 : migrate_fail(r->db, rc, err, "read the queue");
}
