/* SPDX-License-Identifier: Apache-2.0
 *
 * on_daemon.c - hello, daemon.stats, daemon.limit, daemon.reload, vault.unlock, vault.lock.
 *
 * Control loop.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/mem.h"
#include "ocid/version.h"
#include "rpc/handlers.h"

void on_hello(struct session *s, const struct ticket *t, const void *msg)
{
    const struct ocp_hello *m = msg;
    struct room *r = s->server->hooks.room;
    struct oc_err err;
    struct ocp_welcome w = {0};
    if (m->min > OCID_PROTOCOL_MAX || m->max < OCID_PROTOCOL_MIN || m->min > m->max) {
        oc_fail(&err, OCID_E_VERSION, 0,
                "the client speaks protocol %u to %u, this daemon (ocid %s) %d to %d: %s",
                (unsigned)m->min, (unsigned)m->max, OCID_VERSION, OCID_PROTOCOL_MIN,
                OCID_PROTOCOL_MAX,
                m->min > OCID_PROTOCOL_MAX ? "restart the daemon, it is the older one"
                                           : "restart the client program, it is the older one");
        ticket_error(t, &err, -1);
        return;
    }
    s->version = m->max < OCID_PROTOCOL_MAX ? (unsigned)m->max : OCID_PROTOCOL_MAX;
    ocp_str_copy(m->label, s->label, sizeof s->label);
    OCP_SET(&w, welcome, version, s->version);
    OCP_SET(&w, welcome, software, ocp_str("ocid " OCID_VERSION));
    OCP_SET(&w, welcome, uuid, ocp_str(store_uuid(r->store)));
    OCP_SET(&w, welcome, epoch, r->feed.epoch);
    OCP_SET(&w, welcome, pid, (uint64_t)getpid());
    OCP_SET(&w, welcome, max_frame, OCP_MAX_FRAME);
    OCP_SET(&w, welcome, max_jobs, OCP_MAX_JOBS);
    ticket_reply(t, &w);
}

enum { PROFILES_SHOWN = 64 };

static uint64_t descriptors(void)
{
    struct rlimit l;
    return getrlimit(RLIMIT_NOFILE, &l) ? 0 : l.rlim_cur;
}

static const char *key_word(const struct vault_facts *f)
{
    static const char *const words[] = {[WIRE_KEY_OK] = "ok",
                                        [WIRE_KEY_OVER] = "over",
                                        [WIRE_KEY_LOCKED] = "locked",
                                        [WIRE_KEY_ABSENT] = "absent",
                                        [WIRE_KEY_BAD] = "bad"};
    return f ? words[f->key] : "not asked for yet";
}

static void reply_stats(const struct ticket *t, uint32_t uid)
{
    const struct server_hooks *h = &t->server->hooks;
    struct ocp_stats st = {0};
    struct engine_stats e;
    struct oc_buf profiles, limits;
    uint32_t n_profiles = 0;
    uint64_t n[OCP_ENUM_state_COUNT];
    engine_stats(h->engine, &e);
    room_count(h->room, uid, n);
    oc_buf_init(&profiles, 64 << 10);
    oc_buf_init(&limits, 128 << 10);
    uint32_t n_limits = room_limits_pack(h->room, uid, &limits);
    for (const struct account *a = h->room->accounts.list; a && n_profiles < PROFILES_SHOWN;
         a = a->next, n_profiles++) {
        const char *word = key_word(vault_facts_known(h->vault, a->profile));
        ocp_add_pair(&profiles, a->profile, word, strlen(word));
    }
    OCP_SET(&st, stats, software, ocp_str("ocid " OCID_VERSION));
    OCP_SET(&st, stats, pid, (uint64_t)getpid());
    OCP_SET(&st, stats, uptime_ms, clock_mono_ms() - t->server->started_at);
    OCP_SET(&st, stats, clients, t->server->n_sessions);
    OCP_SET(&st, stats, queued, n[OCP_ENUM_state_queued]);
    OCP_SET(&st, stats, running, n[OCP_ENUM_state_running]);
    OCP_SET(&st, stats, waiting, n[OCP_ENUM_state_waiting]);
    OCP_SET(&st, stats, paused, n[OCP_ENUM_state_paused]);
    OCP_SET(&st, stats, requests, e.requests);
    OCP_SET(&st, stats, retries, h->room->n_retries);
    OCP_SET(&st, stats, bytes_up, e.bytes_up);
    OCP_SET(&st, stats, bytes_down, e.bytes_down);
    OCP_SET(&st, stats, in_flight, h->room->in_flight[0] + h->room->in_flight[1]);
    OCP_SET(&st, stats, in_flight_limit, room_limit(h->room));
    OCP_SET(&st, stats, profiles, ocp_span(&profiles, n_profiles));
    if (h->room->config->path)
        OCP_SET(&st, stats, config, ocp_str(h->room->config->path));
    OCP_SET(&st, stats, state_dir, ocp_str(h->state_dir));
    OCP_SET(&st, stats, descriptors, descriptors());
    OCP_SET(&st, stats, limits, ocp_span(&limits, n_limits));
    ticket_reply(t, &st);
    oc_buf_fini(&profiles);
    oc_buf_fini(&limits);
}

void on_stats(struct session *s, const struct ticket *t, const void *msg)
{
    (void)msg;
    reply_stats(t, s->uid);
}

/* ---- limits ---- */

