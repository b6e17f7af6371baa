# SPDX-License-Identifier: Apache-2.0
"""network.py - the network between daemon and store resets, drops, crawls or is gone for a while.

The worker moves into a network namespace of its own with the store and the daemon; the daemon speaks
to the store by an address that nobody else uses, and nft does to that what a network may do.
"""

import contextlib
import os
import shutil
import subprocess
import threading
import time

from harness import Store, own_network, until

from .ledger import Violation
from .world import silence

FAR = "127.0.0.5"
FAULTS = {  # rules of the chain, or commands
    "reset": ["tcp dport {port} reject with tcp reset"],
    "reset some": ["tcp dport {port} numgen random mod 100 < 10 reject with tcp reset"],
    "drop all": ["drop"],
    "drop answers": [],
    "drop a tenth": ["numgen random mod 100 < 10 drop"],
    "crawl": ["limit rate over 100 kbytes/second drop"],
    "refuse": ["tcp dport {port} tcp flags syn reject with icmp type port-unreachable"],
    "link down": [],
}


class FarStore(Store):
    """In the worker's own namespace; `url` is the way through the faults."""

    def __init__(self, **options):
        super().__init__(**options)
        self.host = "0.0.0.0"

    @property
    def url(self):
        return f"http://{FAR}:{self.port}"


def run(*command, check=True):
    subprocess.run(command, check=check, stdin=subprocess.DEVNULL, capture_output=True, text=True)


@contextlib.contextmanager
def far(make, hook, profile):
    """A store in a network of this thread's own, and an nft chain there for what goes wrong, named as
    its hook."""
    with own_network():
        run("nft", f"add table inet t; add chain inet t {hook} {{ type filter hook {hook} priority 0; }}")
        store = make(buckets=[], profile=profile)
        try:
            with silence():
                store.start()
            yield store
        finally:
            store.close()


class Network:
    """The fault is there for up to a second while jobs are at work, then all is well again."""

    name, points, long_points, per_life = "network", 40, 400, 10
    settings = {"network__connect_seconds": 1, "network__stall_seconds": 2}

    @staticmethod
    def possible():
        if os.geteuid() != 0:
            return "needs root and network namespaces"
        return None if shutil.which("nft") and shutil.which("ip") else "needs nft and ip"

    @contextlib.contextmanager
    def place(self, folder):
        """Where the world is to be; its store is self.store meanwhile."""
        with far(FarStore, "output", self.profile) as self.store:
            yield folder / "w"

    def life(self, world, number, n_points, tick):
        world.up()
        for k in range(n_points):
            name = list(FAULTS)[(number * self.per_life + k) % len(FAULTS)]
            after_s, for_s = world.rng.random() * 0.1, 0.1 + world.rng.random() * 0.9
            tick(f"{name} after {after_s * 1000:.0f} ms for {for_s * 1000:.0f} ms")
            fault = threading.Thread(target=self._disturb, args=[name, after_s, for_s])
            begun = time.time()
            fault.start()
            while fault.is_alive():
                if not world.drive(1):
                    raise Violation("it has ended for what the network did")
            fault.join()
            world.ledger.cut_off.append((begun - 1, time.time() + 1))
            until(lambda: world.store.counters() is not None, "the store is reached", 5)
        world.come_to_rest()

    def _disturb(self, name, after_s, for_s):
        time.sleep(after_s)
        port = self.store.port
        if name == "link down":
            run("ip", "link", "set", "lo", "down")
        elif name == "drop answers":
            run("nft", "add", "rule", "inet", "t", "output", f"ip saddr {FAR} drop")
        for rule in FAULTS[name]:
            run("nft", "add", "rule", "inet", "t", "output", f"ip daddr {FAR} {rule.format(port=port)}")
        time.sleep(for_s)
        run("nft", "flush", "chain", "inet", "t", "output")
        run("ip", "link", "set", "lo", "up")
