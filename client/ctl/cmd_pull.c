/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_pull.c - pull into a file or directory, and cat to standard output.
 *
 * Bytes for standard output come through a pipe of our own; the user's descriptor is never changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/follow.h"

enum { WHAT_BYTES = 1100, ROUND = 256 << 10, POLL_MS = 60000 };

/* ---- cat */

struct stream {
    struct ctl *ctl;
    uint64_t id, request, epoch, since;
    int fd; /* -1: at its end */
    bool splices, final;
    int said;
    struct ocid_failure why; /* code 0: done */
};

static void on_status(void *user, const struct ocid_reply *reply)
{
    struct stream *s = user;
    s->request = 0;
    if (reply->failure) {
        s->why = *reply->failure;
        s->final = true;
        return;
    }
    s->epoch = reply->page->epoch;
    s->since = reply->page->seq;
    for (size_t i = 0; i < reply->page->n_jobs; i++) {
        const struct ocid_status *job = &reply->page->jobs[i];
        s->final = ocid_state_final((int)job->state);
        if (s->final && job->state != OCID_STATE_DONE)
            follow_failure(job, &s->why);
        else if (!s->final)
            follow_say_why(s->ctl, job, &s->said);
    }
}

static int ask(struct stream *s)
{
    struct ocid_query q = ocid_query_of();
    if (s->request || s->final)
        return 0;
    q.ids = &s->id;
    q.n_ids = 1;
    q.epoch = s->epoch;
    q.since = s->since;
    q.wait_ms = POLL_MS;
    return ocid_send_status(s->ctl->c, &q, on_status, s, &s->request);
}

static int write_all(const char *bytes, size_t n)
{
    while (n) {
        ssize_t part = write(STDOUT_FILENO, bytes, n);
        struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
        if (part < 0 && errno == EAGAIN)
            poll(&p, 1, -1); /* somebody else made it so; it stays so */
        else if (part < 0 && errno != EINTR)
            return -1;
        if (ctl_interrupted)
            return -1;
        bytes += part > 0 ? part : 0;
        n -= part > 0 ? (size_t)part : 0;
    }
    return 0;
}

static int say_stdout(void)
{
    if (!ctl_interrupted)
        ctl_say("cannot write to standard output: %s", strerror(errno));
    return EXIT_FAILED;
}

/* What is in the pipe now, from kernel to kernel if both ends can. Exit status. */
static int move_some(struct stream *s)
{
    static char bytes[64 << 10];
    ssize_t n;
    if (s->splices) {
        n = splice(s->fd, NULL, STDOUT_FILENO, NULL, ROUND, SPLICE_F_MOVE);
        if (n < 0 && errno == EINTR)
            return 0;
        s->splices = n >= 0;
        if (n < 0 && (errno == EPIPE || errno == ENOSPC || errno == EIO))
            return say_stdout();
        if (n < 0)
            return 0; /* EINVAL, EAGAIN: by hand from now on */
    } else {
        n = read(s->fd, bytes, sizeof bytes);
        if (n < 0)
            return errno == EINTR ? 0 : say_stdout();
        if (n > 0 && write_all(bytes, (size_t)n))
            return say_stdout();
    }
    if (n == 0) {
        close(s->fd);
        s->fd = -1;
    }
    return 0;
}

static int stream(struct stream *s)
{
    struct ocid *c = s->ctl->c;
    while (s->fd >= 0 || !s->final) {
        if (ctl_interrupted)
            return EXIT_DETACHED;
        if (ask(s))
            return ctl_fail(s->ctl, NULL);
        struct pollfd p[] = {
            {.fd = ocid_fd(c), .events = ocid_events(c)},
            {.fd = s->fd, .events = POLLIN},
        };
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return EXIT_FAILED;
        int status = p[1].revents ? move_some(s) : 0;
        if (status)
            return status;
        if (p[0].revents && ocid_dispatch(c) < 0 && !s->final)
            return ctl_fail(s->ctl, NULL);
        if (s->final && s->why.code && s->fd >= 0 && !p[1].revents) {
            close(s->fd); /* nothing more will come */
            s->fd = -1;
        }
    }
    return 0;
}

static int cat(struct ctl *ctl, const char *text)
{
    char what[WHAT_BYTES];
    struct stream s = {.ctl = ctl, .splices = true};
    struct uri uri;
    int status = ctl_uri(ctl, text, &uri);
    if (status)
        return status;
    struct ocid_job job = ctl_job(ctl, OCID_KIND_GET, &uri);
    snprintf(what, sizeof what, "get '%s'", uri.object);
    job.key = NULL;
    job.n_after = 0;
    job.overwrite = false;
    if (ocid_get_pipe(ctl->c, &job, CTL_REPLY_MS, &s.id, &s.fd))
        return ctl_fail(ctl, what);
    status = stream(&s);
    if (s.request)
        ocid_forget(ctl->c, s.request);
    if (s.fd >= 0)
        close(s.fd);
    if (status && !s.final) /* nobody reads it any more */
        ocid_act(ctl->c, OCID_ACT_CANCEL, &s.id, 1, 1000, NULL);
    if (ctl_interrupted)
        return EXIT_DETACHED;
    return status ? status : s.why.code ? ctl_failed(what, &s.why) : EXIT_OK;
}

