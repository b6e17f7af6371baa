/* SPDX-License-Identifier: Apache-2.0
 *
 * io.c - what a system call may do in pieces, done whole.
 *
 * Blocks. Any thread.
 */
#include "io.h"

#include <errno.h>
#include <unistd.h>

int oc_write_all(int fd, const void *bytes, size_t n)
{
    for (const char *at = bytes; n;) {
        ssize_t did = write(fd, at, n);
        if (did < 0 && errno == EINTR)
            continue;
        if (did <= 0)
            return did ? errno : EIO;
        at += did;
        n -= (size_t)did;
    }
    return 0;
}
