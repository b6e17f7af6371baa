/* SPDX-License-Identifier: Apache-2.0
 *
 * sign.h - one request for a signature -> its reply.
 *
 * Any thread.
 */
#ifndef SIGNER_SIGN_H
#define SIGNER_SIGN_H

#include <stddef.h>
#include <stdint.h>

#include "signer/creds.h"

/* Answers the packet asked[0..n): checks it, signs, packs the reply. seat is the calling thread's,
 * now in seconds since 1970. Returns the bytes of the reply. */
size_t sign_answer(struct creds *c, unsigned seat, const void *asked, size_t n, int64_t now,
                   char reply[WIRE_SIGNED_MAX]);

#endif
