# SPDX-License-Identifier: Apache-2.0
"""test_protocol.py - strangers' bytes: refused with a reason, while others are served."""

import contextlib
import os
import random
import select
import socket
import struct
import tempfile
import time

import msgpack
import pytest
from harness import ROOT, Refused, Wire, client_library, framed, rss, until

FRAMES = ROOT / "tests/vectors/frames"


@pytest.fixture
def served(ocid):
    """Another client, which must be served whatever happens: checked at the end."""
    client = ocid.another()
    yield ocid
    began = time.monotonic()
    assert client.stats()["pid"] == ocid.pid
    assert time.monotonic() - began < 1


def descriptors(ocid):
    """How many memfds of ours the daemon holds."""
    found = 0
    for name in os.listdir(f"/proc/{ocid.pid}/fd"):
        with contextlib.suppress(OSError):
            found += os.readlink(f"/proc/{ocid.pid}/fd/{name}").startswith("/memfd:passed")
    return found


# Hello.


@pytest.mark.parametrize("low, high", [(1, 1), (1, 99), (0, 1), (0, 2**63)])
def test_a_version_in_common_is_agreed(served, low, high):
    with served.wire(hello=False) as wire:
        welcome = wire.call("hello", {"min": low, "max": high, "from_the_future": [1, {"x": 2}]})
        assert welcome["version"] == 1 and welcome["software"].startswith("ocid ")
        assert welcome["max_frame"] == 1 << 20 and welcome["max_jobs"] == 1000


@pytest.mark.parametrize("low, high, side", [(2, 9, "daemon"), (0, 0, "client")])
def test_no_version_in_common_names_the_side_to_restart(served, low, high, side):
    with served.wire(hello=False) as wire:
        with pytest.raises(Refused) as caught:
            wire.call("hello", {"min": low, "max": high})
        assert caught.value.code == "version"
        assert f"restart the {side}" in caught.value.error["text"]


def test_hello_comes_first_and_once(served):
    with served.wire(hello=False) as wire:
        with pytest.raises(Refused) as caught:
            wire.call("daemon.stats", {})
        assert caught.value.code == "protocol"
    with served.wire() as wire:
        with pytest.raises(Refused) as caught:
            wire.call("hello", {"min": 1, "max": 1})
        assert caught.value.code == "protocol"


@pytest.mark.parametrize("path", sorted(FRAMES.glob("*/*.request.bin")),
                         ids=lambda path: f"{path.parent.name}/{path.name[:-12]}")
def test_requests_of_every_release_are_understood(served, path):
    data = path.read_bytes()
    _, ident, method, params = msgpack.unpackb(data[4:], strict_map_key=False)
    jobs = params["jobs"] if method == "job.submit" else []
    places = [job["fd"] for job in jobs if "fd" in job]
    if "fd" in params:
        places.append(params["fd"])
    reading, writing = os.pipe()
    os.close(writing)
    with served.wire(hello=method != "hello") as wire:
        wire.send(data, [reading] * (max(places) + 1 if places else 0))
        reply = wire.reply()
        os.close(reading)
        assert reply is not None and reply[:2] == [1, ident]
        assert reply[2] is None or reply[2]["code"] not in ("protocol", "internal")
        if method != "hello":
            assert wire.call("daemon.stats", {})["pid"] == served.pid


# Bytes that end the connection.


def array(*parts):
    return bytes([0x90 + len(parts)]) + b"".join(parts)


def request(params, method=b"\xacdaemon.stats"):
    return array(b"\x00", b"\x07", method, params)


