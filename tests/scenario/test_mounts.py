# SPDX-License-Identifier: Apache-2.0
"""test_mounts.py - a file system that does not answer stalls the jobs whose files it has, no others."""

import os
import time

import deaf
import pytest
from harness import KIB, MIB, SLOW, blob, client_library, sha, until

put_job = client_library.client.put_job
REASON = deaf.possible()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))
HEALTHY_S = 30 * SLOW


@pytest.fixture
def mount(tmp_path):
    path = tmp_path / "mount"
    path.mkdir()
    with deaf.Deaf(path) as one:
        yield one


@pytest.fixture
def ocid(make_ocid, mount):
    """Ends before the mount does."""
    ocid = make_ocid(network__stall_seconds=2).start()
    yield ocid
    mount.answer()
    ocid.close()


def hung(ocid, ids, why):
    return all((s.state, s.why) == ("waiting", why) for s in ocid.client.status(ids))


@pytest.mark.slow
def test_a_thousand_jobs_on_a_dead_mount_leave_the_others_alone(ocid, store, b, mount):
    source = mount.path / "s"
    source.write_bytes(blob(KIB))
    dead = [put_job(source, f"{b}/dead/{k}", {}) for k in range(1000)]
    healthy = [put_job(ocid.file(blob(KIB)), f"{b}/well/{k}", {}) for k in range(100)]
    mount.silence()
    dead_ids = ocid.submit(*dead)
    for job in ocid.submit(*healthy):
        ocid.done(job, HEALTHY_S)
    assert all(name.startswith("well/") for name in store.names(b))
    until(lambda: hung(ocid, dead_ids, "file"), "all say what they wait for", HEALTHY_S)
    assert "does not answer" in ocid.ctl("status", str(dead_ids[-1])).out
    mount.answer()
    for job in dead_ids:
        ocid.done(job, 60 * SLOW)
    assert len(store.names(b)) == 1100


def test_large_files_on_a_dead_mount_leave_other_large_ones_alone(ocid, store, b, mount):
    dead = []
    for k in range(12):
        (mount.path / f"s{k}").write_bytes(blob(3 * MIB))
        dead.append(put_job(mount.path / f"s{k}", f"{b}/dead/{k}", {}))
    healthy = [put_job(ocid.file(blob(3 * MIB)), f"{b}/well/{k}", {}) for k in range(6)]
    mount.silence()
    dead_ids = ocid.submit(*dead)
    for job in ocid.submit(*healthy):
        ocid.done(job, HEALTHY_S)
    mount.answer()
    for job in dead_ids:
        ocid.done(job, 60 * SLOW)


def test_a_dead_destination_leaves_other_jobs_alone(ocid, store, b, mount):
    store.put_object(f"{b}/o", blob(5 * KIB))
    mount.silence()
    dead = [ocid.get(f"{b}/o", mount.path / f"got{k}") for k in range(60)]
    healthy = [ocid.get(f"{b}/o", f"here{k}") for k in range(30)]
    healthy += [ocid.put(blob(KIB), f"{b}/well/{k}") for k in range(30)]
    for job in healthy:
        ocid.done(job, HEALTHY_S)
    until(lambda: hung(ocid, dead, "destination"), "all say what they wait for", HEALTHY_S)
    mount.answer()
    for job in dead:
        ocid.done(job, 60 * SLOW)
    assert {(mount.path / f"got{k}").read_bytes() for k in range(60)} == {blob(5 * KIB)}


def test_a_mount_that_dies_while_it_is_read_gives_the_connections_back(ocid, store, b, mount):
    for k in range(10):
        (mount.path / f"s{k}").write_bytes(blob(8 * MIB, k))
    store.on("UploadPart", do="slow", rate=MIB)
    dead = [ocid.put(mount.path / f"s{k}", f"{b}/dead/{k}") for k in range(10)]
    store.wait_hit("UploadPart", 4)
    mount.silence()
    store.clear()
    healthy = [ocid.put(blob(3 * MIB), f"{b}/well/{k}") for k in range(6)]
    for job in healthy:
        ocid.done(job, HEALTHY_S)
    mount.answer()
    for k, job in enumerate(dead):
        ocid.done(job, 60 * SLOW)
        assert store.object_sha(f"{b}/dead/{k}") == sha(blob(8 * MIB, k))


