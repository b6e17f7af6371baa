# SPDX-License-Identifier: Apache-2.0
"""conftest.py - the Python package of this tree, and a daemon made of a thread and a script."""

import array
import contextlib
import os
import socket
import struct
import sys
import threading

import msgpack
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "client/python/src"))


class Fake:
    """Listens like a daemon; answers what `on` says, keeps what came."""

    WELCOME = {"version": 1, "software": "fake", "uuid": "u", "epoch": 7, "pid": 1,
               "max_frame": 1 << 20, "max_jobs": 1000}

    def __init__(self, path):
        self.path, self.on, self.seen, self.fds = str(path), {}, [], []
        self.on["hello"] = lambda params: self.WELCOME
        self.turn_away = None
        self.connections = 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen(8)
        self.open = []
        self.door = threading.Thread(target=self._accept, daemon=True)
        self.door.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(sock)
            if self.turn_away:
                self.reply(sock, [1, 0, self.turn_away, None])
                sock.close()
                continue
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            while True:
                request = self._request(sock)
                self.seen.append(request[2:])
                self._answer(sock, request)
        except (OSError, EOFError):
            sock.close()

    def _request(self, sock):
        room = socket.CMSG_SPACE(64 * 4)
        data, control, _, _ = sock.recvmsg(4, room)
        for _, _, rights in control:
            fds = array.array("i")
            fds.frombytes(rights)
            self.fds += list(fds)
        while len(data) < 4:
            data += self._more(sock, 4 - len(data))
        size, body = struct.unpack(">I", data)[0], b""
        while len(body) < size:
            body += self._more(sock, size - len(body))
        return msgpack.unpackb(body)

    @staticmethod
    def _more(sock, size):
        part = sock.recv(size)
        if not part:
            raise EOFError
        return part

    def _answer(self, sock, request):
        answer = self.on[request[2]]
        if callable(answer):
            answer = answer(request[3])
        if isinstance(answer, bytes):  # whatever the test wants on the wire
            sock.sendall(answer)
        elif answer is None:
            sock.shutdown(socket.SHUT_RDWR)
        elif isinstance(answer, Error):
            self.reply(sock, [1, request[1], answer, None])
        else:
            self.reply(sock, [1, request[1], None, answer])

    @staticmethod
    def reply(sock, value):
        data = msgpack.packb(value)
        sock.sendall(struct.pack(">I", len(data)) + data)

    def hang_up(self):
        """On everybody, as a daemon that ends."""
        for sock in self.open:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.open.clear()

    def close(self):
        self.hang_up()
        with contextlib.suppress(OSError):  # closed already
            self.socket.shutdown(socket.SHUT_RDWR)  # else its thread might accept for the next one
        self.door.join(5)
        self.socket.close()
        os.unlink(self.path)
        for fd in self.fds:
            try:
                os.close(fd)
            except OSError:
                pass


class Error(dict):
    """An answer that is an error."""


@pytest.fixture
def error():
    return lambda code, **more: Error(code=code, **more)


@pytest.fixture
def daemon(tmp_path):
    fake = Fake(tmp_path / "s")
    yield fake
    fake.close()


@pytest.fixture
def client(daemon):
    import ocid
    with ocid.Client(socket=daemon.path, timeout=5) as one:
        yield one
