/* SPDX-License-Identifier: Apache-2.0
 *
 * test_loop.c - signals, watchdog, deferred calls, and that an idle loop sleeps.
 */
#include "core/unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/life.h"
#include "core/loop.h"
#include "core/mem.h"

struct seen {
    struct loop *loop;
    int n_term, n_hup;
};

static void on_term(void *arg)
{
    struct seen *s = arg;
    if (++s->n_term == 2)
        loop_close(s->loop);
}

static void on_hup(void *arg)
{
    struct seen *s = arg;
    s->n_hup++;
    kill(getpid(), SIGTERM);
}

static void test_signals(void **state)
{
    (void)state;
    struct seen s = {.loop = loop_new()};
    assert_int_equal(loop_signals(s.loop, on_term, on_hup, &s), 0);
    kill(getpid(), SIGPIPE); /* ignored */
    kill(getpid(), SIGINT);
    kill(getpid(), SIGHUP);
    assert_int_equal(loop_run(s.loop), 0);
    assert_int_equal(s.n_term, 2);
    assert_int_equal(s.n_hup, 1);
    loop_free(s.loop);
}

/* An idle daemon is never woken: no timer is running. */
static void test_idle_without_watchdog(void **state)
{
    (void)state;
    struct seen s = {.loop = loop_new()};
    unsetenv("WATCHDOG_USEC");
    assert_int_equal(loop_signals(s.loop, on_term, on_hup, &s), 0);
    uv_run(loop_uv(s.loop), UV_RUN_NOWAIT);
    assert_int_equal(uv_backend_timeout(loop_uv(s.loop)), -1);
    loop_close(s.loop);
    loop_close(s.loop);
    assert_int_equal(loop_run(s.loop), 0);
    loop_free(s.loop);
}

static void test_free_without_run(void **state)
{
    (void)state;
    struct seen s = {.loop = loop_new()};
    assert_int_equal(loop_signals(s.loop, on_term, on_hup, &s), 0);
    loop_free(s.loop);
    loop_free(NULL);
    loop_free(loop_new());
}

struct manager {
    struct loop *loop;
    uv_poll_t poll;
    struct life life;
    int fd, n_told;
};

static void on_told(uv_poll_t *poll, int status, int events)
{
    struct manager *m = poll->data;
    char words[64] = "";
    (void)events;
    assert_int_equal(status, 0);
    assert_true(recv(m->fd, words, sizeof words - 1, 0) > 0);
    assert_string_equal(words, "WATCHDOG=1");
    if (++m->n_told < 3)
        return;
    life_end(&m->life);
    life_close(&m->life, (uv_handle_t *)poll);
    life_done(&m->life);
    loop_close(m->loop);
}

static void manager_gone(void *arg)
{
    struct manager *m = arg;
    close(m->fd);
    m->fd = -1;
}

static void test_watchdog_at_half_its_interval(void **state)
{
    (void)state;
    struct manager m = {.loop = loop_new()};
    struct seen s = {.loop = m.loop};
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char name[64];
    int n = snprintf(name, sizeof name, "@ocid-test-%ld", (long)getpid());
    memcpy(at.sun_path + 1, name + 1, (size_t)n - 1);
    m.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(m.fd, (struct sockaddr *)&at,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)),
                     0);
    setenv("NOTIFY_SOCKET", name, 1);
    setenv("WATCHDOG_USEC", "40000", 1);
    unsetenv("WATCHDOG_PID");

    life_init(&m.life, manager_gone, &m);
    assert_int_equal(uv_poll_init(loop_uv(m.loop), &m.poll, m.fd), 0);
    life_open(&m.life, (uv_handle_t *)&m.poll);
    uv_poll_start(&m.poll, UV_READABLE, on_told);
    uint64_t from_ms = clock_mono_ms();
    assert_int_equal(loop_signals(m.loop, on_term, on_hup, &s), 0);
    uv_run(loop_uv(m.loop), UV_RUN_NOWAIT);
    assert_in_range(uv_backend_timeout(loop_uv(m.loop)), 1, 20);
    loop_run(m.loop);
    assert_true(clock_mono_ms() - from_ms >= 55);
    assert_int_equal(m.n_told, 3);
    assert_int_equal(m.fd, -1);
    loop_free(m.loop);
    unsetenv("WATCHDOG_USEC");
    unsetenv("NOTIFY_SOCKET");
    loop_notify("READY=1"); /* quietly nothing */
}

struct step {
    struct deferred deferred;
    struct loop *loop;
    struct step *asks; /* is deferred by this one's call */
    int inside, place;
};

static int n_calls;

static void on_step(struct deferred *d)
{
    struct step *s = OC_OWNER(d, struct step, deferred);
    s->place = ++n_calls;
    s->inside = 1;
    if (s->asks) {
        loop_defer(s->loop, &s->asks->deferred);
        assert_int_equal(s->asks->inside, 0);
    }
    s->inside = 0;
}

/* In the order of asking, each once, those asked for meanwhile a turn later; all before loop_run()
 * returns, even with the loop's own handles closed. */
static void test_deferred(void **state)
{
    (void)state;
    struct loop *l = loop_new();
    struct step s[4] = {0};
    n_calls = 0;
    for (int i = 0; i < 4; i++) {
        s[i].loop = l;
        s[i].deferred.call = on_step;
    }
    s[0].asks = &s[3];
    for (int i = 0; i < 3; i++) {
        loop_defer(l, &s[i].deferred);
        loop_defer(l, &s[i].deferred); /* queued already */
    }
    assert_int_equal(n_calls, 0);
    loop_close(l);
    uv_run(loop_uv(l), UV_RUN_NOWAIT);
    assert_int_equal(n_calls, 3);
    loop_run(l);
    assert_int_equal(n_calls, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(s[i].place, i + 1);
        assert_int_equal(s[i].deferred.queued, 0);
    }
    uv_run(loop_uv(l), UV_RUN_NOWAIT);
    loop_free(l);
}

static void test_clocks(void **state)
{
    (void)state;
    uint64_t mono_ms = clock_mono_ms(), same = clock_random(), differ = 0;
    assert_true(clock_wall_ms() > 1700000000000);
    for (int i = 0; i < 100; i++) {
        differ |= same ^ clock_random();
        assert_true(clock_mono_ms() >= mono_ms);
    }
    assert_int_equal(__builtin_popcountll(differ), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_idle_without_watchdog),
        cmocka_unit_test(test_free_without_run),
        cmocka_unit_test(test_watchdog_at_half_its_interval),
        cmocka_unit_test(test_deferred),
        cmocka_unit_test(test_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
