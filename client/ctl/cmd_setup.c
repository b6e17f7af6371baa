/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_setup.c - from nothing to a verified key: asks what is missing, has ocid-signer make the key
 * and write the profile, says what to paste where, and waits until the service knows the key.
 */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/ask.h"
#include "ctl/child.h"
#include "ctl/ctl.h"
#include "ctl/follow.h"
#include "ctl/json.h"
#include "ctl/render.h"

enum { WORD_BYTES = 300, PEM_BYTES = 4096, WAIT_MS = 600000, AGAIN_MS = 2000, WORDS_MAX = 24 };

struct setup {
    struct ctl *ctl;
    const char *profile;
    char user[WORD_BYTES], tenancy[WORD_BYTES], region[WORD_BYTES];
    char *phrase; /* a page of its own */
    size_t phrase_n;
    const char *words[WORDS_MAX];
    size_t n_words;
};

/* ---- The signer */

static void add(struct setup *s, const char *option, const char *value)
{
    if (!value || s->n_words + 3 > WORDS_MAX)
        return;
    s->words[s->n_words++] = option;
    s->words[s->n_words++] = value;
    s->words[s->n_words] = NULL;
}

static const char *home(void)
{
    const char *dir = getenv("HOME");
    struct passwd *pw = dir && *dir ? NULL : getpwuid(getuid());
    return pw ? pw->pw_dir : dir;
}

/* The verb with the options that all verbs have. */
static void begin(struct setup *s, const char *verb)
{
    s->words[0] = verb;
    s->n_words = 1;
    s->words[1] = NULL;
    add(s, "--home", home());
    add(s, "--config", s->ctl->args->config);
    add(s, "--profile", s->profile);
    add(s, "--key-file", s->ctl->args->key_file);
}

/* 0 and its answer, or the exit status after saying why. */
static int run(struct setup *s, struct child *ret)
{
    int status = child_signer(s->words, s->phrase, s->phrase_n, ret);
    if (status)
        return status;
    const char *error = child_value(ret, "error");
    if (!error)
        return 0;
    ctl_say("setup: %s", error);
    status = ret->status;
    child_free(ret);
    return status;
}

static bool says(const struct child *r, const char *name)
{
    const char *value = child_value(r, name);
    return value && strcmp(value, "1") == 0;
}

/* ---- Questions */

static int take_word(const char *option, const char *given, const char *prompt,
                     char out[WORD_BYTES])
{
    char instead[64];
    if (given) {
        snprintf(out, WORD_BYTES, "%s", given);
        return 0;
    }
    snprintf(instead, sizeof instead, "give %s", option);
    for (ssize_t n = 0; !n;) {
        n = ask("setup", instead, prompt, true, out, WORD_BYTES - 1);
        if (n < 0)
            return ask_stopped() ? EXIT_DETACHED : EXIT_USAGE;
        while (n && (out[n - 1] == ' ' || out[n - 1] == '\r'))
            n--;
        out[n] = 0;
    }
    return 0;
}

static int take_words(struct setup *s)
{
    const struct args *a = s->ctl->args;
    int status = take_word("--user", a->user, "User OCID (console: Profile, My profile)", s->user);
    if (!status)
        status = take_word("--tenancy", a->tenancy, "Tenancy OCID (console: Profile, Tenancy)",
                           s->tenancy);
    if (!status)
        status = take_word("--region", a->region, "Region (as eu-frankfurt-1)", s->region);
    return status;
}

static int ask_phrase(struct setup *s, bool twice)
{
    static const char instead[] = "say --no-passphrase, or give it by --passphrase-fd N";
    const char *prompt =
        twice ? "Pass phrase for the new key (empty: none)" : "Pass phrase of the key";
    char *again = s->phrase + ASK_MAX + 1;
    ssize_t n = ask("setup", instead, prompt, false, s->phrase, ASK_MAX), m = n;
    if (n > 0 && twice)
        m = ask("setup", instead, "Once more", false, again, ASK_MAX);
    if (n < 0 || m < 0)
        return ask_stopped() ? EXIT_DETACHED : EXIT_USAGE;
    if (n > 0 && twice && (m != n || memcmp(s->phrase, again, (size_t)n) != 0)) {
        ctl_say("setup: the two are not the same; nothing was made");
        return EXIT_USAGE;
    }
    s->phrase_n = (size_t)n;
    return 0;
}

/* An open key that is there wants none; a new one has what the person chooses. */
static int take_phrase(struct setup *s)
{
    const struct args *a = s->ctl->args;
    struct child r;
    if (a->fd >= 0) {
        ssize_t n = ask_line(a->fd, s->phrase, ASK_MAX);
        if (n < 0)
            ctl_say("setup: cannot read the pass phrase from descriptor %d: %s", a->fd,
                    strerror(errno));
        s->phrase_n = n > 0 ? (size_t)n : 0;
        return n < 0 ? EXIT_FAILED : 0;
    }
    begin(s, "look");
    int status = run(s, &r);
    if (status)
        return status;
    bool there = says(&r, "there"), encrypted = says(&r, "encrypted");
    child_free(&r);
    if (a->no_phrase || (there && !encrypted))
        return 0;
    return ask_phrase(s, !there);
}

