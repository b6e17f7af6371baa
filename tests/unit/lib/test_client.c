/* SPDX-License-Identifier: Apache-2.0
 *
 * test_client.c - submit, status, wait, act, lists and pipes against a small daemon.
 */
#include "fake.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* ---- Submit: messages that fit */

struct seen {
    int n_messages, n_jobs, n_fds;
    unsigned jobs[64], fds[64];
    uint32_t bytes[64];
    char last_object[1100];
    int refuse_message, refuse_index; /* 1-based; 0: none */
    ino_t inodes[256];
};

static int take_jobs(struct fake *f, int method, const struct ocp_envelope *env)
{
    struct seen *s = f->user;
    struct ocp_submit submit;
    struct ocp_iter it = {0};
    struct ocp_job job;
    struct stat st;
    if (method != OCP_METHOD_job_submit ||
        ocp_unpack(&ocp_desc_submit, env->body.p, env->body.n, &submit, NULL))
        return -1;
    unsigned n = 0, fds = 0;
    while (ocp_next_sub(&ocp_desc_job, &submit.jobs, &it, &job, NULL, NULL) == 1) {
        n++;
        ocp_str_copy(job.object, s->last_object, sizeof s->last_object);
        if (!OCP_HAS(&job, job, fd))
            continue;
        int fd = fake_take_fd(f); /* in the order of the jobs */
        if (job.fd != fds++ || fd < 0 || fstat(fd, &st))
            return -1;
        s->inodes[s->n_fds++] = st.st_ino;
        close(fd);
    }
    int m = s->n_messages++;
    s->jobs[m] = n;
    s->fds[m] = fds;
    s->bytes[m] = env->body.n;
    if (s->refuse_message == s->n_messages)
        return fake_error(f, env->id, OCID_E_QUEUE_FULL, s->refuse_index, "the queue is full");
    fake_ids(f, env->id, 1000 + (uint64_t)s->n_jobs, n);
    s->n_jobs += (int)n;
    return 0;
}

static struct ocid_job *many(size_t n, char *name)
{
    struct ocid_job *jobs = calloc(n, sizeof *jobs);
    for (size_t i = 0; i < n; i++) {
        jobs[i] = ocid_job_of(OCID_KIND_PUT);
        jobs[i].bucket = "b";
        jobs[i].object = name;
    }
    return jobs;
}

static void test_submit_splits(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t n, object_bytes, with_fd;
        int messages;
    } rows[] = {
        {"one", 1, 4, 0, 1},
        {"exactly one message", 1000, 4, 0, 1},
        {"one job over", 1001, 4, 0, 2},
        {"many", 5500, 4, 0, 6},
        {"long names", 3000, 1024, 0, 4},
        {"64 descriptors", 64, 4, 64, 1},
        {"65 descriptors", 65, 4, 65, 2},
        {"descriptors among others", 200, 4, 130, 3},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        struct fake f = {0};
        struct seen s = {0};
        char name[1025] = {0};
        memset(name, 'n', rows[r].object_bytes);
        struct ocid_job *jobs = many(rows[r].n, name);
        uint64_t *ids = calloc(rows[r].n, sizeof *ids);
        int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        for (size_t i = 0; i < rows[r].with_fd; i++)
            jobs[i].fd = fd;
        fake_begin(&f, take_jobs, &s);
        struct ocid *c = fake_open(&f);
        if (ocid_submit(c, jobs, rows[r].n, 5000, ids))
            fail_msg("%s: %s", rows[r].name, ocid_failure(c)->text);
        for (size_t i = 0; i < rows[r].n; i++)
            assert_int_equal(ids[i], 1000 + i);
        ocid_close(c);
        fake_end(&f);
        if (s.n_messages != rows[r].messages)
            fail_msg("%s: %d messages", rows[r].name, s.n_messages);
        assert_int_equal(s.n_fds, rows[r].with_fd);
        for (int m = 0; m < s.n_messages; m++) {
            assert_true(s.bytes[m] < OCP_MAX_FRAME);
            assert_true(s.jobs[m] <= 1000);
            assert_true(s.fds[m] <= 64);
        }
        close(fd);
        free(jobs);
        free(ids);
    }
}

static void test_descriptors_keep_their_order(void **state)
{
    (void)state;
    struct fake f = {0};
    struct seen s = {0};
    struct ocid_job *jobs = many(100, (char *)(uintptr_t) "o");
    uint64_t ids[100];
    int fds[100];
    struct stat st;
    ino_t want[100];
    for (int i = 0; i < 100; i++) {
        assert_int_equal(ocid_bytes(&i, sizeof i, &fds[i], NULL), 0);
        fstat(fds[i], &st);
        want[i] = st.st_ino;
        jobs[i].fd = fds[i];
    }
    fake_begin(&f, take_jobs, &s);
    struct ocid *c = fake_open(&f);
    assert_int_equal(ocid_submit(c, jobs, 100, 5000, ids), 0);
    ocid_close(c);
    fake_end(&f);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(s.inodes[i], want[i]);
        close(fds[i]);
    }
    free(jobs);
}

