/* SPDX-License-Identifier: Apache-2.0
 *
 * config.c - checks ocid.conf against config.def, all or nothing, and prints the example.
 *
 * Blocks in config_load() only; start or pool thread. Knows no other room's meaning of a setting.
 * inih splits the lines; what it would do silently is refused or kept away from it here: long
 * lines are cut (the rest becomes a line), continued lines pass for repeated keys, repeated keys
 * win, bytes after a NUL are lost.
 * Source: inih 55.
 */
#include "core/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/paths.h"
#include "proto/text.h"

enum { FILE_MAX = 256 * 1024, LINE_MAX_INIH = 198 };

enum kind { KIND_WORD, KIND_U32, KIND_U64, KIND_TEXT, KIND_PATH, KIND_URL };

#define KIND_OF_BOOL     KIND_WORD
#define KIND_OF_U32      KIND_U32
#define KIND_OF_U64      KIND_U64
#define KIND_OF_STR      KIND_TEXT
#define KIND_OF_PATH     KIND_PATH
#define KIND_OF_URL      KIND_URL
#define KIND_OF_PROXY    KIND_URL
#define KIND_OF_LEVEL    KIND_WORD
#define KIND_OF_CHECKSUM KIND_WORD
#define KIND_OF_AUTH     KIND_WORD

static const char words_of_auth[] = "auto"
#define MODE(NAME, name) "|" #name
#include "proto/modes.def"
#undef MODE
    ;

/* The words of a KIND_WORD in the order of its enum, the schemes of a KIND_URL. */
#define WORDS_OF_BOOL     "no|yes"
#define WORDS_OF_U32      NULL
#define WORDS_OF_U64      NULL
#define WORDS_OF_STR      NULL
#define WORDS_OF_PATH     NULL
#define WORDS_OF_URL      "https|http"
#define WORDS_OF_PROXY    "http|https|socks5|socks5h"
#define WORDS_OF_LEVEL    "error|warn|info|debug"
#define WORDS_OF_CHECKSUM "auto|crc32c|md5|off"
#define WORDS_OF_AUTH     words_of_auth

struct setting {
    const char *section, *key;
    enum kind kind;
    const char *words, *def;
    uint64_t min, max;
    size_t at; /* in struct config, or struct config_profile */
    const char *doc;
};

static const struct setting settings[] = {
#define SETTING(section, key, type, def, min, max, doc)                                            \
    {#section,                                                                                     \
     #key,                                                                                         \
     KIND_OF_##type,                                                                               \
     WORDS_OF_##type,                                                                              \
     def,                                                                                          \
     min,                                                                                          \
     max,                                                                                          \
     offsetof(struct config, section##_##key),                                                     \
     doc},
#include "core/config.def"
};

static const struct setting of_profile[] = {
#define OF_PROFILE(key, type, def, min, max, doc)                                                  \
    {"profile",                                                                                    \
     #key,                                                                                         \
     KIND_OF_##type,                                                                               \
     WORDS_OF_##type,                                                                              \
     def,                                                                                          \
     min,                                                                                          \
     max,                                                                                          \
     offsetof(struct config_profile, key),                                                         \
     doc},
#include "core/config.def"
};

enum {
    N_SETTINGS = sizeof settings / sizeof *settings,
    N_OF_PROFILE = sizeof of_profile / sizeof *of_profile,
};

static int is_text(const struct setting *s)
{
    return s->kind == KIND_TEXT || s->kind == KIND_PATH || s->kind == KIND_URL;
}

/* ---- one value ---- */

/* Index of word in "a|b|c", -1 if it is none of them. */
static int word_index(const char *words, const char *word, size_t n)
{
    for (int i = 0;; i++) {
        size_t len = strcspn(words, "|");
        if (len == n && !memcmp(words, word, n))
            return i;
        if (!words[len])
            return -1;
        words += len + 1;
    }
}

/* "a, b or c" out of "a|b|c" */
static void words_print(const char *words, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (;;) {
        size_t len = strcspn(words, "|");
        const char *before = used == 0 ? "" : words[len] ? ", " : " or ";
        int n = snprintf(out + used, size - used, "%s%.*s", before, (int)len, words);
        used += (size_t)n < size - used ? (size_t)n : 0;
        if (!words[len])
            return;
        words += len + 1;
    }
}

static int set_number(const struct setting *s, const char *value, void *field, struct oc_err *err)
{
    char *end;
    errno = 0;
    uint64_t number = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end)
        return oc_fail(err, OCID_E_CONFIG, 0,
                       "'%s' is not a number; write digits only, the unit is in the name", value);
    if (errno || number < s->min || number > s->max)
        return oc_fail(err, OCID_E_CONFIG, 0,
                       "%s is out of range; choose from %" PRIu64 " to %" PRIu64, value, s->min,
                       s->max);
    if (s->kind == KIND_U32)
        *(uint32_t *)field = (uint32_t)number;
    else
        *(uint64_t *)field = number;
    return 0;
}

