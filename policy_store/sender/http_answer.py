"""Reading an HTTP answer as senders do (RFC 9110, RFC 9112): the head, the body, its encoding and its media type."""

import asyncio
import codecs
import email.message
import email.policy
import http.client
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from policy_store.names import quoted

MOST_HEAD = 32 * 1024  # bytes of the status line and the headers

_MOST_INTERIM = 8  # answers with a status of 1xx
_HEAD_ENDS = (b"\r\n\r\n", b"\n\n", b"\n\r\n")
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# A line of a head, as aiohttp, Node.js and Go take it: a header, the rest of one (RFC 9112 section 5.2), or the end.
_HEADER = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:|[ \t])[^\x00-\x08\x0a-\x1f\x7f]*|")
_PARAMETER = re.compile(rf"[ \t]*(?:(?P<name>{_NAME})=(?:{_NAME}|\"(?:[^\"\\]|\\.)*\"))?[ \t]*")
_LONGEST_TYPE = 500  # characters
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_USUAL = ("utf-8", "us-ascii")  # RFC 8461 section 3.2
_NOT_FOR_TEXTS = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "undefined"})  # of Python's
_ZIPPED = {"gzip": 31, "deflate": 47}  # the name -> how zlib is to read it
_NOT_ZIPPED = frozenset({"br", "zstd", "x-gzip", "compress", "x-compress", "dcb", "dcz"})


class NotHttp(Exception):
    """The answer is not HTTP, or does not end as it says; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer: its status, its headers, and the body, no longer than the limit and `cut` where there is more.

    `bare_lf` tells that lines of the head end with LF alone.
    """

    status: str
    headers: email.message.Message
    body: bytes = b""
    cut: bool = False
    bare_lf: bool = False

    def values(self, name: str) -> list[str]:
        """The values of a header, as often as it stands there."""
        return [str(value) for value in self.headers.get_all(name, [])]


@dataclass(frozen=True, slots=True)
class MediaType:
    """What a Content-Type comes to: whether it is text/plain for senders that look at it, the charset that Postfix's
    resolver then reads the text by (None: it cannot), and what else there is to say.
    """

    plain: bool
    charset: str | None = "ascii"
    broken: str = ""
    unusual: str = ""


async def read_answer(reader: asyncio.StreamReader, limit: int) -> Answer:
    """The final answer, after any with a status of 1xx (RFC 9110 section 15.2). The body is read where the status is
    2xx. Raises NotHttp, OSError.
    """
    try:
        for _ in range(_MOST_INTERIM):
            answer = _head(await reader.readuntil(_HEAD_ENDS))
            if not answer.status.startswith("1") or answer.status == "101":  # which ends HTTP
                break
        else:
            raise NotHttp("sends one interim answer after the other")
        if not answer.status.startswith("2"):
            return answer
        body = await _body(reader, answer.headers, limit + 1)
    except asyncio.LimitOverrunError as error:
        raise NotHttp(f"sends a head of more than {MOST_HEAD} bytes") from error
    except asyncio.IncompleteReadError as error:
        raise NotHttp("ends its answer too early" if error.partial or error.expected else "sends no answer") from error
    except (http.client.HTTPException, ValueError) as error:
        raise NotHttp("does not speak HTTP") from error
    return Answer(answer.status, answer.headers, body[:limit], len(body) > limit, answer.bare_lf)


def _head(octets: bytes) -> Answer:
    head = BytesIO(octets)
    version, status, *_ = [*head.readline().split(None, 2), b"", b""]
    if not version.startswith(b"HTTP/1."):
        raise NotHttp("does not speak HTTP")
    for line in octets.splitlines()[1:]:
        if not _HEADER.fullmatch(line):
            raise NotHttp(f"sends a line that is no header: {quoted(line[:60].decode('latin-1'))}")
    headers = http.client.parse_headers(head)
    return Answer(status.decode("latin-1"), headers, bare_lf=octets.count(b"\n") != octets.count(b"\r\n"))


