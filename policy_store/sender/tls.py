"""TLS as a sending server checks it: the rules for a certificate, and what went wrong in the words of RFC 8460."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

type TlsResultType = Literal[
    "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted", "validation-failure"
]

# Codes of OpenSSL's X509_verify_cert_error_string, which ssl.SSLCertVerificationError carries.
_NOT_YET_VALID, _EXPIRED, _NAME_MISMATCH = 9, 10, (62, 63, 64)


@dataclass(frozen=True, slots=True)
class TlsFailure:
    """Why a handshake does not pass: the result type of RFC 8460 section 4.3 and OpenSSL's own words."""

    result_type: TlsResultType
    reason: str


@dataclass(frozen=True, slots=True)
class TlsSession:
    """What a handshake that passed shows: the TLS version, and until when the certificate is valid (UTC)."""

    version: str
    not_after: datetime


def strict_context(ca_file: str | None = None) -> ssl.SSLContext:
    """A context that verifies as RFC 8461 sections 3.3, 4.2 and 7 ask for: chain, dates, a SAN for the name, TLS 1.2.

    `ca_file` is a PEM file with authorities to trust besides the system's.
    """
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False  # a DNS-ID is a SAN: RFC 6125
    return context


def session_of(connection: ssl.SSLObject) -> TlsSession:
    """The session of a connection whose certificate passed."""
    certificate = connection.getpeercert() or {}
    not_after = ssl.cert_time_to_seconds(str(certificate.get("notAfter", "Jan  1 00:00:00 1970 GMT")))
    return TlsSession(connection.version() or "unknown", datetime.fromtimestamp(not_after, UTC))


def failure_of(error: ssl.SSLError) -> TlsFailure:
    """What a failed handshake means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        result_type: TlsResultType = "certificate-not-trusted"
        if error.verify_code in (_NOT_YET_VALID, _EXPIRED):
            result_type = "certificate-expired"
        elif error.verify_code in _NAME_MISMATCH:
            result_type = "certificate-host-mismatch"
        return TlsFailure(result_type, error.verify_message)
    return TlsFailure("validation-failure", (error.reason or "handshake failure").replace("_", " ").lower())
