/* SPDX-License-Identifier: Apache-2.0
 *
 * test_json.c - the lines of --json, which programs read.
 */
#include "kit.h"

#include "ctl/json.h"

static const uint64_t after[] = {7, 8};
static const struct ocid_pair metadata = {"k", "v\n"};
static struct ocid_outcome outcome = {
    .etag = "e", .verified = OCID_VERIFIED_CRC32C, .bytes = 5, .request_id = "R"};

static void line_is(const char *got, const char *want)
{
    if (strcmp(got, want) != 0)
        fail_msg("\n%s is not\n%s", got, want);
}

static void test_a_job(void **state)
{
    struct ocid_job job = ocid_job_of(OCID_KIND_PUT);
    struct ocid_status s = {.id = 12,
                            .state = OCID_STATE_DONE,
                            .created_at = 1,
                            .ended_at = 2,
                            .bytes_done = 5,
                            .bytes_total = 5,
                            .parts_total = OCID_UNKNOWN,
                            .job = &job,
                            .outcome = &outcome};
    struct kit_capture c;
    (void)state;
    job.bucket = "b";
    job.object = "o\"";
    job.source = "/x\xff";
    job.metadata = &metadata;
    job.n_metadata = 1;
    job.after = after;
    job.n_after = 2;
    kit_capture(&c, STDOUT_FILENO);
    json_status(&s);
    line_is(kit_release(&c),
            "{\"id\":12,\"state\":\"done\",\"created_at\":1,\"ended_at\":2,\"bytes_done\":5,"
            "\"bytes_total\":5,\"job\":{\"kind\":\"put\",\"bucket\":\"b\",\"object\":\"o\\\"\","
            "\"source\":\"/x\\ufffd\",\"metadata\":{\"k\":\"v\\u000a\"},\"after\":[7,8]},"
            "\"outcome\":{\"request_id\":\"R\",\"etag\":\"e\",\"verified\":\"crc32c\","
            "\"bytes\":5}}\n");
}

static void test_a_set_and_a_failure(void **state)
{
    struct ocid_job job = ocid_job_of(OCID_KIND_SET);
    struct ocid_outcome o = {.error = OCID_E_SOME_FAILED,
                             .error_name = "some_failed",
                             .text = "1 of 3",
                             .bytes = OCID_UNKNOWN};
    struct ocid_status s = {.id = 1,
                            .state = OCID_STATE_FAILED,
                            .bytes_total = OCID_UNKNOWN,
                            .parts_total = OCID_UNKNOWN,
                            .n_total = 3,
                            .n_done = 2,
                            .n_failed = 1,
                            .sealed = true,
                            .job = &job,
                            .outcome = &o};
    struct kit_capture c;
    (void)state;
    kit_capture(&c, STDOUT_FILENO);
    json_status(&s);
    line_is(kit_release(&c),
            "{\"id\":1,\"state\":\"failed\",\"bytes_done\":0,\"n_total\":3,\"n_done\":2,"
            "\"n_failed\":1,\"n_cancelled\":0,\"sealed\":true,\"job\":{\"kind\":\"set\"},"
            "\"outcome\":{\"error\":\"some_failed\",\"text\":\"1 of 3\"}}\n");
}

static void test_rows_acks_ids_and_pairs(void **state)
{
    struct ocid_row row = {.name = "n", .size = 0, .etag = "e"};
    struct ocid_row prefix = {.prefix = "p/", .size = OCID_UNKNOWN};
    struct ocid_row upload = {.name = "n", .size = 5, .upload_id = "u", .parts = 2, .job = 9};
    struct ocid_row share = {.prefix = "p/",
                             .size = OCID_UNKNOWN,
                             .job = 9,
                             .share_id = "s",
                             .share_name = "mine",
                             .access = "read_write",
                             .time_expires = "t",
                             .listing = true};
    struct ocid_ack ack = {.id = 3, .state = OCID_STATE_PAUSED};
    struct ocid_ack refused = {.id = 4, .state = -1, .error = OCID_E_NOT_FOUND, .text = "no"};
    struct ocid_pair pairs[] = {{"a", "1"}, {"b\"", ""}};
    struct kit_capture c;
    (void)state;
    kit_capture(&c, STDOUT_FILENO);
    json_row(&row);
    json_row(&prefix);
    json_row(&upload);
    json_row(&share);
    json_ack(&ack);
    json_ack(&refused);
    json_id(9, OCID_UNKNOWN);
    json_id(9, 3);
    json_pairs(pairs, 2);
    json_pairs(NULL, 0);
    line_is(kit_release(&c),
            "{\"name\":\"n\",\"size\":0,\"etag\":\"e\"}\n"
            "{\"prefix\":\"p/\"}\n"
            "{\"name\":\"n\",\"size\":5,\"upload_id\":\"u\",\"parts\":2,\"job\":9}\n"
            "{\"prefix\":\"p/\",\"job\":9,\"share_id\":\"s\",\"share_name\":\"mine\","
            "\"access\":\"read_write\",\"listing\":true,\"time_expires\":\"t\"}\n"
            "{\"id\":3,\"state\":\"paused\"}\n"
            "{\"id\":4,\"error\":{\"code\":\"not_found\",\"text\":\"no\"}}\n"
            "{\"id\":9}\n"
            "{\"id\":9,\"members\":3}\n"
            "{\"a\":\"1\",\"b\\\"\":\"\"}\n"
            "{}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job),
        cmocka_unit_test(test_a_set_and_a_failure),
        cmocka_unit_test(test_rows_acks_ids_and_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
