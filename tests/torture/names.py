# SPDX-License-Identifier: Apache-2.0
"""names.py - the resolver is a black hole: the daemon asks for the name of the store, and no answer
comes. Its threads that ask hang; all else goes on, and the jobs do so once there are answers again.

The daemon is in a network namespace with a resolver of ours, as in network.py, and has an
/etc/resolv.conf of its own. It is begun anew in the dark, since libcurl keeps a name for a minute.
Identity is reached by an address: its jobs are those that nothing ails.
"""

import contextlib
import os
import shutil
import socket
import struct
import threading
import time

from harness import SLOW
from objstore import make_certificates

from .ledger import Violation
from .network import FAR, FarStore, Network, far, run

NAME, RESOLVER = "store.test", "127.0.0.53"
KINDS = ("put", "put", "get", "list", "delete", "if_absent", "over")
OWN = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
DARK = ("udp dport 53 drop", "udp sport 53 drop")  # as they arrive: who sends them learns nothing
SOON_S, LIGHT_S = 5 * SLOW, 40 * SLOW


class NamedStore(FarStore):
    """Reached by its name, with a certificate for that and for the address."""

    def __init__(self, **options):
        super().__init__(tls=True, **options)
        self.ca_file, self._cert, self._key = make_certificates(
            os.path.join(self._home, "names"), (NAME,), (FAR, self.host))

    @property
    def url(self):
        return f"https://{NAME}:{self.port}"


class Resolver:
    """Says FAR to whoever asks for an A record of NAME, and nothing else."""

    def __enter__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((RESOLVER, 53))
        self.sock.settimeout(0.1)
        self.over, self.thread = threading.Event(), threading.Thread(target=self._serve)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.sock.close()

    def _serve(self):
        while not self.over.is_set():
            with contextlib.suppress(TimeoutError):
                query, whose = self.sock.recvfrom(4096)
                self.sock.sendto(self.answer(query), whose)

    @staticmethod
    def answer(query):
        end = query.index(0, 12) + 5
        kind = struct.unpack("!H", query[end - 4:end - 2])[0]
        asked = b"".join(bytes([len(part)]) + part.encode() for part in NAME.split(".")) + b"\0"
        known = query[12:end - 4].lower() == asked
        record = b""
        if known and kind == 1:
            record = struct.pack("!HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(FAR)
        head = struct.pack("!HHHHH", 0x8180 if known else 0x8183, 1, bool(record), 0, 0)
        return query[:2] + head + query[12:end] + record


class Names:
    """A start in the dark: no job fails for it, and no client is kept waiting."""

    name, points, long_points, per_life = "names", 12, 200, 6
    settings = {"network__connect_seconds": 1, "network__stall_seconds": 2}

    @staticmethod
    def possible():
        if not os.path.exists("/etc/resolv.conf") or not shutil.which("unshare"):
            return "needs unshare and an /etc/resolv.conf to cover"
        return Network.possible()

    @contextlib.contextmanager
    def place(self, folder):
        with far(NamedStore, "input", self.profile) as self.store, Resolver():
            yield folder / "w"

    def life(self, world, number, n_points, tick):
        resolv = world.folder / "resolv.conf"
        resolv.write_text(f"nameserver {RESOLVER}\noptions timeout:3 attempts:1\n")
        wrap = ["unshare", "-m", "sh", "-c", OWN, str(resolv)]
        world.ocid.configure(network__identity_endpoint=f"https://{FAR}:{self.store.port}")
        world.up(wrap)
        for _ in range(n_points):
            end, for_s = world.rng.choice(("stop", "kill")), 0.3 + 4 * world.rng.random()
            tick(f"{end}, then no names for {for_s:.1f} s")
            self._one(world, wrap, end, for_s)
        world.come_to_rest()

    def _one(self, world, wrap, end, for_s):
        jobs = [world.ledger.new(world.rng.choice(KINDS)) for _ in range(30)]
        world.ledger.submit(world.wire, jobs[:15])
        getattr(world, end)()
        world.died()
        asks = world.rng.choice((world.store.namespace, ""))  # each job for its object, or one for all
        world.ocid.configure(network__namespace=asks)
        for rule in DARK:
            run("nft", "add", "rule", "inet", "t", "input", rule)
        try:
            if not world.up(wrap):
                raise Violation(f"it does not start without names: {world.ocid.log()[-1500:]}")
            world.ledger.submit(world.wire, jobs[15:])
            self._in_the_dark(world, jobs, for_s)
            if world.rng.random() < 0.4:  # while its threads hang
                getattr(world, end)()
                world.died()
                world.up(wrap)
        finally:
            run("nft", "flush", "chain", "inet", "t", "input")
        limit = time.monotonic() + LIGHT_S
        while any(not item.final for item in jobs):
            world.look(300)
            if time.monotonic() > limit:
                raise Violation(f"jobs do not go on with the names: {world.ledger.open()[:5]}")

    def _in_the_dark(self, world, jobs, for_s):
        """Statuses are answered, and a job that needs no name ends, time and again."""
        end = time.monotonic() + for_s
        while time.monotonic() < end:
            who, since, state = self._ask_who(world), time.monotonic(), None
            while state != "done":
                asked = time.monotonic()
                found = world.wire.call("job.status", {"ids": [who, *(item.id for item in jobs)]})
                world.ledger.observe(found["jobs"])
                world.check.waiting(found["jobs"])
                state = next(job["state"] for job in found["jobs"] if job["id"] == who)
                now = time.monotonic()
                if state == "failed" or now - asked > SOON_S or now - since > SOON_S:
                    raise Violation(f"names that do not come hold up others: {now - asked:.1f} s for "
                                    f"a status; whoami is {state} after {now - since:.1f} s")
                time.sleep(0.02)
        if any(item.final for item in jobs[15:]):
            raise Violation("jobs have ended without the name of their store")

    @staticmethod
    def _ask_who(world):
        """A job by an address; it is not kept in the queue, so not in the ledger either."""
        job = {"kind": "whoami", "namespace": world.store.namespace}
        return world.wire.call("job.submit", {"jobs": [job]})["ids"][0]
