/* SPDX-License-Identifier: Apache-2.0
 *
 * profile.c - takes ~/.oci/config apart, as Python's ConfigParser(interpolation=None) does.
 *
 * Pure; any thread. Asked by creds.c; start at profile_parse().
 * Works in a copy of the text: a value that goes over several lines is joined where it stands,
 * which only ever makes it shorter. Lower-cased keys, which may be longer, go to a second block.
 * Source: Lib/configparser.py, RawConfigParser._read(); tests/differential compares the two.
 */
#include "signer/profile.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text.h"
#include "signer/lower.h"
#include "signer/secret.h"

struct section {
    struct profile_text name;
    unsigned line; /* of its first head, 0: has none (DEFAULT) */
};

struct profile_file {
    char *text; /* the copy that names and values lie in */
    char *keys; /* the keys, one after another */
    size_t keys_used;
    struct section *section;
    struct profile_entry *entry;
    unsigned n_sections, sections_room;
    size_t n_entries, entries_room;
    uint32_t *table; /* hash of (section, key) and of section names: index + 1 */
    size_t table_size;
};

/* Where the reader is. */
struct reader {
    struct profile_file *f;
    struct oc_err *err;
    int section;              /* -1: none yet */
    struct profile_entry *at; /* whose value may go on; NULL: none */
    char *end;                /* where at's value ends for now */
    size_t indent;            /* of the line that at (or the section) began on */
    unsigned line;
};

#define SECTION_BIT 0x80000000u

static void *grow(void *p, size_t n, size_t size)
{
    void *fresh = reallocarray(p, n, size);
    if (!fresh)
        abort();
    return fresh;
}

static int same(struct profile_text a, const char *s, size_t n)
{
    return a.n == n && !memcmp(a.s, s, n);
}

/* --- the hash of what must not come twice --- */

static size_t hash(uint32_t section, const char *s, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u ^ section;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
    return (size_t)(h ^ h >> 29);
}

static int is_at(const struct profile_file *f, uint32_t item, uint32_t section, const char *s,
                 size_t n)
{
    if (item & SECTION_BIT)
        return section == SECTION_BIT && same(f->section[item & ~SECTION_BIT].name, s, n);
    return f->entry[item].section == section && same(f->entry[item].key, s, n);
}

/* The place of a name, or the free place for it. section SECTION_BIT: names of sections. */
static uint32_t *place(const struct profile_file *f, uint32_t section, const char *s, size_t n)
{
    size_t i = hash(section, s, n) & (f->table_size - 1);
    while (f->table[i] && !is_at(f, f->table[i] - 1, section, s, n))
        i = (i + 1) & (f->table_size - 1);
    return &f->table[i];
}

static void table_grow(struct profile_file *f)
{
    if (2 * (f->n_sections + f->n_entries + 2) <= f->table_size)
        return;
    free(f->table);
    f->table_size = f->table_size ? 2 * f->table_size : 64;
    f->table = calloc(f->table_size, sizeof *f->table);
    if (!f->table)
        abort();
    for (uint32_t i = 0; i < f->n_sections; i++)
        *place(f, SECTION_BIT, f->section[i].name.s, f->section[i].name.n) = (i | SECTION_BIT) + 1;
    for (uint32_t i = 0; i < f->n_entries; i++)
        *place(f, f->entry[i].section, f->entry[i].key.s, f->entry[i].key.n) = i + 1;
}

static unsigned section_add(struct profile_file *f, const char *s, size_t n)
{
    table_grow(f);
    if (f->n_sections == f->sections_room) {
        f->sections_room = f->sections_room ? 2 * f->sections_room : 8;
        f->section = grow(f->section, f->sections_room, sizeof *f->section);
    }
    uint32_t i = f->n_sections;
    uint32_t *to = place(f, SECTION_BIT, s, n);
    f->section[f->n_sections++] = (struct section){.name = {s, n}};
    *to = (i | SECTION_BIT) + 1;
    return i;
}

/* --- lines --- */

static int bad_line(struct reader *r, const char *what)
{
    return oc_fail(r->err, OCID_E_CONFIG, 0, "line %u: %s", r->line, what);
}

/* The value is complete: white space at its end goes, a NUL follows. */
static void value_end(struct reader *r)
{
    if (!r->at)
        return;
    struct profile_text *v = &r->at->value;
    v->n = lower_rstrip(v->s, (size_t)(r->end - v->s));
    r->f->text[v->s + v->n - r->f->text] = 0;
    r->at = NULL;
}

static void value_add(struct reader *r, const char *s, size_t n)
{
    *r->end++ = '\n';
    memmove(r->end, s, n);
    r->end += n;
}

/* "[name]": up to the last bracket of the line, at least one byte. */
static size_t section_name(const char *s, size_t n)
{
    if (*s != '[')
        return 0;
    const char *close = memrchr(s, ']', n);
    return close && close > s + 1 ? (size_t)(close - s - 1) : 0;
}

static int take_section(struct reader *r, char *s, size_t n)
{
    value_end(r);
    int is_default = n == 7 && !memcmp(s, "DEFAULT", 7);
    if (is_default) {
        r->section = 0;
        if (!r->f->section[0].line)
            r->f->section[0].line = r->line;
        return 0;
    }
    if (profile_find(r->f, s, n) >= 0)
        return bad_line(r, "a section of this name was there before");
    s[n] = 0; /* the bracket */
    r->section = (int)section_add(r->f, s, n);
    r->f->section[r->section].line = r->line;
    return 0;
}