async def _body(reader: asyncio.StreamReader, headers: email.message.Message, most: int) -> bytes:
    """The body, read no further than `most` bytes (RFC 9112 section 6)."""
    body = bytearray()
    coding = ", ".join(map(str, headers.get_all("Transfer-Encoding", []))).strip().lower()
    lengths = headers.get_all("Content-Length", [])
    if coding not in ("", "chunked", "identity"):
        raise NotHttp(f"sends its answer with the transfer coding {quoted(coding)}")
    if len(lengths) + (coding == "chunked") > 1:  # as in request smuggling: most libraries refuse it
        raise NotHttp("says twice how long its answer is")
    if coding == "chunked":
        while size := int((await reader.readline()).partition(b";")[0], 16):
            if size < 0:
                raise ValueError("a chunk of negative size")
            body += await reader.readexactly(min(size, most - len(body)))
            if len(body) == most:
                break
            await reader.readexactly(2)
    elif lengths:
        if (length := int(str(lengths[0]))) < 0:
            raise ValueError("a body of negative length")
        body += await reader.readexactly(min(length, most))
    else:
        while len(body) < most and (part := await reader.read(most - len(body))):
            body += part
    return bytes(body)


def decoded(body: bytes, codings: Sequence[str], limit: int) -> tuple[bytes, str]:
    """The body as senders decode it by its Content-Encoding, at most one byte more than `limit`, and the coding that it
    had, empty for none. Names that stand for no coding are ignored, as senders do. Raises NotHttp.
    """
    names = [name.strip().lower() for value in codings for name in value.split(",")]
    known = [name for name in names if name in _ZIPPED or name in _NOT_ZIPPED]
    if not known:
        return body, ""
    if len(names) > 1 or known[0] in _NOT_ZIPPED:
        named = quoted(", ".join(names))[1:-1]
        raise NotHttp(f"encodes the text as {named}, which senders do not ask for and cannot read")
    try:
        return _unzipped(body, _ZIPPED[known[0]], limit + 1), known[0]
    except zlib.error as error:
        raise NotHttp(f"says that the text is encoded as {known[0]}, and it is not") from error


def _unzipped(body: bytes, window: int, most: int) -> bytes:
    unzip = zlib.decompressobj(window)
    try:
        unzipped = unzip.decompress(body, most)
    except zlib.error:
        if window != _ZIPPED["deflate"]:
            raise
        unzip = zlib.decompressobj(-15)  # without its wrapper, as some servers send it
        unzipped = unzip.decompress(body, most)
    if not unzip.eof and len(unzipped) < most:
        raise zlib.error("the end is missing")
    return unzipped


def media_type(values: Sequence[str]) -> MediaType:
    """What senders make of a Content-Type, of which the first counts.

    postfix-mta-sts-resolver looks at what stands before the first semicolon, and reads the text by the charset. Senders
    in Go refuse a header with a broken parameter. Others look at nothing.
    """
    value = values[0] if values else ""
    kind, _, rest = value.partition(";")
    if kind.strip(" \t").lower() != "text/plain":
        return MediaType(plain=False)
    broken = "it is too long" if len(value) > _LONGEST_TYPE else _what_is_broken(rest)
    charset = _charset(value[:_LONGEST_TYPE])
    unusual = "" if charset is None or charset.lower() in _USUAL else charset
    return MediaType(True, _readable(charset), broken, unusual)


def _what_is_broken(parameters: str) -> str:
    """What no parser of RFC 9110 section 5.6.6 takes; empty if there is no such thing."""
    names = []
    at = 0
    while at < len(parameters):
        match = _PARAMETER.match(parameters, at)
        end = match.end() if match else at
        if match is None or (end < len(parameters) and parameters[end] != ";"):
            return "a parameter is not name=value"
        if match["name"]:
            names.append(match["name"].lower())
        at = end + 1
    return "a parameter is given twice" if len(set(names)) < len(names) else ""


def _charset(value: str) -> str | None:
    """The charset as the email package reads it, which postfix-mta-sts-resolver's library uses."""
    header = email.message.EmailMessage(email.policy.HTTP)
    try:
        header["Content-Type"] = _CONTROL.sub(" ", value)
        parameters: dict[str, Any] = {str(name): text for name, text in header.get_params([])[1:]}
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        return ""  # a header that breaks the package
    found = parameters.get("charset")
    return found if found is None or isinstance(found, str) else str(found[-1])


def _readable(charset: str | None) -> str | None:
    """The charset as a codec's name, None for one that there is none for."""
    if charset is None:
        return "ascii"
    try:
        "".encode(charset)
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        return None
    return None if name.replace("_", "-") in _NOT_FOR_TEXTS else charset
