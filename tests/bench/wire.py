# SPDX-License-Identifier: Apache-2.0
"""The wire of the benchmarks: as much of MessagePack and of the protocol as they need, and thin,
so that the client's own work stays small beside the daemon's."""
import socket
import struct
import time

FINAL = ("done", "failed", "cancelled")


class Failed(Exception):
    """A figure that could not be measured, or must not be believed."""


def pack(v):
    if v is None:
        return b"\xc0"
    if v is True or v is False:
        return b"\xc3" if v else b"\xc2"
    if isinstance(v, int):
        if 0 <= v < 128:
            return bytes((v,))
        if v >= 0:
            return b"\xce" + struct.pack(">I", v) if v < 1 << 32 else b"\xcf" + struct.pack(">Q", v)
        return b"\xd3" + struct.pack(">q", v)
    if isinstance(v, str):
        b = v.encode()
        n = len(b)
        return (bytes((0xA0 | n,)) if n < 32 else b"\xd9" + bytes((n,)) if n < 256
                else b"\xda" + struct.pack(">H", n)) + b
    if isinstance(v, bytes):
        return b"\xc5" + struct.pack(">H", len(v)) + v
    if isinstance(v, (list, tuple)):
        n = len(v)
        head = bytes((0x90 | n,)) if n < 16 else b"\xdc" + struct.pack(">H", n)
        return head + b"".join(map(pack, v))
    if isinstance(v, dict):
        n = len(v)
        return (bytes((0x80 | n,)) if n < 16 else b"\xde" + struct.pack(">H", n)) + b"".join(
            pack(k) + pack(x) for k, x in v.items())
    raise TypeError(type(v))


def unpack(b, i=0):
    """The value at b[i] and the index behind it."""
    t = b[i]
    i += 1
    if t < 0x80:
        return t, i
    if t >= 0xE0:
        return t - 256, i
    if t < 0x90:
        return _map(b, i, t & 15)
    if t < 0xA0:
        return _array(b, i, t & 15)
    if t < 0xC0:
        return b[i:i + (t & 31)].decode(errors="replace"), i + (t & 31)
    if t in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[t], i
    if 0xCA <= t <= 0xD3:
        f = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
             0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}[t]
        return struct.unpack_from(f, b, i)[0], i + struct.calcsize(f)
    f = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xD9: ">B", 0xDA: ">H", 0xDB: ">I",
         0xDC: ">H", 0xDD: ">I", 0xDE: ">H", 0xDF: ">I"}[t]
    n = struct.unpack_from(f, b, i)[0]
    i += struct.calcsize(f)
    if t in (0xC4, 0xC5, 0xC6):
        return bytes(b[i:i + n]), i + n
    if t in (0xD9, 0xDA, 0xDB):
        return b[i:i + n].decode(errors="replace"), i + n
    return _array(b, i, n) if t in (0xDC, 0xDD) else _map(b, i, n)


def _array(b, i, n):
    out = []
    for _ in range(n):
        v, i = unpack(b, i)
        out.append(v)
    return out, i


def _map(b, i, n):
    out = {}
    for _ in range(n):
        k, i = unpack(b, i)
        out[k], i = unpack(b, i)
    return out, i


def frame(ident, method, params):
    body = pack([0, ident, method, params])
    return struct.pack(">I", len(body)) + body


class Client:
    """One connection to the daemon, as thin as can be."""

    def __init__(self, path, timeout=120, **hello):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(timeout)
        self.timeout = timeout
        self.s.connect(path)
        self.n = 0
        self.welcome = self.call("hello", {"min": 1, "max": 1, "software": "bench", **hello})

    def close(self):
        self.s.close()

    def raw(self):
        """The next reply as bytes of its message."""
        head = self.s.recv(4, socket.MSG_WAITALL)
        if len(head) < 4:
            raise Failed("the daemon closed the connection")
        return self.s.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL)

    def taken(self):
        """The next reply, looked at no further than whether it is a refusal."""
        raw = self.raw()
        if raw[unpack(raw, 2)[1]] != 0xC0:
            raise Failed(f"refused: {unpack(raw)[0][2]}")

    def reply(self):
        m, _ = unpack(self.raw())
        if m[2] is not None:
            raise Failed(f"refused: {m[2]}")
        return m[3]

    def call(self, method, params=None):
        self.n += 1
        self.s.sendall(frame(self.n, method, params or {}))
        return self.reply()

    def submit(self, jobs):
        ids = []
        for i in range(0, len(jobs), 1000):
            ids += self.call("job.submit", {"jobs": jobs[i:i + 1000]})["ids"]
        return ids

    def wait(self, ident, seconds):
        """Follows one job to its end; its status."""
        end = time.monotonic() + seconds
        ask = {"ids": [ident]}
        while True:
            r = self.call("job.status", ask)
            for j in r["jobs"]:
                if j["id"] == ident and j["state"] in FINAL:
                    return j
            if time.monotonic() > end:
                raise Failed(f"job {ident} is not final after {seconds} s: {r['jobs']}")
            ask = {"ids": [ident], "epoch": r["epoch"], "since": r["seq"], "wait_ms": 500,
                   "calm_ms": 500}
