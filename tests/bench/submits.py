# SPDX-License-Identifier: Apache-2.0
"""What it costs to hand jobs over, and to ask after them while the service is busy."""
import json
import os
import socket
import statistics
import subprocess
import time

from kit import BIG, COUNT, ROUNDS, RUN, bench, disk_sync, emit, mib, quantile, usage
from service import (Client, Service, big_file, endpoint, honest, put_job, quiet, server_stats,
                     small_files, submit_frames)
from wire import FINAL, Failed, frame


def ack_times(c, frames):
    out = []
    for f in frames:
        t = time.perf_counter()
        c.s.sendall(f)
        c.taken()
        out.append((time.perf_counter() - t) * 1e3)
    return sorted(out)


def echo_time():
    """p50 in ms of a round trip over a Unix socket to a process that only answers."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    pid = os.fork()
    if not pid:
        ours.close()
        while data := theirs.recv(4096):
            theirs.sendall(data)
        os._exit(0)
    theirs.close()
    out = []
    for _ in range(2000):
        t = time.perf_counter()
        ours.sendall(b"x" * 200)
        ours.recv(4096)
        out.append((time.perf_counter() - t) * 1e3)
    ours.close()
    os.waitpid(pid, 0)
    return statistics.median(out)


@bench
def submit_ack():
    """ms from handing one job over to its durable id, one in flight: against one fdatasync and one
    round trip over a socket; the 99th percentile against the median"""
    path, all_times, least = small_files() + "/f0000000", [], []
    with quiet() as s:
        ack_times(s.c, submit_frames(path, 300, 1))
        for _ in range(ROUNDS):
            least.append(disk_sync() + echo_time())
            all_times.append(ack_times(s.c, submit_frames(path, 1000, 1)))
    p50, p99 = (statistics.median(quantile(t, q) for t in all_times) for q in (0.5, 0.99))
    theirs = statistics.median(least)
    ratio = statistics.median(quantile(t, 0.5) / m for t, m in zip(all_times, least))
    emit("submit_ack", p50, "ms", against="fdatasync and a round trip", ratio=round(ratio, 2),
         theirs=round(theirs, 4))
    emit("submit_ack_p99", p99, "ms", against="submit_ack", ratio=round(p99 / p50, 2))


def frames_rate(s, frames, window):
    """Frames a second that are acknowledged, at most window of them in flight."""
    fd = s.c.s.fileno()
    s.c.s.settimeout(None)  # or the program that inherits it would find it non-blocking
    r = subprocess.run([RUN + "/submit", str(fd), str(window)], input=b"".join(frames),
                       pass_fds=[fd], capture_output=True, timeout=300)
    s.c.s.settimeout(s.c.timeout)
    if r.returncode:
        raise Failed(f"submit: status {r.returncode}")
    return len(frames) / json.loads(r.stdout)["seconds"]


def batch_rate(s, n_arrays, window, **more):
    """Jobs a second, arrays of 1,000, so many arrays in flight."""
    frames = submit_frames(small_files() + "/f0000000", n_arrays, 1000, **more)
    cpu0, _ = usage(s.pid)
    rate = frames_rate(s, frames, window) * 1000
    return rate, (usage(s.pid)[0] - cpu0) / n_arrays * 1e3


@bench
def submit_rate():
    """durable jobs a second: one a frame, 16 and 256 frames in flight; arrays of 1,000, four and
    one in flight"""
    frames = submit_frames(small_files() + "/f0000000", 20000, 1)
    rates = {16: [], 256: []}
    arrays = {"arrays": (4, []), "array": (1, [])}
    for _ in range(ROUNDS):
        for window, got in rates.items():
            with quiet() as s:
                frames_rate(s, frames[:2000], window)
                got.append(frames_rate(s, frames, window))
        for window, got in arrays.values():
            with quiet() as s:
                batch_rate(s, 10, window)
                got.append(batch_rate(s, 100, window))
    for window, got in rates.items():
        emit(f"submit_rate_{window}", statistics.median(got), "jobs/s")
    for name, (_, got) in arrays.items():
        emit("submit_rate_" + name, statistics.median(r[0] for r in got), "jobs/s",
             cpu_us_per_job=round(statistics.median(r[1] for r in got), 2))


@bench
def submit_rate_full():
    """the rate with 500,000 jobs queued, against that of the empty queue of the same daemon"""
    rates, ratios, pss = [], [], []
    for _ in range(max(1, min(3, ROUNDS))):
        with quiet() as s:
            batch_rate(s, 5, 4)
            empty = batch_rate(s, 50, 4)[0]
            before = mib(s.pid, "Pss:")
            batch_rate(s, 450, 4)
            pss.append((mib(s.pid, "Pss:") - before) * 1048576 / 450000)
            full = batch_rate(s, 50, 4)[0]
            rates.append(full)
            ratios.append(full / empty)
    emit("submit_rate_full", statistics.median(rates), "jobs/s", against="empty queue",
         ratio=round(statistics.median(ratios), 3), pss_bytes_per_job=round(statistics.median(pss)))


@bench
def status_busy():
    """ms of a job's status while 32 TLS puts run flat out and 100,000 jobs are queued: the median,
    and the 99th percentile"""
    d, times = small_files(), []
    server_stats(True)
    with Service(endpoint(True), transfer__connections=32) as s:
        ids = s.c.submit([put_job(f"{d}/f{i % COUNT:07d}", f"busy/{i}") for i in range(250000)])
        c = Client(s.socket)
        last = frame(7, "job.status", {"ids": [ids[-1]]})
        n0, t0 = server_stats().get("put", 0), time.monotonic()
        while time.monotonic() < t0 + 12 and len(times) < 4000:
            t = time.perf_counter()
            c.s.sendall(last)
            c.raw()
            times.append((time.perf_counter() - t) * 1e3)
            time.sleep(0.002)
        n, seconds = server_stats().get("put", 0) - n0, time.monotonic() - t0
        left = s.c.call("daemon.stats")["queued"]
        if left < 100000:
            raise Failed(f"only {left} jobs were still queued")
        if n <= 0:
            raise Failed("nothing was transferred meanwhile")
    st = server_stats(True)
    if st.get("req") != st.get("signed") or st.get("bad_signature"):
        raise Failed(f"not all requests were signed: {st}")
    times.sort()
    emit("status_busy", quantile(times, 0.5), "ms", puts_per_s=round(n / seconds), queued=left)
    emit("status_busy_p99", quantile(times, 0.99), "ms", worst=round(times[-1], 3))


FAIR_PUTS, FAIR_LARGE = 200, 3


def put_times(c, path, prefix, going=lambda: True):
    """ms from handing one small put over to hearing of its end, one after the other."""
    out = []
    while len(out) < FAIR_PUTS and going():
        t = time.perf_counter()
        end = c.wait(c.submit([put_job(path, f"{prefix}/{len(out)}")])[0], 60)
        out.append((time.perf_counter() - t) * 1e3)
        if end["state"] != "done":
            raise Failed(f"a small put did not end well: {end}")
        time.sleep(0.002)
    return sorted(out)


def put_fairly(name, tls):
    path, ratios, all_idle, all_busy, rates = RUN + "/2k", [], [], [], []
    with open(path, "wb") as f:
        f.write(os.urandom(2048))
    server_stats(True)
    for k in range(ROUNDS):
        with Service(endpoint(tls)) as s:
            a, b = Client(s.socket, label="a"), Client(s.socket, label="b")
            put_times(b, path, f"warm{k}")
            idle = put_times(b, path, f"idle{k}")
            t = time.perf_counter()
            ids = a.submit([put_job(big_file(), f"large{k}/{i}") for i in range(FAIR_LARGE)])
            time.sleep(0.2)

            def going():
                jobs = a.call("job.status", {"ids": ids})["jobs"]
                return not any(j["state"] in FINAL for j in jobs)

            busy = put_times(b, path, f"busy{k}", going)
            if any(a.wait(i, 300)["state"] != "done" for i in ids):
                raise Failed("a large put did not end well")
            rates.append(FAIR_LARGE * BIG / 1048576 / (time.perf_counter() - t))
        all_idle.append(idle)
        all_busy.append(busy)
        ratios.append(quantile(busy, 0.5) / quantile(idle, 0.5))
    honest(ROUNDS * FAIR_PUTS * 2)
    idle, p50, p99 = (statistics.median(quantile(t, q) for t in times)
                      for times, q in ((all_idle, 0.5), (all_busy, 0.5), (all_busy, 0.99)))
    emit(name, p50, "ms", against="the same on an idle daemon",
         ratio=round(statistics.median(ratios), 2), theirs=round(idle, 3), p99=round(p99, 3),
         large_mib_per_s=round(statistics.median(rates)),
         puts=sum(len(t) for t in all_busy))


@bench
def fair():
    """ms of a put of 2 KiB, to its end, while another client's three large ones run flat out, plain:
    the median, against that on an idle daemon"""
    put_fairly("fair", False)


@bench
def fair_tls():
    """the same over TLS"""
    put_fairly("fair_tls", True)
