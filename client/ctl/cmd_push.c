/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_push.c - push: one file, several, directories, or standard input.
 *
 * One file is one job. Whatever may be several is a set, which is sealed when all was found.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/batch.h"
#include "ctl/follow.h"
#include "ctl/json.h"
#include "ctl/mime.h"
#include "ctl/pump.h"
#include "ctl/walk.h"
#include "proto/text.h"

enum { OBJECT_BYTES = 1024 + 1, KEY_MAX = 128, LABEL_MAX = 128 };

struct push {
    struct ctl *ctl;
    struct uri uri;
    struct batch *batch;
    char prefix[OBJECT_BYTES]; /* of the names below the directory at hand */
    uint64_t n_skipped;
};

/* ---- One upload */

/* Everything but the source, the object and the metadata. */
static void dress(const struct args *a, struct ocid_job *job, const char *name)
{
    job->content_type = a->content_type ? a->content_type : mime_type(NULL, name);
    job->content_encoding = a->content_encoding;
    job->content_language = a->content_language;
    job->content_disposition = a->content_disposition;
    job->cache_control = a->cache_control;
    job->storage_tier = a->tier;
    job->if_absent = a->if_absent;
    job->part_bytes = a->part_bytes;
}

/* The pairs of the command line, and the file's time unless they say one. */
static size_t add_pairs(const struct args *a, struct ocid_pair *pairs, const char *mtime)
{
    size_t n = a->n_pairs;
    memcpy(pairs, a->pairs, n * sizeof *pairs);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(pairs[i].key, "mtime-ns"))
            return n;
    if (mtime && n < ARGS_PAIRS_MAX)
        pairs[n++] = (struct ocid_pair){"mtime-ns", mtime};
    return n;
}

static void join(char *out, size_t size, const char *a, const char *b)
{
    oc_text_join(out, size, a, b, "");
}

/* Object of a single source: the URI's, or its prefix and the file's name. Exit status. */
static int object_of(const struct ctl *ctl, const struct uri *uri, const char *path,
                     char out[OBJECT_BYTES])
{
    int odd = 0;
    if (!uri_is_below(uri))
        join(out, OBJECT_BYTES, uri->object, "");
    else
        odd = walk_name(uri->object, ctl_base(path), out, OBJECT_BYTES);
    if (odd < 0) {
        ctl_say("put '%s': the object name would be longer than 1024 bytes", path);
        return ocid_error_exit(OCID_E_NAME);
    }
    if (odd)
        ctl_note(ctl, "'%s' is not a name that an object can have; it is named '%s'", path, out);
    return 0;
}

static int submit_one(struct ctl *ctl, const struct ocid_job *job, bool wait)
{
    char what[OBJECT_BYTES + 16];
    uint64_t id;
    snprintf(what, sizeof what, "put '%s'", job->object);
    int status = ctl_submit(ctl, job, what, &id);
    return status ? status : ctl_finish(ctl, &id, 1, wait);
}

static int push_file(struct ctl *ctl, const struct uri *uri, const char *source)
{
    char object[OBJECT_BYTES], mtime[32], *path = ctl_absolute(source);
    struct ocid_pair pairs[ARGS_PAIRS_MAX + 1];
    struct ocid_job job = ctl_job(ctl, OCID_KIND_PUT, uri);
    struct ocid_failure why;
    int status = object_of(ctl, uri, path, object);
    if (!status && ocid_source(&job, path, -1, &why))
        status = ctl_failed("push", &why);
    if (!status) {
        dress(ctl->args, &job, path);
        snprintf(mtime, sizeof mtime, "%" PRId64, job.mtime_ns);
        job.object = object;
        job.n_metadata = add_pairs(ctl->args, pairs, mtime);
        job.metadata = pairs;
        status = submit_one(ctl, &job, ctl_watched(ctl));
    }
    free(path);
    return status;
}

static int push_stdin(struct ctl *ctl, const struct uri *uri)
{
    char what[OBJECT_BYTES + 16];
    struct ocid_pair pairs[ARGS_PAIRS_MAX + 1];
    struct ocid_job job = ctl_job(ctl, OCID_KIND_PUT, uri);
    static struct pump pump; /* its thread may outlive the call */
    sigset_t interrupt;
    uint64_t id;
    int rc = pump_begin(&pump, STDIN_FILENO);
    if (rc) {
        ctl_say("push: cannot read standard input: %s", strerror(rc));
        return EXIT_FAILED;
    }
    job.fd = pump.fd;
    job.size = ctl->args->size;
    dress(ctl->args, &job, uri->object);
    job.spool = true;
    job.n_metadata = add_pairs(ctl->args, pairs, NULL);
    job.metadata = pairs;
    snprintf(what, sizeof what, "put '%s'", job.object);
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, NULL); /* without its id nobody could cancel it */
    int status = ctl_submit(ctl, &job, what, &id);
    sigprocmask(SIG_UNBLOCK, &interrupt, NULL);
    close(pump.fd);
    close(STDIN_FILENO); /* or else whoever writes would not see the daemon close the pipe */
    if (!status)
        status = follow_read(ctl, id);
    if (pump.error) {
        ctl_say("push: cannot read standard input: %s", strerror(pump.error));
        return EXIT_FAILED;
    }
    return status ? status : ctl_finish(ctl, &id, 1, ctl_watched(ctl));
}

