/* SPDX-License-Identifier: Apache-2.0
 *
 * check.c - what is wrong with a configuration, one profile of it and its key, and what mends it.
 *
 * Called by tool.c for `ocictl doctor`; start at check_profile(). What a profile lacks is the word
 * of creds_read.c, which the daemon goes by; here stands what people do wrong beyond that.
 */
#include "signer/check.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/text.h"
#include "signer/creds_read.h"
#include "signer/secret.h"

/* A link to the file stays one. */
#define SED "sed -i --follow-symlinks "

enum { TEXT = 1024, MEASURE_NS = 50 * 1000 * 1000, VALUE = 256 };

struct check {
    const struct setup_options *o;
    check_told *told;
    void *arg;
    char path[PATH_MAX];    /* of the configuration */
    char quoted[TEXT];      /* for a shell */
    char mend[TEXT];        /* of what is told next */
    char name[TEXT];        /* the profile's, for a shell */
    char setup[TEXT];       /* the command that writes the profile anew */
    struct creds_set set;   /* what ocid.conf says of the profile */
    struct profile_file *f; /* NULL until it is read */
    unsigned section;
    int failed;
    struct cred cred;
    struct profile_text pass;
};

/* --- telling --- */

static void __attribute__((format(printf, 2, 3))) mend(struct check *x, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(x->mend, sizeof x->mend, fmt, ap);
    va_end(ap);
}

/* With the mend that was set for it. */
static void __attribute__((format(printf, 4, 5)))
tell(struct check *x, enum check_level level, const char *name, const char *fmt, ...)
{
    char text[TEXT];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    x->failed |= level == CHECK_FAIL;
    x->told(x->arg, level, name, text, level == CHECK_OK ? "" : x->mend);
    x->mend[0] = 0;
}

/* It means itself to a shell and to sed. */
static int is_plain(const char *word)
{
    for (const char *s = word; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr("/._-+:@%,=~", *s))
            return 0;
    return *word != 0;
}

/* A word of a shell's command. */
static char *quote(const char *word, char *out, size_t size)
{
    size_t n = 0;
    if (is_plain(word)) {
        oc_text_join(out, size, word, "", "");
        return out;
    }
    out[n++] = '\'';
    for (const char *s = word; *s && n + 6 < size; s++)
        if (*s == '\'')
            n += (size_t)snprintf(out + n, size - n, "'\\''");
        else
            out[n++] = *s;
    out[n++] = '\'';
    out[n] = 0;
    return out;
}

/* Another value for the key of this line; by hand where a shell might take it for something else.
 */
static void mend_value(struct check *x, unsigned line, const char *value)
{
    if (is_plain(value))
        mend(x, SED "'%us|[=:].*|=%s|' %s", line, value, x->quoted);
    else
        mend(x, "${EDITOR:-vi} +%u %s", line, x->quoted);
}

/* --- rights --- */

static void check_mode(struct check *x, const char *name, const char *path, unsigned allowed)
{
    struct stat st;
    char word[TEXT];
    if (!path[0] || stat(path, &st) || !(st.st_mode & 0777 & ~allowed))
        return;
    mend(x, "chmod %o %s", allowed, quote(path, word, sizeof word));
    tell(x, CHECK_WARN, name, "others may %s '%s' (mode %04o)",
         st.st_mode & 022 & ~allowed ? "change" : "read", path, (unsigned)(st.st_mode & 07777));
}

/* Whoever may write there can put another file in its place. */
static void check_dir(struct check *x)
{
    char dir[PATH_MAX];
    oc_text_join(dir, sizeof dir, x->path, "", "");
    char *slash = strrchr(dir, '/');
    if (!slash || slash == dir)
        return;
    *slash = 0;
    check_mode(x, "rights", dir, 0755);
}

/* --- the file --- */

/* 0, or it was told why not. */
static int refuse_file(struct check *x, int rc, const struct oc_err *err)
{
    struct stat st;
    unsigned line = 0;
    if (rc == OCID_E_FILE) {
        mend(x, "ocictl setup");
        tell(x, CHECK_FAIL, "config", "could not find config file '%s'", x->path);
    } else if (!stat(x->path, &st) && S_ISREG(st.st_mode) && access(x->path, R_OK)) {
        mend(x, "chmod u+r %s", x->quoted);
        tell(x, CHECK_FAIL, "config", "%s", err->text);
    } else if (sscanf(err->text, "line %u", &line) == 1) {
        mend(x, "${EDITOR:-vi} +%u %s", line, x->quoted);
        tell(x, CHECK_FAIL, "config", "'%s' %s", x->path, err->text);
    } else {
        mend(x, "ls -ld %s", x->quoted);
        tell(x, CHECK_FAIL, "config", "'%s': %s", x->path, err->text);
    }
    return -1;
}

