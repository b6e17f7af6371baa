#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The driver of the benchmarks. Started by run.sh, whose head says how; standard library only.

Each function under @bench makes its own daemon (own home, runtime directory and queue), measures,
and prints figures. Where the point is a comparison, the sides run in turn within one loop and the
median of the rounds' ratios counts. Of the service every process is counted: ocid and the signer
below it. The submit figures run against an endpoint that accepts and never answers, so that the
queue stays full and nothing is transferred.
"""
import atexit
import json
import os
import signal
import sys

import counts  # noqa: F401, their benchmarks enter BENCHES
import footprint  # noqa: F401
import hop  # noqa: F401
import packages  # noqa: F401
import submits  # noqa: F401
import transfers  # noqa: F401
from kit import BENCHES, note
from service import Service

SPEED = ("put_4k_tls", "put_4k", "put_4k_floor", "hop", "put_big_tls", "put_big", "get_big_tls",
         "get_big", "integrity", "get_4k", "far_4k", "list_100k", "submit_ack", "submit_rate",
         "status_busy", "fair", "fair_tls", "memory", "ctl", "scale", "python")


def main():
    names = sys.argv[1:]
    if names == ["--list"]:
        for k, f in BENCHES.items():
            print(f"{k:17} {' '.join(f.__doc__.split())}")
        print(f"{'speed':17} {' '.join(SPEED)}")
        return 0
    names = [n for name in names or ["speed"] for n in (SPEED if name == "speed" else [name])]
    unknown = [n for n in names if n not in BENCHES]
    if unknown:
        note(f"bench: no {', '.join(unknown)}; run.sh -l lists the names")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    atexit.register(lambda: [s.stop() for s in list(Service.live)])
    load = os.getloadavg()[0]
    if load > 0.5:
        note(f"bench: load is {load:.2f}: something else is running, figures will swing")
    status = 0
    for n in names:
        try:
            BENCHES[n]()
        except Exception as e:  # the next figure may still be had
            note(f"bench: {n}: {type(e).__name__}: {e}")
            print(json.dumps({"name": n, "error": str(e)[:300]}), flush=True)
            status = 1
        for s in list(Service.live):
            s.stop()
    return status


if __name__ == "__main__":
    sys.exit(main())
