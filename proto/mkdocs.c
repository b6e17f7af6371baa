/* SPDX-License-Identifier: Apache-2.0
 *
 * mkdocs.c - writes what is derived from messages.def and error.h, or checks that it is up to date.
 *
 *   mkdocs SOURCE_DIR           writes
 *   mkdocs --check SOURCE_DIR   compares; exit status 1 and a line for each file that differs
 *
 * proto/PROTOCOL.md (its half between the markers), the tables of the Python package, and the
 * dictionary of the fuzzers. A program of its own, not part of the library.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ocid/version.h"
#include "proto/codec.h"

#define BEGIN_MARK "<!-- written by mkdocs from here: change messages.def instead -->\n"
#define END_MARK   "<!-- written by mkdocs up to here -->\n"

static const struct error_row {
    int number;
    const char *upper, *retry;
    int status;
    const char *text;
} errors[] = {
#define ERROR_ROW(number, name, retry, status, text) {number, #name, #retry, status, text},
    OCID_ERRORS(ERROR_ROW)
#undef ERROR_ROW
};

enum { N_ERRORS = sizeof errors / sizeof *errors, CEILING = 1 << 20 };

static void put(struct oc_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct oc_buf *b, const char *fmt, ...)
{
    char line[2048];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof line || oc_buf_add(b, line, (size_t)n)) {
        fprintf(stderr, "mkdocs: a line or a file is too long\n");
        exit(1);
    }
}

static const char *retry_name(const struct error_row *e)
{
    return !strcmp(e->retry, "NEVER") ? "never" : !strcmp(e->retry, "LATER") ? "later" : "cured";
}

/* ---- PROTOCOL.md */

static void put_type(struct oc_buf *b, const struct ocp_field *f)
{
    switch ((enum ocp_type)f->type) {
    case OCP_BOOL:
        put(b, "bool");
        return;
    case OCP_U64:
        put(b, "integer, 0 or more");
        break;
    case OCP_I64:
        put(b, "integer");
        return;
    case OCP_STR:
        put(b, "str");
        break;
    case OCP_BYTES:
        put(b, "bin or str");
        break;
    case OCP_U64S:
        put(b, "array of integers");
        break;
    case OCP_MAP:
        put(b, "map of str to str");
        break;
    case OCP_ENUM:
        put(b, "one of [%s](#%s)", f->values->name, f->values->name);
        return;
    case OCP_SUB:
        put(b, "map: [%s](#%s)", f->sub->name, f->sub->name);
        return;
    case OCP_LIST:
        put(b, "array of [%s](#%s)", f->sub->name, f->sub->name);
        break;
    }
    if (!f->bound)
        return;
    const char *unit = f->type == OCP_U64                           ? ""
                       : f->type == OCP_STR || f->type == OCP_BYTES ? " bytes"
                       : f->type == OCP_MAP                         ? " pairs"
                                                                    : " elements";
    put(b, ", at most %llu%s", (unsigned long long)f->bound,
        f->bound == 1 ? (*unit ? " byte" : "") : unit);
}

static void put_methods(struct oc_buf *b)
{
    put(b, "## Methods\n\n| method | parameters | result | since | |\n|---|---|---|---|---|\n");
    for (int i = 0; i < OCP_METHOD_COUNT; i++) {
        const struct ocp_method *m = ocp_method(i);
        put(b, "| `%s` | [%s](#%s) | [%s](#%s) | %u | %s |\n", m->name, m->request->name,
            m->request->name, m->reply->name, m->reply->name, m->since, m->doc);
    }
}

static void put_messages(struct oc_buf *b)
{
    put(b, "\n## Messages\n\nFields in bold must be there.\n");
    for (const struct ocp_desc *const *d = ocp_messages; *d; d++) {
        put(b, "\n### %s\n\nSince version %u: %s.\n", (*d)->name, (*d)->since, (*d)->doc);
        if ((*d)->n_fields)
            put(b, "\n| field | type | |\n|---|---|---|\n");
        for (unsigned i = 0; i < (*d)->n_fields; i++) {
            const struct ocp_field *f = &(*d)->fields[i];
            const char *bold = f->required ? "**" : "";
            put(b, "| %s`%s`%s | ", bold, f->name, bold);
            put_type(b, f);
            put(b, " | %s |\n", f->doc);
        }
    }
}

static void put_enums(struct oc_buf *b)
{
    put(b, "\n## Closed lists\n\nOn the wire the value's name, a str.\n");
    for (const struct ocp_enum *const *e = ocp_enums; *e; e++) {
        put(b, "\n### %s\n\n| value | |\n|---|---|\n", (*e)->name);
        for (int i = 0; i < (*e)->n; i++)
            put(b, "| `%s` | %s |\n", (*e)->names[i], (*e)->docs[i]);
    }
}

