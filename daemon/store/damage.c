/* SPDX-License-Identifier: Apache-2.0
 *
 * damage.c - a queue that cannot be trusted any more is moved aside.
 *
 * It stays as it is there, for `ocid --recover` and for people. As long as no queue is in its place
 * a start is refused: an empty one would look as if nothing had ever been asked for.
 */
#include "store/damage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/text.h"
#include "store/migrate.h"
#include "store/rows.h"

#define ASIDE DAMAGE_QUEUE ".damaged-"

int damage_met(sqlite3 *db)
{
    int code = db ? sqlite3_errcode(db) & 0xff : SQLITE_OK;
    return code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
}

/* It tells a page that could not be read in the same words as a wrong one. */
static int is_unread(struct ocp_str text)
{
    static const char unread[] = "unable to get the page";
    return memmem(text.p, text.n, unread, sizeof unread - 1) != NULL;
}

int damage_look(sqlite3 *db, const char *path, int *ret_damaged, struct oc_err *err)
{
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &q, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        struct ocp_str text = rows_bytes(q, 0);
        rc = SQLITE_OK;
        if (is_unread(text)) {
            rc = oc_fail(err, OCID_E_IO, 0, "'%s' cannot be read: %.*s", path, (int)text.n, text.p);
        } else if (text.n != 2 || memcmp(text.p, "ok", 2) != 0) {
            rc = oc_fail(err, OCID_E_IO, 0, "'%s' is damaged: %.*s", path, (int)text.n, text.p);
            *ret_damaged = 1;
        }
    } else {
        *ret_damaged = damage_met(db);
        rc = migrate_fail(db, rc, err, "check the queue");
    }
    sqlite3_finalize(q);
    return rc;
}

