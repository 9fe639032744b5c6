"""One MX host over SMTP, as far as STARTTLS and the certificate: no mail is sent (RFC 8461 section 4.2, RFC 3207)."""

import asyncio
import os
import re
import ssl
from dataclasses import dataclass
from typing import Literal

from policy_store.names import quoted
from policy_store.sender.tls import TlsFailure, TlsSession, failure_of, session_of

type SmtpOutcome = Literal["tls", "tls_failed", "no_starttls", "unreachable", "no_smtp", "timeout"]

_LONGEST_LINE = 4096  # octets; RFC 5321 section 4.5.3.1.5 allows 512
_MOST_LINES = 100
_REPLY = re.compile(rb"(?P<code>[2-5][0-9][0-9])(?P<more>[ -])?(?P<text>[^\r\n]*)\r?\n")


@dataclass(frozen=True, slots=True)
class SmtpResult:
    """How far a sender gets with one address of an MX host.

    `tls`: a session with a certificate that passes (`session`). `tls_failed`: why, in `failure`. `no_starttls`: the
    host does not offer it. `unreachable`: no connection, `timeout`: a step took too long, `no_smtp`: the host answers
    otherwise than a mail server or cuts the line; what is known is in `detail`.
    """

    address: str
    outcome: SmtpOutcome
    detail: str = ""
    session: TlsSession | None = None
    failure: TlsFailure | None = None


class _NoSmtp(Exception):
    """The host does not speak SMTP as a sender needs it."""


async def probe(
    host: str, address: str, *, context: ssl.SSLContext, port: int = 25, step_seconds: float = 10, helo: str
) -> SmtpResult:
    """Connect to `address`, say EHLO with the name `helo` and STARTTLS, and verify the certificate for `host` (sent as
    SNI). Every step may take `step_seconds`. Raises nothing.
    """
    writer: asyncio.StreamWriter | None = None
    step = "connect"
    try:
        async with asyncio.timeout(step_seconds):
            reader, writer = await asyncio.open_connection(address, port, limit=_LONGEST_LINE)
        step = "greeting"
        await _expect(reader, b"220", step_seconds)
        step = "EHLO"
        writer.write(f"EHLO {helo}\r\n".encode("ascii"))
        extensions = await _expect(reader, b"250", step_seconds)
        if b"STARTTLS" not in (line.split()[0].upper() for line in extensions[1:] if line.split()):
            return SmtpResult(address, "no_starttls")
        step = "STARTTLS"
        writer.write(b"STARTTLS\r\n")
        await _expect(reader, b"220", step_seconds)
        step = "TLS handshake"
        async with asyncio.timeout(step_seconds):
            await writer.start_tls(context, server_hostname=host)
        return SmtpResult(address, "tls", session=session_of(writer.get_extra_info("ssl_object")))
    except TimeoutError:
        return SmtpResult(address, "unreachable" if step == "connect" else "timeout", f"{step}: no answer in time")
    except ssl.SSLError as error:
        return SmtpResult(address, "tls_failed", failure=failure_of(error))
    except ValueError:  # SNI cannot carry such a name, and no certificate names it
        return SmtpResult(address, "tls_failed", failure=TlsFailure("certificate-host-mismatch", "no host name"))
    except _NoSmtp as error:
        return SmtpResult(address, "no_smtp", f"{step}: {error}")
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        return SmtpResult(address, "unreachable" if step == "connect" else "no_smtp", f"{step}: {reason}")
    finally:
        if writer is not None:
            writer.transport.abort()  # and no wait for the end, which a broken handshake never tells


async def _expect(reader: asyncio.StreamReader, code: bytes, seconds: float) -> list[bytes]:
    """The lines of one reply, which must have `code`. Raises _NoSmtp, TimeoutError, OSError."""
    lines: list[bytes] = []
    async with asyncio.timeout(seconds):
        while True:
            try:
                line = await reader.readuntil(b"\n")
            except asyncio.LimitOverrunError as error:
                raise _NoSmtp("the answer has a line without end") from error
            except asyncio.IncompleteReadError as error:
                raise _NoSmtp("the host cut the line") from error
            match = _REPLY.fullmatch(line)
            if not match or len(lines) >= _MOST_LINES:
                raise _NoSmtp(f"the answer is no SMTP: {quoted(line[:60].decode('latin-1'))}")
            lines.append(match["text"])
            if match["more"] != b"-":
                if match["code"] != code:
                    answer = line.decode("latin-1").strip()
                    raise _NoSmtp(f"the host answered {quoted(answer)} in place of {code.decode()}")
                return lines
