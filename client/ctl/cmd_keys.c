/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_keys.c - unlock and lock.
 *
 * The pass phrase goes from the terminal into a pipe whose other end the daemon passes on unread;
 * here it lies in one locked page, which is wiped.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ask.h"
#include "ctl/ctl.h"
#include "ctl/json.h"
#include "ctl/render.h"

static ssize_t read_phrase(const struct args *a, char *out, size_t size)
{
    char prompt[256];
    if (a->fd < 0) {
        snprintf(prompt, sizeof prompt, "Pass phrase of %s%.200s",
                 a->profile ? "profile " : "the default profile",
                 a->profile ? render_name(a->profile) : "");
        return ask("unlock", "give the pass phrase by --passphrase-fd N", prompt, false, out, size);
    }
    ssize_t n = ask_line(a->fd, out, size);
    if (n < 0)
        ctl_say("unlock: cannot read the pass phrase from descriptor %d: %s", a->fd,
                strerror(errno));
    return n;
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
    if (rc == OCID_E_LOCKED) { /* it is, and nothing came to open it */
        ctl_say("unlock: no pass phrase was given, and the key has one");
        return ocid_error_exit(rc);
    }
    return rc ? ctl_fail(ctl, "unlock") : print_profiles(ctl, profiles, n);
}

int cmd_unlock(struct ctl *ctl)
{
    int status = ctl_open(ctl);
    if (status)
        return status;
    char *phrase = ask_page();
    if (!phrase)
        return EXIT_FAILED;
    ssize_t n = read_phrase(ctl->args, phrase, ASK_MAX);
    if (n >= 0) {
        phrase[n] = '\n';
        status = unlock(ctl, ask_pipe(phrase, (size_t)n + 1));
    } else {
        status = ask_stopped() ? EXIT_DETACHED : EXIT_FAILED;
    }
    ask_free(phrase);
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
