/* SPDX-License-Identifier: Apache-2.0
 *
 * migrate.c - the schema of the queue, as numbered steps.
 *
 * A step that was released never changes; a new one is added behind it, and a dump of the schema
 * before it goes to tests/vectors/db/. Called by store_open() before there is a store thread.
 *
 * Numbers of kinds and states are kept in rows: messages.def may only append to those enums.
 */
#include "store/migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* jobs has its primary key and no other index: each would be paid for at every submit. What is
 * asked by state or key is kept in memory. AUTOINCREMENT keeps the largest id for ever, rows or
 * not. What scans look at stands before the long columns, so that overflow pages are not read for
 * it. */
const char *const migrate_steps[] = {
    "PRAGMA application_id = 1868786020;" /* "ocid" */
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "INSERT INTO meta SELECT 'uuid', substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-4' ||"
    "  substr(h, 14, 3) || '-' || substr('89ab', 1 + (abs(random()) & 3), 1) || substr(h, 18, 3) ||"
    "  '-' || substr(h, 21) FROM (SELECT lower(hex(randomblob(16))) AS h);"
    "CREATE TABLE jobs ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  set_id INTEGER NOT NULL,"
    "  uid INTEGER NOT NULL,"
    "  kind INTEGER NOT NULL,"
    "  state INTEGER NOT NULL,"
    "  sealed INTEGER NOT NULL,"
    "  created_at INTEGER NOT NULL,"
    "  ended_at INTEGER NOT NULL,"
    "  client TEXT,"
    "  key TEXT,"
    "  outcome BLOB,"
    "  spec BLOB);"
    "CREATE TABLE transfers ("
    "  job INTEGER PRIMARY KEY,"
    "  phase INTEGER NOT NULL,"
    "  total INTEGER NOT NULL,"
    "  part_bytes INTEGER NOT NULL,"
    "  remote_id TEXT,"
    "  etag TEXT,"
    "  cursor BLOB);"
    "CREATE TABLE parts ("
    "  job INTEGER NOT NULL,"
    "  part_no INTEGER NOT NULL,"
    "  bytes INTEGER NOT NULL,"
    "  crc32c INTEGER NOT NULL,"
    "  etag TEXT,"
    "  PRIMARY KEY (job, part_no)) WITHOUT ROWID;",
    "ALTER TABLE transfers ADD COLUMN crc32c INTEGER;"
    "ALTER TABLE transfers ADD COLUMN md5 TEXT;",
};

const unsigned migrate_n_steps = sizeof migrate_steps / sizeof *migrate_steps;

enum { OUR_APPLICATION = 1868786020 };

int migrate_fail(sqlite3 *db, int rc, struct oc_err *err, const char *what)
{
    int sys = sqlite3_system_errno(db), plain = rc & 0xff;
    if (plain == SQLITE_FULL || (plain == SQLITE_IOERR && (sys == ENOSPC || sys == EDQUOT)))
        return oc_fail(err, OCID_E_SPACE, 0, "cannot %s: no space is left for the queue", what);
    if (plain == SQLITE_CORRUPT || plain == SQLITE_NOTADB)
        return oc_fail(err, OCID_E_IO, 0, "cannot %s: the queue's database is damaged (%s)", what,
                       sqlite3_errmsg(db));
    if (plain == SQLITE_NOMEM)
        return oc_fail(err, OCID_E_NOMEM, 0, "cannot %s: out of memory", what);
    return oc_fail(err, OCID_E_IO, plain == SQLITE_IOERR ? sys : 0, "cannot %s: %s", what,
                   sqlite3_errstr(rc));
}

static int read_number(sqlite3 *db, const char *sql, int *ret)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        *ret = sqlite3_column_int(stmt, 0);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* A database that somebody else made is left alone. */
static int check_ours(sqlite3 *db, const char *path, unsigned n, int *ret_version,
                      struct oc_err *err)
{
    int app = 0, n_tables = 0, rc;
    if ((rc = read_number(db, "PRAGMA user_version", ret_version)) != SQLITE_OK ||
        (rc = read_number(db, "PRAGMA application_id", &app)) != SQLITE_OK ||
        (rc = read_number(db, "SELECT count(*) FROM sqlite_schema", &n_tables)) != SQLITE_OK)
        return migrate_fail(db, rc, err, "read the queue");
    if (*ret_version < 0 || (*ret_version ? app != OUR_APPLICATION : app || n_tables))
        return oc_fail(err, OCID_E_UNSUPPORTED, 0, "'%s' is not a queue of ocid", path);
    if ((unsigned)*ret_version > n)
        return oc_fail(
            err, OCID_E_UNSUPPORTED, 0,
            "'%s' was written by a newer ocid (schema %d, this one knows up to %u): start "
            "that one, or set daemon.state_dir to another directory for a queue of this "
            "one's",
            path, *ret_version, n);
    return 0;
}

static int run_steps(sqlite3 *db, const char *const *steps, unsigned from, unsigned n)
{
    char version[48];
    snprintf(version, sizeof version, "PRAGMA user_version = %u", n);
    int rc = sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL);
    for (unsigned i = from; rc == SQLITE_OK && i < n; i++)
        rc = sqlite3_exec(db, steps[i], NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, version, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    return rc;
}

/* Made by us, so that nobody else can read it whatever the umask is. */
int migrate_new(const char *path, const char *const *steps, unsigned n, struct oc_err *err)
{
    sqlite3 *db = NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return oc_fail(err, errno == ENOSPC ? OCID_E_SPACE : OCID_E_IO, errno, "cannot open '%s'",
                       path);
    close(fd);
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    rc = rc ? migrate_fail(db, rc, err, "make a new queue") : migrate_run(db, path, steps, n, err);
    sqlite3_close(db);
    return rc;
}

int migrate_run(sqlite3 *db, const char *path, const char *const *steps, unsigned n,
                struct oc_err *err)
{
    int version = 0;
    int rc = check_ours(db, path, n, &version, err);
    if (rc < 0 || (unsigned)version == n)
        return rc;
    if ((rc = run_steps(db, steps, (unsigned)version, n)) != SQLITE_OK) {
        rc = migrate_fail(db, rc, err, "bring the queue to this version's schema");
        if (!sqlite3_get_autocommit(db))
            sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        return rc;
    }
    return 0;
}
