/* SPDX-License-Identifier: Apache-2.0
 *
 * mode_session.c - a session of `oci session authenticate`: its key file and its token file.
 *
 * Control thread. The token is refreshed while it lives, by a request that it signs itself, and the
 * new one is written over the file, so that Oracle's tools have it, too. They do the same: whoever
 * comes first, the file is read again before anything is asked for and before it is written.
 * Source: `oci session refresh` of Oracle's command line.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/io.h"
#include "signer/creds_read.h"
#include "signer/mode.h"
#include "signer/secret.h"

enum { BODY_MAX = TOKEN_MAX + 64 };

static const char over[] = "log in anew by `oci session authenticate`";

/* The file's token, 0 or OCID_E_LOGIN. */
static int read_token(const struct cred *c, struct token *ret, struct oc_err *err)
{
    char *text;
    size_t n;
    int rc = secret_read(c->token_file, TOKEN_MAX, &text, &n, err);
    if (rc)
        return err->code = OCID_E_LOGIN;
    rc = token_parse(text, n, ret, err);
    secret_free(text);
    if (rc)
        oc_wrap(err, "token '%s'", c->token_file);
    return rc;
}

static void load(struct cred *c, const struct cred *old, const char *pass, size_t pass_n)
{
    struct token token;
    struct oc_err err;
    (void)old;
    if (creds_load_key(c, pass, pass_n) && c->state != WIRE_KEY_LOCKED)
        return;
    if (!read_token(c, &token, &err))
        creds_take_token(c, &token);
    else
        creds_no_key(c, WIRE_KEY_ABSENT, OCID_E_LOGIN, err.text);
}

/* --- refresh --- */

struct state {
    int asked;
    char *body; /* from secret_new() */
};

static void end(void *state)
{
    struct state *s = state;
    secret_free(s->body);
}

/* 1 if the file has another token by now: that and the key beside it are taken. */
static int take_file(struct cred *fresh)
{
    struct token token;
    struct oc_err err;
    if (read_token(fresh, &token, &err))
        return 0;
    int same = fresh->token.text && !strcmp(fresh->token.text, token.text);
    token_fini(&token);
    if (same)
        return 0;
    struct cred *old = creds_copy(fresh);
    load(fresh, old, NULL, 0);
    creds_keep_open(fresh, old);
    creds_copy_free(old);
    return fresh->key != NULL;
}

/* Whole or not at all; nobody else may read it. 0 or errno. */
static int write_token(const char *path, const char *text)
{
    char real[PATH_MAX], temp[PATH_MAX + 16];
    if (!realpath(path, real))
        return errno;
    snprintf(temp, sizeof temp, "%s.XXXXXX", real);
    int fd = mkostemp(temp, O_CLOEXEC); /* 0600 */
    if (fd < 0)
        return errno;
    int rc = oc_write_all(fd, text, strlen(text));
    if (!rc && fsync(fd))
        rc = errno;
    close(fd);
    if (!rc && rename(temp, real))
        rc = errno;
    if (rc)
        unlink(temp);
    return rc;
}

static int take_answer(struct cred *fresh, const struct mode_answer *a, struct oc_err *err)
{
    struct token token;
    if (take_file(fresh))
        return MODE_DONE;
    if (mode_answer_token(a, &token, err))
        return err->code;
    int rc = write_token(fresh->token_file, token.text);
    creds_take_token(fresh, &token);
    if (rc) /* it is good all the same, for as long as this process lives */
        fprintf(stderr, "ocid-signer: cannot write the new token of profile '%s' to '%s': %s\n",
                fresh->name, fresh->token_file, strerror(rc));
    return MODE_DONE;
}

static int ask(struct state *s, const struct cred *fresh, struct mode_ask *ret)
{
    s->asked = 1;
    s->body = secret_new(BODY_MAX);
    snprintf(s->body, BODY_MAX, "{\"currentToken\": \"%s\"}", fresh->token.text);
    return mode_ask_auth(fresh, WIRE_FETCH_AUTH, "/v1/authentication/refresh", s->body, ret);
}

static int step(void *state, struct cred *fresh, const struct mode_answer *a, struct mode_ask *ret,
                struct oc_err *err)
{
    struct state *s = state;
    struct token token;
    int n = a ? (int)(a->n < 250 ? a->n : 250) : 0;
    if (!s->asked && take_file(fresh))
        return MODE_DONE;
    if (!s->asked && !fresh->key) {
        if (!read_token(fresh, &token, err)) {
            token_fini(&token);
            oc_fail(err, fresh->key_code, 0, "%s", fresh->key_text);
        }
        return err->code;
    }
    if (!s->asked)
        return ask(s, fresh, ret);
    if (!a->code)
        return take_answer(fresh, a, err);
    if (take_file(fresh))
        return MODE_DONE;
    if (a->code == OCID_E_LOGIN && !a->status) /* too late: it does not even sign its refresh */
        return oc_fail(err, OCID_E_LOGIN, 0, "%s", over);
    if (a->status == 401)
        return oc_fail(err, OCID_E_LOGIN, 0, "the session cannot be refreshed any more; %s", over);
    return oc_fail(err, a->code, 0, "%.*s", n, a->text);
}

const struct mode mode_session = {
    .name = "session",
    .needs = MODE_KEY | MODE_REGION,
    .mend = over,
    .token_key = "security_token_file",
    .load = load,
    .state_size = sizeof(struct state),
    .step = step,
    .end = end,
};
