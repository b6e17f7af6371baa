/* SPDX-License-Identifier: Apache-2.0
 *
 * limits.c - the table of live limits: what people set and see, and its place on disk.
 *
 * Control loop. Start at room_limit_set(). What the limits hold back is in slots.c.
 */
#include "jobs/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/log.h"
#include "core/mem.h"
#include "jobs/room.h"
#include "jobs/run.h"

enum { LEAST_BYTES_PER_S = 1024 };

struct xfer_who limits_who(const struct job *j)
{
    return (struct xfer_who){.label = j->sharer->label, .uid = j->uid, .set = j->set_id};
}

/* ---- rates ---- */

static struct xfer_limit configured(const struct room *r)
{
    return (struct xfer_limit){
        .scope = OCP_ENUM_scope_all,
        .fixed = 1,
        .bytes_per_s = (uint64_t)r->config->transfer_max_mib_per_second << 20,
    };
}

void limits_tell_engine(struct room *r)
{
    struct xfer_limit all[LIMITS_MOST + 1], conf = configured(r);
    unsigned n = 0;
    if (conf.bytes_per_s)
        all[n++] = conf;
    for (const struct limit *l = r->limits.first; l; l = l->next)
        if (l->of.bytes_per_s)
            all[n++] = l->of;
    engine_limit(r->engine, all, n);
}

/* ---- the table ---- */

static struct limit **find(struct room *r, const struct xfer_limit *of)
{
    struct limit **at = &r->limits.first;
    while (*at && !xfer_limit_same(&(*at)->of, of))
        at = &(*at)->next;
    return at;
}

static void recount(struct limits *all)
{
    all->n = all->n_of_jobs = 0;
    for (const struct limit *l = all->first; l; l = l->next) {
        all->n++;
        all->n_of_jobs += l->jobs > 0;
    }
}

/* One without any limit is none. */
static void change(struct room *r, const struct xfer_limit *of, const struct ocp_limit *ask)
{
    struct limit **at = find(r, of), *l = *at;
    if (!l) {
        *at = l = OC_NEW(struct limit);
        l->of = *of;
        slots_count(r, l);
    }
    if (OCP_HAS(ask, limit, bytes_per_s))
        l->of.bytes_per_s = ask->bytes_per_s;
    if (OCP_HAS(ask, limit, jobs))
        l->jobs = ask->jobs;
    if (!l->of.bytes_per_s && !l->jobs) {
        *at = l->next;
        free(l);
    }
    recount(&r->limits);
}

static void limit_out(const struct limit *l, struct ocp_limit *m)
{
    OCP_SET(m, limit, scope, l->of.scope);
    if (l->of.scope == OCP_ENUM_scope_user || l->of.scope == OCP_ENUM_scope_client)
        OCP_SET(m, limit, uid, l->of.uid);
    if (l->of.scope == OCP_ENUM_scope_client)
        OCP_SET(m, limit, label, ocp_str(l->of.label));
    if (l->of.scope == OCP_ENUM_scope_set)
        OCP_SET(m, limit, set, l->of.set);
    if (l->of.bytes_per_s)
        OCP_SET(m, limit, bytes_per_s, l->of.bytes_per_s);
    if (l->jobs)
        OCP_SET(m, limit, jobs, l->jobs);
}

static void limit_in(const struct ocp_limit *m, struct xfer_limit *of)
{
    *of = (struct xfer_limit){.scope = m->scope, .uid = (uint32_t)m->uid, .set = m->set};
    ocp_str_copy(m->label, of->label, sizeof of->label);
}

/* ---- on disk: packed limit messages, one behind the other ---- */

struct written {
    void (*done)(void *arg, const struct oc_err *err);
    void *arg;
};

static void on_written(struct room_op *o)
{
    struct written *w = o->arg;
    if (w && w->done)
        w->done(w->arg, o->op.err.code ? &o->op.err : NULL);
    else if (o->op.err.code)
        log_warn("limits are not on disk, a restart would undo the change: %s", o->op.err.text);
    free(w);
}

static void write_all(struct room *r, void (*done)(void *arg, const struct oc_err *err), void *arg)
{
    struct oc_buf b;
    struct written *w = OC_NEW(struct written);
    struct room_op *o = room_op_new(r, STORE_LIMITS, on_written, w);
    *w = (struct written){done, arg};
    oc_buf_init(&b, OCP_MAX_FRAME);
    for (const struct limit *l = r->limits.first; l && !OC_MUTANT("limit"); l = l->next) {
        struct ocp_limit m = {0};
        limit_out(l, &m);
        ocp_pack(&ocp_desc_limit, &m, &b);
    }
    o->text[0] = b.len ? oc_memdup(b.data, b.len) : oc_strdup(""); /* freed with it */
    o->op.limits = (struct ocp_str){o->text[0], (uint32_t)b.len};
    oc_buf_fini(&b);
    room_op_post(o);
}