HOSTILE = {
    "a giant prefix": b"\xff\xff\xff\xff",
    "a prefix of one byte too many": struct.pack(">I", (1 << 20) + 1),
    "an empty frame": framed(b""),
    "not an array": framed(b"\x01"),
    "a reply": framed(array(b"\x01", b"\x07", b"\xc0", b"\x80")),
    "three elements": framed(array(b"\x00", b"\x07", b"\xacdaemon.stats")),
    "five elements": framed(array(b"\x00", b"\x07", b"\xacdaemon.stats", b"\x80", b"\x80")),
    "a negative id": framed(array(b"\x00", b"\xff", b"\xacdaemon.stats", b"\x80")),
    "depth 9": framed(request(b"\x81\xa1x" + b"\x91" * 7 + b"\xc0")),
    "depth 100,000": framed(request(b"\x81\xa1x" + b"\x91" * 100000 + b"\xc0")),
    "bytes behind the value": framed(request(b"\x80") + b"\x00"),
    "a str of 4 GiB": framed(request(b"\x81\xa1x\xdb\xff\xff\xff\xff")),
    "an array of 4 G": framed(request(b"\x81\xa1x\xdd\xff\xff\xff\xff")),
    "a map of 4 G": framed(request(b"\xdf\xff\xff\xff\xff")),
    "an array of more than is left": framed(request(b"\x81\xa1x\x92\xc0")),
    "an extension": framed(request(b"\x81\xa1x\xd4\x01\x00")),
    "a timestamp": framed(request(b"\x81\xa1x\xd6\xff\x00\x00\x00\x00")),
    "the byte 0xc1": framed(request(b"\x81\xa1x\xc1")),
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("greeted", [True, False], ids=["after hello", "before hello"])
@pytest.mark.parametrize("name", HOSTILE)
def test_bytes_that_cannot_be_trusted_end_the_connection(served, name, greeted):
    with served.wire(hello=greeted) as wire:
        wire.send(HOSTILE[name])
        replies = wire.ends(3)
        assert len(replies) <= 1
        for reply in replies:
            assert reply[2]["code"] in ("protocol", "too_large", "invalid") and reply[2]["text"]


def test_depth_8_is_allowed(served):
    with served.wire() as wire:
        wire.send(framed(request(b"\x81\xa1x" + b"\x91" * 5 + b"\xc0")))
        reply = wire.reply()
        assert reply[:2] == [1, 7] and reply[2] is None


def test_a_frame_cut_off_by_its_sender(served):
    for cut in (1, 3, 4, 5, 20):
        with served.wire() as wire:
            wire.send(framed(request(b"\x80"))[:cut])
            wire.sock.shutdown(socket.SHUT_WR)
            assert wire.ends(3) == []


def test_random_bytes(served):
    chance = random.Random(4)
    for _ in range(200):
        with served.wire(hello=chance.random() < 0.5) as wire:
            data = chance.randbytes(chance.randrange(1, 200))
            if chance.random() < 0.7:
                data = framed(data)
            with contextlib.suppress(ConnectionError):
                wire.send(data)


def test_random_damage_to_good_frames(served):
    chance = random.Random(5)
    good = [path.read_bytes() for path in sorted(FRAMES.glob("*/*.request.bin"))]
    for _ in range(400):
        data = bytearray(chance.choice(good))
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(4, len(data))] = chance.randrange(256)
        with served.wire() as wire:
            wire.send(bytes(data))
            wire.sock.shutdown(socket.SHUT_WR)
            wire.ends(3)


@pytest.mark.slow
@pytest.mark.parametrize("greeted", [True, False], ids=["after hello", "before hello"])
def test_a_frame_that_drips_is_closed_after_5_s(served, greeted):
    with served.wire(hello=greeted) as wire:
        began = time.monotonic()
        data = framed(request(b"\x81\xa1x\xda\x00\xff" + b"y" * 255))
        for byte in data:
            try:
                wire.send(bytes([byte]))
            except ConnectionError:
                break
            if select.select([wire.sock], [], [], 0.3)[0]:
                break
        replies = wire.ends(3)
        assert 4 < time.monotonic() - began < 7
        assert [reply[2]["code"] for reply in replies] == ["protocol"]


@pytest.mark.slow
def test_a_client_that_says_nothing_is_closed_before_hello_only(served):
    silent, greeted = served.wire(hello=False), served.wire()
    began = time.monotonic()
    silent.ends(10)
    assert 4 < time.monotonic() - began < 7
    assert greeted.call("daemon.stats", {})["pid"] == served.pid


# Fields.


def submit(**job):
    return "job.submit", {"jobs": [job]}


