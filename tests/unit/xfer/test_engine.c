/* SPDX-License-Identifier: Apache-2.0
 *
 * test_engine.c - the transfer thread against a small server and a signer that says yes.
 *
 * Each test has its own engine, server and signer, and ends by closing all three: the engine's
 * thread asserts that its loop closes empty, and loop_free() that the control loop does.
 */
#include "xfer/kit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "core/fault.h"
#include "core/loop.h"
#include "xfer/engine.h"

#include <openssl/evp.h>

/* ---- one of everything ---- */

struct rig {
    struct loop *loop;
    struct engine *e;
    struct kit_server server;
    struct kit_signer signer;
    char base[64], host[48];
    int n_done;
    int keep_faults; /* a thread that outlives the rig may look at them */
    uv_timer_t limit;
};

struct ask {
    struct xfer_request r;
    struct rig *rig;
    struct oci_header header[4];
    size_t n_header;
    char line[4][128];
    int done;
};

static void on_done(struct xfer_request *r, void *arg)
{
    struct rig *g = arg;
    struct ask *a = r->owner;
    assert_false(a->done);
    a->done = 1;
    g->n_done++;
}

static struct engine_options options(struct rig *g)
{
    (void)g;
    return (struct engine_options){
        .connect_seconds = 5,
        .stall_seconds = 30,
        .connections = 8,
        .io_per_mount = 2,
        .user_agent = "ocid/test",
    };
}

static void rig_open_with(struct rig *g, struct engine_options o)
{
    struct oc_err err;
    memset(g, 0, sizeof *g);
    kit_start(&g->server);
    kit_signer_start(&g->signer);
    snprintf(g->host, sizeof g->host, "127.0.0.1:%u", g->server.port);
    snprintf(g->base, sizeof g->base, "http://%s", g->host);
    g->loop = loop_new();
    o.sign_fd = g->signer.other;
    assert_int_equal(engine_open(loop_uv(g->loop), &o, on_done, g, &g->e, &err), 0);
}

static void rig_open(struct rig *g)
{
    rig_open_with(g, options(g));
}

static void rig_close(struct rig *g)
{
    engine_close(g->e);
    kit_signer_stop(&g->signer);
    kit_stop(&g->server);
    uv_run(loop_uv(g->loop), UV_RUN_DEFAULT);
    loop_free(g->loop);
    if (!g->keep_faults)
        fault_init(NULL);
}

static void on_limit(uv_timer_t *t)
{
    (void)t;
    assert(!"took too long");
}

/* Runs the control loop until n requests are done. */
static void wait_done(struct rig *g, int n)
{
    engine_flush(g->e);
    uv_timer_init(loop_uv(g->loop), &g->limit);
    uv_timer_start(&g->limit, on_limit, 30000, 0);
    while (g->n_done < n)
        uv_run(loop_uv(g->loop), UV_RUN_ONCE);
    uv_close((uv_handle_t *)&g->limit, NULL);
    uv_run(loop_uv(g->loop), UV_RUN_NOWAIT);
}

/* ---- requests ---- */

static void add_header(struct ask *a, const char *name, const char *value)
{
    char *line = a->line[a->n_header];
    snprintf(line, sizeof a->line[0], "%s: %s", name, value);
    a->header[a->n_header++] = (struct oci_header){line, name, line + strlen(name) + 2};
    a->r.call.headers = a->header;
    a->r.call.n_headers = a->n_header;
}

static void ask_init(struct ask *a, struct rig *g, const char *method, const char *target)
{
    memset(a, 0, sizeof *a);
    a->rig = g;
    a->r.owner = a;
    a->r.base = g->base;
    a->r.profile = "DEFAULT";
    a->r.what = "object 'b/o'";
    a->r.call.method = method;
    a->r.call.target = target;
    a->r.call.host = g->host;
    a->r.call.is_object = 1;
    a->r.to = SINK_MEMORY;
    a->r.max_memory = 4 * MIB;
}

static void ask_get(struct ask *a, struct rig *g, const char *target)
{
    ask_init(a, g, "GET", target);
}

static void ask_put(struct ask *a, struct rig *g, struct xfer_file *f, uint64_t offset,
                    uint64_t length)
{
    ask_init(a, g, "PUT", "/put");
    a->r.from = BODY_FILE;
    a->r.file = xfer_file_ref(f);
    a->r.offset = offset;
    a->r.length = length;
    a->r.sums = XFER_CRC32C;
    a->r.call.body_kind = OCI_BODY_ELSEWHERE;
    a->r.call.body_bytes = length;
}

static void ask_range(struct ask *a, struct rig *g, const char *target, struct xfer_file *f,
                      uint64_t first, uint64_t length)
{
    char range[64];
    ask_get(a, g, target);
    snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)first,
             (unsigned long long)(first + length - 1));
    add_header(a, "range", range);
    a->r.ranged = 1;
    a->r.to = SINK_FILE;
    a->r.file = xfer_file_ref(f);
    a->r.offset = first;
    a->r.length = length;
    a->r.sums = XFER_CRC32C;
}

static void ask_fini(struct ask *a)
{
    xfer_request_fini(&a->r);
    assert_null(a->r.file);
    xfer_request_fini(&a->r);
}

static void post(struct ask *a)
{
    engine_post(a->rig->e, &a->r);
}

static void run(struct ask *a)
{
    int n = a->rig->n_done + 1;
    a->done = 0;
    post(a);
    wait_done(a->rig, n);
}

static void assert_ok(const struct ask *a)
{
    char text[512];
    if (a->r.err.code)
        fail_msg("%s", oc_err_print(&a->r.err, text, sizeof text));
}

static void assert_err(const struct ask *a, int code)
{
    char text[512];
    if (a->r.err.code != code)
        fail_msg("wanted %s, got %d: %s", oc_err_name(code), a->r.err.code,
                 oc_err_print(&a->r.err, text, sizeof text));
    assert_true(strlen(a->r.err.text) > 0);
}

/* ---- files ---- */

