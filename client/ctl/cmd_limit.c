/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_limit.c - limit: which limits of bandwidth and of jobs hold; sets and lifts them.
 */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/ctl.h"
#include "ctl/json.h"
#include "ctl/render.h"

static void whose(const struct ocid_limit *l, char *out, size_t size)
{
    switch (l->scope) {
    case OCID_SCOPE_USER:
        snprintf(out, size, "user %" PRIu64, l->uid);
        break;
    case OCID_SCOPE_CLIENT:
        snprintf(out, size, "client '%s' of user %" PRIu64, render_name(l->label), l->uid);
        break;
    case OCID_SCOPE_SET:
        snprintf(out, size, "set %" PRIu64, l->set);
        break;
    default:
        snprintf(out, size, "all%s", l->configured ? " (ocid.conf)" : "");
    }
}

static void show(const struct ocid_limit *l)
{
    char name[192], rate[RENDER_NUMBER] = "-";
    whose(l, name, sizeof name);
    if (l->bytes_per_s != OCID_UNKNOWN)
        render_rate((double)l->bytes_per_s, rate);
    printf("%-24s  %-12s  ", name, rate);
    if (l->jobs == OCID_UNKNOWN)
        puts("-");
    else
        printf("%" PRIu64 " at a time: %" PRIu64 " large, %" PRIu64 " small at work\n", l->jobs,
               l->at_work, l->at_work_small);
}

static void show_all(const struct ctl *ctl, const struct ocid_stats *s)
{
    if (!s->n_limits && !ctl->args->json)
        ctl_note(ctl, "no limits");
    if (s->n_limits && !ctl->args->json)
        printf("%-24s  %-12s  %s\n", "LIMIT OF", "BANDWIDTH", "JOBS");
    for (size_t i = 0; i < s->n_limits; i++)
        if (ctl->args->json)
            json_limit(&s->limits[i]);
        else
            show(&s->limits[i]);
}

static struct ocid_limit asked(const struct args *a)
{
    struct ocid_limit l = ocid_limit_of(a->set                ? OCID_SCOPE_SET
                                        : a->client           ? OCID_SCOPE_CLIENT
                                        : a->uid != ARGS_NONE ? OCID_SCOPE_USER
                                                              : OCID_SCOPE_ALL);
    l.set = a->set;
    l.label = a->client;
    if (a->uid != ARGS_NONE)
        l.uid = a->uid;
    if (a->rate != ARGS_NONE)
        l.bytes_per_s = a->rate;
    if (a->jobs != ARGS_NONE)
        l.jobs = a->jobs;
    return l;
}

int cmd_limit(struct ctl *ctl)
{
    const struct ocid_stats *s;
    struct ocid_limit l = asked(ctl->args);
    int status = ctl_open(ctl);
    if (status)
        return status;
    int sets = l.bytes_per_s != OCID_UNKNOWN || l.jobs != OCID_UNKNOWN;
    if (sets ? ocid_limit(ctl->c, &l, CTL_REPLY_MS, &s) : ocid_stats(ctl->c, CTL_REPLY_MS, &s))
        return ctl_fail(ctl, "limit");
    show_all(ctl, s);
    return EXIT_OK;
}
