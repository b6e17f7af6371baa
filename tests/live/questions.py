# SPDX-License-Identifier: Apache-2.0
"""questions.py - what only the real service can answer.

A question is a function under @question(expected): it makes requests of its own and returns what it
found. The claim that it settles, its docstring, holds if that is `expected`: ocid or the test store
take it for granted. Unsettled: the answer says nothing about the claim.
"""
import base64
import email.utils
import re
import time

from service import SIGNED, quoted

MIB = 1 << 20
QUESTIONS = []


class Unsettled(Exception):
    """Why a claim could be neither confirmed nor refuted."""


def question(expected):
    def keep(function):
        QUESTIONS.append((function, expected))
        return function
    return keep


def crc32c(data):
    """In base64, as the headers have it; slow, and right for the little that is sent here."""
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return base64.b64encode((crc ^ 0xFFFFFFFF).to_bytes(4, "big")).decode()


def sums(answer, data=None):
    """Whether the answer has a CRC32C, and that of these bytes."""
    value = answer.headers.get("opc-content-crc32c")
    if value is None:
        return "no CRC32C"
    return "CRC32C" if data is None or value == crc32c(data) else "another CRC32C"


def needed(answer, what):
    """The answer, of something that has to work before the question can be asked."""
    if not 200 <= answer.status < 300:
        raise Unsettled(f"{what}: {answer}")
    return answer


# ---- checksums


@question("200 CRC32C")
def checksum_of_a_put(p):
    """The answer to a put that asks for it has the CRC32C of the body."""
    body = b"live" * 100
    r = p.put("sum", body, opc_checksum_algorithm="CRC32C", opc_content_crc32c=crc32c(body))
    return f"{r} {sums(r, body)}"


@question("200 CRC32C")
def checksum_that_the_service_computes(p):
    """An algorithm without a value makes the service compute it."""
    r = p.put("sum", b"computed", opc_checksum_algorithm="CRC32C")
    return f"{r} {sums(r, b'computed')}"


@question("400")
def wrong_checksum(p):
    """A body that is not what its CRC32C says is refused."""
    r = p.put("wrong", b"one", opc_checksum_algorithm="CRC32C", opc_content_crc32c=crc32c(b"two"))
    return str(r.status)


@question("400 UnmatchedContentMD5")
def wrong_md5(p):
    """A body that is not what its Content-MD5 says is refused."""
    return str(p.put("wrong", b"one", content_md5="1B2M2Y8AsgTpgAmY7PhCfg=="))


@question("CRC32C")
def checksum_of_a_head(p):
    """The answer to a HEAD has the CRC32C that the put asked for."""
    p.put("sum", b"x", opc_checksum_algorithm="CRC32C")
    return sums(p.ask("HEAD", p.o("sum")), b"x")


@question("200 CRC32C")
def checksum_of_a_get(p):
    """The answer to a get of the whole object has its CRC32C."""
    p.put("sum", b"whole", opc_checksum_algorithm="CRC32C")
    r = p.ask("GET", p.o("sum"))
    return f"{r.status} {sums(r, b'whole')}"


@question("206 CRC32C")
def checksum_of_a_range(p):
    """The answer to a range has the CRC32C of the whole object."""
    p.put("range", b"0123456789", opc_checksum_algorithm="CRC32C")
    r = p.ask("GET", p.o("range"), range="bytes=2-4")
    return f"{r.status} {sums(r, b'0123456789')}"


@question("the object's")
def md5_of_a_range(p):
    """The content-md5 in the answer to a range is that of the object, not of the range."""
    whole = needed(p.put("range", b"0123456789"), "the put").headers.get("opc-content-md5")
    value = p.ask("GET", p.o("range"), range="bytes=2-4").headers.get("content-md5")
    return "none" if value is None else "the object's" if value == whole else "the range's"


@question("200 CRC32C")
def checksum_of_a_part(p):
    """The answer to a part has its CRC32C if the upload was begun with that algorithm."""
    upload = p.begin("sums", opc_checksum_algorithm="CRC32C")
    r = p.part("sums", upload, 1, b"part", opc_checksum_algorithm="CRC32C")
    p.ask("DELETE", p.u("sums", uploadId=upload))
    return f"{r} {sums(r, b'part')}"


@question("400")
def wrong_checksum_of_a_part(p):
    """A part that is not what its CRC32C says is refused."""
    upload = p.begin("sums", opc_checksum_algorithm="CRC32C")
    r = p.part("sums", upload, 1, b"one", opc_checksum_algorithm="CRC32C",
               opc_content_crc32c=crc32c(b"two"))
    p.ask("DELETE", p.u("sums", uploadId=upload))
    return str(r.status)


