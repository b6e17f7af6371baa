# SPDX-License-Identifier: Apache-2.0
"""test_types.py - the package holds what its py.typed promises."""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def test_strict_types(tmp_path):
    done = subprocess.run([sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path)],
                          cwd=os.path.join(ROOT, "client/python"), capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
