# SPDX-License-Identifier: Apache-2.0
"""restarts.py - the daemon is stopped and started under load while somebody else holds its socket, as
systemd does: who knocks meanwhile is served by the next one."""

import os
import socket

from harness import KIB, SLOW, Wire, framed, msgpack

from .ledger import Violation, bytes_of

RSS_GROWTH_KIB = 48 * KIB
FDS_GROWTH = 40


class Restarts:
    name, points, long_points, per_life = "restart", 50, 1000, 25

    def life(self, world, number, n_points, tick):
        os.makedirs(os.path.dirname(world.ocid.socket), mode=0o700, exist_ok=True)
        with socket.socket(socket.AF_UNIX) as held:
            held.bind(world.ocid.socket)
            held.listen(64)
            world.ocid.held = held
            self._up(world)
            for k in range(n_points):
                tick(f"restart {k + 1}")
                if not world.drive(world.rng.randrange(1, 6)):
                    raise Violation("it has ended under load")
                self._restart(world)
            world.come_to_rest()

    @staticmethod
    def _up(world):
        if not world.up():
            raise Violation(f"it does not start: {world.ocid.log()[-1500:]}")

    def _restart(self, world):
        """Somebody knocks while nobody is there, and is answered."""
        world.stop()
        item = world.ledger.new("put")
        wire = Wire(world.ocid.socket, hello=False)
        wire.send(framed(msgpack.packb([0, 1, "hello", {"min": 1, "max": 1}])))
        wire.send(framed(msgpack.packb([0, 2, "job.submit", {"jobs": [item.job]}])))
        self._up(world)
        wire.sock.settimeout(20 * SLOW)
        replies = [wire.reply(), wire.reply()]
        wire.sock.close()
        if None in replies or replies[1][2] is not None:
            raise Violation(f"who knocked during the restart was answered {replies}")
        world.ledger.answered(item, replies[1][3]["ids"][0])


class Load:
    """Thousands of jobs through one daemon, 500 a point: memory and descriptors stay flat."""

    name, points, long_points, per_life = "load", 20, 1000, 20
    settings = {"transfer__connections": 32}

    def life(self, world, number, n_points, tick):
        world.up()
        ledger, path = world.ledger, world.ocid.file(bytes_of(3 * KIB, 1), "load")
        ledger.sources = [(path, bytes_of(3 * KIB, 1)), *ledger.sources[:4]]
        first = None
        for k in range(n_points):
            tick(f"job {500 * k + 1} and on")
            for _ in range(10):
                ledger.submit(world.wire, [ledger.new() for _ in range(50)])
            while len(ledger.open()) > 500:
                world.look(50)
            if k == n_points // 3:
                first = self._size(world)
        while ledger.open():
            world.look(200)
        self._compare(first, self._size(world))
        world.come_to_rest()

    @staticmethod
    def _size(world):
        pid = world.ocid.process.pid
        with open(f"/proc/{pid}/status", encoding="ascii") as lines:
            rss = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        return rss, len(os.listdir(f"/proc/{pid}/fd"))

    @staticmethod
    def _compare(first, last):
        if last[0] > first[0] + RSS_GROWTH_KIB or last[1] > first[1] + FDS_GROWTH:
            raise Violation(f"it grows: {first} KiB and descriptors after a third, {last} at the end")