static int check_file(struct check *x)
{
    char *text;
    size_t n;
    struct oc_err err;
    struct creds_options o = {.config = x->o->config, .home = x->o->home};
    creds_find_config(&o, x->path, sizeof x->path);
    quote(x->path, x->quoted, sizeof x->quoted);
    int rc = secret_read(x->path, PROFILE_FILE_MAX, &text, &n, &err);
    if (rc)
        return refuse_file(x, rc, &err);
    int dos = memmem(text, n, "\r\n", 2) != NULL, mark = n > 2 && !memcmp(text, "\xef\xbb\xbf", 3);
    rc = profile_parse(text, n, &x->f, &err);
    secret_free(text);
    if (rc && mark) {
        mend(x, SED "'1s/^\\xef\\xbb\\xbf//' %s", x->quoted);
        tell(x, CHECK_FAIL, "config", "'%s' %s", x->path, err.text);
        return -1;
    }
    if (rc)
        return refuse_file(x, rc, &err);
    if (dos) {
        mend(x, SED "'s/\\r$//' %s", x->quoted);
        tell(x, CHECK_WARN, "config",
             "'%s' has line ends of DOS (CRLF): some tools take them as "
             "part of a value",
             x->path);
    } else {
        tell(x, CHECK_OK, "config", "'%s'", x->path);
    }
    check_mode(x, "rights", x->path, 0600);
    check_dir(x);
    return 0;
}

/* --- the profile --- */

static int find_profile(struct check *x)
{
    char names[VALUE] = "";
    int section = profile_find(x->f, x->o->profile, strlen(x->o->profile));
    x->section = section < 0 ? 0 : (unsigned)section;
    const struct mode *mode = mode_find(x->set.mode, strlen(x->set.mode));
    if (section > 0 || (section == 0 && profile_line(x->f, 0)))
        return 0;
    if (mode && !(mode->needs & (MODE_USER | MODE_KEY)))
        return 0; /* it needs no section */
    for (unsigned i = 0; i < profile_n_sections(x->f); i++) {
        struct profile_text name = profile_name(x->f, i);
        size_t used = strlen(names);
        if (profile_line(x->f, i) && used + name.n + 5 < sizeof names)
            snprintf(names + used, sizeof names - used, "%s'%.*s'", used ? ", " : "", (int)name.n,
                     name.s);
    }
    mend(x, "ocictl setup --profile %s", x->name);
    tell(x, CHECK_FAIL, "profile", "Profile '%s' not found in config file '%s', which has %s",
         x->o->profile, x->path, names[0] ? names : "none");
    return -1;
}

static const struct profile_entry *entry(const struct check *x, const char *key)
{
    return profile_get(x->f, x->section, key, strlen(key));
}

static unsigned line_of(const struct check *x, const char *key)
{
    const struct profile_entry *e = entry(x, key);
    return e ? e->line : 0;
}

/* What stands around a value belongs to it, for all of Oracle's tools. */
static void check_value(struct check *x, const struct profile_entry *e)
{
    const char *s = e->value.s;
    size_t n = e->value.n;
    if (n > 1 && (*s == '"' || *s == '\'') && s[n - 1] == *s) {
        mend(x, SED "\"%us/[\\\"']//g\" %s", e->line, x->quoted);
        tell(x, CHECK_FAIL, "profile", "%s (line %u of '%s') is in quotes, which become part of it",
             e->key.s, e->line, x->path);
    } else if (memmem(s, n, " #", 2) || memmem(s, n, " ;", 2)) {
        mend(x, SED "'%us/ *[#;].*//' %s", e->line, x->quoted);
        tell(x, CHECK_FAIL, "profile",
             "%s (line %u of '%s') has a comment behind it, which becomes part of it", e->key.s,
             e->line, x->path);
    }
}

