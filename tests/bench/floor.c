/* SPDX-License-Identifier: Apache-2.0
 *
 * floor.c - the bare floor: libuv + libcurl multi_socket + one RSA signature a request, no queue,
 * no journal, no checks. What the daemon's figures are held against.
 *
 *   cc -O2 floor.c -o floor -luv -lcurl -lcrypto
 *   floor -e ENDPOINT -a CA -k KEY.pem [-m put|get] [-c connections] [-n count] [-s size]
 *         [-f DIR of f0000000… or, from 1 MiB on, FILE] [-b bucket] [-r bytes of a range]
 *         [-o FILE to write] [-u upload buffer] [-d download buffer] [-S pool|none]
 *
 * put sends count files of size bytes, get fetches objects f0000000… or, with -r, one object of
 * size bytes in ranges. Signing threads: UV_THREADPOOL_SIZE. Prints one JSON line.
 */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

struct slot {
    CURL *easy;
    struct curl_slist *headers;
    uv_work_t work;
    int index, fd;
    long off, len, pos;
    char path[200], url[300], date[64], auth[1200];
};

static const char *ep, *ca, *mode = "put", *sign = "pool", *src = "", *bucket = "sink", *out;
static const char *host;
static int conns = 32, count = 5000, up = 65536, down = 16384;
static long size = 4096, range, received;
static uv_loop_t *loop;
static uv_timer_t timer;
static CURLM *multi;
static EVP_PKEY *key;
static int started, bad, outfd = -1;

static double seconds(clockid_t c)
{
    struct timespec t;
    clock_gettime(c, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int putting(void)
{
    return mode[0] == 'p';
}

static size_t on_read(char *b, size_t s, size_t n, void *u)
{
    struct slot *r = u;
    ssize_t got = pread(r->fd, b, s * n, r->off + r->pos);
    if (got < 0)
        return CURL_READFUNC_ABORT;
    r->pos += got;
    return (size_t)got;
}

static size_t on_write(char *b, size_t s, size_t n, void *u)
{
    struct slot *r = u;
    received += (long)(s * n);
    if (outfd >= 0 && pwrite(outfd, b, s * n, r->off + r->pos) < 0)
        return 0;
    r->pos += (long)(s * n);
    return s * n;
}

static void sign_one(uv_work_t *w)
{
    struct slot *r = w->data;
    unsigned char sig[512];
    char text[600], b64[700];
    size_t n = sizeof sig;
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(r->date, sizeof r->date, "date: %a, %d %b %Y %H:%M:%S GMT", &tm);
    int k = snprintf(text, sizeof text, "%s\n(request-target): %s %s\nhost: %s", r->date, mode,
                     r->path, host);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    if (EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key) <= 0 ||
        EVP_DigestSign(c, sig, &n, (void *)text, (size_t)k) <= 0)
        abort();
    EVP_MD_CTX_free(c);
    EVP_EncodeBlock((unsigned char *)b64, sig, (int)n);
    snprintf(r->auth, sizeof r->auth,
             "Authorization: Signature version=\"1\",keyId=\"t/u/f\",algorithm=\"rsa-sha256\","
             "headers=\"date (request-target) host\",signature=\"%s\"",
             b64);
}

static void send_one(struct slot *r)
{
    CURL *e = r->easy ? r->easy : (r->easy = curl_easy_init());
    curl_easy_reset(e);
    curl_easy_setopt(e, CURLOPT_URL, r->url);
    curl_easy_setopt(e, CURLOPT_PRIVATE, r);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_CAINFO, ca);
    curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)down);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, r);
    r->headers = curl_slist_append(NULL, "Expect:");
    if (sign[0] != 'n') {
        r->headers = curl_slist_append(r->headers, r->date);
        r->headers = curl_slist_append(r->headers, r->auth);
    }
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, r->headers);
    if (putting()) {
        curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, (long)up);
        curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(e, CURLOPT_READDATA, r);
        curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->len);
    } else if (range) {
        char b[64];
        snprintf(b, sizeof b, "%ld-%ld", r->off, r->off + range - 1);
        curl_easy_setopt(e, CURLOPT_RANGE, b);
    }
    curl_multi_add_handle(multi, e);
}

static void on_signed(uv_work_t *w, int status)
{
    (void)status;
    send_one(w->data);
}

static void next(struct slot *r)
{
    if (r->fd > 0)
        close(r->fd);
    r->fd = 0;
    if (started >= count)
        return;
    r->index = started++;
    r->pos = 0;
    r->off = range ? r->index * range : 0;
    snprintf(r->path, sizeof r->path, "/n/bench/b/%s/o/f%07d", bucket, range ? 0 : r->index);
    snprintf(r->url, sizeof r->url, "%s%s", ep, r->path);
    if (putting()) {
        char f[400];
        if (size < 1 << 20)
            snprintf(f, sizeof f, "%s/f%07d", src, r->index);
        else
            snprintf(f, sizeof f, "%s", src);
        r->fd = open(f, O_RDONLY);
        if (r->fd < 0) {
            perror(f);
            exit(1);
        }
        r->len = lseek(r->fd, 0, SEEK_END);
    }
    r->work.data = r;
    if (sign[0] == 'p')
        uv_queue_work(loop, &r->work, sign_one, on_signed);
    else
        send_one(r);
}

