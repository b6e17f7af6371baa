# SPDX-License-Identifier: Apache-2.0
"""The questions of tests/live/run.sh, whose head says how it is used.

A question is a function under @question: it makes requests of its own and returns what it found
and whether that is what ocid and the test store take for granted; None: it could not be settled.
"""
import argparse
import atexit
import base64
import configparser
import email.utils
import getpass
import glob
import hashlib
import http.client
import json
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
SIGNED = ("date", "(request-target)", "host")
SIGNED_BODY = (*SIGNED, "content-length", "content-type", "x-content-sha256")
QUESTIONS = []


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


class Answer:
    def __init__(self, response):
        self.status, self.body = response.status, response.read()
        self.headers = {k.lower(): v for k, v in response.getheaders()}

    @property
    def code(self):
        """The service's own word for an error."""
        try:
            return json.loads(self.body).get("code", "")
        except (ValueError, AttributeError):
            return ""

    def json(self):
        return json.loads(self.body)

    def __str__(self):
        return f"{self.status} {self.code}".strip()


class Service:
    """Signed requests, each written by hand: ocid never sends most of them."""

    def __init__(self, profile, endpoint, ca_file):
        self.key_id, self.key = profile
        self.url = urllib.parse.urlsplit(endpoint)
        self.tls = None
        if self.url.scheme == "https":
            self.tls = ssl.create_default_context(cafile=ca_file)
        self.n = 0

    def authorize(self, method, target, headers, body):
        names = SIGNED
        if body is not None and "x-content-sha256" in headers:
            names = SIGNED_BODY
        lines = [f"{n}: {method.lower()} {target}" if n == "(request-target)"
                 else f"{n}: {headers[n]}" for n in names]
        sig = self.key.sign("\n".join(lines).encode(), padding.PKCS1v15(), hashes.SHA256())
        return (f'Signature version="1",keyId="{self.key_id}",algorithm="rsa-sha256",'
                f'headers="{" ".join(names)}",signature="{base64.b64encode(sig).decode()}"')

    def ask(self, method, target, body=None, *, late=0, sign=True, auth=None, **headers):
        """One request; late: its date, in seconds from now; auth: this one instead, with its date.
        A dict is sent as JSON, and signed."""
        self.n += 1
        sent = {"host": self.url.netloc,
                "date": email.utils.formatdate(time.time() + late, usegmt=True)}
        sent |= {k.replace("_", "-"): v for k, v in headers.items()}
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
            sent |= {"content-type": "application/json", "x-content-sha256": digest}
        if body is not None:
            sent["content-length"] = str(len(body))
        if auth:
            sent |= auth
        elif sign:
            sent["authorization"] = self.authorize(method, target, sent, body)
        kind = http.client.HTTPSConnection if self.tls else http.client.HTTPConnection
        c = kind(self.url.hostname, self.url.port, timeout=60,
                 **({"context": self.tls} if self.tls else {}))
        try:
            c.request(method, target, body, sent)
            return Answer(c.getresponse())
        finally:
            c.close()