void limits_load(struct room *r, struct ocp_str packed)
{
    struct ocp_limit m;
    struct xfer_limit of;
    size_t n;
    for (; packed.n; packed.p += n, packed.n -= (uint32_t)n) {
        if (ocp_check(packed.p, packed.n, &n, NULL) ||
            ocp_unpack(&ocp_desc_limit, packed.p, n, &m, NULL)) {
            log_warn("some limits on disk cannot be read: look at `ocictl limit`");
            break;
        }
        limit_in(&m, &of);
        if (r->limits.n < LIMITS_MOST &&
            (m.scope != OCP_ENUM_scope_set || book_find(&r->book, m.set)))
            change(r, &of, &m);
    }
}

void limits_fini(struct room *r)
{
    struct limit *l;
    while ((l = r->limits.first)) {
        r->limits.first = l->next;
        free(l);
    }
}

void limits_drop_set(struct room *r, uint64_t set)
{
    struct xfer_limit of = {.scope = OCP_ENUM_scope_set, .set = set};
    struct limit **at = find(r, &of), *l = *at;
    if (!l)
        return;
    *at = l->next;
    free(l);
    recount(&r->limits);
    limits_tell_engine(r);
    write_all(r, NULL, NULL);
}

/* ---- what people ask for ---- */

static int is_master(uint32_t uid)
{
    return !uid || uid == getuid();
}

static int check_whose(struct room *r, uint32_t uid, const struct xfer_limit *of,
                       struct oc_err *err)
{
    const struct job *set = book_find(&r->book, of->set);
    if (of->scope == OCP_ENUM_scope_set) {
        if (!set || (set->uid != uid && !is_master(uid)))
            return oc_fail(err, OCID_E_NOT_FOUND, 0, "no such set: %" PRIu64, of->set);
        if (!set->tally)
            return oc_fail(err, OCID_E_INVALID, 0, "job %" PRIu64 " is not a set", of->set);
        if (job_is_over(set))
            return oc_fail(err, OCID_E_STATE, 0, "set %" PRIu64 " has ended", of->set);
        return 0;
    }
    if ((of->scope == OCP_ENUM_scope_all || of->uid != uid) && !is_master(uid))
        return oc_fail(err, OCID_E_DENIED, 0,
                       "only root and the daemon's own user may limit others: use the scope user, "
                       "client or set");
    if (of->scope == OCP_ENUM_scope_client && !*of->label)
        return oc_fail(err, OCID_E_INVALID, 0, "the limit of a client needs its label");
    return 0;
}

static int check(struct room *r, const struct xfer_limit *of, const struct ocp_limit *ask,
                 struct oc_err *err)
{
    if (!OCP_HAS(ask, limit, bytes_per_s) && !OCP_HAS(ask, limit, jobs))
        return oc_fail(
            err, OCID_E_INVALID, 0,
            "a limit needs bytes_per_s or jobs (0 lifts it); daemon.stats tells which hold");
    if (ask->bytes_per_s && ask->bytes_per_s < LEAST_BYTES_PER_S)
        return oc_fail(err, OCID_E_INVALID, 0,
                       "%" PRIu64 " bytes a second are too few: %d at least (`ocictl pause` stops "
                       "jobs altogether)",
                       ask->bytes_per_s, LEAST_BYTES_PER_S);
    if (r->limits.n >= LIMITS_MOST && !*find(r, of))
        return oc_fail(err, OCID_E_TOO_LARGE, 0,
                       "there are %d limits already: lift one of them (ocictl limit)", LIMITS_MOST);
    return 0;
}

/* Those at work show what holds them; those put aside may have room now. */
static void apply(struct room *r, const struct xfer_limit *of)
{
    struct job *set = of->scope == OCP_ENUM_scope_set ? book_find(&r->book, of->set) : NULL;
    limits_tell_engine(r);
    for (const struct run *u = r->runs; u; u = u->next) {
        struct xfer_who who = limits_who(u->job);
        if (xfer_limit_holds(of, &who) && !job_is_over(u->job))
            feed_touch(&r->feed, u->job);
    }
    if (set)
        feed_touch(&r->feed, set);
    slots_release(r, set);
    room_pump(r);
}

