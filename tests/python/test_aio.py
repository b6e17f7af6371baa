# SPDX-License-Identifier: Apache-2.0
"""test_aio.py - the client for event loops has the names of the blocking one, and holds its own
against a daemon that does not behave. What works is in tests/scenario/test_python.py."""

import asyncio
import inspect
import os
import resource
import struct
import subprocess
import sys
import time

import msgpack
import pytest

import ocid
from ocid import aio

SRC = os.path.dirname(os.path.dirname(ocid.__file__))


def ask(daemon, what, **options):
    """The result of what(client) on a loop of its own."""
    async def go():
        async with aio.Client(socket=daemon.path, **{"timeout": 5, **options}) as client:
            return await what(client)
    return asyncio.run(asyncio.wait_for(go(), 20))


def names(cls):
    return {name: value for name, value in vars(cls).items()
            if not name.startswith("_") and callable(value)}


@pytest.mark.parametrize("cls", ["Client", "Job"])
def test_both_clients_have_the_same_names_and_take_the_same(cls):
    ours, theirs = names(getattr(ocid, cls)), names(getattr(aio, cls))
    theirs.pop("info", None)  # a property of the one that blocks
    assert set(ours) == set(theirs)
    for name, method in ours.items():
        mine = [(p.name, p.kind, p.default) for p in inspect.signature(method).parameters.values()]
        same = [(p.name, p.kind, p.default)
                for p in inspect.signature(theirs[name]).parameters.values()]
        assert mine == same, name


def test_replies_may_come_in_any_order(daemon):
    """Two requests are written before the first reply, and the second is answered first."""
    def both(first):
        late = []

        def answer(_params):
            late.append(True)
            if len(late) < 2:
                return b""
            replies = [[1, 3, None, {"pid": 3}], [1, 2, None, {"pid": 2}]]
            return b"".join(struct.pack(">I", len(d)) + d for d in map(msgpack.packb, replies))
        daemon.on["daemon.stats"] = answer

    async def two(client):
        return await asyncio.gather(client.stats(), client.stats())
    both(None)
    assert ask(daemon, two) == [{"pid": 2}, {"pid": 3}]


def test_turned_away(daemon):
    daemon.turn_away = {"code": "queue_full", "text": "too many"}
    for _ in range(20):
        with pytest.raises(ocid.QueueFull, match="too many"):
            ask(daemon, lambda client: client.stats())


def test_no_daemon(tmp_path):
    async def go():
        await aio.Client(socket=str(tmp_path / "none")).stats()
    with pytest.raises(ocid.NoDaemon):
        asyncio.run(go())


def test_no_answer_and_a_late_one(daemon):
    async def go(client):
        with pytest.raises(ocid.TimedOut):
            await client.stats()
        daemon.on["daemon.reload"] = struct.pack(">I", 5) + msgpack.packb([1, 2, None, {}]) + \
            struct.pack(">I", 5) + msgpack.packb([1, 3, None, {}])
        await client.reload()  # the reply of the first is nobody's, and no harm
    daemon.on["daemon.stats"] = b""
    ask(daemon, go, timeout=0.3)


@pytest.mark.parametrize("answer", [b"\xff\xff\xff\xff", struct.pack(">I", 1) + b"\x01",
                                    struct.pack(">I", 5) + msgpack.packb([1, 99, None, {}])])
def test_a_daemon_that_talks_nonsense(daemon, answer):
    daemon.on["daemon.stats"] = answer
    with pytest.raises(ocid.Protocol):
        ask(daemon, lambda client: client.stats())


def test_a_submit_is_not_sent_twice_unless_it_has_a_key(daemon):
    daemon.on["job.submit"] = None
    with pytest.raises(ocid.NoDaemon):
        ask(daemon, lambda client: client.submit([{"kind": "delete"}]))
    assert [seen[0] for seen in daemon.seen].count("job.submit") == 1
    answers = [None, {"ids": [1]}]
    daemon.on["job.submit"] = lambda params: answers.pop(0)
    assert ask(daemon, lambda client: client.submit([{"kind": "delete", "key": "k"}])) == [1]


def test_a_daemon_that_hangs_up_right_after_hello(daemon):
    """A connection that has ended before its first request is not waited on."""
    welcome = msgpack.packb([1, 1, None, daemon.WELCOME])
    daemon.on["daemon.stats"] = {"pid": 1}
    hellos = []

    def hello(_params):
        hellos.append(True)
        if len(hellos) == 1:
            daemon.open[-1].sendall(struct.pack(">I", len(welcome)) + welcome)
            return None
        return daemon.WELCOME
    daemon.on["hello"] = hello
    began = time.monotonic()
    assert ask(daemon, lambda client: client.stats()) == {"pid": 1}
    assert time.monotonic() - began < 4


def test_each_loop_has_a_connection_of_its_own(daemon):
    daemon.on["daemon.stats"] = {"pid": 1}
    client = aio.Client(socket=daemon.path)
    for _ in range(3):
        assert asyncio.run(client.stats()) == {"pid": 1}
    assert daemon.connections == 3


def run_python(code):
    return subprocess.run([sys.executable, "-I", "-c",
                           f"import sys; sys.path.insert(0, {SRC!r}); {code}"],
                          capture_output=True, text=True, check=True).stdout.strip()


def test_the_blocking_client_brings_no_loop_with_it():
    assert run_python("import ocid; print([m for m in ('asyncio', 'subprocess', 'json', 'fsspec', "
                      "'tqdm', 'IPython') if m in sys.modules])") == "[]"
    assert run_python("import ocid; print(ocid.aio.Client.__name__)") == "Client"


def test_it_is_imported_fast():
    """Processor time of a whole interpreter with the import, less that of one without."""
    def cost(code):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run_python(code)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    run_python("import ocid")  # compiles it
    pairs = [(cost("import ocid"), cost("pass")) for _ in range(25)]
    best = min(ours for ours, _ in pairs) - min(bare for _, bare in pairs)
    assert best < 0.030, f"{best * 1000:.0f} ms"
