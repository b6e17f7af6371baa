# SPDX-License-Identifier: Apache-2.0
"""test_damage.py - a damaged queue is moved aside and refused, never replaced by an empty one in
silence; `ocid --recover` makes a new one of what can be read."""

import contextlib
import random
import socket
import sqlite3
import struct
import subprocess

import pytest
from harness import MIB, NO_LEAKS, blob, client_library, sha, until

put_job = client_library.client.put_job
PAGE = 4096


@pytest.fixture
def full(make_ocid, store, b):
    """A daemon with a queue of 600 puts that are paused and 20 that are done; it was stopped.
    (ocid, ids of the paused, ids of the done)"""
    ocid = make_ocid().start()
    path = ocid.file(blob(3000))
    done = ocid.submit(*(put_job(path, f"{b}/d{i}", {}) for i in range(20)))
    ocid.client.wait(done, 60)
    store.on("PutObject", do="hang", count=0)
    ids = ocid.submit(*(put_job(path, f"{b}/o{i}", {"label": f"number {i}"}) for i in range(600)))
    ocid.client.pause(ids)
    ocid.client.limit(jobs=99)
    ocid.stop()
    store.clear()
    return ocid, ids, done


def root_of(ocid, table):
    with sqlite3.connect(ocid.database()) as db:
        found = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", [table]).fetchone()
    db.close()
    return found[0]


def leaves_of(ocid, root):
    """Numbers of the leaf pages below an interior page of a table."""
    data = ocid.database().read_bytes()
    page = data[(root - 1) * PAGE:root * PAGE]
    assert page[0] == 5, "a table of many pages"
    n = struct.unpack(">H", page[3:5])[0]
    cells = struct.unpack(f">{n}H", page[12:12 + 2 * n])
    return [struct.unpack(">I", page[at:at + 4])[0] for at in cells] + \
        [struct.unpack(">I", page[8:12])[0]]