@question("200 CRC32C, opc-multipart-md5 -2")
def checksums_of_a_commit(p):
    """The answer to a commit has the CRC32C of the object however it was split, and
    opc-multipart-md5 with the number of parts."""
    r = p.in_parts("sums", [b"x" * 100, b"y" * 50], "CRC32C")
    return f"{r} {sums(r, b'x' * 100 + b'y' * 50)}, {multipart(r, 'md5')}"


def multipart(answer, name):
    value = answer.headers.get(f"opc-multipart-{name}")
    if value is None:
        return f"no opc-multipart-{name}"
    return f"opc-multipart-{name} " + (re.search(r"(-\d+)?$", value)[0] or "without a count")


@question("opc-multipart-sha256 -2")
def sha256_of_a_commit(p):
    """opc-multipart-sha256 has the number of parts behind it, as opc-multipart-md5 has."""
    return multipart(needed(p.in_parts("sha", [b"x", b"y"], "SHA256"), "the commit"), "sha256")


@question("with a count")
def md5_of_a_multipart_object_in_a_listing(p):
    """A listing shows opc-multipart-md5 as the md5 of an object that was made in parts."""
    needed(p.in_parts("listed-parts", [b"x", b"y"]), "the commit")
    md5 = p.rows("name,md5", "listed-parts")[0].get("md5")
    return "none" if md5 is None else "with a count" if re.search(r"-\d+$", md5) else "without one"


# ---- signatures and the clock


@question("206 206 206")
def one_signature_for_several_ranges(p):
    """Range is not signed: one signature, date and all, serves for three of them."""
    p.put("range", b"0123456789")
    date = email.utils.formatdate(time.time(), usegmt=True)
    headers = {"date": date, "host": p.service.url.netloc}
    auth = {"date": date,
            "authorization": p.service.authorize("GET", p.o("range"), headers, SIGNED)}
    return " ".join(str(p.ask("GET", p.o("range"), auth=auth, range=f"bytes={i}-{i}").status)
                    for i in range(3))


@question("200, 401, 401")
def how_late_a_request_may_be(p):
    """A request may be dated four minutes ago; six minutes ago, or six ahead, are refused."""
    p.put("sum", b"x")
    return ", ".join(str(p.ask("GET", p.o("sum"), late=s).status) for s in (-240, -360, 360))


@question("401 NotAuthenticated")
def ten_minutes_late(p):
    """A request that is dated ten minutes ago is refused as not authenticated."""
    return str(p.ask("GET", p.o("sum"), late=-600))


@question("Date '…' is not within allowed clock skew. Current '…', valid datetime range: ['…','…']")
def words_of_a_wrong_clock(p):
    """The message of that refusal tells the service's own time."""
    return re.sub(r"'[^']*'", "'…'", p.ask("GET", p.o("sum"), late=-600).field("message"))


@question("with a Date header")
def ten_minutes_late_has_a_date(p):
    """That refusal has a Date, by which ocid corrects its clock, also where there is no body."""
    dated = all("date" in p.ask(m, p.o("sum"), late=-600).headers for m in ("GET", "HEAD"))
    return "with a Date header" if dated else "without a Date header"


@question("401")
def unsigned_sum_of_a_body(p):
    """An x-content-sha256 that is sent has to be signed."""
    return str(p.put("unsigned", b"x", x_content_sha256="LXEWQrcmsEQBYnyp++6wy9chTD7GQPMT"
                                                        "brYB13d+1M0=").status)


# ---- conditions, commits, parts


@question("412")
def put_of_what_is_there(p):
    """if-none-match: * refuses a put when the object exists."""
    p.put("there", b"1")
    return str(p.put("there", b"2", if_none_match="*").status)


@question("412")
def begin_of_what_is_there(p):
    """if-none-match: * refuses an upload when the object exists."""
    p.put("there", b"1")
    return str(p.ask("POST", p.base + "/u", {"object": p.prefix + "there"},
                     if_none_match="*").status)


@question("412, the upload is still there")
def commit_of_what_is_there(p):
    """if-none-match: * refuses a commit when another object has come meanwhile, and the upload
    survives."""
    upload = p.begin("race")
    etag = p.part("race", upload, 1, b"x").headers["etag"]
    p.put("race", b"theirs")
    r = p.commit("race", upload, {1: etag}, if_none_match="*")
    left = upload in [one for _, one in p.uploads()[0]]
    p.ask("DELETE", p.u("race", uploadId=upload))
    return f"{r.status}, the upload is " + ("still there" if left else "gone")


