# SPDX-License-Identifier: Apache-2.0
"""test_canaries.py - where keys, pass phrases and tokens are not: in the log, the database, command
lines, environments, in the daemon's memory or a core of it, nor in the signer's once it is locked.

API keys and pass phrases are looked for while requests are on their way; tokens, which travel in
them, once they are over."""

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from harness import MIB, STOP_S, blob, client_library, make_profile, process_tree, until
from test_auth import PHRASE, locked  # noqa: F401
from test_modes import INSTANCE, RESOURCE, Function, Session, session_ocid  # noqa: F401

TOKEN = re.compile(rb"eyJ[\w-]{30,}\.eyJ[\w-]{30,}")
as_root = pytest.mark.skipif(os.geteuid() != 0,
                             reason="another process's memory is read as root only")


def of_key(pem, passphrase=None):
    """What gives a private key away: name -> bytes. libcrypto keeps its numbers the other way
    round."""
    if isinstance(pem, str):
        pem = pem.encode()
    key = serialization.load_pem_private_key(pem, passphrase and passphrase.encode())
    numbers = key.private_numbers()
    found = {"PEM as it is": pem.splitlines()[3], "PEM in the middle": pem.splitlines()[9]}
    for name in ("p", "q", "d", "dmp1", "dmq1", "iqmp"):
        number = getattr(numbers, name)
        raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
        found[name], found[name + " reversed"] = raw, raw[::-1]
    forms = serialization.PrivateFormat
    for name, form in (("PKCS#8", forms.PKCS8), ("PKCS#1", forms.TraditionalOpenSSL)):
        text = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        found[f"PEM as {name}"] = text.splitlines()[5]
    return found


def hits(text, canaries):
    """Names of those that are in the text; the values stay out of the report."""
    return [name for name, value in canaries.items()
            if (value.search(text) if isinstance(value, re.Pattern) else value in text)]


def places(ocid):
    """(where, bytes) of what the daemon writes, and how it and the signer were started."""
    for path in [ocid.log_file, *ocid.state.rglob("*")]:
        if path.is_file():
            yield path.name, path.read_bytes()
    for pid in process_tree(ocid.pid):
        for name in ("cmdline", "environ"):
            yield f"{name} of {pid}", Path(f"/proc/{pid}/{name}").read_bytes()


def is_nowhere(ocid, canaries):
    names = []
    for where, text in places(ocid):
        names.append(where)
        assert hits(text, canaries) == [], where
    assert len(names) >= 2 + 4 and any(name.endswith("-wal") for name in names)


def memory_of(pid):
    """Everything that a process can write to; as root it can be read."""
    found = bytearray()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            place, rights = line.split()[:2]
            low, high = (int(x, 16) for x in place.split("-"))
            if "rw" not in rights or high - low > 256 * MIB:
                continue
            try:
                mem.seek(low)
                found += mem.read(high - low)
            except (OSError, ValueError):
                continue
    return bytes(found)


def sanitized(pid):
    return any(word in Path(f"/proc/{pid}/maps").read_text() for word in ("libasan", "libtsan"))


def core_of(pid, folder):
    """A core of the process, what it wants left out of cores included."""
    done = subprocess.run(["gcore", "-a", "-o", f"{folder}/core", str(pid)], capture_output=True,
                          text=True, stdin=subprocess.DEVNULL)
    path = folder / f"core.{pid}"
    assert path.exists(), done.stdout + done.stderr
    core = path.read_bytes()
    path.unlink()
    return core


def is_not_in_memory(ocid, canaries, folder):
    """Of the daemon; the name of a bucket proves that the right memory was looked at."""
    assert b"SQLite" in memory_of(ocid.pid)
    assert hits(memory_of(ocid.pid), canaries) == []
    if not sanitized(ocid.pid):  # terabytes of shadow
        core = core_of(ocid.pid, folder)
        assert b"SQLite" in core
        assert hits(core, canaries) == []


def at_work(ocid, store, b):
    """A job in parts, some of which are on their way, and questions that were answered."""
    ocid.done(ocid.put(b"x", f"{b}/small"))
    assert len(list(ocid.client.list(f"{b}/"))) == 1
    with pytest.raises(client_library.NotFound):
        ocid.client.head(f"{b}/nothing")
    ocid.client.whoami()
    store.on("UploadPart", bucket=b, nth=3, count=0, do="hang", at="answer")
    job = ocid.put(blob(6 * MIB), f"{b}/parts", part_mib=1)
    store.wait_hit("UploadPart", 5)
    return job


@pytest.fixture
def open_key(make_ocid, tmp_path, store):
    """A daemon whose key has no pass phrase, and its canaries."""
    profile = make_profile(tmp_path, user="ocid1.user.oc1..open")
    store.add_key(profile.key_id, profile.public_pem)
    ocid = make_ocid(profile=profile).start()
    return ocid, of_key(Path(profile.key_file).read_bytes())


@pytest.fixture
def encrypted_key(locked):  # noqa: F811
    """One whose key was opened after a wrong attempt."""
    with pytest.raises(client_library.Key):
        locked.unlock("a wrong phrase that is kept")
    locked.unlock(PHRASE)
    return locked, {**of_key(Path(locked.profile.key_file).read_bytes(), PHRASE),
                    "pass phrase": PHRASE.encode(), "wrong phrase": b"a wrong phrase that is kept"}


