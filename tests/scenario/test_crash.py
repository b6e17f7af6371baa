# SPDX-License-Identifier: Apache-2.0
"""test_crash.py - accepted means on disk: kill -9 at any moment, and work goes on where it was."""

import bisect
import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import time
import time

import pytest
from harness import KIB, MIB, blob, client_library, sha, until

put_job = client_library.client.put_job
needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


def test_what_was_acknowledged_is_there_after_a_crash(ocid, store, b):
    store.on("PutObject", do="hang", count=0)
    path = ocid.file(b"x")
    ids = ocid.submit(*(put_job(path, f"{b}/{i:03}", {}) for i in range(200)))
    ocid.kill()
    store.clear()
    ocid.start()
    ended = ocid.client.wait(ids, 60)
    assert {s.state for s in ended} == {"done"}
    assert store.names(b) == [f"{i:03}" for i in range(200)]


@needs_strace
def test_what_was_refused_does_not_run_after_a_crash(ocid, store, b):
    """The commit fails as late as at its sync: its rows are in the log's file already."""
    ocid.done(ocid.put(b"before", f"{b}/before"))
    refused = put_job(ocid.file(b"refused"), f"{b}/refused", {})
    with injected(ocid, "fsync,fdatasync", "error=EIO"):
        with pytest.raises(client_library.OcidError, match="cannot write the queue"):
            ocid.submit(refused)
        ocid.kill()
    ocid.start()
    ocid.done(ocid.put(b"after", f"{b}/after"))
    assert len(list(ocid.client.jobs())) == 2
    assert sorted(store.names(b)) == ["after", "before"]
    job = ocid.submit(refused)[0]
    ocid.done(job)


@contextlib.contextmanager
def injected(ocid, calls, what):
    tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}",
                               "-e", f"inject={calls}:{what}", "-p", str(ocid.pid)])
    try:
        until(lambda: all(map(traced, os.scandir(f"/proc/{ocid.pid}/task"))),
              "it is traced")
        yield
    finally:
        tracer.kill()
        tracer.wait()


def hanging_get(ocid, store, b):
    """One that has its part file, and no byte yet; what it is to get."""
    data = blob(40 * KIB)
    store.put_object(f"{b}/o", data)
    store.on("GetObject", do="hang")
    job = ocid.get(f"{b}/o")
    store.wait_hit("GetObject", 1)
    return job, data


@needs_strace
def test_what_is_tried_again_begins_when_its_row_says_so(ocid, store, b):
    """After a crash in between nobody would have known of its part file."""
    job, data = hanging_get(ocid, store, b)
    ocid.client.cancel([job])
    assert ocid.wait(job).state == "cancelled"
    with injected(ocid, "fsync,fdatasync", "error=EIO"):
        for _ in range(2):
            with pytest.raises(client_library.OcidError, match="is not on disk"):
                ocid.client.retry([job])
            assert ocid.status(job).state == "queued"
        ocid.kill()
    assert ocid.part_files() == [] and store.count("GetObject") == 1
    ocid.start()
    assert ocid.status(job).state == "cancelled"
    ocid.client.retry([job])
    ocid.done(job)
    assert (ocid.files / "got").read_bytes() == data


@needs_strace
def test_what_could_not_be_written_is_when_it_is_tried_once_more(ocid, store, b):
    job = ocid.get(f"{b}/o")
    ocid.failed(job, "not_found")
    store.put_object(f"{b}/o", b"there now")
    with injected(ocid, "fsync,fdatasync", "error=EIO"):
        with pytest.raises(client_library.OcidError, match="is not on disk"):
            ocid.client.retry([job])
    ocid.client.retry([job])
    ocid.done(job)


@needs_strace
def test_what_is_tried_again_begins_when_its_old_part_file_has_gone(ocid, store, b):
    """It has the same name: the new one was removed, and the row that spoke of it with it."""
    job, data = hanging_get(ocid, store, b)
    store.on("GetObject", do="hang", nth=2)
    with injected(ocid, "unlink", "delay_enter=1000000:when=1"):
        ocid.client.cancel([job])
        assert ocid.wait(job).state == "cancelled"
        asked_at = time.time()
        ocid.client.retry([job])
        store.wait_hit("GetObject", 2)
        assert store.log("GetObject")[-1]["time"] > asked_at + 0.7, "it was there, and now is not"
        assert len(ocid.part_files()) == 1
    store.clear()
    ocid.done(job)
    assert store.count("GetObject") == 2 and (ocid.files / "got").read_bytes() == data