static void test_submit_refused_in_the_middle(void **state)
{
    (void)state;
    struct fake f = {0};
    struct seen s = {.refuse_message = 2, .refuse_index = 7};
    struct ocid_job *jobs = many(7000, (char *)(uintptr_t) "o");
    uint64_t ids[7000];
    fake_begin(&f, take_jobs, &s);
    struct ocid *c = fake_open(&f);
    assert_int_equal(ocid_submit(c, jobs, 7000, 5000, ids), OCID_E_QUEUE_FULL);
    assert_int_equal(ocid_failure(c)->index, 1007);
    assert_string_equal(ocid_failure(c)->text, "the queue is full");
    assert_int_equal(ids[999], 1999);
    assert_int_equal(ids[1000], 0);
    assert_int_equal(ids[1999], 0);
    assert_int_equal(ids[2000], 2000); /* was under way */
    assert_int_equal(ids[4000], 0);    /* was never sent */
    ocid_close(c);
    fake_end(&f);
    free(jobs);
}

static void test_submit_refuses_what_cannot_be(void **state)
{
    (void)state;
    static char long_name[1100];
    memset(long_name, 'x', sizeof long_name - 1);
    static const struct ocid_pair pair = {"k", NULL}, pairs[65] = {{"a", "b"}};
    struct fake f = {0};
    struct seen s = {0};
    fake_begin(&f, take_jobs, &s);
    struct ocid *c = fake_open(&f);
    for (int i = 0; i < 9; i++) {
        struct ocid_job jobs[2] = {ocid_job_of(OCID_KIND_PUT), ocid_job_of(OCID_KIND_PUT)};
        uint64_t ids[2] = {7, 7};
        int want = OCID_E_INVALID, n = 2;
        struct ocid_job *j = &jobs[1];
        switch (i) {
        case 0:
            j->object = long_name;
            break;
        case 1:
            j->object = "\xff";
            break;
        case 2:
            j->priority = 10;
            break;
        case 3:
            j->kind = (enum ocid_kind)99;
            break;
        case 4:
            j->struct_size = 0;
            break;
        case 5:
            j->metadata = &pair;
            j->n_metadata = 1;
            break;
        case 6:
            j->metadata = pairs;
            j->n_metadata = 65;
            break;
        case 7:
            j->fd = 999;
            break;
        case 8:
            j->part_bytes = UINT64_MAX;
            break;
        }
        assert_int_equal(ocid_submit(c, jobs, (size_t)n, 5000, ids), want);
        assert_true(ocid_failure(c)->text[0]);
        if (i != 7)
            assert_int_equal(ocid_failure(c)->index, 1);
        assert_int_equal(ids[0] | ids[1], 0);
    }
    assert_int_equal(ocid_submit(c, NULL, 0, 5000, NULL), OCID_E_INVALID);
    ocid_close(c);
    fake_end(&f);
    assert_int_equal(s.n_messages, 0);
}

/* A field that messages.def gets and client.h does not is found here. */
static void test_every_field_of_a_job_travels(void **state)
{
    (void)state;
    static const struct ocid_pair pair = {"k", "v"};
    static const uint64_t after = 5;
    struct lib_batch b;
    struct ocp_job out;
    struct ocid_job j = ocid_job_of(OCID_KIND_PUT);
    const char **strings[] = {
        &j.bucket,
        &j.name_space,
        &j.object,
        &j.source,
        &j.dest,
        &j.compartment,
        &j.version_id,
        &j.content_type,
        &j.content_encoding,
        &j.content_language,
        &j.content_disposition,
        &j.cache_control,
        &j.storage_tier,
        &j.if_match,
        &j.delimiter,
        &j.start,
        &j.end,
        &j.fields,
        &j.profile,
        &j.label,
        &j.key,
        &j.upload_id,
        &j.share_id,
        &j.if_none_match,
    };
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        *strings[i] = "/";
    j.fd = 0;
    j.spool = j.in_memory = j.identified = j.if_absent = j.overwrite = true;
    j.part_bytes = j.limit = j.set = j.timeout_ms = j.below = 7;
    j.offset = j.length = j.expires_at = 7;
    j.access = OCID_ACCESS_WRITE;
    j.prefix = j.listing = j.gone = true;
    j.every_ms = 7;
    j.priority = 0;
    j.metadata = &pair;
    j.after = &after;
    j.n_metadata = j.n_after = 1;
    lib_batch_init(&b, 10, 4096);
    assert_int_equal(lib_batch_add(&b, &j, NULL), 1);
    assert_int_equal(ocp_unpack(&ocp_desc_job, b.jobs.data, b.jobs.len, &out, NULL), 0);
    for (unsigned i = 0; i < OCP_FIELD_job_COUNT; i++)
        if (!(out.has >> i & 1))
            fail_msg("job.%s is not sent", ocp_desc_job.fields[i].name);
    lib_batch_fini(&b);
}

