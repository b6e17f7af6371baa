/* SPDX-License-Identifier: Apache-2.0
 *
 * kit.h - what the engine talks to in its tests: a small HTTP server whose behaviour the path asks
 * for, and a signer that signs everything with the same word. Both are threads with blocking I/O.
 *
 * Paths of the server (NAME?N=number):
 *   /put            reads the body, answers 200 with its CRC32C
 *   /get?N          N bytes of kit_byte(); ranged if the request is
 *   /full?N         the same, and 200 to any range
 *   /other?N        206, but another range
 *   /fail?STATUS    an error with a JSON body
 *   /clock          401, the clock is wrong, Date an hour ahead
 *   /fat            an error with a megabyte of body
 *   /giant          a header line of 100 KB
 *   /many           headers without end
 *   /short?N        half of N bytes, then the end
 *   /reset?N        half of N bytes, then a reset
 *   /hang           no answer
 *   /drip?N         N bytes, in ten pieces 20 ms apart
 *   /sip            takes a put's body 64 KiB at a time, 100 ms apart
 *   /again          once the connection ends in the middle of the body; then as /put
 *   /early          reads 64 KiB of the body, answers 412 and closes
 *   /soon           answers 200 before the body, and closes
 *   /last           answers 200 and closes the connection after it without having said so
 *   /garbage        something that is not HTTP
 */
#ifndef UNIT_XFER_KIT_H
#define UNIT_XFER_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/mem.h"
#include "oci/canonical.h"
#include "oci/checksum.h"
#include "ocid/error.h"
#include "vault/wire.h"

#define KIB (1024ull)
#define MIB (1024ull * 1024)

static inline unsigned char kit_byte(uint64_t at)
{
    return (unsigned char)((at * 31 + (at >> 12) * 7 + 5) & 0xff);
}

/* ---- the server ---- */

struct kit_server {
    int fd;
    unsigned port;
    pthread_t thread;
    atomic_int n_connections, n_requests, n_open, n_hung, n_again;
    _Atomic uint64_t body_bytes;
    pthread_mutex_t lock;
    char head[16384]; /* under lock: of the last request */
    int live[1024];   /* under lock: descriptors of connections, 0: free */
};

struct kit_conn {
    struct kit_server *s;
    int fd;
    char buf[65536];
    size_t n; /* of a request, read so far */
};

static inline int kit_send(int fd, const void *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t put = send(fd, (const char *)bytes + at, n - at, MSG_NOSIGNAL);
        if (put <= 0)
            return 0;
        at += (size_t)put;
    }
    return 1;
}

static inline int kit_print(int fd, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return kit_send(fd, text, (size_t)n);
}

/* Reads until the head is complete; its length, 0 at the end. */
static inline size_t kit_head(struct kit_conn *c)
{
    for (;;) {
        char *end = memmem(c->buf, c->n, "\r\n\r\n", 4);
        if (end)
            return (size_t)(end + 4 - c->buf);
        ssize_t n = recv(c->fd, c->buf + c->n, sizeof c->buf - c->n - 1, 0);
        if (n <= 0)
            return 0;
        c->n += (size_t)n;
    }
}

static inline const char *kit_header(const char *head, const char *name)
{
    static _Thread_local char value[1024];
    char key[64];
    snprintf(key, sizeof key, "\r\n%s:", name);
    const char *at = strcasestr(head, key);
    if (!at)
        return NULL;
    at += strlen(key);
    while (*at == ' ')
        at++;
    snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\r"), at);
    return value;
}

/* Takes n bytes of body; 0 when they do not come. */
static inline int kit_body(struct kit_conn *c, uint64_t n, uint32_t *crc)
{
    while (n) {
        if (!c->n) {
            ssize_t got = recv(c->fd, c->buf, sizeof c->buf, 0);
            if (got <= 0)
                return 0;
            c->n = (size_t)got;
        }
        size_t k = c->n < n ? c->n : (size_t)n;
        *crc = oci_crc32c(*crc, c->buf, k);
        memmove(c->buf, c->buf + k, c->n - k);
        c->n -= k;
        n -= k;
        atomic_fetch_add(&c->s->body_bytes, k);
    }
    return 1;
}