@question("200, then 404")
def second_commit(p):
    """A second commit, after the answer to the first was lost, finds no upload."""
    upload = p.begin("twice")
    etag = p.part("twice", upload, 1, b"x").headers["etag"]
    first, second = (p.commit("twice", upload, {1: etag}) for _ in range(2))
    return f"{first.status}, then {second.status}"


@question("200")
def small_parts(p):
    """Parts may be as small as 1 MiB, where the documentation says 10."""
    return str(p.in_parts("small", [b"x" * MIB, b"x" * MIB]))


@question("400 InvalidUploadPart")
def commit_of_a_wrong_part(p):
    """A commit by an etag that no part has is refused."""
    upload = p.begin("wrongpart")
    p.part("wrongpart", upload, 1, b"x")
    r = p.commit("wrongpart", upload, {1: "no-such-etag"})
    p.ask("DELETE", p.u("wrongpart", uploadId=upload))
    return str(r)


@question("400 InvalidUploadPart")
def commit_without_one_part(p):
    """A part that was sent has to be committed or excluded."""
    upload = p.begin("unnamed")
    etags = {n: p.part("unnamed", upload, n, b"x").headers["etag"] for n in (1, 2)}
    r = p.commit("unnamed", upload, {1: etags[1]})
    p.ask("DELETE", p.u("unnamed", uploadId=upload))
    return str(r)


@question("404")
def part_of_no_upload(p):
    """A part of an upload that there is not is refused as not found."""
    return str(p.part("none", "no-such-upload", 1, b"x").status)


@question("partNumber, etag, md5, size")
def fields_of_a_part(p):
    """The list of parts has what a resumed upload needs."""
    upload = p.begin("fields")
    p.part("fields", upload, 1, b"x")
    parts = p.ask("GET", p.u("fields", uploadId=upload)).json()
    p.ask("DELETE", p.u("fields", uploadId=upload))
    return ", ".join(k for k in ("partNumber", "etag", "md5", "size") if k in parts[0])


# ---- ranges and conditions of a get


@question("416, 416")
def a_range_beyond_the_end(p):
    """A range behind the end, and any range of an empty object, is answered by 416."""
    p.put("range", b"0123456789")
    p.put("empty", b"")
    return (f"{p.ask('GET', p.o('range'), range='bytes=10-').status}, "
            f"{p.ask('GET', p.o('empty'), range='bytes=0-99').status}")


@question("206, 412")
def a_range_of_one_version(p):
    """A range by if-match is answered for this version, and by 412 for another one."""
    etag = needed(p.put("range", b"0123456789"), "the put").headers["etag"]
    return ", ".join(str(p.ask("GET", p.o("range"), range="bytes=0-1", if_match=one).status)
                     for one in (etag, "another"))


@question("404 ObjectNotFound")
def an_object_that_is_not_there(p):
    """The get of no object is told from that of no bucket by its code."""
    return str(p.ask("GET", p.o("nothing")))


@question("404 ObjectNotFound")
def delete_of_what_is_not_there(p):
    """To delete no object is an error."""
    return str(p.ask("DELETE", p.o("nothing")))


# ---- names, metadata, listings


@question("yes")
def listing_knows_a_put_at_once(p):
    """A listing has an object as soon as its put was answered."""
    p.put("listed", b"x")
    return "yes" if p.prefix + "listed" in p.names()[0] else "no"


@question("name, size, etag, md5, timeCreated, timeModified, storageTier")
def fields_of_a_listing(p):
    """A listing gives each field that it is asked for."""
    p.put("listed", b"x")
    fields = "name,size,etag,md5,timeCreated,timeModified,storageTier"
    row = next(row for row in p.rows(fields, "listed") if row["name"] == p.prefix + "listed")
    return ", ".join(k for k in fields.split(",") if row.get(k) is not None)


@question(". and ..")
def names_that_are_dots(p):
    """'x/.' and 'x/..' are names as any other, and are kept apart."""
    for name in ("dots/.", "dots/.."):
        p.put(name, b"x")
    start = len(p.prefix) + len("dots/")
    return " and ".join(row["name"][start:] for row in p.rows("name", "dots/")) or "neither"


@question("one object")
def a_slash_is_a_slash(p):
    """A slash in a name may be sent as it is: it is the same object as by %2F."""
    etag = needed(p.put("a/b+c", b"x"), "the put").headers["etag"]
    path = p.o("a/b+c").replace("%2F", "/")
    r = p.ask("GET", path)
    return "one object" if r.headers.get("etag") == etag else str(r)


