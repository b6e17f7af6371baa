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

/* A file that has not been replaced yet is looked at so often before its token is over. */
enum { LOOKS = 8, LOOK_MOST_S = 30 };

struct offset {
    char host[WIRE_HOST_MAX];
    int64_t seconds;
};

struct creds {
    const struct creds_options *o;
    char path[PATH_MAX];
    struct creds_set set[CREDS_SET_MAX]; /* of ocid.conf */
    unsigned n_set;

    pthread_rwlock_t lock; /* what follows */
    struct cred **cred;
    size_t n;
    struct oc_err broken; /* code 0, or why there are no profiles at all */
    struct offset offset[CREDS_OFFSETS_MAX];
    unsigned n_offsets, next_offset;
    int64_t ahead_s; /* of the host whose clock was learnt last */
};

static void cred_free(struct cred *c)
{
    if (!c)
        return;
    key_unref(c->key);
    key_unref(c->lent_key);
    token_fini(&c->token);
    free(c);
}

static struct cred *cred_new(void)
{
    struct cred *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    return c;
}

static struct cred *cred_copy(const struct cred *from)
{
    struct cred *c = cred_new();
    *c = *from;
    if (c->key)
        key_ref(c->key);
    if (c->lent_key)
        key_ref(c->lent_key);
    token_copy(&c->token, &from->token);
    return c;
}

/* --- what ocid.conf says --- */

static int take_word(const char **at, const char *end, char stop, char *out, size_t size)
{
    const char *to = memchr(*at, stop, (size_t)(end - *at));
    size_t n = to ? (size_t)(to - *at) : size;
    if (n >= size || memchr(*at, 0, n))
        return 0;
    memcpy(out, *at, n);
    out[n] = 0;
    *at = to + 1;
    return 1;
}

int creds_set(struct creds *c, const char *lines, size_t n, struct oc_err *err)
{
    struct creds_set set[CREDS_SET_MAX];
    unsigned n_set = 0;
    for (const char *at = lines, *end = lines + n; at < end; n_set++) {
        struct creds_set *s = &set[n_set];
        char refresh[8];
        if (n_set == CREDS_SET_MAX || !take_word(&at, end, '\t', s->name, sizeof s->name) ||
            !take_word(&at, end, '\t', s->mode, sizeof s->mode) ||
            !take_word(&at, end, '\t', s->region, sizeof s->region) ||
            !take_word(&at, end, '\n', refresh, sizeof refresh))
            return oc_fail(err, OCID_E_INVALID, 0,
                           "the profiles of ocid.conf are too many or long");
        s->files_only = !strcmp(refresh, "no");
    }
    memcpy(c->set, set, n_set * sizeof *set);
    c->n_set = n_set;
    return 0;
}

static const struct creds_set *find_set(const struct creds *c, const char *name, size_t n)
{
    for (unsigned i = 0; i < c->n_set; i++)
        if (strlen(c->set[i].name) == n && !memcmp(c->set[i].name, name, n))
            return &c->set[i];
    return NULL;
}

/* --- reading --- */

void creds_find_config(const struct creds_options *o, char *out, size_t size)
{
    char old[PATH_MAX];
    struct stat st;
    creds_expand(o->home, o->config ? o->config : "~/.oci/config", out, size);
    if (o->config || (!stat(out, &st) && S_ISREG(st.st_mode)))
        return;
    creds_expand(o->home, "~/.oraclebmc/config", old, sizeof old);
    if (!stat(old, &st))
        oc_text_join(out, size, old, "", "");
}

