# SPDX-License-Identifier: Apache-2.0
"""test_fsspec.py - fsspec's own suite for file systems, and what it does not ask."""

import pickle
import sys
import threading

import fsspec
import pytest
from fsspec.tests import abstract
from harness import KIB, MIB, WAIT_S, blob, client_library

from ocid.fs import OcidFileSystem, take_oci


@pytest.fixture
def fs(ocid):
    return OcidFileSystem(socket=ocid.socket, timeout_job=WAIT_S, skip_instance_cache=True)


class Fixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self, ocid):
        return OcidFileSystem(socket=ocid.socket, timeout_job=WAIT_S, skip_instance_cache=True)

    @pytest.fixture
    def fs_path(self, b):
        return b

    @pytest.fixture
    def fs_join(self):
        return lambda *parts: "/".join(parts)

    @pytest.fixture
    def supports_empty_directories(self):
        return False


class TestCopy(abstract.AbstractCopyTests, Fixtures):
    pass


class TestGet(abstract.AbstractGetTests, Fixtures):
    pass


class TestPut(abstract.AbstractPutTests, Fixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, Fixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, Fixtures):
    pass


# Reading.


def test_reads_in_order_come_out_of_one_request(fs, store, b):
    data = blob(8 * MIB)
    store.put_object(f"{b}/o", data)
    with fs.open(f"{b}/o", "rb", block_size=256 * KIB) as file:
        assert b"".join(iter(lambda: file.read(100 * KIB), b"")) == data
    assert store.count("GetObject") <= 3


def test_reads_here_and_there_fetch_what_they_need(fs, store, b):
    data = blob(8 * MIB)
    store.put_object(f"{b}/o", data)
    with fs.open(f"{b}/o", "rb", block_size=4 * KIB, cache_type="none") as file:
        for at in (7 * MIB, 5, 3 * MIB, MIB):
            file.seek(at)
            assert file.read(1000) == data[at:at + 1000]
        file.seek(-100, 2)
        assert file.read() == data[-100:] and file.read() == b""
    assert sum(entry["sent"] for entry in store.log("GetObject")) == 4100


def test_an_open_file_is_one_version(fs, store, b):
    store.put_object(f"{b}/o", blob(4 * MIB, 1))
    with fs.open(f"{b}/o", "rb", block_size=64 * KIB) as file:
        file.read(10)
        store.put_object(f"{b}/o", blob(4 * MIB, 2))
        with pytest.raises(client_library.Condition):
            file.read()


def test_a_file_goes_on_when_the_daemon_is_killed(ocid, fs, store, b):
    data = blob(8 * MIB)
    store.put_object(f"{b}/o", data)
    with fs.open(f"{b}/o", "rb", block_size=256 * KIB) as file:
        found = file.read(3 * MIB)
        ocid.crash()
        assert found + file.read() == data


def test_parts(fs, store, b):
    store.put_object(f"{b}/o", b"0123456789")
    for start, end in [(None, None), (0, 3), (3, None), (None, 4), (-3, None), (2, -2), (-5, -1),
                       (5, 2), (20, 30)]:
        assert fs.cat_file(f"ocid://{b}/o", start, end) == b"0123456789"[start:end]
    assert fs.cat_ranges([f"{b}/o"] * 3, [0, 1, 9], [1, 3, 20]) == [b"0", b"12", b"9"]
    assert fs.head(f"{b}/o", 4) == b"0123" and fs.tail(f"{b}/o", 2) == b"89"
    assert fs.cat([f"{b}/o"]) == {f"{b}/o": b"0123456789"}


def test_many_are_read_at_once(ocid, fs, store, b):
    names = [f"{b}/{i}" for i in range(40)]
    for i, name in enumerate(names):
        store.put_object(name, blob(10 * KIB, i))
    expected = [blob(10 * KIB, i) for i in range(40)]
    store.on("GetObject", "hang", count=0)
    came = []
    worker = threading.Thread(target=lambda: came.append(fs.cat(names)))
    worker.start()
    store.wait_hit("GetObject", 8)
    store.clear()
    worker.join(WAIT_S)
    assert came == [dict(zip(names, expected))] == [fs.cat(b, recursive=True)]
    assert fs.cat_ranges(names, 5, 5 * KIB) == [data[5:5 * KIB] for data in expected]
    found = fs.cat_ranges([names[0], f"{b}/none", names[2]], [0, 0, 7], [10, 10, 7])
    assert found[0] == expected[0][:10] and isinstance(found[1], FileNotFoundError)
    assert found[2] == b""
    with pytest.raises(FileNotFoundError):
        fs.cat([names[0], f"{b}/none"])
    assert fs.cat([names[0], f"{b}/none"], on_error="omit") == {names[0]: expected[0]}
    ocid.crash()
    assert fs.cat(names) == dict(zip(names, expected))


