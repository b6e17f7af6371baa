/* SPDX-License-Identifier: Apache-2.0
 *
 * room.h - what the files of the transfer thread share; nobody else includes it.
 *
 * Everything here belongs to the transfer thread, unless a comment says otherwise. Calls named
 * job_ and body_ are made from the top of the loop, never from inside a callback of libcurl's, but
 * for those that end in _cb.
 */
#ifndef XFER_ROOM_H
#define XFER_ROOM_H

#include <curl/curl.h>
#include <openssl/evp.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <uv.h>

#include "core/life.h"
#include "core/mailbox.h"
#include "core/mem.h"
#include "core/work.h"
#include "proto/buf.h"
#include "vault/vault.h"
#include "xfer/engine.h"

enum {
    SMALL_BODY = 64 * 1024,        /* read whole before it is sent */
    BIG_BODY = 1024 * 1024,        /* worth large buffers of libcurl's */
    IO_BYTES = 512 * 1024,         /* one read or write through the pool */
    SUM_BYTES = 1024 * 1024,       /* one step of summing a file before it is sent */
    SIGNED_FOR_MS = 2 * 60 * 1000, /* who waited longer for a connection is signed again */
    SIGNED_LEAST_MS = 100          /* who was signed just now is sent, however old the token */
};

/* One letter to the transfer thread that is not a request. */
struct note {
    struct mail mail;
    enum note_kind {
        NOTE_CANCEL,
        NOTE_CLOCK,
        NOTE_OPTIONS,
        NOTE_LIMITS,
        NOTE_SIGNER,
        NOTE_FILE,
        NOTE_CLOSE
    } kind;
    char *host; /* CLOCK */
    int64_t offset_s;
    struct settings *settings; /* OPTIONS */
    struct xfer_limit *limits; /* LIMITS: n_limits */
    unsigned n_limits;
    int fd;                 /* SIGNER */
    struct xfer_file *file; /* FILE: close it in the pool */
};

/* struct engine_options, owned. */
struct settings {
    char *ca_file, *proxy, *no_proxy, *user_agent;
    unsigned connect_seconds, stall_seconds, connections, sign_ahead;
};

struct xfer_file {
    atomic_uint n_refs;
    int fd;
    int slow; /* direct reads and writes may block for long: always the pool */
    int calm; /* in memory: a plain read cannot block */
    dev_t mount;
    struct note farewell; /* its last way, to the pool */
    struct work work;
};

/* What is known of a host: how its clock differs from ours, the text of its date, kept for a
 * second, and how many requests it may have. */
struct host {
    char *name;
    unsigned limit; /* of requests in libcurl; 0: none of its own */
    unsigned n_running;
    int64_t offset_s;
    int64_t date_at; /* second that date is the text of */
    char date[32];
    struct host *next;
};

/* A limit of bandwidth, and what may move at once. */
struct bucket {
    struct xfer_limit l;
    int64_t left;   /* thousandths of a byte; below zero: moved ahead of time */
    uint64_t at_ms; /* of the last refill */
    unsigned n_waits;
};
enum {
    PACE_MOST = 5 /* limits that can hold for one request: one of each scope, and a fixed one */
};

/* A socket that libcurl wants watched. One of a connection stays watched between two requests, so
 * that the next one costs no system call. */
struct sock {
    uv_poll_t poll;
    struct engine *e;
    CURL *easy; /* that asked for it last */
    int fd;
    int want;   /* UV_ events that libcurl asks for, 0: none */
    int events; /* that poll is started for */
};

/* What is known of a descriptor. */
struct place {
    struct sock *sock; /* NULL: not watched */
    int kept;          /* a connection that has answered: on_close_socket_cb() tells its end */
};

/* An easy handle with its settled options; used again and again. */
struct lane {
    CURL *easy;
    struct engine *e;
    struct xfer_job *job; /* NULL: idle */
    int fd;               /* the socket that libcurl asked to have watched for it last, or -1 */
    struct lane *next;    /* idle ones */
    unsigned generation;  /* of the settings that were applied */
    long buffer, upload_buffer;
    char error[CURL_ERROR_SIZE];
};

/* A piece of file I/O in the pool. Its memory and its file live until the pool has let go, however
 * soon the job ends. */
struct body_io {
    struct work work;
    struct engine *e;
    struct xfer_job *job; /* NULL: cancelled, nobody wants it */
    struct xfer_file *file;
    enum { IO_READ, IO_WRITE, IO_SUM, IO_LOOK } op;
    uint64_t offset; /* absolute */
    char *buf;       /* IO_BYTES */
    size_t len;      /* READ, SUM: wanted; WRITE: filled */
    size_t at;       /* of a finished READ: taken from it so far */

    /* answered by the pool */
    size_t done;
    int sys;
    uint32_t crc;              /* SUM: goes on with this one */
    struct xfer_source source; /* LOOK: what it should be */
    const char *differs;       /* LOOK: what of that is another; NULL: nothing */

    struct body_io *next; /* spare ones */
};

