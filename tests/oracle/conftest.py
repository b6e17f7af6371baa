# SPDX-License-Identifier: Apache-2.0
"""conftest.py - Oracle's SDK and CLI, unpatched, against one test store per module, first on
http, then on https; requests finds the store's CA by REQUESTS_CA_BUNDLE."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ.setdefault("SUPPRESS_LABEL_WARNING", "True")

from objstore import Store  # noqa: E402

pytest.importorskip("oci", reason="tests/oracle/requirements.txt is not installed")


def pytest_collection_modifyitems(items):
    for item in items:
        if "oracle" in str(item.path):
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture(scope="module", params=["http", "https"])
def store(request):
    tls = request.param == "https"
    with (Store(buckets=["b"], tls=tls, namespace="axexample") as store,
          pytest.MonkeyPatch().context() as env):
        if tls:
            env.setenv("REQUESTS_CA_BUNDLE", store.ca_file)
        yield store
