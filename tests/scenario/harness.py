# SPDX-License-Identifier: Apache-2.0
"""harness.py - a daemon of a test's own: directories, key, configuration, life, and the words to
talk to it. Everything that waits has a bound.

Environment:
  OCID_BIN    directory of ocid, ocid-signer and ocictl; else $OCID_BUILD/bin, else the newest
              build*/**/bin of this tree
  OCID_WRAP   put before the daemon's command: "valgrind -q --error-exitcode=99"
  OCID_SLOW   multiplies every bound (valgrind, sanitizers)
"""

import contextlib
import ctypes
import glob
import hashlib
import os
import random
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "client/python/src"), str(ROOT / "tests")]

import msgpack  # noqa: E402
from objstore import Profile, Store  # noqa: E402, F401

import ocid as client_library  # noqa: E402

SLOW = float(os.environ.get("OCID_SLOW", "1"))
START_S, STOP_S, CALL_S, WAIT_S = 15 * SLOW, 15 * SLOW, 20 * SLOW, 30 * SLOW
KIB, MIB = 1 << 10, 1 << 20
FINAL = ("done", "failed", "cancelled")
NO_LEAKS = {"ASAN_OPTIONS": "detect_leaks=0"}
TROUBLE = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:",
           "Assertion `", "== ERROR SUMMARY: 1")


def binaries():
    """Directory of the programs under test, or None."""
    named = os.environ.get("OCID_BIN")
    if not named and os.environ.get("OCID_BUILD"):
        named = os.path.join(os.environ["OCID_BUILD"], "bin")
    if named:
        return os.path.abspath(named) if os.path.exists(os.path.join(named, "ocid")) else None
    found = glob.glob(str(ROOT / "build*/**/bin/ocid"), recursive=True)
    return os.path.dirname(max(found, key=os.path.getmtime)) if found else None


def until(check, what, timeout=WAIT_S):
    """The first true value of check(), within a bound."""
    end = time.monotonic() + timeout
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"not within {timeout:g} s: {what}")
        time.sleep(0.01)


def blob(size, seed=1):
    """So many bytes that look like nothing and are the same each time."""
    return random.Random(f"{size}/{seed}").randbytes(size)


def sha(data):
    """SHA-256 in hex of bytes, or of the file at a path."""
    if isinstance(data, (str, os.PathLike)):
        data = Path(data).read_bytes()
    return hashlib.sha256(data).hexdigest()


def make_profile(folder, bits=2048, passphrase=None, **facts):
    """A fresh API key in a file, as an objstore.Profile."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    lock = (serialization.BestAvailableEncryption(passphrase.encode()) if passphrase
            else serialization.NoEncryption())
    path = Path(folder) / f"key-{bits}-{'locked' if passphrase else 'open'}.pem"
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM,
                                       serialization.PrivateFormat.PKCS8, lock))
    path.chmod(0o600)
    return Profile(key_file=str(path), passphrase=passphrase, **facts)


def process_tree(pid):
    """pid and every process below it."""
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        for path in glob.glob(f"/proc/{one}/task/*/children"):
            with contextlib.suppress(OSError):
                todo += map(int, Path(path).read_text().split())
    return found


def rss(pid):
    """Resident memory of a process, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10


def settle(pid):
    """Until the process has nothing left to do but wait for others: what it had begun is ready."""
    def slept():
        return [line for path in sorted(glob.glob(f"/proc/{pid}/task/*/status"))
                for line in Path(path).read_text().splitlines() if "ctxt_switches" in line]

    last = [None] * 10  # as many looks, and until() looks every 10 ms

    def still():
        last.append(slept())
        return all(one == last[-1] for one in last[-10:])
    until(still, "the process is calm")


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextlib.contextmanager
def own_network():
    """A network for this thread and what it starts meanwhile, with nothing but a loopback (as root)."""
    clone_newnet = 0x40000000
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(clone_newnet):
            raise OSError(ctypes.get_errno(), "unshare")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True, capture_output=True)
            yield
        finally:
            libc.setns(home, clone_newnet)
    finally:
        os.close(home)