static int set_word(const struct setting *s, const char *value, void *field, struct oc_err *err)
{
    int i = word_index(s->words, value, strlen(value));
    if (i < 0) {
        char words[128];
        words_print(s->words, words, sizeof words);
        return oc_fail(err, OCID_E_CONFIG, 0, "'%s' is not a choice; write %s", value, words);
    }
    memcpy(field, &i, sizeof i);
    return 0;
}

static int path_check(const char *value, struct oc_err *err)
{
    if (!value[0] || value[0] == '/' || !strncmp(value, "~/", 2))
        return 0;
    return oc_fail(err, OCID_E_CONFIG, 0, "'%s' is not a path; begin it with / or ~/", value);
}

/* What oci/endpoint.c takes for this machine. */
static int is_loopback(const char *host, size_t n)
{
    char text[64];
    struct in_addr v4;
    snprintf(text, sizeof text, "%.*s", (int)(n < sizeof text ? n : 0), host);
    if (inet_pton(AF_INET, text, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return !strcmp(text, "localhost") || !strcmp(text, "[::1]");
}

/* scheme://host[:port][/]; *n is the length without that slash. */
static int url_check(const struct setting *s, const char *value, size_t *n, struct oc_err *err)
{
    char words[128];
    const char *host = strstr(value, "://");
    words_print(s->words, words, sizeof words);
    if (!host || word_index(s->words, value, (size_t)(host - value)) < 0)
        return oc_fail(err, OCID_E_CONFIG, 0, "'%s' has no known scheme; begin it with %s://",
                       value, words);
    host += 3;
    if (strchr(host, '@')) /* may hold a password: not repeated in the sentence */
        return oc_fail(err, OCID_E_CONFIG, 0, "it names a user; write the host and port alone");

    const char *in_host = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    size_t len = host[0] == '[' ? strcspn(host, "]") : strspn(host, in_host);
    int bad = !len;
    if (host[0] == '[') {
        bad =
            len < 3 || host[len] != ']' || strspn(host + 1, "0123456789abcdefABCDEF:.") != len - 1;
        len += !bad;
    }
    const char *end = host + len;
    if (!bad && *end == ':') {
        size_t digits = strspn(end + 1, "0123456789");
        unsigned long port = digits && digits < 6 ? strtoul(end + 1, NULL, 10) : 0;
        bad = port < 1 || port > 65535;
        end += 1 + digits;
    }
    *n = (size_t)(end - value);
    end += *end == '/';
    if (bad || *end)
        return oc_fail(err, OCID_E_CONFIG, 0,
                       "'%s' is not SCHEME://HOST[:PORT]; nothing may follow", value);
    if (!strncmp(value, "http://", 7) && !strstr(s->words, "socks") && !is_loopback(host, len))
        return oc_fail(
            err, OCID_E_CONFIG, 0,
            "plain http is allowed to 127.0.0.1, [::1] and localhost only; write https://");
    return 0;
}

static int set_text(const struct setting *s, const char *value, void *field, struct oc_err *err)
{
    size_t n = strlen(value);
    if (n < s->min)
        return oc_fail(err, OCID_E_CONFIG, 0, "it must not be empty; take the line away for '%s'",
                       s->def);
    if (n > s->max)
        return oc_fail(err, OCID_E_CONFIG, 0, "it is longer than %" PRIu64 " bytes; shorten it",
                       s->max);
    int rc = 0;
    if (s->kind == KIND_PATH)
        rc = path_check(value, err);
    if (s->kind == KIND_URL && n)
        rc = url_check(s, value, &n, err);
    if (rc)
        return rc;

    char *text = NULL;
    if (s->kind == KIND_PATH && value[0] == '~') {
        rc = paths_expand(value, &text, err);
        if (rc)
            return rc;
    } else {
        text = oc_strndup(value, n);
    }
    free(*(char **)field);
    *(char **)field = text;
    return 0;
}

/* base: a struct config, or of a profile. */
static int set_value(void *base, const struct setting *s, const char *value, struct oc_err *err)
{
    void *field = (char *)base + s->at;
    if (is_text(s))
        return set_text(s, value, field, err);
    return s->kind == KIND_WORD ? set_word(s, value, field, err) : set_number(s, value, field, err);
}

/* ---- names, and what was probably meant ---- */

/* Edits that make b out of a; names are short. */
static unsigned distance(const char *a, const char *b)
{
    enum { MAX = 64 };
    unsigned row[MAX + 1], n = (unsigned)strnlen(b, MAX);
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1] && i <= MAX; i++) {
        unsigned corner = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= n; j++) {
            unsigned above = row[j], change = corner + (a[i - 1] != b[j - 1]);
            unsigned least = above < row[j - 1] ? above : row[j - 1];
            row[j] = change < least + 1 ? change : least + 1;
            corner = above;
        }
    }
    return row[n];
}

