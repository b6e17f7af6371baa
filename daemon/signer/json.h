/* SPDX-License-Identifier: Apache-2.0
 *
 * json.h - members of a JSON object: as much as tokens and the answers that bring them need.
 *
 * Pure; any thread.
 */
#ifndef SIGNER_JSON_H
#define SIGNER_JSON_H

#include <stddef.h>
#include <stdint.h>

/* Both look at the members of the object text[0..n) itself, not inside of others; the first of that
 * name counts. They return 0 when the text is no object, or has no such member of the type. */

/* A string without escapes into out, with a NUL; one that does not fit into size is none. */
int json_text(const char *text, size_t n, const char *name, char *out, size_t size);

/* A whole number that fits. */
int json_number(const char *text, size_t n, const char *name, int64_t *ret);

#endif