static int read_file(struct creds *c, struct profile_file **ret, struct oc_err *err)
{
    char *text;
    size_t n;
    creds_find_config(c->o, c->path, sizeof c->path);
    int rc = secret_read(c->path, PROFILE_FILE_MAX, &text, &n, err);
    if (rc == OCID_E_FILE && c->n_set)
        return profile_parse("", 0, ret, err); /* ocid.conf may say all that is needed */
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

static int same_token(const struct cred *a, const struct cred *b)
{
    return a->token.text && b->token.text ? !strcmp(a->token.text, b->token.text)
                                          : a->token.text == b->token.text;
}

/* How far its renewal has come. */
static void carry(struct cred *fresh, const struct cred *old)
{
    fresh->renew_at = old->renew_at;
    fresh->n_failed = old->n_failed;
    fresh->tried_at = old->tried_at;
    fresh->over = old->over;
    memcpy(fresh->why, old->why, sizeof fresh->why);
    memcpy(fresh->lent_id, old->lent_id, sizeof fresh->lent_id);
    if (old->lent_key)
        fresh->lent_key = key_ref(old->lent_key);
}

void creds_keep_open(struct cred *fresh, const struct cred *old)
{
    if (fresh->state != WIRE_KEY_LOCKED || !old->key ||
        strcmp(key_fingerprint(old->key), fresh->fingerprint))
        return;
    fresh->due_mono_ms = old->due_mono_ms;
    creds_take_key(fresh, key_ref(old->key));
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
    fresh->mode->load(fresh, old, pass->s, pass->n);
    if (old && same_token(fresh, old))
        carry(fresh, old);
    if (old)
        creds_keep_open(fresh, old);
}

/* A copy of the old one, in place of one that has become bad. */
static struct cred *keep_old(struct cred *fresh, const struct cred *old, char *text)
{
    const char *why = fresh->code ? fresh->text : fresh->key_text;
    size_t used = strlen(text);
    snprintf(text + used, CREDS_TEXT_SIZE - used, "%s'%s' keeps its old credential: %s",
             used ? "; " : "", old->name, why);
    cred_free(fresh);
    return cred_copy(old);
}

/* set: what ocid.conf says, NULL: nothing. */
static struct cred *make(struct creds *c, const struct profile_file *f, unsigned section,
                         const struct creds_set *set, char *text)
{
    struct profile_text pass;
    struct cred *fresh = cred_new();
    creds_fill(f, section, c->path, c->o, set, fresh, &pass);
    const struct cred *old = find(c->cred, c->n, fresh->name, strlen(fresh->name));
    if (old && old->mode != fresh->mode)
        old = NULL;
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

static size_t make_sections(struct creds *c, const struct profile_file *f, struct cred **ret,
                            char *text)
{
    size_t n = 0;
    for (unsigned i = 0; i < profile_n_sections(f) && n < CREDS_MAX; i++) {
        struct profile_text name = profile_name(f, i);
        if (name.n > WIRE_PROFILE_MAX || memchr(name.s, 0, name.n))
            continue; /* no name that anybody can ask for */
        ret[n++] = make(c, f, i, find_set(c, name.s, name.n), text);
    }
    return n;
}

/* Profiles that stand in ocid.conf alone inherit nothing: not even from DEFAULT. */
static size_t make_others(struct creds *c, const struct profile_file *f, struct cred **ret,
                          size_t room, char *text)
{
    struct profile_file *empty;
    struct oc_err err;
    size_t n = 0;
    if (profile_parse("", 0, &empty, &err))
        return 0;
    for (unsigned i = 0; i < c->n_set && n < room; i++)
        if (profile_find(f, c->set[i].name, strlen(c->set[i].name)) < 0)
            ret[n++] = make(c, empty, 0, &c->set[i], text);
    profile_free(empty);
    return n;
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
    struct cred **fresh = calloc(CREDS_MAX, sizeof *fresh);
    if (!fresh)
        abort();
    size_t n = make_sections(c, f, fresh, text);
    n += make_others(c, f, fresh + n, CREDS_MAX - n, text);
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

/* In place; fresh is used up. */
static void replace(struct creds *c, struct cred *cred, struct cred *fresh)
{
    pthread_rwlock_wrlock(&c->lock);
    struct cred old = *cred;
    *cred = *fresh;
    pthread_rwlock_unlock(&c->lock);
    *fresh = old;
    cred_free(fresh);
}

/* Works on a copy, so that signing goes on meanwhile. */
static int unlock_one(struct creds *c, struct cred *cred, const char *pass, size_t pass_n,
                      uint64_t due_ms, struct oc_err *err)
{
    if (cred->code)
        return oc_fail(err, cred->code, 0, "%s", cred->text);
    struct cred *copy = cred_copy(cred);
    creds_no_key(copy, WIRE_KEY_LOCKED, OCID_E_LOCKED, "");
    copy->mode->load(copy, cred, pass, pass_n);
    if (!copy->key) {
        int rc = oc_fail(err, copy->key_code, 0, "%s", copy->key_text);
        cred_free(copy);
        return rc;
    }
    copy->held = 0;
    copy->due_mono_ms = due_ms;
    replace(c, cred, copy);
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
    c->ahead_s = seconds;
    pthread_rwlock_unlock(&c->lock);
}

int64_t creds_ahead(struct creds *c, const char *host, size_t n)
{
    pthread_rwlock_rdlock(&c->lock);
    const struct offset *o = n ? find_offset(c, host, n) : NULL;
    int64_t seconds = o ? o->seconds : n ? 0 : c->ahead_s;
    pthread_rwlock_unlock(&c->lock);
    return seconds;
}

/* --- tokens --- */

int creds_over(const struct creds *c, const struct cred *cred, int64_t now, struct oc_err *err)
{
    if (!cred->token.text || !token_expired(&cred->token, now + c->ahead_s))
        return 0;
    const char *more = cred->why[0] ? cred->why : cred->mode->mend ? cred->mode->mend : "";
    return oc_fail(err, OCID_E_LOGIN, 0, "the token of profile '%.100s' has expired%s%s",
                   cred->name, more[0] ? "; " : "", more);
}

/* A locked key opens by an unlock alone. */
static int may_renew(const struct cred *cred)
{
    return cred->renew_at && cred->state != WIRE_KEY_LOCKED;
}

static int64_t next_look(const struct cred *cred, int64_t now)
{
    int64_t in = (cred->token.expires_at - now) / LOOKS;
    return now + (in < 1 ? 1 : in > LOOK_MOST_S ? LOOK_MOST_S : in);
}

static int renew_one(struct creds *c, struct cred *cred, int64_t now)
{
    struct cred *copy = cred_copy(cred);
    copy->over = 0;
    copy->mode->load(copy, cred, NULL, 0);
    creds_keep_open(copy, cred);
    if (copy->key && strcmp(copy->token.text, cred->token.text)) {
        replace(c, cred, copy);
        return 1;
    }
    cred_free(copy);
    int was_over = cred->over;
    cred->renew_at = next_look(cred, now);
    cred->over = token_expired(&cred->token, now);
    return cred->over > was_over;
}

int creds_renew(struct creds *c, int64_t now)
{
    int changed = 0;
    now += c->ahead_s;
    for (size_t i = 0; i < c->n; i++)
        if (!creds_by_network(c->cred[i]) && creds_due(c, c->cred[i], now - c->ahead_s))
            changed |= renew_one(c, c->cred[i], now);
    return changed;
}

const struct cred *creds_at(const struct creds *c, size_t i)
{
    return i < c->n ? c->cred[i] : NULL;
}

int creds_due(const struct creds *c, const struct cred *cred, int64_t now)
{
    return may_renew(cred) && cred->renew_at <= now + c->ahead_s;
}

int creds_by_network(const struct cred *cred)
{
    return cred->mode->step && !cred->files_only;
}

void creds_files(const struct creds *c, void (*fn)(void *arg, const char *path), void *arg)
{
    fn(arg, c->path);
    for (size_t i = 0; i < c->n; i++) {
        fn(arg, c->cred[i]->key_file);
        fn(arg, c->cred[i]->token_file);
    }
}

void creds_put_off(struct creds *c, const struct cred *cred, int64_t until)
{
    struct cred *own = find(c->cred, c->n, cred->name, strlen(cred->name));
    own->renew_at = until + c->ahead_s; /* no other thread looks at it */
}

struct cred *creds_copy(const struct cred *cred)
{
    return cred_copy(cred);
}

void creds_copy_free(struct cred *cred)
{
    cred_free(cred);
}

void creds_lend(struct creds *c, const struct cred *fresh)
{
    struct cred *cred = find(c->cred, c->n, fresh->name, strlen(fresh->name));
    if (!cred)
        return;
    struct cred *copy = cred_copy(cred);
    key_unref(copy->lent_key);
    copy->lent_key = key_ref(fresh->lent_key);
    memcpy(copy->lent_id, fresh->lent_id, sizeof copy->lent_id);
    replace(c, cred, copy);
}

static void end_loan(struct cred *cred)
{
    key_unref(cred->lent_key);
    cred->lent_key = NULL;
    cred->lent_id[0] = 0;
}

/* The profile may have been read anew, or another mode's, since the renewal began. */
int creds_renewed(struct creds *c, const struct cred *fresh, int64_t now)
{
    struct cred *cred = find(c->cred, c->n, fresh->name, strlen(fresh->name));
    if (!cred || cred->mode != fresh->mode || cred->held)
        return 0;
    struct cred *copy = cred_copy(fresh);
    end_loan(copy);
    copy->n_failed = 0;
    copy->tried_at = now;
    copy->over = 0;
    copy->why[0] = 0;
    replace(c, cred, copy);
    return 1;
}

void creds_not_renewed(struct creds *c, const char *profile, int64_t again_at,
                       const struct oc_err *err)
{
    struct cred *cred = find(c->cred, c->n, profile, strlen(profile));
    if (!cred)
        return;
    struct cred *copy = cred_copy(cred);
    end_loan(copy);
    copy->n_failed++;
    copy->renew_at = again_at + c->ahead_s;
    if (!copy->key)
        creds_no_key(copy, WIRE_KEY_ABSENT, err->code, err->text);
    oc_text_join(copy->why, sizeof copy->why, err->text, "", "");
    replace(c, cred, copy);
}

int64_t creds_renew_in(const struct creds *c, int64_t now)
{
    int64_t next = -1;
    for (size_t i = 0; i < c->n; i++) {
        int64_t in = c->cred[i]->renew_at - (now + c->ahead_s);
        if (may_renew(c->cred[i]) && (next < 0 || in < next))
            next = in > 0 ? in : 0;
    }
    return next;
}

/* --- signing --- */

static void write_key_id(const struct cred *cred, char *out)
{
    const char *prefix = cred->token.text ? "ST$" : "";
    const char *text = cred->token.text ? cred->token.text : cred->key_id;
    memcpy(mempcpy(out, prefix, strlen(prefix)), text, strlen(text) + 1);
}

static void borrow_own(struct creds *c, const struct cred *cred, int64_t now, struct borrowed *ret)
{
    ret->key = key_ref(cred->key);
    ret->good_s = cred->token.expires_at ? cred->token.expires_at - (now + c->ahead_s) : 0;
    write_key_id(cred, ret->key_id);
}

static void borrow_lent(const struct cred *cred, struct borrowed *ret)
{
    ret->key = key_ref(cred->lent_key);
    ret->good_s = 0;
    memcpy(ret->key_id, cred->lent_id, strlen(cred->lent_id) + 1);
}

int creds_borrow(struct creds *c, const char *profile, size_t n, int federated, int64_t now,
                 struct borrowed *ret, struct oc_err *err)
{
    int rc = 0;
    pthread_rwlock_rdlock(&c->lock);
    const struct cred *cred = find(c->cred, c->n, profile, n);
    if (!cred)
        rc = missing(c, profile, n, err);
    else if (cred->code)
        rc = oc_fail(err, cred->code, 0, "%s", cred->text);
    else if (federated && cred->lent_key)
        borrow_lent(cred, ret);
    else if (!cred->key)
        rc = oc_fail(err, cred->key_code, 0, "%s", cred->key_text);
    else if (!(rc = creds_over(c, cred, now, err)))
        borrow_own(c, cred, now, ret);
    if (!rc)
        ret->hosts = cred->hosts;
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
