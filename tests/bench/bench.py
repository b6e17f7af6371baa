#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The driver of the benchmarks. Started by run.sh, whose head says how; standard library only.

Each function under @bench makes its own daemon (own home, runtime directory and queue), measures,
and prints figures. Where the point is a comparison, the sides run in turn within one loop and the
median of the rounds' ratios counts. Of the service every process is counted: ocid and the signer
below it. The submit figures run against an endpoint that accepts and never answers, so that the
queue stays full and nothing is transferred.
"""
import atexit
import glob
import json
import os
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from wire import Client, Failed, frame, pack, unpack

E = os.environ
RUN = E.get("BENCH_RUN", "")
QUEUE = E.get("BENCH_QUEUE", "")
ROUNDS = int(E.get("BENCH_ROUNDS", "5"))
PAIRS = int(E.get("BENCH_PAIRS", "25"))
COUNT = int(E.get("BENCH_COUNT", "5000"))
SCALE = int(E.get("BENCH_SCALE", "1000000"))
BIG = int(E.get("BENCH_BIG", str(1 << 30)))
BENCHES = {}


def bench(function):
    BENCHES[function.__name__] = function
    return function


def emit(name, value, unit, **more):
    print(json.dumps({"name": name, "value": round(value, 4), "unit": unit, **more}), flush=True)


def note(text):
    print(text, file=sys.stderr, flush=True)


# processes ----------------------------------------------------------------------------------------


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


def memory(pid, key):
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


class Holder:
    """An endpoint that accepts connections and never answers."""

    def __init__(self):
        self.s = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.url = "http://127.0.0.1:%d" % self.s.getsockname()[1]
        self.kept = []
        threading.Thread(target=self.hold, daemon=True).start()

    def hold(self):
        while True:
            try:
                self.kept.append(self.s.accept()[0])
            except OSError:
                return

    def close(self):
        self.s.close()
        for c in self.kept:
            c.close()


# the service --------------------------------------------------------------------------------------


def binaries():
    if E.get("OCID_BIN"):
        return E["OCID_BIN"]
    found = glob.glob(E["BENCH_ROOT"] + "/build*/**/bin/ocid", recursive=True)
    if not found:
        raise Failed("no ocid: build it first, or set OCID_BIN")
    return os.path.dirname(max(found, key=os.path.getmtime))


class Service:
    """A daemon of its own for one benchmark, with everything that ocictl needs to find it."""

    live = []

    def __init__(self, endpoint, below=(), **settings):
        """below: the program, with its arguments, that runs ocid; valgrind, say."""
        self.bin = binaries()
        self.dir = tempfile.mkdtemp(dir=RUN, prefix="s")
        self.state = tempfile.mkdtemp(dir=QUEUE, prefix="q")
        for d in ("home", "home/.oci", "run", "conf", "conf/ocid"):
            os.mkdir(f"{self.dir}/{d}", 0o700)
        der = subprocess.run(["openssl", "rsa", "-in", RUN + "/key.pem", "-pubout", "-outform",
                              "DER"], capture_output=True, check=True).stdout
        md5 = subprocess.run(["openssl", "md5", "-c"], input=der, capture_output=True, check=True)
        fd = os.open(self.dir + "/home/.oci/config", os.O_CREAT | os.O_WRONLY, 0o600)
        with open(fd, "w") as f:
            f.write("[DEFAULT]\nuser=ocid1.user.oc1..bench\ntenancy=ocid1.tenancy.oc1..bench\n"
                    f"fingerprint={md5.stdout.decode().split()[-1]}\nkey_file={RUN}/key.pem\n"
                    "region=us-phoenix-1\n")
        sections = {"daemon": {"log_level": "warn", "drain_seconds": 0},
                    "network": {"endpoint": endpoint, "namespace": "bench",
                                "ca_file": E["NEUTRAL_CA"], "stall_seconds": 3600,
                                "connect_seconds": 600},
                    "transfer": {}, "limits": {"jobs_per_user": 2000000}}
        for k, v in settings.items():
            section, key = k.split("__")
            sections[section][key] = v
        with open(self.dir + "/conf/ocid/ocid.conf", "w") as f:
            for name, keys in sections.items():
                f.write(f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()))
        self.env = {"HOME": self.dir + "/home", "XDG_RUNTIME_DIR": self.dir + "/run",
                    "XDG_CONFIG_HOME": self.dir + "/conf", "XDG_STATE_HOME": self.state,
                    "PATH": self.bin + ":" + E.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8"}
        self.socket = self.dir + "/run/ocid/ocid.sock"
        self.log = open(self.dir + "/log", "wb")
        self.p = subprocess.Popen([*below, self.bin + "/ocid"], env=self.env, stdin=subprocess.DEVNULL,
                                  stdout=self.log, stderr=self.log, start_new_session=True)
        Service.live.append(self)
        end = time.monotonic() + (60 if below else 15)
        while True:
            try:
                self.c = Client(self.socket)
                return
            except OSError:
                if self.p.poll() is not None or time.monotonic() > end:
                    self.stop()
                    with open(self.dir + "/log") as f:
                        raise Failed("ocid does not come up:\n" + f.read()[-2000:])
                time.sleep(0.01)

    @property
    def pid(self):
        return self.p.pid

    def stop(self):
        if self not in Service.live:
            return
        Service.live.remove(self)
        self.p.terminate()
        try:
            self.p.wait(15)
        except subprocess.TimeoutExpired:
            for p in reversed(tree(self.p.pid)):
                try:
                    os.kill(p, signal.SIGKILL)
                except OSError:
                    pass
            self.p.wait()
        if E.get("BENCH_KEEP") != "1":
            shutil.rmtree(self.state, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def ocictl(self, *args, count=1, seconds=300):
        """Runs ocictl count times; what spawn.c prints."""
        r = subprocess.run([RUN + "/spawn", str(count), self.bin + "/ocictl", *args], env=self.env,
                           capture_output=True, text=True, timeout=seconds)
        if r.returncode:
            words = r.stderr.strip()[-500:]
            raise Failed(f"ocictl {' '.join(args)}: status {r.returncode}: {words}")
        return json.loads(r.stdout)


# the neutral server -------------------------------------------------------------------------------


def server_stats(reset=False):
    url = E["NEUTRAL_PLAIN"] + "/_stats" + ("?reset=1" if reset else "")
    return json.load(urllib.request.urlopen(url, timeout=30))


def honest(least):
    """What the server saw since the last reset: at least so many requests, each one signed."""
    st = server_stats(True)
    sent = st.get("req", 0)
    if sent != st.get("signed", 0) or st.get("bad_signature") or st.get("bad_crc"):
        raise Failed(f"not all requests were signed and sound: {st}")
    if sent < least:
        raise Failed(f"only {sent} of {least} requests came: {st}")
    return st


def endpoint(tls):
    return E["NEUTRAL_TLS" if tls else "NEUTRAL_PLAIN"]


# data ---------------------------------------------------------------------------------------------


def small_files():
    """COUNT files of 4 KiB in memory; their directory."""
    d = RUN + "/s4k"
    if not os.path.isdir(d):
        os.mkdir(d)
        block = os.urandom(4096 * 256)
        for i in range(COUNT):
            with open(f"{d}/f{i:07d}", "wb") as f:
                f.write(block[i % 256 * 4096:i % 256 * 4096 + 4088] + struct.pack(">Q", i))
    return d


def put_job(path, name, **more):
    """A put as a client hands it over: with the identity of its source."""
    st = os.stat(path)
    return {"kind": "put", "bucket": "sink", "object": name, "source": path.encode(),
            "size": st.st_size, "dev": st.st_dev, "inode": st.st_ino, "mtime_ns": st.st_mtime_ns,
            "ctime_ns": st.st_ctime_ns, **more}


def submit_frames(path, n_frames, jobs_each, **more):
    """Frames of job.submit, packed before the clock runs; the jobs differ by their object."""
    job = put_job(path, "X" * 12, **more)
    one = pack(job)
    head, tail = one.split(pack("X" * 12))
    mark = pack("X" * 12)[:1]
    n = bytes((0x90 | jobs_each,)) if jobs_each < 16 else b"\xdc" + struct.pack(">H", jobs_each)
    lead = pack("job.submit") + b"\x81" + pack("jobs") + n
    out = []
    for k in range(n_frames):
        jobs = b"".join(b"%s%s%012d%s" % (head, mark, k * jobs_each + i, tail)
                        for i in range(jobs_each))
        body = b"\x94\x00" + pack(1000 + k) + lead + jobs
        out.append(struct.pack(">I", len(body)) + body)
    return out


# submitting ---------------------------------------------------------------------------------------


def quiet(**settings):
    """A daemon whose jobs stay where they are: its endpoint never answers."""
    h = Holder()
    s = Service(h.url, transfer__connections=1, **settings)
    s.holder = h
    return s


def ack_times(c, frames):
    out = []
    for f in frames:
        t = time.perf_counter()
        c.s.sendall(f)
        c.taken()
        out.append((time.perf_counter() - t) * 1e3)
    return sorted(out)


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


_acks = {}


def acks():
    if not _acks:
        path = small_files() + "/f0000000"
        all_times, sync = [], []
        with quiet() as s:
            ack_times(s.c, submit_frames(path, 300, 1))
            for r in range(ROUNDS):
                sync.append(disk_sync())
                all_times.append(ack_times(s.c, submit_frames(path, 1000, 1)))
        _acks["p50"] = statistics.median(quantile(t, 0.50) for t in all_times)
        _acks["p99"] = statistics.median(quantile(t, 0.99) for t in all_times)
        _acks["sync"] = statistics.median(sync)
    return _acks


@bench
def submit_ack_p50():
    """ms from handing one job over to its durable id, one in flight; beside a bare fdatasync"""
    a = acks()
    emit("submit_ack_p50", a["p50"], "ms", against="fdatasync",
         ratio=round(a["p50"] / a["sync"], 2))


@bench
def submit_ack_p99():
    """the same, 99th percentile"""
    a = acks()
    emit("submit_ack_p99", a["p99"], "ms", against="fdatasync",
         ratio=round(a["p99"] / a["sync"], 2))


def frames_rate(s, frames, window):
    """Frames a second that are acknowledged, at most window of them in flight."""
    t = time.monotonic()
    sent = got = 0
    while got < len(frames):
        more = min(len(frames), got + window) - sent
        if more >= max(1, window // 4) or sent == got:
            s.c.s.sendall(b"".join(frames[sent:sent + more]))
            sent += more
        s.c.taken()
        got += 1
    return len(frames) / (time.monotonic() - t)


def batch_rate(s, n_arrays, window, **more):
    """Jobs a second, arrays of 1,000, so many arrays in flight."""
    frames = submit_frames(small_files() + "/f0000000", n_arrays, 1000, **more)
    cpu0, _ = usage(s.pid)
    rate = frames_rate(s, frames, window) * 1000
    return rate, (usage(s.pid)[0] - cpu0) / n_arrays * 1e3


@bench
def submit_rate():
    """durable jobs a second, one a frame, 16 and 256 frames in flight; submit_batch has arrays"""
    path = small_files() + "/f0000000"
    for window in (16, 256):
        rates = []
        for _ in range(ROUNDS):
            with quiet() as s:
                frames_rate(s, submit_frames(path, 1000, 1), window)
                rates.append(frames_rate(s, submit_frames(path, 20000, 1), window))
        emit(f"submit_rate_{window}", statistics.median(rates), "jobs/s")


@bench
def submit_batch():
    """durable jobs a second, arrays of 1,000, four arrays in flight (and one, for comparison)"""
    for window, name in ((4, "submit_batch"), (1, "submit_batch_single")):
        rates = []
        for _ in range(ROUNDS):
            with quiet() as s:
                batch_rate(s, 10, window)
                rates.append(batch_rate(s, 100, window))
        emit(name, statistics.median(r[0] for r in rates), "jobs/s",
             cpu_us_per_job=round(statistics.median(r[1] for r in rates), 2))


@bench
def submit_batch_full_queue():
    """the rate with 500,000 jobs queued, against that of the empty queue of the same daemon"""
    rates, ratios, pss = [], [], []
    for _ in range(max(1, min(3, ROUNDS))):
        with quiet() as s:
            batch_rate(s, 5, 4)
            empty = batch_rate(s, 50, 4)[0]
            before = memory(s.pid, "Pss:")
            batch_rate(s, 450, 4)
            pss.append((memory(s.pid, "Pss:") - before) * 1048576 / 450000)
            full = batch_rate(s, 50, 4)[0]
            rates.append(full)
            ratios.append(full / empty)
    emit("submit_batch_full_queue", statistics.median(rates), "jobs/s", against="empty queue",
         ratio=round(statistics.median(ratios), 3), pss_bytes_per_job=round(statistics.median(pss)))


# answering while busy -----------------------------------------------------------------------------

_busy = {}


def busy():
    if not _busy:
        d = small_files()
        server_stats(True)
        with Service(endpoint(True), transfer__connections=32) as s:
            jobs = [put_job(f"{d}/f{i % COUNT:07d}", f"busy/{i}") for i in range(250000)]
            ids = s.c.submit(jobs)
            c = Client(s.socket)
            last, times, done0, t0 = frame(7, "job.status", {"ids": [ids[-1]]}), [], None, None
            end = time.monotonic() + 12
            n0 = server_stats().get("put", 0)
            t0 = time.monotonic()
            while time.monotonic() < end and len(times) < 4000:
                t = time.perf_counter()
                c.s.sendall(last)
                c.raw()
                times.append((time.perf_counter() - t) * 1e3)
                time.sleep(0.002)
            n1, t1 = server_stats().get("put", 0), time.monotonic()
            left = s.c.call("daemon.stats")["queued"]
            if left < 100000:
                raise Failed(f"only {left} jobs were still queued")
            if n1 <= n0:
                raise Failed("nothing was transferred meanwhile")
            times.sort()
            _busy.update(p50=quantile(times, 0.5), p99=quantile(times, 0.99), worst=times[-1],
                         queued=left, rate=round((n1 - n0) / (t1 - t0)))
        st = server_stats(True)
        if st.get("req") != st.get("signed") or st.get("bad_signature"):
            raise Failed(f"not all requests were signed: {st}")
    return _busy


@bench
def status_busy_p50():
    """ms of a job's status while 32 TLS puts run flat out and 100,000 jobs are queued"""
    b = busy()
    emit("status_busy_p50", b["p50"], "ms", puts_per_s=b["rate"], queued=b["queued"])


