/* SPDX-License-Identifier: Apache-2.0
 *
 * spawn.h - starts ocid-signer with two sockets and next to nothing else.
 *
 * Control loop. Used by vault.c only.
 */
#ifndef VAULT_SPAWN_H
#define VAULT_SPAWN_H

#include "vault/vault.h"

/* Starts the program; fd[0] is our end of the control socket, fd[1] that of the sign socket.
 * process->data is the caller's; on_ended runs when it has ended. After a failure process needs
 * closing all the same. */
int vault_spawn(uv_loop_t *loop, const struct vault_options *o, uv_process_t *process,
                uv_exit_cb on_ended, int fd[2], struct oc_err *err);

/* For tests: the environment that this processor asks for, "" if none. */
const char *vault_spawn_capability(void);

#endif