class Place:
    """The bucket, and names below our prefix in it."""

    def __init__(self, service, namespace, bucket):
        self.ask = service.ask
        self.service = service
        self.base = f"/n/{urllib.parse.quote(namespace, safe='')}/b/{bucket}"
        self.prefix = f"ocid-live-{secrets.token_hex(6)}/"
        self.links = []

    def quoted(self, name):
        return urllib.parse.quote(self.prefix + name, safe="")

    def o(self, name):
        return f"{self.base}/o/{self.quoted(name)}"

    def u(self, name, **query):
        return f"{self.base}/u/{self.quoted(name)}?{urllib.parse.urlencode(query)}"

    def put(self, name, body, **headers):
        return self.ask("PUT", self.o(name), body, **headers)

    def begin(self, name, **headers):
        """A multipart upload's id."""
        r = self.ask("POST", self.base + "/u", {"object": self.prefix + name}, **headers)
        return r.json()["uploadId"] if r.status == 200 else None

    def part(self, name, upload, number, body, **headers):
        return self.ask("PUT", self.u(name, uploadId=upload, uploadPartNum=number), body, **headers)

    def commit(self, name, upload, etags, **headers):
        parts = [{"partNum": n, "etag": e} for n, e in etags.items()]
        return self.ask("POST", self.u(name, uploadId=upload), {"partsToCommit": parts}, **headers)

    def clean(self):
        """Deletes what is ours; how many things could not be, a listing that failed among them."""
        left = 0
        for link in self.links:
            path = f"{self.base}/p/{urllib.parse.quote(link, safe='')}"
            left += self.ask("DELETE", path).status not in (204, 404)
        names, whole = self.names()
        left += not whole
        for o in names:
            path = f"{self.base}/o/{urllib.parse.quote(o, safe='')}"
            left += self.ask("DELETE", path).status not in (204, 404)
        uploads, whole = self.uploads()
        left += not whole
        for o, upload in uploads:
            path = (f"{self.base}/u/{urllib.parse.quote(o, safe='')}?"
                    + urllib.parse.urlencode({"uploadId": upload}))
            left += self.ask("DELETE", path).status not in (204, 404)
        return left

    def names(self):
        """Our objects, and whether these are all."""
        start, found = self.prefix, []
        while start:
            query = urllib.parse.urlencode({"prefix": self.prefix, "start": start, "limit": 1000})
            r = self.ask("GET", f"{self.base}/o?{query}")
            if r.status != 200:
                return found, False
            found += [o["name"] for o in r.json()["objects"]]
            start = r.json().get("nextStartWith")
        return found, True

    def uploads(self):
        """Our unfinished uploads, and whether these are all."""
        page, found = {}, []
        while page is not None:
            query = urllib.parse.urlencode({"limit": 1000, **page})
            r = self.ask("GET", f"{self.base}/u?{query}")
            if r.status != 200:
                return found, False
            found += [(u["object"], u["uploadId"]) for u in r.json()
                      if u["object"].startswith(self.prefix)]
            next_page = r.headers.get("opc-next-page")
            page = {"page": next_page} if next_page else None
        return found, True


# ---- questions


def sums(answer):
    return "CRC32C" if "opc-content-crc32c" in answer.headers else "no CRC32C"


@question("200 CRC32C")
def checksum_of_a_put(p):
    """Whether the answer to a put that asks for it has the CRC32C."""
    body = b"live" * 100
    r = p.put("sum", body, opc_checksum_algorithm="CRC32C", opc_content_crc32c=crc32c(body))
    right = r.headers.get("opc-content-crc32c", crc32c(body)) == crc32c(body)
    return f"{r} {sums(r)}" + ("" if right else ", another one")


@question("400")
def wrong_checksum(p):
    """A body that is not what its CRC32C says."""
    r = p.put("wrong", b"one", opc_checksum_algorithm="CRC32C", opc_content_crc32c=crc32c(b"two"))
    return str(r.status)


@question("CRC32C")
def checksum_of_a_head(p):
    p.put("sum", b"x", opc_checksum_algorithm="CRC32C")
    return sums(p.ask("HEAD", p.o("sum")))


@question("206 CRC32C")
def checksum_of_a_range(p):
    """Whether the answer to a range has the whole object's CRC32C."""
    p.put("range", b"0123456789", opc_checksum_algorithm="CRC32C")
    r = p.ask("GET", p.o("range"), range="bytes=2-4")
    return f"{r.status} {sums(r)}"


@question("206 206 206")
def one_signature_for_several_ranges(p):
    """Range is not signed: the same signature, date and all, for three of them."""
    p.put("range", b"0123456789")
    date = email.utils.formatdate(time.time(), usegmt=True)
    headers = {"date": date, "host": p.service.url.netloc}
    auth = {"date": date,
            "authorization": p.service.authorize("GET", p.o("range"), headers, None)}
    return " ".join(str(p.ask("GET", p.o("range"), auth=auth, range=f"bytes={i}-{i}").status)
                    for i in range(3))