@question("lower case")
def case_of_metadata(p):
    """Names of metadata come back in lower case."""
    p.put("meta", b"x", **{"opc-meta-MiXed": "v"})
    r = p.ask("HEAD", p.o("meta"))
    return "lower case" if r.headers.get("opc-meta-mixed") == "v" else "gone"


@question("200, then 400 MetadataTooLarge")
def how_large_metadata_may_be(p):
    """Some 3900 bytes of metadata are kept, 5000 are too large."""
    return (f"{p.put('meta', b'x', **{'opc-meta-x': 'v' * 3880})}, then "
            f"{p.put('meta', b'x', **{'opc-meta-x': 'v' * 5000})}")


# ---- actions


@question("200")
def a_rename(p):
    """A rename works at once."""
    p.put("rename-from", b"x")
    return str(p.act("renameObject", sourceName=p.prefix + "rename-from",
                     newName=p.prefix + "rename-to").status)


@question("400")
def a_rename_to_the_same_name(p):
    """A rename to the same name is refused."""
    p.put("rename", b"x")
    return str(p.act("renameObject", sourceName=p.prefix + "rename",
                     newName=p.prefix + "rename").status)


@question("200, 1 deleted, 1 failed by 404")
def a_batch_of_deletes(p):
    """batchDeleteObjects exists and tells of each object."""
    p.put("batch", b"x")
    r = p.act("batchDeleteObjects", objects=[{"objectName": p.prefix + name}
                                             for name in ("batch", "nothing")])
    if r.status != 200:
        return str(r)
    failed = r.json().get("failed") or []
    return (f"200, {len(r.json().get('deleted') or [])} deleted, {len(failed)} failed"
            + "".join(f" by {one.get('statusCode')}" for one in failed))


@question("202, 200 with a Retry-After, COMPLETED")
def a_copy_is_work(p):
    """A copy is answered by 202 and the id of its work, whose state says how soon to ask again."""
    p.put("copy-from", b"x")
    r = needed(p.act("copyObject", sourceObjectName=p.prefix + "copy-from",
                     destinationRegion=p.region, destinationNamespace=p.namespace,
                     destinationBucket=p.bucket, destinationObjectName=p.prefix + "copy-to"),
               "copies are not allowed here")
    work = r.headers["opc-work-request-id"]
    p.work.append(work)
    asked = p.ask("GET", f"/workRequests/{quoted(work)}")
    hint = "with a" if "retry-after" in asked.headers else "without"
    p.work_ends()
    return f"{r.status}, {asked.status} {hint} Retry-After, {p.status_of_work(work)}"


# ---- pre-authenticated requests


@question("200, then 404")
def a_link_and_its_end(p):
    """A pre-authenticated request works without a signature; after its end it is not found."""
    p.put("linked", b"x")
    link = needed(p.link("linked", "ObjectRead"), "links are not allowed here").json()
    used = p.ask("GET", link["accessUri"], sign=False)
    p.ask("DELETE", f"{p.base}/p/{quoted(link['id'])}")
    again = p.ask("GET", link["accessUri"], sign=False)
    return f"{used.status}, then {again.status}"


@question("200, 200, 200 with 1 part, 200")
def a_link_takes_parts(p):
    """A pre-authenticated request begins an upload, takes parts, lists them, and commits."""
    link = needed(p.link("linked-parts", "ObjectWrite"), "links are not allowed here").json()
    begun = p.ask("PUT", link["accessUri"], b"", sign=False, opc_multipart="true")
    where = needed(begun, "it begins no upload").json()["accessUri"]
    part = p.ask("PUT", where + "1", b"x", sign=False)
    parts = p.ask("GET", where, sign=False)
    n = len(parts.json()) if parts.status == 200 else 0
    return (f"{begun.status}, {part.status}, {parts.status} with {n} part, "
            f"{p.ask('POST', where, b'', sign=False).status}")


@question("200 whole, 206 of 3 bytes")
def a_link_gives_ranges(p):
    """A pre-authenticated request answers a range as a signed one does."""
    p.put("linked", b"0123456789")
    uri = needed(p.link("linked", "ObjectRead"), "links are not allowed here").json()["accessUri"]
    whole = p.ask("GET", uri, sign=False)
    part = p.ask("GET", uri, sign=False, range="bytes=2-4")
    return (f"{whole.status} {'whole' if whole.body == b'0123456789' else 'otherwise'}, "
            f"{part.status} of {len(part.body)} bytes")
