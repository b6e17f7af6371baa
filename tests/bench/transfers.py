# SPDX-License-Identifier: Apache-2.0
"""Bytes up and down, beside the bare floor, curl and, with --peers, the other movers."""
import os
import statistics
import subprocess
import tempfile
import time

from kit import BIG, COUNT, QUEUE, ROUNDS, RUN, SCALE, bench, disk_sync, emit, rsa_rate, usage
from peers import peers
from service import (Service, big_file, curl, endpoint, floor, get_set, honest, one_job, put_job,
                     put_set, server_stats, small_files)
from submits import batch_rate
from wire import Failed


def compare(name, unit, amount, sides, per):
    """Runs the sides in turn; prints ours against each. sides: name -> function returning seconds,
    CPU s, switches. amount / seconds is the figure, per / … scales CPU and switches."""
    runs = {k: [] for k in sides}
    for _ in range(ROUNDS):
        for k, f in sides.items():
            runs[k].append(f())
    rate = {k: statistics.median(amount / r[0] for r in v) for k, v in runs.items()}
    cpu = {k: statistics.median(r[1] for r in v) for k, v in runs.items()}
    switches = statistics.median(r[2] for r in runs["ocid"])
    more = {"cpu_us_per_" + per[0]: round(cpu["ocid"] / per[1] * 1e6, 1),
            "switches_per_" + per[0]: round(switches / per[1], 2)}
    for k in sides:
        if k == "ocid":
            continue
        ratio = statistics.median(b[0] / a[0] for a, b in zip(runs["ocid"], runs[k]))
        emit(name, rate["ocid"], unit, against=k, ratio=round(ratio, 3), theirs=round(rate[k], 1),
             cpu_ratio=round(cpu["ocid"] / cpu[k], 3) if cpu[k] else None, **more)
    return rate["ocid"]


def put_small(name, tls):
    d = small_files()
    rates = [rsa_rate()]
    n = iter(range(1000000))
    with Service(endpoint(tls), transfer__connections=32) as s:
        put_set(s, d, "warm", min(COUNT, 1000))

        def ours():
            server_stats(True)
            r = put_set(s, d, f"r{next(n)}", COUNT)
            honest(COUNT)
            rates.append(rsa_rate())
            return r

        def bare():
            server_stats(True)
            r = floor("-e", endpoint(tls), "-f", d, "-n", COUNT, "-c", 32)
            honest(COUNT)
            return r

        got = compare(name, "puts/s", COUNT, {"ocid": ours, "floor": bare, **peers("put-4k", tls)},
                      ("put", COUNT))
    r = statistics.median(rates)
    emit(name, got, "puts/s", against="R", ratio=round(got / r, 3), theirs=round(r))


@bench
def put_4k():
    """4 KiB objects a second, plain, 32 connections, against the bare floor and R (RSA, a core)"""
    put_small("put_4k", False)


@bench
def put_4k_tls():
    """the same over TLS"""
    put_small("put_4k_tls", True)


def put_large(name, tls):
    path, n = big_file(), iter(range(1000000))
    url = endpoint(tls) + "/n/bench/b/sink/o/curl"
    with Service(endpoint(tls)) as s:

        def ours():
            server_stats(True)
            t, cpu, w, verified = one_job(s, put_job(path, f"big{next(n)}"))
            if honest(1).get("put_bytes") != BIG:
                raise Failed("not as many bytes arrived as were sent")
            if verified != "crc32c":
                raise Failed(f"verified by {verified}")
            return t, cpu, w

        compare(name, "MiB/s", BIG / 1048576, {
            "ocid": ours,
            "floor": lambda: floor("-e", endpoint(tls), "-f", path, "-s", BIG, "-n", 1, "-c", 1,
                                   "-u", 524288),
            "curl": lambda: curl("-H", "Expect:", "-T", path, url),
            **peers("put-big", tls)}, ("gib", BIG / (1 << 30)))
    server_stats(True)


@bench
def put_big():
    """MiB/s of one large upload, plain, against the floor and curl (unchecked, in one piece)"""
    put_large("put_big", False)


@bench
def put_big_tls():
    """the same over TLS"""
    put_large("put_big_tls", True)