@pytest.fixture(params=["open_key", "encrypted_key"])
def api_key(request):
    return request.getfixturevalue(request.param)


@as_root
def test_an_api_key_is_nowhere_but_in_the_signer(api_key, store, b, tmp_path):
    ocid, canaries = api_key
    job = at_work(ocid, store, b)
    is_nowhere(ocid, canaries)
    is_not_in_memory(ocid, canaries, tmp_path)
    assert hits(memory_of(ocid.signer), canaries), "the canaries are such as memory has"
    store.clear()
    ocid.done(job)
    is_nowhere(ocid, canaries)


@as_root
def test_a_locked_signer_has_forgotten(encrypted_key, store, b, tmp_path):
    """The key and what opens it, in the middle of its work."""
    ocid, canaries = encrypted_key
    secret = {name: value for name, value in canaries.items() if name not in
              ("PEM as it is", "PEM in the middle")}  # the file as everybody may read it
    job = at_work(ocid, store, b)
    assert hits(memory_of(ocid.signer), secret)
    ocid.client.lock()
    assert hits(memory_of(ocid.signer), secret) == []
    if not sanitized(ocid.signer):
        core = core_of(ocid.signer, tmp_path)
        assert b"ocid-signer" in core and hits(core, secret) == []
    store.clear()
    ocid.wait_for(job, "waiting", "locked")
    ocid.unlock(PHRASE)
    ocid.done(job)


def cores(folder):
    return [path for path in folder.iterdir() if path.name.startswith("core")]


@pytest.mark.parametrize("which", ["daemon", "signer"])
def test_a_crash_leaves_no_core(make_ocid, b, monkeypatch, which):
    """Though cores of everybody are wanted."""
    ocid = make_ocid()
    wanted = ["prlimit", "--core=unlimited:unlimited"]
    other = subprocess.Popen([*wanted, "sleep", "60"], cwd=ocid.folder)
    until(lambda: Path(f"/proc/{other.pid}/comm").read_text() == "sleep\n", "it has begun")
    other.send_signal(signal.SIGSEGV)
    other.wait(STOP_S)
    if not Path("/proc/sys/kernel/core_pattern").read_text().startswith(("|", "/")):
        assert cores(ocid.folder), "others leave one"
    for path in cores(ocid.folder):
        path.unlink()
    wrap = shlex.split(os.environ.get("OCID_WRAP", ""))
    monkeypatch.setenv("OCID_WRAP", shlex.join([*wanted, *wrap]))
    ocid.start()
    ocid.done(ocid.put(b"x", f"{b}/o"))
    for pid in (ocid.signer, ocid.pid):
        assert re.search(r"Max core file size +0 +0 ", Path(f"/proc/{pid}/limits").read_text())
    os.kill(ocid.signer if which == "signer" else ocid.pid, signal.SIGSEGV)
    ocid.process.wait(STOP_S)
    ocid.crash()
    ocid.done(ocid.put(b"x", f"{b}/p"))
    assert cores(ocid.folder) == []
    ocid.expect_trouble = True  # a sanitizer tells of the signal


# Tokens.

def tokens_and_keys(*pems):
    return {"token": TOKEN, **{f"{name} {i}": value for i, pem in enumerate(pems)
                               for name, value in of_key(pem).items()}}


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_tokens_and_keys_of_an_instance_are_not_kept(make_store, make_ocid, tls, tmp_path):
    """They pass through the daemon, which asks for them; once a request is over they are wiped."""
    store = make_store(tls=tls)
    ocid = make_ocid(to=store, **{"network__metadata_endpoint": store.url, **INSTANCE}).start()
    ocid.done(ocid.put(blob(3 * MIB), "b/o"))
    for i in range(5):
        ocid.done(ocid.put(b"x", f"b/{i}"))
    canaries = tokens_and_keys(store.instance_key())
    is_nowhere(ocid, canaries)
    if os.geteuid() == 0:
        is_not_in_memory(ocid, canaries, tmp_path)
        assert "token" in hits(memory_of(ocid.signer), canaries), "it is known by its looks"


def test_tokens_and_keys_of_a_session_are_not_kept(session_ocid, store, b,  # noqa: F811
                                                   tmp_path):
    """Nor those before and after a refresh."""
    store.settings(token_seconds=6)
    try:
        session = Session(session_ocid, store)
        store.settings(token_seconds=3600)
        session_ocid.start()
        session_ocid.done(session_ocid.put(blob(3 * MIB), f"{b}/o"))
        store.wait_hit("RefreshSession", state="done")
    finally:
        store.settings(token_seconds=3600)
    session_ocid.done(session_ocid.put(b"x", f"{b}/p"))
    canaries = tokens_and_keys(session.private_pem)
    is_nowhere(session_ocid, canaries)
    if os.geteuid() == 0:
        is_not_in_memory(session_ocid, canaries, tmp_path)


def test_what_a_function_is_given_is_not_kept(make_ocid, store, b, tmp_path):
    """As values of its environment, of which nothing may stay there."""
    function = Function(store)
    ocid = make_ocid(**RESOURCE)
    ocid.start(**function.give())
    ocid.done(ocid.put(blob(3 * MIB), f"{b}/o"))
    canaries = tokens_and_keys(function.given["PRIVATE_PEM"])
    is_nowhere(ocid, canaries)
    if os.geteuid() == 0 and not sanitized(ocid.pid):  # it keeps an environment of its own
        is_not_in_memory(ocid, canaries, tmp_path)
