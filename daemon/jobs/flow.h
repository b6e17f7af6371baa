/* SPDX-License-Identifier: Apache-2.0
 *
 * flow.h - how many requests a host is sent at a time: what its latency asks for, and no more.
 *
 * Pure: no clock, no I/O. One struct flow a host. In flight = rate x latency: while signed requests
 * wait for a connection and answers take no longer than they must, one more may be in flight; when
 * answers take much longer, requests only queue up at the other end, and one less will do. How long
 * they must take is seen while few are in flight, so that is tried for a moment at times. A
 * throttled answer halves it, and it grows back by one a round.
 *
 * Failures that are worth a retry are paid for from a budget that answers fill up again. Once it is
 * spent the host is shut: one request at a time looks whether it answers, with longer and longer
 * pauses, and whatever else there is waits. So an outage costs as many requests however long the
 * queue is.
 */
#ifndef JOBS_FLOW_H
#define JOBS_FLOW_H

#include <stdint.h>

struct flow {
    struct flow *next;
    char *host;        /* owned by whoever keeps the list */
    double limit;      /* of requests in flight */
    double steep_to;   /* grows by doubling up to here, beyond by one a round */
    unsigned n_posted; /* the caller's: handed to the engine and not back yet */
    uint64_t shrunk_at_ms;
    uint64_t turned_at_ms; /* this spell began */
    uint32_t typical_us;   /* of small requests, from the last byte out to the first byte in */
    uint32_t least_us;     /* the shortest of this spell and of the look at its beginning */
    double before_look;    /* looking with few in flight: the limit to go back to; 0: not looking */
    unsigned look_left;    /* answers until then */
    double budget;         /* failures that it has left; below one it is shut */
    uint64_t probe_at_ms;  /* shut: one request may look then */
    unsigned n_probes;     /* shut: that have looked */
};

/* What an answer tells. */
struct flow_news {
    int ok, throttled;
    int failed;              /* and it is worth a retry */
    uint64_t retry_after_ms; /* that the host has asked for; 0: nothing */
    int others_wait;         /* signed requests were waiting for a connection */
    uint32_t took_us;        /* 0: not a small request, or no answer */
};

void flow_init(struct flow *f, unsigned most);

int flow_is_shut(const struct flow *f);

/* 1: a request may be sent now. While shut that is one a pause, which begins again with this call;
 * random spreads it. */
int flow_may_send(struct flow *f, uint64_t now_ms, uint64_t random);

/* most: what the configuration allows. 1: a throttled answer has made the limit smaller. */
int flow_heard(struct flow *f, const struct flow_news *news, uint64_t now_ms, unsigned most);

#endif
