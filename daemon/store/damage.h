/* SPDX-License-Identifier: Apache-2.0
 *
 * damage.h - a queue that cannot be trusted any more is moved aside, and no empty one takes its
 * place in silence.
 *
 * Blocks; the opener's thread or the store thread. dir is the directory of the queue.
 */
#ifndef STORE_DAMAGE_H
#define STORE_DAMAGE_H

#include <limits.h>
#include <sqlite3.h>

#include "proto/err.h"

#define DAMAGE_QUEUE "queue.db"

/* Looks through all of db. OCID_E_IO with the first thing that is wrong, and *ret_damaged unless it
 * is that the disk could not be read, which may pass; path is for the sentence. */
int damage_look(sqlite3 *db, const char *path, int *ret_damaged, struct oc_err *err);

/* The same of a file that nobody has open, which stays as it is. */
int damage_look_at(const char *path, int *ret_damaged, struct oc_err *err);

/* Whether the log of that database does not begin as one does: SQLite would ignore it in silence,
 * with the newest commits in it. */
int damage_log_lost(const char *path);

/* What SQLite would pass over in silence: a file without a byte, or such a log. OCID_E_IO or 0. */
int damage_lost(const char *path, struct oc_err *err);

/* Whether the last call on db met a damaged database; db may be NULL. */
int damage_met(sqlite3 *db);

/* A call on db has failed because of damage, says err: 1 if a second look finds it, too. Else 0 and
 * *err says so: a disk that gives something else the second time is no reason to give a queue up.
 */
int damage_sure(sqlite3 *db, const char *dir, struct oc_err *err);

/* Moves the queue and its log aside, under a name with the time, whether they are open or not. err
 * says why, and is made to say where it is and what to do. Returns err->code. */
int damage_aside(const char *dir, struct oc_err *err);

/* There is no queue, but a damaged one that was moved aside: OCID_E_IO, which says what to do. Else
 * 0. */
int damage_check(const char *dir, struct oc_err *err);

/* Path of the newest queue that was moved aside. 0, or OCID_E_NOT_FOUND. */
int damage_find(const char *dir, char ret[PATH_MAX], struct oc_err *err);

/* Syncs a directory, after a file of it was renamed. */
int damage_sync_dir(const char *dir, struct oc_err *err);

#endif
