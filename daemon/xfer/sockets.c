/* SPDX-License-Identifier: Apache-2.0
 *
 * sockets.c - libcurl's sockets and timer on the uv loop.
 *
 * Transfer thread. libcurl asks for a socket when a request begins and lets go of it when the
 * request ends, though the connection stays. Once a connection has answered, its poll handle lives
 * as long as it does (a function of ours closes it): a request on a kept connection makes no epoll
 * call at all. Before that, and for sockets of its resolver's, the handle closes when libcurl lets
 * go: it closes those by itself, without telling.
 * The timer callback only arms a timer; removal of an unknown socket is normal.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/log.h"
#include "xfer/room.h"

static void on_gone(uv_handle_t *h)
{
    free(OC_OWNER(h, struct sock, poll));
}

static struct place *place_of(struct engine *e, int fd)
{
    if (fd >= e->n_places) {
        int n = fd + 64;
        e->places = oc_grow(e->places, (size_t)n, sizeof *e->places);
        memset(e->places + e->n_places, 0, (size_t)(n - e->n_places) * sizeof *e->places);
        e->n_places = n;
    }
    return &e->places[fd];
}

static struct sock *sock_new(struct engine *e, int fd)
{
    struct sock *s = OC_NEW(struct sock);
    s->e = e;
    s->fd = fd;
    if (OC_FAULT("xfer.watch") || uv_poll_init(&e->loop, &s->poll, fd) < 0) {
        free(s);
        return NULL;
    }
    return place_of(e, fd)->sock = s;
}

/* The number may come back before the handle's memory is gone. */
static void sock_close(struct sock *s)
{
    place_of(s->e, s->fd)->sock = NULL;
    uv_poll_stop(&s->poll);
    uv_close((uv_handle_t *)&s->poll, on_gone);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
    struct sock *s = OC_OWNER(p, struct sock, poll);
    struct engine *e = s->e;
    int flags = 0, n_running;
    if (status < 0) {
        flags = CURL_CSELECT_ERR;
        s->events = 0; /* libuv has stopped it */
    }
    if (!s->want) { /* the server has closed a kept connection; libcurl finds out by itself */
        uv_poll_stop(p);
        s->events = 0;
        return;
    }
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    curl_multi_socket_action(e->multi, s->fd, flags, &n_running);
    engine_drain(e);
}

static int on_socket_cb(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
    struct engine *e = arg;
    struct place *at = place_of(e, fd);
    struct sock *s = at->sock;
    (void)unused;
    if (what == CURL_POLL_REMOVE) {
        if (!s)
            return 0;
        s->want = 0;
        if (!at->kept || e->closing)
            sock_close(s);
        return 0;
    }
    if (!s && e->closing)
        return -1;
    if (!s && !(s = sock_new(e, fd))) { /* -1 would be the end of the whole multi handle */
        log_warn("a connection cannot be watched: its request is given up when it stalls");
        return 0;
    }
    struct lane *l = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&l);
    if (l)
        l->fd = fd;
    s->easy = easy;
    s->want = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    if (s->want != s->events)
        uv_poll_start(&s->poll, s->want, on_poll);
    s->events = s->want;
    return 0;
}

/* libcurl closes sockets of a connect that is given up before it lets go of them, and another
 * thread may get the number at once. */
void sockets_forget(struct lane *l)
{
    struct engine *e = l->e;
    for (int fd = 0; fd < e->n_places; fd++) {
        struct place *at = &e->places[fd];
        if (at->sock && at->sock->easy == l->easy && !at->kept)
            sock_close(at->sock);
    }
}

static int is_near(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET) {
        uint32_t v4 = ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr);
        return v4 >> 24 == 127 || v4 >> 16 == 0xa9fe; /* 169.254/16: the metadata service */
    }
    if (a->sa_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(v6) || IN6_IS_ADDR_LINKLOCAL(v6);
    }
    return 0;
}

/* Bytes without TLS never leave the machine, whatever an endpoint's name resolves to. */
curl_socket_t on_open_socket_cb(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct lane *l = arg;
    struct engine *e = l->e;
    (void)purpose;
    if (l->job && !strncasecmp(l->job->r->base, "http:", 5) && !is_near(&address->addr)) {
        job_fail(l->job, OCID_E_INVALID, 0,
                 "'%s' is not on this machine, and plain http goes no farther; use https",
                 l->job->r->base);
        return CURL_SOCKET_BAD;
    }
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    place_of(e, fd)->kept = 0;
    atomic_fetch_add_explicit(&e->n_connects, 1, memory_order_relaxed);
    return fd;
}

void sockets_keep(struct lane *l)
{
    long n_new = 0;
    curl_socket_t fd = CURL_SOCKET_BAD;
    curl_easy_getinfo(l->easy, CURLINFO_NUM_CONNECTS, &n_new);
    if (n_new) /* else it is marked already */
        curl_easy_getinfo(l->easy, CURLINFO_ACTIVESOCKET, &fd);
    if (fd != CURL_SOCKET_BAD)
        place_of(l->e, fd)->kept = 1;
}

int on_close_socket_cb(void *arg, curl_socket_t fd)
{
    struct place *at = place_of(arg, fd);
    at->kept = 0;
    if (at->sock)
        sock_close(at->sock);
    return close(fd);
}

static void on_timeout(uv_timer_t *t)
{
    struct engine *e = t->data;
    int n_running;
    curl_multi_socket_action(e->multi, CURL_SOCKET_TIMEOUT, 0, &n_running);
    engine_drain(e);
}

static int on_timer_cb(CURLM *multi, long ms, void *arg)
{
    struct engine *e = arg;
    (void)multi;
    if (e->closing)
        return 0;
    if (ms < 0)
        uv_timer_stop(&e->timer);
    else
        uv_timer_start(&e->timer, on_timeout, (uint64_t)ms, 0);
    return 0;
}

void sockets_setup(struct engine *e)
{
    curl_multi_setopt(e->multi, CURLMOPT_SOCKETFUNCTION, on_socket_cb);
    curl_multi_setopt(e->multi, CURLMOPT_SOCKETDATA, e);
    curl_multi_setopt(e->multi, CURLMOPT_TIMERFUNCTION, on_timer_cb);
    curl_multi_setopt(e->multi, CURLMOPT_TIMERDATA, e);
}