static int temp_fd(void)
{
    int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static struct xfer_file *pattern_file(uint64_t size, int slow)
{
    int fd = temp_fd();
    unsigned char *bytes = malloc(size ? size : 1);
    for (uint64_t i = 0; i < size; i++)
        bytes[i] = kit_byte(i);
    assert_int_equal(pwrite(fd, bytes, size, 0), size);
    free(bytes);
    return xfer_file_new(fd, slow, 1);
}

static uint32_t pattern_crc(uint64_t from, uint64_t n)
{
    unsigned char *bytes = malloc(n ? n : 1);
    for (uint64_t i = 0; i < n; i++)
        bytes[i] = kit_byte(from + i);
    uint32_t crc = oci_crc32c(0, bytes, n);
    free(bytes);
    return crc;
}

static void assert_pattern(struct xfer_file *f, uint64_t from, uint64_t n)
{
    unsigned char *bytes = malloc(n);
    assert_int_equal(pread(xfer_file_fd(f), bytes, n, (off_t)from), n);
    for (uint64_t i = 0; i < n; i++)
        if (bytes[i] != kit_byte(from + i))
            fail_msg("byte %llu differs", (unsigned long long)(from + i));
    free(bytes);
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- puts ---- */

static const struct {
    const char *name;
    uint64_t offset, length;
    int slow, sum_first;
    const char *fault;
} puts_[] = {
    {"nothing", 0, 0, 0, 1, NULL},
    {"one byte", 0, 1, 0, 1, NULL},
    {"small", 0, 4096, 0, 1, NULL},
    {"small without a sum in front", 7, 4096, 0, 0, NULL},
    {"largest small", 3, 64 * KIB, 0, 1, NULL},
    {"smallest large", 3, 64 * KIB + 1, 0, 1, NULL},
    {"a part of a file", 1000001, 3 * MIB + 17, 0, 0, NULL},
    {"large, summed first", 5, 5 * MIB + 3, 0, 1, NULL},
    {"small from a slow file", 9, 4096, 1, 1, NULL},
    {"large from a slow file", 11, 4 * MIB + 1, 1, 0, NULL},
    {"large from a slow file, summed first", 0, 6 * MIB, 1, 1, NULL},
    {"small, cold", 0, 5000, 0, 1, "xfer.cold:1+"},
    {"large, cold", 0, 3 * MIB, 0, 0, "xfer.cold:1+"},
    {"large, cold in the middle", 0, 3 * MIB, 0, 0, "xfer.cold:3"},
};

static void test_puts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof puts_ / sizeof *puts_; i++) {
        struct rig g;
        struct ask a;
        char sum[32];
        fault_init(puts_[i].fault);
        rig_open(&g);
        struct xfer_file *f = pattern_file(8 * MIB, puts_[i].slow);
        ask_put(&a, &g, f, puts_[i].offset, puts_[i].length);
        a.r.sum_first = puts_[i].sum_first;
        a.r.sums |= XFER_MD5;
        run(&a);
        if (a.r.err.code)
            print_message("%s\n", puts_[i].name);
        assert_ok(&a);
        uint32_t crc = pattern_crc(puts_[i].offset, puts_[i].length);
        assert_int_equal(a.r.crc32c, crc);
        assert_true(a.r.reply.has_crc32c);
        assert_int_equal(a.r.reply.crc32c, crc);
        assert_true(a.r.has_md5);
        assert_true(a.r.sent_any);
        oci_crc_text(crc, sum);
        const char *sent = kit_header(g.server.head, "opc-content-crc32c");
        if (puts_[i].sum_first)
            assert_string_equal(sent, sum);
        else
            assert_null(sent);
        ask_fini(&a);
        xfer_file_unref(f);
        rig_close(&g);
    }
}

static void test_headers(void **state)
{
    (void)state;
    struct rig g;
    struct ask a;
    rig_open(&g);
    struct xfer_file *f = pattern_file(10, 0);
    ask_put(&a, &g, f, 0, 10);
    a.r.call.target = "/put/..%2F./x?a=%2e";
    add_header(&a, "content-type", "text/plain");
    add_header(&a, "content-length", "10");
    a.r.sum_first = 1;
    run(&a);
    assert_ok(&a);
    const char *head = g.server.head;
    assert_non_null(strstr(head, "PUT /put/..%2F./x?a=%2e HTTP/1.1\r\n"));
    assert_string_equal(kit_header(head, "host"), g.host);
    assert_string_equal(kit_header(head, "user-agent"), "ocid/test");
    assert_string_equal(kit_header(head, "content-type"), "text/plain");
    assert_string_equal(kit_header(head, "content-length"), "10");
    assert_string_equal(kit_header(head, "opc-checksum-algorithm"), "CRC32C");
    assert_int_equal(strlen(kit_header(head, "opc-client-request-id")), 32);
    assert_string_equal(kit_header(head, "authorization"),
                        "Signature version=\"1\",headers=\"date (request-target) host\","
                        "keyId=\"" KIT_KEY_ID
                        "\",algorithm=\"rsa-sha256\",signature=\"" KIT_SIGNATURE "\"");
    assert_null(kit_header(head, "expect"));
    const char *length = strcasestr(head, "content-length");
    assert_null(strcasestr(length + 1, "content-length"));
    char want[128];
    snprintf(want, sizeof want, "date: %.40s\n", kit_header(head, "date"));
    assert_non_null(strstr(g.signer.string, want));
    ask_fini(&a);
    xfer_file_unref(f);
    rig_close(&g);
}

static void test_body_of_request(void **state)
{
    (void)state;
    struct rig g;
    struct ask a;
    static const char body[] = "{\"object\":\"o\"}";
    rig_open(&g);
    ask_init(&a, &g, "POST", "/put");
    a.r.from = BODY_REQUEST;
    a.r.call.body = body;
    a.r.call.body_bytes = sizeof body - 1;
    a.r.sums = XFER_CRC32C;
    run(&a);
    assert_ok(&a);
    assert_non_null(strstr(g.server.head, "POST /put HTTP/1.1"));
    assert_null(kit_header(g.server.head, "content-type"));
    assert_int_equal(a.r.reply.crc32c, oci_crc32c(0, body, sizeof body - 1));
    ask_fini(&a);

    ask_init(&a, &g, "POST", "/put"); /* the same handle, without a body */
    a.r.from = BODY_REQUEST;
    a.r.call.body = "";
    run(&a);
    assert_ok(&a);
    assert_string_equal(kit_header(g.server.head, "content-length"), "0");
    ask_fini(&a);
    rig_close(&g);
}

static void test_methods(void **state)
{
    (void)state;
    static const char *const methods[] = {"GET", "HEAD", "DELETE", "PUT", "HEAD", "GET", "DELETE"};
    struct rig g;
    rig_open(&g);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        struct ask a;
        char want[64];
        ask_init(&a, &g, methods[i], strcmp(methods[i], "PUT") ? "/get?0" : "/put");
        if (!strcmp(methods[i], "PUT")) {
            a.r.from = BODY_REQUEST;
            a.r.call.body = "x";
            a.r.call.body_bytes = 1;
        }
        run(&a);
        assert_ok(&a);
        snprintf(want, sizeof want, "%s /", methods[i]);
        assert_memory_equal(g.server.head, want, strlen(want));
        ask_fini(&a);
    }
    assert_int_equal(atomic_load(&g.server.n_connections), 1);
    rig_close(&g);
}