@needs_strace
def test_a_file_that_came_with_a_cancel_is_the_jobs_own(ocid, store, b):
    """The cancel came while it was put in place; another try found it, and said `exists`."""
    data = blob(40 * KIB)
    store.put_object(f"{b}/o", data)
    ocid.done(ocid.get(f"{b}/o", ocid.files / "warm"))
    with injected(ocid, "link", "delay_exit=1000000:when=1"):
        job = ocid.get(f"{b}/o")
        until(lambda: (ocid.files / "got").exists(), "it is put in place")
        ocid.client.cancel([job])
        assert ocid.wait(job).state == "cancelled"
    until(lambda: ocid.client.retry([job])[0].error is None, "it is at rest")
    ocid.done(job)
    assert (ocid.files / "got").read_bytes() == data and ocid.part_files() == []
    (ocid.files / "got").write_bytes(b"another's")
    ocid.failed(ocid.get(f"{b}/o"), "exists")


def traced(task):
    with open(f"{task.path}/status", encoding="ascii") as lines:
        return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in lines)


def test_ids_come_after_the_disk_not_before(ocid, store, b):
    """Kill at once after each acknowledgement, many times: no id is ever lost or given twice."""
    store.on("PutObject", do="hang", count=0)
    path, seen = ocid.file(b"x"), []
    for i in range(6):
        seen += ocid.submit(*(put_job(path, f"{b}/{i}-{j}", {}) for j in range(20)))
        ocid.crash()
    assert len(set(seen)) == len(seen) and seen == sorted(seen)
    assert all(s.state in ("queued", "running", "waiting") for s in ocid.client.status(seen))
    store.clear()
    ocid.client.wait(seen, 60)


def test_spooled_bytes_outlive_a_crash(ocid, store, b):
    store.on("PutObject|UploadPart|CreateMultipartUpload", do="hang", count=0)
    jobs = {i: ocid.client.put_bytes(f"{b}/{i}", blob(size, i)).id
            for i, size in enumerate((0, 10, 70 * KIB, 2 * MIB))}
    ocid.kill()
    store.clear()
    ocid.start()
    for job in jobs.values():
        ocid.done(job)
    for i, size in enumerate((0, 10, 70 * KIB, 2 * MIB)):
        assert store.object_sha(f"{b}/{i}") == sha(blob(size, i))


@pytest.mark.parametrize("nth", [1, 2, 9, 16])
def test_a_multipart_put_sends_only_what_is_missing(make_ocid, store, b, nth):
    """At most one part a connection is sent again."""
    ocid = make_ocid(transfer__connections=4).start()
    data = blob(16 * MIB)
    store.on("UploadPart", nth=nth, do="hang", count=0)
    job = ocid.put(data, f"{b}/o")
    store.wait_hit("UploadPart", nth)
    until(lambda: ocid.status(job).parts_done >= nth - 1, "the others are there")
    ocid.client.set()  # what was written before this was acknowledged is on the disk, too
    ocid.kill()
    store.clear()
    ocid.start()
    status = ocid.done(job)
    assert store.object_sha(f"{b}/o") == sha(data)
    assert status.outcome.verified == "crc32c"
    assert store.count("UploadPart") <= 16 + 4
    assert store.count("CreateMultipartUpload") == 1 and store.uploads(b) == []


def test_a_commit_that_was_cut_off(ocid, store, b):
    data = blob(3 * MIB)
    for at in ("start", "answer"):
        store.clear_log()
        rule = store.on("CommitMultipartUpload", do="hang", at=at)
        job = ocid.put(data, f"{b}/{at}")
        store.wait_hit("CommitMultipartUpload", 1)
        if at == "answer":
            until(lambda: store.exists(f"{b}/answer"), "it was committed")
        ocid.kill()
        store.clear(rule)
        ocid.start()
        ocid.done(job)
        assert store.object_sha(f"{b}/{at}") == sha(data)
        assert store.count("UploadPart") == 3


