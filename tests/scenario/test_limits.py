# SPDX-License-Identifier: Apache-2.0
"""test_limits.py - live limits of bandwidth and of jobs: what holds, for whom, and how soon."""

import asyncio
import json
import time

import pytest
from harness import FINAL, KIB, MIB, SLOW, Refused, blob, client_library, until

import ocid as lib

put_job = client_library.client.put_job
SIZE, RATE = 12 * MIB, 4 * MIB


def moved(ocid):
    stats = ocid.client.stats()
    return stats["bytes_up"] + stats["bytes_down"]


def moved_within(ocid, seconds):
    before, start = moved(ocid), time.monotonic()
    until(lambda: time.monotonic() - start >= seconds, "time passes", timeout=seconds + 5)
    return (moved(ocid) - before) / (time.monotonic() - start)


def begun(ocid, most=0):
    before = moved(ocid)
    until(lambda: moved(ocid) > before + most, "bytes move")


def big_put(ocid, to, mib=100, **options):
    return ocid.client.put(ocid.file(blob(mib * MIB)), f"oci://{to}", **options)


# ---- bandwidth


def put_whole(ocid, b):
    return [big_put(ocid, f"{b}/o", SIZE // MIB, part_bytes=1 << 30)]


def put_parts(ocid, b):
    return [big_put(ocid, f"{b}/o", SIZE // MIB)]


def put_small(ocid, b):
    path = ocid.file(blob(SIZE // 240))
    return [ocid.client.put(path, f"oci://{b}/{i}") for i in range(240)]


def get_whole(ocid, b):
    return [ocid.client.get(f"oci://{b}/o", ocid.folder / "got")]


def get_parts(ocid, b):
    return [ocid.client.get(f"oci://{b}/o", ocid.folder / f"got{i}") for i in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("ways", [put_whole, put_parts, put_small, get_whole, get_parts])
def test_bandwidth_is_what_was_asked_for(ocid, b, ways):
    """By the clock, from the first to the last byte."""
    if ways in (put_whole, get_whole):
        ocid.configure(transfer__multipart_threshold_mib=64, transfer__part_mib=64)
        ocid.reload()
    size = SIZE
    if ways in (get_whole, get_parts):
        ocid.done(ocid.put(blob(SIZE), f"{b}/o"))
        size = 2 * SIZE if ways is get_parts else SIZE
    ocid.client.limit(RATE)
    start = time.monotonic()
    jobs = ways(ocid, b)
    for job in jobs:
        ocid.done(job)
    took = (time.monotonic() - start) * RATE / size
    assert took > 0.9, f"{took:.2f} of the time"
    assert took < 1.1 + 0.4 * SLOW, f"{took:.2f} of the time"  # the machine may be busy


def test_a_change_holds_for_what_is_in_flight(ocid, b):
    ocid.configure(transfer__multipart_threshold_mib=200)
    ocid.reload()
    ocid.client.limit(MIB)
    job = big_put(ocid, f"{b}/o")
    begun(ocid, 256 * KIB)
    assert moved_within(ocid, 1) < 1.4 * MIB
    assert "the limit of all transfers is 1.0 MiB/s" == ocid.status(job).held
    ocid.client.limit(8 * MIB)
    assert moved_within(ocid, 1) > 4 * MIB / SLOW
    ocid.client.limit(MIB)
    assert moved_within(ocid, 1) < 2 * MIB
    ocid.client.limit(0)
    ocid.done(job)
    assert not ocid.status(job).held


def test_the_setting_and_the_live_limit_hold_both(ocid, b):
    ocid.configure(transfer__max_mib_per_second=1)
    ocid.reload()
    ocid.client.limit(64 * MIB)
    assert [(x.configured, x.bytes_per_s) for x in ocid.client.limit()] == \
        [(True, MIB), (False, 64 * MIB)]
    job = big_put(ocid, f"{b}/o", 20)
    begun(ocid, 256 * KIB)
    assert ocid.status(job).held == "the limit of ocid.conf is 1.0 MiB/s"
    assert moved_within(ocid, 1) < 1.4 * MIB
    ocid.configure(transfer__max_mib_per_second=0)
    ocid.reload()
    ocid.done(job)


def test_throttled_is_not_stalled(ocid, b):
    """Each of several connections moves nothing for longer than a stall may last."""
    ocid.configure(network__stall_seconds=1)
    ocid.reload()
    ocid.client.limit(16 * KIB)
    job = big_put(ocid, f"{b}/o", 8)
    begun(ocid, 64 * KIB)
    start = time.monotonic()
    until(lambda: time.monotonic() - start > 3, "longer than a stall", timeout=20)
    ocid.client.limit(0)
    assert ocid.done(job).tries == 0


def test_small_jobs_do_not_starve(ocid, b):
    ocid.client.limit(MIB)
    jobs = [big_put(ocid, f"{b}/{i}") for i in range(3)]
    begun(ocid, 256 * KIB)
    for i in range(3):
        start = time.monotonic()
        ocid.done(ocid.put(b"x" * 2048, f"{b}/small{i}"))
        assert time.monotonic() - start < 3 * SLOW
    assert not any(ocid.status(job).final for job in jobs)
    ocid.client.cancel(jobs)


def test_a_limit_of_one_client_leaves_others_alone(ocid, b):
    slow, fast = ocid.another(label="slow"), ocid.another(label="fast")
    slow.limit(16 * KIB, client="slow")
    held = slow.put(ocid.file(blob(4 * MIB)), f"oci://{b}/slow")
    until(lambda: slow.status(held)[0].state == "running", "it runs")
    fast.put(ocid.file(blob(4 * MIB)), f"oci://{b}/fast").wait(20 * SLOW)
    now = slow.status(held)[0]
    assert now.state == "running" and now.held == "the limit of client 'slow' is 16.0 KiB/s"
    slow.limit(0, client="slow")
    held.wait(20 * SLOW)


# ---- jobs


def states(ocid, jobs):
    return [ocid.status(job).state for job in jobs]


def test_so_many_jobs_at_a_time(ocid, b, store):
    c = ocid.client
    c.limit(jobs=2)
    store.on("PutObject", count=0, do="hang", bucket=b)
    jobs = [ocid.put(b"x", f"{b}/{i}") for i in range(6)]
    until(lambda: states(ocid, jobs) == ["running"] * 2 + ["queued"] * 4, "two run")
    assert ocid.status(jobs[2]).held == "the limit of all transfers is 2 small jobs at a time"
    assert not ocid.status(jobs[0]).held
    found, = c.limit()
    assert (found.scope, found.jobs, found.at_work, found.at_work_small) == ("all", 2, 0, 2)
    ocid.done(big_put(ocid, f"{b}/large", 2))  # counted apart
    c.limit(jobs=3)
    until(lambda: states(ocid, jobs) == ["running"] * 3 + ["queued"] * 3, "three run")
    c.cancel(jobs[:1])
    until(lambda: states(ocid, jobs[1:]) == ["running"] * 3 + ["queued"] * 2, "the next one runs")
    store.clear()
    c.limit(jobs=0)
    assert c.limit() == []


def test_who_waits_gives_its_place_to_another(ocid, b, store):
    """With one at a time, a job that waits for its next try holds up nobody; and then it has its
    turn as others have."""
    ocid.configure(network__retry_cap_seconds=3600)
    ocid.reload()
    ocid.client.limit(jobs=1)
    store.on("PutObject", object="0", do=503, retry_after=3600)
    first = ocid.put(b"x", f"{b}/0")
    ocid.wait_for(first, "waiting", "retry")
    store.on("PutObject", object="1", do="hang")
    second = ocid.put(b"x", f"{b}/1")
    ocid.wait_for(second, "running")
    ocid.client.resume(first)
    ocid.wait_that(first, lambda s: s.state == "queued" and s.held, "it waits its turn")
    ocid.client.cancel(second)
    ocid.done(first)


def test_a_set_at_its_own_pace(ocid, b, store):
    c = ocid.client
    store.on("PutObject", count=0, do="hang", bucket=b)
    held, = ocid.submit({"kind": "set"})
    c.limit(jobs=1, set=held)
    members = [ocid.put(b"m", f"{b}/m{i}", set=held) for i in range(4)]
    until(lambda: states(ocid, members) == ["running"] + ["queued"] * 3, "one member runs")
    assert ocid.status(members[3]).held == f"the limit of set {held} is 1 small job at a time"
    other = ocid.put(b"x", f"{b}/other")
    ocid.wait_for(other, "running")
    c.cancel(members[2])
    c.limit(jobs=2, set=held)
    until(lambda: states(ocid, members) == ["running"] * 2 + ["cancelled", "queued"], "two run")
    store.clear()
    c.cancel(members[:2])
    until(lambda: states(ocid, members)[3] == "done", "the last one")
    c.seal(held)
    until(lambda: ocid.status(held).state in FINAL, "the set ends")
    assert c.limit() == []  # with its set
    with pytest.raises(lib.State, match="has ended"):
        c.limit(jobs=1, set=held)


def test_a_limit_that_comes_while_a_set_is_tried_again_counts_its_members(make_ocid, store, b):
    """The set and its members have left memory. One of them, which was tried again alone, is at work
    and comes last when the set's rows are read page by page; the limit comes between two pages."""
    ocid = make_ocid().start()
    store.on("PutObject", count=0, do="hang", bucket=b)
    held, = ocid.submit({"kind": "set"})
    source = ocid.file(b"m")
    members = ocid.submit(*[put_job(source, f"{b}/m{i}", {"set": held}) for i in range(2500)])
    ocid.client.cancel([held])
    assert ocid.wait(held).state == "cancelled"
    ocid.restart()
    first = members[0]
    ocid.client.limit(jobs=1)  # of all: the others stay queued
    ocid.client.retry([first])
    ocid.wait_for(first, "running")
    with ocid.wire() as wire, ocid.wire() as other:
        wire.request("job.retry", {"ids": [held]})
        until(lambda: takes_a_limit(other, held), "the set is at work again")
        assert wire.reply()[2] is None
    assert at_work(ocid) == {"all": 1, "set": 1}
    ocid.client.cancel([first])
    assert ocid.wait(first).state == "cancelled"
    until(lambda: list(ocid.client.jobs(set=held, state="running")), "another one runs")
    assert at_work(ocid) == {"all": 1, "set": 1}
    store.clear()
    ocid.client.limit(jobs=0, set=held)
    ocid.client.limit(jobs=0)
    status = ocid.done(held, 60 * SLOW)
    assert (status.n_total, status.n_done, status.n_cancelled) == (2500, 2499, 1)


def at_work(ocid):
    return {limit.scope: limit.at_work_small for limit in ocid.client.limit()}


def takes_a_limit(wire, held):
    try:
        wire.call("daemon.limit", {"scope": "set", "set": held, "jobs": 1})
        return True
    except Refused:
        return False


# ---- what holds, and for whom


def test_limits_hold_over_a_restart(ocid, b):
    c = ocid.client
    jobs, = ocid.submit({"kind": "set"})
    c.limit(5 * MIB, jobs=3)
    c.limit(2 * MIB, set=jobs)
    c.limit(jobs=7, client="nb-7")
    before = c.limit()
    assert len(before) == 3
    ocid.crash()
    assert ocid.client.limit() == before
    c = ocid.client
    c.limit(0, jobs=0)
    c.limit(jobs=0, client="nb-7")
    ocid.restart()
    assert [x.scope for x in ocid.client.limit()] == ["set"]


def test_bad_limits_are_refused(ocid, b):
    c = ocid.client
    with pytest.raises(lib.Invalid, match="too few"):
        c.limit(10)
    with pytest.raises(lib.NotFound, match="no such set"):
        c.limit(MIB, set=4711)
    job = ocid.done(ocid.put(b"x", f"{b}/o")).id
    with pytest.raises(lib.Invalid, match="is not a set"):
        c.limit(MIB, set=job)
    with ocid.wire() as wire:
        with pytest.raises(Exception, match="bytes_per_s or jobs"):
            wire.call("daemon.limit", {"scope": "all"})
        with pytest.raises(Exception, match="label"):
            wire.call("daemon.limit", {"scope": "client", "jobs": 1})
    for i in range(255):
        c.limit(jobs=1, client=f"c{i}")
    with pytest.raises(lib.TooLarge, match="255 limits"):
        c.limit(jobs=1, client="one more")
    c.limit(jobs=2, client="c7")  # it is there already
    assert len(c.limit()) == 255


def test_the_command(ocid, b):
    assert ocid.ctl("limit").err == "ocictl: no limits\n"
    out = ocid.ctl("limit", "--rate", "20M", "--jobs", "8").out
    assert "20.0 MiB/s" in out and "8 at a time: 0 large, 0 small at work" in out
    ocid.ctl("limit", "--rate", "500K", "--client", "nb-7")
    rows = [json.loads(line) for line in ocid.ctl("limit", "--json").out.splitlines()]
    assert [(x["scope"], x.get("bytes_per_s"), x.get("jobs")) for x in rows] == \
        [("all", 20 * MIB, 8), ("client", 500 * KIB, None)]
    assert "client 'nb-7'" in ocid.ctl("limit", "--uid", str(rows[1]["uid"]), "--jobs", "2").out
    job = big_put(ocid, f"{b}/o", 4)
    begun(ocid)
    ocid.ctl("limit", "--rate", "16K")
    assert "held back" in ocid.ctl("status", str(job.id)).out
    for words in (("--rate", "fast"), ("--jobs", "0"), ("--set", "1"), ("--set", "1", "--uid", "2")):
        assert ocid.ctl("limit", *words).status == 2
    ocid.ctl("limit", "--rate", "none", "--jobs", "none")
    ocid.done(job.id)


def test_with_an_event_loop(ocid):
    async def ask():
        async with lib.aio.Client(socket=ocid.socket) as c:
            assert [x.bytes_per_s for x in await c.limit(3 * MIB)] == [3 * MIB]
            assert await c.limit() == ocid.client.limit()
            assert await c.limit(0) == []
    asyncio.run(ask())
