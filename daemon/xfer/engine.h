/* SPDX-License-Identifier: Apache-2.0
 *
 * engine.h - the transfer thread: a uv loop with one curl multi handle and its connections.
 *
 * It gets whole request descriptions, asks the signer itself, moves the bytes, sums them as they
 * pass, and gives back progress and results. One try each, no policy: retries, order and limits
 * are the control loop's.
 */
#ifndef XFER_ENGINE_H
#define XFER_ENGINE_H

#include <stdint.h>
#include <sys/types.h>

#include "core/mailbox.h"
#include "oci/calls.h"
#include "oci/errors.h"
#include "oci/replies.h"
#include "proto/err.h"
#include "proto/types.h"

struct engine;

enum body_from { BODY_NONE, BODY_REQUEST /* oci_request's own bytes */, BODY_FILE };
enum body_to {
    SINK_MEMORY, /* up to max_memory bytes into reply_body */
    SINK_FILE,   /* pwrite at offset */
    SINK_PIPE,   /* write in order; a full pipe pauses the transfer */
};

/* XFER_MD5_LATE: MD5 of a received body when its headers hold a content-md5 and no CRC32C. */
enum { XFER_CRC32C = 1, XFER_MD5 = 2, XFER_MD5_LATE = 4 };

/* An open file shared by the requests of one job; closed with its last reference, in the pool. Any
 * thread may ref and unref. */
struct xfer_file;
struct xfer_file *xfer_file_new(int fd, int slow /* may block: network or FUSE */, dev_t mount);
struct xfer_file *xfer_file_ref(struct xfer_file *f);
void xfer_file_unref(struct xfer_file *f);
int xfer_file_fd(const struct xfer_file *f);

/* The file system that it may hang on, 0: a local one. */
dev_t xfer_file_mount(const struct xfer_file *f);

/* Whom a request moves bytes for. label NULL: nobody, the limits of all hold alone. */
struct xfer_who {
    const char *label; /* of the client, "" without one; borrowed till on_done */
    uint32_t uid;
    uint64_t set; /* 0: none */
};

/* A limit of bandwidth: of all, of a user, of a client of his, of a set. */
struct xfer_limit {
    int scope; /* enum ocp_scope */
    int fixed; /* beside another one of the same scope */
    uint32_t uid;
    uint64_t set;
    char label[65];
    uint64_t bytes_per_s; /* of bodies, both ways together; not 0 */
};

/* Pure: whether it holds for them; whether both are about the same. Any thread. */
int xfer_limit_holds(const struct xfer_limit *l, const struct xfer_who *who);
int xfer_limit_same(const struct xfer_limit *a, const struct xfer_limit *b);

/* What a source was when it was opened. */
struct xfer_source {
    int known; /* 0: nobody looks */
    uint64_t size, inode;
    int64_t mtime_ns;
};

/* One signed request. The control loop fills the first group and posts; until on_done it touches
 * nothing but calls xfer_cancel(). The engine never frees it. */
struct xfer_request {
    struct mail mail;

    /* asked for */
    struct oci_request call; /* owned; finished by the owner after on_done */
    const char *base;        /* "https://host:port", before call.target; borrowed till on_done */
    const char *profile;     /* whose key signs, NULL: not signed; borrowed till on_done */
    const char *what;        /* "object 'b/o'", for sentences; borrowed till on_done */
    int urgent;              /* sent at once, beyond every limit: few are. With priority 255 */
    uint8_t priority;        /* of those that wait the highest is sent first */
    unsigned host_limit;     /* the host is sent so many requests at a time from now on; 0: as it
                                was, at first as many as there are connections */
    int if_absent;           /* for sentences: if-none-match was sent */
    enum body_from from;
    struct xfer_file *file;  /* source or sink; a reference of its own */
    uint64_t offset, length; /* BODY_FILE: bytes to send; SINK_FILE: where to write, most bytes */
    enum body_to to;
    int pipe_fd; /* SINK_PIPE; borrowed */
    size_t max_memory;
    unsigned sums;             /* XFER_CRC32C | XFER_MD5: over the body sent, or received */
    int sum_first;             /* BODY_FILE: CRC32C before sending, and put it into the headers */
    struct xfer_source source; /* BODY_FILE: the last bytes are sent only if, with all of them read,
                                  the file still is this; else OCID_E_SOURCE_CHANGED */
    int ranged;                /* refuse before its first byte whatever is not 206 (or 416) */
    const char *obo_token;     /* delegation token, or NULL; borrowed till on_done */
    struct xfer_who who;
    int apart;     /* not counted among those of its host, nor among the connections */
    int gives_way; /* its bytes pause at times: engine_give_way() */
    void *owner;

