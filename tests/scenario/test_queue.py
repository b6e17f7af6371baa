# SPDX-License-Identifier: Apache-2.0
"""test_queue.py - the queue: whose turn it is, what follows what, and what people do to jobs."""

import os

import pytest
from harness import MIB, SLOW, blob, client_library, settle, sha, until


@pytest.fixture
def one(make_ocid):
    """A daemon that sends one request at a time."""
    return make_ocid(transfer__connections=1).start()


def hold(store, ocid, b):
    """Keeps the only connection busy until store.clear(); the job that does."""
    store.on("PutObject", object="hold", do="hang")
    job = ocid.put(b"hold", f"{b}/hold")
    store.wait_hit("PutObject", 1, object="hold")
    return job


def order(store):
    return [e["object"] for e in store.log("PutObject") if e["object"] != "hold"]


# Turns.


def test_higher_priority_goes_first(one, store, b):
    hold(store, one, b)
    jobs = []
    for i, p in enumerate((4, 0, 9, 4, 9, 1)):
        jobs.append(one.put(b"x", f"{b}/p{p}-{i}", priority=p))
        settle(one.pid)  # or one that is ready goes before one that is not
    store.clear()
    for job in jobs:
        one.done(job)
    names = order(store)
    # what was being made ready when they came may go first
    late = [n for n in names if n not in ("p4-0", "p0-1")]
    assert late == sorted(late, key=lambda n: (-int(n[1]), int(n[3])))


def test_labels_share_fairly(one, store, b):
    """Three jobs of one label do not wait behind three hundred of another."""
    hold(store, one, b)
    many, few = one.another(label="many"), one.another(label="few")
    path = one.file(b"x")
    jobs = many.submit(client_library.client.put_job(path, f"{b}/many{i}", {})
                       for i in range(300))
    jobs += [few.put(path, f"{b}/few{i}").id for i in range(3)]
    store.clear()
    one.client.wait(jobs)
    names = order(store)
    assert max(i for i, name in enumerate(names) if name.startswith("few")) < 200, names


def test_small_jobs_do_not_wait_behind_large_ones(make_ocid, store, b):
    ocid = make_ocid(transfer__connections=4).start()
    store.on("UploadPart", do="slow", rate=2 * MIB, count=0)
    large = ocid.put(blob(24 * MIB), f"{b}/large")
    store.wait_hit("UploadPart", 2)
    for i in range(5):
        ocid.done(ocid.put(b"small", f"{b}/small{i}"), 5)
    assert ocid.status(large).state == "running"
    store.clear()
    ocid.done(large)


def test_a_label_is_shown(ocid, b):
    job = ocid.put(b"x", f"{b}/o", label="nightly run", priority=7)
    found = ocid.done(job).job
    assert (found["label"], found["priority"], found["object"]) == ("nightly run", 7, "o")


# What follows what.


def test_after_its_predecessors(one, store, b):
    hold(store, one, b)
    first = one.put(b"1", f"{b}/1")
    second = one.put(b"2", f"{b}/2", after=[first], priority=9)
    third = one.put(b"3", f"{b}/3", after=[first, second], priority=9)
    assert one.status(third).state == "waiting" and one.status(third).why == "after"
    store.clear()
    one.done(third)
    assert order(store) == ["1", "2", "3"]


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_after_a_predecessor_that_did_not_succeed(one, store, b, end):
    hold(store, one, b)
    first = one.get(f"{b}/none")
    second = one.put(b"2", f"{b}/2", after=[first])
    third = one.put(b"3", f"{b}/3", after=[second])
    if end == "cancelled":
        one.client.cancel([first])
    store.clear()
    assert one.wait(first).state == end
    one.failed(second, "predecessor")
    one.failed(third, "predecessor")
    assert "2" not in store.names(b)


def test_after_one_that_has_ended_already(ocid, b):
    done = ocid.put(b"1", f"{b}/1")
    ocid.done(done)
    ocid.done(ocid.put(b"2", f"{b}/2", after=[done]))
    failed = ocid.get(f"{b}/none")
    ocid.failed(failed, "not_found")
    ocid.failed(ocid.put(b"3", f"{b}/3", after=[failed]), "predecessor")


def test_after_one_that_does_not_exist(ocid, b):
    ocid.failed(ocid.put(b"1", f"{b}/1", after=[123456]), "predecessor")


