# SPDX-License-Identifier: Apache-2.0
"""mounts.py - a file system of sources and destinations falls silent while jobs are at work, and
answers again: only its own jobs wait, and a daemon that is stopped or killed meanwhile does end."""

import os
import time

import deaf
from harness import KIB, MIB, SLOW

from .ledger import Violation, bytes_of

SIZES = (3 * KIB, 300 * KIB, 3 * MIB)
ENDS = ("", "", "stop", "kill")
HEALTHY_S = 30 * SLOW


class Mount:
    name, points, long_points, per_life = "mount", 6, 200, 6
    settings = {"network__stall_seconds": 2, "daemon__drain_seconds": 1}

    @staticmethod
    def possible():
        return deaf.possible()

    def life(self, world, number, n_points, tick):
        path = world.folder / "deaf"
        path.mkdir()
        with deaf.Deaf(path) as mount:
            for k, size in enumerate(SIZES):
                (path / f"s{k}").write_bytes(bytes_of(size, k))
            world.up()
            for k in range(n_points):
                end, late_s = world.rng.choice(ENDS), world.rng.random() * 0.2
                tick(f"silent {late_s * 1000:.0f} ms after the jobs came{end and f', then {end}'}")
                self._one(world, mount, end, late_s)
            world.come_to_rest()

    def _one(self, world, mount, end, late_s):
        items = [self._put(world, mount.path) for _ in range(40)]
        items += [self._get(world, mount.path) for _ in range(20)]
        healthy = [world.ledger.new(kind) for kind in ("put", "put", "get", "list")]
        world.ledger.submit(world.wire, items)
        time.sleep(late_s)
        mount.silence()
        try:
            self._go_on(world, healthy)
            if end:
                self._end(world, end)
        finally:
            mount.answer()
        if end:
            world.died()
            world.up()
        limit = time.monotonic() + 60 * SLOW
        while any(not item.final for item in items):
            world.look(300)
            if time.monotonic() > limit:
                raise Violation(f"jobs do not go on with their mount: {world.ledger.open()[:5]}")

    @staticmethod
    def _put(world, folder):
        ledger, kept = world.ledger, world.ledger.sources
        k = world.rng.randrange(len(SIZES))
        ledger.sources = [(folder / f"s{k}", bytes_of(SIZES[k], k))]
        try:
            return ledger.new("put")
        finally:
            ledger.sources = kept

    @staticmethod
    def _get(world, folder):
        item = world.ledger.new("get")
        item.dest = folder / item.dest.name
        item.job["dest"] = os.fsencode(item.dest)
        return item

    @staticmethod
    def _go_on(world, healthy):
        """Only these are looked at: what is checked of the others' files would hang, too."""
        world.ledger.submit(world.wire, healthy)
        limit = time.monotonic() + HEALTHY_S
        while any(not item.final for item in healthy):
            ids = [item.id for item in healthy]
            world.ledger.observe(world.wire.call("job.status", {"ids": ids})["jobs"])
            time.sleep(0.02)
            if time.monotonic() > limit:
                raise Violation(f"a dead mount holds up others: {healthy}")

    @staticmethod
    def _end(world, how):
        begun = time.monotonic()
        getattr(world, how)()
        if time.monotonic() - begun > 15 * SLOW:
            raise Violation(f"a dead mount holds up the daemon's end ({how})")
