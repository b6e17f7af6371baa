/* SPDX-License-Identifier: Apache-2.0
 *
 * child.c - our own programs, started to be asked one thing: ocid-signer, which alone knows keys
 * and profiles, and ocid, which knows its settings.
 *
 * So libcrypto costs nothing to those who only talk to the daemon, and no key is ever in this
 * process. What ocid-signer says is in daemon/signer/tool.h.
 */
#include "ctl/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/ctl.h"

enum { TEXT_MAX = 1 << 20, STEP = 4096 };

/* Our own program's directory; "" when /proc is not there. */
static void find_self(char out[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
    out[n > 0 ? n : 0] = 0;
    char *slash = strrchr(out, '/');
    if (slash)
        *slash = 0;
}

static bool find_in(const char *dir, const char *below, const char *name, char out[PATH_MAX])
{
    int n = snprintf(out, PATH_MAX, "%s/%s%s", dir, below, name);
    return n < PATH_MAX && !access(out, X_OK);
}

void child_find_ocid(char out[PATH_MAX])
{
    char self[PATH_MAX];
    find_self(self);
    if (!find_in(self, "", "ocid", out))
        snprintf(out, PATH_MAX, "ocid");
}

/* Beside ourselves, else in the libexec directory as it lies from there: as the daemon looks. */
static void find_signer(char out[PATH_MAX])
{
    char self[PATH_MAX];
    find_self(self);
    if (!find_in(self, "", "ocid-signer", out))
        find_in(self, OCID_LIBEXECDIR "/", "ocid-signer", out);
}

static void become(const char *program, char *const *argv, const int in[2], const int out[2],
                   bool errors)
{
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    if (errors)
        dup2(out[1], STDERR_FILENO);
    close_range(3, ~0u, 0);
    execvp(program, argv);
    _exit(127);
}

static void read_all(int fd, struct child *s)
{
    for (size_t room = 0; s->n < TEXT_MAX;) {
        if (room < s->n + STEP + 1) {
            room = 2 * room + STEP + 1;
            s->text = ctl_grow(s->text, room);
        }
        ssize_t got = read(fd, s->text + s->n, room - s->n - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        s->n += (size_t)got;
    }
    s->text[s->n] = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->text[i] == '\t' || s->text[i] == '\n')
            s->text[i] = 0;
}

static int reap(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return EXIT_FAILED;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

static int talk(const char *program, char *const *argv, const char *phrase, size_t n, bool errors,
                struct child *s)
{
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC))
        return -1;
    if (pipe2(out, O_CLOEXEC)) {
        close(in[0]);
        close(in[1]);
        return -1;
    }
    pid_t pid = fork();
    if (!pid)
        become(program, argv, in, out, errors);
    close(in[0]);
    close(out[1]);
    if (pid > 0) {
        signal(SIGPIPE, SIG_IGN);
        (void)!write(in[1], phrase, n); /* far shorter than a pipe is deep; else it says so */
    }
    close(in[1]);
    if (pid > 0) {
        read_all(out[0], s);
        s->status = reap(pid);
        signal(SIGPIPE, SIG_DFL);
    }
    close(out[0]);
    return pid > 0 ? 0 : -1;
}

static int run(const char *program, const char *const *words, const char *phrase, size_t n,
               bool errors, struct child *ret)
{
    const char *argv[32] = {program};
    *ret = (struct child){0};
    for (size_t i = 0; words[i] && i < sizeof argv / sizeof *argv - 2; i++)
        argv[1 + i] = words[i];
    fflush(NULL);
    return talk(program, (char *const *)argv, phrase, n, errors, ret);
}

int child_signer(const char *const *words, const char *phrase, size_t n, struct child *ret)
{
    char program[PATH_MAX];
    find_signer(program);
    if (run(program, words, phrase, n, false, ret)) {
        ctl_say("cannot start '%s': %s", program, strerror(errno));
        return EXIT_FAILED;
    }
    if (ret->status == 127 || (ret->status && !child_value(ret, "error"))) {
        ctl_say("'%s' %s; install the same version of ocid-signer and ocictl", program,
                ret->status == 127 ? "cannot be run" : "has failed");
        child_free(ret);
        return EXIT_FAILED;
    }
    return 0;
}

int child_ocid(const char *const *words, struct child *ret)
{
    char program[PATH_MAX];
    child_find_ocid(program);
    if (!run(program, words, "", 0, true, ret) && ret->status != 127)
        return 0;
    child_free(ret);
    return -1;
}

void child_free(struct child *s)
{
    free(s->text);
    s->text = NULL;
}

const char *child_next(const struct child *s, const char **at, const char **ret_value)
{
    const char *name = *at ? *at : s->text, *end = s->text + s->n;
    if (name >= end)
        return NULL;
    *ret_value = name + strlen(name) + 1;
    if (*ret_value >= end)
        return NULL;
    *at = *ret_value + strlen(*ret_value) + 1;
    return name;
}

const char *child_value(const struct child *s, const char *name)
{
    const char *at = NULL, *value, *found;
    while ((found = child_next(s, &at, &value)))
        if (!strcmp(found, name))
            return value;
    return NULL;
}