static void test_source_changed(void **state)
{
    (void)state;
    static const struct {
        uint64_t length;
        int slow, sum_first;
    } rows[] = {{100, 0, 1},     {100, 1, 1},     {2 * MIB, 0, 0},
                {2 * MIB, 1, 0}, {2 * MIB, 0, 1}, {2 * MIB, 1, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig g;
        struct ask a;
        rig_open(&g);
        struct xfer_file *f = pattern_file(rows[i].length - 1, rows[i].slow);
        ask_put(&a, &g, f, 0, rows[i].length);
        a.r.sum_first = rows[i].sum_first;
        run(&a);
        assert_err(&a, OCID_E_SOURCE_CHANGED);
        assert_int_equal(a.r.local_sys, 0);
        ask_fini(&a);
        xfer_file_unref(f);
        rig_close(&g);
    }
}

static void test_unreadable(void **state)
{
    (void)state;
    static const struct {
        uint64_t length;
        int slow;
    } rows[] = {{100, 0}, {100, 1}, {2 * MIB, 0}, {2 * MIB, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig g;
        struct ask a;
        rig_open(&g);
        struct xfer_file *f = xfer_file_new(open("/", O_RDONLY | O_CLOEXEC), rows[i].slow, 1);
        ask_put(&a, &g, f, 0, rows[i].length);
        run(&a);
        assert_err(&a, OCID_E_IO);
        assert_int_equal(a.r.local_sys, EISDIR);
        ask_fini(&a);
        xfer_file_unref(f);
        rig_close(&g);
    }
}

/* A kept connection that the server has closed meanwhile is no failure. */
static void test_dead_connection(void **state)
{
    (void)state;
    static const struct {
        uint64_t length;
        int slow;
    } rows[] = {{4096, 0}, {2 * MIB, 0}, {2 * MIB, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig g;
        struct ask a;
        rig_open(&g);
        ask_get(&a, &g, "/last");
        run(&a);
        assert_ok(&a);
        ask_fini(&a);
        struct xfer_file *f = pattern_file(rows[i].length, rows[i].slow);
        ask_put(&a, &g, f, 0, rows[i].length);
        run(&a);
        assert_ok(&a);
        assert_int_equal(a.r.reply.crc32c, pattern_crc(0, rows[i].length));
        assert_int_equal(a.r.crc32c, a.r.reply.crc32c);
        assert_int_equal(atomic_load(&g.server.n_connections), 2);
        ask_fini(&a);
        xfer_file_unref(f);
        rig_close(&g);
    }
}

/* One that ends in the middle of a body is none either: libcurl begins again on another, with the
 * same bytes from the same place, and they are summed anew. */
static void test_connection_that_dies_in_a_body(void **state)
{
    (void)state;
    static const struct {
        uint64_t offset, length;
        int slow;
    } rows[] = {{0, 4096, 0}, {7, 4096, 1}, {MIB + 3, 2 * MIB, 0}, {MIB + 3, 2 * MIB, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig g;
        struct ask a;
        rig_open(&g);
        ask_get(&a, &g, "/get?10");
        run(&a);
        assert_ok(&a);
        ask_fini(&a);
        struct xfer_file *f = pattern_file(rows[i].offset + rows[i].length, rows[i].slow);
        ask_put(&a, &g, f, rows[i].offset, rows[i].length);
        a.r.call.target = "/again";
        run(&a);
        assert_ok(&a);
        assert_int_equal(a.r.n_sent, 2);
        assert_int_equal(a.r.reply.crc32c, pattern_crc(rows[i].offset, rows[i].length));
        assert_int_equal(a.r.crc32c, a.r.reply.crc32c);
        assert_int_equal(atomic_load(&g.server.n_connections), 2);
        ask_fini(&a);
        xfer_file_unref(f);
        rig_close(&g);
    }
}

static void test_early_answer(void **state)
{
    (void)state;
    struct rig g;
    struct ask a;
    rig_open(&g);
    struct xfer_file *f = pattern_file(16 * MIB, 0);
    ask_put(&a, &g, f, 0, 16 * MIB);
    a.r.call.target = "/early";
    a.r.if_absent = 1;
    run(&a);
    assert_err(&a, OCID_E_EXISTS);
    assert_int_equal(a.r.kind, OCI_KIND_EXISTS);
    ask_fini(&a);

    ask_put(&a, &g, f, 0, 4096); /* that connection is not used again */
    run(&a);
    assert_ok(&a);
    assert_int_equal(atomic_load(&g.server.n_connections), 2);
    ask_fini(&a);

    ask_put(&a, &g, f, 0, 16 * MIB);
    a.r.call.target = "/soon";
    run(&a);
    assert_err(&a, OCID_E_NETWORK);
    ask_fini(&a);
    xfer_file_unref(f);
    rig_close(&g);
}

static void test_expect(void **state)
{
    (void)state;
    struct rig g;
    struct ask a;
    rig_open(&g);
    struct xfer_file *f = pattern_file(2 * MIB, 0);
    ask_put(&a, &g, f, 0, 2 * MIB);
    a.r.call.expect_continue = 1;
    run(&a);
    assert_ok(&a);
    assert_string_equal(kit_header(g.server.head, "expect"), "100-continue");
    ask_fini(&a);
    xfer_file_unref(f);
    rig_close(&g);
}

/* ---- gets ---- */

static void test_ranges_to_file(void **state)
{
    (void)state;
    for (int slow = 0; slow < 2; slow++) {
        struct rig g;
        struct ask a[7];
        enum { N = sizeof a / sizeof *a };
        uint64_t each = 3 * MIB / 2 + 11;
        rig_open(&g);
        struct xfer_file *f = xfer_file_new(temp_fd(), slow, 1);
        for (int i = 0; i < N; i++) {
            ask_range(&a[i], &g, "/get?11000000", f, (uint64_t)i * each, each);
            post(&a[i]);
        }
        wait_done(&g, N);
        for (int i = 0; i < N; i++) {
            uint64_t length = i == N - 1 ? 11000000 - each * (N - 1) : each;
            assert_ok(&a[i]);
            assert_int_equal(a[i].r.reply.range_total, 11000000);
            assert_int_equal(atomic_load(&a[i].r.bytes_moved), length);
            assert_int_equal(a[i].r.crc32c, pattern_crc((uint64_t)i * each, length));
            ask_fini(&a[i]);
        }
        assert_pattern(f, 0, 11000000);
        struct stat st;
        fstat(xfer_file_fd(f), &st);
        assert_int_equal(st.st_size, 11000000);
        xfer_file_unref(f);
        rig_close(&g);
    }
}

static void test_range_refused(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        int code;
        enum oci_kind kind;
    } rows[] = {
        {"/full?3000000", OCID_E_SERVER, OCI_KIND_OTHER},
        {"/full?0", OCID_E_SERVER, OCI_KIND_OTHER},
        {"/other?3000000", OCID_E_SERVER, OCI_KIND_OTHER},
        {"/get?5", OCID_E_INVALID, OCI_KIND_RANGE},
        {"/fail?404", OCID_E_NOT_FOUND, OCI_KIND_NO_OBJECT},
        {"/short?200000", OCID_E_SERVER, OCI_KIND_OTHER},
    };
    struct rig g;
    rig_open(&g);
    struct xfer_file *f = xfer_file_new(temp_fd(), 0, 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ask a;
        struct stat st;
        ask_range(&a, &g, rows[i].target, f, 1000, 100000);
        run(&a);
        if (rows[i].kind == OCI_KIND_RANGE)
            assert_true(a.r.err.code != 0);
        else
            assert_err(&a, rows[i].code);
        assert_int_equal(a.r.kind, rows[i].kind);
        fstat(xfer_file_fd(f), &st);
        assert_int_equal(st.st_size, 0); /* not a byte */
        ask_fini(&a);
    }
    xfer_file_unref(f);
    rig_close(&g);
}

static void test_memory(void **state)
{
    (void)state;
    struct rig g;
    struct ask a;
    rig_open(&g);
    ask_get(&a, &g, "/get?100000");
    a.r.max_memory = 100000;
    a.r.sums = XFER_CRC32C;
    run(&a);
    assert_ok(&a);
    assert_int_equal(a.r.reply_len, 100000);
    assert_int_equal(a.r.reply_body[100000], 0);
    assert_int_equal(a.r.crc32c, pattern_crc(0, 100000));
    ask_fini(&a);

    ask_get(&a, &g, "/get?100001");
    a.r.max_memory = 100000;
    run(&a);
    assert_err(&a, OCID_E_SERVER);
    assert_true(a.r.reply_len <= 100000);
    ask_fini(&a);

    ask_get(&a, &g, "/fat");
    run(&a);
    assert_err(&a, OCID_E_UNAVAILABLE);
    assert_int_equal(a.r.reply_len, 64 * KIB);
    ask_fini(&a);
    rig_close(&g);
}

static void test_md5_late(void **state)
{
    (void)state;
    struct rig g;
    struct ask a;
    unsigned char want[16];
    unsigned n = 0;
    rig_open(&g);
    ask_get(&a, &g, "/get?300000");
    a.r.sums = XFER_CRC32C | XFER_MD5_LATE;
    run(&a);
    assert_ok(&a);
    assert_true(a.r.has_md5);
    EVP_Digest(a.r.reply_body, a.r.reply_len, want, &n, EVP_md5(), NULL);
    assert_memory_equal(a.r.md5, want, 16);
    ask_fini(&a);

    ask_range(&a, &g, "/get?300000", NULL, 0, 10); /* no content-md5 there */
    a.r.to = SINK_MEMORY;
    a.r.sums = XFER_CRC32C | XFER_MD5_LATE;
    run(&a);
    assert_ok(&a);
    assert_false(a.r.has_md5);
    ask_fini(&a);
    rig_close(&g);
}

static void test_broken_answers(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        int code;
    } rows[] = {
        {"/short?400000", OCID_E_NETWORK}, {"/reset?400000", OCID_E_NETWORK},
        {"/giant", OCID_E_SERVER},         {"/many", OCID_E_SERVER},
        {"/garbage", OCID_E_NETWORK},      {"/fail?503", OCID_E_UNAVAILABLE},
        {"/fail?429", OCID_E_THROTTLED},   {"/fail?404", OCID_E_NOT_FOUND},
    };
    struct rig g;
    rig_open(&g);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ask a;
        ask_get(&a, &g, rows[i].target);
        run(&a);
        if (a.r.err.code != rows[i].code)
            print_message("%s: %s\n", rows[i].target, a.r.err.text);
        assert_err(&a, rows[i].code);
        assert_true(a.r.sent_any);
        ask_fini(&a);
    }
    rig_close(&g);
}

static void test_no_server(void **state)
{
    (void)state;
    struct rig g;
    struct ask a;
    rig_open(&g);
    ask_get(&a, &g, "/get?1");
    a.r.base = "http://127.0.0.1:1";
    run(&a);
    assert_err(&a, OCID_E_NETWORK);
    assert_non_null(strstr(a.r.err.text, "Connection refused"));
    assert_false(a.r.sent_any);
    ask_fini(&a);

    ask_get(&a, &g, "/get?1");
    a.r.base = "http://192.0.2.1"; /* plain http goes no farther than this machine */
    run(&a);
    assert_err(&a, OCID_E_INVALID);
    assert_false(a.r.sent_any);
    ask_fini(&a);

    ask_get(&a, &g, "/get?1");
    a.r.base = "ftp://127.0.0.1";
    run(&a);
    assert_true(a.r.err.code != 0);
    ask_fini(&a);
    rig_close(&g);
}

/* ---- pipes ---- */

struct reader {
    int fd;
    useconds_t pause_us;
    uint64_t n;
    uint32_t crc;
};

static void *read_slowly(void *arg)
{
    struct reader *r = arg;
    char buf[8192];
    for (ssize_t n; (n = read(r->fd, buf, sizeof buf)) > 0;) {
        r->crc = oci_crc32c(r->crc, buf, (size_t)n);
        r->n += (uint64_t)n;
        if (r->pause_us)
            usleep(r->pause_us);
    }
    return NULL;
}

static void pipe_once(const char *fault, useconds_t pause_us)
{
    struct rig g;
    struct ask a;
    int fd[2];
    pthread_t t;
    fault_init(fault);
    rig_open(&g);
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    struct reader r = {.fd = fd[0], .pause_us = pause_us};
    pthread_create(&t, NULL, read_slowly, &r);
    ask_get(&a, &g, "/get?1000003");
    a.r.to = SINK_PIPE;
    a.r.pipe_fd = fd[1];
    a.r.sums = XFER_CRC32C;
    run(&a);
    assert_ok(&a);
    assert_int_equal(fcntl(fd[1], F_GETFL) & O_NONBLOCK, 0);
    close(fd[1]);
    pthread_join(t, NULL);
    close(fd[0]);
    assert_int_equal(r.n, 1000003);
    assert_int_equal(r.crc, pattern_crc(0, 1000003));
    assert_int_equal(a.r.crc32c, r.crc);
    ask_fini(&a);
    rig_close(&g);
}

static void test_pipe(void **state)
{
    (void)state;
    pipe_once(NULL, 0);
    pipe_once(NULL, 2000);
    pipe_once("xfer.oldpipe:1+", 0);
    pipe_once("xfer.oldpipe:1+", 2000);
}

/* Full pipe, nobody reads: the transfer waits without any work, then its reader goes away. */
static void test_pipe_paused_and_broken(void **state)
{
    (void)state;
    struct rig g;
    struct ask a;
    int fd[2];
    rig_open(&g);
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    ask_get(&a, &g, "/get?9000000");
    a.r.to = SINK_PIPE;
    a.r.pipe_fd = fd[1];
    post(&a);
    engine_flush(g.e);
    for (uint64_t was = 0, now; (now = atomic_load(&a.r.bytes_moved)) < 64 * KIB || now != was;
         was = now)
        usleep(50000);
    double before = cpu_s();
    usleep(500000);
    assert_true(cpu_s() - before < 0.2); /* turning without end would take 0.5 */
    assert_int_equal(g.n_done, 0);
    close(fd[0]);
    wait_done(&g, 1);
    assert_err(&a, OCID_E_DESTINATION);
    assert_int_equal(a.r.local_sys, EPIPE);
    close(fd[1]);
    ask_fini(&a);
    rig_close(&g);
}

/* ---- many ---- */

static void test_many(void **state)
{
    (void)state;
    enum { N = 200 };
    struct rig g;
    struct ask *a = calloc(N, sizeof *a);
    struct engine_stats st;
    rig_open(&g);
    struct xfer_file *f = pattern_file(MIB, 0), *slow = pattern_file(MIB, 1);
    for (int i = 0; i < N; i++) {
        if (i % 4 == 3)
            ask_get(&a[i], &g, "/get?70000");
        else
            ask_put(&a[i], &g, i % 4 == 2 ? slow : f, (uint64_t)i * 1000, i % 4 ? 5000 : 200 * KIB);
        a[i].r.sum_first = i % 4 != 3;
        post(&a[i]);
    }
    wait_done(&g, N);
    for (int i = 0; i < N; i++) {
        assert_ok(&a[i]);
        if (i % 4 != 3)
            assert_int_equal(a[i].r.crc32c, a[i].r.reply.crc32c);
        ask_fini(&a[i]);
    }
    assert_true(atomic_load(&g.server.n_connections) <= 8); /* kept and used again */
    engine_stats(g.e, &st);
    assert_int_equal(st.requests, N);
    assert_true(st.connects <= 8);
    assert_true(st.bytes_down == 70000 * N / 4);
    xfer_file_unref(f);
    xfer_file_unref(slow);
    free(a);
    rig_close(&g);
}

/* ---- the signer ---- */

static void test_signer_refuses(void **state)
{
    (void)state;
    struct rig g;
    struct ask a;
    rig_open(&g);
    atomic_store(&g.signer.refuse, OCID_E_LOCKED);
    ask_get(&a, &g, "/get?1");
    run(&a);
    assert_err(&a, OCID_E_LOCKED);
    assert_string_equal(a.r.err.text, "the signer says no");
    assert_false(a.r.sent_any);
    ask_fini(&a);
    atomic_store(&g.signer.refuse, 0);

    atomic_store(&g.signer.stale, 1); /* is asked once more, with a new date */
    ask_get(&a, &g, "/get?1");
    run(&a);
    assert_ok(&a);
    assert_int_equal(atomic_load(&g.signer.n_signed), 3);
    ask_fini(&a);
    atomic_store(&g.signer.stale, 2);
    ask_get(&a, &g, "/get?1");
    run(&a);
    assert_err(&a, OCID_E_UNAVAILABLE);
    ask_fini(&a);
    atomic_store(&g.signer.stale, 0);

    ask_get(&a, &g, "/get?1");
    a.r.profile = NULL;
    run(&a);
    assert_ok(&a);
    assert_null(kit_header(g.server.head, "authorization"));
    ask_fini(&a);
    rig_close(&g);
}

static void test_token(void **state)
{
    (void)state;
    struct rig g;
    struct ask a;
    rig_open(&g);
    ask_get(&a, &g, "/get?1");
    a.r.profile = "SESSION";
    run(&a);
    assert_ok(&a);
    assert_non_null(strstr(kit_header(g.server.head, "authorization"), "keyId=\"ST$token\""));
    ask_fini(&a);
    rig_close(&g);
}

static void test_signer_dies(void **state)
{
    (void)state;
    struct rig g;
    struct ask a, b;
    rig_open(&g);
    atomic_store(&g.signer.hold, 1);
    ask_get(&a, &g, "/get?1");
    post(&a);
    engine_flush(g.e);
    usleep(20000);
    kit_signer_stop(&g.signer);
    wait_done(&g, 1);
    if (a.r.err.code)
        assert_err(&a, OCID_E_STOPPING);
    ask_fini(&a);
    ask_get(&b, &g, "/get?1");
    run(&b);
    assert_err(&b, OCID_E_STOPPING);
    ask_fini(&b);

    kit_signer_start(&g.signer);
    engine_set_signer(g.e, g.signer.other);
    ask_get(&b, &g, "/get?1");
    run(&b);
    assert_ok(&b);
    ask_fini(&b);
    rig_close(&g);
}

static void test_clock(void **state)
{
    (void)state;
    struct rig g;
    struct ask a;
    time_t said = 0;
    rig_open(&g);
    ask_get(&a, &g, "/clock");
    run(&a);
    assert_err(&a, OCID_E_LOGIN);
    assert_int_equal(a.r.kind, OCI_KIND_CLOCK);
    assert_in_range(a.r.server_date_offset_s, 3590, 3610);
    engine_set_clock(g.e, g.host, a.r.server_date_offset_s);
    ask_fini(&a);
    ask_get(&a, &g, "/get?1"); /* dated by that host's clock from now on */
    run(&a);
    assert_ok(&a);
    assert_int_equal(oci_date_parse(kit_header(g.server.head, "date"), 29, &said), 0);
    assert_in_range(said - time(NULL), 3580, 3610);
    ask_fini(&a);
    engine_set_clock(g.e, g.host, -7200);
    ask_get(&a, &g, "/get?1");
    run(&a);
    assert_int_equal(oci_date_parse(kit_header(g.server.head, "date"), 29, &said), 0);
    assert_in_range(time(NULL) - said, 7190, 7210);
    ask_fini(&a);
    rig_close(&g);
}

/* ---- ends ---- */

static const struct {
    const char *name, *target;
    uint64_t put; /* bytes; 0: a get */
    int slow, hold, pipe;
    useconds_t after_us;
} cancels[] = {
    {"at once", "/put", 4096, 0, 0, 0, 0},
    {"while it is read", "/put", 4096, 1, 0, 0, 0},
    {"while it is summed", "/put", 7 * MIB, 1, 0, 0, 300},
    {"while it is signed", "/put", 4096, 0, 1, 0, 5000},
    {"without an answer", "/hang", 4096, 0, 0, 0, 20000},
    {"in the middle of a slow source", "/put", 8 * MIB, 1, 0, 0, 4000},
    {"in the middle", "/drip?10000000", 0, 0, 0, 0, 50000},
    {"in the middle of a slow sink", "/drip?10000000", 0, 1, 0, 0, 50000},
    {"paused by a full pipe", "/get?9000000", 0, 0, 0, 1, 50000},
};

static void start_cancelled(struct ask *a, struct rig *g, size_t i, struct xfer_file *f, int fd)
{
    if (cancels[i].put) {
        ask_put(a, g, f, 0, cancels[i].put);
        a->r.call.target = cancels[i].target;
        a->r.sum_first = 1;
    } else {
        ask_get(a, g, cancels[i].target);
        a->r.to = cancels[i].pipe ? SINK_PIPE : SINK_FILE;
        a->r.file = xfer_file_ref(f);
        a->r.length = 10 * MIB;
        a->r.pipe_fd = fd;
    }
    post(a);
    engine_flush(g->e);
}

/* by_close: not one request is cancelled, but the engine is closed under all of them. */
static void cancel_at(size_t i, int by_close, useconds_t after_us)
{
    struct rig g;
    struct ask a[12];
    enum { N = sizeof a / sizeof *a };
    int fd[2];
    rig_open(&g);
    atomic_store(&g.signer.hold, cancels[i].hold);
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    struct xfer_file *f = pattern_file(8 * MIB, cancels[i].slow);
    for (int k = 0; k < N; k++)
        start_cancelled(&a[k], &g, i, f, fd[1]);
    usleep(after_us);
    if (by_close) {
        engine_close(g.e);
        g.e = NULL;
        assert_int_equal(g.n_done, N);
    } else {
        for (int k = 0; k < N; k++)
            engine_cancel(g.e, &a[k].r);
        wait_done(&g, N);
    }
    for (int k = 0; k < N; k++) {
        if (a[k].r.err.code) /* else it was faster */
            assert_err(&a[k], OCID_E_CANCELLED);
        ask_fini(&a[k]);
    }
    xfer_file_unref(f);
    close(fd[0]);
    close(fd[1]);
    atomic_store(&g.signer.hold, 0);
    rig_close(&g);
}

static void test_cancel_at_every_stage(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cancels / sizeof *cancels; i++) {
        cancel_at(i, 0, cancels[i].after_us);
        cancel_at(i, 1, cancels[i].after_us);
    }
}

