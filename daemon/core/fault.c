/* SPDX-License-Identifier: Apache-2.0
 *
 * fault.c - named points where the world may fail; an empty file without OCID_FAULTS.
 *
 * Any thread after fault_init(); a test build only, so a faulty order stops the program at once.
 */
#include "core/fault.h"

#ifdef OCID_FAULTS
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ORDERS = 32 };

struct order {
    char name[64];
    unsigned nth;
    int onwards;
    atomic_uint n_hits;
};

static struct order orders[MAX_ORDERS];
static unsigned n_orders;

static void refuse(const char *spec)
{
    fprintf(stderr, "OCID_FAULT: '%s' is not name:n or name:n+, at most %d of them\n", spec,
            MAX_ORDERS);
    abort();
}

static const char *parse_one(const char *spec)
{
    struct order *o = &orders[n_orders];
    const char *colon = strchr(spec, ':');
    if (n_orders == MAX_ORDERS || !colon || colon == spec ||
        (size_t)(colon - spec) >= sizeof o->name)
        refuse(spec);
    char *end;
    unsigned long nth = strtoul(colon + 1, &end, 10);
    int onwards = *end == '+';
    end += onwards;
    if (!nth || nth > 1000000 || (*end && *end != ','))
        refuse(spec);
    memset(o->name, 0, sizeof o->name);
    memcpy(o->name, spec, (size_t)(colon - spec));
    o->nth = (unsigned)nth;
    o->onwards = onwards;
    atomic_store(&o->n_hits, 0);
    n_orders++;
    return end + (*end == ',');
}

void fault_init(const char *spec)
{
    n_orders = 0;
    while (spec && *spec)
        spec = parse_one(spec);
}

int fault_hit(const char *name)
{
    int fails = 0;
    for (unsigned i = 0; i < n_orders; i++) {
        struct order *o = &orders[i];
        if (strcmp(o->name, name) != 0)
            continue;
        unsigned hit = atomic_fetch_add(&o->n_hits, 1) + 1;
        fails |= o->onwards ? hit >= o->nth : hit == o->nth;
    }
    return fails;
}
#endif
