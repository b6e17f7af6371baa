/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - ocictl: hands work to the local ocid daemon and follows it.
 *
 * Verbs and options are a table in args.c; each verb is a cmd_ function.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"

static bool colors(int fd)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fd) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

/* A stream that the caller has closed must not become our socket, which takes the lowest free
 * descriptor: it is opened the wrong way round, so that its use is an error. */
static void open_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
    static struct args args;
    struct ctl ctl = {.args = &args};
    char why[512];
    const char *term = getenv("TERM");

    open_streams();
    signal(SIGPIPE, SIG_DFL); /* `ocictl ls ... | head` ends quietly */
    if (args_parse(argc, argv, &args, why, sizeof why)) {
        ctl_usage(args.verb == VERB_help ? NULL : &ctl, "%s", why);
        if (args.verb == VERB_help)
            fputs("Try: ocictl help\n", stderr);
        return EXIT_USAGE;
    }
    if (args.help && args.verb != VERB_help) {
        help_verb(args.verb);
        return ctl_end(0);
    }
    ctl.terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    ctl.color = colors(STDOUT_FILENO);
    int status = ctl_verbs[args.verb].run(&ctl);
    ocid_close(ctl.c);
    return ctl_end(status);
}
