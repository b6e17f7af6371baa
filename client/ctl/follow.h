/* SPDX-License-Identifier: Apache-2.0
 *
 * follow.h - waits for jobs with progress, and says how they ended.
 */
#ifndef CTL_FOLLOW_H
#define CTL_FOLLOW_H

#include "ctl/ctl.h"

/* Waits until all have ended. timeout_ms UINT64_MAX: as long as it takes. Exit status by the table
 * of errors; failures are said, with --json each end is a line on stdout. */
int follow_wait(struct ctl *ctl, const uint64_t *ids, size_t n, uint64_t timeout_ms);

/* Waits until the end of the job's pipe has been read: from then on it goes on without us. Ctrl-C
 * before that cancels it. 0, or the exit status. */
int follow_read(struct ctl *ctl, uint64_t id);

/* Says once what a job waits for; *last is what was said before (0 at first). */
void follow_say_why(struct ctl *ctl, const struct ocid_status *s, int *last);

/* Waits for one quick job and gives its status; the caller reads *ret until the next call on the
 * connection. Exit status; what as in ctl_failed(). */
int follow_call(struct ctl *ctl, const struct ocid_job *job, const char *what,
                const struct ocid_status **ret);

/* The failure of a job that has ended otherwise than done; its exit status. */
int follow_failure(const struct ocid_status *s, struct ocid_failure *ret);

uint64_t follow_clock(void); /* ms, steady */
uint64_t follow_now(void);   /* ms since 1970 */

#endif
