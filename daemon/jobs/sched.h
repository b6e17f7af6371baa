/* SPDX-License-Identifier: Apache-2.0
 *
 * sched.h - who is served next.
 *
 * Pure: no clock, no I/O. Deficit round robin over sharers, by bytes; jobs of a sharer by priority,
 * then in the order of submission. A job queues twice: to be started (its file opened), then to be
 * granted requests. Small jobs (express) and large ones (bulk) have queues of their own, so that
 * 2 KB never wait behind 50 GiB.
 */
#ifndef JOBS_SCHED_H
#define JOBS_SCHED_H

#include "jobs/job.h"

enum sched_queue { START_EXPRESS, START_BULK, READY_EXPRESS, READY_BULK, SCHED_QUEUES };
enum { SCHED_PRIORITIES = 10, SCHED_SMALL_BYTES = 1 << 20, SCHED_REQUEST_BYTES = 4096 };

struct sharer {
    struct sharer *next; /* all sharers */
    uint32_t uid;
    char label[65];
    unsigned n_jobs;                       /* that refer to it */
    uint64_t n_in[OCP_ENUM_state_COUNT];   /* of these, by state */
    uint64_t n_in_memory, bytes_in_memory; /* of these, whose bytes are kept there */
    struct {
        struct lane lanes[SCHED_PRIORITIES];
        unsigned n_queued;
        int64_t deficit;
        struct sharer *ring_prev, *ring_next; /* NULL: not in the ring */
    } of[SCHED_QUEUES];
};

struct sched {
    struct lane held; /* jobs whose turn has come, but whose host is shut */
    uint64_t n_held;
    struct sharer *sharers;
    struct sharer *ring[SCHED_QUEUES]; /* whose turn it is */
    uint64_t n_queued[SCHED_QUEUES];
    /* 0: not this one's turn, the next may go. NULL: all may. */
    int (*may)(void *arg, const struct sharer *sh, enum sched_queue q);
    void *arg;
};

void sched_init(struct sched *s);
void sched_fini(struct sched *s);

/* The sharer of that name, made if it is new; one more or one less job refers to it. */
struct sharer *sched_sharer_ref(struct sched *s, uint32_t uid, const char *label);
void sched_sharer_unref(struct sched *s, struct sharer *sh);

/* Whether a job belongs to the bulk queues. */
int sched_is_bulk(const struct job *j);

/* At the tail of its lane, or at its head: one that goes on, and its sharer's turn with it. */
void sched_add(struct sched *s, struct job *j, enum sched_queue q, int at_head);

/* Aside, at the tail of those that are held. */
void sched_hold(struct sched *s, struct job *j);

/* Takes the one that is held longest (or, last, shortest) out again, to be added; NULL: there is
 * none.
 */
struct job *sched_take_held(struct sched *s, int last);

/* Aside, behind the members of its set that are; and as many of these as that back to the head of
 * their lanes. */
void sched_set_aside(struct job *j, enum sched_queue q);
void sched_release_aside(struct sched *s, struct job *set, enum sched_queue q, uint64_t n);

/* Nothing for a job that is in no lane and not held. */
void sched_remove(struct sched *s, struct job *j);

/* Takes the next job of that queue out of its lane; NULL: there is none that may go. */
struct job *sched_take(struct sched *s, enum sched_queue q);

/* What was granted to j's sharer after sched_take(): bytes, and a flat cost for the request. */
void sched_charge(const struct job *j, enum sched_queue q, uint64_t bytes);

#endif
