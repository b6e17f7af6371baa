/* SPDX-License-Identifier: Apache-2.0
 *
 * test_conn.c - hello, frames and the ways in which a connection ends.
 */
#include "fake.h"

#include <sys/wait.h>

static int no_script(struct fake *f, int method, const struct ocp_envelope *env)
{
    (void)f, (void)method, (void)env;
    return -1;
}

static void test_hello_tells_who_we_are(void **state)
{
    (void)state;
    struct fake f = {0};
    fake_begin(&f, no_script, NULL);
    struct ocid_options o = ocid_options_of();
    struct ocid *c;
    o.socket = f.path;
    o.label = "nightly";
    assert_int_equal(ocid_open(&o, 5000, &c, NULL), 0);
    assert_int_equal(ocid_info(c)->version, 1);
    assert_string_equal(ocid_info(c)->software, "fake 1.0");
    assert_string_equal(ocid_info(c)->uuid, "11111111-2222");
    assert_string_equal(ocid_info(c)->features, "");
    assert_string_equal(ocid_info(c)->socket, f.path);
    assert_int_equal(ocid_info(c)->epoch, 5);
    assert_int_equal(ocid_info(c)->pid, 77);
    assert_int_equal(ocid_events(c), POLLIN);
    ocid_close(c);
    fake_end(&f);
    assert_int_equal(f.ask_min, 1);
    assert_int_equal(f.ask_max, 1);
    assert_string_equal(f.label, "nightly");
}

/* ---- Versions: the refusal names the side to restart */

struct version {
    const char *name;
    uint64_t version; /* 0: the daemon refuses by itself */
    const char *says;
};

static int version_script(struct fake *f, int method, const struct ocp_envelope *env)
{
    const struct version *v = f->user;
    (void)method;
    if (v->version)
        return fake_welcome(f, env->id, v->version);
    fake_error(f, env->id, OCID_E_VERSION, -1, "restart the daemon: it is older");
    fake_flush(f);
    return -1;
}

