# SPDX-License-Identifier: Apache-2.0
"""test_in_memory.py - put_bytes(durable=False): what it saves, and what it costs when the daemon ends."""

import asyncio
import os

import pytest
from harness import KIB, MIB, blob, client_library, sha, until


def spooled(ocid):
    return [p.name for p in ocid.state.rglob("spool/*")]


def held(ocid):
    """Memfds that the daemon has open."""
    fds = f"/proc/{ocid.pid}/fd"
    return sum("memfd:ocid" in os.readlink(f"{fds}/{n}") for n in os.listdir(fds)
               if os.path.lexists(f"{fds}/{n}"))


@pytest.mark.parametrize("size", [0, 10, 100 * KIB, 5 * MIB + 1])
def test_it_is_uploaded_from_memory(ocid, store, b, size):
    rule = store.on("*", count=0, bucket=b)
    job = ocid.client.put_bytes(f"oci://{b}/o", blob(size), durable=False)
    assert not spooled(ocid) and held(ocid)  # its run may have opened it once more
    assert ocid.status(job).job["in_memory"] and "spool" not in ocid.status(job).job
    store.clear()
    store.release(rule)
    status = ocid.done(job)
    assert (status.outcome.bytes, status.outcome.verified) == (size, "crc32c")
    assert store.object_sha(f"{b}/o") == sha(blob(size))
    until(lambda: held(ocid) == 0, "the memory is given back")


@pytest.mark.parametrize("how", ["crash", "restart"])
def test_lost_with_the_daemon_is_failed_and_said(ocid, store, b, how):
    store.on("UploadPart", nth=3, do="hang", bucket=b)
    put = ocid.client.put_bytes
    large = put(f"oci://{b}/large", blob(4 * MIB), durable=False, key="k")
    waits = put(f"oci://{b}/later", b"x", durable=False, after=large)
    kept = put(f"oci://{b}/kept", b"kept", after=[])
    store.wait_hit("UploadPart", 3)
    getattr(ocid, how)()
    store.clear()
    for job in (large, waits):
        assert "put them again" in ocid.failed(job.id, "lost").outcome.text
    ocid.done(kept.id)
    until(lambda: not store.uploads(b), "what it had sent is taken back")
    with pytest.raises(client_library.Lost):
        ocid.client.wait(large.id)
    until(lambda: "are gone" in str(ocid.client.retry([large.id])[0].error), "no second try")


def test_it_can_be_paused_and_cancelled(ocid, store, b):
    store.on("PutObject", do="hang", bucket=b)
    job = ocid.client.put_bytes(f"oci://{b}/o", b"abc", durable=False)
    store.wait_hit("PutObject", 1)
    ocid.client.pause(job)
    ocid.wait_for(job.id, "paused")
    assert held(ocid)
    ocid.client.resume(job)
    ocid.done(job.id)
    assert store.object_bytes(f"{b}/o") == b"abc"
    store.on("PutObject", do="hang", bucket=b)
    job = ocid.client.put_bytes(f"oci://{b}/p", b"abc", durable=False)
    ocid.client.cancel(job)
    until(lambda: held(ocid) == 0, "the memory is given back")


def test_what_has_no_room_in_memory_is_spooled(ocid, store, b):
    ocid.configure(limits__memory_mib_per_user=1)
    ocid.reload()
    store.on("PutObject|CreateMultipartUpload", do="hang", count=0, bucket=b)
    jobs = [ocid.client.put_bytes(f"oci://{b}/{i}", blob(600 * KIB), durable=False)
            for i in range(2)]
    assert [ocid.status(job).job.get("in_memory", False) for job in jobs] == [True, False]
    assert len(spooled(ocid)) == 1
    ocid.crash()
    store.clear()
    ocid.failed(jobs[0].id, "lost")
    ocid.done(jobs[1].id)


def test_only_what_nobody_can_change_is_kept(ocid, store, b):
    """A file, and a memfd without seals, are spooled as ever."""
    store.on("PutObject", do="hang", count=0, bucket=b)
    path = ocid.file(b"file")
    fd = os.memfd_create("ocid-test")
    os.write(fd, b"open")
    with open(path, "rb") as file, open(fd, "rb") as loose:
        loose.seek(0)
        for i, source in enumerate((file, loose)):
            ocid.client.put_bytes(f"oci://{b}/{i}", source, durable=False)
    assert len(spooled(ocid)) == 2
    with ocid.wire() as wire, pytest.raises(Exception, match="needs 'spool'"):
        wire.call("job.submit", {"jobs": [{"kind": "put", "bucket": b, "object": "o",
                                           "source": b"/x", "in_memory": True}]})


def test_the_same_key_twice_holds_one(ocid, store, b):
    store.on("PutObject", do="hang", bucket=b)
    jobs = [ocid.client.put_bytes(f"oci://{b}/o", b"once", durable=False, key="k") for _ in "ab"]
    assert jobs[0].id == jobs[1].id
    until(lambda: held(ocid) == 1, "one of them is held")


def test_with_an_event_loop(ocid, store, b):
    async def put():
        async with client_library.aio.Client(socket=ocid.socket) as c:
            await (await c.put_json(f"oci://{b}/o", {"a": 1}, durable=False)).wait(30)
    asyncio.run(put())
    assert store.object_bytes(f"{b}/o") == b'{"a": 1}'


def test_it_outlives_a_wait(ocid, store, b):
    store.on("PutObject", do=503, count=2, bucket=b)
    job = ocid.client.put_bytes(f"oci://{b}/o", b"abc", durable=False)
    assert ocid.done(job.id).tries == 2
    assert store.object_bytes(f"{b}/o") == b"abc"
