/* SPDX-License-Identifier: Apache-2.0
 *
 * vectors.h - reads tests/vectors/vectors.txt, one block at a time.
 */
#ifndef TEST_OCI_VECTORS_H
#define TEST_OCI_VECTORS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oci/checksum.h"

struct vector {
    char name[64], key[64], method[16], target[4096], keyid[8192], names[256], signature[1024];
    char host[256], date[64], obo[8192], length[32], type[64], sha256[64];
    char body[8192], string[16384];
    size_t n_body, n_string;
};

static inline void vector_path(const char *file, char out[512])
{
    snprintf(out, 512, "%s/tests/vectors/%s", OCID_SOURCE_DIR, file);
}

static inline void vector_header(struct vector *v, const char *line)
{
    const struct {
        const char *name;
        char *to;
        size_t size;
    } known[] = {
        {"date", v->date, sizeof v->date},
        {"x-date", v->date, sizeof v->date},
        {"host", v->host, sizeof v->host},
        {"opc-obo-token", v->obo, sizeof v->obo},
        {"content-length", v->length, sizeof v->length},
        {"content-type", v->type, sizeof v->type},
        {"x-content-sha256", v->sha256, sizeof v->sha256},
    };
    size_t n = strcspn(line, " ");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strlen(known[i].name) != n || memcmp(known[i].name, line, n))
            continue;
        snprintf(known[i].to, known[i].size, "%s", line + n + 1);
        return;
    }
    fprintf(stderr, "vector '%s' has a header unknown here: %s\n", v->name, line);
    abort();
}

static inline size_t vector_decode(const char *text, char *out, size_t size)
{
    size_t n = 0;
    if (strcmp(text, "-") && oci_unbase64(text, strlen(text), out, size, &n))
        abort();
    return n;
}

/* 1 and the next block, 0 at the end of the file. */
static inline int vector_next(FILE *f, struct vector *v)
{
    static char line[65536];
    memset(v, 0, sizeof *v);
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        char *value = line + strcspn(line, " ");
        if (line[0] == '#')
            continue;
        if (!line[0])
            break;
        *value++ = 0;
        const struct {
            const char *word;
            char *to;
            size_t size;
        } plain[] = {
            {"name", v->name, sizeof v->name},
            {"key", v->key, sizeof v->key},
            {"method", v->method, sizeof v->method},
            {"target", v->target, sizeof v->target},
            {"keyid", v->keyid, sizeof v->keyid},
            {"signed", v->names, sizeof v->names},
            {"signature", v->signature, sizeof v->signature},
        };
        for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
            if (!strcmp(line, plain[i].word))
                snprintf(plain[i].to, plain[i].size, "%s", value);
        if (!strcmp(line, "header"))
            vector_header(v, value);
        else if (!strcmp(line, "body64"))
            v->n_body = vector_decode(value, v->body, sizeof v->body);
        else if (!strcmp(line, "string64"))
            v->n_string = vector_decode(value, v->string, sizeof v->string);
    }
    return v->name[0] != 0;
}

#endif
