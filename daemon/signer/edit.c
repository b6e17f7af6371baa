/* SPDX-License-Identifier: Apache-2.0
 *
 * edit.c - sets the keys of one profile in the text of ~/.oci/config and touches nothing else.
 *
 * Pure; any thread. Asked by setup.c; start at edit_profile().
 * Goes by the numbers of lines that the reader has given to heads and entries, and reads its own
 * result again: what is not what was asked for, or changes anything else, is never given out.
 */
#include "signer/edit.h"

#include <stdlib.h>
#include <string.h>

#include "signer/profile.h"
#include "signer/secret.h"

struct edit {
    const struct edit_set *set;
    size_t n_set;
    const struct profile_file *f;
    unsigned section, head; /* line of the section's head, 0: it is to be appended */
    const struct profile_entry *own[EDIT_SET_MAX]; /* the section's entry of each key, or NULL */
    const char *eol;
    char *out;
    size_t used;
};

static void put(struct edit *e, const char *s, size_t n)
{
    memcpy(e->out + e->used, s, n);
    e->used += n;
}

static void put_text(struct edit *e, const char *s)
{
    put(e, s, strlen(s));
}

/* A line of the text with its end. */
static size_t line_size(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && s[i] != '\n' && s[i] != '\r')
        i++;
    if (i + 1 < n && s[i] == '\r' && s[i + 1] == '\n')
        return i + 2;
    return i < n ? i + 1 : n;
}

static size_t blanks(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && (s[i] == ' ' || s[i] == '\t'))
        i++;
    return i;
}

static int is_comment(const char *s, size_t n)
{
    size_t i = blanks(s, n);
    return i < n && (s[i] == '#' || s[i] == ';');
}

static int is_empty(const char *s, size_t n)
{
    size_t i = blanks(s, n);
    return i == n || s[i] == '\n' || s[i] == '\r';
}

static void put_pair(struct edit *e, const char *indent, size_t indent_n, const struct edit_set *s)
{
    put(e, indent, indent_n);
    put_text(e, s->key);
    put_text(e, "=");
    put_text(e, s->value);
    put_text(e, e->eol);
}

/* Index of the key that this line sets in our section, -1. */
static int key_at(const struct edit *e, unsigned line)
{
    for (size_t i = 0; i < e->n_set; i++)
        if (e->own[i] && e->own[i]->line == line)
            return (int)i;
    return -1;
}

/* Lines that go on with a value: as many as it has newlines, comments between them not counted. */
static unsigned newlines(struct profile_text v)
{
    unsigned n = 0;
    for (size_t i = 0; i < v.n; i++)
        n += v.s[i] == '\n';
    return n;
}

/* New keys stand below the head, indented as the line that follows: deeper ones would go on with
 * our last value. */
static void put_new(struct edit *e, const char *rest, size_t n)
{
    while (n && (is_comment(rest, n) || is_empty(rest, n))) {
        size_t size = line_size(rest, n);
        rest += size;
        n -= size;
    }
    size_t indent = n ? blanks(rest, n) : 0;
    for (size_t i = 0; i < e->n_set; i++)
        if (!e->own[i] && e->set[i].value)
            put_pair(e, rest, indent, &e->set[i]);
}

static void put_lines(struct edit *e, const char *s, size_t n)
{
    unsigned line = 0, skip = 0;
    for (size_t size; n; s += size, n -= size) {
        size = line_size(s, n);
        line++;
        int at = key_at(e, line);
        if (at >= 0) {
            if (e->set[at].value)
                put_pair(e, s, blanks(s, n), &e->set[at]);
            skip = newlines(e->own[at]->value);
        } else if (skip && !is_comment(s, size)) {
            skip--;
        } else {
            put(e, s, size);
        }
        if (e->head && line == e->head) {
            if (s[size - 1] != '\n' && s[size - 1] != '\r')
                put_text(e, e->eol);
            put_new(e, s + size, n - size);
        }
    }
}

