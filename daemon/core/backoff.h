/* SPDX-License-Identifier: Apache-2.0
 *
 * backoff.h - when to try again: attempt, the server's hint, a random number -> delay.
 *
 * Pure; any thread.
 */
#ifndef CORE_BACKOFF_H
#define CORE_BACKOFF_H

#include <stdint.h>

/* Milliseconds before try number attempt + 1 (attempt counts from 1, of those that failed): full
 * jitter over min(cap, base * 2^(attempt-1)), never less than hint_ms (Retry-After; 0: none), to
 * which up to a quarter is added so that a crowd does not come back at once. random is uniform. */
uint64_t backoff_ms(unsigned attempt, uint64_t base_ms, uint64_t cap_ms, uint64_t hint_ms,
                    uint64_t random);

#endif
