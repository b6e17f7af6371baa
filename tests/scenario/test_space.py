# SPDX-License-Identifier: Apache-2.0
"""test_space.py - the disk of the queue is full: what was accepted ends all the same, nothing new is
accepted, and all is as before once there is space."""

import os
import subprocess

import pytest
from harness import blob, client_library, sha, until

put_job = client_library.client.put_job


@pytest.fixture
def small(make_ocid):
    """A daemon, not started, whose queue is on a disk of 24 MiB."""
    ocid = make_ocid()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", ocid.state],
                          check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"needs rights to mount: {done.stderr.decode()}")
    yield ocid
    ocid.stop()
    subprocess.run(["umount", "-l", ocid.state], check=True)


def fill(ocid):
    path, size = ocid.state / "filler", 1 << 20
    with open(path, "wb", buffering=0) as file:
        while size:
            try:
                file.write(b"x" * size)
            except OSError:
                size //= 2
    return path


def test_on_a_full_disk_jobs_end_and_new_ones_are_refused(small, store, b):
    small.start()
    store.on("PutObject", do="hang", count=0)
    path = small.file(blob(3000))
    ids = small.submit(*(put_job(path, f"{b}/o{i}", {}) for i in range(300)))
    small.stop()
    store.clear()
    filler = fill(small)
    small.start()
    assert {s.state for s in small.client.wait(ids, 60)} == {"done"}
    assert "has made room for what was accepted" in small.log()
    with pytest.raises(client_library.Space, match="disk of the queue is full: free some"):
        small.put(b"new", f"{b}/new")
    done = small.ctl("push", small.file(b"x"), f"oci://{b}/ctl")
    assert done.status == 1 and "disk of the queue is full" in done.err, done
    small.crash()  # what was shown stays
    assert {s.state for s in small.client.wait(ids, 60)} == {"done"}
    filler.unlink()

    def taken():
        try:
            return small.put(b"new", f"{b}/new")
        except client_library.Space:
            return None
    small.done(until(taken, "jobs are taken again"))
    assert store.object_sha(f"{b}/o299") == sha(blob(3000))
    assert [p.stat().st_size for p in small.state.rglob("ballast")] == [1 << 20]


def test_without_room_for_the_ballast_nothing_is_accepted(small, b):
    """A disk that is nearly full when it starts: better said now than when it is too late."""
    filler = fill(small)
    os.truncate(filler, filler.stat().st_size - (1 << 20) - (512 << 10))
    small.start()
    with pytest.raises(client_library.Space):
        small.put(b"x", f"{b}/o")
    assert "daemon.ballast_mib is less" in small.log()
    small.stop()
    small.configure(daemon__ballast_mib=0)
    small.start()
    small.done(small.put(b"x", f"{b}/o"))