@bench
def status_busy_p99():
    """the same, 99th percentile"""
    b = busy()
    emit("status_busy_p99", b["p99"], "ms", worst=round(b["worst"], 3), puts_per_s=b["rate"])


# the command --------------------------------------------------------------------------------------


@bench
def ctl_round_trip():
    """ms of a whole `ocictl version --daemon`, from fork to exit; beside /bin/true"""
    with quiet() as s:
        s.ocictl("version", "--daemon", count=20)
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(s.ocictl("version", "--daemon", count=100)["p50_ms"])
            out = subprocess.run([RUN + "/spawn", "100", "/bin/true"], capture_output=True,
                                 check=True)
            theirs.append(json.loads(out.stdout)["p50_ms"])
    m, least = statistics.median(ours), statistics.median(theirs)
    emit("ctl_round_trip", m, "ms", against="/bin/true", ratio=round(m / least, 2))


@bench
def ctl_rss():
    """MiB of memory of that command at its peak"""
    with quiet() as s:
        emit("ctl_rss", s.ocictl("version", "--daemon", count=20)["rss_mib"], "MiB")


@bench
def idle_pss():
    """MiB of all processes of an idle service: fresh, and after 5,000 puts; switches a second"""
    d = small_files()
    with Service(endpoint(True)) as s:
        time.sleep(2)
        fresh = memory(s.pid, "Pss:")
        _, w0 = usage(s.pid)
        t0 = time.monotonic()
        time.sleep(10)
        switches = (usage(s.pid)[1] - w0) / (time.monotonic() - t0)
        emit("idle_pss", fresh, "MiB", switches_per_s=round(switches, 2),
             processes=len(tree(s.pid)), rss_mib=round(memory(s.pid, "VmRSS:"), 1))
        put_set(s, d, "warm", 5000)
        time.sleep(3)
        _, w0 = usage(s.pid)
        t0 = time.monotonic()
        time.sleep(5)
        switches = (usage(s.pid)[1] - w0) / (time.monotonic() - t0)
        emit("idle_pss_used", memory(s.pid, "Pss:"), "MiB", switches_per_s=round(switches, 2))


