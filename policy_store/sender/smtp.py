"""One MX host over SMTP, as far as STARTTLS and the certificate: no mail is sent (RFC 8461 section 4.2, RFC 3207).

What a host answers once it took a connection is a fact about the host, which every sender meets. Only silence, a 421
and a connection that does not come about say nothing.
"""

import asyncio
import os
import re
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from policy_store.names import InvalidName, quoted, read_name
from policy_store.sender.limits import CONNECT_SECONDS, SMTP_SECONDS
from policy_store.sender.tls import (
    CertificateRefused,
    TlsFailure,
    TlsSession,
    failure_of,
    looking_context,
    out_of_date,
    session_of,
)

type SmtpOutcome = Literal[
    "tls",
    "tls_failed",
    "no_starttls",
    "starttls_refused",
    "no_ehlo",
    "refused",
    "no_smtp",
    "busy",
    "timeout",
    "unreachable",
]

_LONGEST_LINE = 4096  # bytes; RFC 5321 section 4.5.3.1.5 allows 512
_MOST_LINES = 100
_REPLY = re.compile(rb"(?P<code>[2-5][0-9][0-9])(?:(?P<more>[ -])(?P<text>[^\r\n]*))?\r?\n")
_OVER_TLS = "EHLO over TLS"
_BUSY = "421"  # RFC 5321 section 3.8: not now, whatever was asked


@dataclass(frozen=True, slots=True)
class SmtpResult:
    """How far a sender gets with one address of an MX host.

    `tls`: a session with a certificate that passes (`session`), in which the host answers. `tls_failed`: STARTTLS goes
    wrong, why is in `failure`, or the connection ends as soon as TLS stands.
    `no_starttls`: the host does not offer it, `starttls_refused`: it offers it and then refuses. `no_ehlo`: it refuses
    EHLO and takes HELO, which has no STARTTLS. `refused`: it refuses to talk at all. `no_smtp`: it answers otherwise
    than a mail server, or ends the connection.

    Nothing can be told from `busy` (421), `timeout` (a step took too long) and `unreachable` (no connection). What is
    known is in `detail`; `permanent` tells that the host said no for good (5yz), which some senders take as the end.
    """

    address: str
    outcome: SmtpOutcome
    detail: str = ""
    session: TlsSession | None = None
    failure: TlsFailure | None = None
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class _Reply:
    """One reply: its code, the texts of its lines, and its last line."""

    code: str
    texts: list[bytes]
    last: str

    @property
    def permanent(self) -> bool:
        """Whether this is a no for good: 5yz, and for Postfix 3yz where nothing asks for it."""
        return not self.code.startswith("4")


class _Ends(Exception):
    """The dialogue ends before TLS: what it comes to."""

    def __init__(self, outcome: SmtpOutcome, detail: str, *, permanent: bool = False) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.permanent = permanent


class _Dialogue:
    """The dialogue with one host, up to TLS; `step` is where it stands."""

    def __init__(self, step_seconds: float) -> None:
        self._seconds = step_seconds
        self.step = "connect"
        self._reader: asyncio.StreamReader  # both once connected
        self._writer: asyncio.StreamWriter

    async def start_tls(
        self, host: str, address: str, port: int, helo: str, context: ssl.SSLContext
    ) -> ssl.SSLObject | None:
        """The connection once TLS stands; None where SNI cannot carry such a name. Raises _Ends, OSError."""
        async with asyncio.timeout(min(self._seconds, CONNECT_SECONDS)):
            reader, writer = await asyncio.open_connection(address, port, limit=_LONGEST_LINE)
        self._reader, self._writer = reader, writer
        greeting = await self._reply(reader, "greeting")
        if not greeting.code.startswith("2"):
            for_good = greeting.permanent and not greeting.code.startswith("5")  # which senders take for a busy host
            raise _Ends("refused", f"greeting: the host answered {quoted(greeting.last)}", permanent=for_good)
        await self._ehlo(reader, writer, helo)
        writer.write(b"STARTTLS\r\n")
        ready = await self._reply(reader, "STARTTLS")
        if not ready.code.startswith("2"):
            answer = f"it answers STARTTLS with {quoted(ready.last)}"
            raise _Ends("starttls_refused", answer, permanent=ready.permanent)
        self.step = "TLS handshake"
        await _drop_what_is_there(reader)
        async with asyncio.timeout(self._seconds):
            try:
                await writer.start_tls(context, server_hostname=host)
            except ssl.SSLError:  # some of them are ValueErrors too
                raise
            except ValueError:  # SNI cannot carry such a name
                return None
        connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return connection

    async def say_hello_again(self, helo: str) -> None:
        """Say EHLO over TLS, and HELO where that is refused. A host may end the session only now, for example one that
        wants a certificate of the client in TLS 1.3. Raises _Ends, OSError.
        """
        for verb in ("EHLO", "HELO"):
            self._writer.write(f"{verb} {helo}\r\n".encode("ascii"))
            answer = await self._reply(self._reader, _OVER_TLS)
            if answer.code.startswith("2"):
                return
        raise _Ends("refused", f"over TLS it answers EHLO with {quoted(answer.last)}", permanent=answer.permanent)

    def close(self) -> None:
        """Go without waiting for the end, which a broken handshake never tells."""
        if self.step != "connect":
            self._writer.transport.abort()

    async def _ehlo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, helo: str) -> None:
        writer.write(f"EHLO {helo}\r\n".encode("ascii"))
        answer = await self._reply(reader, "EHLO")
        if answer.code.startswith("2"):
            if b"STARTTLS" not in (text.split()[0].upper() for text in answer.texts[1:] if text.split()):
                raise _Ends("no_starttls", "does not offer STARTTLS")
            return
        writer.write(f"HELO {helo}\r\n".encode("ascii"))  # as RFC 5321 section 3.2 has clients do
        again = await self._reply(reader, "HELO")
        detail = f"it answers EHLO with {quoted(answer.last)}"
        if not again.code.startswith("2"):
            raise _Ends("refused", f"{detail} and HELO with {quoted(again.last)}", permanent=again.permanent)
        raise _Ends("no_ehlo", detail)

    async def _reply(self, reader: asyncio.StreamReader, step: str) -> _Reply:
        """One reply. Raises _Ends, TimeoutError, OSError."""
        self.step = step
        texts: list[bytes] = []
        async with asyncio.timeout(self._seconds):
            while True:
                try:
                    line = await reader.readuntil(b"\n")
                except asyncio.LimitOverrunError as error:
                    raise _Ends("no_smtp", f"{step}: the answer has a line without end") from error
                except asyncio.IncompleteReadError as error:
                    if step == _OVER_TLS:
                        raise ConnectionError from error
                    raise _Ends("no_smtp", f"{step}: the host ended the connection") from error
                match = _REPLY.fullmatch(line)
                if not match or len(texts) >= _MOST_LINES:
                    raise _Ends("no_smtp", f"{step}: the answer is not SMTP: {quoted(line[:60].decode('latin-1'))}")
                texts.append(match["text"] or b"")
                if match["more"] != b"-":
                    reply = _Reply(match["code"].decode(), texts, line.decode("latin-1").strip())
                    if reply.code == _BUSY:
                        raise _Ends("busy", f"{step}: the host answered {quoted(reply.last)}")
                    return reply


