/* SPDX-License-Identifier: Apache-2.0
 *
 * test_config.c - settings that are good, bad (with the line named), kept on a failed reload.
 */
#include "core/unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config.h"

static char dir[] = "/tmp/ocid-config-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    setenv("HOME", "/home/somebody", 1);
    unsetenv("XDG_CONFIG_HOME");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

static struct config *parsed(const char *text)
{
    struct config *c = NULL;
    struct oc_err err;
    if (config_parse("ocid.conf", text, strlen(text), &c, &err))
        fail_msg("%s", err.text);
    return c;
}

static void test_defaults(void **state)
{
    (void)state;
    struct config *c = parsed("");
    assert_string_equal(c->daemon_socket, "");
    assert_int_equal(c->daemon_log_level, LOG_L_INFO);
    assert_int_equal(c->daemon_keep_days, 30);
    assert_int_equal(c->daemon_keep_jobs, 100000);
    assert_string_equal(c->credentials_config_file, "/home/somebody/.oci/config");
    assert_string_equal(c->credentials_profile, "DEFAULT");
    assert_string_equal(c->network_proxy, "");
    assert_int_equal(c->network_max_tries, 0);
    assert_int_equal(c->transfer_connections, 256);
    assert_int_equal(c->transfer_checksum, CONFIG_CHECKSUM_AUTO);
    assert_int_equal(c->limits_descriptors_per_user, 256);
    assert_null(c->path);
    config_unref(c);
}

static void test_good(void **state)
{
    (void)state;
    struct config *c = parsed("\xef\xbb\xbf# a comment\n"
                              "[transfer] ; and another\r\n"
                              "connections=7 ; seven\r\n"
                              "  part_mib : 64\n"
                              "checksum = md5\n"
                              "\n"
                              "[limits]\n"
                              "[network]\n"
                              "endpoint = http://127.0.0.1:8080/\n"
                              "identity_endpoint = https://[::1]:8443\n"
                              "proxy = socks5h://proxy.example:1080\n"
                              "no_proxy = a.example, b.example\n"
                              "ca_file = ~/ca.pem\n"
                              "compartment =\n"
                              "[daemon]\n"
                              "log_level = debug\n"
                              "socket = /run/x y.sock\n"
                              "[transfer]\n"
                              "io_threads = 128");
    assert_int_equal(c->transfer_connections, 7);
    assert_int_equal(c->transfer_part_mib, 64);
    assert_int_equal(c->transfer_checksum, CONFIG_CHECKSUM_MD5);
    assert_int_equal(c->transfer_io_threads, 128);
    assert_string_equal(c->network_endpoint, "http://127.0.0.1:8080");
    assert_string_equal(c->network_identity_endpoint, "https://[::1]:8443");
    assert_string_equal(c->network_proxy, "socks5h://proxy.example:1080");
    assert_string_equal(c->network_no_proxy, "a.example, b.example");
    assert_string_equal(c->network_ca_file, "/home/somebody/ca.pem");
    assert_string_equal(c->network_compartment, "");
    assert_int_equal(c->daemon_log_level, LOG_L_DEBUG);
    assert_string_equal(c->daemon_socket, "/run/x y.sock");
    config_unref(c);
}

#define TEN     "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define LINE_3  "\n\n"

/* Each sentence names the file, the line and how to mend it. */
static void test_profiles(void **state)
{
    (void)state;
    char text[8192] = "";
    struct config *c = parsed("[profile FN]\nauth = resource_principal\n[profile b]\nregion = fra\n"
                              "[profile FN]\nregion = phx\n[profile none]\n");
    assert_int_equal(c->n_profiles, 2); /* an empty section says nothing */
    assert_string_equal(c->profile[0].name, "FN");
    assert_int_equal(c->profile[0].auth, CONFIG_AUTH_RESOURCE_PRINCIPAL);
    assert_string_equal(c->profile[0].region, "phx");
    assert_string_equal(config_auth_word(c->profile[0].auth), "resource_principal");
    assert_int_equal(c->profile[1].auth, CONFIG_AUTH_AUTO);
    config_unref(c);
    for (int i = 0; i <= CONFIG_PROFILES_MAX; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "[profile p%d]\nregion = x\n", i);
    struct oc_err err;
    assert_int_equal(config_parse("f", text, strlen(text), &c, &err), OCID_E_CONFIG);
    assert_non_null(strstr(err.text, "line 130: there are more than 64 profiles"));
}

