/* SPDX-License-Identifier: Apache-2.0
 *
 * worker.h - the threads that sign.
 */
#ifndef SIGNER_WORKER_H
#define SIGNER_WORKER_H

#include "signer/creds.h"

/* Starts n threads that answer what arrives on the socket, until its other end is closed. They are
 * never joined: they end with the process. 0 or an errno. */
int worker_start(struct creds *c, int sign_fd, unsigned n);

#endif