static const struct setting *setting_find(const char *section, const char *key)
{
    for (size_t i = 0; i < N_SETTINGS; i++)
        if (!strcmp(settings[i].section, section) && !strcmp(settings[i].key, key))
            return &settings[i];
    return NULL;
}

/* The setting that looks most like key; one in the same section is nearer by half an edit. */
static const struct setting *setting_near(const char *section, const char *key)
{
    const struct setting *best = NULL;
    unsigned least = (unsigned)strlen(key) / 3 * 2 + 2; /* in half edits */
    for (size_t i = 0; i < N_SETTINGS; i++) {
        unsigned d = 2 * distance(key, settings[i].key) + !!strcmp(section, settings[i].section);
        if (d <= least && (!best || d < least)) {
            best = &settings[i];
            least = d;
        }
    }
    return best;
}

static int section_known(const char *section)
{
    for (size_t i = 0; i < N_SETTINGS; i++)
        if (!strcmp(settings[i].section, section))
            return 1;
    return 0;
}

static const char *section_near(const char *section)
{
    const char *best = NULL;
    unsigned least = (unsigned)strlen(section) / 3 + 1;
    for (size_t i = 0; i < N_SETTINGS; i++) {
        unsigned d = distance(section, settings[i].section);
        if (d <= least && (!best || d < least)) {
            best = settings[i].section;
            least = d;
        }
    }
    return best;
}

/* ---- the file ---- */

struct reading {
    const char *name, *text;
    size_t n, at;
    int line; /* that inih was given last, from 1 */
    int rc;   /* of the first error; nothing is read after it */
    struct config *config;
    unsigned char seen[N_SETTINGS];
    unsigned char seen_of[CONFIG_PROFILES_MAX][N_OF_PROFILE];
    struct oc_err *err;
};

