/* SPDX-License-Identifier: Apache-2.0
 *
 * start.c - start and stop the user's own daemon, where nobody else does.
 *
 * Whoever holds the lock file beside the socket starts it; the others wait for the lock and find it
 * running. Its stderr goes to a log, whose last lines say why if it does not come up.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ctl/child.h"
#include "ctl/ctl.h"
#include "ctl/follow.h"
#include "ctl/json.h"
#include "ocid/version.h"
#include "proto/paths.h"
#include "proto/text.h"

enum {
    START_MS = 15000,
    STOP_MS = 45000,
    STEP_MS = 10,
    TELL_BYTES = 4096,
    TELL_LINES = 5,
    LOG_BYTES = 8 << 20,
};

struct start {
    struct ctl *ctl;
    char socket[PATH_MAX];
    char log[PATH_MAX];
    uint64_t deadline;
    off_t log_from;
    int lock;
};

static void nap(void)
{
    struct timespec ts = {0, STEP_MS * 1000000L};
    nanosleep(&ts, NULL);
}

/* ---- Where */

/* The user's own, even where one of the system listens. */
static int find_socket(struct start *s)
{
    char own[OCP_SOCKET_MAX];
    struct oc_err err;
    if (s->ctl->args->socket) {
        char *path = ctl_absolute(s->ctl->args->socket);
        snprintf(s->socket, sizeof s->socket, "%s", path);
        free(path);
        return 0;
    }
    if (ocp_socket_make(own, sizeof own, &err)) {
        ctl_say("%s", err.text);
        return oc_err_exit(err.code);
    }
    snprintf(s->socket, sizeof s->socket, "%s", own);
    return 0;
}

static uint64_t deadline_of(const struct args *a, uint64_t otherwise_ms)
{
    uint64_t now = follow_clock(), ms = args_patience_ms(a, otherwise_ms);
    return ms < UINT64_MAX - now ? now + ms : UINT64_MAX;
}

static uint64_t left_ms(const struct start *s)
{
    uint64_t now = follow_clock();
    return s->deadline > now ? s->deadline - now : 0;
}

static int connect_own(struct start *s, struct ocid_failure *why)
{
    struct ocid_options o = ocid_options_of();
    o.socket = s->socket;
    o.software = "ocictl " OCID_VERSION;
    return ocid_open(&o, ctl_hello_ms(left_ms(s)), &s->ctl->c, why);
}

static bool absent(int code)
{
    return code == OCID_E_NO_DAEMON || code == OCID_E_STOPPING;
}

/* Who listens there; 0: nobody, or not the daemon itself but systemd. */
static pid_t listener(const char *socket_path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct ucred peer = {0};
    socklen_t n = sizeof peer;
    char path[64], name[32] = "";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    oc_text_join(to.sun_path, sizeof to.sun_path, socket_path, "", "");
    if (fd >= 0 && !connect(fd, (struct sockaddr *)&to, sizeof to))
        (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n);
    if (fd >= 0)
        close(fd);
    snprintf(path, sizeof path, "/proc/%d/comm", (int)peer.pid);
    FILE *f = peer.pid > 0 ? fopen(path, "re") : NULL;
    if (f && !fgets(name, sizeof name, f))
        *name = 0;
    if (f)
        fclose(f);
    return strcmp(name, "ocid\n") ? 0 : peer.pid;
}

/* Why the daemon that is there cannot be spoken to; of one that hangs also what ends it. */
static int unheard(const struct start *s, const char *verb, const struct ocid_failure *why)
{
    pid_t pid = why->code == OCID_E_TIMED_OUT ? listener(s->socket) : 0;
    if (!pid)
        return ctl_failed(verb, why);
    ctl_say("%s: the daemon (process %d) does not answer; its queue is safe on disk: kill -9 %d, "
            "then: ocictl start",
            verb, (int)pid, (int)pid);
    return ocid_error_exit(why->code);
}

/* ---- The lock */

static int take_lock(struct start *s)
{
    char path[PATH_MAX + 8];
    const char *slash = strrchr(s->socket, '/');
    snprintf(path, sizeof path, "%.*s/start.lock", (int)(slash - s->socket), s->socket);
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock < 0) {
        ctl_say("start: cannot make '%s': %s", path, strerror(errno));
        return EXIT_FAILED;
    }
    while (flock(s->lock, LOCK_EX | LOCK_NB)) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            ctl_say("start: cannot lock '%s': %s", path, strerror(errno));
            return EXIT_FAILED;
        }
        if (follow_clock() >= s->deadline) {
            ctl_say("start: somebody else has been starting the daemon for too long");
            return EXIT_TIMED_OUT;
        }
        nap();
    }
    return 0;
}

