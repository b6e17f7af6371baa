# SPDX-License-Identifier: Apache-2.0
"""service.py - signed requests, each written by hand (ocid never sends most of them), and the names
below a prefix of our own."""
import base64
import email.utils
import hashlib
import http.client
import json
import secrets
import ssl
import time
import urllib.parse

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from who import give_up, reason

SIGNED = ("date", "(request-target)", "host")
SIGNED_BODY = (*SIGNED, "content-length", "content-type", "x-content-sha256")
ANSWER_S = 60
GONE = (204, 404)
UNHEARD = (OSError, http.client.HTTPException)  # there was no answer
ODD = (*UNHEARD, LookupError, ValueError, TypeError, AttributeError)  # or one of another form


def quoted(text):
    return urllib.parse.quote(text, safe="")


class Answer:
    def __init__(self, response):
        self.status, self.body = response.status, response.read()
        self.headers = {k.lower(): v for k, v in response.getheaders()}

    def field(self, name):
        """Of the JSON that the service explains an error by."""
        try:
            return str(json.loads(self.body).get(name) or "")
        except (ValueError, AttributeError):
            return ""

    @property
    def code(self):
        return self.field("code")

    def json(self):
        return json.loads(self.body)

    def __str__(self):
        return f"{self.status} {self.code}".strip()


class Service:
    def __init__(self, profile, endpoint, ca_file, proxy):
        self.key_id, self.key = profile.key_id, profile.key
        self.endpoint, self.url = endpoint, urllib.parse.urlsplit(endpoint)
        self.proxy = proxy and urllib.parse.urlsplit(proxy)
        self.tls = None
        if self.url.scheme == "https":
            try:
                self.tls = ssl.create_default_context(cafile=ca_file)
            except OSError as error:  # SSLError is one
                give_up(f"--ca-file {ca_file} cannot be used: {reason(error)}")
        self.n = 0

    def authorize(self, method, target, headers, names):
        lines = [f"{n}: {method.lower()} {target}" if n == "(request-target)"
                 else f"{n}: {headers[n]}" for n in names]
        sig = self.key.sign("\n".join(lines).encode(), padding.PKCS1v15(), hashes.SHA256())
        return (f'Signature version="1",keyId="{self.key_id}",algorithm="rsa-sha256",'
                f'headers="{" ".join(names)}",signature="{base64.b64encode(sig).decode()}"')

    def connection(self):
        kind, more = http.client.HTTPConnection, {}
        if self.tls:
            kind, more = http.client.HTTPSConnection, {"context": self.tls}
        if not self.proxy:
            return kind(self.url.hostname, self.url.port, timeout=ANSWER_S, **more)
        c = kind(self.proxy.hostname, self.proxy.port or 1080, timeout=ANSWER_S, **more)
        c.set_tunnel(self.url.hostname, self.url.port or (443 if self.tls else 80))
        return c

    def ask(self, method, target, body=None, *, late=0, sign=True, auth=None, **headers):
        """One request; late: its date, in seconds from now; auth: this one instead, with its date.
        A dict or a list is sent as JSON, and signed."""
        self.n += 1
        sent = {"host": self.url.netloc,
                "date": email.utils.formatdate(time.time() + late, usegmt=True)}
        sent |= {k.replace("_", "-"): v for k, v in headers.items()}
        names = SIGNED
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
            sent |= {"content-type": "application/json", "x-content-sha256": digest}
            names = SIGNED_BODY
        if body is not None:
            sent["content-length"] = str(len(body))
        if auth:
            sent |= auth
        elif sign:
            sent["authorization"] = self.authorize(method, target, sent, names)
        c = self.connection()
        try:
            c.request(method, target, body, sent)
            return Answer(c.getresponse())
        finally:
            c.close()

    def first(self, target):
        """The first request: whatever keeps it from being answered ends the run."""
        try:
            return self.ask("GET", target)
        except ssl.SSLCertVerificationError as error:
            give_up(f"the certificate of {self.endpoint} is not trusted: {error.verify_message}; "
                    "--ca-file names the authorities of a proxy that looks into TLS")
        except UNHEARD as error:
            way = f" through the proxy {self.proxy.hostname}" if self.proxy else ""
            give_up(f"cannot reach {self.endpoint}{way}: {reason(error)}; check the region, the "
                    "network and the proxy (ocictl doctor looks at each)")


