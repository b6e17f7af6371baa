# SPDX-License-Identifier: Apache-2.0
"""deaf.py - a file system that can fall silent: a small one in memory, served over /dev/fuse by
a process that stops reading requests and goes on. (None is in its hands meanwhile, and it knows
no flush: for either the kernel would let nobody die.) Needs root.

    with Deaf(path) as mount:   # a directory that exists
        mount.silence()         # whoever touches it now hangs
        mount.answer()          # and goes on
"""

import ctypes
import errno
import os
import select
import signal
import stat
import struct
import subprocess
import sys
import time

MNT_DETACH, MS_NOSUID, MS_NODEV = 2, 2, 4
LOOKUP, FORGET, GETATTR, SETATTR, UNLINK, RENAME, LINK = 1, 2, 3, 4, 10, 12, 13
OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, INIT = 14, 15, 16, 17, 18, 20, 26
OPENDIR, READDIR, RELEASEDIR, FSYNCDIR, CREATE, INTERRUPT = 27, 28, 29, 30, 35, 36
DESTROY, BATCH_FORGET, RENAME2 = 38, 42, 45
UNANSWERED = {FORGET, INTERRUPT, BATCH_FORGET}
NOREPLACE, DIRECT_IO, ROOT, MAX_WRITE = 1, 1, 1, 128 << 10
SET_SIZE, SET_MTIME, SET_MTIME_NOW = 1 << 3, 1 << 5, 1 << 8


def possible():
    """Why not, or None."""
    if os.geteuid() != 0:
        return "mounting needs root"
    return None if os.access("/dev/fuse", os.R_OK | os.W_OK) else "no /dev/fuse"


class Deaf:
    def __init__(self, path):
        self.path = path
        self.server = subprocess.Popen([sys.executable, __file__, path], stdout=subprocess.PIPE)
        if self.server.stdout.readline() != b"mounted\n":
            self.close()
            raise OSError(f"nothing can be mounted at {path}")

    def silence(self):
        self.server.send_signal(signal.SIGUSR1)
        if self.server.stdout.readline() != b"silent\n":
            raise OSError(f"{self.path} has gone")

    def answer(self):
        self.server.send_signal(signal.SIGUSR2)

    def close(self):
        """Whoever hangs in it gets an error."""
        self.server.kill()
        self.server.wait()
        self.server.stdout.close()
        libc().umount2(os.fsencode(self.path), MNT_DETACH)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def libc():
    return ctypes.CDLL(None, use_errno=True)


class Node:
    def __init__(self, ino, mode):
        self.ino, self.mode, self.nlink, self.data = ino, mode, 1, bytearray()
        self.mtime = self.ctime = time.time_ns()

    def attr(self):
        (m, m_ns), (c, c_ns) = divmod(self.mtime, 10**9), divmod(self.ctime, 10**9)
        return struct.pack("<6Q10I", self.ino, len(self.data), (len(self.data) + 511) // 512,
                           m, m, c, m_ns, m_ns, c_ns, self.mode, self.nlink, os.geteuid(),
                           os.getegid(), 0, 4096, 0)