def test_what_is_not_there(fs, store, b):
    store.put_object(f"{b}/d/o", b"1")
    for path in (f"{b}/none", "nobucket/o"):
        for action in (fs.info, fs.cat_file, fs.ls, fs.open, fs.size, fs.modified):
            with pytest.raises(FileNotFoundError):
                action(path)
        assert not fs.exists(path) and fs.find(path) == []
    with pytest.raises(IsADirectoryError):
        fs.open(f"{b}/d", "rb")


# Writing.


@pytest.mark.parametrize("size", [0, 10, 64 * KIB, 3 * MIB])
def test_written_files_become_objects_when_they_are_closed(fs, store, b, size):
    data = blob(size)
    with fs.open(f"{b}/o", "wb", block_size=64 * KIB) as file:
        for at in range(0, size, 50000):
            file.write(data[at:at + 50000])
        assert not store.exists(f"{b}/o")
    assert store.object_bytes(f"{b}/o") == data
    with fs.open(f"{b}/o", "ab") as file:
        file.write(b"more")
    assert store.object_bytes(f"{b}/o") == data + b"more"


def test_exclusive_creation_is_the_services_condition(fs, store, b):
    file = fs.open(f"{b}/o", "xb")
    file.write(b"mine")
    store.put_object(f"{b}/o", b"theirs")
    with pytest.raises(FileExistsError):
        file.close()
    assert store.object_bytes(f"{b}/o") == b"theirs"
    with pytest.raises(FileExistsError):
        fs.open(f"{b}/o", "xb")
    with fs.open(f"{b}/new", "x") as file:
        file.write("text")
    assert fs.read_text(f"{b}/new") == "text"


def test_appending_loses_nobody(fs, store, b):
    store.put_object(f"{b}/o", b"one")
    file = fs.open(f"{b}/o", "ab", block_size=64 * KIB)
    file.write(blob(64 * KIB))  # a whole block: what is there has been read
    store.put_object(f"{b}/o", b"other")
    with pytest.raises(client_library.Condition):
        file.close()
    assert store.object_bytes(f"{b}/o") == b"other"


def test_a_transaction_shows_all_or_nothing(fs, store, b):
    with pytest.raises(KeyError), fs.transaction:
        with fs.open(f"{b}/dropped", "wb") as file:
            file.write(blob(KIB))
        raise KeyError
    assert store.names(b) == []
    with fs.transaction:
        for name, size in (("small", KIB), ("large", 6 * MIB)):
            with fs.open(f"{b}/{name}", "wb") as file:
                file.write(blob(size))
        assert store.names(b) == []
    assert store.object_bytes(f"{b}/large") == blob(6 * MIB)
    assert store.object_bytes(f"{b}/small") == blob(KIB)


def test_what_the_service_refuses_is_raised_when_the_file_is_closed(fs, store, b):
    store.on("PutObject", 403)
    with pytest.raises(PermissionError), fs.open(f"{b}/o", "wb") as file:
        file.write(b"1")


# Names.


def test_listings(fs, store, b):
    for name in ("a", "d/1", "d/e/2", "d/e/3", "dd", "mark/"):
        store.put_object(f"{b}/{name}", b"12")
    assert fs.ls(b, detail=False) == [f"{b}/{n}" for n in ("a", "d", "dd", "mark")]
    assert fs.ls(f"ocid://{b}/d/", detail=False) == [f"{b}/d/1", f"{b}/d/e"]
    assert fs.find(b) == [f"{b}/{n}" for n in ("a", "d/1", "d/e/2", "d/e/3", "dd")]
    assert fs.find(f"{b}/d") == [f"{b}/d/1", f"{b}/d/e/2", f"{b}/d/e/3"]
    assert fs.find(f"{b}/d", withdirs=True) == [f"{b}/d", f"{b}/d/1", f"{b}/d/e", f"{b}/d/e/2",
                                                f"{b}/d/e/3"]
    assert fs.find(f"{b}/d", maxdepth=1) == [f"{b}/d/1"]
    assert fs.find(b, prefix="d") == [f"{b}/{n}" for n in ("d/1", "d/e/2", "d/e/3", "dd")]
    assert fs.glob(f"{b}/d/**/[23]") == [f"{b}/d/e/2", f"{b}/d/e/3"]
    assert fs.isdir(f"{b}/d") and fs.isfile(f"{b}/a") and not fs.isdir(f"{b}/a")
    assert fs.du(b) == 10 and fs.info(f"{b}/d/1")["size"] == 2
    assert [row[0] for row in fs.walk(f"{b}/d")] == [f"{b}/d", f"{b}/d/e"]
    assert fs.isdir(b) and fs.isdir("")


