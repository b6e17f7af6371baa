/* SPDX-License-Identifier: Apache-2.0
 *
 * cage.h - what the process gives up for good: writing files, new connections, new
 * programs.
 *
 * Before there are threads: what they may is what their maker may.
 */
#ifndef SIGNER_CAGE_H
#define SIGNER_CAGE_H

#include "signer/creds.h"

/* From here on files can be written, made and removed only beside the configuration and the tokens
 * that c has, since a refreshed token goes there; no file can be run. All that this user can read
 * can still be read: a configuration may name another key tomorrow, anywhere. 0, or why not: errno,
 * and this process goes on as it was. Source: Linux, landlock(7). */
int cage_files(const struct creds *c);

/* From here on there are no new sockets, processes or programs, nor looks into other processes:
 * EPERM. Threads still can be made. 0 or errno, ENOSYS on a processor it does not know. Source:
 * Linux, seccomp(2). */
int cage_calls(void);

#endif
