/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_uploads.c - uploads: a bucket's unfinished multipart uploads, and the end of old ones.
 *
 * Nothing is aborted unasked, and nothing that a job of the daemon owns: such an upload is shown
 * with the job's id and left to it; the daemon refuses as well.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/follow.h"
#include "ctl/json.h"
#include "ctl/render.h"

struct found {
    char *object, *id;
};

struct uploads {
    struct ctl *ctl;
    const struct uri *uri;
    uint64_t now_ms;
    struct found *old; /* those to be aborted */
    size_t n_old, room;
    int said;
};

/* Milliseconds since 1970 of "2024-05-01T12:00:00.123Z"; 0: none that can be read. */
static uint64_t time_of(const char *text)
{
    struct tm tm = {0};
    if (!text || !strptime(text, "%Y-%m-%dT%H:%M:%S", &tm))
        return 0;
    return 1000 * (uint64_t)timegm(&tm);
}

static uint64_t age_of(const struct uploads *u, const struct ocid_row *r)
{
    uint64_t at_ms = time_of(r->time_created);
    return at_ms && at_ms < u->now_ms ? u->now_ms - at_ms : 0;
}

static void print_row(const struct uploads *u, const struct ocid_row *r)
{
    char size[RENDER_NUMBER], age[RENDER_NUMBER], job[RENDER_NUMBER] = "-";
    if (r->job)
        snprintf(job, sizeof job, "%" PRIu64, r->job);
    printf("%11s  %6" PRIu64 "  %10s  %6s  %-36s  %s\n", render_size(r->size, size), r->parts,
           time_of(r->time_created) ? render_span(age_of(u, r), age) : "-", job,
           render_name(r->upload_id ? r->upload_id : "-"), render_name(r->name ? r->name : "-"));
}

/* One whose age is not known is not old. */
static bool is_old(const struct uploads *u, const struct ocid_row *r)
{
    return u->ctl->args->abort_older_ms != ARGS_NO_AGE && !r->job && r->upload_id && r->name &&
           time_of(r->time_created) && age_of(u, r) >= u->ctl->args->abort_older_ms;
}

static int on_row(void *user, const struct ocid_row *r)
{
    struct uploads *u = user;
    if (u->ctl->args->json)
        json_row(r);
    else
        print_row(u, r);
    if (is_old(u, r)) {
        if (u->n_old == u->room) {
            u->room = u->room ? 2 * u->room : 64;
            u->old = ctl_grow(u->old, u->room * sizeof *u->old);
        }
        u->old[u->n_old++] = (struct found){ctl_copy(r->name), ctl_copy(r->upload_id)};
    }
    return ferror(stdout) ? 1 : 0;
}

static int on_change(void *user, const struct ocid_status *s)
{
    struct uploads *u = user;
    if (s->state == OCID_STATE_WAITING)
        fflush(stdout);
    follow_say_why(u->ctl, s, &u->said);
    return 0;
}

static int list(struct uploads *u, const char *what)
{
    struct ocid_job job = ctl_job(u->ctl, OCID_KIND_UPLOADS, u->uri);
    job.object = NULL;
    int rc = ocid_list(u->ctl->c, &job, -1, on_row, on_change, u);
    fflush(stdout);
    if (rc == OCID_E_DETACHED) {
        ctl_say("interrupted: the list is not complete, and nothing was aborted");
        return EXIT_DETACHED;
    }
    if (rc == 1)
        return EXIT_FAILED; /* main says why */
    return rc ? ctl_fail(u->ctl, what) : EXIT_OK;
}

static int abort_old(struct uploads *u)
{
    struct ocid_job *jobs = ctl_alloc(u->n_old * sizeof *jobs);
    uint64_t *ids = ctl_alloc(u->n_old * sizeof *ids);
    for (size_t i = 0; i < u->n_old; i++) {
        jobs[i] = ctl_job(u->ctl, OCID_KIND_ABORT, u->uri);
        jobs[i].object = u->old[i].object;
        jobs[i].upload_id = u->old[i].id;
    }
    int status = ocid_submit(u->ctl->c, jobs, u->n_old, CTL_REPLY_MS, ids)
                     ? ctl_fail(u->ctl, "uploads")
                     : ctl_finish(u->ctl, ids, u->n_old, true);
    if (!status)
        ctl_note(u->ctl, "%zu upload%s aborted", u->n_old, u->n_old == 1 ? "" : "s");
    free(jobs);
    free(ids);
    return status;
}

int cmd_uploads(struct ctl *ctl)
{
    struct uri uri;
    struct uploads u = {.ctl = ctl, .uri = &uri};
    char what[300];
    int status = ctl_uri(ctl, ctl->args->words[0], &uri);
    if (!status && *uri.object)
        status = ctl_usage(ctl, "uploads: '%s' is more than a bucket", ctl->args->words[0]);
    if (!status)
        status = ctl_open(ctl);
    if (status)
        return status;
    u.now_ms = 1000 * (uint64_t)time(NULL);
    snprintf(what, sizeof what, "uploads '%s'", uri.bucket);
    status = list(&u, what);
    if (!status && u.n_old)
        status = abort_old(&u);
    for (size_t i = 0; i < u.n_old; i++) {
        free(u.old[i].object);
        free(u.old[i].id);
    }
    free(u.old);
    return status;
}
