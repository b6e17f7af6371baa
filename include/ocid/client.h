/* SPDX-License-Identifier: Apache-2.0
 *
 * client.h - libocid: hand jobs to the local ocid daemon and follow them.
 *
 *   struct ocid *c;
 *   struct ocid_failure why;
 *   if (ocid_open(NULL, 5000, &c, &why))
 *       return complain(why.text);
 *   struct ocid_job job = ocid_job_of(OCID_KIND_PUT);
 *   uint64_t id;
 *   job.bucket = "photos";
 *   job.object = "2024/cat.jpg";
 *   if (ocid_source(&job, "/home/me/cat.jpg", -1, &why) || ocid_submit(c, &job, 1, 5000, &id) ||
 *       ocid_wait(c, &id, 1, -1, NULL, NULL))
 *       return complain(ocid_failure(c)->text);
 *   ocid_close(c);
 *
 * Promises, for every function:
 *
 *   Errors    0 (or a count) is success, a negative number is one of OCID_E_ of ocid/error.h; the
 *             sentence is in ocid_failure(c). What has failed has not changed its ret_ arguments,
 *             unless its comment says otherwise. Out of memory is an error like others. The library
 *             never aborts, prints, raises a signal, changes a signal handler or starts a thread.
 *   Strings   are UTF-8 and end with NUL; paths are any bytes that end with NUL. NULL is absent.
 *             What a caller passes is borrowed for the call alone. Names in answers come from the
 *             service and may have control bytes in them: escape them before a terminal sees them.
 *   Answers   that a blocking call gives by pointer belong to the connection and last until the
 *             next call on it; those that a callback gets last until it returns.
 *   Units     sizes are bytes, times milliseconds: ..._at since 1970, ..._ms a length of time.
 *   Time      timeout_ms is for the whole call; negative waits without end, 0 does what can be done
 *             at once. OCID_E_TIMED_OUT leaves the request with the daemon: it may still be done,
 *             its reply is dropped. An idempotency key makes a second submit harmless.
 *   Threads   a connection serves one thread at a time; connections do not share anything. Only
 *             ocid_interrupt() may be called from elsewhere, signal handlers included.
 *   Fork      a child must not use its parent's connection: all calls but ocid_close() and
 *             ocid_reopen() answer OCID_E_STATE there and leave the parent's alone.
 *   Exec      all descriptors are close-on-exec. Those that a caller passes stay the caller's: the
 *             library has its own copies until they are sent.
 *   Growth    structs get new fields at their end only; those that a caller fills carry their own
 *             size, set by their ..._of() function.
 */
#ifndef OCID_CLIENT_H
#define OCID_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <ocid/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OCID_API __attribute__((visibility("default")))

/* A number that the daemon has not told. */
#define OCID_UNKNOWN UINT64_MAX

/* ---- What went wrong ------------------------------------------------------------------------ */

struct ocid_failure {
    int code;              /* OCID_E_…, 0: nothing has failed */
    int sys;               /* errno, or 0 */
    int http_status;       /* 0: no answer of the service is behind this */
    int64_t index;         /* place in the caller's array of what was refused, or -1 */
    char service_code[64]; /* the service's own error code, or "" */
    char request_id[128];  /* opc-request-id, or "" */
    char text[512];        /* one sentence, with the names in it, control bytes escaped */
};

/* "not_found", its general sentence, the exit status ocictl would end with, and the command that
 * mends it (NULL: there is none that always does). */
OCID_API const char *ocid_error_name(int code);
OCID_API const char *ocid_error_text(int code);
OCID_API int ocid_error_exit(int code);
OCID_API const char *ocid_error_mend(int code);

/* "text (404 ObjectNotFound, request 1F3C)", cut to size, ended with NUL. Returns out. */
OCID_API char *ocid_failure_print(const struct ocid_failure *why, char *out, size_t size);

/* ---- The connection ------------------------------------------------------------------------- */

struct ocid; /* a connection */

struct ocid_options {
    size_t struct_size;
    const char *socket;   /* path; NULL: the daemon of this user, else the one of the system */
    const char *label;    /* fair sharing is among labels; NULL: among users */
    const char *software; /* name and version of the calling program; NULL: libocid's */
};

