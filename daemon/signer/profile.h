/* SPDX-License-Identifier: Apache-2.0
 *
 * profile.h - ~/.oci/config, read exactly as Python's ConfigParser(interpolation=None) reads it.
 *
 * Pure; any thread.
 */
#ifndef SIGNER_PROFILE_H
#define SIGNER_PROFILE_H

#include <stddef.h>

#include "proto/err.h"

enum { PROFILE_FILE_MAX = 1 << 20 };

/* May have NUL bytes inside; one more stands at its end. */
struct profile_text {
    const char *s;
    size_t n;
};

struct profile_entry {
    struct profile_text key; /* lower case */
    struct profile_text value;
    unsigned section; /* index */
    unsigned line;    /* counts from 1 */
};

struct profile_file;

/* Takes text[0..n) apart; at most PROFILE_FILE_MAX bytes. Nothing is borrowed from text; what
 * *ret holds lies in memory for secrets. OCID_E_CONFIG: "line 7: …". */
int profile_parse(const char *text, size_t n, struct profile_file **ret, struct oc_err *err);
void profile_free(struct profile_file *f);

/* Sections in the order of the file; number 0 is DEFAULT, in the file or not. */
unsigned profile_n_sections(const struct profile_file *f);
struct profile_text profile_name(const struct profile_file *f, unsigned section);

/* Line of the section's (first) head, 0: DEFAULT has none in this file. */
unsigned profile_line(const struct profile_file *f, unsigned section);

/* Index of a section, -1 if there is none of that name. */
int profile_find(const struct profile_file *f, const char *name, size_t n);

/* The value of a key in a section, or of DEFAULT's if it has none; NULL: neither has. */
const struct profile_entry *profile_get(const struct profile_file *f, unsigned section,
                                        const char *key, size_t n);

/* Entries in the order of the file, NULL behind the last. */
const struct profile_entry *profile_entry_at(const struct profile_file *f, size_t idx);

#endif
