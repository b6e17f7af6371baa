/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_status.c - status (the table, jobs in full, a stream of changes) and wait.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/follow.h"
#include "ctl/json.h"
#include "ctl/render.h"

enum { TABLE_ROWS = 50, ASK_IDS = 1000, POLL_MS = 60000 };

static int missing(uint64_t id)
{
    ctl_say("job %" PRIu64 ": no such job (see: ocictl status --all)", id);
    return ocid_error_exit(OCID_E_NOT_FOUND);
}

/* One job's state, good until the next call; else the exit status, after saying why. */
static int ask(struct ctl *ctl, uint64_t id, const struct ocid_status **ret)
{
    struct ocid_query q = ocid_query_of();
    const struct ocid_page *page;
    q.ids = &id;
    q.n_ids = 1;
    int rc = ocid_status(ctl->c, &q, CTL_REPLY_MS, &page);
    if (rc == OCID_E_NOT_FOUND || (!rc && !page->n_jobs))
        return missing(id);
    if (rc)
        return rc == OCID_E_DETACHED ? EXIT_DETACHED : ctl_fail(ctl, NULL);
    *ret = &page->jobs[0];
    return EXIT_OK;
}

/* ---- The table */

struct table {
    struct ctl *ctl;
    uint64_t n, most;
};

static int on_job(void *user, const struct ocid_status *s)
{
    struct table *t = user;
    if (t->n == t->most) {
        ctl_note(t->ctl, "older ones: ocictl status --all");
        return 1;
    }
    if (!t->n++ && !t->ctl->args->json)
        render_head();
    if (t->ctl->args->json)
        json_status(s);
    else
        render_line(s, t->ctl->color);
    return ferror(stdout) ? 1 : 0;
}

/* Why a set has no members: there is none of that id, perhaps. */
static int check_set(struct ctl *ctl, uint64_t id)
{
    const struct ocid_status *s;
    int status = ask(ctl, id, &s);
    if (status || render_is_set(s))
        return status;
    ctl_say("job %" PRIu64 " is not a set; see: ocictl status %" PRIu64, id, id);
    return EXIT_FAILED;
}

static int table(struct ctl *ctl)
{
    const struct args *a = ctl->args;
    uint64_t most = a->limit ? a->limit : a->all || a->set ? UINT64_MAX : TABLE_ROWS;
    struct table t = {ctl, 0, most};
    uint64_t limit = most == UINT64_MAX ? 0 : a->limit ? most : most + 1;
    int rc = ocid_jobs(ctl->c, a->state, a->set, limit, CTL_REPLY_MS, on_job, &t);
    if (rc < 0)
        return rc == OCID_E_DETACHED ? EXIT_DETACHED : ctl_fail(ctl, "status");
    if (t.n)
        return EXIT_OK;
    if (a->set && (rc = check_set(ctl, a->set)) != 0)
        return rc;
    if (!a->json)
        ctl_note(ctl, "no jobs");
    return EXIT_OK;
}

/* ---- In full */

static int one(struct ctl *ctl, uint64_t id, bool first)
{
    const struct ocid_status *s;
    int status = ask(ctl, id, &s);
    if (status)
        return status;
    if (ctl->args->json) {
        json_status(s);
        return EXIT_OK;
    }
    if (!first)
        putchar('\n');
    render_job(s, follow_now(), ctl->color);
    return EXIT_OK;
}

static int in_full(struct ctl *ctl, const uint64_t *ids, size_t n)
{
    size_t n_missing = 0;
    for (size_t i = 0; i < n; i++) {
        int status = one(ctl, ids[i], !i);
        if (status && status != ocid_error_exit(OCID_E_NOT_FOUND))
            return status;
        n_missing += status != 0;
    }
    return !n_missing ? EXIT_OK : n_missing < n ? EXIT_SOME : ocid_error_exit(OCID_E_NOT_FOUND);
}

/* ---- Changes */

static void change(struct ctl *ctl, const struct ocid_status *s)
{
    if (ctl->args->state >= 0 && (int)s->state != ctl->args->state)
        return;
    if (ctl->args->json)
        json_status(s);
    else
        render_line(s, ctl->color);
}

/* Marks the places of an id as ended; so many are new. */
static size_t mark(const uint64_t *ids, size_t n, bool *ended, uint64_t id)
{
    size_t marked = 0;
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id && !ended[i]) {
            ended[i] = true;
            marked++;
        }
    return marked;
}

/* Until Ctrl-C, or all of the ids have ended. */
static int follow(struct ctl *ctl, const uint64_t *ids, size_t n)
{
    static bool ended[ASK_IDS];
    struct ocid_query q = ocid_query_of();
    const struct ocid_page *page;
    size_t n_ended = 0;
    if (n > ASK_IDS)
        return ctl_usage(ctl, "status: at most %d ids can be followed", ASK_IDS);
    q.ids = n ? ids : NULL;
    q.n_ids = n;
    while (!n || n_ended < n) {
        int rc = ocid_status(ctl->c, &q, POLL_MS + CTL_REPLY_MS, &page);
        if (rc)
            return rc == OCID_E_DETACHED ? EXIT_DETACHED : ctl_fail(ctl, "status");
        for (size_t i = 0; i < page->n_jobs; i++) {
            change(ctl, &page->jobs[i]);
            if (ocid_state_final((int)page->jobs[i].state))
                n_ended += mark(ids, n, ended, page->jobs[i].id);
        }
        if (fflush(stdout))
            return EXIT_FAILED;
        q.epoch = page->epoch;
        q.since = page->seq;
        q.wait_ms = page->more ? 0 : POLL_MS;
    }
    return EXIT_OK;
}

int cmd_status(struct ctl *ctl)
{
    size_t n = (size_t)ctl->args->n_words;
    uint64_t *ids = ctl_alloc(n * sizeof *ids);
    char why[256];
    int status = 0;
    if (args_ids(ctl->args, ids, why, sizeof why))
        status = ctl_usage(ctl, "%s", why);
    if (!status)
        status = ctl_open(ctl);
    if (!status)
        status = ctl->args->follow ? follow(ctl, ids, n) : n ? in_full(ctl, ids, n) : table(ctl);
    free(ids);
    return status;
}

/* ---- wait */

int cmd_wait(struct ctl *ctl)
{
    const struct args *a = ctl->args;
    size_t n = (size_t)a->n_words;
    uint64_t *ids = ctl_alloc(n * sizeof *ids);
    char why[256];
    int status = 0;
    if (args_ids(a, ids, why, sizeof why))
        status = ctl_usage(ctl, "%s", why);
    if (!status)
        status = ctl_open(ctl);
    if (!status)
        status = follow_wait(ctl, ids, n, args_patience_ms(a, UINT64_MAX));
    free(ids);
    return status;
}
