# SPDX-License-Identifier: Apache-2.0
"""The Python package beside Oracle's SDK and ocifs (run.sh --peers): what a notebook waits for."""
import base64
import itertools
import json
import os
import statistics
import subprocess
import time

from kit import E, ROUNDS, RUN, bench, emit, note
from peers import HERE, PEERS, home
from service import Service, endpoint, honest, server_stats
from wire import Failed

PYTHON = f"{PEERS}/py/bin/python"
AGAINST = (("oci", "ocid"), ("ocifs", "ocid.fs"))  # each has the side of ours that is of its kind
COUNT = 1000
REQUESTS = {"first": 1, "put": COUNT, "get": COUNT, "list": 100, "cold": 1}
UNITS = {"put": "puts/s", "get": "gets/s", "list": "rows/s"}
AMOUNT = {"put": COUNT, "get": COUNT, "list": 100000}
_prefix = itertools.count()


def environment(s, tls):
    return {**s.env, "NEUTRAL_CA": E["NEUTRAL_CA"], "PEER_CONFIG": home() + "/config",
            "PEER_ENDPOINT": endpoint(tls), "PEER_COUNT": str(COUNT),
            "PYTHONPATH": E["BENCH_ROOT"] + "/client/python/src"}


def run(side, task, env):
    """Seconds that the task took."""
    if task in REQUESTS:
        server_stats(True)
    command = ["-c", "import " + side] if task == "import" else \
        [HERE + "/peers/packages.py", side, task, f"p{next(_prefix)}"]
    t = time.monotonic()
    r = subprocess.run([PYTHON, *command], env=env, capture_output=True, text=True, timeout=300)
    whole = time.monotonic() - t
    if r.returncode:
        raise Failed(f"{side}, {task}: {r.stderr.strip()[-500:]}")
    if task in REQUESTS:
        honest(REQUESTS[task])
    if task == "cold":
        return float(r.stdout) - t
    return float(r.stdout) if task in AMOUNT else whole


def bare(env):
    t = time.monotonic()
    subprocess.run([PYTHON, "-c", "pass"], env=env, check=True)
    return time.monotonic() - t


def measure(task, sides, env):
    """side -> seconds of each round; of `import` over a bare Python."""
    for side in sides:
        run(side, task, env)  # compiles what has to be, warms what can be
    times = {side: [] for side in sides}
    for _ in range(ROUNDS):
        for side in sides:
            seconds = run(side, task, env)
            times[side].append(seconds - bare(env) if task == "import" else seconds)
    return times


def tell(task, times, theirs, ours, version):
    def figure(side):
        seconds = statistics.median(times[side])
        return AMOUNT[task] / seconds if task in AMOUNT else seconds * 1e3
    ratio = statistics.median(b / a for a, b in zip(times[ours], times[theirs]))
    emit("python_" + task, figure(ours), UNITS.get(task, "ms"), against=f"{theirs} {version}",
         ratio=round(ratio, 2), theirs=round(figure(theirs), 1))


@bench
def python():
    """with --peers: import over a bare Python, a whole process with a first put, 1,000 objects of
    64 KiB up and down, 100,000 names listed, TLS: ocid against the oci SDK, its fsspec against ocifs"""
    if not PEERS:
        note("bench: python compares with others: run it with --peers")
        return
    with Service(endpoint(True)) as s:
        env = environment(s, True)
        version = {theirs: subprocess.run([PYTHON, HERE + "/peers/packages.py", theirs, "version"],
                                          env=env, capture_output=True, text=True,
                                          check=True).stdout.strip() for theirs, _ in AGAINST}
        for task in ("import", "first", "put", "get", "list"):
            times = measure(task, [side for pair in AGAINST for side in pair], env)
            for theirs, ours in AGAINST:
                tell(task, times, theirs, ours, version[theirs])
        times = measure("cold", ["oci", "ocid"], {**environment(s, False), **resource()})
        tell("cold", times, "oci", "ocid", version["oci"])


def resource():
    """What the platform gives to a function, and where the example's is."""
    part = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode()
            for one in ({"alg": "RS256"}, {"exp": int(time.time()) + 7200, "res_tenant": "bench"})]
    token = RUN + "/rpst"
    with open(token, "w") as f:
        f.write(".".join([*part, "c2lnbmVk"]))
    return {"OCI_RESOURCE_PRINCIPAL_VERSION": "2.2", "OCI_RESOURCE_PRINCIPAL_RPST": token,
            "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM": RUN + "/key.pem",
            "OCI_RESOURCE_PRINCIPAL_REGION": "us-phoenix-1", "OCID_ENDPOINT": endpoint(False),
            "PEER_FUNCTION": os.path.join(E["BENCH_ROOT"], "client/python/examples/inside")}
