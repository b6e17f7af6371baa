# SPDX-License-Identifier: Apache-2.0
"""test_tables.py - our data classes name every field of the protocol; old frames are read."""

import glob
import os

import pytest

from ocid import _model, _tables, _wire

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FRAMES = sorted(glob.glob(os.path.join(ROOT, "tests/vectors/frames/*/*.bin")))


@pytest.mark.parametrize("message, cls", [("status", _model.Status), ("outcome", _model.Outcome),
                                          ("row", _model.Row)])
def test_every_field_has_its_attribute(message, cls):
    assert set(cls._fields) == {field.name for field in _tables.MESSAGES[message]} - {"end"}


def test_options_are_fields_of_a_job():
    ours = set()
    for options in (_model.PutOptions, _model.BytesOptions, _model.ListOptions,
                    _model.ShareOptions, _model.WatchOptions):
        ours |= set(options.__annotations__)
    assert ours - {"timeout", "etag", "changed"} <= {field.name for field in _tables.MESSAGES["job"]}


@pytest.mark.parametrize("path", FRAMES, ids=lambda path: "/".join(path.split("/")[-2:]))
def test_frames_of_every_release_are_read(path):
    with open(path, "rb") as file:
        data = file.read()
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    value = _wire.unpack(data[4:])
    name = os.path.basename(path)
    if name == "row.bin":
        assert _model.row_from(value)
    elif name == "error.bin":
        assert value[0] == 1 and value[2]["code"] in _tables.ERRORS
    elif ".reply." in name:
        assert value[0] == 1 and value[2] is None
        for job in value[3].get("jobs", []):
            if "job.status" in name or "job.list" in name:
                assert _model.status_from(job).id >= 0
            else:
                assert _model.ack_from(job).id >= 0
    else:
        assert value[2] in _tables.METHODS
        assert _wire.frame(_wire.pack(value))[4:] == _wire.pack(value)


def test_old_pythons_can_read_the_source():
    """3.9 is the oldest that the package promises."""
    import ast
    for path in glob.glob(os.path.join(ROOT, "client/python/src/ocid/**/*.py"), recursive=True):
        with open(path, encoding="utf-8") as file:
            ast.parse(file.read(), path, feature_version=(3, 9))
