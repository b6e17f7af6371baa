/* SPDX-License-Identifier: Apache-2.0
 *
 * conn.h - one connection: socket, hello, frames out and in, calls that wait for replies.
 *
 * One thread at a time. Nothing here blocks but lib_await() and lib_connect().
 */
#ifndef LIB_CONN_H
#define LIB_CONN_H

#include <sys/types.h>

#include "lib/convert.h"
#include "proto/frame.h"

/* Most bytes that may wait to be written: a caller that never dispatches is told so. */
enum { LIB_MAX_QUEUED = 64 << 20 };

/* One message that waits to be written; it owns its descriptors. */
struct lib_frame {
    struct lib_frame *next;
    struct oc_buf bytes;
    uint64_t id;
    size_t sent;
    unsigned n_fds; /* not sent yet */
    int fds[OCP_MAX_FDS];
};

/* One message that waits for its reply: elements first..first+n of its call. */
struct lib_piece {
    struct lib_piece *next;
    struct lib_call *call; /* NULL: forgotten */
    uint64_t id;
    size_t first, n;
};

/* One request of the API: one message or several. */
struct lib_call {
    struct lib_call *next;
    uint64_t request; /* id of its first message */
    int method;
    bool keep; /* a blocking call: its answer outlives the callback */
    ocid_reply_fn *fn;
    void *user;

    /* until it is posted */
    struct lib_frame *frames, **frames_end;
    struct lib_piece *pieces, **pieces_end;
    size_t bytes;

    /* the answer, as it gathers */
    size_t n_left; /* messages without a reply */
    struct ocid_failure why;
    struct ocid_reply reply;
    struct lib_arena arena;
    uint64_t *ids;         /* submit: reply.n of them, in the arena or a blocking caller's */
    struct ocid_ack *acks; /* act: the same */
};

enum lib_state { LIB_LOST, LIB_HELLO, LIB_READY };

struct ocid {
    /* set at open */
    char *socket, *label, *software;
    bool named; /* the caller gave the socket's path */
    pid_t pid;
    int wake_fd; /* eventfd of ocid_interrupt() */

    /* the connection */
    int fd;
    enum lib_state state;
    struct oc_err lost; /* why, in LIB_LOST */
    bool hello_out;     /* hello has not left as a whole: nothing else may */
    bool write_broken;  /* the daemon reads no more; what it has written is still to be read */
    struct oc_buf in;
    struct lib_frame *out, **out_end;
    size_t out_bytes;
    uint64_t fds_out; /* message with descriptors that was sent and not answered; 0: none */
    struct lib_piece *pieces, **pieces_end;
    struct lib_call *calls, **calls_end;
    uint64_t next_id;

    /* what the daemon said at hello */
    struct ocid_info info;
    struct lib_arena info_arena;
    size_t max_frame;
    uint32_t max_jobs;

    /* for the caller */
    struct ocid_failure failure;
    struct lib_arena kept; /* answer of the last blocking call */
    unsigned busy;         /* entered functions that still need this struct */
    bool in_callback, closing;
    unsigned n_called;
};

/* Fills c->failure; returns its code. */
int lib_failed(struct ocid *c, const struct oc_err *err, int64_t index);
int lib_fail(struct ocid *c, int code, int sys, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Brackets of each public function: refuses forked children, lost connections and blocking calls
 * inside callbacks. lib_leave() frees a connection that was closed meanwhile; returns rc. */
int lib_enter(struct ocid *c, bool blocking);
int lib_leave(struct ocid *c, int rc);

/* A call is made, gets messages and is posted, or dropped. lib_call_new() gives NULL when out of
 * memory; the others fill c->failure. */
struct lib_call *lib_call_new(struct ocid *c, int method, ocid_reply_fn *fn, void *user);
int lib_call_add(struct ocid *c, struct lib_call *call, const void *params, const int *fds,
                 unsigned n_fds, size_t first, size_t n);
int lib_call_post(struct ocid *c, struct lib_call *call, uint64_t *ret_request);
void lib_call_drop(struct lib_call *call);

/* How a blocking call waits for its own reply. */
struct lib_wait {
    bool done;
    struct ocid_reply reply;
    struct ocid_failure why;
};
void lib_on_reply(void *user, const struct ocid_reply *reply);

/* Milliseconds of a steady clock when timeout_ms from now are over. */
int64_t lib_deadline(int timeout_ms);

/* Marks the call as one whose answer is kept, and runs the connection until *w is done. Code of the
 * reply, or of what ended the wait; c->failure is filled. */
int lib_await(struct ocid *c, uint64_t request, struct lib_wait *w, int64_t deadline);

/* Writes and, if reading, reads what is possible. 0 or why the connection is lost. */
int lib_pump(struct ocid *c, bool reading);

/* Waits for the connection, for fd (-1: none) or for time: 0, OCID_E_TIMED_OUT or OCID_E_DETACHED,
 * with c->failure. *ret_fd and *ret_conn tell what is ready. A lost connection is not watched. */
int lib_poll(struct ocid *c, int fd, int64_t deadline, bool *ret_conn, bool *ret_fd);

/* Connects and waits for hello's answer; for ocid_reopen() and ocid_wait(). */
int lib_connect(struct ocid *c, int64_t deadline);

#endif
