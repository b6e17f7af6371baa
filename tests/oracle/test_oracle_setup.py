# SPDX-License-Identifier: Apache-2.0
"""test_oracle_setup.py - what `ocictl setup` writes, Oracle's SDK and command line read and use."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import oci
import pytest

pytest.importorskip("oci_cli", reason="tests/oracle/requirements.txt is not installed")

ROOT = Path(__file__).resolve().parents[2]
USER, TENANCY = "ocid1.user.oc1..setup", "ocid1.tenancy.oc1..setup"
PHRASE = "pass phrase 1; 2"
CALLS = [[], ["--profile", "OTHER"]]


@pytest.fixture
def setup(tmp_path):
    """setup("--profile", "P", phrase=...) -> what ocictl says, as a dict."""
    build = os.environ.get("OCID_BUILD", str(ROOT / "build/ci"))
    if not os.path.exists(f"{build}/bin/ocictl"):
        pytest.fail("no ocictl: build it first, or set OCID_BUILD")

    def run(*args, phrase=""):
        reader, writer = os.pipe()
        os.write(writer, phrase.encode() + b"\n")
        os.close(writer)
        done = subprocess.run(
            [f"{build}/bin/ocictl", "setup", "--json", "--user", USER, "--tenancy", TENANCY,
             "--region", "us-ashburn-1", "--passphrase-fd", str(reader), *args],
            env={**os.environ, "HOME": str(tmp_path)}, pass_fds=(reader,), capture_output=True,
            text=True, check=False)
        os.close(reader)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    return run


def known(store, made):
    """As if its public half had been pasted into the console."""
    store.add_key(f"{TENANCY}/{USER}/{made['fingerprint']}", made["public_key"])


@pytest.mark.parametrize("args", CALLS)
def test_the_sdk_uses_it(store, setup, tmp_path, args):
    (tmp_path / ".oci").mkdir(mode=0o700)
    (tmp_path / ".oci/config").write_text("# before\n[OLD]\nuser=somebody\n")
    known(store, setup(*args))
    config = oci.config.from_file(str(tmp_path / ".oci/config"), args[-1] if args else "DEFAULT")
    oci.config.validate_config(config)
    client = oci.object_storage.ObjectStorageClient(config, service_endpoint=store.url)
    assert client.get_namespace().data == "axexample"
    client.put_object("axexample", "b", "by-sdk", b"content")
    assert store.object_bytes("b/by-sdk") == b"content"


def test_the_sdk_uses_a_locked_one(store, setup, tmp_path):
    known(store, setup(phrase=PHRASE))
    config = oci.config.from_file(str(tmp_path / ".oci/config"))
    with pytest.raises(oci.exceptions.MissingPrivateKeyPassphrase):
        oci.object_storage.ObjectStorageClient(config, service_endpoint=store.url)
    client = oci.object_storage.ObjectStorageClient({**config, "pass_phrase": PHRASE},
                                                    service_endpoint=store.url)
    assert client.get_namespace().data == "axexample"


@pytest.mark.parametrize("args", CALLS)
def test_the_command_line_uses_it(store, setup, tmp_path, args):
    """Without a warning about the rights of the files or the label of the key."""
    known(store, setup(*args))
    program = os.path.join(os.path.dirname(sys.executable), "oci")
    if not os.path.exists(program):
        program = shutil.which("oci")
    env = {k: v for k, v in os.environ.items() if k != "SUPPRESS_LABEL_WARNING"}
    done = subprocess.run([program, "--endpoint", store.url, *args, "os", "ns", "get"],
                          env={**env, "HOME": str(tmp_path)}, capture_output=True, text=True,
                          timeout=120, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"] == "axexample"
    assert "WARNING" not in done.stderr.upper(), done.stderr
