# SPDX-License-Identifier: Apache-2.0
"""test_python.py - the Python package with a real daemon: buffers, sets, loops, forks, interrupts,
and a daemon that is killed under each kind of wait."""

import array
import asyncio
import contextlib
import io
import json
import multiprocessing
import os
import pickle
import signal
import threading
import time

import pytest
from harness import KIB, MIB, WAIT_S, blob, client_library, until

from ocid import aio
from ocid.client import put_job

PUT_HANGS = {"op": "PutObject", "do": "hang", "object": "slow"}


def on_loop(coroutine):
    """The result, within a bound."""
    return asyncio.run(asyncio.wait_for(coroutine, WAIT_S))


def async_client(ocid, **options):
    return aio.Client(socket=ocid.socket, **options)


def threads():
    return len(os.listdir("/proc/self/task"))


# Buffers.


def buffers(folder):
    data = blob(300 * KIB)
    (folder / "f").write_bytes(data)
    yield "bytes", data, data
    yield "bytearray", bytearray(data), data
    numbers = array.array("d", range(1000))
    yield "array", numbers, numbers.tobytes()
    square = memoryview(numbers).cast("B").cast("d", (20, 50))
    yield "two dimensions", square, numbers.tobytes()
    yield "every other byte", memoryview(data)[::2], data[::2]
    yield "empty", b"", b""
    yield "file in memory", io.BytesIO(data), data
    yield "file", open(folder / "f", "rb"), data
    begun = open(folder / "f", "rb")
    begun.read(1000)
    yield "file that has been read from", begun, data[1000:]
    written = open(folder / "w", "w+b")
    written.write(data)
    written.seek(0)
    yield "file that has been written", written, data
    ours, theirs = os.pipe()
    os.write(theirs, data[:1000])
    os.close(theirs)
    yield "pipe", open(ours, "rb"), data[:1000]


def test_every_buffer_arrives(ocid, store, b, tmp_path):
    kinds = list(buffers(tmp_path))
    jobs = [ocid.client.put_bytes(f"{b}/{name}", data) for name, data, _ in kinds]
    ocid.client.wait(jobs, WAIT_S)
    for name, data, expected in kinds:
        assert store.object_bytes(f"{b}/{name}") == expected, name
        if hasattr(data, "close"):
            data.close()


def test_what_is_no_bytes(ocid, b, tmp_path):
    (tmp_path / "t").write_text("text")
    with open(tmp_path / "t", encoding="utf-8") as text, pytest.raises(TypeError, match="'rb'"):
        ocid.client.put_bytes(f"{b}/o", text)
    for wrong in ("text", 3, None, [1]):
        with pytest.raises(TypeError):
            ocid.client.put_bytes(f"{b}/o", wrong)
    with pytest.raises(TypeError, match="place comes first"):
        ocid.client.put_bytes(b"data", f"{b}/o")
    assert list(ocid.client.jobs()) == []


def test_more_than_memory_should_hold(ocid, b):
    small = ocid.another(max_buffer=MIB)
    for data in (bytes(MIB + 1), io.BytesIO(bytes(MIB + 1))):
        with pytest.raises(client_library.TooLarge, match="put\\(\\)"):
            small.put_bytes(f"{b}/o", data)
    assert small.put_bytes(f"{b}/o", bytes(MIB)).wait(WAIT_S).outcome.bytes == MIB


def test_buffers_are_not_copied_through_the_socket(ocid, b):
    """Bytes written by this process are those of the frames: the buffer goes by its descriptor."""
    def written():
        with open("/proc/self/io", encoding="ascii") as file:
            return dict(line.split(": ") for line in file.read().splitlines())
    path = ocid.file(blob(8 * MIB))
    with open(path, "rb") as file:
        before = int(written()["wchar"])
        job = ocid.client.put_bytes(f"{b}/o", file)
        assert int(written()["wchar"]) - before < 64 * KIB
    assert job.wait(WAIT_S).outcome.bytes == 8 * MIB


def test_values(ocid, store, b):
    value = {"done": True, "n": [1, 2.5, None, "ü"]}
    ocid.client.put_json(f"oci://{b}/v", value).wait(WAIT_S)
    assert json.loads(store.object_bytes(f"{b}/v")) == value == ocid.client.get_json(f"{b}/v")
    assert ocid.client.head(f"{b}/v")["content-type"] == "application/json"


