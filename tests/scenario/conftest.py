# SPDX-License-Identifier: Apache-2.0
"""conftest.py - a daemon for each test, a store for each worker with a bucket for each test."""

import itertools
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import Ocid, Store, binaries, make_profile  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
CLEAN = {"no_crc32c": False, "min_part_bytes": 0, "max_body_bytes": 50 << 30}


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than about five seconds")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker(pytest.mark.timeout(120 * float(os.environ.get("OCID_SLOW", "1"))))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    for daemon in getattr(item, "daemons", []):
        if report.failed and daemon.log():
            report.sections.append((f"log of {daemon.folder.name}/ocid", daemon.log()[-8000:]))
    return report


@pytest.fixture(scope="session")
def profile(tmp_path_factory):
    """The API key of this run."""
    return make_profile(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="session")
def worker_store(profile):
    with Store(buckets=[], profile=profile) as store:
        yield store


@pytest.fixture
def store(worker_store, profile):
    """The worker's store without faults, log or other clock."""
    yield worker_store
    worker_store.clear()
    worker_store.clear_log()
    worker_store.set_clock(0)
    worker_store.settings(**CLEAN)
    worker_store.add_key(profile.key_id, profile.public_pem)


_numbers = itertools.count(1)


@pytest.fixture
def b(store):
    """The name of a bucket of the test's own."""
    name = f"t{next(_numbers)}"
    store.make_bucket(name)
    return name


@pytest.fixture
def make_store(profile):
    """Stores that a test may stop: make_store(tls=True) -> Store, started."""
    made = []

    def make(**options):
        made.append(Store(**{"buckets": ["b"], "profile": profile, **options}).start())
        return made[-1]
    yield make
    for one in made:
        one.close()


@pytest.fixture
def make_ocid(request, tmp_path, profile, store):
    """Daemons that are not started yet: make_ocid(transfer__part_mib=2) -> Ocid."""
    request.node.daemons = made = []
    if not binaries():
        pytest.fail("no ocid: build it first, or set OCID_BIN")

    def make(to=None, profile=profile, **settings):
        folder = tmp_path / f"d{len(made)}"
        folder.mkdir()
        made.append(Ocid(folder, to or store, profile, **settings))
        return made[-1]
    yield make
    errors = []
    for one in made:
        try:
            one.close()
        except Exception as error:  # all are ended first
            errors.append(error)
    if errors:
        raise errors[0]


@pytest.fixture
def ocid(make_ocid):
    """A running daemon."""
    return make_ocid().start()