def test_an_abort_without_its_reason_is_no_failure(ocid, store, b):
    """The row of the abort was written and the end, cancelled or failed, was not: the upload goes,
    and the job starts anew."""
    data = blob(3 * MIB)
    store.on("UploadPart", part=3, do="hang", count=0)
    job = ocid.put(data, f"{b}/o")
    store.wait_hit("UploadPart", part=3)
    ocid.client.set()
    ocid.kill()
    with contextlib.closing(sqlite3.connect(ocid.database())) as db, db:
        assert db.execute("UPDATE transfers SET phase = 4 WHERE phase = 2").rowcount == 1
    store.clear()
    ocid.start()
    ocid.done(job)
    assert store.object_sha(f"{b}/o") == sha(data) and store.uploads(b) == []
    assert store.count("AbortMultipartUpload") == 1 and store.count("CreateMultipartUpload") == 2


@pytest.mark.parametrize("if_absent", [True, False])
def test_a_commit_is_remembered_though_its_parts_cannot_be_read_at_once(ocid, store, b, if_absent):
    """Nothing is decided before they have been read."""
    data = blob(3 * MIB)
    store.on("CommitMultipartUpload", do="hang", at="answer")
    job = ocid.put(data, f"{b}/o", if_absent=if_absent)
    store.wait_hit("CommitMultipartUpload", 1)
    until(lambda: store.exists(f"{b}/o"), "it was committed")
    ocid.kill()
    store.clear()
    ocid.start(OCID_FAULT="store.read:1")
    ocid.done(job)
    assert store.object_sha(f"{b}/o") == sha(data)
    assert store.count("UploadPart") == 3 and store.count("CreateMultipartUpload") == 1


@pytest.mark.parametrize("at", ["start", "answer"])
def test_a_commit_over_the_same_bytes_is_not_taken_for_done(ocid, store, b, at):
    """What is there proves nothing of the commit: its upload was left over, and the new metadata
    was not there."""
    data = blob(3 * MIB)
    ocid.done(ocid.put(data, f"{b}/o", metadata={"run": "1"}))
    store.on("CommitMultipartUpload", do="hang", at=at)
    job = ocid.put(data, f"{b}/o", metadata={"run": "2"})
    store.wait_hit("CommitMultipartUpload", 2)
    if at == "answer":
        until(lambda: store.uploads(b) == [], "it was committed")
    ocid.kill()
    store.clear()
    ocid.start()
    ocid.done(job)
    assert store.uploads(b) == [] and store.count("UploadPart") == 6
    assert store.object_info(f"{b}/o")["meta"]["opc-meta-run"] == "2"


def test_an_intent_that_came_to_nothing_does_not_stay(ocid, store, b, tmp_path):
    """Its answer did not come, the job was paused and then cancelled: the row was there until the
    next start."""
    store.on("CreateMultipartUpload", do=503, count=0)
    job = ocid.put(blob(3 * MIB), f"{b}/o")
    ocid.wait_for(job, "waiting", "retry")
    ocid.client.pause([job])
    ocid.wait_for(job, "paused")
    assert len(rows(ocid, tmp_path, "transfers")) == 1
    ocid.client.cancel([job])
    assert ocid.wait(job).state == "cancelled"
    until(lambda: rows(ocid, tmp_path, "transfers") == [], "nothing is left in the queue")


def rows(ocid, folder, table):
    """Those of the queue as a crash would leave it."""
    for end in ("", "-wal"):
        shutil.copyfile(f"{ocid.database()}{end}", folder / f"copy.db{end}")
    with contextlib.closing(sqlite3.connect(folder / "copy.db")) as db:
        return db.execute(f"SELECT * FROM {table}").fetchall()


