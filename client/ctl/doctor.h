/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor.h - what the parts of `ocictl doctor` share: the verdicts, and what was found out so far.
 */
#ifndef CTL_DOCTOR_H
#define CTL_DOCTOR_H

#include "ctl/child.h"
#include "ctl/ctl.h"

enum doctor_level { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL, DOCTOR_SKIP };

enum { DOCTOR_MEND = 1200 };

struct doctor {
    struct ctl *ctl;
    char profile[130];     /* never "" */
    struct child settings; /* of ocid.conf, as ocid reads them; text NULL: unknown */
    struct child checked;  /* what ocid-signer says; text NULL: nothing */
    /* of the running daemon, if there is one: ctl->c */
    char *config, *state_dir; /* of ocid.conf and the queue; NULL: none, or unknown */
    uint64_t descriptors;     /* 0: unknown */
    bool locked;              /* the key wants a pass phrase, as far as its file tells */
    unsigned n_failed;
    char mend[DOCTOR_MEND]; /* of what is told next */
};

/* One line. mend: what was set by doctor_mend() before; it belongs to this one alone. */
void doctor_tell(struct doctor *d, enum doctor_level level, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void doctor_mend(struct doctor *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A setting of ocid.conf ("network.proxy"); "" if it is empty or unknown. */
const char *doctor_setting(const struct doctor *d, const char *name);

/* What the profile was found to have ("host", "key_id", "key_file"), or "". */
const char *doctor_fact(const struct doctor *d, const char *name);

/* ---- doctor_service.c: by the daemon, which has to run */

/* Name resolution, a signed call, the clock, who it is. */
void doctor_service(struct doctor *d);

/* Lists, writes, reads and deletes below that URI. EXIT_USAGE after saying that it is none. */
int doctor_bucket(struct doctor *d, const char *uri);

#endif
