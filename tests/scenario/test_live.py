# SPDX-License-Identifier: Apache-2.0
"""test_live.py - the questions to the real service, asked of the test store: all can be settled,
none is answered otherwise than expected, and nothing stays behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

from harness import SLOW, binaries

LIVE = Path(__file__).resolve().parents[1] / "live/live.py"


def live(ocid, store, b, *words, **more):
    return subprocess.run(
        [sys.executable, LIVE, "--endpoint", store.url, "--config", str(ocid.oci_config),
         *words, b], env={"HOME": str(ocid.home), "PATH": os.environ["PATH"],
                          "OCID_BIN": str(binaries())},
        capture_output=True, text=True, timeout=100 * SLOW, stdin=subprocess.DEVNULL, **more)


def test_every_question_is_settled_and_nothing_stays(make_ocid, store, b):
    store.put_object(f"{b}/of-somebody-else", b"x")
    r = live(make_ocid().start(), store, b, "--yes", "--json")
    rows = [json.loads(line) for line in r.stdout.splitlines()]
    assert [row for row in rows if row["verdict"] != "as expected"] == [], r.stderr
    assert r.returncode == 0 and f"{len(rows)} settled, 0 not settled, 0 differ" in r.stderr
    assert len(rows) > 20
    assert store.names(b) == ["of-somebody-else"]
    assert store.uploads(b) == []


def test_it_asks_before_it_begins(make_ocid, store, b):
    r = live(make_ocid().start(), store, b)
    assert r.returncode == 1 and "nothing was done" in r.stderr
    assert store.count("PutObject") == 0


def test_a_bucket_that_keeps_versions_is_refused(make_ocid, store, b):
    store.make_bucket(b + "v", versioning="Enabled")
    r = live(make_ocid().start(), store, b + "v", "--yes")
    assert r.returncode == 1 and "keeps versions" in r.stderr
    assert store.count("PutObject", bucket=b + "v") == 0


def test_what_cannot_be_cleaned_up_is_told(make_ocid, store, b):
    for op in ("ListMultipartUploads", "ListObjects"):
        store.on(op, do="status", status=403, count=0)
    r = live(make_ocid().start(), store, b, "--yes")
    assert r.returncode == 1 and f"in {b} could be deleted" in r.stderr