/* The same at moments that nobody has chosen. */
static void test_cancel_walk(void **state)
{
    (void)state;
    for (useconds_t us = 0; us < 6000; us += 400) {
        cancel_at(5, us / 400 % 2, us);
        cancel_at(1, us / 400 % 2, us);
    }
}

static void test_cancel_before_flush(void **state)
{
    (void)state;
    struct rig g;
    struct ask a;
    rig_open(&g);
    ask_get(&a, &g, "/get?10");
    post(&a);
    engine_cancel(g.e, &a.r);
    wait_done(&g, 1);
    assert_err(&a, OCID_E_CANCELLED);
    assert_false(a.r.sent_any);
    assert_int_equal(atomic_load(&g.server.n_requests), 0);
    ask_fini(&a);
    ask_get(&a, &g, "/get?10"); /* the same memory, asked again */
    run(&a);
    assert_ok(&a);
    ask_fini(&a);
    rig_close(&g);
}

static void test_stall(void **state)
{
    (void)state;
    struct rig g;
    struct ask a;
    struct engine_options o = options(&g);
    o.stall_seconds = 1;
    rig_open_with(&g, o);
    ask_get(&a, &g, "/hang");
    run(&a);
    assert_err(&a, OCID_E_NETWORK);
    assert_true(a.r.sent_any);
    ask_fini(&a);

    struct xfer_file *f = pattern_file(32 * MIB, 0); /* more than any socket's queue */
    ask_put(&a, &g, f, 0, 32 * MIB);
    a.r.call.target = "/hang";
    run(&a);
    assert_err(&a, OCID_E_NETWORK);
    assert_true(atomic_load(&a.r.bytes_moved) < 32 * MIB);
    ask_fini(&a);
    xfer_file_unref(f);
    rig_close(&g);
}

