/* SPDX-License-Identifier: Apache-2.0
 *
 * signer.h - asks the program ocid-signer, which alone knows keys and profiles, as a child.
 */
#ifndef CTL_SIGNER_H
#define CTL_SIGNER_H

#include <stddef.h>

/* Its answer: lines "name<TAB>value" cut into NUL-ended words. */
struct signer {
    char *text;
    size_t n;
    int status; /* as ocictl would exit */
};

/* Runs it with these words behind its name (NULL ends them) and phrase[0..n) on a pipe. 0; the exit
 * status after saying why it could not be run. */
int signer_run(const char *const *words, const char *phrase, size_t n, struct signer *ret);
void signer_free(struct signer *s);

/* The first value of that name, or NULL. */
const char *signer_value(const struct signer *s, const char *name);

/* Walks the lines from *at = NULL on: the next name and its value, or NULL at the end. */
const char *signer_next(const struct signer *s, const char **at, const char **ret_value);

#endif
