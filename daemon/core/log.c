/* SPDX-License-Identifier: Apache-2.0
 *
 * log.c - one line an event: to the journal with fields under systemd, else to stderr.
 *
 * Any thread. A line is one send or one write(), so that lines of several threads never mix; a line
 * that the receiver will not take is lost, never waited for on stderr.
 * Source: sd_journal_sendv(3); JOURNAL_STREAM in systemd.exec(5).
 */
#include "core/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "proto/text.h"

enum { TEXT_MAX = 2048, FIELD_MAX = 1024, MAX_FIELDS = 8 };

static const struct {
    const char *name;
    char priority[12];
} levels[] = {
    [LOG_L_ERROR] = {"error", "PRIORITY=3"},
    [LOG_L_WARN] = {"warn", "PRIORITY=4"},
    [LOG_L_INFO] = {"info", "PRIORITY=6"},
    [LOG_L_DEBUG] = {"debug", "PRIORITY=7"},
};

static _Atomic int level_most = LOG_L_INFO;
static int use_journal;

static int stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    uint64_t dev, ino;
    struct stat st;
    return stream && sscanf(stream, "%" SCNu64 ":%" SCNu64, &dev, &ino) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void log_init(enum log_level most, int to_journal)
{
    use_journal = to_journal == LOG_FIND_OUT ? stderr_is_journal() : to_journal;
    log_set_level(most);
}

void log_set_level(enum log_level most)
{
    atomic_store_explicit(&level_most, (int)most, memory_order_relaxed);
}

int log_wants(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&level_most, memory_order_relaxed);
}

static void to_stderr(enum log_level level, const char *text)
{
    char line[TEXT_MAX + 64];
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03ldZ %-5s %s\n", now.tv_nsec / 1000000,
                          levels[level].name, text);
    if (write(STDERR_FILENO, line, n) < 0)
        return; /* there is nobody left to tell */
}

static struct iovec vec(const char *s)
{
    return (struct iovec){.iov_base = (char *)s, .iov_len = strlen(s)};
}

static void to_journal(enum log_level level, const char *const *fields, const char *text)
{
    char message[TEXT_MAX + 16], field[MAX_FIELDS][FIELD_MAX];
    struct iovec part[MAX_FIELDS + 3];
    int n = 0;
    oc_text_join(message, sizeof message, "MESSAGE=", text, "");
    part[n++] = vec(message);
    part[n++] = vec(levels[level].priority);
    part[n++] = vec("SYSLOG_IDENTIFIER=ocid");
    for (int i = 0; fields && fields[i] && i < MAX_FIELDS; i++) {
        oc_text_escape(fields[i], strlen(fields[i]), field[i], sizeof field[i]);
        part[n++] = vec(field[i]);
    }
    if (sd_journal_sendv(part, n) < 0)
        to_stderr(level, text);
}

void log_line(enum log_level level, const char *const *fields, const char *fmt, ...)
{
    if (!log_wants(level))
        return;
    char raw[TEXT_MAX], text[TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    oc_text_escape(raw, strlen(raw), text, sizeof text);
    if (use_journal)
        to_journal(level, fields, text);
    else
        to_stderr(level, text);
}
