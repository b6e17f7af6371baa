/* SPDX-License-Identifier: Apache-2.0
 *
 * open.c - a connection is made: the socket, hello, and again after a loss.
 *
 * Start at ocid_begin() and lib_connect().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/conn.h"
#include "ocid/version.h"
#include "proto/paths.h"

/* ---- hello */

/* Each side knows the other's range, so that the one that is behind can be named. */
static int wrong_version(const struct ocp_welcome *w, struct oc_err *err)
{
    char daemon[65];
    ocp_str_copy(w->software, daemon, sizeof daemon);
    if (w->version > OCID_PROTOCOL_MAX)
        return oc_fail(
            err, OCID_E_VERSION, 0,
            "the daemon (%s) speaks protocol %llu, this program's libocid %s at most %d: "
            "restart this program with the newer libocid",
            daemon, (unsigned long long)w->version, OCID_VERSION, OCID_PROTOCOL_MAX);
    return oc_fail(err, OCID_E_VERSION, 0,
                   "the daemon (%s) speaks protocol %llu, this program's libocid %s at least %d: "
                   "restart the daemon with the newer ocid",
                   daemon, (unsigned long long)w->version, OCID_VERSION, OCID_PROTOCOL_MIN);
}

static const char *info_str(struct ocid *c, struct ocp_str s)
{
    char *out = lib_alloc(&c->info_arena, (size_t)s.n + 1);
    return out ? ocp_str_copy(s, out, (size_t)s.n + 1) : NULL;
}

int lib_welcome(struct ocid *c, const struct ocp_envelope *env, struct oc_err *err)
{
    struct ocp_welcome w;
    int64_t index;
    if (env->is_error) {
        lib_reply_error(&env->body, err, &index);
        return err->code;
    }
    int rc = ocp_unpack(&ocp_desc_welcome, env->body.p, env->body.n, &w, err);
    if (rc)
        return err->code = OCID_E_PROTOCOL;
    if (w.version < OCID_PROTOCOL_MIN || w.version > OCID_PROTOCOL_MAX)
        return wrong_version(&w, err);
    lib_arena_clear(&c->info_arena);
    c->info = (struct ocid_info){
        .version = (unsigned)w.version,
        .epoch = w.epoch,
        .pid = w.pid,
        .software = info_str(c, w.software),
        .features = info_str(c, w.features),
        .uuid = info_str(c, w.uuid),
        .socket = c->socket,
    };
    if (!c->info.software || !c->info.features || !c->info.uuid) {
        c->info.uuid = NULL;
        return oc_fail(err, OCID_E_NOMEM, 0, "out of memory");
    }
    if (w.max_frame >= 4096 && w.max_frame < OCP_MAX_FRAME)
        c->max_frame = (size_t)w.max_frame;
    if (w.max_jobs && w.max_jobs < OCP_MAX_JOBS)
        c->max_jobs = (uint32_t)w.max_jobs;
    c->state = LIB_READY;
    return 0;
}

static int say_hello(struct ocid *c)
{
    struct ocp_hello hello = {0};
    struct lib_call *call = lib_call_new(c, OCP_METHOD_hello, NULL, NULL);
    if (!call)
        return OCID_E_NOMEM;
    OCP_SET(&hello, hello, min, OCID_PROTOCOL_MIN);
    OCP_SET(&hello, hello, max, OCID_PROTOCOL_MAX);
    OCP_SET(&hello, hello, software, ocp_str(c->software));
    if (c->label)
        OCP_SET(&hello, hello, label, ocp_str(c->label));
    int rc = lib_call_add(c, call, &hello, NULL, 0, 0, 0);
    if (rc)
        lib_call_drop(call);
    else
        lib_call_post(c, call, NULL);
    return rc;
}

/* ---- Opening */

static int connect_to(struct ocid *c, const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n >= sizeof addr.sun_path)
        return ENAMETOOLONG;
    memcpy(addr.sun_path, path, n);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        return errno;
    int rc;
    do
        rc = connect(c->fd, (struct sockaddr *)&addr, sizeof addr);
    while (rc < 0 && errno == EINTR);
    if (!rc)
        return 0;
    int sys = errno;
    close(c->fd);
    c->fd = -1;
    return sys;
}

static int refused(struct ocid *c, const char *path, int sys)
{
    switch (sys) {
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
        return lib_fail(c, OCID_E_NO_DAEMON, 0, "no daemon listens at '%s'", path);
    case EACCES:
    case EPERM:
        return lib_fail(c, OCID_E_DENIED_PEER, 0, "you may not connect to the daemon at '%s'",
                        path);
    case EAGAIN:
        return lib_fail(c, OCID_E_TIMED_OUT, 0, "the daemon at '%s' is too busy to be connected to",
                        path);
    case ENAMETOOLONG:
        return lib_fail(c, OCID_E_INVALID, 0, "the socket's path is too long: '%s'", path);
    default:
        return lib_fail(c, OCID_E_IO, sys, "cannot connect to the daemon at '%s'", path);
    }
}

static bool nobody(int sys)
{
    return sys == ENOENT || sys == ENOTDIR || sys == ECONNREFUSED;
}

/* The user's own daemon first, the system's if there is none. c->socket stays what the caller set
 * and is what was found otherwise. */
