/* SPDX-License-Identifier: Apache-2.0
 *
 * uri.h - oci://bucket[@namespace]/object, as people type it.
 *
 * Pure.
 */
#ifndef CTL_URI_H
#define CTL_URI_H

#include <stdbool.h>
#include <stddef.h>

struct uri {
    char bucket[257], space[65]; /* space "": none given */
    const char *object;          /* borrows from the text; "": the bucket itself */
};

bool uri_is(const char *text);

/* 0, or -1 and a sentence. Objects are taken as they stand, nothing is decoded. */
int uri_parse(const char *text, struct uri *ret, char *why, size_t why_size);

/* The object can be one: it is not empty, "." or "..". */
bool uri_is_object(const struct uri *uri);

/* A bucket, or something that ends in '/': a place for names. */
bool uri_is_below(const struct uri *uri);

#endif
