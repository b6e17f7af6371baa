# SPDX-License-Identifier: Apache-2.0
"""test_functions.py - the functions of client/python/examples: by links and without rights, and with
`ocid` inside."""

import array
import json
import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import msgpack
import pytest
from functions import STAND_IN, Function
from harness import KIB, ROOT, SLOW, binaries, blob
from test_modes import Function as Resource


@pytest.fixture
def link(ocid, b):
    """link("o", "read"): a URL that is good for this object and nothing else."""
    return lambda name, access: ocid.client.share(f"oci://{b}/{name}", access=access)


@pytest.fixture
def by_links(tmp_path):
    """Of Python it has the standard library."""
    with Function("links", tmp_path / "links", [STAND_IN[0], "-I", "-S", *STAND_IN[1:]]) as one:
        yield one


@pytest.fixture
def start_inside(tmp_path, store):
    """start_inside(**env): with a key and a token of the function's own."""
    path = os.pathsep.join([str(ROOT / "client/python/src"),
                            str(Path(msgpack.__file__).parents[1])])
    return lambda **env: Function("inside", tmp_path / "inside", STAND_IN, **{
        "PATH": f"{binaries()}:{os.defpath}", "PYTHONPATH": path, "OCID_ENDPOINT": store.url,
        **Resource(store).give(), **env})


# By links.


def test_links_are_all_it_needs(by_links, store, b, link):
    numbers = array.array("d", range(-10, 1000))
    store.put_object(f"{b}/in", numbers.tobytes())
    asked = {"input": link("in", "read"), "output": link("out", "write")}
    store.clear_log()
    for _ in range(2):  # a call may come twice
        status, text = by_links.call(asked)
        assert (status, json.loads(text)) == (200, {"n": 1010, "sum": sum(numbers), "min": -10.0,
                                                    "max": 999.0})
        assert store.object_bytes(f"{b}/out") == text.encode()
    assert {entry["op"] for entry in store.log(bucket=b)} == {"GetObject", "PutObject"}
    assert by_links.left() == []


def test_a_link_that_does_not_serve_is_said(by_links, store, b, link):
    store.put_object(f"{b}/in", bytes(8))
    to_read, to_write = link("in", "read"), link("out", "write")
    status, text = by_links.call({"input": to_write, "output": to_write})
    assert status == 502 and "link to read" in text and "share again" in text
    status, text = by_links.call({"input": to_read, "output": to_read})
    assert status == 502 and "link to write" in text
    store.set_clock(7200)
    status, text = by_links.call({"input": to_read, "output": to_write})
    assert status == 502 and "expired" in text
    assert store.names(b) == ["in"]


def test_a_busy_service_is_asked_again(by_links, store, b, link):
    store.put_object(f"{b}/in", bytes(8))
    store.on("GetObject", do="reset", count=1)
    store.on("PutObject", do="status", status=503, count=1)
    asked = {"input": link("in", "read"), "output": link("out", "write")}
    assert by_links.call(asked)[0] == 200
    store.on("GetObject", do="status", status=503, count=0)
    store.clear_log()
    status, text = by_links.call(asked)
    assert status == 502 and "503" in text
    assert store.count("GetObject") == 3


# With ocid inside.


def test_what_runs_inside_ends_with_the_call(start_inside, store, b):
    parts = {f"in/{i}": blob(70 * KIB, i) for i in range(4)}
    for name, data in parts.items():
        store.put_object(f"{b}/{name}", data)
    store.clear_log()
    joined = b"".join(parts.values())
    with start_inside() as function:
        for i in range(2):
            status, text = function.call({"input": f"oci://{b}/in/", "output": f"oci://{b}/{i}"})
            assert status == 200, text
            cold = time.monotonic() - function.begun
            assert store.object_bytes(f"{b}/{i}") == joined
            assert json.loads(text) == {"objects": 4, "bytes": len(joined),
                                        "etag": store.object_info(f"{b}/{i}")["etag"]}
            assert function.left() == []
            if i == 0:
                print(f"from the start of the process to the answer: {cold * 1000:.0f} ms")
                assert cold < 10 * SLOW
    log = store.log(bucket=b)
    assert log and all(entry["token"] for entry in log), "signed as the function"


def test_what_goes_wrong_inside_is_said_and_leaves_nothing(start_inside, store, b):
    store.put_object(f"{b}/in/1", b"1")
    store.put_object(f"{b}/out", b"older")
    with start_inside() as function:
        status, text = function.call({"input": f"oci://{b}/in/", "output": f"oci://{b}/out"})
        assert status == 502 and "exists" in text, text
        assert store.object_bytes(f"{b}/out") == b"older"
        status, text = function.call({"input": "oci://nowhere/in/", "output": f"oci://{b}/o"})
        assert status == 502 and "nowhere" in text
        assert function.left() == []


@pytest.mark.parametrize("env, words", [
    ({"OCID_ENDPOINT": "gopher://x"}, "not running"),
    ({"OCI_RESOURCE_PRINCIPAL_VERSION": "1.0"}, "'1.0' are not known here"),
])
def test_a_daemon_that_cannot_work_is_said(start_inside, store, b, env, words):
    with start_inside(**env) as function:
        status, text = function.call({"input": f"oci://{b}/in/", "output": f"oci://{b}/out"})
        assert status == 502 and words in text, text
        assert function.left() == []
    assert store.log(bucket=b) == []
