/* SPDX-License-Identifier: Apache-2.0
 *
 * test_session.c - one client over a socketpair: whole, broken, slow and greedy ones.
 *
 * Requests end in a dispatch() of the test's own: daemon.stats is answered at once, daemon.reload
 * when the test says so, hello counts its descriptors, vault.lock is answered at length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/mem.h"
#include "ocid/error.h"
#include "rpc/handlers.h"

enum { TURNS = 20000, LONG_MS = 600000 };

struct hall {
    struct loop *loop;
    struct server server;
    struct session *session;
    int fd; /* the client's end */
    unsigned n_calls, n_fds;
    uint64_t waiting[4096]; /* requests that are answered later */
    unsigned n_waiting;
    char *got; /* what the client has read */
    size_t n_got;
    int ended;
};

static struct hall hall;

void follows_end(struct session *s)
{
    (void)s;
}

void dispatch(struct session *s, const struct ocp_envelope *e)
{
    struct ocp_none none = {0};
    struct oc_err err;
    hall.n_calls++;
    if (ocp_str_is(e->method, "daemon.stats")) {
        session_reply(s, e->id, OCP_METHOD_daemon_reload, &none);
    } else if (ocp_str_is(e->method, "vault.lock")) {
        char text[900];
        memset(text, 'x', sizeof text);
        text[sizeof text - 1] = 0;
        oc_fail(&err, OCID_E_INVALID, 0, "%s", text);
        session_error(s, e->id, &err, -1);
    } else if (ocp_str_is(e->method, "hello")) {
        s->version = 1;
        hall.n_fds = s->n_fds;
        int fd = session_take_fd(s, 0);
        if (fd >= 0) {
            assert_int_equal(session_take_fd(s, 0), -1);
            close(fd);
        }
        session_reply(s, e->id, OCP_METHOD_daemon_reload, &none);
    } else {
        hall.waiting[hall.n_waiting++] = e->id;
    }
}

static int open_before;

static int count_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static int setup(void **state)
{
    int ends[2];
    (void)state;
    open_before = count_fds();
    memset(&hall, 0, sizeof hall);
    hall.loop = loop_new();
    hall.server = (struct server){.loop = hall.loop, .frame_ms = LONG_MS};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    hall.fd = ends[0];
    session_new(&hall.server, ends[1], 1000);
    hall.session = hall.server.sessions;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    while (hall.server.sessions)
        session_close(hall.server.sessions);
    close(hall.fd);
    loop_run(hall.loop);
    loop_free(hall.loop);
    free(hall.got);
    assert_int_equal(count_fds(), open_before); /* each passed descriptor was closed, once */
    return 0;
}

static void slow_down(void)
{
    static uint64_t limit = 20;
    hall.server.frame_ms = limit;
    /* the clock of hello is running already, with the old limit */
    uv_timer_start(&hall.session->timer, hall.session->timer.timer_cb, limit, 0);
}

static void turn(void)
{
    uv_run(loop_uv(hall.loop), UV_RUN_NOWAIT);
}

/* Reads what there is; notes the end. */
static void drain(void)
{
    char chunk[65536];
    ssize_t n;
    while ((n = recv(hall.fd, chunk, sizeof chunk, MSG_DONTWAIT)) > 0) {
        hall.got = oc_grow(hall.got, hall.n_got + (size_t)n, 1);
        memcpy(hall.got + hall.n_got, chunk, (size_t)n);
        hall.n_got += (size_t)n;
    }
    if (!n)
        hall.ended = 1;
}

/* Frames that have arrived; their errors counted. */
static unsigned replies(unsigned *ret_errors)
{
    unsigned n = 0;
    *ret_errors = 0;
    for (size_t at = 0; at < hall.n_got; n++) {
        struct ocp_str payload;
        struct ocp_envelope e;
        size_t used, want;
        if (ocp_frame_next(hall.got + at, hall.n_got - at, &payload, &used, &want, NULL) != 1)
            break;
        assert_int_equal(ocp_envelope_read(payload, &e, NULL), 0);
        assert_int_equal(e.shape, OCP_REPLY);
        *ret_errors += e.is_error != 0;
        at += used;
    }
    return n;
}

static void say(const void *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t done = send(hall.fd, (const char *)bytes + at, n - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (done > 0)
            at += (size_t)done;
        else
            turn();
    }
}

static void frame_of(struct oc_buf *b, uint64_t id, int method)
{
    union {
        struct ocp_hello hello;
        struct ocp_lock lock;
        struct ocp_none none;
    } m = {0};
    if (method == OCP_METHOD_hello) {
        OCP_SET(&m.hello, hello, min, 1);
        OCP_SET(&m.hello, hello, max, 1);
    }
    assert_int_equal(ocp_frame_request(b, id, method, &m), 0);
}

