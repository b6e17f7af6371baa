/* SPDX-License-Identifier: Apache-2.0
 *
 * app.h - opens the rooms from the right, closes them from the left.
 *
 * Control loop.
 */
#ifndef APP_H
#define APP_H

#include "core/config.h"
#include "proto/err.h"

struct app_options {
    const char *config;    /* path; NULL: the default place */
    int system;            /* system mode's paths */
    struct config *loaded; /* a reference, taken over */
};

/* Runs the daemon until it is told to end. Returns the exit status; *err is filled when it could
 * not start. */
int app_run(const struct app_options *opt, struct oc_err *err);

/* Makes a new queue of what can be read of a damaged one, and says on stdout what that was. Returns
 * the exit status, 0 if nothing is missing; *err is filled when there is no new queue. */
int app_recover(const struct app_options *opt, struct oc_err *err);

#endif