static void put_errors(struct oc_buf *b)
{
    put(b,
        "\n## Errors\n\n"
        "*Number* is that of the C library, *retry* what the daemon does with a job that met it,\n"
        "*exit* the exit status of `ocictl`.\n\n"
        "| code | number | retry | exit | |\n|---|---|---|---|---|\n");
    for (int i = 0; i < N_ERRORS; i++)
        put(b, "| `%s` | %d | %s | %d | %s |\n", oc_err_name(errors[i].number), errors[i].number,
            retry_name(&errors[i]), errors[i].status, errors[i].text);
}

/* Keeps what stands outside of the markers. */
static int make_protocol(const char *old, struct oc_buf *b)
{
    const char *begin = strstr(old, BEGIN_MARK), *end = strstr(old, END_MARK);
    if (!begin || !end || end < begin)
        return -1;
    begin += strlen(BEGIN_MARK);
    oc_buf_add(b, old, (size_t)(begin - old));
    put(b, "\n");
    put_methods(b);
    put_messages(b);
    put_enums(b);
    put_errors(b);
    put(b, "\n");
    oc_buf_add(b, end, strlen(end));
    return 0;
}

/* ---- Python */

static void put_quoted(struct oc_buf *b, const char *s)
{
    put(b, "\"");
    for (; *s; s++)
        put(b, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
    put(b, "\"");
}

static const char *python_type(const struct ocp_field *f)
{
    static const char *const names[] = {"bool", "u64", "i64",  "str", "bytes",
                                        "u64s", "map", "enum", "sub", "list"};
    return names[f->type];
}

static void put_python_fields(struct oc_buf *b, const struct ocp_desc *d)
{
    if (!d->n_fields) {
        put(b, "    \"%s\": (),\n", d->name);
        return;
    }
    put(b, "    \"%s\": (\n", d->name);
    for (unsigned i = 0; i < d->n_fields; i++) {
        const struct ocp_field *f = &d->fields[i];
        const char *of = f->values ? f->values->name : f->sub ? f->sub->name : "";
        put(b, "        Field(\"%s\", \"%s\", %s, %llu, \"%s\", ", f->name, python_type(f),
            f->required ? "True" : "False", (unsigned long long)f->bound, of);
        put_quoted(b, f->doc);
        put(b, "),\n");
    }
    put(b, "    ),\n");
}

static int make_python(const char *old, struct oc_buf *b)
{
    (void)old;
    put(b, "# SPDX-License-Identifier: Apache-2.0\n"
           "#\n"
           "# Written by proto/mkdocs.c from proto/messages.def and include/ocid/error.h; do not "
           "edit.\n"
           "# ruff: noqa: E501\n"
           "\"\"\"The protocol's tables: enums, errors, messages, methods.\"\"\"\n\n"
           "from __future__ import annotations\n\n"
           "from typing import NamedTuple\n\n\n"
           "class Field(NamedTuple):\n"
           "    \"\"\"One field of a message; ``of`` names the enum or message of its "
           "values.\"\"\"\n\n"
           "    name: str\n    type: str\n    required: bool\n    bound: int\n    of: str\n    "
           "doc: str\n\n\n"
           "class Error(NamedTuple):\n"
           "    \"\"\"One error: number, ``never``/``later``/``cured``, exit status, "
           "sentence.\"\"\"\n\n"
           "    number: int\n    retry: str\n    exit: int\n    text: str\n\n\n"
           "class Method(NamedTuple):\n"
           "    \"\"\"One method: names of its two messages and the version it came with.\"\"\"\n\n"
           "    request: str\n    reply: str\n    since: int\n    doc: str\n\n\n");
    put(b, "PROTOCOL_MIN = %d\nPROTOCOL_MAX = %d\n", OCID_PROTOCOL_MIN, OCID_PROTOCOL_MAX);
    put(b, "MAX_FRAME = %d\nMAX_DEPTH = %d\nMAX_FDS = %d\nMAX_JOBS = %d\n\n", OCP_MAX_FRAME,
        OCP_MAX_DEPTH, OCP_MAX_FDS, OCP_MAX_JOBS);
    put(b, "ENUMS: dict[str, dict[str, str]] = {\n");
    for (const struct ocp_enum *const *e = ocp_enums; *e; e++) {
        put(b, "    \"%s\": {\n", (*e)->name);
        for (int i = 0; i < (*e)->n; i++) {
            put(b, "        \"%s\": ", (*e)->names[i]);
            put_quoted(b, (*e)->docs[i]);
            put(b, ",\n");
        }
        put(b, "    },\n");
    }
    put(b, "}\n\nERRORS: dict[str, Error] = {\n");
    for (int i = 0; i < N_ERRORS; i++) {
        put(b, "    \"%s\": Error(%d, \"%s\", %d, ", oc_err_name(errors[i].number),
            errors[i].number, retry_name(&errors[i]), errors[i].status);
        put_quoted(b, errors[i].text);
        put(b, "),\n");
    }
    put(b, "}\n\nMESSAGES: dict[str, tuple[Field, ...]] = {\n");
    for (const struct ocp_desc *const *d = ocp_messages; *d; d++)
        put_python_fields(b, *d);
    put(b, "}\n\nMETHODS: dict[str, Method] = {\n");
    for (int i = 0; i < OCP_METHOD_COUNT; i++) {
        const struct ocp_method *m = ocp_method(i);
        put(b, "    \"%s\": Method(\"%s\", \"%s\", %u, ", m->name, m->request->name, m->reply->name,
            m->since);
        put_quoted(b, m->doc);
        put(b, "),\n");
    }
    put(b, "}\n");
    return 0;
}

/* ---- Fuzz dictionary: each name as it stands on the wire, each once */

static int seen_before(const struct oc_buf *b, const char *line)
{
    return b->len && memmem(b->data, b->len, line, strlen(line)) != NULL;
}

static void put_word(struct oc_buf *b, const char *word)
{
    char line[128];
    size_t n = strlen(word);
    if (n < 32)
        snprintf(line, sizeof line, "\"\\x%02x%s\"\n", (unsigned)(0xa0 | n), word);
    else
        snprintf(line, sizeof line, "\"\\xd9\\x%02x%s\"\n", (unsigned)n, word);
    if (!seen_before(b, line))
        put(b, "%s", line);
}

static int make_dict(const char *old, struct oc_buf *b)
{
    (void)old;
    put(b, "# SPDX-License-Identifier: Apache-2.0\n"
           "#\n"
           "# Words of the protocol for the fuzzers; written by proto/mkdocs.c, do not edit.\n");
    for (int i = 0; i < OCP_METHOD_COUNT; i++)
        put_word(b, ocp_method(i)->name);
    for (const struct ocp_desc *const *d = ocp_messages; *d; d++)
        for (unsigned i = 0; i < (*d)->n_fields; i++)
            put_word(b, (*d)->fields[i].name);
    for (const struct ocp_enum *const *e = ocp_enums; *e; e++)
        for (int i = 0; i < (*e)->n; i++)
            put_word(b, (*e)->names[i]);
    for (int i = 0; i < N_ERRORS; i++)
        put_word(b, oc_err_name(errors[i].number));
    put(b, "\"\\x94\\x00\"\n\"\\x94\\x01\"\n\"\\xc0\"\n\"\\xc1\"\n"
           "\"\\xc6\\x7f\\xff\\xff\\xff\"\n\"\\xdb\\x7f\\xff\\xff\\xff\"\n"
           "\"\\xdd\\x7f\\xff\\xff\\xff\"\n\"\\xdf\\x7f\\xff\\xff\\xff\"\n"
           "\"\\xcf\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\"\n"
           "\"\\xd3\\x80\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"\n"
           "\"\\xd4\\x00\\x00\"\n\"\\xc7\\x00\\x00\"\n");
    return 0;
}

/* ---- Files */

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = calloc(1, CEILING + 1);
    if (f && text && fread(text, 1, CEILING, f) == CEILING)
        text[0] = 0; /* too large to be ours */
    if (f)
        fclose(f);
    return text;
}

