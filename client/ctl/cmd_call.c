/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_call.c - head, rm, mkbucket and whoami: one request each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/follow.h"
#include "ctl/json.h"
#include "ctl/render.h"

enum { WHAT_BYTES = 1100 };

static int print_result(struct ctl *ctl, const struct ocid_job *job, const char *what)
{
    const struct ocid_status *s;
    int status = follow_call(ctl, job, what, &s);
    const struct ocid_outcome *o = status ? NULL : s->outcome;
    if (status)
        return status;
    if (ctl->args->json)
        json_pairs(o ? o->result : NULL, o ? o->n_result : 0);
    else
        for (size_t i = 0; o && i < o->n_result; i++)
            render_pair(o->result[i].key, o->result[i].value);
    return EXIT_OK;
}

static int object(const struct ctl *ctl, const char *text, struct uri *ret)
{
    int status = ctl_uri(ctl, text, ret);
    if (!status && !uri_is_object(ret))
        return ctl_usage(ctl, "%s: '%s' names no object", ctl_verbs[ctl->args->verb].name, text);
    return status;
}

int cmd_head(struct ctl *ctl)
{
    struct uri uri;
    char what[WHAT_BYTES];
    int status = object(ctl, ctl->args->words[0], &uri);
    if (!status)
        status = ctl_open(ctl);
    if (status)
        return status;
    struct ocid_job job = ctl_job(ctl, OCID_KIND_HEAD, &uri);
    snprintf(what, sizeof what, "head '%s'", uri.object);
    return print_result(ctl, &job, what);
}

int cmd_whoami(struct ctl *ctl)
{
    int status = ctl_open(ctl);
    const struct ocid_status *s;
    struct ocid_job job = ctl_job(ctl, OCID_KIND_WHOAMI, NULL);
    if (!status)
        status = follow_call(ctl, &job, "whoami", &s);
    if (!status && s->outcome)
        ctl_print_user(ctl, s->outcome);
    return status;
}

/* A bucket's name, or oci://name. */
static int bucket(const struct ctl *ctl, const char *text, struct uri *ret)
{
    char *full = uri_is(text) ? ctl_copy(text) : ctl_printf("oci://%s", text);
    int status = ctl_uri(ctl, full, ret);
    if (!status && *ret->object)
        status = ctl_usage(ctl, "mkbucket: '%s' is an object, not a bucket", text);
    ret->object = "";
    free(full);
    return status;
}

int cmd_mkbucket(struct ctl *ctl)
{
    const struct args *a = ctl->args;
    char what[WHAT_BYTES];
    struct uri uri;
    uint64_t id;
    int status = bucket(ctl, a->words[0], &uri);
    if (!status)
        status = ctl_open(ctl);
    if (status)
        return status;
    struct ocid_job job = ctl_job(ctl, OCID_KIND_MKBUCKET, &uri);
    job.compartment = a->compartment;
    job.storage_tier = a->tier;
    snprintf(what, sizeof what, "mkbucket '%s'", uri.bucket);
    status = ctl_submit(ctl, &job, what, &id);
    return status ? status : ctl_finish(ctl, &id, 1, true);
}

int cmd_rm(struct ctl *ctl)
{
    const struct args *a = ctl->args;
    size_t n = (size_t)a->n_words;
    struct uri *uris = ctl_alloc(n * sizeof *uris);
    struct ocid_job *jobs = ctl_alloc(n * sizeof *jobs);
    uint64_t *ids = ctl_alloc(n * sizeof *ids);
    int status = a->key && n > 1 ? ctl_usage(ctl, "rm: a --key is for one object") : 0;
    for (size_t i = 0; i < n && !status; i++) {
        status = object(ctl, a->words[i], &uris[i]);
        jobs[i] = ctl_job(ctl, OCID_KIND_DELETE, &uris[i]);
    }
    if (!status)
        status = ctl_open(ctl);
    if (!status && ocid_submit(ctl->c, jobs, n, CTL_REPLY_MS, ids))
        status = ctl_fail(ctl, "rm");
    if (!status)
        status = ctl_finish(ctl, ids, n, true);
    free(uris);
    free(jobs);
    free(ids);
    return status;
}