def test_after_survives_a_crash(one, store, b):
    hold(store, one, b)
    first = one.put(b"1", f"{b}/1")
    second = one.put(b"2", f"{b}/2", after=[first], priority=9)
    one.kill()
    store.clear()
    one.start()
    one.done(second)
    assert one.status(first).state == "done"


# The same key twice.


def test_the_same_key_is_one_job(ocid, store, b):
    path = ocid.file(b"x")
    first = ocid.put(path, f"{b}/o", key="run-17")
    assert ocid.put(path, f"{b}/o", key="run-17") == first
    ocid.done(first)
    assert ocid.put(path, f"{b}/o", key="run-17") == first
    assert ocid.put(path, f"{b}/o", key="run-18") != first
    ocid.crash()
    assert ocid.put(path, f"{b}/o", key="run-17") == first


def test_the_same_key_twice_in_one_message(ocid, b):
    path = ocid.file(b"x")
    job = client_library.client.put_job(path, f"{b}/o", {"key": "k"})
    ids = ocid.submit(job, {**job, "key": "l"}, job)
    assert ids[0] == ids[2] != ids[1]
    for ident in ids:
        ocid.done(ident)


# Time limits.


@pytest.mark.parametrize("size", [10, 3 * MIB])
def test_a_time_limit(ocid, store, b, size):
    store.on("PutObject|UploadPart", do="hang", count=0)
    job = ocid.put(blob(size), f"{b}/o", timeout=0.5)
    ocid.failed(job, "job_timeout", 5)
    until(lambda: store.uploads(b) == [], "no parts are left behind")


def test_a_time_limit_counts_over_a_crash(ocid, store, b):
    store.on("PutObject", bucket=b, do="hang", count=0)
    job = ocid.put(b"x", f"{b}/o", timeout=6)
    store.wait_hit("PutObject", 1, bucket=b)
    ocid.crash()
    status = ocid.failed(job, "job_timeout")
    assert 5500 < status.ended_at - status.created_at < 6000 + 5000 * SLOW


def test_a_time_limit_counts_while_it_waits(ocid, store, b):
    store.on("PutObject", do=503, count=0)
    failed = ocid.failed(ocid.put(b"x", f"{b}/o", timeout=0.7), "job_timeout", 5)
    assert failed.tries >= 1
    first = ocid.put(b"x", f"{b}/o")
    ocid.failed(ocid.put(b"x", f"{b}/p", after=[first], timeout=0.3), "job_timeout", 5)


# Cancel.


def test_cancel_queued(one, store, b):
    hold(store, one, b)
    job = one.put(b"x", f"{b}/o")
    (ack,) = one.client.cancel([job])
    assert ack.error is None
    assert one.wait(job).state == "cancelled"
    store.clear()
    one.done(one.put(b"y", f"{b}/p"))
    assert store.names(b) == ["hold", "p"]


def test_cancel_is_the_same_twice(ocid, store, b):
    store.on("PutObject", do="hang")
    job = ocid.put(b"x", f"{b}/o")
    for _ in range(2):
        (ack,) = ocid.client.cancel([job])
        assert ack.error is None
        assert ocid.wait(job).state == "cancelled"


def test_cancel_leaves_no_parts_at_the_store(ocid, store, b):
    store.on("UploadPart", nth=3, do="hang", count=0)
    job = ocid.put(blob(6 * MIB), f"{b}/o")
    store.wait_hit("UploadPart", 3)
    ocid.client.cancel([job])
    assert ocid.wait(job, 2).state == "cancelled", "at once for the person"
    until(lambda: store.uploads(b) == [], "the upload is aborted")
    store.clear()
    assert store.names(b) == []


def test_cancel_aborts_until_the_service_has_forgotten(ocid, store, b):
    store.on("UploadPart", nth=2, do="hang", count=0)
    store.on("AbortMultipartUpload", do=503, count=2)
    job = ocid.put(blob(6 * MIB), f"{b}/o")
    store.wait_hit("UploadPart", 2)
    ocid.client.cancel([job])
    until(lambda: store.uploads(b) == [], "the upload is aborted")
    assert store.count("AbortMultipartUpload") >= 3


def test_cancel_cleans_up_after_a_crash(ocid, store, b):
    store.on("UploadPart", nth=2, do="hang", count=0)
    store.on("AbortMultipartUpload", do="hang")
    job = ocid.put(blob(6 * MIB), f"{b}/o")
    store.wait_hit("UploadPart", 2)
    ocid.client.cancel([job])
    assert ocid.wait(job).state == "cancelled"
    ocid.kill()
    store.clear()
    ocid.start()
    assert ocid.status(job).state == "cancelled"
    until(lambda: store.uploads(b) == [], "the upload is aborted after the crash")