static int write_file(const char *path, const struct oc_buf *b)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        return -1;
    size_t n = fwrite(b->data, 1, b->len, f);
    return fclose(f) || n != b->len ? -1 : 0;
}

/* 0, or 1 and a line that says what is wrong. */
static int one(const char *dir, const char *name, int (*make)(const char *, struct oc_buf *),
               int check)
{
    char path[4096];
    struct oc_buf b;
    oc_buf_init(&b, CEILING);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    char *old = read_file(path);
    const char *wrong = NULL;
    if (!old || make(old, &b))
        wrong = "the markers of the written half are missing";
    else if (strlen(old) == b.len && !memcmp(old, b.data, b.len))
        ;
    else if (check)
        wrong = "not up to date; run: cmake --build BUILD --target docs";
    else if (write_file(path, &b))
        wrong = "cannot be written";
    if (wrong)
        fprintf(stderr, "mkdocs: %s: %s\n", path, wrong);
    free(old);
    oc_buf_fini(&b);
    return wrong != NULL;
}

int main(int argc, char **argv)
{
    int check = argc > 1 && !strcmp(argv[1], "--check");
    if (argc != 2 + check) {
        fprintf(stderr, "usage: mkdocs [--check] SOURCE_DIR\n");
        return 2;
    }
    const char *dir = argv[1 + check];
    int bad = one(dir, "proto/PROTOCOL.md", make_protocol, check);
    bad |= one(dir, "client/python/src/ocid/_tables.py", make_python, check);
    bad |= one(dir, "tests/fuzz/ocid.dict", make_dict, check);
    return bad;
}