# Many.


def test_many_files_are_one_set(ocid, store, b):
    paths = [ocid.file(blob(100, i), f"out/{i}.csv") for i in range(20)]
    jobs = ocid.client.put_many(paths, f"oci://{b}/csv/", label="many")
    last = ocid.client.put_json(f"{b}/_SUCCESS", {}, after=jobs)
    assert last.wait(WAIT_S).state == "done"
    status = jobs.wait(WAIT_S)
    assert (status.n_total, status.n_done, status.sealed, len(jobs)) == (20, 20, True, 20)
    assert store.names(b) == sorted(["_SUCCESS", *(f"csv/{i}.csv" for i in range(20))])
    assert {job.state for job in jobs} == {"done"} == {job.state for job in jobs.jobs()}


def test_names_are_told_apart_before_anything_is_queued(ocid, store, b):
    one, two = ocid.file(b"1", "a/x"), ocid.file(b"2", "c/x")
    with pytest.raises(client_library.Invalid, match="base="):
        ocid.client.put_many([one, two], f"{b}/")
    with pytest.raises(client_library.File, match="none"):
        ocid.client.put_many([one, ocid.files / "none"], f"{b}/")
    with pytest.raises(client_library.Invalid, match="not below"):
        ocid.client.put_many([one], f"{b}/", base=ocid.files / "c")
    assert list(ocid.client.jobs()) == []
    ocid.client.put_many([one, two], f"{b}/p/", base=ocid.files).wait(WAIT_S)
    assert store.names(b) == ["p/a/x", "p/c/x"]


def test_many_buffers_are_one_set(ocid, store, b, tmp_path):
    """More than a message can carry, of every kind."""
    named, wanted = {}, {}
    for i in range(10):
        (tmp_path / f"{i}").mkdir()
        for name, data, plain in buffers(tmp_path / f"{i}"):
            named[f"{name} {i}"], wanted[f"p/{name} {i}"] = data, plain
    jobs = ocid.client.put_many(named, f"oci://{b}/p/", label="many", content_type="x/y")
    assert len(jobs) == len(named) > 64
    assert jobs.wait(WAIT_S).n_done == len(named)
    assert store.names(b) == sorted(wanted)
    for name, data in wanted.items():
        assert store.object_bytes(f"{b}/{name}") == data
    assert ocid.client.head(f"{b}/p/bytes 0")["content-type"] == "x/y"


def test_of_many_buffers_a_wrong_one_stops_all(ocid, store, b):
    for wrong, error in (({"a": b"1", "b": 7}, TypeError), ({"a": b"1", "": b"2"}, ValueError)):
        with pytest.raises(error):
            ocid.client.put_many(wrong, b)
    with pytest.raises(client_library.TooLarge, match="'?Client.max_buffer"):
        ocid.another(max_buffer=10).put_many({"a": b"1", "b": bytes(11)}, b)
    with pytest.raises(ValueError, match="base"):
        ocid.client.put_many({"a": b"1"}, b, base="/")
    assert {job.last.state for job in ocid.client.jobs()} <= {"cancelled"}
    assert store.names(b) == []


def test_a_set_can_be_awaited_and_holds_back_what_comes_after(ocid, store, b):
    store.on(**PUT_HANGS)
    jobs = ocid.client.put_many([ocid.file(b"1", "slow")], f"{b}/")
    last = ocid.client.put_bytes(f"{b}/last", b"x", after=[jobs])
    store.wait_hit("PutObject")
    assert last.status().why == "after"
    store.release()
    on_loop(wait_for_both(jobs, last))
    assert store.names(b) == ["last", "slow"]


async def wait_for_both(*jobs):
    await asyncio.gather(*(job.wait() if isinstance(job, aio.Job) else _await(job)
                           for job in jobs))


async def _await(job):
    return await job


# Found again.


