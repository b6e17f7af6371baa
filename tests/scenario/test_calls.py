# SPDX-License-Identifier: Apache-2.0
"""test_calls.py - jobs of one request: head, delete, whoami, namespace, buckets."""

import json

import pytest
from harness import MIB, blob, client_library


def test_head_tells_what_is_stored(ocid, store, b):
    ocid.done(ocid.put(blob(1000), f"{b}/o", content_type="text/plain", metadata={"a": "b"}))
    found, stored = ocid.client.head(f"{b}/o"), store.object_info(f"{b}/o")
    assert found["content-length"] == "1000" and found["content-type"] == "text/plain"
    assert (found["etag"], found["content-md5"]) == (stored["etag"], stored["md5"])
    assert found["opc-meta-a"] == "b" and found["storage-tier"] == "Standard"
    assert len(found["crc32c"]) == 8 and found["last-modified"].endswith("Z")


def test_head_of_what_was_made_of_parts(ocid, b):
    ocid.done(ocid.put(blob(3 * MIB), f"{b}/o"))
    assert ocid.client.head(f"{b}/o")["opc-multipart-md5"].endswith("-3")


def test_head_of_nothing(ocid, b):
    with pytest.raises(client_library.NotFound) as caught:
        ocid.client.head(f"{b}/none")
    assert caught.value.http_status == 404 and caught.value.request_id


def test_delete(ocid, store, b):
    etag = store.put_object(f"{b}/o", b"x")
    ocid.failed(ocid.client.delete(f"{b}/o", if_match="another").id, "condition")
    ocid.done(ocid.client.delete(f"{b}/o", if_match=etag).id)
    assert store.names(b) == []
    ocid.failed(ocid.client.delete(f"{b}/o").id, "not_found")


def test_delete_whose_answer_was_lost_is_done(ocid, store, b):
    store.put_object(f"{b}/o", b"x")
    store.on("DeleteObject", do="reset", at="answer")
    ocid.done(ocid.client.delete(f"{b}/o").id)
    assert store.count("DeleteObject") == 2


def test_whoami(ocid, profile):
    found = ocid.client.whoami()
    assert found["id"] == profile.user and found["tenancy"] == profile.tenancy
    assert found["name"] == "test.user@example.com" and found["profile"] == "DEFAULT"
    assert found["fingerprint"] == profile.fingerprint and found["credential"] == "api_key"
    assert found["config"] == str(ocid.oci_config)


def test_whoami_has_the_fields_of_the_api(ocid, store, profile):
    tags = {"äöü\x1b": "x" * 100, "quote\"": "\\"}
    store.set_user(description="D\x1b[2J", freeformTags=tags)
    said = ocid.ctl("whoami", "--json").out
    found = json.loads(said)
    assert said.count("\n") == 1 and said.isascii() and "\x1b" not in said
    assert (found["id"], found["compartmentId"]) == (profile.user, profile.tenancy)
    assert found["freeformTags"] == tags and found["capabilities"]["canUseApiKeys"] is True
    assert found["inactiveStatus"] is None and found["lifecycleState"] == "ACTIVE"
    assert found["profile"] == "DEFAULT" and found["config"] == str(ocid.oci_config)
    assert said.count('"id":') == said.count('"name":') == 1
    people = ocid.ctl("whoami").out
    assert "{" not in people and "\x1b" not in people and profile.fingerprint in people
    store.set_user(freeformTags={"large": "x" * 20000})
    short = json.loads(ocid.ctl("whoami", "--json").out)
    assert short["id"] == profile.user and "freeformTags" not in short
    store.set_user(description="Test user", freeformTags={})


def test_the_namespace_is_asked_for_once(ocid, store, b):
    assert ocid.client.namespace() == "testns"
    store.clear_log()
    for i in range(3):
        ocid.done(ocid.put(b"x", f"{b}/{i}"))
    assert store.count("GetNamespace") <= 1


def test_a_namespace_that_is_given_is_not_asked_for(make_ocid, store, b):
    ocid = make_ocid(network__namespace="testns").start()
    ocid.done(ocid.put(b"x", f"{b}/o"))
    ocid.failed(ocid.put(b"x", f"{b}@other/o"), "not_found")
    assert store.count("GetNamespace") == 0


def test_buckets(ocid, store, b, profile):
    name = f"{b}-made"
    ocid.done(ocid.client.mkbucket(name).id)
    assert name in store.buckets()
    failed = ocid.failed(ocid.client.mkbucket(name).id, "exists")
    assert failed.outcome.service_code == "BucketAlreadyExists"
    assert name in [row.name for row in ocid.client.buckets()]


def test_more_buckets_than_a_page(ocid, store, b, profile):
    for i in range(5):
        ocid.done(ocid.client.mkbucket(f"{b}-{i}").id)
    store.on("ListBuckets", do="short_pages", limit=2, count=0)
    found = [row.name for row in ocid.client.buckets() if row.name.startswith(f"{b}-")]
    assert found == [f"{b}-{i}" for i in range(5)]


@pytest.mark.parametrize("method", ["head", "whoami", "namespace"])
def test_questions_are_not_kept_on_disk(ocid, store, b, method):
    store.put_object(f"{b}/o", b"x")
    getattr(ocid.client, method)(*([f"{b}/o"] if method == "head" else []))
    ocid.crash()
    assert list(ocid.client.jobs()) == []
