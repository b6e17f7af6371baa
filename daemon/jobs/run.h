/* SPDX-License-Identifier: Apache-2.0
 *
 * run.h - one job at work: its account, its requests in flight, its retries, its clean-up.
 *
 * Control loop; private to the jobs room. A run is made when the scheduler starts a job, and freed
 * when nothing of it is in flight any more. What differs from kind to kind is in struct run_ops:
 * run_put.c, run_get.c, run_list.c, run_call.c, run_share.c, run_watch.c.
 */
#ifndef JOBS_RUN_H
#define JOBS_RUN_H

#include <utlist.h>

#include "core/life.h"
#include "jobs/account.h"
#include "jobs/job.h"
#include "store/store.h"
#include "xfer/plan.h"

struct room;

/* How long a run waits before it looks again whether space, a file or a directory is there. */
enum { RUN_LOOK_AGAIN_MS = 15000 };

/* One request of a run. */
struct run_request {
    struct run_request *prev, *next; /* those in flight */
    struct run *run;
    struct answer_to answer;
    struct xfer_request x;
    struct xfer_step step;
    struct flow *flow;   /* its host's */
    uint8_t bulk, apart; /* counted as such */
    unsigned n_kicks;    /* the run's, when it was sent */
    unsigned n_renewed;  /* the account's, when it was sent */
};

enum run_sent {
    RUN_SENT, /* one request was posted; ask again */
    RUN_BUSY, /* nothing to send until something in flight has ended */
};

struct run_ops { /* those behind answered may be NULL: there is nothing to do */
    enum account_need need;
    /* The account is ready: gets at what must be at hand before a connection is taken, then calls
     * run_ready() (perhaps at once) or run_fail(). */
    void (*prepare)(struct run *u);
    /* A connection is granted: post one request, or find that there is nothing to do. */
    enum run_sent (*send)(struct run *u);
    /* A request has ended. ok: it worked. Else the run has been told to try again or fails, and
     * this puts the step back. */
    void (*answered)(struct run *u, struct run_request *q, int ok);
    /* The run ends for another reason (cancel, pause, time limit, shutdown): plan no more. */
    void (*stop)(struct run *u);
    /* Nothing is in flight: 1 if there is something left to clean up, which was begun. */
    int (*clean)(struct run *u);
    void (*progress)(const struct run *u, struct ocp_status *ret);
    void (*free)(struct run *u);
};

struct run {
    struct run *prev, *next; /* of the room */
    struct room *room;
    struct job *job;
    const struct run_ops *ops;
    void *of; /* the kind's own state */
    struct account *account;
    struct account_wait wait;
    struct ocp_job spec; /* borrows from the job */
    char what[160];      /* "object 'b/o'", for sentences */
    struct run_request *requests;
    unsigned n_requests; /* in flight */
    unsigned n_work;     /* in the pool or with the store */
    unsigned n_kicks;    /* somebody had the run try again: older refusals do not count */
    unsigned n_auth;     /* 401s since the last success */
    unsigned n_renewed;  /* the account's, when the first of these came */
    uint64_t retry_at;   /* wall clock; 0: not waiting for a retry */
    uv_timer_t timer;    /* for the retry */
    struct life life;
    dev_t mount; /* that its file may hang on, 0: none */
    int hung;    /* hung.c's: it waits for that mount */
    int refused; /* refused.c's: its last request was, for its credentials */
    int prepared;
    int starting, starting_bulk; /* counted in room.n_starting */
    int slot;                    /* of the limits that hold: 1 small, 2 large; 0: it has none */
    struct oc_err last;          /* of the last request that failed */
    void *free_late;             /* freed with the run: memory under a closing handle */
    int stopping;                /* nothing new is begun */
    int cleaning;                /* what ops->clean() began is under way */
    struct oc_err verdict; /* stopping: with which error the job ends; code 0: it goes on later */
    int has_verdict;
    int published;          /* get: the destination's name shows the object */
    enum ocp_state park;    /* stopping without verdict: queued, paused or waiting */
    enum ocp_why sleep_why; /* not none: it leaves so that its job can wait without it, */
    uint64_t sleep_ms;      /* as long as this: see room_sleep() */
};

/* Starts j's run, or lets one that has waited go on. */
void run_start(struct room *r, struct job *j);

