/* SPDX-License-Identifier: Apache-2.0
 *
 * creds_read.c - one section of the configuration -> one credential, with all its problems told.
 *
 * Control thread. Called by creds.c for every section; start at creds_fill().
 * Source: oci/config.py of Oracle's Python SDK for what is missing or malformed.
 */
#include "signer/creds_read.h"

#include <ctype.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "proto/text.h"
#include "signer/secret.h"

/* A section while it is being read; problems are gathered in text. */
struct fill {
    const struct profile_file *f;
    const struct creds_options *o;
    const struct creds_set *set; /* NULL: ocid.conf says nothing */
    const char *path;
    unsigned section;
    struct cred *cred;
    int n_problems;
};

void creds_expand(const char *home, const char *path, char *out, size_t size)
{
    const char *rest = path + strcspn(path, "/");
    const char *base = NULL;
    char name[256], buf[1024];
    struct passwd pw, *found = NULL;
    if (path[0] == '~' && rest == path + 1) {
        base = home;
    } else if (path[0] == '~' && (size_t)(rest - path) <= sizeof name) {
        memcpy(name, path + 1, (size_t)(rest - path) - 1);
        name[rest - path - 1] = 0;
        if (!getpwnam_r(name, &pw, buf, sizeof buf, &found) && found)
            base = pw.pw_dir;
    }
    if (!base) {
        oc_text_join(out, size, path, "", "");
        return;
    }
    snprintf(buf, sizeof buf, "%s", base);
    for (size_t n = strlen(buf); n && buf[n - 1] == '/';)
        buf[--n] = 0;
    oc_text_join(out, size, buf, rest, "");
    if (!out[0])
        oc_text_join(out, size, "/", "", "");
}

void creds_note(struct cred *cred, const char *fmt, ...)
{
    size_t used = strlen(cred->notes);
    if (used)
        used += (size_t)snprintf(cred->notes + used, sizeof cred->notes - used, "; ");
    if (used >= sizeof cred->notes)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(cred->notes + used, sizeof cred->notes - used, fmt, ap);
    va_end(ap);
}

/* Adds "what how" to the one sentence that names all problems. */
static void __attribute__((format(printf, 2, 3))) problem(struct fill *x, const char *fmt, ...)
{
    struct cred *c = x->cred;
    size_t used = strlen(c->text), size = sizeof c->text;
    if (!x->n_problems++) {
        c->code = OCID_E_CONFIG;
        used = (size_t)snprintf(c->text, size, "profile '%.100s' in '%.150s': ", c->name, x->path);
    } else {
        used += (size_t)snprintf(c->text + used, size - used, ", ");
    }
    if (used >= size)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(c->text + used, size - used, fmt, ap);
    va_end(ap);
}

static const struct profile_entry *entry(const struct fill *x, const char *key)
{
    return profile_get(x->f, x->section, key, strlen(key));
}

/* Copies a value. 1 if it is there; one that does not fit, or with a NUL, is malformed. */
static int take(struct fill *x, const char *key, char *out, size_t size)
{
    const struct profile_entry *e = entry(x, key);
    out[0] = 0;
    if (!e)
        return 0;
    if (e->value.n < size && !memchr(e->value.s, 0, e->value.n)) {
        memcpy(out, e->value.s, e->value.n);
        out[e->value.n] = 0;
    } else {
        problem(x, "%s malformed (line %u)", key, e->line);
    }
    return 1;
}

/* ^([0-9a-zA-Z-_]+[.:])([0-9a-zA-Z-_]*[.:]){3,}([0-9a-zA-Z-_]+)$ */
int creds_is_ocid(const char *s)
{
    int separators = 0;
    char last = '.';
    for (; *s; last = *s++) {
        int sep = *s == '.' || *s == ':';
        if (!sep && !isalnum((unsigned char)*s) && *s != '-' && *s != '_')
            return 0;
        if (sep && !separators && (last == '.' || last == ':'))
            return 0; /* the first part is empty */
        separators += sep;
    }
    return separators >= 4 && last != '.' && last != ':';
}

static int is_fingerprint(const char *s)
{
    for (int i = 0; i < 47; i++)
        if (i % 3 == 2 ? s[i] != ':' : !isdigit((unsigned char)s[i]) && (s[i] < 'a' || s[i] > 'f'))
            return 0;
    return !s[47];
}

