/* SPDX-License-Identifier: Apache-2.0
 *
 * hung.h - jobs whose file is on a mount that does not answer: they wait, and hold nothing that
 * others need.
 *
 * Control loop. What hangs is known from the pool (core/work.h); no file is touched here.
 */
#ifndef JOBS_HUNG_H
#define JOBS_HUNG_H

#include "jobs/run.h"

/* The mount that j's file may hang on, 0: none. */
dev_t hung_mount_of(const struct job *j);

/* 1: j, which is about to be started, sleeps: its mount has as many as it can hold. */
int hung_sleeps(struct room *r, struct job *j);

/* 1: the run, which is about to be granted a request, waits: its file cannot be read or written. */
int hung_waits(struct run *u);

/* Work of a run has begun that may hang. */
void hung_watch(struct room *r);

/* Of a run that waited for its mount all work has come back. */
void hung_ends(struct run *u);

void hung_close(struct room *r);

#endif
