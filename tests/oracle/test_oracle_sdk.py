# SPDX-License-Identifier: Apache-2.0
"""test_oracle_sdk.py - Oracle's Python SDK must work against the store unchanged."""

import base64
import datetime
import hashlib
import io
import os
import ssl
import threading
import urllib.error
import urllib.request

import oci
import pytest
from oci.object_storage import ObjectStorageClient, ObjectStorageClientCompositeOperations
from oci.object_storage import MultipartObjectAssembler, UploadManager
from oci.object_storage import models

NS = "axexample"
MIB = 1 << 20


@pytest.fixture(scope="module")
def client(store):
    client = ObjectStorageClient(store.profile.as_config(), service_endpoint=store.url,
                                 retry_strategy=oci.retry.NoneRetryStrategy())
    return client


@pytest.fixture
def bucket(store, client, request):
    name = f"t-{abs(hash(request.node.nodeid)):x}"
    client.create_bucket(NS, models.CreateBucketDetails(name=name, compartment_id="ocid1.c"))
    return name


def fails(status, code):
    """The SDK's own error with this status and code."""
    class Expect:
        def __enter__(self):
            return self

        def __exit__(self, kind, error, trace):
            assert kind is oci.exceptions.ServiceError, f"no error, {status} {code} expected"
            assert (error.status, error.code) == (status, code), error
            return True
    return Expect()


