/* SPDX-License-Identifier: Apache-2.0
 *
 * server.c - the listening socket. Who connects is asked of the kernel before a byte is read.
 *
 * Control loop, but for server_open() before it runs.
 */
#include "rpc/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include <utlist.h>

#include "core/fault.h"
#include "core/log.h"
#include "core/mem.h"
#include "rpc/session.h"

enum { ACCEPT_AT_ONCE = 32, BACKLOG = 128, REST_MS = 200 };

struct session *server_session(struct server *s, uint64_t id)
{
    struct session *at;
    DL_SEARCH_SCALAR(s->sessions, at, id, id);
    return at;
}

static unsigned count_uid(const struct server *s, uint32_t uid)
{
    unsigned n = 0;
    for (const struct session *at = s->sessions; at; at = at->next)
        n += at->uid == uid;
    return n;
}

/* One frame to somebody who is not let in. The socket's buffer is empty: it cannot block. */
static void turn_away(int fd, int code, const char *why)
{
    struct oc_err err;
    struct oc_buf b;
    oc_buf_init(&b, 4096);
    oc_fail(&err, code, 0, "%s", why);
    ocp_frame_error(&b, 0, &err, -1);
    if (send(fd, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_debug("a client that was turned away has gone: %s", strerror(errno));
    oc_buf_fini(&b);
    close(fd);
}

static void welcome(struct server *s, int fd)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n)) {
        close(fd);
        return;
    }
    if (peer.uid != s->uid) {
        log_warn("uid %u was turned away: this daemon serves uid %u", peer.uid, s->uid);
        turn_away(fd, OCID_E_DENIED_PEER, "this daemon serves another user");
        return;
    }
    if (count_uid(s, peer.uid) >= s->hooks.room->config->limits_clients_per_user) {
        turn_away(fd, OCID_E_QUEUE_FULL,
                  "too many connections of this user ([limits] clients_per_user)");
        return;
    }
    session_new(s, fd, peer.uid);
}

static void on_connect(uv_poll_t *poll, int status, int events);

static void on_rested(uv_timer_t *t)
{
    struct server *s = OC_OWNER(t, struct server, rest);
    uv_poll_start(&s->poll, UV_READABLE, on_connect);
}

/* Without a free descriptor the connection would stay and wake us forever. */
static void answer_with_spare(struct server *s)
{
    close(s->spare_fd);
    int fd = OC_FAULT("rpc.accept") ? -1 : accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        turn_away(fd, OCID_E_QUEUE_FULL, "the daemon has no free descriptors: try again later");
    s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        log_warn("a client was turned away: no free descriptors");
        return;
    }
    log_warn("a client waits: no free descriptors on this machine, looking again in %d ms",
             REST_MS);
    uv_poll_stop(&s->poll);
    uv_timer_start(&s->rest, on_rested, REST_MS, 0);
}

static void on_connect(uv_poll_t *poll, int status, int events)
{
    struct server *s = OC_OWNER(poll, struct server, poll);
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        int none = OC_FAULT("rpc.accept");
        int fd = none ? -1 : accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (none)
            errno = ENFILE;
        if (fd >= 0) {
            welcome(s, fd);
        } else if (errno == EMFILE || errno == ENFILE) {
            answer_with_spare(s);
            return;
        } else {
            return;
        }
    }
}

/* ---- opening ---- */

static int is_alive(const struct sockaddr_un *at)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = connect(fd, (const struct sockaddr *)at, sizeof *at);
    close(fd);
    return !rc;
}

static int make_socket(struct server *s, const char *path, struct oc_err *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof at.sun_path)
        return oc_fail(err, OCID_E_CONFIG, 0, "the path of the socket is too long: '%s'", path);
    memcpy(at.sun_path, path, strlen(path) + 1);
    memcpy(s->path, path, strlen(path) + 1);
    if (is_alive(&at))
        return oc_fail(err, OCID_E_EXISTS, 0, "another ocid serves the socket '%s'", path);
    unlink(path);
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0177);
    int rc = bind(s->fd, (struct sockaddr *)&at, sizeof at);
    umask(mask);
    if (rc || listen(s->fd, BACKLOG)) {
        int sys = errno;
        close(s->fd);
        return oc_fail(err, OCID_E_CONFIG, sys, "cannot listen on the socket '%s'", path);
    }
    return 0;
}

static int find_socket(struct server *s, const char *path, struct oc_err *err)
{
    int n = sd_listen_fds(1);
    if (n > 1)
        return oc_fail(err, OCID_E_CONFIG, 0, "one socket is wanted, %d were passed", n);
    if (n < 1)
        return make_socket(s, path, err);
    s->fd = SD_LISTEN_FDS_START;
    s->activated = 1;
    if (sd_is_socket_unix(s->fd, SOCK_STREAM, 1, NULL, 0) <= 0)
        return oc_fail(err, OCID_E_CONFIG, 0,
                       "the socket that was passed is not a listening Unix stream socket");
    fcntl(s->fd, F_SETFL, fcntl(s->fd, F_GETFL) | O_NONBLOCK);
    return 0;
}

static void server_gone(void *owner)
{
    (void)owner;
}

int server_open(struct server *s, struct loop *loop, const char *path, uint32_t uid,
                const struct server_hooks *hooks, struct oc_err *err)
{
    *s = (struct server){
        .loop = loop, .hooks = *hooks, .uid = uid, .fd = -1, .frame_ms = SESSION_FRAME_MS};
    int rc = find_socket(s, path, err);
    if (rc)
        return rc;
    s->started_at = clock_mono_ms();
    s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    life_init(&s->life, server_gone, s);
    loop_watch(loop_uv(loop), &s->poll, s->fd);
    life_open(&s->life, (uv_handle_t *)&s->poll);
    uv_timer_init(loop_uv(loop), &s->rest);
    life_open(&s->life, (uv_handle_t *)&s->rest);
    uv_poll_start(&s->poll, UV_READABLE, on_connect);
    return 0;
}

void server_stop(struct server *s)
{
    if (!life_end(&s->life))
        return;
    life_close(&s->life, (uv_handle_t *)&s->poll);
    life_close(&s->life, (uv_handle_t *)&s->rest);
    if (!s->activated)
        unlink(s->path);
    close(s->fd);
    close(s->spare_fd);
    life_done(&s->life);
}

void server_close(struct server *s)
{
    server_stop(s);
    while (s->sessions)
        session_close(s->sessions);
}

/* ---- tickets ---- */

void ticket_reply(const struct ticket *t, const void *result)
{
    struct session *s = server_session(t->server, t->session);
    if (s)
        session_reply(s, t->request, t->method, result);
}

void ticket_error(const struct ticket *t, const struct oc_err *err, int64_t index)
{
    struct session *s = server_session(t->server, t->session);
    if (s)
        session_error(s, t->request, err, index);
}
