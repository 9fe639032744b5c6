"""Reading a TLS report (RFC 8460) out of bytes, compressed or not, within bounds, and refusing what is none."""

import json
import re
import zlib
from typing import Any

from pydantic import ValidationError

from policy_store.names import quoted
from policy_store.tlsrpt.report import Report
from policy_store.tlsrpt.values import clean

LARGEST_REPORT = 4 * 1024 * 1024  # bytes of JSON; a real report has some kilobytes, one with 10,000 failures 2 MB

_MOST_OBJECTS = 12_000  # a failure is one
_MOST_VALUES = 200_000
_SHOWN_PROBLEMS = 20
_GZIP = b"\x1f\x8b"
_PADDING = b"\0\r\n\t "  # what mail programs leave behind an attachment
_PEEK = 4096
_MARK = "\ufeff"
_JSON_OBJECT = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\0 \t\r\n]*\{[\0 \t\r\n]*[\"}]")


class NotAReport(ValueError):
    """Bytes are not a TLS report; `problems` has a sentence for each thing that is wrong."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class TooLarge(NotAReport):
    """A report is larger than any real one, compressed or not."""


def is_json(octets: bytes) -> bool:
    """Whether bytes begin as a JSON object does, in any encoding of Unicode."""
    return _JSON_OBJECT.match(octets[:_PEEK]) is not None


def read(octets: bytes) -> Report:
    """The report that `octets` hold, compressed or not. Raises TooLarge, NotAReport with all that is wrong."""
    return parse(inflated(octets))


def inflated(octets: bytes) -> bytes:
    """The JSON in `octets`, which are taken for gzip by their first bytes only: some senders announce it wrongly.

    Raises TooLarge beyond LARGEST_REPORT, NotAReport for gzip that is broken or holds more than one file.
    """
    for _ in range(2):  # a client that compresses on its own has done it twice
        if not octets.startswith(_GZIP):
            break
        octets = _gunzipped(octets)
    if len(octets) > LARGEST_REPORT:
        raise TooLarge(f"the report has more than {LARGEST_REPORT} bytes")
    return octets


def parse(octets: bytes) -> Report:
    """The report that JSON holds. Raises TooLarge, NotAReport with all that is wrong."""
    octets = _utf8(octets).strip(_PADDING)
    if not octets.startswith(b"{"):
        raise NotAReport(f"it is not a JSON object: it begins with {quoted(octets[:20].decode('latin-1'))}")
    if octets.count(b"{") > _MOST_OBJECTS or octets.count(b",") > _MOST_VALUES:
        raise TooLarge(f"the report has more than {_MOST_OBJECTS} objects or {_MOST_VALUES} values")
    try:
        return Report.model_validate_json(octets)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        sentences = [_sentence(problem) for problem in problems[:_SHOWN_PROBLEMS]]
        if len(problems) > _SHOWN_PROBLEMS:
            sentences.append(f"and {len(problems) - _SHOWN_PROBLEMS} more problems")
        raise NotAReport(*sentences) from None


def _utf8(octets: bytes) -> bytes:
    """JSON without the byte order mark that I-JSON forbids, in the encoding that it demands (RFC 7493 section 2.1)."""
    encoding = json.detect_encoding(octets)
    if encoding.startswith("utf-8"):
        return octets.removeprefix(_MARK.encode())
    try:
        return octets.decode(encoding).removeprefix(_MARK).encode()
    except UnicodeError:
        raise NotAReport(f"it looks like {encoding.upper()} and is not") from None


def _gunzipped(octets: bytes) -> bytes:
    reader = zlib.decompressobj(wbits=31)
    try:
        plain = reader.decompress(octets, LARGEST_REPORT + 1)
    except zlib.error as error:
        raise NotAReport(f"the gzip data is broken: {error}") from None
    if len(plain) > LARGEST_REPORT:
        raise TooLarge(f"the report has more than {LARGEST_REPORT} bytes when decompressed")
    if not reader.eof:
        raise NotAReport("the gzip data ends early")
    if reader.unused_data.strip(_PADDING):
        raise NotAReport("more data follows the gzip data")
    return plain


def _sentence(problem: Any) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).lstrip(".")
    message = clean(problem["msg"].removeprefix("Value error, ").removeprefix("Input ").rstrip("."))
    return f"{clean(place)}: {message}" if place else message
