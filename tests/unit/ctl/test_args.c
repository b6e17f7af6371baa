/* SPDX-License-Identifier: Apache-2.0
 *
 * test_args.c - command lines of every verb, good and bad.
 */
#include "kit.h"

#include "ctl/ctl.h"

enum { WORDS = 24 };

/* Splits at spaces into words that may be changed. */
static int parse(const char *line, struct args *ret, char *why, size_t size)
{
    static char text[1024];
    static char *argv[WORDS + 2];
    int argc = 0;
    snprintf(text, sizeof text, "ocictl %s", line);
    for (char *w = strtok(text, " "); w && argc < WORDS; w = strtok(NULL, " "))
        argv[argc++] = w;
    argv[argc] = NULL;
    *why = 0;
    return args_parse(argc, argv, ret, why, size);
}

static const struct {
    const char *line;
    enum verb_id verb;
    int words;
} good[] = {
    {"push a oci://b/o", VERB_push, 2},
    {"push a b c oci://b/", VERB_push, 4},
    {"push -r --symlinks skip d oci://b/p", VERB_push, 2},
    {"push d oci://b/p -r --wait", VERB_push, 2},
    {"push - oci://b/o --content-type text/plain", VERB_push, 2},
    {"push --metadata a=1 -m b=2 --tier archive f oci://b/", VERB_push, 2},
    {"push --if-absent --part-size 64MiB --priority 9 f oci://b/", VERB_push, 2},
    {"push --no-overwrite --after 1 --after 2 --key k --timeout 1h30m f oci://b/", VERB_push, 2},
    {"push --cache-control x --content-disposition y --content-encoding z f oci://b/", VERB_push,
     2},
    {"push --recurs d oci://b/", VERB_push, 2},
    {"push -- -odd oci://b/", VERB_push, 2},
    {"pull oci://b/o", VERB_pull, 1},
    {"pull -r oci://b/p dest --overwrite --no-wait", VERB_pull, 2},
    {"pull oci://b/o -", VERB_pull, 2},
    {"ls oci://b", VERB_ls, 1},
    {"ls -l -r oci://b/p --prefix x --start a --end z --limit 10", VERB_ls, 1},
    {"ls oci://b --fields name,size --json", VERB_ls, 1},
    {"ls oci://b --to f --wait --overwrite --key k", VERB_ls, 1},
    {"head oci://b/o --if-match e", VERB_head, 1},
    {"cat oci://b/o oci://b/p", VERB_cat, 2},
    {"rm oci://b/o --version-id v", VERB_rm, 1},
    {"status", VERB_status, 0},
    {"status 1 2 --json", VERB_status, 2},
    {"status --state failed --set 4 -n 3 -a", VERB_status, 0},
    {"status --follow 7", VERB_status, 1},
    {"wait 1 2 -t 5", VERB_wait, 2},
    {"limit", VERB_limit, 0},
    {"limit --rate 20MiB/s --jobs none --uid 0", VERB_limit, 0},
    {"limit --rate none --client nb", VERB_limit, 0},
    {"limit --set 4 --jobs 3 --json", VERB_limit, 0},
    {"cancel 1", VERB_cancel, 1},
    {"pause 1", VERB_pause, 1},
    {"resume 1", VERB_resume, 1},
    {"retry 1 2", VERB_retry, 2},
    {"buckets --compartment c", VERB_buckets, 0},
    {"mkbucket b --tier Standard", VERB_mkbucket, 1},
    {"whoami -p P", VERB_whoami, 0},
    {"doctor", VERB_doctor, 0},
    {"doctor --quick --bucket oci://b/x -p P -t 5s -c FILE --passphrase-fd 3", VERB_doctor, 0},
    {"setup --user u --tenancy t --region r --profile P --key-file k --no-passphrase", VERB_setup,
     0},
    {"setup --wait --timeout 5m --overwrite --config f --passphrase-fd 3", VERB_setup, 0},
    {"setup fingerprint k --json", VERB_setup, 2},
    {"setup --print-policy oci://b/p", VERB_setup, 0},
    {"unlock --passphrase-fd 3 --ttl 8h --profile P", VERB_unlock, 0},
    {"lock --profile P", VERB_lock, 0},
    {"start --config f --timeout 10s", VERB_start, 0},
    {"stop", VERB_stop, 0},
    {"reload -q", VERB_reload, 0},
    {"stats --json", VERB_stats, 0},
    {"version --daemon", VERB_version, 0},
    {"--version", VERB_version, 0},
    {"help push", VERB_help, 1},
    {"push --help", VERB_push, 0},
    {"--socket /s --json -q status", VERB_status, 0},
};

