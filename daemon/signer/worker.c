/* SPDX-License-Identifier: Apache-2.0
 *
 * worker.c - the threads that sign: all of them wait on one socket.
 *
 * A thread takes what has gathered, at most BATCH (more would be kept from its neighbours), signs,
 * and answers all of it in one call: half as many wake-ups on the other side. While a neighbour is
 * idle it takes one at a time, so that two requests are signed by two cores.
 */
#include "signer/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "signer/sign.h"

enum { BATCH = 8 };

struct crew {
    struct creds *creds;
    int fd;
    atomic_int idle;
    atomic_uint held; /* by each worker, and by the start; the last one frees it */
};

struct worker {
    struct crew *crew;
    unsigned seat;
    char asked[BATCH][WIRE_ASK_MAX + 1]; /* one byte more shows what is too long */
    char reply[BATCH][WIRE_SIGNED_MAX];
    size_t asked_n[BATCH];
};

static void crew_leave(struct crew *crew)
{
    if (atomic_fetch_sub(&crew->held, 1) == 1)
        free(crew);
}

/* Blocks for the first; takes more only if nobody else could. 0 at the end of the socket. */
static int receive(struct worker *w)
{
    struct iovec iov[BATCH];
    struct mmsghdr msg[BATCH];
    memset(msg, 0, sizeof msg);
    for (int i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){w->asked[i], sizeof w->asked[i]};
        msg[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    atomic_fetch_add(&w->crew->idle, 1);
    ssize_t first;
    do
        first = recv(w->crew->fd, w->asked[0], sizeof w->asked[0], 0);
    while (first < 0 && errno == EINTR);
    int others = atomic_fetch_sub(&w->crew->idle, 1) - 1;
    if (first <= 0)
        return 0;
    w->asked_n[0] = (size_t)first;
    int n = others ? 0 : recvmmsg(w->crew->fd, msg + 1, BATCH - 1, MSG_DONTWAIT, NULL);
    int got = 1;
    for (; got <= n && msg[got].msg_len; got++)
        w->asked_n[got] = msg[got].msg_len;
    return got;
}

static int answer(struct worker *w, int n)
{
    struct iovec iov[BATCH];
    struct mmsghdr msg[BATCH];
    memset(msg, 0, sizeof msg);
    for (int i = 0; i < n; i++) {
        size_t len = sign_answer(w->crew->creds, w->seat, w->asked[i], w->asked_n[i], time(NULL),
                                 w->reply[i]);
        iov[i] = (struct iovec){w->reply[i], len};
        msg[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    for (int sent = 0; sent < n;) {
        int rc = sendmmsg(w->crew->fd, msg + sent, (unsigned)(n - sent), MSG_NOSIGNAL);
        if (rc < 0 && errno != EINTR)
            return 0;
        sent += rc > 0 ? rc : 0;
    }
    return 1;
}

static void *run(void *arg)
{
    struct worker *w = arg;
    for (int n; (n = receive(w)) && answer(w, n);)
        continue;
    crew_leave(w->crew);
    free(w);
    return NULL;
}

/* 0 or errno. */
static int worker_add(struct crew *crew, unsigned seat)
{
    struct worker *w = calloc(1, sizeof *w);
    pthread_t thread;
    if (!w)
        return ENOMEM;
    w->crew = crew;
    w->seat = seat;
    atomic_fetch_add(&crew->held, 1);
    int rc = pthread_create(&thread, NULL, run, w);
    if (!rc)
        return pthread_detach(thread);
    crew_leave(crew);
    free(w);
    return rc;
}

int worker_start(struct creds *c, int sign_fd, unsigned n)
{
    struct crew *crew = calloc(1, sizeof *crew);
    int rc = 0;
    if (!crew)
        return ENOMEM;
    crew->creds = c;
    crew->fd = sign_fd;
    atomic_init(&crew->held, 1);
    for (unsigned i = 0; i < n && !rc; i++)
        rc = worker_add(crew, i);
    crew_leave(crew);
    return rc;
}