static inline struct ocid_options ocid_options_of(void)
{
    struct ocid_options o;
    memset(&o, 0, sizeof o);
    o.struct_size = sizeof o;
    return o;
}

/* Connects and says hello. opt may be NULL. *ret is freed by ocid_close(). why (may be NULL) tells
 * what went wrong: OCID_E_NO_DAEMON, OCID_E_DENIED_PEER, OCID_E_VERSION (the sentence names the
 * side to restart), OCID_E_TIMED_OUT, …. */
OCID_API int ocid_open(const struct ocid_options *opt, int timeout_ms, struct ocid **ret,
                       struct ocid_failure *why);

/* The same without waiting for the answer to hello, for event loops. Requests may be sent at once;
 * they leave when the daemon has welcomed us, and fail as hello does. */
OCID_API int ocid_begin(const struct ocid_options *opt, struct ocid **ret,
                        struct ocid_failure *why);

/* Connects again, with the same options: after the daemon has gone, or in a forked child. Requests
 * without a reply end with OCID_E_NO_DAEMON first. */
OCID_API int ocid_reopen(struct ocid *c, int timeout_ms);

/* Ends requests without a reply with OCID_E_DETACHED (their jobs go on) and frees. NULL is allowed;
 * so is a call from inside a callback. */
OCID_API void ocid_close(struct ocid *c);

/* Of the last call on c that failed; never NULL, lives as long as c. */
OCID_API const struct ocid_failure *ocid_failure(const struct ocid *c);

struct ocid_info {
    unsigned version;     /* of the protocol, as agreed */
    uint64_t epoch;       /* sequence numbers of another epoch mean nothing */
    uint64_t pid;         /* the daemon's */
    const char *software; /* name and version of the daemon */
    const char *uuid;     /* of the daemon's database: job ids belong to it */
    const char *features; /* names, separated by spaces */
    const char *socket;   /* path of the socket */
};

/* What the daemon said at hello; NULL before that. Lives until ocid_reopen() or ocid_close(). */
OCID_API const struct ocid_info *ocid_info(const struct ocid *c);

/* Makes the blocking call that runs now, or else the next one, return OCID_E_DETACHED. From a
 * signal handler or another thread, too; c must not be closed meanwhile. */
OCID_API void ocid_interrupt(struct ocid *c);

/* ---- Jobs ----------------------------------------------------------------------------------- */

enum ocid_kind {
    OCID_KIND_PUT,       /* upload a file, passed bytes or a pipe */
    OCID_KIND_GET,       /* download an object into a file or a pipe */
    OCID_KIND_LIST,      /* list objects into a pipe or a file */
    OCID_KIND_HEAD,      /* ask for an object's headers */
    OCID_KIND_DELETE,    /* delete an object */
    OCID_KIND_MKBUCKET,  /* make a bucket */
    OCID_KIND_BUCKETS,   /* list buckets into a pipe */
    OCID_KIND_WHOAMI,    /* ask who the profile's user is */
    OCID_KIND_NAMESPACE, /* ask for the tenancy's namespace */
    OCID_KIND_SET,       /* a group of jobs, added to and sealed */
    OCID_KIND_PULL,      /* a set that downloads a prefix below a directory */
    OCID_KIND_UPLOADS,   /* list a bucket's unfinished multipart uploads into a pipe */
    OCID_KIND_ABORT,     /* abort one of them, unless a job of the daemon is at work on it */
    OCID_KIND_SHARE,     /* make a link for those who have no credentials; outcome.result: "url",
                            "expires", "share_id". Whoever has the url has what it allows */
    OCID_KIND_SHARES,    /* list a bucket's links (without the urls) into a pipe */
    OCID_KIND_REVOKE,    /* end one of them before its time */
    OCID_KIND_WATCH      /* wait until an object appears, changes or is gone */
};

enum ocid_state {
    OCID_STATE_QUEUED,
    OCID_STATE_RUNNING,
    OCID_STATE_WAITING, /* for what enum ocid_why names */
    OCID_STATE_PAUSED,
    OCID_STATE_DONE, /* this and the following are final */
    OCID_STATE_FAILED,
    OCID_STATE_CANCELLED
};

