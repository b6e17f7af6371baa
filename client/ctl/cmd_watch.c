/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_watch.c - watch: waits until an object appears, changes or is gone.
 */
#include <stdio.h>
#include <stdlib.h>

#include "ctl/follow.h"

enum { WHAT_BYTES = 1100 };

struct look {
    struct ctl *ctl;
    int said;
    char *etag; /* that the object has; NULL: there is none, and it changes when it appears */
};

static int on_look(void *user, const struct ocid_status *s)
{
    struct look *l = user;
    if (s->state == OCID_STATE_DONE && s->outcome && s->outcome->etag)
        l->etag = ctl_copy(s->outcome->etag);
    follow_say_why(l->ctl, s, &l->said);
    return 0;
}

/* What is there now; 0, or the exit status after saying why. The caller frees l->etag. */
static int look(struct look *l, const struct uri *uri, const char *what)
{
    struct ctl *ctl = l->ctl;
    struct ocid_job job = ocid_job_of(OCID_KIND_HEAD);
    uint64_t id;
    job.bucket = uri->bucket;
    job.name_space = uri->space[0] ? uri->space : NULL;
    job.object = uri->object;
    job.profile = ctl->args->profile;
    int status = ctl_submit(ctl, &job, what, &id);
    if (status)
        return status;
    int rc = ocid_wait(ctl->c, &id, 1, -1, on_look, l);
    if (rc == OCID_E_DETACHED) {
        ctl_say("interrupted; nothing is watched");
        return EXIT_DETACHED;
    }
    return rc && rc != OCID_E_NOT_FOUND ? ctl_fail(ctl, what) : 0;
}

int cmd_watch(struct ctl *ctl)
{
    const struct args *a = ctl->args;
    struct uri uri;
    char what[WHAT_BYTES];
    struct look now = {.ctl = ctl};
    uint64_t id;
    int status = ctl_uri(ctl, a->words[0], &uri);
    if (!status && !uri_is_object(&uri))
        status = ctl_usage(ctl, "watch: '%s' names no object", a->words[0]);
    if (!status)
        status = ctl_open(ctl);
    if (status)
        return status;
    snprintf(what, sizeof what, "watch '%s'", uri.object);
    if (a->changed)
        status = look(&now, &uri, what);
    struct ocid_job job = ctl_job(ctl, OCID_KIND_WATCH, &uri);
    job.if_none_match = now.etag ? now.etag : a->etag;
    job.gone = a->gone;
    job.every_ms = a->every_ms;
    if (!status)
        status = ctl_submit(ctl, &job, what, &id);
    if (!status)
        status = ctl_finish(ctl, &id, 1, true);
    free(now.etag);
    return status;
}
