# SPDX-License-Identifier: Apache-2.0
"""test_fault_walk.py - every named fault point of the daemon fails in its turn, at its first hits
and from then on: jobs end with the right bytes or wait for something named, and all is well once the
fault is gone. The list is read from the sources, so a new point is walked without a line here."""

import contextlib
import os
import pathlib
import re
import threading

import pytest
from harness import MIB, Refused, blob, client_library, sha, until

ROOT = pathlib.Path(__file__).resolve().parents[2]
POINTS = sorted({name for path in (ROOT / "daemon").rglob("*.c")
                 for name in re.findall(r'OC_FAULT\("([^"]+)"\)', path.read_text("utf-8"))}
                - {"paths.network",  # another place for the queue: unit/core/test_paths.c
                   "rpc.accept", "rpc.watch",  # clients are turned away: test_nothing_left.py
                   "rpc.send"})  # or hung up on: test_life.py


def start(ocid, fault):
    """With the fault, or without it if the daemon refuses to start, which it must say."""
    try:
        ocid.start(OCID_FAULT=fault)
    except RuntimeError as refused:
        assert "ocid: " in str(refused)
        ocid.start()


def submitted(queue):
    """The job's id; again, if the daemon has said that it could not take it."""
    def once():
        try:
            return queue()
        except client_library.OcidError:
            return None
    return until(once, "the job is taken")


class Piped:
    """A put of a pipe that a thread writes into; taken: the daemon has answered its id."""

    def __init__(self, ocid, to, data):
        bucket, _, name = to.partition("/")
        self.job = {"kind": "put", "bucket": bucket, "object": name, "spool": True, "fd": 0}
        self.ocid, self.data, self.id = ocid, data, None
        theirs, self.ours = os.pipe()
        self.writer = threading.Thread(target=self._write)
        try:
            with ocid.wire() as wire:
                (self.id,) = wire.call("job.submit", {"jobs": [self.job]}, [theirs])["ids"]
        except (Refused, OSError, EOFError):
            pass
        finally:
            os.close(theirs)
        self.writer.start()  # with nobody who reads it ends at once

    def _write(self):
        with contextlib.suppress(BrokenPipeError), open(self.ours, "wb", buffering=0) as pipe:
            view = memoryview(self.data)
            while view:
                view = view[pipe.write(view):]

    def at_work(self):
        """Until it was read, or waits; whether it was read to its end."""
        status = self.ocid.wait_that(self.id, lambda s: s.final or not s.reading
                                     or s.state == "waiting", "read, or waiting")
        return not status.reading and not status.final or status.state == "done"


@pytest.mark.parametrize("hits", ["1", "2", "1+"])
@pytest.mark.parametrize("point", POINTS)
def test_a_pipe_is_uploaded_whole_or_not_at_all(make_ocid, store, b, point, hits):
    """With the fault, and a restart while it lasts: what was read to its end is done, of what was not
    nothing is seen; and all is well once the fault is gone."""
    ocid, data = make_ocid(daemon__drain_seconds=0), blob(3 * MIB + 17)
    store.on("UploadPart", part=2, do="hang", count=0)
    start(ocid, f"{point}:{hits}")
    first = Piped(ocid, f"{b}/first", data)
    whole = first.id and first.at_work()
    ocid.stop()
    first.writer.join()
    store.clear()
    ocid.start()
    if whole:
        ocid.done(first.id)
    elif first.id:
        assert ocid.wait(first.id).state in ("done", "failed")
    assert (not store.exists(f"{b}/first") if not first.id or ocid.status(first.id).state != "done"
            else store.object_sha(f"{b}/first") == sha(data))
    second = Piped(ocid, f"{b}/second", data)
    ocid.done(second.id)
    second.writer.join()
    assert store.object_sha(f"{b}/second") == sha(data)
    until(lambda: not list(ocid.state.rglob("spool/*")), "the spool is empty")
    # the id of an upload never came if its connection could not be watched: it is not ours to abort
    until(lambda: len(store.uploads(b)) <= (point == "xfer.watch"), "no upload is left")


@pytest.mark.parametrize("hits", ["1", "2", "1+"])
@pytest.mark.parametrize("point", POINTS)
def test_all_is_well_once_the_fault_is_gone(make_ocid, store, b, point, hits):
    ocid = make_ocid()
    data = {"small": blob(3000), "large": blob(3 * MIB + 17)}
    sources = {name: ocid.file(bytes_, name) for name, bytes_ in data.items()}
    start(ocid, f"{point}:{hits}")
    once = hits != "1+"
    jobs = {}
    if once:
        jobs = {name: submitted(lambda n=name: ocid.put(sources[n], f"{b}/{n}", key=n))
                for name in data}
    else:
        for name in data:  # a disk that takes nothing may refuse each of them
            try:
                jobs[name] = ocid.put(sources[name], f"{b}/{name}", key=name)
            except client_library.OcidError:
                pass
        for job in jobs.values():
            ocid.wait_that(job, lambda s: s.final or s.state in ("waiting", "running"), "at work")
    ocid.restart()
    for name in data:
        job = jobs.get(name) or ocid.put(sources[name], f"{b}/{name}", key=name)
        ocid.done(job)
        assert store.object_sha(f"{b}/{name}") == sha(data[name])

    ocid.stop()
    start(ocid, f"{point}:{hits}")
    got = {}
    for name in data:
        try:
            got[name] = ocid.get(f"{b}/{name}", f"got-{name}", key=f"get-{name}")
        except client_library.OcidError:
            pass
    ocid.restart()
    for name in data:
        ocid.done(got.get(name) or ocid.get(f"{b}/{name}", f"got-{name}", key=f"get-{name}"))
        assert sha(ocid.files / f"got-{name}") == sha(data[name])
    assert ocid.part_files() == []
    # the id of an upload never came if its connection could not be watched: it is not ours to abort
    assert len(store.uploads(b)) <= (point == "xfer.watch")
