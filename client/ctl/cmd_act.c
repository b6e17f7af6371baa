/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_act.c - cancel, pause, resume and retry.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/ctl.h"
#include "ctl/json.h"

static const char *const past[] = {"cancelled", "paused", "resumed", "queued again"};

/* What became of each; the first error gives the exit status, several that differ EXIT_SOME. */
static int tell(const struct ctl *ctl, enum ocid_act act, const struct ocid_ack *acks, size_t n)
{
    size_t n_failed = 0;
    int status = 0;
    for (size_t i = 0; i < n; i++) {
        if (ctl->args->json)
            json_ack(&acks[i]);
        if (acks[i].error) {
            ctl_say("%s %" PRIu64 ": %s", ctl_verbs[ctl->args->verb].name, acks[i].id,
                    acks[i].text ? acks[i].text : ocid_error_text(acks[i].error));
            n_failed++;
            status = status ? status : ocid_error_exit(acks[i].error);
        } else if (!ctl->args->json) {
            ctl_note(ctl, "job %" PRIu64 " %s", acks[i].id,
                     act == OCID_ACT_RETRY && acks[i].state == OCID_STATE_DONE
                         ? "is done: there is nothing to try again"
                         : past[act]);
        }
    }
    return n_failed && n_failed < n ? EXIT_SOME : status;
}

static int run(struct ctl *ctl, enum ocid_act act)
{
    const struct ocid_ack *acks = NULL;
    size_t n = (size_t)ctl->args->n_words;
    uint64_t *ids = ctl_alloc(n * sizeof *ids);
    char why[256];
    int status = 0, rc;
    if (args_ids(ctl->args, ids, why, sizeof why))
        status = ctl_usage(ctl, "%s", why);
    if (!status)
        status = ctl_open(ctl);
    if (!status) {
        rc = ocid_act(ctl->c, act, ids, n, CTL_REPLY_MS, &acks);
        status = acks ? tell(ctl, act, acks, n)
                 : rc ? ctl_fail(ctl, ctl_verbs[ctl->args->verb].name)
                      : EXIT_OK;
    }
    free(ids);
    return status;
}

int cmd_cancel(struct ctl *ctl)
{
    return run(ctl, OCID_ACT_CANCEL);
}

int cmd_pause(struct ctl *ctl)
{
    return run(ctl, OCID_ACT_PAUSE);
}

int cmd_resume(struct ctl *ctl)
{
    return run(ctl, OCID_ACT_RESUME);
}

int cmd_retry(struct ctl *ctl)
{
    return run(ctl, OCID_ACT_RETRY);
}
