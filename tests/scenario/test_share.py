# SPDX-License-Identifier: Apache-2.0
"""test_share.py - links for those without credentials: they open what they say and nothing else, end
when they are told to, and no crash, lost answer or cancel leaves one that nobody knows of."""

import asyncio
import json
import urllib.error
import urllib.request

import pytest
from harness import blob, client_library, until

HOUR_MS = 3600 * 1000


def fetch(url, method="GET", data=None):
    """As a function without credentials and packages does it: (status, body)."""
    request = urllib.request.Request(url, data=data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def share(ocid, where, **fields):
    """A raw share, not waited for; the job's id."""
    bucket, _, name = where.partition("/")
    expires = fields.pop("expires_at", None) or 4_000_000_000_000
    (job,) = ocid.submit({"kind": "share", "bucket": bucket, "object": name,
                          "expires_at": expires, **fields})
    return job


def links(ocid, b):
    return list(ocid.client.shares(b))


def test_a_link_reads_its_object_and_nothing_else(ocid, b):
    data = blob(100_000)
    ocid.done(ocid.put(data, f"{b}/dir/a b+c é.npy"))
    ocid.done(ocid.put(b"other", f"{b}/other"))
    url = ocid.client.share(f"oci://{b}/dir/a b+c é.npy", hours=1)
    assert fetch(url) == (200, data)
    assert fetch(url, "PUT", b"new")[0] == 404
    base = url.rpartition("/o/")[0]
    assert fetch(f"{base}/o/other")[0] == 404 and fetch(f"{base}/o/")[0] == 404


def test_a_link_writes_its_object(ocid, b):
    url = ocid.client.share(f"oci://{b}/result", access="write")
    assert fetch(url, "PUT", b"written")[0] == 200
    assert ocid.client.get_bytes(f"{b}/result") == b"written"
    assert fetch(url)[0] == 404
    url = ocid.client.share(f"oci://{b}/result", access="read_write")
    assert fetch(url) == (200, b"written") and fetch(url, "PUT", b"again")[0] == 200
    assert fetch(url) == (200, b"again")


def test_a_link_to_a_prefix(ocid, b):
    ocid.done(ocid.put(b"1", f"{b}/run7/one"))
    ocid.done(ocid.put(b"8", f"{b}/run8/one"))
    url = ocid.client.share(f"oci://{b}/run7/", prefix=True, listing=True)
    assert fetch(url + "run7%2Fone") == (200, b"1") and fetch(url + "run8%2Fone")[0] == 404
    status, body = fetch(url)
    assert status == 200 and [o["name"] for o in json.loads(body)["objects"]] == ["run7/one"]
    closed = ocid.client.share(f"oci://{b}", prefix=True)
    assert fetch(closed + "run8%2Fone") == (200, b"8") and fetch(closed)[0] == 404


def test_links_are_listed_without_what_is_secret(ocid, b):
    url = ocid.client.share(f"oci://{b}/in/o", hours=2)
    ocid.client.share(f"oci://{b}/out/", access="read_write", prefix=True, listing=True)
    rows = {row.name or row.prefix: row for row in links(ocid, b)}
    assert set(rows) == {"in/o", "out/"}
    one, many = rows["in/o"], rows["out/"]
    assert (one.access, one.listing, one.prefix) == ("read", False, "")
    assert (many.access, many.listing, many.prefix) == ("read_write", True, "out/")
    assert one.time_expires > one.time_created and one.share_id != many.share_id
    job = ocid.status(one.job)
    assert job.outcome.result["url"] == url and job.outcome.result["share_id"] == one.share_id
    token = url.split("/p/")[1].split("/")[0]
    assert token not in str(rows) and [row.name for row in ocid.client.shares(f"{b}/in/")] == ["in/o"]


def test_more_links_than_a_page(ocid, store, b):
    store.on("ListPreauthenticatedRequests", do="short_pages", limit=3, count=0)
    for i in range(8):
        ocid.client.share(f"oci://{b}/o{i}")
    assert sorted(row.name for row in links(ocid, b)) == [f"o{i}" for i in range(8)]


def test_a_revoked_link_opens_nothing(ocid, store, b):
    ocid.done(ocid.put(b"x", f"{b}/o"))
    url = ocid.client.share(f"oci://{b}/o")
    (row,) = links(ocid, b)
    ocid.done(ocid.client.revoke(b, row.share_id).id)
    assert fetch(url)[0] == 404 and links(ocid, b) == []
    ocid.failed(ocid.client.revoke(b, row.share_id).id, "not_found")


def test_a_revoke_whose_answer_was_lost_is_done(ocid, store, b):
    ocid.client.share(f"oci://{b}/o")
    (row,) = links(ocid, b)
    store.on("DeletePreauthenticatedRequest", do="reset", at="answer")
    ocid.done(ocid.client.revoke(b, row.share_id).id)
    assert links(ocid, b) == []


def test_a_link_ends_by_itself(ocid, store, b):
    ocid.done(ocid.put(b"x", f"{b}/o"))
    url = ocid.client.share(f"oci://{b}/o", hours=1)
    assert fetch(url) == (200, b"x")
    store.set_clock(3601)
    assert fetch(url)[0] == 404


def test_a_time_that_is_over_is_refused(ocid, b):
    ocid.failed(share(ocid, f"{b}/o", expires_at=1_000_000_000_000), "invalid")
    assert links(ocid, b) == []
    with pytest.raises(client_library.Invalid):
        ocid.client.share(f"oci://{b}/o", hours=0)


def test_no_bucket(ocid):
    with pytest.raises(client_library.NotFound):
        ocid.client.share("oci://no-such-bucket/o")
    with pytest.raises(client_library.NotFound):
        list(ocid.client.shares("no-such-bucket"))
    ocid.failed(ocid.client.revoke("no-such-bucket", "id").id, "not_found")


def test_refused_credentials_are_waited_for(ocid, store, b):
    store.on("CreatePreauthenticatedRequest", do=401, count=0)
    job = share(ocid, f"{b}/o")
    ocid.wait_for(job, "waiting", "login")
    store.clear()
    ocid.client.resume([job])
    ocid.done(job)
    assert len(links(ocid, b)) == 1


def the_only_one(ocid, b, job):
    """The job is done, and its link is the only one there is."""
    result = ocid.done(job).outcome.result
    (row,) = links(ocid, b)
    assert (row.share_id, row.job) == (result["share_id"], job)
    assert fetch(result["url"]) == (200, b"x")


@pytest.fixture
def o(ocid, b):
    """Where an object is."""
    ocid.done(ocid.put(b"x", f"{b}/o"))
    return f"{b}/o"


@pytest.mark.parametrize("rule", [{"do": "reset", "at": "answer"}, {"do": 503, "at": "answer"},
                                  {"do": "reset", "at": "start"}, {"do": 503}])
def test_a_lost_answer_leaves_one_link(ocid, store, b, o, rule):
    store.on("CreatePreauthenticatedRequest", **rule)
    the_only_one(ocid, b, share(ocid, o))


def test_a_lost_answer_and_a_search_that_fails_at_first(ocid, store, b, o):
    store.on("CreatePreauthenticatedRequest", do="reset", at="answer", count=2)
    store.on("ListPreauthenticatedRequests", do=503)
    store.on("DeletePreauthenticatedRequest", do="reset", at="answer")
    the_only_one(ocid, b, share(ocid, o))


@pytest.mark.parametrize("at", ["start", "answer"])
def test_killed_while_it_is_made(ocid, store, b, o, at):
    store.on("CreatePreauthenticatedRequest", do="hang", at=at, count=0)
    job = share(ocid, o)
    store.wait_hit("CreatePreauthenticatedRequest", 1)
    if at == "answer":
        until(lambda: links(ocid, b), "the link is there")
    ocid.kill()
    store.clear()
    ocid.start()
    the_only_one(ocid, b, job)


def test_killed_again_while_an_orphan_is_ended(ocid, store, b, o):
    store.on("CreatePreauthenticatedRequest", do="hang", at="answer", count=0)
    job = share(ocid, o)
    until(lambda: links(ocid, b), "the link is there")
    ocid.kill()
    store.clear()
    store.on("DeletePreauthenticatedRequest", do="hang", at="answer", count=0)
    ocid.start()
    store.wait_hit("DeletePreauthenticatedRequest", 1)
    ocid.kill()
    store.clear()
    ocid.start()
    the_only_one(ocid, b, job)


def test_links_of_others_are_left_alone(ocid, store, b, o):
    first = share(ocid, o)
    ocid.done(first)
    store.on("CreatePreauthenticatedRequest", do="reset", at="answer")
    second = share(ocid, o)
    ocid.done(second)
    assert sorted(row.job for row in links(ocid, b)) == [first, second]


@pytest.mark.parametrize("crash", [False, True])
def test_cancelled_while_it_is_made(ocid, store, b, o, crash):
    rule = store.on("CreatePreauthenticatedRequest", do="hang", at="answer", count=0)
    job = share(ocid, o)
    until(lambda: links(ocid, b), "the link is there")
    ocid.client.cancel([job])
    ocid.wait_for(job, "cancelled")
    if crash:
        ocid.kill()
    store.clear()
    if crash:
        ocid.start()
    assert rule
    until(lambda: not links(ocid, b), "the link is gone")


def test_paused_while_it_is_made(ocid, store, b, o):
    store.on("CreatePreauthenticatedRequest", do="hang", at="answer", count=0)
    job = share(ocid, o)
    until(lambda: links(ocid, b), "the link is there")
    ocid.client.pause([job])
    store.clear()
    ocid.wait_for(job, "paused")
    ocid.client.resume([job])
    the_only_one(ocid, b, job)


def test_a_link_outlives_the_daemon_in_its_job_and_nowhere_else(ocid, b, o):
    job = share(ocid, o)
    url = ocid.done(job).outcome.result["url"]
    ocid.crash()
    assert ocid.status(job).outcome.result["url"] == url
    assert ocid.database().stat().st_mode & 0o077 == 0
    assert url.split("/p/")[1].split("/")[0] not in ocid.log()


def test_the_same_key_is_the_same_link(ocid, b):
    urls = {ocid.client.share(f"oci://{b}/o", key="once") for _ in range(2)}
    assert len(urls) == 1 and len(links(ocid, b)) == 1


def test_by_an_event_loop(ocid, b, o):
    from ocid import aio

    async def main():
        async with aio.Client(socket=ocid.socket) as client:
            url = await client.share(f"oci://{o}")
            rows = [row async for row in client.shares(b)]
            await (await client.revoke(b, rows[0].share_id))
            return url, rows
    url, rows = asyncio.run(main())
    assert len(rows) == 1 and fetch(url)[0] == 404


# By hand.

def test_a_person_is_told_what_the_link_is(ocid, b, o):
    done = ocid.ctl("share", f"oci://{o}", "--expires", "2h")
    assert done.status == 0 and fetch(done.out.strip()) == (200, b"x"), done
    assert "keep it secret" in done.err and f"may read oci://{o} until" in done.err
    assert "never shows it again" in done.err and done.out.strip() not in done.err
    (row,) = links(ocid, b)
    assert row.share_id in done.err
    done = ocid.ctl("share", f"oci://{o}", "--read-write", "--quiet")
    assert done.status == 0 and done.err == "" and fetch(done.out.strip(), "PUT", b"x")[0] == 200


def test_links_on_the_command_line(ocid, b, o):
    done = ocid.ctl("share", f"oci://{o}", "--json")
    made = json.loads(done.out)
    assert done.status == 0 and set(made) == {"url", "expires", "share_id", "share_name"}, done
    done = ocid.ctl("share", "-r", f"oci://{b}/", "--listing")
    assert done.status == 0 and "may read oci://" in done.err and "/* until" in done.err, done
    done = ocid.ctl("shares", f"oci://{b}")
    assert done.status == 0 and len(done.out.splitlines()) == 2 and made["share_id"] in done.out
    done = ocid.ctl("shares", f"oci://{b}", "--json")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert {row.get("name", row.get("prefix")) for row in rows} == {"o", ""}
    assert "url" not in done.out and "/p/" not in done.out
    done = ocid.ctl("revoke", f"oci://{b}", *[row["share_id"] for row in rows])
    assert done.status == 0 and links(ocid, b) == [], done
    assert fetch(made["url"])[0] == 404
    done = ocid.ctl("revoke", f"oci://{b}", made["share_id"])
    assert done.status == 4, done


def test_a_link_that_was_not_waited_for_is_shown_by_status(ocid, b, o):
    done = ocid.ctl("share", f"oci://{o}", "--no-wait")
    job = int(done.out)
    url = ocid.done(job).outcome.result["url"]
    assert url in ocid.ctl("status", str(job)).out
    assert url not in ocid.ctl("status").out


@pytest.mark.parametrize("words, said", [
    (["oci://b"], "with -r"), (["-r", "oci://b/x"], "x/"), (["oci://b/o", "--listing"], "-r"),
    (["oci://b/o", "--write", "--read-write"], "exclude"), (["oci://b/o", "-e", "soon"], "1h30m")])
def test_words_that_make_no_link(ocid, words, said):
    done = ocid.ctl("share", *words)
    assert done.status == 2 and said in done.err, done