/* Notes an error of the present line; 0, as inih wants it. */
__attribute__((format(printf, 2, 3))) static int refuse(struct reading *r, const char *fmt, ...)
{
    char text[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    r->rc = oc_fail(r->err, OCID_E_CONFIG, 0, "'%s' line %d: %s", r->name, r->line, text);
    return 0;
}

static int refuse_name(struct reading *r, const char *section, const char *key)
{
    if (!section[0])
        return refuse(r, "'%s' stands before the first section; put [%s] above it", key,
                      setting_near("", key) ? setting_near("", key)->section : "daemon");
    if (!section_known(section)) {
        const char *near = section_near(section);
        return refuse(r, "[%s] is not a section; %s%s%s", section,
                      near ? "did you mean ["
                           : "they are [daemon] [credentials] [network] "
                             "[transfer] [limits] [profile NAME",
                      near ? near : "", near ? "]?" : "]");
    }
    const struct setting *near = setting_near(section, key);
    if (!near)
        return refuse(r, "[%s] has no setting '%s'; take the line away", section, key);
    if (!strcmp(near->section, section))
        return refuse(r, "[%s] has no setting '%s'; did you mean '%s'?", section, key, near->key);
    return refuse(r, "[%s] has no setting '%s'; did you mean '%s' in [%s]?", section, key,
                  near->key, near->section);
}

/* ---- [profile NAME] ---- */

static const char profile_prefix[] = "profile ";

/* What stands behind "profile ", NULL: another kind of section. */
static const char *profile_of(const char *section)
{
    size_t n = sizeof profile_prefix - 1;
    return strncmp(section, profile_prefix, n) ? NULL : section + n;
}

/* All defaults; NULL and *err if there are too many of them. */
static struct config_profile *profile_make(struct config *c, const char *name, struct oc_err *err)
{
    for (unsigned i = 0; i < c->n_profiles; i++)
        if (!strcmp(c->profile[i].name, name))
            return &c->profile[i];
    if (c->n_profiles == CONFIG_PROFILES_MAX) {
        oc_fail(err, OCID_E_CONFIG, 0, "there are more than %d profiles", CONFIG_PROFILES_MAX);
        return NULL;
    }
    struct config_profile *p = &c->profile[c->n_profiles++];
    p->name = oc_strdup(name);
    for (int i = 0; i < N_OF_PROFILE; i++)
        set_value(p, &of_profile[i], of_profile[i].def, err);
    return p;
}

static int on_profile_entry(struct reading *r, const char *name, const char *key, const char *value)
{
    struct oc_err why;
    struct config_profile *p = profile_make(r->config, name, &why);
    if (!p)
        return refuse(r, "%s", why.text);
    for (int i = 0; i < N_OF_PROFILE; i++) {
        if (strcmp(of_profile[i].key, key))
            continue;
        if (r->seen_of[p - r->config->profile][i]++)
            return refuse(r, "'%s' is set twice; keep one of the lines", key);
        if (set_value(p, &of_profile[i], value, &why))
            return refuse(r, "%s: %s", key, why.text);
        return 1;
    }
    return refuse(r, "[profile %s] has no setting '%s'; it may have auth, refresh and region", name,
                  key);
}

const char *config_auth_word(enum config_auth auth)
{
    static const char *const words[] = {
        [CONFIG_AUTH_AUTO] = "auto",
#define MODE(NAME, name) [CONFIG_AUTH_##NAME] = #name,
#include "proto/modes.def"
#undef MODE
    };
    return words[auth];
}

/* ---- entries ---- */

static int on_entry(void *user, const char *section, const char *key, const char *value)
{
    struct reading *r = user;
    if (r->rc)
        return 0;
    if (profile_of(section))
        return on_profile_entry(r, profile_of(section), key, value);
    const struct setting *s = setting_find(section, key);
    if (!s)
        return refuse_name(r, section, key);
    if (r->seen[s - settings]++)
        return refuse(r, "'%s' is set twice; keep one of the lines", key);
    struct oc_err why;
    if (set_value(r->config, s, value, &why))
        return refuse(r, "%s: %s", key, why.text);
    return 1;
}

/* A section without entries never reaches on_entry(). */
static void check_header(struct reading *r, const char *line, size_t n)
{
    char section[LINE_MAX_INIH + 1];
    const char *end = memchr(line, ']', n);
    if (!end || r->rc)
        return;
    size_t len = (size_t)(end - line - 1);
    memcpy(section, line + 1, len);
    section[len] = 0;
    const char *profile = profile_of(section);
    if (profile && (!*profile || len > CONFIG_PROFILE_NAME_MAX + sizeof profile_prefix - 1 ||
                    strcspn(profile, " \t") != strlen(profile)))
        refuse(r, "[profile NAME] wants a name of at most %d bytes without blanks",
               CONFIG_PROFILE_NAME_MAX);
    else if (!profile && !section_known(section))
        refuse_name(r, section[0] ? section : " ", "");
}

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* Gives inih one line as fgets() would: without leading blanks, which continue a value, and without
 * comments, which may be longer than its buffer. */
static char *next_line(char *out, int size, void *stream)
{
    struct reading *r = stream;
    if (r->rc || r->at == r->n)
        return NULL;
    const char *line = r->text + r->at, *end = memchr(line, '\n', r->n - r->at);
    size_t n = end ? (size_t)(end - line) : r->n - r->at;
    r->at += n + (end != NULL);
    r->line++;
    while (n && is_space(*line))
        line++, n--;
    while (n && is_space(line[n - 1]))
        n--;
    if (!n || *line == '#' || *line == ';')
        n = 0;
    if (memchr(line, 0, n) || !oc_utf8_valid(line, n)) {
        refuse(r, "it is not text in UTF-8; write it anew");
        return NULL;
    }
    if (n > LINE_MAX_INIH || n + 2 > (size_t)size) {
        refuse(r, "it is longer than %d bytes; shorten it", LINE_MAX_INIH);
        return NULL;
    }
    if (n && *line == '[')
        check_header(r, line, n);
    if (r->rc)
        return NULL;
    memcpy(out, line, n);
    out[n] = '\n';
    out[n + 1] = 0;
    return out;
}

static struct config *config_new(struct oc_err *err)
{
    struct config *c = OC_NEW(struct config);
    c->n_refs = 1;
    for (size_t i = 0; i < N_SETTINGS; i++) {
        const struct setting *s = &settings[i];
        if (set_value(c, s, s->def, err)) {
            oc_wrap(err, "[%s] %s, by default '%s'", s->section, s->key, s->def);
            config_unref(c);
            return NULL;
        }
    }
    return c;
}

int config_parse(const char *name, const char *text, size_t n, struct config **ret,
                 struct oc_err *err)
{
    oc_auto(config) c = config_new(err);
    if (!c)
        return OCID_E_CONFIG;
    struct reading r = {.name = name, .text = text, .n = n, .config = c, .err = err};
    if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
        r.at = 3;
    int line = ini_parse_stream(next_line, &r, on_entry, &r);
    if (!r.rc && line) {
        r.line = line > 0 ? line : r.line;
        refuse(&r, "not a setting; write 'key = value', [section] or # for a comment");
    }
    if (r.rc)
        return r.rc;
    *ret = oc_take(c);
    return 0;
}

/* The whole file; NULL and rc for one that is too large, not a file, or open to everybody. */
static char *slurp(const char *path, int fd, size_t *n, int *rc, struct oc_err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        *rc = oc_fail(err, OCID_E_CONFIG, 0, "'%s' is not a file", path);
        return NULL;
    }
    if (st.st_mode & S_IWOTH) {
        *rc =
            oc_fail(err, OCID_E_CONFIG, 0, "'%s' can be written by everybody; chmod o-w it", path);
        return NULL;
    }
    oc_auto_mem char *text = oc_new(FILE_MAX + 1, 1);
    *n = 0;
    for (;;) {
        ssize_t got = read(fd, text + *n, FILE_MAX + 1 - *n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            *rc = oc_fail(err, OCID_E_IO, errno, "cannot read '%s'", path);
            return NULL;
        }
        *n += (size_t)got;
        if (*n > FILE_MAX) {
            *rc =
                oc_fail(err, OCID_E_CONFIG, 0, "'%s' is larger than %d KiB; is it the right file?",
                        path, FILE_MAX / 1024);
            return NULL;
        }
        if (!got)
            return oc_take(text);
    }
}

