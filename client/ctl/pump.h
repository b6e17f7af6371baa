/* SPDX-License-Identifier: Apache-2.0
 *
 * pump.h - standard input as a pipe that the daemon can read.
 */
#ifndef CTL_PUMP_H
#define CTL_PUMP_H

#include <stdatomic.h>

struct pump {
    int fd; /* the reading end for the daemon, to be closed once it was passed; -1: none */
    int in, out;
    atomic_int error; /* errno of a read that has failed: the pipe stays open, so shows no end */
};

/* in itself (another descriptor: it may be closed) if it is a pipe of the user's; for a file, a
 * terminal or a socket a fresh pipe, and a thread that writes into it what in gives, for the rest
 * of the program's life. When reading fails it raises SIGINT. 0, or errno. */
int pump_begin(struct pump *p, int in);

#endif
