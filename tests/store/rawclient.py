# SPDX-License-Identifier: Apache-2.0
"""rawclient.py - HTTP/1.1 and request signing by hand, so that a test can sign wrongly."""

import base64
import hashlib
import json
import socket
import time
from email.utils import formatdate

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding


class Reply:
    """A parsed answer: status, headers (lower-case), body, interim (number of 100s)."""

    def __init__(self, status, headers, body, interim):
        self.status, self.headers, self.body, self.interim = status, headers, body, interim

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["code"]

    @property
    def message(self):
        return self.json["message"]


class Raw:
    """HTTP/1.1 by hand over one socket, signed as the documentation says."""

    def __init__(self, host, port, profile):
        self.address, self.profile = (host, port), profile
        self.host = f"{host}:{port}"
        with open(profile.key_file, "rb") as file:
            self.key = serialization.load_pem_private_key(file.read(), None)
        self.sock = self.file = None

    def connect(self):
        if self.sock is None:
            self.sock = socket.create_connection(self.address, timeout=20)
            self.file = self.sock.makefile("rb")

    def close(self):
        if self.sock is not None:
            self.file.close()
            self.sock.close()
            self.sock = None

    def sign(self, text):
        return base64.b64encode(self.key.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()

    def headers(self, method, target, body=b"", extra=None, names=None, key_id=None, at=None):
        """All headers of a good request, in order, Authorization last."""
        found = {"host": self.host, "date": formatdate(at if at is not None else time.time(),
                                                       usegmt=True)}
        exempt = method == "PUT" and ("/o/" in target or "/u/" in target)
        wanted = ["date", "(request-target)", "host"]
        if method in ("PUT", "POST"):
            found["content-length"] = str(len(body))
            if not exempt:
                found["content-type"] = "application/json"
                found["x-content-sha256"] = base64.b64encode(
                    hashlib.sha256(body).digest()).decode()
                wanted += ["content-length", "content-type", "x-content-sha256"]
        found.update(extra or {})
        names = names or wanted
        lines = [f"(request-target): {method.lower()} {target}" if n == "(request-target)"
                 else f"{n}: {found.get(n, '')}" for n in names]
        signature = self.sign("\n".join(lines).encode("latin-1"))
        found["authorization"] = (
            f'Signature version="1",headers="{" ".join(names)}",'
            f'keyId="{key_id or self.profile.key_id}",algorithm="rsa-sha256",'
            f'signature="{signature}"')
        return found

    def send(self, method, target, headers, body=b""):
        self.connect()
        lines = [f"{method} {target} HTTP/1.1"] + [f"{k}: {v}" for k, v in headers.items()]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)

    def receive(self, method="GET"):
        interim = 0
        while True:
            line = self.file.readline()
            if not line:
                raise ConnectionError("closed without an answer")
            status = int(line.split(b" ")[1])
            headers = {}
            while (line := self.file.readline()) not in (b"\r\n", b""):
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            if status != 100:
                break
            interim += 1
        size = int(headers.get("content-length", 0))
        bodiless = method == "HEAD" or status in (204, 304)
        body = b"" if bodiless else self.file.read(size)
        reply = Reply(status, headers, body, interim)
        if len(body) < size and not bodiless:
            raise ConnectionError(f"{len(body)} of {size} bytes")
        if headers.get("connection", "").lower() == "close":
            self.close()
        return reply

    def call(self, method, target, body=b"", extra=None, tamper=None, **sign):
        """One signed request; tamper(headers) may change them afterwards."""
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        headers = self.headers(method, target, body, extra, **sign)
        if tamper:
            tamper(headers)
        self.send(method, target, headers, body)
        return self.receive(method)
