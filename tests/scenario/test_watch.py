# SPDX-License-Identifier: Apache-2.0
"""test_watch.py - a job that is done when an object appears, changes or is gone: across restarts, at
little cost, however many there are."""

import asyncio
import json
import subprocess
import time

import pytest
from harness import WAIT_S, client_library, until


def watch(ocid, where, **fields):
    """A raw watch that looks often; the job's id."""
    bucket, _, name = where.partition("/")
    (job,) = ocid.submit({"kind": "watch", "bucket": bucket, "object": name, "every_ms": 50,
                          **fields})
    return job


def test_it_is_there_already(ocid, b):
    put = ocid.done(ocid.put(b"12345", f"{b}/o"))
    status = ocid.client.watch(f"oci://{b}/o").wait(WAIT_S)
    assert (status.outcome.etag, status.outcome.bytes) == (put.outcome.etag, 5)


def test_it_appears(ocid, b):
    job = watch(ocid, f"{b}/o")
    status = ocid.wait_for(job, "waiting", "object")
    assert status.retry_at > time.time() * 1000 - 60_000
    put = ocid.done(ocid.put(b"12345", f"{b}/o"))
    status = ocid.done(job)
    assert status.outcome.etag == put.outcome.etag and status.tries == 0


def test_it_changes(ocid, b):
    first = ocid.done(ocid.put(b"1", f"{b}/o")).outcome.etag
    job = ocid.client.watch(f"oci://{b}/o", etag=first, every=0.05)
    now = ocid.client.watch(f"oci://{b}/o", changed=True, every=0.05)
    for one in (job, now):
        ocid.wait_for(one.id, "waiting", "object")
    second = ocid.done(ocid.put(b"2", f"{b}/o")).outcome.etag
    assert job.wait(WAIT_S).outcome.etag == now.wait(WAIT_S).outcome.etag == second != first


def test_what_goes_and_comes_again_has_changed(ocid, b):
    first = ocid.done(ocid.put(b"1", f"{b}/o")).outcome.etag
    job = watch(ocid, f"{b}/o", if_none_match=first)
    ocid.wait_for(job, "waiting", "object")
    ocid.client.delete(f"{b}/o").wait(WAIT_S)
    ocid.wait_for(watch(ocid, f"{b}/o", gone=True), "done")
    assert ocid.status(job).state != "done"
    second = ocid.done(ocid.put(b"2", f"{b}/o")).outcome.etag
    assert ocid.done(job).outcome.etag == second


def test_changed_of_what_is_not_there_is_that_it_appears(ocid, b):
    job = ocid.client.watch(f"oci://{b}/o", changed=True, every=0.05)
    ocid.wait_for(job.id, "waiting", "object")
    ocid.done(ocid.put(b"1", f"{b}/o"))
    job.wait(WAIT_S)


def test_it_goes(ocid, b):
    ocid.done(ocid.put(b"1", f"{b}/o"))
    job = ocid.client.watch(f"oci://{b}/o", gone=True, every=0.05)
    ocid.wait_for(job.id, "waiting", "object")
    ocid.client.delete(f"{b}/o").wait(WAIT_S)
    job.wait(WAIT_S)
    ocid.client.watch(f"oci://{b}/never", gone=True).wait(WAIT_S)


@pytest.mark.parametrize("gone", [False, True])
def test_no_bucket_is_a_mistake(ocid, gone):
    job = watch(ocid, "no-such-bucket/o", gone=gone)
    assert "bucket" in ocid.failed(job, "not_found").outcome.text


def test_who_may_not_list_can_watch(ocid, store, b):
    store.on("ListObjects", do=403, count=0)
    job = watch(ocid, f"{b}/o")
    ocid.wait_for(job, "waiting", "object")
    ocid.done(ocid.put(b"1", f"{b}/o"))
    ocid.done(job)


def test_not_allowed(ocid, store, b):
    store.on("HeadObject", do=403, count=0)
    ocid.failed(watch(ocid, f"{b}/o"), "denied")


def test_refused_credentials_are_waited_for(ocid, store, b):
    store.on("HeadObject", do=401, count=0)
    job = watch(ocid, f"{b}/o")
    ocid.wait_for(job, "waiting", "login")
    store.clear()
    ocid.client.resume([job])
    ocid.wait_for(job, "waiting", "object")
    ocid.done(ocid.put(b"1", f"{b}/o"))
    ocid.done(job)


@pytest.mark.parametrize("rule", [{"do": 503}, {"do": 429}, {"do": "reset"}])
def test_a_look_that_fails_is_repeated(ocid, store, b, rule):
    store.on("HeadObject", count=2, **rule)
    store.on("ListObjects", do=503)
    job = watch(ocid, f"{b}/o")
    # libcurl may have repeated one by itself
    ocid.wait_that(job, lambda s: s.why == "object" and s.tries >= 2, "looking again")
    ocid.done(ocid.put(b"1", f"{b}/o"))
    ocid.done(job)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_changes_nothing(ocid, store, b, end):
    old = ocid.done(ocid.put(b"1", f"{b}/there")).outcome.etag
    appears, stays = watch(ocid, f"{b}/o"), watch(ocid, f"{b}/never")
    changes = watch(ocid, f"{b}/there", if_none_match=old)
    for job in (appears, stays, changes):
        ocid.wait_for(job, "waiting", "object")
    getattr(ocid, end)()
    store.put_object(f"{b}/o", b"1")
    store.put_object(f"{b}/there", b"2")
    ocid.start()
    ocid.done(appears)
    assert ocid.done(changes).outcome.etag != old
    ocid.wait_for(stays, "waiting", "object")


