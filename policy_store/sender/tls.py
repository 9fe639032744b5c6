"""TLS as a sending server checks it: the rules for a certificate, and what went wrong in the words of RFC 8460.

OpenSSL checks the chain and the dates, and this module the name: senders differ in what they take as the name, and one
handshake is to show what each of them makes of the certificate.
"""

import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from policy_store.names import quoted

type TlsResultType = Literal[
    "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted", "validation-failure"
]
type TlsCode = Literal[
    "certificate_name", "certificate_expired", "chain_expired", "certificate_untrusted", "no_certificate", "tls"
]
"""What is wrong, as the end of the code of a finding."""

# Codes of OpenSSL's X509_verify_cert_error_string, which ssl.SSLCertVerificationError carries.
_NOT_YET_VALID, _EXPIRED = 9, 10
# Alerts of a server that has no certificate or no site for the name that SNI asks for.
_NO_CERTIFICATE = re.compile(r"UNRECOGNIZED.NAME|INTERNAL.ERROR|HANDSHAKE.FAILURE|ACCESS.DENIED|NO.CERTIFICATE")
# Python's own choice, with the CBC suites of TLS 1.2 that Postfix and Go take from old mail servers, at the security
# level of OpenSSL itself.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!AESCCM:@SECLEVEL=1"
_LDH = re.compile(r"[a-z0-9-]+")
_EPOCH = "Jan  1 00:00:00 1970 GMT"


@dataclass(frozen=True, slots=True)
class TlsFailure:
    """Why a handshake does not pass: the result type of RFC 8460 section 4.3, what is wrong, and a sentence.

    `common_name` tells that the name stands in the subject's common name alone, where some senders still take it from.
    """

    result_type: TlsResultType
    reason: str
    code: TlsCode = "tls"
    common_name: bool = False


@dataclass(frozen=True, slots=True)
class TlsSession:
    """What a handshake shows whose certificate passes: the TLS version, and until when and from when the certificate is
    valid (UTC). `underscore` tells that a wildcard stands for a label with an underscore, which some senders refuse;
    `old_cipher` names a cipher with SHA-1, which Python's own context, and so Postfix's resolver, refuses.
    """

    version: str
    not_after: datetime
    not_before: datetime | None = None
    underscore: bool = False
    old_cipher: str = ""


class CertificateRefused(Exception):
    """The certificate is not for the host; `failure` says so as a sender does, `session` what the handshake shows."""

    def __init__(self, failure: TlsFailure, session: TlsSession) -> None:
        super().__init__(failure.reason)
        self.failure = failure
        self.session = session


def strict_context(ca_file: str | None = None) -> ssl.SSLContext:
    """A context that verifies as RFC 8461 sections 3.3, 4.2 and 7 ask for, but for the name: chain, dates, TLS 1.2.

    `session_of` compares the name. `ca_file` is a PEM file with authorities to trust besides the system's.
    """
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.check_hostname = False
    # Python 3.13 alone asks for RFC 5280 to the letter. Roots that every sender trusts do not keep to it.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def looking_context(newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED) -> ssl.SSLContext:
    """A context that verifies nothing, to see what a server shows: with TLS versions up to `newest`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = newest
    return context


def session_of(connection: ssl.SSLObject, host: str) -> TlsSession:
    """The session of a connection whose chain passed. Raises CertificateRefused where the certificate is not for `host`
    by a SAN (RFC 8461 section 3.3, RFC 6125 section 6.4).
    """
    certificate: dict[str, Any] = connection.getpeercert() or {}
    names = [value.lower() for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
    strictly = any(covers(name, host) for name in names)
    cipher = (connection.cipher() or ("",))[0]
    session = TlsSession(
        connection.version() or "unknown",
        _time(certificate, "notAfter"),
        _time(certificate, "notBefore"),
        underscore=not strictly,
        old_cipher=cipher if cipher.endswith("-SHA") else "",
    )
    if strictly or any(covers(name, host, underscore=True) for name in names):
        return session
    common = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    in_common_name = not names and any(covers(name.lower(), host) for name in common)
    shown = ", ".join(names[:3]) or ("a common name only" if in_common_name else "no name")
    reason = f"the certificate is for {quoted(shown)[1:-1]}, not for {quoted(host)[1:-1]}"
    failure = TlsFailure("certificate-host-mismatch", reason, "certificate_name", in_common_name)
    raise CertificateRefused(failure, session)


def covers(name: str, host: str, *, underscore: bool = False) -> bool:
    """Whether a name of a certificate, in lower case, stands for the host: the same name, or a wildcard in place of its
    first label (RFC 6125 section 6.4.3), which has an underscore only where that is allowed.
    """
    label, _, parent = host.lower().partition(".")
    if name == host.lower():
        return bool(label)
    may = bool(label) if underscore else bool(_LDH.fullmatch(label))
    return may and "." in parent and name == f"*.{parent}"


def failure_of(error: ssl.SSLError) -> TlsFailure:
    """What a failed handshake means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in (_NOT_YET_VALID, _EXPIRED):
            return TlsFailure("certificate-expired", error.verify_message, "certificate_expired")
        return TlsFailure("certificate-not-trusted", error.verify_message, "certificate_untrusted")
    reason = error.reason or "handshake failure"
    code: TlsCode = "no_certificate" if "ALERT" in reason.upper() and _NO_CERTIFICATE.search(reason.upper()) else "tls"
    if "UNRECOGNIZED" in reason.upper():
        code = "no_certificate"
    return TlsFailure("validation-failure", reason.replace("_", " ").lower(), code)


def out_of_date(chain: Sequence[bytes], now: datetime) -> TlsFailure | None:
    """Which certificate of the chain that a server sends (DER, the server's own first) is out of date, and since when;
    None where none of them is.
    """
    from cryptography import x509  # comes with azure-identity; only a failure needs it

    for place, der in enumerate(chain):
        try:
            certificate = x509.load_der_x509_certificate(der)
            begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            name = quoted(certificate.subject.rfc4514_string())[1:-1]
        except ValueError:
            continue
        if begin <= now <= end:
            continue
        what = f"ended on {end:%Y-%m-%d}" if end < now else f"begins on {begin:%Y-%m-%d}"
        if place:
            reason = f"the certificate of the authority {name} in the chain {what}"
            return TlsFailure("certificate-expired", reason, "chain_expired")
        return TlsFailure("certificate-expired", f"the certificate {what}", "certificate_expired")
    return None


def speaks_tls_1_3_alone(error: ssl.SSLError) -> bool:
    """Whether this is how a server refuses TLS 1.2."""
    return "PROTOCOL_VERSION" in (error.reason or "").upper().replace(" ", "_")


def _time(certificate: dict[str, Any], field: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate.get(field, _EPOCH))), UTC)
