/* SPDX-License-Identifier: Apache-2.0
 *
 * follow.c - from ids to an exit status: asks for changes, draws, and survives a restart of the
 * daemon.
 *
 * The long poll tells what has changed state; how far the bytes are is asked anew for each drawing.
 * Start at follow_wait().
 */
#include "ctl/follow.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/json.h"
#include "ctl/progress.h"

enum {
    WINDOW = 1000,
    POLL_MS = 60000,
    BACK_MS = 30000,
    BACK_STEP_MS = 100,
    CALM_MS = 100,
    TELL_MEMBERS = 10
};

struct member {
    bool ended;
    bool heard;
    int status;      /* exit status, once ended */
    uint64_t failed; /* of a set: so many members */
    uint64_t done, total;
};

struct follow {
    struct ctl *ctl;
    struct progress p;
    const uint64_t *ids;
    struct member *m;
    size_t n, n_left, n_failed;
    size_t first, end; /* the window that is asked for */
    uint64_t epoch, since, deadline;
    bool fresh;   /* nothing of the window was heard yet */
    int set;      /* 1: ids[0] is a set, and alone; -1: not known yet */
    int said;     /* why of the last words about waiting */
    bool reading; /* only until the end of its pipe has been read */
    char uuid[65];
};

uint64_t follow_clock(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t follow_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- Ends */

int follow_failure(const struct ocid_status *s, struct ocid_failure *ret)
{
    const struct ocid_outcome *o = s->outcome;
    *ret = (struct ocid_failure){.index = -1};
    ret->code = s->state == OCID_STATE_CANCELLED ? OCID_E_CANCELLED
                : o && o->error                  ? o->error
                                                 : OCID_E_INTERNAL;
    snprintf(ret->text, sizeof ret->text, "%s",
             o && o->text ? o->text : ocid_error_text(ret->code));
    if (o) {
        ret->http_status = o->http_status;
        snprintf(ret->service_code, sizeof ret->service_code, "%s",
                 o->service_code ? o->service_code : "");
        snprintf(ret->request_id, sizeof ret->request_id, "%s", o->request_id ? o->request_id : "");
    }
    return ocid_error_exit(ret->code);
}

static int say_failure(const struct ocid_status *s)
{
    struct ocid_failure why;
    char what[RENDER_NAME];
    follow_failure(s, &why);
    return ctl_failed(render_subject(s->job, s->id, what, sizeof what), &why);
}

static int on_member(void *user, const struct ocid_status *s)
{
    (void)user;
    say_failure(s);
    return 0;
}

/* A set's own sentence is a count; its members' say why. */
static void tell_members(struct follow *f)
{
    for (size_t i = 0; i < f->n && !f->ctl->args->quiet; i++) {
        if (!f->m[i].failed || ocid_jobs(f->ctl->c, OCID_STATE_FAILED, f->ids[i], TELL_MEMBERS,
                                         CTL_REPLY_MS, on_member, f))
            continue;
        if (f->m[i].failed > TELL_MEMBERS)
            ctl_say("and %" PRIu64 " more: ocictl status --set %" PRIu64 " --state failed",
                    f->m[i].failed - TELL_MEMBERS, f->ids[i]);
    }
}

static void say_done(struct follow *f, const struct ocid_status *s)
{
    char size[RENDER_NUMBER], span[RENDER_NUMBER], rate[RENDER_NUMBER], what[9000];
    uint64_t ms = s->ended_at > s->created_at ? s->ended_at - s->created_at : 0;
    uint64_t bytes = s->outcome && s->outcome->bytes != OCID_UNKNOWN ? s->outcome->bytes : 0;
    if (f->ctl->args->quiet || !f->ctl->terminal)
        return;
    fprintf(stderr, "done: %s", render_what(s->job, what, sizeof what));
    if (render_is_set(s))
        fprintf(stderr, ", %" PRIu64 " objects", s->n_done);
    if (bytes)
        fprintf(stderr, ", %s in %s", render_size(bytes, size), render_span(ms, span));
    if (bytes && ms >= 1000)
        fprintf(stderr, ", %s", render_rate((double)bytes * 1000 / (double)ms, rate));
    if (s->outcome && s->outcome->verified != OCID_VERIFIED_NONE)
        fprintf(stderr, ", verified: %s", ocid_verified_name((int)s->outcome->verified));
    fputc('\n', stderr);
}

/* Of a prefix that would be an error; a bucket may be empty. */
static void say_empty(const struct follow *f, const struct ocid_status *s)
{
    char what[RENDER_NAME];
    if (s->job && s->job->kind == OCID_KIND_PULL && !s->n_total)
        ctl_note(f->ctl, "%s: there was nothing to download",
                 render_subject(s->job, s->id, what, sizeof what));
}

static void ended(struct follow *f, size_t i, const struct ocid_status *s)
{
    f->m[i].ended = true;
    f->n_left--;
    progress_clear(&f->p);
    if (f->ctl->args->json)
        json_status(s);
    if (s->state == OCID_STATE_DONE) {
        say_done(f, s);
        say_empty(f, s);
        return;
    }
    f->n_failed++;
    f->m[i].failed = s->n_failed;
    f->m[i].status = say_failure(s);
}

/* ---- What is heard */

void follow_say_why(struct ctl *ctl, const struct ocid_status *s, int *last)
{
    char text[512];
    const char *why = render_why(s, follow_now(), text, sizeof text);
    if (!why || (int)s->why == *last)
        return;
    *last = (int)s->why;
    if (s->why != OCID_WHY_MEMBERS && s->why != OCID_WHY_AFTER)
        ctl_note(ctl, "job %" PRIu64 " waits: %s", s->id, why);
}

static void heard(struct follow *f, const struct ocid_status *s)
{
    for (size_t i = f->first; i < f->end; i++) {
        if (f->ids[i] != s->id || f->m[i].ended)
            continue;
        f->m[i].heard = true;
        f->m[i].done = s->bytes_done;
        f->m[i].total = s->bytes_total;
        if (f->n == 1 && f->set < 0)
            f->set = render_is_set(s);
        if (f->n == 1 && f->set == 1) {
            f->p.several = true;
            f->p.n_done = s->n_done + s->n_failed + s->n_cancelled;
            f->p.n_failed = s->n_failed;
            f->p.n_total = s->n_total;
        }
        if (ocid_state_final((int)s->state)) {
            f->m[i].done = f->m[i].total =
                s->outcome && s->outcome->bytes != OCID_UNKNOWN ? s->outcome->bytes : s->bytes_done;
            ended(f, i, s);
        } else if (f->reading && !s->reading) {
            f->m[i].ended = true;
            f->n_left--;
        } else if (f->n == 1 && f->p.terminal) {
            char text[sizeof f->p.waits];
            const char *why = render_why(s, follow_now(), text, sizeof text);
            snprintf(f->p.waits, sizeof f->p.waits, "%s",
                     why && s->why != OCID_WHY_MEMBERS ? why : "");
        } else if (f->n == 1) {
            follow_say_why(f->ctl, s, &f->said);
        }
    }
}

/* ---- Asking */

/* Ids of the window that have not ended. */
static size_t asked(const struct follow *f, uint64_t *ids)
{
    size_t n = 0;
    for (size_t i = f->first; i < f->end; i++)
        if (!f->m[i].ended)
            ids[n++] = f->ids[i];
    return n;
}

static int not_found(struct follow *f, uint64_t id)
{
    progress_clear(&f->p);
    ctl_say("job %" PRIu64 ": no such job (see: ocictl status --all)", id);
    return ocid_error_exit(OCID_E_NOT_FOUND);
}

/* After a complete answer whoever was not heard of does not exist. */
static void drop_unknown(struct follow *f)
{
    for (size_t i = f->first; i < f->end; i++) {
        if (f->m[i].heard || f->m[i].ended)
            continue;
        f->m[i].ended = true;
        f->m[i].status = not_found(f, f->ids[i]);
        f->n_left--;
        f->n_failed++;
    }
}

/* Hears of them without asking more: the page is gone with the next call. */
static void take_page(struct follow *f, const struct ocid_page *page, uint64_t now)
{
    for (size_t i = 0; i < page->n_jobs; i++) {
        const struct ocid_status *s = &page->jobs[i];
        bool lively = f->n == 1 ? f->set != 1 : s->state == OCID_STATE_RUNNING;
        heard(f, s);
        if (lively && !render_is_set(s) && !ocid_state_final((int)s->state))
            progress_job(&f->p, s, now);
    }
}

static int come_back(struct follow *f)
{
    uint64_t until = follow_clock() + BACK_MS;
    int rc;
    progress_clear(&f->p);
    ctl_note(f->ctl, "the daemon has gone; waiting for it to come back");
    while ((rc = ocid_reopen(f->ctl->c, BACK_STEP_MS * 10)) != 0) {
        struct timespec nap = {0, BACK_STEP_MS * 1000000L};
        if (ctl_interrupted || rc == OCID_E_DETACHED)
            return OCID_E_DETACHED;
        if (rc != OCID_E_NO_DAEMON && rc != OCID_E_STOPPING && rc != OCID_E_TIMED_OUT)
            return rc;
        uint64_t now = follow_clock();
        if (now >= f->deadline)
            return OCID_E_TIMED_OUT;
        if (now >= until)
            return rc;
        nanosleep(&nap, NULL);
    }
    f->fresh = true;
    if (strcmp(f->uuid, ocid_info(f->ctl->c)->uuid) != 0) {
        ctl_say("the daemon has another database now: it does not know these jobs");
        return OCID_E_NOT_FOUND;
    }
    return 0;
}

/* One question: a change, or (fresh) how things stand. */
static int ask(struct follow *f, bool fresh, uint64_t wait_ms)
{
    static uint64_t ids[WINDOW];
    struct ocid_query q = ocid_query_of();
    const struct ocid_page *page;
    bool more = true;
    q.ids = ids;
    q.wait_ms = wait_ms;
    q.calm_ms = f->reading ? 0 : CALM_MS;
    if (fresh) {
        progress_begin(&f->p);
        f->since = 0;
    }
    while (more && (q.n_ids = asked(f, ids)) > 0) {
        q.epoch = f->epoch;
        q.since = f->since;
        int rc = ocid_status(f->ctl->c, &q, (int)q.wait_ms + CTL_REPLY_MS, &page);
        if (rc)
            return rc;
        f->epoch = page->epoch;
        f->since = page->seq;
        more = page->more;
        q.wait_ms = 0;
        take_page(f, page, follow_clock());
    }
    if (fresh && !more)
        drop_unknown(f);
    f->fresh = false;
    return 0;
}

/* The running members of a set, for their lines. */
static int ask_members(struct follow *f)
{
    struct ocid_query q = ocid_query_of();
    const struct ocid_page *page;
    uint64_t now;
    q.set = f->ids[0];
    q.limit = PROGRESS_LINES + 1;
    int rc = ocid_status(f->ctl->c, &q, CTL_REPLY_MS, &page);
    if (rc)
        return rc;
    now = follow_clock();
    progress_begin(&f->p);
    for (size_t i = 0; i < page->n_jobs; i++)
        if (page->jobs[i].id != q.set)
            progress_job(&f->p, &page->jobs[i], now);
    return 0;
}

static void totals(struct follow *f)
{
    uint64_t done = 0, total = 0, n_done = 0;
    for (size_t i = 0; i < f->n; i++) {
        done += f->m[i].done;
        n_done += f->m[i].ended;
        if (total != OCID_UNKNOWN)
            total = f->m[i].total == OCID_UNKNOWN || !f->m[i].heard ? OCID_UNKNOWN
                                                                    : total + f->m[i].total;
    }
    if (f->n > 1) {
        f->p.n_done = n_done;
        f->p.n_total = f->n;
        f->p.n_failed = f->n_failed;
    }
    progress_totals(&f->p, done, total, follow_clock());
}

/* The end of a job comes at once, other changes soon; for the bytes we look again when it is time
 * to draw. */
static int step(struct follow *f)
{
    uint64_t now = follow_clock(), wait = POLL_MS;
    if (now >= f->deadline && !f->fresh) /* without any time left, what has ended is said, too */
        return OCID_E_TIMED_OUT;
    if (f->p.out && progress_due(&f->p, now) < wait)
        wait = progress_due(&f->p, now);
    if (!f->fresh && f->deadline - now < wait)
        wait = f->deadline - now;
    int rc = ask(f, f->fresh, f->fresh ? 0 : wait); /* of an end we hear at once */
    now = follow_clock();
    if (rc || !f->n_left || !f->p.out || progress_due(&f->p, now))
        return rc;
    rc = ask(f, true, 0);
    if (!rc && f->set == 1 && f->p.terminal && f->n_left)
        rc = ask_members(f);
    totals(f);
    if (!rc && f->n_left)
        progress_draw(&f->p, follow_clock());
    return rc;
}

static int run(struct follow *f)
{
    int rc = 0;
    for (f->first = 0; !rc && f->first < f->n; f->first = f->end) {
        f->end = f->n - f->first < WINDOW ? f->n : f->first + WINDOW;
        f->fresh = true;
        size_t beyond = f->n - f->end;
        while (!rc && f->n_left > beyond) {
            rc = ctl_interrupted ? OCID_E_DETACHED : step(f);
            if (rc == OCID_E_NO_DAEMON || rc == OCID_E_STOPPING)
                rc = come_back(f);
            if (rc == OCID_E_NOT_FOUND && !ocid_info(f->ctl->c))
                break;
            if (rc == OCID_E_NOT_FOUND) {
                drop_unknown(f);
                rc = 0;
            }
        }
    }
    return rc;
}

/* ---- The end of it */

static int verdict(const struct follow *f)
{
    int first = 0;
    bool same = true;
    for (size_t i = 0; i < f->n; i++) {
        if (!f->m[i].status)
            continue;
        same = same && (!first || f->m[i].status == first);
        if (!first)
            first = f->m[i].status;
    }
    if (f->n_failed < f->n && f->n_failed)
        return EXIT_SOME;
    return !f->n_failed ? EXIT_OK : same ? first : EXIT_SOME;
}

static int say_timeout(const struct follow *f)
{
    uint64_t id = 0;
    for (size_t i = 0; i < f->n && !id; i++)
        id = f->m[i].ended ? 0 : f->ids[i];
    ctl_say("%zu of %zu jobs have not ended in time; they go on: ocictl status %" PRIu64, f->n_left,
            f->n, id);
    return EXIT_TIMED_OUT;
}

static int left(const struct follow *f)
{
    uint64_t ids[5];
    size_t n = 0;
    for (size_t i = 0; i < f->n && n < 5; i++)
        if (!f->m[i].ended)
            ids[n++] = f->ids[i];
    return ctl_detached(ids, n);
}

/* What is read of it would be half of something. */
static int drop(const struct follow *f)
{
    int rc = ocid_act(f->ctl->c, OCID_ACT_CANCEL, f->ids, 1, CTL_REPLY_MS, NULL);
    if (rc == OCID_E_DETACHED) /* Ctrl-C came between two calls, and this one was told */
        rc = ocid_act(f->ctl->c, OCID_ACT_CANCEL, f->ids, 1, CTL_REPLY_MS, NULL);
    if (rc)
        ctl_fail(f->ctl, "cancel the job");
    else
        ctl_say("interrupted: the end of standard input was not read, and nothing is uploaded");
    return EXIT_DETACHED;
}

static int follow(struct ctl *ctl, const uint64_t *ids, size_t n, uint64_t timeout_ms, bool reading)
{
    uint64_t now = follow_clock();
    struct follow f = {
        .ctl = ctl,
        .ids = ids,
        .n = n,
        .n_left = n,
        .m = ctl_alloc(n * sizeof *f.m),
        .set = n == 1 ? -1 : 0,
        .reading = reading,
        .deadline = timeout_ms > UINT64_MAX - now ? UINT64_MAX : now + timeout_ms,
    };
    int status;
    snprintf(f.uuid, sizeof f.uuid, "%s", ocid_info(ctl->c)->uuid);
    progress_init(&f.p, ctl->args->quiet ? NULL : stderr, ctl->terminal, now);
    f.p.several = n > 1;
    int rc = run(&f);
    progress_clear(&f.p);
    if (rc == OCID_E_DETACHED)
        status = reading ? drop(&f) : left(&f);
    else if (rc == OCID_E_TIMED_OUT)
        status = say_timeout(&f);
    else if (rc)
        status = rc == OCID_E_NOT_FOUND ? ocid_error_exit(rc) : ctl_fail(ctl, NULL);
    else
        status = verdict(&f);
    if (!rc)
        tell_members(&f);
    free(f.m);
    return status;
}

int follow_wait(struct ctl *ctl, const uint64_t *ids, size_t n, uint64_t timeout_ms)
{
    return follow(ctl, ids, n, timeout_ms, false);
}

int follow_read(struct ctl *ctl, uint64_t id)
{
    return follow(ctl, &id, 1, UINT64_MAX, true);
}

/* ---- Quick jobs */

struct call {
    struct ctl *ctl;
    uint64_t id;
    int said;
};

static int on_call(void *user, const struct ocid_status *s)
{
    struct call *call = user;
    follow_say_why(call->ctl, s, &call->said);
    return 0;
}

int follow_call(struct ctl *ctl, const struct ocid_job *job, const char *what,
                const struct ocid_status **ret)
{
    struct call call = {.ctl = ctl};
    struct ocid_query q = ocid_query_of();
    const struct ocid_page *page;
    int status = ctl_submit(ctl, job, what, &call.id);
    if (status)
        return status;
    int rc = ocid_wait(ctl->c, &call.id, 1, -1, on_call, &call);
    if (rc == OCID_E_DETACHED) {
        ocid_act(ctl->c, OCID_ACT_CANCEL, &call.id, 1, CTL_REPLY_MS, NULL);
        ctl_say("interrupted");
        return EXIT_DETACHED;
    }
    if (rc)
        return ctl_fail(ctl, what);
    q.ids = &call.id;
    q.n_ids = 1;
    if (ocid_status(ctl->c, &q, CTL_REPLY_MS, &page) || !page->n_jobs)
        return ctl_fail(ctl, what);
    *ret = &page->jobs[0];
    return 0;
}
