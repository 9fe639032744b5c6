"""MX hosts of the lab that start TLS with a good certificate, and what they do then."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.lab.certificates import Authority

type _Then = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


_FOR_GOOD = 3600  # seconds
_OLD = "ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA@SECLEVEL=0"


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take mail until the client wants to start TLS. Raises EOFError."""
    answers = {b"EHLO": b"250-mx\r\n250 STARTTLS\r\n", b"DATA": b"354 go ahead\r\n"}
    while not (line := await reader.readuntil(b"\r\n")).upper().startswith(b"STARTTLS"):
        writer.write(answers.get(line[:4].upper(), b"250 ok\r\n"))
        if line[:4].upper() == b"DATA":
            await reader.readuntil(b"\r\n.\r\n")
            writer.write(b"250 ok\r\n")


async def _end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hang up."""


async def _silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing more."""
    await asyncio.sleep(_FOR_GOOD)


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Refuse whatever is said."""
    while await reader.readline():
        writer.write(b"554 5.7.1 go away\r\n")


def _old_cipher(context: ssl.SSLContext, _: Authority) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_OLD)


def _client_certificate(context: ssl.SSLContext, authority: Authority) -> None:
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)


@dataclass(frozen=True)
class MxSession:
    """How a host answers STARTTLS, what is odd about its TLS, and what it does in the session."""

    starttls: bytes = b"220 go ahead\r\n"
    change: Callable[[ssl.SSLContext, Authority], None] | None = None
    then: _Then = talk

    def behaviour(self, authority: Authority, without_sni: str) -> _Then:
        """The behaviour of such a host."""
        contexts: dict[str, ssl.SSLContext] = {}

        def choose(client: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            client.context = made_for(name or without_sni)

        def made_for(name: str) -> ssl.SSLContext:
            if name not in contexts:
                contexts[name] = authority.issue(name, "good")
                if self.change:
                    self.change(contexts[name], authority)
            return contexts[name]

        outer = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        outer.sni_callback = choose
        if self.change:
            self.change(outer, authority)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mx ESMTP\r\n")
            await talk(reader, writer)
            writer.write(self.starttls)
            await writer.start_tls(outer)
            await self.then(reader, writer)

        return serve


SESSIONS = {
    "starttls_in_lines": MxSession(b"220-one moment\r\n220 go ahead\r\n"),
    "says_more_before_tls": MxSession(b"220 go ahead\r\n554 5.7.1 go away\r\n"),
    "old_cipher": MxSession(change=_old_cipher),
    "wants_a_certificate": MxSession(change=_client_certificate),
    "ends_over_tls": MxSession(then=_end),
    "silent_over_tls": MxSession(then=_silence),
    "refuses_over_tls": MxSession(then=_refuse),
}
