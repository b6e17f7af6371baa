/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_keys.c - unlock and lock.
 *
 * The pass phrase goes from the terminal into a pipe whose other end the daemon passes on unread;
 * here it lies in one locked page, which is wiped.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/json.h"
#include "ctl/render.h"

enum { PHRASE_MAX = 1024 };

static volatile sig_atomic_t stopped;

static void on_stop(int sig)
{
    stopped = sig;
}

/* One line without its end: its length, -1 and errno. */
static ssize_t read_line(int fd, char *out, size_t size)
{
    size_t n = 0;
    while (n < size) {
        ssize_t got = read(fd, out + n, 1);
        if (got < 0 && errno == EINTR && !stopped)
            continue;
        if (got < 0)
            return -1;
        if (!got || out[n] == '\n')
            return (ssize_t)n;
        n++;
    }
    errno = E2BIG;
    return -1;
}

/* Signals that would leave the terminal without echo only end the reading. */
static void catch_signals(struct sigaction old[4], bool on)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction act = {.sa_handler = on_stop};
    for (int i = 0; i < 4; i++)
        sigaction(signals[i], on ? &act : &old[i], on ? &old[i] : NULL);
}

static ssize_t ask_terminal(const char *profile, char *out, size_t size)
{
    struct sigaction old[4];
    struct termios was, quiet;
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY), sys;
    if (tty < 0 || tcgetattr(tty, &was)) {
        ctl_say("unlock: there is no terminal to ask for the pass phrase; give it by "
                "--passphrase-fd N");
        if (tty >= 0)
            close(tty);
        return -1;
    }
    quiet = was;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    quiet.c_lflag |= ICANON | ISIG;
    quiet.c_cc[VSUSP] = _POSIX_VDISABLE;
    catch_signals(old, true);
    tcsetattr(tty, TCSAFLUSH, &quiet); /* first: what follows the prompt is the answer, unseen */
    dprintf(tty, "Pass phrase of %s%s: ", profile ? "profile " : "the default profile",
            profile ? render_name(profile) : "");
    ssize_t n = read_line(tty, out, size);
    sys = errno;
    tcsetattr(tty, TCSAFLUSH, &was);
    dprintf(tty, "\n");
    catch_signals(old, false);
    close(tty);
    if (n < 0 && !stopped)
        ctl_say("unlock: cannot read the pass phrase: %s", strerror(sys));
    return stopped ? -1 : n;
}

static ssize_t read_phrase(const struct args *a, char *out, size_t size)
{
    if (a->fd < 0)
        return ask_terminal(a->profile, out, size);
    ssize_t n = read_line(a->fd, out, size);
    if (n < 0)
        ctl_say("unlock: cannot read the pass phrase from descriptor %d: %s", a->fd,
                strerror(errno));
    return n;
}

/* A pipe that holds the pass phrase and its end: it is far shorter than a pipe is deep. */
static int fill_pipe(const char *phrase, size_t n)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    bool ok = write(fds[1], phrase, n) == (ssize_t)n;
    close(fds[1]);
    if (!ok) {
        close(fds[0]);
        return -1;
    }
    return fds[0];
}

static int print_profiles(const struct ctl *ctl, const struct ocid_pair *profiles, size_t n)
{
    if (ctl->args->json)
        json_pairs(profiles, n);
    else
        for (size_t i = 0; i < n; i++)
            render_pair(profiles[i].key, profiles[i].value);
    return EXIT_OK;
}

static int unlock(struct ctl *ctl, int fd)
{
    const struct args *a = ctl->args;
    const struct ocid_pair *profiles;
    size_t n;
    if (fd < 0) {
        ctl_say("unlock: cannot make a pipe: %s", strerror(errno));
        return EXIT_FAILED;
    }
    int rc = ocid_unlock(ctl->c, a->profile, fd, a->ttl_ms, CTL_REPLY_MS, &profiles, &n);
    close(fd);
    return rc ? ctl_fail(ctl, "unlock") : print_profiles(ctl, profiles, n);
}

int cmd_unlock(struct ctl *ctl)
{
    int status = ctl_open(ctl);
    if (status)
        return status;
    char *phrase = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (phrase == MAP_FAILED) {
        ctl_say("out of memory");
        return EXIT_FAILED;
    }
    (void)mlock(phrase, 4096); /* refused in plain containers: then it might be swapped out */
    (void)madvise(phrase, 4096, MADV_DONTDUMP);
    ssize_t n = read_phrase(ctl->args, phrase, PHRASE_MAX);
    if (n >= 0) {
        phrase[n] = '\n';
        status = unlock(ctl, fill_pipe(phrase, (size_t)n + 1));
    } else {
        status = stopped ? EXIT_DETACHED : EXIT_FAILED;
    }
    explicit_bzero(phrase, 4096);
    munmap(phrase, 4096);
    return status;
}

int cmd_lock(struct ctl *ctl)
{
    const struct ocid_pair *profiles;
    size_t n;
    int status = ctl_open(ctl);
    if (status)
        return status;
    if (ocid_lock(ctl->c, ctl->args->profile, CTL_REPLY_MS, &profiles, &n))
        return ctl_fail(ctl, "lock");
    return print_profiles(ctl, profiles, n);
}
