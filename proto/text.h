/* SPDX-License-Identifier: Apache-2.0
 *
 * text.h - small things done to text in more than one room.
 *
 * Pure; any thread.
 */
#ifndef PROTO_TEXT_H
#define PROTO_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Joins three strings into out, cut to size, always ended with NUL. */
void oc_text_join(char *out, size_t size, const char *a, const char *b, const char *c);

/* Copies in[0..n) with control bytes (and broken UTF-8) as \xNN, so that a name cannot move a
 * terminal's cursor. Cut to size, never inside an escape; always ends with NUL. Returns the
 * length written. */
size_t oc_text_escape(const char *in, size_t n, char *out, size_t size);

/* Length in bytes of the valid UTF-8 sequence at in (n bytes are left), 0 if it is none. */
size_t oc_utf8_len(const char *in, size_t n);

/* 1 if the whole of in[0..n) is valid UTF-8. */
int oc_utf8_valid(const char *in, size_t n);

/* RFC 3339 of milliseconds since 1970 (0 or more): "2024-05-01T12:00:00.123Z". Returns out. */
enum { OC_TIME_SIZE = 48 };
char *oc_text_time(int64_t ms, char out[OC_TIME_SIZE]);

#endif
