# SPDX-License-Identifier: Apache-2.0
"""who.py - as whom and where the questions are asked: profile, key, endpoint, proxy.

What is wrong there ends the run with one sentence that says how to mend it.
"""
import configparser
import getpass
import glob
import ipaddress
import os
import re
import urllib.parse
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ROOT = Path(__file__).resolve().parents[2]
REGIONS = ROOT / "daemon/vault/regions.def"


def give_up(text):
    """Ends the run before it has begun."""
    raise SystemExit(f"live: {text}")


def reason(error):
    """What the system says of it, without the number."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class Profile:
    """A section of the SDKs' file: key_id and key sign; phrase is what opened the key, or None."""

    def __init__(self, path, name, passphrase_fd):
        self.path, self.name = path, name
        self.section, own = self.read()
        token = self.section.get("security_token_file")
        mine = "security_token_file" in own and "user" not in own  # DEFAULT's user is for others
        self.token_file = token if token and (mine or "user" not in self.section) else None
        kind = self.section.get("authentication_type")
        if kind:
            give_up(f"profile {name} of {path} signs by {kind}: take one with a key, or a "
                    "session's")
        self.phrase = self.section.get("pass_phrase") or None
        self.key = self.open_key(passphrase_fd)
        self.key_id = self.make_key_id()

    def read(self):
        """With what it inherits of DEFAULT, and without."""
        parser = configparser.ConfigParser(interpolation=None)
        alone = configparser.ConfigParser(interpolation=None, default_section="")
        try:
            with open(self.path, encoding="utf-8") as file:
                parser.read_file(file)
                file.seek(0)
                alone.read_file(file)
        except OSError as error:
            give_up(f"cannot read {self.path}: {reason(error)}; ocictl setup makes one, "
                    "--config names another")
        except (configparser.Error, UnicodeDecodeError) as error:
            give_up(f"{self.path} is not a file of profiles: {str(error).splitlines()[0]}; ocictl "
                    "doctor says more")
        if self.name != "DEFAULT" and not parser.has_section(self.name):
            there = ", ".join(["DEFAULT", *parser.sections()])
            give_up(f"{self.path} has no profile {self.name}; it has {there}: name one by "
                    "--profile")
        own = alone[self.name] if alone.has_section(self.name) else {}
        return parser[self.name], own

    def need(self, key):
        value = self.section.get(key, "").strip()
        if not value:
            give_up(f"profile {self.name} of {self.path} has no {key}: add a line '{key}=…' to "
                    "it; ocictl doctor says more")
        return value

    def file(self, key):
        path = os.path.expanduser(self.need(key))
        try:
            return path, Path(path).read_bytes()
        except OSError as error:
            give_up(f"cannot read the {key} {path} of profile {self.name}: {reason(error)}")

    def open_key(self, passphrase_fd):
        path, pem = self.file("key_file")
        if b"PRIVATE KEY-----" not in pem:
            give_up(f"{path} is no private key: key_file names the file that begins with "
                    "'-----BEGIN … PRIVATE KEY-----'")
        if b"ENCRYPTED" not in pem:
            self.phrase = None
        elif passphrase_fd is not None:
            self.phrase = read_phrase(passphrase_fd)
        elif self.phrase is None:
            self.phrase = ask_phrase(path)
        try:
            key = serialization.load_pem_private_key(pem, self.phrase and self.phrase.encode())
        except (ValueError, TypeError, UnsupportedAlgorithm):
            give_up(f"the pass phrase does not open {path}" if self.phrase else
                    f"{path} cannot be read as a key; ocictl doctor says more")
        if not isinstance(key, rsa.RSAPrivateKey):
            give_up(f"{path} is no RSA key, and the service takes no other; ocictl setup key makes "
                    "one")
        return key

    def make_key_id(self):
        if not self.token_file:
            return "/".join(self.need(key) for key in ("tenancy", "user", "fingerprint"))
        path, token = self.file("security_token_file")
        token = token.decode("ascii", "replace").strip()
        if token.count(".") != 2 or not token.isascii() or not token.isprintable():
            give_up(f"{path} is no session's token: oci session authenticate makes one")
        return "ST$" + token