int config_load(const char *path, int system, struct config **ret, struct oc_err *err)
{
    oc_auto_mem char *found = NULL;
    int rc = path ? 0 : paths_config(system, &found, err);
    if (rc)
        return rc;
    const char *name = path ? path : found;
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && !path && (errno == ENOENT || errno == ENOTDIR))
        return config_parse(name, "", 0, ret, err);
    if (fd < 0)
        return oc_fail(err, OCID_E_CONFIG, errno, "cannot read '%s'", name);

    size_t n = 0;
    oc_auto_mem char *text = slurp(name, fd, &n, &rc, err);
    close(fd);
    if (!text)
        return rc;
    oc_auto(config) c = NULL;
    rc = config_parse(name, text, n, &c, err);
    if (rc)
        return rc;
    c->path = oc_strdup(name);
    *ret = oc_take(c);
    return 0;
}

struct config *config_ref(struct config *c)
{
    __atomic_add_fetch(&c->n_refs, 1, __ATOMIC_RELAXED);
    return c;
}

void config_unref(struct config *c)
{
    if (!c || __atomic_sub_fetch(&c->n_refs, 1, __ATOMIC_ACQ_REL))
        return;
    for (size_t i = 0; i < N_SETTINGS; i++)
        if (is_text(&settings[i]))
            free(*(char **)((char *)c + settings[i].at));
    for (unsigned p = 0; p < c->n_profiles; p++) {
        free(c->profile[p].name);
        for (int i = 0; i < N_OF_PROFILE; i++)
            if (is_text(&of_profile[i]))
                free(*(char **)((char *)&c->profile[p] + of_profile[i].at));
    }
    free(c->path);
    free(c);
}

