/* SPDX-License-Identifier: Apache-2.0
 *
 * tally.h - what has become of the members of a set: the only writer of these counts.
 *
 * Pure; control loop. A member in memory is counted as what it is, from when it joins; one that has
 * left memory stays counted as what it was. A set that comes back into memory itself has counted
 * nobody (counted_from is UINT64_MAX): its rows are read again, newest first, see again.c.
 */
#ifndef JOBS_TALLY_H
#define JOBS_TALLY_H

#include "jobs/job.h"
#include "store/store.h"

/* j is new, or was read back at the start. */
void tally_join(struct job *set, struct job *j);

/* The turn of a row has come, newest first; j: its job, NULL: not in memory. It is counted once,
 * however many read it; as what it is now if it is in memory, since the row may be older. */
void tally_row(struct job *set, const struct store_job *row, struct job *j);
void tally_rows_end(struct job *set); /* that was all of them */

/* j has come back into memory: the set counts it already, or will when its row's turn comes. */
void tally_back(struct job *set, struct job *j);

/* j has become final; it is about to be queued again; it leaves memory. Nothing if no set counts
 * it. */
void tally_ended(struct job *j);
void tally_again(struct job *j);
void tally_forget(struct job *j);

/* Final members that were left behind by earlier lives. */
void tally_load(struct job *set, const struct store_tally *t);

/* All members that there will be are counted and final. */
int tally_is_over(const struct tally *t);

#endif