/* All bytes are with the kernel, which is still sending them. */
static void test_slow_network_is_no_stall(void **state)
{
    (void)state;
    struct rig g;
    struct ask a;
    struct engine_options o = options(&g);
    o.stall_seconds = 2;
    rig_open_with(&g, o);
    struct xfer_file *f = pattern_file(3 * MIB, 0);
    ask_put(&a, &g, f, 0, 3 * MIB);
    a.r.call.target = "/sip";
    run(&a);
    assert_ok(&a);
    ask_fini(&a);
    xfer_file_unref(f);
    rig_close(&g);
}

/* A pause of ours is not the network's fault, however long. */
static void test_pause_is_no_stall(void **state)
{
    (void)state;
    struct rig g;
    struct ask a;
    struct reader r = {0};
    int fd[2];
    pthread_t t;
    struct engine_options o = options(&g);
    o.stall_seconds = 1;
    rig_open_with(&g, o);
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    ask_get(&a, &g, "/get?1000000");
    a.r.to = SINK_PIPE;
    a.r.pipe_fd = fd[1];
    post(&a);
    engine_flush(g.e);
    usleep(2500000);
    r.fd = fd[0];
    pthread_create(&t, NULL, read_slowly, &r);
    wait_done(&g, 1);
    assert_ok(&a);
    close(fd[1]);
    pthread_join(t, NULL);
    close(fd[0]);
    assert_int_equal(r.n, 1000000);
    ask_fini(&a);
    rig_close(&g);
}