/* ---- the example ---- */

enum { COLUMNS = 96 };

/* text as comment lines, broken at blanks. */
static void print_wrapped(FILE *out, const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t n = strcspn(text, " ");
        if (column && column + 1 + n > COLUMNS) {
            fputc('\n', out);
            column = 0;
        }
        column += (size_t)fprintf(out, "%s%.*s", column ? " " : "# ", (int)n, text);
        text += n + (text[n] == ' ');
    }
    fputc('\n', out);
}

static void print_setting(FILE *out, const struct setting *s)
{
    char sentence[512], words[128];
    snprintf(sentence, sizeof sentence, "%s", s->doc);
    size_t used = strlen(sentence);
    if (s->kind == KIND_WORD) {
        words_print(s->words, words, sizeof words);
        snprintf(sentence + used, sizeof sentence - used, " One of %s.", words);
    } else if (!is_text(s)) {
        snprintf(sentence + used, sizeof sentence - used, " From %" PRIu64 " to %" PRIu64 ".",
                 s->min, s->max);
    }
    fputc('\n', out);
    print_wrapped(out, sentence);
    fprintf(out, "#%s =%s%s\n", s->key, s->def[0] ? " " : "", s->def);
}

int config_print_example(FILE *out)
{
    fputs("# SPDX-License-Identifier: Apache-2.0\n"
          "#\n"
          "# ocid.conf - settings of the transfer daemon, each shown with its default.\n"
          "#\n"
          "# Take the # away to change one. `ocictl reload` makes changes work, or names the line "
          "at\n"
          "# fault and keeps the old settings. A comment may also follow a value, after \" ;\".\n",
          out);
    const char *section = "";
    for (size_t i = 0; i < N_SETTINGS; i++) {
        if (strcmp(section, settings[i].section))
            fprintf(out, "\n[%s]\n", settings[i].section);
        section = settings[i].section;
        print_setting(out, &settings[i]);
    }
    fputs("\n# One of these a profile: what is said here comes before what ~/.oci/config says.\n"
          "#[profile NAME]\n",
          out);
    for (int i = 0; i < N_OF_PROFILE; i++)
        print_setting(out, &of_profile[i]);
    return fflush(out) || ferror(out) ? -1 : 0;
}

static void print_word(FILE *out, const struct setting *s, int value)
{
    const char *word = s->words;
    for (; value > 0; value--)
        word += strcspn(word, "|") + 1;
    fprintf(out, "%.*s", (int)strcspn(word, "|"), word);
}

/* base: a struct config, or of a profile. */
static void print_value(FILE *out, const struct setting *s, const void *base)
{
    const void *field = (const char *)base + s->at;
    if (is_text(s))
        fputs(*(char *const *)field, out);
    else if (s->kind == KIND_U64)
        fprintf(out, "%" PRIu64, *(const uint64_t *)field);
    else if (s->kind == KIND_U32)
        fprintf(out, "%" PRIu32, *(const uint32_t *)field);
    else
        print_word(out, s, *(const int *)field);
    fputc('\n', out);
}

int config_print(FILE *out, const struct config *c)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        fprintf(out, "%s.%s\t", settings[i].section, settings[i].key);
        print_value(out, &settings[i], c);
    }
    for (unsigned p = 0; p < c->n_profiles; p++)
        for (size_t i = 0; i < N_OF_PROFILE; i++) {
            fprintf(out, "profile.%s.%s\t", c->profile[p].name, of_profile[i].key);
            print_value(out, &of_profile[i], &c->profile[p]);
        }
    return fflush(out) || ferror(out) ? -1 : 0;
}
