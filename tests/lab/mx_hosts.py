"""The MX hosts of the lab: mail servers with STARTTLS, one for each way in which they can be good or bad, each on a
loopback address of its own and all on one port.

What a mail server does is done by aiosmtpd; what none would do, by a few lines here.
"""

import asyncio
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.lab.addresses import LoopThread, listeners
from tests.lab.certificates import Authority, handshake
from tests.lab.mx_sessions import SESSIONS, talk
from tests.lab.situation import Certificate

type _Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_CERTIFICATES: dict[str, Certificate] = {
    "good": "good",
    "other_name": "other_name",
    "expired": "expired",
    "self_signed": "self_signed",
    "unknown_authority": "unknown_authority",
    "ends_soon": "ends_soon",
    "common_name_only": "common_name_only",
    "slow": "good",
    "intermediate_expired": "intermediate_expired",
    "not_yet_valid": "not_yet_valid",
    "six_days": "six_days",
    "six_days_ending": "six_days_ending",
    "lax_authority": "lax_authority",
    "wildcard": "wildcard",
    "partial_wildcard": "partial_wildcard",
}
_ANY = "mx.lab.example"  # for a sender that does not say whom it wants, as without a policy
_SLOW_SECONDS = 0.5
_FOR_GOOD = 3600  # seconds
_BLOCK = b"x" * 4096


class _Handler:
    """Takes its time to answer EHLO."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def handle_EHLO(  # noqa: N802 - the name that aiosmtpd calls
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        await asyncio.sleep(self._seconds)
        session.host_name = hostname
        return responses


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the connection and say nothing."""
    await asyncio.sleep(_FOR_GOOD)


async def _silent_at_ehlo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greet, and say nothing more."""
    writer.write(b"220 mx ESMTP\r\n")
    await asyncio.sleep(_FOR_GOOD)


async def _until_starttls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Talk until the client starts TLS, which may also take mail without it. Raises EOFError."""
    writer.write(b"220 mx ESMTP\r\n")
    await talk(reader, writer)
    writer.write(b"220 go ahead\r\n")


