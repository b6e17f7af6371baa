# SPDX-License-Identifier: Apache-2.0
"""What a shared machine's noise hides: the service against the bare floor, counted and in pairs."""
import glob
import os
import signal
import statistics
import subprocess
import time

from kit import COUNT, PAIRS, RUN, bench, emit, quantile, tree
from service import Service, endpoint, floor, honest, put_set, server_stats, small_files
from wire import Failed


def calls_traced(path):
    """System calls of a summary that strace -c has written."""
    with open(path) as f:
        for line in f:
            if line.rstrip().endswith(" total"):
                return int(line.split()[3 if len(line.split()) > 4 else 2])
    raise Failed(f"strace said nothing in {path}")


def calls_of_service(d, count):
    """System calls a put of every process of the service, once its connections stand."""
    out = RUN + "/strace"
    with Service(endpoint(False), transfer__connections=32) as s:
        put_set(s, d, "warm", min(COUNT, 1000))
        pids = [x for p in tree(s.pid) for x in ("-p", str(p))]
        tracer = subprocess.Popen(["strace", "-f", "-q", "-c", "-o", out, *pids],
                                  stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 30
            while not all(traced(p) for p in tree(s.pid)):
                if tracer.poll() is not None or time.monotonic() > end:
                    raise Failed("strace cannot attach to the service")
                time.sleep(0.02)
            put_set(s, d, "traced", count)
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(30)
    return calls_traced(out) / count


def traced(pid):
    """Whether a tracer holds every thread of pid."""
    return all("TracerPid:\t0\n" not in open(t).read()
               for t in glob.glob(f"/proc/{pid}/task/*/status"))


def calls_of_floor(d, count):
    out = RUN + "/strace"
    floor("-e", endpoint(False), "-f", d, "-n", count, "-c", 32,
          below=("strace", "-f", "-q", "-c", "-o", out))
    return calls_traced(out) / count


def callgrind(out):
    return ("valgrind", "-q", "--tool=callgrind", "--trace-children=yes",
            f"--callgrind-out-file={out}.%p")


def instructions(out, processes):
    """The sum over the processes that callgrind has written of, which must be so many."""
    total, files = 0, glob.glob(out + ".*")
    for path in files:
        with open(path) as f:
            counts = [int(x.split()[1]) for x in f if x.startswith("totals:")]
        if not counts:
            raise Failed(f"callgrind has not finished {path}")
        total += counts[-1]
        os.unlink(path)
    if len(files) != processes:
        raise Failed(f"callgrind counted {len(files)} of {processes} processes")
    return total


def instructions_of_service(d, count):
    out = RUN + "/callgrind"
    with Service(endpoint(False), below=callgrind(out), transfer__connections=32) as s:
        put_set(s, d, "counted", count)
        processes = len(tree(s.pid))
    return instructions(out, processes)


def instructions_of_floor(d, count, sign="pool"):
    out = RUN + "/callgrind"
    floor("-e", endpoint(False), "-f", d, "-n", count, "-c", 32, "-S", sign, below=callgrind(out))
    return instructions(out, 1)


def instructions_of_unsigned(d, count):
    return instructions_of_floor(d, count, "none")


def per_job(counted, d):
    """Instructions a job: of a long run less a short one, so that start and end fall out."""
    short, long = 200, 200 + max(200, COUNT // 5)
    return (counted(d, long) - counted(d, short)) / (long - short)


@bench
def put_4k_floor():
    """daemon against the bare floor by counts: instructions, system calls, switches; and pairs"""
    d, n = small_files(), iter(range(1000000))
    pairs = []
    with Service(endpoint(False), transfer__connections=32) as s:
        put_set(s, d, "warm", min(COUNT, 1000))
        for _ in range(PAIRS):
            server_stats(True)
            ours = put_set(s, d, f"p{next(n)}", COUNT)
            bare = floor("-e", endpoint(False), "-f", d, "-n", COUNT, "-c", 32)
            honest(2 * COUNT)
            pairs.append((ours, bare))
    ours, bare = (statistics.median(p[i][0] for p in pairs) for i in (0, 1))
    ratios = sorted(a[0] / b[0] for a, b in pairs)
    emit("put_4k_floor_wall", ours, "s", against="floor", theirs=round(bare, 4),
         ratio=round(statistics.median(ratios), 3), pairs=len(pairs),
         quartiles=[round(quantile(ratios, q), 3) for q in (0.25, 0.75)])
    for name, unit, i in (("put_4k_floor_switches", "switches/job", 2),
                          ("put_4k_floor_cpu", "CPU s/job", 1)):
        ours, bare = (statistics.median(p[k][i] for p in pairs) / COUNT for k in (0, 1))
        emit(name, ours, unit, against="floor", theirs=round(bare, 6),
             ratio=round(ours / bare, 3), more=round(ours - bare, 6))
    ours, bare = calls_of_service(d, COUNT), calls_of_floor(d, COUNT)
    emit("put_4k_floor_calls", ours, "calls/job", against="floor", theirs=round(bare, 2),
         ratio=round(ours / bare, 3))
    ours, bare, unsigned = (per_job(f, d) for f in (instructions_of_service, instructions_of_floor,
                                                    instructions_of_unsigned))
    # valgrind's processor is an older one, whose RSA takes more instructions: so the rest as well
    emit("put_4k_floor_instructions", ours, "instructions/job", against="floor",
         theirs=round(bare), ratio=round(ours / bare, 3), more=round(ours - bare),
         ratio_but_rsa=round((ours - bare + unsigned) / unsigned, 3))
    server_stats(True)
