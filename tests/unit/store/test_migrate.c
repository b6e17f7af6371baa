/* SPDX-License-Identifier: Apache-2.0
 *
 * test_migrate.c - databases of every release open; newer and foreign ones are left alone.
 */
#include <errno.h>

#include "store/migrate.h"
#include "tests/unit/store/kit.h"

static sqlite3 *open_raw(struct kit *k)
{
    char path[128];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/queue.db", k->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

/* Makes queue.db from tests/vectors/db/<name>.sql. */
static void restore(struct kit *k, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/vectors/db/%s.sql", OCID_SOURCE_DIR, name);
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s: %s", path, strerror(errno));
    static char sql[64 * 1024];
    size_t n = fread(sql, 1, sizeof sql - 1, f);
    fclose(f);
    sql[n] = 0;
    sqlite3 *db = open_raw(k);
    char *why = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", name, why);
    sqlite3_close(db);
}

struct seen {
    unsigned n_jobs, n_xfers, n_keys;
    struct store_tally tally;
};

static void on_job(void *arg, const struct store_job *row)
{
    struct seen *s = arg;
    s->n_jobs++;
    if (row->id == 3)
        assert_str_is(row->spec, "third\x01");
}

static void on_xfer(void *arg, const struct store_xfer *row)
{
    struct seen *s = arg;
    s->n_xfers++;
    assert_true(row->job == 3 && row->phase == 2 && row->total == 99);
    assert_true(!row->has_crc32c && !row->md5.n);
    assert_str_is(row->remote_id, "upload-of-3");
}

static void on_key(void *arg, uint32_t uid, struct ocp_str key, uint64_t id)
{
    struct seen *s = arg;
    s->n_keys++;
    assert_true(uid == 1000 && id == 2);
    assert_str_is(key, "key-of-2");
}

static void on_tally(void *arg, const struct store_tally *t)
{
    ((struct seen *)arg)->tally = *t;
}

static void on_limits(void *arg, struct ocp_str limits)
{
    (void)arg;
    fail_msg("limits in an old queue: %u bytes", limits.n);
}

static void a_queue_of_schema_1_opens(void **state)
{
    struct kit *k = *state;
    struct oc_err err;
    struct seen s = {0};
    struct store_loader to = {on_job, on_xfer, on_key, on_tally, on_limits, &s};
    restore(k, "schema-1");
    kit_must_open(k);
    assert_string_equal(store_uuid(k->store), "01234567-89ab-4cde-8f01-23456789abcd");
    assert_true(store_last_id(k->store) == 41); /* a row that was pruned had it */
    assert_int_equal(store_load(k->store, &to, &err), 0);
    assert_true(s.n_jobs == 2 && s.n_xfers == 1 && s.n_keys == 1);
    assert_true(s.tally.set == 1 && s.tally.n_done == 1);
    struct store_op op = {.verb = STORE_READ_PARTS, .id = 3};
    assert_int_equal(kit_run(k, &op), 0);
    assert_int_equal(op.n, 2);
    assert_str_is(op.parts[1].etag, "etag-2");
    store_op_fini(&op);
    assert_int_equal(kit_add(k, kit_job(42)), 0);
}

/* The dump is what this code would make, so that the first step can never be changed by accident.
 */
static void the_first_step_stays_as_released(void **state)
{
    struct kit *k = *state;
    static const char sum[] =
        "SELECT group_concat(sql, char(10)) FROM (SELECT replace(replace(sql, ' ', ''), char(10), "
        "'') AS sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name)";
    char texts[2][4096];
    for (int i = 0; i < 2; i++) {
        sqlite3 *db = NULL;
        sqlite3_stmt *q;
        if (i) {
            char path[128];
            snprintf(path, sizeof path, "%s/queue.db", k->dir);
            unlink(path);
            db = open_raw(k);
            assert_int_equal(migrate_run(db, "queue.db", migrate_steps, 1, NULL), 0);
        } else {
            restore(k, "schema-1");
            db = open_raw(k);
        }
        assert_int_equal(sqlite3_prepare_v2(db, sum, -1, &q, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(q), SQLITE_ROW);
        snprintf(texts[i], sizeof texts[i], "%s", (const char *)sqlite3_column_text(q, 0));
        sqlite3_finalize(q);
        sqlite3_close(db);
    }
    assert_string_equal(texts[0], texts[1]);
}

static void a_newer_schema_is_refused(void **state)
{
    struct kit *k = *state;
    struct oc_err err;
    kit_must_open(k);
    kit_close(k);
    kit_sql(k, "PRAGMA user_version = 900");
    assert_int_equal(kit_open(k, &err), OCID_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "newer ocid (schema 900"));
    assert_int_equal(kit_sql(k, "PRAGMA user_version"), 900);
}

static void a_stranger_s_database_is_refused(void **state)
{
    struct kit *k = *state;
    struct oc_err err;
    kit_sql(k, "CREATE TABLE theirs (x)");
    assert_int_equal(kit_open(k, &err), OCID_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "not a queue of ocid"));
    assert_int_equal(kit_sql(k, "SELECT count(*) FROM theirs"), 0);
    kit_sql(k, "PRAGMA user_version = 1");
    assert_int_equal(kit_open(k, &err), OCID_E_UNSUPPORTED);
}

static const char *const good[] = {
    "PRAGMA application_id = 1868786020; CREATE TABLE one (x); INSERT INTO one VALUES (1)",
    "CREATE TABLE two (x); UPDATE one SET x = x + 1",
    "UPDATE one SET x = 10 * x",
};
static const char *const bad[] = {
    NULL,
    "CREATE TABLE two (x); UPDATE one SET x = x + 1",
    "UPDATE nothing SET x = 1",
};

static void steps_run_once_and_together(void **state)
{
    struct kit *k = *state;
    struct oc_err err;
    sqlite3 *db = open_raw(k);
    assert_int_equal(migrate_run(db, "q", good, 1, &err), 0);
    assert_int_equal(migrate_run(db, "q", bad, 3, &err), OCID_E_IO); /* nothing of it stays */
    assert_true(sqlite3_get_autocommit(db));
    assert_int_equal(migrate_run(db, "q", bad, 1, &err), 0);
    sqlite3_close(db);
    assert_int_equal(kit_sql(k, "PRAGMA user_version"), 1);
    assert_int_equal(kit_sql(k, "SELECT x FROM one"), 1);
    assert_int_equal(kit_sql(k, "SELECT count(*) FROM sqlite_schema"), 1);

    db = open_raw(k);
    assert_int_equal(migrate_run(db, "q", good, 3, &err), 0);
    assert_int_equal(migrate_run(db, "q", good, 3, &err), 0);
    assert_int_equal(migrate_run(db, "q", good, 2, &err), OCID_E_UNSUPPORTED);
    sqlite3_close(db);
    assert_int_equal(kit_sql(k, "SELECT x FROM one"), 20);
}

#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_queue_of_schema_1_opens),   T(the_first_step_stays_as_released),
        T(a_newer_schema_is_refused),   T(a_stranger_s_database_is_refused),
        T(steps_run_once_and_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
