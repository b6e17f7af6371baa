/* SPDX-License-Identifier: Apache-2.0
 *
 * setup.c - from nothing to a key and a profile of it on disk; and the rights of those files.
 *
 * Called by tool.c for `ocictl setup`; start at setup_profile(). What may refuse comes first, the
 * configuration last: whatever was written before it does no harm, and is used by the next try.
 */
#include "signer/setup.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/text.h"
#include "signer/creds_read.h"
#include "signer/edit.h"
#include "signer/publish.h"
#include "signer/secret.h"

enum { SETUP_BITS = 2048, FINGERPRINT_AT = 4 };

/* --- what was given --- */

static int invalid(struct oc_err *err, const char *what, const char *value, const char *form)
{
    return oc_fail(err, OCID_E_INVALID, 0, "'%.120s' is not %s: %s", value, what, form);
}

static int all_of(const char *s, const char *more)
{
    if (!*s)
        return 0;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr(more, *s))
            return 0;
    return 1;
}

/* The kind stands in the second part of an OCID: pasted into the wrong field, it shows. */
static int check_ocid(const char *what, const char *kind, const char *value, struct oc_err *err)
{
    char form[96], start[32];
    snprintf(form, sizeof form, "it looks like ocid1.%s.oc1..aaaa… (console: Profile, %s)", kind,
             !strcmp(kind, "user") ? "My profile" : "Tenancy");
    snprintf(start, sizeof start, "ocid1.%s.", kind);
    if (!creds_is_ocid(value) ||
        (!strncmp(value, "ocid1.", 6) && strncmp(value, start, strlen(start)) != 0))
        return invalid(err, what, value, form);
    return 0;
}

/* One that is known, a domain, or of the form of those that are still to come. */
static int is_region(const char *s)
{
    struct rules_hosts h = {.region = ""};
    rules_region(&h, s);
    size_t n = strlen(s);
    return all_of(s, ".-") && (h.known || (strchr(s, '-') && isdigit((unsigned char)s[n - 1])));
}

static int check(const struct setup_options *o, struct oc_err *err)
{
    if (!all_of(o->profile, "._-@"))
        return invalid(err, "a name for a profile", o->profile, "letters, digits and . _ - @");
    if (!is_region(o->region))
        return invalid(err, "a region", o->region, "it looks like eu-frankfurt-1");
    if (o->key_file && strpbrk(o->key_file, "\n\r="))
        return invalid(err, "a path for a key", o->key_file,
                       "no SDK reads '=' or line breaks in it");
    return check_ocid("the OCID of a user", "user", o->user, err) ||
                   check_ocid("the OCID of a tenancy", "tenancy", o->tenancy, err)
               ? err->code
               : 0;
}

static void find_config(const struct setup_options *o, char *out, size_t size)
{
    creds_expand(o->home, o->config ? o->config : "~/.oci/config", out, size);
}

/* Absolute: Oracle's tools take it from wherever they are started. */
static int find_key(const struct setup_options *o, struct setup_result *r, struct oc_err *err)
{
    char path[PATH_MAX], cwd[PATH_MAX];
    const char *slash = strrchr(r->config, '/');
    if (o->key_file)
        creds_expand(o->home, o->key_file, path, sizeof path);
    else
        snprintf(path, sizeof path, "%.*s/oci_api_key%s%.128s.pem",
                 slash ? (int)(slash - r->config) : 1, slash ? r->config : ".",
                 strcmp(o->profile, "DEFAULT") ? "_" : "",
                 strcmp(o->profile, "DEFAULT") ? o->profile : "");
    if (path[0] != '/' && !getcwd(cwd, sizeof cwd))
        return oc_fail(err, OCID_E_IO, errno, "cannot tell the working directory");
    oc_text_join(r->key_file, sizeof r->key_file, path[0] == '/' ? "" : cwd,
                 path[0] == '/' ? "" : "/", path);
    size_t n = strlen(r->key_file);
    snprintf(r->public_file, sizeof r->public_file, "%.*s_public.pem",
             (int)(n > 4 && !strcmp(r->key_file + n - 4, ".pem") ? n - 4 : n), r->key_file);
    return 0;
}

/* --- the key --- */

