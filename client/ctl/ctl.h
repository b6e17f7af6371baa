/* SPDX-License-Identifier: Apache-2.0
 *
 * ctl.h - what the commands share: the connection, words to people, making jobs.
 *
 * One thread. A command returns the exit status of ocictl.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <signal.h>
#include <stdarg.h>

#include "ctl/args.h"
#include "ctl/uri.h"

enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NO_DAEMON = 3,
    EXIT_SOME = 8,
    EXIT_TIMED_OUT = 124,
    EXIT_DETACHED = 130,
};

enum { CTL_REPLY_MS = 60000 };

struct ctl {
    const struct args *args;
    struct ocid *c; /* NULL until ctl_open() */
    bool terminal;  /* stderr is one that understands escapes */
    bool color;     /* of stdout */
};

#define CTL_COMMAND(name) int cmd_##name(struct ctl *ctl);
CTL_VERBS(CTL_COMMAND)
#undef CTL_COMMAND

/* ---- words.c */

/* "ocictl: ..." to stderr, control bytes escaped. ctl_note() is silent with --quiet. */
void ctl_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void ctl_note(const struct ctl *ctl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Says why and returns the exit status for it. what (may be NULL) comes first: "get 'x'". */
int ctl_failed(const char *what, const struct ocid_failure *why);

/* The same of the last call on the connection. */
int ctl_fail(struct ctl *ctl, const char *what);

/* EXIT_USAGE, and where to read on. */
int ctl_usage(const struct ctl *ctl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* How long the daemon has to say hello, if so much is left of what ocictl may wait: with no time
 * (-t 0) a moment, too, or a daemon that is well could never be asked. */
int ctl_hello_ms(uint64_t left_ms);

/* Connects. 0, or the exit status after saying why not; to the user's own daemon only if own. */
int ctl_open(struct ctl *ctl);

/* Ctrl-C from now on interrupts the connection's call and sets the flag; a second one kills. */
void ctl_catch(struct ctl *ctl);
extern volatile sig_atomic_t ctl_interrupted;

/* Says that jobs go on and how to follow them; EXIT_DETACHED. */
int ctl_detached(const uint64_t *ids, size_t n);

/* Memory, or the end of the program. */
void *ctl_alloc(size_t n);
void *ctl_grow(void *p, size_t n);
char *ctl_copy(const char *s);
char *ctl_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Absolute form of a path, "." and doubled slashes taken out; the caller frees. */
char *ctl_absolute(const char *path);
const char *ctl_base(const char *path);

/* Links are followed. */
bool ctl_is_dir(const char *path);

/* Makes what is missing of an absolute path (which is written to, and restored). 0, or errno. */
int ctl_make_dirs(char *path, unsigned mode);

/* Flushes stdout: status, or EXIT_FAILED if what was printed has not arrived. */
int ctl_end(int status);

/* ---- jobs.c */

/* A job with the options that all jobs have. uri may be NULL; it must outlive the job. */
struct ocid_job ctl_job(const struct ctl *ctl, enum ocid_kind kind, const struct uri *uri);

/* Reads a URI of the command line; EXIT_USAGE after saying what is wrong. */
int ctl_uri(const struct ctl *ctl, const char *text, struct uri *ret);

/* One job: 0 and its id, or the exit status after saying why. what as in ctl_failed(). */
int ctl_submit(struct ctl *ctl, const struct ocid_job *job, const char *what, uint64_t *ret_id);

/* What whoami has answered. */
void ctl_print_user(const struct ctl *ctl, const struct ocid_outcome *o);

/* Waits for them or prints their ids, as --wait and by_default say. Exit status. */
int ctl_finish(struct ctl *ctl, const uint64_t *ids, size_t n, bool by_default);

/* Both stdout and stderr are terminals: somebody is looking. */
bool ctl_watched(const struct ctl *ctl);

#endif