def test_jobs_are_found_again(ocid, store, b):
    store.on(**PUT_HANGS)
    ident = ocid.client.put_bytes(f"{b}/slow", b"1").id
    ocid.wait_for(ident, "running")
    (found,) = ocid.another().jobs(state="running")
    assert found == ocid.client.job(ident) and found.state == "running" and not found.final
    store.wait_hit("PutObject")
    store.release()
    assert found.wait(WAIT_S).state == "done" and found.final


def test_thousands_of_jobs_are_waited_for(ocid, store, b):
    """Most of them have left the daemon's memory by then, and do not fit into one reply."""
    path = ocid.file(b"1")
    jobs = [put_job(path, f"{b}/{'n' * 200}/{i}", {}) for i in range(3000)]
    ids = ocid.client.submit(jobs)
    assert {s.state for s in ocid.client.wait(ids, 2 * WAIT_S)} == {"done"}
    assert [s.id for s in ocid.client.status(ids)] == ids
    assert [s.id for s in ocid.client.wait(ids, WAIT_S)] == ids
    assert len(on_loop(async_client(ocid).wait(ids))) == 3000


# Loops.


def test_awaiting_a_job_lets_the_loop_go_on(ocid, store, b):
    store.on(**PUT_HANGS)
    before = threads()

    async def both():
        job = ocid.client.put_bytes(f"{b}/slow", b"1")
        task = asyncio.ensure_future(_await(job))
        while not store.count("PutObject"):
            await asyncio.sleep(0.01)
        assert not task.done() and threads() == before
        store.release()
        return await task, job
    ended, job = on_loop(both())
    assert ended.state == "done" and job.last == ended


def test_how_far_the_bytes_are_is_told(make_ocid, store, b):
    """They are no change of state, so that a follower who wants them has to say so."""
    ocid = make_ocid(transfer__connections=1, transfer__part_mib=1).start()
    for part in (3, 6):
        store.on("UploadPart", do="hang", part=part)
    job = ocid.client.job(ocid.put(blob(8 * MIB), f"{b}/o"))
    held, seen = [3, 6], []
    for status in job.follow(WAIT_S, every=0.02):
        seen.append(status.bytes_done)
        if held and seen[-1] >= (held[0] - 1) * MIB:
            store.wait_hit("UploadPart", held.pop(0))
            store.release()
    assert not held and status.state == "done"
    store.on("UploadPart", do="hang", nth=3)

    async def follow():
        job = async_client(ocid).job(ocid.put(blob(8 * MIB), f"{b}/slow"))
        async for status in job.follow(WAIT_S, every=0.02):
            if not status.final and status.bytes_done >= 2 * MIB:
                store.release()
        return status
    assert on_loop(follow()).state == "done"


def test_each_change_is_told(ocid, store, b):
    store.on(**PUT_HANGS)

    async def follow():
        job = await async_client(ocid).put_bytes(f"{b}/slow", b"1")
        seen = []
        async for status in job:
            seen.append(status.state)
            if status.state == "running":
                store.wait_hit("PutObject")
                store.release()
        return seen
    seen = on_loop(follow())
    assert seen[-1] == "done" and "running" in seen
    job = ocid.client.put_bytes(f"{b}/o", b"1")
    assert [s.state for s in job.follow(WAIT_S)][-1] == "done"


def test_everything_under_a_loop_without_a_thread(ocid, store, b):
    before = threads()

    async def all_of_it():
        async with async_client(ocid, label="loop") as client:
            path = ocid.file(blob(KIB))
            await (await client.put(path, f"{b}/a"))
            await (await client.put_bytes(f"{b}/b", b"bytes"))
            await (await client.put_json(f"{b}/c", [1]))
            await (await client.put_many([path], f"{b}/d/"))
            assert [row.name async for row in client.list(b)] == ["a", "b", "c", f"d/{path.name}"]
            assert await client.get_bytes(f"{b}/b") == b"bytes"
            assert await client.get_json(f"{b}/c") == [1]
            await (await client.get(f"{b}/a", ocid.files / "back"))
            await (await client.delete(f"{b}/c"))
            with pytest.raises(client_library.NotFound):
                await client.head(f"{b}/c")
            assert (await client.head(f"{b}/b"))["content-length"] == "5"
            assert (await client.info())["pid"] == (await client.stats())["pid"] == ocid.pid
            assert len([job async for job in client.jobs()]) == 6
            assert threads() == before
    on_loop(all_of_it())
    assert (ocid.files / "back").read_bytes() == blob(KIB)


