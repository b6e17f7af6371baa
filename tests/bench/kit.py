# SPDX-License-Identifier: Apache-2.0
"""What every benchmark needs: the knobs, the list, figures on their way out, what processes use."""
import glob
import json
import os
import statistics
import subprocess
import sys
import time

from wire import Failed

E = os.environ
RUN = E.get("BENCH_RUN", "")
QUEUE = E.get("BENCH_QUEUE", "")
ROUNDS = int(E.get("BENCH_ROUNDS", "5"))
PAIRS = int(E.get("BENCH_PAIRS", "25"))
COUNT = int(E.get("BENCH_COUNT", "5000"))
SCALE = int(E.get("BENCH_SCALE", "1000000"))
BIG = int(E.get("BENCH_BIG", str(1 << 31)))
BENCHES = {}


def bench(function):
    BENCHES[function.__name__] = function
    return function


def emit(name, value, unit, **more):
    print(json.dumps({"name": name, "value": round(value, 4), "unit": unit, **more}), flush=True)


def note(text):
    print(text, file=sys.stderr, flush=True)


def tree(pid):
    """pid and every process below it."""
    found, todo = [], [int(pid)]
    while todo:
        p = todo.pop()
        found.append(p)
        for f in glob.glob(f"/proc/{p}/task/*/children"):
            try:
                todo += map(int, open(f).read().split())
            except OSError:
                pass
    return found


def usage(pid):
    """CPU seconds and context switches so far of pid and all below it."""
    cpu = switches = 0
    for p in tree(pid):
        for d in glob.glob(f"/proc/{p}/task/*"):
            try:
                cpu += int(open(d + "/schedstat").read().split()[0]) * 1e-9
                for line in open(d + "/status"):
                    if "ctxt_switches" in line:
                        switches += int(line.split()[1])
            except OSError:
                pass
    return cpu, switches


def mib(pid, key):
    """KiB of a key of smaps_rollup or status, summed over pid and all below it, in MiB."""
    kib = 0
    for p in tree(pid):
        name = "smaps_rollup" if key == "Pss:" else "status"
        try:
            kib += sum(int(x.split()[1]) for x in open(f"/proc/{p}/{name}") if x.startswith(key))
        except OSError:
            pass
    return kib / 1024


def forget_peak(pid):
    for p in tree(pid):
        with open(f"/proc/{p}/clear_refs", "w") as f:
            f.write("5")


def rsa_rate():
    """R: signatures a second of one core, OpenSSL as installed, RSA-2048."""
    out = subprocess.run(["openssl", "speed", "-seconds", "1", "-mr", "rsa2048"], timeout=60,
                         capture_output=True, text=True).stdout
    for line in out.splitlines():
        f = line.split(":")
        if f[0] == "+F2":
            return 1 / float(f[3]) if float(f[3]) < 1 else float(f[3])
    raise Failed("openssl speed said nothing")


def quantile(values, q):
    return values[min(len(values) - 1, int(len(values) * q))]


def disk_sync():
    """p50 in ms of fdatasync after 4 KiB on the queue's file system: what an ack cannot beat."""
    fd = os.open(QUEUE + "/sync", os.O_CREAT | os.O_WRONLY, 0o600)
    out = []
    for i in range(300):
        os.pwrite(fd, b"x" * 4096, i % 64 * 4096)
        t = time.perf_counter()
        os.fdatasync(fd)
        out.append((time.perf_counter() - t) * 1e3)
    os.close(fd)
    os.unlink(QUEUE + "/sync")
    return statistics.median(out)
