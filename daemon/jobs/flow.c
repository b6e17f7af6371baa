/* SPDX-License-Identifier: Apache-2.0
 *
 * flow.c - how many requests a host is sent at a time. Pure; the control loop asks.
 */
#include "jobs/flow.h"

#include <stddef.h>

#include "core/backoff.h"

enum {
    FIRST = 16,
    LEAST = 8,        /* latency alone shrinks it no further; only a throttled answer does */
    LOOK = 4,         /* in flight while the shortest latency is looked for */
    SPELL_MS = 30000, /* from one look to the next */
    SHRINK_MS = 1000, /* those in flight will be throttled as well: halved once for all of them */
    SLACK_US = 2000,  /* of latency that our own batches may cost */
    SMOOTH = 32,      /* answers that typical_us is made of */
    BUDGET = 100,     /* failures without any answer */
    REOPEN = 20,      /* of them after the first answer */
    EARNS = 5,        /* so many answers pay for a failure */
    PROBE_BASE_MS = 500,
    PROBE_CAP_MS = 5000,
};

void flow_init(struct flow *f, unsigned most)
{
    *f = (struct flow){.limit = most < FIRST ? most : FIRST, .steep_to = most, .budget = BUDGET};
}

/* Those in flight come back first, and those that were signed ahead by the old limit. */
static void look_begin(struct flow *f, uint64_t now_ms)
{
    f->turned_at_ms = now_ms;
    f->least_us = 0;
    f->before_look = f->limit;
    f->look_left = 2 * (unsigned)f->limit + 4 * LOOK;
    f->limit = f->limit < LOOK ? f->limit : LOOK;
}

static void look_end(struct flow *f)
{
    f->limit = f->before_look;
    f->before_look = 0;
}

static void measure(struct flow *f, uint32_t took_us)
{
    if (!f->least_us || took_us < f->least_us)
        f->least_us = took_us;
    if (!f->typical_us)
        f->typical_us = took_us;
    int64_t more = (int64_t)took_us - f->typical_us;
    f->typical_us = (uint32_t)(f->typical_us + more / SMOOTH);
}

/* How many times longer than it must an answer takes, our own batches aside. */
static double strain(const struct flow *f)
{
    return f->least_us ? f->typical_us / (2.0 * f->least_us + SLACK_US) : 0;
}

static void adapt(struct flow *f, int others_wait, unsigned most)
{
    double s = strain(f);
    if (s <= 1 && others_wait)
        f->limit += f->limit < f->steep_to ? 1 : 1 / f->limit;
    else if (s > 1.25 && f->limit > LEAST)
        f->limit -= 1 / f->limit;
    if (f->limit > most)
        f->limit = most;
}

static void succeeded(struct flow *f, const struct flow_news *news, uint64_t now_ms, unsigned most)
{
    if (!f->turned_at_ms)
        f->turned_at_ms = now_ms;
    if (news->took_us)
        measure(f, news->took_us);
    if (!f->before_look)
        adapt(f, news->others_wait, most);
    else if (!--f->look_left)
        look_end(f);
    if (!f->before_look && now_ms - f->turned_at_ms >= SPELL_MS)
        look_begin(f, now_ms);
}

int flow_is_shut(const struct flow *f)
{
    return f->budget < 1;
}

/* Half of the pause is certain, so that probes are far apart. */
static uint64_t pause_ms(unsigned n_probes, uint64_t random)
{
    uint64_t window = PROBE_CAP_MS;
    if (n_probes < 4)
        window = (uint64_t)PROBE_BASE_MS << n_probes;
    return window / 2 + backoff_ms(1, window / 2, window / 2, 0, random);
}

int flow_may_send(struct flow *f, uint64_t now_ms, uint64_t random)
{
    if (!flow_is_shut(f))
        return 1;
    if (now_ms < f->probe_at_ms)
        return 0;
    f->probe_at_ms = now_ms + pause_ms(f->n_probes++, random);
    return 1;
}

static void spend(struct flow *f, const struct flow_news *news, uint64_t now_ms)
{
    int was_shut = flow_is_shut(f);
    f->budget = f->budget < 1 ? 0 : f->budget - 1;
    if (!was_shut && flow_is_shut(f)) {
        f->n_probes = 0;
        f->probe_at_ms = now_ms + PROBE_BASE_MS / 2;
    }
    if (flow_is_shut(f) && f->probe_at_ms < now_ms + news->retry_after_ms)
        f->probe_at_ms = now_ms + news->retry_after_ms;
}

static void earn(struct flow *f)
{
    f->budget = flow_is_shut(f) ? REOPEN : f->budget + 1.0 / EARNS;
    if (f->budget > BUDGET)
        f->budget = BUDGET;
}

int flow_heard(struct flow *f, const struct flow_news *news, uint64_t now_ms, unsigned most)
{
    if (news->ok) {
        succeeded(f, news, now_ms, most);
        earn(f);
    }
    if (news->failed)
        spend(f, news, now_ms);
    if (!news->throttled || (f->shrunk_at_ms && now_ms - f->shrunk_at_ms <= SHRINK_MS))
        return 0;
    if (f->before_look)
        look_end(f);
    f->shrunk_at_ms = now_ms;
    f->limit = f->limit > 2 ? f->limit / 2 : 1;
    f->steep_to = f->limit;
    return 1;
}