/* Of another kind than its key says: pasted into the wrong line. */
static void check_sort(struct check *x, const char *key, const char *value)
{
    char start[32];
    snprintf(start, sizeof start, "ocid1.%s.", key);
    if (strncmp(value, "ocid1.", 6) != 0 || !strncmp(value, start, strlen(start)))
        return;
    mend(x, "%s", x->setup);
    tell(x, CHECK_FAIL, "profile", "%s (line %u of '%s') is the OCID of something else: '%.60s'",
         key, line_of(x, key), x->path, value);
}

/* The realm is the third part of an OCID. */
static void realm_of(const char *ocid, char out[16])
{
    const char *at = strncmp(ocid, "ocid1.", 6) ? NULL : strchr(ocid + 6, '.');
    snprintf(out, 16, "%.*s", at ? (int)strcspn(at + 1, ".") : 0, at ? at + 1 : "");
}

static const struct {
    const char *id, *realm;
} regions[] = {
#define REGION(id, key, realm, domain) {id, realm},
#include "vault/regions.def"
#undef REGION
};

static const char *realm_of_region(const char *region)
{
    for (size_t i = 0; i < sizeof regions / sizeof *regions; i++)
        if (!strcmp(regions[i].id, region))
            return regions[i].realm;
    return NULL;
}

static void check_realms(struct check *x)
{
    const char *region = x->cred.hosts.region, *of_region = realm_of_region(region);
    char user[16], tenancy[16];
    realm_of(x->cred.user, user);
    realm_of(x->cred.tenancy, tenancy);
    mend(x, "%s", x->setup);
    if (user[0] && tenancy[0] && strcmp(user, tenancy) != 0)
        tell(x, CHECK_FAIL, "profile",
             "user (line %u of '%s') is of realm '%s', tenancy (line %u) of '%s': one of them "
             "belongs to another tenancy",
             line_of(x, "user"), x->path, user, line_of(x, "tenancy"), tenancy);
    else if (of_region && tenancy[0] && strcmp(of_region, tenancy) != 0)
        tell(x, CHECK_FAIL, "profile",
             "region '%s' (line %u of '%s') is of realm '%s', the tenancy of '%s'", region,
             line_of(x, "region"), x->path, of_region, tenancy);
    else if (!of_region && !strchr(region, '.') && region[0])
        tell(x, CHECK_WARN, "profile",
             "region '%s' (line %u of '%s') is none that this version knows; they look like "
             "eu-frankfurt-1",
             region, line_of(x, "region"), x->path);
    x->mend[0] = 0;
}