static void limit_all(struct rig *g, uint64_t bytes_per_s)
{
    struct xfer_limit l = {.scope = OCP_ENUM_scope_all, .bytes_per_s = bytes_per_s};
    engine_limit(g->e, &l, bytes_per_s > 0);
}

/* Two up and one down share the limit; without one the rest of a fourth comes at once. */
static void test_limit(void **state)
{
    (void)state;
    struct rig g;
    struct ask a[4];
    rig_open(&g);
    limit_all(&g, 4 * MIB);
    for (int slow = 0; slow < 2; slow++) {
        struct xfer_file *f = pattern_file(MIB, slow), *to = xfer_file_new(temp_fd(), slow, 1);
        ask_put(&a[0], &g, f, 0, MIB);
        ask_put(&a[1], &g, f, 0, MIB);
        ask_range(&a[2], &g, "/get?3000000", to, 0, MIB);
        uint64_t from = clock_mono_ms();
        for (int i = 0; i < 3; i++)
            post(&a[i]);
        wait_done(&g, 3);
        assert_true(clock_mono_ms() - from >= 600);
        for (int i = 0; i < 3; i++) {
            assert_ok(&a[i]);
            ask_fini(&a[i]);
        }
        g.n_done = 0;
        xfer_file_unref(f);
        xfer_file_unref(to);
    }
    limit_all(&g, 16 * 1024);
    struct xfer_file *f = pattern_file(30 * MIB, 0);
    ask_put(&a[3], &g, f, 0, 30 * MIB);
    post(&a[3]);
    engine_flush(g.e);
    while (!atomic_load(&a[3].r.bytes_moved))
        sched_yield();
    limit_all(&g, 0);
    wait_done(&g, 1); /* half an hour, at the old limit */
    assert_ok(&a[3]);
    ask_fini(&a[3]);
    xfer_file_unref(f);
    rig_close(&g);
}

