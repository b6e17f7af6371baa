/* SPDX-License-Identifier: Apache-2.0
 *
 * hung.c - jobs whose file is on a mount that does not answer.
 *
 * Control loop. A run that is in such a mount's hands stays there, since the kernel gives the
 * thread back only when it likes; but it no longer counts as one that is being started, nor as one
 * at work of a limit: once the mount answers, it takes a place there again before it sends
 * anything. Those that come after it sleep. A timer looks once a second, as long as there is
 * anything to look at.
 */
#include "jobs/hung.h"

#include <stdlib.h>

#include "core/mem.h"
#include "core/mounts.h"
#include "core/work.h"
#include "jobs/room.h"

enum { LOOK_MS = 1000 };
#define WHYS (OC_BIT(OCP_ENUM_why_file) | OC_BIT(OCP_ENUM_why_destination))

dev_t hung_mount_of(const struct job *j)
{
    struct ocp_job spec;
    job_spec(j, &spec);
    struct ocp_str path = j->kind == OCP_ENUM_kind_put ? spec.source : spec.dest;
    if (!j->durable || !path.n)
        return 0;
    dev_t dev = OCP_HAS(&spec, job, dev) ? mounts_slow_dev((dev_t)spec.dev) : 0;
    if (dev)
        return dev;
    oc_auto_mem char *text = oc_strndup(path.p, path.n);
    return mounts_slow_of(text);
}

/* Why it waits; its outcome says it in a sentence. */
static enum ocp_why note(struct job *j)
{
    struct oc_err err;
    int reads = j->kind == OCP_ENUM_kind_put;
    oc_fail(&err, reads ? OCID_E_FILE : OCID_E_DESTINATION, 0,
            "the file system of the %s does not answer", reads ? "source" : "destination");
    job_note(j, &err);
    return run_why(err.code);
}

int hung_sleeps(struct room *r, struct job *j)
{
    if (j->run || work_pace_of(hung_mount_of(j)) != WORK_STUCK)
        return 0;
    room_sleep(r, j, note(j), RUN_LOOK_AGAIN_MS);
    hung_watch(r);
    return 1;
}

int hung_waits(struct run *u)
{
    if (u->stopping || u->retry_at || work_pace_of(u->mount) != WORK_STUCK)
        return 0;
    u->hung = 1;
    run_wait_for(u, note(u->job), RUN_LOOK_AGAIN_MS);
    hung_watch(u->room);
    return 1;
}

/* It has stopped trying for a while. */
static int waits(const struct run *u)
{
    return u->mount && u->retry_at && !u->stopping && WHYS & OC_BIT(u->job->why);
}

/* Whether it has to be looked at again. */
static int look(struct run *u)
{
    if (!u->mount || u->stopping || (!u->n_work && !u->hung && !waits(u)))
        return 0;
    if (!u->hung && !u->retry_at && !u->n_requests && work_pace_of(u->mount) != WORK_MOVES) {
        u->hung = 1;
        run_starting(u, 0);
        slot_give(u);
        job_enter(u->room, u->job, OCP_ENUM_state_waiting, note(u->job));
    }
    return 1;
}

void hung_ends(struct run *u)
{
    if (u->retry_at)
        return;
    u->hung = 0;
    if (!u->stopping && u->job->state == OCP_ENUM_state_waiting)
        job_enter(u->room, u->job, OCP_ENUM_state_queued, OCP_ENUM_why_none);
}

static void wake(struct room *r)
{
    struct run *u, *next;
    DL_FOREACH_SAFE(r->runs, u, next)
    {
        if (waits(u))
            run_kick(u);
    }
    room_wake_all(r, WHYS);
}

static void on_look(uv_timer_t *t)
{
    struct room *r = OC_OWNER(t, struct room, hung.timer);
    struct run *u, *next;
    unsigned n = 0, n_recovered = work_n_recovered();
    DL_FOREACH_SAFE(r->runs, u, next)
    {
        n += (unsigned)look(u);
    }
    if (n_recovered != r->hung.n_recovered)
        wake(r);
    r->hung.n_recovered = n_recovered;
    if ((!n && !r->sleepers.n) || r->stopping)
        uv_timer_stop(t);
    room_pump(r);
}

void hung_watch(struct room *r)
{
    if (r->stopping)
        return;
    if (!r->hung.open)
        uv_timer_init(r->uv, &r->hung.timer);
    r->hung.open = 1;
    if (!uv_is_active((uv_handle_t *)&r->hung.timer))
        uv_timer_start(&r->hung.timer, on_look, LOOK_MS, LOOK_MS);
}

void hung_close(struct room *r)
{
    if (r->hung.open)
        uv_close((uv_handle_t *)&r->hung.timer, NULL);
}
