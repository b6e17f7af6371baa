/* SPDX-License-Identifier: Apache-2.0
 *
 * dump_profile.c - prints what the signer's reader makes of file after file.
 *
 * In: a decimal length, a newline, that many bytes; and again. Out, for each: "refused" or, a line
 * each, section, key and value of everything that a section has, its own or DEFAULT's, in hex; then
 * an empty line. Used by test_profile.py, which has Python's ConfigParser say the same.
 */
#include <stdio.h>
#include <stdlib.h>

#include "signer/profile.h"

static void hex(struct profile_text t)
{
    putchar('.');
    for (size_t i = 0; i < t.n; i++)
        printf("%02x", (unsigned char)t.s[i]);
}

static void dump(const struct profile_file *f)
{
    for (unsigned s = 0; s < profile_n_sections(f); s++) {
        hex(profile_name(f, s));
        putchar('\n');
        const struct profile_entry *e;
        for (size_t i = 0; (e = profile_entry_at(f, i)); i++) {
            if (e->section != s && e->section)
                continue;
            if (profile_get(f, s, e->key.s, e->key.n) != e)
                continue; /* the section has its own */
            hex(profile_name(f, s));
            putchar(' ');
            hex(e->key);
            putchar(' ');
            hex(e->value);
            putchar('\n');
        }
    }
}

int main(void)
{
    unsigned long n;
    while (scanf("%lu", &n) == 1 && getchar() == '\n') {
        char *text = malloc(n + 1);
        struct profile_file *f;
        struct oc_err err;
        if (!text || fread(text, 1, n, stdin) != n)
            return 1;
        int rc = profile_parse(text, n, &f, &err);
        if (rc) {
            printf("refused %s\n", err.text);
        } else {
            dump(f);
            profile_free(f);
        }
        putchar('\n');
        free(text);
    }
    return 0;
}
