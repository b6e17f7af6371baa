# SPDX-License-Identifier: Apache-2.0
"""The command's own time, and the memory of everything."""
import json
import statistics
import subprocess
import threading
import time

from kit import COUNT, ROUNDS, RUN, bench, emit, forget_peak, mib, tree, usage
from peers import peers
from service import (Service, big_file, endpoint, put_job, put_set, quiet, run_set, server_stats,
                     small_files)
from submits import batch_rate
from transfers import compare


@bench
def ctl():
    """ms of a whole `ocictl version --daemon`, from fork to exit, against /bin/true; its memory"""
    with quiet() as s:
        first = s.ocictl("version", "--daemon", count=20)
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(s.ocictl("version", "--daemon", count=100)["p50_ms"])
            out = subprocess.run([RUN + "/spawn", "100", "/bin/true"], capture_output=True,
                                 check=True)
            theirs.append(json.loads(out.stdout)["p50_ms"])
    emit("ctl", statistics.median(ours), "ms", against="/bin/true",
         ratio=round(statistics.median(a / b for a, b in zip(ours, theirs)), 2),
         theirs=round(statistics.median(theirs), 3), rss_mib=first["rss_mib"])


class Peak:
    """The highest PSS in MiB of a service while the block runs, looked at twenty times a second."""

    def __init__(self, s):
        self.pid, self.mib, self.over = s.pid, 0, threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.over.wait(0.05):
            self.mib = max(self.mib, mib(self.pid, "Pss:"))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


@bench
def memory():
    """MiB (PSS) of all processes of the service: idle and its switches a second; the peak while 32
    small, and 32 large objects go up over TLS; what 100,000 queued jobs add"""
    d = small_files()
    with Service(endpoint(True), transfer__connections=32) as s:
        time.sleep(2)
        idle = mib(s.pid, "Pss:")
        _, w0 = usage(s.pid)
        t0 = time.monotonic()
        time.sleep(10)
        switches = (usage(s.pid)[1] - w0) / (time.monotonic() - t0)
        emit("memory_idle", idle, "MiB", switches_per_s=round(switches, 2),
             processes=len(tree(s.pid)), rss_mib=round(mib(s.pid, "VmRSS:"), 1))
        with Peak(s) as small:
            put_set(s, d, "small", 2 * COUNT)
        emit("memory_32_small", small.mib, "MiB")
        with Peak(s) as big:
            run_set(s, "big", [put_job(big_file(), f"big{i}") for i in range(32)])
        emit("memory_32_big", big.mib, "MiB")
        time.sleep(3)
        emit("memory_after", mib(s.pid, "Pss:"), "MiB")
    server_stats(True)
    with quiet() as s:
        batch_rate(s, 1, 1)
        before = mib(s.pid, "Pss:")
        batch_rate(s, 100, 4)
        emit("memory_100k_queued", mib(s.pid, "Pss:") - before, "MiB")


@bench
def list_100k():
    """seconds of `ocictl ls` of 100,000 objects, from fork to exit, TLS; MiB that the service grows
    by meanwhile, and the client's own; with --peers against Oracle's clients"""
    with Service(endpoint(True)) as s:
        args = ("ls", "--fields", "name,size", "oci://v-100000x64/")
        s.ocictl(*args, count=4)  # now each worker of the server has made its pages
        before = mib(s.pid, "VmRSS:")
        forget_peak(s.pid)
        rss = []

        def ours():
            cpu0, w0 = usage(s.pid)
            r = s.ocictl(*args)
            cpu, w = usage(s.pid)
            rss.append(r["rss_mib"])
            return r["total_ms"] / 1e3, cpu - cpu0 + r["cpu_ms"] / 1e3, w - w0

        compare("list_100k", "rows/s", 100000, {"ocid": ours, **peers("list", True)}, ("row", 1e5))
        emit("list_100k_rss", mib(s.pid, "VmHWM:") - before, "MiB", client=max(rss))
    server_stats(True)


@bench
def list_million():
    """MiB at the peak of daemon and client while 1,000,000 objects are listed, against 10,000"""
    peak, client = {}, {}
    with Service(endpoint(True)) as s:
        s.ocictl("ls", "oci://v-1000x64/")
        for n in (10000, 1000000):
            forget_peak(s.pid)
            t = time.monotonic()
            r = s.ocictl("ls", f"oci://v-{n}x64/", seconds=600)
            t = time.monotonic() - t
            peak[n], client[n] = mib(s.pid, "VmHWM:"), r["rss_mib"]
            emit("list_rate" if n > 10000 else "list_rate_10k", n / t, "rows/s")
    for name, m in (("list_million_rss", peak), ("list_million_client_rss", client)):
        emit(name, m[1000000], "MiB", against="10,000 objects",
             ratio=round(m[1000000] / m[10000], 3))