/* Each limit holds for whom it names. One that is below the limit of all leaves the rest of it to
 * others, and what is cancelled while it waits leaves the line. */
static void test_limits_of_some(void **state)
{
    (void)state;
    static const struct {
        struct xfer_limit limit;
        struct xfer_who slow, fast;
    } rows[] = {
        {{.scope = OCP_ENUM_scope_user, .uid = 7}, {"a", 7, 0}, {"a", 8, 0}},
        {{.scope = OCP_ENUM_scope_client, .uid = 7, .label = "a"}, {"a", 7, 0}, {"b", 7, 0}},
        {{.scope = OCP_ENUM_scope_set, .set = 5}, {"", 7, 5}, {"", 7, 0}},
        {{.scope = OCP_ENUM_scope_set, .set = 5}, {"", 7, 5}, {NULL, 0, 5}},
    };
    struct rig g;
    struct ask slow, fast;
    rig_open(&g);
    struct xfer_file *f = pattern_file(4 * MIB, 0);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct xfer_limit l[2] = {{.scope = OCP_ENUM_scope_all, .bytes_per_s = 64 * MIB},
                                  rows[i].limit};
        l[1].bytes_per_s = 16 * 1024;
        engine_limit(g.e, l, 2);
        ask_put(&slow, &g, f, 0, 4 * MIB);
        ask_put(&fast, &g, f, 0, 4 * MIB);
        slow.r.who = rows[i].slow;
        fast.r.who = rows[i].fast;
        post(&slow);
        post(&fast);
        wait_done(&g, 1);
        assert_ok(&fast);
        assert_true(atomic_load(&slow.r.bytes_moved) < MIB);
        engine_cancel(g.e, &slow.r);
        wait_done(&g, 2);
        assert_err(&slow, OCID_E_CANCELLED);
        ask_fini(&slow);
        ask_fini(&fast);
        g.n_done = 0;
    }
    xfer_file_unref(f);
    rig_close(&g);
}

/* Small ones do not wait for large ones that share a low limit, nor the reverse. */
static void test_limit_starves_nobody(void **state)
{
    (void)state;
    enum { N_SMALL = 12 };
    struct rig g;
    struct ask big[2], small[N_SMALL];
    rig_open(&g);
    limit_all(&g, MIB);
    struct xfer_file *f = pattern_file(30 * MIB, 0);
    for (int i = 0; i < 2; i++) {
        ask_put(&big[i], &g, f, 0, 30 * MIB);
        post(&big[i]);
    }
    engine_flush(g.e);
    while (!atomic_load(&big[0].r.bytes_moved) || !atomic_load(&big[1].r.bytes_moved))
        sched_yield();
    for (int i = 0; i < N_SMALL; i++) {
        ask_put(&small[i], &g, f, 0, 60000);
        post(&small[i]);
    }
    uint64_t before = atomic_load(&big[1].r.bytes_moved);
    wait_done(&g, N_SMALL); /* the large ones need a minute */
    for (int i = 0; i < N_SMALL; i++) {
        assert_ok(&small[i]);
        ask_fini(&small[i]);
    }
    assert_true(atomic_load(&big[1].r.bytes_moved) > before);
    limit_all(&g, 0);
    wait_done(&g, N_SMALL + 2);
    for (int i = 0; i < 2; i++) {
        assert_ok(&big[i]);
        ask_fini(&big[i]);
    }
    xfer_file_unref(f);
    rig_close(&g);
}

static uint64_t ms_of_large(struct rig *g, struct xfer_file *f, uint64_t size, int gives_way)
{
    struct ask a;
    ask_put(&a, g, f, 0, size);
    a.r.gives_way = gives_way;
    uint64_t from = clock_mono_ms();
    run(&a);
    assert_ok(&a);
    ask_fini(&a);
    return clock_mono_ms() - from;
}

/* While it gives way it moves for a part of the time only, yet it gets there. */
static void test_large_ones_give_way(void **state)
{
    (void)state;
    struct rig g;
    uint64_t free_ms = UINT64_MAX;
    rig_open(&g);
    struct xfer_file *f = pattern_file(30 * MIB, 0);
    engine_give_way(g.e, 1);
    for (int i = 0; i < 4; i++) { /* the quickest of those that need not */
        uint64_t ms = ms_of_large(&g, f, 30 * MIB, 0);
        free_ms = ms < free_ms ? ms : free_ms;
    }
    uint64_t ms = 0;
    for (int i = 0; i < 4; i++)
        ms += ms_of_large(&g, f, 30 * MIB, 1);
    assert_true(ms >= 5 * free_ms);
    engine_give_way(g.e, 0);
    ms_of_large(&g, f, 30 * MIB, 1);
    xfer_file_unref(f);
    rig_close(&g);
}

