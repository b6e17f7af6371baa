# SPDX-License-Identifier: Apache-2.0
"""principals.py - who is no user with an API key: the metadata service of an instance, the Auth
service that trades its certificate for a token, and the refresh of a session's token.

  GET  /opc/v2/…                    as on 169.254.169.254
  POST /v1/x509                     federation of an instance
  POST /v1/authentication/refresh   of a session

The instance's certificates are made here and rotate on request; an authority stands above them.
"""

import base64
import binascii
import datetime
import json
import warnings

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from . import auth
from .tokens import new_key, private_pem, public_key
from .wire import Answer, ServiceError, field_of, invalid

warnings.filterwarnings("ignore", message="Attribute's length must be", category=UserWarning)

BASE = b"/opc/v2/"
TENANCY = "ocid1.tenancy.oc1..instancetenancy"
INSTANCE = "ocid1.instance.oc1.iad.testinstance"
COMPARTMENT = "ocid1.compartment.oc1..instancecompartment"
REGION = {"realmKey": "oc1", "realmDomainComponent": "oraclecloud.com", "regionKey": "IAD",
          "regionIdentifier": "us-ashburn-1"}
LEAF_HOURS = 4
FEDERATED = ["date", "(request-target)", "content-length", "content-type", "x-content-sha256"]

# These judge their callers themselves.
OPEN = frozenset({"GetMetadata", "FederateInstance"})


def _name(*units):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "objstore"),
                      *(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit, _validate=False)
                        for unit in units)])


def _certificate(subject, public, issuer, issuer_key, now, hours, authority):
    start = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
            .public_key(public).serial_number(x509.random_serial_number())
            .not_valid_before(start - datetime.timedelta(minutes=5))
            .not_valid_after(start + datetime.timedelta(hours=hours))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .sign(issuer_key, hashes.SHA256()))


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


class Instance:
    """The machine that asks: its certificates and what the metadata service says of it."""

    def __init__(self, now):
        root_key, self._middle_key = new_key(), new_key()
        root = _name("root")
        self.root = _certificate(root, root_key.public_key(), root, root_key, now, 9999, True)
        self.middle = _certificate(_name("intermediate"), self._middle_key.public_key(), root,
                                   root_key, now, 9999, True)
        self.tenancy = TENANCY
        self.rotate(now)

    def rotate(self, now):
        """A new leaf with a new key; the old one stays valid for its time."""
        self.key = new_key()
        subject = _name("opc-certtype:instance", f"opc-compartment:{COMPARTMENT}",
                        f"opc-instance:{INSTANCE}", f"opc-tenant:{self.tenancy}")
        self.leaf = _certificate(subject, self.key.public_key(), self.middle.subject,
                                 self._middle_key, now, LEAF_HOURS, False)

    def documents(self):
        """Path below the base -> content type and text."""
        key = private_pem(self.key, serialization.PrivateFormat.TraditionalOpenSSL)
        return {"instance/region": ("text/plain", REGION["regionKey"].lower()),
                "instance/regionInfo": ("application/json", json.dumps(REGION)),
                "instance/id": ("text/plain", INSTANCE),
                "identity/cert.pem": ("text/plain", _pem(self.leaf)),
                "identity/key.pem": ("text/plain", key),
                "identity/intermediate.pem": ("text/plain", _pem(self.middle))}


def instance(store):
    """Made when it is first asked for."""
    if store.instance is None:
        store.instance = Instance(store.now())
    return store.instance


class Keyring:
    """keyId -> public key, tokens of ours among them; `who` are the claims of the last token."""

    def __init__(self, store, now):
        self.store, self.now, self.who = store, now, None

    def get(self, key_id):
        if not key_id.startswith("ST$"):
            return self.store.keys.get(key_id)
        found = self.store.issuer.claims(key_id[3:], self.now)
        if found is None:
            return None
        self.who = found[0]
        return found[1]


# --- the metadata service ---