def get_large(name, tls):
    """To a file, then to nothing."""
    out, bucket = RUN + "/out", f"v-1x{BIG}"
    url = f"{endpoint(tls)}/n/bench/b/{bucket}/o/f0000000"
    amount, per = BIG / 1048576, BIG / (1 << 30)
    ranges = ("-e", endpoint(tls), "-m", "get", "-b", bucket, "-s", BIG, "-r", 16 << 20, "-c", 4,
              "-d", 262144)
    os.makedirs(out, exist_ok=True)

    def clear():
        for f in os.listdir(out):
            os.unlink(out + "/" + f)

    def to_file(function, *args):
        clear()
        return function(*args)

    with Service(endpoint(tls)) as s:

        def ours():
            server_stats(True)
            t, cpu, w, verified = one_job(s, {"kind": "get", "bucket": bucket, "object": "f0000000",
                                              "dest": (out + "/ours").encode(), "overwrite": True})
            honest(1)
            if os.stat(out + "/ours").st_size != BIG or verified != "crc32c":
                raise Failed(f"verified by {verified}")
            return t, cpu, w

        def ours_to_null():
            cpu0, w0 = usage(s.pid)
            r = s.ocictl("pull", f"oci://{bucket}/f0000000", "-")
            cpu, w = usage(s.pid)
            return r["total_ms"] / 1e3, cpu - cpu0 + r["cpu_ms"] / 1e3, w - w0

        try:
            compare(name, "MiB/s", amount, {
                "ocid": lambda: to_file(ours),
                "floor": lambda: to_file(floor, *ranges, "-o", out + "/floor"),
                "curl": lambda: to_file(curl, "-o", out + "/curl", url)}, ("gib", per))
            to_file(ours)
            if subprocess.run(["cmp", "-s", out + "/ours", big_file()]).returncode:
                raise Failed("the download is not what the server sent")
            clear()
            compare(name + "_null", "MiB/s", amount, {
                "ocid": ours_to_null,
                "floor": lambda: floor(*ranges),
                "curl": lambda: curl("-o", "/dev/null", url)}, ("gib", per))
        finally:
            clear()
    server_stats(True)


@bench
def integrity():
    """CPU s a GiB that CRC32C costs a large upload, plain: on against off, in turn"""
    path, gib, n = big_file(), BIG / (1 << 30), iter(range(1000000))
    cpu = {"crc32c": [], "off": []}
    with Service(endpoint(False), transfer__checksum="crc32c") as on, \
            Service(endpoint(False), transfer__checksum="off") as off:
        for _ in range(ROUNDS):
            for name, s in (("crc32c", on), ("off", off)):
                server_stats(True)
                _, used, _, verified = one_job(s, put_job(path, f"i{next(n)}"))
                honest(1)
                if (verified == "crc32c") != (name == "crc32c"):
                    raise Failed(f"checksum {name}: verified by {verified}")
                cpu[name].append(used / gib)
    ours, other = (statistics.median(cpu[k]) for k in ("crc32c", "off"))
    more = statistics.median(a - b for a, b in zip(cpu["crc32c"], cpu["off"]))
    emit("integrity", more, "CPU s/GiB", against="checksum = off", with_sum=round(ours, 3),
         without=round(other, 3), ratio=round(ours / other, 3))


@bench
def get_big():
    """MiB/s of one large download into memory, plain, against the floor (ranges) and curl"""
    get_large("get_big", False)


@bench
def get_big_tls():
    """the same over TLS"""
    get_large("get_big_tls", True)