@bench
def list_million_rss():
    """MiB at the peak of daemon and client while 1,000,000 objects are listed, against 10,000"""
    peak, client = {}, {}
    with Service(endpoint(True)) as s:
        s.ocictl("ls", "oci://v-1000x64/")
        for n in (10000, 1000000):
            forget_peak(s.pid)
            t = time.monotonic()
            r = s.ocictl("ls", f"oci://v-{n}x64/", seconds=600)
            t = time.monotonic() - t
            peak[n], client[n] = memory(s.pid, "VmHWM:"), r["rss_mib"]
            emit("list_rate" if n > 10000 else "list_rate_10k", n / t, "rows/s")
    for name, m in (("list_million_rss", peak), ("list_million_client_rss", client)):
        emit(name, m[1000000], "MiB", against="10,000 objects",
             ratio=round(m[1000000] / m[10000], 3))


# transfers ----------------------------------------------------------------------------------------


def run_set(s, label, jobs):
    """Runs the jobs as one set; seconds until the set is done, CPU s, switches."""
    cpu0, w0 = usage(s.pid)
    t = time.monotonic()
    group = s.c.submit([{"kind": "set", "label": label, "priority": 9}])[0]
    for j in jobs:
        j["set"] = group
        j["priority"] = 9
    s.c.submit(jobs)
    s.c.call("job.seal", {"ids": [group]})
    end = s.c.wait(group, 120)
    t = time.monotonic() - t
    cpu, w = usage(s.pid)
    if end["state"] != "done" or end.get("n_done") != len(jobs):
        raise Failed(f"the set did not end well: {end}")
    return t, cpu - cpu0, w - w0


