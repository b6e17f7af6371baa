/* SPDX-License-Identifier: Apache-2.0
 *
 * refused.c - jobs whose credentials the service refuses.
 *
 * Control loop. A timer runs as long as one of them waits; its pauses become longer, as those of
 * retries do. Start at look().
 */
#include "jobs/refused.h"

#include <stdio.h>

#include "core/log.h"
#include "jobs/room.h"

enum { LOOK_BASE_MS = 2000 };

static void on_timer(uv_timer_t *t);

static void arm(struct room *r)
{
    uint64_t cap_ms = 1000ull * r->config->network_retry_cap_seconds;
    uint64_t pause_ms = (uint64_t)LOOK_BASE_MS
                        << (r->refused.n_looks < 10 ? r->refused.n_looks : 10);
    if (!r->refused.open)
        uv_timer_init(r->uv, &r->refused.timer);
    r->refused.open = 1;
    if (!r->stopping)
        uv_timer_start(&r->refused.timer, on_timer, pause_ms < cap_ms ? pause_ms : cap_ms, 0);
}

/* A run that has something begun, or cleans up, and waits. */
static int waits(const struct run *u, const struct account *a)
{
    return u->account == a && u->refused && u->retry_at &&
           (u->stopping || u->job->why == OCP_ENUM_why_login);
}

static void try_again(struct run *u)
{
    u->job->attempt = 0;
    run_kick(u);
}

static struct job *first_asleep(const struct room *r, const struct account *a)
{
    for (uint32_t i = 0; i < r->sleepers.n; i++)
        if (r->sleepers.at[i]->why == OCP_ENUM_why_login && account_of(r, r->sleepers.at[i]) == a)
            return r->sleepers.at[i];
    return NULL;
}

/* One of those that were refused tries again, each in turn. 0: there is none. */
static int look_again(struct room *r, const struct account *a)
{
    struct run *u;
    DL_FOREACH (r->runs, u) {
        if (!waits(u, a))
            continue;
        DL_DELETE(r->runs, u);
        DL_APPEND(r->runs, u);
        try_again(u);
        return 1;
    }
    return 0;
}

/* One that never was tries: perhaps it is what the others ask for. 0: there is none. */
static int look_anew(struct room *r, struct account *a)
{
    struct job *j = a->refused.code ? first_asleep(r, a) : NULL;
    a->may_look = j != NULL;
    if (j)
        room_admit(r, j);
    return j != NULL;
}

static int look(struct room *r, struct account *a)
{
    int n = look_again(r, a) + look_anew(r, a);
    if (!n)
        a->refused.code = 0;
    return n;
}

static void on_timer(uv_timer_t *t)
{
    struct room *r = OC_OWNER(t, struct room, refused.timer);
    int n = 0;
    for (struct account *a = r->accounts.list; a && !r->stopping; a = a->next)
        n += look(r, a);
    r->refused.n_looks++;
    if (n)
        arm(r);
}

void refused_begins(struct account *a, struct run *u, const struct oc_err *err)
{
    struct room *r = a->room;
    if (u)
        u->refused = 1;
    if (!a->refused.code) {
        a->refused = *err;
        snprintf(a->refused.text, sizeof a->refused.text,
                 "the service refuses the credentials of profile '%s'; run 'ocictl doctor' to see "
                 "which part is wrong",
                 a->profile);
        log_warn("%s; its jobs wait, and one looks now and then", a->refused.text);
    }
    if (r->refused.open && uv_is_active((uv_handle_t *)&r->refused.timer))
        return;
    r->refused.n_looks = 0;
    arm(r);
}

/* Those that were refused themselves go on by a proof of their own kind only: it is perhaps what
 * they ask for that the service refuses. */
void refused_ends(struct account *a, struct run *u)
{
    struct room *r = a->room;
    struct run *v, *next;
    int proven = u && (u->refused || !u->job->durable);
    if (u)
        u->refused = 0;
    if (a->refused.code) {
        a->refused.code = 0;
        log_info("the service takes the credentials of profile '%s'", a->profile);
        room_wake_all(r, OC_BIT(OCP_ENUM_why_login));
    }
    if (!proven)
        return;
    DL_FOREACH_SAFE(r->runs, v, next)
    {
        if (waits(v, a))
            try_again(v);
    }
}

int refused_sleeps(struct room *r, struct job *j)
{
    struct account *a = j->run || !j->durable ? NULL : account_of(r, j);
    if (!a || !a->refused.code)
        return 0;
    if (a->may_look) {
        a->may_look = 0;
        return 0;
    }
    job_note(j, &a->refused);
    room_sleep(r, j, OCP_ENUM_why_login, 0);
    return 1;
}

void refused_look(struct room *r, const struct job *j)
{
    struct account *a = account_of(r, j);
    if (a && a->refused.code)
        a->may_look = 1;
}

void refused_forget(struct room *r)
{
    for (struct account *a = r->accounts.list; a; a = a->next)
        a->refused.code = a->may_look = 0;
}

void refused_close(struct room *r)
{
    if (r->refused.open)
        uv_close((uv_handle_t *)&r->refused.timer, NULL);
}
