# SPDX-License-Identifier: Apache-2.0
"""profile.py - who signs: an API key and the config file that names it."""

import configparser
import hashlib
import os
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization

VECTORS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "vectors")
TEST_KEY = os.path.join(VECTORS, "test-key.pem")


def public_half(private_pem, passphrase=None):
    """PEM (text) of the public key; an OCI_API_KEY label after the key does no harm."""
    key = serialization.load_pem_private_key(
        private_pem, passphrase.encode() if passphrase else None)
    return _spki(key, serialization.Encoding.PEM).decode()


def _spki(key, encoding):
    return key.public_key().public_bytes(encoding,
                                         serialization.PublicFormat.SubjectPublicKeyInfo)


def fingerprint(private_pem, passphrase=None):
    """MD5 of the public key's DER, in colons."""
    key = serialization.load_pem_private_key(
        private_pem, passphrase.encode() if passphrase else None)
    digest = hashlib.md5(_spki(key, serialization.Encoding.DER), usedforsecurity=False).hexdigest()
    return ":".join(digest[i:i + 2] for i in range(0, 32, 2))


@dataclass
class Profile:
    """One API key. The default is the test key of tests/vectors."""

    tenancy: str = "ocid1.tenancy.oc1..testtenancy"
    user: str = "ocid1.user.oc1..testuser"
    region: str = "us-ashburn-1"
    key_file: str = TEST_KEY
    passphrase: str | None = None

    def __post_init__(self):
        with open(self.key_file, "rb") as file:
            pem = file.read()
        self.fingerprint = fingerprint(pem, self.passphrase)
        self.public_pem = public_half(pem, self.passphrase)

    @property
    def key_id(self):
        return f"{self.tenancy}/{self.user}/{self.fingerprint}"

    def as_config(self):
        """What the SDKs take instead of a file."""
        config = {"tenancy": self.tenancy, "user": self.user, "region": self.region,
                  "fingerprint": self.fingerprint, "key_file": self.key_file}
        if self.passphrase:
            config["pass_phrase"] = self.passphrase
        return config

    def write_config(self, path, name="DEFAULT", **more):
        """Adds this profile to a config file (0600); the path."""
        lines = [f"[{name}]"] + [f"{k}={v}" for k, v in {**self.as_config(), **more}.items()]
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a",
                  encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n\n")
        return str(path)


def keys_of_config(path):
    """keyId -> public PEM of every profile in a config file that has an API key."""
    parser = configparser.ConfigParser(interpolation=None)
    with open(path, encoding="utf-8") as file:
        parser.read_file(file)
    found = {}
    sections = [parser.defaults(), *(parser[name] for name in parser.sections())]
    for values in sections:
        if not all(values.get(name) for name in ("tenancy", "user", "key_file", "fingerprint")):
            continue
        with open(os.path.expanduser(values["key_file"]), "rb") as file:
            pem = public_half(file.read(), values.get("pass_phrase"))
        found[f"{values['tenancy']}/{values['user']}/{values['fingerprint']}"] = pem
    return found
