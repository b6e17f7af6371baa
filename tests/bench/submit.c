/* SPDX-License-Identifier: Apache-2.0
 *
 * submit.c - sends prepared frames on a connection that stands, so many of them in flight.
 *
 *   cc -O2 submit.c -o submit
 *   submit FD WINDOW < FRAMES
 *
 * FRAMES: one after the other, each with its length in front, as on the wire. FD: the connection,
 * inherited, its greeting done. Ends when every frame has its reply. Prints one JSON line: seconds,
 * and the CPU seconds of this program, which is small beside the service's.
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REPLIES = 1 << 20 };

static double seconds(clockid_t c)
{
    struct timespec t;
    clock_gettime(c, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static size_t frame_at(const unsigned char *p)
{
    uint32_t n;
    memcpy(&n, p, 4);
    return 4 + ntohl(n);
}

static unsigned char *slurp(size_t *ret_n)
{
    size_t room = 1 << 20, n = 0;
    unsigned char *all = malloc(room);
    for (ssize_t got; all && (got = read(0, all + n, room - n)) > 0;) {
        n += (size_t)got;
        if (n == room)
            all = realloc(all, room *= 2);
    }
    *ret_n = n;
    return all;
}

/* A reply is [1, id, error, result]; the ids here take five bytes. Its error must be nil. */
static int refused(const unsigned char *frame)
{
    size_t id = frame[6] == 0xcd ? 3 : frame[6] == 0xce ? 5 : 1;
    return frame[6 + id] != 0xc0;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    int fd = atoi(argv[1]);
    size_t window = (size_t)atol(argv[2]), total, n_all = 0;
    unsigned char *all = slurp(&total), *in = malloc(REPLIES);
    if (!all || !in)
        return 1;
    for (size_t at = 0; at < total; at += frame_at(all + at))
        n_all++;
    size_t sent = 0, got = 0, at = 0, have = 0;
    double t = seconds(CLOCK_MONOTONIC);
    while (got < n_all) {
        size_t to = at;
        while (sent < n_all && sent < got + window) {
            to += frame_at(all + to);
            sent++;
        }
        while (at < to) {
            ssize_t n = send(fd, all + at, to - at, MSG_NOSIGNAL);
            if (n <= 0)
                return 1;
            at += (size_t)n;
        }
        ssize_t n = recv(fd, in + have, REPLIES - have, 0);
        if (n <= 0)
            return 1;
        have += (size_t)n;
        size_t used = 0;
        while (have - used >= 16 && have - used >= frame_at(in + used)) {
            if (refused(in + used))
                return 3;
            used += frame_at(in + used);
            got++;
        }
        memmove(in, in + used, have -= used);
    }
    t = seconds(CLOCK_MONOTONIC) - t;
    printf("{\"seconds\": %.6f, \"cpu\": %.6f}\n", t, seconds(CLOCK_PROCESS_CPUTIME_ID));
    return 0;
}