static void test_good_lines(void **state)
{
    struct args a;
    char why[512];
    (void)state;
    for (size_t i = 0; i < N_ROWS(good); i++) {
        if (parse(good[i].line, &a, why, sizeof why))
            fail_msg("row '%s': %s", good[i].line, why);
        row_check(good[i].line, a.verb == good[i].verb);
        row_check(good[i].line, a.n_words == good[i].words);
    }
}

static const struct {
    const char *line, *why;
} bad[] = {
    {"", "a verb is missing"},
    {"psuh a oci://b/", "no verb 'psuh'; did you mean push?"},
    {"stat oci://b/o", "did you mean head?"},
    {"get oci://b/o", "did you mean pull?"},
    {"upload f", "did you mean push?"},
    {"xyzzy", "there is no verb 'xyzzy'"},
    {"--jsno status", "unknown option '--jsno'; did you mean --json?"},
    {"push", "push: something is missing: ocictl push SRC... oci://BUCKET/OBJECT"},
    {"push a", "push: something is missing"},
    {"push --if-absnet a oci://b/",
     "push: unknown option '--if-absnet'; did you mean --if-absent?"},
    {"push --zzzzzz a oci://b/", "push: unknown option '--zzzzzz'"},
    {"push -x a oci://b/", "push: unknown option '-x'"},
    {"push --content-type", "the option '--content-type' needs a value: TYPE"},
    {"push -m", "the option '-m' needs a value: NAME=VALUE"},
    {"push --wait=1 a oci://b/", "the option '--wait' takes no value"},
    {"push --con x a oci://b/", "'--con' may be --content-"},
    {"push --metadata novalue a oci://b/", "'novalue' is not what --metadata takes: NAME=VALUE"},
    {"push --metadata =x a oci://b/", "NAME=VALUE"},
    {"push --priority 10 a oci://b/", "'10' is not what --priority takes: a digit from 0 to 9"},
    {"push --priority x a oci://b/", "a digit from 0 to 9"},
    {"push --part-size 10MB a oci://b/", "'10MB' is not what --part-size takes: a size"},
    {"push --timeout soon a oci://b/", "'soon' is not what --timeout takes: a time"},
    {"push --after x a oci://b/", "'x' is not what --after takes: the id of a job"},
    {"push --after 0 a oci://b/", "the id of a job"},
    {"push --symlinks maybe a oci://b/", "follow, skip or error"},
    {"push --tier Cold a oci://b/", "Standard, InfrequentAccess or Archive"},
    {"push --if-absent --if-match e a oci://b/", "exclude each other"},
    {"push --overwrite a oci://b/", "push: unknown option '--overwrite'"},
    {"pull", "pull: something is missing"},
    {"pull oci://b/o d e", "pull: 'e' is one word too many"},
    {"pull --metadata a=b oci://b/o", "pull: unknown option '--metadata'"},
    {"ls", "ls: something is missing"},
    {"ls oci://b oci://c", "ls: 'oci://c' is one word too many"},
    {"ls oci://b --limit many", "'many' is not what --limit takes: a number"},
    {"ls oci://b --limit -1", "'-1' is not what --limit takes: a number"},
    {"ls oci://b --overwrite", "belong to --to FILE"},
    {"ls oci://b --wait", "belong to --to FILE"},
    {"ls oci://b --to f --long", "--long is for people"},
    {"head", "head: something is missing"},
    {"head a b", "one word too many"},
    {"cat", "cat: something is missing"},
    {"cat --json oci://b/o", "cat: unknown option '--json'"},
    {"rm", "rm: something is missing"},
    {"rm --recursive oci://b/p", "rm: unknown option '--recursive'"},
    {"status --state asleep", "queued, running, waiting, paused, done, failed or cancelled"},
    {"status 1 --all", "leave the ids out"},
    {"status --follow --set 3", "--follow goes with ids and --state only"},
    {"wait", "wait: something is missing: ocictl wait ID..."},
    {"cancel", "cancel: something is missing"},
    {"pause", "pause: something is missing"},
    {"resume", "resume: something is missing"},
    {"retry", "retry: something is missing"},
    {"buckets b", "buckets: 'b' is one word too many"},
    {"mkbucket", "mkbucket: something is missing"},
    {"whoami me", "'me' is one word too many"},
    {"check", "there is no verb 'check'; did you mean doctor?"},
    {"setup a b c", "setup: 'c' is one word too many"},
    {"setup --passphrase secret", "'secret' is not what --passphrase-fd takes"},
    {"setup --no-passphrase --passphrase-fd 3", "exclude each other"},
    {"unlock --passphrase-fd x", "the number of an open descriptor"},
    {"unlock --ttl x", "a time"},
    {"unlock secret", "'secret' is one word too many"},
    {"lock all", "'all' is one word too many"},
    {"start now", "'now' is one word too many"},
    {"stop now", "'now' is one word too many"},
    {"reload now", "'now' is one word too many"},
    {"stats now", "'now' is one word too many"},
    {"version --deamon", "did you mean --daemon?"},
    {"help a b", "'b' is one word too many"},
};

