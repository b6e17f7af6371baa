# SPDX-License-Identifier: Apache-2.0
"""power.py - a power cut: the file system under queue and files loses all that was not synced.

A loop device with ext4, shut down by ioctl without a flush of its journal. Needs root.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
import threading

from harness import until

CLONE_NEWNS = 0x20000
SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2  # EXT4_IOC_SHUTDOWN
IMAGE_MIB = 256


def apart():
    """Mounts of ours are in no namespace that another program makes meanwhile: there the dead file
    system would live on, and the next mount would find it."""
    if not apart.done:
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
            raise OSError(ctypes.get_errno(), "unshare")
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        apart.done = True


apart.done = False


class Disk:
    """A file system of its own at `path`."""

    def __init__(self, path):
        self.path, self.image = path, path.with_suffix(".img")
        path.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(IMAGE_MIB << 20)
        self._run("mkfs.ext4", "-q", "-E", "lazy_itable_init=1,nodiscard", self.image)
        self._run("mount", "-o", "loop", self.image, path)

    @staticmethod
    def _run(*command):
        subprocess.run([*map(str, command)], check=True, stdin=subprocess.DEVNULL)

    def sync(self):
        self._run("sync", "-f", self.path)

    def cut(self):
        """From now on nothing reaches it, and what had not is lost."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def power_on(self):
        until(self._unmounted, "nobody uses the disk", 10)
        self._run("mount", "-o", "loop", self.image, self.path)

    def _unmounted(self):
        return subprocess.run(["umount", str(self.path)], check=False,
                              stderr=subprocess.DEVNULL).returncode == 0

    def close(self):
        with contextlib.suppress(TimeoutError):
            until(self._unmounted, "nobody uses the disk", 10)
        self.image.unlink()


class Cut:
    """The power goes at a random moment; what was answered or shown before must be there after."""

    name, points, long_points, per_life = "power", 200, 5000, 20

    @staticmethod
    def possible():
        if os.geteuid() != 0 or not os.path.exists("/dev/loop-control"):
            return "needs root and loop devices"
        return None if shutil.which("mkfs.ext4") else "needs mkfs.ext4 (e2fsprogs)"

    @contextlib.contextmanager
    def place(self, folder):
        """Where the world is to be."""
        apart()
        disk = Disk(folder / "disk")
        self.disk = disk
        try:
            yield disk.path / "w"
        finally:
            disk.close()

    def life(self, world, number, n_points, tick):
        world.ocid.log_file = self.disk.path.with_suffix(".log")
        self.disk.sync()
        for _ in range(n_points):
            after_s = world.rng.random() * 0.08
            tick(f"after {after_s * 1000:.1f} ms")
            if not world.running:
                world.up()
            timer = threading.Timer(after_s, self.disk.cut)
            timer.start()
            try:
                world.drive(6)
            finally:
                timer.join()
            world.died(self.disk.power_on)
        world.come_to_rest()
