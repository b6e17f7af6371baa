# SPDX-License-Identifier: Apache-2.0
"""test_oracle_principals.py - Oracle's own signers for instances, functions and sessions get
through the store's metadata service, federation and refresh, unchanged."""

import os

import oci
import pytest
from cryptography.hazmat.primitives import serialization
from oci.auth.signers import (InstancePrincipalsSecurityTokenSigner, SecurityTokenSigner,
                              get_resource_principals_signer)
from oci.object_storage import ObjectStorageClient

from objstore.tokens import new_key, private_pem

NS = "axexample"


def public_pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def works(store, signer, name):
    client = ObjectStorageClient({"region": "us-ashburn-1"}, signer=signer,
                                 service_endpoint=store.url,
                                 retry_strategy=oci.retry.NoneRetryStrategy())
    client.put_object(NS, "b", name, b"by a token")
    assert client.get_object(NS, "b", name).data.content == b"by a token"


@pytest.fixture
def instance_signer(store, monkeypatch):
    monkeypatch.setenv("OCI_METADATA_BASE_URL", store.metadata_url)
    return lambda: InstancePrincipalsSecurityTokenSigner(
        federation_endpoint=f"{store.url}/v1/x509",
        federation_client_cert_bundle_verify=store.ca_file)


def test_instance(store, instance_signer):
    signer = instance_signer()
    assert signer.region == "us-ashburn-1"
    works(store, signer, "instance")
    before = store.count("FederateInstance", status=200)
    store.rotate_instance()
    signer.refresh_security_token()
    works(store, signer, "instance-2")
    assert store.count("FederateInstance", status=200) == before + 1


def test_instance_renews_what_has_nearly_expired(store, instance_signer):
    """A token that lives less than the SDK's margin of a minute is renewed for each request."""
    store.settings(token_seconds=30)
    signer = instance_signer()
    before = store.count("FederateInstance", status=200)
    works(store, signer, "instance-3")
    assert store.count("FederateInstance", status=200) > before
    store.settings(token_seconds=3600)


@pytest.mark.parametrize("form", ["literals", "files"])
def test_resource_principal(store, monkeypatch, tmp_path, form):
    key = new_key()
    values = {"RPST": store.resource_token(public_pem(key)), "PRIVATE_PEM": private_pem(key)}
    for name, value in values.items():
        if form == "files":
            path = tmp_path / name
            path.write_text(value)
            value = str(path)
        monkeypatch.setenv(f"OCI_RESOURCE_PRINCIPAL_{name}", value)
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2")
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_REGION", "iad")
    signer = get_resource_principals_signer()
    assert signer.region == "us-ashburn-1"
    works(store, signer, f"resource-{form}")


@pytest.fixture
def session(store, tmp_path):
    """A profile as `oci session authenticate` leaves it: (config file, folder, key)."""
    key = new_key()
    (tmp_path / "oci_api_key.pem").write_text(private_pem(key))
    (tmp_path / "token").write_text(store.session_token(public_pem(key)))
    config = tmp_path / "config"
    config.write_text(
        "[DEFAULT]\nfingerprint=" + ":".join(["00"] * 16) + f"\nkey_file={tmp_path}/oci_api_key.pem"
        f"\ntenancy={store.profile.tenancy}\nregion=us-ashburn-1\n"
        f"security_token_file={tmp_path}/token\n")
    for path in tmp_path.iterdir():
        path.chmod(0o600)
    return config, tmp_path, key


def test_session(store, session):
    _, folder, key = session
    works(store, SecurityTokenSigner((folder / "token").read_text(), key), "session")


def test_oracles_command_line_refreshes_and_validates(store, session, monkeypatch):
    """Its own code, which knows no other Auth endpoint than the region's: that alone is put in."""
    cli = pytest.importorskip("oci_cli")
    from click.testing import CliRunner
    from oci_cli import cli_root, dynamic_loader
    config, folder, key = session
    old = (folder / "token").read_text()
    monkeypatch.setattr(oci.regions, "endpoint_for", lambda service, *_, **__: store.url)
    monkeypatch.setenv("OCI_CLI_SUPPRESS_FILE_PERMISSIONS_WARNING", "True")
    if store.ca_file:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", store.ca_file)
    dynamic_loader.load_service("session")

    def run(*args):
        done = CliRunner().invoke(cli_root.cli, [
            "--config-file", str(config), "--profile", "DEFAULT", *args], obj={},
            catch_exceptions=False)
        assert done.exit_code == 0, done.output
    run("session", "refresh")
    new = (folder / "token").read_text()
    assert new != old and store.count("RefreshSession", status=200)
    works(store, SecurityTokenSigner(new, key), "session-2")
    run("--endpoint", store.url, "session", "validate")
    assert store.count("ListRegions", status=200)
    assert cli and os.stat(folder / "token").st_mode & 0o777 == 0o600
