# SPDX-License-Identifier: Apache-2.0
"""test_oracle_cli.py - Oracle's CLI must work against the store unchanged."""

import datetime
import hashlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import urllib.request

import pytest

pytest.importorskip("oci_cli", reason="tests/oracle/requirements.txt is not installed")

NS = "axexample"
MIB = 1 << 20


@pytest.fixture(scope="module")
def cli(store, tmp_path_factory):
    """cli("os", "ns", "get") -> parsed JSON (or None); cli.fails(...) -> its error text."""
    home = tmp_path_factory.mktemp("home")
    config = store.profile.write_config(home / "config")
    program = os.path.join(os.path.dirname(sys.executable), "oci")
    if not os.path.exists(program):
        program = shutil.which("oci")
    env = {**os.environ, "HOME": str(home), "OCI_CLI_SUPPRESS_FILE_PERMISSIONS_WARNING": "True",
           "SUPPRESS_LABEL_WARNING": "True"}

    def call(*args):
        return subprocess.run([program, "--config-file", config, "--endpoint", store.url, *args],
                              env=env, capture_output=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL)

    def run(*args):
        done = call(*args)
        assert done.returncode == 0, done.stderr + done.stdout
        start = done.stdout.find("{")
        return json.loads(done.stdout[start:]) if start >= 0 else None

    def fails(*args):
        done = call(*args)
        assert done.returncode != 0, done.stdout
        return done.stderr

    run.fails = fails
    return run


def write(path, n_bytes):
    path.write_bytes(os.urandom(n_bytes))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_namespace(cli):
    assert cli("os", "ns", "get")["data"] == NS


def test_bucket(cli):
    made = cli("os", "bucket", "create", "--name", "cli-made", "--compartment-id", "ocid1.x")
    assert made["data"]["name"] == "cli-made"
    assert cli("os", "bucket", "get", "--name", "cli-made")["etag"] == made["etag"]
    found = cli("os", "bucket", "list", "--compartment-id", "ocid1.x")
    assert [b["name"] for b in found["data"]] == ["cli-made"]
    again = cli.fails("os", "bucket", "create", "--name", "cli-made", "--compartment-id",
                      "ocid1.x")
    assert "BucketAlreadyExists" in again
    cli("os", "bucket", "delete", "--name", "cli-made", "--force")


def test_object(cli, store, tmp_path):
    sha = write(tmp_path / "in", 100_000)
    cli("os", "object", "put", "-bn", "b", "--name", "dir/o 1", "--file", str(tmp_path / "in"),
        "--metadata", '{"k":"v"}')
    assert store.object_sha("b/dir/o 1") == sha
    head = cli("os", "object", "head", "-bn", "b", "--name", "dir/o 1")
    assert (head["content-length"], head["opc-meta-k"]) == ("100000", "v")
    found = cli("os", "object", "list", "-bn", "b", "--prefix", "dir/")
    assert [o["name"] for o in found["data"]] == ["dir/o 1"]
    cli("os", "object", "get", "-bn", "b", "--name", "dir/o 1", "--file", str(tmp_path / "out"))
    assert hashlib.sha256((tmp_path / "out").read_bytes()).hexdigest() == sha
    cli("os", "object", "delete", "-bn", "b", "--name", "dir/o 1", "--force")
    assert not store.exists("b/dir/o 1")
    assert '"status": 404' in cli.fails("os", "object", "get", "-bn", "b", "--name", "dir/o 1",
                                        "--file", str(tmp_path / "out"))


def test_multipart(cli, store, tmp_path):
    sha = write(tmp_path / "big", 32 * MIB + 1)
    cli("os", "object", "put", "-bn", "b", "--name", "big", "--file", str(tmp_path / "big"),
        "--part-size", "10", "--force")
    assert store.object_sha("b/big") == sha
    assert store.parts_received("b/big") == [1, 2, 3, 4]


def test_multipart_download(cli, store, tmp_path):
    sha = write(tmp_path / "big", 150 * MIB)
    with open(tmp_path / "big", "rb") as file:
        store.put_object("b/huge", file)
    cli("os", "object", "get", "-bn", "b", "--name", "huge", "--file", str(tmp_path / "back"),
        "--multipart-download-threshold", "128", "--part-size", "128")
    assert hashlib.sha256((tmp_path / "back").read_bytes()).hexdigest() == sha
    assert store.count("GetObject", object="huge", status=206) == 2


def test_multipart_leftovers(cli, store):
    found = cli("os", "multipart", "list", "-bn", "b", "--all")
    assert found is None or found["data"] == []


def test_bulk(cli, store, tmp_path):
    files = {"a": 10, "sub/b": 20_000, "sub/deep/ü c": 300, "empty": 0}
    up, down = tmp_path / "up", tmp_path / "down"
    for name, size in files.items():
        (up / name).parent.mkdir(parents=True, exist_ok=True)
        write(up / name, size)
    down.mkdir()
    store.make_bucket("bulk")
    done = cli("os", "object", "bulk-upload", "-bn", "bulk", "--src-dir", str(up),
               "--overwrite")
    assert set(done["uploaded-objects"]) == set(files)
    assert set(store.names("bulk")) == set(files)
    cli("os", "object", "bulk-download", "-bn", "bulk", "--download-dir", str(down))
    for name in files:
        assert (down / name).read_bytes() == (up / name).read_bytes()
    cli("os", "object", "bulk-delete", "-bn", "bulk", "--force")
    assert store.names("bulk") == []


def test_preauthenticated_request(cli, store):
    store.put_object("b/shared", b"by link")
    expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    made = cli("os", "preauth-request", "create", "-bn", "b", "--name", "link", "--access-type",
               "ObjectRead", "-on", "shared", "--time-expires", expires.strftime(
                   "%Y-%m-%dT%H:%M:%SZ"))["data"]
    context = None
    if store.ca_file:
        context = ssl.create_default_context(cafile=store.ca_file)
    got = urllib.request.urlopen(store.url + made["access-uri"], context=context)
    assert got.read() == b"by link"
    listed = cli("os", "preauth-request", "list", "-bn", "b")["data"]
    assert [p["id"] for p in listed] == [made["id"]]
    assert cli("os", "preauth-request", "get", "-bn", "b", "--par-id",
               made["id"])["data"]["name"] == "link"
    cli("os", "preauth-request", "delete", "-bn", "b", "--par-id", made["id"], "--force")


def test_copy_and_rename(cli, store):
    store.put_object("b/from", b"content")
    cli("os", "object", "copy", "-bn", "b", "--source-object-name", "from",
        "--destination-bucket", "b", "--destination-object-name", "to",
        "--destination-region", "us-ashburn-1", "--destination-namespace", NS)
    cli("os", "object", "rename", "-bn", "b", "--name", "to", "--new-name", "renamed")
    assert store.object_bytes("b/renamed") == b"content" and not store.exists("b/to")


def test_restore(cli, store):
    store.put_object("b/cold", b"brr", storage_tier="Archive")
    assert "NotRestored" in cli.fails("os", "object", "get", "-bn", "b", "--name", "cold",
                                      "--file", "-")
    cli("os", "object", "restore", "-bn", "b", "--name", "cold")
    status = store.object_info("b/cold")["archivalState"]
    assert status == "Restoring"


def test_user(cli, store):
    store.set_user(name="cli.user")
    assert cli("iam", "user", "get", "--user-id", store.profile.user)["data"]["name"] == "cli.user"
