"""One fetch of a policy over HTTPS, from one address, as RFC 8461 section 3.3 asks a sender to do it."""

import asyncio
import os
import ssl
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from policy_store.names import quoted
from policy_store.policy import LARGEST_TEXT
from policy_store.sender.facts import EVERYBODY, FetchCode, Fetched, NoteCode, Sender
from policy_store.sender.http_answer import MOST_HEAD, Answer, NotHttp, decoded, media_type, read_answer
from policy_store.sender.limits import CONNECT_SECONDS, NO_WAY
from policy_store.sender.tls import (
    CertificateRefused,
    TlsFailure,
    TlsSession,
    failure_of,
    looking_context,
    out_of_date,
    session_of,
    speaks_tls_1_3_alone,
)

_PATH = "/.well-known/mta-sts.txt"
_MOST_FOR_A_LOOK = 10.0  # seconds
_COMMON_NAME_TAKERS: frozenset[Sender] = frozenset(("postfix", "lax"))
_LAX: frozenset[Sender] = frozenset(("lax",))
_POSTFIX: frozenset[Sender] = frozenset(("postfix",))


@dataclass
class _Fetch:
    """What is known so far of one fetch."""

    start: float = field(default_factory=time.monotonic)
    session: TlsSession | None = None
    connected: bool = False
    problem: FetchCode | None = None
    detail: str = ""
    text: bytes = b""
    takers: frozenset[Sender] = EVERYBODY
    charset: str = "utf-8"
    notes: list[tuple[NoteCode, str]] = field(default_factory=list)

    def fails(self, code: FetchCode, detail: str, takers: frozenset[Sender] = frozenset()) -> None:
        """A sender that keeps to the RFC stops here; only `takers` go on. The first reason counts."""
        if self.problem is None:
            self.problem, self.detail = code, detail
        self.takers &= takers

    @property
    def fetched(self) -> Fetched:
        """All of it as a fact."""
        seconds = time.monotonic() - self.start
        return Fetched(
            self.text, seconds, self.session, self.problem, self.detail, self.takers, self.charset, tuple(self.notes)
        )


async def fetch(
    host: str, address: str, context: ssl.SSLContext, *, port: int = 443, seconds: float, limit: int = LARGEST_TEXT
) -> Fetched:
    """What `address` serves for `host`: the body of a 200 of type text/plain with at most `limit` bytes, no redirect
    followed. `context` checks the certificate; all of it may take `seconds`. Raises nothing.
    """
    so_far = _Fetch()
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(seconds):
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(address, port, limit=MOST_HEAD)
            so_far.connected = True
            await writer.start_tls(context, server_hostname=host)
            try:
                so_far.session = session_of(writer.get_extra_info("ssl_object"), host)
            except CertificateRefused as refused:
                so_far.session = refused.session
                takers = _COMMON_NAME_TAKERS if refused.failure.common_name else frozenset[Sender]()
                so_far.fails("https_certificate_name", f"fails in TLS: {refused.failure.reason}", takers)
            if so_far.session.old_cipher:
                detail = f"fails in TLS: it offers {so_far.session.old_cipher} alone, which Postfix's resolver refuses"
                so_far.fails("https_tls", detail, _LAX)
            if so_far.takers:
                authority = host if port == 443 else f"{host}:{port}"
                writer.write(
                    f"GET {_PATH} HTTP/1.1\r\nHost: {authority}\r\nAccept: text/plain\r\nUser-Agent: mta-sts\r\n"
                    "Connection: close\r\n\r\n".encode("ascii")
                )
                _read(so_far, await read_answer(reader, limit), limit)
    except TimeoutError:
        so_far.fails(*_too_slow(so_far, seconds))
    except ssl.SSLError as error:
        failure = failure_of(error)
        so_far.fails(_code(failure), f"fails in TLS: {failure.reason}")
    except NotHttp as error:
        so_far.fails("https_no_http", str(error))
    except OSError as error:
        so_far.fails(*_no_connection(so_far, error))
    finally:
        if writer is not None:
            writer.transport.abort()
    if so_far.problem == "https_certificate_expired" and (which := await _out_of_date(host, address, port)):
        return replace(so_far.fetched, problem=_code(which), detail=f"fails in TLS: {which.reason}")
    return so_far.fetched


async def refuses_tls_1_2(host: str, address: str, port: int = 443) -> bool:
    """Whether a server that speaks TLS 1.3 speaks nothing older. Raises nothing."""
    try:
        await _look(host, address, port, looking_context(ssl.TLSVersion.TLSv1_2))
    except TimeoutError:
        return False
    except ssl.SSLError as error:
        return speaks_tls_1_3_alone(error)
    except ConnectionError as error:  # some servers end the connection without a word
        return not isinstance(error, ConnectionRefusedError)
    except OSError:
        return False
    return False


