/* SPDX-License-Identifier: Apache-2.0
 *
 * io.h - what a system call may do in pieces, done whole.
 */
#ifndef OCP_IO_H
#define OCP_IO_H

#include <stddef.h>

/* Writes all n bytes to a descriptor that blocks, whatever signals come. 0, or errno. Any thread.
 */
int oc_write_all(int fd, const void *bytes, size_t n);

#endif