/* ---- What was made */

static int read_file(const char *path, char *out, size_t size)
{
    FILE *in = fopen(path, "re");
    size_t n = in ? fread(out, 1, size - 1, in) : 0;
    out[n] = 0;
    if (in)
        fclose(in);
    return n ? 0 : -1;
}

static void print_json(const struct child *r, const char *pem)
{
    struct ocid_pair pairs[16];
    const char *at = NULL, *value, *name;
    size_t n = 0;
    while (n < 15 && (name = child_next(r, &at, &value)))
        pairs[n++] = (struct ocid_pair){name, value};
    pairs[n++] = (struct ocid_pair){"public_key", pem};
    json_pairs(pairs, n);
}

static int print_made(const struct ctl *ctl, const struct child *r)
{
    char pem[PEM_BYTES];
    const char *file = child_value(r, "public_file"), *config = child_value(r, "config");
    if (!file || read_file(file, pem, sizeof pem)) {
        ctl_say("setup: cannot read '%s' again", file ? file : "the public key");
        return EXIT_FAILED;
    }
    if (ctl->args->json) {
        print_json(r, pem);
        return 0;
    }
    if (config)
        render_pair("configuration", config);
    render_pair("key", child_value(r, "key_file"));
    render_pair("", says(r, "made") ? says(r, "encrypted") ? "new, with a pass phrase" : "new, open"
                                    : "as it was there");
    render_pair("public key", file);
    render_pair("fingerprint", child_value(r, "fingerprint"));
    printf("\nIn the console (https://cloud.oracle.com), once: Profile, My profile, API keys,\n"
           "Add API key, Paste a public key; then paste these lines:\n\n%s\n"
           "It shows a fingerprint, which must be the one above.%s\n",
           pem, config && ctl->args->wait != 1 ? " Then see what is left: ocictl doctor" : "");
    return 0;
}

/* ---- Until the service knows it */

static void nap(uint64_t ms)
{
    struct timespec ts = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    nanosleep(&ts, NULL); /* Ctrl-C ends it */
}

static int unlock(struct setup *s)
{
    const struct ocid_pair *profiles;
    size_t n;
    s->phrase[s->phrase_n] = '\n';
    int fd = ask_pipe(s->phrase, s->phrase_n + 1);
    if (fd < 0) {
        ctl_say("setup: cannot make a pipe: %s", strerror(errno));
        return EXIT_FAILED;
    }
    int rc = ocid_unlock(s->ctl->c, s->profile, fd, 0, CTL_REPLY_MS, &profiles, &n);
    close(fd);
    return rc ? ctl_fail(s->ctl, "setup") : 0;
}

/* One question: OCID_OK and who it is in *ret, or the error. */
static int ask_service(struct setup *s, const struct ocid_status **ret)
{
    struct ocid_job job = ctl_job(s->ctl, OCID_KIND_WHOAMI, NULL);
    struct ocid_query q = ocid_query_of();
    const struct ocid_page *page;
    uint64_t id;
    job.profile = s->profile;
    job.timeout_ms = 0;
    int rc = ocid_submit(s->ctl->c, &job, 1, CTL_REPLY_MS, &id);
    if (!rc)
        rc = ocid_wait(s->ctl->c, &id, 1, -1, NULL, NULL);
    if (rc)
        return rc;
    q.ids = &id;
    q.n_ids = 1;
    rc = ocid_status(s->ctl->c, &q, CTL_REPLY_MS, &page);
    if (!rc)
        *ret = &page->jobs[0];
    return rc;
}

static int await(struct setup *s)
{
    const struct args *a = s->ctl->args;
    const struct ocid_status *who = NULL;
    uint64_t deadline = follow_clock() + args_patience_ms(a, WAIT_MS);
    bool told = false;
    for (int rc; (rc = ask_service(s, &who));) {
        if (rc == OCID_E_DETACHED || ctl_interrupted) {
            ctl_say("setup: interrupted; the files are complete");
            return EXIT_DETACHED;
        }
        if (rc != OCID_E_AUTH && rc != OCID_E_LOGIN)
            return ctl_fail(s->ctl, "setup");
        if (follow_clock() >= deadline) {
            ctl_say("setup: the service does not know the key yet; later: ocictl whoami");
            return EXIT_TIMED_OUT;
        }
        if (!told)
            ctl_note(s->ctl, "waiting until the service knows the key (Ctrl-C to leave): %s",
                     ocid_failure(s->ctl->c)->text);
        told = true;
        nap(AGAIN_MS);
    }
    ctl_print_user(s->ctl, who->outcome);
    return EXIT_OK;
}

