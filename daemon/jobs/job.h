/* SPDX-License-Identifier: Apache-2.0
 *
 * job.h - the job machine: one struct a job, one setter of its state, one end.
 *
 * Control loop. 100,000 of these wait in memory, so what only a running job needs lives in its
 * struct run, and what was submitted stays packed as it came.
 */
#ifndef JOBS_JOB_H
#define JOBS_JOB_H

#include <stdint.h>

#include "proto/codec.h"

struct run;
struct room;
struct job_timer;
struct store_job;

/* What is tried again begins when its row says so: after a crash nobody else would look for what it
 * leaves. And when the part file of its last try has gone, which has the same name. */
enum job_again { AGAIN_NOT, AGAIN_UNWRITTEN, AGAIN_WRITTEN };

/* Who shares fairly: the label of hello, else the uid. */
struct sharer;

struct job_link {
    struct job *prev, *next;
};

struct lane {
    struct job *head, *tail;
};

struct job {
    uint64_t id, seq;
    uint64_t set_id;      /* the set it was submitted to, in memory or not; 0: none */
    struct job_link lane; /* in its sharer's lane while queued, see sched.c */
    struct job_link news; /* in the feed, in the order of seq */
    struct job_link kin;  /* among the members of its set */
    struct job *set;      /* that counts it among its members; NULL: none does, or not yet */
    struct sharer *sharer;
    struct run *run;         /* while something of it is begun, else NULL */
    struct tally *tally;     /* sets and pulls only */
    struct job_timer *timer; /* its own time limit; NULL: none */
    char *spec, *outcome; /* packed messages job and outcome; outcome NULL: nothing to tell yet */
    uint32_t spec_len, outcome_len;
    uint32_t uid;
    uint32_t n_after; /* predecessors that have not ended */
    int64_t created_at, ended_at;
    uint64_t bytes;   /* size as far as known: what it costs its sharer */
    uint64_t due_ms;  /* asleep: when it is looked at again, on the steady clock */
    uint32_t asleep;  /* sleep.c's place of a job that waits without a run, 0: it does not */
    uint32_t attempt; /* failures since the last success */
    uint32_t tries;   /* failures in all */
    int pipe_fd;      /* the client's pipe or (put) memfd, -1: none; closed with the job's end,
                         that of a put's pipe with its own */
    uint8_t kind, state, why, priority;
    uint8_t ending;  /* 1 + its final state, which is being written; nothing else happens to it */
    uint8_t in_lane; /* sched.c's */
    uint8_t in_news; /* feed.c's */
    uint8_t durable : 1;  /* has a row */
    uint8_t reading : 1;  /* put: the end of its pipe is not known to be on disk */
    uint8_t restored : 1; /* an earlier run may have done more than the row says */
    uint8_t unseen : 1; /* a request or a publication may have done its work without a word of it */
    uint8_t
        unwritten : 1; /* the disk has refused its state or its verdict, and not taken one since */
    uint8_t again : 2; /* enum job_again: it is tried again, and has not begun */
};

/* Counts of a set's members, see tally.h. */
struct tally {
    struct job *kin;      /* members that have not ended, in the order of submission */
    struct lane aside[4]; /* members that its limit holds back, by enum sched_queue */
    uint64_t n_total, n_done, n_failed, n_cancelled, bytes_done;
    uint64_t counted_from; /* members of that id on are counted; 0: all are */
    uint64_t n_coming;     /* members, or pages of them, whose rows are on their way */
    uint64_t n_here;       /* members in memory, final or not: the set stays as long */
    uint8_t sealed;
};

static inline int job_state_final(int state)
{
    return state == OCP_ENUM_state_done || state == OCP_ENUM_state_failed ||
           state == OCP_ENUM_state_cancelled;
}

static inline int job_final(const struct job *j)
{
    return job_state_final(j->state);
}

/* It has ended, or its verdict is on the way to disk. */
static inline int job_is_over(const struct job *j)
{
    return j->ending || job_final(j);
}

static inline int job_is_set_kind(int kind)
{
    return kind == OCP_ENUM_kind_set || kind == OCP_ENUM_kind_pull;
}

static inline int job_is_set(const struct job *j)
{
    return job_is_set_kind(j->kind);
}

/* It is a put of bytes that are held in memory. */
int job_in_memory(const struct job *j);

/* A job from what was submitted (checked before: spec.h), not yet in the book. */
struct job *job_new(uint64_t id, uint32_t uid, const struct ocp_job *spec);

/* The same from a row, which is copied: it is in the row's state. Aborts on a row that this build
 * cannot read: the store refuses those of a newer schema. */
struct job *job_restore(const struct store_job *row);
void job_free(struct job *j);

/* The client's pipe, if there is one: its reader sees the end. Its memfd: the bytes are gone. */
void job_close_pipe(struct job *j);

/* What was submitted; borrows from j. */
void job_spec(const struct job *j, struct ocp_job *ret);

/* The sole writer of the state of a job that is in the book: tells the feed. why is none unless
 * next is waiting. */
void job_enter(struct room *r, struct job *j, enum ocp_state next, enum ocp_why why);

/* Every way out: done (err NULL), failed, cancelled (err->code CANCELLED). The first verdict
 * stays. The final state shows once its row is on disk. facts, if not NULL, is what is known of
 * the object; error fields are filled in here. */
void job_end(struct room *r, struct job *j, const struct oc_err *err, struct ocp_outcome *facts);

/* Keeps a sentence for status while the job waits ("no space left on …"). Not written to disk. */
void job_note(struct job *j, const struct oc_err *err);

#endif
