/* SPDX-License-Identifier: Apache-2.0
 *
 * flow.h - how many requests a host is sent at a time: what its latency asks for, and no more.
 *
 * Pure: no clock, no I/O. One struct flow a host. In flight = rate x latency: while signed requests
 * wait for a connection and answers take no longer than they must, one more may be in flight; when
 * answers take much longer, requests only queue up at the other end, and one less will do. How long
 * they must take is seen while few are in flight, so that is tried for a moment at times. A
 * throttled answer halves it, and it grows back by one a round.
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
};

/* What an answer tells. */
struct flow_news {
    int ok, throttled;
    int others_wait;  /* signed requests were waiting for a connection */
    uint32_t took_us; /* 0: not a small request, or no answer */
};

void flow_init(struct flow *f, unsigned most);

/* most: what the configuration allows. 1: a throttled answer has made the limit smaller. */
int flow_heard(struct flow *f, const struct flow_news *news, uint64_t now_ms, unsigned most);

#endif