static int connect_somewhere(struct ocid *c, bool named)
{
    char path[OCP_SOCKET_MAX];
    struct oc_err err;
    int rc, sys;
    if (named) {
        sys = connect_to(c, c->socket);
        return sys ? refused(c, c->socket, sys) : 0;
    }
    if ((rc = ocp_socket_path(path, sizeof path, &err)))
        return lib_failed(c, &err, -1);
    const char *at = path;
    sys = connect_to(c, path);
    if (nobody(sys)) {
        int other = connect_to(c, OCP_SOCKET_SYSTEM);
        if (!nobody(other)) {
            sys = other;
            at = OCP_SOCKET_SYSTEM;
        }
    }
    if (sys)
        return refused(c, at, sys);
    free(c->socket);
    c->socket = strdup(at);
    return c->socket ? 0 : lib_fail(c, OCID_E_NOMEM, 0, "out of memory");
}

/* From LIB_LOST to LIB_HELLO. */
static int begin(struct ocid *c)
{
    c->write_broken = false;
    c->max_frame = OCP_MAX_FRAME;
    c->max_jobs = OCP_MAX_JOBS;
    oc_buf_init(&c->in, OCP_MAX_FRAME + 4 + LIB_READ_BYTES);
    int rc = connect_somewhere(c, c->named);
    if (!rc)
        rc = say_hello(c);
    if (rc && c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
    if (!rc) {
        c->state = LIB_HELLO;
        c->hello_out = true;
    }
    return rc;
}

static char *copy_or_null(const char *s, bool *oom)
{
    char *out = s ? strdup(s) : NULL;
    *oom |= s && !out;
    return out;
}

static struct ocid *conn_new(const struct ocid_options *opt, struct oc_err *err)
{
    struct ocid_options o = ocid_options_of();
    bool oom = false;
    if (opt && lib_struct(&o, sizeof o, opt, "ocid_options_of()", err))
        return NULL;
    struct ocid *c = calloc(1, sizeof *c);
    if (!c) {
        oc_fail(err, OCID_E_NOMEM, 0, "out of memory");
        return NULL;
    }
    c->fd = -1;
    c->next_id = 1;
    c->pid = getpid();
    c->out_end = &c->out;
    c->pieces_end = &c->pieces;
    c->calls_end = &c->calls;
    c->failure.index = -1;
    c->named = o.socket != NULL;
    oc_fail(&c->lost, OCID_E_NO_DAEMON, 0, "the connection is not open");
    c->socket = copy_or_null(o.socket, &oom);
    c->label = copy_or_null(o.label, &oom);
    c->software = copy_or_null(o.software ? o.software : "libocid " OCID_VERSION, &oom);
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (oom || c->wake_fd < 0) {
        oc_fail(err, oom ? OCID_E_NOMEM : OCID_E_IO, oom ? 0 : errno, "cannot open a connection");
        lib_destroy(c);
        return NULL;
    }
    return c;
}

/* Moves the failure of a connection that is given up to where the caller looks. */
static int give_up(struct ocid *c, struct ocid_failure *why)
{
    int rc = c->failure.code;
    if (why)
        *why = c->failure;
    lib_destroy(c);
    return rc;
}

int ocid_begin(const struct ocid_options *opt, struct ocid **ret, struct ocid_failure *why)
{
    struct oc_err err;
    struct ocid *c = conn_new(opt, &err);
    if (!c) {
        if (why)
            lib_failure_of(&err, -1, why);
        return err.code;
    }
    if (begin(c))
        return give_up(c, why);
    *ret = c;
    return 0;
}

/* A full backlog answers EAGAIN at once and cannot be waited for but by asking again. */
int lib_connect(struct ocid *c, int64_t deadline)
{
    bool ready = false, unused;
    int rc;
    while ((rc = begin(c)) == OCID_E_TIMED_OUT && lib_remaining(deadline)) {
        int64_t soon = lib_now_ms() + 10;
        rc = lib_poll(c, -1, soon < deadline ? soon : deadline, &ready, &unused);
        if (rc != OCID_E_TIMED_OUT)
            return rc;
    }
    while (!rc && c->state == LIB_HELLO) {
        if ((rc = lib_pump(c, ready)) || c->state != LIB_HELLO)
            break;
        if ((rc = lib_poll(c, -1, deadline, &ready, &unused))) {
            struct oc_err err = {.code = rc};
            ocp_str_copy(ocp_str(c->failure.text), err.text, sizeof err.text);
            lib_lose(c, &err);
        }
    }
    return rc;
}

int ocid_open(const struct ocid_options *opt, int timeout_ms, struct ocid **ret,
              struct ocid_failure *why)
{
    struct oc_err err;
    struct ocid *c = conn_new(opt, &err);
    if (!c) {
        if (why)
            lib_failure_of(&err, -1, why);
        return err.code;
    }
    if (lib_connect(c, lib_deadline(timeout_ms)))
        return give_up(c, why);
    *ret = c;
    return 0;
}

int ocid_reopen(struct ocid *c, int timeout_ms)
{
    struct oc_err err;
    bool child = c->pid != getpid();
    if (c->in_callback && !child)
        return lib_fail(c, OCID_E_STATE, 0, "a callback must not make calls that wait");
    oc_fail(&err, OCID_E_NO_DAEMON, 0, "the connection was opened again before the reply came");
    c->busy = child ? 1 : c->busy + 1;
    lib_drop_all(c, &err, child);
    c->info = (struct ocid_info){0};
    if (child) {
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0)
            return lib_leave(c, lib_fail(c, OCID_E_IO, errno, "cannot open a connection"));
        close(c->wake_fd); /* shared with the parent until now */
        c->wake_fd = fd;
        c->pid = getpid();
        c->in_callback = c->closing = false;
    }
    int rc = lib_connect(c, lib_deadline(timeout_ms));
    return lib_leave(c, rc);
}
