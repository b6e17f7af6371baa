/* SPDX-License-Identifier: Apache-2.0
 *
 * room.h - all state of the jobs room, and its doors for rpc and app.
 *
 * Control loop. rpc asks here and nowhere deeper; news goes back through callbacks.
 */
#ifndef JOBS_ROOM_H
#define JOBS_ROOM_H

#include <uv.h>

#include "core/config.h"
#include "core/loop.h"
#include "core/work.h"
#include "jobs/account.h"
#include "jobs/book.h"
#include "jobs/feed.h"
#include "jobs/files.h"
#include "jobs/flow.h"
#include "jobs/job.h"
#include "jobs/limits.h"
#include "jobs/sched.h"
#include "jobs/sleep.h"
#include "jobs/slots.h"
#include "jobs/tally.h"
#include "store/store.h"
#include "vault/vault.h"
#include "xfer/engine.h"

struct room {
    struct loop *loop;
    uv_loop_t *uv;
    const struct config *config; /* the one in force; replaced as a whole by a reload */
    struct store *store;
    struct engine *engine;
    struct vault *vault;
    struct work_gate *gate;
    char spool_dir[512];
    struct book book;
    struct feed feed;
    struct sched sched;
    struct sleepers sleepers;
    struct accounts accounts;
    struct deferred pump; /* grants what can be granted, once a turn */
    struct run *runs;     /* all of them, for shutdown and reload */
    unsigned n_runs;
    unsigned n_submits; /* arrays that are being written */
    unsigned n_ops;     /* store operations and submits that are still to come back */
    unsigned in_flight[2], bulk_in_flight[2]; /* requests of runs; those counted apart */
    unsigned n_starting[2];                   /* runs made but not yet sending: express, bulk */
    struct file_chain sources;                /* small ones of this turn */
    struct flow *flows;                       /* a host each */
    struct limits limits;
    unsigned sign_ahead; /* requests handed over before a connection is free, to be signed */
    unsigned turn;
    int pruning;
    uv_timer_t grace;         /* while stopping */
    struct job_timer *timers; /* of jobs with a time limit */
    struct {
        uv_timer_t timer;
        int open;
        struct room_op *first;
    } again; /* verdicts a full disk refused */
    struct {
        uv_timer_t timer;
        int open;
        struct mail_list ops;
    } linger; /* verdicts that wait for company */
    struct {
        uv_timer_t timer;
        int open;
    } probe; /* looks whether a shut host answers */
    struct {
        uv_timer_t timer;
        int open;
        unsigned n_recovered;
    } hung; /* looks whether mounts answer */
    struct {
        uv_timer_t timer;
        int open;
        unsigned n_looks;
    } refused;           /* looks whether the service takes credentials again */
    struct saved *saved; /* transfers read back at the start, until their run takes them */
    struct part_removal *removals; /* part files that are being removed, by job; disk.c's */
    int stopping;
    void (*idle)(void *arg); /* stopping, and nothing is at work any more */
    void *idle_arg;
    uint64_t n_retries, n_ended;
};

/* Reads the queue back; everything else must be open already. */
int room_open(struct room *r, struct oc_err *err);

/* No new requests from now on; those in flight have grace_ms to end, then they are cancelled (the
 * queue keeps the jobs). idle(arg) follows. */
void room_stop(struct room *r, uint64_t grace_ms, void (*idle)(void *arg), void *arg);
void room_close(struct room *r);

/* A new configuration is in force; accounts are asked again. */
void room_configured(struct room *r, const struct config *config);

/* Somebody unlocked, locked or reloaded keys: jobs that wait for that try again. */
void room_keys_changed(struct room *r);

/* Whether there is room for one more request, of those that are counted apart or not. */
int room_has_room(const struct room *r, int apart, int bulk);

/* Requests in flight that the hosts at work allow. */
unsigned room_limit(const struct room *r);

/* Grants in the next turn of the loop. */
void room_pump(struct room *r);

/* From engine_open(). */
void room_on_done(struct xfer_request *req, void *room);

/* One submit: all jobs or none. fds[n_fds] are the message's descriptors: those taken are set to
 * -1. The reply comes through done, after the commit, never before this returns. */
struct submit_ask {
    uint32_t uid;
    const char *label;
    int *fds;
    unsigned n_fds;
    void (*done)(void *arg, const uint64_t *ids, uint32_t n, const struct oc_err *err,
                 int64_t index);
    void *arg;
};
void room_submit(struct room *r, const struct submit_ask *ask, const struct ocp_span *jobs);

enum room_act { ACT_CANCEL, ACT_PAUSE, ACT_RESUME, ACT_RETRY, ACT_SEAL };

/* Acts on one job of uid's; a set's id stands for its members, too (but see room_retry_set() for
 * the retry of a set). 0 or an error. */
int room_act(struct room *r, uint32_t uid, enum room_act act, uint64_t id, struct oc_err *err);

/* What was done to a job (a set: to its members, too) is on disk, or is still on its way there. 0:
 * the disk has refused it. */
int room_is_written(const struct job *j);

/* Tries all of a set's members again that have failed or were cancelled, also those that have left
 * memory. 0: done(arg, err) follows, not before this returns; else an error. */
int room_retry_set(struct room *r, struct job *set,
                   void (*done)(void *arg, const struct oc_err *err), void *arg,
                   struct oc_err *err);

/* The job of that id if it is in memory and uid's, else NULL. */
struct job *room_find(struct room *r, uint32_t uid, uint64_t id);

/* A job that has ended and left memory, from its row: it is there again until it is put away like
 * others. NULL if it has not ended, or is there. */
