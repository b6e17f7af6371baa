/* SPDX-License-Identifier: Apache-2.0
 *
 * load.c - one scan at start: jobs that are not final, keys, sums of the sets that live, limits.
 *
 * Before the first post, on the opener's thread. As it reads every page of the jobs table, it is
 * also what finds a damaged one before work is taken.
 */
#include <stdlib.h>
#include <uthash.h>

#include "core/mem.h"
#include "proto/codec.h"
#include "store/migrate.h"
#include "store/rows.h"

struct sum {
    UT_hash_handle hh;
    int lives; /* the set's own row is not final */
    struct store_tally t;
};

struct load {
    const struct store_loader *to;
    struct sum *sums;
};

static struct sum *sum_of(struct load *l, uint64_t set)
{
    struct sum *s;
    HASH_FIND(hh, l->sums, &set, sizeof set, s);
    if (s)
        return s;
    s = OC_NEW(struct sum);
    s->t.set = set;
    HASH_ADD(hh, l->sums, t.set, sizeof s->t.set, s);
    return s;
}

uint64_t store_outcome_bytes(struct ocp_str outcome)
{
    struct ocp_outcome out;
    size_t n;
    if (!outcome.n || ocp_check(outcome.p, outcome.n, &n, NULL) < 0 ||
        ocp_unpack(&ocp_desc_outcome, outcome.p, n, &out, NULL) < 0)
        return 0;
    return OCP_HAS(&out, outcome, bytes) ? out.bytes : 0;
}

static void add_up(struct load *l, const struct store_job *row)
{
    struct store_tally *t = &sum_of(l, row->set)->t;
    t->n_done += row->state == OCP_ENUM_state_done;
    t->n_failed += row->state == OCP_ENUM_state_failed;
    t->n_cancelled += row->state == OCP_ENUM_state_cancelled;
    if (row->state == OCP_ENUM_state_done)
        t->bytes += store_outcome_bytes(row->outcome);
}

static void load_job(struct load *l, const struct store_job *row)
{
    if (row->key.n)
        l->to->key(l->to->arg, row->uid, row->key, row->id);
    if (row->ended_at) {
        if (row->set)
            add_up(l, row);
        return;
    }
    if (row->kind == OCP_ENUM_kind_set || row->kind == OCP_ENUM_kind_pull)
        sum_of(l, row->id)->lives = 1;
    l->to->job(l->to->arg, row);
}

static void load_xfer(struct load *l, sqlite3_stmt *q)
{
    struct store_xfer x = {
        .job = (uint64_t)sqlite3_column_int64(q, 0),
        .phase = sqlite3_column_int(q, 1),
        .total = (uint64_t)sqlite3_column_int64(q, 2),
        .part_bytes = (uint64_t)sqlite3_column_int64(q, 3),
        .remote_id = rows_bytes(q, 4),
        .etag = rows_bytes(q, 5),
        .cursor = rows_bytes(q, 6),
        .has_crc32c = sqlite3_column_type(q, 7) != SQLITE_NULL,
        .crc32c = (uint32_t)sqlite3_column_int64(q, 7),
        .md5 = rows_bytes(q, 8),
    };
    l->to->xfer(l->to->arg, &x);
}

static void on_job_row(struct load *l, sqlite3_stmt *q)
{
    struct store_job row;
    rows_job(q, &row);
    load_job(l, &row);
}

static void load_limits(struct load *l, sqlite3_stmt *q)
{
    struct ocp_str limits = rows_bytes(q, 0);
    if (limits.n)
        l->to->limits(l->to->arg, limits);
}

static int each(sqlite3 *db, const char *sql, void (*row)(struct load *l, sqlite3_stmt *q),
                struct load *l)
{
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &q, NULL);
    if (rc == SQLITE_OK)
        while ((rc = sqlite3_step(q)) == SQLITE_ROW)
            row(l, q);
    int after = sqlite3_finalize(q);
    return rc == SQLITE_DONE ? SQLITE_OK : rc == SQLITE_OK ? after : rc;
}

int rows_load(sqlite3 *db, const struct store_loader *to, struct oc_err *err)
{
    struct load l = {.to = to};
    int rc = each(db, "SELECT " ROWS_JOB_COLUMNS " FROM jobs ORDER BY id", on_job_row, &l);
    if (rc == SQLITE_OK)
        rc = each(db, "SELECT * FROM transfers ORDER BY job", load_xfer, &l);
    if (rc == SQLITE_OK)
        rc = each(db, "SELECT value FROM meta WHERE name = 'limits'", load_limits, &l);

    struct sum *s, *next;
    HASH_ITER (hh, l.sums, s, next) {
        if (rc == SQLITE_OK && s->lives)
            to->tally(to->arg, &s->t);
        HASH_DEL(l.sums, s);
        free(s);
    }
    return rc == SQLITE_OK ? 0 : migrate_fail(db, rc, err, "read the queue");
}
