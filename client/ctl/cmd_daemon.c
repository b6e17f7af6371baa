/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_daemon.c - version, reload, stats and help.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/json.h"
#include "ctl/render.h"
#include "ocid/version.h"

static void number(char *out, size_t size, uint64_t v)
{
    snprintf(out, size, "%" PRIu64, v);
}

static int daemon_version(struct ctl *ctl)
{
    char protocol[24], pid[24];
    int status = ctl_open(ctl);
    if (status)
        return status;
    const struct ocid_info *info = ocid_info(ctl->c);
    number(protocol, sizeof protocol, info->version);
    number(pid, sizeof pid, info->pid);
    const struct ocid_pair pairs[] = {
        {"ocictl", OCID_VERSION},     {"daemon", info->software},
        {"protocol", protocol},       {"pid", pid},
        {"socket", info->socket},     {"database", info->uuid},
        {"features", info->features},
    };
    if (ctl->args->json)
        json_pairs(pairs, sizeof pairs / sizeof *pairs);
    else
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
            render_pair(pairs[i].key, pairs[i].value);
    return EXIT_OK;
}

int cmd_version(struct ctl *ctl)
{
    if (ctl->args->daemon)
        return daemon_version(ctl);
    if (ctl->args->json)
        printf("{\"ocictl\":\"%s\",\"protocol\":\"%d\"}\n", OCID_VERSION, OCID_PROTOCOL_MAX);
    else
        printf("ocictl %s (protocol %d)\n", OCID_VERSION, OCID_PROTOCOL_MAX);
    return EXIT_OK;
}

int cmd_reload(struct ctl *ctl)
{
    int status = ctl_open(ctl);
    if (status)
        return status;
    if (ocid_reload(ctl->c, CTL_REPLY_MS))
        return ctl_fail(ctl, "reload");
    ctl_note(ctl, "the configuration was read again");
    return EXIT_OK;
}

int cmd_stats(struct ctl *ctl)
{
    const struct ocid_stats *s;
    char text[RENDER_NUMBER], more[RENDER_NUMBER];
    int status = ctl_open(ctl);
    if (status)
        return status;
    if (ocid_stats(ctl->c, CTL_REPLY_MS, &s))
        return ctl_fail(ctl, "stats");
    if (ctl->args->json) {
        json_stats(s);
        return EXIT_OK;
    }
    render_pair("daemon", s->software);
    printf("%-19s  %" PRIu64 "\n", "pid", s->pid);
    render_pair("up for", render_span(s->uptime_ms, text));
    printf("%-19s  %" PRIu64 "\n", "clients", s->clients);
    printf("%-19s  %" PRIu64 " queued, %" PRIu64 " running, %" PRIu64 " waiting, %" PRIu64
           " paused\n",
           "jobs", s->queued, s->running, s->waiting, s->paused);
    printf("%-19s  %" PRIu64 " sent, %" PRIu64 " of them again; %" PRIu64
           " in flight, at most %" PRIu64 "\n",
           "requests", s->requests, s->retries, s->in_flight, s->in_flight_limit);
    printf("%-19s  %s up, %s down\n", "bytes", render_size(s->bytes_up, text),
           render_size(s->bytes_down, more));
    for (size_t i = 0; i < s->n_profiles; i++) {
        char key[160];
        snprintf(key, sizeof key, "key of %s", s->profiles[i].key);
        render_pair(key, s->profiles[i].value);
    }
    return EXIT_OK;
}

int cmd_help(struct ctl *ctl)
{
    const struct args *a = ctl->args;
    if (!a->n_words) {
        help_all();
        return EXIT_OK;
    }
    for (int i = 0; i < N_VERBS; i++)
        if (!strcmp(ctl_verbs[i].name, a->words[0])) {
            help_verb((enum verb_id)i);
            return EXIT_OK;
        }
    return ctl_usage(NULL, "there is no verb '%s'; try: ocictl help", a->words[0]);
}
