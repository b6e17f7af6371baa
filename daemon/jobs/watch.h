/* SPDX-License-Identifier: Apache-2.0
 *
 * watch.h - how often a watch looks at its object.
 *
 * Pure; any thread.
 */
#ifndef JOBS_WATCH_H
#define JOBS_WATCH_H

#include <stdint.h>

/* However many watches there are, all together look about once in this time, not more often. */
enum { WATCH_APART_MS = 10 };

/* Milliseconds to the next look of a watch that was asked for age_ms ago: an eighth of that, so
 * that what comes soon is seen at once and what takes hours costs little; every_ms at most (0: 30
 * s), half a second at least, less up to a half by chance, so that a crowd does not stay one. Only
 * n_others that wait may make it longer than every_ms. random is uniform. */
uint64_t watch_delay_ms(uint64_t age_ms, uint64_t every_ms, uint64_t n_others, uint64_t random);

#endif