static uint32_t u32(const unsigned char *at, int big)
{
    return big ? (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]
               : (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

/* Whether each byte of a file can be had; one that is not there can. 0 or errno. */
static int read_through(const char *path, const char *end)
{
    char file[PATH_MAX], buf[64 << 10];
    off_t at = 0;
    ssize_t n = 0;
    oc_text_join(file, sizeof file, path, end, "");
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : errno;
    while ((n = pread(fd, buf, sizeof buf, at)) > 0)
        at += n;
    int sys = n < 0 ? errno : 0;
    close(fd);
    return sys;
}

/* SQLite calls a page damaged that the disk does not give, too. */
int damage_sure(sqlite3 *db, const char *dir, struct oc_err *err)
{
    char path[PATH_MAX];
    struct oc_err first = *err;
    int damaged = 0;
    oc_text_join(path, sizeof path, dir, "/", DAMAGE_QUEUE);
    sqlite3_db_release_memory(db); /* or it sees again what it has read */
    if (!damage_look(db, path, &damaged, err)) {
        oc_fail(err, OCID_E_IO, 0, "%.300s; looked at again it is whole: start ocid again",
                first.text);
        return 0;
    }
    int sys = damaged ? read_through(path, "") : 0;
    sys = damaged && !sys ? read_through(path, "-wal") : sys;
    if (sys)
        oc_fail(err, OCID_E_IO, sys, "the disk does not give all of '%s'", path);
    else if (damaged)
        *err = first;
    return damaged && !sys;
}

/* Source: the format of SQLite's write-ahead log. Its last bit of the magic is the order of bytes
 * in sums; all else is big-endian. One that was made ahead begins with zeros. */
int damage_log_lost(const char *path)
{
    enum { HEAD = 32, SUMMED = 24 };
    static const unsigned char none[HEAD];
    unsigned char h[HEAD] = {0};
    char log[PATH_MAX];
    oc_text_join(log, sizeof log, path, "-wal", "");
    int fd = open(log, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : pread(fd, h, HEAD, 0);
    if (fd >= 0)
        close(fd);
    if (n < HEAD || !memcmp(h, none, HEAD))
        return 0;
    uint32_t s0 = 0, s1 = 0;
    for (int i = 0; i < SUMMED; i += 8) {
        s0 += u32(h + i, h[3] & 1) + s1;
        s1 += u32(h + i + 4, h[3] & 1) + s0;
    }
    return (u32(h, 1) & ~1u) != 0x377f0682 || s0 != u32(h + SUMMED, 1) ||
           s1 != u32(h + SUMMED + 4, 1);
}

int damage_lost(const char *path, struct oc_err *err)
{
    struct stat st;
    if (!stat(path, &st) && !st.st_size)
        return oc_fail(err, OCID_E_IO, 0, "'%s' is damaged: it is empty", path);
    if (damage_log_lost(path))
        return oc_fail(err, OCID_E_IO, 0, "'%s' is damaged: its log cannot be read", path);
    return 0;
}

int damage_look_at(const char *path, int *ret_damaged, struct oc_err *err)
{
    sqlite3 *db = NULL;
    if (damage_lost(path, err)) {
        *ret_damaged = 1;
        return err->code;
    }
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (!rc)
        rc = sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL);
    *ret_damaged = rc && damage_met(db);
    rc = rc ? migrate_fail(db, rc, err, "look at the queue")
            : damage_look(db, path, ret_damaged, err);
    sqlite3_close(db);
    return rc;
}

int damage_sync_dir(const char *dir, struct oc_err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : fsync(fd), sys = errno;
    if (fd >= 0)
        close(fd);
    return rc < 0 ? oc_fail(err, OCID_E_IO, sys, "cannot sync '%s'", dir) : 0;
}

/* "queue.db.damaged-20240501T120003Z", counted on if there is one. */
static void name_it(const char *dir, char out[PATH_MAX])
{
    char when[24], name[64];
    struct tm tm;
    time_t now = time(NULL);
    gmtime_r(&now, &tm);
    strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &tm);
    for (unsigned n = 0; n < 100; n++) {
        snprintf(name, sizeof name, n ? ASIDE "%s.%02u" : ASIDE "%s", when, n);
        oc_text_join(out, PATH_MAX, dir, "/", name);
        if (access(out, F_OK))
            return;
    }
}

static int move(const char *from, const char *to, const char *end)
{
    char a[PATH_MAX], b[PATH_MAX];
    oc_text_join(a, sizeof a, from, end, "");
    oc_text_join(b, sizeof b, to, end, "");
    return rename(a, b) && errno != ENOENT ? -1 : 0;
}

/* The log first: a database without it would be a whole one, but older. */
int damage_aside(const char *dir, struct oc_err *err)
{
    char queue[PATH_MAX], aside[PATH_MAX];
    struct oc_err why = *err, ignored;
    oc_text_join(queue, sizeof queue, dir, "/", DAMAGE_QUEUE);
    name_it(dir, aside);
    if (move(queue, aside, "-wal") || move(queue, aside, ""))
        return oc_fail(err, OCID_E_IO, errno,
                       "%.160s; it cannot be moved aside, so it is left where it is", why.text);
    damage_sync_dir(dir, &ignored);
    return oc_fail(err, OCID_E_IO, 0,
                   "%.220s; it was moved to '%s' there: `ocid --recover` makes a queue of what can "
                   "be read of it",
                   why.text, strrchr(aside, '/') + 1);
}

static int is_aside(const char *name)
{
    size_t n = strlen(name);
    return !strncmp(name, ASIDE, strlen(ASIDE)) && (n < 4 || strcmp(name + n - 4, "-wal") != 0);
}

int damage_find(const char *dir, char ret[PATH_MAX], struct oc_err *err)
{
    char newest[NAME_MAX + 1] = "";
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        if (is_aside(e->d_name) && strcmp(e->d_name, newest) > 0)
            snprintf(newest, sizeof newest, "%s", e->d_name);
    if (d)
        closedir(d);
    if (!*newest)
        return oc_fail(err, OCID_E_NOT_FOUND, 0, "there is no damaged queue in '%s'", dir);
    oc_text_join(ret, PATH_MAX, dir, "/", newest);
    return 0;
}

int damage_check(const char *dir, struct oc_err *err)
{
    char queue[PATH_MAX], aside[PATH_MAX];
    struct oc_err none;
    oc_text_join(queue, sizeof queue, dir, "/", DAMAGE_QUEUE);
    if (!access(queue, F_OK) || damage_find(dir, aside, &none))
        return 0;
    return oc_fail(err, OCID_E_IO, 0,
                   "the queue was damaged and lies in '%s': `ocid --recover` makes a queue of what "
                   "can be read of it; to begin with an empty one move that file away",
                   aside);
}