enum move_state {
    MOVE_QUEUED,  /* came in */
    MOVE_READING, /* a small body, or the sum of a large one */
    MOVE_SIGNING,
    MOVE_READY,    /* signed, waits for a connection */
    MOVE_RUNNING,  /* in libcurl */
    MOVE_SETTLING, /* libcurl is done, the last bytes are on their way to the sink */
    MOVE_ENDED,
    N_MOVES
};

/* The engine's half of a request. */
struct xfer_job {
    struct engine *e;
    struct xfer_request *r;
    struct host *to;
    enum move_state state; /* job_enter() is the sole writer */
    struct xfer_job *prev, *next;

    /* signing, headers */
    struct vault_ask ask;
    struct oc_buf string, authorization, url;
    struct curl_slist *lines; /* n_lines_max nodes, pointing to texts that others own */
    size_t n_lines, n_lines_max;
    char date[48], request_id[64], sum[40];
    char host[WIRE_HOST_MAX + 16];
    uint64_t signed_ms, good_ms; /* when, and how long it may be sent after that */
    int n_signed;

    /* in libcurl */
    struct lane *lane;
    uint64_t heard_ms; /* when bytes moved last */
    uint64_t
        stuck_ms; /* since when its file is waited for while nothing moves there, 0: it is not */
    int unsent;   /* bytes in the socket's queue at the last look */
    int paused;   /* by a callback of ours; body_resume() goes on */
    int headers_done; /* of the final answer */
    int to_error;     /* the body is an error's, it goes to memory */
    int enough;       /* of such a body: the transfer was cut there */

    /* limits of bandwidth, pace.c's */
    enum { PACE_NONE, PACE_WAITS, PACE_DUE } pace; /* in engine.paced, in engine.due */
    struct xfer_job *pace_prev, *pace_next;
    size_t granted;              /* bytes taken from the buckets and not moved yet */
    uint16_t buckets[PACE_MOST]; /* places of those that hold for it */
    unsigned n_buckets;

    /* body, either direction */
    uint64_t at;    /* bytes passed */
    uint64_t asked; /* of the source: bytes asked of the pool, at most one piece ahead */
    uint32_t crc_first;
    EVP_MD_CTX *md5;
    int md5_on;
    char *small; /* body of at most SMALL_BODY bytes */
    size_t small_len, small_room;
    struct body_io *busy;          /* in the pool */
    int looked;                    /* at the source, with all of it read */
    const char *differs;           /* what was found: LOOK's */
    struct body_io *have, *behind; /* read: being sent, and the one after it */
    struct body_io *fill;          /* to be written: being filled */
    size_t memory_room;

    /* pipe */
    int pipe_fd; /* a duplicate, -1: none yet */
    int pipe_watched;
    char *rest; /* what the pipe had no room for */
    size_t rest_len, rest_at, rest_room;
};

struct engine {
    uv_loop_t loop;
    struct life life;
    pthread_t thread;
    struct mailbox inbox, notes;

    /* control loop's */
    struct mail_list posted;
    struct mailbox results;
    void (*on_done)(struct xfer_request *r, void *arg);
    void *arg;
    uv_loop_t *control;

    /* transfer thread's */
    int closing;
    struct settings *settings;
    unsigned generation;
    struct vault_link *link;
    struct work_gate *gate;
    struct host *hosts;
    struct xfer_job *queued, *ready, *active, *spare_jobs;
    unsigned n_in[N_MOVES], n_spare_jobs;
    unsigned n_apart; /* of those that run */
    struct body_io *spare_ios;
    unsigned n_spare_ios;
    struct mail_list done;
    EVP_MD *md5;
    CURLM *multi;
    CURLSH *share;
    struct lane *idle_lanes;
    struct place *places; /* by descriptor */
    int n_places;
    uv_timer_t timer; /* libcurl's */
    uv_timer_t tick;  /* looks for stalls while something runs */
    uv_timer_t pace;  /* a bucket is empty: until there is something in it */
    struct bucket *buckets;
    unsigned n_buckets;
    struct xfer_job *paced, *due;    /* that wait for a bucket; that go on in this turn */
    uint64_t way_at_ns, way_left_ns; /* of the last look; how long they may still pause */
    int way_given;
    int pace_turn;   /* which of them and of those that begin come first */
    int pace_begins; /* those that begin have their turn */
    uv_prepare_t flush;
    uv_poll_t pipes; /* an epoll of pipes that are full: nobody's flags are touched */
    int pipes_fd;

    /* any thread's */
    atomic_uint n_holders; /* engine_drop() */
    _Atomic int give_way;  /* engine_give_way() */
    sem_t told;            /* closing: all results have been posted */
    _Atomic uint64_t n_requests, bytes_up, bytes_down, n_connects;
};

/* ---- engine.c ---- */

/* Starts what may be started: prepares requests that wait, gives connections to ready ones. */
void engine_pump(struct engine *e);

/* Ends the requests of all transfers that libcurl has finished. */
void engine_drain(struct engine *e);

/* Runs the rest of closing once the pool has let go. */
void engine_try_shut(struct engine *e);

