# SPDX-License-Identifier: Apache-2.0
"""test_kernels.py - real Jupyter kernels with the package: four at once, one restarted, the README."""

import asyncio
import os
import re
import shutil

import nbformat
import pytest
from harness import ROOT, process_tree
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

pytestmark = pytest.mark.usefixtures("installed")

JOBS = 1000
KERNEL_S = 120 * float(os.environ.get("OCID_SLOW", "1"))

WORK = '''
import os, sys, ocid
client = ocid.Client(label="kernel-{n}")
jobs = [client.put_bytes(f"oci://{b}/{n}/{{i}}", b"%d of {n}" % i) for i in range({jobs})]
'''
WAIT = '''
ended = client.wait(jobs, 100)
assert {s.state for s in ended} == {"done"} and len({s.id for s in ended}) == len(jobs)
assert not {"oci", "cryptography"} & set(sys.modules)
'''
AGAIN = '''
import ocid
client = ocid.Client()
jobs = [job for job in client.jobs() if job.last.job["object"].startswith("0/")]
assert len(jobs) == 1000 and client.wait(jobs, 100)
'''


def notebook(*cells):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


def kernel(ocid, *cells):
    """A notebook with a kernel of its own that has no daemon but the test's."""
    return NotebookClient(notebook(*cells), timeout=KERNEL_S, kernel_name="python3",
                          resources={"metadata": {"path": str(ocid.files)}})


def environment(ocid):
    return {**os.environ, **ocid.env, "PYTHONPATH": os.environ["OCID_INSTALLED"],
            "JUPYTER_RUNTIME_DIR": str(ocid.folder / "jupyter")}


def run(ocid, *clients):
    async def all_of_them():
        await asyncio.gather(*(one.async_execute(env=environment(ocid)) for one in clients))
    asyncio.run(asyncio.wait_for(all_of_them(), 2 * KERNEL_S))


def shown(client):
    """All that the cells printed or displayed, and what widgets say at the end."""
    return "\n".join([*(str(output.get("text") or output.get("data") or output)
                        for cell in client.nb.cells for output in cell.get("outputs", [])),
                      str(client.nb.metadata.get("widgets"))])


def test_four_kernels_at_once_on_one_key(ocid, store, b):
    """The key is taken away once the daemon has it: whoever else needed one would fail."""
    ocid.client.whoami()
    shutil.rmtree(ocid.home / ".oci")
    signers = process_tree(ocid.pid)[1:]
    clients = [kernel(ocid, WORK.format(n=n, b=b, jobs=JOBS), WAIT) for n in range(4)]
    run(ocid, *clients)
    assert store.names(b) == sorted(f"{n}/{i}" for n in range(4) for i in range(JOBS))
    for n, i in ((0, 0), (1, 999), (3, 500)):
        assert store.object_bytes(f"{b}/{n}/{i}") == b"%d of %d" % (i, n)
    assert store.count("PutObject") == 4 * JOBS, "each was sent once"
    assert process_tree(ocid.pid)[1:] == signers and len(signers) == 1
    peers = {entry["connection"] for entry in store.log("PutObject", limit=100_000)}
    assert len(peers) <= 64, "of one pool, not one for each kernel or job"


def test_a_kernel_that_is_killed_loses_nothing(ocid, store, b):
    """Its jobs are held back by the store until it is gone."""
    store.on("PutObject", "hang", count=0)
    first = kernel(ocid, WORK.format(n=0, b=b, jobs=JOBS), "os.kill(os.getpid(), 9)")
    with pytest.raises(Exception, match="(?i)kernel died"):
        run(ocid, first)
    assert store.names(b) == []
    store.clear()
    run(ocid, kernel(ocid, AGAIN))
    assert len(store.names(b)) == JOBS


def readme_cells():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("## From a notebook\n")[1].split("\n## ")[0]
    cells = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return [re.sub(r"(?m)^   ", "", cell).strip() for cell in cells]


def test_the_readme_does_what_it_says(ocid, store, b):
    ocid.file(b"trajectory" * 1000, "traj.dcd")
    for i in range(3):
        ocid.file(b"a,b\n%d,2\n" % i, f"out/{i}.csv")
    cells = [cell.replace("BUCKET", b) for cell in readme_cells()]
    assert len(cells) == 7
    client = kernel(ocid, *cells, "assert data == bytes(numbers)\nassert len(again) >= 3\n"
                                  "assert 'run7/in.bin' in names")
    run(ocid, client)
    assert store.object_bytes(f"{b}/run7/all.csv") == b"a,b\n0,2\n"
    assert (ocid.files / "copy.dcd").read_bytes() == b"trajectory" * 1000
    assert {f"again/{i}.csv" for i in range(3)} | {"run7/_SUCCESS"} <= set(store.names(b))
    words = shown(client)
    assert "<progress" in words and "text/html" in words, "jobs have a display"
    assert "3/3" in words, "the bar of the set has ended"
    assert "again/0.csv" in words


def test_magics_speak_of_what_is_wrong(ocid, store, b):
    ocid.file(b"1", "one")
    client = kernel(ocid, "%load_ext ocid", f"%ocid push --wait --if-absent one oci://{b}/one",
                    f"job = %ocid push -r . oci://{b}/all/\nassert len(job) >= 1",
                    f"%ocid cat {b}/one", "%ocid whoami", "%ocid",
                    "import ocid\ntry:\n    %ocid fly away\nexcept ocid.Invalid as error:\n"
                    "    print('said:', error)",
                    f"%ocid push --wait --if-absent one oci://{b}/one")
    with pytest.raises(CellExecutionError, match="Exists"):
        run(ocid, client)
    words = shown(client)
    assert "invalid choice: 'fly'" in words and "ocid1.user" in words


def test_an_interrupted_cell_detaches(ocid, store, b):
    store.on("PutObject", "hang")

    async def interrupt():
        client = kernel(ocid, "import ocid\nclient = ocid.Client()\n"
                              f"job = client.put_bytes('{b}/o', b'1')\njob.wait()")
        task = asyncio.ensure_future(client.async_execute(env=environment(ocid)))
        while not store.count("PutObject"):
            await asyncio.sleep(0.05)
        while not task.done():
            await client.km.interrupt_kernel()
            await asyncio.wait([task], timeout=1)
        return task.exception()
    assert "KeyboardInterrupt" in str(asyncio.run(asyncio.wait_for(interrupt(), KERNEL_S)))
    (job,) = ocid.client.jobs()
    assert not job.final
    store.release()
    assert job.wait(30).state == "done"