static void ask(uint64_t id, int method)
{
    struct oc_buf b;
    oc_buf_init(&b, 4096);
    frame_of(&b, id, method);
    say(b.data, b.len);
    oc_buf_fini(&b);
}

static void turn_until_ended(void)
{
    for (unsigned i = 0; i < TURNS && !hall.ended; i++) {
        uv_run(loop_uv(hall.loop), hall.server.sessions ? UV_RUN_ONCE : UV_RUN_NOWAIT);
        drain();
    }
    assert_true(hall.ended);
    assert_null(hall.server.sessions);
}

static void test_a_frame_in_pieces(void **state)
{
    struct oc_buf b;
    unsigned errors;
    (void)state;
    oc_buf_init(&b, 4096);
    frame_of(&b, 9, OCP_METHOD_hello);
    frame_of(&b, 10, OCP_METHOD_daemon_stats);
    for (size_t i = 0; i < b.len; i++) {
        say(b.data + i, 1);
        turn();
    }
    turn();
    drain();
    assert_int_equal(hall.n_calls, 2);
    assert_int_equal(replies(&errors), 2);
    assert_int_equal(errors, 0);
    assert_false(hall.session->timing);
    oc_buf_fini(&b);
}

static void test_broken_bytes_end_the_connection(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t n;
    } rows[] = {
#define BYTES(text) text, sizeof text - 1
        {"a giant is announced", BYTES("\xff\xff\xff\xff")},
        {"a byte over the limit", BYTES("\x00\x10\x00\x01")},
        {"nothing in it", BYTES("\0\0\0\0")},
        {"no MessagePack", BYTES("\0\0\0\1\xc1")},
        {"no array", BYTES("\0\0\0\5hello")},
        {"a reply", BYTES("\0\0\0\5\x94\x01\x01\xc0\x80")},
        {"too deep", BYTES("\0\0\0\x0c\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x90")},
        {"two billion elements", BYTES("\0\0\0\5\xdd\x7f\xff\xff\xff")},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned errors;
        say(rows[i].bytes, rows[i].n);
        turn_until_ended();
        if (replies(&errors) != 1 || errors != 1)
            fail_msg("%s: %u errors", rows[i].name, errors);
        assert_int_equal(hall.n_calls, 0);
        teardown(NULL);
        setup(NULL);
    }
}

static void test_the_client_goes_in_the_middle_of_a_frame(void **state)
{
    (void)state;
    say("\0\0\1\0abc", 7);
    turn();
    assert_int_equal(shutdown(hall.fd, SHUT_WR), 0);
    turn_until_ended();
    assert_int_equal(hall.n_calls, 0);
}

static void test_a_frame_must_come_in_time(void **state)
{
    unsigned errors;
    (void)state;
    ask(1, OCP_METHOD_hello);
    turn();
    hall.server.frame_ms = 20;
    say("\0\0\1\0abc", 7);
    turn_until_ended();
    assert_int_equal(replies(&errors), 2);
    assert_int_equal(errors, 1);
}

static void test_hello_must_come_in_time(void **state)
{
    unsigned errors;
    (void)state;
    slow_down();
    turn_until_ended();
    assert_int_equal(replies(&errors), 1);
    assert_int_equal(errors, 1);
}

/* Each frame is timed by itself, however many follow without a gap. */
static void test_the_clock_starts_again_with_each_frame(void **state)
{
    struct oc_buf b;
    (void)state;
    ask(1, OCP_METHOD_hello);
    turn();
    oc_buf_init(&b, 4096);
    frame_of(&b, 2, OCP_METHOD_daemon_stats);
    say(b.data, 3);
    turn();
    uint64_t due = uv_timer_get_due_in(&hall.session->timer);
    hall.server.frame_ms = 2 * LONG_MS;
    say(b.data + 3, b.len - 3); /* and the beginning of the next at once */
    say(b.data, 3);
    turn();
    assert_true(uv_timer_get_due_in(&hall.session->timer) > due);
    oc_buf_fini(&b);
}

static void say_with_fds(const struct oc_buf *b, unsigned n_fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(128 * sizeof(int))];
    } control;
    struct iovec iov = {b->data, b->len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = CMSG_SPACE(n_fds * sizeof(int))};
    memset(&control, 0, sizeof control);
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
    for (unsigned i = 0; i < n_fds; i++)
        memcpy(CMSG_DATA(c) + i * sizeof(int), &hall.fd, sizeof hall.fd);
    assert_int_equal(sendmsg(hall.fd, &msg, 0), b->len);
}

