/* SPDX-License-Identifier: Apache-2.0
 *
 * handlers.h - one function a method. Each answers its ticket once, now or later.
 *
 * Control loop. The message borrows from the frame: what is needed later is copied.
 */
#ifndef RPC_HANDLERS_H
#define RPC_HANDLERS_H

#include "rpc/session.h"

void on_hello(struct session *s, const struct ticket *t, const void *msg);
void on_submit(struct session *s, const struct ticket *t, const void *msg);
void on_status(struct session *s, const struct ticket *t, const void *msg);
void on_list(struct session *s, const struct ticket *t, const void *msg);
/* The session closes: its questions wait no longer. */
void follows_end(struct session *s);

void on_act(struct session *s, const struct ticket *t, const void *msg);
void on_stats(struct session *s, const struct ticket *t, const void *msg);
void on_limit(struct session *s, const struct ticket *t, const void *msg);
void on_reload(struct session *s, const struct ticket *t, const void *msg);
void on_unlock(struct session *s, const struct ticket *t, const void *msg);
void on_lock(struct session *s, const struct ticket *t, const void *msg);

#endif
