/* SPDX-License-Identifier: Apache-2.0
 *
 * env.c - cuts the environment to an allow-list.
 *
 * Main thread, before all else.
 */
#include "core/env.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

static const char *const allowed[] = {
    "HOME",
    "USER",
    "LOGNAME",
    "PATH",
    "LANG",
    "LC_*",
    "TZ",
    "TMPDIR",
    "XDG_*",
    "NOTIFY_SOCKET",
    "LISTEN_*",
    "WATCHDOG_*",
    "JOURNAL_STREAM",
    "INVOCATION_ID",
    "MALLOC_*",
    "CREDENTIALS_DIRECTORY",
    "OCID_*",
    "ASAN_OPTIONS",
    "UBSAN_OPTIONS",
    "TSAN_OPTIONS",
    "LSAN_OPTIONS",
    NULL,
};

static int matches(const char *pattern, const char *entry, size_t n)
{
    size_t len = strlen(pattern);
    if (len && pattern[len - 1] == '*')
        return n >= len - 1 && !memcmp(pattern, entry, len - 1);
    return n == len && !memcmp(pattern, entry, len);
}

int env_allows(const char *entry, const char *const *more)
{
    size_t n = strcspn(entry, "=");
    if (!n || !entry[n])
        return 0;
    for (const char *const *p = allowed; *p; p++)
        if (matches(*p, entry, n))
            return 1;
    for (; more && *more; more++)
        if (matches(*more, entry, n))
            return 1;
    return 0;
}

unsigned env_cut(const char *const *more)
{
    unsigned n_cut = 0;
    if (!environ)
        return 0;
    char **to = environ;
    for (char **from = environ; *from; from++) {
        if (env_allows(*from, more))
            *to++ = *from;
        else
            n_cut++;
    }
    *to = NULL;
    return n_cut;
}