enum ocid_why {
    OCID_WHY_NONE,
    OCID_WHY_RETRY,
    OCID_WHY_LOCKED,
    OCID_WHY_LOGIN,
    OCID_WHY_FILE,
    OCID_WHY_SPACE,
    OCID_WHY_DESTINATION,
    OCID_WHY_PUBLISH,
    OCID_WHY_AFTER,
    OCID_WHY_NETWORK,
    OCID_WHY_MEMBERS,
    OCID_WHY_OBJECT
};

enum ocid_verified {
    OCID_VERIFIED_NONE,
    OCID_VERIFIED_CRC32C,
    OCID_VERIFIED_MD5,
    OCID_VERIFIED_LENGTH
};

enum ocid_access { OCID_ACCESS_READ, OCID_ACCESS_WRITE, OCID_ACCESS_READ_WRITE };

/* Names as on the wire ("put", "waiting"); "unknown" for a value that is none. */
OCID_API const char *ocid_kind_name(int kind);
OCID_API const char *ocid_state_name(int state);
OCID_API const char *ocid_why_name(int why);
OCID_API const char *ocid_verified_name(int verified);

/* The value of a name, or -1. */
OCID_API int ocid_kind_find(const char *name);
OCID_API int ocid_state_find(const char *name);

static inline bool ocid_state_final(int state)
{
    return state >= OCID_STATE_DONE;
}

struct ocid_pair {
    const char *key, *value;
};

/* What is to be done. Begin with ocid_job_of(), then set what the kind needs. */
struct ocid_job {
    size_t struct_size;
    enum ocid_kind kind;
    int fd; /* put: the source, get, lists: a pipe or file to write; -1: none */

    /* What and where */
    const char *bucket;
    const char *name_space;  /* NULL: the tenancy's own */
    const char *object;      /* object name; pull, list, shares: the prefix */
    const char *source;      /* put: absolute path; see ocid_source() */
    const char *dest;        /* get, list: absolute path; pull: a directory */
    const char *compartment; /* mkbucket, buckets; NULL: the tenancy */
    const char *version_id;  /* get, head, delete: this version of the object */
    uint64_t below;          /* get: bytes of dest that must exist, the rest is made; 0: all */
    uint64_t offset, length; /* get into a pipe: first byte, and how many at most; 0: to the end */
    bool spool;              /* put: copy the descriptor's bytes before the reply; a pipe's
                                as they come: see reading in struct ocid_status */

    /* put: identity of the source when it was submitted; see ocid_source() */
    bool identified; /* the next five are set */
    uint64_t size, dev, inode;
    int64_t mtime_ns, ctime_ns;

    /* put: stored with the object */
    const char *content_type, *content_encoding, *content_language, *content_disposition;
    const char *cache_control, *storage_tier;
    const struct ocid_pair *metadata; /* names without opc-meta- */
    size_t n_metadata;                /* at most 64 */

    /* How */
    const char *if_match;
    bool if_absent;      /* put: only if there is no such object */
    bool overwrite;      /* get, pull, list: replace an existing file */
    uint64_t part_bytes; /* put: 0: the daemon chooses */

    /* list */
    const char *delimiter; /* "/" */
    const char *start;     /* first name */
    const char *end;       /* names before it */
    const char *fields;    /* to ask for, separated by commas */
    uint64_t limit;        /* most rows; 0: all */

    /* Any */
    const char *profile; /* of ~/.oci/config; NULL: the daemon's default */
    int priority;        /* 0 to 9, higher first; -1: 4 */
    const char *label;   /* free text for people */
    uint64_t set;        /* id of the set that it joins; 0: none */
    const uint64_t *after;
    size_t n_after;      /* at most 1000 ids of jobs that must be done first */
    const char *key;     /* idempotency key: the same key twice is one job */
    uint64_t timeout_ms; /* fail when not done after this time; 0: never */

