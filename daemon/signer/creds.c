/* SPDX-License-Identifier: Apache-2.0
 *
 * creds.c - the profiles and their keys: read, unlocked, locked, read again.
 *
 * The control thread is the only one to change anything, under the write lock and after all slow
 * work is done; the signing threads look a profile up under the read lock, take a count of its key
 * and let go. What they hold lives until they are done, whatever happens here.
 */
#include "signer/creds.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "proto/text.h"
#include "signer/creds_read.h"
#include "signer/profile.h"
#include "signer/secret.h"

struct offset {
    char host[WIRE_HOST_MAX];
    int64_t seconds;
};

struct creds {
    const struct creds_options *o;
    char path[PATH_MAX];

    pthread_rwlock_t lock; /* what follows */
    struct cred **cred;
    size_t n;
    struct oc_err broken; /* code 0, or why there are no profiles at all */
    struct offset offset[CREDS_OFFSETS_MAX];
    unsigned n_offsets, next_offset;
};

static void cred_free(struct cred *c)
{
    if (!c)
        return;
    key_unref(c->key);
    free(c);
}

static struct cred *cred_new(void)
{
    struct cred *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    return c;
}

/* --- reading --- */

/* An explicit path, else ~/.oci/config, else ~/.oraclebmc/config if only that is there. */
static void find_config(struct creds *c)
{
    char old[PATH_MAX];
    struct stat st;
    creds_expand(c->o->home, c->o->config ? c->o->config : "~/.oci/config", c->path,
                 sizeof c->path);
    if (c->o->config || (!stat(c->path, &st) && S_ISREG(st.st_mode)))
        return;
    creds_expand(c->o->home, "~/.oraclebmc/config", old, sizeof old);
    if (!stat(old, &st))
        memcpy(c->path, old, sizeof old);
}

static int read_file(struct creds *c, struct profile_file **ret, struct oc_err *err)
{
    char *text;
    size_t n;
    find_config(c);
    int rc = secret_read(c->path, PROFILE_FILE_MAX, &text, &n, err);
    if (rc == OCID_E_FILE)
        return oc_fail(err, OCID_E_CONFIG, 0, "could not find config file '%s'", c->path);
    if (rc) {
        err->code = OCID_E_CONFIG;
        return OCID_E_CONFIG;
    }
    rc = profile_parse(text, n, ret, err);
    secret_free(text);
    if (rc)
        oc_wrap(err, "'%s'", c->path);
    return rc;
}

static struct cred *find(struct cred *const *cred, size_t n, const char *name, size_t name_n)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(cred[i]->name) == name_n && !memcmp(cred[i]->name, name, name_n))
            return cred[i];
    return NULL;
}

/* The pass phrase in the file opens it, or an open key is carried over. */
static void give_key(struct cred *fresh, const struct cred *old, const struct profile_text *pass)
{
    if (old && old->held) {
        fresh->held = 1;
        fresh->state = old->state;
        fresh->key_code = old->key_code;
        memcpy(fresh->key_text, old->key_text, sizeof fresh->key_text);
        return;
    }
    if (fresh->kind == WIRE_KIND_INSTANCE && !fresh->key_file[0]) {
        fresh->state = WIRE_KEY_ABSENT;
        fresh->key_code = OCID_E_KEY;
        return;
    }
    creds_load_key(fresh, pass->s, pass->n);
    if (fresh->state == WIRE_KEY_LOCKED && old && old->key &&
        !strcmp(key_fingerprint(old->key), fresh->fingerprint)) {
        fresh->key = key_ref(old->key);
        fresh->due_mono_ms = old->due_mono_ms;
        fresh->state = WIRE_KEY_OK;
        fresh->key_code = 0;
        fresh->key_text[0] = 0;
    }
}

/* A copy of the old one, in place of one that has become bad. */
static struct cred *keep_old(struct cred *fresh, const struct cred *old, char *text)
{
    const char *why = fresh->code ? fresh->text : fresh->key_text;
    size_t used = strlen(text);
    snprintf(text + used, CREDS_TEXT_SIZE - used, "%s'%s' keeps its old credential: %s",
             used ? "; " : "", old->name, why);
    cred_free(fresh);
    struct cred *copy = cred_new();
    *copy = *old;
    copy->key = key_ref(old->key);
    return copy;
}

