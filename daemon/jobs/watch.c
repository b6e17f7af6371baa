/* SPDX-License-Identifier: Apache-2.0
 *
 * watch.c - how often a watch looks at its object.
 *
 * Pure; any thread.
 */
#include "jobs/watch.h"

enum { LEAST_MS = 500, EVERY_MS = 30000, SHARE_OF_AGE = 8 };

uint64_t watch_delay_ms(uint64_t age_ms, uint64_t every_ms, uint64_t n_others, uint64_t random)
{
    uint64_t most_ms = every_ms ? every_ms : EVERY_MS;
    uint64_t window_ms = age_ms / SHARE_OF_AGE;
    if (window_ms < LEAST_MS)
        window_ms = LEAST_MS;
    if (window_ms > most_ms)
        window_ms = most_ms;
    if (window_ms < n_others * WATCH_APART_MS)
        window_ms = n_others * WATCH_APART_MS;
    uint64_t half_ms = window_ms / 2;
    return window_ms - (uint64_t)(((unsigned __int128)random * (half_ms + 1)) >> 64);
}
