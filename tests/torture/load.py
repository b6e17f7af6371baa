# SPDX-License-Identifier: Apache-2.0
"""load.py - one daemon does thousands of jobs, one round after the other: each round is looked at and
forgotten, and the daemon is then as large as it was after the first."""

import os
import time

from harness import KIB, until

from .ledger import Violation, bytes_of

JOBS = 500  # a point
ROUND = 10  # points
LONG_S = 2 * 3600
RSS_GROWTH_KIB = 48 * KIB
FDS_GROWTH = 40


class Load:
    """Mixed jobs through one daemon, never stopped: memory and descriptors stay flat."""

    name, points, long_points = "load", 40, 100000  # until LONG_S are over
    per_life = long_points
    settings = {"transfer__connections": 32}

    def life(self, world, number, n_points, tick):
        world.up()
        ledger, data = world.ledger, bytes_of(3 * KIB, 1)
        ledger.sources = [(world.ocid.file(data, "load"), data), *ledger.sources[:4]]
        sizes, end = [], time.monotonic() + LONG_S
        for k in range(n_points):
            if k % ROUND == 0 and time.monotonic() > end:
                break
            tick(f"job {JOBS * k + 1} and on")
            for _ in range(JOBS // 50):
                ledger.submit(world.wire, [ledger.new() for _ in range(50)])
            while len(ledger.open()) > JOBS:
                world.look(50)
            if (k + 1) % ROUND == 0:
                self._account(world)
                sizes.append(self._size(world))
                self._compare(sizes)
        self._tell(sizes)
        world.come_to_rest()

    @staticmethod
    def _account(world):
        """All of the round has ended, and is right."""
        ledger = world.ledger
        for item in ledger.unsent():
            ledger.submit(world.wire, [item])
        while ledger.open():
            world.look(200)
        until(world.tidy, "what jobs leave behind is cleaned up")
        world.check.settled()
        ledger.forget()

    @staticmethod
    def _size(world):
        pid = world.ocid.process.pid
        with open(f"/proc/{pid}/status", encoding="ascii") as lines:
            rss = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        return rss, len(os.listdir(f"/proc/{pid}/fd"))

    @staticmethod
    def _compare(sizes):
        (rss, fds), last = sizes[0], sizes[-1]
        if last[0] > rss + RSS_GROWTH_KIB or last[1] > fds + FDS_GROWTH:
            raise Violation(f"it grows: {sizes[0]} KiB and descriptors after a round, {last} after "
                            f"{len(sizes)}")

    @staticmethod
    def _tell(sizes):
        print(f"load: {JOBS * ROUND * len(sizes)} jobs; KiB and descriptors {sizes[0]} after the "
              f"first round, at most {max(sizes)}, {sizes[-1]} at the end", flush=True)
