/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_ls.c - ls and buckets: rows as they come, a million in the memory of one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "ctl/follow.h"
#include "ctl/json.h"
#include "ctl/render.h"

enum { COLUMNS_MAX = 16, STDOUT_BYTES = 64 << 10 };

/* Fields of a row, by the names of the protocol and of the service. */
static const struct column {
    const char *name, *api;
    int width; /* negative: left */
    size_t at;
} columns[] = {
    {"name", "name", 0, offsetof(struct ocid_row, name)},
    {"size", "size", 14, offsetof(struct ocid_row, size)},
    {"etag", "etag", -36, offsetof(struct ocid_row, etag)},
    {"md5", "md5", -24, offsetof(struct ocid_row, md5)},
    {"time_created", "timeCreated", -20, offsetof(struct ocid_row, time_created)},
    {"time_modified", "timeModified", -20, offsetof(struct ocid_row, time_modified)},
    {"storage_tier", "storageTier", -16, offsetof(struct ocid_row, storage_tier)},
    {"archival_state", "archivalState", -9, offsetof(struct ocid_row, archival_state)},
};

enum { N_COLUMNS = sizeof columns / sizeof *columns };

struct table {
    struct ctl *ctl;
    const struct column *shown[COLUMNS_MAX];
    size_t n;
    int said;
};

static const struct column *column_find(const char *name, size_t n)
{
    char plain[32];
    snprintf(plain, sizeof plain, "%.*s", (int)n, name);
    for (char *c = plain; *c; c++)
        if (*c == '-')
            *c = '_';
    for (size_t i = 0; i < N_COLUMNS; i++)
        if (!strcasecmp(columns[i].name, plain) || !strcasecmp(columns[i].api, plain))
            return &columns[i];
    return NULL;
}

static const char *column_name(size_t i, const void *arg)
{
    (void)arg;
    return i < N_COLUMNS ? columns[i].name : NULL;
}

/* The list of --fields, or one of ours. Exit status. */
static int choose(struct table *t, const char *list)
{
    for (const char *at = list; *at;) {
        size_t n = strcspn(at, ",");
        const struct column *c = column_find(at, n);
        if (!c && n) {
            char word[33];
            snprintf(word, sizeof word, "%.*s", (int)n, at);
            const char *meant = args_nearest(word, column_name, NULL);
            return ctl_usage(t->ctl, "ls: there is no field '%s'%s%s%s", word,
                             meant ? "; did you mean " : "", meant ? meant : "", meant ? "?" : "");
        }
        if (c && t->n < COLUMNS_MAX)
            t->shown[t->n++] = c;
        at += n + (at[n] == ',');
    }
    return 0;
}

/* What the service is asked for; name must be there. The caller frees. */
static char *api_fields(const struct table *t)
{
    char *out = ctl_copy("name");
    for (size_t i = 0; i < t->n; i++) {
        if (!strcmp(t->shown[i]->api, "name"))
            continue;
        char *more = ctl_printf("%s,%s", out, t->shown[i]->api);
        free(out);
        out = more;
    }
    return out;
}

/* "2024-05-01T12:00:00.123Z" without the fraction. */
static const char *seconds(const char *time, char out[40])
{
    size_t n = strcspn(time, ".");
    if (!time[n] || n > 30)
        return time;
    snprintf(out, 40, "%.*sZ", (int)n, time);
    return out;
}

static void print_cell(const struct column *c, const struct ocid_row *r, bool last)
{
    char text[40];
    const char *s;
    if (!strcmp(c->name, "size")) {
        if (r->size == OCID_UNKNOWN)
            printf("%*s", c->width, "-");
        else
            printf("%*" PRIu64, c->width, r->size);
    } else {
        memcpy(&s, (const char *)r + c->at, sizeof s);
        if (!strcmp(c->name, "name") && !s)
            s = r->prefix;
        s = s && !strncmp(c->name, "time", 4) ? seconds(s, text) : s;
        printf("%*s", last ? 0 : c->width, s && *s ? render_name(s) : "-");
    }
    fputs(last ? "\n" : "  ", stdout);
}

static int on_row(void *user, const struct ocid_row *r)
{
    struct table *t = user;
    if (t->ctl->args->json)
        json_row(r);
    else
        for (size_t i = 0; i < t->n; i++)
            print_cell(t->shown[i], r, i + 1 == t->n);
    return ferror(stdout) ? 1 : 0;
}

static int on_change(void *user, const struct ocid_status *s)
{
    struct table *t = user;
    if (s->state == OCID_STATE_WAITING)
        fflush(stdout);
    follow_say_why(t->ctl, s, &t->said);
    return 0;
}

static int list(struct table *t, const struct ocid_job *job, const char *what)
{
    static char buffer[STDOUT_BYTES];
    if (!isatty(STDOUT_FILENO))
        setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    int rc = ocid_list(t->ctl->c, job, -1, on_row, on_change, t);
    if (rc == OCID_E_DETACHED) {
        fflush(stdout);
        ctl_say("interrupted: the list is not complete");
        return EXIT_DETACHED;
    }
    if (rc == 1)
        return EXIT_FAILED; /* main says why */
    if (rc)
        fflush(stdout);
    return rc ? ctl_fail(t->ctl, what) : EXIT_OK;
}

static int to_file(struct table *t, struct ocid_job *job, const char *what)
{
    uint64_t id;
    char *path = ctl_absolute(t->ctl->args->to);
    job->dest = path;
    int status = ctl_submit(t->ctl, job, what, &id);
    free(path);
    return status ? status : ctl_finish(t->ctl, &id, 1, ctl_watched(t->ctl));
}

/* For --json and --to the daemon's own choice of fields: all that the service gives at no cost. */
static int choose_all(struct table *t)
{
    const struct args *a = t->ctl->args;
    if (a->fields)
        return choose(t, a->fields);
    if (a->json || a->to)
        return 0;
    return choose(t, a->lengthy ? "size,time_modified,storage_tier,etag,md5,name"
                                : "size,time_modified,name");
}

int cmd_ls(struct ctl *ctl)
{
    const struct args *a = ctl->args;
    struct table t = {.ctl = ctl};
    struct uri uri;
    char what[1200];
    int status = ctl_uri(ctl, a->words[0], &uri);
    if (!status)
        status = choose_all(&t);
    if (!status)
        status = ctl_open(ctl);
    if (status)
        return status;
    struct ocid_job job = ctl_job(ctl, OCID_KIND_LIST, &uri);
    char *prefix = ctl_printf("%s%s", uri.object, a->prefix ? a->prefix : "");
    char *fields = t.n ? api_fields(&t) : NULL;
    job.object = *prefix ? prefix : NULL;
    job.delimiter = a->recursive ? NULL : "/";
    job.start = a->start;
    job.end = a->end;
    job.limit = a->limit;
    job.fields = fields;
    snprintf(what, sizeof what, "list '%s/%s'", uri.bucket, prefix);
    status = a->to ? to_file(&t, &job, what) : list(&t, &job, what);
    free(prefix);
    free(fields);
    return status;
}

int cmd_buckets(struct ctl *ctl)
{
    struct table t = {.ctl = ctl};
    struct ocid_job job = ctl_job(ctl, OCID_KIND_BUCKETS, NULL);
    int status = choose(&t, "time_created,name");
    if (!status)
        status = ctl_open(ctl);
    if (status)
        return status;
    job.compartment = ctl->args->compartment;
    job.limit = ctl->args->limit;
    return list(&t, &job, "buckets");
}