/* ---- The log */

/* $XDG_STATE_HOME/ocid/ocid-HOST.log, since homes are shared between hosts; the socket's directory
 * where there is no home. */
static void find_log(struct start *s)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    const char *slash = strrchr(s->socket, '/');
    char host[65] = "", dir[PATH_MAX - 80];
    if (state && *state == '/')
        snprintf(dir, sizeof dir, "%s/ocid", state);
    else
        snprintf(dir, sizeof dir, "%s/.local/state/ocid", home && *home == '/' ? home : "/");
    gethostname(host, sizeof host - 1);
    if (ctl_make_dirs(dir, 0700) || access(dir, W_OK))
        snprintf(dir, sizeof dir, "%.*s", (int)(slash - s->socket), s->socket);
    for (char *c = host; *c; c++)
        if (*c == '/')
            *c = '_';
    snprintf(s->log, sizeof s->log, "%s/ocid-%s.log", dir, host);
}

/* One old one is kept. */
static int open_log(struct start *s)
{
    char old[PATH_MAX + 4];
    struct stat st;
    find_log(s);
    if (!stat(s->log, &st) && st.st_size > LOG_BYTES) {
        snprintf(old, sizeof old, "%s.1", s->log);
        (void)rename(s->log, old); /* it may just grow on */
    }
    int fd = open(s->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    s->log_from = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    return fd >= 0 ? fd : open("/dev/null", O_WRONLY | O_CLOEXEC);
}

/* The last lines that this start has written. */
static void tell_log(const struct start *s)
{
    char text[TELL_BYTES + 1];
    int fd = open(s->log, O_RDONLY | O_CLOEXEC);
    off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    off_t from = end - TELL_BYTES > s->log_from ? end - TELL_BYTES : s->log_from;
    ssize_t n = fd >= 0 ? pread(fd, text, TELL_BYTES, from) : 0;
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return;
    text[n] = 0;
    char *at = text + n;
    for (int lines = 0; at > text; at--)
        if (at[-1] == '\n' && at < text + n && ++lines == TELL_LINES)
            break;
    for (char *line = strtok(at, "\n"); line; line = strtok(NULL, "\n"))
        ctl_say("  %s", line);
}

/* ---- The program */

static void become(const char *program, char *const *argv, int log)
{
    int null = open("/dev/null", O_RDWR);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGINT, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    if (chdir("/"))
        _exit(127);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    close_range(3, ~0u, 0);
    execvp(program, argv);
    dprintf(STDERR_FILENO, "cannot run '%s': %s\n", program, strerror(errno));
    _exit(127);
}

static pid_t launch(struct start *s)
{
    char program[PATH_MAX];
    char *config = s->ctl->args->config ? ctl_absolute(s->ctl->args->config) : NULL;
    char name[] = "ocid", option[] = "--config";
    char *argv[] = {name, config ? option : NULL, config, NULL};
    int log = open_log(s);
    child_find_ocid(program);
    fflush(NULL);
    pid_t pid = fork();
    if (!pid)
        become(program, argv, log);
    if (log >= 0)
        close(log);
    free(config);
    return pid;
}

static int failed(const struct start *s, const char *what)
{
    ctl_say("start: %s%s", what, s->log_from >= 0 ? ":" : "");
    tell_log(s);
    return EXIT_NO_DAEMON;
}

static int wait_for(struct start *s, pid_t pid)
{
    struct ocid_failure why;
    char what[160];
    int state, rc;
    while ((rc = connect_own(s, &why)) != 0) {
        if (waitpid(pid, &state, WNOHANG) == pid) {
            rc = connect_own(s, &why); /* somebody else's, started at the same moment */
            if (!rc)
                return 0;
            if (WIFSIGNALED(state))
                snprintf(what, sizeof what, "the daemon was killed by signal %d", WTERMSIG(state));
            else
                snprintf(what, sizeof what, "the daemon has ended with status %d",
                         WEXITSTATUS(state));
            return failed(s, what);
        }
        if (!absent(rc) && rc != OCID_E_TIMED_OUT)
            return ctl_failed("start", &why);
        if (ctl_interrupted)
            return EXIT_DETACHED;
        if (follow_clock() >= s->deadline)
            return failed(s, "the daemon runs but does not answer");
        nap();
    }
    return 0;
}

static int started(struct start *s, const char *word)
{
    char pid[24];
    const struct ocid_info *info = ocid_info(s->ctl->c);
    snprintf(pid, sizeof pid, "%" PRIu64, info->pid);
    const struct ocid_pair pairs[] = {
        {"pid", pid}, {"socket", s->socket}, {"daemon", info->software}};
    if (s->ctl->args->json)
        json_pairs(pairs, 3);
    else
        ctl_note(s->ctl, "%s: %s, pid %s, socket %s", word, info->software, pid, s->socket);
    return EXIT_OK;
}

static int start(struct start *s)
{
    struct ocid_failure why;
    int rc = connect_own(s, &why), status;
    if (!rc)
        return started(s, "runs already");
    if (!absent(rc))
        return unheard(s, "start", &why);
    if ((status = take_lock(s)) != 0)
        return status;
    rc = connect_own(s, &why);
    if (!rc)
        return started(s, "runs already");
    pid_t pid = launch(s);
    if (pid < 0) {
        ctl_say("start: cannot start a process: %s", strerror(errno));
        return EXIT_FAILED;
    }
    status = wait_for(s, pid);
    return status ? status : started(s, "started");
}

int cmd_start(struct ctl *ctl)
{
    struct start *s = ctl_alloc(sizeof *s);
    s->ctl = ctl;
    s->lock = -1;
    s->deadline = deadline_of(ctl->args, START_MS);
    int status = find_socket(s);
    if (!status)
        status = start(s);
    if (s->lock >= 0)
        close(s->lock);
    free(s);
    return status;
}

/* ---- stop */

/* Whose process it is; -1: not to be seen (/proc may hide those that allow no debugger). */
static int64_t uid_of(uint64_t pid)
{
    char path[64], line[256];
    long long uid = -1;
    snprintf(path, sizeof path, "/proc/%" PRIu64 "/status", pid);
    FILE *f = fopen(path, "re");
    while (f && uid < 0 && fgets(line, sizeof line, f))
        if (sscanf(line, "Uid: %lld", &uid) != 1)
            uid = -1;
    if (f)
        fclose(f);
    return uid;
}

/* The process that hello named, if it is ours. With socket activation SO_PEERCRED would name
 * systemd, so it only vouches for the user. */
static int open_process(struct ctl *ctl, pid_t *ret_pid)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    uint64_t told = ocid_info(ctl->c)->pid;
    if (getsockopt(ocid_fd(ctl->c), SOL_SOCKET, SO_PEERCRED, &peer, &n) || peer.uid != geteuid()) {
        ctl_say("stop: the daemon belongs to another user");
        return -1;
    }
    int64_t uid = told < 2 || told > INT_MAX ? -1 : uid_of(told);
    if (told < 2 || told > INT_MAX || (uid < 0 ? !geteuid() : uid != (int64_t)geteuid())) {
        ctl_say("stop: the daemon's process %" PRIu64 " is not one of yours here", told);
        return -1;
    }
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)told, 0);
    if (fd < 0)
        ctl_say("stop: cannot reach process %" PRIu64 ": %s", told, strerror(errno));
    *ret_pid = (pid_t)told;
    return fd;
}