/* A caller built with another header than ours. */
static void test_structs_of_other_sizes(void **state)
{
    (void)state;
    struct newer {
        struct ocid_job job;
        uint64_t more;
    } jobs[3];
    struct fake f = {0};
    struct seen s = {0};
    uint64_t ids[3];
    fake_begin(&f, take_jobs, &s);
    struct ocid *c = fake_open(&f);
    for (int i = 0; i < 3; i++) {
        jobs[i] = (struct newer){.job = ocid_job_of(OCID_KIND_PUT)};
        jobs[i].job.struct_size = sizeof jobs[i];
        jobs[i].job.object = i == 2 ? "third" : "other";
    }
    assert_int_equal(ocid_submit(c, &jobs[0].job, 3, 5000, ids), 0);
    assert_string_equal(s.last_object, "third");
    jobs[1].more = 1;
    assert_int_equal(ocid_submit(c, &jobs[0].job, 3, 5000, ids), OCID_E_UNSUPPORTED);
    assert_int_equal(ocid_failure(c)->index, 1);
    struct ocid_job old = ocid_job_of(OCID_KIND_PUT);
    old.struct_size = offsetof(struct ocid_job, if_match);
    old.if_match = "not seen";
    old.object = "seen";
    assert_int_equal(ocid_submit(c, &old, 1, 5000, ids), 0);
    assert_string_equal(s.last_object, "seen");
    ocid_close(c);
    fake_end(&f);
}

/* ---- Status and wait */

struct life {
    int asked, dies_once, died;
    uint64_t last_since, last_wait;
};

static struct ocp_status failed_status(uint64_t id, struct oc_buf *b)
{
    struct ocp_status s = fake_status(id, OCP_ENUM_state_failed);
    struct ocp_outcome o = {0};
    OCP_SET(&o, outcome, error, ocp_str("not_found"));
    OCP_SET(&o, outcome, text, ocp_str("get 'logs/a.gz': no such object"));
    OCP_SET(&o, outcome, http_status, 404);
    OCP_SET(&o, outcome, service_code, ocp_str("ObjectNotFound"));
    OCP_SET(&o, outcome, request_id, ocp_str("1F3C"));
    ocp_pack(&ocp_desc_outcome, &o, b);
    OCP_SET(&s, status, outcome, ocp_span(b, 1));
    return s;
}

/* Job 1 is done at once, 2 runs, then fails; 3 runs and is done with 2. */
static int live(struct fake *f, int method, const struct ocp_envelope *env)
{
    struct life *l = f->user;
    struct ocp_status_ask ask;
    struct oc_buf b;
    if (method != OCP_METHOD_job_status ||
        ocp_unpack(&ocp_desc_status_ask, env->body.p, env->body.n, &ask, NULL))
        return -1;
    l->last_since = ask.since;
    l->last_wait = ask.wait_ms;
    if (l->asked++ == 1 && l->dies_once) {
        l->died = 1;
        l->dies_once = 0;
        return -1;
    }
    oc_buf_init(&b, 4096);
    struct ocp_status jobs[3] = {fake_status(1, OCP_ENUM_state_done)};
    if (!ask.since) {
        jobs[1] = fake_status(2, OCP_ENUM_state_running);
        OCP_SET(&jobs[1], status, bytes_done, 5);
        jobs[2] = fake_status(3, OCP_ENUM_state_waiting);
        OCP_SET(&jobs[2], status, why, OCP_ENUM_why_locked);
        fake_statuses(f, env->id, method, 10, jobs, 3);
    } else {
        jobs[0] = failed_status(2, &b);
        jobs[1] = fake_status(3, OCP_ENUM_state_done);
        fake_statuses(f, env->id, method, 12, jobs, 2);
    }
    oc_buf_fini(&b);
    return 0;
}

struct told {
    int n, final, stop_at, waiting;
};

static int on_change(void *user, const struct ocid_status *job)
{
    struct told *t = user;
    t->n++;
    t->final += ocid_state_final(job->state);
    t->waiting += job->why == OCID_WHY_LOCKED;
    if (job->state == OCID_STATE_RUNNING)
        assert_true(job->bytes_done == 5 && job->bytes_total == OCID_UNKNOWN);
    return t->n == t->stop_at ? 42 : 0;
}

static void test_wait(void **state)
{
    (void)state;
    struct fake f = {0};
    struct life l = {0};
    struct told t = {0};
    uint64_t ids[] = {1, 3, 2, 2};
    fake_begin(&f, live, &l);
    struct ocid *c = fake_open(&f);
    assert_int_equal(ocid_wait(c, ids, 4, 5000, on_change, &t), OCID_E_NOT_FOUND);
    assert_int_equal(ocid_failure(c)->index, 2);
    assert_int_equal(ocid_failure(c)->http_status, 404);
    char text[200];
    assert_string_equal(ocid_failure_print(ocid_failure(c), text, sizeof text),
                        "get 'logs/a.gz': no such object (404 ObjectNotFound, request 1F3C)");
    assert_int_equal(t.n, 5);
    assert_int_equal(t.final, 3);
    assert_int_equal(t.waiting, 1);
    assert_int_equal(ocid_wait(c, ids, 1, 5000, NULL, NULL), 0);
    assert_int_equal(ocid_wait(c, ids, 0, 5000, NULL, NULL), 0);
    t = (struct told){.stop_at = 2};
    assert_int_equal(ocid_wait(c, ids, 4, 5000, on_change, &t), 42);
    ocid_close(c);
    fake_end(&f);
    assert_int_equal(l.asked, 4);
}

