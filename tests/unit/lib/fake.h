/* SPDX-License-Identifier: Apache-2.0
 *
 * fake.h - a daemon of a few lines in a thread: reads frames, answers as the test's script says.
 *
 * The script runs once for each request, in the server's thread, and must not assert; what it saw
 * it leaves in its own variables, which the test reads after fake_end().
 */
#ifndef TESTS_FAKE_H
#define TESTS_FAKE_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "lib/conn.h"
#include "ocid/client.h"

struct fake;

/* 0: go on; else this connection is closed. The request's parameters are env->body. */
typedef int fake_script(struct fake *f, int method, const struct ocp_envelope *env);

struct fake {
    char dir[64], path[96];
    fake_script *_Atomic script;
    void *user;
    int listener, fd;
    pthread_t thread;
    int stop[2];
    int n_conns, n_requests;
    int fds[256], n_fds;       /* received, not yet taken */
    int drip;                  /* write byte by byte */
    int no_hello;              /* the script answers hello, too */
    const char *uuid;          /* of the welcome */
    uint64_t ask_min, ask_max; /* of the last hello */
    char label[65];
    struct oc_buf out;
};

static inline int fake_flush(struct fake *f)
{
    int rc = 0;
    for (size_t at = 0; !rc && at < f->out.len;) {
        size_t part = f->drip ? 1 : f->out.len - at;
        ssize_t n = send(f->fd, f->out.data + at, part, MSG_NOSIGNAL);
        if (n <= 0)
            rc = -1;
        else
            at += (size_t)n;
    }
    oc_buf_clear(&f->out);
    return rc;
}

static inline int fake_welcome(struct fake *f, uint64_t id, uint64_t version)
{
    struct ocp_welcome w = {0};
    OCP_SET(&w, welcome, version, version);
    OCP_SET(&w, welcome, software, ocp_str("fake 1.0"));
    OCP_SET(&w, welcome, uuid, ocp_str(f->uuid ? f->uuid : "11111111-2222"));
    OCP_SET(&w, welcome, epoch, 5);
    OCP_SET(&w, welcome, pid, 77);
    OCP_SET(&w, welcome, max_frame, OCP_MAX_FRAME);
    OCP_SET(&w, welcome, max_jobs, OCP_MAX_JOBS);
    ocp_frame_reply(&f->out, id, OCP_METHOD_hello, &w);
    return 0;
}

static inline int fake_error(struct fake *f, uint64_t id, int code, int64_t index, const char *text)
{
    struct oc_err err;
    oc_fail(&err, code, 0, "%s", text);
    return ocp_frame_error(&f->out, id, &err, index);
}

static inline int fake_one(struct fake *f, struct ocp_str payload)
{
    struct ocp_envelope env;
    struct ocp_hello hello;
    if (ocp_envelope_read(payload, &env, NULL))
        return -1;
    int method = ocp_method_find(env.method.p, env.method.n);
    f->n_requests++;
    if (method == OCP_METHOD_hello &&
        !ocp_unpack(&ocp_desc_hello, env.body.p, env.body.n, &hello, NULL)) {
        f->ask_min = hello.min;
        f->ask_max = hello.max;
        ocp_str_copy(hello.label, f->label, sizeof f->label);
        if (!f->no_hello) {
            fake_welcome(f, env.id, 1);
            return fake_flush(f);
        }
    }
    fake_script *script = f->script;
    int rc = script ? script(f, method, &env) : 0;
    return fake_flush(f) || rc;
}

/* Waits for bytes or for the end of the test: 1, or 0 at the end. */
static inline int fake_ready(struct fake *f, int fd)
{
    struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = f->stop[0], .events = POLLIN}};
    while (poll(p, 2, -1) < 0)
        ;
    return !p[1].revents;
}

static inline ssize_t fake_recv(struct fake *f, char *to, size_t n)
{
    char control[CMSG_SPACE(sizeof(int) * 128)];
    struct iovec iov = {to, n};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof control,
    };
    ssize_t got = recvmsg(f->fd, &msg, MSG_CMSG_CLOEXEC);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); got > 0 && c; c = CMSG_NXTHDR(&msg, c)) {
        size_t many = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(f->fds + f->n_fds, CMSG_DATA(c), many * sizeof(int));
        f->n_fds += (int)many;
    }
    return got;
}