GOOD = {"kind": "head", "bucket": "b", "object": "o"}
INVALID = [
    (*submit(bucket="b", object="o"), "kind"),
    (*submit(**{**GOOD, "kind": "destroy"}), "kind"),
    (*submit(**{**GOOD, "kind": 5}), "kind"),
    (*submit(**{**GOOD, "bucket": 5}), "bucket"),
    (*submit(**{**GOOD, "bucket": ["b"]}), "bucket"),
    (*submit(**{**GOOD, "bucket": "x" * 257}), "bucket"),
    (*submit(**{**GOOD, "object": "x" * 1025}), "object"),
    (*submit(**{**GOOD, "object": "a\0b"}), "object"),
    (*submit(**{**GOOD, "priority": 10}), "priority"),
    (*submit(**{**GOOD, "priority": -1}), "priority"),
    (*submit(**{**GOOD, "priority": 1.5}), "priority"),
    (*submit(**{**GOOD, "after": [1, "x"]}), "after"),
    (*submit(**{**GOOD, "after": list(range(1001))}), "after"),
    (*submit(**{**GOOD, "fd": 0}), "fd"),
    (*submit(kind="put", bucket="b", object="o", metadata={"a": 1}, source=b"/x"), "metadata"),
    (*submit(kind="put", bucket="b", object="o", source=b"/x", if_absent=True, if_match="e"),
     "if_match"),
    (*submit(kind="put", bucket="b", object="o"), "source"),
    (*submit(kind="get", bucket="b", object="o"), "dest"),
    (*submit(kind="list", bucket="b", dest=b"/x", delimiter="x"), "delimiter"),
    (*submit(kind="get", bucket="b", object="o", dest=b"/a\0b"), "dest"),
    ("job.submit", {"jobs": []}, "jobs"),
    ("job.submit", {"jobs": [GOOD] * 1001}, "jobs"),
    ("job.submit", {}, "jobs"),
    ("job.status", {"ids": "x"}, "ids"),
    ("job.status", {"wait_ms": 600001}, "wait_ms"),
    ("job.cancel", {}, "ids"),
    ("job.list", {"state": "lost"}, "state"),
    ("vault.unlock", {}, "fd"),
]


@pytest.mark.parametrize("method, params, field", INVALID,
                         ids=[f"{row[0]} {row[2]} {i}" for i, row in enumerate(INVALID)])
def test_a_field_that_is_wrong_is_named_and_the_connection_goes_on(served, method, params, field):
    with served.wire() as wire:
        with pytest.raises(Refused) as caught:
            wire.call(method, params)
        assert caught.value.code in ("invalid", "too_large", "name")
        assert field in caught.value.error["text"]
        assert wire.call("daemon.stats", {})["pid"] == served.pid


def test_the_same_field_twice(served):
    with served.wire() as wire:
        wire.send(framed(request(b"\x82\xa3ids\x91\x01\xa3ids\x91\x02", b"\xaajob.status")))
        reply = wire.reply()
        assert reply[2]["code"] == "invalid" and "ids" in reply[2]["text"]
        wire.send(framed(request(b"\x81\xa6bucket\xa2\xff\xfe", b"\xaajob.status")))
        assert wire.reply()[2] is None, "what is not known is skipped, whatever it is"


def test_a_str_that_is_not_utf8(served):
    with served.wire() as wire:
        wire.send(framed(request(b"\x81\xa5state\xa2\xff\xfe", b"\xa8job.list")))
        assert wire.reply()[2]["code"] == "invalid"
        assert wire.call("daemon.stats", {})["pid"] == served.pid


def test_a_refused_array_takes_no_job_and_names_the_place(served):
    with served.wire() as wire:
        good = {"kind": "put", "bucket": "b", "object": "o", "source": b"/x"}
        with pytest.raises(Refused) as caught:
            wire.call("job.submit", {"jobs": [good, good, {**good, "source": b"relative"}]})
        assert caught.value.error["index"] == 2
        assert wire.call("job.list", {})["jobs"] == []


def test_an_unknown_method(served):
    with served.wire() as wire:
        with pytest.raises(Refused) as caught:
            wire.call("job.explode", {})
        assert caught.value.code == "unsupported" and "job.explode" in caught.value.error["text"]
        assert wire.call("daemon.stats", {})["pid"] == served.pid