static inline int kit_pattern(int fd, uint64_t from, uint64_t n)
{
    unsigned char piece[16384];
    while (n) {
        size_t k = n < sizeof piece ? (size_t)n : sizeof piece;
        for (size_t i = 0; i < k; i++)
            piece[i] = kit_byte(from + i);
        if (!kit_send(fd, piece, k))
            return 0;
        from += k;
        n -= k;
    }
    return 1;
}

static inline int kit_json(int fd, int status, const char *code, const char *message)
{
    return kit_print(fd,
                     "HTTP/1.1 %d X\r\nopc-request-id: req-%d\r\ncontent-type: application/json\r\n"
                     "content-length: %zu\r\n\r\n{\"code\":\"%s\",\"message\":\"%s\"}",
                     status, status, strlen(code) + strlen(message) + 24, code, message);
}

static inline int kit_clock(int fd)
{
    char date[OCI_DATE_SIZE];
    static const char body[] =
        "{\"code\":\"NotAuthenticated\",\"message\":\"Date 'x' is not within "
        "allowed clock skew. Current 'y'\"}";
    oci_date_format(time(NULL) + 3600, date);
    return kit_print(fd, "HTTP/1.1 401 X\r\ndate: %s\r\ncontent-length: %zu\r\n\r\n%s", date,
                     sizeof body - 1, body);
}

static inline int kit_get(int fd, const char *head, const char *path, uint64_t size)
{
    unsigned long long first = 0, last = size ? size - 1 : 0;
    const char *range = kit_header(head, "range");
    if (!range || !strncmp(path, "/full", 5))
        return kit_print(fd, "HTTP/1.1 200 OK\r\ncontent-length: %llu\r\ncontent-md5: %s\r\n\r\n",
                         (unsigned long long)size, "AAAAAAAAAAAAAAAAAAAAAA==") &&
               kit_pattern(fd, 0, size);
    sscanf(range, "bytes=%llu-%llu", &first, &last);
    if (first >= size)
        return kit_json(fd, 416, "InvalidRange", "beyond the end");
    if (last >= size)
        last = size - 1;
    if (!strncmp(path, "/other", 6))
        first++;
    return kit_print(fd,
                     "HTTP/1.1 206 Partial\r\ncontent-length: %llu\r\netag: e1\r\n"
                     "content-range: bytes %llu-%llu/%llu\r\n\r\n",
                     last - first + 1, first, last, (unsigned long long)size) &&
           kit_pattern(fd, first, last - first + 1);
}

static inline int kit_drip(int fd, uint64_t size)
{
    if (!kit_print(fd, "HTTP/1.1 200 OK\r\ncontent-length: %llu\r\n\r\n",
                   (unsigned long long)size / 10 * 10))
        return 0;
    for (uint64_t i = 0; i < 10; i++) {
        usleep(20000);
        if (!kit_pattern(fd, size / 10 * i, size / 10))
            return 0;
    }
    return 1;
}

static inline int kit_half(int fd, uint64_t size, int reset)
{
    struct linger hard = {1, 0};
    kit_print(fd, "HTTP/1.1 200 OK\r\ncontent-length: %llu\r\n\r\n", (unsigned long long)size);
    kit_pattern(fd, 0, size / 2);
    if (reset) {
        usleep(50000); /* a reset overtakes what was sent: let that arrive */
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    }
    return 0;
}

/* Headers that are too much; never finished by the client's will. */
static inline int kit_giant(int fd, int n_lines)
{
    static const char line[4096] = {0};
    char text[4096];
    memset(text, 'x', sizeof line);
    memcpy(text, "opc-meta-a: ", 12);
    kit_print(fd, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 25; i++) {
        if (n_lines > 1)
            memcpy(text + sizeof text - 2, "\r\n", 2);
        if (!kit_send(fd, text, sizeof text))
            return 0;
    }
    return kit_print(fd, "\r\ncontent-length: 0\r\n\r\n");
}

static inline int kit_put(struct kit_conn *c, const char *head)
{
    uint32_t crc = 0;
    char text[OCI_CRC_TEXT_SIZE];
    if (kit_header(head, "expect"))
        kit_print(c->fd, "HTTP/1.1 100 Continue\r\n\r\n");
    const char *length = kit_header(head, "content-length");
    if (!length || !kit_body(c, strtoull(length, NULL, 10), &crc))
        return 0;
    oci_crc_text(crc, text);
    return kit_print(c->fd,
                     "HTTP/1.1 200 OK\r\netag: e1\r\nopc-content-crc32c: %s\r\n"
                     "content-length: 0\r\n\r\n",
                     text);
}

