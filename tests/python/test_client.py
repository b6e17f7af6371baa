# SPDX-License-Identifier: Apache-2.0
"""test_client.py - the blocking client against a daemon made of a script."""

import gc
import os
import pickle
import struct
import threading
import time

import msgpack
import pytest

import ocid
from ocid import _tables, errors


def status(ident, state, **more):
    return {"id": ident, "state": state, "seq": ident, **more}


def page(*jobs, seq=1, more=False):
    return {"epoch": 7, "seq": seq, "jobs": list(jobs), "more": more}


def submitted(first=1):
    def answer(params):
        return {"ids": list(range(first, first + len(params["jobs"])))}
    return answer


# Errors.


def test_every_error_of_the_protocol_has_a_class_and_no_class_has_none():
    assert set(errors.CLASSES) == set(_tables.ERRORS)
    for name, cls in errors.CLASSES.items():
        error = cls()
        assert error.text == _tables.ERRORS[name].text and isinstance(error, ocid.OcidError)


def test_those_that_python_has_a_word_for_are_that_too():
    for cls, theirs in ((ocid.NotFound, FileNotFoundError), (ocid.Exists, FileExistsError),
                        (ocid.TimedOut, TimeoutError), (ocid.NoDaemon, ConnectionError),
                        (ocid.Denied, PermissionError), (ocid.Invalid, ValueError)):
        assert issubclass(cls, theirs) and issubclass(cls, ocid.OcidError)


def test_an_error_says_it_all_and_survives_pickling():
    error = errors.from_map({"code": "not_found", "text": "no such object 'a'",
                             "http_status": 404, "service_code": "ObjectNotFound",
                             "request_id": "1F3C", "index": 3})
    assert str(error) == "no such object 'a' (404 ObjectNotFound, request 1F3C)"
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is ocid.NotFound and str(again) == str(error) and again.index == 3


def test_an_unknown_error_of_a_newer_daemon():
    error = errors.from_map({"code": "from_the_future", "text": "new"})
    assert type(error) is ocid.OcidError and error.code == "from_the_future"


# Hello.


def test_hello_says_who_we_are(daemon):
    ocid.Client(socket=daemon.path, label="nightly", software="mine/1").close()
    assert daemon.seen == [["hello", {"min": 1, "max": 1, "software": "mine/1",
                                      "label": "nightly"}]]


def test_no_daemon(tmp_path):
    with pytest.raises(ocid.NoDaemon):
        ocid.Client(socket=str(tmp_path / "none"))


def test_no_version_in_common(daemon, error):
    daemon.on["hello"] = error("version", text="restart the daemon")
    with pytest.raises(ocid.Version, match="restart the daemon"):
        ocid.Client(socket=daemon.path)


def test_turned_away_before_hello(daemon):
    daemon.turn_away = {"code": "queue_full", "text": "too many"}
    for _ in range(20):
        with pytest.raises(ocid.QueueFull, match="too many"):
            ocid.Client(socket=daemon.path)


def test_the_socket_is_found_as_the_daemon_makes_it(tmp_path, monkeypatch):
    from ocid import _paths
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(run))
    assert _paths.user_socket() == f"{run}/ocid/ocid.sock"
    (run / "ocid").mkdir()
    (run / "ocid").chmod(0o777)
    with pytest.raises(ocid.Config, match="chmod"):
        _paths.user_socket()
    run.chmod(0o777)  # others may write there: it is not believed
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert not _paths.user_socket().startswith(str(run))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "relative")
    assert "relative" not in _paths.user_socket()


def test_start_runs_ocictl_once_when_there_is_no_daemon(tmp_path, monkeypatch):
    run, bin_dir = tmp_path / "run", tmp_path / "bin"
    run.mkdir(mode=0o700)
    bin_dir.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(run))
    monkeypatch.setenv("PATH", f"{bin_dir}:{os.environ['PATH']}")
    monkeypatch.setattr("ocid._paths.SYSTEM", str(tmp_path / "none"))
    program = bin_dir / "ocictl"
    program.write_text(f"#!/bin/sh\necho $* >> {tmp_path}/called\necho no luck >&2\nexit 5\n")
    program.chmod(0o755)
    with pytest.raises(ocid.NoDaemon, match="no luck"):
        ocid.Client(start=True)
    assert (tmp_path / "called").read_text() == "start\n"
    with pytest.raises(ocid.NoDaemon, match="ocictl start"):
        ocid.Client()


# Jobs.


