# SPDX-License-Identifier: Apache-2.0
"""test_types.py - the package holds what its py.typed promises, and the Python that it asks for is
enough for it."""

import os
import re
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def test_strict_types(tmp_path):
    done = subprocess.run([sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path)],
                          cwd=os.path.join(ROOT, "client/python"), capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_oldest_python_is_enough():
    """mypy has given up on it; this one knows when each name came into the language."""
    pytest.importorskip("vermin")
    with open(os.path.join(ROOT, "client/python/pyproject.toml"), encoding="utf-8") as file:
        oldest = re.search(r'requires-python = ">=([0-9.]+)"', file.read())[1]
    done = subprocess.run([sys.executable, "-c", "import vermin; vermin.main()", f"-t={oldest}-",
                           "--eval-annotations", "--violations", "client/python/src",
                           "client/python/examples"],
                          cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