def read_phrase(fd):
    try:
        with os.fdopen(fd, "rb", closefd=False) as pipe:
            return pipe.readline().decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        give_up(f"cannot read a pass phrase from descriptor {fd}: {reason(error)}")


def ask_phrase(path):
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        give_up(f"the key {path} is encrypted and there is no terminal to ask at: give the pass "
                "phrase by --passphrase-fd N")
    try:
        return getpass.getpass(f"Pass phrase of {path}: ")
    except EOFError:
        give_up("no pass phrase was given")


def region_and_domain(text):
    """The region's own name and the domain of its realm, as daemon/oci/endpoint.c finds them; a
    region that is a domain already has none."""
    rows = re.findall(r'^REGION\("(.*?)", "(.*?)", ".*?", "(.*?)"\)', REGIONS.read_text(), re.M)
    for name, short, domain in rows:
        if text.lower() in (name, short):
            return name, domain
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,179}", text):
        give_up(f"region '{text}' cannot be one; set it to a name such as eu-frankfurt-1")
    return text, "" if "." in text else "oraclecloud.com"


def endpoint_of(args, profile):
    """(URL, region); without an --endpoint the region's own."""
    region, domain = region_and_domain(profile.need("region"))
    url = args.endpoint or f"https://objectstorage.{region}{domain and '.' + domain}"
    parts = split_url(url, "--endpoint")
    if parts.scheme not in ("https", "http") or parts.path not in ("", "/") or parts.query:
        give_up(f"--endpoint '{url}' is not one: write it as https://host or https://host:port")
    return url.rstrip("/"), region


def split_url(url, option):
    try:
        parts = urllib.parse.urlsplit(url)
        parts.port
    except ValueError as error:
        give_up(f"{option} is no address: {error}")
    if not parts.hostname:
        give_up(f"{option} names no host: write it as scheme://host:port")
    return parts


def proxy_of(args, endpoint):
    """The proxy's URL, or None. ocid is told of it: it never asks the environment."""
    def set_by(name):
        return os.environ.get(name) or os.environ.get(name.upper()) or ""
    host = urllib.parse.urlsplit(endpoint).hostname
    url = args.proxy
    if url is None:
        url = set_by("https_proxy") if endpoint.startswith("https:") else ""
    if not url or any(spares(one.strip(), host) for one in set_by("no_proxy").split(",")):
        return None
    if "://" not in url:
        url = "http://" + url
    parts = split_url(url, "the proxy")
    if "@" in parts.netloc:
        give_up("the proxy's address names a user, which ocid does not take: give host and port "
                "alone by --proxy, or none by --proxy ''")
    if parts.scheme != "http":
        give_up(f"the proxy '{url}' is of a kind that only ocid speaks to: give one of http:// by "
                "--proxy, or none by --proxy ''")
    return url.rstrip("/")


def spares(entry, host):
    """Whether an entry of no_proxy names the host: itself, its domain, its network or all."""
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        entry = entry.strip(".").lower()
        return bool(entry) and f".{host}".endswith(f".{entry}")


def programs():
    """The folder of ocid and ocictl."""
    folder = os.environ.get("OCID_BIN")
    if not folder:
        found = glob.glob(str(ROOT / "build*/**/bin/ocid"), recursive=True)
        if not found:
            give_up("there is no ocid here: build it (cmake --preset release && cmake --build "
                    "--preset release), or set OCID_BIN to the folder of the programs")
        folder = os.path.dirname(max(found, key=os.path.getmtime))
    for name in ("ocid", "ocictl"):
        path = os.path.join(folder, name)
        if not os.path.isfile(path) or not os.access(path, os.X_OK):
            give_up(f"there is no program {path}: set OCID_BIN to the folder of ocid and ocictl")
    return os.path.abspath(folder)