def test_its_time_limit_is_the_submitters(ocid, b):
    job = ocid.client.watch(f"oci://{b}/o", timeout=0.5)
    ocid.failed(job.id, "job_timeout")


def test_paused_cancelled_and_looked_at_once(ocid, store, b):
    job = watch(ocid, f"{b}/o", every_ms=86_400_000)
    ocid.wait_for(job, "waiting", "object")
    ocid.client.pause([job])
    ocid.wait_for(job, "paused")
    ocid.client.resume([job])
    ocid.wait_for(job, "waiting", "object")
    store.put_object(f"{b}/o", b"1")
    ocid.client.resume([job])
    ocid.done(job)
    other = watch(ocid, f"{b}/never")
    ocid.wait_for(other, "waiting", "object")
    ocid.client.cancel([other])
    ocid.wait_for(other, "cancelled")


def test_others_follow_a_watch(ocid, b):
    job = ocid.client.watch(f"oci://{b}/out", every=0.05)
    get = ocid.client.get(f"{b}/out", ocid.files / "got", after=job)
    ocid.wait_for(get.id, "waiting", "after")
    ocid.done(ocid.put(b"result", f"{b}/out"))
    get.wait(WAIT_S)
    assert (ocid.files / "got").read_bytes() == b"result"


def test_many_are_no_storm_and_hold_up_nobody(ocid, store, b):
    """3,000 watches that would all look twenty times a second look a hundred times a second in all,
    and a put among them is not held up."""
    many = ocid.submit(*({"kind": "watch", "bucket": b, "object": f"m{i}", "every_ms": 50}
                         for i in range(3000)))
    one = many[1234]

    def asleep():
        return ocid.client.stats()["waiting"] >= len(many)
    until(asleep, "all of them wait", 4 * WAIT_S)
    store.clear_log()
    began = time.monotonic()
    ocid.done(ocid.put(b"1", f"{b}/other"))
    until(lambda: store.count("HeadObject") >= 300, "they look again")
    assert time.monotonic() - began > 300 / 250
    store.put_object(f"{b}/m1234", b"1")
    ocid.client.resume([one])
    ocid.done(one)
    ocid.crash()
    assert ocid.client.stats()["waiting"] >= 2000
    ocid.client.cancel(many[:1000])


def test_by_an_event_loop(ocid, b):
    from ocid import aio

    async def main():
        async with aio.Client(socket=ocid.socket) as client:
            job = await client.watch(f"oci://{b}/o", every=0.05)
            await client.put_bytes(f"oci://{b}/o", b"1")
            return await job
    assert asyncio.run(main()).state == "done"


def test_what_excludes_each_other(ocid, b):
    with pytest.raises(client_library.Invalid):
        ocid.client.watch(f"oci://{b}/o", gone=True, changed=True)
    with pytest.raises(client_library.Invalid):
        watch(ocid, f"{b}/o", gone=True, if_none_match="e")
    done = ocid.ctl("watch", f"oci://{b}/o", "--gone", "--changed")
    assert done.status == 2 and "exclude" in done.err
    assert ocid.ctl("watch", f"oci://{b}").status == 2


# By hand.

def test_a_person_waits(ocid, b):
    process = subprocess.Popen([f"{ocid.bin}/ocictl", "watch", f"oci://{b}/o", "--every", "50ms"],
                               env=ocid.env, stderr=subprocess.PIPE, text=True)
    try:
        assert "waits: the object is not there yet; the next look is in" in process.stderr.readline()
        ocid.done(ocid.put(b"1", f"{b}/o"))
        assert process.wait(WAIT_S) == 0
    finally:
        process.kill()
        process.stderr.close()
    first = ocid.status(1).outcome.etag
    done = ocid.ctl("watch", f"oci://{b}/o", "--json")
    assert done.status == 0 and json.loads(done.out)["outcome"]["etag"] == first
    done = ocid.ctl("watch", f"oci://{b}/o", "--etag", "another")
    assert done.status == 0, done
    done = ocid.ctl("watch", f"oci://{b}/o", "--gone", "--timeout", "300ms")
    assert done.status == 1 and "still there" in done.err and "time limit" in done.err, done


def test_changed_and_gone_by_hand(ocid, b):
    ocid.done(ocid.put(b"1", f"{b}/o"))
    jobs = [int(ocid.ctl("watch", f"oci://{b}/o", "--every", "50ms", "--no-wait", how).out)
            for how in ("--changed", "--gone")]
    for job in jobs:
        ocid.wait_for(job, "waiting", "object")
    assert "has not changed yet" in ocid.ctl("status", str(jobs[0])).out
    ocid.done(ocid.put(b"2", f"{b}/o"))
    ocid.done(jobs[0])
    assert ocid.ctl("rm", f"oci://{b}/o").status == 0
    ocid.done(jobs[1])
    done = ocid.ctl("watch", "oci://no-such-bucket/o", "--changed")
    assert done.status == 4, done