def test_put_tells_the_identity_of_the_source(daemon, client, tmp_path, monkeypatch):
    daemon.on["job.submit"] = submitted(5)
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    monkeypatch.chdir(tmp_path)
    job = client.put("f", "oci://b@ns/dir/o", content_type="text/plain", metadata={"a": "b"},
                     priority=9, after=[3, ocid.Job(client, 4)], timeout=1.5, key="k")
    assert job.id == 5 and repr(job) == "<ocid.Job 5>"
    st = path.stat()
    assert daemon.seen[-1] == ["job.submit", {"jobs": [{
        "kind": "put", "bucket": "b", "namespace": "ns", "object": "dir/o",
        "content_type": "text/plain", "metadata": {"a": "b"}, "priority": 9, "after": [3, 4],
        "timeout_ms": 1500, "key": "k", "source": os.fsencode(path), "size": 5,
        "dev": st.st_dev, "inode": st.st_ino, "mtime_ns": st.st_mtime_ns,
        "ctime_ns": st.st_ctime_ns}]}]


@pytest.mark.parametrize("source", ["none", "."])
def test_put_of_what_is_no_file(client, tmp_path, source):
    with pytest.raises(ocid.File):
        client.put(tmp_path / source, "b/o")


@pytest.mark.parametrize("uri", ["", "b", "b/", "/o", "oci://", "oci://b", "@ns/o"])
def test_what_is_no_object(client, tmp_path, uri):
    with pytest.raises(ocid.Invalid):
        client.put(__file__, uri)


def test_an_unknown_option(client):
    with pytest.raises(TypeError, match="colour"):
        client.put(__file__, "b/o", colour="blue")


def test_put_bytes_passes_a_sealed_memfd(daemon, client):
    daemon.on["job.submit"] = submitted()
    client.put_bytes("b/o", b"some bytes")
    (job,) = daemon.seen[-1][1]["jobs"]
    assert job["spool"] is True and (job["fd"], job["size"]) == (0, 10)
    (fd,) = daemon.fds
    assert os.pread(fd, 100, 0) == b"some bytes"
    with pytest.raises(PermissionError):
        os.write(fd, b"more")


def test_put_bytes_of_any_buffer(daemon, client):
    import array
    daemon.on["job.submit"] = submitted()
    client.put_bytes("b/o", array.array("I", [1, 2, 3]))
    client.put_bytes("b/o", memoryview(bytearray(b"xyz")))
    assert [os.fstat(fd).st_size for fd in daemon.fds] == [12, 3]
    assert [seen[1]["jobs"][0]["size"] for seen in daemon.seen[1:]] == [12, 3]


def test_large_arrays_are_split_by_number_and_bytes(daemon, client):
    daemon.on["job.submit"] = submitted()
    client.submit({"kind": "head", "bucket": "b", "object": str(i)} for i in range(2500))
    assert [len(seen[1]["jobs"]) for seen in daemon.seen[1:]] == [1000, 1000, 500]
    del daemon.seen[1:]
    client.submit([{"kind": "head", "bucket": "b", "object": "x" * 1000}] * 1500)
    sizes = [len(msgpack.packb(seen)) for seen in daemon.seen[1:]]
    assert max(sizes) < _tables.MAX_FRAME and len(sizes) == 2
    names = [os.memfd_create(str(i)) for i in range(100)]
    daemon.seen.clear()
    client.submit(({"kind": "put", "bucket": "b", "object": "o", "fd": i} for i in range(100)),
                  names)
    assert [[job["fd"] for job in seen[1]["jobs"]] for seen in daemon.seen] == \
        [list(range(64)), list(range(36))]
    assert len(daemon.fds) == 100
    for fd in names:
        os.close(fd)


def test_a_job_too_large_for_any_message(client):
    with pytest.raises(ocid.TooLarge):
        client.submit([{"kind": "head", "bucket": "b", "object": "x" * (1 << 20)}])


# Following.


def test_wait_follows_to_the_end(daemon, client):
    asked = []

    def answer(params):
        asked.append(params)
        if len(asked) < 3:
            return page(status(1, "running"), seq=len(asked))
        return page(status(1, "done", outcome={"verified": "crc32c", "bytes": 3}), seq=9)
    daemon.on["job.status"] = answer
    ended = ocid.Job(client, 1).wait()
    assert (ended.state, ended.outcome.verified, ended.outcome.bytes) == ("done", "crc32c", 3)
    assert "since" not in asked[0] and "wait_ms" not in asked[0]
    assert (asked[1]["since"], asked[2]["since"], asked[1]["epoch"]) == (1, 2, 7)
    assert asked[1]["wait_ms"] > 0


def test_wait_raises_what_the_first_ended_with(daemon, client):
    daemon.on["job.status"] = page(
        status(1, "done"), status(3, "cancelled"),
        status(2, "failed", outcome={"error": "source_changed", "text": "'x' has changed"}))
    with pytest.raises(ocid.SourceChanged, match="'x' has changed"):
        client.wait([1, 2, 3])
    with pytest.raises(ocid.Cancelled):
        client.wait([1, 3, 2])
    assert [s.state for s in client.wait([3, 1, 2, 1], check=False)] == \
        ["cancelled", "done", "failed", "done"]