static void test_wait_for_what_is_not_there(void **state)
{
    (void)state;
    struct fake f = {0};
    struct life l = {0};
    uint64_t ids[] = {1, 3, 99, 2};
    fake_begin(&f, live, &l);
    struct ocid *c = fake_open(&f);
    assert_int_equal(ocid_wait(c, ids, 4, 5000, NULL, NULL), OCID_E_NOT_FOUND);
    assert_int_equal(ocid_failure(c)->index, 2);
    assert_string_equal(ocid_failure(c)->text, "there is no job 99");
    ocid_close(c);
    fake_end(&f);
}

/* Two jobs fit an answer. All of them ended in an earlier life: none has changed since. */
static int cut(struct fake *f, int method, const struct ocp_envelope *env)
{
    struct ocp_status_ask ask;
    struct ocp_statuses s = {0};
    struct ocp_iter it = {0};
    struct oc_buf b;
    uint64_t id;
    uint32_t n = 0;
    if (method != OCP_METHOD_job_status ||
        ocp_unpack(&ocp_desc_status_ask, env->body.p, env->body.n, &ask, NULL))
        return -1;
    oc_buf_init(&b, 4096);
    while (!ask.since && n < 2 && ocp_next_u64(&ask.ids, &it, &id)) {
        struct ocp_status job = fake_status(id, OCP_ENUM_state_done);
        ocp_pack(&ocp_desc_status, &job, &b);
        n++;
    }
    OCP_SET(&s, statuses, epoch, 5);
    OCP_SET(&s, statuses, seq, 7);
    OCP_SET(&s, statuses, jobs, ocp_span(&b, n));
    if (n && ask.ids.count > n)
        OCP_SET(&s, statuses, more, true);
    ocp_frame_reply(&f->out, env->id, method, &s);
    oc_buf_fini(&b);
    return 0;
}

static void test_wait_for_more_than_an_answer_holds(void **state)
{
    (void)state;
    struct fake f = {0};
    struct told t = {0};
    uint64_t ids[] = {1, 2, 3, 4, 5};
    fake_begin(&f, cut, NULL);
    struct ocid *c = fake_open(&f);
    assert_int_equal(ocid_wait(c, ids, 5, 5000, on_change, &t), 0);
    assert_int_equal(t.final, 5);
    ocid_close(c);
    fake_end(&f);
}

static void test_wait_survives_a_restart(void **state)
{
    (void)state;
    static const struct {
        const char *uuid;
        int want;
    } rows[] = {{NULL, OCID_E_NOT_FOUND}, {"another", OCID_E_NOT_FOUND}};
    for (int i = 0; i < 2; i++) {
        struct fake f = {0};
        struct life l = {.dies_once = 1};
        struct told t = {0};
        uint64_t ids[] = {1, 2, 3};
        fake_begin(&f, live, &l);
        struct ocid *c = fake_open(&f);
        f.uuid = rows[i].uuid;
        assert_int_equal(ocid_wait(c, ids, 3, 5000, on_change, &t), rows[i].want);
        assert_int_equal(t.final, i ? 1 : 3);
        if (i)
            assert_non_null(strstr(ocid_failure(c)->text, "another database"));
        ocid_close(c);
        fake_end(&f);
        assert_int_equal(f.n_conns, 2);
    }
}

static int full_status(struct fake *f, int method, const struct ocp_envelope *env)
{
    struct oc_buf jb, ob, lists;
    struct ocp_job job = {0};
    struct ocp_outcome o = {0};
    oc_buf_init(&jb, 4096);
    oc_buf_init(&ob, 4096);
    oc_buf_init(&lists, 4096);
    ocp_add_pair(&lists, "camera", "old", 3);
    OCP_SET(&job, job, kind, OCP_ENUM_kind_put);
    OCP_SET(&job, job, bucket, ocp_str("b"));
    OCP_SET(&job, job, object, ocp_str(""));
    OCP_SET(&job, job, priority, 9);
    OCP_SET(&job, job, inode, 5);
    OCP_SET(&job, job, mtime_ns, -5);
    OCP_SET(&job, job, metadata, ocp_span(&lists, 1));
    ocp_pack(&ocp_desc_job, &job, &jb);
    OCP_SET(&o, outcome, etag, ocp_str("e1"));
    OCP_SET(&o, outcome, verified, OCP_ENUM_verified_crc32c);
    OCP_SET(&o, outcome, result, ocp_span(&lists, 1));
    ocp_pack(&ocp_desc_outcome, &o, &ob);
    struct ocp_status s = fake_status(4, OCP_ENUM_state_done);
    OCP_SET(&s, status, job, ocp_span(&jb, 1));
    OCP_SET(&s, status, outcome, ocp_span(&ob, 1));
    fake_statuses(f, env->id, method, 3, &s, 1);
    oc_buf_fini(&jb);
    oc_buf_fini(&ob);
    oc_buf_fini(&lists);
    return 0;
}

