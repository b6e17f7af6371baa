/* SPDX-License-Identifier: Apache-2.0
 *
 * child.h - our own programs, started to be asked one thing: ocid-signer, which alone knows keys
 * and profiles, and ocid, which knows its settings.
 */
#ifndef CTL_CHILD_H
#define CTL_CHILD_H

#include <limits.h>
#include <stddef.h>

/* An answer: lines "name<TAB>value" cut into NUL-ended words. */
struct child {
    char *text;
    size_t n;
    int status; /* as ocictl would exit */
};

/* Runs ocid-signer with these words behind its name (NULL ends them) and phrase[0..n) on a pipe. 0;
 * the exit status after saying why it could not be run. */
int child_signer(const char *const *words, const char *phrase, size_t n, struct child *ret);

/* The same of ocid; what it says on stderr is in the answer, too, and its failing is one. -1: it
 * cannot be run; nothing was said. */
int child_ocid(const char *const *words, struct child *ret);
void child_free(struct child *c);

/* The first value of that name, or NULL. */
const char *child_value(const struct child *c, const char *name);

/* Walks the lines from *at = NULL on: the next name and its value, or NULL at the end. */
const char *child_next(const struct child *c, const char **at, const char **ret_value);

/* The daemon's program beside ourselves, else "ocid", to be found by PATH. */
void child_find_ocid(char out[PATH_MAX]);

#endif