int room_limit_set(struct room *r, uint32_t uid, const struct ocp_limit *ask,
                   void (*done)(void *arg, const struct oc_err *err), void *arg, struct oc_err *err)
{
    struct xfer_limit of;
    limit_in(ask, &of);
    if (!OCP_HAS(ask, limit, uid))
        of.uid = uid;
    if (of.scope == OCP_ENUM_scope_all || of.scope == OCP_ENUM_scope_set)
        of.uid = 0;
    if (of.scope != OCP_ENUM_scope_set)
        of.set = 0;
    if (of.scope != OCP_ENUM_scope_client)
        of.label[0] = 0;
    int rc = check_whose(r, uid, &of, err);
    if (!rc)
        rc = check(r, &of, ask, err);
    if (rc)
        return rc;
    change(r, &of, ask);
    apply(r, &of);
    write_all(r, done, arg);
    return 0;
}

static int may_see(const struct room *r, const struct limit *l, uint32_t uid)
{
    const struct job *set = book_find(&r->book, l->of.set);
    if (is_master(uid) || l->of.scope == OCP_ENUM_scope_all)
        return 1;
    return l->of.scope == OCP_ENUM_scope_set ? set && set->uid == uid : l->of.uid == uid;
}

uint32_t room_limits_pack(const struct room *r, uint32_t uid, struct oc_buf *b)
{
    uint32_t n = 0;
    struct limit conf = {.of = configured(r)};
    if (conf.of.bytes_per_s) {
        struct ocp_limit m = {0};
        limit_out(&conf, &m);
        OCP_SET(&m, limit, configured, 1);
        ocp_pack(&ocp_desc_limit, &m, b);
        n++;
    }
    for (const struct limit *l = r->limits.first; l; l = l->next) {
        struct ocp_limit m = {0};
        if (!may_see(r, l, uid))
            continue;
        limit_out(l, &m);
        OCP_SET(&m, limit, at_work, l->at_work[1]);
        OCP_SET(&m, limit, at_work_small, l->at_work[0]);
        ocp_pack(&ocp_desc_limit, &m, b);
        n++;
    }
    return n;
}

/* ---- why a job is held back ---- */

static const char *whose(const struct xfer_limit *of, char out[96])
{
    switch (of->scope) {
    case OCP_ENUM_scope_user:
        snprintf(out, 96, "user %" PRIu32, of->uid);
        return out;
    case OCP_ENUM_scope_client:
        snprintf(out, 96, "client '%s'", of->label);
        return out;
    case OCP_ENUM_scope_set:
        snprintf(out, 96, "set %" PRIu64, of->set);
        return out;
    default:
        return of->fixed ? "ocid.conf" : "all transfers";
    }
}

static const char *speed(uint64_t bytes_per_s, char out[32])
{
    if (bytes_per_s < 1 << 20)
        snprintf(out, 32, "%.1f KiB/s", (double)bytes_per_s / 1024);
    else
        snprintf(out, 32, "%.1f MiB/s", (double)bytes_per_s / (1 << 20));
    return out;
}

static const char *held_in_queue(const struct limit *full, int bulk, char *out, size_t size)
{
    char name[96];
    snprintf(out, size, "the limit of %s is %" PRIu64 " %s job%s at a time", whose(&full->of, name),
             full->jobs, bulk ? "large" : "small", full->jobs > 1 ? "s" : "");
    return out;
}

static const char *held_at_work(const struct room *r, const struct xfer_who *who, char *out,
                                size_t size)
{
    struct xfer_limit least = configured(r);
    char name[96], rate[32];
    for (const struct limit *l = r->limits.first; l; l = l->next)
        if (l->of.bytes_per_s && xfer_limit_holds(&l->of, who) &&
            (!least.bytes_per_s || l->of.bytes_per_s < least.bytes_per_s))
            least = l->of;
    if (!least.bytes_per_s)
        return NULL;
    snprintf(out, size, "the limit of %s is %s", whose(&least, name),
             speed(least.bytes_per_s, rate));
    return out;
}

const char *room_held(const struct room *r, const struct job *j, char *out, size_t size)
{
    struct xfer_who who = limits_who(j);
    int waits = j->state == OCP_ENUM_state_queued && !(j->run && j->run->slot);
    const struct limit *full = waits ? slots_full_for(r, j) : NULL;
    if (full)
        return held_in_queue(full, sched_is_bulk(j), out, size);
    if (j->tally && !job_final(j))
        who.set = j->id;
    else if (j->state != OCP_ENUM_state_running)
        return NULL;
    return held_at_work(r, &who, out, size);
}