static int end_process(const struct start *s, int fd, pid_t pid)
{
    struct ctl *ctl = s->ctl;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t ms = left_ms(s);
    if (syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0)) {
        ctl_say("stop: cannot signal process %d: %s", (int)pid, strerror(errno));
        return EXIT_FAILED;
    }
    ocid_close(ctl->c); /* it need not wait for us */
    ctl->c = NULL;
    int rc = poll(&p, 1, ms > INT_MAX ? INT_MAX : (int)ms);
    if (rc > 0) {
        ctl_note(ctl, "stopped (pid %d)", (int)pid);
        return EXIT_OK;
    }
    ctl_say("stop: process %d has not ended yet", (int)pid);
    return rc < 0 ? EXIT_DETACHED : EXIT_TIMED_OUT;
}

int cmd_stop(struct ctl *ctl)
{
    struct start *s = ctl_alloc(sizeof *s);
    struct ocid_failure why;
    pid_t pid = 0;
    s->ctl = ctl;
    s->deadline = deadline_of(ctl->args, STOP_MS);
    int status = find_socket(s), rc = status ? 0 : connect_own(s, &why);
    if (rc && absent(rc)) {
        ctl_note(ctl, "no daemon is running at '%s'", s->socket);
    } else if (rc) {
        status = unheard(s, "stop", &why);
    } else if (!status) {
        int fd = open_process(ctl, &pid);
        status = fd < 0 ? EXIT_FAILED : end_process(s, fd, pid);
        if (fd >= 0)
            close(fd);
    }
    free(s);
    return status;
}