static int check_object(const struct ctl *ctl, const char *text)
{
    struct uri uri;
    int status = ctl_uri(ctl, text, &uri);
    if (!status && !uri_is_object(&uri))
        return ctl_usage(ctl, "%s: '%s' names no object", ctl_verbs[ctl->args->verb].name, text);
    return status;
}

int cmd_cat(struct ctl *ctl)
{
    const struct args *a = ctl->args;
    int status = 0, worst = 0;
    for (int i = 0; i < a->n_words && !status; i++)
        status = check_object(ctl, a->words[i]);
    if (!status)
        status = ctl_open(ctl);
    if (status)
        return status;
    for (int i = 0; i < a->n_words && worst != EXIT_DETACHED; i++) {
        status = cat(ctl, a->words[i]);
        worst = !worst || status == EXIT_DETACHED ? status : worst;
    }
    return worst;
}

/* ---- pull */

static bool ends_in_slash(const char *path)
{
    size_t n = strlen(path);
    return n && path[n - 1] == '/';
}

/* A name from the URI becomes a file's: it must be one. */
static const char *file_name(const char *object)
{
    const char *name = ctl_base(object);
    return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strlen(name) <= 255 ? name
                                                                                             : NULL;
}

/* What can be known before anything is sent. Exit status. */
static int check_file(const struct ctl *ctl, const char *path)
{
    struct stat st;
    char *dir = ctl_copy(path), *slash = strrchr(dir, '/');
    slash[slash == dir] = 0;
    int status = 0;
    if (!ctl_is_dir(dir)) {
        ctl_say("pull: there is no directory '%s'; make it first", dir);
        status = ocid_error_exit(OCID_E_DESTINATION);
    } else if (ctl_is_dir(path)) {
        ctl_say("pull: '%s' is a directory", path);
        status = ocid_error_exit(OCID_E_DESTINATION);
    } else if (!ctl->args->overwrite && !lstat(path, &st)) {
        ctl_say("pull: '%s' exists already; to replace it: --overwrite", path);
        status = ocid_error_exit(OCID_E_EXISTS);
    }
    free(dir);
    return status;
}

static int pull_file(struct ctl *ctl, const struct uri *uri, const char *dest)
{
    char what[WHAT_BYTES];
    struct ocid_job job = ctl_job(ctl, OCID_KIND_GET, uri);
    const char *name = file_name(uri->object);
    uint64_t id;
    char *path;
    if (!*dest || ctl_is_dir(dest) || ends_in_slash(dest)) {
        if (!name)
            return ctl_usage(ctl, "pull: '%s' makes no file name: name one behind the URI",
                             uri->object);
        char *joined = ctl_printf("%s/%s", *dest ? dest : ".", name);
        path = ctl_absolute(joined);
        free(joined);
    } else {
        path = ctl_absolute(dest);
    }
    int status = check_file(ctl, path);
    job.dest = path;
    snprintf(what, sizeof what, "get '%s'", uri->object);
    if (!status)
        status = ctl_submit(ctl, &job, what, &id);
    free(path);
    return status ? status : ctl_finish(ctl, &id, 1, ctl_watched(ctl));
}

static int pull_prefix(struct ctl *ctl, const struct uri *uri, const char *dest)
{
    char what[WHAT_BYTES];
    struct ocid_job job = ctl_job(ctl, OCID_KIND_PULL, uri);
    char *path = ctl_absolute(*dest ? dest : ".");
    uint64_t id;
    int sys = ctl_make_dirs(path, 0777), status = 0;
    if (!sys && !ctl_is_dir(path))
        sys = ENOTDIR;
    if (sys) {
        ctl_say("pull: cannot make the directory '%s': %s", path, strerror(sys));
        status = ocid_error_exit(OCID_E_DESTINATION);
    }
    job.dest = path;
    snprintf(what, sizeof what, "pull '%s'", *uri->object ? uri->object : uri->bucket);
    if (!status)
        status = ctl_submit(ctl, &job, what, &id);
    free(path);
    return status ? status : ctl_finish(ctl, &id, 1, ctl_watched(ctl));
}

int cmd_pull(struct ctl *ctl)
{
    const struct args *a = ctl->args;
    const char *dest = a->n_words > 1 ? a->words[1] : "";
    struct uri uri;
    if (!uri_is(a->words[0]))
        return ctl_usage(ctl, "pull: '%s' is not of the form oci://bucket/object%s", a->words[0],
                         a->n_words > 1 && uri_is(dest) ? " (to upload: push)" : "");
    if (uri_is(dest))
        return ctl_usage(ctl, "pull: the destination '%s' must be a local path", dest);
    int status = ctl_uri(ctl, a->words[0], &uri);
    if (status)
        return status;
    if (!a->recursive && (uri_is_below(&uri) || !uri_is_object(&uri)))
        return ctl_usage(ctl,
                         "pull: '%s' names no single object; everything below it: "
                         "--recursive (-r)",
                         a->words[0]);
    if (a->recursive && (a->if_match || a->version_id))
        return ctl_usage(ctl, "pull: --if-match and --version-id are for one object");
    if (!strcmp(dest, "-") && (a->recursive || a->key || a->n_after || a->wait == 0))
        return ctl_usage(ctl, "pull: to standard output goes one object, now");
    status = ctl_open(ctl);
    if (status)
        return status;
    if (!strcmp(dest, "-"))
        return cat(ctl, a->words[0]);
    return a->recursive ? pull_prefix(ctl, &uri, dest) : pull_file(ctl, &uri, dest);
}
