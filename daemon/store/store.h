/* SPDX-License-Identifier: Apache-2.0
 *
 * store.h - the queue on disk: SQLite on a thread of its own, many changes to one commit.
 *
 * The control loop posts operations and hears of each after its commit (WAL, synchronous=FULL),
 * in the order of posting. No policy here: a row is what the jobs room says it is.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdint.h>

#include "core/mailbox.h"
#include "proto/err.h"
#include "proto/types.h"

struct store;

/* A row of `jobs`. spec and outcome are packed messages (job, outcome); outcome.n is 0 for none.
 * state is an enum ocp_state: only queued, paused and the three final ones are ever written. */
struct store_job {
    uint64_t id, set; /* set 0: none */
    uint32_t uid;
    int kind, state, sealed;
    int64_t created_at, ended_at; /* ended_at 0: not final */
    struct ocp_str client, key, spec, outcome;
};

/* How far the transfer of one job has come; what it means is the planner's business. */
struct store_xfer {
    uint64_t job;
    int phase;
    uint64_t total, part_bytes; /* total: see below */
    struct ocp_str remote_id;   /* upload id */
    int has_crc32c;             /* put: what the object's sums have to be, from its commit on */
    uint32_t crc32c;
    struct ocp_str md5;    /* that of a multipart object; n 0: not known */
    struct ocp_str etag;   /* get: the object's */
    struct ocp_str cursor; /* pull, list: next name; get: name of the part file */
};

/* The total of a put whose pipe has not ended. */
#define STORE_TOTAL_UNKNOWN UINT64_MAX

struct store_part {
    uint64_t job;
    uint32_t part_no;
    uint64_t bytes;
    uint32_t crc32c;
    struct ocp_str etag;
};

/* A member of a set has a larger id than its set. */
enum store_verb {
    STORE_ADD,        /* jobs[0..n): new rows; all or none. OCID_E_SPACE while the disk is full */
    STORE_END,        /* jobs[0]: state, ended_at, outcome; drops its transfer unless keep_xfer */
    STORE_STATE,      /* jobs[0]: state (queued or paused), sealed, outcome */
    STORE_XFER,       /* xfer: insert or replace */
    STORE_PART,       /* parts[0..n): insert or replace; n 0 is 1 */
    STORE_DROP_XFER,  /* id: forget its transfer and parts */
    STORE_DROP_PARTS, /* id: forget its parts only */
    STORE_LIMITS,     /* limits: replaces what was kept under this name */
    STORE_READ_PARTS, /* id -> parts[0..n) in order of part_no */
    STORE_READ_JOBS,  /* ids[0..n_ids), those that exist -> jobs[0..n) */
    STORE_READ_PAGE,  /* page: uid, state, set, cursor, limit -> jobs[0..n), newest first */
    STORE_PRUNE,      /* final rows that ended before `before` or beyond the `keep` newest go, but
                         for members of sets that live and jobs that still have a transfer -> what
                         went, jobs[0..n) with id, set, uid, key; some thousands at most: again
                         until n is 0 */
};

/* READ_PAGE and PRUNE search without an index, a stretch between two commits: their answers may
 * come after those of ops posted later. All others come in the order of posting. */

/* Owned by the asker, zeroed before its first use; he keeps it and all that it points to alive
 * until done(). Results of reads and of PRUNE (jobs, parts and their strings) belong to the op
 * until store_op_fini() or its next post. END and STATE of a job without a row: OCID_E_NOT_FOUND.
 */
struct store_op {
    struct mail mail;
    enum store_verb verb;
    uint64_t id;
    struct store_job *jobs;
    struct store_part *parts;
    const uint64_t *ids;
    uint32_t n, n_ids;
    struct store_xfer xfer;
    struct ocp_str limits; /* what it means is the jobs room's business */
    int keep_xfer;
    int tied; /* to an ADD of the same commit: refused with it */
    struct {
        uint32_t uid;
        int state;       /* -1: any */
        uint64_t set;    /* 0: only rows that belong to no set */
        uint64_t cursor; /* ids below this; 0: from the newest */
        uint32_t limit;
    } page;
    int64_t before;
    uint64_t keep;
    void *arena;                       /* store's own: memory behind results */
    struct oc_err err;                 /* code 0: it is on disk (or read) */
    void (*done)(struct store_op *op); /* control loop */
};

struct store_options {
    const char *dir;        /* 0700, local file system; holds queue.db and lock */
    uint64_t ballast_bytes; /* of the disk, held for a time when it is full; 0: none */
    /* The database turned out to be damaged while it was in use, and was moved aside: nothing is
     * safe any more, the daemon has to end. Once. May be NULL. */
    void (*on_damage)(void *arg, const struct oc_err *err);
    void *arg;
};

/* Opens or makes the database (numbered migrations in one transaction; a newer schema and a second
 * daemon are refused with a sentence that names the holder's pid), starts the thread. Blocking.
 * OCID_E_STATE: another daemon has it; OCID_E_UNSUPPORTED: newer, or no queue of ours;
 * OCID_E_SPACE; OCID_E_IO: also a damaged one, which is moved aside, and from then on that there is
 * one which `ocid --recover` can read. */
int store_open(uv_loop_t *control, const struct store_options *opt, struct store **ret,
               struct oc_err *err);

/* Finishes what was posted, checkpoints, closes, joins the thread. Blocking, bounded by the disk;
 * done() of what is still posted has been called before it returns, and what they post in turn ends
 * with OCID_E_STOPPING. The memory goes in a later turn of the loop. */
void store_close(struct store *s);

/* Identity of the database, and the largest job id ever used (0: none). Constant after open. */
const char *store_uuid(const struct store *s);
uint64_t store_last_id(const struct store *s);

/* Counts of the final members of a set, for store_load(). */
struct store_tally {
    uint64_t set, n_done, n_failed, n_cancelled, bytes;
};

/* Once, after open and before the first post: every job that is not final (ascending id), every
 * transfer, the keys of all rows that have one, tallies of sets that are not final, the limits.
 * Blocking. */
struct store_loader {
    void (*job)(void *arg, const struct store_job *row);
    void (*xfer)(void *arg, const struct store_xfer *row); /* of jobs final or not */
    void (*key)(void *arg, uint32_t uid, struct ocp_str key, uint64_t id);
    void (*tally)(void *arg, const struct store_tally *t);
    void (*limits)(void *arg, struct ocp_str limits); /* after the jobs; not if there are none */
    void *arg;
};
int store_load(struct store *s, const struct store_loader *to, struct oc_err *err);

/* The bytes that the packed outcome of a row tells of; 0: of none. Pure. */
uint64_t store_outcome_bytes(struct ocp_str outcome);

/* Posts one operation; what gathers while the thread commits goes into the next commit. */
void store_post(struct store *s, struct store_op *op);

/* Posts several that belong into one commit (their mails, in order); *ops is empty afterwards. */
void store_post_all(struct store *s, struct mail_list *ops);

/* Frees the results of a read or a prune; the op itself is the asker's. */
void store_op_fini(struct store_op *op);

#endif
