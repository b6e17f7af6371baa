/* SPDX-License-Identifier: Apache-2.0
 *
 * rows.h - operations of the store as SQL: prepared statements, rows in and out.
 *
 * One thread at a time: the opener's until the store thread runs its first batch.
 */
#ifndef STORE_ROWS_H
#define STORE_ROWS_H

#include <sqlite3.h>

#include "store/store.h"

#define ROWS_JOB_COLUMNS                                                                           \
    "id, set_id, uid, kind, state, sealed, created_at, ended_at, client, key, outcome, spec"

struct rows;

int rows_new(sqlite3 *db, struct rows **ret, struct oc_err *err);
void rows_free(struct rows *r);

enum rows_end {
    ROWS_OK,
    ROWS_MORE,    /* a long search has not ended: run the op again */
    ROWS_REFUSED, /* this op alone cannot be: op->err */
    ROWS_DISK,    /* nothing of the transaction can stand: op->err */
};

/* Runs one op within whatever transaction is open; fills its results and err. */
enum rows_end rows_run(struct rows *r, struct store_op *op);

/* 1: rows_run() takes it a stretch at a time, in a transaction of its own. */
int rows_is_search(const struct store_op *op);
int rows_is_write(const struct store_op *op);
int rows_has_results(const struct store_op *op);

/* 0, or an error with err filled and the transaction gone: a crash does not bring it back. */
int rows_begin(struct rows *r, struct oc_err *err);
int rows_commit(struct rows *r, struct oc_err *err);
void rows_rollback(struct rows *r);

/* A savepoint around one op: apart, then keep or undo. 0, or an error: the transaction is lost. */
int rows_apart(struct rows *r, struct oc_err *err);
int rows_keep(struct rows *r, struct oc_err *err);
int rows_undo(struct rows *r, struct oc_err *err);

/* Which database it is, and the largest job id that it has ever held. */
int rows_identity(struct rows *r, char uuid[40], uint64_t *ret_last_id, struct oc_err *err);

/* One column, or a whole row of ROWS_JOB_COLUMNS; they borrow from q until its next step. */
struct ocp_str rows_bytes(sqlite3_stmt *q, int at);
void rows_job(sqlite3_stmt *q, struct store_job *ret);

/* load.c: see store_load(). */
int rows_load(sqlite3 *db, const struct store_loader *to, struct oc_err *err);

#endif