@pytest.mark.parametrize("at", ["start", "answer"])
def test_a_create_that_was_cut_off(ocid, store, b, at):
    data = blob(3 * MIB)
    store.on("CreateMultipartUpload", do="hang", at=at)
    job = ocid.put(data, f"{b}/o")
    store.wait_hit("CreateMultipartUpload", 1)
    ocid.kill()
    store.clear()
    ocid.start()
    ocid.done(job)
    assert store.object_sha(f"{b}/o") == sha(data)
    assert len(store.uploads(b)) <= 1, "one that may be another's is left alone"


def test_an_upload_that_the_service_has_forgotten_starts_over(ocid, store, b, profile):
    data = blob(6 * MIB)
    store.on("UploadPart", nth=4, do="hang", count=0)
    job = ocid.put(data, f"{b}/o")
    store.wait_hit("UploadPart", 4)
    ocid.kill()
    store.clear()
    store.on("ListMultipartUploadParts|UploadPart|CommitMultipartUpload", do="status", status=404,
             code="UploadNotFound", count=1)
    ocid.start()
    ocid.done(job)
    assert store.object_sha(f"{b}/o") == sha(data)


@pytest.mark.parametrize("nth", [1, 2, 9, 16])
def test_a_get_asks_only_for_what_is_missing(make_ocid, store, b, nth, tmp_path):
    ocid = make_ocid(transfer__connections=4).start()
    data = blob(16 * MIB)
    store.put_object(f"{b}/o", data)
    store.on("GetObject", nth=nth, do="hang", count=0)
    job = ocid.get(f"{b}/o")
    store.wait_hit("GetObject", nth)
    until(lambda: len(rows(ocid, tmp_path, "parts")) == nth - 1, "what has come is on the disk")
    ocid.kill()
    assert not (ocid.files / "got").exists()
    store.clear()
    store.clear_log()
    ocid.start()
    ocid.done(job)
    assert sha(ocid.files / "got") == sha(data) and ocid.part_files() == []
    assert store.count("GetObject") == 16 - (nth - 1)


def test_a_part_file_that_was_damaged_is_not_believed(make_ocid, store, b):
    ocid = make_ocid(transfer__connections=2).start()
    data = blob(8 * MIB)
    ocid.done(ocid.put(data, f"{b}/o"))
    store.on("GetObject", nth=7, do="hang", count=0)
    job = ocid.get(f"{b}/o")
    store.wait_hit("GetObject", 7)
    ocid.wait_that(job, lambda s: s.parts_done >= 4, "some parts are there")
    ocid.client.set()  # what was written before this was acknowledged is on the disk, too
    ocid.kill()
    (part,) = ocid.part_files()
    with open(part, "r+b") as file:
        file.seek(MIB + 17)
        file.write(b"damage")
    store.clear()
    store.clear_log()
    ocid.start()
    ocid.done(job)
    assert sha(ocid.files / "got") == sha(data)
    assert store.count("GetObject") < 8, "the others are believed: it is not fetched as a whole"


