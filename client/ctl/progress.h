/* SPDX-License-Identifier: Apache-2.0
 *
 * progress.h - lines at the bottom of a terminal, or one line now and then where there is none.
 *
 * Draws to stderr only. Time is an argument: milliseconds of a steady clock.
 */
#ifndef CTL_PROGRESS_H
#define CTL_PROGRESS_H

#include "ctl/render.h"

enum { PROGRESS_LINES = 8, PROGRESS_NAME = 512, PROGRESS_DRAW_MS = 200, PROGRESS_SAY_MS = 10000 };

/* How fast something grows: a mean over the last seconds. */
struct rate {
    uint64_t at_ms, done;
    double per_s; /* < 0: not known yet */
};

void rate_init(struct rate *r);
void rate_add(struct rate *r, uint64_t done, uint64_t now_ms);

struct progress_line {
    uint64_t id; /* 0: free */
    bool heard;
    char name[PROGRESS_NAME];
    uint64_t done, total;
    char state[64]; /* "" while it runs */
    struct rate rate;
};

struct progress {
    FILE *out; /* NULL: silent */
    bool terminal;
    unsigned columns;
    struct progress_line lines[PROGRESS_LINES];
    struct rate rate;
    uint64_t done, total; /* bytes of all; total OCID_UNKNOWN */
    uint64_t n_done, n_total, n_failed;
    bool several;    /* a total is worth a line */
    char waits[256]; /* why nothing moves, or "" */
    unsigned n_drawn;
    uint64_t drawn_at, began_at;
};

void progress_init(struct progress *p, FILE *out, bool terminal, uint64_t now_ms);

/* One job that is at work (or waits); those that are not named between two progress_begin() lose
 * their line. */
void progress_begin(struct progress *p);
void progress_job(struct progress *p, const struct ocid_status *s, uint64_t now_ms);
void progress_totals(struct progress *p, uint64_t done, uint64_t total, uint64_t now_ms);

/* Draws if it is time. */
void progress_draw(struct progress *p, uint64_t now_ms);

/* How long until it is. */
uint64_t progress_due(const struct progress *p, uint64_t now_ms);

/* Takes the lines away, before anything else is written to stderr. */
void progress_clear(struct progress *p);

/* One line as it is drawn, without a line's end; for tests. */
void progress_format(const struct progress *p, const struct progress_line *l, char *out,
                     size_t size);
void progress_format_total(const struct progress *p, char *out, size_t size);

#endif
