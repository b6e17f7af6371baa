/* SPDX-License-Identifier: Apache-2.0
 *
 * migrate.h - the schema of the queue, as numbered steps.
 */
#ifndef STORE_MIGRATE_H
#define STORE_MIGRATE_H

#include <sqlite3.h>

#include "proto/err.h"

/* Step i leads from schema i to schema i + 1. */
extern const char *const migrate_steps[];
extern const unsigned migrate_n_steps;

/* Brings db to schema n in one transaction, or leaves it as it was. OCID_E_UNSUPPORTED for a newer
 * schema or a database that is not ours, OCID_E_SPACE, OCID_E_IO. path is for the sentences. */
int migrate_run(sqlite3 *db, const char *path, const char *const *steps, unsigned n,
                struct oc_err *err);

/* Makes the file of a new database of schema n, readable by us alone and on disk when this returns.
 * OCID_E_SPACE, OCID_E_IO. */
int migrate_new(const char *path, const char *const *steps, unsigned n, struct oc_err *err);

/* Fills err for an SQLite error: OCID_E_SPACE, or OCID_E_IO for the rest. rc is extended or not;
 * "cannot <what>: …" is its sentence. */
int migrate_fail(sqlite3 *db, int rc, struct oc_err *err, const char *what);

#endif