async def probe(
    host: str, address: str, *, context: ssl.SSLContext, port: int = 25, step_seconds: float = SMTP_SECONDS, helo: str
) -> SmtpResult:
    """Connect to `address`, say EHLO with the name `helo` and STARTTLS, and verify the certificate for `host` (sent as
    SNI). Every step may take `step_seconds`. Raises nothing.
    """
    dialogue = _Dialogue(step_seconds)
    try:
        connection = await dialogue.start_tls(host, address, port, helo_name(helo), context)
        if connection is None:
            failure = TlsFailure("certificate-host-mismatch", "no certificate can name it", "certificate_name")
            return SmtpResult(address, "tls_failed", failure=failure)
        session = session_of(connection, host)
        await dialogue.say_hello_again(helo_name(helo))
        return SmtpResult(address, "tls", session=session)
    except _Ends as ends:
        return SmtpResult(address, ends.outcome, str(ends), permanent=ends.permanent)
    except CertificateRefused as refused:
        return SmtpResult(address, "tls_failed", failure=refused.failure)
    except TimeoutError:
        outcome: SmtpOutcome = "unreachable" if dialogue.step == "connect" else "timeout"
        seconds = min(step_seconds, CONNECT_SECONDS) if dialogue.step == "connect" else step_seconds
        return SmtpResult(address, outcome, f"{dialogue.step}: no answer within {seconds:g} s")
    except ssl.SSLError as error:
        failure = failure_of(error)
        if failure.code == "certificate_expired":
            failure = await _out_of_date(host, address, port, helo_name(helo), step_seconds) or failure
        return SmtpResult(address, "tls_failed", failure=failure)
    except OSError as error:
        return _broken(address, dialogue.step, error)
    finally:
        dialogue.close()


def helo_name(name: str) -> str:
    """The name to greet with: `name` as ASCII where it is a host name, else one that no host has (RFC 2606)."""
    try:
        return read_name(name)
    except InvalidName:
        return "mta-sts.invalid"


def _broken(address: str, step: str, error: OSError) -> SmtpResult:
    reason = os.strerror(error.errno) if error.errno else "the host ended the connection"
    if step == "connect":
        return SmtpResult(address, "unreachable", f"connect: {reason}")
    if step in ("TLS handshake", _OVER_TLS):
        what = "no handshake" if step == "TLS handshake" else "TLS stands, and then"
        return SmtpResult(address, "tls_failed", failure=TlsFailure("validation-failure", f"{what}: {reason}"))
    return SmtpResult(address, "no_smtp", f"{step}: {reason}")


async def _drop_what_is_there(reader: asyncio.StreamReader) -> None:
    """Drop what a host said before TLS and behind its consent: it must not be taken for an answer over TLS."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            await reader.read(_LONGEST_LINE)


async def _out_of_date(host: str, address: str, port: int, helo: str, seconds: float) -> TlsFailure | None:
    """Which certificate is out of date, by a second look at all that the host sends."""
    dialogue = _Dialogue(seconds)
    try:
        connection = await dialogue.start_tls(host, address, port, helo, looking_context())
        chain = list(connection.get_unverified_chain()) if connection else []
    except (_Ends, OSError):
        return None
    finally:
        dialogue.close()
    return out_of_date(chain, datetime.now(UTC))
