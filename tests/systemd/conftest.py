# SPDX-License-Identifier: Apache-2.0
"""conftest.py - one booted machine for all tests here; skipped, with the reason, elsewhere."""

import pytest
from systemd_machine import BUILD, Machine, why_not


@pytest.fixture(scope="session")
def machine(tmp_path_factory):
    reason = why_not()
    if reason:
        pytest.skip(reason)
    if not (BUILD / "bin" / "ocictl").exists():
        pytest.skip(f"{BUILD} has not been built")
    one = Machine(tmp_path_factory.mktemp("machine"))
    try:
        one.boot()
        one.start_store()
        yield one
    finally:
        one.close()