/* Starts a run that only cleans up behind a job that has ended. */
void run_start_cleaning(struct room *r, struct job *j);

/* What the run needs is at hand: the scheduler may grant it requests (again). */
void run_ready(struct run *u);

/* The job has done its work. facts as in job_end(). */
void run_done(struct run *u, struct ocp_outcome *facts);

/* The error decides by its retry rule: a later try, a wait for the cause to be mended, or the end.
 * Of an error of a request the run is told by ops->answered() already. */
void run_fail(struct run *u, const struct oc_err *err);

/* A later try whatever the error's rule says: a checksum that did not agree. */
void run_retry(struct run *u, const struct oc_err *err);

/* The plan has started over too often: the job fails with the last error. */
void run_give_up(struct run *u);

/* Nothing of it is begun: it leaves, and its job waits alone, delay_ms at most; see room_sleep().
 */
void run_sleep(struct run *u, enum ocp_why why, uint64_t delay_ms);

/* Somebody else ends it: verdict, or (NULL) park it in that state. The first verdict stays; it
 * comes before a state to be parked in, of which the last one counts. */
void run_stop(struct run *u, const struct oc_err *verdict, enum ocp_state park);

/* The daemon ends, so nothing new is sent: the run leaves once nothing of it is in flight. */
void run_rest(struct run *u);

/* It has ended; else what it has achieved is written down even while it stops, for it goes on. */
static inline int run_is_over(const struct run *u)
{
    return u->stopping && u->has_verdict;
}

/* A run that is being started counts until it can send, waits, or goes. */
void run_starting(struct run *u, int is);

/* It waits for why, and is tried again after so long (0: when it is kicked). */
void run_wait_for(struct run *u, enum ocp_why why, uint64_t delay_ms);

/* One more try at once: resume, unlock, reload. */
void run_kick(struct run *u);

/* Whether an upload is that of this put. Perhaps: it asked for one of that object and the answer
 * with the id has not come. */
enum run_owns { RUN_OWNS_NOT, RUN_OWNS_PERHAPS, RUN_OWNS };
enum run_owns run_put_owns(const struct run *u, struct ocp_str bucket, const char *object,
                           const char *upload_id);

/* A request to be filled by the kind, then run_post(). */
struct run_request *run_request_new(struct run *u);
void run_post(struct run *u, struct run_request *q);
void run_request_drop(struct run_request *q);

/* For kinds with one request in flight: posts the one that build fills in, or fails as
 * build says. Nothing while one is in flight, or while the daemon ends and this is no clean-up. */
typedef int run_build_fn(struct run *u, struct run_request *q, struct oc_err *err);
void run_ask(struct run *u, run_build_fn *build);

/* Whether a request that has ended may have done its work, once more or at all, though its answer
 * does not say so. A refusal has done nothing; of everything else we cannot be sure. */
int run_unseen(const struct run_request *q, int ok);

/* Whether a file at the job's destination may be its own work. */
int run_may_be_there(const struct run *u);

/* Work in the pool or the store has begun; it has ended: 0 if the run is stopping and is perhaps
 * gone now. */
void run_work_begin(struct run *u);
int run_work_end(struct run *u);

/* The same, and the run goes on: ready for requests (err->code 0), or as the error's rule says. */
void run_go_on(struct run *u, const struct oc_err *err);

/* Where the job's object is; borrows from *names, the account and the run. */
struct run_names {
    char namespace[257], bucket[257], object[1025];
};
struct oci_where run_where(const struct run *u, struct run_names *names);

/* Copies a text of an answer, what is not UTF-8 escaped, cut to size; NULL leaves *to alone. */
void run_take_text(char *to, size_t size, const char *from);

/* Parks, cleans up or frees a run that is stopping and has nothing in flight. */
void run_settle(struct run *u);

/* The compartment that the job, the configuration or the tenancy names; out or borrowed. */
const char *run_compartment(const struct run *u, char out[257]);

/* From the scheduler: posts requests as long as granted; 1: ask again. */
int run_grant(struct run *u);

/* How far it is, as its status says. */
void run_progress(const struct run *u, struct ocp_status *ret);

/* The error's place in job states. */
enum ocp_why run_why(int code);

extern const struct run_ops run_put_ops, run_get_ops, run_list_ops, run_call_ops, run_share_ops,
    run_watch_ops;

#endif