def test_hundreds_wait_at_once_on_one_connection(ocid, store, b):
    """More than the requests that the daemon lets a connection have open, begun at odd moments."""
    store.on("PutObject", "hang", count=0)

    async def wait_for_all():
        client = async_client(ocid)
        tasks = []
        for i in range(200):
            job = await client.put_bytes(f"{b}/{i}", b"x")
            tasks.append(asyncio.ensure_future(job.wait()))
        assert (await client.stats())["clients"] == 2, "and other requests are answered meanwhile"
        store.clear()
        return await asyncio.gather(*tasks)
    assert {status.state for status in on_loop(wait_for_all())} == {"done"}


def test_a_wait_on_a_loop_is_bounded_and_can_be_given_up(ocid, store, b):
    store.on(**PUT_HANGS)

    async def give_up():
        job = await async_client(ocid).put_bytes(f"{b}/slow", b"x")
        store.wait_hit("PutObject")
        with pytest.raises(client_library.TimedOut):
            await job.wait(0.2)
        task = asyncio.ensure_future(job.wait())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not (await job.status()).final
        store.release()
        return await job
    assert on_loop(give_up()).state == "done"


def test_a_download_that_is_given_up_leaves_nothing(ocid, store, b):
    store.put_object(f"{b}/o", blob(4 * MIB))
    store.on("GetObject", "hang", at="body", after=MIB)

    async def give_up():
        before = len(os.listdir("/proc/self/fd"))
        client = async_client(ocid)
        task = asyncio.ensure_future(client.get_bytes(f"{b}/o"))
        await asyncio.get_running_loop().run_in_executor(None, store.wait_hit, "GetObject")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.close()
        assert len(os.listdir("/proc/self/fd")) <= before
    on_loop(give_up())
    store.release()
    until(lambda: ocid.client.stats()["running"] == 0, "the job has gone")


# Processes.


