# SPDX-License-Identifier: Apache-2.0
"""test_nothing_left.py - what a job leaves behind is cleaned up, and what it has published counts,
whatever came between that and its verdict. Found by tests/torture."""

import pytest
from harness import MIB, blob, sha, until


@pytest.mark.parametrize("how", ["cancel", "pause"])
def test_an_upload_that_is_being_made_is_not_forgotten(ocid, store, b, how):
    """Its id was thrown away with the answer, and nobody could abort it any more."""
    hung = store.on("CreateMultipartUpload", do="hang", at="answer")
    job = ocid.put(blob(3 * MIB), f"{b}/o")
    until(lambda: store.uploads(b), "the upload is made")
    getattr(ocid.client, how)([job])
    ocid.wait_for(job, "cancelled" if how == "cancel" else "paused")
    store.clear(hung)
    if how == "pause":
        ocid.client.resume([job])
        ocid.done(job)
        assert store.object_sha(f"{b}/o") == sha(blob(3 * MIB))
        assert store.count("CreateMultipartUpload") == 1
    until(lambda: store.uploads(b) == [], "no upload is left")
