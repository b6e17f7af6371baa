/* SPDX-License-Identifier: Apache-2.0
 *
 * spec.h - is what a client submits a job that can be done?
 *
 * Pure; any thread.
 */
#ifndef JOBS_SPEC_H
#define JOBS_SPEC_H

#include "proto/codec.h"

/* Checks what the table of messages cannot say: which fields a kind needs, names, paths. n_fds:
 * descriptors of the message. 0, or OCID_E_INVALID, _NAME, _UNSUPPORTED with how to mend it. */
int spec_check(const struct ocp_job *job, unsigned n_fds, struct oc_err *err);

/* A job in so many bytes of a message: is it small enough to be kept, and shown with others? */
int spec_size_check(size_t n, struct oc_err *err);

/* A put of what comes down a pipe, as it is kept: nobody knew the file that it would become. */
int spec_is_stream(const struct ocp_job *j);

/* Jobs whose answer matters only to the asker are not written to disk. */
int spec_durable(const struct ocp_job *job);

#endif
