# SPDX-License-Identifier: Apache-2.0
"""test_lost_answers.py - a request may have done its work though nobody saw its answer: before a job
says that something was there, or that it is not there, it finds out whose work that is. What proves it
is the sum of the whole object, CRC32C or MD5, never its name and length alone."""

import pytest


# Other requests.

@pytest.mark.parametrize("fault", [{"do": "reset"}, {"do": 503}], ids=str)
def test_what_we_have_deleted_ourselves_is_deleted(ocid, store, b, fault):
    store.put_object(f"{b}/o", b"x")
    store.on("DeleteObject", at="answer", **fault)
    ocid.done(ocid.client.delete(f"{b}/o").id)
    assert not store.exists(f"{b}/o")