    const char *upload_id; /* abort: of struct ocid_row */
    bool in_memory;        /* put, with spool: see ocid_bytes(); in answers: it is kept there */

    /* share, revoke */
    enum ocid_access access; /* what the link allows */
    bool prefix;             /* any object whose name begins with `object`; else that one */
    bool listing;            /* of a prefix that may be read: and its names listed */
    uint64_t expires_at;     /* when the link ends, milliseconds since 1970 */
    const char *share_id;    /* revoke: of struct ocid_row */

    /* watch: until the object is there, or as these say; */
    const char *if_none_match; /* and has another etag than this */
    bool gone;                 /* is there no more */
    uint64_t every_ms;         /* longest time between looks; 0: 30 s */
};

static inline struct ocid_job ocid_job_of(enum ocid_kind kind)
{
    struct ocid_job job;
    memset(&job, 0, sizeof job);
    job.struct_size = sizeof job;
    job.kind = kind;
    job.fd = -1;
    job.priority = -1;
    return job;
}

/* Makes a regular file the source of a put: job->source = path (borrowed) and the identity that the
 * daemon compares when it opens the path later. Links are followed. fd >= 0 is the same file,
 * open: it is looked at instead of the path. Does not set job->fd. OCID_E_FILE, OCID_E_INVALID
 * for a path that is not absolute. why may be NULL. */
OCID_API int ocid_source(struct ocid_job *job, const char *path, int fd, struct ocid_failure *why);

/* A sealed memfd with a copy of n bytes, for job.fd of a put (with job.spool: on disk before the
 * reply; with job.in_memory as well, the daemon may keep the memfd open instead, which is quicker,
 * and the job fails with OCID_E_LOST if the daemon ends before it). The caller closes *ret_fd. why
 * may be NULL. */
OCID_API int ocid_bytes(const void *bytes, size_t n, int *ret_fd, struct ocid_failure *why);

/* Gives n jobs to the daemon; ret_ids has room for n. An id given here is on disk. Large arrays
 * travel as several messages (below 1 MiB, 1000 jobs and 64 descriptors each), each taken whole or
 * not at all. After a failure ret_ids of the jobs that were taken are set, those of the others 0,
 * and ocid_failure(c)->index is the one that was refused, or the first without an id. */
OCID_API int ocid_submit(struct ocid *c, const struct ocid_job *jobs, size_t n, int timeout_ms,
                         uint64_t *ret_ids);

/* Submits a put that is fed from a pipe, or a get into one; *ret_fd is our end, blocking, closed by
 * the caller. A writer closes it at the end of the data; a writer that dies looks the same, so
 * cancel the job to give up. What became of the job says ocid_wait(). */
OCID_API int ocid_put_pipe(struct ocid *c, const struct ocid_job *job, int timeout_ms,
                           uint64_t *ret_id, int *ret_fd);
OCID_API int ocid_get_pipe(struct ocid *c, const struct ocid_job *job, int timeout_ms,
                           uint64_t *ret_id, int *ret_fd);

struct ocid_outcome {
    int error;              /* OCID_E_…, 0: not failed */
    const char *error_name; /* as the daemon says it; NULL: not failed */
    const char *text;       /* sentence for people, or NULL */
    int http_status;
    const char *service_code, *request_id;
    const char *etag, *version_id;
    enum ocid_verified verified;
    uint64_t bytes;                 /* of the object; OCID_UNKNOWN */
    const struct ocid_pair *result; /* head, whoami, namespace, mkbucket: what was asked for */
    size_t n_result;
};

struct ocid_status {
    uint64_t id;
    enum ocid_state state;
    enum ocid_why why;
    uint64_t seq;                            /* number of its last change */
    uint64_t created_at, ended_at, retry_at; /* 0: not told */
    uint64_t tries;
    uint64_t bytes_done, bytes_total;                /* total: OCID_UNKNOWN while unknown */
    uint64_t parts_done, parts_total;                /* the same */
    uint64_t n_total, n_done, n_failed, n_cancelled; /* set: members */
    bool sealed;
    bool reading; /* put of a pipe: its end is still to be read; until then it ends with the daemon
                   */
    const struct ocid_job *job;         /* what was submitted; NULL: not told */
    const struct ocid_outcome *outcome; /* what came of it so far; NULL: nothing yet */
    const char *held;                   /* the limit that holds it back, a sentence; NULL: none */
};

