/* SPDX-License-Identifier: Apache-2.0
 *
 * put.c - plans one upload: which part next, when to commit, when to abort.
 *
 * Pure: no clock, no I/O; after init it allocates only for etags. Control loop. Start at
 * xfer_put_next(). One stage after the other has one step in flight; the parts have many:
 *
 *   small   CHECK, PUT, RECHECK
 *   large   CHECK, INTENT, CREATE, OPENED, parts, RECHECK, COMMITTING, COMMIT
 *   resumed CHECK, LIST, parts, …
 *           COMMIT once more, if it may have got through; DOUBT instead, without all the parts
 *           HEAD when the upload has gone: what the object has to be is kept with COMMITTING
 *           ABORT, INTENT, … if an earlier life gave it up and did not say why
 *   stream  CHECK, READ until it is known to be small or large, then as these
 *
 * An end goes through on_end[] to the next stage. What fails leads to ABORTING and ABORT, once
 * nothing is in flight, if there is an upload by an id that we know.
 * Source: Object Storage API, multipart uploads (parts 1 to 10000, 50 GiB each, 10 TiB in all).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "xfer/parts.h"
#include "xfer/plan.h"

#define OBJECT_MOST (10240 * 1024 * MIB)
#define BODY_MOST   (50 * 1024 * MIB)

enum { PARTS_MOST = 10000 };

enum stage {
    S_CHECK,
    S_READ,   /* a stream, of which nobody knows yet whether it is small */
    S_INTENT, /* save */
    S_CREATE,
    S_OPENED, /* save */
    S_LIST,
    S_DOUBT, /* is it there, or was its commit carried out? */
    S_PARTS,
    S_RECHECK,
    S_COMMITTING, /* save */
    S_COMMIT,
    S_HEAD,
    S_PUT,
    S_ABORTING, /* save */
    S_ABORT,
    S_DONE,
    S_FAILED,
    S_COUNT,
};

struct xfer_put {
    enum stage stage; /* put_enter() alone writes it */
    int phase;        /* enum put_phase: what a row would say */
    int multipart;
    int busy;               /* the stage's own step is in flight */
    int begun;              /* next() was asked: have() comes no more */
    int failing;            /* no new work; clean up once nothing is in flight */
    int anew;               /* the upload is gone: start over once nothing is in flight */
    int upload;             /* there is one, or may be, by an id that we know */
    enum step_end in_doubt; /* HEAD: how the step before it ended */
    int ours;               /* ABORT: the object is there all the same */
    unsigned n_anew;
    int stream;         /* what has arrived cannot be sent again */
    int ended;          /* stream: its size is known */
    int lost;           /* stream: it would have to be */
    uint64_t threshold; /* stream: up to which it is one PutObject */
    struct parts parts;
    struct put_sums whole;
    uint8_t (*md5s)[OCI_MD5_SIZE]; /* of the parts, as far as has_md5 says; place for n_md5s */
    uint32_t n_md5s;
    char *etags; /* NUL-ended, one behind the other; place 0 is none */
    size_t etags_used, etags_room;
};

static const struct {
    enum step_kind kind;
    enum step_op op;
    int phase; /* set on entering; -1: stays */
} stages[S_COUNT] = {
    [S_CHECK] = {STEP_CHECK, OP_NONE, -1},
    [S_READ] = {STEP_WAIT, OP_NONE, -1},
    [S_INTENT] = {STEP_SAVE, OP_NONE, PUT_INTENT},
    [S_CREATE] = {STEP_REQUEST, OP_CREATE, -1},
    [S_OPENED] = {STEP_SAVE, OP_NONE, PUT_OPEN},
    [S_LIST] = {STEP_REQUEST, OP_LIST_PARTS, PUT_OPEN},
    [S_DOUBT] = {STEP_REQUEST, OP_LIST_PARTS, -1},
    [S_PARTS] = {STEP_WAIT, OP_NONE, -1},
    [S_RECHECK] = {STEP_CHECK, OP_NONE, -1},
    [S_COMMITTING] = {STEP_SAVE, OP_NONE, PUT_COMMITTING},
    [S_COMMIT] = {STEP_REQUEST, OP_COMMIT, -1},
    [S_HEAD] = {STEP_REQUEST, OP_HEAD, -1},
    [S_PUT] = {STEP_REQUEST, OP_PUT, -1},
    [S_ABORTING] = {STEP_SAVE, OP_NONE, PUT_ABORTING},
    [S_ABORT] = {STEP_REQUEST, OP_ABORT, -1},
    [S_DONE] = {STEP_DONE, OP_NONE, -1},
    [S_FAILED] = {STEP_FAILED, OP_NONE, -1},
};