def put_set(s, d, prefix, count, bucket="sink"):
    """Puts count small files as one set."""
    return run_set(s, prefix, [put_job(f"{d}/f{i % COUNT:07d}", f"{prefix}/f{i:07d}",
                                       bucket=bucket) for i in range(count)])


def get_set(s, d, count):
    """Gets count objects of 4 KiB to the directory d as one set; each is looked at afterwards."""
    r = run_set(s, "get", [{"kind": "get", "bucket": f"v-{count}x4096", "object": f"f{i:07d}",
                            "dest": f"{d}/f{i:07d}".encode()} for i in range(count)])
    with open(f"{E['NEUTRAL_RUN']}/blob/4096", "rb") as f:
        want = f.read()
    for i in range(count):
        with open(f"{d}/f{i:07d}", "rb") as f:
            if f.read() != want:
                raise Failed(f"{f.name} is not what the server sent")
    return r


def one_job(s, job, seconds=180):
    cpu0, w0 = usage(s.pid)
    t = time.monotonic()
    end = s.c.wait(s.c.submit([job])[0], seconds)
    t = time.monotonic() - t
    cpu, w = usage(s.pid)
    if end["state"] != "done":
        raise Failed(f"the job did not end well: {end}")
    return t, cpu - cpu0, w - w0, (end.get("outcome") or {}).get("verified")


