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
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.lab.situation import Certificate

_LEFT = timedelta(days=7, hours=1)  # of a certificate that ends soon


class Authority:
    """Issues a certificate for each name and kind at the first handshake that asks for it."""

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self._unknown_ca = trustme.CA()
        self._contexts: dict[tuple[str, Certificate], ssl.SSLContext] = {}

    def write(self, file: Path) -> None:
        """Write what a client is to trust to a PEM file."""
        self._ca.cert_pem.write_to_path(file)

    def context(self, kind_for: Callable[[str], Certificate], *, tls_1_1: bool = False) -> ssl.SSLContext:
        """A server's context, whose certificate is of the kind `kind_for(name)` for the name that SNI asks for.

        Without SNI the handshake is aborted (RFC 8461 section 7.1). With `tls_1_1` nothing later is spoken.
        """

        def choose(client: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
            if not name:
                return ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            key = name, kind_for(name)
            if key not in self._contexts:
                self._contexts[key] = self._issue(*key)
            client.context = self._contexts[key]
            return None

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = choose
        if tls_1_1:
            only_tls_1_1(context)
        return context

    def _issue(self, name: str, kind: Certificate) -> ssl.SSLContext:
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
        certificate.configure_cert(context)
        return context


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
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return trustme.LeafCert(private, certificate.public_bytes(Encoding.PEM), [])
