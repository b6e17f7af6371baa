# SPDX-License-Identifier: Apache-2.0
"""kills.py - kill -9, at random moments and at every system call in turn."""

import contextlib
import os
import signal
import threading

CALLS = ("write,writev,pwrite64,sendto,sendmsg,recvmsg,fsync,fdatasync,ftruncate,rename,renameat2,"
         "link,unlink,unlinkat,mkdirat,utimensat")
PER_LIFE = 25


def tracer(*inject, calls=CALLS):
    """strace as the daemon's own grandchild, so that our child is the daemon."""
    return ["strace", "-D", "-f", "-qqq", "-o", "/dev/null", "--seccomp-bpf", "-e",
            f"trace={calls}", *(word for one in inject for word in ("-e", f"inject={one}"))]


class AtSyscall:
    """The daemon, or its signer, dies as it enters its nth call (each thread counts for itself)."""

    name, points, long_points, per_life = "kill-call", 700, 6000, PER_LIFE
    span = 180

    def life(self, world, number, n_points, tick):
        for k in range(n_points):
            nth = 1 + (number * self.per_life + k) % self.span
            tick(f"call {nth}")
            if world.up(tracer(f"{CALLS}:signal=KILL:when={nth}")):
                world.drive(4)
            world.died()
        world.come_to_rest()


class AtRandom:
    """kill -9 at any time, of the daemon or (one in four) of the signer."""

    name, points, long_points, per_life = "kill-time", 800, 4000, PER_LIFE

    def life(self, world, number, n_points, tick):
        for _ in range(n_points):
            of_signer, after_s = world.rng.random() < 0.25, world.rng.random() * 0.06
            tick(f"{'signer' if of_signer else 'daemon'} after {after_s * 1000:.1f} ms")
            if not world.running:
                world.up()
            pid = world.signer() if of_signer else world.ocid.process.pid
            timer = threading.Timer(after_s, self._kill, [pid])
            timer.start()
            world.drive(4)
            timer.join()
            world.died()
        world.come_to_rest()

    @staticmethod
    def _kill(pid):
        with contextlib.suppress(ProcessLookupError, TypeError):
            os.kill(pid, signal.SIGKILL)
