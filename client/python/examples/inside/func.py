# SPDX-License-Identifier: Apache-2.0
"""func.py - a function with rights of its own, and `ocid` inside.

Asked with {"input": "oci://BUCKET/PREFIX", "output": "oci://BUCKET/OBJECT"}: joins the objects below
the prefix, in the order of their names, into one that must not be there yet. The daemon signs as the
function itself (a resource principal). It is started for the call and has ended before the answer is
given: between calls a function is frozen, and what has not been done by then might never be. Start at
handler().
"""

import contextlib
import json
import os
import subprocess
import tempfile
import time

import ocid

START_S = 20
STOP_S = 10
JOB_S = 60

SETTINGS = """
[daemon]
socket = {folder}/ocid.sock
state_dir = {folder}/state
ballast_mib = 0
drain_seconds = 0
log_level = warn
[credentials]
profile = FUNCTION
[profile FUNCTION]
auth = resource_principal
"""


def handler(ctx, data=None):
    asked = json.loads(data.getvalue())
    with daemon() as client:
        bucket = asked["input"].removeprefix("oci://").partition("/")[0]
        names = sorted(row.name for row in client.list(asked["input"], timeout=JOB_S))
        parts = [client.get_bytes(f"{bucket}/{name}", timeout=JOB_S) for name in names]
        job = client.put_bytes(asked["output"], b"".join(parts), if_absent=True, timeout=JOB_S)
        done = job.wait()
    return json.dumps({"objects": len(parts), "bytes": done.outcome.bytes,
                       "etag": done.outcome.etag})


@contextlib.contextmanager
def daemon():
    """A client of a daemon that lives as long as the block; all it keeps is in one directory, which
    goes with it."""
    with tempfile.TemporaryDirectory(prefix="ocid-") as folder:
        settings = SETTINGS.format(folder=folder)
        if "OCID_ENDPOINT" in os.environ:  # of the function's configuration: a private endpoint, say
            settings += f"[network]\nendpoint = {os.environ['OCID_ENDPOINT']}\n"
        with open(f"{folder}/ocid.conf", "w", encoding="utf-8") as file:
            file.write(settings)
        process = subprocess.Popen(["ocid", "--config", file.name], stdin=subprocess.DEVNULL)
        try:
            with connected(process, f"{folder}/ocid.sock") as client:
                yield client
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def connected(process, socket):
    end = time.monotonic() + START_S
    while True:
        try:
            return ocid.Client(socket=socket)
        except ocid.NoDaemon:
            if process.poll() is not None or time.monotonic() > end:
                raise
        time.sleep(0.002)
