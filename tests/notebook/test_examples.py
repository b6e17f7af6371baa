# SPDX-License-Identifier: Apache-2.0
"""test_examples.py - the example's notebook calls the example's function, which Oracle's own server
for functions (`fdk`) runs."""

import array
import json
import os
import sys
from pathlib import Path

import msgpack
import nbformat
import pytest
from functions import EXAMPLES, Function
from harness import ROOT, binaries
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from test_kernels import shown
from test_modes import Function as Resource

FDK = [sys.executable, "-c", "from fdk.scripts.fdk import main; main()"]
ORACLE = """#!{python}
import sys
sys.path.insert(0, {scenario!r})
from functions import call
if sys.argv[1:4] != ["fn", "function", "invoke"]:
    sys.exit("not the command that the notebook needs: %s" % sys.argv)
options = dict(zip(sys.argv[4::2], sys.argv[5::2]))
status, text = call(options["--function-id"], options["--body"])
if status != 200:
    sys.exit("ServiceError: %d %s" % (status, text))
print(text, end="")
"""


@pytest.fixture
def inside(store, tmp_path):
    path = os.pathsep.join([str(ROOT / "client/python/src"), str(Path(msgpack.__file__).parents[1])])
    with Function("inside", tmp_path / "inside", FDK, PATH=f"{binaries()}:{os.defpath}",
                  PYTHONPATH=path, OCID_ENDPOINT=store.url, **Resource(store).give()) as one:
        yield one


@pytest.fixture
def links(tmp_path):
    with Function("links", tmp_path / "links", FDK) as one:
        yield one


@pytest.fixture
def run(ocid, tmp_path, monkeypatch):
    """run(BUCKET="b", …): the notebook with these values instead of its own."""
    oracle = tmp_path / "bin/oci"
    oracle.parent.mkdir()
    oracle.write_text(ORACLE.format(python=sys.executable, scenario=str(ROOT / "tests/scenario")))
    oracle.chmod(0o755)

    def execute(**values):
        book = nbformat.read(EXAMPLES / "functions.ipynb", as_version=4)
        nbformat.validate(book)
        first = next(cell for cell in book.cells if cell.cell_type == "code")
        names = [line.partition(" = ")[0] for line in first.source.splitlines()]
        assert names == list(values), "what the reader has to fill in"
        first.source = "\n".join(f"{name} = {value!r}" for name, value in values.items())
        client = NotebookClient(book, timeout=120, kernel_name="python3",
                                resources={"metadata": {"path": str(tmp_path)}})
        env = {**os.environ, **ocid.env, "PYTHONPATH": str(ROOT / "client/python/src"),
               "JUPYTER_RUNTIME_DIR": str(tmp_path / "jupyter")}
        client.execute(env={**env, "PATH": f"{oracle.parent}:{env['PATH']}"})
        return client
    return execute


def test_the_notebook_of_the_examples(run, inside, links, store, b):
    client = run(BUCKET=b, INSIDE=inside.listener, LINKS=links.listener)
    assert store.object_bytes(f"{b}/run7/all") == array.array("d", range(8000)).tobytes()
    assert f"(8000, {float(sum(range(8000)))})" in shown(client)
    summary = json.loads(store.object_bytes(f"{b}/run7/summary.json"))
    assert summary == {"n": 8000, "sum": sum(range(8000)), "min": 0, "max": 7999}
    assert str(summary) in shown(client)
    assert inside.left() == links.left() == []


def test_what_a_function_raises_comes_back(run, inside, links, store, b):
    store.put_object(f"{b}/run7/all", b"older")
    with pytest.raises(CellExecutionError, match="502.*exists"):
        run(BUCKET=b, INSIDE=inside.listener, LINKS=links.listener)
    assert inside.left() == []