static struct cred *make(struct creds *c, const struct profile_file *f, unsigned section,
                         char *text)
{
    struct profile_text name = profile_name(f, section), pass;
    if (name.n > WIRE_PROFILE_MAX || memchr(name.s, 0, name.n))
        return NULL; /* no name that anybody can ask for */
    struct cred *fresh = cred_new();
    const struct cred *old = find(c->cred, c->n, name.s, name.n);
    creds_fill(f, section, c->path, c->o, fresh, &pass);
    give_key(fresh, old, &pass);
    int bad = fresh->code || fresh->state == WIRE_KEY_BAD || fresh->state == WIRE_KEY_ABSENT;
    return bad && old && old->key ? keep_old(fresh, old, text) : fresh;
}

static void swap(struct creds *c, struct cred **fresh, size_t n, const struct oc_err *broken)
{
    pthread_rwlock_wrlock(&c->lock);
    struct cred **old = c->cred;
    size_t old_n = c->n;
    c->cred = fresh;
    c->n = n;
    c->broken = *broken;
    pthread_rwlock_unlock(&c->lock);
    for (size_t i = 0; i < old_n; i++)
        cred_free(old[i]);
    free(old);
}

int creds_read(struct creds *c, char *text, struct oc_err *err)
{
    struct profile_file *f;
    struct oc_err fine = {0};
    text[0] = 0;
    int rc = read_file(c, &f, err);
    if (rc) {
        if (!c->n)
            swap(c, NULL, 0, err);
        return rc;
    }
    unsigned n_sections = profile_n_sections(f);
    if (n_sections > CREDS_MAX)
        n_sections = CREDS_MAX;
    struct cred **fresh = calloc(n_sections, sizeof *fresh);
    size_t n = 0;
    if (!fresh)
        abort();
    for (unsigned i = 0; i < n_sections; i++)
        if ((fresh[n] = make(c, f, i, text)))
            n++;
    profile_free(f);
    swap(c, fresh, n, &fine);
    return 0;
}

static int missing(const struct creds *c, const char *profile, size_t n, struct oc_err *err)
{
    if (c->broken.code) {
        *err = c->broken;
        return err->code;
    }
    return oc_fail(err, OCID_E_CONFIG, 0, "Profile '%.*s' not found in config file '%s'", (int)n,
                   profile, c->path);
}

const struct cred *creds_find(struct creds *c, const char *profile, size_t n, struct oc_err *err)
{
    struct cred *found = find(c->cred, c->n, profile, n);
    if (!found)
        missing(c, profile, n, err);
    return found;
}

/* --- locks --- */

static void add_name(char *text, const char *before, const char *name)
{
    size_t used = strlen(text);
    snprintf(text + used, CREDS_TEXT_SIZE - used, "%s'%s'", used ? ", " : before, name);
}

/* Works on a copy, so that signing goes on meanwhile. */
static int unlock_one(struct creds *c, struct cred *cred, const char *pass, size_t pass_n,
                      uint64_t due_ms, struct oc_err *err)
{
    if (cred->code)
        return oc_fail(err, cred->code, 0, "%s", cred->text);
    struct cred *copy = cred_new();
    *copy = *cred;
    copy->key = NULL;
    int rc = creds_load_key(copy, pass, pass_n);
    if (rc) {
        oc_fail(err, rc, 0, "%s", copy->key_text);
        cred_free(copy);
        return rc;
    }
    copy->held = 0;
    copy->due_mono_ms = due_ms;
    pthread_rwlock_wrlock(&c->lock);
    struct cred old = *cred;
    *cred = *copy;
    pthread_rwlock_unlock(&c->lock);
    key_unref(old.key);
    free(copy);
    return 0;
}

int creds_unlock(struct creds *c, const char *profile, size_t n, const char *pass, size_t pass_n,
                 uint64_t now_ms, uint64_t ttl_ms, char *text, struct oc_err *err)
{
    struct cred *asked = NULL;
    struct oc_err one = {0}, first = {0};
    text[0] = 0;
    if (n && !(asked = find(c->cred, c->n, profile, n)))
        return missing(c, profile, n, err);
    uint64_t due = !ttl_ms ? 0 : ttl_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + ttl_ms;
    for (size_t i = 0; i < c->n; i++) {
        struct cred *cred = c->cred[i];
        int also =
            !cred->key && cred->key_file[0] && (!asked || !strcmp(cred->key_file, asked->key_file));
        if (cred != asked && !also)
            continue;
        int rc = unlock_one(c, cred, pass, pass_n, due, &one);
        if (!rc)
            add_name(text, "opened ", cred->name);
        else if (!first.code || cred == asked)
            first = one;
    }
    if (text[0] && (!asked || asked->key))
        return 0;
    if (!first.code)
        return oc_fail(err, OCID_E_STATE, 0, "there is no key to unlock");
    *err = first;
    return err->code;
}

