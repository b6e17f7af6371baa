/* SPDX-License-Identifier: Apache-2.0
 *
 * get.c - plans one download: first range, the rest of them, proof, publication.
 *
 * Pure: no clock, no I/O; after init it allocates only when the size is learnt. Control loop. Start
 * at xfer_get_next().
 *
 *   one part   OPEN, first range, PUBLISH
 *   more       OPEN, first range, SAVE, ranges, VERIFY if it takes one, MARK, PUBLISH
 *   resumed    OPEN, ranges, …
 *
 * An object that has become another one, and bytes that did not prove right, lead back to the start
 * once nothing is in flight; a row is made to say so (FORGET) before the file is written again.
 */
#include <assert.h>
#include <stdlib.h>

#include "core/mem.h"
#include "xfer/parts.h"
#include "xfer/plan.h"

enum {
    PARTS_MOST = 1000000,
    LEAST_PART_BYTES = 64 * 1024,
};

enum stage {
    G_OPEN,
    G_FIRST,
    G_SAVE,
    G_PARTS,
    G_VERIFY,
    G_MARK, /* save */
    G_PUBLISH,
    G_FORGET, /* save */
    G_DONE,
    G_FAILED,
    G_COUNT,
};

struct xfer_get {
    enum stage stage; /* get_enter() alone writes it */
    int phase;        /* enum get_phase: what a row would say */
    int busy;         /* the stage's own step is in flight */
    int first;        /* the first range is in flight, and no part knows of it */
    int sized;
    int saved; /* there is a row */
    int need_md5;
    int failing; /* no new work; ends once nothing is in flight */
    int anew;    /* all is to be dropped once nothing is in flight */
    unsigned n_anew;
    uint64_t part_bytes;
    struct parts parts; /* once sized */
};

static const struct {
    enum step_kind kind;
    int phase; /* set on entering; -1: stays */
} stages[G_COUNT] = {
    [G_OPEN] = {STEP_OPEN, -1},
    [G_FIRST] = {STEP_WAIT, -1},
    [G_SAVE] = {STEP_SAVE, GET_OPEN},
    [G_PARTS] = {STEP_WAIT, GET_OPEN},
    [G_VERIFY] = {STEP_VERIFY, GET_VERIFYING},
    [G_MARK] = {STEP_SAVE, GET_PUBLISHING},
    [G_PUBLISH] = {STEP_PUBLISH, GET_PUBLISHING},
    [G_FORGET] = {STEP_SAVE, GET_NEW},
    [G_DONE] = {STEP_DONE, -1},
    [G_FAILED] = {STEP_FAILED, -1},
};

static void get_enter(struct xfer_get *g, enum stage next)
{
    g->stage = next;
    if (stages[next].phase >= 0)
        g->phase = stages[next].phase;
}

static int check_count(uint64_t size, uint64_t part_bytes, struct oc_err *err)
{
    if (parts_count(size, part_bytes) <= PARTS_MOST)
        return 0;
    return oc_fail(err, OCID_E_TOO_LARGE, 0,
                   "an object of %llu bytes is too large for parts of %llu bytes",
                   (unsigned long long)size, (unsigned long long)part_bytes);
}

int xfer_get_new(uint64_t part_bytes, struct xfer_get **ret, struct oc_err *err)
{
    (void)err;
    struct xfer_get *g = OC_NEW(struct xfer_get);
    g->part_bytes = part_bytes ? part_bytes : PARTS_DEFAULT_MIB * MIB;
    if (g->part_bytes < LEAST_PART_BYTES)
        g->part_bytes = LEAST_PART_BYTES;
    *ret = g;
    return 0;
}

int xfer_get_resume(uint64_t size, uint64_t part_bytes, struct xfer_get **ret, struct oc_err *err)
{
    if (!size || !part_bytes) { /* the row was made to forget */
        int rc = xfer_get_new(part_bytes, ret, err);
        (*ret)->saved = 1;
        return rc;
    }
    int rc = check_count(size, part_bytes, err);
    if (rc < 0)
        return rc;
    struct xfer_get *g = OC_NEW(struct xfer_get);
    g->part_bytes = part_bytes;
    g->sized = g->saved = 1;
    g->phase = GET_OPEN;
    parts_init(&g->parts, size, part_bytes);
    *ret = g;
    return 0;
}

void xfer_get_have(struct xfer_get *g, uint32_t part_no, uint64_t bytes, uint32_t crc32c)
{
    struct part_cell *cell = g->sized ? parts_cell(&g->parts, part_no) : NULL;
    if (!cell || cell->state != PART_TODO || bytes != parts_length(&g->parts, part_no))
        return;
    cell->crc32c = crc32c;
    parts_set(&g->parts, part_no, PART_DONE);
}

void xfer_get_free(struct xfer_get *g)
{
    if (!g)
        return;
    parts_fini(&g->parts);
    free(g);
}