static void test_bad(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"[transfer]\nconections = 3\n", "line 2: [transfer] has no setting 'conections'; did you "
                                         "mean 'connections'?"},
        {"[daemon]\nconnections = 3\n",
         "line 2: [daemon] has no setting 'connections'; did you mean 'connections' in "
         "[transfer]?"},
        {"[daemon]\nnonsense = 3\n", "line 2: [daemon] has no setting 'nonsense'; take"},
        {"[transfers]\nconnections = 3\n",
         "line 1: [transfers] is not a section; did you mean [transfer]?"},
        {"[elsewhere]\n", "line 1: [elsewhere] is not a section; they are [daemon]"},
        {"[]\n", "line 1: [ ] is not a section"},
        {"[profile ]\n", "line 1: [profile NAME] wants a name"},
        {"[profile a b]\n", "line 1: [profile NAME] wants a name"},
        {"[profile 123456789012345678901234567890123456789012]\n",
         "line 1: [profile NAME] wants a name of at most 41 bytes"},
        {"[profile a]\nkey = x\n", "line 2: [profile a] has no setting 'key'; it may have auth"},
        {"[profile a]\nauth = x\n", "line 2: auth: 'x' is not a choice; write auto, api_key, "
                                    "session, instance_principal or resource_principal"},
        {"[profile a]\nauth = auto\n[profile b]\n[profile a]\nauth = session\n",
         "line 5: 'auth' is set twice"},
        {"connections = 3\n", "line 1: 'connections' stands before the first section; put "
                              "[transfer] above it"},
        {LINE_3 "[transfer]\nconnections = 0\n",
         "line 4: connections: 0 is out of range; choose from 1 to 1024"},
        {"[transfer]\nconnections = 1025\n", "line 2: connections: 1025 is out of range"},
        {"[transfer]\nconnections = 99999999999999999999\n", "line 2: connections: 99999999999"},
        {"[transfer]\nconnections = -1\n", "line 2: connections: '-1' is not a number; write"},
        {"[transfer]\nconnections = 64M\n", "line 2: connections: '64M' is not a number"},
        {"[transfer]\nconnections = 6 # six\n", "line 2: connections: '6 # six' is not a number"},
        {"[transfer]\nconnections =\n", "line 2: connections: '' is not a number"},
        {"[transfer]\nchecksum = sha\n",
         "line 2: checksum: 'sha' is not a choice; write auto, crc32c, md5 or off"},
        {"[daemon]\nlog_level = Info\n", "line 2: log_level: 'Info' is not a choice; write error,"},
        {"[daemon]\nstate_dir = here\n", "line 2: state_dir: 'here' is not a path; begin it with"},
        {"[daemon]\nstate_dir = ~else/x\n", "line 2: state_dir: '~else/x' is not a path"},
        {"[credentials]\nprofile =\n", "line 2: profile: it must not be empty; take"},
        {"[daemon]\nsocket = /" HUNDRED TEN "\n", "line 2: socket: it is longer than 107 bytes"},
        {"[network]\nendpoint = x.example\n", "line 2: endpoint: 'x.example' has no known scheme; "
                                              "begin it with https or http://"},
        {"[network]\nendpoint = ftp://x\n", "line 2: endpoint: 'ftp://x' has no known scheme"},
        {"[network]\nendpoint = https://\n", "line 2: endpoint: 'https://' is not SCHEME://"},
        {"[network]\nendpoint = https://x/y\n", "line 2: endpoint: 'https://x/y' is not SCHEME"},
        {"[network]\nendpoint = https://x?y\n", "line 2: endpoint: 'https://x?y' is not SCHEME"},
        {"[network]\nendpoint = https://x:0\n", "line 2: endpoint: 'https://x:0' is not SCHEME"},
        {"[network]\nendpoint = https://x:65536\n", "line 2: endpoint: 'https://x:65536' is not"},
        {"[network]\nendpoint = https://[::1\n", "line 2: endpoint: 'https://[::1' is not SCHEME"},
        {"[network]\nendpoint = https://[]\n", "line 2: endpoint: 'https://[]' is not SCHEME"},
        {"[network]\nproxy = http://me:secret@x:1\n", "line 2: proxy: it names a user; write"},
        {"[transfer]\npart_mib = 1\n[limits]\n[transfer]\npart_mib = 1\n",
         "line 5: 'part_mib' is set twice; keep one of the lines"},
        {"[transfer]\nconnections\n", "line 2: not a setting; write 'key = value'"},
        {"[transfer\n", "line 1: not a setting; write 'key = value'"},
        {"[transfer]\npart_mib = 1\n  2\n", "line 3: not a setting"},
        {"[network]\nno_proxy = " HUNDRED HUNDRED "\n", "line 2: it is longer than 198 bytes"},
        {"[" HUNDRED "]\n", "line 1: [0123456789"},
        {"[network]\nno_proxy = a\xff\n", "line 2: it is not text in UTF-8"},
    };
    for (unsigned i = 0; i < N_ROWS(rows); i++) {
        struct config *c = NULL;
        struct oc_err err = {0};
        int rc = config_parse("the/file", rows[i].text, strlen(rows[i].text), &c, &err);
        if (rc != OCID_E_CONFIG || c || strncmp(err.text, "'the/file' line ", 16) ||
            !strstr(err.text, rows[i].want) || strstr(err.text, "secret"))
            fail_msg("%s\n gave: %s\n want: %s", rows[i].text, err.text, rows[i].want);
    }
}

static void test_nul_is_refused(void **state)
{
    (void)state;
    static const char text[] = "[transfer]\nconnections = 1\0 2\n";
    struct config *c = NULL;
    struct oc_err err;
    assert_int_equal(config_parse("f", text, sizeof text - 1, &c, &err), OCID_E_CONFIG);
    assert_string_equal(err.text, "'f' line 2: it is not text in UTF-8; write it anew");
}

