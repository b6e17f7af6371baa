/* SPDX-License-Identifier: Apache-2.0
 *
 * fetch.h - requests that the signer wants to be made: it has no network itself.
 *
 * Control loop.
 */
#ifndef JOBS_FETCH_H
#define JOBS_FETCH_H

#include "vault/vault.h"

struct room;

/* Makes the request, and answers it by vault_fetched(), in a later turn. One try; the signer asks
 * again if it wants another. */
void room_fetch(struct room *r, const struct vault_fetch *f);

#endif
