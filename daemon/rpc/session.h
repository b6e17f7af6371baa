/* SPDX-License-Identifier: Apache-2.0
 *
 * session.h - one client: frames in, replies out, ceilings on both.
 *
 * Control loop.
 */
#ifndef RPC_SESSION_H
#define RPC_SESSION_H

#include "rpc/server.h"

enum {
    SESSION_FRAME_MS = 5000,          /* a frame must be complete within (server.frame_ms) */
    SESSION_OUT_BYTES = 256 << 10,    /* unread output beyond which nothing more is read */
    SESSION_OUT_MAX = 8 << 20,        /* ... and beyond which the client is dropped */
    SESSION_PENDING = 256,            /* requests without a reply ... */
    SESSION_PENDING_BYTES = 64 << 20, /* ... and about the bytes of them: then no more is read */
};

struct session {
    struct session *prev, *next;
    struct server *server;
    uint64_t id;
    int fd;
    uint32_t uid;
    char label[65];
    unsigned version; /* 0: no hello yet */
    unsigned n_pending;
    size_t pending_bytes; /* of all since there was none pending */
    struct oc_buf in, out;
    uv_prepare_t before_poll; /* runs while there is output that was not sent yet */
    int unsent;
    int fds[OCP_MAX_FDS];
    unsigned n_fds;
    uv_poll_t poll;
    uv_timer_t timer; /* runs while a frame is incomplete, until hello, and once it is refused */
    struct follow *follows; /* its questions that wait for a change, on_job.c's */
    struct acting *acting;  /* the last of its requests to act that has not acted yet */
    int timing, events, closing_after_write;
    int stalled; /* frames are in the input, but too many replies are due */
    struct life life;
};

/* Takes fd. */
void session_new(struct server *server, int fd, uint32_t uid);
void session_close(struct session *s);

/* A reply leaves; ends one pending request. */
void session_reply(struct session *s, uint64_t request, int method, const void *result);
void session_error(struct session *s, uint64_t request, const struct oc_err *err, int64_t index);

/* The descriptor that came at that place of the present message; it is the caller's from now on.
 * -1: there is none. */
int session_take_fd(struct session *s, uint64_t place);

/* dispatch.c: one request. */
void dispatch(struct session *s, const struct ocp_envelope *e);

#endif