# Descriptors.


def test_64_descriptors_in_one_message(served, store, b):
    fds = []
    for i in range(64):
        fd = os.memfd_create("passed")
        os.write(fd, b"%d" % i)
        fds.append(fd)
    with served.wire() as wire:
        ids = wire.call("job.submit", {"jobs": [
            {"kind": "put", "bucket": b, "object": f"{i}", "fd": i, "spool": True}
            for i in range(64)]}, fds)["ids"]
    for fd in fds:
        os.close(fd)
    served.client.wait(ids)
    assert [store.object_bytes(f"{b}/{i}") for i in range(64)] == [b"%d" % i for i in range(64)]
    until(lambda: descriptors(served) == 0, "they are closed")


def test_65_descriptors_in_one_message_end_the_connection(served, b):
    fd = os.memfd_create("passed")
    with served.wire() as wire:
        wire.request("job.submit", {"jobs": [
            {"kind": "put", "bucket": b, "object": f"{i}", "fd": min(i, 63), "spool": True}
            for i in range(65)]}, [fd] * 65)
        (reply,) = wire.ends(3)
        assert reply[2]["code"] == "too_large"
    os.close(fd)
    until(lambda: descriptors(served) == 0, "they are closed")
    assert list(served.client.jobs()) == []


@pytest.mark.parametrize("method, params", [("daemon.stats", {}), submit(**GOOD),
                                            ("job.explode", {}), submit(**{**GOOD, "kind": 7})])
def test_descriptors_that_nobody_asked_for_are_closed(served, method, params):
    with served.wire() as wire:
        fd = os.memfd_create("passed")
        for _ in range(20):
            wire.request(method, params, [fd] * 8)
            if wire.reply() is None:
                break
        os.close(fd)
        until(lambda: descriptors(served) <= 8, "no more than a message's")
    until(lambda: descriptors(served) == 0, "they are closed with the connection")


@pytest.mark.parametrize("what", ["directory", "socket", "device", "write-only"])
def test_a_descriptor_of_the_wrong_kind_is_refused(served, b, what, tmp_path):
    made = {"directory": lambda: os.open(tmp_path, os.O_RDONLY),
            "socket": lambda: socket.socket(socket.AF_UNIX).detach(),
            "device": lambda: os.open("/dev/zero", os.O_RDONLY),
            "write-only": lambda: os.open(tmp_path / "w", os.O_WRONLY | os.O_CREAT)}[what]()
    with served.wire() as wire:
        with pytest.raises(Refused) as caught:
            wire.call(*submit(kind="put", bucket=b, object="o", fd=0, spool=True), fds=[made])
        assert caught.value.code in ("invalid", "io", "file")
        assert wire.call("daemon.stats", {})["pid"] == served.pid
    os.close(made)


# Many and slow clients.


def test_a_thousand_connections(served):
    """As many as a user may have are let in; the others are told why."""
    wires, refused = [], 0
    try:
        for _ in range(1000):
            wire = Wire(served.socket, hello=False)
            wires.append(wire)
            try:
                wire.request("hello", {"min": 1, "max": 1})
            except ConnectionError:
                pass
            reply = wire.reply()
            if reply is None or reply[2] is None:
                assert reply is not None
                continue
            assert reply[2]["code"] == "queue_full"
            refused += 1
            wires.pop().sock.close()
        assert 930 <= refused < 1000
        assert served.client.stats()["clients"] <= 64
    finally:
        for wire in wires:
            wire.sock.close()
    until(lambda: served.client.stats()["clients"] == 2, "those that have gone are forgotten")


def test_a_client_that_is_turned_away_gets_the_reason(make_ocid):
    ocid = make_ocid(limits__clients_per_user=2).start()
    kept = ocid.another()
    with pytest.raises(client_library.QueueFull):
        ocid.another()
    kept.close()
    until(lambda: ocid.client.stats()["clients"] == 1, "there is room again")
    ocid.another()


