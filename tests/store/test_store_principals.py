# SPDX-License-Identifier: Apache-2.0
"""test_store_principals.py - metadata, federation and refresh refuse what the real ones refuse."""

import base64
import json
import time
import urllib.error
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from rawclient import Raw

from objstore import Store
from objstore.tokens import new_key

PARTS = {"cert": "identity/cert.pem", "key": "identity/key.pem",
         "middle": "identity/intermediate.pem"}
NAMES = ["date", "(request-target)", "content-length", "content-type", "x-content-sha256"]
FEDERATE, REFRESH = "/v1/x509", "/v1/authentication/refresh"


def metadata(store, path, **headers):
    asked = urllib.request.Request(f"{store.metadata_url}/{path}", headers={
        "Authorization": "Bearer Oracle", **headers})
    with urllib.request.urlopen(asked, timeout=10) as reply:
        return reply.read().decode()


def public_pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def bare(pem):
    return "".join(line for line in pem.splitlines() if not line.startswith("---"))


class Instance:
    """What an instance's own program does, step by step, so that one of them may be wrong."""

    def __init__(self, store, raw):
        self.store, self.raw = store, raw
        self.found = {name: metadata(store, path) for name, path in PARTS.items()}
        self.leaf = x509.load_pem_x509_certificate(self.found["cert"].encode())
        self.key = serialization.load_pem_private_key(self.found["key"].encode(), None)
        (self.tenancy,) = (a.value.partition(":")[2] for a in self.leaf.subject
                           if a.value.startswith("opc-tenant:"))
        self.session = new_key()
        self.key_id = (f"{self.tenancy}/fed-x509/"
                       f"{self.leaf.fingerprint(hashes.SHA1()).hex(':').upper()}")

    def body(self, **change):
        body = {"certificate": bare(self.found["cert"]),
                "publicKey": bare(public_pem(self.session)),
                "intermediateCertificates": [bare(self.found["middle"])], **change}
        return {name: value for name, value in body.items() if value is not None}

    def federate(self, body=None, key_id=None, names=NAMES, key=None, **more):
        self.raw.key = key or self.key
        return self.raw.call("POST", FEDERATE, body or self.body(), names=names,
                             key_id=key_id or self.key_id, **more)


@pytest.fixture
def instance(store, another):
    return Instance(store, another())


def test_metadata(store):
    assert metadata(store, "instance/region") == "iad"
    assert json.loads(metadata(store, "instance/regionInfo"))["regionIdentifier"] == \
        "us-ashburn-1"
    assert metadata(store, "instance/id").startswith("ocid1.instance.")


@pytest.mark.parametrize("headers, status", [
    ({"Authorization": "Bearer oracle"}, 401), ({"X-Forwarded-For": "10.0.0.1"}, 403)])
def test_metadata_is_for_the_instance_itself(store, headers, status):
    with pytest.raises(urllib.error.HTTPError) as error:
        metadata(store, "identity/key.pem", **headers)
    assert error.value.code == status


def test_a_certificate_is_traded_for_a_token(instance, store):
    reply = instance.federate()
    assert reply.status == 200, reply.body
    raw = instance.raw
    raw.key = instance.session
    assert raw.call("GET", "/n/testns/b/b/o", key_id=f"ST${reply.json['token']}").status == 200
    entry = store.log("FederateInstance")[-1]
    assert entry["status"] == 200 and entry["signed"]


def test_the_newer_fingerprint_is_named_in_the_body(instance):
    digest = instance.leaf.fingerprint(hashes.SHA256()).hex(":")
    newer = f"{instance.tenancy}/fed-x509-sha256/{digest}"
    assert instance.federate(key_id=newer).status == 401
    assert instance.federate(instance.body(fingerprintAlgorithm="SHA256")).status == 401
    assert instance.federate(instance.body(fingerprintAlgorithm="SHA256"), newer).status == 200


@pytest.mark.parametrize("wrong", ["tenancy", "fingerprint", "key", "host", "chain", "stranger",
                                   "late"])
def test_an_instance_must_prove_itself(instance, store, wrong):
    more = {}
    if wrong == "tenancy":
        more["key_id"] = instance.key_id.replace(instance.tenancy, "ocid1.tenancy.oc1..other")
    elif wrong == "fingerprint":
        more["key_id"] = instance.key_id.lower()
    elif wrong == "key":
        more["key"] = new_key()
    elif wrong == "host":
        more["names"] = [*NAMES, "host"]
    elif wrong == "chain":
        more["body"] = instance.body(intermediateCertificates=None)
    elif wrong == "stranger":
        more["body"] = instance.body(intermediateCertificates=[bare(instance.found["cert"])])
    elif wrong == "late":
        store.set_clock(5 * 3600)
        more["at"] = time.time() + 5 * 3600
    reply = instance.federate(**more)
    assert (reply.status, reply.code) == (401, "NotAuthenticated"), reply.body


