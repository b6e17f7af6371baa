/* SPDX-License-Identifier: Apache-2.0
 *
 * renew.h - tokens that come over the network: one renewal a profile at a time, step by step.
 *
 * Control thread.
 */
#ifndef SIGNER_RENEW_H
#define SIGNER_RENEW_H

#include <stdint.h>

#include "signer/creds.h"

struct renewals;

struct renewals_hooks {
    /* ocid is to make this request; it is answered by renewals_answer(). */
    void (*fetch)(void *arg, uint64_t tag, const char *profile, const struct mode_ask *ask);
    /* A renewal has ended, well or not: what the profile has now stands in its credential. */
    void (*over)(void *arg, const char *profile, int changed);
    void *arg;
};

struct renewals *renewals_new(struct creds *c, const struct renewals_hooks *hooks);
void renewals_free(struct renewals *r);

/* Begins what is due, now in seconds since 1970 by our own clock. */
void renewals_due(struct renewals *r, int64_t now);

/* Begins one for the profile, unless it is under way, has just failed or been done, or there is
 * none for its mode. 1: one is under way now. */
int renewals_want(struct renewals *r, const char *profile, size_t n, int64_t now);

/* The answer to a fetch: code 0 and the body, or why there is none. */
void renewals_answer(struct renewals *r, uint64_t tag, const struct mode_answer *a, int64_t now);

#endif