static inline int kit_again(struct kit_conn *c, const char *head)
{
    uint32_t crc = 0;
    if (atomic_fetch_add(&c->s->n_again, 1))
        return kit_put(c, head);
    kit_body(c, KIB, &crc);
    shutdown(c->fd, SHUT_WR);
    while (recv(c->fd, c->buf, sizeof c->buf, 0) > 0)
        ; /* else the end would be a reset */
    return 0;
}

static inline int kit_sip(struct kit_conn *c, const char *head)
{
    int room = 256 * 1024; /* several segments: a smaller one waits for probes of its window */
    const char *length = kit_header(head, "content-length");
    uint64_t left = length ? strtoull(length, NULL, 10) : 0;
    uint32_t crc = 0;
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    for (uint64_t n; left; left -= n) {
        n = left < 64 * KIB ? left : 64 * KIB;
        if (!kit_body(c, n, &crc))
            return 0;
        usleep(100000);
    }
    return kit_print(c->fd, "HTTP/1.1 200 OK\r\netag: e1\r\ncontent-length: 0\r\n\r\n");
}

static inline int kit_early(struct kit_conn *c)
{
    uint32_t crc = 0;
    kit_body(c, 64 * KIB, &crc);
    kit_json(c->fd, 412, "IfNoneMatchFailed", "it is there");
    usleep(50000);
    return 0;
}

static inline int kit_fat(int fd)
{
    kit_print(fd, "HTTP/1.1 500 X\r\ncontent-length: 1048576\r\n\r\n");
    return kit_pattern(fd, 0, MIB);
}

static inline int kit_hang(struct kit_conn *c)
{
    char byte;
    atomic_fetch_add(&c->s->n_hung, 1);
    recv(c->fd, &byte, 1, 0); /* until the client or kit_stop() ends it */
    return 0;
}

/* 1: the connection stays. */
static inline int kit_answer(struct kit_conn *c, const char *head)
{
    char path[256] = "";
    unsigned long long n = 0;
    sscanf(head, "%*s %255s", path);
    if (strchr(path, '?'))
        n = strtoull(strchr(path, '?') + 1, NULL, 10);
#define IS(word) !strncmp(path, word, sizeof word - 1)
    if (IS("/put"))
        return kit_put(c, head);
    if (IS("/again"))
        return kit_again(c, head);
    if (IS("/get") || IS("/full") || IS("/other"))
        return kit_get(c->fd, head, path, n);
    if (IS("/fail"))
        return kit_json(c->fd, (int)n, n == 404 ? "ObjectNotFound" : "Word", "said so");
    if (IS("/clock"))
        return kit_clock(c->fd);
    if (IS("/fat"))
        return kit_fat(c->fd);
    if (IS("/giant"))
        return kit_giant(c->fd, 1);
    if (IS("/many"))
        return kit_giant(c->fd, 25);
    if (IS("/short") || IS("/reset"))
        return kit_half(c->fd, n, IS("/reset"));
    if (IS("/drip"))
        return kit_drip(c->fd, n);
    if (IS("/sip"))
        return kit_sip(c, head);
    if (IS("/early"))
        return kit_early(c);
    if (IS("/soon"))
        kit_print(c->fd, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    else if (IS("/last"))
        kit_print(c->fd, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    else if (IS("/garbage"))
        kit_print(c->fd, "SSH-2.0-OpenSSH_9.2\r\n");
    else
        return kit_hang(c);
    return 0;
#undef IS
}

static inline void kit_live(struct kit_server *s, int old, int new)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < sizeof s->live / sizeof *s->live; i++)
        if (s->live[i] == old) {
            s->live[i] = new;
            break;
        }
    pthread_mutex_unlock(&s->lock);
}

static inline void *kit_conn_main(void *arg)
{
    struct kit_conn *c = arg;
    char head[16384];
    for (size_t n; (n = kit_head(c));) {
        size_t k = n < sizeof head ? n : sizeof head - 1;
        memcpy(head, c->buf, k);
        head[k] = 0;
        memmove(c->buf, c->buf + n, c->n - n);
        c->n -= n;
        pthread_mutex_lock(&c->s->lock);
        memcpy(c->s->head, head, k + 1);
        pthread_mutex_unlock(&c->s->lock);
        atomic_fetch_add(&c->s->n_requests, 1);
        if (!kit_answer(c, head))
            break;
    }
    kit_live(c->s, c->fd, 0);
    close(c->fd);
    atomic_fetch_sub(&c->s->n_open, 1);
    free(c);
    return NULL;
}