class Done:
    """What a command said."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __repr__(self):
        return f"<status {self.status}\nout: {self.out}\nerr: {self.err}>"


class Ocid:
    """One daemon with a home, a queue and a configuration of its own.

    ocid.start(); job = ocid.put(b"data", "b/o"); assert ocid.wait(job).state == "done"
    """

    def __init__(self, folder, store, profile, **settings):
        self.folder, self.store, self.profile = Path(folder), store, profile
        self.bin = binaries()
        self.home, self.state = self.folder / "home", self.folder / "state"
        self.files, self.run = self.folder / "files", self.folder / "r"
        if len(str(self.run)) > 80:  # a socket's path is short
            self.run = Path(tempfile.mkdtemp(prefix="ocid-r"))
        for path in (self.home / ".oci", self.state, self.files, self.run,
                     self.folder / "conf/ocid"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.oci_config = self.home / ".oci/config"
        self.config_file = self.folder / "conf/ocid/ocid.conf"
        self.settings = {"daemon": {"log_level": "debug", "drain_seconds": 1, "ballast_mib": 1},
                         "network": {"endpoint": store.url, "identity_endpoint": store.url,
                                     "retry_cap_seconds": 1, "connect_seconds": 5},
                         "transfer": {"part_mib": 1, "multipart_threshold_mib": 1},
                         "limits": {}}
        if store.ca_file:
            self.settings["network"]["ca_file"] = store.ca_file
        self.env = {"HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.run),
                    "XDG_STATE_HOME": str(self.state), "LANG": "C.UTF-8",
                    "XDG_CONFIG_HOME": str(self.folder / "conf"),
                    "PATH": f"{self.bin}:{os.environ.get('PATH', '/usr/bin:/bin')}"}
        for name in os.environ:
            if name.endswith("SAN_OPTIONS") or name.startswith("OCID_FAULT"):
                self.env[name] = os.environ[name]
        self.socket = str(self.run / "ocid/ocid.sock")
        self.log_file = self.folder / "ocid.log"
        self.process = self.signer = None
        self.expect_trouble = False
        self._client = None
        self._n_files = 0
        self.write_profile()
        self.configure(**settings)

    # Configuration.

    def write_profile(self, profile=None, name="DEFAULT", **more):
        """Adds a profile; the first call makes the file."""
        profile = profile or self.profile
        secret = {} if "pass_phrase" not in more else {"pass_phrase": more.pop("pass_phrase")}
        values = {**profile.as_config(), **more}
        values.pop("pass_phrase", None)
        values.update(secret)
        text = f"[{name}]\n" + "".join(f"{k}={v}\n" for k, v in values.items()) + "\n"
        old = self.oci_config.read_text() if self.oci_config.exists() else ""
        self.oci_config.write_text(old + text)
        self.oci_config.chmod(0o600)

    def configure(self, **settings):
        """Changes settings (section__key=value) and writes ocid.conf."""
        for name, value in settings.items():
            section, _, key = name.partition("__")
            self.settings.setdefault(section, {})[key] = value
        self.write_config("".join(
            f"[{section}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()) + "\n"
            for section, keys in self.settings.items()))

    def write_config(self, text):
        self.config_file.write_text(text)

    # Life.

    def command(self, *args):
        return [*shlex.split(os.environ.get("OCID_WRAP", "")), f"{self.bin}/ocid", *args]

    def spawn(self, *args, **env):
        """The daemon's process, not waited for."""
        with open(self.log_file, "ab") as log:
            return subprocess.Popen(self.command(*args), env={**self.env, **env}, stdout=log,
                                    stdin=subprocess.DEVNULL, stderr=log, cwd=self.folder,
                                    start_new_session=True)

    def start(self, **env):
        """Ready when hello works."""
        assert self.process is None
        self.process = self.spawn(**env)
        until(self._ready, "the daemon is up", START_S)
        below = process_tree(self.process.pid)[1:]
        self.signer = below[0] if below else None
        return self

    def _ready(self):
        if self.process.poll() is not None:
            status = self.process.returncode
            self.process = None
            raise RuntimeError(f"ocid ended with {status} at the start:\n{self.log()[-3000:]}")
        try:
            self._client = client_library.Client(socket=self.socket, timeout=CALL_S,
                                                 software="scenario")
        except client_library.NoDaemon:
            return False
        return True

    def run_once(self, *args, timeout=START_S, **env):
        """A daemon that is expected to end by itself: it leaves its memory to the kernel."""
        done = subprocess.run(self.command(*args), env={**self.env, **NO_LEAKS, **env},
                              cwd=self.folder,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    @property
    def pid(self):
        return self.process.pid

    def stop(self, timeout=STOP_S):
        """SIGTERM; the exit status."""
        return self._end(signal.SIGTERM, timeout)

    def kill(self):
        """SIGKILL: a crash."""
        return self._end(signal.SIGKILL, STOP_S)

    def _end(self, number, timeout):
        process, self.process = self.process, None
        if self._client:
            self._client.close()
            self._client = None
        if process is None:
            return 0
        below = process_tree(process.pid)[1:]
        process.send_signal(number)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            for pid in below:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            raise TimeoutError(f"ocid did not end within {timeout:g} s of "
                               f"{signal.Signals(number).name}") from None
        until(lambda: not any(map(alive, below)), "the signer ends with the daemon", STOP_S)
        return status

    def restart(self, **env):
        self.stop()
        return self.start(**env)

    def crash(self, **env):
        """kill -9 and start again."""
        self.kill()
        return self.start(**env)

    def hup(self):
        self.process.send_signal(signal.SIGHUP)

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def close(self):
        """Ends it, and says what no test may leave behind."""
        running = self.process is not None
        try:
            status = self.stop()
        finally:
            if not str(self.run).startswith(str(self.folder)):
                shutil.rmtree(self.run, ignore_errors=True)
        if self.expect_trouble:
            return
        found = [word for word in TROUBLE if word in self.log()]
        assert not found, f"the daemon's log has {found}"
        assert not running or status == 0, f"ocid ended with {status}"

    # Talking to it.

    @property
    def client(self):
        assert self._client, "the daemon is not running"
        return self._client

    def another(self, **options):
        """One more client."""
        return client_library.Client(socket=self.socket, timeout=CALL_S, **options)

    def wire(self, hello=True):
        """A bare connection, for bytes that no client would send."""
        return Wire(self.socket, hello)

    def ctl(self, *args, input=None, timeout=CALL_S, env=None, pass_fds=(), cwd=None):
        """Runs ocictl."""
        done = subprocess.run([f"{self.bin}/ocictl", *map(os.fspath, args)],
                              env={**self.env, **(env or {})}, input=input, capture_output=True,
                              timeout=timeout, pass_fds=pass_fds, cwd=cwd or self.files,
                              check=False,
                              **({"stdin": subprocess.DEVNULL} if input is None else {}))
        return Done(done.returncode, done.stdout.decode(errors="surrogateescape"),
                    done.stderr.decode(errors="surrogateescape"))

    def file(self, data=b"", name=None):
        """A file with these bytes; its path."""
        self._n_files += 1
        path = self.files / (name or f"source-{self._n_files}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def put(self, data, to, **options):
        """Queues the upload of bytes (by way of a file) or of a path; the job's id."""
        if isinstance(data, bytes):
            data = self.file(data)
        if "part_mib" in options:
            options["part_bytes"] = int(options.pop("part_mib") * MIB)
        return self.client.put(data, to, **options).id

    def get(self, source, dest=None, **options):
        """Queues a download; the job's id. dest: a name in ocid.files."""
        dest = self.files / (dest or "got")
        return self.client.get(source, dest, **options).id

    def submit(self, *jobs):
        return self.client.submit(jobs)

    def status(self, job):
        return self.client.status([job])[0]

    def wait(self, job, timeout=WAIT_S):
        """Its state at the end, however it ended."""
        try:
            return self.client.wait([job], timeout, check=False)[0]
        except client_library.TimedOut:
            raise TimeoutError(f"not at its end within {timeout:g} s: {self.status(job)}") from None

    def done(self, job, timeout=WAIT_S):
        """Its state at the end, which must be `done`."""
        status = self.wait(job, timeout)
        assert status.state == "done", status
        return status

    def failed(self, job, error, timeout=WAIT_S):
        """Its state at the end, which must be `failed` for this reason."""
        status = self.wait(job, timeout)
        assert (status.state, status.outcome.error) == ("failed", error), status
        return status

    def wait_for(self, job, state, why=None, timeout=WAIT_S):
        """Follows it to this state, which may have passed already only if it is final."""
        return self.wait_that(job, lambda s: s.state == state and why in (None, s.why),
                              f"{state} {why or ''}", timeout)

    def wait_that(self, job, check, what, timeout=WAIT_S):
        """Follows it until check(status)."""
        end = time.monotonic() + timeout
        epoch = since = 0
        last = None
        while True:
            epoch, since, found = self.client.changes([job], epoch=epoch, since=since,
                                                      wait=0 if last is None else 1)
            for status in found:
                last = status
                if check(status):
                    return status
            if last.final or time.monotonic() > end:
                raise TimeoutError(f"job {job} is not {what} within {timeout:g} s: {last}")

    def unlock(self, phrase, profile=""):
        return self.client.unlock(phrase, profile)

    def reload(self):
        return self.client.reload()

    # What is on the disk.

    def part_files(self):
        """Part files anywhere below ocid.files."""
        return sorted(self.files.rglob(".ocid-*"))

    def database(self):
        (found,) = self.state.rglob("*.db")
        return found


class Wire:
    """A connection at the level of bytes."""

    def __init__(self, path, hello=True):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CALL_S)
        self.sock.connect(path)
        self.last = 0
        if hello:
            self.welcome = self.call("hello", {"min": 1, "max": 1})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))]
        sent = self.sock.sendmsg([data], rights if fds else [])
        if sent < len(data):
            self.sock.sendall(data[sent:])

    def request(self, method, params, fds=()):
        self.last += 1
        self.send(framed(msgpack.packb([0, self.last, method, params])), fds)
        return self.last

    def reply(self):
        """The next reply as a list; None at the end of the connection."""
        try:
            head = self._exactly(4)
            return msgpack.unpackb(self._exactly(struct.unpack(">I", head)[0]),
                                   strict_map_key=False)
        except (ConnectionError, EOFError):
            return None

    def _exactly(self, size):
        found = b""
        while len(found) < size:
            part = self.sock.recv(size - len(found))
            if not part:
                raise EOFError
            found += part
        return found

    def call(self, method, params, fds=()):
        """The result; an error as `Refused`."""
        self.request(method, params, fds)
        reply = self.reply()
        if reply is None:
            raise ConnectionResetError("the daemon hung up")
        if reply[2] is not None and reply[1] in (0, self.last):
            raise Refused(reply[2])
        assert reply[:2] == [1, self.last], reply
        return reply[3]

    def ends(self, timeout=CALL_S):
        """Reads on to the end of the connection: replies that still came. TimeoutError if the
        daemon holds on."""
        self.sock.settimeout(timeout)
        replies = []
        while True:
            reply = self.reply()
            if reply is None:
                return replies
            replies.append(reply)


class Refused(Exception):
    def __init__(self, error):
        super().__init__(error)
        self.code, self.error = error.get("code"), error


def framed(payload):
    return struct.pack(">I", len(payload)) + payload