static void put_enter(struct xfer_put *p, enum stage next)
{
    p->stage = next;
    if (stages[next].phase >= 0)
        p->phase = stages[next].phase;
}

/* ---- part arithmetic ---- */

static int too_large(struct oc_err *err, const char *what, uint64_t bytes)
{
    return oc_fail(err, OCID_E_TOO_LARGE, 0, "%s of %llu bytes is more than the service takes",
                   what, (unsigned long long)bytes);
}

/* The wanted size of a part, or else the next power of two MiB with which 10,000 parts are enough.
 */
static int choose_part_bytes(uint64_t size, uint64_t wanted, uint64_t *ret, struct oc_err *err)
{
    if (size > OBJECT_MOST)
        return too_large(err, "an object", size);
    if (wanted > BODY_MOST)
        return too_large(err, "a part", wanted);
    uint64_t bytes = wanted ? wanted : PARTS_DEFAULT_MIB * MIB;
    if (parts_count(size, bytes) > PARTS_MOST)
        for (bytes = MIB; parts_count(size, bytes) > PARTS_MOST;)
            bytes *= 2;
    *ret = bytes;
    return 0;
}

static struct xfer_put *put_new(uint64_t size, uint64_t part_bytes, int multipart)
{
    struct xfer_put *p = OC_NEW(struct xfer_put);
    p->multipart = multipart;
    p->etags_used = 1;
    parts_init(&p->parts, size, part_bytes);
    return p;
}

int xfer_put_new(uint64_t size, const struct put_limits *limits, struct xfer_put **ret,
                 struct oc_err *err)
{
    uint64_t bytes, threshold = limits->threshold < BODY_MOST ? limits->threshold : BODY_MOST;
    int rc = choose_part_bytes(size, limits->part_bytes, &bytes, err);
    if (rc < 0)
        return rc;
    int multipart = size > threshold;
    *ret = put_new(size, multipart || !size ? bytes : size, multipart);
    return 0;
}

static void go_on_from(struct xfer_put *p, int phase, int have_id)
{
    p->upload = have_id;
    if (!have_id)
        return;
    if (phase == PUT_ABORTING) {
        p->phase = PUT_ABORTING;
        put_enter(p, S_ABORT);
    } else {
        p->phase = phase == PUT_COMMITTING ? PUT_COMMITTING : PUT_OPEN;
    }
}

int xfer_put_resume(uint64_t size, int phase, uint64_t part_bytes, int have_id,
                    struct xfer_put **ret, struct oc_err *err)
{
    uint64_t bytes;
    int rc = choose_part_bytes(size, part_bytes, &bytes, err);
    if (rc < 0)
        return rc;
    struct xfer_put *p = put_new(size, bytes, size > 0);
    go_on_from(p, phase, have_id);
    *ret = p;
    return 0;
}

int xfer_put_stream(const struct put_limits *limits, int phase, int have_id, struct xfer_put **ret,
                    struct oc_err *err)
{
    uint64_t bytes;
    int rc = choose_part_bytes(0, limits->part_bytes, &bytes, err);
    if (rc < 0)
        return rc;
    struct xfer_put *p = put_new(0, bytes, phase != PUT_NEW);
    parts_fini(&p->parts);
    parts_init_growing(&p->parts, bytes);
    p->stream = 1;
    p->threshold = limits->threshold < BODY_MOST ? limits->threshold : BODY_MOST;
    go_on_from(p, phase, have_id);
    *ret = p;
    return 0;
}

uint64_t xfer_put_offset(const struct xfer_put *p, uint32_t part_no)
{
    return parts_offset(&p->parts, part_no);
}

uint64_t xfer_put_room(const struct xfer_put *p)
{
    if (!p->multipart)
        return p->threshold + 1;
    return parts_end(&p->parts, p->parts.n_done + p->parts.n_flying + 1);
}