def test_cancel_leaves_no_part_file(ocid, store, b):
    store.put_object(f"{b}/o", blob(5 * MIB))
    store.on("GetObject", nth=3, do="hang", count=0)
    job = ocid.get(f"{b}/o")
    store.wait_hit("GetObject", 3)
    assert ocid.part_files()
    ocid.client.cancel([job])
    assert ocid.wait(job).state == "cancelled"
    until(lambda: os.listdir(ocid.files) == [], "the part file is removed")


def test_cancel_a_job_that_is_done(ocid, b):
    job = ocid.put(b"x", f"{b}/o")
    ocid.done(job)
    (ack,) = ocid.client.cancel([job])
    assert ack.error is not None and ack.error.code == "state"
    assert ocid.status(job).state == "done"


# Pause, resume, retry.


def test_pause_and_resume_a_multipart_put(make_ocid, store, b):
    ocid = make_ocid(transfer__connections=4).start()
    data = blob(12 * MIB)
    store.on("UploadPart", nth=6, do="hang", count=0)
    job = ocid.put(data, f"{b}/o")
    store.wait_hit("UploadPart", 8)
    ocid.client.pause([job])
    ocid.wait_for(job, "paused")
    store.clear()
    before = store.count("UploadPart")
    ocid.done(ocid.put(b"meanwhile", f"{b}/p"))
    assert store.count("UploadPart") == before and ocid.status(job).state == "paused"
    assert len(store.uploads(b)) == 1, "what has arrived is kept"
    ocid.client.resume([job])
    ocid.done(job)
    assert store.object_sha(f"{b}/o") == sha(data)
    assert store.count("CreateMultipartUpload") == 1
    assert store.count("UploadPart") <= 12 + 4


def test_pause_and_resume_a_get(make_ocid, store, b):
    ocid = make_ocid(transfer__connections=4).start()
    data = blob(10 * MIB)
    store.put_object(f"{b}/o", data)
    store.on("GetObject", nth=5, do="hang", count=0)
    job = ocid.get(f"{b}/o")
    store.wait_hit("GetObject", 6)
    ocid.client.pause([job])
    ocid.wait_for(job, "paused")
    store.clear()
    ocid.client.resume([job])
    ocid.done(job)
    assert sha(ocid.files / "got") == sha(data)
    assert store.count("GetObject") <= 10 + 5


def test_paused_jobs_stay_so_over_a_crash(one, store, b):
    hold(store, one, b)
    job = one.put(b"x", f"{b}/o")
    one.client.pause([job])
    one.kill()
    store.clear()
    one.start()
    one.done(one.put(b"y", f"{b}/p"))
    assert one.status(job).state == "paused" and "o" not in store.names(b)
    one.client.resume([job])
    one.done(job)


def test_pause_of_what_waits_for_a_retry(ocid, store, b):
    store.on("PutObject", do=503, count=0)
    job = ocid.put(b"x", f"{b}/o")
    ocid.wait_for(job, "waiting", "retry")
    ocid.client.pause([job])
    ocid.wait_for(job, "paused")
    store.clear()
    ocid.client.resume([job])
    ocid.done(job)


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_retry(ocid, store, b, end):
    store.on("GetObject", do="hang")
    job = ocid.get(f"{b}/o")
    store.wait_hit("GetObject", 1)
    if end == "cancelled":
        ocid.client.cancel([job])
    store.clear()
    assert ocid.wait(job).state == end
    store.put_object(f"{b}/o", b"there now")
    (ack,) = ocid.client.retry([job])
    assert ack.error is None
    status = ocid.done(job)
    assert (ocid.files / "got").read_bytes() == b"there now"
    assert status.outcome.error == "" and status.ended_at


