/* SPDX-License-Identifier: Apache-2.0
 *
 * log.h - one line an event: to the journal with fields under systemd, else to stderr.
 *
 * Any thread. Values are escaped; secrets never come here. Who absorbs an error logs it.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include "proto/err.h"

enum log_level { LOG_L_ERROR, LOG_L_WARN, LOG_L_INFO, LOG_L_DEBUG };

/* Where lines go; before there are other threads. to_journal: 1, 0, or LOG_FIND_OUT, which takes
 * the journal if stderr is connected to it (JOURNAL_STREAM). Until then: stderr, info. */
#define LOG_FIND_OUT (-1)
void log_init(enum log_level most, int to_journal);
void log_set_level(enum log_level most);
int log_wants(enum log_level level);

/* level, journal fields ("OCID_JOB=17", NULL-ended array or NULL), sentence. */
void log_line(enum log_level level, const char *const *fields, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(...) log_line(LOG_L_ERROR, NULL, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_L_WARN, NULL, __VA_ARGS__)
#define log_info(...)  log_line(LOG_L_INFO, NULL, __VA_ARGS__)
#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (log_wants(LOG_L_DEBUG))                                                                \
            log_line(LOG_L_DEBUG, NULL, __VA_ARGS__);                                              \
    } while (0)

#endif