static void put_section(struct edit *e, const char *name)
{
    if (e->used && e->out[e->used - 1] != '\n' && e->out[e->used - 1] != '\r')
        put_text(e, e->eol);
    if (e->used)
        put_text(e, e->eol);
    put_text(e, "[");
    put_text(e, name);
    put_text(e, "]");
    put_text(e, e->eol);
    for (size_t i = 0; i < e->n_set; i++)
        if (e->set[i].value)
            put_pair(e, "", 0, &e->set[i]);
}

static unsigned find_own(struct edit *e)
{
    unsigned changed = 0;
    const struct profile_entry *x;
    for (size_t at = 0; (x = profile_entry_at(e->f, at)); at++)
        for (size_t i = 0; i < e->n_set; i++)
            if (x->section == e->section && !strcmp(x->key.s, e->set[i].key)) {
                e->own[i] = x;
                changed += !e->set[i].value || strcmp(x->value.s, e->set[i].value) != 0;
            }
    return changed;
}

/* --- the proof --- */

static int is_set(const struct edit *e, const char *key)
{
    for (size_t i = 0; i < e->n_set; i++)
        if (!strcmp(e->set[i].key, key))
            return 1;
    return 0;
}

/* Each entry of a that is not one of ours in our section is in b as it was. */
static int kept(const struct edit *e, const char *name, const struct profile_file *a,
                const struct profile_file *b)
{
    const struct profile_entry *x;
    for (size_t at = 0; (x = profile_entry_at(a, at)); at++) {
        struct profile_text section = profile_name(a, x->section);
        int to = profile_find(b, section.s, section.n);
        if (!strcmp(section.s, name) && is_set(e, x->key.s))
            continue;
        const struct profile_entry *y =
            to < 0 ? NULL : profile_get(b, (unsigned)to, x->key.s, x->key.n);
        if (!y || y->value.n != x->value.n || memcmp(y->value.s, x->value.s, x->value.n) != 0)
            return 0;
    }
    return 1;
}

static int holds(const struct edit *e, const char *name, const struct profile_file *f)
{
    int section = profile_find(f, name, strlen(name));
    for (size_t i = 0; i < e->n_set; i++) {
        const char *key = e->set[i].key, *value = e->set[i].value;
        const struct profile_entry *x =
            section < 0 ? NULL : profile_get(f, (unsigned)section, key, strlen(key));
        if (value && (!x || strcmp(x->value.s, value) != 0))
            return 0;
    }
    return 1;
}

static int prove(const struct edit *e, const char *name, struct oc_err *err)
{
    struct profile_file *f;
    int rc = profile_parse(e->out, e->used, &f, err);
    if (rc)
        return rc;
    int good = holds(e, name, f) && kept(e, name, e->f, f) && kept(e, name, f, e->f);
    profile_free(f);
    return good ? 0
                : oc_fail(err, OCID_E_CONFIG, 0,
                          "profile '%s' has a form that cannot be changed safely; edit it by hand",
                          name);
}

int edit_profile(const char *text, size_t n, const char *name, const struct edit_set *set,
                 size_t n_set, char **ret, size_t *ret_n, unsigned *changed, struct oc_err *err)
{
    struct profile_file *f;
    struct edit e = {.set = set, .n_set = n_set, .eol = memmem(text, n, "\r\n", 2) ? "\r\n" : "\n"};
    int rc = profile_parse(text, n, &f, err);
    if (rc)
        return rc;
    size_t room = 2 * n + strlen(name) + 16;
    for (size_t i = 0; i < n_set; i++)
        room += n + strlen(set[i].key) + (set[i].value ? strlen(set[i].value) : 0) + 8;
    int section = profile_find(f, name, strlen(name));
    e.f = f;
    e.section = section < 0 ? ~0u : (unsigned)section;
    e.head = section < 0 ? 0 : profile_line(f, e.section);
    e.out = secret_new(room);
    *changed = find_own(&e);
    put_lines(&e, text, n);
    if (!e.head)
        put_section(&e, name);
    rc = prove(&e, name, err);
    profile_free(f);
    if (rc) {
        secret_free(e.out);
        return rc;
    }
    *ret = e.out;
    *ret_n = e.used;
    return 0;
}