static void test_full_disk(void **state)
{
    (void)state;
    for (int slow = 0; slow < 2; slow++) {
        struct rig g;
        struct ask a;
        rig_open(&g);
        struct xfer_file *f = xfer_file_new(open("/dev/full", O_RDWR | O_CLOEXEC), slow, 1);
        ask_range(&a, &g, "/get?3000000", f, 0, 2000000);
        run(&a);
        assert_err(&a, OCID_E_SPACE);
        assert_int_equal(a.r.local_sys, ENOSPC);
        ask_fini(&a);
        xfer_file_unref(f);
        rig_close(&g);
    }
}

static void test_short_write(void **state)
{
    (void)state;
    struct rig g;
    struct ask a;
    fault_init("xfer.write:3");
    rig_open(&g);
    struct xfer_file *f = xfer_file_new(temp_fd(), 0, 1);
    ask_range(&a, &g, "/get?3000000", f, 0, 2000000);
    run(&a);
    assert_err(&a, OCID_E_SPACE);
    ask_fini(&a);
    xfer_file_unref(f);
    rig_close(&g);
}

/* A file system that does not answer: cancels do not wait for it, neither does the end. The last
 * test of all, since its threads go on for a while. */
static void test_hung_file_system(void **state)
{
    (void)state;
    fault_init("xfer.hang:1+");
    for (int put = 0; put < 2; put++) {
        struct rig g;
        struct ask a, b;
        rig_open(&g);
        g.keep_faults = 1;
        struct xfer_file *f = pattern_file(MIB, 1);
        if (put)
            ask_put(&a, &g, f, 0, MIB);
        else
            ask_range(&a, &g, "/get?3000000", f, 0, 2000000);
        post(&a);
        engine_flush(g.e);
        usleep(100000);
        assert_false(a.done);
        engine_cancel(g.e, &a.r);
        uint64_t from = clock_mono_ms();
        wait_done(&g, 1);
        assert_err(&a, OCID_E_CANCELLED);
        ask_fini(&a);
        ask_get(&b, &g, "/get?1"); /* others go on */
        run(&b);
        assert_ok(&b);
        ask_fini(&b);
        assert_true(clock_mono_ms() - from < 1000);
        xfer_file_unref(f);
        rig_close(&g);
        assert_true(clock_mono_ms() - from < 2900);
        sleep(3); /* the thread ends by itself, or the leak would show */
    }
}

static void test_proxy(void **state)
{
    (void)state;
    struct rig g;
    struct ask a;
    char proxy[64];
    rig_open(&g);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", g.server.port);
    struct engine_options o = options(&g);
    o.proxy = proxy;
    engine_configure(g.e, &o);
    ask_get(&a, &g, "/get?1");
    post(&a);
    engine_flush(g.e);
    while (!atomic_load(&g.server.n_hung))
        usleep(1000);
    assert_memory_equal(g.server.head, "CONNECT 127.0.0.1:", 18);
    assert_null(kit_header(g.server.head, "authorization")); /* not the proxy's to see */
    engine_cancel(g.e, &a.r);
    wait_done(&g, 1);
    ask_fini(&a);

    o.no_proxy = "127.0.0.1";
    engine_configure(g.e, &o);
    ask_get(&a, &g, "/get?1");
    run(&a);
    assert_ok(&a);
    ask_fini(&a);
    rig_close(&g);
}

static void test_pool_fails(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct rig g;
        struct ask a;
        fault_init(i ? "xfer.pool:2" : "xfer.pool:1");
        rig_open(&g);
        struct xfer_file *f = pattern_file(2 * MIB, 1);
        if (i < 2)
            ask_put(&a, &g, f, 0, 2 * MIB);
        else
            ask_range(&a, &g, "/get?3000000", f, 0, 2000000);
        run(&a);
        assert_err(&a, OCID_E_IO);
        assert_int_equal(a.r.local_sys, EIO);
        ask_fini(&a);
        xfer_file_unref(f);
        rig_close(&g);
    }
}

static void test_configure(void **state)
{
    (void)state;
    struct rig g;
    struct ask a;
    rig_open(&g);
    ask_get(&a, &g, "/get?1");
    run(&a);
    assert_ok(&a);
    ask_fini(&a);
    struct engine_options o = options(&g);
    o.user_agent = "ocid/new";
    engine_configure(g.e, &o);
    ask_get(&a, &g, "/get?1");
    run(&a);
    assert_ok(&a);
    assert_string_equal(kit_header(g.server.head, "user-agent"), "ocid/new");
    ask_fini(&a);
    rig_close(&g);
}

static void test_environment_is_ignored(void **state)
{
    (void)state;
    struct rig g;
    struct ask a;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    rig_open(&g);
    ask_get(&a, &g, "/get?1");
    run(&a);
    assert_ok(&a);
    ask_fini(&a);
    rig_close(&g);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
}

/* The last reference of a slow file may go anywhere, before and after the engine's time. */
static void test_file_references(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g);
    for (int slow = 0; slow < 2; slow++) {
        struct xfer_file *f = xfer_file_new(temp_fd(), slow, 1);
        assert_ptr_equal(xfer_file_ref(f), f);
        xfer_file_unref(f);
        assert_true(fcntl(xfer_file_fd(f), F_GETFD) >= 0);
        xfer_file_unref(f);
    }
    struct xfer_file *late = xfer_file_new(temp_fd(), 1, 1);
    rig_close(&g);
    xfer_file_unref(late);
    xfer_file_unref(NULL);
    engine_close(NULL);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_puts),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_body_of_request),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_source_changed),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_dead_connection),
        cmocka_unit_test(test_connection_that_dies_in_a_body),
        cmocka_unit_test(test_early_answer),
        cmocka_unit_test(test_expect),
        cmocka_unit_test(test_ranges_to_file),
        cmocka_unit_test(test_range_refused),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_md5_late),
        cmocka_unit_test(test_broken_answers),
        cmocka_unit_test(test_no_server),
        cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_pipe_paused_and_broken),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_signer_refuses),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_signer_dies),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_cancel_at_every_stage),
        cmocka_unit_test(test_cancel_walk),
        cmocka_unit_test(test_cancel_before_flush),
        cmocka_unit_test(test_stall),
        cmocka_unit_test(test_slow_network_is_no_stall),
        cmocka_unit_test(test_pause_is_no_stall),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_limits_of_some),
        cmocka_unit_test(test_limit_starves_nobody),
        cmocka_unit_test(test_large_ones_give_way),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_short_write),
        cmocka_unit_test(test_pool_fails),
        cmocka_unit_test(test_proxy),
        cmocka_unit_test(test_configure),
        cmocka_unit_test(test_environment_is_ignored),
        cmocka_unit_test(test_file_references),
        cmocka_unit_test(test_hung_file_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