static void test_status_in_full(void **state)
{
    (void)state;
    struct fake f = {0};
    struct ocid_query q = ocid_query_of();
    const struct ocid_page *page;
    uint64_t ids[1001] = {0};
    fake_begin(&f, full_status, NULL);
    struct ocid *c = fake_open(&f);
    assert_int_equal(ocid_status(c, &q, 5000, &page), 0);
    assert_int_equal(page->epoch, 5);
    assert_int_equal(page->seq, 3);
    assert_int_equal(page->n_jobs, 1);
    const struct ocid_status *s = &page->jobs[0];
    assert_string_equal(s->job->bucket, "b");
    assert_string_equal(s->job->object, "");
    assert_null(s->job->source);
    assert_int_equal(s->job->priority, 9);
    assert_int_equal(s->job->mtime_ns, -5);
    assert_true(s->job->identified);
    assert_int_equal(s->job->n_metadata, 1);
    assert_string_equal(s->job->metadata[0].key, "camera");
    assert_string_equal(s->outcome->etag, "e1");
    assert_int_equal(s->outcome->verified, OCID_VERIFIED_CRC32C);
    assert_true(s->outcome->bytes == OCID_UNKNOWN);
    assert_int_equal(s->outcome->error, 0);
    assert_string_equal(s->outcome->result[0].value, "old");
    q.ids = ids;
    q.n_ids = 1001;
    assert_int_equal(ocid_status(c, &q, 5000, &page), OCID_E_INVALID);
    ocid_close(c);
    fake_end(&f);
}

/* ---- Tables of jobs, acts, the daemon */

static int pages(struct fake *f, int method, const struct ocp_envelope *env)
{
    struct ocp_list_ask ask;
    struct ocp_statuses s = {0};
    struct oc_buf b;
    if (method != OCP_METHOD_job_list ||
        ocp_unpack(&ocp_desc_list_ask, env->body.p, env->body.n, &ask, NULL))
        return -1;
    oc_buf_init(&b, 4096);
    for (uint64_t i = 0; i < 10; i++) {
        struct ocp_status job = fake_status(ask.cursor + i + 1, OCP_ENUM_state_done);
        ocp_pack(&ocp_desc_status, &job, &b);
    }
    OCP_SET(&s, statuses, epoch, 5);
    OCP_SET(&s, statuses, seq, 1);
    OCP_SET(&s, statuses, jobs, ocp_span(&b, 10));
    if (ask.cursor < 20) {
        OCP_SET(&s, statuses, more, true);
        OCP_SET(&s, statuses, cursor, ask.cursor + 10);
    }
    ocp_frame_reply(&f->out, env->id, method, &s);
    oc_buf_fini(&b);
    return 0;
}

static int count_jobs(void *user, const struct ocid_status *job)
{
    int *n = user;
    assert_int_equal(job->id, ++*n);
    return *n == 25 ? -99 : 0;
}

static void test_jobs_page_by_page(void **state)
{
    (void)state;
    struct fake f = {0};
    int n = 0;
    fake_begin(&f, pages, NULL);
    struct ocid *c = fake_open(&f);
    assert_int_equal(ocid_jobs(c, -1, 0, 15, 5000, count_jobs, &n), 0);
    assert_int_equal(n, 15);
    n = 0;
    assert_int_equal(ocid_jobs(c, OCID_STATE_DONE, 7, 0, 5000, count_jobs, &n), -99);
    assert_int_equal(n, 25);
    n = -5;
    assert_int_equal(ocid_jobs(c, 99, 0, 0, 5000, count_jobs, &n), OCID_E_INVALID);
    ocid_close(c);
    fake_end(&f);
}

static int acks(struct fake *f, int method, const struct ocp_envelope *env)
{
    struct ocp_jobs_ask ask;
    struct ocp_iter it = {0};
    struct ocp_acks reply = {0};
    struct oc_buf b, eb;
    uint64_t id;
    if (ocp_unpack(&ocp_desc_jobs_ask, env->body.p, env->body.n, &ask, NULL))
        return -1;
    oc_buf_init(&b, 1 << 20);
    oc_buf_init(&eb, 4096);
    struct oc_err err;
    struct ocp_error error;
    oc_fail(&err, OCID_E_STATE, 0, "it has ended");
    ocp_error_of(&err, -1, &error);
    ocp_pack(&ocp_desc_error, &error, &eb);
    while (ocp_next_u64(&ask.ids, &it, &id)) {
        struct ocp_ack ack = {0};
        OCP_SET(&ack, ack, id, id);
        if (id == 1500)
            OCP_SET(&ack, ack, error, ocp_span(&eb, 1));
        else
            OCP_SET(&ack, ack, state, OCP_ENUM_state_paused);
        ocp_pack(&ocp_desc_ack, &ack, &b);
    }
    OCP_SET(&reply, acks, jobs, ocp_span(&b, ask.ids.count));
    ocp_frame_reply(&f->out, env->id, method, &reply);
    oc_buf_fini(&b);
    oc_buf_fini(&eb);
    return 0;
}