void xfer_put_free(struct xfer_put *p)
{
    if (!p)
        return;
    parts_fini(&p->parts);
    free(p->md5s);
    free(p->etags);
    free(p);
}

/* ---- etags ---- */

static const char *etag_of(const struct xfer_put *p, const struct part_cell *cell)
{
    return cell->etag_at ? p->etags + cell->etag_at : NULL;
}

static void etag_set(struct xfer_put *p, struct part_cell *cell, const char *etag)
{
    size_t n = strlen(etag ? etag : "") + 1;
    const char *old = etag_of(p, cell);
    if (!old || strlen(old) + 1 < n) {
        if (p->etags_room - p->etags_used < n || !p->etags) {
            size_t typical = (size_t)p->parts.n * 40;
            p->etags_room = p->etags ? 2 * p->etags_room + n : 1 + n + typical;
            p->etags = oc_grow(p->etags, p->etags_room, 1);
        }
        cell->etag_at = (uint32_t)p->etags_used;
        p->etags_used += n;
    }
    memcpy(p->etags + cell->etag_at, etag ? etag : "", n);
}

const char *xfer_put_etag(const struct xfer_put *p, uint32_t part_no, uint32_t *ret_crc32c)
{
    const struct part_cell *cell = parts_cell(&p->parts, part_no);
    if (!cell || cell->state != PART_DONE)
        return NULL;
    if (ret_crc32c)
        *ret_crc32c = cell->crc32c;
    return etag_of(p, cell);
}

/* ---- sums ---- */

static int is_known(const struct put_sums *s)
{
    return s->has_crc32c || s->md5[0];
}

void xfer_put_md5(struct xfer_put *p, uint32_t part_no, const char *md5)
{
    struct part_cell *cell = parts_cell(&p->parts, part_no);
    uint8_t raw[OCI_MD5_SIZE];
    size_t n;
    if (!cell || (cell->state != PART_FLYING && cell->state != PART_DONE) || !md5 ||
        oci_unbase64(md5, strlen(md5), raw, sizeof raw, &n) || n != sizeof raw)
        return;
    if (p->n_md5s < p->parts.n) {
        p->n_md5s = p->parts.n + p->parts.n / 2;
        p->md5s = oc_grow(p->md5s, p->n_md5s, sizeof *p->md5s);
    }
    memcpy(p->md5s[part_no - 1], raw, sizeof raw);
    cell->has_md5 = 1;
}

/* All parts are done. */
static void sum_up(struct xfer_put *p)
{
    p->whole = (struct put_sums){.has_crc32c = 1, .crc32c = parts_crc(&p->parts)};
    for (uint32_t i = 0; i < p->parts.n; i++)
        if (!p->parts.cells[i].has_md5)
            return;
    if (oci_multipart_md5((const uint8_t(*)[OCI_MD5_SIZE])p->md5s, p->parts.n, p->whole.md5))
        p->whole.md5[0] = 0;
}

/* ---- parts of an earlier life ---- */

void xfer_put_whole(struct xfer_put *p, const struct put_sums *sums)
{
    p->whole = *sums;
}

void xfer_put_have(struct xfer_put *p, uint32_t part_no, uint64_t bytes, const char *etag,
                   uint32_t crc32c)
{
    struct part_cell *cell = parts_cell(&p->parts, part_no);
    if (!p->upload || p->begun || !cell || cell->state != PART_TODO ||
        bytes != parts_length(&p->parts, part_no) || !etag || !*etag)
        return;
    cell->crc32c = crc32c;
    etag_set(p, cell, etag);
    parts_set(&p->parts, part_no, PART_KNOWN);
}

void xfer_put_listed(struct xfer_put *p, uint32_t part_no, uint64_t bytes, const char *etag)
{
    struct part_cell *cell = parts_cell(&p->parts, part_no);
    if ((p->stage != S_LIST && p->stage != S_DOUBT) || !cell || cell->state != PART_KNOWN)
        return;
    if (bytes == parts_length(&p->parts, part_no) && etag && !strcmp(etag, etag_of(p, cell)))
        parts_set(&p->parts, part_no, PART_DONE);
}