def floor(*args, below=(), **env):
    command = [*below, RUN + "/floor", "-a", E["NEUTRAL_CA"], "-k", RUN + "/key.pem", *map(str, args)]
    r = subprocess.run(command, env=dict(E, UV_THREADPOOL_SIZE=str(os.cpu_count()), **env),
                       timeout=300, capture_output=True, text=True)
    if r.returncode:
        raise Failed(f"floor: {r.stderr.strip()[-500:]}")
    f = json.loads(r.stdout)
    return f["seconds"], f["cpu"], f["switches"]


def curl(*args):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    t = time.monotonic()
    subprocess.run(["curl", "-q", "-sS", "-f", "--noproxy", "*", "--cacert", E["NEUTRAL_CA"],
                    *args], check=True, timeout=300, stdout=subprocess.DEVNULL)
    t = time.monotonic() - t
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return t, sum(getattr(after, k) - getattr(before, k) for k in ("ru_utime", "ru_stime")), 0


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

        got = compare(name, "puts/s", COUNT, {"ocid": ours, "floor": bare}, ("put", COUNT))
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


def big_file():
    """BIG bytes that a reader must touch, in memory."""
    return f"{E['NEUTRAL_RUN']}/blob/{BIG}"


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
            "curl": lambda: curl("-H", "Expect:", "-T", path, url)}, ("gib", BIG / (1 << 30)))
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
    out, bucket = RUN + "/out", f"v-1x{BIG}"
    os.makedirs(out, exist_ok=True)
    with Service(endpoint(tls)) as s:

        def ours():
            server_stats(True)
            clear()
            t, cpu, w, verified = one_job(s, {"kind": "get", "bucket": bucket, "object": "f0000000",
                                              "dest": (out + "/ours").encode(), "overwrite": True})
            honest(1)
            if os.stat(out + "/ours").st_size != BIG or verified != "crc32c":
                raise Failed(f"verified by {verified}")
            return t, cpu, w

        def clear():
            for f in os.listdir(out):
                os.unlink(out + "/" + f)

        def bare():
            clear()
            return floor("-e", endpoint(tls), "-m", "get", "-b", bucket, "-s", BIG, "-r", 16 << 20,
                         "-c", 4, "-d", 262144, "-o", out + "/floor")

        def plain():
            clear()
            return curl("-o", out + "/curl", f"{endpoint(tls)}/n/bench/b/{bucket}/o/f0000000")

        try:
            compare(name, "MiB/s", BIG / 1048576, {"ocid": ours, "floor": bare, "curl": plain},
                    ("gib", BIG / (1 << 30)))
            ours()
            if subprocess.run(["cmp", "-s", out + "/ours", big_file()]).returncode:
                raise Failed("the download is not what the server sent")
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
    """4 KiB objects a second into memory, each verified, synced and renamed, against R; the same
    to the disk, against write, fsync, rename and directory sync alone"""
    memory_rates, disk_rates, rs, syncs = [], [], [rsa_rate()], []
    with Service(endpoint(True)) as s:
        for _ in range(ROUNDS):
            for base, rates in ((RUN, memory_rates), (QUEUE, disk_rates)):
                with tempfile.TemporaryDirectory(dir=base) as d:
                    server_stats(True)
                    rates.append(COUNT / get_set(s, d, COUNT)[0])
                    honest(COUNT)
            rs.append(rsa_rate())
            with tempfile.TemporaryDirectory(dir=QUEUE) as d:
                syncs.append(sync_rate(d, min(COUNT, 1000)))
    for name, rates, against, theirs in (("get_4k", memory_rates, "R", rs),
                                         ("get_4k_disk", disk_rates, "fsync and rename", syncs)):
        ours, other = statistics.median(rates), statistics.median(theirs)
        emit(name, ours, "gets/s", against=against, ratio=round(ours / other, 3),
             theirs=round(other))