struct job *room_revive(struct room *r, const struct store_job *row);

/* One job as a packed status message appended to b (an element of a list). */
void room_pack_status(const struct room *r, const struct job *j, struct oc_buf *b);

/* The same from a row of the store, for jobs that have left memory. */
void room_pack_row(const struct store_job *row, struct oc_buf *b);

/* How many jobs of uid's are kept in memory, and their bytes. */
uint64_t room_held_in_memory(const struct room *r, uint32_t uid, uint64_t *ret_bytes);

/* Counts of uid's jobs by state, indexed by enum ocp_state. */
void room_count(const struct room *r, uint32_t uid, uint64_t ret[OCP_ENUM_state_COUNT]);

/* ---- within the jobs room ---- */

/* A job has become final: its set, its successors. */
void room_on_final(struct room *r, struct job *j);

/* Writes the verdict, then calls done. Goes on trying when the disk is full. */
void room_write_end(struct room *r, struct job *j, enum ocp_state state,
                    void (*done)(struct room *r, uint64_t id, int state));

/* Forgets verdicts that could not be written: the daemon ends, the queue still has their jobs. */
void room_close_disk(struct room *r);

/* Removes a file in the pool. */
void room_remove(struct room *r, const char *path);

/* Removes the part file of a job that has ended, if there is one, and then the row that says so. */
void room_remove_part(struct room *r, uint64_t job, struct ocp_str dest);
int room_removes_part(const struct room *r, uint64_t job); /* it has not gone yet */

/* Begins what is tried again, unless it still has to wait; see enum job_again. */
void room_begin_again(struct room *r, struct job *j);

/* The verdict is on disk: the copy of what was passed with the job is not needed any more. */
void room_drop_spool(struct room *r, const struct job *j);

/* A job has ended and has no run: closes its pipe, removes its part file, aborts its upload. */
void room_tidy(struct room *r, struct job *j);

/* One line for the journal. */
void room_log_end(const struct job *j, enum ocp_state state, const struct oc_err *err);

/* A run has left without verdict: queued again, or paused. */
void room_park(struct room *r, struct job *j, enum ocp_state park);

/* An operation of the store: freed after done. */
struct room_op {
    struct store_op op;
    struct room *room;
    void (*done)(struct room_op *o);
    void *arg;
    uint64_t job;
    int state;
    void (*on_end)(struct room *r, uint64_t id, int state);
    struct store_job row; /* what op.jobs points at */
    struct room_op *next; /* of those to be written again */
    int again;
    char *text[3];  /* freed with it */
    int owns_parts; /* op.parts is ours, not a result */
};
struct room_op *room_op_new(struct room *r, enum store_verb verb, void (*done)(struct room_op *o),
                            void *arg);
void room_op_post(struct room_op *o);

/* Verdicts that wait for company go to disk now. */
void room_flush_ends(struct room *r);

/* Into the same commit. */
void room_op_post_both(struct room_op *a, struct room_op *b);

/* Posts a transfer's row; afresh: the rows of its parts go in the same commit. */
void room_save_xfer(struct room_op *o, int afresh);

/* The row of a transfer that was interrupted; the caller frees it by room_saved_free(). NULL:
 * there is none. */
struct saved {
    struct saved *next;
    struct store_xfer row;
};
struct saved *room_saved_take(struct room *r, uint64_t job);
const struct store_xfer *room_saved_row(const struct room *r, uint64_t job); /* borrowed */
void room_saved_free(struct saved *s);

/* Keeps a copy of a transfer's row for the next run of a job that was parked. */
void room_saved_keep(struct room *r, const struct store_xfer *row);

struct run_request;
void room_count_request(struct room *r, struct run_request *q);
/* Requests of small jobs. */
unsigned room_small_in_flight(const struct room *r);
void room_count_answer(struct room *r, const struct run_request *q);
void room_learn_clock(struct room *r, struct account *a, int64_t offset_s);
void room_refused(struct room *r, struct account *a);

int room_load(struct room *r, struct oc_err *err);
void room_prune(struct room *r);

/* A new or restored job is part of the room from now on: book, sharer, set, feed. */
void room_adopt(struct room *r, struct job *j, const char *label);

/* The set of j, whether it counts j or not; NULL: none, or it is not in memory. */
struct job *room_set_of(const struct room *r, const struct job *j);

/* It waits for what it needs next, in the lane of its sharer or at its head: to be started, or, if
 * it has been and has its place in all limits, to be granted a request. */
void room_line_up(struct room *r, struct job *j, int at_head);

/* Queues it, or lets it wait for its predecessors. */
void room_admit(struct room *r, struct job *j);

/* On each of a set's members that has not ended. */
void room_act_on_members(struct room *r, enum room_act act, struct job *set);

/* Members of a pull, packed job messages; done as in struct submit_ask. cursor: where the next
 * page begins, written in the same commit; NULL: this was the last. */
void room_add_members(struct room *r, struct job *set, const struct oc_buf *jobs, uint32_t n,
                      const char *cursor,
                      void (*done)(void *arg, const uint64_t *ids, uint32_t n,
                                   const struct oc_err *err, int64_t index),
                      void *arg);

/* What every member of a pull has from its set. */
void room_member_of(const struct job *set, const struct ocp_job *spec, struct ocp_job *ret);

/* No more members will come. */
void room_seal(struct room *r, struct job *set);

/* Ends a set whose members have all ended; one that has ended is at work again since one of its
 * members is. */
void room_check_set(struct room *r, struct job *set);
void room_reopen_set(struct room *r, struct job *set);

#endif