int xfer_get_sized(struct xfer_get *g, uint64_t size, int need_md5)
{
    g->need_md5 = need_md5;
    if (g->sized)
        return 0;
    int rc = check_count(size, g->part_bytes, NULL);
    if (rc < 0) {
        g->failing = 1;
        return rc;
    }
    g->sized = 1;
    parts_init(&g->parts, size, g->part_bytes);
    if (g->first && g->parts.n) { /* from now on it is a part like the others */
        g->first = 0;
        parts_set(&g->parts, 1, PART_FLYING);
    }
    get_enter(g, g->parts.n > 1 ? G_SAVE : G_PARTS);
    return 0;
}

/* ---- from stage to stage ---- */

static void start_anew(struct xfer_get *g)
{
    g->anew = 0;
    if (++g->n_anew > PLAN_ANEW_MOST) {
        g->failing = 1;
        return;
    }
    parts_fini(&g->parts);
    g->sized = g->need_md5 = 0;
    g->phase = GET_NEW;
    get_enter(g, g->saved ? G_FORGET : G_OPEN);
}

/* What can be decided only once nothing is in flight, or once all parts are done. */
static void settle(struct xfer_get *g)
{
    if (g->busy || g->first || g->parts.n_flying || g->stage == G_DONE || g->stage == G_FAILED)
        return;
    if (g->anew && !g->failing)
        start_anew(g);
    if (g->failing) {
        get_enter(g, G_FAILED);
        return;
    }
    if (g->stage != G_PARTS || g->parts.n_done < g->parts.n)
        return;
    parts_crc(&g->parts);
    get_enter(g, g->need_md5 && g->parts.n > 1 ? G_VERIFY : g->saved ? G_MARK : G_PUBLISH);
}

static void end_ok(struct xfer_get *g)
{
    switch (g->stage) {
    case G_OPEN:
        get_enter(g, g->sized ? G_PARTS : G_FIRST);
        break;
    case G_SAVE:
        g->saved = 1;
        get_enter(g, G_PARTS);
        break;
    case G_VERIFY:
        get_enter(g, g->saved ? G_MARK : G_PUBLISH);
        break;
    case G_MARK:
        get_enter(g, G_PUBLISH);
        break;
    case G_PUBLISH:
        get_enter(g, G_DONE);
        break;
    case G_FORGET:
        get_enter(g, G_OPEN);
        break;
    default:
        break;
    }
}

static void end_range(struct xfer_get *g, const struct xfer_step *s, enum step_end how,
                      uint32_t crc32c)
{
    if (g->first) {
        g->first = 0; /* of no size: empty, or nobody has learnt it */
    } else {
        struct part_cell *cell = parts_cell(&g->parts, s->part_no);
        assert(cell && cell->state == PART_FLYING);
        cell->crc32c = crc32c;
        parts_set(&g->parts, s->part_no, how == STEP_OK ? PART_DONE : PART_TODO);
    }
}

void xfer_get_end(struct xfer_get *g, const struct xfer_step *s, enum step_end how, uint32_t crc32c)
{
    if (s->kind == STEP_REQUEST) {
        end_range(g, s, how, crc32c);
    } else {
        assert(g->busy && s->kind == stages[g->stage].kind);
        g->busy = 0;
        if (how == STEP_OK)
            end_ok(g);
    }
    g->failing |= how == STEP_FATAL;
    g->anew |= how == STEP_CHANGED;
    settle(g);
}

static void first_range(struct xfer_get *g, struct xfer_step *ret)
{
    g->first = 1;
    *ret = (struct xfer_step){
        .kind = STEP_REQUEST,
        .op = OP_RANGE,
        .part_no = 1,
        .length = g->part_bytes,
    };
}

void xfer_get_next(struct xfer_get *g, struct xfer_step *ret)
{
    *ret = (struct xfer_step){.kind = STEP_WAIT};
    settle(g);
    int over = g->stage == G_DONE || g->stage == G_FAILED;
    if (g->busy || ((g->failing || g->anew) && !over))
        return;
    if (g->stage == G_FIRST) {
        if (!g->first)
            first_range(g, ret);
    } else if (g->stage == G_PARTS) {
        parts_take(&g->parts, OP_RANGE, ret);
    } else {
        ret->kind = stages[g->stage].kind;
        g->busy = !over;
    }
}

void xfer_get_stop(struct xfer_get *g)
{
    if (g->stage == G_DONE)
        return;
    g->failing = 1;
    settle(g);
}

void xfer_get_facts(const struct xfer_get *g, struct get_facts *ret)
{
    struct parts all = g->parts; /* a copy: the sum in it is moved on */
    *ret = (struct get_facts){
        .phase = g->phase,
        .sized = g->sized,
        .size = g->sized ? all.size : 0,
        .part_bytes = g->part_bytes,
        .bytes_done = all.bytes_done,
        .n_parts = all.n,
        .n_done = all.n_done,
        .n_inflight = all.n_flying + (g->first ? 1 : 0),
        .crc32c = parts_crc(&all),
    };
}
