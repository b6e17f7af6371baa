# SPDX-License-Identifier: Apache-2.0
"""test_outage.py - a service that is down is not stormed: a long queue costs as many requests as a
short one, no memory, and is worked off once the service answers."""

import os
import time

import pytest
from harness import KIB, SLOW, blob, client_library, until

put_job = client_library.client.put_job

N = int(os.environ.get("OCID_OUTAGE_JOBS", "4000"))
OUTAGE_S = float(os.environ.get("OCID_OUTAGE_S", "5"))
BUDGET, IN_FLIGHT = 100, 64  # jobs/flow.c; the setting below


def memory_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


@pytest.fixture
def down(make_ocid, store, b):
    """A daemon whose service has just gone down. (ocid, path of a source)"""
    ocid = make_ocid(transfer__connections=IN_FLIGHT, daemon__log_level="info").start()
    path = ocid.file(blob(3 * KIB))
    ocid.done(ocid.put(path, f"{b}/first"))
    store.on("*", bucket=b, do=503, count=0)
    return ocid, path


def left(ocid):
    stats = ocid.client.stats()
    return sum(stats[state] for state in ("queued", "running", "waiting"))


def submit(ocid, path, b, n):
    ids = []
    for at in range(0, n, 1000):
        ids += ocid.submit(*(put_job(path, f"{b}/o{i}", {}) for i in range(at, min(n, at + 1000))))
    return ids


def test_an_outage_is_no_storm(down, store, b):
    ocid, path = down
    ids = submit(ocid, path, b, N)
    before = memory_kib(ocid.pid)
    until(lambda: "answers nothing but failures" in ocid.log(), "the daemon has noticed")
    time.sleep(OUTAGE_S)  # what it sends meanwhile is what this is about
    sent = store.count("PutObject", bucket=b, status=503)
    grown = memory_kib(ocid.pid) - before
    assert sent <= BUDGET + 2 * IN_FLIGHT + 2 + 4 * OUTAGE_S, f"{sent} requests of {N} jobs"
    assert grown < 4 * 1024 * SLOW, f"{grown} KiB more while {N} jobs wait"
    assert ocid.client.stats()["queued"] > N - sent - 1, "those that have not been tried are queued"
    store.clear()
    began = time.monotonic()
    until(lambda: not left(ocid), "all have ended", 60 + N / 100)
    assert {s.id for s in ocid.client.jobs(state="done")} >= set(ids)
    assert store.count("PutObject", bucket=b, status=200) == N + 1
    print(f"{N} jobs, {OUTAGE_S:g} s: {sent} requests, {grown} KiB more; done "
          f"{time.monotonic() - began:.1f} s after")
    assert "answers again" in ocid.log()


def test_jobs_that_are_held_can_be_cancelled_and_paused(down, store, b):
    ocid, path = down
    ids = submit(ocid, path, b, 600)
    until(lambda: "answers nothing but failures" in ocid.log(), "the daemon has noticed")
    ocid.client.cancel(ids[300:400])
    ocid.client.pause(ids[400:])
    store.clear()
    assert {s.state for s in ocid.client.wait(ids[:300], 60)} == {"done"}
    assert {s.state for s in ocid.client.wait(ids[300:400], 60, check=False)} == {"cancelled"}
    assert {s.state for s in ocid.client.status(ids[400:])} == {"paused"}
    ocid.client.resume(ids[400:])
    assert {s.state for s in ocid.client.wait(ids[400:], 60)} == {"done"}


def test_it_stops_and_starts_while_the_service_is_down(down, store, b):
    ocid, path = down
    ids = submit(ocid, path, b, 600)
    until(lambda: "answers nothing but failures" in ocid.log(), "the daemon has noticed")
    assert ocid.stop() == 0
    ocid.start()
    store.clear()
    assert {s.state for s in ocid.client.wait(ids, 60)} == {"done"}