@question("401 NotAuthenticated")
def ten_minutes_late(p):
    """A request that is dated ten minutes ago."""
    return str(p.ask("GET", p.o("sum"), late=-600))


@question("with a Date header")
def ten_minutes_late_has_a_date(p):
    r = p.ask("GET", p.o("sum"), late=-600)
    return "with a Date header" if "date" in r.headers else "without a Date header"


@question("412")
def put_of_what_is_there(p):
    p.put("there", b"1")
    return str(p.put("there", b"2", if_none_match="*").status)


@question("412")
def commit_of_what_is_there(p):
    """if-none-match: * on the commit, when another object has come meanwhile."""
    upload = p.begin("race")
    etag = p.part("race", upload, 1, b"x").headers["etag"]
    p.put("race", b"theirs")
    return str(p.commit("race", upload, {1: etag}, if_none_match="*").status)


@question("200, then 404")
def second_commit(p):
    """What is left to find out after the answer to a commit was lost."""
    upload = p.begin("twice")
    etag = p.part("twice", upload, 1, b"x").headers["etag"]
    first, second = (p.commit("twice", upload, {1: etag}) for _ in range(2))
    return f"{first.status}, then {second.status}"


@question("200 CRC32C, opc-multipart-md5")
def checksums_of_a_commit(p):
    upload = p.begin("sums", opc_checksum_algorithm="CRC32C")
    etags = {n: p.part("sums", upload, n, b"x" * 100, opc_checksum_algorithm="CRC32C",
                       opc_content_crc32c=crc32c(b"x" * 100)).headers["etag"] for n in (1, 2)}
    r = p.commit("sums", upload, etags)
    md5 = "opc-multipart-md5" if "opc-multipart-md5" in r.headers else "no opc-multipart-md5"
    return f"{r.status} {sums(r)}, {md5}"


@question("200")
def small_parts(p):
    """Two parts of 1 MiB, where the documentation says 10."""
    upload = p.begin("small")
    etags = {n: p.part("small", upload, n, b"x" * MIB).headers.get("etag") for n in (1, 2)}
    return str(p.commit("small", upload, etags))


@question("400 InvalidUploadPart")
def commit_of_a_wrong_part(p):
    upload = p.begin("wrongpart")
    p.part("wrongpart", upload, 1, b"x")
    r = p.commit("wrongpart", upload, {1: "no-such-etag"})
    p.ask("DELETE", p.u("wrongpart", uploadId=upload))
    return str(r)


@question("404")
def part_of_no_upload(p):
    return str(p.part("none", "no-such-upload", 1, b"x").status)


@question("partNumber, etag, md5, size")
def fields_of_a_part(p):
    upload = p.begin("fields")
    p.part("fields", upload, 1, b"x")
    parts = p.ask("GET", p.u("fields", uploadId=upload)).json()
    return ", ".join(k for k in ("partNumber", "etag", "md5", "size") if k in parts[0])


@question("yes")
def listing_knows_a_put_at_once(p):
    p.put("listed", b"x")
    return "yes" if p.prefix + "listed" in p.names()[0] else "no"


@question("name, size, etag, md5, timeCreated, timeModified, storageTier")
def fields_of_a_listing(p):
    p.put("listed", b"x")
    fields = "name,size,etag,md5,timeCreated,timeModified,storageTier"
    query = urllib.parse.urlencode({"prefix": p.prefix + "listed", "fields": fields})
    row = p.ask("GET", f"{p.base}/o?{query}").json()["objects"][0]
    return ", ".join(k for k in fields.split(",") if row.get(k) is not None)


@question("lower case")
def case_of_metadata(p):
    p.put("meta", b"x", **{"opc-meta-MiXed": "v"})
    r = p.ask("HEAD", p.o("meta"))
    return "lower case" if r.headers.get("opc-meta-mixed") == "v" else "gone"


