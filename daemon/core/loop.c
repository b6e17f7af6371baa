/* SPDX-License-Identifier: Apache-2.0
 *
 * loop.c - the control loop: uv loop, signals, watchdog, clock, deferred calls.
 *
 * Control loop thread, but for the clocks and loop_notify(). It has one timer, the watchdog's, and
 * that only if the manager asked for it: an idle daemon is never woken.
 * Source: sd_notify(3), sd_watchdog_enabled(3).
 */
#include "core/loop.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "core/log.h"
#include "core/mem.h"

struct loop {
    uv_loop_t uv;
    struct life life;
    uv_idle_t turn; /* active while calls are deferred, closed by loop_free() */
    struct mail_list deferred;
    uv_signal_t sig[3];
    unsigned n_sig; /* those of sig that are open */
    uv_timer_t watchdog;
    void (*on_term)(void *);
    void (*on_hup)(void *);
    void *arg;
    int has_watchdog;
};

uint64_t clock_mono_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint64_t clock_random(void)
{
    static _Thread_local struct {
        uint64_t
            bits[32]; /* 256 bytes: getrandom() gives all or, before the pool is ready, waits */
        unsigned left;
    } store;
    if (!store.left) {
        ssize_t n;
        do
            n = getrandom(store.bits, sizeof store.bits, 0);
        while (n < 0 && errno == EINTR);
        assert(n == (ssize_t)sizeof store.bits);
        store.left = sizeof store.bits / sizeof *store.bits;
    }
    return store.bits[--store.left];
}

/* Calls deferred by these calls wait for the next turn. */
static void on_turn(uv_idle_t *turn)
{
    struct loop *l = OC_OWNER(turn, struct loop, turn);
    for (unsigned n = l->deferred.n; n; n--) {
        struct mail *m = mail_list_pop(&l->deferred);
        struct deferred *d = OC_OWNER(m, struct deferred, mail);
        d->queued = 0;
        d->call(d);
    }
    if (!l->deferred.n)
        uv_idle_stop(turn);
}

struct loop *loop_new(void)
{
    struct loop *l = OC_NEW(struct loop);
    if (uv_loop_init(&l->uv) < 0) {
        free(l);
        return NULL;
    }
    life_init(&l->life, NULL, l);
    uv_idle_init(&l->uv, &l->turn);
    life_open(&l->life, (uv_handle_t *)&l->turn);
    mail_list_init(&l->deferred);
    return l;
}

void loop_watch(uv_loop_t *uv, uv_poll_t *poll, int fd)
{
    int rc = uv_poll_init(uv, poll, fd);
    if (!rc)
        return;
    log_error("cannot watch a descriptor: %s (see ulimit -n and fs.epoll.max_user_watches); the "
              "queue goes on at the next start",
              uv_strerror(rc));
    abort();
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    loop_close(l);
    life_close(&l->life, (uv_handle_t *)&l->turn);
    uv_run(&l->uv, UV_RUN_NOWAIT);
    assert(!l->deferred.n);
    if (uv_loop_close(&l->uv) < 0) {
        uv_print_all_handles(&l->uv, stderr);
        assert(!"a handle is still open");
    }
    free(l);
}

uv_loop_t *loop_uv(struct loop *l)
{
    return &l->uv;
}

int loop_run(struct loop *l)
{
    return uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_defer(struct loop *l, struct deferred *d)
{
    if (d->queued)
        return;
    d->queued = 1;
    mail_list_add(&l->deferred, &d->mail);
    uv_idle_start(&l->turn, on_turn);
}

static void on_signal(uv_signal_t *s, int number)
{
    struct loop *l = s->data;
    if (number == SIGHUP)
        l->on_hup(l->arg);
    else
        l->on_term(l->arg);
}

static void on_watchdog(uv_timer_t *t)
{
    (void)t;
    loop_notify("WATCHDOG=1");
}

static void start_watchdog(struct loop *l)
{
    uint64_t usec = 0;
    if (sd_watchdog_enabled(0, &usec) <= 0)
        return;
    uint64_t half_ms = usec / 2000 ? usec / 2000 : 1;
    uv_timer_init(&l->uv, &l->watchdog);
    life_open(&l->life, (uv_handle_t *)&l->watchdog);
    l->has_watchdog = 1;
    uv_timer_start(&l->watchdog, on_watchdog, half_ms, half_ms);
}

int loop_signals(struct loop *l, void (*on_term)(void *), void (*on_hup)(void *), void *arg)
{
    static const int wanted[] = {SIGTERM, SIGINT, SIGHUP};

    assert(!l->n_sig);
    l->on_term = on_term;
    l->on_hup = on_hup;
    l->arg = arg;
    signal(SIGPIPE, SIG_IGN);
    for (; l->n_sig < sizeof wanted / sizeof *wanted; l->n_sig++) {
        uv_signal_t *sig = &l->sig[l->n_sig];
        int rc = uv_signal_init(&l->uv, sig);
        if (rc < 0)
            return rc;
        life_open(&l->life, (uv_handle_t *)sig);
        rc = uv_signal_start(sig, on_signal, wanted[l->n_sig]);
        if (rc < 0) {
            life_close(&l->life, (uv_handle_t *)sig);
            return rc;
        }
    }
    start_watchdog(l);
    return 0;
}

void loop_close(struct loop *l)
{
    if (!life_end(&l->life))
        return;
    for (unsigned i = 0; i < l->n_sig; i++)
        life_close(&l->life, (uv_handle_t *)&l->sig[i]);
    if (l->has_watchdog)
        life_close(&l->life, (uv_handle_t *)&l->watchdog);
}

void loop_notify(const char *state)
{
    sd_notify(0, state);
}