def test_wait_is_bounded(daemon, client):
    def answer(params):
        time.sleep(params.get("wait_ms", 0) / 1000)
        return page(status(1, "waiting", why="locked"))
    daemon.on["job.status"] = answer
    began = time.monotonic()
    with pytest.raises(ocid.TimedOut):
        client.wait([1], 0.3)
    assert 0.25 < time.monotonic() - began < 2
    assert ocid.Job(client, 1).status().why == "locked"


def test_wait_goes_on_when_the_daemon_is_restarted(daemon, client):
    calls = []

    def answer(params):
        calls.append(params)
        if len(calls) == 2:
            return None  # hangs up
        return page(status(1, "done" if len(calls) > 3 else "queued"))
    daemon.on["job.status"] = answer
    assert client.wait([1], 10)[0].state == "done"
    assert daemon.connections >= 2


def test_jobs_that_do_not_exist(daemon, client):
    daemon.on["job.status"] = page(status(1, "queued"))
    with pytest.raises(ocid.NotFound, match="2"):
        client.status([1, 2])
    with pytest.raises(ocid.NotFound, match="2"):
        client.wait([1, 2], 5)


def test_answers_in_pages(daemon, client):
    pages = [page(status(1, "done"), seq=1, more=True), page(status(2, "done"), seq=2)]
    daemon.on["job.status"] = lambda params: pages.pop(0)
    assert [s.id for s in client.status([1, 2])] == [1, 2]
    assert daemon.seen[-1] == ["job.status", {"ids": [2], "wait_ms": 0}]
    pages = [page(status(1, "done"), seq=4, more=True), page(status(2, "done"), seq=5)]
    assert [s.id for s in client.changes([])[2]] == [1, 2]
    assert daemon.seen[-1] == ["job.status", {"epoch": 7, "since": 4}]
    table = [{**page(status(9, "done"), more=True), "cursor": 9}, page(status(3, "done"))]
    daemon.on["job.list"] = lambda params: table.pop(0)
    assert [s.id for s in client.jobs(state="done")] == [9, 3]
    assert daemon.seen[-1] == ["job.list", {"state": "done", "cursor": 9}]


def test_fields_of_a_newer_daemon_are_skipped(daemon, client):
    daemon.on["job.status"] = page(status(1, "done", new_field=1, outcome={"newer": 2}))
    assert client.status([1])[0].state == "done"


def test_acks(daemon, client):
    daemon.on["job.cancel"] = {"jobs": [{"id": 1, "state": "cancelled"},
                                        {"id": 2, "error": {"code": "not_found"}}]}
    first, second = client.cancel([1, 2])
    assert (first.state, first.error) == ("cancelled", None)
    assert isinstance(second.error, ocid.NotFound)


# Pipes.


def rows(*found):
    return b"".join(struct.pack(">I", len(data)) + data for data in map(msgpack.packb, found))


def into_pipe(daemon, data, end):
    """Answers a submit, then writes into the pipe that came with it."""
    def answer(params):
        fd = daemon.fds.pop()

        def write():
            try:
                for at in range(0, len(data), 7):
                    os.write(fd, data[at:at + 7])
            except BrokenPipeError:
                pass
            os.close(fd)
        threading.Thread(target=write).start()
        return {"ids": [1]}
    daemon.on["job.submit"] = answer
    daemon.on["job.status"] = page(end)


def test_list_gives_rows_as_they_come(daemon, client):
    into_pipe(daemon, rows({"name": "a", "size": 1}, {"prefix": "p/"}, {"name": "ü", "new": 1},
                           {"end": True}), status(1, "done"))
    found = list(client.list("b@ns", "pre", delimiter="/", limit=9))
    assert [(r.name, r.prefix, r.size) for r in found] == \
        [("a", "", 1), ("", "p/", None), ("ü", "", None)]
    assert daemon.seen[-1][1]["jobs"] == [{"kind": "list", "bucket": "b", "namespace": "ns",
                                           "delimiter": "/", "limit": 9, "object": "pre", "fd": 0}]


def test_a_listing_that_is_cut_short_is_an_error(daemon, client):
    data = rows({"name": "a"}, {"name": "b"})
    into_pipe(daemon, data, status(1, "failed", outcome={"error": "not_found"}))
    with pytest.raises(ocid.NotFound):
        list(client.list("b"))
    into_pipe(daemon, data[:-1], status(1, "done"))
    with pytest.raises(ocid.Protocol):
        list(client.list("b"))