@question("200, 200, then 404")
def a_link_and_its_end(p):
    """A pre-authenticated request: made, used without a signature, deleted, used again."""
    p.put("linked", b"x")
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))
    made = p.ask("POST", p.base + "/p", {"name": p.prefix, "accessType": "ObjectRead",
                                         "objectName": p.prefix + "linked", "timeExpires": soon})
    if made.status != 200:
        return None
    link = made.json()
    p.links.append(link["id"])
    used = p.ask("GET", link["accessUri"], sign=False)
    p.ask("DELETE", f"{p.base}/p/{urllib.parse.quote(link['id'], safe='')}")
    again = p.ask("GET", link["accessUri"], sign=False)
    return f"{made.status}, {used.status}, then {again.status}"


@question("404 ObjectNotFound")
def an_object_that_is_not_there(p):
    return str(p.ask("GET", p.o("nothing")))


# ---- ocid itself


def binaries():
    if os.environ.get("OCID_BIN"):
        return os.environ["OCID_BIN"]
    found = glob.glob(str(ROOT / "build*/**/bin/ocid"), recursive=True)
    if not found:
        sys.exit("live: no ocid: build it first (cmake --preset release), or set OCID_BIN")
    return os.path.dirname(max(found, key=os.path.getmtime))


def moves_a_file(p, args, bucket):
    """ocid puts 12 MiB in parts, lists, gets them back and deletes them: what it says of that."""
    where = Path(tempfile.mkdtemp(prefix="ocid-live."))
    daemon = None
    try:
        for d in ("conf/ocid", "run", "state"):
            (where / d).mkdir(parents=True, mode=0o700)
        network = {"endpoint": args.endpoint, "namespace": args.namespace, "ca_file": args.ca_file}
        (where / "conf/ocid/ocid.conf").write_text(
            f"[credentials]\nprofile = {args.profile}\nconfig_file = {args.config}\n[network]\n"
            + "".join(f"{k} = {v}\n" for k, v in network.items() if v))
        env = {"HOME": os.environ.get("HOME", "/"), "PATH": os.environ.get("PATH", ""),
               "XDG_CONFIG_HOME": f"{where}/conf", "XDG_RUNTIME_DIR": f"{where}/run",
               "XDG_STATE_HOME": f"{where}/state", "LANG": "C.UTF-8"}
        here = binaries()
        log = open(where / "log", "wb")
        daemon = subprocess.Popen([here + "/ocid"], env=env, stdin=subprocess.DEVNULL, stdout=log,
                                  stderr=log)
        (where / "file").write_bytes(secrets.token_bytes(12 * MIB))
        name = f"oci://{bucket}/{p.prefix}ocid"
        for words in (("push", "--wait", "--part-size", "5M", f"{where}/file", name),
                      ("pull", "--wait", name, f"{where}/back"), ("rm", name)):
            for _ in range(50):
                r = subprocess.run([here + "/ocictl", *words], env=env, capture_output=True,
                                   text=True, timeout=300)
                if r.returncode != 3:  # no daemon yet
                    break
                time.sleep(0.1)
            if r.returncode:
                return f"{words[0]}: {r.stderr.strip().splitlines()[-1]}"
        same = (where / "file").read_bytes() == (where / "back").read_bytes()
        return "there and back" if same else "other bytes came back"
    finally:
        if daemon:
            daemon.terminate()
            daemon.wait(60)
        shutil.rmtree(where, ignore_errors=True)


# ---- the run


def read_profile(path, name):
    c = configparser.ConfigParser(interpolation=None)
    if not c.read(path):
        sys.exit(f"live: cannot read {path}; ocictl setup makes it")
    if name != "DEFAULT" and not c.has_section(name):
        sys.exit(f"live: {path} has no profile {name}")
    s = c[name]
    phrase = s.get("pass_phrase")
    pem = Path(os.path.expanduser(s["key_file"])).read_bytes()
    try:
        key = serialization.load_pem_private_key(pem, phrase.encode() if phrase else None)
    except TypeError:
        phrase = getpass.getpass(f"Pass phrase of {s['key_file']}: ")
        key = serialization.load_pem_private_key(pem, phrase.encode())
    return (f"{s['tenancy']}/{s['user']}/{s['fingerprint']}", key), s["region"]


