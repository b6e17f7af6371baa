# SPDX-License-Identifier: Apache-2.0
"""functions.py - the examples' functions as the platform runs them: a process that serves POST /call
on a Unix socket and hands each to handler(ctx, data=…).

Run as a program it is such a server itself, for where Oracle's (`fdk`) is not installed:

  functions.py func.py handler
"""

import glob
import http.client
import http.server
import importlib.util
import io
import json
import os
import shutil
import socket
import socketserver
import subprocess
import sys
import time
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "client/python/examples"
STAND_IN = [sys.executable, os.path.abspath(__file__)]


class Function:
    """One that is running: with Function("inside", folder, …) as f: f.call({"input": …})"""

    def __init__(self, name, folder, command, **env):
        from harness import START_S, until
        self.folder = Path(folder)
        self.tmp = self.folder / "tmp"
        self.tmp.mkdir(parents=True)
        self.listener = str(self.folder / "s/call.sock")
        os.mkdir(self.folder / "s")
        self.log_file = self.folder / "log"
        self.begun = time.monotonic()
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                [*command, EXAMPLES / name / "func.py", "handler"], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env={
                    "PATH": os.defpath, "HOME": "/nonexistent", "TMPDIR": str(self.tmp),
                    "PYTHONDONTWRITEBYTECODE": "1", "FN_FORMAT": "http-stream",
                    "FN_LISTENER": f"unix:{self.listener}", **env})
        until(self._listens, "the function is up", START_S)

    def _listens(self):
        assert self.process.poll() is None, self.log_file.read_text()
        return os.path.exists(self.listener)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, request):
        return call(self.listener, json.dumps(request))

    def left(self):
        """What is there beside its process: others, files."""
        from harness import process_tree
        others = [path for path in glob.glob("/proc/[0-9]*/cmdline")
                  if str(self.tmp).encode() in read(path)]
        return process_tree(self.process.pid)[1:] + others + list(self.tmp.rglob("*"))


def call(listener, body, timeout=60):
    """Status and body: 200 and what the handler gave, or 502 and what it raised."""
    connection = http.client.HTTPConnection("function")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(timeout)
    connection.sock.connect(listener)
    connection.request("POST", "/call", body, {
        "Content-Type": "application/json", "Fn-Call-Id": "1",
        "Fn-Deadline": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + timeout))})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found


def read(path):
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


class Calls(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    handler = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            status, text = 200, type(self).handler(None, data=io.BytesIO(body))
        except Exception as error:
            status, text = 502, str(error)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def address_string(self):
        return "-"


def serve(path, name):
    spec = importlib.util.spec_from_file_location("func", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    Calls.handler = staticmethod(getattr(module, name))
    listener = os.environ["FN_LISTENER"].removeprefix("unix:")
    with socketserver.UnixStreamServer(listener + ".new", Calls) as server:
        os.rename(listener + ".new", listener)  # it is there when it can be called
        server.serve_forever()


if __name__ == "__main__":
    serve(*sys.argv[1:])