static int load(const char *pem, size_t n, const struct setup_options *o, struct setup_result *r,
                struct oc_err *err)
{
    struct key *key;
    struct oc_err ignored;
    int rc = key_load(pem, n, o->pass, o->pass_n, &key, err);
    if (rc == OCID_E_LOCKED)
        return oc_fail(err, rc, 0, "'%s' needs its pass phrase: give it by --passphrase-fd N",
                       r->key_file);
    if (rc)
        return oc_wrap(err, "'%s'", r->key_file);
    r->bits = key_bits(key);
    snprintf(r->fingerprint, sizeof r->fingerprint, "%s", key_fingerprint(key));
    if (!key_public(key, r->pem, sizeof r->pem))
        rc = oc_fail(err, OCID_E_KEY, 0, "the key is too large");
    key_unref(key);
    r->encrypted = key_load(pem, n, NULL, 0, &key, &ignored) == OCID_E_LOCKED;
    if (!rc && !r->encrypted)
        key_unref(key);
    return rc;
}

static int make_key(const struct setup_options *o, struct setup_result *r, struct oc_err *err)
{
    char *pem;
    size_t n;
    int rc = publish_dir(r->key_file, err);
    if (!rc)
        rc = key_make(SETUP_BITS, o->pass, o->pass_n, &pem, &n, err);
    if (rc)
        return rc;
    rc = load(pem, n, o, r, err);
    if (!rc)
        rc = publish(r->key_file, pem, n, 0600, 0, err);
    secret_free(pem);
    r->made = !rc;
    return rc;
}

static int write_public(const struct setup_result *r, struct oc_err *err)
{
    char *now;
    size_t n;
    struct oc_err ignored;
    if (!secret_read(r->public_file, SETUP_PEM_SIZE, &now, &n, &ignored)) {
        int same = n == strlen(r->pem) && !memcmp(now, r->pem, n);
        secret_free(now);
        if (same)
            return 0;
    }
    return publish(r->public_file, r->pem, strlen(r->pem), 0644, 1, err);
}

/* Something is there, though it may be unreadable: then it is not replaced by a new one. */
static int is_there(const char *path)
{
    struct stat st;
    return !lstat(path, &st) || errno != ENOENT;
}

static int find_files(const struct setup_options *o, struct setup_result *r, struct oc_err *err)
{
    memset(r, 0, sizeof *r);
    find_config(o, r->config, sizeof r->config);
    int rc = find_key(o, r, err);
    r->there = !rc && is_there(r->key_file);
    return rc;
}

int setup_look(const struct setup_options *o, struct setup_result *r, struct oc_err *err)
{
    char *pem;
    size_t n;
    struct key *key;
    int rc = find_files(o, r, err);
    if (rc || !r->there)
        return rc;
    rc = secret_read(r->key_file, KEY_FILE_MAX, &pem, &n, err);
    if (rc)
        return rc;
    rc = key_load(pem, n, NULL, 0, &key, err);
    secret_free(pem);
    r->encrypted = rc == OCID_E_LOCKED;
    if (!rc)
        key_unref(key);
    return 0; /* another fault is told by who uses it */
}

int setup_key(const struct setup_options *o, struct setup_result *r, struct oc_err *err)
{
    char *pem;
    size_t n;
    int rc = find_files(o, r, err);
    if (rc)
        return rc;
    if (!r->there) {
        rc = make_key(o, r, err);
    } else if (!(rc = secret_read(r->key_file, KEY_FILE_MAX, &pem, &n, err))) {
        rc = load(pem, n, o, r, err);
        secret_free(pem);
    }
    return rc ? rc : write_public(r, err);
}

/* --- the profile --- */

/* What is there; an absent file is an empty one. */
static int read_config(const struct setup_result *r, char **ret, size_t *n, struct oc_err *err)
{
    int rc = secret_read(r->config, PROFILE_FILE_MAX, ret, n, err);
    if (rc != OCID_E_FILE || !access(r->config, F_OK))
        return rc;
    *ret = secret_new(1);
    *n = 0;
    return 0;
}

