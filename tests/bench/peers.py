# SPDX-License-Identifier: Apache-2.0
"""The other movers on the same tasks (run.sh --peers): whole commands, their start included.

rclone goes through its Oracle backend; where the name says s3 (s5cmd has no other way) requests
carry an HMAC, which costs a hundredth of an RSA signature: that flatters them.
"""
import itertools
import os
import resource
import shutil
import subprocess
import time

from kit import COUNT, E, RUN, note
from service import big_file, endpoint, key_config, small_files
from wire import Failed

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = E.get("BENCH_PEERS", "")
TUNED = ("--transfers", "32", "--checkers", "8", "--ignore-checksum", "--multi-thread-streams", "4")
TUNED_OCI = (*TUNED, "--oos-no-check-bucket", "--oos-disable-checksum", "--oos-chunk-size", "16Mi",
             "--oos-upload-concurrency", "8")
TUNED_S3 = (*TUNED, "--s3-no-check-bucket", "--s3-disable-checksum", "--s3-no-head")
_run = itertools.count()


def home():
    """A configuration with a key for those that read one."""
    d = RUN + "/peer-home"
    if not os.path.isdir(d):
        os.mkdir(d)
        key_config(d + "/config")
    return d


def rclone(s3, *args):
    def command(tls):
        oci = {"TYPE": "oracleobjectstorage", "PROVIDER": "user_principal_auth",
               "NAMESPACE": "bench", "REGION": "us-phoenix-1", "CONFIG_FILE": home() + "/config",
               "CONFIG_PROFILE": "DEFAULT", "COMPARTMENT": "ocid1.compartment.oc1..bench",
               "ENDPOINT": endpoint(tls)}
        hmac = {"TYPE": "s3", "PROVIDER": "Other", "ACCESS_KEY_ID": "bench",
                "SECRET_ACCESS_KEY": "bench", "REGION": "us-phoenix-1",
                "ENDPOINT": endpoint(tls) + "/s3"}
        env = {"RCLONE_CONFIG_B_" + k: v for k, v in (hmac if s3 else oci).items()}
        return [f"{PEERS}/bin/rclone", "--ca-cert", E["NEUTRAL_CA"], *args], env
    return command


def s5cmd(*args):
    def command(tls):
        env = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench",
               "AWS_REGION": "us-phoenix-1", "AWS_CA_BUNDLE": E["NEUTRAL_CA"]}
        return [f"{PEERS}/bin/s5cmd", "--no-verify-ssl", "--endpoint-url", endpoint(tls) + "/s3",
                *args], env
    return command


def cli(*args):
    def command(tls):
        env = {"OCI_CLI_CONFIG_FILE": home() + "/config", "SUPPRESS_LABEL_WARNING": "True",
               "OCI_CLI_SUPPRESS_FILE_PERMISSIONS_WARNING": "True"}
        return [f"{PEERS}/py/bin/oci", "--endpoint", endpoint(tls), "--cert-bundle",
                E["NEUTRAL_CA"], "os", "object", *args, "-ns", "bench"], env
    return command


def sdk(program, script, *args):
    def command(tls):
        env = {"PEER_CONFIG": home() + "/config", "PEER_ENDPOINT": endpoint(tls),
               "NODE_PATH": f"{PEERS}/node/node_modules", "NODE_EXTRA_CA_CERTS": E["NEUTRAL_CA"]}
        return [program, f"{HERE}/peers/{script}", *args], env
    return command


def python(*args):
    return sdk(f"{PEERS}/py/bin/python", "sdk.py", *args)


def node(*args):
    return sdk(shutil.which("node") or "node", "sdk.js", *args)


def tasks(task):
    """name -> (program that must be there, run number -> command)."""
    d, out, many = RUN + "/s4k", RUN + "/peer-out", f"v-{COUNT}x4096"
    go, oracle, js = f"{PEERS}/bin/rclone", f"{PEERS}/py/bin/oci", f"{PEERS}/node/node_modules"
    return {
        "put-4k": {
            "oci Python SDK": (oracle, lambda n: python("put-4k", d, "sink", n)),
            "oci CLI": (oracle, lambda n: cli("bulk-upload", "-bn", "sink", "--src-dir", d,
                                              "--object-prefix", n + "/", "--overwrite")),
            "oci Node SDK": (js, lambda n: node("put-4k", d, "sink", n)),
            "rclone": (go, lambda n: rclone(False, "copy", d, "b:sink/" + n)),
            "rclone tuned": (go, lambda n: rclone(False, *TUNED_OCI, "copy", d, "b:sink/" + n)),
            "rclone tuned, s3": (go, lambda n: rclone(True, *TUNED_S3, "copy", d, "b:sink/" + n)),
            "s5cmd, s3": (f"{PEERS}/bin/s5cmd", lambda n: s5cmd("cp", d + "/", f"s3://sink/{n}/")),
        },
        "put-big": {
            "rclone tuned": (go, lambda n: rclone(False, *TUNED_OCI, "copyto", big_file(),
                                                  "b:sink/" + n)),
        },
        "get-4k": {
            "oci Python SDK": (oracle, lambda n: python("get-4k", out, many, str(COUNT))),
            "oci CLI": (oracle, lambda n: cli("bulk-download", "-bn", many, "--download-dir", out,
                                              "--overwrite")),
            "oci Node SDK": (js, lambda n: node("get-4k", out, many, str(COUNT))),
        },
        "far-4k": {"rclone": (go, lambda n: rclone(False, "copy", d, "b:sink-d20/" + n))},
        "list": {
            "oci Python SDK": (oracle, lambda n: python("list", "v-100000x64")),
            "oci CLI": (oracle, lambda n: cli("list", "-bn", "v-100000x64", "--all", "--fields",
                                              "name,size")),
            "oci Node SDK": (js, lambda n: node("list", "v-100000x64")),
        },
    }[task]


def run(name, make, tls):
    command, env = make("peer%d" % next(_run))(tls)
    out = RUN + "/peer-out"
    shutil.rmtree(out, ignore_errors=True)
    os.mkdir(out)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    t = time.monotonic()
    r = subprocess.run(command, env={**{k: E[k] for k in ("PATH", "NEUTRAL_CA")}, "HOME": home(),
                                     "LANG": "C.UTF-8", **env},
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=600)
    t = time.monotonic() - t
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if r.returncode:
        raise Failed(f"{name}: status {r.returncode}: {r.stderr.strip()[-300:]}")
    return t, sum(getattr(after, k) - getattr(before, k) for k in ("ru_utime", "ru_stime")), 0


def peers(task, tls):
    """Sides for compare(): name -> function that does the task once. None without --peers."""
    if not PEERS:
        return {}
    small_files()
    found = {}
    for name, (needs, make) in tasks(task).items():
        if os.path.exists(needs):
            found[name] = lambda name=name, make=make: run(name, make, tls)
        else:
            note(f"bench: {name} is not installed in {PEERS}")
    return found