static void test_descriptors_are_taken_or_closed(void **state)
{
    unsigned errors;
    struct oc_buf b;
    (void)state;
    oc_buf_init(&b, 4096);
    frame_of(&b, 1, OCP_METHOD_hello);
    int before = count_fds();
    say_with_fds(&b, OCP_MAX_FDS);
    for (int i = 0; i < 5; i++)
        turn();
    drain();
    assert_int_equal(hall.n_fds, OCP_MAX_FDS);
    assert_int_equal(replies(&errors), 1);
    assert_int_equal(count_fds(), before);
    oc_buf_fini(&b);
}

static void test_65_descriptors_are_too_many(void **state)
{
    unsigned errors;
    struct oc_buf b;
    (void)state;
    oc_buf_init(&b, 4096);
    frame_of(&b, 1, OCP_METHOD_hello);
    say_with_fds(&b, OCP_MAX_FDS + 1);
    turn_until_ended();
    assert_int_equal(hall.n_calls, 0);
    assert_int_equal(replies(&errors), 1);
    assert_int_equal(errors, 1);
    oc_buf_fini(&b);
}

static void test_so_many_requests_wait_and_the_rest_goes_on_after(void **state)
{
    struct ocp_none none = {0};
    unsigned errors;
    (void)state;
    ask(1, OCP_METHOD_hello);
    for (uint64_t id = 2; id < 402; id++)
        ask(id, OCP_METHOD_daemon_reload);
    for (int i = 0; i < 20; i++)
        turn();
    assert_int_equal(hall.n_waiting, SESSION_PENDING);
    for (unsigned i = 0; i < 400; i++) {
        assert_true(i < hall.n_waiting);
        session_reply(hall.session, hall.waiting[i], OCP_METHOD_daemon_reload, &none);
        for (int k = 0; k < 3; k++) {
            turn();
            drain();
        }
        assert_true(hall.n_waiting - i - 1 <= SESSION_PENDING);
    }
    assert_int_equal(hall.n_waiting, 400);
    drain();
    assert_int_equal(replies(&errors), 401);
    assert_int_equal(hall.session->n_pending, 0);
}

/* Who does not read is not read from; nothing is lost once he does. */
static void test_unread_output_is_bounded(void **state)
{
    enum { N = 3000 };
    struct oc_buf b;
    unsigned errors;
    size_t at = 0;
    (void)state;
    oc_buf_init(&b, 1 << 20);
    frame_of(&b, 1, OCP_METHOD_hello);
    for (uint64_t id = 2; id < N + 2; id++)
        frame_of(&b, id, OCP_METHOD_vault_lock);
    for (unsigned idle = 0; idle < 100; idle++) {
        ssize_t n = send(hall.fd, b.data + at, b.len - at, MSG_DONTWAIT);
        if (n > 0) {
            at += (size_t)n;
            idle = 0;
        }
        turn();
        assert_true(hall.session->out.len < SESSION_OUT_BYTES + 2048);
    }
    assert_true(hall.n_calls < N);
    for (unsigned i = 0; i < TURNS && hall.n_calls < N + 1; i++) {
        drain();
        ssize_t n = send(hall.fd, b.data + at, b.len - at, MSG_DONTWAIT);
        at += n > 0 ? (size_t)n : 0;
        turn();
    }
    for (int i = 0; i < 50; i++) {
        turn();
        drain();
    }
    assert_int_equal(replies(&errors), N + 1);
    assert_int_equal(errors, N);
    oc_buf_fini(&b);
}

/* Refused, with its output full, and it does not read: it goes all the same. */
static void test_who_is_refused_goes_even_if_it_does_not_read(void **state)
{
    (void)state;
    ask(1, OCP_METHOD_hello);
    for (unsigned i = 0; i < 100 || hall.session->out.len == 0; i++) {
        ask(i + 2, OCP_METHOD_vault_lock);
        turn();
    }
    hall.server.frame_ms = 20;
    say("\xff\xff\xff\xff", 4);
    for (unsigned i = 0; i < TURNS && hall.server.sessions; i++)
        uv_run(loop_uv(hall.loop), UV_RUN_ONCE);
    assert_null(hall.server.sessions);
}

/* libuv opens some descriptors with the first loop, for good. */
static int warm_up(void **state)
{
    (void)state;
    loop_free(loop_new());
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_a_frame_in_pieces),
        TEST(test_broken_bytes_end_the_connection),
        TEST(test_the_client_goes_in_the_middle_of_a_frame),
        TEST(test_a_frame_must_come_in_time),
        TEST(test_hello_must_come_in_time),
        TEST(test_the_clock_starts_again_with_each_frame),
        TEST(test_descriptors_are_taken_or_closed),
        TEST(test_65_descriptors_are_too_many),
        TEST(test_so_many_requests_wait_and_the_rest_goes_on_after),
        TEST(test_unread_output_is_bounded),
        TEST(test_who_is_refused_goes_even_if_it_does_not_read),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
