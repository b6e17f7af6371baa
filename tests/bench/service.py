# SPDX-License-Identifier: Apache-2.0
"""The service that is measured, the server at the other end, and the work to give to them."""
import glob
import json
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.request

from kit import BIG, COUNT, E, QUEUE, RUN, tree, usage
from wire import Client, Failed, pack


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


def binaries():
    if E.get("OCID_BIN"):
        return E["OCID_BIN"]
    found = glob.glob(E["BENCH_ROOT"] + "/build*/**/bin/ocid", recursive=True)
    if not found:
        raise Failed("no ocid: build it first, or set OCID_BIN")
    return os.path.dirname(max(found, key=os.path.getmtime))


def key_config(path):
    """Writes the configuration of the key of this run, as Oracle's clients read it, too."""
    der = subprocess.run(["openssl", "rsa", "-in", RUN + "/key.pem", "-pubout", "-outform", "DER"],
                         capture_output=True, check=True).stdout
    md5 = subprocess.run(["openssl", "md5", "-c"], input=der, capture_output=True, check=True)
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write("[DEFAULT]\nuser=ocid1.user.oc1..bench\ntenancy=ocid1.tenancy.oc1..bench\n"
                f"fingerprint={md5.stdout.decode().split()[-1]}\nkey_file={RUN}/key.pem\n"
                "region=us-phoenix-1\n")


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
        key_config(self.dir + "/home/.oci/config")
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
        self.below = below
        self.start()

    def start(self):
        self.p = subprocess.Popen([*self.below, self.bin + "/ocid"], env=self.env,
                                  stdin=subprocess.DEVNULL, stdout=self.log,
                                  stderr=self.log, start_new_session=True)
        if self not in Service.live:
            Service.live.append(self)
        end = time.monotonic() + (60 if self.below else 15)
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

    def kill(self):
        """As a crash does."""
        for p in reversed(tree(self.p.pid)):
            try:
                os.kill(p, signal.SIGKILL)
            except OSError:
                pass
        self.p.wait()

    def stop(self):
        if self not in Service.live:
            return
        Service.live.remove(self)
        self.p.terminate()
        try:
            self.p.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()
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


def quiet(**settings):
    """A daemon whose jobs stay where they are: its endpoint never answers."""
    h = Holder()
    s = Service(h.url, transfer__connections=1, **settings)
    s.holder = h
    return s


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


def big_file():
    """BIG bytes that a reader must touch, in memory."""
    return f"{E['NEUTRAL_RUN']}/blob/{BIG}"


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
    command = [*below, RUN + "/floor", "-a", E["NEUTRAL_CA"], "-k", RUN + "/key.pem",
               *map(str, args)]
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
