# SPDX-License-Identifier: Apache-2.0
"""test_jupyterlab.py - a JupyterLab page in a real browser, headless: the live bar of a put moves and
ends, as its reader sees it."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
from harness import MIB, SLOW, blob, until
from PIL import Image
from playwright.sync_api import sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIETLY = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
           "--disable-background-networking", "--disable-component-update"]
PARTS, HELD = 8, (3, 6)  # the store holds these parts back until it is told
WAIT_MS = 60_000 * SLOW
CELL = """import ocid
job = ocid.Client().put("big", "oci://{b}/big")
ocid.progress(job)"""


@pytest.fixture
def lab(ocid, installed, tmp_path):
    """The address of a JupyterLab whose kernels have no daemon but the test's."""
    home = tmp_path / "jupyter"
    settings = home / "config/labconfig/page_config.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps(
        {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}))
    env = {**os.environ, **ocid.env, "PYTHONPATH": installed, "IPYTHONDIR": str(home / "ipython"),
           **{f"JUPYTER_{name.upper()}_DIR": str(home / name)
              for name in ("config", "data", "runtime")}}
    with open(tmp_path / "lab.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
             "--port=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={ocid.files}"],
            env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        def address():
            assert process.poll() is None, (tmp_path / "lab.log").read_text()
            for path in (home / "runtime").glob("jpserver-*.json"):
                with contextlib.suppress(ValueError):  # half written
                    return json.loads(path.read_text())["url"]
        yield until(address, "JupyterLab is up", 60 * SLOW)
    finally:
        process.terminate()  # it ends its kernels
        try:
            process.wait(30 * SLOW)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def page(tmp_path):
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not program:
        pytest.skip(f"needs one of {', '.join(BROWSERS)}")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=QUIETLY)
        one = browser.new_page(viewport={"width": 1100, "height": 700})
        one.set_default_timeout(WAIT_MS)
        yield one
        one.screenshot(path=tmp_path / "page.png")  # as the test left it
        browser.close()


class Bar:
    """The live bar in the output of the cell."""

    def __init__(self, page):
        self.output = page.locator(".jp-OutputArea-output").first
        self.trough = page.locator(".jp-OutputArea progress, .jp-OutputArea .progress").first

    def percent(self):
        found = re.search(r"(\d+)%", self.output.inner_text())
        return int(found[1]) if found else None

    def filled(self):
        """Of the trough's width, per cent, as it is painted: up to the last pixel in the middle that
        looks like the first."""
        shot = Image.open(io.BytesIO(self.trough.screenshot())).convert("RGB")
        row = [shot.getpixel((x, shot.height // 2)) for x in range(2, shot.width - 2)]
        return 100 * max(x + 1 for x, pixel in enumerate(row) if pixel == row[0]) / len(row)


@pytest.fixture
def ocid(make_ocid):
    return make_ocid(transfer__connections=1, transfer__part_mib=1).start()


def test_the_bar_moves_and_ends(ocid, store, b, lab, page):
    for part in HELD:
        store.on("UploadPart", do="hang", part=part)
    ocid.file(blob(PARTS * MIB), "big")
    nbformat.write(nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(CELL.format(b=b))],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}),
        ocid.files / "bar.ipynb")

    page.goto(f"{lab}lab/tree/bar.ipynb")
    page.get_by_text("| Idle").wait_for()  # of the kernel, in the line at the foot
    page.locator(".jp-CodeCell .cm-content").first.click()
    page.keyboard.press("Shift+Enter")

    bar, seen = Bar(page), []
    for part in HELD:
        store.wait_hit("UploadPart", part, timeout=60 * SLOW)
        least = 100 * (part - 1) // PARTS
        until(lambda: (bar.percent() or 0) >= least, f"the bar is at {least} %", 60 * SLOW)
        seen.append((bar.percent(), bar.filled()))
        store.release()
    until(lambda: bar.percent() == 100, "the bar is at its end", 60 * SLOW)
    seen.append((100, bar.filled()))
    print(f"per cent as text and as painted: {seen}")
    assert seen[0][0] < 50 < seen[1][0] < 100
    assert all(abs(text - painted) < 3 for text, painted in seen)
    assert "done" in bar.output.inner_text()
    assert store.object_bytes(f"{b}/big") == blob(PARTS * MIB)
