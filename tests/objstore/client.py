# SPDX-License-Identifier: Apache-2.0
"""client.py - objstore.Store: a test's own store, as a process, with a handle on it.

Needs nothing but the standard library and `cryptography`. All waiting has a bound; what
the methods do on the wire is in control.py.
"""

import contextlib
import http.client
import json
import os
import select
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import urllib.parse

from .profile import Profile
from .tls import make_certificates

SLOW = float(os.environ.get("OCID_SLOW", "1"))  # as in the scenarios: it stretches bounds
START_S, HIT_S = 20 * SLOW, 10 * SLOW
STOP_S = 10


class Store:
    """A running test store.

    with Store(buckets=["b"]) as store:
        store.on("UploadPart", nth=3, do="hang")
        ... run something against store.url ...
        store.wait_hit("UploadPart", 3)
    """

    def __init__(self, *, buckets=("b",), tls=False, namespace="testns", profile=None,
                 data=None, host="127.0.0.1", port=0, args=()):
        self.namespace, self.host, self.port = namespace, host, port
        self.profile = profile or Profile()
        self._home = tempfile.mkdtemp(prefix="objstore-")
        self.data = str(data) if data else os.path.join(self._home, "data")
        self._buckets, self._args = list(buckets), list(args)
        self.ca_file = self._cert = self._key = None
        if tls:
            self.ca_file, self._cert, self._key = make_certificates(
                os.path.join(self._home, "tls"))
        self.process = None

    # Life.

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.close()

    def start(self):
        """Starts the process, on the same port and data as before if it ran before."""
        self.process = subprocess.Popen(self._command(), stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "PYTHONPATH": _package_home()})
        line = self._first_line()
        if not line.startswith("objstore ready "):
            self.kill()
            raise RuntimeError(f"the test store did not start: {line!r}")
        self.port = int(line.rpartition(":")[2])
        return self

    def _command(self):
        command = [sys.executable, "-m", "objstore", "--listen", f"{self.host}:{self.port}",
                   "--data", self.data, "--namespace", self.namespace, *self._args]
        key = os.path.join(self._home, "public.pem")
        with open(key, "w", encoding="ascii") as file:
            file.write(self.profile.public_pem)
        command += ["--key", f"{self.profile.key_id}={key}"]
        for name in self._buckets:
            command += ["--bucket", name]
        if self._cert:
            command += ["--tls-cert", self._cert, "--tls-key", self._key]
        return command

    def _first_line(self):
        ready, _, _ = select.select([self.process.stdout], [], [], START_S)
        return self.process.stdout.readline() if ready else ""

    def stop(self):
        """SIGTERM and wait; data stay for another start()."""
        self._end(signal.SIGTERM)

    def kill(self):
        """SIGKILL; data stay, rules and log are lost."""
        self._end(signal.SIGKILL)

    def _end(self, number):
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process = None

    def restart(self):
        """stop() and start() on the same port, with the same data."""
        self.stop()
        return self.start()

    def close(self):
        """Stops and removes everything that was temporary."""
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    @property
    def url(self):
        """What to give a client as its endpoint, no slash at the end."""
        return f"{'https' if self.ca_file else 'http'}://{self.host}:{self.port}"

    # Faults.

    def on(self, op="*", do="hang", *, object="*", bucket="*", part=None, nth=1, count=1, **args):
        """Adds a fault, see faults.py; its id. `object` may be a glob."""
        rule = {"op": op, "do": do, "object": object, "bucket": bucket, "part": part,
                "nth": nth, "count": count, **args}
        return self._json("POST", "rules", rule)["id"]

    def rules(self):
        """All faults with how often they matched (`hits`) and struck (`fired`)."""
        return self._json("GET", "rules")

    def clear(self, rule_id=None):
        """Removes one fault or all; what hangs goes on."""
        self._call("DELETE", "rules" + _query(id=rule_id))

    def release(self, rule_id=None):
        """Lets what hangs go on; the faults stay."""
        self._json("POST", "release", {"id": rule_id} if rule_id is not None else {})

    # What happened.

    def log(self, op=None, *, object=None, bucket=None, part=None, status=None, state=None,
            after=None, limit=None):
        """Received requests, oldest first: dicts as in journal.Entry.as_json()."""
        return self._json("GET", "log" + _query(op=op, object=object, bucket=bucket, part=part,
                                                status=status, state=state, after=after,
                                                limit=limit))

    def clear_log(self):
        self._call("DELETE", "log")

    def counters(self):
        """Totals: requests and peak by operation, statuses, connections, bytes."""
        return self._json("GET", "counters")

    def count(self, op=None, **filters):
        """Number of requests that log() would give."""
        return self._json("GET", "wait" + _query(op=op, n=0, timeout=0, **filters))["count"]

    def wait_hit(self, op, n=1, timeout=HIT_S, **filters):
        """Waits until n such requests have arrived since the log began (state="done": are
        over); their number. TimeoutError if they do not."""
        found = self._json("GET", "wait" + _query(op=op, n=n, timeout=timeout, **filters),
                           timeout=timeout + 10)
        if not found["met"]:
            raise TimeoutError(f"{found['count']} of {n} {op} within {timeout} s")
        return found["count"]

    def parts_received(self, path):
        """Numbers of all parts taken for BUCKET/OBJECT, in order; twice if sent twice."""
        bucket, name = _split(path)
        return sorted(e["part"] for e in self.log("UploadPart", bucket=_literal(bucket),
                                                  object=_literal(name), status=200))

    # What there is.

    def object_bytes(self, path):
        return self._call("GET", _item("object", path))

    def object_info(self, path):
        """Everything known of BUCKET/OBJECT, with sha256_hex and md5_hex of its bytes."""
        return self._json("GET", _item("info", path))

    def object_sha(self, path):
        """SHA-256 in hex, computed now from the stored bytes."""
        return self.object_info(path)["sha256_hex"]

    def exists(self, path):
        bucket, name = _split(path)
        return name in self.names(bucket)

    def names(self, bucket):
        """Names of all objects in a bucket, in order."""
        return self._json("GET", f"names/{_quote(bucket)}")

    def buckets(self):
        return [doc["name"] for doc in self._json("GET", "buckets")]

    def uploads(self, bucket):
        """Unfinished multipart uploads, each with its `parts`."""
        return self._json("GET", f"uploads/{_quote(bucket)}")

    def links(self, bucket):
        """Pre-authenticated requests, as they were made."""
        return self._json("GET", f"links/{_quote(bucket)}")

    def drop_links(self, bucket):
        self._call("DELETE", f"links/{_quote(bucket)}")

    # Making things so, past signature, log and faults.

    def put_object(self, path, data=b"", **headers):
        """Stores bytes or a binary file; headers as of PutObject with _ for -. The ETag."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = self._call("PUT", _item("object", path), data, sent, whole=True)
        return reply.headers["etag"]

    def delete_object(self, path):
        self._call("DELETE", _item("object", path))

    def make_bucket(self, name, **settings):
        self._json("POST", "buckets", {"name": name, **settings})

    def set_archival(self, path, state):
        """Archived, Restoring or Restored."""
        self._json("POST", _item("archival", path), {"state": state})

    def corrupt(self, path, offset=0):
        """Flips one stored byte; the checksums stay as they were."""
        self._json("POST", _item("corrupt", path), {"offset": offset})

    def set_clock(self, offset):
        """Moves the store's clock by so many seconds against the machine's."""
        self._json("POST", "clock", {"offset": offset})

    def settings(self, **change):
        """Changes settings (app.SETTINGS); all of them as they are now."""
        return self._json("POST", "settings", change)

    def add_key(self, key_id, public_pem):
        self._json("POST", "keys", {"key_id": key_id, "pem": public_pem})

    def drop_key(self, key_id=None):
        """Forgets a key (default: the profile's): its requests get 401 from now on."""
        self._call("DELETE", "keys" + _query(key_id=key_id or self.profile.key_id))

    def session_token(self, public_pem, seconds=None, session_seconds=86400, *, tenancy=None,
                      user=None):
        """What a login gives: a token for the owner of that key, for `seconds` (default: the
        setting token_seconds), which can be refreshed for `session_seconds`."""
        return self._json("POST", "tokens", {
            "kind": "session", "pem": public_pem, "seconds": seconds,
            "session_seconds": session_seconds, "sub": user or self.profile.user,
            "tenant": tenancy or self.profile.tenancy})["token"]

    def resource_token(self, public_pem, seconds=None):
        """What the platform gives a function: a token for the owner of that key."""
        return self._json("POST", "tokens", {
            "kind": "resource", "pem": public_pem, "seconds": seconds,
            "sub": "ocid1.fnfunc.oc1.iad.testfunction", "res_type": "fnfunc",
            "res_id": "ocid1.fnfunc.oc1.iad.testfunction", "res_tenant": self.profile.tenancy,
            "res_compartment": "ocid1.compartment.oc1..test"})["token"]

    def revoke_tokens(self):
        """No token that was issued before is believed any more."""
        self._call("DELETE", "tokens")

    @property
    def metadata_url(self):
        """What stands for http://169.254.169.254/opc/v2."""
        return f"{self.url}/opc/v2"

    def rotate_instance(self):
        """The metadata service has a new certificate and key."""
        return self._json("POST", "instance", {"rotate": True})

    def instance_key(self):
        """The key that the metadata service gives away now, as PEM."""
        return self._json("POST", "instance", {})["key"]

    def set_user(self, user_id=None, **facts):
        """What GetUser says: name, email, …"""
        self._json("POST", "users", {"id": user_id or self.profile.user, **facts})

    # The control connection.

    def _connection(self, timeout):
        if not self.ca_file:
            return http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        context = ssl.create_default_context(cafile=self.ca_file)
        return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=context)

    def _call(self, method, path, body=None, headers=None, timeout=60, whole=False):
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, bytearray, memoryview)):
            headers.setdefault("content-length", str(os.fstat(body.fileno()).st_size))
        elif method == "PUT" and body is None:
            body = b""
        with contextlib.closing(self._connection(timeout)) as connection:
            connection.request(method, "/_ctl/" + path, body, headers)
            reply = connection.getresponse()
            data = reply.read()
        if reply.status >= 300:
            raise RuntimeError(f"{method} {path}: {reply.status} {data[:500]!r}")
        return reply if whole else data

    def _json(self, method, path, value=None, timeout=60):
        body = json.dumps(value).encode() if value is not None else None
        data = self._call(method, path, body, {"content-type": "application/json"}, timeout)
        return json.loads(data) if data else None


def _package_home():
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _split(path):
    bucket, sep, name = path.partition("/")
    if not sep or not name:
        raise ValueError(f"BUCKET/OBJECT expected, not {path!r}")
    return bucket, name


def _quote(text):
    return urllib.parse.quote(text, safe="")


def _item(kind, path):
    return "/".join((kind, *map(_quote, _split(path))))


def _literal(text):
    """A glob that matches just this."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)


def _query(**values):
    given = {name: value for name, value in values.items() if value is not None}
    return "?" + urllib.parse.urlencode(given) if given else ""
