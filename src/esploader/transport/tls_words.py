"""What is wrong with TLS, in our words and not in those of OpenSSL.

Alerts are those of RFC 8446, section 6; OpenSSL names them at the end of its reasons. The
numbers of a certificate that is not trusted are those of its ``X509_V_ERR_`` constants.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final

from esploader.transport.refusal import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

_HOST_MISMATCHES: Final = frozenset({62, 64})  # a name, an address

_DISTRUST: Final[Mapping[int, str]] = {
    9: "it is not valid yet, unless the clock of this machine is wrong",
    10: "it has expired, unless the clock of this machine is wrong",
    23: "it has been revoked",
}
_UNKNOWN_SIGNER: Final = (
    "we do not know who signed it; ca= names a file with the certificate of who did"
)
_UNKNOWN_SIGNER_CODES: Final = frozenset({2, 18, 19, 20, 21})

_OWN_CERTIFICATE: Final[Mapping[str, str]] = {
    "CERTIFICATE_REQUIRED": "",
    "BAD_CERTIFICATE": "",
    "CERTIFICATE_UNKNOWN": "",
    "UNSUPPORTED_CERTIFICATE": ": it is of a kind that it does not take",
    "CERTIFICATE_REVOKED": ": it has been revoked",
    "CERTIFICATE_EXPIRED": ": it has expired, or is not valid yet",
    "UNKNOWN_CA": ": it does not know who signed it",
}

_REFUSALS: Final[Mapping[str, str]] = {
    "ACCESS_DENIED": (
        "the server does not allow it: the address of this machine, or what our certificate names"
    ),
    "PROTOCOL_VERSION": "the server speaks none of the versions of TLS that we do, 1.2 and 1.3",
    "INSUFFICIENT_SECURITY": "the server wants stronger encryption than we have",
    "UNRECOGNIZED_NAME": "the server does not know itself by the name in the URL",
    "INTERNAL_ERROR": "the server failed during the TLS handshake; its log may tell why",
}

_OTHER_VERSION: Final = frozenset({"UNSUPPORTED_PROTOCOL", "WRONG_SSL_VERSION"})

_ALERT: Final = re.compile(r"^(?:SSLV3|TLSV1|TLSV13)_(?:ALERT_)?(\w+)$")
_TELNET: Final = b"\xff"


def distrust(error: ssl.SSLCertVerificationError, host: str) -> str:
    """Return why a server's certificate is not accepted."""
    code = error.verify_code
    if code in _HOST_MISMATCHES:
        return f"the server's certificate is not for {host!r}"
    if code in _UNKNOWN_SIGNER_CODES:
        why = _UNKNOWN_SIGNER
    else:
        why = _DISTRUST.get(code, f"checking it ended with {error.verify_message!r}")
    return f"the server's certificate is not trusted: {why}"


def wish(*, has_certificate: bool) -> str:
    """Return what a server has against our certificate, or the lack of one."""
    if has_certificate:
        return "does not accept our certificate"
    return "wants a certificate: name one with cert= and key="


def alert(reason: str, *, has_certificate: bool) -> str | None:
    """Return what a server's alert says; ``None`` when ``reason`` is no alert."""
    found = _ALERT.match(reason)
    if found is None:
        return None
    name = found[1]
    if name == "HANDSHAKE_FAILURE":
        # With TLS 1.2 all that there is for a missing certificate, too.
        wanted = wish(has_certificate=has_certificate)
        return f"the server broke off: it has no cipher in common with us, or {wanted}"
    if name in _OWN_CERTIFICATE:
        why = _OWN_CERTIFICATE[name] if has_certificate else ""
        return f"the server {wish(has_certificate=has_certificate)}{why}"
    words = name.replace("_", " ").lower()
    return _REFUSALS.get(name, f"the server refused during the TLS handshake: {words}")


def no_tls(reason: str, said: bytes) -> str:
    """Return why there was no handshake with a host that began with ``said``."""
    if reason in _OTHER_VERSION:
        return _REFUSALS["PROTOCOL_VERSION"]
    if said.startswith(_TELNET):
        return "the host does not speak TLS, but plain telnet"
    printable = said.decode("ascii", "replace").strip().isprintable() and said.isascii()
    return "the host does not speak TLS" + (f"; it says {quoted(said)}" if printable else "")


def unusable_pair(cert: str, key: str | None, error: Exception) -> str:
    """Return why the files of a certificate and of its key, which can be read, are of no use."""
    which = f"cert={cert}" if key is None else f"cert={cert} and key={key}"
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return f"{which}: the key is not that of the certificate"
    try:
        is_encrypted = b"ENCRYPTED" in Path(key or cert).read_bytes()
    except OSError:
        is_encrypted = False
    if is_encrypted:
        return f"{which}: the key is encrypted, and there is no way to give its password"
    return f"{which}: they do not hold a certificate and its key in PEM format"