static void test_act_on_many(void **state)
{
    (void)state;
    struct fake f = {0};
    uint64_t ids[2500];
    const struct ocid_ack *acked = NULL;
    for (int i = 0; i < 2500; i++)
        ids[i] = (uint64_t)i;
    fake_begin(&f, acks, NULL);
    struct ocid *c = fake_open(&f);
    for (int act = OCID_ACT_CANCEL; act <= OCID_ACT_SEAL; act++)
        assert_int_equal(ocid_act(c, (enum ocid_act)act, ids, 1000, 5000, NULL), 0);
    assert_int_equal(ocid_act(c, OCID_ACT_PAUSE, ids, 2500, 5000, &acked), OCID_E_STATE);
    assert_int_equal(ocid_failure(c)->index, 1500);
    assert_string_equal(ocid_failure(c)->text, "it has ended");
    assert_non_null(acked);
    for (int i = 0; i < 2500; i++) {
        assert_int_equal(acked[i].id, i);
        assert_int_equal(acked[i].error, i == 1500 ? OCID_E_STATE : 0);
        assert_int_equal(acked[i].state, i == 1500 ? -1 : OCID_STATE_PAUSED);
    }
    assert_string_equal(acked[1500].text, "it has ended");
    assert_int_equal(ocid_act(c, OCID_ACT_PAUSE, ids, 0, 5000, NULL), OCID_E_INVALID);
    assert_int_equal(ocid_act(c, (enum ocid_act)9, ids, 1, 5000, NULL), OCID_E_INVALID);
    ocid_close(c);
    fake_end(&f);
}

static int daemon_script(struct fake *f, int method, const struct ocp_envelope *env)
{
    char phrase[32] = "";
    struct oc_buf b;
    oc_buf_init(&b, 4096);
    struct ocp_stats st = {0};
    struct ocp_unlocked u = {0};
    if (method == OCP_METHOD_daemon_reload)
        return fake_error(f, env->id, OCID_E_CONFIG, -1, "ocid.conf line 3: no\nsuch setting");
    if (method == OCP_METHOD_vault_unlock) {
        int fd = fake_take_fd(f);
        if (fd < 0 || read(fd, phrase, sizeof phrase - 1) <= 0)
            return -1;
        close(fd);
    }
    ocp_add_pair(&b, "DEFAULT", phrase[0] ? phrase : "locked",
                 strlen(phrase[0] ? phrase : "locked"));
    if (method == OCP_METHOD_daemon_limit || method == OCP_METHOD_daemon_stats) {
        st.has = (1ull << OCP_FIELD_stats_profiles) - 1;
        if (method == OCP_METHOD_daemon_limit) /* what was asked for */
            OCP_SET(&st, stats, limits, ((struct ocp_span){env->body.p, env->body.n, 1}));
        st.software = ocp_str("fake 1.0");
        st.bytes_up = 7;
        OCP_SET(&st, stats, profiles, ocp_span(&b, 1));
        ocp_frame_reply(&f->out, env->id, method, &st);
    } else {
        OCP_SET(&u, unlocked, profiles, ocp_span(&b, 1));
        ocp_frame_reply(&f->out, env->id, method, &u);
    }
    oc_buf_fini(&b);
    return 0;
}

static void test_the_daemon(void **state)
{
    (void)state;
    struct fake f = {0};
    const struct ocid_stats *stats;
    const struct ocid_pair *profiles;
    size_t n;
    int fds[2];
    fake_begin(&f, daemon_script, NULL);
    struct ocid *c = fake_open(&f);
    assert_int_equal(ocid_stats(c, 5000, &stats), 0);
    assert_string_equal(stats->software, "fake 1.0");
    assert_int_equal(stats->bytes_up, 7);
    assert_string_equal(stats->profiles[0].key, "DEFAULT");
    assert_int_equal(stats->n_limits, 0);
    struct ocid_limit limit = ocid_limit_of(OCID_SCOPE_CLIENT);
    limit.label = "nb";
    limit.jobs = 0;
    assert_int_equal(ocid_limit(c, &limit, 5000, &stats), 0);
    assert_int_equal(stats->n_limits, 1);
    assert_int_equal(stats->limits->scope, OCID_SCOPE_CLIENT);
    assert_string_equal(stats->limits->label, "nb");
    assert_true(stats->limits->jobs == 0 && stats->limits->bytes_per_s == OCID_UNKNOWN);
    limit.struct_size = 3;
    assert_int_equal(ocid_limit(c, &limit, 5000, &stats), OCID_E_INVALID);
    limit = ocid_limit_of((enum ocid_scope)17);
    assert_int_equal(ocid_limit(c, &limit, 5000, &stats), OCID_E_INVALID);
    assert_int_equal(ocid_reload(c, 5000), OCID_E_CONFIG);
    assert_string_equal(ocid_failure(c)->text, "ocid.conf line 3: no\\x0asuch setting");
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "secret", 6), 6);
    close(fds[1]);
    assert_int_equal(ocid_unlock(c, NULL, fds[0], 1000, 5000, &profiles, &n), 0);
    assert_int_equal(n, 1);
    assert_string_equal(profiles[0].value, "secret");
    close(fds[0]);
    assert_int_equal(ocid_lock(c, "DEFAULT", 5000, &profiles, NULL), 0);
    assert_string_equal(profiles[0].value, "locked");
    assert_int_equal(ocid_lock(c, NULL, 5000, NULL, NULL), 0);
    ocid_close(c);
    fake_end(&f);
}

/* ---- Pipes */

enum end { ENDS, NO_END, FAILS, GARBLED, HUGE };

struct lister {
    enum end end;
    int rows, cancelled;
    int fd;
};