def test_retry_of_what_failed_in_an_earlier_life(ocid, store, b):
    """It was `no such job` once the job had left memory."""
    job, group = ocid.get(f"{b}/o"), ocid.submit({"kind": "set"})[0]
    member = ocid.submit({"kind": "get", "bucket": b, "object": "o", "set": group,
                          "dest": str(ocid.files / "member").encode()})[0]
    ocid.client.seal([group])
    for one in (job, member, group):
        assert ocid.wait(one).state == "failed"
    ocid.restart()
    store.put_object(f"{b}/o", b"there now")
    acks = ocid.client.retry([job, group, member, 999])
    assert [a.error and a.error.code for a in acks] == [None, None, "state", "not_found"]
    for one in (job, member, group):
        ocid.done(one)
    assert (ocid.files / "got").read_bytes() == (ocid.files / "member").read_bytes() == b"there now"
    (ack,) = ocid.client.cancel([job])
    assert ack.error is not None and ack.error.code == "state"
    ocid.restart()
    assert [s.state for s in ocid.client.status([job, member, group])] == ["done"] * 3
    (ack,) = ocid.client.cancel([job])
    assert ack.error is not None and ack.error.code == "state", "known, and ended"


@pytest.mark.parametrize("alone", [False, True])
def test_retry_of_a_set_finds_all_its_jobs_again(ocid, store, b, alone):
    """Those that had left memory had to be tried again one by one."""
    n, n_bad, other = 1300, 40, f"{b}-other"
    (group,) = ocid.submit({"kind": "set"})
    path = ocid.file(b"bytes")
    put_job = client_library.client.put_job
    jobs = [put_job(path, f"{b}/{i}", {"set": group}) for i in range(n)]
    bad = range(0, n, n // n_bad)
    for i in bad:
        jobs[i]["bucket"] = other
    ids = ocid.submit(*jobs[:1000]) + ocid.submit(*jobs[1000:])
    ocid.client.seal([group])
    assert ocid.wait(group).n_failed == len(bad)
    ocid.restart()
    store.make_bucket(other)
    if alone:  # one of them first: its set learns of it later
        ocid.client.retry([ids[bad[1]]])
        ocid.done(ids[bad[1]])
    (ack,) = ocid.client.retry([group])
    assert ack.error is None and ack.state == "waiting"
    status = ocid.done(group)
    assert (status.n_total, status.n_done, status.n_failed) == (n, n, 0)
    assert store.count("PutObject", bucket=other, status=200) == len(bad)
    (ack,) = ocid.client.retry([group])
    assert ack.error is not None and ack.error.code == "state"
    ocid.restart()
    assert ocid.status(group).state == "done"


def test_what_is_asked_behind_the_retry_of_a_set_is_done_behind_it(one, store, b):
    (group,) = one.submit({"kind": "set"})
    (member,) = one.submit({"kind": "get", "bucket": b, "object": "o", "set": group,
                            "dest": str(one.files / "o").encode()})
    one.client.seal([group])
    assert one.wait(group).state == "failed"
    one.restart()
    store.put_object(f"{b}/o", b"there now")
    store.on("GetObject", do="hang")
    with one.wire() as wire:
        for verb in "retry", "pause", "cancel":
            wire.request(f"job.{verb}", {"ids": [group]})
        acks = [wire.reply()[3]["jobs"][0] for _ in range(3)]
    assert [ack.get("error") for ack in acks] == [None] * 3
    assert one.wait(group).state == one.wait(member).state == "cancelled"


def test_a_set_that_is_cancelled_while_it_is_tried_again_stays_so(one, store, b):
    """The cancel of another client comes between two pages of its rows."""
    store.on("PutObject", count=0, do="hang", bucket=b)
    (group,) = one.submit({"kind": "set"})
    path, put_job = one.file(b"bytes"), client_library.client.put_job
    one.submit(*[put_job(path, f"{b}/{i}", {"set": group}) for i in range(2500)])
    one.client.cancel([group])
    one.wait(group)
    one.restart()
    with one.wire() as wire:
        wire.request("job.retry", {"ids": [group]})
        until(lambda: not one.status(group).final, "it is at work again")
        (ack,) = one.client.cancel([group])
        assert ack.error is None
        wire.reply()
    assert one.wait(group).state == "cancelled"
    until(lambda: all(s.state == "cancelled" for s in one.client.jobs(set=group)), "so are they")
    assert one.status(group).state == "cancelled"


def test_a_set_that_is_tried_again_keeps_its_counts_over_a_crash(ocid, store, b):
    other = f"{b}-other"
    (group,) = ocid.submit({"kind": "set"})
    path = ocid.file(b"bytes")
    put_job = client_library.client.put_job
    ocid.submit(*(put_job(path, f"{bucket}/{i}", {"set": group})
                  for bucket in (b, other) for i in range(20)))
    ocid.client.seal([group])
    assert ocid.wait(group).n_failed == 20
    ocid.restart()
    store.make_bucket(other)
    store.on("PutObject", do=503, count=15)
    ocid.client.retry([group])
    ocid.crash()
    status = ocid.done(group)
    assert (status.n_total, status.n_done, status.n_failed) == (40, 40, 0)


def test_actions_of_one_client_are_done_in_the_order_they_were_asked_for(one, store, b):
    """One that had to look for a job in the store was overtaken by those behind it."""
    old = one.put(b"x", f"{b}/old")
    one.done(old)
    one.restart()
    hold(store, one, b)
    job = one.put(b"x", f"{b}/o")
    with one.wire() as wire:
        asked = [wire.request(f"job.{verb}", {"ids": ids})
                 for verb, ids in (("pause", [old, job]), ("resume", [job]), ("cancel", [job]))]
        replies = [wire.reply() for _ in asked]
    assert [r[1] for r in replies] == asked
    errors = [[ack.get("error", {}).get("code") for ack in r[3]["jobs"]] for r in replies]
    assert errors == [["state", None], [None], [None]]
    assert one.wait(job).state == "cancelled"


def test_retry_and_resume_of_what_is_done(ocid, store, b):
    job = ocid.put(b"x", f"{b}/o")
    ocid.done(job)
    (ack,) = ocid.client.retry([job])
    assert ack.error is not None and ack.error.code == "state"
    assert store.count("PutObject") == 1


# Asking.


def test_jobs_that_do_not_exist(ocid):
    with pytest.raises(client_library.NotFound):
        ocid.client.status([999])
    for verb in ("cancel", "pause", "resume", "retry", "seal"):
        (ack,) = getattr(ocid.client, verb)([999])
        assert ack.error is not None and ack.error.code == "not_found", verb


def test_the_table_comes_in_pages_newest_first(ocid, b):
    path = ocid.file(b"x")
    ids = ocid.submit(*(client_library.client.put_job(path, f"{b}/{i}", {}) for i in range(250)))
    ocid.client.wait(ids)
    assert [s.id for s in ocid.client.jobs()] == sorted(ids, reverse=True)
    assert [s.id for s in ocid.client.jobs(limit=7)] == sorted(ids, reverse=True)[:7]
    assert [s.id for s in ocid.client.jobs(state="failed")] == []
    assert len(list(ocid.client.jobs(state="done"))) == 250


def test_everything_of_mine_since_a_number(ocid, store, b):
    epoch, seq, first = ocid.client.changes([])
    assert first == []
    job = ocid.put(b"x", f"{b}/o")
    ocid.done(job)
    epoch, later, found = ocid.client.changes([], epoch=epoch, since=seq, wait=5)
    assert {s.id for s in found} == {job} and found[-1].state == "done"
    assert ocid.client.changes([], epoch=epoch, since=later) == (epoch, later, [])
    everything = ocid.client.changes([], epoch=epoch + 1, since=later)
    assert [s.id for s in everything[2]] == [job], "another epoch means a full snapshot"


def test_ids_go_on_after_a_restart(ocid, b):
    first = ocid.put(b"x", f"{b}/1")
    ocid.done(first)
    before = ocid.client.info
    ocid.restart()
    assert ocid.client.info["uuid"] == before["uuid"]
    assert ocid.client.info["epoch"] != before["epoch"]
    assert ocid.put(b"x", f"{b}/2") > first
    assert ocid.status(first).state == "done"


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "retry", "seal"])
def test_what_the_disk_refused_is_not_answered_as_done(ocid, b, verb):
    """It was, and a restart undid it."""
    group = ocid.client.set().id
    fails = ocid.client.get(f"{b}/none", ocid.files / "none").id
    ocid.failed(fails, "not_found")
    watch, paused = ocid.submit(*({"kind": "watch", "bucket": b, "object": "never"} for _ in "ab"))
    ocid.client.pause([paused])
    job, was = {"resume": (paused, "paused"), "retry": (fails, "failed")}.get(
        verb, (group if verb == "seal" else watch, "waiting"))
    ocid.restart(OCID_FAULT="store.write:1+")
    ocid.wait_for(watch, "waiting", "object")
    with pytest.raises(client_library.OcidError, match="not on disk"):
        getattr(ocid.client, verb)([job])
    ocid.kill()
    ocid.start()
    status = ocid.wait_for(job, was)
    assert not status.sealed
    getattr(ocid.client, verb)([job])
    ocid.client.cancel([watch, paused])