class Place:
    """The bucket, and names below our prefix in it."""

    def __init__(self, service, namespace, bucket, region):
        self.ask = service.ask
        self.service = service
        self.namespace, self.bucket, self.region = namespace, bucket, region
        self.base = f"/n/{quoted(namespace)}/b/{quoted(bucket)}"
        self.prefix = f"ocid-live-{secrets.token_hex(6)}/"
        self.links, self.work = [], []

    def o(self, name):
        return f"{self.base}/o/{quoted(self.prefix + name)}"

    def u(self, name, **query):
        return f"{self.base}/u/{quoted(self.prefix + name)}?{urllib.parse.urlencode(query)}"

    def put(self, name, body, **headers):
        return self.ask("PUT", self.o(name), body, **headers)

    def act(self, action, **body):
        return self.ask("POST", f"{self.base}/actions/{action}", body)

    def begin(self, name, **headers):
        """A multipart upload's id."""
        return self.ask("POST", self.base + "/u", {"object": self.prefix + name},
                        **headers).json()["uploadId"]

    def part(self, name, upload, number, body, **headers):
        return self.ask("PUT", self.u(name, uploadId=upload, uploadPartNum=number), body, **headers)

    def commit(self, name, upload, etags, **headers):
        parts = [{"partNum": n, "etag": e} for n, e in etags.items()]
        return self.ask("POST", self.u(name, uploadId=upload), {"partsToCommit": parts}, **headers)

    def in_parts(self, name, bodies, algorithm=None):
        """An object made of parts; the answer to the commit."""
        headers = {"opc_checksum_algorithm": algorithm} if algorithm else {}
        upload = self.begin(name, **headers)
        etags = {n: self.part(name, upload, n, body, **headers).headers["etag"]
                 for n, body in enumerate(bodies, 1)}
        return self.commit(name, upload, etags)

    def link(self, name, access):
        """A pre-authenticated request for one object, for ten minutes."""
        soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))
        made = self.ask("POST", self.base + "/p",
                        {"name": self.prefix, "accessType": access,
                         "objectName": self.prefix + name, "timeExpires": soon})
        if made.status == 200:
            self.links.append(made.json()["id"])
        return made

    def rows(self, fields, name=""):
        query = urllib.parse.urlencode({"prefix": self.prefix + name, "fields": fields})
        return self.ask("GET", f"{self.base}/o?{query}").json()["objects"]

    def work_ends(self, patience_s=30):
        """Whether every copy that was begun is over, so that no object comes after the cleaning."""
        end = time.monotonic() + patience_s
        while self.work and time.monotonic() < end:
            if self.status_of_work(self.work[-1]) in ("ACCEPTED", "IN_PROGRESS", "CANCELING"):
                time.sleep(1)
            else:
                self.work.pop()
        for work in self.work:
            self.ask("DELETE", f"/workRequests/{quoted(work)}")
        return not self.work

    def status_of_work(self, work):
        return self.ask("GET", f"/workRequests/{quoted(work)}").field("status")

    def clean(self):
        """Deletes what is ours; how many things could not be, a listing that failed among them."""
        left = 0 if self.work_ends() else 1
        for link in self.links:
            left += self.ask("DELETE", f"{self.base}/p/{quoted(link)}").status not in GONE
        names, whole = self.names()
        left += not whole
        for o in names:
            left += self.ask("DELETE", f"{self.base}/o/{quoted(o)}").status not in GONE
        uploads, whole = self.uploads()
        left += not whole
        for o, upload in uploads:
            path = f"{self.base}/u/{quoted(o)}?" + urllib.parse.urlencode({"uploadId": upload})
            left += self.ask("DELETE", path).status not in GONE
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
