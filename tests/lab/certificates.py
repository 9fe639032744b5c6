"""A private certificate authority, and certificates that are wrong in every way that matters to a sender."""

import asyncio
import ssl
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from tests.lab.situation import Certificate

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_ALERTS: dict[Certificate, ssl.AlertDescription] = {
    "alert_unrecognized_name": ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME,
    "alert_internal_error": ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR,
    "alert_handshake_failure": ssl.AlertDescription.ALERT_DESCRIPTION_HANDSHAKE_FAILURE,
}
_LEFT = timedelta(days=7, hours=1)  # of a certificate that ends soon


class Authority:
    """Issues a certificate for each name and kind at the first handshake that asks for it."""

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self._unknown_ca = trustme.CA()
        now = datetime.now(UTC)
        self._old_intermediate = _Issuer("Old Intermediate", self._ca, now - timedelta(days=400), now - _DAY)
        self._lax_root = _Issuer("Lax Root", None, now - _DAY, now + timedelta(days=400))
        self._contexts: dict[tuple[str, Certificate], ssl.SSLContext] = {}

    def write(self, file: Path) -> None:
        """Write what a client is to trust to a PEM file."""
        self._ca.cert_pem.write_to_path(file)
        with file.open("ab") as pem:
            pem.write(self._lax_root.certificate.public_bytes(Encoding.PEM))

    def context(
        self,
        kind_for: Callable[[str], Certificate],
        *,
        tls_1_1: bool = False,
        tls_1_3: bool = False,
        without_sni: str = "",
    ) -> ssl.SSLContext:
        """A server's context, whose certificate is of the kind `kind_for(name)` for the name that SNI asks for.

        Without SNI the certificate is for `without_sni`; the handshake is aborted where that is empty (RFC 8461 section
        7.1). With `tls_1_1` nothing later is spoken, with
        `tls_1_3` nothing older.
        """

        def choose(client: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
            name = name or without_sni
            if not name:
                return ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            key = name, kind_for(name)
            if key[1] in _ALERTS:
                return _ALERTS[key[1]]
            if key not in self._contexts:
                self._contexts[key] = self.issue(*key)
            client.context = self._contexts[key]
            return None

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = choose
        if tls_1_1:
            only_tls_1_1(context)
        if tls_1_3:
            context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context

    def configure_trust(self, context: ssl.SSLContext) -> None:
        """Make a context trust this authority."""
        self._ca.configure_trust(context)

    def issue(self, name: str, kind: Certificate) -> ssl.SSLContext:
        """A server's context with a new certificate of this kind."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT@SECLEVEL=0")  # TLS 1.1, which its listener alone speaks, signs with SHA-1
        now = datetime.now(UTC)
        match kind:
            case "good":
                certificate = self._ca.issue_cert(name)
            case "other_name":
                certificate = self._ca.issue_cert(f"not-{name}")
            case "expired":
                certificate = self._ca.issue_cert(
                    name, not_before=now - timedelta(days=90), not_after=now - timedelta(days=1)
                )
            case "ends_soon":
                certificate = self._ca.issue_cert(name, not_after=now + _LEFT)
            case "unknown_authority":
                certificate = self._unknown_ca.issue_cert(name)
            case "common_name_only":
                certificate = self._ca.issue_cert(f"postmaster@{name}", common_name=name)  # a SAN, but no DNS-ID
            case "self_signed":
                certificate = _self_signed(name, now)
            case "not_yet_valid":
                certificate = self._ca.issue_cert(name, not_before=now + _DAY, not_after=now + timedelta(days=90))
            case "six_days":  # as Let's Encrypt's short-lived ones, an hour old
                certificate = self._ca.issue_cert(name, not_before=now - _HOUR, not_after=now + timedelta(hours=159))
            case "six_days_ending":
                certificate = self._ca.issue_cert(
                    name, not_before=now - timedelta(hours=120), not_after=now + 40 * _HOUR
                )
            case "wildcard":
                certificate = self._ca.issue_cert(f"*.{name.partition('.')[2]}")
            case "partial_wildcard":
                certificate = self._lax_root.issue(f"{name[0]}*.{name.partition('.')[2]}")
            case "intermediate_expired":
                certificate = self._old_intermediate.issue(name)
            case "lax_authority":
                certificate = self._lax_root.issue(name)
            case "alert_unrecognized_name" | "alert_internal_error" | "alert_handshake_failure":
                raise ValueError(f"{kind} has no certificate")
        certificate.configure_cert(context)
        return context


class _Issuer:
    """An authority that issues certificates as no good one does: without the identifiers and the usages of keys that
    RFC 5280 asks for. Without a `parent` it is a root.
    """

    def __init__(self, name: str, parent: trustme.CA | None, begin: datetime, end: datetime) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer, key = self._name, self._key
        if parent is not None:
            issuer = x509.load_pem_x509_certificate(parent.cert_pem.bytes()).subject
            loaded = load_pem_private_key(parent.private_key_pem.bytes(), None)
            assert isinstance(loaded, ec.EllipticCurvePrivateKey)
            key = loaded
        self._is_root = parent is None
        basic = x509.BasicConstraints(ca=True, path_length=None)
        builder = _builder(self._name, issuer, self._key, begin, end).add_extension(basic, critical=False)
        self.certificate = builder.sign(key, hashes.SHA256())

    def issue(self, name: str) -> trustme.LeafCert:
        """A certificate for the name, which is valid itself."""
        now = datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "the lab")])
        builder = _builder(subject, self._name, key, now - _DAY, now + timedelta(days=90))
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        chain = [] if self._is_root else [self.certificate.public_bytes(Encoding.PEM)]
        return trustme.LeafCert(
            _private(key), builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM), chain
        )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


async def handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
    """The handshake of a server and no more. Unlike asyncio's own it sends the alert that tells a client why it fails,
    as mail and web servers do.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    going_on = True
    while going_on:
        try:
            tls.do_handshake()
            going_on = False
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            going_on = False
        writer.write(outgoing.read())
        await writer.drain()
        if going_on:
            octets = await reader.read(65536)
            going_on = bool(octets)
            incoming.write(octets)


def only_tls_1_1(context: ssl.SSLContext) -> None:
    """Make a context speak TLS 1.1 alone, which OpenSSL 3 does at security level 0."""
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1


def _self_signed(name: str, now: datetime) -> trustme.LeafCert:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key, now - timedelta(days=1), now + timedelta(days=90))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    return trustme.LeafCert(_private(key), certificate.public_bytes(Encoding.PEM), [])