static void set_all(struct xfer_put *p, enum part_state from, enum part_state to)
{
    for (uint32_t no = 1; no <= p->parts.n; no++)
        if (p->parts.cells[no - 1].state == from)
            parts_set(&p->parts, no, to);
}

/* A row that says COMMITTING: the commit is asked for once more, or the upload after its parts if
 * we do not have them all. A row that knows neither them nor what they come to can only be sent on.
 */
static void begin(struct xfer_put *p)
{
    p->begun = 1;
    if (p->phase != PUT_COMMITTING || p->failing)
        return;
    if (p->parts.n_known == p->parts.n) {
        set_all(p, PART_KNOWN, PART_DONE);
        if (!is_known(&p->whole))
            sum_up(p);
        put_enter(p, S_COMMIT);
    } else if (is_known(&p->whole)) {
        put_enter(p, S_DOUBT);
    } else {
        p->phase = PUT_OPEN;
    }
}

/* ---- from stage to stage ---- */

static void start_anew(struct xfer_put *p)
{
    p->anew = 0;
    p->upload = 0;
    if (p->stream && p->parts.n_done + p->parts.n_known) {
        p->lost = p->failing = 1;
        return;
    }
    if (++p->n_anew > PLAN_ANEW_MOST) {
        p->failing = 1;
        return;
    }
    for (uint32_t no = 1; no <= p->parts.n; no++) {
        parts_set(&p->parts, no, PART_TODO);
        p->parts.cells[no - 1].etag_at = 0;
    }
    p->etags_used = 1;
    put_enter(p, p->multipart ? S_INTENT : S_PUT);
}

/* What can be decided only once nothing is in flight, or once all parts are done. */
static void settle(struct xfer_put *p)
{
    if (p->busy || p->parts.n_flying || p->stage == S_DONE || p->stage == S_FAILED)
        return;
    if (p->anew && !p->failing)
        start_anew(p);
    if (p->failing) {
        if (p->stage != S_ABORTING && p->stage != S_ABORT)
            put_enter(p, p->upload ? S_ABORTING : S_FAILED);
        return;
    }
    if (p->stage == S_PARTS && p->parts.n_done == p->parts.n && (p->ended || !p->stream)) {
        parts_crc(&p->parts);
        put_enter(p, S_RECHECK);
    }
}

/* Small or large? */
static void decide(struct xfer_put *p)
{
    if (!p->multipart && p->parts.size > p->threshold)
        p->multipart = 1;
    if (p->multipart) {
        put_enter(p, p->upload ? S_LIST : S_INTENT);
    } else if (p->ended) {
        uint64_t size = p->parts.size, bytes = size ? size : p->parts.part_bytes;
        parts_fini(&p->parts);
        parts_init(&p->parts, size, bytes);
        put_enter(p, S_PUT);
    }
}

int xfer_put_grow(struct xfer_put *p, uint64_t size, int ended, struct oc_err *err)
{
    if (size > OBJECT_MOST)
        return too_large(err, "an object", size);
    parts_grow(&p->parts, size, ended);
    if (p->parts.n > PARTS_MOST)
        return too_large(err, "10,000 parts", size);
    p->ended = ended;
    if (p->stage == S_READ)
        decide(p);
    settle(p);
    return 0;
}

static void no_upload(struct xfer_put *p)
{
    p->upload = 0;
    p->anew = 1;
}

static void end_check(struct xfer_put *p, enum step_end how)
{
    (void)how;
    if (p->stream) {
        put_enter(p, S_READ);
        decide(p);
        return;
    }
    put_enter(p, !p->multipart ? S_PUT : p->upload ? S_LIST : S_INTENT);
}

static void end_intent(struct xfer_put *p, enum step_end how)
{
    (void)how;
    put_enter(p, S_CREATE);
}

static void end_create(struct xfer_put *p, enum step_end how)
{
    p->in_doubt = how;
    p->upload = how == STEP_OK;
    put_enter(p, how == STEP_OK ? S_OPENED : S_HEAD);
}

static void end_opened(struct xfer_put *p, enum step_end how)
{
    (void)how;
    put_enter(p, S_PARTS);
}