def test_a_listing_that_is_not_read_to_its_end_closes_its_pipe(daemon, client):
    into_pipe(daemon, rows(*({"name": str(i)} for i in range(100000)), {"end": True}),
              status(1, "cancelled"))
    before = len(os.listdir("/proc/self/fd"))
    found = client.list("b")
    next(found)
    del found
    gc.collect()
    end = time.monotonic() + 5
    while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < end:
        time.sleep(0.01)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_get_bytes(daemon, client):
    into_pipe(daemon, b"the bytes", status(1, "done"))
    assert client.get_bytes("b/o", version_id="v") == b"the bytes"
    into_pipe(daemon, b"the by", status(1, "failed", outcome={"error": "network"}))
    with pytest.raises(ocid.Network):
        client.get_bytes("b/o")


def test_unlock_hands_the_phrase_over_by_a_pipe(daemon, client):
    got = []

    def answer(params):
        got.append(os.read(daemon.fds[-1], 100))
        return {"profiles": {"DEFAULT": "ok"}}
    daemon.on["vault.unlock"] = answer
    assert client.unlock("pass; #phrase", ttl=60) == {"DEFAULT": "ok"}
    assert got == [b"pass; #phrase"]
    assert daemon.seen[-1] == ["vault.unlock", {"fd": 0, "ttl_ms": 60000}]


# Connections.


def test_a_daemon_that_was_restarted_is_found_again(daemon, client):
    daemon.on["daemon.stats"] = {"pid": 1}
    daemon.on["job.submit"] = submitted()
    client.stats()
    daemon.hang_up()
    assert client.submit([{"kind": "whoami"}]) == [1], "nothing was sent on the dead connection"
    assert daemon.connections == 2


def test_a_submit_is_not_sent_twice_unless_it_has_a_key(daemon, client):
    daemon.on["job.submit"] = None
    with pytest.raises(ocid.NoDaemon):
        client.submit([{"kind": "delete"}])
    assert [seen[0] for seen in daemon.seen].count("job.submit") == 1
    answers = [None, {"ids": [1]}]
    daemon.on["job.submit"] = lambda params: answers.pop(0)
    assert client.submit([{"kind": "delete", "key": "k"}]) == [1]


def test_other_requests_are_sent_again(daemon, client):
    answers = [None, {"pid": 5}]
    daemon.on["daemon.stats"] = lambda params: answers.pop(0)
    assert client.stats() == {"pid": 5}


def test_no_answer(daemon):
    client = ocid.Client(socket=daemon.path, timeout=0.2)
    daemon.on["daemon.stats"] = b""
    with pytest.raises(ocid.TimedOut):
        client.stats()
    daemon.on["daemon.stats"] = {"pid": 1}
    assert client.stats() == {"pid": 1}, "the next call has a connection of its own"


@pytest.mark.parametrize("answer", [b"\xff\xff\xff\xff", struct.pack(">I", 1) + b"\x01",
                                    struct.pack(">I", 5) + msgpack.packb([1, 99, None, {}])])
def test_a_daemon_that_talks_nonsense(daemon, client, answer):
    daemon.on["daemon.stats"] = answer
    with pytest.raises(ocid.Protocol):
        client.stats()


def test_a_forked_child_leaves_its_parents_connection_alone(daemon, client):
    daemon.on["daemon.stats"] = {"pid": 1}
    client.stats()
    pid = os.fork()
    if pid == 0:
        try:
            client.stats()
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    assert client.stats() == {"pid": 1} and daemon.connections == 2


def test_threads_do_not_share_a_connection(daemon, client):
    gate = threading.Event()

    def answer(params):
        if params.get("wait_ms"):
            gate.wait(5)
        return page(status(1, "done" if gate.is_set() else "queued"))
    daemon.on["job.status"] = answer
    daemon.on["daemon.stats"] = {"pid": 1}
    waiting = threading.Thread(target=client.wait, args=([1], 10))
    waiting.start()
    end = time.monotonic() + 5
    while daemon.connections < 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert client.stats() == {"pid": 1}
    gate.set()
    waiting.join(10)
    assert not waiting.is_alive()


def test_an_interrupted_call_leaves_no_half_read_frame(daemon, client):
    import signal

    def interrupt(number, frame):
        raise KeyboardInterrupt
    old = signal.signal(signal.SIGALRM, interrupt)
    daemon.on["daemon.stats"] = b"\0\0"  # half a length, then nothing
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            client.stats()
    finally:
        signal.signal(signal.SIGALRM, old)
    daemon.on["daemon.stats"] = {"pid": 1}
    assert client.stats() == {"pid": 1}


def test_close_and_descriptors(daemon):
    before = len(os.listdir("/proc/self/fd"))
    with ocid.Client(socket=daemon.path) as client:
        assert client.info["uuid"] == "u"
    daemon.hang_up()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 1
