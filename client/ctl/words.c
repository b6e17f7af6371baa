/* SPDX-License-Identifier: Apache-2.0
 *
 * words.c - what every command needs: words on stderr, the connection, Ctrl-C, memory, paths.
 *
 * One thread; the handler of Ctrl-C does nothing but ocid_interrupt().
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ocid/version.h"
#include "proto/text.h"

enum { HELLO_LEAST_MS = 1000, HELLO_MOST_MS = 10000 };

/* ---- Words */

static void say(const char *fmt, va_list ap)
{
    char raw[6000], line[8000];
    vsnprintf(raw, sizeof raw, fmt, ap);
    oc_text_escape(raw, strlen(raw), line, sizeof line);
    fprintf(stderr, "ocictl: %s\n", line);
}

void ctl_say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
}

void ctl_note(const struct ctl *ctl, const char *fmt, ...)
{
    va_list ap;
    if (ctl->args->quiet)
        return;
    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
}

/* The daemon's sentence often names the object, too: once is enough. */
static const char *without_name(const char *line)
{
    const char *end = strncmp(line, "object '", 8) ? NULL : strstr(line, "': ");
    return end ? end + 3 : line;
}

int ctl_failed(const char *what, const struct ocid_failure *why)
{
    char line[1024];
    ocid_failure_print(why, line, sizeof line);
    size_t n = what ? strlen(what) : 0;
    if (!what || !strncmp(line, what, n))
        ctl_say("%s", line);
    else
        ctl_say("%s: %s", what, n && what[n - 1] == '\'' ? without_name(line) : line);
    return ocid_error_exit(why->code);
}

int ctl_fail(struct ctl *ctl, const char *what)
{
    return ctl_failed(what, ocid_failure(ctl->c));
}

int ctl_usage(const struct ctl *ctl, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
    if (ctl)
        fprintf(stderr, "Try: ocictl help %s\n", ctl_verbs[ctl->args->verb].name);
    return EXIT_USAGE;
}

/* ---- The connection */

volatile sig_atomic_t ctl_interrupted;
static struct ocid *volatile caught;

static void on_interrupt(int sig)
{
    (void)sig;
    ctl_interrupted = 1;
    if (caught)
        ocid_interrupt(caught);
}

void ctl_catch(struct ctl *ctl)
{
    struct sigaction act = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    caught = ctl->c;
    sigaction(SIGINT, &act, NULL);
}

int ctl_hello_ms(uint64_t left_ms)
{
    if (left_ms > HELLO_MOST_MS)
        return HELLO_MOST_MS;
    return left_ms > HELLO_LEAST_MS ? (int)left_ms : HELLO_LEAST_MS;
}

int ctl_open(struct ctl *ctl)
{
    struct ocid_options o = ocid_options_of();
    struct ocid_failure why;
    o.socket = ctl->args->socket;
    o.software = "ocictl " OCID_VERSION;
    if (!ocid_open(&o, ctl_hello_ms(args_patience_ms(ctl->args, UINT64_MAX)), &ctl->c, &why)) {
        ctl_catch(ctl);
        return 0;
    }
    if (why.code == OCID_E_NO_DAEMON) {
        ctl_say("%s; start it with: %s%s", why.text, ocid_error_mend(why.code),
                ctl->args->socket ? "" : " (or: systemctl --user start ocid.socket)");
        return EXIT_NO_DAEMON;
    }
    int status = ctl_failed(NULL, &why);
    return why.code == OCID_E_TIMED_OUT ? EXIT_NO_DAEMON : status;
}

int ctl_detached(const uint64_t *ids, size_t n)
{
    char list[128] = "";
    size_t at = 0;
    for (size_t i = 0; i < n && i < 4; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, " %llu", (unsigned long long)ids[i]);
    if (n > 4)
        snprintf(list + at, sizeof list - at, " ...");
    if (n)
        ctl_say("detached: %s%s %s; follow with: ocictl wait%s", n > 1 ? "jobs" : "job", list,
                n > 1 ? "go on" : "goes on", list);
    else
        ctl_say("interrupted");
    return EXIT_DETACHED;
}

int ctl_end(int status)
{
    if (!fflush(stdout) && !ferror(stdout))
        return status;
    if (errno == EPIPE)
        return status ? status : EXIT_FAILED; /* the reader knows */
    ctl_say("cannot write to standard output: %s", strerror(errno));
    return status ? status : EXIT_FAILED;
}

/* ---- Memory */

void *ctl_alloc(size_t n)
{
    void *p = calloc(1, n ? n : 1);
    if (!p) {
        fputs("ocictl: out of memory\n", stderr);
        exit(EXIT_FAILED);
    }
    return p;
}

void *ctl_grow(void *p, size_t n)
{
    void *more = realloc(p, n);
    if (!more) {
        fputs("ocictl: out of memory\n", stderr);
        exit(EXIT_FAILED);
    }
    return more;
}

char *ctl_copy(const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(ctl_alloc(n), s, n);
}

char *ctl_printf(const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *out = ctl_alloc((size_t)n + 1);
    vsnprintf(out, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return out;
}

/* ---- Paths */

/* ".." stays: what it means depends on links. */
char *ctl_absolute(const char *path)
{
    char *cwd = *path == '/' ? ctl_copy("") : getcwd(NULL, 0);
    if (!cwd)
        cwd = ctl_copy(""); /* the directory was removed: the daemon will say what is not there */
    char *out = ctl_alloc(strlen(cwd) + strlen(path) + 3);
    size_t at = strlen(cwd);
    memcpy(out, cwd, at);
    if (at == 1)
        at = 0; /* "/" */
    free(cwd);
    while (*path) {
        size_t n = strcspn(path, "/");
        if (n && !(n == 1 && *path == '.')) {
            out[at++] = '/';
            memcpy(out + at, path, n);
            at += n;
        }
        path += n;
        while (*path == '/')
            path++;
    }
    if (!at)
        out[at++] = '/';
    out[at] = 0;
    return out;
}

const char *ctl_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool ctl_is_dir(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* mkdir() of what is there may fail for many reasons: a read-only parent, say. */
static int make_dir(const char *path, unsigned mode)
{
    int sys = mkdir(path, mode) ? errno : 0;
    return sys && sys != EEXIST && !ctl_is_dir(path) ? sys : 0;
}

int ctl_make_dirs(char *path, unsigned mode)
{
    int sys = 0;
    for (char *at = path + 1; *at && !sys; at++)
        if (*at == '/') {
            *at = 0;
            sys = make_dir(path, mode);
            *at = '/';
        }
    return sys ? sys : make_dir(path, mode);
}