static void test_bad_lines_name_the_word(void **state)
{
    struct args a;
    char why[512];
    (void)state;
    for (size_t i = 0; i < N_ROWS(bad); i++) {
        row_check(bad[i].line, parse(bad[i].line, &a, why, sizeof why) == -1);
        if (!strstr(why, bad[i].why))
            fail_msg("row '%s': '%s' does not say '%s'", bad[i].line, why, bad[i].why);
    }
}

static void test_values_arrive(void **state)
{
    struct args a;
    char why[512];
    (void)state;
    assert_int_equal(parse("push --metadata a=1=2 -m b= --part-size 1.5M --priority 0 --after 7 "
                           "--after 8 --timeout 90s --wait --no-wait --tier ARCHIVE f oci://b/",
                           &a, why, sizeof why),
                     0);
    assert_int_equal(a.n_pairs, 2);
    assert_string_equal(a.pairs[0].key, "a");
    assert_string_equal(a.pairs[0].value, "1=2");
    assert_string_equal(a.pairs[1].value, "");
    assert_int_equal(a.part_bytes, 3 << 19);
    assert_int_equal(a.priority, 0);
    assert_int_equal(a.n_after, 2);
    assert_int_equal(a.after[1], 8);
    assert_int_equal(a.timeout_ms, 90000);
    assert_int_equal(a.wait, 0);
    assert_string_equal(a.tier, "Archive");
    assert_int_equal(parse("push f oci://b/", &a, why, sizeof why), 0);
    assert_int_equal(a.priority, -1);
    assert_int_equal(a.wait, -1);
    assert_int_equal(a.state, -1);
    assert_int_equal(a.fd, -1);
    assert_null(a.tier);
}

static void test_ids(void **state)
{
    struct args a;
    uint64_t ids[3];
    char why[512];
    (void)state;
    assert_int_equal(parse("wait 1 18446744073709551615", &a, why, sizeof why), 0);
    assert_int_equal(args_ids(&a, ids, why, sizeof why), 0);
    assert_true(ids[1] == UINT64_MAX);
    static const char *const wrong[] = {"wait x", "wait 0", "wait -1", "wait 1x",
                                        "wait 18446744073709551616"};
    for (size_t i = 0; i < N_ROWS(wrong); i++) {
        if (parse(wrong[i], &a, why, sizeof why))
            continue; /* "-1" is an option */
        row_check(wrong[i], args_ids(&a, ids, why, sizeof why) == -1);
        row_check(wrong[i], strstr(why, "is not the id of a job"));
    }
}

