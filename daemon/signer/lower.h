/* SPDX-License-Identifier: Apache-2.0
 *
 * lower.h - text as Python's str sees it: white space and lower case.
 *
 * Pure; any thread. Text is valid UTF-8 throughout.
 */
#ifndef SIGNER_LOWER_H
#define SIGNER_LOWER_H

#include <stddef.h>
#include <stdint.h>

/* The character at in, its length in *len. */
uint32_t lower_char(const char *in, size_t *len);

/* str.isspace() of one character. */
int lower_is_space(uint32_t c);

/* str.strip(): moves *s and shortens *n. Returns how many characters went at the front. */
size_t lower_strip(const char **s, size_t *n);

/* str.rstrip(): the new length. */
size_t lower_rstrip(const char *s, size_t n);

/* str.lower() into out, which has room for n + n / 2 bytes. Returns the bytes written. */
size_t lower_case(const char *in, size_t n, char *out);

#endif
