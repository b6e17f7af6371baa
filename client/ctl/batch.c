/* SPDX-License-Identifier: Apache-2.0
 *
 * batch.c - members of a set, some hundred at a time.
 *
 * The daemon takes a message whole or not at all and names the job it refuses; that one is said and
 * the others go again. Blocks on the daemon.
 */
#include "ctl/batch.h"

#include <stdlib.h>
#include <string.h>

#include "ctl/render.h"

enum { STRINGS_OF_ONE = 4096 + 1024 + 256 + 256 };

static int submit(struct batch *b, uint64_t *ids)
{
    return ocid_submit(b->ctl->c, b->jobs, b->n, CTL_REPLY_MS, ids);
}

void batch_init(struct batch *b, struct ctl *ctl, const struct ocid_job *set_job)
{
    memset(b, 0, offsetof(struct batch, jobs));
    b->ctl = ctl;
    b->set_job = *set_job;
    b->strings = ctl_alloc(BATCH_STRINGS);
    b->n = b->n_strings = 0;
    b->n_taken = b->n_lost = b->bytes = 0;
    b->status = 0;
    b->submit = submit;
}

void batch_fini(struct batch *b)
{
    free(b->strings);
}

const char *batch_text(struct batch *b, const char *text)
{
    size_t n = strlen(text) + 1;
    if (n > BATCH_STRINGS - b->n_strings)
        return NULL;
    char *out = memcpy(b->strings + b->n_strings, text, n);
    b->n_strings += n;
    return out;
}

int batch_room(struct batch *b)
{
    if (b->n < BATCH_JOBS && BATCH_STRINGS - b->n_strings >= STRINGS_OF_ONE)
        return b->status;
    return batch_flush(b);
}

void batch_add(struct batch *b)
{
    b->n++;
}

/* A refusal that another job would not meet. */
static bool own_fault(int code)
{
    return code == OCID_E_INVALID || code == OCID_E_NAME || code == OCID_E_TOO_LARGE ||
           code == OCID_E_UNSUPPORTED;
}

static int failed(struct batch *b, const char *what)
{
    const struct ocid_failure *why = ocid_failure(b->ctl->c);
    if (why->code == OCID_E_DETACHED)
        b->status = EXIT_DETACHED;
    else
        b->status = ctl_failed(what, why);
    return b->status;
}

static int make_set(struct batch *b)
{
    if (b->set || !b->ctl)
        return 0;
    return ocid_submit(b->ctl->c, &b->set_job, 1, CTL_REPLY_MS, &b->set) ? failed(b, NULL) : 0;
}

/* Takes out those that have an id, and the refused one. */
static void keep_rest(struct batch *b, const uint64_t *ids, size_t refused)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (ids[i])
            b->n_taken++;
        if (ids[i] || i == refused)
            continue;
        if (n != i) {
            b->jobs[n] = b->jobs[i];
            memcpy(b->pairs[n], b->pairs[i], sizeof b->pairs[n]);
            b->jobs[n].metadata = b->pairs[n];
        }
        n++;
    }
    b->n = n;
}

int batch_flush(struct batch *b)
{
    uint64_t ids[BATCH_JOBS];
    char what[RENDER_NAME];
    if (b->status || !b->n || make_set(b))
        return b->status;
    while (b->n) {
        for (size_t i = 0; i < b->n; i++) {
            b->jobs[i].set = b->set;
            b->jobs[i].metadata = b->pairs[i];
        }
        int rc = b->submit(b, ids);
        if (!rc) {
            b->n_taken += b->n;
            break;
        }
        const struct ocid_failure *why = ocid_failure(b->ctl->c);
        if (!own_fault(rc) || why->index < 0 || why->index >= (int64_t)b->n) {
            keep_rest(b, ids, SIZE_MAX);
            return failed(b, "push");
        }
        size_t i = (size_t)why->index;
        ctl_failed(render_subject(&b->jobs[i], 0, what, sizeof what), why);
        b->n_lost++;
        keep_rest(b, ids, i);
    }
    b->n = b->n_strings = 0;
    return 0;
}
