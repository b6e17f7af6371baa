/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_share.c - share, shares and revoke: links for those who have no credentials.
 *
 * The link goes to standard output and nowhere else; who has it has what it allows, so that is
 * said.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/follow.h"
#include "ctl/json.h"
#include "ctl/render.h"

enum { DEFAULT_MS = 3600 * 1000, WHAT_BYTES = 1100 };

/* ---- share */

static int place(const struct ctl *ctl, struct uri *ret)
{
    const struct args *a = ctl->args;
    int status = ctl_uri(ctl, a->words[0], ret);
    if (!status && !a->recursive && !uri_is_object(ret))
        return ctl_usage(ctl, "share: '%s' names no object; with -r all below it is shared",
                         a->words[0]);
    if (!status && a->recursive && *ret->object && !uri_is_below(ret))
        return ctl_usage(ctl, "share: -r shares what is below a prefix: '%s/'", a->words[0]);
    return status;
}

static enum ocid_access access_of(const struct args *a)
{
    return a->read_write ? OCID_ACCESS_READ_WRITE : a->write ? OCID_ACCESS_WRITE : OCID_ACCESS_READ;
}

static const char *result(const struct ocid_outcome *o, const char *key)
{
    for (size_t i = 0; o && i < o->n_result; i++)
        if (!strcmp(o->result[i].key, key))
            return o->result[i].value;
    return NULL;
}

static void say_what_it_is(const struct ctl *ctl, const struct ocid_status *s)
{
    static const char *const may[] = {"read", "write", "read and write"};
    const char *expires = result(s->outcome, "expires"), *id = result(s->outcome, "share_id");
    char uri[RENDER_NAME];
    ctl_note(ctl, "whoever has this link may %s %s%s until %s: keep it secret", may[s->job->access],
             render_uri(s->job, uri, sizeof uri), s->job->prefix ? "*" : "",
             expires ? expires : "it ends");
    ctl_note(ctl,
             "the service never shows it again; to end it earlier: ocictl revoke oci://%s '%s'",
             s->job->bucket, id ? id : "ID");
}

static int print_link(struct ctl *ctl, uint64_t id)
{
    struct ocid_query q = ocid_query_of();
    const struct ocid_page *page;
    q.ids = &id;
    q.n_ids = 1;
    if (ocid_status(ctl->c, &q, CTL_REPLY_MS, &page))
        return ctl_fail(ctl, "share");
    const struct ocid_status *s = page->n_jobs ? &page->jobs[0] : NULL;
    const char *url = s ? result(s->outcome, "url") : NULL;
    if (!url) {
        ctl_say("share: job %" PRIu64 " has no link to show", id);
        return EXIT_FAILED;
    }
    if (ctl->args->json) {
        json_pairs(s->outcome->result, s->outcome->n_result);
        return EXIT_OK;
    }
    printf("%s\n", url);
    fflush(stdout); /* before what is said of it */
    say_what_it_is(ctl, s);
    return EXIT_OK;
}

struct wait {
    struct ctl *ctl;
    int said;
};

static int on_change(void *user, const struct ocid_status *s)
{
    struct wait *w = user;
    follow_say_why(w->ctl, s, &w->said);
    return 0;
}

static int wait_for_link(struct ctl *ctl, uint64_t id, const char *what)
{
    struct wait w = {.ctl = ctl};
    int rc = ocid_wait(ctl->c, &id, 1, -1, on_change, &w);
    if (rc == OCID_E_DETACHED)
        return ctl_detached(&id, 1);
    return rc ? ctl_fail(ctl, what) : print_link(ctl, id);
}

int cmd_share(struct ctl *ctl)
{
    const struct args *a = ctl->args;
    struct uri uri;
    char what[WHAT_BYTES];
    uint64_t id;
    int status = place(ctl, &uri);
    if (!status)
        status = ctl_open(ctl);
    if (status)
        return status;
    struct ocid_job job = ctl_job(ctl, OCID_KIND_SHARE, &uri);
    job.access = access_of(a);
    job.prefix = a->recursive;
    job.listing = a->listing;
    job.expires_at = follow_now() + (a->expires_ms ? a->expires_ms : DEFAULT_MS);
    snprintf(what, sizeof what, "share '%s'", *uri.object ? uri.object : uri.bucket);
    status = ctl_submit(ctl, &job, what, &id);
    if (!status && a->wait)
        return wait_for_link(ctl, id, what);
    return status ? status : ctl_finish(ctl, &id, 1, false);
}

/* ---- shares */

struct shares {
    struct ctl *ctl;
    int said;
};

static int on_row(void *user, const struct ocid_row *r)
{
    struct shares *l = user;
    char job[RENDER_NUMBER] = "-";
    if (r->job)
        snprintf(job, sizeof job, "%" PRIu64, r->job);
    if (l->ctl->args->json)
        json_row(r);
    else
        printf("%-10s  %-20.19s  %6s  %s  %s%s\n", render_name(r->access ? r->access : "-"),
               r->time_expires ? r->time_expires : "-", job,
               render_name(r->share_id ? r->share_id : "-"),
               render_name(r->name     ? r->name
                           : r->prefix ? r->prefix
                                       : ""),
               r->name ? "" : "*");
    return ferror(stdout) ? 1 : 0;
}

static int on_list_change(void *user, const struct ocid_status *s)
{
    struct shares *l = user;
    if (s->state == OCID_STATE_WAITING)
        fflush(stdout);
    follow_say_why(l->ctl, s, &l->said);
    return 0;
}

int cmd_shares(struct ctl *ctl)
{
    struct uri uri;
    struct shares l = {.ctl = ctl};
    char what[300];
    int status = ctl_uri(ctl, ctl->args->words[0], &uri);
    if (!status)
        status = ctl_open(ctl);
    if (status)
        return status;
    struct ocid_job job = ctl_job(ctl, OCID_KIND_SHARES, &uri);
    snprintf(what, sizeof what, "shares '%s'", uri.bucket);
    int rc = ocid_list(ctl->c, &job, -1, on_row, on_list_change, &l);
    fflush(stdout);
    if (rc == OCID_E_DETACHED) {
        ctl_say("interrupted: the list is not complete");
        return EXIT_DETACHED;
    }
    if (rc == 1)
        return EXIT_FAILED; /* main says why */
    return rc ? ctl_fail(ctl, what) : EXIT_OK;
}

/* ---- revoke */

int cmd_revoke(struct ctl *ctl)
{
    const struct args *a = ctl->args;
    size_t n = (size_t)a->n_words - 1;
    struct uri uri;
    int status = ctl_uri(ctl, a->words[0], &uri);
    if (!status && *uri.object)
        status = ctl_usage(ctl, "revoke: '%s' is more than a bucket", a->words[0]);
    if (!status)
        status = ctl_open(ctl);
    if (status)
        return status;
    struct ocid_job *jobs = ctl_alloc(n * sizeof *jobs);
    uint64_t *ids = ctl_alloc(n * sizeof *ids);
    for (size_t i = 0; i < n; i++) {
        jobs[i] = ctl_job(ctl, OCID_KIND_REVOKE, &uri);
        jobs[i].share_id = a->words[1 + i];
    }
    if (ocid_submit(ctl->c, jobs, n, CTL_REPLY_MS, ids))
        status = ctl_fail(ctl, "revoke");
    else
        status = ctl_finish(ctl, ids, n, true);
    free(jobs);
    free(ids);
    return status;
}