static void finished(void)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(multi, &left))) {
        struct slot *r;
        long code = 0;
        CURLcode rc = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &r);
        curl_easy_getinfo(m->easy_handle, CURLINFO_RESPONSE_CODE, &code);
        curl_multi_remove_handle(multi, r->easy);
        curl_slist_free_all(r->headers);
        if (rc || code >= 300) {
            bad++;
            fprintf(stderr, "%s: %ld %s\n", r->path, code, curl_easy_strerror(rc));
        }
        next(r);
    }
}

static void on_poll(uv_poll_t *p, int status, int events)
{
    int n, f = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE)
        f |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        f |= CURL_CSELECT_OUT;
    curl_multi_socket_action(multi, (curl_socket_t)(long)p->data, f, &n);
    finished();
}

static void on_close(uv_handle_t *h)
{
    free(h);
}

static int on_socket(CURL *e, curl_socket_t s, int what, void *u, void *mine)
{
    (void)e;
    (void)u;
    uv_poll_t *p = mine;
    if (what == CURL_POLL_REMOVE) {
        if (p) {
            uv_poll_stop(p);
            uv_close((uv_handle_t *)p, on_close);
            curl_multi_assign(multi, s, NULL);
        }
        return 0;
    }
    if (!p) {
        p = calloc(1, sizeof *p);
        uv_poll_init_socket(loop, p, s);
        p->data = (void *)(long)s;
        curl_multi_assign(multi, s, p);
    }
    uv_poll_start(
        p, ((what & CURL_POLL_IN) ? UV_READABLE : 0) | ((what & CURL_POLL_OUT) ? UV_WRITABLE : 0),
        on_poll);
    return 0;
}

static void on_timeout(uv_timer_t *t)
{
    int n;
    (void)t;
    curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &n);
    finished();
}

static int on_timer(CURLM *m, long ms, void *u)
{
    (void)m;
    (void)u;
    if (ms < 0)
        uv_timer_stop(&timer);
    else
        uv_timer_start(&timer, on_timeout, (uint64_t)ms, 0);
    return 0;
}

int main(int argc, char **argv)
{
    int c;
    while ((c = getopt(argc, argv, "e:a:k:m:c:n:s:f:S:u:d:r:b:o:")) != -1) {
        switch (c) {
        case 'e':
            ep = optarg;
            break;
        case 'a':
            ca = optarg;
            break;
        case 'k': {
            FILE *f = fopen(optarg, "r");
            key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
            break;
        }
        case 'm':
            mode = optarg;
            break;
        case 'c':
            conns = atoi(optarg);
            break;
        case 'n':
            count = atoi(optarg);
            break;
        case 's':
            size = atol(optarg);
            break;
        case 'f':
            src = optarg;
            break;
        case 'S':
            sign = optarg;
            break;
        case 'u':
            up = atoi(optarg);
            break;
        case 'd':
            down = atoi(optarg);
            break;
        case 'r':
            range = atol(optarg);
            break;
        case 'b':
            bucket = optarg;
            break;
        case 'o':
            out = optarg;
            break;
        default:
            return 2;
        }
    }
    if (!ep || !strstr(ep, "://") || (sign[0] != 'n' && !key))
        return 2;
    host = strstr(ep, "://") + 3;
    if (range)
        count = (int)((size + range - 1) / range);
    if (out && (outfd = open(out, O_RDWR | O_CREAT | O_TRUNC, 0600)) < 0)
        return 2;
    curl_global_init(CURL_GLOBAL_ALL);
    loop = uv_default_loop();
    uv_timer_init(loop, &timer);
    multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)conns);
    struct slot *slots = calloc((size_t)conns, sizeof *slots);
    double t = seconds(CLOCK_MONOTONIC);
    for (int i = 0; i < conns; i++)
        next(slots + i);
    uv_run(loop, UV_RUN_DEFAULT);
    t = seconds(CLOCK_MONOTONIC) - t;
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    double small = putting() && size < 1 << 20;
    double bytes = small       ? (double)count * (double)size
                   : putting() ? (double)size
                               : (double)received;
    printf("{\"seconds\": %.4f, \"cpu\": %.4f, \"requests\": %d, \"bytes\": %.0f, \"bad\": %d, "
           "\"switches\": %ld, \"rss_mib\": %ld}\n",
           t, seconds(CLOCK_PROCESS_CPUTIME_ID), count, bytes, bad, u.ru_nvcsw + u.ru_nivcsw,
           u.ru_maxrss / 1024);
    return bad != 0;
}
