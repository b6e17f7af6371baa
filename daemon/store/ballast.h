/* SPDX-License-Identifier: Apache-2.0
 *
 * ballast.h - space that is held so that what was accepted can still be written when the disk is
 * full.
 *
 * Blocks; the opener's thread, then the store thread's alone.
 */
#ifndef STORE_BALLAST_H
#define STORE_BALLAST_H

#include <limits.h>
#include <stdint.h>

struct ballast {
    char path[PATH_MAX];
    uint64_t bytes; /* 0: none is held, and nothing is refused for the lack of it */
    int there;
    uint64_t looked_at_ms; /* for space, the last time */
};

/* Takes the file of an earlier life, or makes it. */
void ballast_open(struct ballast *b, const char *dir, uint64_t bytes);

/* The disk is full: gives the space back. 1: there was some, so it is worth another try. */
int ballast_give(struct ballast *b);

/* 1: it was given and there is no space yet to take it again: nothing new should be accepted. */
int ballast_is_short(struct ballast *b);

#endif
