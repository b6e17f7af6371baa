# SPDX-License-Identifier: Apache-2.0
"""test_store_program.py - the store as a program: options, keys, TLS, an orderly end."""

import glob
import os
import signal
import subprocess
import sys
import tempfile

import pytest

from rawclient import Raw

from objstore import Profile, Store
from objstore.profile import VECTORS

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run(*args, folder):
    return subprocess.Popen([sys.executable, "-m", "objstore", *args], stdout=subprocess.PIPE,
                            text=True, env={**os.environ, "PYTHONPATH": TESTS,
                                            "TMPDIR": str(folder)})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_config_file_and_end(tmp_path, number):
    profile = Profile(key_file=os.path.join(VECTORS, "test-key.pkcs8-enc.pem"),
                      passphrase=open(os.path.join(VECTORS, "passphrase.txt")).read())
    config = profile.write_config(tmp_path / "config")
    process = run("--oci-config", config, "--bucket", "mine", folder=tmp_path)
    try:
        url = process.stdout.readline().split()[-1]
        raw = Raw("127.0.0.1", int(url.rpartition(":")[2]), Profile())
        assert raw.call("GET", "/n").json == "testns"
        assert raw.call("GET", "/n/testns/b/mine/o").status == 200
        assert glob.glob(str(tmp_path / "objstore-*"))
        process.send_signal(number)
        assert process.wait(10) == 0
        assert not glob.glob(str(tmp_path / "objstore-*"))
        raw.close()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_end_while_a_request_hangs():
    with Store() as store:
        store.on("*", do="hang", count=0)
        raw = Raw(store.host, store.port, store.profile)
        raw.send("GET", "/n", raw.headers("GET", "/n"))
        store.wait_hit("GetNamespace")
        process = store.process
        store.stop()
        assert process.returncode == 0
        raw.close()


def test_tls():
    with Store(tls=True) as store:
        assert store.url.startswith("https://")
        store.put_object("b/o", b"1")
        assert store.object_bytes("b/o") == b"1"


def test_nothing_stays_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Store() as store:
        store.put_object("b/o", b"x" * 100_000)
        assert os.listdir(tmp_path)
    assert os.listdir(tmp_path) == []


def test_deleted_objects_leave_no_files():
    with Store() as store:
        for name in ("a", "b"):
            store.put_object(f"b/{name}", b"x" * 100_000)
        store.put_object("b/a", b"y" * 100_000)
        store.delete_object("b/a")
        store.delete_object("b/b")
        files = glob.glob(os.path.join(store.data, "blobs", "*", "*"))
        assert files == []
