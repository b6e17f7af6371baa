# SPDX-License-Identifier: Apache-2.0
"""test_modes.py - who signs by a token: resources, and what happens when their tokens end."""

import os
import threading
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from harness import MIB, SLOW, blob, client_library, process_tree, until

from objstore.tokens import new_key, private_pem

SHORT_S = round(4 * SLOW)
RESOURCE = {"profile FN__auth": "resource_principal", "credentials__profile": "FN",
            "transfer__connections": 2}


def public_pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def replace(path, text):
    """As a platform does it: no reader sees half a file."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    fresh.chmod(0o600)
    fresh.rename(path)


class Function:
    """A function's environment: a key and a token, as values or in files that are replaced."""

    def __init__(self, store, folder=None, seconds=None):
        self.store, self.folder, self.seconds = store, folder, seconds
        self.given = {}
        self.give()

    def give(self):
        """A fresh key and token; the environment."""
        key = new_key()
        values = {"PRIVATE_PEM": private_pem(key),
                  "RPST": self.store.resource_token(public_pem(key), self.seconds)}
        self.given = dict(values)
        if self.folder:
            for name, text in values.items():
                replace(self.folder / name, text)
            values = {name: str(self.folder / name) for name in values}
        return {"OCI_RESOURCE_PRINCIPAL_VERSION": "2.2", "OCI_RESOURCE_PRINCIPAL_REGION": "iad",
                **{f"OCI_RESOURCE_PRINCIPAL_{name}": text for name, text in values.items()}}


class Again:
    """Calls something every so often until the end of the block."""

    def __init__(self, call, seconds):
        self.call, self.seconds, self.over = call, seconds, threading.Event()
        self.n, self.error = 0, None

    def __enter__(self):
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def run(self):
        while not self.over.wait(self.seconds):
            try:
                self.call()
            except Exception as error:  # told at the end of the block
                self.error = error
                return
            self.n += 1

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        if self.error:
            raise self.error


@pytest.fixture
def token_seconds(store):
    """token_seconds(4): tokens live so long."""
    yield lambda seconds: store.settings(token_seconds=seconds)
    store.settings(token_seconds=3600)


def crosses_refreshes(ocid, store, b, refreshes=3, seconds=SHORT_S):
    """A multipart put that takes longer than that many tokens live: no request of it fails. A
    request is judged at its beginning, so a slow one may outlive its token."""
    parts = 2 * (refreshes + 1)
    store.on("UploadPart", do="delay", at="answer", seconds=seconds, count=0)
    data = blob(parts * MIB)
    status = ocid.done(ocid.put(data, f"{b}/o", part_mib=1), timeout=60 * SLOW)
    store.clear()
    assert store.object_bytes(f"{b}/o") == data
    log = store.log(bucket=b)
    assert [entry for entry in log if entry["status"] != 200] == []
    assert len({entry["token"] for entry in log}) > refreshes
    return status


@pytest.mark.parametrize("form", ["values", "files"])
def test_a_function_signs_by_what_its_platform_gives(make_ocid, store, b, tmp_path, form):
    function = Function(store, tmp_path if form == "files" else None)
    ocid = make_ocid(**RESOURCE)
    ocid.oci_config.unlink()  # a function has none
    ocid.start(**function.give())
    data = blob(3 * MIB)
    ocid.done(ocid.put(data, f"{b}/o"))
    assert store.object_bytes(f"{b}/o") == data
    assert all(entry["token"] for entry in store.log(bucket=b))
    assert ocid.client.stats()["profiles"] == {"FN": "ok"}


@pytest.mark.slow
def test_a_function_outlives_its_tokens(make_ocid, store, b, tmp_path):
    function = Function(store, tmp_path, SHORT_S)
    ocid = make_ocid(**RESOURCE)
    ocid.start(**function.give())
    with Again(function.give, SHORT_S / 2):
        crosses_refreshes(ocid, store, b)


def shown(ocid, uri):
    """The state of the profile as the daemon tells it, once somebody has wanted to use it."""
    with pytest.raises(client_library.Login):
        ocid.client.head(uri)
    (word,) = ocid.client.stats()["profiles"].values()
    return word


