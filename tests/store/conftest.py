# SPDX-License-Identifier: Apache-2.0
"""conftest.py - a store per test module and clients for it."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from rawclient import Raw  # noqa: E402

from objstore import Store  # noqa: E402


def pytest_collection_modifyitems(items):
    for item in items:
        if f"{os.sep}store{os.sep}" in str(item.path):
            item.add_marker(pytest.mark.timeout(60))


@pytest.fixture(scope="module")
def shared_store():
    with Store(buckets=["b"]) as store:
        yield store


@pytest.fixture
def store(shared_store):
    """The module's store without faults, log or other clock."""
    yield shared_store
    shared_store.clear()
    shared_store.clear_log()
    shared_store.set_clock(0)


@pytest.fixture
def raw(store):
    client = Raw(store.host, store.port, store.profile)
    yield client
    client.close()


@pytest.fixture
def another(store):
    """More connections: another() -> Raw."""
    made = []

    def make():
        made.append(Raw(store.host, store.port, store.profile))
        return made[-1]
    yield make
    for client in made:
        client.close()


@pytest.fixture
def bucket(store, request):
    """A bucket of the test's own; its path."""
    name = f"t-{abs(hash(request.node.nodeid)):x}"
    store.make_bucket(name)
    return f"/n/testns/b/{name}"