def _code(failure: TlsFailure) -> FetchCode:
    codes: dict[str, FetchCode] = {
        "certificate_name": "https_certificate_name",
        "certificate_expired": "https_certificate_expired",
        "chain_expired": "https_chain_expired",
        "certificate_untrusted": "https_certificate_untrusted",
        "no_certificate": "https_no_certificate",
        "tls": "https_tls",
    }
    return codes[failure.code]


def _too_slow(so_far: _Fetch, seconds: float) -> tuple[FetchCode, str]:
    if not so_far.connected:
        return "https_unreachable", f"takes no connection within {min(seconds, CONNECT_SECONDS):g} s"
    return "https_timeout", f"gave no answer within {seconds:g} s"


def _no_connection(so_far: _Fetch, error: OSError) -> tuple[FetchCode, str]:
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    if so_far.session is not None:
        return "https_no_http", f"ends the connection: {reason}"
    if so_far.connected:
        return "https_tls", f"fails in TLS: {reason}"
    if error.errno in NO_WAY:
        return "https_not_from_here", f"was not asked: {reason}"
    return "https_unreachable", f"cannot be reached: {reason}"


def _read(so_far: _Fetch, answer: Answer, limit: int) -> None:
    """What each sender makes of a final answer."""
    code = quoted(answer.status)[1:-1]
    if answer.status != "200":
        so_far.fails(*_status(answer, code), _LAX if answer.status.startswith("2") else frozenset())
    if answer.bare_lf:
        so_far.notes.append(("https_line_ends", "ends lines of its headers with LF alone"))
        so_far.takers -= _LAX
    _read_type(so_far, answer.values("Content-Type"))
    so_far.text = answer.body
    try:
        text, coding = decoded(answer.body, answer.values("Content-Encoding"), limit)
    except NotHttp as error:
        so_far.fails("https_encoding", str(error), _LAX)
        return
    if coding == "gzip":
        so_far.notes.append(("https_zipped", f"encodes the text as {coding} though it was not asked to"))
        so_far.takers -= _LAX
    so_far.text = text[:limit]
    if "deflate" in coding:
        so_far.fails("https_encoding", f"encodes the text as {coding}, which senders in Go cannot read", _POSTFIX)
    if answer.cut or len(text) > limit:
        so_far.fails("https_size", f"serves more than the {limit} bytes that senders read", _LAX)


def _status(answer: Answer, code: str) -> tuple[FetchCode, str]:
    if code.startswith("3"):
        return "https_redirect", f"redirects ({code}), which senders do not follow"
    detail = f"answers {code} in place of 200"
    if code in ("401", "403"):
        mitigated = answer.values("cf-mitigated")
        return "https_forbidden", f"{detail} (cf-mitigated: {quoted(mitigated[0])})" if mitigated else detail
    if code == "429":
        return "https_too_many_requests", detail
    return ("https_server_error" if code.startswith("5") else "https_status"), detail


def _read_type(so_far: _Fetch, values: list[str]) -> None:
    found = media_type(values)
    shown = " and ".join(quoted(value) for value in values[:2]) or "no content type"
    if not found.plain:
        so_far.fails("https_type", f"serves {shown} in place of the content type text/plain", _LAX)
        return
    if len(values) > 1:
        so_far.notes.append(("https_type_twice", f"sends {len(values)} Content-Type headers, {shown}"))
    if found.broken:
        so_far.notes.append(("https_type_parameters", f"serves the content type {shown}: {found.broken}"))
    if found.unusual or found.charset is None:
        so_far.notes.append(("https_charset", f"serves the content type {shown}: the charset must be utf-8"))
    if found.charset is None:
        so_far.takers -= {"postfix"}
    else:
        so_far.charset = found.charset


async def _out_of_date(host: str, address: str, port: int) -> TlsFailure | None:
    """Which certificate is out of date, by a second look at all that the server sends."""
    try:
        chain = await _look(host, address, port, looking_context())
    except OSError:
        return None
    return out_of_date(chain, datetime.now(UTC))


async def _look(host: str, address: str, port: int, context: ssl.SSLContext) -> list[bytes]:
    """The certificates that a server sends. Raises OSError, of which ssl.SSLError and TimeoutError are."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(_MOST_FOR_A_LOOK):
            _, writer = await asyncio.open_connection(address, port)
            await writer.start_tls(context, server_hostname=host)
            return list(writer.get_extra_info("ssl_object").get_unverified_chain())
    finally:
        if writer is not None:
            writer.transport.abort()