static inline void fake_serve(struct fake *f)
{
    struct oc_buf in;
    char *to;
    oc_buf_init(&in, 8 << 20);
    while (fake_ready(f, f->fd) && !oc_buf_reserve(&in, 1 << 16, &to)) {
        ssize_t n = fake_recv(f, to, 1 << 16);
        if (n <= 0)
            break;
        in.len += (size_t)n;
        struct ocp_str payload;
        size_t used, want;
        int rc = 0;
        while (!rc && ocp_frame_next(in.data, in.len, &payload, &used, &want, NULL) == 1) {
            rc = fake_one(f, payload);
            oc_buf_drop(&in, used);
        }
        if (rc)
            break;
    }
    oc_buf_fini(&in);
}

static inline void *fake_main(void *arg)
{
    struct fake *f = arg;
    sigset_t set; /* the library must do without: only our own thread may write to dead pipes */
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    while (fake_ready(f, f->listener)) {
        f->fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
        if (f->fd < 0)
            break;
        f->n_conns++;
        fake_serve(f);
        close(f->fd);
    }
    return NULL;
}

static inline void fake_begin(struct fake *f, fake_script *script, void *user)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    f->script = script;
    f->user = user;
    strcpy(f->dir, "/tmp/ocid-fake-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/s", f->dir);
    strcpy(addr.sun_path, f->path);
    oc_buf_init(&f->out, 8 << 20);
    f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(f->listener, 16), 0);
    assert_int_equal(pipe(f->stop), 0);
    assert_int_equal(pthread_create(&f->thread, NULL, fake_main, f), 0);
}

static inline void fake_end(struct fake *f)
{
    assert_int_equal(write(f->stop[1], "x", 1), 1);
    pthread_join(f->thread, NULL);
    for (int i = 0; i < f->n_fds; i++)
        close(f->fds[i]);
    close(f->listener);
    close(f->stop[0]);
    close(f->stop[1]);
    unlink(f->path);
    rmdir(f->dir);
    oc_buf_fini(&f->out);
}

static inline struct ocid *fake_open(struct fake *f)
{
    struct ocid_options o = ocid_options_of();
    struct ocid_failure why = {0};
    struct ocid *c = NULL;
    o.socket = f->path;
    if (ocid_open(&o, 5000, &c, &why))
        fail_msg("%s", why.text);
    return c;
}

/* ---- Answers that most scripts give */

static inline void fake_ids(struct fake *f, uint64_t id, uint64_t first, uint32_t n)
{
    struct ocp_submitted s = {0};
    struct oc_buf b;
    oc_buf_init(&b, 1 << 20);
    for (uint32_t i = 0; i < n; i++)
        ocp_add_u64(&b, first + i);
    OCP_SET(&s, submitted, ids, ocp_span(&b, n));
    ocp_frame_reply(&f->out, id, OCP_METHOD_job_submit, &s);
    oc_buf_fini(&b);
}

static inline void fake_statuses(struct fake *f, uint64_t id, int method, uint64_t seq,
                                 const struct ocp_status *jobs, uint32_t n)
{
    struct ocp_statuses s = {0};
    struct oc_buf b;
    oc_buf_init(&b, 1 << 20);
    for (uint32_t i = 0; i < n; i++)
        ocp_pack(&ocp_desc_status, &jobs[i], &b);
    OCP_SET(&s, statuses, epoch, 5);
    OCP_SET(&s, statuses, seq, seq);
    OCP_SET(&s, statuses, jobs, ocp_span(&b, n));
    ocp_frame_reply(&f->out, id, method, &s);
    oc_buf_fini(&b);
}

static inline struct ocp_status fake_status(uint64_t id, int state)
{
    struct ocp_status s = {0};
    OCP_SET(&s, status, id, id);
    OCP_SET(&s, status, state, state);
    return s;
}

static inline int fake_take_fd(struct fake *f)
{
    if (!f->n_fds)
        return -1;
    int fd = f->fds[0];
    f->n_fds--;
    memmove(f->fds, f->fds + 1, (size_t)f->n_fds * sizeof(int));
    return fd;
}

#endif