/* Keys that would make it another kind of profile, or open another key, go. */
static int write_profile(const struct setup_options *o, struct setup_result *r, int dry,
                         struct oc_err *err)
{
    const struct edit_set set[] = {
        {"user", o->user},         {"tenancy", o->tenancy},         {"region", o->region},
        {"key_file", r->key_file}, {"fingerprint", r->fingerprint}, {"pass_phrase", NULL},
        {"passphrase", NULL},      {"security_token_file", NULL},
    };
    struct edit_set known[FINGERPRINT_AT];
    char *text, *fresh;
    size_t n, fresh_n;
    unsigned changed;
    memcpy(known, set, sizeof known);
    int rc = read_config(r, &text, &n, err);
    if (rc)
        return rc;
    rc = edit_profile(text, n, o->profile, dry ? known : set,
                      dry ? FINGERPRINT_AT : sizeof set / sizeof *set, &fresh, &fresh_n, &changed,
                      err);
    if (rc) {
        oc_wrap(err, "'%s'", r->config);
        secret_free(text);
        return rc;
    }
    int same = fresh_n == n && !memcmp(fresh, text, n);
    if (changed && !o->overwrite)
        rc = oc_fail(err, OCID_E_EXISTS, 0,
                     "'%s' has a profile '%s' that says something else; --overwrite changes it, "
                     "--profile NAME adds another",
                     r->config, o->profile);
    else if (!dry && !same)
        rc = publish(r->config, fresh, fresh_n, 0600, 1, err);
    secret_free(text);
    secret_free(fresh);
    return rc;
}

/* 0 and a descriptor that holds the lock until it is closed. */
static int lock_dir(const char *path, int *ret, struct oc_err *err)
{
    char dir[PATH_MAX];
    oc_text_join(dir, sizeof dir, path, "", "");
    char *slash = strrchr(dir, '/');
    if (slash)
        slash[slash == dir] = 0;
    *ret = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*ret < 0 || flock(*ret, LOCK_EX)) /* a setup beside ours takes a second at most */
        return oc_fail(err, OCID_E_IO, errno, "cannot lock '%s'", dir);
    return 0;
}

int setup_profile(const struct setup_options *o, struct setup_result *r, struct oc_err *err)
{
    int lock = -1, rc = check(o, err);
    if (!rc)
        rc = find_files(o, r, err);
    if (!rc)
        rc = publish_dir(r->config, err);
    if (!rc)
        rc = lock_dir(r->config, &lock, err);
    if (!rc)
        rc = write_profile(o, r, 1, err);
    if (!rc)
        rc = setup_key(o, r, err);
    if (!rc)
        rc = write_profile(o, r, 0, err);
    if (lock >= 0)
        close(lock);
    return rc;
}

/* --- rights --- */

struct closing {
    void (*told)(void *arg, const char *path);
    void *arg;
    struct oc_err *err;
    int rc;
};

static void close_one(struct closing *c, const char *path, unsigned mode)
{
    struct stat st;
    if (!path[0] || lstat(path, &st) || S_ISLNK(st.st_mode) || !(st.st_mode & 07777 & ~mode))
        return;
    if (chmod(path, mode))
        c->rc = oc_fail(c->err, OCID_E_IO, errno, "cannot change the rights of '%s'", path);
    else
        c->told(c->arg, path);
}

/* Another directory than .oci may be shared on purpose. */
static void close_dir(struct closing *c, const char *config)
{
    char dir[PATH_MAX];
    oc_text_join(dir, sizeof dir, config, "", "");
    char *slash = strrchr(dir, '/');
    if (slash)
        *slash = 0;
    size_t n = strlen(dir);
    if (slash && n >= 5 && !strcmp(dir + n - 5, "/.oci"))
        close_one(c, dir, 0700);
}

static void close_named(struct closing *c, const struct profile_file *f, const char *path,
                        const char *home)
{
    struct creds_options o = {.home = home};
    struct profile_text pass;
    struct cred *cred = calloc(1, sizeof *cred);
    if (!cred)
        abort();
    for (unsigned i = 0; i < profile_n_sections(f); i++) {
        creds_fill(f, i, path, &o, NULL, cred, &pass);
        close_one(c, cred->key_file, 0600);
        close_one(c, cred->token_file, 0600);
    }
    free(cred);
}

int setup_permissions(const struct setup_options *o, void (*told)(void *arg, const char *path),
                      void *arg, struct oc_err *err)
{
    struct closing c = {told, arg, err, 0};
    struct profile_file *f;
    char path[PATH_MAX], *text;
    size_t n;
    find_config(o, path, sizeof path);
    int rc = secret_read(path, PROFILE_FILE_MAX, &text, &n, err);
    if (rc)
        return rc;
    close_dir(&c, path);
    close_one(&c, path, 0600);
    rc = profile_parse(text, n, &f, err);
    secret_free(text);
    if (rc)
        return oc_wrap(err, "'%s'", path);
    close_named(&c, f, path, o->home);
    profile_free(f);
    return c.rc;
}