def sync_rate(d, count):
    """Files of 4 KiB a second: written, synced, renamed, their directory synced, one by one."""
    block, at = os.urandom(4096), os.open(d, os.O_RDONLY)
    t = time.monotonic()
    for i in range(count):
        fd = os.open(f"{d}/part", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        os.write(fd, block)
        os.fsync(fd)
        os.close(fd)
        os.rename(f"{d}/part", f"{d}/f{i:07d}")
        os.fsync(at)
    os.close(at)
    return count / (time.monotonic() - t)


@bench
def get_4k():
    """4 KiB objects a second into memory, each verified, synced and renamed, against R and, with
    --peers, Oracle's clients; to the disk, against write, fsync, rename and directory sync"""
    rates, rs, syncs = {RUN: [], QUEUE: []}, [rsa_rate()], []
    with Service(endpoint(True)) as s:

        def ours(base=RUN):
            with tempfile.TemporaryDirectory(dir=base) as d:
                server_stats(True)
                r = get_set(s, d, COUNT)
                honest(COUNT)
            rates[base].append(COUNT / r[0])
            return r

        others = peers("get-4k", True)
        if others:
            compare("get_4k", "gets/s", COUNT, {"ocid": ours, **others}, ("get", COUNT))
        for _ in range(ROUNDS):
            for base in rates:
                ours(base)
            rs.append(rsa_rate())
            with tempfile.TemporaryDirectory(dir=QUEUE) as d:
                syncs.append(sync_rate(d, min(COUNT, 1000)))
    for name, base, against, theirs in (("get_4k", RUN, "R", rs),
                                        ("get_4k_disk", QUEUE, "fsync and rename", syncs)):
        mine, other = statistics.median(rates[base]), statistics.median(theirs)
        emit(name, mine, "gets/s", against=against, ratio=round(mine / other, 3),
             theirs=round(other))


@bench
def far_4k():
    """4 KiB objects a second, TLS, 20 ms away, no option given; against R and, with --peers, rclone
    without an option (one round: it takes a minute)"""
    d, n, rates, got = small_files(), iter(range(1000000)), [rsa_rate()], []
    with Service(endpoint(True)) as s:
        for _ in range(ROUNDS):
            server_stats(True)
            got.append(COUNT / put_set(s, d, f"far{next(n)}", COUNT, bucket="sink-d20")[0])
            honest(COUNT)
            rates.append(rsa_rate())
    rate, r = statistics.median(got), statistics.median(rates)
    emit("far_4k", rate, "puts/s", against="R", ratio=round(rate / r, 3), theirs=round(r))
    for name, other in peers("far-4k", True).items():
        theirs = COUNT / other()[0]
        emit("far_4k", rate, "puts/s", against=name, ratio=round(rate / theirs, 3),
             theirs=round(theirs, 1))


def rates_behind(queued):
    """Puts and submits a second while so many jobs wait for a set that stays open."""
    d = small_files()
    with Service(endpoint(False), transfer__connections=32) as s:
        gate = s.c.submit([{"kind": "set", "label": "gate"}])[0]
        batch_rate(s, queued // 1000, 4, after=[gate])
        put_set(s, d, "warm", min(COUNT, 1000))
        server_stats(True)
        puts = COUNT / put_set(s, d, "behind", COUNT)[0]
        honest(COUNT)
        submits = batch_rate(s, 50, 4, after=[gate])[0]
        left = s.c.call("daemon.stats")
        waiting = left["queued"] + left.get("waiting", 0)
        if waiting < queued:
            raise Failed(f"only {waiting} of {queued} jobs still wait: {left}")
        return puts, submits


@bench
def scale():
    """put_4k and submit_rate with 1,000,000 jobs queued, against those with 1,000"""
    rounds = [(rates_behind(SCALE), rates_behind(1000)) for _ in range(ROUNDS)]
    for i, (name, unit) in enumerate((("scale_put_4k", "puts/s"), ("scale_submit", "jobs/s"))):
        emit(name, statistics.median(full[i] for full, _ in rounds), unit,
             against="1,000 queued", queued=SCALE,
             theirs=round(statistics.median(few[i] for _, few in rounds), 1),
             ratio=round(statistics.median(full[i] / few[i] for full, few in rounds), 3))


@bench
def resume():
    """ms from starting ocid again after a kill -9 in the middle of a large upload, 100,000 jobs
    queued, until the service has a part of it more (it lists none: all are sent again)"""
    times = []
    for _ in range(ROUNDS):
        with Service(endpoint(False)) as s:
            server_stats(True)
            gate = s.c.submit([{"kind": "set", "label": "gate"}])[0]
            batch_rate(s, 100, 4, after=[gate])
            job = s.c.submit([put_job(big_file(), "resumed")])[0]
            while server_stats().get("mp_part", 0) < 8:
                time.sleep(0.002)
            s.kill()
            before = server_stats()
            t = time.monotonic()
            s.start()
            while server_stats().get("mp_part", 0) == before["mp_part"]:
                time.sleep(0.002)
            times.append((time.monotonic() - t) * 1e3)
            if s.c.wait(job, 180)["state"] != "done":
                raise Failed("the upload did not go on")
    emit("resume", statistics.median(times), "ms", worst=round(max(times)))
    server_stats(True)


@bench
def floor_only():
    """not of ocid: the floor and R alone, to see what the machine does"""
    d = small_files()
    for tls in (True, False):
        rate, cpu = [], []
        for _ in range(ROUNDS):
            server_stats(True)
            t, c, _ = floor("-e", endpoint(tls), "-f", d, "-n", COUNT, "-c", 32)
            honest(COUNT)
            rate.append(COUNT / t)
            cpu.append(c / COUNT * 1e6)
        emit("floor_4k" + ("_tls" if tls else ""), statistics.median(rate), "puts/s",
             cpu_us_per_put=round(statistics.median(cpu), 1))
    emit("R", statistics.median(rsa_rate() for _ in range(ROUNDS)), "signatures/s")
    emit("fdatasync", disk_sync(), "ms")