/* Needed ones only: what is not needed may be missing or odd. */
static void take_checked(struct fill *x, const char *key, char *out, size_t size, int needed,
                         int (*is_good)(const char *))
{
    int before = x->n_problems;
    int there = take(x, key, out, size);
    if (!needed || x->n_problems > before)
        return;
    if (!there)
        problem(x, "%s missing", key);
    else if (!is_good(out))
        problem(x, "%s malformed (line %u)", key, entry(x, key)->line);
}

static void take_path(struct fill *x, const char *key, char *out)
{
    char raw[PATH_MAX];
    if (take(x, key, raw, sizeof raw))
        creds_expand(x->o->home, raw, out, PATH_MAX);
}

static void check_rights(struct cred *c, const char *path)
{
    struct stat st;
    if (path[0] && !lstat(path, &st) && (st.st_mode & 0177) && !S_ISLNK(st.st_mode))
        creds_note(c, "permissions of '%s' are too open (chmod 600)", path);
}

/* A session stands in the section itself: DEFAULT often has a user, whom all others inherit. */
static int is_session(const struct fill *x)
{
    const struct profile_entry *token = entry(x, "security_token_file"), *user = entry(x, "user");
    return token && (!user || (token->section == x->section && user->section != x->section));
}

static const struct mode *find_mode(struct fill *x)
{
    char type[64];
    if (x->set && x->set->mode[0]) {
        const struct mode *m = mode_find(x->set->mode, strlen(x->set->mode));
        if (!m)
            problem(x, "auth = %s in ocid.conf unknown", x->set->mode);
        return m ? m : &mode_api_key;
    }
    if (take(x, "authentication_type", type, sizeof type)) {
        if (strcmp(type, mode_instance_principal.name))
            problem(x, "authentication_type unknown (line %u)",
                    entry(x, "authentication_type")->line);
        return &mode_instance_principal;
    }
    return is_session(x) ? &mode_session : &mode_api_key;
}

static void take_region(struct fill *x)
{
    char region[RULES_REGION_SIZE];
    int before = x->n_problems, there = take(x, "region", region, sizeof region);
    const char *instead = x->set && x->set->region[0] ? x->set->region : NULL;
    if (!there && !instead)
        instead = x->o->region;
    if (instead)
        snprintf(region, sizeof region, "%s", instead);
    there |= !!instead;
    x->cred->region_set = x->set && x->set->region[0];
    rules_region(&x->cred->hosts, there ? region : "");
    x->cred->hosts.extra = x->o->hosts;
    x->cred->hosts.n_extra = x->o->n_hosts;
    if (!x->cred->hosts.region[0] && x->n_problems == before &&
        (x->cred->mode->needs & MODE_REGION))
        problem(x, "region missing");
}

static void take_key_file(struct fill *x)
{
    struct cred *c = x->cred;
    struct stat st;
    if (!(c->mode->needs & MODE_KEY))
        return;
    take_path(x, "key_file", c->key_file);
    if (entry(x, "key_content"))
        problem(x, "key_content is not allowed in a file (line %u)", entry(x, "key_content")->line);
    if (!entry(x, "key_file"))
        problem(x, "key_file missing");
    else if (c->key_file[0] && !stat(c->key_file, &st) && !S_ISREG(st.st_mode))
        problem(x, "key_file '%s' (line %u) is not a file", c->key_file,
                entry(x, "key_file")->line);
    check_rights(c, c->key_file);
}

static void check_switches(struct fill *x)
{
    static const char *const words[] = {"1", "yes", "true", "on", "0", "no", "false", "off"};
    char value[16];
    int before = x->n_problems;
    if (!take(x, "log_requests", value, sizeof value) || x->n_problems > before)
        return;
    for (int i = 0; i < 8; i++)
        if (!strcasecmp(value, words[i]))
            return;
    problem(x, "log_requests malformed (line %u)", entry(x, "log_requests")->line);
}

static void take_pass(struct fill *x, struct profile_text *pass)
{
    const struct profile_entry *e = entry(x, "pass_phrase");
    if (!e)
        e = entry(x, "passphrase");
    *pass = e ? e->value : (struct profile_text){"", 0};
    if (e && e->value.n)
        creds_note(x->cred, "the pass phrase of the key stands in '%s' (line %u)", x->path,
                   e->line);
}

static void take_name(struct fill *x)
{
    struct profile_text name = profile_name(x->f, x->section);
    if (x->set)
        name = (struct profile_text){x->set->name, strlen(x->set->name)};
    size_t n = name.n < sizeof x->cred->name ? name.n : sizeof x->cred->name - 1;
    memcpy(x->cred->name, name.s, n);
}