static struct profile_entry *entry_add(struct profile_file *f)
{
    table_grow(f);
    if (f->n_entries == f->entries_room) {
        f->entries_room = f->entries_room ? 2 * f->entries_room : 32;
        f->entry = grow(f->entry, f->entries_room, sizeof *f->entry);
    }
    return &f->entry[f->n_entries];
}

static int take_entry(struct reader *r, char *s, size_t n)
{
    struct profile_file *f = r->f;
    value_end(r);
    if (r->section < 0)
        return bad_line(r, "neither a section ([NAME]) nor inside of one");
    size_t cut = 0;
    while (cut < n && s[cut] != '=' && s[cut] != ':')
        cut++;
    if (cut == n)
        return bad_line(r, "neither a section nor key=value");
    size_t key_n = lower_rstrip(s, cut);
    if (!key_n)
        return bad_line(r, "no key before the sign");
    struct profile_entry *e = entry_add(f);
    char *key = f->keys + f->keys_used;
    key_n = lower_case(s, key_n, key);
    key[key_n] = 0;
    uint32_t *to = place(f, (uint32_t)r->section, key, key_n);
    if (*to)
        return bad_line(r, "this key was set before in its section");
    const char *value = s + cut + 1;
    size_t value_n = n - cut - 1;
    lower_strip(&value, &value_n);
    *e = (struct profile_entry){{key, key_n}, {value, value_n}, (unsigned)r->section, r->line};
    f->keys_used += key_n + 1;
    *to = (uint32_t)f->n_entries++ + 1;
    r->at = e;
    r->end = f->text + (value - f->text) + value_n;
    return 0;
}

/* One line without its end. */
static int take_line(struct reader *r, char *line, size_t n)
{
    const char *s = line;
    size_t indent = lower_strip(&s, &n);
    if (n && (*s == '#' || *s == ';'))
        return 0;
    if (!n) {
        if (r->at)
            value_add(r, s, 0);
        return 0;
    }
    if (r->at && indent > r->indent) {
        value_add(r, s, n);
        return 0;
    }
    r->indent = indent;
    char *start = line + (s - line);
    size_t name_n = section_name(s, n);
    return name_n ? take_section(r, start + 1, name_n) : take_entry(r, start, n);
}

/* Lines end with \n, \r or \r\n, whatever the rest of the file does. */
static int read_lines(struct reader *r, char *text, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t end = at;
        while (end < n && text[end] != '\n' && text[end] != '\r')
            end++;
        size_t next = end + 1 + (end + 1 < n && text[end] == '\r' && text[end + 1] == '\n');
        r->line++;
        int rc = take_line(r, text + at, end - at);
        if (rc)
            return rc;
        at = next;
    }
    value_end(r);
    return 0;
}

static int check_text(const char *text, size_t n, struct oc_err *err)
{
    unsigned line = 1;
    for (size_t at = 0; at < n;) {
        size_t len = oc_utf8_len(text + at, n - at);
        if (!len)
            return oc_fail(err, OCID_E_CONFIG, 0, "line %u: not UTF-8", line);
        line += text[at] == '\n' || (text[at] == '\r' && (at + 1 == n || text[at + 1] != '\n'));
        at += len;
    }
    if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
        return oc_fail(err, OCID_E_CONFIG, 0,
                       "line 1: a byte order mark stands before the first section; remove it");
    return 0;
}

int profile_parse(const char *text, size_t n, struct profile_file **ret, struct oc_err *err)
{
    if (n > PROFILE_FILE_MAX)
        return oc_fail(err, OCID_E_CONFIG, 0, "larger than %d bytes", PROFILE_FILE_MAX);
    int rc = check_text(text, n, err);
    if (rc)
        return rc;
    struct profile_file *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    f->text = secret_new(n + 1);
    f->keys = secret_new(2 * n + 16);
    memcpy(f->text, text, n);
    section_add(f, "DEFAULT", 7);
    struct reader r = {.f = f, .err = err, .section = -1};
    rc = read_lines(&r, f->text, n);
    if (rc) {
        profile_free(f);
        return rc;
    }
    *ret = f;
    return 0;
}

void profile_free(struct profile_file *f)
{
    if (!f)
        return;
    secret_free(f->text);
    secret_free(f->keys);
    free(f->section);
    free(f->entry);
    free(f->table);
    free(f);
}

/* --- questions --- */

unsigned profile_n_sections(const struct profile_file *f)
{
    return f->n_sections;
}

struct profile_text profile_name(const struct profile_file *f, unsigned section)
{
    return f->section[section].name;
}

unsigned profile_line(const struct profile_file *f, unsigned section)
{
    return f->section[section].line;
}

int profile_find(const struct profile_file *f, const char *name, size_t n)
{
    uint32_t item = *place(f, SECTION_BIT, name, n);
    return item ? (int)((item - 1) & ~SECTION_BIT) : -1;
}

const struct profile_entry *profile_get(const struct profile_file *f, unsigned section,
                                        const char *key, size_t n)
{
    uint32_t item = *place(f, section, key, n);
    if (!item && section)
        item = *place(f, 0, key, n);
    return item ? &f->entry[item - 1] : NULL;
}

const struct profile_entry *profile_entry_at(const struct profile_file *f, size_t idx)
{
    return idx < f->n_entries ? &f->entry[idx] : NULL;
}
