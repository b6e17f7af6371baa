/* SPDX-License-Identifier: Apache-2.0
 *
 * args.h - verbs, options and what was given of them.
 *
 * Pure: the tables are in args.c, their text in help.c.
 */
#ifndef CTL_ARGS_H
#define CTL_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ocid/client.h"

#define CTL_VERBS(X)                                                                               \
    X(push)                                                                                        \
    X(pull)                                                                                        \
    X(ls)                                                                                          \
    X(head)                                                                                        \
    X(cat)                                                                                         \
    X(rm)                                                                                          \
    X(status)                                                                                      \
    X(wait)                                                                                        \
    X(cancel)                                                                                      \
    X(pause)                                                                                       \
    X(resume)                                                                                      \
    X(retry)                                                                                       \
    X(buckets)                                                                                     \
    X(mkbucket)                                                                                    \
    X(uploads)                                                                                     \
    X(share)                                                                                       \
    X(shares)                                                                                      \
    X(revoke)                                                                                      \
    X(watch)                                                                                       \
    X(whoami)                                                                                      \
    X(setup)                                                                                       \
    X(doctor)                                                                                      \
    X(unlock)                                                                                      \
    X(lock)                                                                                        \
    X(start)                                                                                       \
    X(stop)                                                                                        \
    X(reload)                                                                                      \
    X(limit)                                                                                       \
    X(stats)                                                                                       \
    X(version)                                                                                     \
    X(help)

enum verb_id {
#define CTL_VERB_ENUM(name) VERB_##name,
    CTL_VERBS(CTL_VERB_ENUM)
#undef CTL_VERB_ENUM
        N_VERBS
};

#define CTL_BIT(verb) (1u << VERB_##verb)
#define CTL_ALL       ((1u << N_VERBS) - 1)

struct ctl;

struct verb {
    const char *name;
    int min, max;      /* how many words */
    const char *usage; /* its words */
    const char *brief;
    int (*run)(struct ctl *ctl);
};

extern const struct verb ctl_verbs[N_VERBS];

enum take {
    TAKE_YES,  /* int 1 */
    TAKE_NO,   /* int 0 */
    TAKE_TEXT, /* const char * */
    TAKE_NUMBER,
    TAKE_SIZE, /* bytes; uint64_t */
    TAKE_TIME, /* ms; uint64_t */
    TAKE_DIGIT,
    TAKE_FD,
    TAKE_ID,
    TAKE_IDS,
    TAKE_PAIRS,
    TAKE_STATE,
    TAKE_LINKS,
    TAKE_TIER,
    TAKE_RATE,  /* bytes a second, 0: none; uint64_t */
    TAKE_COUNT, /* a number, 0: none */
};

struct flag {
    const char *name;
    char letter; /* 0: none */
    enum take take;
    size_t at; /* of the member of struct args */
    uint32_t verbs;
    const char *value; /* as help shows it; NULL: none */
    const char *brief;
};

extern const struct flag ctl_flags[];
extern const size_t ctl_n_flags;

enum links { LINKS_FOLLOW, LINKS_SKIP, LINKS_ERROR };

enum { ARGS_AFTER_MAX = 1000, ARGS_PAIRS_MAX = 64 };
#define ARGS_NO_AGE UINT64_MAX
#define ARGS_NONE   UINT64_MAX /* not given, where 0 says something */

/* A member that was not given is 0, NULL or -1, as said. */
struct args {
    enum verb_id verb;
    char **words;
    int n_words;

    /* any verb */
    int json, quiet, help;
    const char *socket;

    /* the job */
    const char *profile, *label, *key, *if_match, *version_id;
    int priority; /* -1 */
    uint64_t timeout_ms;
    bool has_timeout;
    uint64_t after[ARGS_AFTER_MAX];
    size_t n_after;
    int wait; /* -1 */
    int recursive, overwrite;

    /* push */
    const char *content_type, *content_encoding, *content_language, *content_disposition;
    const char *cache_control, *tier;
    struct ocid_pair pairs[ARGS_PAIRS_MAX];
    size_t n_pairs;
    int if_absent;
    uint64_t part_bytes, size;
    int links; /* enum links */

    /* ls, buckets, mkbucket */
    int lengthy;
    const char *prefix, *start, *end, *fields, *to, *compartment;
    uint64_t limit;

    /* uploads */
    uint64_t abort_older_ms; /* ARGS_NO_AGE */

    /* share */
    int write, read_write, listing;
    uint64_t expires_ms; /* from now; 0: not given */

    /* watch */
    int changed, gone;
    const char *etag;
    uint64_t every_ms;

    /* status */
    int state; /* -1 */
    int all, follow;
    uint64_t set; /* limit, too */

    /* limit */
    uint64_t rate, jobs, uid; /* ARGS_NONE */
    const char *client;

    /* keys, daemon */
    int fd; /* -1 */
    uint64_t ttl_ms;
    const char *config;
    int daemon;

    /* setup */
    const char *user, *tenancy, *region, *key_file, *policy, *bucket;
    int no_phrase, quick;
};

/* Reads a command line. 0: done. Else why says what is wrong with it; *ret has the verb if that
 * was understood. Words and texts borrow from argv; pairs are cut into argv. */
int args_parse(int argc, char **argv, struct args *ret, char *why, size_t why_size);

/* Numbers of people: "64MiB", "1.5G" (units of 1024), "90s", "1h30m", "12". 0 or -1. */
int args_size(const char *text, uint64_t *ret);
int args_time(const char *text, uint64_t *ret_ms);
int args_number(const char *text, uint64_t *ret);

/* How long ocictl itself waits at most: as --timeout says, unless that is of the jobs it makes. */
uint64_t args_patience_ms(const struct args *a, uint64_t otherwise_ms);

/* The ids among the words. 0, or -1 and why. */
int args_ids(const struct args *a, uint64_t *ret, char *why, size_t why_size);

/* What a mistyped word may have meant, or NULL; the names are counted by next(i), NULL at the
 * end. */
const char *args_nearest(const char *word, const char *(*next)(size_t i, const void *arg),
                         const void *arg);

/* Texts of help, for stdout. */
void help_all(void);
void help_verb(enum verb_id verb);

#endif