static int list_script(struct fake *f, int method, const struct ocp_envelope *env)
{
    struct lister *l = f->user;
    struct oc_buf b, out;
    oc_buf_init(&b, 4096);
    oc_buf_init(&out, 8 << 20);
    if (method == OCP_METHOD_job_cancel)
        l->cancelled++;
    if (method == OCP_METHOD_job_status) {
        struct ocp_status s = fake_status(50, OCP_ENUM_state_done);
        if (l->end == FAILS)
            s = failed_status(50, &b);
        fake_statuses(f, env->id, method, 2, &s, 1);
    }
    if (method == OCP_METHOD_job_submit) {
        int fd = fake_take_fd(f);
        fake_ids(f, env->id, 50, 1);
        fake_flush(f);
        for (int i = 0; i < l->rows; i++) {
            struct ocp_row row = {0};
            char name[32];
            snprintf(name, sizeof name, "object %d", i);
            OCP_SET(&row, row, name, ocp_str(name));
            OCP_SET(&row, row, size, (uint64_t)i);
            ocp_frame_message(&out, &ocp_desc_row, &row);
        }
        if (l->end == ENDS) {
            struct ocp_row row = {0};
            OCP_SET(&row, row, end, true);
            ocp_frame_message(&out, &ocp_desc_row, &row);
        }
        if (l->end == GARBLED)
            oc_buf_add(&out, "\0\0\0\1\xc1", 5);
        if (l->end == HUGE)
            oc_buf_add(&out, "\xff\xff\xff\xff", 4);
        for (size_t at = 0; at < out.len;) {
            ssize_t n = write(fd, out.data + at, out.len - at);
            if (n <= 0)
                break;
            at += (size_t)n;
        }
        close(fd);
    }
    oc_buf_fini(&b);
    oc_buf_fini(&out);
    return 0;
}

static int count_row(void *user, const struct ocid_row *row)
{
    int *n = user;
    char name[32];
    snprintf(name, sizeof name, "object %d", *n);
    assert_string_equal(row->name, name);
    assert_int_equal(row->size, *n);
    assert_null(row->etag);
    ++*n;
    return *n == 70000 ? 17 : 0;
}

static void test_list(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum end end;
        int rows, want;
    } rows[] = {
        {"empty", ENDS, 0, 0},
        {"some", ENDS, 3, 0},
        {"more than a pipe holds", ENDS, 60000, 0},
        {"stopped by the caller", ENDS, 100000, 17},
        {"cut short", NO_END, 3, OCID_E_PROTOCOL},
        {"job failed", FAILS, 3, OCID_E_NOT_FOUND},
        {"garbled", GARBLED, 3, OCID_E_PROTOCOL},
        {"giant row", HUGE, 3, OCID_E_PROTOCOL},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        struct fake f = {0};
        struct lister l = {.end = rows[r].end, .rows = rows[r].rows};
        struct ocid_job job = ocid_job_of(OCID_KIND_LIST);
        int n = 0;
        fake_begin(&f, list_script, &l);
        struct ocid *c = fake_open(&f);
        job.bucket = "b";
        int rc = ocid_list(c, &job, 5000, count_row, NULL, &n);
        if (rc != rows[r].want)
            fail_msg("%s: %d %s", rows[r].name, rc, ocid_failure(c)->text);
        assert_int_equal(n, rows[r].rows < 70000 ? rows[r].rows : 70000);
        ocid_close(c);
        fake_end(&f);
    }
}

/* The job waits for a key: the caller hears it, gives up, and the job is cancelled. */
static int locked_script(struct fake *f, int method, const struct ocp_envelope *env)
{
    struct lister *l = f->user;
    if (method == OCP_METHOD_job_submit) {
        l->fd = fake_take_fd(f);
        fake_ids(f, env->id, 50, 1);
    }
    if (method == OCP_METHOD_job_status) {
        struct ocp_status s = fake_status(50, OCP_ENUM_state_waiting);
        OCP_SET(&s, status, why, OCP_ENUM_why_locked);
        fake_statuses(f, env->id, method, 2, &s, 1);
    }
    l->cancelled += method == OCP_METHOD_job_cancel;
    return 0;
}

static int give_up(void *user, const struct ocid_status *job)
{
    (void)user;
    return job->why == OCID_WHY_LOCKED ? 55 : 0;
}

static void test_list_hears_what_it_waits_for(void **state)
{
    (void)state;
    struct fake f = {0};
    struct lister l = {.fd = -1};
    struct ocid_job job = ocid_job_of(OCID_KIND_LIST);
    int n = 0;
    fake_begin(&f, locked_script, &l);
    struct ocid *c = fake_open(&f);
    assert_int_equal(ocid_list(c, &job, 5000, count_row, give_up, &n), 55);
    assert_int_equal(ocid_list(c, &job, 50, count_row, NULL, &n), OCID_E_TIMED_OUT);
    ocid_interrupt(c);
    assert_int_equal(ocid_list(c, &job, -1, count_row, NULL, &n), OCID_E_DETACHED);
    (void)ocid_reload(c, 20); /* until the server has read what was before it */
    ocid_close(c);
    fake_end(&f);
    close(l.fd);
    assert_int_equal(l.cancelled, 2); /* the interrupted one was never sent */
}

