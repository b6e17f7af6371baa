/* SPDX-License-Identifier: Apache-2.0
 *
 * json.h - what --json prints: lines with the fields of the protocol's messages.
 */
#ifndef CTL_JSON_H
#define CTL_JSON_H

#include "ctl/ctl.h"

/* Each prints one line to stdout. */
void json_status(const struct ocid_status *s);
void json_row(const struct ocid_row *r);
void json_limit(const struct ocid_limit *l);
void json_stats(const struct ocid_stats *s);
void json_ack(const struct ocid_ack *a);

/* {"a": "b", ...}; the pair with key NULL ends it. */
void json_pairs(const struct ocid_pair *p, size_t n);

/* The same of whoami, in front of them the fields of the service's own answer, as its API has them.
 */
void json_user(const struct ocid_pair *p, size_t n);

/* {"id": 1, "members": 3}; members OCID_UNKNOWN: left out. */
void json_id(uint64_t id, uint64_t members);

#endif
