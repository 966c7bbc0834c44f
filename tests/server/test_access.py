"""Who may connect: networks, and files that make TLS."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import attrs
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from certificates import Authority
from esploader.errors import ConfigError
from esploader.server.access import AllowList, TlsFiles, is_loopback

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("networks", "address", "allowed"),
    [
        ([], "203.0.113.9", True),
        ([], "2001:db8::1", True),
        (["10.0.0.0/8"], "10.255.0.1", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.0/8"], "127.0.0.1", False),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8"], "::ffff:11.1.2.3", False),
        (["::ffff:10.0.0.0/104"], "10.1.2.3", True),
        (["::ffff:10.0.0.0/104"], "11.1.2.3", False),
        (["10.0.0.1"], "10.0.0.1", True),
        (["10.0.0.1"], "10.0.0.2", False),
        (["2001:db8::/32"], "2001:db8:7::1", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["::/0"], "10.0.0.1", False),
        (["10.0.0.0/8", "::1"], "::1", True),
        (["10.0.0.0/8"], "no address", False),
        (["10.0.0.0/8"], "", False),
    ],
)
def test_only_listed_networks_may_connect(
    networks: list[str],
    address: str,
    allowed: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert AllowList.parse(networks, "--allow").allows(address) is allowed


@pytest.mark.parametrize("text", ["", "10.0.0.1/8", "10.0.0.0/33", "localhost", "10.0.0"])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ConfigError, match=f"^--allow: '{text}' is no address or network"):
        AllowList.parse([text], "--allow")


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - that is the question
        ("::", False),
        ("192.0.2.1", False),
        ("lab.example", False),
    ],
)
def test_what_only_this_machine_reaches(
    host: str,
    is_ours: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert is_loopback(host) is is_ours


@pytest.fixture(name="authority")
def _authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_tls_is_modern_and_asks_for_no_certificate_by_default(authority: Authority) -> None:
    context = TlsFiles(cert=authority.issue("server")).make_context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_NONE


def test_with_an_authority_a_client_needs_a_certificate(authority: Authority) -> None:
    server = authority.issue("server")
    context = TlsFiles(cert=server, key=server, client_ca=authority.path).make_context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize("which", ["cert", "key", "client_ca"])
def test_a_file_that_is_missing_is_named(which: str, authority: Authority, tmp_path: Path) -> None:
    server = authority.issue("server")
    files = TlsFiles(cert=server, key=server, client_ca=authority.path)
    missing = tmp_path / "missing.pem"
    with pytest.raises(ConfigError, match=r"missing\.pem: it cannot be read"):
        attrs.evolve(files, **{which: missing}).make_context()


@pytest.mark.parametrize("which", ["cert", "key", "client_ca"])
def test_a_file_with_something_else_in_it_is_named(
    which: str, authority: Authority, tmp_path: Path
) -> None:
    server = authority.issue("server")
    files = TlsFiles(cert=server, key=server, client_ca=authority.path)
    other = tmp_path / "other.pem"
    other.write_text("something else", encoding="ascii")
    with pytest.raises(ConfigError, match=r"other\.pem"):
        attrs.evolve(files, **{which: other}).make_context()


def test_the_key_of_another_certificate(authority: Authority) -> None:
    with pytest.raises(ConfigError, match=r"no certificate with its key .*other\.pem"):
        TlsFiles(cert=authority.issue("server"), key=authority.issue("other")).make_context()


def test_an_encrypted_key_is_refused_and_no_password_asked_for(
    authority: Authority, tmp_path: Path
) -> None:
    key = tmp_path / "secret.pem"
    key.write_bytes(
        ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"x"),
        )
    )
    with pytest.raises(ConfigError, match=r"secret\.pem: the key is encrypted"):
        TlsFiles(cert=authority.issue("server"), key=key).make_context()