struct ocid_page {
    uint64_t epoch, seq; /* for the next question */
    bool more;           /* there is more: ask again at once */
    uint64_t cursor;     /* of a list of jobs: where the next page begins; 0: nowhere */
    const struct ocid_status *jobs;
    size_t n_jobs;
};

/* Which jobs: by ids, by set, or (neither) everything of mine since a number. */
struct ocid_query {
    size_t struct_size;
    const uint64_t *ids;
    size_t n_ids;          /* at most 1000 */
    uint64_t set;          /* 0: none */
    uint64_t epoch, since; /* of an earlier page; 0: everything */
    uint64_t wait_ms;      /* wait so long for a change after `since` */
    uint64_t limit;        /* most jobs; 0: the daemon chooses */
    uint64_t calm_ms;      /* a change that ends no job is told only after so long */
};

static inline struct ocid_query ocid_query_of(void)
{
    struct ocid_query q;
    memset(&q, 0, sizeof q);
    q.struct_size = sizeof q;
    return q;
}

/* One answer of the daemon. */
OCID_API int ocid_status(struct ocid *c, const struct ocid_query *q, int timeout_ms,
                         const struct ocid_page **ret);

/* Hears of jobs. Something else than 0 ends the call that it is called from. */
typedef int ocid_status_fn(void *user, const struct ocid_status *job);

/* Waits until n jobs (or sets) have ended. on_change (may be NULL) hears of each job once at first
 * and then of its changes, some ten times a second at most; of its end exactly once, at once. 0
 * when all are done; else the error of the first in the array that is not (OCID_E_CANCELLED for a
 * cancelled one), its place in ocid_failure(c)->index. OCID_E_NOT_FOUND at once for an id that is
 * none. What on_change returned if it was not 0. Connects again when the daemon is restarted
 * meanwhile. */
OCID_API int ocid_wait(struct ocid *c, const uint64_t *ids, size_t n, int timeout_ms,
                       ocid_status_fn *on_change, void *user);

/* A table of jobs, newest first. state -1: any; set 0: no members of sets; limit 0: all. Returns
 * what on_job returned if it was not 0. */
OCID_API int ocid_jobs(struct ocid *c, int state, uint64_t set, uint64_t limit, int timeout_ms,
                       ocid_status_fn *on_job, void *user);

enum ocid_act {
    OCID_ACT_CANCEL, /* ends jobs */
    OCID_ACT_PAUSE,  /* stops jobs until they are resumed */
    OCID_ACT_RESUME, /* undoes pause; a waiting job tries at once */
    OCID_ACT_RETRY,  /* queues failed or cancelled jobs again */
    OCID_ACT_SEAL    /* no more members will be added to these sets */
};

struct ocid_ack {
    uint64_t id;
    int state;        /* enum ocid_state now, or -1: not told */
    int error;        /* OCID_E_…: nothing was done with it; 0: done */
    const char *text; /* the sentence of the error, or NULL */
};

/* Acts on jobs; the id of a set stands for all its members. ret (may be NULL) gets one ack for each
 * id, in order. 0 when all were acted on, else the error of the first that was not, with its place
 * in ocid_failure(c)->index; *ret is set then, too, if the daemon answered all. */
OCID_API int ocid_act(struct ocid *c, enum ocid_act act, const uint64_t *ids, size_t n,
                      int timeout_ms, const struct ocid_ack **ret);

/* ---- Objects and buckets -------------------------------------------------------------------- */

struct ocid_row {
    const char *name;   /* object or bucket, or NULL; uploads: the object to be */
    const char *prefix; /* instead of name: a common prefix */
    uint64_t size;      /* OCID_UNKNOWN */
    const char *etag, *md5, *time_created, *time_modified, *storage_tier, *archival_state;
    const char *upload_id;  /* uploads; size is that of the parts which have arrived */
    uint64_t parts;         /* uploads: how many they are; else OCID_UNKNOWN */
    uint64_t job;           /* uploads, shares: the job whose it is; 0: none of yours */
    const char *share_id;   /* shares: name or prefix is what the link opens */
    const char *share_name; /* shares: what it is called at the service */
    const char *access;     /* shares: "read", "write", "read_write" */
    const char *time_expires;
    bool listing; /* shares: names may be listed */
};