/* ---- A set */

/* The same file gets the same key again: FNV-1a, twice. */
static void member_key(const char *key, const char *object, char out[KEY_MAX + 1])
{
    uint64_t a = 0xcbf29ce484222325u, b = 0x84222325cbf29ce4u;
    for (const unsigned char *p = (const unsigned char *)object; *p; p++) {
        a = (a ^ *p) * 0x100000001b3u;
        b = (b ^ *p ^ 0x5a) * 0x100000001b3u;
    }
    snprintf(out, KEY_MAX + 1, "%.90s:%016" PRIx64 "%016" PRIx64, key, a, b);
}

static void on_skip(void *user, const char *path, const char *why, bool lost)
{
    struct push *p = user;
    if (lost) {
        ctl_say("push '%s': %s", path, why);
        p->batch->n_lost++;
    } else {
        ctl_note(p->ctl, "'%s': %s", path, why);
        p->n_skipped++;
    }
}

static int add_file(struct push *p, const char *path, const char *object)
{
    struct batch *b = p->batch;
    const struct args *a = p->ctl->args;
    struct ocid_failure why;
    char mtime[32], key[KEY_MAX + 1] = "";
    if (ctl_interrupted)
        return b->status = EXIT_DETACHED;
    if (batch_room(b))
        return b->status;
    struct ocid_job *job = &b->jobs[b->n];
    *job = ctl_job(p->ctl, OCID_KIND_PUT, &p->uri);
    if (ocid_source(job, batch_text(b, path), -1, &why)) {
        ctl_failed("push", &why);
        b->n_lost++;
        return 0;
    }
    dress(a, job, path);
    job->object = batch_text(b, object);
    snprintf(mtime, sizeof mtime, "%" PRId64, job->mtime_ns);
    job->n_metadata = add_pairs(a, b->pairs[b->n], batch_text(b, mtime));
    if (a->key) {
        member_key(a->key, object, key);
        job->key = batch_text(b, key);
    }
    b->bytes += job->size;
    batch_add(b);
    return 0;
}

static int on_file(void *user, const char *path, const char *below)
{
    struct push *p = user;
    char object[OBJECT_BYTES];
    int odd = walk_name(p->prefix, below, object, sizeof object);
    if (odd < 0) {
        on_skip(p, path, "the object name would be longer than 1024 bytes", true);
        return 0;
    }
    if (odd)
        ctl_note(p->ctl, "'%s' is not a name that an object can have; it is named '%s'", path,
                 object);
    return add_file(p, path, object);
}

/* What stands before the names below a directory: of a single one the prefix alone, as with
 * `rsync dir/`; of several each keeps its own name. */
static int set_prefix(struct push *p, const char *path, bool several)
{
    char below[OBJECT_BYTES];
    const char *object = p->uri.object;
    size_t n = strlen(object);
    int odd = walk_name("", several ? ctl_base(path) : "", below, sizeof below);
    const char *slash = n && object[n - 1] != '/' ? "/" : "";
    if (odd < 0 || n + strlen(below) + 3 > sizeof p->prefix)
        return -1;
    oc_text_join(p->prefix, sizeof p->prefix, object, slash, below);
    if (*below)
        oc_text_join(p->prefix + strlen(p->prefix), 2, "/", "", "");
    return 0;
}

static int add_source(struct push *p, const char *source, bool several)
{
    const struct args *a = p->ctl->args;
    struct walk w = {(enum links)a->links, on_file, on_skip, p};
    char *path = ctl_absolute(source);
    struct stat st;
    int rc = 0;
    if (stat(path, &st)) {
        on_skip(p, path, strerror(errno), true);
    } else if (!S_ISDIR(st.st_mode)) {
        join(p->prefix, sizeof p->prefix, p->uri.object, "");
        rc = on_file(p, path, ctl_base(path));
    } else if (!a->recursive) {
        on_skip(p, path, "a directory: add --recursive (-r)", true);
    } else if (set_prefix(p, path, several)) {
        on_skip(p, path, "the object names would be longer than 1024 bytes", true);
    } else {
        rc = walk_run(&w, path);
    }
    free(path);
    return rc;
}

static int say_incomplete(const struct push *p)
{
    const struct batch *b = p->batch;
    if (b->status == EXIT_DETACHED)
        ctl_say("interrupted");
    if (b->set)
        ctl_say("set %" PRIu64 " is not complete: %" PRIu64
                " files are queued and go on%s; to drop "
                "it: ocictl cancel %" PRIu64,
                b->set, b->n_taken,
                p->ctl->args->key ? ", the same command again adds the rest" : "", b->set);
    return b->status;
}