@bench
def far_4k():
    """4 KiB objects a second, TLS, 20 ms away, no option given; against R"""
    d, n, rates, got = small_files(), iter(range(1000000)), [rsa_rate()], []
    with Service(endpoint(True)) as s:
        for _ in range(ROUNDS):
            server_stats(True)
            got.append(COUNT / put_set(s, d, f"far{next(n)}", COUNT, bucket="sink-d20")[0])
            honest(COUNT)
            rates.append(rsa_rate())
    rate, r = statistics.median(got), statistics.median(rates)
    emit("far_4k", rate, "puts/s", against="R", ratio=round(rate / r, 3), theirs=round(r))


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


def main():
    names = sys.argv[1:]
    if names == ["--list"]:
        for k, f in BENCHES.items():
            print(f"{k:26} {' '.join(f.__doc__.split())}")
        return 0
    unknown = [n for n in names if n not in BENCHES]
    if unknown:
        note(f"bench: no {', '.join(unknown)}; run.sh -l lists the names")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    atexit.register(lambda: [s.stop() for s in list(Service.live)])
    load = os.getloadavg()[0]
    if load > 0.5:
        note(f"bench: load is {load:.2f}: something else is running, figures will swing")
    status = 0
    for n in names or [b for b in BENCHES if b != "floor_only"]:
        try:
            BENCHES[n]()
        except Exception as e:  # the next figure may still be had
            note(f"bench: {n}: {type(e).__name__}: {e}")
            print(json.dumps({"name": n, "error": str(e)[:300]}), flush=True)
            status = 1
        for s in list(Service.live):
            s.stop()
    return status


if __name__ == "__main__":
    sys.exit(main())
