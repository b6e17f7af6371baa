/* SPDX-License-Identifier: Apache-2.0
 *
 * jobs.c - from options to jobs, and from jobs to an exit status.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/follow.h"
#include "ctl/json.h"
#include "ctl/render.h"

struct ocid_job ctl_job(const struct ctl *ctl, enum ocid_kind kind, const struct uri *uri)
{
    const struct args *a = ctl->args;
    struct ocid_job job = ocid_job_of(kind);
    if (uri) {
        job.bucket = uri->bucket;
        job.name_space = uri->space[0] ? uri->space : NULL;
        job.object = uri->object[0] ? uri->object : NULL;
    }
    job.profile = a->profile;
    job.priority = a->priority;
    job.label = a->label;
    job.after = a->after;
    job.n_after = a->n_after;
    job.key = a->key;
    job.timeout_ms = a->timeout_ms;
    job.if_match = a->if_match;
    job.version_id = a->version_id;
    job.overwrite = a->overwrite;
    return job;
}

int ctl_uri(const struct ctl *ctl, const char *text, struct uri *ret)
{
    char why[512];
    if (uri_parse(text, ret, why, sizeof why))
        return ctl_usage(ctl, "%s: %s", ctl_verbs[ctl->args->verb].name, why);
    return 0;
}

int ctl_submit(struct ctl *ctl, const struct ocid_job *job, const char *what, uint64_t *ret_id)
{
    /* bytes that are to be copied first take as long as they take */
    int rc = ocid_submit(ctl->c, job, 1, job->spool ? -1 : CTL_REPLY_MS, ret_id);
    if (rc == OCID_E_DETACHED) {
        ctl_say("interrupted before the daemon has answered; see: ocictl status");
        return EXIT_DETACHED;
    }
    return rc ? ctl_fail(ctl, what) : 0;
}

void ctl_print_user(const struct ctl *ctl, const struct ocid_outcome *o)
{
    if (ctl->args->json) {
        json_user(o->result, o->n_result);
        return;
    }
    for (size_t i = 0; i < o->n_result; i++)
        if (strcmp(o->result[i].key, "user") != 0)
            render_pair(o->result[i].key, o->result[i].value);
}

bool ctl_watched(const struct ctl *ctl)
{
    return ctl->terminal && isatty(STDOUT_FILENO);
}

int ctl_finish(struct ctl *ctl, const uint64_t *ids, size_t n, bool by_default)
{
    if (ctl->args->wait == 1 || (ctl->args->wait < 0 && by_default))
        return follow_wait(ctl, ids, n, UINT64_MAX);
    for (size_t i = 0; i < n; i++)
        if (ctl->args->json)
            json_id(ids[i], OCID_UNKNOWN);
        else
            printf("%" PRIu64 "\n", ids[i]);
    return EXIT_OK;
}