def scribble(path, page, seed=1):
    with open(path, "r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(random.Random(seed).randbytes(PAGE))


def answers(ocid):
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as knock:
        knock.connect(ocid.socket)
        return True
    return False


def aside(ocid):
    return [p for p in ocid.state.rglob("queue.db.damaged-*") if not p.name.endswith("-wal")]


def refused(ocid):
    """What it says when it does not start; it must be the same the second time."""
    said = []
    for _ in range(2):
        done = ocid.run_once()
        assert done.status == 1, done
        said.append(done.err)
        assert "ocid --recover" in said[-1] and "damaged" in said[-1], said
        (path,) = aside(ocid)
        assert path.name in said[-1]
    return said[0]


def all_done(ocid, store, b, ids):
    ocid.client.resume(ids)
    assert {s.state for s in ocid.client.wait(ids, 60)} == {"done"}
    assert all(store.object_sha(f"{b}/o{i}") == sha(blob(3000)) for i in (0, 299, 599)
               if f"o{i}" in store.names(b))


def test_a_damaged_page_costs_its_rows_and_no_others(full, store, b):
    ocid, ids, done = full
    leaf = leaves_of(ocid, root_of(ocid, "jobs"))[3]
    scribble(ocid.database(), leaf)
    refused(ocid)
    said = ocid.run_once("--recover")
    assert said.status == 8 and "jobs may be lost" in said.out, said
    ocid.start()
    left = {s.id for s in ocid.client.jobs(state="paused")}
    assert left < set(ids) and len(left) > 550
    assert f"{len(left) + 20} jobs, {len(left)} of them unfinished" in said.out
    assert f"{600 - len(left)} jobs may be lost" in said.out
    assert {s.id for s in ocid.client.jobs(state="done")} == set(done)
    all_done(ocid, store, b, sorted(left))
    assert max(ocid.submit(put_job(ocid.file(b"x"), f"{b}/new", {}))) > max(ids), \
        "no id is used again"
    assert len(aside(ocid)) == 1, "the damaged one stays"
    assert [x.jobs for x in ocid.client.limit()] == [99], "what was limited stays so"


def test_without_its_first_page_all_is_read(full, store, b):
    ocid, ids, done = full
    scribble(ocid.database(), 1)
    refused(ocid)
    said = ocid.run_once("--recover")
    assert said.status == 0 and "620 jobs, 600 of them unfinished" in said.out, said
    ocid.start()
    all_done(ocid, store, b, ids)


def test_without_the_root_of_its_jobs_there_is_a_new_queue_that_says_so(full):
    """What the pages below hold cannot be told from what was deleted long ago."""
    ocid, ids, _ = full
    scribble(ocid.database(), root_of(ocid, "jobs"))
    refused(ocid)
    said = ocid.run_once("--recover")
    assert said.status == 8 and "0 jobs" in said.out and "620 jobs may be lost" in said.out, said
    ocid.start()
    assert max(ocid.submit({"kind": "set"})) > max(ids)


@pytest.fixture
def logged(make_ocid, store, b):
    """A daemon that was killed with 50 jobs in its log and 5 in the database below that."""
    ocid = make_ocid().start()
    path = ocid.file(blob(3000))
    ocid.client.wait(ocid.submit(*(put_job(path, f"{b}/d{i}", {}) for i in range(5))), 60)
    ocid.restart()
    store.on("PutObject", do="hang", count=0)
    ids = ocid.submit(*(put_job(path, f"{b}/o{i}", {}) for i in range(50)))
    ocid.kill()
    store.clear()
    return ocid, ids


def test_what_is_in_the_log_is_read(logged):
    ocid, ids = logged
    scribble(ocid.database(), 2)  # its identity; most of the rest is in the log
    refused(ocid)
    said = ocid.run_once("--recover")
    assert said.status == 8 and "55 jobs, 50 of them unfinished" in said.out, said
    assert "may be lost" not in said.out
    ocid.start()
    assert {s.state for s in ocid.client.wait(ids, 60)} == {"done"}


@pytest.mark.parametrize("at", [0, 9, 25])
def test_a_log_that_cannot_be_read_is_not_passed_over_in_silence(logged, at):
    """SQLite takes such a log for none, and the database for a whole one."""
    ocid, _ = logged
    log = ocid.database().with_name("queue.db-wal")
    data = bytearray(log.read_bytes())
    data[at] ^= 0x40
    log.write_bytes(data)
    refused(ocid)
    said = ocid.run_once("--recover")
    assert said.status == 8 and "5 jobs, 0 of them unfinished" in said.out, said
    assert "the log of the last commits cannot be read" in said.out
    ocid.start()


@pytest.mark.parametrize("data", [b"", b"\0" * 40960, b"no database at all\n" * 400],
                         ids=["empty", "zeros", "text"])
def test_a_file_of_which_nothing_can_be_read(full, data):
    ocid, _, _ = full
    ocid.database().write_bytes(data)
    refused(ocid)
    said = ocid.run_once("--recover")
    assert said.status == 4 and "nothing can be read" in said.err, said
    refused_again = ocid.run_once()
    assert "move that file away" in refused_again.err
    (path,) = aside(ocid)
    path.rename(path.with_name("away"))
    ocid.start()
    assert "begins empty" in ocid.log()


def test_a_transfer_goes_on_after_a_recovery(make_ocid, store, b):
    ocid = make_ocid().start()
    rule = store.on("UploadPart", nth=4, do="hang", count=0)
    job = ocid.put(blob(6 * MIB), f"{b}/o")
    until(lambda: [u for u in store.uploads(b) if len(u["parts"]) == 3], "three parts")
    ocid.client.pause([job])
    ocid.wait_for(job, "paused")
    ocid.stop()
    store.clear(rule)
    until(lambda: not store.counters()["running"], "the store is quiet")
    store.clear_log()
    scribble(ocid.database(), root_of(ocid, "meta"))
    refused(ocid)
    said = ocid.run_once("--recover")
    assert said.status == 8 and "ids begin anew" in said.out, said
    ocid.start()
    ocid.client.resume([job])
    ocid.done(job)
    assert store.object_sha(f"{b}/o") == sha(blob(6 * MIB))
    assert store.count("CreateMultipartUpload", bucket=b) == 0
    assert store.count("UploadPart", bucket=b) == 3, "those that have arrived are not sent again"


def test_a_whole_queue_and_a_running_daemon_are_left_alone(full):
    ocid, ids, _ = full
    said = ocid.run_once("--recover")
    assert said.status == 1 and "is whole: there is nothing to recover" in said.err, said
    ocid.start()
    said = ocid.run_once("--recover")
    assert said.status == 1 and f"pid {ocid.pid}" in said.err, said
    assert len(list(ocid.client.jobs(state="paused"))) == len(ids)
    ocid.stop()
    ocid.database().unlink()
    said = ocid.run_once("--recover")
    assert said.status == 4 and "no damaged queue" in said.err, said


@pytest.mark.parametrize("nth", [8, 16, 20, 24, 28, 32, 36, 40])
def test_a_disk_that_cannot_be_read_is_no_damage(logged, store, nth):
    """SQLite's check tells of such a page in the same words; the queue was moved aside for it."""
    ocid, ids = logged
    tool = ["strace", "-D", "-f", "-qqq", "-o", "/dev/null", "--seccomp-bpf",
            "-e", "trace=pread64", "-e", f"inject=pread64:error=EIO:when={nth}"]
    process = subprocess.Popen([*tool, f"{ocid.bin}/ocid"], env={**ocid.env, **NO_LEAKS},
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: process.poll() is not None or answers(ocid), "it has started, or ended")
    process.kill()
    process.wait()
    assert not aside(ocid)
    ocid.start()
    assert {s.state for s in ocid.client.wait(ids, 60)} == {"done"}


def test_damage_that_is_met_at_work_ends_the_daemon(full, store, b):
    ocid, ids, _ = full
    parts = root_of(ocid, "parts")
    scribble(ocid.database(), parts)  # not looked at by a start after an orderly end
    ocid.start()
    store.on("PutObject", do="hang", count=0)
    ocid.put(blob(3 * MIB), f"{b}/large")
    process, ocid.process = ocid.process, None
    assert process.wait(30) == 1
    assert "damaged" in ocid.log() and "this daemon ends" in ocid.log()
    store.clear()
    refused(ocid)
    assert ocid.run_once("--recover").status == 0
    ocid.start()
    all_done(ocid, store, b, ids)
