/* SPDX-License-Identifier: Apache-2.0
 *
 * loop.h - the control loop: uv loop, signals, watchdog, clock, deferred calls.
 *
 * Control loop thread, unless said otherwise.
 */
#ifndef CORE_LOOP_H
#define CORE_LOOP_H

#include <stdint.h>
#include <uv.h>

#include "core/mailbox.h"

/* Milliseconds that never jump (any thread), and wall-clock milliseconds since 1970 (any thread).
 */
uint64_t clock_mono_ms(void);
int64_t clock_wall_ms(void);

/* Random bits for jitter and ids, never for keys; any thread. */
uint64_t clock_random(void);

/* A call that runs in the next turn of the loop, in the order of asking: a callback must never run
 * before the call that asked for it has returned. The owner keeps d alive until then. */
struct deferred {
    struct mail mail;
    int queued;
    void (*call)(struct deferred *d);
};

struct loop;

/* NULL-safe halves; loop_new() is NULL without descriptors for it; loop_free() asserts that the
 * loop closes empty (close callbacks that are due run first). loop_run() returns 0 once nothing is
 * left that could happen. */
struct loop *loop_new(void);
void loop_free(struct loop *l);
uv_loop_t *loop_uv(struct loop *l);
int loop_run(struct loop *l);

/* uv_poll_init() of a descriptor without which the daemon cannot go on: where the kernel refuses,
 * it says so and ends. Any thread, its own loop. */
void loop_watch(uv_loop_t *uv, uv_poll_t *poll, int fd);

void loop_defer(struct loop *l, struct deferred *d);

/* on_term: SIGTERM and SIGINT; on_hup: SIGHUP. Starts the systemd watchdog's timer if asked for by
 * the environment (WATCHDOG_USEC). */
int loop_signals(struct loop *l, void (*on_term)(void *), void (*on_hup)(void *), void *arg);

/* Closes everything of the loop's own; loop_run() returns once all other handles are gone. Deferred
 * calls go on until then. Twice is once. */
void loop_close(struct loop *l);

/* sd_notify, quietly nothing without a manager. Any thread. */
void loop_notify(const char *state);

#endif