    /* read by any thread while it runs */
    _Atomic uint64_t bytes_moved; /* of the body, either direction */
    _Atomic int cancelled;        /* engine_cancel()'s */

    /* answered */
    struct oci_reply reply;
    char *reply_body; /* SINK_MEMORY and error bodies, NUL after reply_len; freed by the owner */
    size_t reply_len;
    uint32_t crc32c;
    uint32_t crc32c_announced; /* sum_first: what the headers said, whatever became of the body */
    unsigned char md5[16];
    struct oc_err err;            /* code 0: 2xx came and all bytes were moved */
    enum oci_kind kind;           /* what a failure is about */
    int has_md5;                  /* md5 was summed */
    unsigned n_sent;              /* libcurl repeats by itself what met a dead connection */
    int sent_any;                 /* bytes of the request may have reached the service */
    uint32_t took_us;             /* from the last byte out to the first byte in; 0: none came */
    int others_wait;              /* signed requests were waiting for a connection at its end */
    int local_sys;                /* errno when our own file or pipe was what failed, else 0 */
    int64_t server_date_offset_s; /* Date of the reply - our clock; 0 without one */

    /* the engine's own */
    struct xfer_job *slot;
};

/* After on_done: frees the call, the answer, and the reference of the file. */
void xfer_request_fini(struct xfer_request *r);

struct engine_options {
    const char *ca_file, *proxy, *no_proxy; /* NULL: system's CAs, no proxy */
    unsigned connect_seconds, stall_seconds, connections, io_per_mount;
    unsigned sign_ahead; /* requests signed or being signed before a connection is free */
    const char *user_agent;
    int sign_fd; /* vault's signing socket; owned from now on */
};

/* Starts the thread; its sign_fd is taken in any case. on_done is called on the control loop, in
 * batches as they come. */
int engine_open(uv_loop_t *control, const struct engine_options *opt,
                void (*on_done)(struct xfer_request *r, void *arg), void *arg, struct engine **ret,
                struct oc_err *err);

/* Cancels everything; each request's on_done has been called before it returns. Blocks for as long
 * as the thread needs to notice, and then at most a second for what hangs in a file system: that is
 * left behind: 0 (it would hang exit(), where libuv waits for its pool: use _exit()); else 1. */
int engine_close(struct engine *e);

/* Posted requests leave with engine_flush(), once a turn of the control loop. */
void engine_post(struct engine *e, struct xfer_request *r);
void engine_flush(struct engine *e);

/* on_done follows soon with OCID_E_CANCELLED, unless the request ended before. */
void engine_cancel(struct engine *e, struct xfer_request *r);

/* New limits and addresses for requests from now on (reload); sign_fd and io_per_mount stay. */
void engine_configure(struct engine *e, const struct engine_options *opt);

/* These limits hold, and no others, for what is in flight, too; they are copied. */
void engine_limit(struct engine *e, const struct xfer_limit *limits, unsigned n);

/* Bytes of requests that give way pause from now on, or go on. However long that is so, they have
 * at least a third of the time. Costs no wake-up. */
void engine_give_way(struct engine *e, int now);

/* The clock of that host (as in oci_request.host) is ahead of ours by so many seconds. A 401 about
 * the clock teaches the engine by itself; the signer must be told by vault_offset() either way. */
void engine_set_clock(struct engine *e, const char *host, int64_t offset_s);

/* A new signer, after the old one has ended; sign_fd is owned from now on. */
void engine_set_signer(struct engine *e, int sign_fd);

struct engine_stats {
    uint64_t requests, bytes_up, bytes_down, connects;
};
void engine_stats(const struct engine *e, struct engine_stats *ret);

#endif