static int finish_set(struct push *p)
{
    struct ctl *ctl = p->ctl;
    struct batch *b = p->batch;
    int status = 0;
    if (batch_flush(b))
        return say_incomplete(p);
    if (b->set && ocid_act(ctl->c, OCID_ACT_SEAL, &b->set, 1, CTL_REPLY_MS, NULL)) {
        b->status = ctl_fail(ctl, "seal the set");
        return say_incomplete(p);
    }
    if (!b->set) {
        ctl_note(ctl, "push: no file was found");
        return b->n_lost ? EXIT_FAILED : EXIT_OK;
    }
    if (ctl->args->wait == 1 || (ctl->args->wait < 0 && ctl_watched(ctl)))
        status = follow_wait(ctl, &b->set, 1, UINT64_MAX);
    else if (ctl->args->json)
        json_id(b->set, b->n_taken);
    else
        printf("%" PRIu64 "\n", b->set);
    return status ? status : b->n_lost ? EXIT_SOME : EXIT_OK;
}

/* What status shows of a set that has no label. The caller frees. */
static char *label_of(char **sources, int n, const char *uri)
{
    char *out = n > 1 ? ctl_printf("push %d sources to %s", n, uri)
                      : ctl_printf("push %s to %s", sources[0], uri);
    char *name = ctl_alloc(LABEL_MAX + 1);
    size_t at = 0, len;
    for (size_t i = 0; at < LABEL_MAX && out[i]; i += len ? len : 1) {
        len = oc_utf8_len(out + i, strlen(out + i));
        if (at + (len ? len : 1) > LABEL_MAX)
            break;
        memcpy(name + at, len ? out + i : "?", len ? len : 1);
        at += len ? len : 1;
    }
    free(out);
    return name;
}

static int push_set(struct ctl *ctl, const struct uri *uri, char **sources, int n)
{
    struct push p = {.ctl = ctl, .uri = *uri, .batch = ctl_alloc(sizeof *p.batch)};
    struct ocid_job set = ctl_job(ctl, OCID_KIND_SET, NULL);
    char *label = label_of(sources, n, ctl->args->words[n]);
    int status = 0;
    set.label = set.label ? set.label : label;
    set.after = NULL; /* its members wait */
    set.n_after = 0;
    set.if_match = NULL;
    batch_init(p.batch, ctl, &set);
    for (int i = 0; i < n && !status; i++)
        status = add_source(&p, sources[i], n > 1);
    status = status ? say_incomplete(&p) : finish_set(&p);
    batch_fini(p.batch);
    free(p.batch);
    free(label);
    return status;
}

/* ---- What is meant */

static int check(const struct ctl *ctl, const struct uri *uri, char **sources, int n)
{
    const struct args *a = ctl->args;
    bool dir = false;
    for (int i = 0; i < n; i++) {
        if (uri_is(sources[i]))
            return ctl_usage(ctl, "push: the source '%s' must be a local file (to download: pull)",
                             sources[i]);
        if (!*sources[i])
            return ctl_usage(ctl, "push: an empty source");
        if (!strcmp(sources[i], "-") && n > 1)
            return ctl_usage(ctl, "push: '-' (standard input) must be the only source");
        dir = dir || ctl_is_dir(sources[i]);
        if (!a->recursive && ctl_is_dir(sources[i]))
            return ctl_usage(ctl, "push: '%s' is a directory: add --recursive (-r)", sources[i]);
    }
    if (!strcmp(sources[0], "-") && (uri_is_below(uri) || !uri_is_object(uri)))
        return ctl_usage(ctl, "push: standard input has no name: end the URI with the object's");
    if (n > 1 && !uri_is_below(uri))
        return ctl_usage(ctl, "push: several sources go below a prefix: end the URI with '/'");
    if (a->size && strcmp(sources[0], "-") != 0)
        return ctl_usage(ctl, "push: --size is for standard input ('-'): files have theirs");
    if ((n > 1 || dir) && a->if_match)
        return ctl_usage(ctl, "push: --if-match is for one object");
    if ((n > 1 || dir) && a->key && strlen(a->key) > 90)
        return ctl_usage(ctl, "push: a --key for several files has at most 90 bytes");
    return 0;
}

int cmd_push(struct ctl *ctl)
{
    const struct args *a = ctl->args;
    int n = a->n_words - 1;
    struct uri uri;
    if (!uri_is(a->words[n]))
        return ctl_usage(ctl, "push: where to? '%s' is not of the form oci://bucket/object",
                         a->words[n]);
    int status = ctl_uri(ctl, a->words[n], &uri);
    if (!status)
        status = check(ctl, &uri, a->words, n);
    if (!status)
        status = ctl_open(ctl);
    if (status)
        return status;
    if (!strcmp(a->words[0], "-"))
        return push_stdin(ctl, &uri);
    if (n > 1 || ctl_is_dir(a->words[0]))
        return push_set(ctl, &uri, a->words, n);
    return push_file(ctl, &uri, a->words[0]);
}