struct host *engine_host(struct engine *e, const char *name);

/* Milliseconds of the loop's clock, seconds of the wall's. */
uint64_t engine_now_ms(const struct engine *e);
int64_t engine_now_s(void);

/* ---- pace.c ---- */

/* How many of n bytes may move now. 0: the transfer has to pause, body_resume() comes when some
 * may. Then tell how many have moved: all n may, if they cannot be cut. */
size_t pace_ask(struct xfer_job *j, size_t n);
void pace_moved(struct xfer_job *j, size_t n);

/* 0: not now; engine_pump() comes again. */
int pace_may_begin(struct xfer_job *j);

/* So many bytes move unasked. */
void pace_take(struct xfer_job *j, uint64_t n);

/* It waits for no bucket any more; the transfer has ended: what it did not move goes back. */
void pace_leave(struct xfer_job *j);
void pace_end(struct xfer_job *j);

/* So low a limit that its bytes should come in small pieces. */
int pace_is_slow(const struct xfer_job *j);

/* Finds out which limits hold for a new request. */
void pace_resolve(struct xfer_job *j);

/* These and no other limits hold from now on, for what is in flight, too. */
void pace_limits(struct engine *e, const struct xfer_limit *limits, unsigned n);

/* ---- sockets.c ---- */

void sockets_setup(struct engine *e);
curl_socket_t on_open_socket_cb(void *arg, curlsocktype purpose, struct curl_sockaddr *address);
int on_close_socket_cb(void *arg, curl_socket_t fd);

/* The transfer has ended well: its connection may be used again. Before the handle is removed. */
void sockets_keep(struct lane *l);

/* The transfer is broken off: before the handle is removed. */
void sockets_forget(struct lane *l);

/* ---- request.c ---- */

const char *job_what(const struct xfer_job *j);

/* Our own verdict, as oc_fail(); the first one stays. */
void job_fail(struct xfer_job *j, int code, int sys, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

void xfer_job_new(struct engine *e, struct xfer_request *r);
void xfer_job_free(struct xfer_job *j);
void job_prepare(struct xfer_job *j);
void job_sign(struct xfer_job *j);
void job_launch(struct xfer_job *j);
void job_cancel(struct xfer_job *j);

/* libcurl is done with it, or is told to be: takes it from there, judges, settles. */
void job_finish(struct xfer_job *j, CURLcode rc);

/* Ends with the verdict in r->err, after the sink has taken what is on its way to it. */
void job_settle(struct xfer_job *j);
int job_stalled(struct xfer_job *j, uint64_t now_ms);

/* Its own file's system has not answered for so long that others should have the connection. What
 * the pool has of it is left behind. */
int job_is_stuck(struct xfer_job *j, uint64_t now_ms);
void job_give_up_file(struct xfer_job *j);
void lane_free(struct lane *l);

/* ---- body.c: the source, and the sums ---- */

/* Each leads to job_sign() or, with a verdict, to job_settle(). */
void body_read_small(struct xfer_job *j);
void body_sum_first(struct xfer_job *j);

void body_sum_start(struct xfer_job *j);
void body_sum(struct xfer_job *j, const void *bytes, size_t n);
void body_sum_end(struct xfer_job *j);
size_t on_read_cb(char *to, size_t size, size_t n, void *arg);
int on_seek_cb(void *arg, curl_off_t offset, int origin);

/* The pool is done with a piece that the job still wants. */
void body_on_read(struct xfer_job *j, struct body_io *io);

/* Goes on with a paused transfer. */
void body_resume(struct xfer_job *j);

/* Lets go of everything of the body's but the answers; pool work goes on without the job. */
void body_drop(struct xfer_job *j);

/* ---- sink.c ---- */

size_t on_write_cb(char *bytes, size_t size, size_t n, void *arg);
void sink_on_written(struct xfer_job *j, struct body_io *io);
void sink_on_pipes(uv_poll_t *p, int status, int events);
void sink_drop(struct xfer_job *j);

/* 1: the sink has all; 0: it will call job_settle() when that is so. With a verdict only what runs
 * in the pool is waited for. */
int sink_flush(struct xfer_job *j);

/* ---- io.c ---- */

struct body_io *io_get(struct engine *e);
void io_put(struct body_io *io);

/* Hands io to the pool: job->busy until its end. */
void io_submit(struct xfer_job *j, struct body_io *io);

/* What of a source is another than it was, NULL: nothing. 0, or errno of a look that failed. */
int file_look(int fd, const struct xfer_source *was, const char **ret_differs);
void io_spare_free(struct engine *e);

/* Where the last references of slow files go to be closed; NULL: nowhere. Any thread. */
void file_set_closer(struct engine *e);
void file_close_in_pool(struct engine *e, struct xfer_file *f);

/* Starts libcurl, once, with memory that is wiped when it gives it back; libcrypto's, too, if it
 * has not been used before. */
void wipe_init(void);

/* From here on: a token, or what one is made of, is about to pass. Any thread. */
void wipe_from_here(void);

#endif