def md5(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def blob(tmp_path, n_bytes):
    path = tmp_path / "blob"
    path.write_bytes(os.urandom(n_bytes))
    return str(path)


def test_namespace(client):
    assert client.get_namespace().data == NS
    found = client.get_namespace_metadata(NS).data
    assert found.namespace == NS
    change = models.UpdateNamespaceMetadataDetails(default_s3_compartment_id="ocid1.other")
    assert client.update_namespace_metadata(NS, change).data.default_s3_compartment_id == \
        "ocid1.other"


def test_wrong_namespace(client):
    with fails(404, "NamespaceNotFound"):
        client.get_bucket("nobody", "b")


def test_buckets(client):
    details = models.CreateBucketDetails(name="made", compartment_id="ocid1.cc",
                                         metadata={"k": "v"}, versioning="Enabled")
    made = client.create_bucket(NS, details)
    assert (made.data.name, made.data.metadata) == ("made", {"k": "v"})
    with fails(409, "BucketAlreadyExists"):
        client.create_bucket(NS, details)
    got = client.get_bucket(NS, "made", fields=["approximateCount", "approximateSize"])
    assert got.data.approximate_count == 0 and got.headers["etag"] == made.headers["etag"]
    assert client.head_bucket(NS, "made").headers["etag"] == made.headers["etag"]
    with fails(304, None):
        client.get_bucket(NS, "made", if_none_match=made.headers["etag"])
    changed = client.update_bucket(NS, "made", models.UpdateBucketDetails(
        versioning="Suspended", public_access_type="ObjectRead"), if_match=made.headers["etag"])
    assert changed.data.versioning == "Suspended"
    with fails(412, "IfMatchFailed"):
        client.update_bucket(NS, "made", models.UpdateBucketDetails(), if_match="old")
    assert [b.name for b in client.list_buckets(NS, "ocid1.cc").data] == ["made"]
    with fails(412, "NoEtagMatch"):
        client.delete_bucket(NS, "made", if_match="old")
    assert client.delete_bucket(NS, "made").status == 204
    with fails(404, "BucketNotFound"):
        client.get_bucket(NS, "made")


def test_list_buckets_in_pages(client):
    for i in range(5):
        client.create_bucket(NS, models.CreateBucketDetails(name=f"p{i}", compartment_id="pages"))
    found = oci.pagination.list_call_get_all_results(client.list_buckets, NS, "pages", limit=2)
    assert [b.name for b in found.data] == [f"p{i}" for i in range(5)]


def test_bucket_with_content_stays(client, bucket):
    client.put_object(NS, bucket, "o", b"x")
    with fails(409, "BucketNotEmpty"):
        client.delete_bucket(NS, bucket)
    client.delete_object(NS, bucket, "o")
    upload = client.create_multipart_upload(
        NS, bucket, models.CreateMultipartUploadDetails(object="o")).data.upload_id
    with fails(409, "BucketNotEmpty"):
        client.delete_bucket(NS, bucket)
    client.abort_multipart_upload(NS, bucket, "o", upload)
    par = client.create_preauthenticated_request(NS, bucket, par_details()).data
    with fails(409, "PreauthenticatedRequestStillExists"):
        client.delete_bucket(NS, bucket)
    client.delete_preauthenticated_request(NS, bucket, par.id)
    client.delete_bucket(NS, bucket)


NAMES = ["plain", "a b.txt", "a+b.txt", "100%.txt", "a%2Fb.txt", "dir/sub/f", "/lead//x/",
         "é/漢字 😀", "!*'();:@&=$,/?#[]", "~tilde", 'quote"s', "back\\slash", "x" * 1024]


@pytest.mark.parametrize("name", NAMES)
def test_put_get_head_delete(client, bucket, name):
    data = os.urandom(1000)
    put = client.put_object(NS, bucket, name, data, content_md5=md5(data),
                            opc_meta={"One": "1", "two": "a b"}, content_type="text/x-test",
                            cache_control="no-cache", content_language="de",
                            content_encoding="gzip", content_disposition="attachment")
    assert put.headers["opc-content-md5"] == md5(data)
    head = client.head_object(NS, bucket, name)
    assert head.headers["content-length"] == "1000"
    got = client.get_object(NS, bucket, name)
    assert got.data.raw.read() == data
    for headers in (head.headers, got.headers):
        assert headers["etag"] == put.headers["etag"]
        assert headers["content-md5"] == md5(data)
        assert headers["opc-meta-one"] == "1" and headers["opc-meta-two"] == "a b"
        assert headers["content-type"] == "text/x-test" and headers["content-language"] == "de"
        assert headers["content-encoding"] == "gzip" and headers["cache-control"] == "no-cache"
        assert headers["content-disposition"] == "attachment"
    assert [o.name for o in client.list_objects(NS, bucket).data.objects] == [name]
    assert client.delete_object(NS, bucket, name).status == 204
    with fails(404, "ObjectNotFound"):
        client.delete_object(NS, bucket, name)
    with pytest.raises(oci.exceptions.ServiceError) as error:
        client.head_object(NS, bucket, name)
    assert error.value.status == 404


def test_empty_object(client, bucket):
    client.put_object(NS, bucket, "empty", b"")
    got = client.get_object(NS, bucket, "empty")
    assert (got.data.content, got.headers["content-md5"]) == (b"", md5(b""))
    with fails(416, "InvalidRange"):
        client.get_object(NS, bucket, "empty", range="bytes=0-0")


def test_wrong_md5(client, bucket):
    with fails(400, "UnmatchedContentMD5"):
        client.put_object(NS, bucket, "o", b"data", content_md5=md5(b"other"))
    with fails(404, "ObjectNotFound"):
        client.get_object(NS, bucket, "o")


@pytest.mark.parametrize("algorithm, field", [("CRC32C", "crc32c"), ("SHA256", "sha256"),
                                              ("SHA384", "sha384")])
def test_checksums(client, bucket, algorithm, field):
    put = client.put_object(NS, bucket, "o", b"123456789", opc_checksum_algorithm=algorithm)
    value = put.headers[f"opc-content-{field}"]
    again = client.put_object(NS, bucket, "o", b"123456789", opc_checksum_algorithm=algorithm,
                              **{f"opc_content_{field}": value})
    assert again.headers[f"opc-content-{field}"] == value
    assert client.head_object(NS, bucket, "o").headers[f"opc-content-{field}"] == value
    with fails(400, f"UnmatchedContent{algorithm}"):
        client.put_object(NS, bucket, "o", b"12345678", opc_checksum_algorithm=algorithm,
                          **{f"opc_content_{field}": value})
    if field == "crc32c":
        assert value == "4waSgw=="


def test_big_put_and_ranges(client, bucket, tmp_path):
    path = blob(tmp_path, 3 * MIB + 17)
    with open(path, "rb") as file:
        client.put_object(NS, bucket, "big", file)
    data = open(path, "rb").read()
    for span, want in (("bytes=0-9", data[:10]), ("bytes=100-", data[100:]),
                       ("bytes=-5", data[-5:]), (f"bytes=10-{1 << 40}", data[10:])):
        got = client.get_object(NS, bucket, "big", range=span)
        assert got.status == 206 and got.data.raw.read() == want
        assert got.headers["content-range"].endswith(f"/{len(data)}")
    with fails(416, "InvalidRange"):
        client.get_object(NS, bucket, "big", range=f"bytes={len(data)}-")
    assert client.get_object(NS, bucket, "big").data.raw.read() == data


def test_conditions(client, bucket):
    first = client.put_object(NS, bucket, "o", b"1", if_none_match="*").headers["etag"]
    with fails(412, "IfNoneMatchFailed"):
        client.put_object(NS, bucket, "o", b"2", if_none_match="*")
    second = client.put_object(NS, bucket, "o", b"2", if_match=first).headers["etag"]
    with fails(412, "IfMatchFailed"):
        client.put_object(NS, bucket, "o", b"3", if_match=first)
    assert client.get_object(NS, bucket, "o", if_match=second).data.content == b"2"
    with fails(412, "IfMatchFailed"):
        client.get_object(NS, bucket, "o", if_match=first)
    with fails(304, None):
        client.get_object(NS, bucket, "o", if_none_match=second)
    with fails(412, "IfMatchFailed"):
        client.delete_object(NS, bucket, "o", if_match=first)
    client.delete_object(NS, bucket, "o", if_match=second)


def test_overridden_headers(client, bucket):
    client.put_object(NS, bucket, "o", b"1")
    got = client.get_object(NS, bucket, "o", http_response_content_type="text/css",
                            http_response_content_disposition="inline")
    assert got.headers["content-type"] == "text/css"
    assert got.headers["content-disposition"] == "inline"


def test_list(client, bucket):
    names = ["a", "a/1", "a/2", "b/x/1", "b/y", "c", "é"]
    for name in names:
        client.put_object(NS, bucket, name, name.encode())
    every = client.list_objects(NS, bucket, fields="name,size,etag,md5,timeCreated,timeModified,"
                                "storageTier,archivalState").data.objects
    assert [o.name for o in every] == names
    assert every[1].md5 == md5(b"a/1") and every[1].size == 3 and every[1].time_created
    found = client.list_objects(NS, bucket, delimiter="/").data
    assert [o.name for o in found.objects] == ["a", "c", "é"]
    assert found.prefixes == ["a/", "b/"]
    found = client.list_objects(NS, bucket, delimiter="/", prefix="b/").data
    assert ([o.name for o in found.objects], found.prefixes) == (["b/y"], ["b/x/"])
    found = client.list_objects(NS, bucket, start="a/2", end="c").data
    assert [o.name for o in found.objects] == ["a/2", "b/x/1", "b/y"]
    found = client.list_objects(NS, bucket, start_after="c").data
    assert [o.name for o in found.objects] == ["é"]
    got, start = [], None
    while True:
        page = client.list_objects(NS, bucket, limit=2, start=start).data
        got += [o.name for o in page.objects]
        start = page.next_start_with
        if not start:
            break
    assert got == names


def test_versions(client, bucket):
    client.update_bucket(NS, bucket, models.UpdateBucketDetails(versioning="Enabled"))
    first = client.put_object(NS, bucket, "o", b"1").headers["version-id"]
    client.put_object(NS, bucket, "o", b"2")
    assert client.get_object(NS, bucket, "o", version_id=first).data.content == b"1"
    gone = client.delete_object(NS, bucket, "o")
    assert gone.headers["is-delete-marker"] == "true"
    with fails(404, "ObjectNotFound"):
        client.get_object(NS, bucket, "o")
    found = oci.pagination.list_call_get_all_results(
        client.list_object_versions, NS, bucket, limit=2).data
    assert sorted(i.is_delete_marker for i in found) == [False, False, True]
    client.delete_object(NS, bucket, "o", version_id=gone.headers["version-id"])
    assert client.get_object(NS, bucket, "o").data.content == b"2"
    client.delete_object(NS, bucket, "o", version_id=first)
    with fails(409, "BucketNotEmpty"):
        client.delete_bucket(NS, bucket)


def begin(client, bucket, name="o", **more):
    return client.create_multipart_upload(
        NS, bucket, models.CreateMultipartUploadDetails(object=name, **more)).data.upload_id


def commit_of(etags, exclude=None):
    parts = [models.CommitMultipartUploadPartDetails(part_num=n, etag=e)
             for n, e in etags.items()]
    return models.CommitMultipartUploadDetails(parts_to_commit=parts, parts_to_exclude=exclude)


def test_multipart_by_hand(client, bucket):
    upload = begin(client, bucket, "m/o", metadata={"opc-meta-k": "v"}, content_type="x/y")
    bodies = {3: b"C" * MIB, 1: b"A" * 100, 7: b"G"}
    etags = {n: client.upload_part(NS, bucket, "m/o", upload, n, body).headers["etag"]
             for n, body in bodies.items()}
    listed = oci.pagination.list_call_get_all_results(
        client.list_multipart_upload_parts, NS, bucket, "m/o", upload, limit=2).data
    assert [(p.part_number, p.size, p.md5) for p in listed] == \
        [(n, len(bodies[n]), md5(bodies[n])) for n in (1, 3, 7)]
    assert [u.upload_id for u in client.list_multipart_uploads(NS, bucket).data] == [upload]
    with fails(400, "InvalidUploadPart"):
        client.commit_multipart_upload(NS, bucket, "m/o", upload, commit_of({1: etags[1]}))
    with fails(400, "InvalidUploadPart"):
        client.commit_multipart_upload(NS, bucket, "m/o", upload,
                                       commit_of({**etags, 3: etags[1]}))
    done = client.commit_multipart_upload(NS, bucket, "m/o", upload,
                                          commit_of({1: etags[1], 3: etags[3]}, [7]))
    whole = hashlib.md5(b"".join(hashlib.md5(bodies[n]).digest() for n in (1, 3))).digest()
    assert done.headers["opc-multipart-md5"] == base64.b64encode(whole).decode() + "-2"
    got = client.get_object(NS, bucket, "m/o")
    assert got.data.raw.read() == bodies[1] + bodies[3]
    assert got.headers["opc-meta-k"] == "v" and got.headers["content-type"] == "x/y"
    assert "content-md5" not in got.headers
    with fails(404, "UploadNotFound"):
        client.commit_multipart_upload(NS, bucket, "m/o", upload, commit_of(etags))
    with fails(404, "UploadNotFound"):
        client.abort_multipart_upload(NS, bucket, "m/o", upload)


def test_multipart_conditions(client, bucket):
    upload = client.create_multipart_upload(
        NS, bucket, models.CreateMultipartUploadDetails(object="o"), if_none_match="*"
    ).data.upload_id
    etag = client.upload_part(NS, bucket, "o", upload, 1, b"part").headers["etag"]
    client.put_object(NS, bucket, "o", b"somebody else")
    with fails(412, "IfNoneMatchFailed"):
        client.commit_multipart_upload(NS, bucket, "o", upload, commit_of({1: etag}),
                                       if_none_match="*")
    with fails(412, "IfNoneMatchFailed"):
        client.create_multipart_upload(
            NS, bucket, models.CreateMultipartUploadDetails(object="o"), if_none_match="*")
    client.commit_multipart_upload(NS, bucket, "o", upload, commit_of({1: etag}))
    assert client.get_object(NS, bucket, "o").data.content == b"part"


@pytest.mark.parametrize("parallel", [True, False])
def test_upload_manager_file(client, store, bucket, tmp_path, parallel):
    path = blob(tmp_path, 25 * MIB + 3)
    seen = []
    manager = UploadManager(client, allow_parallel_uploads=parallel,
                            parallel_process_count=3)
    manager.upload_file(NS, bucket, "file", path, part_size=10 * MIB,
                        progress_callback=seen.append, metadata={"k": "v"})
    with open(path, "rb") as file:
        want = hashlib.sha256(file.read()).hexdigest()
    assert store.object_sha(f"{bucket}/file") == want
    assert store.parts_received(f"{bucket}/file") == [1, 2, 3]
    assert sum(seen) == 25 * MIB + 3
    assert client.head_object(NS, bucket, "file").headers["opc-meta-k"] == "v"


@pytest.mark.parametrize("algorithm", ["CRC32C", "SHA256", "SHA384"])
def test_upload_manager_checksums(client, store, bucket, tmp_path, algorithm):
    path = blob(tmp_path, 21 * MIB)
    done = UploadManager(client).upload_file(NS, bucket, "file", path, part_size=10 * MIB,
                                             opc_checksum_algorithm=algorithm)
    kind = "content" if algorithm == "CRC32C" else "multipart"
    value = client.head_object(NS, bucket, "file").headers[f"opc-{kind}-{algorithm.lower()}"]
    assert value == done.headers[f"opc-{kind}-{algorithm.lower()}"]
    if algorithm == "CRC32C":
        with open(path, "rb") as file:
            whole = client.put_object(NS, bucket, "whole", file, opc_checksum_algorithm="CRC32C")
        assert whole.headers["opc-content-crc32c"] == value


def test_upload_manager_stream(client, store, bucket):
    data = os.urandom(23 * MIB)
    UploadManager(client, allow_parallel_uploads=True).upload_stream(
        NS, bucket, "stream", io.BytesIO(data), part_size=10 * MIB)
    assert store.object_sha(f"{bucket}/stream") == hashlib.sha256(data).hexdigest()
    assert store.parts_received(f"{bucket}/stream") == [1, 2, 3]


def test_resumed_upload(client, store, bucket, tmp_path):
    path = blob(tmp_path, 25 * MIB)
    first = MultipartObjectAssembler(client, NS, bucket, "r", part_size=10 * MIB)
    first.new_upload()
    first.add_parts_from_file(path)
    store.on("UploadPart", bucket=bucket, nth=2, count=0, do=400)
    with pytest.raises(Exception):
        first.upload()
    store.clear()
    UploadManager(client).resume_upload_file(NS, bucket, "r", path, first.manifest["uploadId"],
                                             part_size=10 * MIB)
    with open(path, "rb") as file:
        assert store.object_sha(f"{bucket}/r") == hashlib.sha256(file.read()).hexdigest()
    assert store.parts_received(f"{bucket}/r") == [1, 2, 3]


def par_details(access="AnyObjectReadWrite", name=None, listing=None):
    expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    return models.CreatePreauthenticatedRequestDetails(
        name="par", access_type=access, object_name=name, bucket_listing_action=listing,
        time_expires=expires)


def test_pars(client, store, bucket):
    client.put_object(NS, bucket, "o", b"by par")
    made = client.create_preauthenticated_request(
        NS, bucket, par_details("ObjectRead", "o")).data
    assert made.full_path == store.url + made.access_uri
    found = client.list_preauthenticated_requests(NS, bucket).data
    assert [p.id for p in found] == [made.id]
    assert client.get_preauthenticated_request(NS, bucket, made.id).data.object_name == "o"
    context = None
    if store.ca_file:
        context = ssl.create_default_context(cafile=store.ca_file)
    assert urllib.request.urlopen(made.full_path, context=context).read() == b"by par"
    client.delete_preauthenticated_request(NS, bucket, made.id)
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(made.full_path, context=context)
    assert error.value.code == 404
    with fails(404, "PreauthenticatedRequestNotFound"):
        client.get_preauthenticated_request(NS, bucket, made.id)


def test_rename(client, bucket):
    client.put_object(NS, bucket, "old", b"1")
    client.rename_object(NS, bucket, models.RenameObjectDetails(
        source_name="old", new_name="new", new_obj_if_none_match_e_tag="*"))
    assert client.get_object(NS, bucket, "new").data.content == b"1"
    with fails(404, "ObjectNotFound"):
        client.get_object(NS, bucket, "old")
    with fails(400, "SourceNameSameAsNewName"):
        client.rename_object(NS, bucket, models.RenameObjectDetails(
            source_name="new", new_name="new"))


def test_copy(client, store, bucket):
    client.put_object(NS, bucket, "from", b"copied", opc_meta={"k": "v"})
    details = models.CopyObjectDetails(
        source_object_name="from", destination_region="us-ashburn-1",
        destination_namespace=NS, destination_bucket=bucket, destination_object_name="to")
    done = ObjectStorageClientCompositeOperations(client).copy_object_and_wait_for_state(
        NS, bucket, details, wait_for_states=["COMPLETED"])
    assert done.data.status == "COMPLETED"
    got = client.get_object(NS, bucket, "to")
    assert got.data.content == b"copied" and got.headers["opc-meta-k"] == "v"
    client.delete_object(NS, bucket, "from")
    assert client.get_object(NS, bucket, "to").data.content == b"copied"
    assert client.list_work_request_errors(done.data.id).data == []


def test_archive_and_restore(client, store, bucket):
    client.put_object(NS, bucket, "cold", b"brr", storage_tier="Archive")
    assert client.head_object(NS, bucket, "cold").headers["archival-state"] == "Archived"
    with fails(409, "NotRestored"):
        client.get_object(NS, bucket, "cold")
    client.restore_objects(NS, bucket, models.RestoreObjectsDetails(object_name="cold", hours=10))
    assert client.head_object(NS, bucket, "cold").headers["archival-state"] == "Restoring"
    store.set_archival(f"{bucket}/cold", "Restored")
    assert client.get_object(NS, bucket, "cold").data.content == b"brr"


def test_tier(client, bucket):
    client.put_object(NS, bucket, "o", b"1")
    client.update_object_storage_tier(NS, bucket, models.UpdateObjectStorageTierDetails(
        object_name="o", storage_tier="InfrequentAccess"))
    assert client.head_object(NS, bucket, "o").headers["storage-tier"] == "InfrequentAccess"


def test_batch_delete(client, store, bucket):
    for name in "abc":
        client.put_object(NS, bucket, name, b"1")
    found = client.batch_delete_objects(NS, bucket, models.BatchDeleteObjectsDetails(
        objects=[models.BatchDeleteObjectIdentifier(object_name=n) for n in "abz"])).data
    assert [d.object_name for d in found.deleted] == ["a", "b"]
    assert [(f.object_name, f.status_code) for f in found.failed] == [("z", 404)]
    assert store.names(bucket) == ["c"]


def test_customer_key(client, bucket):
    key = bytes(range(32))
    given = {"opc_sse_customer_algorithm": "AES256",
             "opc_sse_customer_key": base64.b64encode(key).decode(),
             "opc_sse_customer_key_sha256": base64.b64encode(
                 hashlib.sha256(key).digest()).decode()}
    client.put_object(NS, bucket, "s", b"secret", **given)
    assert client.get_object(NS, bucket, "s", **given).data.content == b"secret"
    with fails(400, "InvalidParameter"):
        client.get_object(NS, bucket, "s")


def test_get_user(store):
    client = oci.identity.IdentityClient(store.profile.as_config(), service_endpoint=store.url)
    store.set_user(name="jane", email="jane@example.com")
    found = client.get_user(store.profile.user).data
    assert (found.id, found.name, found.email) == (store.profile.user, "jane", "jane@example.com")
    with fails(404, "NotAuthorizedOrNotFound"):
        client.get_user("ocid1.user.oc1..nobody")


def test_wrong_key(store, client):
    config = {**store.profile.as_config(), "fingerprint": "00:" * 15 + "00"}
    other = ObjectStorageClient(config, service_endpoint=store.url,
                                retry_strategy=oci.retry.NoneRetryStrategy())
    with fails(401, "NotAuthenticated"):
        other.get_namespace()


def test_clock(store, client):
    store.set_clock(400)
    try:
        with fails(401, "NotAuthenticated"):
            client.get_namespace()
    finally:
        store.set_clock(0)
    client.get_namespace()


def test_default_retries_get_through(store, bucket):
    """The SDK's own retries pass a 503 and a lost answer."""
    client = ObjectStorageClient(store.profile.as_config(), service_endpoint=store.url)
    store.on("PutObject", bucket=bucket, do=503)
    store.on("GetObject", bucket=bucket, do="reset", at="answer")
    try:
        client.put_object(NS, bucket, "o", b"1")
        assert client.get_object(NS, bucket, "o").data.content == b"1"
    finally:
        store.clear()
    statuses = [e["status"] for e in store.log(bucket=bucket) if e["op"] != "CreateBucket"]
    assert statuses == [503, 200, None, 200]


def test_parallel_readers(client, bucket):
    data = os.urandom(2 * MIB)
    client.put_object(NS, bucket, "o", data)
    got = []

    def read():
        got.append(client.get_object(NS, bucket, "o").data.raw.read())
    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert got == [data] * 8
