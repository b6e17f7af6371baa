/* SPDX-License-Identifier: Apache-2.0
 *
 * progress.c - keeps and draws the lines of running jobs and of all together.
 *
 * The lines are drawn over themselves; nothing but cursor movement is sent, so NO_COLOR changes
 * nothing here.
 */
#include "ctl/progress.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINE_BYTES = 4 * 512 };

/* ---- Rates */

void rate_init(struct rate *r)
{
    *r = (struct rate){.per_s = -1};
}

/* Old speed fades with a time constant of three seconds. */
void rate_add(struct rate *r, uint64_t done, uint64_t now_ms)
{
    if (!r->at_ms || done < r->done) { /* a repeated part takes bytes back */
        r->at_ms = now_ms;
        r->done = done;
        return;
    }
    if (now_ms < r->at_ms + 100)
        return;
    double s = (double)(now_ms - r->at_ms) / 1000, now = (double)(done - r->done) / s;
    double keep = r->per_s < 0 ? 0 : 3 / (3 + s);
    r->per_s = keep * (r->per_s < 0 ? 0 : r->per_s) + (1 - keep) * now;
    r->at_ms = now_ms;
    r->done = done;
}

/* ---- What is heard */

static unsigned columns_of_terminal(void)
{
    struct winsize w;
    return !ioctl(STDERR_FILENO, TIOCGWINSZ, &w) && w.ws_col >= 20 ? w.ws_col : 80;
}

void progress_init(struct progress *p, FILE *out, bool terminal, uint64_t now_ms)
{
    memset(p, 0, sizeof *p);
    p->out = out;
    p->terminal = terminal;
    p->columns = terminal ? columns_of_terminal() : 200;
    p->total = OCID_UNKNOWN;
    p->drawn_at = p->began_at = now_ms;
    rate_init(&p->rate);
}

void progress_begin(struct progress *p)
{
    for (int i = 0; i < PROGRESS_LINES; i++)
        p->lines[i].heard = false;
    p->waits[0] = 0;
}

static struct progress_line *line_of(struct progress *p, uint64_t id)
{
    struct progress_line *free_line = NULL;
    for (int i = 0; i < PROGRESS_LINES; i++) {
        if (p->lines[i].id == id)
            return &p->lines[i];
        if (!free_line && !p->lines[i].id)
            free_line = &p->lines[i];
    }
    for (int i = 0; !free_line && i < PROGRESS_LINES; i++)
        if (!p->lines[i].heard)
            free_line = &p->lines[i];
    if (free_line) {
        memset(free_line, 0, sizeof *free_line);
        rate_init(&free_line->rate);
    }
    return free_line;
}

static const char *name_of(const struct ocid_status *s)
{
    if (!s->job)
        return "";
    return s->job->object && *s->job->object ? s->job->object
           : s->job->bucket                  ? s->job->bucket
                                             : "";
}

void progress_job(struct progress *p, const struct ocid_status *s, uint64_t now_ms)
{
    struct progress_line *l = line_of(p, s->id);
    if (!l)
        return;
    l->id = s->id;
    l->heard = true;
    snprintf(l->name, sizeof l->name, "%.*s", PROGRESS_NAME - 1, render_name(name_of(s)));
    l->done = s->bytes_done;
    l->total = s->bytes_total;
    if (l->total == OCID_UNKNOWN && s->job && s->job->identified)
        l->total = s->job->size;
    l->state[0] = 0;
    if (s->state != OCID_STATE_RUNNING)
        render_state(s, l->state, sizeof l->state);
    rate_add(&l->rate, l->done, now_ms);
}

void progress_totals(struct progress *p, uint64_t done, uint64_t total, uint64_t now_ms)
{
    p->done = done;
    p->total = total;
    rate_add(&p->rate, done, now_ms);
}

/* ---- What is seen */