def test_more_descriptors_than_the_daemon_may_have(make_ocid, b):
    import resource
    ocid = make_ocid(limits__clients_per_user=1000).start()
    resource.prlimit(ocid.pid, resource.RLIMIT_NOFILE, (80, 80))
    wires = []
    try:
        for _ in range(120):
            with contextlib.suppress(ConnectionError, Refused, TimeoutError):
                wires.append(Wire(ocid.socket))
        assert ocid.client.stats()["pid"] == ocid.pid
    finally:
        for wire in wires:
            wire.sock.close()
    until(lambda: ocid.client.stats()["clients"] == 1, "those that have gone are forgotten")
    ocid.done(ocid.put(b"x", f"{b}/o"))


def test_a_client_that_reads_no_replies_costs_little(served, b):
    path = served.file(b"x")
    ids = served.submit(*(client_library.client.put_job(path, f"{b}/{i}", {}) for i in range(500)))
    served.client.wait(ids)
    before = rss(served.pid)
    with served.wire() as wire:
        wire.sock.setblocking(False)
        ask, sent = framed(msgpack.packb([0, 9, "job.status", {"ids": ids}])), 0
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while sent < 20000:
                wire.sock.send(ask)
                sent += 1
        assert served.client.stats()["pid"] == served.pid
        assert rss(served.pid) < before + (16 << 20)
        wire.sock.setblocking(True)
        wire.sock.settimeout(10)
        reply = wire.reply()  # and when it reads, it is served
        assert reply is None or len(reply[3]["jobs"]) > 400


def test_many_requests_in_one_go_are_all_answered(served):
    with served.wire() as wire:
        asks = [framed(msgpack.packb([0, 100 + i, "daemon.stats", {}])) for i in range(3000)]
        wire.send(b"".join(asks))
        seen = [wire.reply()[1] for _ in asks]
        assert sorted(seen) == [100 + i for i in range(3000)]


def test_replies_interleave(served, store, b):
    """A long poll holds up nothing of the same connection."""
    store.on("PutObject", do="hang", count=0)
    job = served.put(b"x", f"{b}/o")
    with served.wire() as wire:
        store.wait_hit("PutObject", 1)
        now = wire.call("job.status", {"ids": [job]})
        poll = wire.request("job.status", {"ids": [job], "epoch": now["epoch"],
                                           "since": now["seq"], "wait_ms": 20000})
        assert wire.request("daemon.stats", {}) != poll
        assert wire.reply()[1] != poll
        store.clear()
        reply = wire.reply()
        assert reply[1] == poll and reply[3]["jobs"][0]["id"] == job


def test_a_poll_ends_with_its_time(served):
    with served.wire() as wire:
        now = wire.call("job.status", {})
        began = time.monotonic()
        again = wire.call("job.status", {"epoch": now["epoch"], "since": now["seq"],
                                         "wait_ms": 300})
        assert 0.25 < time.monotonic() - began < 2
        assert again["jobs"] == [] and again["seq"] == now["seq"]


def test_polls_of_clients_that_have_gone(served, store, b):
    for _ in range(50):
        with served.wire() as wire:
            wire.request("job.status", {"since": 1 << 40, "epoch": wire.welcome["epoch"],
                                        "wait_ms": 60000})
    served.done(served.put(b"x", f"{b}/o"))


# Another user.


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_another_user_is_turned_away(make_ocid):
    with tempfile.TemporaryDirectory(prefix="ocid-open") as folder:
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "sock")
        ocid = make_ocid(daemon__socket=path)
        ocid.socket = path
        ocid.start()
        assert os.stat(path).st_mode & 0o077 == 0
        os.chmod(path, 0o777)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                with Wire(path, hello=False) as wire:
                    with contextlib.suppress(ConnectionError):
                        wire.request("hello", {"min": 1, "max": 1})
                    os.write(writing, repr(wire.ends(5)).encode())
            finally:
                os._exit(0)
        os.close(writing)
        os.waitpid(pid, 0)
        said = os.read(reading, 4096).decode()
        os.close(reading)
        assert "denied_peer" in said and "version" not in said
        assert ocid.client.stats()["clients"] == 1
        ocid.stop()
