"""The fetch of a policy over HTTPS, as strict as RFC 8461 section 3.3 asks a sender to be."""

import asyncio
import http.client
import os
import ssl
import time
from io import BytesIO

from policy_store.names import policy_host, quoted
from policy_store.policy import LARGEST_TEXT
from policy_store.sender.dns import LookupFailed, Resolver
from policy_store.sender.facts import FetchCode, Fetched
from policy_store.sender.tls import TlsResultType, TlsSession, failure_of, session_of

_PATH = "/.well-known/mta-sts.txt"
_MOST_HEAD = 32 * 1024  # octets of the status line and the headers
_MOST_ADDRESSES = 4
_TLS_CODES: dict[TlsResultType, FetchCode] = {
    "certificate-host-mismatch": "https_certificate_name",
    "certificate-expired": "https_certificate_expired",
    "certificate-not-trusted": "https_certificate_untrusted",
    "validation-failure": "https_tls",
}


class FetchFailed(Exception):
    """A sender gets no policy text from the policy host; the message says why."""


class _Refused(Exception):
    """The answer is none that a sender takes a policy from; `text` is what was read of the body."""

    def __init__(self, code: FetchCode, detail: str, text: bytes = b"") -> None:
        super().__init__(detail)
        self.code = code
        self.text = text


async def fetch_policy(
    domain: str, resolver: Resolver, context: ssl.SSLContext, *, port: int = 443, seconds: float = 10
) -> bytes:
    """The text that `mta-sts.<domain>` serves, whatever it holds, from the first address that takes a connection.

    Raises FetchFailed.
    """
    host = policy_host(domain)
    try:
        addresses = await resolver.addresses(host)
    except LookupFailed as error:
        raise FetchFailed(str(error)) from error
    if not addresses:
        raise FetchFailed(f"{host} has no address")
    for address in addresses[:_MOST_ADDRESSES]:
        fetched = await fetch(host, address, context, port=port, seconds=seconds)
        if fetched.problem != "https_unreachable":
            break
    if fetched.problem:
        raise FetchFailed(f"{host} {fetched.detail}")
    return fetched.text


async def connects(address: str, port: int, seconds: float) -> bool:
    """Whether the address takes a TCP connection within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(address, port)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


async def fetch(
    host: str, address: str, context: ssl.SSLContext, *, port: int = 443, seconds: float, limit: int = LARGEST_TEXT
) -> Fetched:
    """The policy text that `address` serves for `host`: the body of a 200 of type text/plain with at most `limit`
    octets, no redirect followed. `context` checks the certificate; all of it may take `seconds`. Raises nothing.
    """
    session: TlsSession | None = None
    start = time.monotonic()

    def problem(code: FetchCode, detail: str, text: bytes = b"") -> Fetched:
        return Fetched(text, time.monotonic() - start, session, code, detail)

    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(
                address, port, ssl=context, server_hostname=host, limit=_MOST_HEAD
            )
            session = session_of(writer.get_extra_info("ssl_object"))
            text = await _get(reader, writer, host if port == 443 else f"{host}:{port}", limit)
            return Fetched(text, time.monotonic() - start, session)
    except _Refused as refused:
        return problem(refused.code, str(refused), refused.text)
    except TimeoutError:
        return problem("https_timeout", f"gave no answer within {seconds:g} s")
    except ssl.SSLError as error:
        failure = failure_of(error)
        return problem(_TLS_CODES[failure.result_type], f"fails in TLS: {failure.reason}")
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        if session is not None:
            return problem("https_no_http", f"cuts the line: {reason}")
        if isinstance(error, ConnectionResetError | ConnectionAbortedError):  # in the handshake, after it connected
            return problem("https_tls", f"fails in TLS: {reason}")
        return problem("https_unreachable", f"cannot be reached: {reason}")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, http.client.HTTPException, ValueError):
        return problem("https_no_http", "does not speak HTTP as it should")
    finally:
        if writer is not None:
            writer.transport.abort()


async def _get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str, limit: int) -> bytes:
    writer.write(
        f"GET {_PATH} HTTP/1.1\r\nHost: {authority}\r\nAccept: text/plain\r\nUser-Agent: mta-sts\r\n"
        "Connection: close\r\n\r\n".encode("ascii")
    )
    head = BytesIO(await reader.readuntil(b"\r\n\r\n"))
    version, status, *_ = [*head.readline().split(None, 2), b"", b""]
    headers = http.client.parse_headers(head)
    if not version.startswith(b"HTTP/1."):
        raise _Refused("https_no_http", "does not speak HTTP as it should")
    if status != b"200":
        code = quoted(status.decode("latin-1"))[1:-1]
        if status.startswith(b"3"):
            raise _Refused("https_redirect", f"redirects ({code}), which senders do not follow")
        raise _Refused("https_status", f"answers {code} in place of 200")
    if headers.get_content_type() != "text/plain" or headers.get("Content-Type") is None:
        type_ = quoted(headers.get("Content-Type") or "nothing")
        raise _Refused("https_type", f"serves the content type {type_} in place of text/plain")
    return await _body(reader, headers, limit)


async def _body(reader: asyncio.StreamReader, headers: http.client.HTTPMessage, limit: int) -> bytes:
    """The body of an answer, read no further than `limit` (RFC 9112 section 6)."""
    body = b""
    if (headers.get("Transfer-Encoding") or "").lower() == "chunked":
        while size := int((await reader.readline()).partition(b";")[0], 16):
            if size < 0:
                raise ValueError("a chunk of negative size")
            body += await reader.readexactly(min(size, limit + 1 - len(body)))
            _allow(body, limit)
            await reader.readexactly(2)
        return body
    if (length := headers.get("Content-Length")) is not None:
        if int(length) < 0:
            raise ValueError("a body of negative length")
        body = await reader.readexactly(min(int(length), limit + 1))
        _allow(body, limit)
        return body
    while part := await reader.read(_MOST_HEAD):
        body += part
        _allow(body, limit)
    return body


def _allow(body: bytes, limit: int) -> None:
    if len(body) > limit:
        raise _Refused("https_size", f"serves more than the {limit} octets that senders read", body[:limit])
