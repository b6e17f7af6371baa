/* SPDX-License-Identifier: Apache-2.0
 *
 * work.h - the only door to the I/O pool (libuv's), with a quota a mount, so that a mount that
 * hangs stalls its own jobs only.
 *
 * Each thread with a loop has its own struct work_gate; done callbacks run on that loop. The quotas
 * are the process's: a mount cannot use up the pool by hanging several gates.
 */
#ifndef CORE_WORK_H
#define CORE_WORK_H

#include <sys/types.h>
#include <uv.h>

#include "core/mailbox.h"

struct work_gate;

struct work {
    struct mail mail;
    uv_work_t req;
    struct work_gate *gate;
    dev_t mount;                  /* st_dev that it may block on; 0: none in particular */
    struct work *with;            /* goes with it: the next of a chain, NULL: none */
    void (*run)(struct work *w);  /* in the pool */
    void (*done)(struct work *w); /* on the gate's loop; may free w or submit it again */
};

/* quota_per_mount: how many of this gate's works may start while as many of that mount's, by
 * whomever submitted, are in the pool. An idle gate does not keep the loop alive. */
struct work_gate *work_gate_new(uv_loop_t *loop, unsigned quota_per_mount);

/* Only once nothing is submitted or waiting any more. The memory goes in a later turn of the loop.
 */
void work_gate_free(struct work_gate *g);

/* Queues w; beyond the mount's quota it waits its turn. Always asynchronous. A chain by w->with is
 * one piece: one wake-up and one slot for all, run one after the other, then done in that order. */
void work_submit(struct work_gate *g, struct work *w, dev_t mount);

/* What becomes of a mount's works. Any thread. */
enum work_pace {
    WORK_MOVES, /* they end, or there are none */
    WORK_STILL, /* for some seconds none of them has begun or ended */
    WORK_STUCK, /* and there is no room for another one; until those that wait have their turn */
};
enum { WORK_STILL_MS = 2000 };
enum work_pace work_pace_of(dev_t mount);

/* How often a mount that was stuck has come to move again. Any thread. */
unsigned work_n_recovered(void);

/* How many are in the pool or waiting. */
unsigned work_pending(const struct work_gate *g);

/* Sets the pool's size; before the first submit of the process. */
void work_pool_size(unsigned n_threads);

#endif