struct limit_ask {
    struct ticket ticket;
    uint32_t uid;
};

static void on_limited(void *arg, const struct oc_err *err)
{
    struct limit_ask *a = arg;
    if (err)
        ticket_error(&a->ticket, err, -1);
    else
        reply_stats(&a->ticket, a->uid);
    free(a);
}

void on_limit(struct session *s, const struct ticket *t, const void *msg)
{
    struct limit_ask *a = OC_NEW(struct limit_ask);
    struct oc_err err;
    *a = (struct limit_ask){*t, s->uid};
    if (room_limit_set(s->server->hooks.room, s->uid, msg, on_limited, a, &err))
        on_limited(a, &err);
}

static void on_reloaded(void *arg, const struct oc_err *err)
{
    struct ticket *t = arg;
    struct ocp_none none = {0};
    if (err)
        ticket_error(t, err, -1);
    else
        ticket_reply(t, &none);
    free(t);
}

void on_reload(struct session *s, const struct ticket *t, const void *msg)
{
    const struct server_hooks *h = &s->server->hooks;
    (void)msg;
    h->reload(h->arg, on_reloaded, oc_memdup(t, sizeof *t));
}

/* ---- keys ---- */

struct keys_ask {
    struct ticket ticket;
    char profile[WIRE_PROFILE_MAX + 1];
};

static void on_facts(void *arg, const struct vault_facts *facts, const struct oc_err *err)
{
    struct keys_ask *a = arg;
    struct ocp_unlocked u = {0};
    struct oc_buf b;
    (void)err;
    oc_buf_init(&b, 4096);
    const char *word = facts ? key_word(facts) : "unknown";
    ocp_add_pair(&b, a->profile, word, strlen(word));
    OCP_SET(&u, unlocked, profiles, ocp_span(&b, 1));
    ticket_reply(&a->ticket, &u);
    oc_buf_fini(&b);
    free(a);
}

static void on_keys(void *arg, const char *text, const struct oc_err *err)
{
    struct keys_ask *a = arg;
    struct server *server = a->ticket.server;
    (void)text;
    if (err->code) {
        ticket_error(&a->ticket, err, -1);
        free(a);
        return;
    }
    room_keys_changed(server->hooks.room);
    vault_facts(server->hooks.vault, a->profile, on_facts, a);
}

static struct keys_ask *keys_ask_new(struct session *s, const struct ticket *t,
                                     struct ocp_str profile)
{
    struct keys_ask *a = OC_NEW(struct keys_ask);
    a->ticket = *t;
    ocp_str_copy(profile, a->profile, sizeof a->profile);
    if (!a->profile[0])
        snprintf(a->profile, sizeof a->profile, "%s",
                 s->server->hooks.room->config->credentials_profile);
    return a;
}

void on_unlock(struct session *s, const struct ticket *t, const void *msg)
{
    const struct ocp_unlock *m = msg;
    struct oc_err err;
    int fd = session_take_fd(s, m->fd);
    if (fd < 0) {
        oc_fail(&err, OCID_E_INVALID, 0, "the descriptor that gives the pass phrase is missing");
        ticket_error(t, &err, -1);
        return;
    }
    struct keys_ask *a = keys_ask_new(s, t, m->profile);
    vault_unlock(s->server->hooks.vault, a->profile, fd, m->ttl_ms, on_keys, a);
}

void on_lock(struct session *s, const struct ticket *t, const void *msg)
{
    const struct ocp_lock *m = msg;
    struct keys_ask *a = keys_ask_new(s, t, m->profile);
    vault_lock(s->server->hooks.vault, m->profile.n ? a->profile : "", on_keys, a);
}
