# SPDX-License-Identifier: Apache-2.0
"""world.py - one tortured daemon with its store, its disk and its ledger."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from harness import FINAL, SLOW, Ocid, Refused, Wire, alive, process_tree, until

from . import says
from .check import Check, quiet
from .ledger import OURS, Ledger, Violation, made_at

REST_S = 40 * SLOW
GONE = (ConnectionError, EOFError, TimeoutError, OSError)


@contextlib.contextmanager
def silence():
    """What is started meanwhile says nothing of connections that broke."""
    stderr = os.dup(2)
    with open(os.devnull, "wb") as null:
        os.dup2(null.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


class Daemon(Ocid):
    """Started with a tool before it that leaves our child the daemon itself."""

    wrap = ()
    held = None  # a listening socket that is ours, as systemd passes one

    def spawn(self, *args, **env):
        if self.held is None:
            return super().spawn(*args, **env)
        fd = self.held.fileno()
        with open(self.log_file, "ab") as log:
            return subprocess.Popen(
                ["sh", "-c", f'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@" 3<&{fd}', "sh",
                 *self.command(*args)], env={**self.env, **env}, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, cwd=self.folder, start_new_session=True, pass_fds=[fd])

    def command(self, *args):
        return [*self.wrap, f"{self.bin}/ocid", *args]

    def _ready(self):
        return os.path.exists(self.socket)


class World:
    """One daemon's world, for as many points as one likes: `with World(…) as world`."""

    def __init__(self, folder, store, profile, bucket, rng, **settings):
        self.folder, self.store, self.bucket, self.rng = Path(folder), store, bucket, rng
        self.folder.mkdir(parents=True)
        self.buckets = [bucket]
        store.make_bucket(bucket)
        self.ocid = Daemon(self.folder, store, profile,
                           **{"network__stall_seconds": 5, "daemon__log_level": "info",
                              "transfer__connections": 8, **settings})
        self.check = Check(self)
        self.ledger = Ledger(rng, self)
        self.wire = None
        self.life = 0  # so often the daemon was started
        self.gaps = []  # [when it was dead, when the next one was begun or None]
        self.hung_up = 0
        self.logged = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        if not str(self.ocid.run).startswith(str(self.folder)):
            shutil.rmtree(self.ocid.run, ignore_errors=True)

    # The daemon's life.

    def up(self, wrap=(), env=None, mute=False):
        """Starts it; False if it ended before it could be spoken to. mute: what it suffers lasts, so
        it may also hang up on whoever speaks to it."""
        self.ocid.wrap = tuple(wrap)
        if not self.ocid.held:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.ocid.socket)
        self.life += 1
        if self.gaps:
            self.gaps[-1][1] = self.gaps[-1][1] or time.time()
        self.ocid.process = process = self.ocid.spawn(**(env or {}))
        self.hung_up = 0
        try:
            until(lambda: process.poll() is not None or self._connects()
                  or (mute and self.hung_up > 2), "the daemon is up", 15 * SLOW)
        except TimeoutError:
            raise Violation(f"it neither starts nor ends: {self.ocid.log()[-1500:]}") from None
        return self.wire is not None

    def _connects(self):
        try:
            wire = Wire(self.ocid.socket, hello=False)
            wire.call("hello", {"min": 1, "max": 1, "label": "t"})
            self.wire = wire
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except (*GONE, Refused):  # there may be no descriptor for us
            self.hung_up += 1
            return False
        return True

    @property
    def running(self):
        return self.ocid.process is not None and self.ocid.process.poll() is None

    def kill(self):
        """Ends it, if it has not ended, and waits for the signer, too."""
        self.hang_up()
        process, self.ocid.process = self.ocid.process, None
        if process is None:
            return
        below = process_tree(process.pid)[1:]
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        process.wait()
        until(lambda: not any(map(alive, below)), "the signer ends with the daemon", 15 * SLOW)
        self.ledger.over()

    def stop(self):
        self.hang_up()
        process, self.ocid.process = self.ocid.process, None
        process.send_signal(signal.SIGTERM)
        if process.wait(20 * SLOW) != 0:
            raise Violation(f"it did not stop well: {process.returncode}")
        self.ledger.over()

    def hang_up(self):
        if self.wire:
            self.wire.sock.close()
        self.wire = None

    def died(self, recover=None):
        """After its end, however it came: what must hold. recover(): brings the disk back."""
        self.kill()
        self.gaps.append([time.time(), None])
        if recover:
            recover()
        self.store.clear()
        quiet(self.store)
        self.check.dead()

    # What is asked of it.

    def signer(self):
        below = process_tree(self.ocid.process.pid)[1:]
        return below[0] if below else None

    def step(self):
        """Something that a client does. False: the daemon has gone."""
        rng, ledger = self.rng, self.ledger
        try:
            if not says.something(self) and len(ledger.open()) < 30:
                again = ledger.unsent()[:20]
                ledger.submit(self.wire, again + [ledger.new() for _ in range(rng.randrange(1, 5))])
            self.look(rng.randrange(1, 25))
        except Refused as refused:
            if refused.code in OURS:
                raise Violation(f"refused: {refused}") from None
        except GONE:
            return False
        return True

    def look(self, wait_ms):
        self.ledger.move()
        ids = [item.id for item in self.ledger.open()][:1000]
        if not ids:
            return
        found = self._observe(ids)
        if wait_ms and not any(job["state"] in FINAL for job in found["jobs"]):
            self._observe(ids, epoch=found["epoch"], since=found["seq"], wait_ms=wait_ms)

    def _observe(self, ids, **since):
        found = self.wire.call("job.status", {"ids": ids, **since})
        self.check.waiting(found["jobs"])
        self.ledger.observe(found["jobs"])
        return found

    def drive(self, steps):
        """So many steps, or until the daemon has gone."""
        for _ in range(steps):
            if not self.step():
                return False
        return True

    def come_to_rest(self):
        """The world is well again: everything ends, and all of it is right."""
        ledger = self.ledger
        if not self.running or not self.wire:
            self.kill()
            if not self.up():
                raise Violation(f"it does not start any more: {self.ocid.log()[-2000:]}")
        end = time.monotonic() + REST_S
        for at in range(0, len(ledger.unsent()), 60):
            ledger.submit(self.wire, ledger.unsent()[:60])
        while says.settle(self) or ledger.open():
            ledger.move(hurry=True)
            self.look(300)
            if time.monotonic() > end:
                ids = [item.id for item in ledger.open()][:5]
                found = self.wire.call("job.status", {"ids": ids})["jobs"]
                short = [{k: v for k, v in job.items() if k != "job"} for job in found]
                raise Violation(f"{len(ledger.open())} jobs do not end: "
                                f"{[(ledger.by_id[i], s) for i, s in zip(ids, short)]}")
        with contextlib.suppress(TimeoutError):  # what is left, the check says
            until(self.tidy, "what jobs leave behind is cleaned up", 10 * SLOW)
        self.all_shown()
        self.stop()
        self.check.rest()

    def all_shown(self):
        """What nobody can know whose it is, `ocictl uploads` shows."""
        for bucket in self.buckets:
            said = self.ocid.ctl("uploads", "--json", f"oci://{bucket}")
            shown = {json.loads(line)["upload_id"] for line in said.out.splitlines()}
            left = {upload["uploadId"] for upload in self.store.uploads(bucket)}
            if said.status or shown != left:
                raise Violation(f"uploads {left} are there, ocictl uploads shows {shown}: {said}")
            self._links_shown(bucket)

    def _links_shown(self, bucket):
        said = self.ocid.ctl("shares", "--json", f"oci://{bucket}")
        shown = {row["share_id"]: row.get("job") for row in map(json.loads, said.out.splitlines())}
        left = {link["id"]: int(link["name"].rpartition("-")[2]) for link in self.store.links(bucket)}
        if said.status or shown != left:
            raise Violation(f"links {left} are there, ocictl shares shows {shown}: {said}")

    def tidy(self):
        """Nothing is left behind, at the service, on the disk or in the queue."""
        left = [link for link in self.links() if link["id"] not in self.ledger.links]
        left += [u for u in self.uploads() if not self.ledger.is_orphan(u)]
        return not left and not self.ocid.part_files() and not self.check.queue().transfers

    # What there is.

    def another_bucket(self, k):
        """Its name."""
        self.buckets.append(f"{self.bucket}-{k}")
        self.store.make_bucket(self.buckets[-1])
        return self.buckets[-1]

    def uploads(self):
        return [upload for bucket in self.buckets for upload in self.store.uploads(bucket)]

    def links(self):
        return [link for bucket in self.buckets for link in self.store.links(bucket)]

    def names(self):
        return set(self.store.names(self.bucket))

    def arrived_late(self, upload):
        """Whether the request that made it was still on its way when a daemon died: the next one was
        not there yet when it arrived."""
        made = made_at(upload)
        return any(died - 0.02 <= made <= (up or made) + 0.02 for died, up in self.gaps)

    def new_log(self):
        """What it has said since the last look."""
        with contextlib.suppress(FileNotFoundError):
            with open(self.ocid.log_file, "rb") as file:
                file.seek(self.logged)
                data = file.read()
                self.logged += len(data)
                return data.decode(errors="replace")
        return ""