static void test_versions(void **state)
{
    (void)state;
    static const struct version rows[] = {
        {"newer daemon", 2, "restart this program"},
        {"refused by the daemon", 0, "restart the daemon: it is older"},
        {"far newer daemon", UINT64_MAX, "restart this program"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake f = {.no_hello = 1};
        struct ocid_options o = ocid_options_of();
        struct ocid_failure why;
        struct ocid *c = NULL;
        fake_begin(&f, version_script, (void *)(uintptr_t)&rows[i]);
        o.socket = f.path;
        assert_int_equal(ocid_open(&o, 5000, &c, &why), OCID_E_VERSION);
        if (!strstr(why.text, rows[i].says))
            fail_msg("%s: %s", rows[i].name, why.text);
        assert_null(c);
        fake_end(&f);
    }
}

/* What a daemon of tomorrow may say besides: unknown keys of all shapes. */
static int tomorrow(struct fake *f, int method, const struct ocp_envelope *env)
{
    (void)method;
    struct oc_buf w;
    oc_buf_init(&w, 4096);
    fake_welcome(f, env->id, 1);
    /* The same welcome with two keys more, nested ones; its map is short (fixmap). */
    struct ocp_str payload;
    size_t used, want;
    ocp_frame_next(f->out.data, f->out.len, &payload, &used, &want, NULL);
    oc_buf_add(&w, payload.p, payload.n);
    oc_buf_clear(&f->out);
    size_t at = 0;
    while (((unsigned char)w.data[at] & 0xf0) != 0x80) /* [1, id, nil, {: the first map */
        at++;
    w.data[at] += 2;
    static const char more[] = "\xa4news\x82\xa1"
                               "a\x93\x01\xc0\xcb\x00\x00\x00\x00\x00\x00\x00\x00\x05\x80"
                               "\x07\xa3odd";
    oc_buf_add(&w, more, sizeof more - 1);
    char prefix[4] = {0, 0, (char)(w.len >> 8), (char)w.len};
    oc_buf_add(&f->out, prefix, 4);
    oc_buf_add(&f->out, w.data, w.len);
    oc_buf_fini(&w);
    return 0;
}

static void test_unknown_fields_are_skipped(void **state)
{
    (void)state;
    struct fake f = {.no_hello = 1};
    fake_begin(&f, tomorrow, NULL);
    struct ocid *c = fake_open(&f);
    assert_string_equal(ocid_info(c)->software, "fake 1.0");
    ocid_close(c);
    fake_end(&f);
}

/* ---- A daemon that misbehaves */

enum bad {
    HANGS_UP,
    DIES,
    GIANT,
    GARBAGE,
    UNASKED,
    REQUEST,
    TRUNCATED,
    MUTE,
    NOT_A_MAP,
    BAD_FIELD
};

static int bad_script(struct fake *f, int method, const struct ocp_envelope *env)
{
    (void)method;
    switch (*(const enum bad *)f->user) {
    case HANGS_UP:
        fake_error(f, 0, OCID_E_TOO_LARGE, -1, "more than 64 descriptors");
        fake_flush(f);
        return -1;
    case DIES:
        return -1;
    case GIANT:
        oc_buf_add(&f->out, "\x7f\xff\xff\xff", 4);
        return 0;
    case GARBAGE:
        oc_buf_add(&f->out, "\0\0\0\5\xdd\x7f\xff\xff\xff", 9);
        return 0;
    case UNASKED:
        fake_ids(f, env->id + 1000, 1, 1);
        return 0;
    case REQUEST:
        ocp_frame_request(&f->out, env->id, OCP_METHOD_daemon_stats, &(struct ocp_none){0});
        return 0;
    case TRUNCATED:
        fake_ids(f, env->id, 1, 1);
        f->out.len -= 3;
        fake_flush(f);
        return -1;
    case MUTE:
        return 0;
    case NOT_A_MAP:
        oc_buf_add(&f->out, "\0\0\0\5\x94\x01\x02\xc0\xc0", 9);
        return 0;
    case BAD_FIELD:
        ocp_frame_reply(&f->out, env->id, OCP_METHOD_daemon_reload, &(struct ocp_none){0});
        return 0;
    }
    return 0;
}

static void test_bad_daemons(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum bad bad;
        int want, after; /* code of the call, of the next one */
    } rows[] = {
        {"hangs up and says why", HANGS_UP, OCID_E_TOO_LARGE, OCID_E_TOO_LARGE},
        {"dies", DIES, OCID_E_NO_DAEMON, OCID_E_NO_DAEMON},
        {"announces 2 GiB", GIANT, OCID_E_PROTOCOL, OCID_E_PROTOCOL},
        {"counts beyond its bytes", GARBAGE, OCID_E_PROTOCOL, OCID_E_PROTOCOL},
        {"answers what nobody asked", UNASKED, OCID_E_PROTOCOL, OCID_E_PROTOCOL},
        {"asks us", REQUEST, OCID_E_PROTOCOL, OCID_E_PROTOCOL},
        {"dies within a frame", TRUNCATED, OCID_E_NO_DAEMON, OCID_E_NO_DAEMON},
        {"stays mute", MUTE, OCID_E_TIMED_OUT, OCID_E_TIMED_OUT},
        {"result is no map", NOT_A_MAP, OCID_E_PROTOCOL, OCID_E_PROTOCOL},
        {"result lacks a field", BAD_FIELD, OCID_E_PROTOCOL, OCID_E_PROTOCOL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake f = {0};
        enum bad bad = rows[i].bad;
        struct ocid_job job = ocid_job_of(OCID_KIND_WHOAMI);
        uint64_t id = 9;
        fake_begin(&f, bad_script, &bad);
        struct ocid *c = fake_open(&f);
        int timeout = bad == MUTE ? 50 : 5000;
        int rc = ocid_submit(c, &job, 1, timeout, &id);
        if (rc != rows[i].want)
            fail_msg("%s: %d %s", rows[i].name, rc, ocid_failure(c)->text);
        assert_int_equal(id, 0);
        assert_int_equal(ocid_failure(c)->index, 0);
        assert_true(ocid_failure(c)->text[0]);
        assert_int_equal(ocid_submit(c, &job, 1, timeout, &id), rows[i].after);
        ocid_close(c);
        fake_end(&f);
    }
}

static int mute_hello(struct fake *f, int method, const struct ocp_envelope *env)
{
    (void)f, (void)method, (void)env;
    return 0;
}

static void test_open_fails_clearly(void **state)
{
    (void)state;
    struct fake f = {.no_hello = 1};
    struct ocid_options o = ocid_options_of();
    struct ocid_failure why;
    struct ocid *c = NULL;
    o.socket = "/nonexistent/ocid.sock";
    assert_int_equal(ocid_open(&o, 100, &c, &why), OCID_E_NO_DAEMON);
    assert_non_null(strstr(why.text, "/nonexistent/ocid.sock"));
    assert_string_equal(ocid_error_mend(why.code), "ocictl start");
    char longest[300];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = 0;
    o.socket = longest;
    assert_int_equal(ocid_open(&o, 100, &c, &why), OCID_E_INVALID);
    o.struct_size = 0;
    assert_int_equal(ocid_open(&o, 100, &c, &why), OCID_E_INVALID);
    fake_begin(&f, mute_hello, NULL);
    o = ocid_options_of();
    o.socket = f.path;
    assert_int_equal(ocid_open(&o, 50, &c, &why), OCID_E_TIMED_OUT);
    assert_int_equal(ocid_open(&o, 0, &c, NULL), OCID_E_TIMED_OUT);
    f.script = no_script;
    assert_int_equal(ocid_open(&o, 5000, &c, &why), OCID_E_NO_DAEMON);
    fake_end(&f);
}

static int reload_script(struct fake *f, int method, const struct ocp_envelope *env)
{
    return ocp_frame_reply(&f->out, env->id, method, &(struct ocp_none){0});
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    struct fake f = {.drip = 1};
    fake_begin(&f, reload_script, NULL);
    struct ocid *c = fake_open(&f);
    for (int i = 0; i < 20; i++)
        assert_int_equal(ocid_reload(c, 5000), 0);
    ocid_close(c);
    fake_end(&f);
}

/* ---- Replies in another order than requests; callbacks */

struct order {
    uint64_t held[8];
    int n_held;
};

static int backwards(struct fake *f, int method, const struct ocp_envelope *env)
{
    struct order *o = f->user;
    o->held[o->n_held++] = env->id;
    while (o->n_held >= 4 || (method == OCP_METHOD_job_cancel && o->n_held))
        for (int i = o->n_held; i; i--, o->n_held--)
            ocp_frame_reply(&f->out, o->held[i - 1], OCP_METHOD_daemon_reload,
                            &(struct ocp_none){0});
    return 0;
}

struct heard {
    uint64_t requests[8];
    int codes[8], n;
    struct ocid *c;
    int close, again;
};

static void on_reply(void *user, const struct ocid_reply *reply)
{
    struct heard *h = user;
    h->requests[h->n] = reply->request;
    h->codes[h->n++] = reply->failure ? reply->failure->code : 0;
    if (h->again) {
        h->again = 0;
        assert_int_equal(ocid_reload(h->c, 1000), OCID_E_STATE);
        assert_int_equal(ocid_dispatch(h->c), OCID_E_STATE);
        assert_int_equal(ocid_reopen(h->c, 1000), OCID_E_STATE);
        assert_int_equal(ocid_send_reload(h->c, on_reply, h, NULL), 0);
    }
    if (h->close)
        ocid_close(h->c);
}

static int turn(struct ocid *c)
{
    struct pollfd p = {.fd = ocid_fd(c), .events = ocid_events(c)};
    assert_int_equal(poll(&p, 1, 5000), 1);
    return ocid_dispatch(c);
}

static void test_replies_interleave(void **state)
{
    (void)state;
    struct order order = {0};
    struct fake f = {0};
    struct heard h = {0};
    uint64_t requests[4];
    fake_begin(&f, backwards, &order);
    h.c = fake_open(&f);
    for (int i = 0; i < 4; i++)
        assert_int_equal(ocid_send_reload(h.c, on_reply, &h, &requests[i]), 0);
    assert_int_equal(ocid_events(h.c), POLLIN | POLLOUT);
    while (h.n < 4)
        assert_true(turn(h.c) >= 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(h.requests[i], requests[3 - i]);
        assert_int_equal(h.codes[i], 0);
    }
    ocid_close(h.c);
    fake_end(&f);
}

static void test_forget_and_close(void **state)
{
    (void)state;
    struct order order = {0};
    struct fake f = {0};
    struct heard h = {0};
    uint64_t one, two;
    fake_begin(&f, backwards, &order);
    h.c = fake_open(&f);
    assert_int_equal(ocid_send_reload(h.c, on_reply, &h, &one), 0);
    assert_int_equal(ocid_send_reload(h.c, on_reply, &h, &two), 0);
    assert_int_equal(ocid_forget(h.c, one), 0);
    assert_int_equal(ocid_forget(h.c, one), OCID_E_NOT_FOUND);
    assert_int_equal(ocid_send_reload(h.c, NULL, NULL, NULL), 0);
    ocid_close(h.c);
    assert_int_equal(h.n, 1);
    assert_int_equal(h.requests[0], two);
    assert_int_equal(h.codes[0], OCID_E_DETACHED);
    ocid_close(NULL);
    fake_end(&f);
}

static void test_close_and_send_within_a_callback(void **state)
{
    (void)state;
    struct fake f = {0};
    struct heard h = {.again = 1};
    fake_begin(&f, reload_script, NULL);
    h.c = fake_open(&f);
    assert_int_equal(ocid_send_reload(h.c, on_reply, &h, NULL), 0);
    while (h.n < 2) {
        h.close = h.n == 1;
        assert_true(turn(h.c) >= 0);
    }
    fake_end(&f);
    assert_int_equal(h.codes[1], 0);
}

static void test_begin_does_not_wait(void **state)
{
    (void)state;
    struct fake f = {0};
    struct heard h = {0};
    struct ocid_options o = ocid_options_of();
    fake_begin(&f, reload_script, NULL);
    o.socket = f.path;
    assert_int_equal(ocid_begin(&o, &h.c, NULL), 0);
    assert_null(ocid_info(h.c));
    assert_int_equal(ocid_send_reload(h.c, on_reply, &h, NULL), 0);
    while (!h.n)
        assert_true(turn(h.c) >= 0);
    assert_int_equal(h.codes[0], 0);
    assert_non_null(ocid_info(h.c));
    ocid_close(h.c);
    fake_end(&f);
}

static void test_refused_hello_ends_what_was_sent(void **state)
{
    (void)state;
    static const struct version older = {"", 0, ""};
    struct fake f = {.no_hello = 1};
    struct heard h = {0};
    struct ocid_options o = ocid_options_of();
    fake_begin(&f, version_script, (void *)(uintptr_t)&older);
    o.socket = f.path;
    assert_int_equal(ocid_begin(&o, &h.c, NULL), 0);
    assert_int_equal(ocid_send_reload(h.c, on_reply, &h, NULL), 0);
    int rc = 0;
    while (!rc)
        rc = turn(h.c);
    assert_int_equal(rc, OCID_E_VERSION);
    assert_int_equal(h.n, 1);
    assert_int_equal(h.codes[0], OCID_E_VERSION);
    assert_int_equal(ocid_fd(h.c), -1);
    assert_int_equal(ocid_reload(h.c, 100), OCID_E_VERSION);
    ocid_close(h.c);
    fake_end(&f);
    assert_int_equal(f.n_requests, 1); /* nothing but hello has left */
}

static void test_interrupt(void **state)
{
    (void)state;
    struct order order = {0};
    struct fake f = {0};
    fake_begin(&f, backwards, &order);
    struct ocid *c = fake_open(&f);
    ocid_interrupt(c);
    assert_int_equal(ocid_reload(c, -1), OCID_E_DETACHED);
    assert_int_equal(ocid_reload(c, 20), OCID_E_TIMED_OUT); /* once only */
    ocid_close(c);
    fake_end(&f);
}

static void test_forked_child(void **state)
{
    (void)state;
    struct fake f = {0};
    fake_begin(&f, reload_script, NULL);
    struct ocid *c = fake_open(&f);
    pid_t pid = fork();
    if (!pid) {
        int bad = ocid_reload(c, 1000) != OCID_E_STATE;
        bad |= !strstr(ocid_failure(c)->text, "fork");
        ocid_close(c);
        _exit(bad);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(ocid_reload(c, 5000), 0);
    ocid_close(c);
    fake_end(&f);
}

/* The fake serves one connection at a time: the parent closes its own first. */
static void test_forked_child_reopens(void **state)
{
    (void)state;
    struct fake f = {0};
    int gate[2];
    fake_begin(&f, reload_script, NULL);
    assert_int_equal(pipe(gate), 0);
    struct ocid *c = fake_open(&f);
    pid_t pid = fork();
    if (!pid) {
        char x;
        close(ocid_fd(c)); /* a copy that would keep the parent's connection open */
        int bad = read(gate[0], &x, 1) != 1;
        bad |= ocid_reopen(c, 5000) != 0;
        bad |= ocid_reload(c, 5000) != 0;
        ocid_close(c);
        _exit(bad);
    }
    ocid_close(c);
    assert_int_equal(write(gate[1], "x", 1), 1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(gate[0]);
    close(gate[1]);
    fake_end(&f);
    assert_int_equal(f.n_conns, 2);
}

static int once(struct fake *f, int method, const struct ocp_envelope *env)
{
    return f->n_conns == 1 ? -1 : reload_script(f, method, env);
}

static void test_reopen(void **state)
{
    (void)state;
    struct fake f = {0};
    fake_begin(&f, once, NULL);
    struct ocid *c = fake_open(&f);
    assert_int_equal(ocid_reload(c, 5000), OCID_E_NO_DAEMON);
    assert_int_equal(ocid_reload(c, 5000), OCID_E_NO_DAEMON);
    assert_int_equal(ocid_reopen(c, 5000), 0);
    assert_int_equal(ocid_reload(c, 5000), 0);
    ocid_close(c);
    fake_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello_tells_who_we_are),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_unknown_fields_are_skipped),
        cmocka_unit_test(test_bad_daemons),
        cmocka_unit_test(test_open_fails_clearly),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_replies_interleave),
        cmocka_unit_test(test_forget_and_close),
        cmocka_unit_test(test_close_and_send_within_a_callback),
        cmocka_unit_test(test_begin_does_not_wait),
        cmocka_unit_test(test_refused_hello_ends_what_was_sent),
        cmocka_unit_test(test_interrupt),
        cmocka_unit_test(test_forked_child),
        cmocka_unit_test(test_forked_child_reopens),
        cmocka_unit_test(test_reopen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