static void numbers(uint64_t done, uint64_t total, const struct rate *r, char *out, size_t size)
{
    char a[RENDER_NUMBER], b[RENDER_NUMBER], c[RENDER_NUMBER], d[RENDER_NUMBER],
        e[RENDER_NUMBER] = "-";
    if (r->per_s >= 0)
        render_rate(r->per_s, e);
    if (total == OCID_UNKNOWN)
        snprintf(out, size, "%9s  %11s", render_size(done, a), e);
    else if (done >= total)
        snprintf(out, size, "%9s of %9s 100%%  %11s", render_size(done, a), render_size(total, b),
                 e);
    else
        snprintf(out, size, "%9s of %9s %4s  %11s  ETA %s", render_size(done, a),
                 render_size(total, b), render_percent(done, total, c), e,
                 render_eta(done, total, r->per_s, d));
}

/* The end of a long name tells more than its beginning. */
static void cut_name(const char *name, size_t columns, char *out, size_t size)
{
    size_t width = render_width(name), skip;
    if (width <= columns) {
        snprintf(out, size, "%s", name);
        return;
    }
    skip = render_fit(name, width - columns + 3);
    while (((unsigned char)name[skip] & 0xc0) == 0x80)
        skip++;
    snprintf(out, size, "...%s", name + skip);
}

void progress_format(const struct progress *p, const struct progress_line *l, char *out,
                     size_t size)
{
    char name[PROGRESS_NAME + 4], right[160];
    if (l->state[0])
        snprintf(right, sizeof right, "%s", l->state);
    else
        numbers(l->done, l->total, &l->rate, right, sizeof right);
    size_t used = strlen(right) + 2, room = p->columns > used + 12 ? p->columns - used - 1 : 12;
    if (room > 48)
        room = 48;
    cut_name(l->name, room, name, sizeof name);
    size_t width = render_width(name);
    snprintf(out, size, "%s%*s  %s", name, (int)(width < room ? room - width : 0), "", right);
}

void progress_format_total(const struct progress *p, char *out, size_t size)
{
    char right[160], failed[40] = "", of[64] = "";
    numbers(p->done, p->total, &p->rate, right, sizeof right);
    if (p->n_failed)
        snprintf(failed, sizeof failed, ", %" PRIu64 " failed", p->n_failed);
    if (p->n_total)
        snprintf(of, sizeof of, "%" PRIu64 " of %" PRIu64 " done%s:", p->n_done, p->n_total,
                 failed);
    snprintf(out, size, "%s%s%s%s%s", of, *of ? " " : "", right, p->waits[0] ? "  " : "", p->waits);
}

static void put_line(struct progress *p, const char *line)
{
    fprintf(p->out, "%.*s\033[K\n", (int)render_fit(line, p->columns - 1), line);
    p->n_drawn++;
}

void progress_clear(struct progress *p)
{
    if (p->n_drawn)
        fprintf(p->out, "\033[%uA\r\033[J", p->n_drawn);
    p->n_drawn = 0;
}

static void draw_lines(struct progress *p)
{
    char line[LINE_BYTES];
    if (p->n_drawn)
        fprintf(p->out, "\033[%uA\r", p->n_drawn);
    p->n_drawn = 0;
    for (int i = 0; i < PROGRESS_LINES; i++) {
        struct progress_line *l = &p->lines[i];
        if (!l->heard)
            l->id = 0;
        if (!l->id)
            continue;
        progress_format(p, l, line, sizeof line);
        put_line(p, line);
    }
    if (p->several) {
        progress_format_total(p, line, sizeof line);
        put_line(p, line);
    } else if (p->waits[0]) {
        put_line(p, p->waits);
    }
    fputs("\033[J", p->out);
    fflush(p->out);
}

static void say_line(struct progress *p, uint64_t now_ms)
{
    char line[LINE_BYTES], span[RENDER_NUMBER];
    progress_format_total(p, line, sizeof line);
    fprintf(p->out, "%s: %s\n", render_span(now_ms - p->began_at, span), line);
}

uint64_t progress_due(const struct progress *p, uint64_t now_ms)
{
    uint64_t due = p->drawn_at + (p->terminal ? PROGRESS_DRAW_MS : PROGRESS_SAY_MS);
    return due > now_ms ? due - now_ms : 0;
}

void progress_draw(struct progress *p, uint64_t now_ms)
{
    if (progress_due(p, now_ms))
        return;
    p->drawn_at = now_ms;
    if (p->out && p->terminal)
        draw_lines(p);
    else if (p->out)
        say_line(p, now_ms);
}