@pytest.mark.parametrize("what", ["gone", "short"])
def test_a_part_file_that_was_lost_is_made_anew(make_ocid, store, b, what):
    ocid = make_ocid(transfer__connections=2).start()
    data = blob(8 * MIB)
    store.put_object(f"{b}/o", data)
    store.on("GetObject", nth=7, do="hang", count=0)
    job = ocid.get(f"{b}/o")
    store.wait_hit("GetObject", 7)
    ocid.wait_that(job, lambda s: s.parts_done >= 4, "some parts are there")
    ocid.kill()
    (part,) = ocid.part_files()
    part.unlink() if what == "gone" else part.open("r+b").truncate(MIB // 2)
    store.clear()
    ocid.start()
    ocid.done(job)
    assert sha(ocid.files / "got") == sha(data) and ocid.part_files() == []


def test_an_object_replaced_during_the_crash_is_got_whole(make_ocid, store, b):
    ocid = make_ocid(transfer__connections=2).start()
    store.put_object(f"{b}/o", blob(8 * MIB))
    store.on("GetObject", nth=6, do="hang", count=0)
    job = ocid.get(f"{b}/o")
    store.wait_hit("GetObject", 6)
    ocid.kill()
    store.clear()
    store.put_object(f"{b}/o", blob(3 * MIB, 2))
    ocid.start()
    ocid.done(job)
    assert sha(ocid.files / "got") == sha(blob(3 * MIB, 2)) and ocid.part_files() == []


def test_what_is_final_stays_so(ocid, b):
    done, failed = ocid.put(b"x", f"{b}/o"), ocid.get(f"{b}/none")
    ocid.done(done)
    was = ocid.failed(failed, "not_found")
    ocid.crash()
    status = ocid.failed(failed, "not_found")
    assert status.outcome == was.outcome and status.ended_at == was.ended_at
    assert ocid.done(done).outcome.verified == "crc32c"


def sent_again(sent, lives):
    """For each of these lives, (from, to): bytes of parts that the service had acknowledged in it, and
    was sent once more after its end."""
    costs = [0] * len(lives)
    for i, entry in enumerate(sent):
        life = bisect.bisect([begun for begun, _ in lives], entry["time"]) - 1
        again = next((e for e in sent[i + 1:] if e["part"] == entry["part"]), None)
        if again and entry["status"] == 200 and entry["time"] + entry["seconds"] < lives[life][1]:
            costs[life] += again["received"]
    return costs


@pytest.mark.slow
def test_a_kill_costs_at_most_one_part_a_connection(make_ocid, store, b):
    """The bytes of parts that are sent again, over kills at random moments; the store counts them."""
    connections, n_parts, kills = 4, 96, 8
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    ocid = make_ocid(transfer__connections=connections).start()
    data = blob(n_parts * MIB)
    store.on("UploadPart", do="slow", rate=20 * MIB, count=0)
    lives, begun = [], time.time()
    job = ocid.put(data, f"{b}/o")
    for _ in range(kills):
        target = store.count("UploadPart", bucket=b) + chance.randrange(2, 10)
        store.wait_hit("UploadPart", target, bucket=b, timeout=60)
        lives.append((begun, time.time()))
        ocid.kill()
        until(lambda: not store.counters()["running"], "what was sent has arrived")
        begun = time.time()
        ocid.start()
    ocid.done(job, 60)
    assert store.object_sha(f"{b}/o") == sha(data)
    sent = store.log("UploadPart", bucket=b)
    again, each = sum(entry["received"] for entry in sent) - len(data), sent_again(sent, lives)
    print(f"seed {seed}: {kills} kills, {len(sent)} parts for {n_parts}, "
          f"{again / MIB / kills:.2f} MiB sent again a kill, of acknowledged parts "
          f"{[cost / MIB for cost in each]}, {connections} connections")
    assert 0 <= again <= kills * connections * MIB
    assert max(each) <= connections * MIB
    assert store.count("CreateMultipartUpload", bucket=b) == 1


@pytest.mark.slow
def test_killed_again_and_again(make_ocid, store, b):
    """Whatever the moment: in the end all is there, once, and right."""
    ocid = make_ocid(transfer__connections=8).start()
    chance = random.Random(7)
    store.on("UploadPart|GetObject|PutObject", do="delay", seconds=0.01, count=0)
    for i in range(4):
        store.put_object(f"{b}/get{i}", blob(5 * MIB, i))
    jobs = [ocid.put(blob(5 * MIB, i), f"{b}/put{i}") for i in range(4)]
    jobs += [ocid.get(f"{b}/get{i}", f"got{i}") for i in range(4)]
    path = ocid.file(b"small")
    jobs += ocid.submit(*(put_job(path, f"{b}/small{i}", {}) for i in range(50)))
    for _ in range(12):
        target = store.count() + chance.randrange(1, 12)
        try:
            store.wait_hit("*", target, timeout=1)
        except TimeoutError:
            pass
        ocid.crash()
    ended = ocid.client.wait(jobs, 60, check=False)
    assert [s for s in ended if s.state != "done"] == []
    for i in range(4):
        assert store.object_sha(f"{b}/put{i}") == sha(blob(5 * MIB, i))
        assert sha(ocid.files / f"got{i}") == sha(blob(5 * MIB, i))
    assert len([n for n in store.names(b) if n.startswith("small")]) == 50
    assert ocid.part_files() == []