/* Only the first error is told, whatever follows. */
static void test_first_error_stays(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct oc_err err;
    const char *text = "[transfer]\nconnections = x\nno\n[zzz]\n";
    assert_int_equal(config_parse("f", text, strlen(text), &c, &err), OCID_E_CONFIG);
    assert_non_null(strstr(err.text, "line 2: connections"));
    assert_int_equal(config_parse("f", text, strlen(text), &c, NULL), OCID_E_CONFIG);
}

static void test_long_comments_are_no_lines(void **state)
{
    (void)state;
    config_unref(parsed("# " HUNDRED HUNDRED HUNDRED "\n; " HUNDRED HUNDRED "\n[limits]\n"));
}

static void test_load(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct oc_err err;
    char path[128];
    setenv("XDG_CONFIG_HOME", dir, 1);
    assert_int_equal(config_load(NULL, 0, &c, &err), 0); /* missing at its default place */
    assert_null(c->path);
    config_unref(c);
    c = NULL;
    snprintf(path, sizeof path, "%s/ocid", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/ocid/ocid.conf", dir);
    assert_int_equal(config_load(path, 0, &c, &err), OCID_E_CONFIG); /* missing by name */
    assert_non_null(strstr(err.text, path));

    FILE *f = fopen(path, "w");
    fputs("[transfer]\nconnections = 5\n", f);
    fclose(f);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(config_load(NULL, 0, &c, &err), 0);
    assert_int_equal(c->transfer_connections, 5);
    assert_string_equal(c->path, path);

    /* a reload that fails leaves the old one alone */
    struct config *old = c;
    f = fopen(path, "w");
    fputs("[transfer]\nconnections = five\n", f);
    fclose(f);
    assert_int_equal(config_load(NULL, 0, &c, &err), OCID_E_CONFIG);
    assert_ptr_equal(c, old);
    assert_int_equal(c->transfer_connections, 5);
    config_unref(c);

    assert_int_equal(chmod(path, 0606), 0);
    assert_int_equal(config_load(path, 0, &c, &err), OCID_E_CONFIG);
    assert_non_null(strstr(err.text, "chmod o-w"));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, 300 * 1024), 0);
    assert_int_equal(config_load(path, 0, &c, &err), OCID_E_CONFIG);
    assert_non_null(strstr(err.text, "larger than 256 KiB"));
    unlink(path);
    *strrchr(path, '/') = 0;
    assert_int_equal(config_load(path, 0, &c, &err), OCID_E_CONFIG);
    assert_non_null(strstr(err.text, "is not a file"));
    rmdir(path);
}

static void test_held_while_referenced(void **state)
{
    (void)state;
    struct config *c = parsed("");
    assert_ptr_equal(config_ref(c), c);
    config_unref(c);
    assert_string_equal(c->credentials_profile, "DEFAULT");
    config_unref(c);
    config_unref(NULL);
}

/* The file in the tree is what the table says, it reads as it stands, and with every # before a key
 * taken away it still means the defaults. */
static void test_example_is_up_to_date(void **state)
{
    (void)state;
    char *now = NULL, *kept = oc_new(65536, 1);
    size_t n = 0;
    FILE *out = open_memstream(&now, &n);
    assert_int_equal(config_print_example(out), 0);
    fclose(out);
    FILE *in = fopen(OCID_SOURCE_DIR "/conf/ocid.conf", "r");
    assert_non_null(in);
    kept[fread(kept, 1, 65535, in)] = 0;
    fclose(in);
    assert_string_equal(kept, now); /* if not: build the target "conf" */
    config_unref(parsed(now));

    unsigned n_keys = 0;
    for (char *p = now; (p = strstr(p, "\n#")); p++)
        if ((p[2] >= 'a' && p[2] <= 'z') || p[2] == '[') {
            p[1] = ' ';
            n_keys++;
        }
    assert_true(n_keys > 20);
    struct config *c = parsed(now), *plain = parsed("");
#define SETTING(section, key, type, def, min, max, doc) SAME_##type(section##_##key)
#define SAME_U32(f)                                     assert_int_equal(c->f, plain->f);
#define SAME_LEVEL(f)                                   assert_int_equal(c->f, plain->f);
#define SAME_CHECKSUM(f)                                assert_int_equal(c->f, plain->f);
#define SAME_STR(f)                                     assert_string_equal(c->f, plain->f);
#define SAME_PATH(f)                                    assert_string_equal(c->f, plain->f);
#define SAME_URL(f)                                     assert_string_equal(c->f, plain->f);
#define SAME_PROXY(f)                                   assert_string_equal(c->f, plain->f);
#include "core/config.def"
    config_unref(c);
    config_unref(plain);
    free(now);
    free(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_nul_is_refused),
        cmocka_unit_test(test_first_error_stays),
        cmocka_unit_test(test_long_comments_are_no_lines),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_held_while_referenced),
        cmocka_unit_test(test_example_is_up_to_date),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
