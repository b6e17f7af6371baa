/* SPDX-License-Identifier: Apache-2.0
 *
 * control.h - answers the control socket: facts, unlock, lock, reload, offset.
 */
#ifndef SIGNER_CONTROL_H
#define SIGNER_CONTROL_H

#include "signer/creds.h"

/* Serves the socket until its other end is closed. */
void control_run(struct creds *c, int control_fd);

#endif