async def get_metadata(store, call):
    if call.header("authorization") != "Bearer Oracle":
        raise ServiceError(401, "NotAuthenticated", "Authorization: Bearer Oracle is missing")
    for name in ("x-forwarded-for", "forwarded", "via"):
        if name in call.headers:
            raise ServiceError(403, "Forbidden", f"A request with '{name}' came by a proxy")
    found = instance(store).documents().get(call.object)
    if found is None:
        raise ServiceError(404, "NotFound", "No such document")
    return Answer(200, {"content-type": found[0]}, found[1].encode())


# --- federation ---

def _load_certificate(text):
    try:
        return x509.load_der_x509_certificate(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        raise invalid("A certificate is not base64 of DER") from None


def _check_chain(store, leaf, between, now):
    """leaf, the intermediates and our root, each signed by the next and in its time."""
    chain = [leaf, *between, instance(store).root]
    when = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
    for low, high in zip(chain, chain[1:]):
        try:
            low.verify_directly_issued_by(high)
        except (ValueError, TypeError, InvalidSignature):
            raise auth.refused("The certificate is not of a known authority") from None
    for one in chain:
        if not one.not_valid_before_utc <= when <= one.not_valid_after_utc:
            raise auth.refused("The certificate is out of its time")


def _units(certificate):
    values = (attribute.value for attribute in certificate.subject)
    return dict(value.split(":", 1) for value in values if ":" in value)


def _expected_key_id(leaf, body):
    tenancy = _units(leaf).get("opc-tenant", "")
    if body.get("fingerprintAlgorithm") == "SHA256":
        return f"{tenancy}/fed-x509-sha256/{leaf.fingerprint(hashes.SHA256()).hex(':')}"
    return f"{tenancy}/fed-x509/{leaf.fingerprint(hashes.SHA1()).hex(':').upper()}"


async def federate(store, call):
    body, now = call.json(), store.now(call)
    leaf = _load_certificate(field_of(body, "certificate"))
    between = [_load_certificate(text) for text in field_of(body, "intermediateCertificates",
                                                            default=[], kind=list)]
    if body.get("purpose") not in (None, "DEFAULT"):
        raise invalid("The purpose is unknown")
    _check_chain(store, leaf, between, now)
    expected = auth.verify({_expected_key_id(leaf, body): leaf.public_key()}, call.method,
                           call.target, call.headers, now)
    names = auth.parse_authorization(call.headers["authorization"][0])["headers"].lower()
    if sorted(names.split(" ")) != sorted(FEDERATED):
        raise auth.refused(auth.BAD_SIGNATURE)
    auth.check_body(expected, call.body)
    try:
        public = public_key(field_of(body, "publicKey"))
    except ValueError as error:
        raise invalid(f"The publicKey is not one: {error}") from None
    call.entry.auth = call.auth = "signature"
    units = _units(leaf)
    token = store.issuer.issue(public, now, store.settings["token_seconds"], ptype="instance",
                               sub=units["opc-instance"], tenant=units["opc-tenant"],
                               **{"opc-instance": units["opc-instance"],
                                  "opc-compartment": units["opc-compartment"],
                                  "opc-certtype": "instance"})
    return Answer.json({"token": token})


# --- sessions ---

async def refresh(store, call):
    """Only with the token that signed the request, and while its session lasts."""
    now, claims = store.now(call), call.claims
    token = field_of(call.json(), "currentToken")
    found = store.issuer.claims(token, now)
    if not claims or not found or found[0]["jti"] != claims["jti"]:
        raise auth.refused(auth.UNKNOWN)
    if claims["ptype"] != "user" or now >= claims["sess_end"]:
        raise auth.refused("The session is over")
    return Answer.json({"token": store.issuer.session(
        found[1], now, store.settings["token_seconds"], claims["sess_end"], sub=claims["sub"],
        tenant=claims["tenant"])})


OPERATIONS = {"GetMetadata": get_metadata, "FederateInstance": federate,
              "RefreshSession": refresh}