def arguments():
    a = argparse.ArgumentParser(prog="run.sh", description="Asks the real service what only it can "
                                "answer, below a prefix of its own in BUCKET.")
    a.add_argument("bucket", metavar="BUCKET")
    a.add_argument("--profile", default=os.environ.get("OCI_CLI_PROFILE", "DEFAULT"))
    a.add_argument("--config", default=os.environ.get("OCI_CLI_CONFIG_FILE", "~/.oci/config"))
    a.add_argument("--yes", action="store_true", help="do not ask before it begins")
    a.add_argument("--json", action="store_true", help="a line of JSON a question")
    a.add_argument("--endpoint", help="of a stand-in for the service")
    a.add_argument("--namespace")
    a.add_argument("--ca-file")
    args = a.parse_args()
    args.config = os.path.abspath(os.path.expanduser(args.config))
    return args


def say(args, name, found, expected):
    verdict = "not settled" if found is None else "as expected" if found == expected else "differs"
    if args.json:
        print(json.dumps({"name": name, "found": found, "expected": expected, "verdict": verdict}),
              flush=True)
    elif verdict == "as expected":
        print(f"{name}: {found}", flush=True)
    else:
        print(f"{name}: {found or verdict} (expected {expected})", flush=True)
    return verdict


def consent(args, place):
    print(f"live: about a hundred requests and 20 MB below {place.prefix} in {args.bucket}, as "
          f"profile {args.profile}; all of it is deleted at the end.", file=sys.stderr)
    if args.yes:
        return
    if not sys.stdin.isatty() or input("Begin? [y/N] ").strip().lower() not in ("y", "yes"):
        sys.exit("live: nothing was done (--yes does not ask)")


def main():
    args = arguments()
    profile, region = read_profile(args.config, args.profile)
    endpoint = args.endpoint or f"https://objectstorage.{region}.oraclecloud.com"
    service = Service(profile, endpoint, args.ca_file)
    r = service.ask("GET", "/n/")
    if r.status != 200:
        sys.exit(f"live: the service refuses the profile: {r}; ocictl doctor says more")
    args.namespace = args.namespace or r.json()
    place = Place(service, args.namespace, args.bucket)
    if (r := service.ask("GET", place.base)).status != 200:
        sys.exit(f"live: the bucket {args.bucket} cannot be used: {r}")
    if r.json().get("versioning", "Disabled") != "Disabled":
        sys.exit(f"live: the bucket {args.bucket} keeps versions, so deleting would leave them "
                 "there: take one without versioning")
    consent(args, place)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cleaned = []

    def clean():
        if cleaned:
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # one more Ctrl-C must not leave things behind
        try:
            cleaned.append(place.clean())
        except (OSError, ValueError, KeyError) as error:
            cleaned.append(1)
            print(f"live: {type(error).__name__}: {error}", file=sys.stderr)
        if cleaned[0]:
            print(f"live: not all below {place.prefix} in {args.bucket} could be deleted: look "
                  "there for objects and unfinished uploads", file=sys.stderr)
    atexit.register(clean)
    verdicts = [say(args, "ocid", moves_a_file(place, args, args.bucket), "there and back")]
    for function, expected in QUESTIONS:
        try:
            found = function(place)
        except (KeyError, IndexError, ValueError, OSError, TypeError) as error:
            print(f"live: {function.__name__}: {type(error).__name__}: {error}", file=sys.stderr)
            found = None
        verdicts.append(say(args, function.__name__, found, expected))
    clean()
    missing, differ = verdicts.count("not settled"), verdicts.count("differs")
    print(f"{len(verdicts) - missing} settled, {missing} not settled, {differ} differ; "
          f"{service.n} requests", file=sys.stderr if args.json else sys.stdout)
    return 1 if missing or cleaned[0] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