static int check_form(struct check *x)
{
    static const char *const keys[] = {"user", "tenancy", "fingerprint", "region", "key_file"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (entry(x, keys[i]))
            check_value(x, entry(x, keys[i]));
    if (x->failed)
        return -1;
    if (x->cred.code) {
        mend(x, "%s", x->setup);
        tell(x, CHECK_FAIL, "profile", "%s", x->cred.text);
        return -1;
    }
    check_sort(x, "user", x->cred.user);
    check_sort(x, "tenancy", x->cred.tenancy);
    if (!x->failed)
        check_realms(x);
    return x->failed ? -1 : 0;
}

static int check_profile_of(struct check *x)
{
    struct creds_options o = {.config = x->o->config, .home = x->o->home};
    char word[TEXT], file[TEXT] = "";
    if (find_profile(x))
        return -1;
    creds_fill(x->f, x->section, x->path, &o, &x->set, &x->cred, &x->pass);
    if (x->cred.key_file[0] == '/' && !access(x->cred.key_file, R_OK))
        snprintf(file, sizeof file, " --key-file %s", quote(x->cred.key_file, word, sizeof word));
    snprintf(x->setup, sizeof x->setup, "ocictl setup --overwrite --profile %.200s%.700s", x->name,
             file);
    if (check_form(x))
        return -1;
    tell(x, CHECK_OK, "profile", "'%s', %s, region '%s'", x->o->profile, x->cred.mode->name,
         x->cred.hosts.region);
    return 0;
}

/* --- the key --- */

static int check_key_path(struct check *x)
{
    struct stat st;
    char whole[PATH_MAX];
    const char *path = x->cred.key_file;
    unsigned line = line_of(x, "key_file");
    if (path[0] != '/') {
        oc_text_join(whole, sizeof whole, x->o->home ? x->o->home : "~", "/.oci/", path);
        mend_value(x, line, whole);
        tell(x, CHECK_FAIL, "key",
             "key_file '%s' (line %u of '%s') is not absolute: it is found from one directory only",
             path, line, x->path);
    } else if (stat(path, &st) && errno == ENOENT) {
        mend(x, "ocictl setup --overwrite --profile %s --key-file FILE", x->name);
        tell(x, CHECK_FAIL, "key", "there is no key file '%s' (line %u of '%s')", path, line,
             x->path);
    }
    return x->failed ? -1 : 0;
}

/* A name that is one, but of the other half. */
static int private_beside(const struct check *x, char out[PATH_MAX])
{
    static const char public[] = "_public.pem";
    const char *path = x->cred.key_file;
    size_t n = strlen(path), m = sizeof public - 1;
    if (n <= m || strcmp(path + n - m, public) != 0)
        return 0;
    snprintf(out, PATH_MAX, "%.*s.pem", (int)(n - m), path);
    return !access(out, R_OK);
}

/* PEM or not, but no key that can be used: why, and what makes one of it. */
static void refuse_form(struct check *x, const char *pem, size_t n, const char *why)
{
    char other[PATH_MAX], word[TEXT];
    const char *path = x->cred.key_file;
    quote(path, word, sizeof word);
    mend(x, "ocictl setup --overwrite --profile %s --key-file FILE", x->name);
    if (!n) {
        tell(x, CHECK_FAIL, "key", "'%s' is empty", path);
    } else if (memmem(pem, n, "BEGIN OPENSSH PRIVATE KEY", 25)) {
        mend(x, "ssh-keygen -p -m PEM -f %s", word);
        tell(x, CHECK_FAIL, "key", "'%s' is a key in OpenSSH's own form", path);
    } else if (memmem(pem, n, "BEGIN CERTIFICATE", 17)) {
        tell(x, CHECK_FAIL, "key", "'%s' is a certificate, not a private key", path);
    } else if (pem[0] == 0x30 && !memmem(pem, n, "-----BEGIN", 10)) {
        mend(x, "openssl pkey -inform DER -in %s -out %s.pem && mv %s.pem %s", word, word, word,
             word);
        tell(x, CHECK_FAIL, "key", "'%s' is in binary form (DER), not PEM", path);
    } else if (private_beside(x, other)) {
        mend_value(x, line_of(x, "key_file"), other);
        tell(x, CHECK_FAIL, "key", "'%s': %s", path, why);
    } else {
        tell(x, CHECK_FAIL, "key", "'%s': %s", path, why);
    }
}

static void refuse_phrase(struct check *x, int given)
{
    unsigned line = line_of(x, "pass_phrase");
    if (given) {
        mend(x, "ocictl doctor --passphrase-fd N");
        tell(x, CHECK_FAIL, "key", "the pass phrase that was given does not open '%s'",
             x->cred.key_file);
        return;
    }
    if (!line)
        line = line_of(x, "passphrase");
    mend(x, SED "'%ud' %s && ocictl reload && ocictl unlock --profile %s", line, x->quoted,
         x->name);
    tell(x, CHECK_FAIL, "key", "the pass phrase in line %u of '%s' does not open '%s'", line,
         x->path, x->cred.key_file);
}

static struct key *load_key(struct check *x)
{
    char *pem;
    size_t n;
    struct key *key = NULL;
    struct oc_err err;
    char word[TEXT];
    int given = x->o->pass_n > 0;
    const char *pass = given ? x->o->pass : x->pass.s;
    size_t pass_n = given ? x->o->pass_n : x->pass.n;
    if (secret_read(x->cred.key_file, KEY_FILE_MAX, &pem, &n, &err)) {
        mend(x, "chmod 600 %s", quote(x->cred.key_file, word, sizeof word));
        tell(x, CHECK_FAIL, "key", "%s", err.text);
        return NULL;
    }
    int rc = key_load(pem, n, pass, pass_n, &key, &err);
    if (rc == OCID_E_LOCKED) {
        mend(x, "ocictl unlock --profile %s", x->name);
        tell(x, CHECK_LOCKED, "key", "'%s' wants its pass phrase", x->cred.key_file);
    } else if (rc && pass_n && memmem(pem, n, "ENCRYPTED", 9)) {
        refuse_phrase(x, given);
    } else if (rc) {
        refuse_form(x, pem, n, err.text);
    }
    secret_free(pem);
    return rc ? NULL : key;
}

/* Signatures a second on this core. */
static unsigned measure(struct key *key)
{
    static const char text[] = "date: Thu, 01 Jan 1970 00:00:00 GMT";
    unsigned char out[KEY_SIGNATURE_MAX];
    struct timespec from, now;
    struct oc_err err;
    uint64_t n = 0, ns = 0;
    size_t size;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (; ns < MEASURE_NS && !key_sign(key, 0, text, sizeof text - 1, out, &size, &err); n++) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        ns = (uint64_t)(now.tv_sec - from.tv_sec) * 1000000000u +
             (uint64_t)(now.tv_nsec - from.tv_nsec);
    }
    return ns ? (unsigned)(n * 1000000000u / ns) : 0;
}