void creds_fill(const struct profile_file *f, unsigned section, const char *path,
                const struct creds_options *o, const struct creds_set *set, struct cred *ret,
                struct profile_text *pass)
{
    struct fill x = {.f = f, .o = o, .set = set, .path = path, .section = section, .cred = ret};
    memset(ret, 0, sizeof *ret);
    take_name(&x);
    ret->mode = find_mode(&x);
    ret->files_only = set && set->files_only;
    int user = !!(ret->mode->needs & MODE_USER);
    take_checked(&x, "user", ret->user, sizeof ret->user, user, creds_is_ocid);
    take_checked(&x, "tenancy", ret->tenancy, sizeof ret->tenancy, user, creds_is_ocid);
    take_checked(&x, "fingerprint", ret->fingerprint, sizeof ret->fingerprint, user,
                 is_fingerprint);
    take_key_file(&x);
    take_region(&x);
    check_switches(&x);
    if (ret->mode->token_key)
        take_path(&x, ret->mode->token_key, ret->token_file);
    check_rights(ret, path);
    check_rights(ret, ret->token_file);
    take_pass(&x, pass);
    if (user && !ret->code)
        snprintf(ret->key_id, sizeof ret->key_id, "%s/%s/%s", ret->tenancy, ret->user,
                 ret->fingerprint);
}

/* --- keys --- */

int creds_no_key(struct cred *c, enum wire_key state, int code, const char *text)
{
    key_unref(c->key);
    c->key = NULL;
    c->state = state;
    c->key_code = code;
    oc_text_join(c->key_text, sizeof c->key_text, text, "", "");
    return code;
}

static int refuse_key(struct cred *c, const struct oc_err *err)
{
    struct oc_err said = *err;
    if (err->code == OCID_E_FILE)
        return creds_no_key(c, WIRE_KEY_ABSENT, OCID_E_KEY, err->text);
    if (err->code == OCID_E_LOCKED || err->code == OCID_E_KEY)
        oc_wrap(&said, "key '%s' of profile '%s'", c->key_file, c->name);
    return creds_no_key(c, err->code == OCID_E_LOCKED ? WIRE_KEY_LOCKED : WIRE_KEY_BAD,
                        err->code == OCID_E_LOCKED ? OCID_E_LOCKED : OCID_E_KEY, said.text);
}

static int check_fingerprint(struct cred *c, struct key *key)
{
    char text[CREDS_TEXT_SIZE];
    const char *has = key_fingerprint(key);
    if (!(c->mode->needs & MODE_USER) || !has[0] || !strcmp(has, c->fingerprint))
        return 0;
    snprintf(text, sizeof text,
             "profile '%.80s': the fingerprint is %s, but the key '%.100s' has %s", c->name,
             c->fingerprint, c->key_file, has);
    return creds_no_key(c, WIRE_KEY_BAD, OCID_E_AUTH, text);
}

void creds_take_key(struct cred *c, struct key *key)
{
    creds_no_key(c, WIRE_KEY_OK, 0, "");
    c->key = key;
    if (key_bits(key) < KEY_BITS_GOOD && !strstr(c->notes, " bits"))
        creds_note(c, "the key has only %u bits", key_bits(key));
}

void creds_take_token(struct cred *c, struct token *token)
{
    token_fini(&c->token);
    c->token = *token;
    c->renew_at = token_renew_at(token);
    if (token->tenancy[0])
        snprintf(c->tenancy, sizeof c->tenancy, "%s", token->tenancy);
    snprintf(c->user, sizeof c->user, "%s", token->user);
}

void creds_region(struct cred *c, const char *region)
{
    if (!c->region_set)
        rules_region(&c->hosts, region);
}

int creds_load_key(struct cred *c, const char *pass, size_t pass_n)
{
    struct oc_err err;
    struct key *key;
    char *pem;
    size_t n;
    if (!c->key_file[0])
        return creds_no_key(c, WIRE_KEY_ABSENT, OCID_E_KEY, "the profile names no key file");
    int rc = secret_read(c->key_file, KEY_FILE_MAX, &pem, &n, &err);
    if (rc)
        return refuse_key(c, &err);
    rc = key_load(pem, n, pass, pass_n, &key, &err);
    secret_free(pem);
    if (rc)
        return refuse_key(c, &err);
    rc = check_fingerprint(c, key);
    if (rc) {
        key_unref(key);
        return rc;
    }
    creds_take_key(c, key);
    return 0;
}
