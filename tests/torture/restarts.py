# SPDX-License-Identifier: Apache-2.0
"""restarts.py - the daemon is stopped and started under load while somebody else holds its socket, as
systemd does: who knocks meanwhile is served by the next one."""

import os
import socket

from harness import SLOW, Wire, framed, msgpack

from .ledger import Violation


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
