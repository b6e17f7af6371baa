# SPDX-License-Identifier: Apache-2.0
"""conftest.py - the daemon and the store of the scenarios, for notebooks and data frames."""

import importlib.util
import os
import subprocess
import sys

import pytest

SCENARIO = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scenario")
sys.path.insert(0, SCENARIO)

_spec = importlib.util.spec_from_file_location("scenario_fixtures", f"{SCENARIO}/conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
profile, worker_store, store = _fixtures.profile, _fixtures.worker_store, _fixtures.store
b, make_ocid, ocid = _fixtures.b, _fixtures.make_ocid, _fixtures.ocid
pytest_configure = _fixtures.pytest_configure
pytest_runtest_makereport = _fixtures.pytest_runtest_makereport

ROOT = os.path.dirname(os.path.dirname(SCENARIO))
HERE = os.path.dirname(os.path.abspath(__file__))


def pytest_collection_modifyitems(items):
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker(pytest.mark.timeout(240 * float(os.environ.get("OCID_SLOW", "1"))))


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The package as pip installs it, with its entry points; where that is, in OCID_INSTALLED, too."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps",
                    "--no-build-isolation", "--no-index", "--disable-pip-version-check",
                    "--root-user-action=ignore", "--target", folder, f"{ROOT}/client/python"],
                   check=True, timeout=120 * float(os.environ.get("OCID_SLOW", "1")))
    os.environ["OCID_INSTALLED"] = str(folder)
    return str(folder)
