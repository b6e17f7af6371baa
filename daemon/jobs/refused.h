/* SPDX-License-Identifier: Apache-2.0
 *
 * refused.h - jobs whose credentials the service refuses: they wait as `login`, and now and then
 * one of them looks whether it still does, for what mends it may be done there (a key is added, a
 * clock is set, a user is allowed again) and nothing here tells.
 *
 * Control loop. While an account is refused none of its jobs is started, so that a long queue costs
 * the service no more than a short one.
 */
#ifndef JOBS_REFUSED_H
#define JOBS_REFUSED_H

#include "jobs/run.h"

/* The service has refused a's credentials after they were read afresh. u: whose request it was,
 * NULL: the account's own. */
void refused_begins(struct account *a, struct run *u, const struct oc_err *err);

/* It has taken them. */
void refused_ends(struct account *a, struct run *u);

/* 1: j, which is about to be started, sleeps: its account is refused. */
int refused_sleeps(struct room *r, struct job *j);

/* A person has j try at once, which sleeps. */
void refused_look(struct room *r, const struct job *j);

/* Keys or settings are others now: nothing is known. */
void refused_forget(struct room *r);

void refused_close(struct room *r);

#endif
