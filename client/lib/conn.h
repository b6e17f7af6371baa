/* SPDX-License-Identifier: Apache-2.0
 *
 * conn.h - one connection, and what the files call, conn, open and reply know of each other.
 *
 * One thread at a time. Nothing here blocks but lib_await() and lib_connect().
 */
#ifndef LIB_CONN_H
#define LIB_CONN_H

#include <sys/types.h>

#include "lib/convert.h"
#include "proto/frame.h"

enum {
    LIB_MAX_QUEUED = 64 << 20, /* most bytes that may wait to be written; then the caller is told */
    LIB_READ_BYTES = 64 << 10, /* of one recv() */
};

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

/* ---- conn.c: entering and leaving, reading and writing, waiting, the end */

/* Brackets of each public function: refuses forked children, lost connections and blocking calls
 * inside callbacks. lib_leave() frees a connection that was closed meanwhile; returns rc. */
int lib_enter(struct ocid *c, bool blocking);
int lib_leave(struct ocid *c, int rc);

/* How a blocking call waits for its own reply. */
struct lib_wait {
    bool done;
    struct ocid_reply reply;
    struct ocid_failure why;
};
void lib_on_reply(void *user, const struct ocid_reply *reply);

/* A steady clock in milliseconds; its time when timeout_ms from now are over, INT64_MAX: never; and
 * what is left until then, for poll(). */
int64_t lib_now_ms(void);
int64_t lib_deadline(int timeout_ms);
int lib_remaining(int64_t deadline);

/* Marks the call as one whose answer is kept, and runs the connection until *w is done. Code of the
 * reply, or of what ended the wait; c->failure is filled. */
int lib_await(struct ocid *c, uint64_t request, struct lib_wait *w, int64_t deadline);

/* Writes and, if reading, reads what is possible. 0 or why the connection is lost. */
int lib_pump(struct ocid *c, bool reading);

/* Waits for the connection, for fd (-1: none) or for time: 0, OCID_E_TIMED_OUT or OCID_E_DETACHED,
 * with c->failure. *ret_fd and *ret_conn tell what is ready. A lost connection is not watched. */
int lib_poll(struct ocid *c, int fd, int64_t deadline, bool *ret_conn, bool *ret_fd);

/* Closes the socket and ends each call with *why, its callbacks run; quiet: not those, as in a
 * forked child, where the requests are the parent's. lib_lose() fills c->failure, too; returns its
 * code. */
void lib_drop_all(struct ocid *c, const struct oc_err *why, bool quiet);
int lib_lose(struct ocid *c, const struct oc_err *why);

/* The same, and frees it. */
void lib_destroy(struct ocid *c);

/* ---- call.c */

/* A call is made, gets messages and is posted, or dropped. lib_call_new() gives NULL when out of
 * memory; the others fill c->failure. */
struct lib_call *lib_call_new(struct ocid *c, int method, ocid_reply_fn *fn, void *user);
int lib_call_add(struct ocid *c, struct lib_call *call, const void *params, const int *fds,
                 unsigned n_fds, size_t first, size_t n);
int lib_call_post(struct ocid *c, struct lib_call *call, uint64_t *ret_request);
void lib_call_drop(struct lib_call *call);

/* The one end of a call: it has left the list before its callback runs, and is freed after it. */
void lib_call_finish(struct ocid *c, struct lib_call *call);

/* The call that waits under this id, or NULL. Forgetting drops it without a callback; 0: no such.
 */
struct lib_call *lib_call_find(struct ocid *c, uint64_t request);
int lib_call_forget(struct ocid *c, uint64_t request);

/* Whole lists but the first; descriptors that were not sent are closed. */
void lib_frame_free(struct lib_frame *f);
void lib_frames_free(struct lib_frame *f);
void lib_pieces_free(struct lib_piece *p);

/* ---- reply.c */

/* One message's reply into the answer of its call, which ends when it was the last. */
void lib_reply(struct ocid *c, struct lib_piece *p, const struct ocp_envelope *env);

/* An error that the daemon has sent; the place in the array, or -1, goes to *ret_index. */
void lib_reply_error(const struct ocp_span *body, struct oc_err *ret, int64_t *ret_index);

/* ---- open.c */

/* Connects and waits for hello's answer; for ocid_reopen() and ocid_wait(). */
int lib_connect(struct ocid *c, int64_t deadline);

/* hello's answer: the connection is ready. Code of *err. */
int lib_welcome(struct ocid *c, const struct ocp_envelope *env, struct oc_err *err);

#endif