static int echo(struct fake *f, int method, const struct ocp_envelope *env)
{
    struct lister *l = f->user;
    (void)method;
    l->fd = fake_take_fd(f);
    fake_ids(f, env->id, 60, 1);
    return 0;
}

static void test_pipes(void **state)
{
    (void)state;
    struct fake f = {0};
    struct lister l = {.fd = -1};
    struct ocid_job job = ocid_job_of(OCID_KIND_PUT);
    uint64_t id;
    int fd;
    char x[4];
    fake_begin(&f, echo, &l);
    struct ocid *c = fake_open(&f);
    assert_int_equal(ocid_put_pipe(c, &job, 5000, &id, &fd), 0);
    assert_int_equal(id, 60);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(fd, "abc", 3), 3);
    close(fd);
    assert_int_equal(read(l.fd, x, 4), 3);
    assert_int_equal(read(l.fd, x, 4), 0); /* no other end is left open */
    close(l.fd);
    job.kind = OCID_KIND_GET;
    assert_int_equal(ocid_get_pipe(c, &job, 5000, &id, &fd), 0);
    assert_int_equal(write(l.fd, "abc", 3), 3);
    close(l.fd);
    assert_int_equal(read(fd, x, 4), 3);
    assert_int_equal(read(fd, x, 4), 0);
    close(fd);
    ocid_close(c);
    fake_end(&f);
}

/* ---- Sources and names */

static void test_sources(void **state)
{
    (void)state;
    char path[] = "/tmp/ocid-source-XXXXXX";
    int fd = mkstemp(path), bytes;
    struct stat st;
    struct ocid_failure why;
    assert_int_equal(write(fd, "hello", 5), 5);
    fstat(fd, &st);
    for (int by_fd = 0; by_fd < 2; by_fd++) {
        struct ocid_job job = ocid_job_of(OCID_KIND_PUT);
        assert_int_equal(ocid_source(&job, path, by_fd ? fd : -1, &why), 0);
        assert_ptr_equal(job.source, path);
        assert_true(job.identified);
        assert_int_equal(job.size, 5);
        assert_int_equal(job.inode, st.st_ino);
        assert_int_equal(job.dev, st.st_dev);
        assert_int_equal(job.mtime_ns, st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
        assert_int_equal(job.ctime_ns, st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec);
        assert_int_equal(job.fd, -1);
    }
    close(fd);
    unlink(path);
    struct ocid_job job = ocid_job_of(OCID_KIND_PUT);
    assert_int_equal(ocid_source(&job, path, -1, &why), OCID_E_FILE);
    assert_int_equal(why.sys, ENOENT);
    assert_int_equal(ocid_source(&job, "relative", -1, &why), OCID_E_INVALID);
    assert_int_equal(ocid_source(&job, NULL, -1, NULL), OCID_E_INVALID);
    assert_int_equal(ocid_source(&job, "/tmp", -1, &why), OCID_E_FILE);
    assert_false(job.identified);

    assert_int_equal(ocid_bytes("abc", 3, &bytes, &why), 0);
    assert_int_equal(fcntl(bytes, F_GET_SEALS),
                     F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    assert_int_equal(lseek(bytes, 0, SEEK_END), 3);
    close(bytes);
    assert_int_equal(ocid_bytes("", 0, &bytes, &why), 0);
    close(bytes);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(ocid_kind_name(OCID_KIND_MKBUCKET), "mkbucket");
    assert_string_equal(ocid_kind_name(99), "unknown");
    assert_string_equal(ocid_state_name(OCID_STATE_WAITING), "waiting");
    assert_string_equal(ocid_why_name(OCID_WHY_LOCKED), "locked");
    assert_string_equal(ocid_verified_name(OCID_VERIFIED_LENGTH), "length");
    assert_int_equal(ocid_kind_find("pull"), OCID_KIND_PULL);
    assert_int_equal(ocid_kind_find("pul"), -1);
    assert_int_equal(ocid_state_find("cancelled"), OCID_STATE_CANCELLED);
    assert_string_equal(ocid_error_name(OCID_E_NOT_FOUND), "not_found");
    assert_string_equal(ocid_error_text(OCID_E_LOCKED), "the key is locked");
    assert_int_equal(ocid_error_exit(OCID_E_TIMED_OUT), 124);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_submit_splits),
        cmocka_unit_test(test_descriptors_keep_their_order),
        cmocka_unit_test(test_submit_refused_in_the_middle),
        cmocka_unit_test(test_submit_refuses_what_cannot_be),
        cmocka_unit_test(test_every_field_of_a_job_travels),
        cmocka_unit_test(test_structs_of_other_sizes),
        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_wait_for_what_is_not_there),
        cmocka_unit_test(test_wait_for_more_than_an_answer_holds),
        cmocka_unit_test(test_wait_survives_a_restart),
        cmocka_unit_test(test_status_in_full),
        cmocka_unit_test(test_jobs_page_by_page),
        cmocka_unit_test(test_act_on_many),
        cmocka_unit_test(test_the_daemon),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_list_hears_what_it_waits_for),
        cmocka_unit_test(test_pipes),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
