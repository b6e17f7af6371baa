/* SPDX-License-Identifier: Apache-2.0
 *
 * tool.c - what ocictl asks of the program ocid-signer without a daemon: keys, files, checks.
 *
 * Called by main() before anything is read or started; start at tool_run(). The private key never
 * leaves the process but into its file.
 */
#include "signer/tool.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/text.h"
#include "signer/check.h"
#include "signer/creds.h"
#include "signer/secret.h"
#include "signer/setup.h"
#include "vault/wire.h"

enum { LINE = 2 * PATH_MAX };

static void say(const char *name, const char *value)
{
    char text[LINE];
    oc_text_escape(value, strlen(value), text, sizeof text);
    printf("%s\t%s\n", name, text);
}

static void say_number(const char *name, unsigned value)
{
    printf("%s\t%u\n", name, value);
}

static int say_failed(const struct oc_err *err)
{
    char text[LINE];
    printf("error\t%s\n", oc_err_print(err, text, sizeof text));
    return oc_err_exit(err->code);
}

/* One line, or all up to the end. */
static int read_pass(char *out, size_t size, size_t *n, struct oc_err *err)
{
    *n = 0;
    while (*n < size) {
        ssize_t got = read(STDIN_FILENO, out + *n, size - *n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return oc_fail(err, OCID_E_IO, errno, "cannot read the pass phrase");
        char *end = memchr(out + *n, '\n', (size_t)got);
        *n = end ? (size_t)(end - out) : *n + (size_t)got;
        if (end || !got)
            return 0;
    }
    return oc_fail(err, OCID_E_TOO_LARGE, 0, "the pass phrase is longer than %d bytes",
                   WIRE_PASS_MAX);
}

static void say_key(const struct setup_result *r)
{
    say("key_file", r->key_file);
    say("public_file", r->public_file);
    say("fingerprint", r->fingerprint);
    say_number("bits", r->bits);
    say_number("made", (unsigned)r->made);
    say_number("encrypted", (unsigned)r->encrypted);
}

static int on_setup(const struct setup_options *o)
{
    struct setup_result r;
    struct oc_err err;
    if (!o->user || !o->tenancy || !o->region)
        oc_fail(&err, OCID_E_INVALID, 0, "user, tenancy and region are needed");
    else if (!setup_profile(o, &r, &err)) {
        say("config", r.config);
        say_key(&r);
        return 0;
    }
    return say_failed(&err);
}

static int on_look(const struct setup_options *o)
{
    struct setup_result r;
    struct oc_err err;
    if (setup_look(o, &r, &err))
        return say_failed(&err);
    say("key_file", r.key_file);
    say_number("there", (unsigned)r.there);
    say_number("encrypted", (unsigned)r.encrypted);
    return 0;
}

static int on_key(const struct setup_options *o)
{
    struct setup_result r;
    struct oc_err err;
    if (setup_key(o, &r, &err))
        return say_failed(&err);
    say_key(&r);
    return 0;
}

/* Of a private key, or of the public half as it was uploaded. */
static int on_fingerprint(const struct setup_options *o)
{
    char *pem, path[PATH_MAX], print[KEY_FINGERPRINT_SIZE];
    size_t n;
    struct key *key;
    struct oc_err err;
    unsigned bits = 0;
    creds_expand(o->home, o->key_file ? o->key_file : "", path, sizeof path);
    if (secret_read(path, KEY_FILE_MAX, &pem, &n, &err))
        return say_failed(&err);
    int rc = key_public_fingerprint(pem, n, print, &bits);
    if (rc && !(rc = key_load(pem, n, o->pass, o->pass_n, &key, &err))) {
        snprintf(print, sizeof print, "%s", key_fingerprint(key));
        bits = key_bits(key);
        key_unref(key);
    }
    secret_free(pem);
    if (rc == OCID_E_LOCKED)
        oc_fail(&err, rc, 0, "'%s' has a pass phrase; --passphrase-fd N gives it", path);
    else if (rc)
        oc_wrap(&err, "'%s'", path);
    if (rc)
        return say_failed(&err);
    say("fingerprint", print);
    say_number("bits", bits);
    return 0;
}

static void on_closed(void *arg, const char *path)
{
    (void)arg;
    say("closed", path);
}

static int on_permissions(const struct setup_options *o)
{
    struct oc_err err;
    return setup_permissions(o, on_closed, NULL, &err) ? say_failed(&err) : 0;
}

static void on_checked(void *arg, enum check_level level, const char *name, const char *text,
                       const char *mend)
{
    static const char *const levels[] = {"ok", "warn", "fail", "locked"};
    (void)arg;
    say("check", name);
    say("level", levels[level]);
    say("text", text);
    say("mend", mend);
}

static int on_check(const struct setup_options *o)
{
    struct check_facts facts;
    check_profile(o, on_checked, NULL, &facts);
    say("host", facts.host);
    say("key_id", facts.key_id);
    say("key_file", facts.key_file);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(const struct setup_options *o);
} verbs[] = {
    {"setup", on_setup},
    {"look", on_look},
    {"key", on_key},
    {"fingerprint", on_fingerprint},
    {"permissions", on_permissions},
    {"check", on_check},
};

static int take_args(struct setup_options *o, int argc, char **argv)
{
    static const struct option options[] = {
        {"config", 1, NULL, 'c'},   {"home", 1, NULL, 'm'},      {"profile", 1, NULL, 'p'},
        {"user", 1, NULL, 'u'},     {"tenancy", 1, NULL, 't'},   {"region", 1, NULL, 'r'},
        {"key-file", 1, NULL, 'k'}, {"overwrite", 0, NULL, 'o'}, {"quick", 0, NULL, 'q'},
        {"auth", 1, NULL, 'a'},     {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        const char **to = c == 'c'   ? &o->config
                          : c == 'm' ? &o->home
                          : c == 'p' ? &o->profile
                          : c == 'u' ? &o->user
                          : c == 't' ? &o->tenancy
                          : c == 'r' ? &o->region
                          : c == 'k' ? &o->key_file
                          : c == 'a' ? &o->auth
                                     : NULL;
        if (to)
            *to = optarg;
        else if (c == 'o')
            o->overwrite = 1;
        else if (c == 'q')
            o->quick = 1;
        else
            return 0;
    }
    return optind == argc;
}

static int run(int (*verb)(const struct setup_options *o), int argc, char **argv)
{
    struct setup_options o = {.profile = "DEFAULT"};
    struct oc_err err;
    if (!take_args(&o, argc, argv))
        return 2;
    char *pass = secret_new(WIRE_PASS_MAX + 1);
    int rc = read_pass(pass, WIRE_PASS_MAX + 1, &o.pass_n, &err);
    o.pass = pass;
    int status = rc ? say_failed(&err) : verb(&o);
    secret_free(pass);
    return fflush(stdout) ? 1 : status;
}

int tool_run(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++)
        if (!strcmp(argv[1], verbs[i].name))
            return run(verbs[i].run, argc - 1, argv + 1);
    return -1;
}
