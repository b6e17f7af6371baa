/* SPDX-License-Identifier: Apache-2.0
 *
 * ask.c - asks a person on the terminal; pass phrases stay in one locked page.
 */
#include "ctl/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include "ctl/ctl.h"

enum { PAGE = 4096 };

static volatile sig_atomic_t stopped;

static void on_stop(int sig)
{
    stopped = sig;
}

bool ask_stopped(void)
{
    return stopped != 0;
}

char *ask_page(void)
{
    char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        ctl_say("out of memory");
        return NULL;
    }
    (void)mlock(page, PAGE); /* refused in plain containers: then it might be swapped out */
    (void)madvise(page, PAGE, MADV_DONTDUMP);
    return page;
}

void ask_free(char *page)
{
    if (!page)
        return;
    explicit_bzero(page, PAGE);
    munmap(page, PAGE);
}

ssize_t ask_line(int fd, char *out, size_t size)
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

bool ask_can(void)
{
    struct termios t;
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    bool can = tty >= 0 && !tcgetattr(tty, &t);
    if (tty >= 0)
        close(tty);
    return can;
}

ssize_t ask(const char *what, const char *instead, const char *prompt, bool echo, char *out,
            size_t size)
{
    struct sigaction old[4];
    struct termios was, quiet;
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY), sys;
    if (tty < 0 || tcgetattr(tty, &was)) {
        ctl_say("%s: there is no terminal to ask; %s", what, instead);
        if (tty >= 0)
            close(tty);
        return -1;
    }
    stopped = 0;
    quiet = was;
    if (!echo)
        quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    quiet.c_lflag |= ICANON | ISIG;
    quiet.c_cc[VSUSP] = _POSIX_VDISABLE;
    catch_signals(old, true);
    tcsetattr(tty, TCSAFLUSH, &quiet); /* first: it throws away what was typed before */
    dprintf(tty, "%s: ", prompt);
    ssize_t n = ask_line(tty, out, size);
    sys = errno;
    tcsetattr(tty, TCSAFLUSH, &was);
    if (!echo || n < 0)
        dprintf(tty, "\n");
    catch_signals(old, false);
    close(tty);
    if (n < 0 && !stopped)
        ctl_say("%s: cannot read the answer: %s", what, strerror(sys));
    return stopped ? -1 : n;
}

int ask_pipe(const char *phrase, size_t n)
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