def test_federation_wants_a_usable_key(instance):
    short = public_pem(rsa.generate_private_key(65537, 1024))
    assert instance.federate(instance.body(publicKey=bare(short))).status == 400
    assert instance.federate(instance.body(publicKey="AAAA")).status == 400
    assert instance.federate(instance.body(certificate="%%")).status == 400


def test_certificates_rotate(instance, store):
    store.rotate_instance()
    fresh = Instance(store, instance.raw)
    assert fresh.found["cert"] != instance.found["cert"]
    assert fresh.federate().status == 200
    assert instance.federate().status == 200, "the old one lives on for its time"


@pytest.fixture
def session(store, another):
    """(raw client that signs with the session's key, key, token)"""
    key = new_key()
    raw = another()
    raw.key = key
    return raw, key, store.session_token(public_pem(key))


def test_a_session_token_is_a_key_id(session, store):
    raw, _, token = session
    assert raw.call("GET", "/n", key_id=f"ST${token}").status == 200
    user = f"/20160918/users/{store.profile.user}"
    assert raw.call("GET", user, key_id=f"ST${token}").json["id"] == store.profile.user
    assert raw.call("GET", "/20160918/regions", key_id=f"ST${token}").status == 200


@pytest.mark.parametrize("wrong", ["key", "signature", "expired", "none", "revoked"])
def test_a_wrong_token_is_refused(session, store, wrong):
    raw, _, token = session
    head, body, signature = token.split(".")
    if wrong == "key":
        raw.key = new_key()
    elif wrong == "signature":
        claims = json.loads(base64.urlsafe_b64decode(body + "=="))
        claims["exp"] += 3600
        body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
        token = f"{head}.{body}.{signature}"
    elif wrong == "expired":
        store.set_clock(-3700)
        token = store.session_token(public_pem(raw.key))
        store.set_clock(0)
    elif wrong == "none":
        token = ""
    elif wrong == "revoked":
        store.revoke_tokens()
    reply = raw.call("GET", "/n", key_id=f"ST${token}")
    assert (reply.status, reply.code) == (401, "NotAuthenticated")


def test_a_session_is_refreshed(session):
    raw, _, token = session
    reply = raw.call("POST", REFRESH, {"currentToken": token}, key_id=f"ST${token}")
    assert reply.status == 200 and reply.json["token"] != token
    assert raw.call("GET", "/n", key_id=f"ST${reply.json['token']}").status == 200


def test_only_its_own_session_is_refreshed_and_while_it_lasts(session, store, raw):
    other, key, token = session
    assert other.call("POST", REFRESH, {"currentToken": store.session_token(public_pem(key))},
                      key_id=f"ST${token}").status == 401
    assert raw.call("POST", REFRESH, {"currentToken": token}).status == 401, "by an API key"
    ended = store.session_token(public_pem(key), session_seconds=0)
    assert other.call("POST", REFRESH, {"currentToken": ended}, key_id=f"ST${ended}").status == 401
    short = store.session_token(public_pem(key), seconds=600, session_seconds=600)
    reply = other.call("POST", REFRESH, {"currentToken": short}, key_id=f"ST${short}")
    claims = reply.json["token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert claims["exp"] <= claims["sess_end"], "no token outlives its session"


def test_a_resource_token_is_no_session(store, another):
    key = new_key()
    raw = another()
    raw.key = key
    token = store.resource_token(public_pem(key))
    assert raw.call("GET", "/n", key_id=f"ST${token}").status == 200
    assert raw.call("POST", REFRESH, {"currentToken": token}, key_id=f"ST${token}").status == 401


def test_tokens_outlive_a_restart_of_the_store(tmp_path):
    key = new_key()
    with Store(data=tmp_path / "data") as store:
        token = store.session_token(public_pem(key))
        store.restart()
        raw = Raw(store.host, store.port, store.profile)
        raw.key = key
        assert raw.call("GET", "/n", key_id=f"ST${token}").status == 200
        raw.close()


def test_federation_can_be_disturbed(instance, store):
    store.on("FederateInstance", do=503)
    assert instance.federate().status == 503
    assert instance.federate().status == 200