class Served:
    """One directory with files; nothing of it is kept in the kernel."""

    def __init__(self):
        self.nodes = {ROOT: Node(ROOT, stat.S_IFDIR | 0o755)}
        self.names = {}

    def entry(self, node):
        return struct.pack("<4Q2I", node.ino, 0, 0, 0, 0, 0) + node.attr()

    def find(self, name):
        if name not in self.names:
            raise OSError(errno.ENOENT, "")
        return self.nodes[self.names[name]]

    def drop(self, name):
        node = self.nodes[self.names.pop(name)]
        node.nlink -= 1
        node.ctime = time.time_ns()

    def rename(self, old, new, flags):
        node = self.find(old)
        if new in self.names:
            if flags & NOREPLACE:
                raise OSError(errno.EEXIST, "")
            self.drop(new)
        del self.names[old]
        self.names[new] = node.ino

    def create(self, name):
        node = Node(max(self.nodes) + 1, stat.S_IFREG | 0o644)
        self.nodes[node.ino] = node
        self.names[name] = node.ino
        return node

    def set_attr(self, node, body):
        valid, _, _, size, _, _, mtime, _, _, mtime_ns = struct.unpack_from("<IIQQQQQQII", body)
        if valid & SET_SIZE:
            del node.data[size:]
            node.data.extend(bytes(size - len(node.data)))
            node.mtime = time.time_ns()
        if valid & SET_MTIME_NOW:
            node.mtime = time.time_ns()
        elif valid & SET_MTIME:
            node.mtime = mtime * 10**9 + mtime_ns
        node.ctime = time.time_ns()

    def write(self, node, body):
        _, offset, size = struct.unpack_from("<QQI", body)
        if offset > len(node.data):
            node.data.extend(bytes(offset - len(node.data)))
        node.data[offset:offset + size] = body[40:40 + size]
        node.mtime = node.ctime = time.time_ns()
        return struct.pack("<II", size, 0)

    def reply(self, op, nodeid, body):
        node = self.nodes.get(nodeid)
        names = body.rstrip(b"\0")
        opened = struct.pack("<QII", 0, DIRECT_IO, 0)
        if op == INIT:
            return struct.pack("<4I2H2I2HI28x", 7, 31, 0, 0, 16, 12, MAX_WRITE, 1, 0, 0, 0)
        if op == LOOKUP:
            return self.entry(self.find(names))
        if op == SETATTR:
            self.set_attr(node, body)
        if op in (GETATTR, SETATTR):
            return struct.pack("<QII", 0, 0, 0) + node.attr()
        if op in (OPEN, OPENDIR):
            return opened
        if op == CREATE:
            return self.entry(self.create(names[16:])) + opened
        if op == READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            return bytes(node.data[offset:offset + size])
        if op == WRITE:
            return self.write(node, body)
        if op == STATFS:
            return struct.pack("<5Q4I24x", *[1 << 20] * 5, 4096, 255, 4096, 0)
        if op == UNLINK:
            self.find(names)
            self.drop(names)
        elif op == RENAME:
            self.rename(*names[8:].split(b"\0"), 0)
        elif op == RENAME2:
            self.rename(*names[16:].split(b"\0"), struct.unpack_from("<QI", body)[1])
        elif op == LINK:
            node = self.nodes[struct.unpack_from("<Q", body)[0]]
            if names[8:] in self.names:
                raise OSError(errno.EEXIST, "")
            self.names[names[8:]] = node.ino
            node.nlink += 1
            return self.entry(node)
        elif op not in (RELEASE, RELEASEDIR, FSYNC, FSYNCDIR, READDIR, DESTROY):
            raise OSError(errno.ENOSYS, "")
        return b""


def serve(path):
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if libc().mount(b"deaf", os.fsencode(path), b"fuse.deaf", MS_NOSUID | MS_NODEV, options):
        raise OSError(ctypes.get_errno(), "mount")
    served = Served()
    silent, poll = False, select.poll()
    signals, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(wake)
    poll.register(signals, select.POLLIN)
    poll.register(fd, select.POLLIN)
    while True:
        if signals in dict(poll.poll()):
            was, silent = silent, os.read(signals, 64)[-1] == signal.SIGUSR1
            poll.modify(fd, 0 if silent else select.POLLIN)
            if silent and not was:
                print("silent", flush=True)
            continue
        try:
            request = os.read(fd, MAX_WRITE + (64 << 10))
        except OSError as gone:
            if gone.errno == errno.ENODEV:
                return
            if gone.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                continue
            raise
        _, op, unique, nodeid = struct.unpack_from("<IIQQ", request)
        if op in UNANSWERED:
            continue
        try:
            error, answer = 0, served.reply(op, nodeid, request[40:])
        except OSError as refused:
            error, answer = -refused.errno, b""
        try:
            os.write(fd, struct.pack("<IiQ", 16 + len(answer), error, unique) + answer)
        except FileNotFoundError:  # who asked has gone
            pass
        if op == INIT:
            print("mounted", flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
