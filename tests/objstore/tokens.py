# SPDX-License-Identifier: Apache-2.0
"""tokens.py - the tokens of the Auth service: issued here, and believed if they are ours.

A token is a JWT that names somebody and holds the public key that its bearer signs with; as a
keyId it is `ST$` and the token. Knows no requests; the caller gives "now".
"""

import base64
import json
import secrets
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .auth import load_key

KEY_BITS_LEAST = 2048


def new_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(key, form=serialization.PrivateFormat.PKCS8):
    return key.private_bytes(serialization.Encoding.PEM, form,
                             serialization.NoEncryption()).decode()


def _encode(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(value):
    return _encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _date(seconds):
    return time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(seconds))


class Issuer:
    """Signs tokens with a key of its own, which the catalog keeps."""

    def __init__(self, catalog):
        self.catalog = catalog
        self._key = None

    @property
    def key(self):
        if self._key is None:
            pem = self.catalog.fact("issuer", "key")
            if pem is None:
                pem = private_pem(new_key())
                self.catalog.put_fact("issuer", "key", pem)
            self._key = serialization.load_pem_private_key(pem.encode(), None)
        return self._key

    def revoke_all(self):
        """No token that was issued before is believed any more."""
        self.catalog.drop_fact("issuer", "key")
        self._key = None

    def issue(self, public, now, seconds, **claims):
        """A token for the owner of an RSA public key, for so long."""
        numbers = public.public_numbers()
        jwk = {"kid": secrets.token_hex(8), "n": _number(numbers.n), "e": _number(numbers.e),
               "kty": "RSA", "alg": "RS256", "use": "sig"}
        body = {"iss": "authService.oracle.com", "aud": "oci", "jti": secrets.token_hex(16),
                "iat": int(now), "exp": int(now + seconds), "jwk": json.dumps(jwk), **claims}
        head = {"kid": "asw_test", "alg": "RS256"}
        text = ".".join(_encode(json.dumps(part).encode()) for part in (head, body))
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{_encode(signature)}"

    def session(self, public, now, seconds, session_end, **who):
        """As of `oci session authenticate`; it can be refreshed until session_end."""
        end = min(now + seconds, session_end)
        return self.issue(public, now, end - now, ptype="user", sess_exp=_date(session_end),
                          sess_end=int(session_end), **who)

    def claims(self, token, now):
        """(claims, public key) of a token of ours that is valid now; else None."""
        parts = token.split(".")
        try:
            head, body, signature = (_decode(part) for part in parts)
            self.key.public_key().verify(signature, ".".join(parts[:2]).encode(),
                                         padding.PKCS1v15(), hashes.SHA256())
            if json.loads(head)["alg"] != "RS256":
                return None
            claims = json.loads(body)
        except (ValueError, KeyError, TypeError, InvalidSignature):
            return None
        if not claims["iat"] - 300 <= now < claims["exp"]:
            return None
        jwk = json.loads(claims["jwk"])
        number = {name: int.from_bytes(_decode(jwk[name]), "big") for name in "ne"}
        return claims, rsa.RSAPublicNumbers(number["e"], number["n"]).public_key()


def public_key(text):
    """An RSA public key from PEM without its BEGIN and END lines; ValueError if it is none, or
    too short."""
    key = load_key(f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    if key.key_size < KEY_BITS_LEAST:
        raise ValueError("the key is too short")
    return key
