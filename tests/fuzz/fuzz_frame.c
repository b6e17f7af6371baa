/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_frame.c - any bytes as a stream: frames, envelopes, and the bodies of known methods.
 *
 * The first byte says how many bytes arrive at a time; the result must not depend on it.
 */
#include <assert.h>

#include "proto/walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What one stream amounts to. */
struct sum {
    uint64_t frames, ids, bytes;
    int end;
};

static void body(struct ocp_envelope *env, struct sum *sum)
{
    struct walk w = {0};
    struct oc_err err;
    int m = env->method.p ? ocp_method_find(env->method.p, env->method.n) : 0;
    const struct ocp_desc *d = env->is_error             ? &ocp_desc_error
                               : env->shape == OCP_REPLY ? &ocp_desc_statuses
                               : m >= 0                  ? ocp_method(m)->request
                                                         : &ocp_desc_none;
    struct oc_buf *b = walk_buf(&w);
    sum->bytes += !walk_again(&w, d, env->body.p, env->body.n, b, &err) ? b->len : 0;
    walk_fini(&w);
}

static struct sum stream(const char *data, size_t size, size_t step)
{
    struct sum sum = {0};
    struct oc_buf in;
    oc_buf_init(&in, size + 1);
    for (size_t at = 0; at < size && !sum.end; at += step) {
        struct ocp_str payload;
        size_t used, want;
        int rc;
        assert(!oc_buf_add(&in, data + at, size - at < step ? size - at : step));
        while (!sum.end && (rc = ocp_frame_next(in.data, in.len, &payload, &used, &want, NULL))) {
            struct ocp_envelope env;
            struct oc_err err;
            if (rc < 0 || (rc = ocp_envelope_read(payload, &env, &err)) < 0) {
                sum.end = rc;
                break;
            }
            sum.frames++;
            sum.ids += env.id;
            body(&env, &sum);
            oc_buf_drop(&in, used);
        }
    }
    oc_buf_fini(&in);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 2000)
        return 0;
    const char *bytes = (const char *)data + 1;
    struct sum whole = stream(bytes, size - 1, size),
               pieces = stream(bytes, size - 1, data[0] % 32 + 1);
    assert(whole.frames == pieces.frames && whole.ids == pieces.ids && whole.end == pieces.end);
    assert(whole.bytes == pieces.bytes);
    return 0;
}
