/* SPDX-License-Identifier: Apache-2.0
 *
 * backoff.c - when to try again: attempt, the server's hint, a random number -> delay.
 *
 * Pure; any thread. Source: "full jitter" (exponential backoff and jitter), RFC 9110 Retry-After.
 */
#include "core/backoff.h"

/* random, spread evenly over 0..most */
static uint64_t spread(uint64_t random, uint64_t most)
{
    return (uint64_t)(((unsigned __int128)random * ((unsigned __int128)most + 1)) >> 64);
}

/* A second number out of the first (splitmix64's last steps). */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t window_ms(unsigned attempt, uint64_t base_ms, uint64_t cap_ms)
{
    unsigned doublings = attempt > 1 ? attempt - 1 : 0;
    if (doublings >= 64 || base_ms > cap_ms >> doublings)
        return cap_ms;
    return base_ms << doublings;
}

uint64_t backoff_ms(unsigned attempt, uint64_t base_ms, uint64_t cap_ms, uint64_t hint_ms,
                    uint64_t random)
{
    uint64_t delay_ms = spread(random, window_ms(attempt, base_ms, cap_ms));
    uint64_t least_ms = hint_ms + spread(mix(random), hint_ms / 4);
    if (least_ms < hint_ms)
        least_ms = hint_ms; /* a hint of half an eternity */
    return delay_ms > least_ms ? delay_ms : least_ms;
}
