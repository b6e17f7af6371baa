# SPDX-License-Identifier: Apache-2.0
"""Every method, error, reason to wait and fault point is named by a test somewhere.

By their names in the tests' sources, in any of the forms that C, Python and the command line have
for them: that a test names one shows that somebody thought of it, not that it is tested well.
"""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("unit", "scenario", "python", "systemd", "differential")


def text_of(*folders):
    return "\n".join(path.read_text(encoding="utf-8", errors="replace")
                     for folder in folders for path in sorted((ROOT / "tests" / folder).rglob("*"))
                     if path.suffix in (".c", ".h", ".py", ".sh"))


def camel(name):
    return "".join(part.capitalize() for part in name.split("_"))


def table(path, pattern):
    return re.findall(pattern, (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


METHODS = table("proto/messages.def", r'^METHOD\((\w+),')
ERRORS = table("include/ocid/error.h", r'^ +X\(-\d+, (\w+),')
REASONS = [name for name in table("proto/messages.def", r'^ENUM_ROW\(why, (\w+),')
           if name not in ("none", "publish")]  # publish: for the daemon of the system
FAULTS = sorted({name for folder in ("daemon", "proto", "client")
                 for path in (ROOT / folder).rglob("*.c")
                 for name in re.findall(r'OC_FAULT\("([^"]+)"\)', path.read_text("utf-8"))})


@pytest.fixture(scope="module")
def tests():
    return text_of(*FOLDERS)


def test_the_tables_are_read():
    assert len(METHODS) > 10 and len(ERRORS) > 30 and len(REASONS) > 8 and len(FAULTS) > 5


@pytest.mark.parametrize("name", METHODS)
def test_method(tests, name):
    verb = name.rpartition("_")[2]
    forms = (rf"\b{name}\b", name.replace("_", r"\.", 1), rf"ocid_(send_)?{verb}\b",
             rf"\.{verb}\(", rf'"{verb}"')
    found = any(re.search(form, tests) for form in forms)
    assert found


@pytest.mark.parametrize("name", ERRORS)
def test_error(tests, name):
    forms = (rf"OCID_E_{name}\b", rf'["\']{name.lower()}["\']', rf"\.{camel(name)}\b")
    found = any(re.search(form, tests) for form in forms)
    assert found


@pytest.mark.parametrize("name", REASONS)
def test_reason_to_wait(tests, name):
    found = re.search(rf'\bwhy_{name}\b|["\']{name}["\']', tests)
    assert found


@pytest.mark.parametrize("name", FAULTS)
def test_fault_point(tests, name):
    found = name in tests
    assert found
