/* SPDX-License-Identifier: Apache-2.0
 *
 * server.h - the socket: listens or is activated, checks who connects, accepts.
 *
 * Control loop.
 */
#ifndef RPC_SERVER_H
#define RPC_SERVER_H

#include <uv.h>

#include "core/life.h"
#include "core/loop.h"
#include "jobs/room.h"
#include "proto/frame.h"

struct session;

/* What rpc needs of the rest of the program; all on the control loop. */
struct server_hooks {
    struct room *room;
    struct vault *vault;
    struct engine *engine;
    const char *state_dir; /* outlives the server */
    /* Reads the configuration again; done follows. */
    void (*reload)(void *arg, void (*done)(void *ticket, const struct oc_err *err), void *ticket);
    void *arg;
};

struct server {
    struct loop *loop;
    struct server_hooks hooks;
    int fd, spare_fd; /* spare: given up to answer when descriptors have run out */
    int activated;    /* the socket is systemd's: it is not removed */
    char path[108];
    uv_poll_t poll;
    uv_timer_t rest; /* until it listens again: nobody could even be turned away */
    struct life life;
    struct session *sessions;
    uint64_t next_session, started_at;
    uint64_t frame_ms; /* a frame must be complete within, and hello have come */
    unsigned n_sessions;
    uint32_t uid; /* only this one may connect */
};

/* Takes the socket of systemd if there is one, else makes it at path; a stale one is replaced, a
 * live one is refused. Blocking. */
int server_open(struct server *s, struct loop *loop, const char *path, uint32_t uid,
                const struct server_hooks *hooks, struct oc_err *err);

/* No new clients; those connected stay until server_close(). */
void server_stop(struct server *s);
void server_close(struct server *s);

/* The session of that id, NULL once it is gone. */
struct session *server_session(struct server *s, uint64_t id);

/* ---- for handlers ---- */

/* Who is to be answered; it may be gone when the answer is there. */
struct ticket {
    struct server *server;
    uint64_t session, request;
    int method;
};

void ticket_reply(const struct ticket *t, const void *result);
void ticket_error(const struct ticket *t, const struct oc_err *err, int64_t index);

#endif