static inline void *kit_accept(void *arg)
{
    struct kit_server *s = arg;
    for (int fd; (fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0;) {
        struct kit_conn *c = OC_NEW(struct kit_conn);
        pthread_t t;
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        c->s = s;
        c->fd = fd;
        kit_live(s, 0, fd);
        atomic_fetch_add(&s->n_connections, 1);
        atomic_fetch_add(&s->n_open, 1);
        assert(pthread_create(&t, NULL, kit_conn_main, c) == 0);
        pthread_detach(t);
    }
    return NULL;
}

static inline void kit_start(struct kit_server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    memset(s, 0, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->fd, 512), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &n), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, kit_accept, s), 0);
}

static inline void kit_hang_up(struct kit_server *s)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < sizeof s->live / sizeof *s->live; i++)
        if (s->live[i])
            shutdown(s->live[i], SHUT_RDWR);
    pthread_mutex_unlock(&s->lock);
}

static inline void kit_stop(struct kit_server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    while (atomic_load(&s->n_open)) {
        kit_hang_up(s);
        usleep(1000);
    }
    pthread_mutex_destroy(&s->lock);
}

/* ---- the signer ---- */

struct kit_signer {
    int fd, other; /* ours; the engine's, which takes it */
    pthread_t thread;
    atomic_int n_signed;
    atomic_int hold;   /* sign nothing while set */
    atomic_int refuse; /* an error code */
    atomic_int stale;  /* so many questions are told that their date is stale */
    pthread_mutex_t lock;
    char string[4096]; /* under lock: last string to sign */
};

#define KIT_KEY_ID    "tenancy/user/finger"
#define KIT_SIGNATURE "c2lnbmF0dXJl"

static inline void kit_sign(struct kit_signer *s, const struct wire_head *ask,
                            const struct wire_part *part)
{
    char out[WIRE_SIGNED_MAX];
    struct wire_head head = {.verb = WIRE_SIGN, .tag = ask->tag};
    struct wire_part answer[3] = {
        {KIT_KEY_ID, strlen(KIT_KEY_ID)}, {KIT_SIGNATURE, strlen(KIT_SIGNATURE)}, {"", 0}};
    pthread_mutex_lock(&s->lock);
    snprintf(s->string, sizeof s->string, "%.*s", (int)part[1].n, part[1].s);
    pthread_mutex_unlock(&s->lock);
    if (part[0].n == 7 && !memcmp(part[0].s, "SESSION", 7))
        answer[0] = (struct wire_part){"ST$token", 8};
    head.code = atomic_load(&s->refuse);
    if (atomic_load(&s->stale) > 0) {
        atomic_fetch_sub(&s->stale, 1);
        head.code = OCID_E_UNAVAILABLE;
    }
    if (head.code)
        answer[2] = (struct wire_part){"the signer says no", 18};
    size_t n = wire_pack(&head, answer, 3, out, sizeof out);
    atomic_fetch_add(&s->n_signed, 1);
    send(s->fd, out, n, MSG_NOSIGNAL);
}

static inline void *kit_signer_main(void *arg)
{
    struct kit_signer *s = arg;
    char in[WIRE_ASK_MAX];
    for (ssize_t n; (n = recv(s->fd, in, sizeof in, 0)) > 0;) {
        struct wire_head head;
        struct wire_part part[WIRE_PARTS];
        while (atomic_load(&s->hold))
            usleep(500);
        if (wire_parse(in, (size_t)n, &head, part))
            kit_sign(s, &head, part);
    }
    return NULL;
}

static inline void kit_signer_start(struct kit_signer *s)
{
    int pair[2];
    memset(s, 0, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    s->fd = pair[0];
    s->other = pair[1];
    assert_int_equal(pthread_create(&s->thread, NULL, kit_signer_main, s), 0);
}

static inline void kit_signer_stop(struct kit_signer *s)
{
    atomic_store(&s->hold, 0);
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    pthread_mutex_destroy(&s->lock);
}

#endif