def dead_put(size):
    def begin(ocid, store, b, mount):
        (mount.path / "s").write_bytes(blob(size))
        job = put_job(mount.path / "s", f"{b}/dead", {})  # looks at its file
        mount.silence()
        return ocid.submit(job)[0]
    return begin, size


def dead_get(size):
    def begin(ocid, store, b, mount):
        store.put_object(f"{b}/o", blob(size))
        mount.silence()
        return ocid.get(f"{b}/o", mount.path / "got")
    return begin, KIB  # nobody knows how large it is before


@pytest.mark.parametrize("dead, size", [dead_put(KIB), dead_put(3 * MIB), dead_get(KIB)],
                         ids=["small", "large", "get"])
def test_a_dead_mount_keeps_no_place_of_a_limit(ocid, store, b, mount, dead, size):
    """With one at a time, others have the place meanwhile; and when the mount answers there are
    never two."""
    ocid.client.limit(jobs=1)
    job = dead(ocid, store, b, mount)
    ocid.wait_that(job, lambda s: "does not answer" in s.outcome.text, "it hangs", HEALTHY_S)
    ocid.done(ocid.put(blob(size), f"{b}/well"), HEALTHY_S)
    for op in "PutObject", "UploadPart":
        store.on(op, object="holds", do="hang", count=0)
    holds = ocid.put(blob(size), f"{b}/holds")
    ocid.wait_for(holds, "running")
    mount.answer()
    ocid.wait_that(job, lambda s: s.state == "queued" and s.held, "it waits its turn", HEALTHY_S)
    limit, = ocid.client.limit()
    assert limit.at_work + limit.at_work_small == 1
    ocid.client.cancel([holds])
    ocid.done(job, HEALTHY_S)


def asks(ocid):
    """Whether a thread of its waits for the file system."""
    found = []
    for task in os.scandir(f"/proc/{ocid.pid}/task"):
        with open(f"{task.path}/wchan", encoding="ascii") as file:
            found.append(file.read())
    return "request_wait_answer" in found


def test_the_daemon_ends_while_its_reads_hang(ocid, store, b, mount):
    """Its own threads it left behind, and then exit() waited for those of its libraries."""
    data = blob(16 * MIB)
    (mount.path / "s").write_bytes(data)
    ocid.client.limit(4 * MIB)
    job = ocid.put(mount.path / "s", f"{b}/o")
    store.wait_hit("UploadPart", 1)
    mount.silence()
    until(lambda: asks(ocid), "it reads")
    ocid.stop()
    mount.answer()
    ocid.start()
    ocid.client.limit(0)
    ocid.done(job, 60 * SLOW)
    assert store.object_sha(f"{b}/o") == sha(data)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_daemon_ends_while_a_mount_is_dead_and_goes_on_later(ocid, store, b, mount, end):
    data = blob(3 * MIB)
    (mount.path / "s").write_bytes(data)
    store.put_object(f"{b}/o", data)
    jobs = [put_job(mount.path / "s", f"{b}/p{k}", {}) for k in range(5)]
    mount.silence()
    jobs = ocid.submit(*jobs)
    jobs += [ocid.get(f"{b}/o", mount.path / f"g{k}") for k in range(5)]
    until(lambda: any(s.why for s in ocid.client.status(jobs)), "they hang", HEALTHY_S)
    begun = time.monotonic()
    getattr(ocid, end)()
    assert time.monotonic() - begun < 15 * SLOW
    ocid.start()
    ocid.done(ocid.put(b"well", f"{b}/well"), HEALTHY_S)
    mount.answer()
    for job in jobs:
        ocid.done(job, 60 * SLOW)
    assert store.object_sha(f"{b}/p4") == sha(data)
    assert (mount.path / "g4").read_bytes() == data
    assert ocid.part_files() == [] and store.uploads(b) == []
