/* SPDX-License-Identifier: Apache-2.0
 *
 * kit.h - a store in a directory of its own, ops that are waited for, a second look by sqlite3.
 */
#ifndef TEST_STORE_KIT_H
#define TEST_STORE_KIT_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/mem.h"
#include "proto/codec.h"
#include "store/store.h"

#define KIT_UNUSED __attribute__((unused))

struct kit {
    uv_loop_t loop;
    struct store *store;
    char dir[64];
};

/* Every op of the tests counts here when it has ended. */
static unsigned kit_ended;
static struct store_op *kit_order[4096];

static void kit_done(struct store_op *op)
{
    kit_order[kit_ended++ % 4096] = op;
}

KIT_UNUSED static int kit_open(struct kit *k, struct oc_err *err)
{
    struct store_options opt = {.dir = k->dir};
    oc_err_clear(err);
    return store_open(&k->loop, &opt, &k->store, err);
}

KIT_UNUSED static void kit_must_open(struct kit *k)
{
    struct oc_err err;
    if (kit_open(k, &err) < 0)
        fail_msg("%s", err.text);
}

KIT_UNUSED static void kit_close(struct kit *k)
{
    store_close(k->store);
    k->store = NULL;
    uv_run(&k->loop, UV_RUN_DEFAULT);
}

KIT_UNUSED static int kit_setup(void **state)
{
    struct kit *k = OC_NEW(struct kit);
    snprintf(k->dir, sizeof k->dir, "/tmp/ocid-store-XXXXXX");
    assert_non_null(mkdtemp(k->dir));
    assert_int_equal(uv_loop_init(&k->loop), 0);
    kit_ended = 0;
    *state = k;
    return 0;
}

static int kit_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

/* The loop closes empty, or the test has failed. */
KIT_UNUSED static int kit_teardown(void **state)
{
    struct kit *k = *state;
    fault_init("");
    kit_close(k);
    int rc = uv_loop_close(&k->loop);
    nftw(k->dir, kit_remove, 8, FTW_DEPTH | FTW_PHYS);
    free(k);
    return rc;
}

KIT_UNUSED static void kit_post(struct kit *k, struct store_op *op)
{
    op->done = kit_done;
    store_post(k->store, op);
}

KIT_UNUSED static void kit_wait(struct kit *k, unsigned n_ended)
{
    while (kit_ended < n_ended)
        uv_run(&k->loop, UV_RUN_ONCE);
}

/* Posts and waits; the error's code. */
KIT_UNUSED static int kit_run(struct kit *k, struct store_op *op)
{
    unsigned n = kit_ended;
    kit_post(k, op);
    kit_wait(k, n + 1);
    return op->err.code;
}

KIT_UNUSED static struct store_job kit_job(uint64_t id)
{
    return (struct store_job){
        .id = id,
        .uid = 1000,
        .kind = OCP_ENUM_kind_put,
        .state = OCP_ENUM_state_queued,
        .created_at = 1700000000000 + (int64_t)id,
        .client = ocp_str("notebook"),
        .spec = ocp_str("spec \xff of a job"),
    };
}

KIT_UNUSED static int kit_add(struct kit *k, struct store_job job)
{
    struct store_op op = {.verb = STORE_ADD, .jobs = &job, .n = 1};
    return kit_run(k, &op);
}

KIT_UNUSED static int kit_end(struct kit *k, uint64_t id, int state, int64_t at)
{
    struct store_job job = {.id = id, .state = state, .ended_at = at, .outcome = ocp_str("out")};
    struct store_op op = {.verb = STORE_END, .jobs = &job, .n = 1};
    return kit_run(k, &op);
}

/* One number by SQL, from outside; only while the store is closed. */
KIT_UNUSED static int64_t kit_sql(struct kit *k, const char *sql)
{
    char path[128];
    sqlite3 *db;
    sqlite3_stmt *q;
    snprintf(path, sizeof path, "%s/queue.db", k->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    int64_t n = sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : -1;
    sqlite3_finalize(q);
    sqlite3_close(db);
    return n;
}

#define assert_str_is(s, text)                                                                     \
    do {                                                                                           \
        assert_int_equal((s).n, strlen(text));                                                     \
        assert_memory_equal((s).p, text, (s).n);                                                   \
    } while (0)

#endif
