/* SPDX-License-Identifier: Apache-2.0
 *
 * make_vectors.c - writes one frame for each request, reply, error and row, with all fields.
 *
 *   ocid-make-vectors DIRECTORY
 *
 * Run once for a release that has new messages or fields, into a new directory of
 * tests/vectors/frames; never over one that is there: released frames do not change.
 */
#include "walk.h"

static int save(const char *dir, const char *name, const char *kind, const struct oc_buf *b)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s%s.bin", dir, name, kind);
    FILE *f = b->failed ? NULL : fopen(path, "wbx");
    if (!f || fwrite(b->data, 1, b->len, f) != b->len || fclose(f)) {
        fprintf(stderr, "make-vectors: %s cannot be written, or is there already\n", path);
        return 1;
    }
    return 0;
}

static int of_method(struct walk *w, const char *dir, int m, struct oc_buf *b)
{
    char in[4096];
    uint64_t id = (uint64_t)m + 1;
    walk_fill(w, ocp_method(m)->request, WALK_ALL, in);
    oc_buf_clear(b);
    ocp_frame_request(b, id, m, in);
    int bad = save(dir, ocp_method(m)->name, ".request", b);
    walk_fill(w, ocp_method(m)->reply, WALK_ALL, in);
    oc_buf_clear(b);
    ocp_frame_reply(b, id, m, in);
    return bad | save(dir, ocp_method(m)->name, ".reply", b);
}

int main(int argc, char **argv)
{
    struct walk w = {0};
    struct oc_buf b;
    char row[4096];
    struct oc_err err = {.http_status = 404};
    int bad = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: ocid-make-vectors DIRECTORY\n");
        return 2;
    }
    oc_buf_init(&b, OCP_MAX_FRAME + 4);
    for (int m = 0; m < OCP_METHOD_COUNT; m++)
        bad |= of_method(&w, argv[1], m, &b);

    oc_fail(&err, OCID_E_NOT_FOUND, 0, "get 'logs/a.gz': no such object");
    err.http_status = 404;
    ocp_str_copy(ocp_str("ObjectNotFound"), err.service_code, sizeof err.service_code);
    ocp_str_copy(ocp_str("1F3C"), err.request_id, sizeof err.request_id);
    oc_buf_clear(&b);
    ocp_frame_error(&b, 99, &err, 7);
    bad |= save(argv[1], "error", "", &b);

    walk_fill(&w, &ocp_desc_row, WALK_ALL, row);
    oc_buf_clear(&b);
    ocp_frame_message(&b, &ocp_desc_row, row);
    bad |= save(argv[1], "row", "", &b);
    oc_buf_fini(&b);
    walk_fini(&w);
    return bad;
}