/* What the service did not list is sent again. */
static void end_list(struct xfer_put *p, enum step_end how)
{
    if (how == STEP_NO_UPLOAD) {
        no_upload(p);
        return;
    }
    p->lost = p->stream && p->parts.n_known;
    p->failing |= p->lost;
    set_all(p, PART_KNOWN, PART_TODO);
    put_enter(p, S_PARTS);
}

static void end_recheck(struct xfer_put *p, enum step_end how)
{
    (void)how;
    if (p->multipart)
        sum_up(p);
    put_enter(p, p->multipart ? S_COMMITTING : S_DONE);
}

static void end_committing(struct xfer_put *p, enum step_end how)
{
    (void)how;
    put_enter(p, S_COMMIT);
}

/* The upload has gone: committed, or aborted by somebody. */
static void look_for_it(struct xfer_put *p)
{
    p->upload = 0;
    p->in_doubt = STEP_NO_UPLOAD;
    put_enter(p, S_HEAD);
}

static void end_doubt(struct xfer_put *p, enum step_end how)
{
    if (how == STEP_NO_UPLOAD) {
        look_for_it(p);
        return;
    }
    p->phase = PUT_OPEN;
    end_list(p, how);
}

static void end_commit(struct xfer_put *p, enum step_end how)
{
    if (how == STEP_OK) {
        p->upload = 0;
        put_enter(p, S_DONE);
    } else if (how == STEP_CHANGED) { /* the service holds other parts than we think */
        set_all(p, PART_DONE, PART_KNOWN);
        p->failing |= ++p->n_anew > PLAN_ANEW_MOST;
        put_enter(p, S_LIST);
    } else if (how == STEP_NO_UPLOAD) {
        look_for_it(p);
    } else {
        p->in_doubt = how;
        put_enter(p, S_HEAD);
    }
}

/* It did not get through: once more, or all of it if the upload has gone. */
static void not_ours(struct xfer_put *p)
{
    if (p->in_doubt == STEP_NO_UPLOAD)
        p->anew = 1;
    else if (p->in_doubt == STEP_REFUSED && ++p->n_anew > PLAN_ANEW_MOST)
        p->failing = 1;
    else if (!p->multipart)
        put_enter(p, S_PUT);
    else if (!p->upload)
        put_enter(p, S_CREATE);
    else
        put_enter(p, S_COMMIT);
}

static void end_head(struct xfer_put *p, enum step_end how)
{
    if (how != STEP_OK) {
        not_ours(p);
        return;
    }
    set_all(p, PART_TODO, PART_DONE);
    set_all(p, PART_KNOWN, PART_DONE);
    p->ours = p->upload; /* another upload may have made it, with the same bytes */
    put_enter(p, p->upload ? S_ABORT : p->multipart ? S_DONE : S_RECHECK);
}

static void end_put(struct xfer_put *p, enum step_end how)
{
    p->in_doubt = how;
    if (how == STEP_OK)
        set_all(p, PART_TODO, PART_DONE);
    put_enter(p, how == STEP_OK ? S_RECHECK : S_HEAD);
}

static void end_aborting(struct xfer_put *p, enum step_end how)
{
    (void)how;
    put_enter(p, S_ABORT);
}

static void end_abort(struct xfer_put *p, enum step_end how)
{
    p->upload = 0;
    if (p->failing)
        put_enter(p, S_FAILED);
    else if (p->ours)
        put_enter(p, S_DONE);
    else if (how == STEP_NO_UPLOAD && is_known(&p->whole))
        look_for_it(p);
    else
        p->anew = 1;
}

/* An end that a stage does not take is STEP_AGAIN to it, but for STEP_FATAL, which fails all. */
static const struct {
    unsigned takes; /* bits of enum step_end, besides STEP_OK */
    void (*end)(struct xfer_put *p, enum step_end how);
} on_end[S_COUNT] = {
    [S_CHECK] = {0, end_check},
    [S_INTENT] = {0, end_intent},
    [S_CREATE] = {OC_BIT(STEP_REFUSED), end_create},
    [S_OPENED] = {0, end_opened},
    [S_LIST] = {OC_BIT(STEP_NO_UPLOAD), end_list},
    [S_DOUBT] = {OC_BIT(STEP_NO_UPLOAD), end_doubt},
    [S_RECHECK] = {0, end_recheck},
    [S_COMMITTING] = {0, end_committing},
    [S_COMMIT] = {OC_BIT(STEP_LOST) | OC_BIT(STEP_REFUSED) | OC_BIT(STEP_NO_UPLOAD) |
                      OC_BIT(STEP_CHANGED),
                  end_commit},
    [S_HEAD] = {OC_BIT(STEP_NO_UPLOAD) | OC_BIT(STEP_CHANGED), end_head},
    [S_PUT] = {OC_BIT(STEP_REFUSED), end_put},
    [S_ABORTING] = {OC_BIT(STEP_FATAL), end_aborting},
    [S_ABORT] = {OC_BIT(STEP_FATAL) | OC_BIT(STEP_NO_UPLOAD), end_abort},
};