static void lock_one(struct creds *c, struct cred *cred, const char *why)
{
    pthread_rwlock_wrlock(&c->lock);
    struct key *key = cred->key;
    cred->key = NULL;
    cred->held = 1;
    cred->due_mono_ms = 0;
    cred->state = WIRE_KEY_LOCKED;
    cred->key_code = OCID_E_LOCKED;
    snprintf(cred->key_text, sizeof cred->key_text, "key of profile '%s': %s", cred->name, why);
    pthread_rwlock_unlock(&c->lock);
    key_unref(key);
}

int creds_lock(struct creds *c, const char *profile, size_t n, char *text, struct oc_err *err)
{
    text[0] = 0;
    if (n && !find(c->cred, c->n, profile, n))
        return missing(c, profile, n, err);
    for (size_t i = 0; i < c->n; i++) {
        struct cred *cred = c->cred[i];
        if (!cred->key_file[0] || (n && cred != find(c->cred, c->n, profile, n)))
            continue;
        lock_one(c, cred, "it was locked; `ocictl unlock` opens it");
        add_name(text, "locked ", cred->name);
    }
    if (!text[0])
        oc_text_join(text, CREDS_TEXT_SIZE, "there is no key to lock", "", "");
    return 0;
}

int creds_expire(struct creds *c, uint64_t now_ms)
{
    int any = 0;
    for (size_t i = 0; i < c->n; i++) {
        uint64_t due = c->cred[i]->due_mono_ms;
        if (!due || due > now_ms)
            continue;
        lock_one(c, c->cred[i], "the time of its unlock is over");
        any = 1;
    }
    return any;
}

uint64_t creds_next_due(const struct creds *c)
{
    uint64_t next = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->cred[i]->due_mono_ms && (!next || c->cred[i]->due_mono_ms < next))
            next = c->cred[i]->due_mono_ms;
    return next;
}

/* --- clocks --- */

static struct offset *find_offset(struct creds *c, const char *host, size_t n)
{
    for (unsigned i = 0; i < c->n_offsets; i++)
        if (strlen(c->offset[i].host) == n && !strncasecmp(c->offset[i].host, host, n))
            return &c->offset[i];
    return NULL;
}

void creds_offset(struct creds *c, const char *host, size_t n, int64_t seconds)
{
    if (n >= WIRE_HOST_MAX)
        return;
    pthread_rwlock_wrlock(&c->lock);
    struct offset *o = find_offset(c, host, n);
    if (!o) {
        o = &c->offset[c->next_offset];
        c->next_offset = (c->next_offset + 1) % CREDS_OFFSETS_MAX;
        if (c->n_offsets < CREDS_OFFSETS_MAX)
            c->n_offsets++;
        memcpy(o->host, host, n);
        o->host[n] = 0;
    }
    o->seconds = seconds;
    pthread_rwlock_unlock(&c->lock);
}

int64_t creds_ahead(struct creds *c, const char *host, size_t n)
{
    pthread_rwlock_rdlock(&c->lock);
    const struct offset *o = find_offset(c, host, n);
    int64_t seconds = o ? o->seconds : 0;
    pthread_rwlock_unlock(&c->lock);
    return seconds;
}

/* --- signing --- */

int creds_borrow(struct creds *c, const char *profile, size_t n, struct key **ret,
                 struct rules_hosts *hosts, char key_id[WIRE_KEY_ID_MAX + 1], struct oc_err *err)
{
    int rc = 0;
    pthread_rwlock_rdlock(&c->lock);
    const struct cred *cred = find(c->cred, c->n, profile, n);
    if (!cred) {
        rc = missing(c, profile, n, err);
    } else if (cred->code) {
        rc = oc_fail(err, cred->code, 0, "%s", cred->text);
    } else if (!cred->key) {
        rc = oc_fail(err, cred->key_code, 0, "%s", cred->key_text);
    } else {
        *ret = key_ref(cred->key);
        *hosts = cred->hosts;
        memcpy(key_id, cred->key_id, strlen(cred->key_id) + 1);
    }
    pthread_rwlock_unlock(&c->lock);
    return rc;
}

struct creds *creds_new(const struct creds_options *o)
{
    struct creds *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->o = o;
    pthread_rwlock_init(&c->lock, NULL);
    return c;
}

void creds_free(struct creds *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++)
        cred_free(c->cred[i]);
    free(c->cred);
    pthread_rwlock_destroy(&c->lock);
    free(c);
}
