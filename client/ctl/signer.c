/* SPDX-License-Identifier: Apache-2.0
 *
 * signer.c - asks the program ocid-signer, which alone knows keys and profiles, as a child.
 *
 * So libcrypto costs nothing to those who only talk to the daemon, and no key is ever in this
 * process. What it says is in daemon/signer/tool.h.
 */
#include "ctl/signer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/ctl.h"

enum { TEXT_MAX = 1 << 20, STEP = 4096 };

/* Beside ourselves, else the installed one. */
static void find_program(char out[PATH_MAX])
{
    static const char name[] = "ocid-signer", installed[] = OCID_LIBEXECDIR "/ocid-signer";
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - sizeof name);
    out[n > 0 ? n : 0] = 0;
    char *slash = strrchr(out, '/');
    if (slash) {
        memcpy(slash + 1, name, sizeof name);
        if (!access(out, X_OK))
            return;
    }
    memcpy(out, installed, sizeof installed);
}

static void become(const char *program, char *const *argv, const int in[2], const int out[2])
{
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    close_range(3, ~0u, 0);
    execv(program, argv);
    _exit(127);
}

static void read_all(int fd, struct signer *s)
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

static int talk(const char *program, char *const *argv, const char *phrase, size_t n,
                struct signer *s)
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
        become(program, argv, in, out);
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

int signer_run(const char *const *words, const char *phrase, size_t n, struct signer *ret)
{
    char program[PATH_MAX];
    const char *argv[32] = {"ocid-signer"};
    *ret = (struct signer){0};
    for (size_t i = 0; words[i] && i < sizeof argv / sizeof *argv - 2; i++)
        argv[1 + i] = words[i];
    find_program(program);
    fflush(NULL);
    if (talk(program, (char *const *)argv, phrase, n, ret)) {
        ctl_say("cannot start '%s': %s", program, strerror(errno));
        return EXIT_FAILED;
    }
    if (ret->status == 127 || (ret->status && !signer_value(ret, "error"))) {
        ctl_say("'%s' %s; install the same version of ocid-signer and ocictl", program,
                ret->status == 127 ? "cannot be run" : "has failed");
        signer_free(ret);
        return EXIT_FAILED;
    }
    return 0;
}

void signer_free(struct signer *s)
{
    free(s->text);
    s->text = NULL;
}

const char *signer_next(const struct signer *s, const char **at, const char **ret_value)
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

const char *signer_value(const struct signer *s, const char *name)
{
    const char *at = NULL, *value, *found;
    while ((found = signer_next(s, &at, &value)))
        if (!strcmp(found, name))
            return value;
    return NULL;
}
