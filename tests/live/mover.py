# SPDX-License-Identifier: Apache-2.0
"""mover.py - ocid itself, in a daemon of its own: what it says of moving a file there and back."""
import contextlib
import os
import secrets
import subprocess
import tempfile
import time
from pathlib import Path

MIB = 1 << 20
EXPECTED = "there and back in 3 parts"
CLAIM = "ocid puts 12 MiB in parts, gets them back and deletes them."
START_S, STOP_S = 20, 30
TEMP_MAX = 60  # the daemon's socket is below it, and a socket's path has 107 bytes at most


def short_temp():
    temp = tempfile.gettempdir()
    return temp if len(os.fsencode(temp)) <= TEMP_MAX else "/tmp"


class Mover:
    """A daemon with a queue of its own below a temporary folder; a context."""

    def __init__(self, programs, profile, args, proxy):
        self.programs, self.profile, self.args, self.proxy = programs, profile, args, proxy
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:  # also when a signal ends the start
            self.where = Path(stack.enter_context(
                tempfile.TemporaryDirectory(prefix="ocid-live.", dir=short_temp(),
                                            ignore_cleanup_errors=True)))
            for folder in ("conf/ocid", "run", "state"):
                (self.where / folder).mkdir(parents=True, mode=0o700)
            (self.where / "conf/ocid/ocid.conf").write_text(self.settings())
            self.log = self.where / "log"
            self.daemon = self.spawn()
            stack.callback(self.end)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        return self.stack.__exit__(*error)

    def settings(self):
        args = self.args
        network = {"endpoint": args.endpoint, "namespace": args.namespace,
                   "ca_file": args.ca_file and os.path.abspath(args.ca_file), "proxy": self.proxy}
        lines = ["[credentials]", f"profile = {args.profile}", f"config_file = {args.config}",
                 "[network]", *(f"{k} = {v}" for k, v in network.items() if v)]
        if self.profile.token_file:  # it belongs to whoever has logged in
            lines += [f"[profile {args.profile}]", "refresh = no"]
        return "".join(f"{line}\n" for line in lines)

    def spawn(self):
        self.env = {"HOME": os.environ.get("HOME", "/"), "PATH": os.environ.get("PATH", ""),
                    "XDG_CONFIG_HOME": f"{self.where}/conf", "XDG_RUNTIME_DIR": f"{self.where}/run",
                    "XDG_STATE_HOME": f"{self.where}/state", "LANG": "C.UTF-8"}
        with open(self.log, "wb") as log:
            # a session of its own: Ctrl-C is ours
            return subprocess.Popen([f"{self.programs}/ocid"], env=self.env, stdout=log, stderr=log,
                                    stdin=subprocess.DEVNULL, start_new_session=True)

    def end(self):
        self.daemon.terminate()
        try:
            self.daemon.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()

    def ctl(self, *words, patience_s=START_S, **more):
        return subprocess.run([f"{self.programs}/ocictl", *words], env=self.env, text=True,
                              capture_output=True, timeout=patience_s, start_new_session=True,
                              **{"stdin": subprocess.DEVNULL, **more})

    def started(self):
        """What keeps the daemon from answering, or None."""
        end = time.monotonic() + START_S
        while self.ctl("status").returncode == 3:
            if self.daemon.poll() is not None or time.monotonic() > end:
                lines = self.log.read_text(errors="replace").strip().splitlines()
                return f"ocid does not start: {lines[-1] if lines else 'it says nothing'}"
            time.sleep(0.1)
        return None

    def unlocked(self):
        """What keeps the key from being opened, or None; the pass phrase comes down a pipe."""
        if self.profile.phrase is None:
            return None
        reader, writer = os.pipe()
        try:
            os.write(writer, self.profile.phrase.encode() + b"\n")
            os.close(writer)
            r = self.ctl("unlock", "--passphrase-fd", str(reader), pass_fds=(reader,))
        finally:
            os.close(reader)
        return last_line("unlock", r) if r.returncode else None

    def moves(self, p, bucket):
        """There, back and away again: EXPECTED, or the first thing that went otherwise."""
        try:
            trouble = self.started() or self.unlocked()
        except subprocess.TimeoutExpired:
            trouble = "ocid does not answer"
        if trouble:
            return trouble
        (self.where / "file").write_bytes(secrets.token_bytes(12 * MIB))
        name = f"oci://{bucket}/{p.prefix}ocid"
        trouble = self.transfer("push", "--part-size", "5M", f"{self.where}/file", name)
        if trouble:
            return trouble
        md5 = p.ask("HEAD", p.o("ocid")).headers.get("opc-multipart-md5", "")
        trouble = self.transfer("pull", name, f"{self.where}/back") or self.transfer("rm", name)
        if trouble:
            return trouble
        if (self.where / "file").read_bytes() != (self.where / "back").read_bytes():
            return "other bytes came back"
        return f"there and back in {md5.rpartition('-')[2] or 'no'} parts"

    def transfer(self, verb, *words):
        """What went wrong, or None."""
        try:
            r = self.ctl(verb, *(["--wait"] if verb != "rm" else []), *words,
                         patience_s=self.args.patience)
        except subprocess.TimeoutExpired:
            return f"{verb}: not done within {self.args.patience} s{self.why()}"
        return last_line(verb, r) if r.returncode else None

    def why(self):
        """What the daemon says of a job that takes so long."""
        try:
            lines = self.ctl("status").stdout.strip().splitlines()
        except subprocess.TimeoutExpired:
            return ""
        return f": {' '.join(lines[-1].split())}" if lines else ""


def last_line(verb, done):
    lines = done.stderr.strip().splitlines()
    return f"{verb}: {lines[-1] if lines else f'status {done.returncode}'}"