def test_names_with_a_namespace(fs, store, b):
    store.put_object(f"{b}/d/o", b"1")
    place = f"{b}@{store.namespace}"
    assert fs.ls(f"ocid://{place}/d", detail=False) == [f"{place}/d/o"]
    assert fs.cat(f"ocid://{place}/d/o") == b"1"


def test_changes(fs, store, b):
    fs.mkdir(f"{b}-new")
    assert fs.isdir(f"{b}-new") and f"{b}-new" in fs.ls("", detail=False)
    with pytest.raises(FileExistsError):
        fs.makedirs(f"{b}-new")
    fs.makedirs(f"{b}-new", exist_ok=True)
    fs.makedirs(f"{b}/no/such/thing", exist_ok=True)
    fs.pipe({f"{b}/d/{i}": b"%d" % i for i in range(5)})
    fs.mv(f"{b}/d/0", f"{b}/moved")
    fs.cp(f"{b}/d/1", f"{b}/copied")
    assert store.object_bytes(f"{b}/moved") == b"0" and store.object_bytes(f"{b}/copied") == b"1"
    fs.rm([f"{b}/d/1", f"{b}/d/2"])
    assert fs.ls(f"{b}/d", detail=False) == [f"{b}/d/3", f"{b}/d/4"]
    with pytest.raises(FileNotFoundError):
        fs.rm(f"{b}/d/1")
    with pytest.raises(OSError, match="not empty"):
        fs.rmdir(f"{b}/d")
    fs.rm(f"{b}/d", recursive=True)
    assert store.names(b) == ["copied", "moved"]
    with pytest.raises(client_library.Unsupported):
        fs.rmdir(b)


def test_a_copy_keeps_what_was_stored_with_the_object(ocid, fs, store, b):
    ocid.client.put_bytes(f"{b}/o", b"1", content_type="text/x-odd",
                          metadata={"colour": "blue"}).wait(WAIT_S)
    fs.cp(f"{b}/o", f"{b}/p")
    found = store.object_info(f"{b}/p")
    assert found["headers"]["content-type"] == "text/x-odd"
    assert found["meta"] == {"opc-meta-colour": "blue"}


def test_many_files_are_queued_at_once(ocid, fs, store, b):
    """The transfers of one call are in flight together."""
    sources = ocid.files / "many"
    for i in range(6):
        ocid.file(blob(KIB, i), f"many/{i}")
    store.on("PutObject", "hang", count=0)
    worker = threading.Thread(target=fs.put, args=(str(sources) + "/", f"{b}/"),
                              kwargs={"recursive": True})
    worker.start()
    store.wait_hit("PutObject", 6)
    store.clear()
    worker.join(WAIT_S)
    assert store.names(b) == [str(i) for i in range(6)]
    fs.get(f"{b}/", str(ocid.files / "back"), recursive=True)
    assert [(ocid.files / "back" / str(i)).read_bytes() for i in range(6)] == \
        [blob(KIB, i) for i in range(6)]


# Getting at it.


def test_by_its_protocol(ocid, store, b):
    store.put_object(f"{b}/o", b"bytes")
    options = {"socket": ocid.socket}
    with fsspec.open(f"ocid://{b}/o", **options) as file:
        assert file.read() == b"bytes"
    assert "oci" not in fsspec.registry, "it is ocifs's until it is taken"
    try:
        take_oci()
        with fsspec.open(f"oci://{b}/o", **options) as file:
            assert file.read() == b"bytes"
    finally:
        sys.modules["fsspec.registry"]._registry.pop("oci", None)
    assert client_library.OcidFileSystem is OcidFileSystem


def test_credentials_are_not_taken_and_not_ignored(ocid):
    OcidFileSystem(config="~/.oci/config", iam_type="api_key", config_kwargs={"timeout": 5},
                   socket=ocid.socket)
    for wrong in ({"config": {"user": "u"}}, {"config": "/etc/other"}, {"signer": object()},
                  {"region": "us-ashburn-1"}, {"iam_type": "resource_principal"}):
        with pytest.raises(client_library.Unsupported, match="profile"):
            OcidFileSystem(socket=ocid.socket, **wrong)


def test_file_systems_and_open_files_travel(fs, store, b):
    store.put_object(f"{b}/o", blob(MIB))
    again = pickle.loads(pickle.dumps(fs))
    assert again.cat(f"{b}/o") == blob(MIB)
    with fs.open(f"{b}/o", "rb") as file:
        file.seek(1000)
        with pickle.loads(pickle.dumps(file)) as other:
            assert other.read(10) == blob(MIB)[1000:1010]
