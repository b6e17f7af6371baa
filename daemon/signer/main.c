/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - ocid-signer: holds the keys, signs, and can do nothing else.
 *
 * Started by ocid over two socket pairs; ends when the control socket does. Started by ocictl it
 * does one thing of tool.h, with keys and pass phrases as well kept. What a container refuses of
 * the hardening is left out, with one line on stderr that says so.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "signer/cage.h"
#include "signer/control.h"
#include "signer/creds.h"
#include "signer/secret.h"
#include "signer/tool.h"
#include "signer/worker.h"

enum { HOSTS_MAX = 64, NICE = 5 };

struct args {
    struct creds_options creds;
    const char *hosts[HOSTS_MAX];
    const char *profiles; /* what ocid.conf says of them */
    int control, sign;
    unsigned threads;
};

static int usage(void)
{
    fputs("ocid-signer is started by ocid: --control FD --sign FD [--threads N] [--config PATH]\n"
          "            [--home DIR] [--region REGION] [--profiles LINES] [--host HOST]...\n",
          stderr);
    return 2;
}

/* A number without anything after it, -1. */
static int number(const char *s)
{
    char *end;
    errno = 0;
    long v = strtol(s, &end, 10);
    return errno || *end || end == s || v < 0 || v > 1 << 20 ? -1 : (int)v;
}

static int take_args(struct args *a, int argc, char **argv)
{
    static const struct option options[] = {
        {"config", 1, NULL, 'c'},  {"control", 1, NULL, 'f'},  {"sign", 1, NULL, 's'},
        {"threads", 1, NULL, 't'}, {"home", 1, NULL, 'm'},     {"region", 1, NULL, 'r'},
        {"host", 1, NULL, 'h'},    {"profiles", 1, NULL, 'p'}, {NULL, 0, NULL, 0},
    };
    *a = (struct args){.control = -1, .sign = -1, .threads = 1, .profiles = ""};
    a->creds.hosts = a->hosts;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) >= 0;)
        switch (c) {
        case 'c':
            a->creds.config = optarg;
            break;
        case 'm':
            a->creds.home = optarg;
            break;
        case 'r':
            a->creds.region = optarg;
            break;
        case 'p':
            a->profiles = optarg;
            break;
        case 'f':
            a->control = number(optarg);
            break;
        case 's':
            a->sign = number(optarg);
            break;
        case 't':
            a->threads = (unsigned)number(optarg);
            break;
        case 'h':
            if (a->creds.n_hosts == HOSTS_MAX)
                return 0;
            a->hosts[a->creds.n_hosts++] = optarg;
            break;
        default:
            return 0;
        }
    return optind == argc && a->control >= 0 && a->sign >= 0 && a->threads >= 1 &&
           a->threads <= KEY_SEATS;
}

static void left_out(const char *what)
{
    fprintf(stderr, "ocid-signer: %s is refused here, going on without\n", what);
}

/* Whatever the parent let through by mistake. */
static void close_others(const struct args *a)
{
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));) {
        int fd = number(e->d_name);
        if (fd > STDERR_FILENO && fd != a->control && fd != a->sign && fd != dirfd(d))
            close(fd);
    }
    closedir(d);
}

static void harden(const struct args *a, int secret)
{
    struct rlimit none = {0, 0};
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        left_out("hiding from debuggers");
    if (setrlimit(RLIMIT_CORE, &none))
        left_out("switching core files off");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        left_out("giving up new privileges");
    if (secret <= 0)
        left_out(secret ? "a heap for keys" : "locking memory");
    close_others(a);
    errno = 0;
    setpriority(PRIO_PROCESS, 0, NICE); /* the loops of ocid come first: they are short */
    for (int i = 0; i < 4; i++)
        signal((int[]){SIGINT, SIGTERM, SIGHUP, SIGPIPE}[i], SIG_IGN); /* ocid says when */
}

static void shut_in(const struct creds *c)
{
    if (cage_files(c))
        left_out("giving up to write files");
    if (cage_calls())
        left_out("giving up sockets and programs");
}

int main(int argc, char **argv)
{
    int secret = secret_init(); /* before libcrypto has allocated anything */
    struct args a;
    char text[CREDS_TEXT_SIZE];
    struct oc_err err;
    if (argc > 1 && argv[1][0] != '-') {
        harden(&(struct args){.control = -1, .sign = -1}, secret);
        int status = tool_run(argc, argv);
        return status < 0 ? usage() : status;
    }
    if (!take_args(&a, argc, argv))
        return usage();
    harden(&a, secret);
    struct creds *c = creds_new(&a.creds);
    if (creds_set(c, a.profiles, strlen(a.profiles), &err))
        fprintf(stderr, "ocid-signer: %s\n", err.text);
    creds_read(c, text, &err); /* what is wrong shows in the facts */
    shut_in(c);
    int rc = worker_start(c, a.sign, a.threads);
    if (rc) {
        fprintf(stderr, "ocid-signer: cannot start threads: %s\n", strerror(rc));
        return 1;
    }
    control_run(c, a.control);
    creds_lock(c, "", 0, text, &err); /* threads may still hold some: no exit handlers */
    _exit(0);
}
