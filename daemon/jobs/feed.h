/* SPDX-License-Identifier: Apache-2.0
 *
 * feed.h - sequence numbers and long polls: who hears of what.
 *
 * Control loop. Each change of a job gives it the next number and puts it last in the feed; a
 * follower asks for what is beyond a number. Polls that a change may answer are looked at once a
 * turn. Final jobs stay for a while (FEED_KEEP), then the database alone knows them.
 */
#ifndef JOBS_FEED_H
#define JOBS_FEED_H

#include <uv.h>

#include "core/life.h"
#include "core/loop.h"
#include "jobs/job.h"

enum { FEED_KEEP = 2000 };

struct feed {
    struct job *head, *tail;             /* by seq, ascending */
    struct job *final_head, *final_tail; /* by end, through their lanes */
    uint64_t epoch, seq;
    uint64_t evicted_seq; /* the last change of any job that has left memory */
    unsigned n_final;
    struct poll *polls;
    struct deferred look;
    struct loop *loop;
    void (*evict)(void *arg, struct job *j); /* a final job leaves memory */
    void *arg;
};

/* One question that waits for a change: answered once, by answer(), then it is gone. */
struct poll {
    struct poll *prev, *next;
    struct feed *feed;
    uint32_t uid;
    uint64_t since, *ids, set; /* ids NULL and set 0: everything of uid's */
    uint32_t n_ids;
    uv_timer_t timer;
    uint64_t rest_ms; /* calm: what is left of the wait after it */
    int calm;         /* only the end of a job is worth an answer yet */
    struct life life;
    int (*ready)(struct poll *p, int ends_only); /* something is there to tell */
    void (*answer)(struct poll *p);              /* a change, or the time is over */
};

void feed_init(struct feed *f, struct loop *loop, void (*evict)(void *, struct job *), void *arg);

/* Polls must be gone. */
void feed_fini(struct feed *f);

/* j has changed (or is new). */
void feed_touch(struct feed *f, struct job *j);
void feed_forget(struct feed *f, struct job *j);

/* j has become final, or is queued again (retry), or leaves memory. */
void feed_final(struct feed *f, struct job *j);
void feed_not_final(struct feed *f, struct job *j);

/* First job beyond a number, in order; NULL: none. Goes on with j->news.next. */
struct job *feed_after(const struct feed *f, uint64_t since);

/* p is embedded in an object of the asker's; gone(owner) comes when its timer is closed. For the
 * first calm_ms only the end of a job is an answer. */
void feed_poll(struct feed *f, struct poll *p, uint64_t wait_ms, uint64_t calm_ms,
               void (*gone)(void *), void *owner);

/* Ends a poll without an answer: the asker has gone. */
void feed_poll_end(struct poll *p);

#endif