static void judge_key(struct check *x, struct key *key)
{
    const char *has = key_fingerprint(key), *said = x->cred.fingerprint;
    unsigned bits = key_bits(key), line = line_of(x, "fingerprint");
    if ((x->cred.mode->needs & MODE_USER) && has[0] && strcmp(has, said) != 0) {
        mend_value(x, line, has);
        tell(x, CHECK_FAIL, "fingerprint", "line %u of '%s' says %s, but the key '%s' has %s", line,
             x->path, said, x->cred.key_file, has);
        return;
    }
    mend(x, "ocictl setup --overwrite --profile %s --key-file FILE", x->name);
    if (bits < KEY_BITS_GOOD)
        tell(x, CHECK_WARN, "key", "'%s' has only %u bits", x->cred.key_file, bits);
    else
        tell(x, CHECK_OK, "key", "'%s', %u bits, fingerprint %s", x->cred.key_file, bits, has);
    x->mend[0] = 0;
    if (!x->o->quick)
        tell(x, CHECK_OK, "signing", "%u signatures a second on one core", measure(key));
}

static void check_key(struct check *x)
{
    const struct profile_entry *pass = entry(x, "pass_phrase");
    if (check_key_path(x))
        return;
    struct key *key = load_key(x);
    if (key)
        judge_key(x, key);
    key_unref(key);
    if (!pass)
        pass = entry(x, "passphrase");
    if (pass && pass->value.n && !x->failed) {
        mend(x, SED "'%ud' %s && ocictl reload && ocictl unlock --profile %s", pass->line,
             x->quoted, x->name);
        tell(x, CHECK_WARN, "pass phrase", "it stands in clear in line %u of '%s'", pass->line,
             x->path);
    }
    check_mode(x, "rights", x->cred.key_file, 0600);
}

static void check_token(struct check *x)
{
    if (!x->cred.token_file[0])
        return;
    mend(x, "oci session authenticate --profile-name %s --region %s", x->name,
         x->cred.hosts.region);
    if (access(x->cred.token_file, R_OK))
        tell(x, CHECK_FAIL, "token", "cannot read the session token '%s': %s", x->cred.token_file,
             strerror(errno));
    else
        tell(x, CHECK_OK, "token", "'%s'", x->cred.token_file);
    check_mode(x, "rights", x->cred.token_file, 0600);
}

/* --- all of it --- */

static void host_of(const struct rules_hosts *h, char out[CHECK_HOST_SIZE])
{
    snprintf(out, CHECK_HOST_SIZE, "objectstorage.%s%s%s", h->region,
             strchr(h->region, '.') ? "" : ".", strchr(h->region, '.') ? "" : h->domain);
    if (!h->region[0])
        out[0] = 0;
}

void check_profile(const struct setup_options *o, check_told *told, void *arg,
                   struct check_facts *ret)
{
    struct check *x = calloc(1, sizeof *x);
    if (!x)
        abort();
    x->o = o;
    x->told = told;
    x->arg = arg;
    memset(ret, 0, sizeof *ret);
    quote(o->profile, x->name, sizeof x->name);
    snprintf(x->set.name, sizeof x->set.name, "%s", o->profile);
    snprintf(x->set.mode, sizeof x->set.mode, "%s", o->auth ? o->auth : "");
    snprintf(x->set.region, sizeof x->set.region, "%s", o->region ? o->region : "");
    if (!check_file(x) && !check_profile_of(x)) {
        host_of(&x->cred.hosts, ret->host);
        snprintf(ret->key_id, sizeof ret->key_id, "%s", x->cred.key_id);
        snprintf(ret->key_file, sizeof ret->key_file, "%s", x->cred.key_file);
        check_token(x);
        if (x->cred.mode->needs & MODE_KEY)
            check_key(x);
    }
    profile_free(x->f);
    free(x);
}
