/* SPDX-License-Identifier: Apache-2.0
 *
 * test_vectors.c - the frames of every release are read for ever, and written as they were.
 *
 * tests/vectors/frames/<n>/ is written once by make_vectors.c. Reading and packing again must give
 * the same bytes: a field that was renamed, moved or given another type shows here.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "walk.h"

#define FRAMES OCID_SOURCE_DIR "/tests/vectors/frames"

static struct oc_buf load(const char *dir, const char *name)
{
    char path[8192], *to;
    struct oc_buf b;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    oc_buf_init(&b, OCP_MAX_FRAME + 5);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s is missing", path);
    assert_int_equal(oc_buf_reserve(&b, OCP_MAX_FRAME + 5, &to), 0);
    b.len = fread(to, 1, OCP_MAX_FRAME + 5, f);
    fclose(f);
    return b;
}

/* Writes again what was read: the body first, then the envelope around it. */
static void again(const char *name, const struct oc_buf *was, const struct ocp_desc *desc)
{
    struct walk w = {0};
    struct ocp_str payload;
    struct ocp_envelope env = {0};
    struct oc_err err = {0};
    size_t used, want, len;
    assert_int_equal(ocp_frame_next(was->data, was->len, &payload, &used, &want, &err), 1);
    assert_int_equal(used, was->len);
    if (desc == &ocp_desc_row) {
        assert_int_equal(ocp_check(payload.p, payload.n, &len, &err), 0);
        env.body = (struct ocp_span){payload.p, payload.n, 1};
    } else if (ocp_envelope_read(payload, &env, &err))
        fail_msg("%s: %s", name, err.text);
    struct oc_buf *body = walk_buf(&w);
    if (walk_again(&w, desc, env.body.p, env.body.n, body, &err))
        fail_msg("%s: %s", name, err.text);
    if (body->len != env.body.n || memcmp(body->data, env.body.p, body->len))
        fail_msg("%s is written otherwise now", name);
    walk_fini(&w);
}

/* The envelope as it is written today. */
static void same_envelope(const char *name, const struct oc_buf *was, int method, int reply)
{
    struct ocp_str payload;
    struct ocp_envelope env;
    struct oc_buf now;
    size_t used, want;
    char in[4096];
    oc_buf_init(&now, OCP_MAX_FRAME + 4);
    assert_int_equal(ocp_frame_next(was->data, was->len, &payload, &used, &want, NULL), 1);
    assert_int_equal(ocp_envelope_read(payload, &env, NULL), 0);
    const struct ocp_method *m = ocp_method(method);
    if (!reply)
        assert_true(ocp_str_is(env.method, m->name));
    assert_int_equal(ocp_unpack(reply ? m->reply : m->request, env.body.p, env.body.n, in, NULL),
                     0);
    if (reply)
        ocp_frame_reply(&now, env.id, method, in);
    else
        ocp_frame_request(&now, env.id, method, in);
    if (now.len != was->len || memcmp(now.data, was->data, now.len))
        fail_msg("%s is written otherwise now", name);
    oc_buf_fini(&now);
}

static int method_of(const char *name, const char *suffix)
{
    size_t n = strlen(name), s = strlen(suffix);
    if (n <= s || strcmp(name + n - s, suffix))
        return -1;
    return ocp_method_find(name, n - s);
}

static void one_file(const char *dir, const char *name)
{
    struct oc_buf b = load(dir, name);
    int request = method_of(name, ".request.bin"), reply = method_of(name, ".reply.bin");
    if (request >= 0) {
        again(name, &b, ocp_method(request)->request);
        same_envelope(name, &b, request, 0);
    } else if (reply >= 0) {
        again(name, &b, ocp_method(reply)->reply);
        same_envelope(name, &b, reply, 1);
    } else if (!strcmp(name, "error.bin"))
        again(name, &b, &ocp_desc_error);
    else if (!strcmp(name, "row.bin"))
        again(name, &b, &ocp_desc_row);
    else
        fail_msg("%s/%s: no such method any more", dir, name);
    oc_buf_fini(&b);
}

static int each(const char *path, void (*fn)(const char *, const char *))
{
    DIR *dir = opendir(path);
    struct dirent *e;
    int n = 0;
    if (!dir)
        fail_msg("%s is missing", path);
    for (; (e = readdir(dir)); n++)
        if (e->d_name[0] != '.')
            fn(path, e->d_name);
    closedir(dir);
    return n - 2;
}

static void one_release(const char *frames, const char *release)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", frames, release);
    assert_true(each(path, one_file) > 2);
}

static void test_frames_of_all_releases(void **state)
{
    (void)state;
    assert_true(each(FRAMES, one_release) >= 1);
}

/* Every method of today has its frames somewhere. */
static int found;

static void look(const char *dir, const char *name)
{
    (void)dir;
    int m = method_of(name, ".request.bin"), r = method_of(name, ".reply.bin");
    found += m >= 0 ? ocp_method(m)->since == 1 : r >= 0 ? ocp_method(r)->since == 1 : 0;
}

static void test_every_method_has_frames(void **state)
{
    (void)state;
    int want = 0;
    for (int m = 0; m < OCP_METHOD_COUNT; m++)
        want += 2 * (ocp_method(m)->since == 1);
    each(FRAMES "/1", look);
    assert_int_equal(found, want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_of_all_releases),
        cmocka_unit_test(test_every_method_has_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