def test_a_token_that_cannot_be_renewed_is_waited_for(make_ocid, store, b, tmp_path):
    """The platform is late: the job waits and goes on by itself when the files are there."""
    function = Function(store, tmp_path, 2)
    ocid = make_ocid(**RESOURCE)
    ocid.start(**function.give())
    ocid.done(ocid.put(b"x", f"{b}/1"))
    end = time.monotonic() + 30 * SLOW
    while True:
        job = ocid.put(b"x", f"{b}/2")
        status = ocid.wait_that(job, lambda s: s.final or s.why == "login", "over")
        if status.why == "login":
            break
        assert time.monotonic() < end
    assert "has expired" in status.outcome.text and "FN" in status.outcome.text
    until(lambda: shown(ocid, f"{b}/o") == "over", "it is shown")
    assert store.count(bucket=b, status=401) <= 2, "an expired token is not sent"
    function.seconds = None
    function.give()
    ocid.done(job)


def test_a_revoked_token_is_read_anew(make_ocid, store, b, tmp_path):
    function = Function(store, tmp_path)
    ocid = make_ocid(**RESOURCE)
    ocid.start(**function.give())
    ocid.done(ocid.put(b"x", f"{b}/1"))
    store.revoke_tokens()
    function.give()
    ocid.done(ocid.put(b"x", f"{b}/2"))
    assert store.count(bucket=b, status=401) <= 1


def test_values_of_a_function_are_nowhere_but_in_the_signer(make_ocid, store, b):
    function = Function(store)
    ocid = make_ocid(**RESOURCE)
    ocid.start(**function.give())
    ocid.done(ocid.put(b"x", f"{b}/o"))
    secret = function.given["PRIVATE_PEM"].splitlines()[5].encode()
    token = function.given["RPST"].encode()
    for pid in process_tree(ocid.pid):
        for name in ("cmdline", "environ"):
            text = Path(f"/proc/{pid}/{name}").read_bytes()
            assert secret not in text and token not in text
    for path in [ocid.log_file, *ocid.state.rglob("*")]:
        assert not path.is_file() or (secret not in path.read_bytes()
                                      and token not in path.read_bytes())
    if os.geteuid() == 0:
        from test_auth import memory_of
        memory = memory_of(ocid.pid)
        assert b"SQLite" in memory and secret not in memory


@pytest.mark.parametrize("change, words", [
    ({"VERSION": None}, "OCI_RESOURCE_PRINCIPAL_VERSION is not set"),
    ({"VERSION": "3.0"}, "'3.0' are not known here"),
    ({"RPST": None}, "OCI_RESOURCE_PRINCIPAL_RPST is not set"),
    ({"RPST": "/nowhere/rpst"}, "/nowhere/rpst"),
    ({"RPST": "no token"}, "OCI_RESOURCE_PRINCIPAL_RPST: it is no token"),
    ({"PRIVATE_PEM": "no key"}, "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM: "),
    ({"REGION": None}, "OCI_RESOURCE_PRINCIPAL_REGION is not set"),
])
def test_what_a_function_lacks_is_said(make_ocid, store, b, change, words):
    env = Function(store).give()
    for name, value in change.items():
        if value is None:
            del env[f"OCI_RESOURCE_PRINCIPAL_{name}"]
        else:
            env[f"OCI_RESOURCE_PRINCIPAL_{name}"] = value
    ocid = make_ocid(**RESOURCE).start(**env)
    status = ocid.wait_for(ocid.put(b"x", f"{b}/o"), "waiting", "login")
    assert words in status.outcome.text
    assert store.log(bucket=b) == []


def test_variables_of_resources_are_dropped_where_no_profile_wants_them(make_ocid, store, b):
    ocid = make_ocid().start(**Function(store).give())
    ocid.done(ocid.put(b"x", f"{b}/o"))
    for pid in process_tree(ocid.pid):
        assert b"OCI_RESOURCE" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_profiles_of_ocid_conf_come_and_go_by_a_reload(make_ocid, store, b, profile):
    ocid = make_ocid().start()
    ocid.configure(**{"profile OTHER__auth": "resource_principal"})
    ocid.reload()
    with pytest.raises(client_library.OcidError) as error:
        ocid.client.head(f"{b}/o", profile="OTHER")
    assert "looked at when ocid starts" in str(error.value) or "VERSION is not set" in str(
        error.value)
    ocid.write_profile(profile, "OTHER")
    ocid.configure(**{"profile OTHER__auth": "api_key"})
    ocid.reload()
    ocid.done(ocid.put(b"x", f"{b}/o", profile="OTHER"))