async def _until_handshake(context: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _until_starttls(reader, writer)
    await handshake(reader, writer, context)


async def _silent_in_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be ready for TLS, and then say nothing more."""
    await _until_starttls(reader, writer)
    await asyncio.sleep(_FOR_GOOD)


async def _cut_in_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be ready for TLS, and then hang up."""
    await _until_starttls(reader, writer)


async def _no_tls_in_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be ready for TLS, and then go on in plain text."""
    await _until_starttls(reader, writer)
    await reader.read(1)
    writer.write(b"500 what did you say?\r\n")


async def _cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hang up in the middle of the answer to EHLO."""
    writer.write(b"220 mx ESMTP\r\n")
    await reader.readuntil(b"\r\n")
    writer.write(b"250-mx\r\n250-STAR")


async def _reset_in_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be ready for TLS, read the beginning of the handshake, and reset the connection."""
    await _until_starttls(reader, writer)
    await reader.read(1)
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _answering(ehlo: str, starttls: str = "", helo: str = "") -> _Behaviour:
    """The behaviour of a server that answers EHLO, STARTTLS and HELO with these lines, and anything else with 250."""
    answers = {b"EHLO": ehlo, b"STARTTLS": starttls, b"HELO": helo, b"DATA": "354 go ahead"}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx ESMTP\r\n")
        while line := await reader.readline():
            verb = line.split()[0].upper() if line.split() else b""
            writer.write(f"{answers.get(verb) or '250 ok'}\r\n".encode())
            if verb == b"DATA":
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 ok\r\n")

    return serve


def _greeting(line: bytes, pause: float = 0) -> _Behaviour:
    """The behaviour of a server that greets so, and hangs up where that is no."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(pause)
        writer.write(line + b"\r\n")
        if line.startswith(b"2"):
            await _answering(_NO_STARTTLS)(reader, writer)

    return serve


async def _says_nothing_and_ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the connection and close it."""


async def _rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak something else, with what would move a terminal's cursor."""
    writer.write(b"\x1b[2J\x1b]0;mail\x07\x00\xff HTTP/1.1 400 Bad Request\r\n")


async def _endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greet with a line that never ends."""
    while True:
        writer.write(_BLOCK)
        await writer.drain()
        await asyncio.sleep(0)  # else nobody hears that the client went away


async def _refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greet as a host that takes no mail (RFC 5321 section 3.1)."""
    writer.write(b"554 no mail for you here\r\n")


class _Busy(asyncio.Protocol):
    """Answers a connection with 421."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say it and hang up."""
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(b"421 4.7.0 too many connections\r\n")
        transport.close()


_OFFERS = "250-mx\r\n250 STARTTLS"
_NO_STARTTLS = "250-mx\r\n250 8BITMIME"


class _BusyOnce:
    """Answers the first connection with 421, as a host does that has many, and serves the others."""

    def __init__(self, otherwise: _Behaviour) -> None:
        self._otherwise = otherwise
        self._asked = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        if not self._asked:
            self._asked = True
            writer.write(b"421 4.7.0 too many connections\r\n")
            return
        await self._otherwise(reader, writer)


_BEHAVIOURS: dict[str, _Behaviour] = {
    "starttls_454": _answering(_OFFERS, "454 4.7.0 TLS not available due to local problem"),
    "starttls_502": _answering(_OFFERS, "502 5.5.1 Command not implemented"),
    "starttls_530": _answering(_OFFERS, "530 5.7.0 not for you"),
    "starttls_421": _answering(_OFFERS, "421 4.7.0 try again later"),
    "starttls_354": _answering(_OFFERS, "354 go ahead"),
    "starttls_rubbish": _answering(_OFFERS, "hello there"),
    "starttls_4540": _answering(_OFFERS, "4540 TLS not available"),
    "ehlo_421": _answering("421 4.7.0 too many connections"),
    "ehlo_554": _answering("554 5.7.1 not for you"),
    "ehlo_500": _answering("500 5.5.2 unrecognized command"),
    "ehlo_550": _answering("550 5.7.1 go away", helo="550 5.7.1 go away"),
    "ehlo_450": _answering("450 4.7.1 not now", helo="450 4.7.1 not now"),
    "masked": _answering("250-mx\r\n250 XXXXXXXA"),
    "offered_in_greeting_alone": _answering("250 STARTTLS"),
    "greets_450": _greeting(b"450 4.3.2 system not accepting"),
    "greets_300": _greeting(b"300 hello"),
    "greets_late": _greeting(b"220 mx ESMTP", 1.5),
    "greets_too_late": _greeting(b"220 mx ESMTP", 30),
    "busy": _greeting(b"421 4.7.0 too many connections"),
    "ends_at_once": _says_nothing_and_ends,
    "reset_in_handshake": _reset_in_handshake,
    "silent": _silent,
    "silent_at_ehlo": _silent_at_ehlo,
    "silent_in_handshake": _silent_in_handshake,
    "cut_in_handshake": _cut_in_handshake,
    "no_tls_in_handshake": _no_tls_in_handshake,
    "cut": _cut,
    "rubbish": _rubbish,
    "endless": _endless,
    "refusing": _refusing,
}

KINDS = (
    *_CERTIFICATES,
    "no_starttls",
    "tls_1_1",
    "no_certificate",
    "busy_once",
    *_BEHAVIOURS,
    *SESSIONS,
    "nobody",
    "no_connection",
)


class MxHosts:
    """Every kind of MX host on `port`, each at the address that `addresses` has for it.

    At `nobody` connections are refused, at `no_connection` they are never made: what a blocked port looks like.
    """

    port: int

    def __init__(self, authority: Authority, loop: LoopThread) -> None:
        self.addresses = {kind: f"127.25.0.{number}" for number, kind in enumerate(KINDS, 1)}
        self.asked: Counter[str] = Counter()  # kind -> connections, of those that are not aiosmtpd's
        self._authority = authority
        self._loop = loop
        self._held = ExitStack()

    def start(self) -> None:
        """Listen from now on."""
        self._loop.run(self._start())

    def close(self) -> None:
        """Let go of the addresses where nobody listens."""
        self._held.close()

    async def _start(self) -> None:
        bound = listeners(self.addresses.values())
        self.port = bound[self.addresses["good"]].getsockname()[1]
        for kind, certificate in _CERTIFICATES.items():
            context = self._authority.context(partial(_always, certificate), without_sni=_ANY)
            await self._mail_server(bound[self.addresses[kind]], context, _SLOW_SECONDS if kind == "slow" else 0)
        await self._mail_server(bound[self.addresses["no_starttls"]], None)
        good = self._authority.context(partial(_always, "good"), without_sni=_ANY)
        await self._mail_server(bound[self.addresses["busy_once"]], good, first=_Busy)
        old = self._authority.context(partial(_always, "good"), tls_1_1=True, without_sni=_ANY)
        nothing = self._authority.context(partial(_always, "alert_unrecognized_name"), without_sni=_ANY)
        behaviours: dict[str, _Behaviour] = {
            **_BEHAVIOURS,
            **{kind: session.behaviour(self._authority, _ANY) for kind, session in SESSIONS.items()},
            "tls_1_1": partial(_until_handshake, old),
            "no_certificate": partial(_until_handshake, nothing),
        }
        for kind, behaviour in behaviours.items():
            serve = _and_hang_up(self._counting(kind, behaviour))
            server = await asyncio.start_server(serve, sock=bound[self.addresses[kind]])
            self._loop.servers.append(server)
        self._held.enter_context(bound[self.addresses["nobody"]])
        _fill(self._held.enter_context(bound[self.addresses["no_connection"]]), self._held)

    def _counting(self, kind: str, behaviour: _Behaviour) -> _Behaviour:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.asked[kind] += 1
            await behaviour(reader, writer)

        return serve

    async def _mail_server(
        self,
        bound: socket.socket,
        context: ssl.SSLContext | None,
        seconds: float = 0,
        first: Callable[[], asyncio.Protocol] | None = None,
    ) -> None:
        """Serve mail, but for the `first` connection where that is given."""
        waiting = [first] if first else []

        def session() -> asyncio.Protocol:
            if waiting:
                return waiting.pop()()
            return SMTP(_Handler(seconds), hostname="mx", ident="lab", tls_context=context, loop=self._loop.loop)

        self._loop.servers.append(await self._loop.loop.create_server(session, sock=bound))


def _always(certificate: Certificate, _: str) -> Certificate:
    return certificate


def _and_hang_up(behaviour: _Behaviour) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, EOFError):  # the client went away
                await behaviour(reader, writer)
        finally:
            writer.close()

    return serve


def _fill(listener: socket.socket, held: ExitStack) -> None:
    """Fill the queue of a listener that accepts nothing, so that the kernel answers no further connection."""
    listener.listen(0)
    while True:
        client = held.enter_context(socket.socket())
        client.settimeout(0.2)
        try:
            client.connect(listener.getsockname())
        except TimeoutError:
            return