/* Something else than 0 ends the listing. */
typedef int ocid_row_fn(void *user, const struct ocid_row *row);

/* Lists the objects of a bucket (job->kind OCID_KIND_LIST), the buckets of a compartment
 * (OCID_KIND_BUCKETS) the unfinished uploads of a bucket (OCID_KIND_UPLOADS) or its
 * links (OCID_KIND_SHARES); rows are read as they come, a million takes no more memory than one.
 * on_change (may be NULL; must not make calls that wait) hears what the job waits for. 0 when all
 * rows were given; a listing that is cut short is an error. Returns what a callback returned if it
 * was not 0; the job ends then. */
OCID_API int ocid_list(struct ocid *c, const struct ocid_job *job, int timeout_ms,
                       ocid_row_fn *on_row, ocid_status_fn *on_change, void *user);

/* ---- The daemon ----------------------------------------------------------------------------- */

enum ocid_scope {
    OCID_SCOPE_ALL,    /* all transfers of the daemon */
    OCID_SCOPE_USER,   /* those of a user */
    OCID_SCOPE_CLIENT, /* those of a client of a user: a label of struct ocid_options */
    OCID_SCOPE_SET     /* those of a set, as long as it has not ended */
};

/* A limit; OCID_UNKNOWN is what a caller does not say, or what an answer does not limit. */
struct ocid_limit {
    size_t struct_size;
    enum ocid_scope scope;
    uint64_t uid;         /* user, client; OCID_UNKNOWN: the caller's own */
    const char *label;    /* client */
    uint64_t set;         /* set */
    uint64_t bytes_per_s; /* of bodies, both ways together; 0 lifts it */
    uint64_t jobs;        /* durable jobs at work at a time, small ones apart; 0 lifts it */
    uint64_t at_work, at_work_small; /* in answers: jobs at work */
    bool configured;                 /* in answers: it stands in ocid.conf */
};

static inline struct ocid_limit ocid_limit_of(enum ocid_scope scope)
{
    struct ocid_limit limit;
    memset(&limit, 0, sizeof limit);
    limit.struct_size = sizeof limit;
    limit.scope = scope;
    limit.uid = limit.bytes_per_s = limit.jobs = OCID_UNKNOWN;
    return limit;
}

struct ocid_stats {
    const char *software; /* name and version of the daemon */
    uint64_t pid, uptime_ms, clients;
    uint64_t queued, running, waiting, paused; /* jobs of yours */
    uint64_t requests, retries, bytes_up, bytes_down;
    uint64_t in_flight, in_flight_limit;
    const struct ocid_pair *profiles; /* names and the state of their keys */
    size_t n_profiles;
    const char *config;    /* path of the configuration that was read; NULL: there is none */
    const char *state_dir; /* of the queue; NULL: an older daemon */
    uint64_t descriptors;  /* that the daemon may have open; 0: an older daemon */
    const struct ocid_limit *limits; /* that hold for you, and of all */
    size_t n_limits;
};

OCID_API int ocid_stats(struct ocid *c, int timeout_ms, const struct ocid_stats **ret);

/* Sets or lifts a limit: it holds at once, for what is in flight, too, and over restarts. The
 * answer tells which limits hold now. OCID_E_DENIED: only root and the daemon's own user may limit
 * others. OCID_E_NOT_FOUND, OCID_E_STATE: a set that is none, or has ended. */
OCID_API int ocid_limit(struct ocid *c, const struct ocid_limit *limit, int timeout_ms,
                        const struct ocid_stats **ret);

/* Reads the configuration again. OCID_E_CONFIG names the line at fault; the old one stays then. */
OCID_API int ocid_reload(struct ocid *c, int timeout_ms);