def in_child(action):
    """Runs in a forked child; its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            status = 0 if action() else 1
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_has_a_connection_of_its_own(ocid, store, b):
    store.on(**PUT_HANGS)
    job = ocid.client.put_bytes(f"{b}/slow", b"1")
    other = ocid.client.put_bytes(f"{b}/o", b"1")
    waiting = threading.Thread(target=job.wait, args=(WAIT_S,))
    waiting.start()

    def child():
        mine = ocid.client.put_bytes(f"{b}/child", b"2")

        async def on_a_loop():
            return await mine, await other
        return mine.wait(WAIT_S).state == other.wait(WAIT_S).state == "done" and \
            on_loop(on_a_loop())
    assert in_child(child) == 0
    assert other.wait(WAIT_S).state == "done"
    store.wait_hit("PutObject", object="slow")
    store.release()
    waiting.join(WAIT_S)
    assert not waiting.is_alive() and store.names(b) == ["child", "o", "slow"]


def elsewhere(client, job, to):
    """In another process, which has got client and job by pickling."""
    mine = client.put_bytes(to, b"from elsewhere")
    return job.wait(WAIT_S), mine.wait(WAIT_S), mine


def test_clients_and_jobs_travel(ocid, store, b):
    job = ocid.client.put_bytes(f"{b}/o", b"1")
    again = pickle.loads(pickle.dumps(job))
    assert again == job and again.wait(WAIT_S).state == "done"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        first, second, mine = pool.apply_async(elsewhere, (ocid.client, job, f"{b}/e")).get(WAIT_S)
    assert first.state == second.state == "done" and mine.client == ocid.client
    assert store.object_bytes(f"{b}/e") == b"from elsewhere"
    awaited = pickle.loads(pickle.dumps(async_client(ocid).job(job)))
    assert on_loop(_await(awaited)).state == "done"


def test_several_threads_share_a_client(ocid, store, b):
    wrong = []

    def work(n):
        try:
            for i in range(10):
                ocid.client.put_bytes(f"{b}/{n}/{i}", b"%d %d" % (n, i)).wait(WAIT_S)
                if ocid.client.get_bytes(f"{b}/{n}/{i}") != b"%d %d" % (n, i):
                    wrong.append((n, i))
        except BaseException as error:
            wrong.append(error)
    workers = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(WAIT_S)
    assert not wrong and len(store.names(b)) == 80


# Every kind of wait: interrupted, and with a daemon that is killed meanwhile.


async def _first_rows(client, place):
    return sum([1 async for _ in client.list(place)])


def waits(ocid, b):
    """Name, what waits until the store lets go (the object `slow` is put, `big` is got, `v-…` is
    listed), and what it has to come to."""
    job = ocid.client.put_bytes(f"{b}/slow", b"1")
    sync, loop = ocid.another(), async_client(ocid)
    yield "wait", lambda: sync.job(job).wait(WAIT_S).state, "done"
    yield "wait for several", lambda: sync.wait([job, job], WAIT_S)[1].state, "done"
    yield "follow", lambda: [s.state for s in sync.job(job).follow(WAIT_S)][-1], "done"
    yield "get_bytes", lambda: len(sync.get_bytes(f"{b}/big")), 2 * MIB
    yield "list", lambda: sum(1 for _ in sync.list("v-5500x64")), 5500
    yield "head", lambda: sync.head(f"{b}/big")["content-length"], str(2 * MIB)
    yield "await", lambda: on_loop(_await(sync.job(job))).state, "done"
    yield "aio follow", lambda: on_loop(_last(loop.job(job))).state, "done"
    yield "aio get_bytes", lambda: len(on_loop(loop.get_bytes(f"{b}/big"))), 2 * MIB
    yield "aio list", lambda: on_loop(_first_rows(loop, "v-5500x64")), 5500
    yield "aio head", lambda: on_loop(loop.head(f"{b}/big"))["content-length"], str(2 * MIB)


async def _last(job):
    async for status in job:
        last = status
    return last


NAMES = ["wait", "wait for several", "follow", "get_bytes", "list", "head", "await", "aio follow",
         "aio get_bytes", "aio list", "aio head"]


@pytest.fixture(params=NAMES)
def hanging(request, ocid, store, b):
    """One of waits(), and the store holds back what it waits for."""
    store.put_object(f"{b}/big", blob(2 * MIB))
    store.on(**PUT_HANGS)
    store.on("GetObject", "hang", object="big", at="body", after=MIB)
    store.on("ListObjects", "hang", nth=3)
    store.on("HeadObject", "hang")
    op = {"get_bytes": "GetObject", "list": "ListObjects", "head": "HeadObject"}.get(
        request.param.split()[-1], "PutObject")
    (found,) = [wait for wait in waits(ocid, b) if wait[0] == request.param]
    return (op, *found[1:])


def test_a_daemon_that_is_killed_under_a_wait(ocid, store, hanging):
    op, wait, expected = hanging
    came = []
    worker = threading.Thread(target=lambda: came.append(wait()))
    worker.start()
    store.wait_hit(op, 3 if op == "ListObjects" else 1)
    ocid.crash()
    store.release()
    worker.join(2 * WAIT_S)
    assert not worker.is_alive() and came == [expected]


def test_an_interrupt_ends_the_wait_and_not_the_job(ocid, store, hanging):
    """Python misses a signal that comes just before a call blocks, so it is sent until it has
    been seen; only the first one interrupts."""
    op, wait, expected = hanging
    seen, over = [], threading.Event()

    def on_signal(_number, _frame):
        if not seen:
            seen.append(time.monotonic())
            raise KeyboardInterrupt

    def interrupt_when_it_hangs():
        store.wait_hit(op, 3 if op == "ListObjects" else 1)
        while not over.wait(0.2):
            signal.pthread_kill(main, signal.SIGINT)
    main = threading.main_thread().ident
    old = signal.signal(signal.SIGINT, on_signal)
    helper = threading.Thread(target=interrupt_when_it_hangs)
    helper.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            wait()
        assert time.monotonic() - seen[0] < WAIT_S / 2
    finally:
        over.set()
        helper.join()
        signal.signal(signal.SIGINT, old)
    store.release()
    assert wait() == expected, "the same client is as good as before"
