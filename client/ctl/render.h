/* SPDX-License-Identifier: Apache-2.0
 *
 * render.h - numbers, times and jobs as people read them.
 *
 * Pure but for render_job() and render_table..., which print to stdout.
 */
#ifndef CTL_RENDER_H
#define CTL_RENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ocid/client.h"

enum { RENDER_NUMBER = 24, RENDER_NAME = 4200 };

/* "0 B", "999 B", "1.00 KiB", "12.3 MiB", "1023 GiB"; OCID_UNKNOWN: "-". Return out. */
char *render_size(uint64_t bytes, char out[RENDER_NUMBER]);
char *render_rate(double bytes_per_s, char out[RENDER_NUMBER]);

/* A length of time: "3 s", "1:05" (minutes), "2:03:04", "4 d 05 h". */
char *render_span(uint64_t ms, char out[RENDER_NUMBER]);

/* Time that is left: "-" while nobody knows. */
char *render_eta(uint64_t done, uint64_t total, double bytes_per_s, char out[RENDER_NUMBER]);

/* A moment in local time: "2024-05-01 12:00:03"; 0: "-". */
char *render_time(uint64_t at_ms, char out[RENDER_NUMBER]);

/* "43%", "-" if the total is unknown; 100% only when all is done. */
char *render_percent(uint64_t done, uint64_t total, char out[RENDER_NUMBER]);

/* A name with control bytes escaped. Borrows a buffer until the eighth next call. */
const char *render_name(const char *name);

/* Columns that text takes on a terminal; the longest head of it within so many columns. */
size_t render_width(const char *text);
size_t render_fit(const char *text, size_t columns);

/* "put '/home/x' to oci://b/o", for a line of a table. Returns out. */
char *render_what(const struct ocid_job *job, char *out, size_t size);

/* "put 'logs/a.gz'", as errors begin. */
char *render_subject(const struct ocid_job *job, uint64_t id, char *out, size_t size);

/* "oci://b[@ns]/o", escaped. */
char *render_uri(const struct ocid_job *job, char *out, size_t size);

/* "running", "waiting: locked". */
char *render_state(const struct ocid_status *s, char *out, size_t size);

/* What the job waits for and what to do about it, or NULL. now_ms: wall clock. */
const char *render_why(const struct ocid_status *s, uint64_t now_ms, char *out, size_t size);

/* Whether a job is a set, and its failure as a whole. */
bool render_is_set(const struct ocid_status *s);

/* One line of the table of jobs; the head first. */
void render_head(void);
void render_line(const struct ocid_status *s, bool color);

/* One job in full. */
void render_job(const struct ocid_status *s, uint64_t now_ms, bool color);

/* "key    value" lines, escaped. */
void render_pair(const char *key, const char *value);

#endif