static int verify(struct setup *s, bool encrypted)
{
    fflush(stdout); /* what to paste is seen while we wait */
    int status = ctl_open(s->ctl);
    if (status)
        return status;
    if (ocid_reload(s->ctl->c, CTL_REPLY_MS))
        return ctl_fail(s->ctl, "setup");
    if (encrypted)
        status = unlock(s);
    return status ? status : await(s);
}

/* ---- The verbs */

static int make(struct setup *s, bool profile)
{
    struct child r;
    int status = profile ? take_words(s) : 0;
    if (!status)
        status = take_phrase(s);
    if (status)
        return status;
    begin(s, profile ? "setup" : "key");
    if (profile) {
        add(s, "--user", s->user);
        add(s, "--tenancy", s->tenancy);
        add(s, "--region", s->region);
        if (s->ctl->args->overwrite)
            s->words[s->n_words++] = "--overwrite";
        s->words[s->n_words] = NULL;
    }
    status = run(s, &r);
    if (status)
        return status;
    bool encrypted = says(&r, "encrypted");
    status = print_made(s->ctl, &r);
    child_free(&r);
    if (!status && encrypted && profile)
        ctl_note(s->ctl, "ocictl unlock opens the key for ocid, once; Oracle's own tools ask, or "
                         "want pass_phrase in the profile, in clear");
    return !status && profile && s->ctl->args->wait == 1 ? verify(s, encrypted) : status;
}

static int fingerprint(struct setup *s, const char *key)
{
    struct child r;
    const struct args *a = s->ctl->args;
    s->words[0] = "fingerprint";
    s->n_words = 1;
    add(s, "--home", home());
    add(s, "--key-file", key);
    if (a->fd >= 0) {
        int status = take_phrase(s);
        if (status)
            return status;
    }
    int status = run(s, &r);
    if (status == 5 && a->fd < 0 && !a->no_phrase && ask_can() && !s->phrase_n)
        status = ask_phrase(s, false) ? EXIT_USAGE : run(s, &r);
    if (status)
        return status;
    if (a->json)
        json_pairs((struct ocid_pair[]){{"fingerprint", child_value(&r, "fingerprint")},
                                        {"bits", child_value(&r, "bits")}},
                   2);
    else
        printf("%s\n", child_value(&r, "fingerprint"));
    child_free(&r);
    return 0;
}

static int permissions(struct setup *s)
{
    struct child r;
    const char *at = NULL, *path, *name;
    begin(s, "permissions");
    int status = run(s, &r);
    if (status)
        return status;
    while ((name = child_next(&r, &at, &path)))
        if (s->ctl->args->json)
            json_pairs(&(struct ocid_pair){name, path}, 1);
        else
            render_pair(name, path);
    child_free(&r);
    return 0;
}

/* Listing has no object to be compared with: it is allowed for the whole bucket. */
static int policy(struct ctl *ctl, const char *text)
{
    static const char who[] = "Allow group GROUP to ",
                      where[] = "in compartment COMPARTMENT where ";
    struct uri uri;
    int status = ctl_uri(ctl, text, &uri);
    if (status)
        return status;
    if (strpbrk(uri.object, "'*"))
        return ctl_usage(ctl, "setup: a statement cannot have ' or * in a prefix: '%s'", text);
    printf("%sread buckets %starget.bucket.name='%s'\n", who, where, uri.bucket);
    printf("%sinspect objects %starget.bucket.name='%s'\n", who, where, uri.bucket);
    printf("%smanage objects %sall {target.bucket.name='%s', ", who, where, uri.bucket);
    if (*uri.object)
        printf("target.object.name='%s*', ", uri.object);
    printf("any {request.permission='OBJECT_CREATE', request.permission='OBJECT_OVERWRITE', "
           "request.permission='OBJECT_READ', request.permission='OBJECT_INSPECT', "
           "request.permission='OBJECT_DELETE'}}\n");
    return EXIT_OK;
}

static int dispatch(struct setup *s)
{
    const struct args *a = s->ctl->args;
    const char *word = a->n_words ? a->words[0] : "";
    if (!a->n_words)
        return make(s, true);
    if (!strcmp(word, "fingerprint") && a->n_words == 2)
        return fingerprint(s, a->words[1]);
    if (!strcmp(word, "key") && a->n_words == 1)
        return make(s, false);
    if (!strcmp(word, "permissions") && a->n_words == 1)
        return permissions(s);
    if (!strcmp(word, "fingerprint") && a->n_words == 1)
        return ctl_usage(s->ctl,
                         "setup: fingerprint of which key? Name its file, private or public");
    return ctl_usage(s->ctl, "setup: '%s' is not key, fingerprint KEY or permissions",
                     a->words[a->n_words - 1]);
}

int cmd_setup(struct ctl *ctl)
{
    struct setup s = {.ctl = ctl, .profile = ctl->args->profile ? ctl->args->profile : "DEFAULT"};
    if (ctl->args->policy)
        return policy(ctl, ctl->args->policy);
    s.phrase = ask_page();
    if (!s.phrase)
        return EXIT_FAILED;
    int status = dispatch(&s);
    ask_free(s.phrase);
    return status;
}