/* Opens an encrypted key: fd is the reading end of a pipe that gives the pass phrase; the daemon
 * passes it on unread. profile NULL: the daemon's default; ttl_ms 0: until ocid_lock(). ret and
 * ret_n (may be NULL): profile names and the state of their keys. */
OCID_API int ocid_unlock(struct ocid *c, const char *profile, int fd, uint64_t ttl_ms,
                         int timeout_ms, const struct ocid_pair **ret, size_t *ret_n);

/* Wipes keys. profile NULL: all. */
OCID_API int ocid_lock(struct ocid *c, const char *profile, int timeout_ms,
                       const struct ocid_pair **ret, size_t *ret_n);

/* ---- Event loops ---------------------------------------------------------------------------- */

/* Watch ocid_fd() for ocid_events() (POLLIN, POLLOUT of poll.h) and call ocid_dispatch() when one
 * comes. Ask for both again after each call on c: events change, and ocid_reopen() changes the
 * descriptor. The blocking calls above do just this. */
OCID_API int ocid_fd(const struct ocid *c);
OCID_API short ocid_events(const struct ocid *c);

/* Reads and writes what is possible without waiting and calls callbacks. The number of callbacks
 * called, or a negative error when the connection has ended; by then all callbacks were called. */
OCID_API int ocid_dispatch(struct ocid *c);

/* The reply to one request; only what belongs to it is set. */
struct ocid_reply {
    uint64_t request;                   /* what ocid_send_…() returned */
    const struct ocid_failure *failure; /* NULL: success */
    const uint64_t *ids;                /* submit: n of them; 0: not taken */
    const struct ocid_page *page;       /* status, jobs */
    const struct ocid_ack *acks;        /* act: n of them; NULL unless all were answered */
    const struct ocid_stats *stats;     /* stats, limit */
    const struct ocid_pair *profiles;   /* unlock, lock: n of them */
    size_t n;
};

/* Called once for each request: from ocid_dispatch(), ocid_reopen(), ocid_close() or a blocking
 * call, never from the call that sent it. May send requests and may close the connection; blocking
 * calls answer OCID_E_STATE here. */
typedef void ocid_reply_fn(void *user, const struct ocid_reply *reply);

/* Queue one request and return at once. *ret_request (may be NULL) is its number, never 0. Bytes
 * and descriptors are copied. Order of replies is not order of requests. */
OCID_API int ocid_send_submit(struct ocid *c, const struct ocid_job *jobs, size_t n,
                              ocid_reply_fn *fn, void *user, uint64_t *ret_request);
OCID_API int ocid_send_status(struct ocid *c, const struct ocid_query *q, ocid_reply_fn *fn,
                              void *user, uint64_t *ret_request);
OCID_API int ocid_send_jobs(struct ocid *c, int state, uint64_t set, uint64_t cursor,
                            uint64_t limit, ocid_reply_fn *fn, void *user, uint64_t *ret_request);
OCID_API int ocid_send_act(struct ocid *c, enum ocid_act act, const uint64_t *ids, size_t n,
                           ocid_reply_fn *fn, void *user, uint64_t *ret_request);
OCID_API int ocid_send_stats(struct ocid *c, ocid_reply_fn *fn, void *user, uint64_t *ret_request);
OCID_API int ocid_send_limit(struct ocid *c, const struct ocid_limit *limit, ocid_reply_fn *fn,
                             void *user, uint64_t *ret_request);
OCID_API int ocid_send_reload(struct ocid *c, ocid_reply_fn *fn, void *user, uint64_t *ret_request);
OCID_API int ocid_send_unlock(struct ocid *c, const char *profile, int fd, uint64_t ttl_ms,
                              ocid_reply_fn *fn, void *user, uint64_t *ret_request);
OCID_API int ocid_send_lock(struct ocid *c, const char *profile, ocid_reply_fn *fn, void *user,
                            uint64_t *ret_request);

/* The callback of this request will not be called any more; the daemon goes on with it. 0, or
 * OCID_E_NOT_FOUND. */
OCID_API int ocid_forget(struct ocid *c, uint64_t request);

#ifdef __cplusplus
}
#endif

#endif