static void end_part(struct xfer_put *p, const struct xfer_step *s, enum step_end how,
                     const char *etag, uint32_t crc32c)
{
    struct part_cell *cell = parts_cell(&p->parts, s->part_no);
    assert(cell && cell->state == PART_FLYING);
    if (how == STEP_OK) {
        cell->crc32c = crc32c;
        etag_set(p, cell, etag);
    }
    parts_set(&p->parts, s->part_no, how == STEP_OK ? PART_DONE : PART_TODO);
    if (how == STEP_FATAL)
        p->failing = 1;
    else if (how == STEP_NO_UPLOAD)
        no_upload(p);
}

static void end_stage(struct xfer_put *p, enum step_end how)
{
    p->busy = 0;
    if (how == STEP_OK || (on_end[p->stage].takes & OC_BIT(how)))
        on_end[p->stage].end(p, how);
    else if (how == STEP_FATAL)
        p->failing = 1;
}

void xfer_put_end(struct xfer_put *p, const struct xfer_step *s, enum step_end how,
                  const char *etag, uint32_t crc32c)
{
    if (s->kind == STEP_REQUEST && s->op == OP_PART) {
        end_part(p, s, how, etag, crc32c);
    } else {
        assert(p->busy && s->kind == stages[p->stage].kind && s->op == stages[p->stage].op);
        if (s->op == OP_PUT && p->parts.n)
            p->parts.cells[0].crc32c = crc32c; /* a HEAD may have to be compared with it */
        end_stage(p, how);
    }
    settle(p);
}

static void begin_part(struct xfer_put *p, struct xfer_step *ret)
{
    if (parts_take(&p->parts, OP_PART, ret))
        parts_cell(&p->parts, ret->part_no)->has_md5 = 0;
}

void xfer_put_next(struct xfer_put *p, struct xfer_step *ret)
{
    *ret = (struct xfer_step){.kind = STEP_WAIT};
    if (!p->begun)
        begin(p);
    settle(p);
    if (p->busy)
        return;
    if (p->stage == S_PARTS) {
        if (!p->failing && !p->anew)
            begin_part(p, ret);
        return;
    }
    *ret = (struct xfer_step){.kind = stages[p->stage].kind, .op = stages[p->stage].op};
    if (ret->kind == STEP_WAIT)
        return;
    if (ret->op == OP_PUT) {
        ret->part_no = 1;
        ret->length = p->parts.size;
    }
    p->busy = p->stage != S_DONE && p->stage != S_FAILED;
}

void xfer_put_stop(struct xfer_put *p)
{
    if (p->stage == S_DONE)
        return;
    p->failing = 1;
    settle(p);
}

void xfer_put_facts(const struct xfer_put *p, struct put_facts *ret)
{
    struct parts all = p->parts; /* a copy: the sum in it is moved on */
    int busy = p->busy && stages[p->stage].kind == STEP_REQUEST;
    *ret = (struct put_facts){
        .phase = p->phase,
        .multipart = p->multipart,
        .lost = p->lost,
        .size = all.size,
        .part_bytes = all.part_bytes,
        .bytes_done = all.bytes_done,
        .n_parts = all.n ? all.n : 1, /* an empty object is one body */
        .n_done = all.n ? all.n_done : p->stage == S_RECHECK || p->stage == S_DONE,
        .n_inflight = all.n_flying + (busy ? 1 : 0),
        .crc32c = p->multipart ? parts_crc(&all)
                  : all.n      ? all.cells[0].crc32c
                               : 0,
        .whole = &p->whole,
    };
}