static void test_sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t want; /* UINT64_MAX: refused */
    } rows[] = {
        {"0", 0},
        {"17", 17},
        {"1K", 1024},
        {"1KiB", 1024},
        {"1k", 1024},
        {"64MiB", 64ull << 20},
        {"64 MiB", 64ull << 20},
        {"1.5G", 3ull << 29},
        {"2TiB", 2ull << 40},
        {"100B", 100},
        {"10MB", UINT64_MAX},
        {"", UINT64_MAX},
        {"-1", UINT64_MAX},
        {"x", UINT64_MAX},
        {"1Q", UINT64_MAX},
        {"1MiBx", UINT64_MAX},
        {"99999999999T", UINT64_MAX},
        {".5M", UINT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        uint64_t got = 1;
        int rc = args_size(rows[i].text, &got);
        row_check(rows[i].text, (rc != 0) == (rows[i].want == UINT64_MAX));
        row_check(rows[i].text, rc || got == rows[i].want);
    }
}

static void test_times(void **state)
{
    static const struct {
        const char *text;
        uint64_t want;
    } rows[] = {
        {"5", 5000},         {"0", 0},
        {"250ms", 250},      {"90s", 90000},
        {"15m", 900000},     {"15min", 900000},
        {"8h", 28800000},    {"1h30m", 5400000},
        {"2d", 172800000},   {"1.5s", 1500},
        {"", UINT64_MAX},    {"s", UINT64_MAX},
        {"5x", UINT64_MAX},  {"1h30", UINT64_MAX},
        {"-5s", UINT64_MAX}, {"9999999999999d", UINT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        uint64_t got = 1;
        int rc = args_time(rows[i].text, &got);
        row_check(rows[i].text, (rc != 0) == (rows[i].want == UINT64_MAX));
        row_check(rows[i].text, rc || got == rows[i].want);
    }
}

static void test_the_table_is_sound(void **state)
{
    (void)state;
    for (int i = 0; i < N_VERBS; i++) {
        assert_non_null(ctl_verbs[i].name);
        assert_non_null(ctl_verbs[i].run);
        for (size_t f = 0; f < ctl_n_flags; f++)
            for (size_t g = 0; g < f; g++) {
                bool both = ctl_flags[f].verbs & ctl_flags[g].verbs & (1u << i);
                if (both && (!strcmp(ctl_flags[f].name, ctl_flags[g].name) ||
                             (ctl_flags[f].letter && ctl_flags[f].letter == ctl_flags[g].letter)))
                    fail_msg("%s has --%s and --%s", ctl_verbs[i].name, ctl_flags[f].name,
                             ctl_flags[g].name);
            }
    }
    for (size_t f = 0; f < ctl_n_flags; f++) /* a letter means one thing everywhere */
        for (size_t g = 0; g < f; g++)
            assert_true(!ctl_flags[f].letter || ctl_flags[f].letter != ctl_flags[g].letter);
}

static void test_help_shows_every_option(void **state)
{
    (void)state;
    for (int i = 0; i < N_VERBS; i++) {
        struct kit_capture c;
        kit_capture(&c, STDOUT_FILENO);
        help_verb((enum verb_id)i);
        const char *text = kit_release(&c);
        row_check(ctl_verbs[i].name, strstr(text, ctl_verbs[i].brief));
        for (size_t f = 0; f < ctl_n_flags; f++) {
            char name[40];
            snprintf(name, sizeof name, "--%s", ctl_flags[f].name);
            row_check(name, !(ctl_flags[f].verbs & (1u << i)) || strstr(text, name));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_lines),
        cmocka_unit_test(test_bad_lines_name_the_word),
        cmocka_unit_test(test_values_arrive),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_the_table_is_sound),
        cmocka_unit_test(test_help_shows_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
