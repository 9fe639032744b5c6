"""Finding TLS reports in what people save: mails, mbox, zip, gzip, folders, JSON, each known by its content and not by
its name (RFC 8460 sections 5.1 and 5.3).
"""

import binascii
import email
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.policy import compat32
from itertools import pairwise
from pathlib import Path

from policy_store.tlsrpt.reading import is_json
from policy_store.tlsrpt.values import clean

LARGEST_FILE = 256 * 1024 * 1024  # bytes of a file, and of all that is unpacked from it
_LARGEST_MAIL = 16 * 1024 * 1024
_MOST_UNPACKED = 10_000  # files in the archives of one file
_MOST_IN_MAIL = 1000
_DEEPEST = 3  # a zip with mails with a zip
_GZIP, _ZIP, _OUTLOOK = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06"), b"\xd0\xcf\x11\xe0"
_ZIP_ENTRY = b"PK\x01\x02"
_TOO_MUCH = f"there are more than {_MOST_UNPACKED} files or {LARGEST_FILE} bytes in it: unpack it first"
_BOM = b"\xef\xbb\xbf"
_WHITE_SPACE = b" \t\r\n"
_PEEK = 512
_HEADER = re.compile(rb"[!-9;-~]+[ \t]*:|From ")  # the beginning of a mail: RFC 5322 section 3.6.8
_MBOX_LINE = re.compile(rb"^From [^\n]*\n(?=[!-9;-~]+:)", re.MULTILINE)  # not "From now on" in a text: RFC 4155
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    RuntimeError,
    NotImplementedError,
    EOFError,
    OSError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A report that was found: where, and its bytes, still compressed if they were; or the problem in place of it."""

    name: str
    octets: bytes = b""
    problem: str = ""


def find(path: Path) -> Iterator[Found]:
    """Every report in a file, or in the files of a folder and the folders in it, in the order of their names.

    What cannot be read, or holds no report, is found with its problem.
    """
    try:
        inside = sorted(path.iterdir()) if path.is_dir() else None
        if inside is None:
            with path.open("rb") as file:
                octets = file.read(LARGEST_FILE + 1)
    except OSError as error:
        yield Found(str(path), problem=f"it cannot be read: {error.strerror}")
        return
    if inside is None:
        yield from find_in(octets, str(path))
        return
    for each in inside:
        if each.is_symlink() and each.is_dir():
            yield Found(str(each), problem="it is a link to a folder: import that folder itself")
        elif not each.name.startswith("."):
            yield from find(each)


def find_in(octets: bytes, name: str) -> Iterator[Found]:
    """Every report in the bytes of one file named `name`."""
    if len(octets) > LARGEST_FILE:
        yield Found(name, problem=f"the file has more than {LARGEST_FILE} bytes")
    else:
        yield from _Search().look(octets, name)


class _Search:
    """Looks into one file, and unpacks no more of it than the bounds allow, however its archives are nested."""

    def __init__(self) -> None:
        self._bytes_left = LARGEST_FILE
        self._files_left = _MOST_UNPACKED

    @property
    def _is_full(self) -> bool:
        return self._bytes_left < 0 or self._files_left <= 0

    def look(self, octets: bytes, name: str, depth: int = 0) -> Iterator[Found]:
        """Every report in `octets`, which lie in so many archives and mails."""
        start = octets[:4096].removeprefix(_BOM).lstrip(_WHITE_SPACE)
        if is_json(octets) or (octets.startswith(_GZIP) and _may_be_report(octets)):
            yield Found(name, octets)
        elif not octets.strip(_WHITE_SPACE):
            yield Found(name, problem="it is empty")
        elif octets.startswith(_OUTLOOK):
            yield Found(name, problem="it is a .msg file of Outlook: save the mail as .eml, or save its attachment")
        elif depth >= _DEEPEST:
            yield Found(name, problem="archives are in one another too deeply")
        elif octets.startswith((_GZIP, *_ZIP)) and self._is_full:
            yield Found(name, problem=_TOO_MUCH)
        elif octets.startswith(_GZIP):
            yield from self._in_gzip(octets, name, depth)
        elif octets.startswith(_ZIP):
            yield from self._in_zip(octets, name, depth)
        elif _MBOX_LINE.match(start):
            yield from self._in_mbox(octets, name, depth)
        elif _HEADER.match(start):
            yield from self._in_mail(octets, name, depth)
        else:
            yield Found(name, problem="it is neither a mail nor a TLS report")

    def _in_mail(self, octets: bytes, name: str, depth: int) -> Iterator[Found]:
        """The parts of a mail that are reports: some senders name the media type wrongly, some give no file name."""
        if len(octets) > _LARGEST_MAIL:
            yield Found(name, problem=f"the mail has more than {_LARGEST_MAIL} bytes")
            return
        try:
            mail: Message = email.message_from_bytes(octets.removeprefix(_BOM).lstrip(_WHITE_SPACE), policy=compat32)
            parts = [part.get_payload(decode=True) for part in mail.walk()]
        except RecursionError:
            yield Found(name, problem="the parts of the mail are in one another too deeply")
            return
        count = 0
        for part in parts:
            for each in self._in_part(part, name if not count else f"{name} ({count + 1})", depth):
                if count == _MOST_IN_MAIL:
                    yield Found(
                        name, problem=f"the mail has more than {_MOST_IN_MAIL} reports: the others are left out"
                    )
                    return
                count += 1
                yield each
        if not count:
            yield Found(name, problem="the mail has no TLS report in it")

    def _in_part(self, part: object, name: str, depth: int) -> Iterator[Found]:
        """What is a report, an archive or a mail in a part, which may be base64 once more than it says."""
        if not isinstance(part, bytes):
            return
        for octets in (part, _out_of_base64(part)):
            if is_json(octets) or octets.startswith((_GZIP, *_ZIP)):
                yield from self.look(octets, name, depth + 1)
                return
            if _HEADER.match(octets):
                yield from (each for each in self.look(octets, name, depth + 1) if not each.problem)

    def _in_mbox(self, octets: bytes, name: str, depth: int) -> Iterator[Found]:
        octets = octets.removeprefix(_BOM)
        lines = [(line.start(), line.end()) for line in _MBOX_LINE.finditer(octets)]
        for number, ((_, start), (end, _)) in enumerate(pairwise([*lines, (len(octets), 0)]), 1):
            yield from self._in_mail(octets[start:end], f"{name} (mail {number})", depth)

    def _in_gzip(self, octets: bytes, name: str, depth: int) -> Iterator[Found]:
        try:
            with gzip.open(io.BytesIO(octets)) as file:
                content = file.read(self._bytes_left + 1)
        except _BROKEN as error:
            yield Found(name, problem=f"the gzip data is broken: {error}")
            return
        yield from self._unpacked(content, name, depth)

    def _in_zip(self, octets: bytes, name: str, depth: int) -> Iterator[Found]:
        if octets.count(_ZIP_ENTRY) > self._files_left:
            yield Found(name, problem=_TOO_MUCH)
            return
        try:
            archive = zipfile.ZipFile(io.BytesIO(octets))
        except _BROKEN as error:
            yield Found(name, problem=f"the zip file cannot be read: {error}")
            return
        with archive:
            files = [info for info in archive.infolist() if not info.is_dir()]
            if not files:
                yield Found(name, problem="there is no file in it")
            for info in files:
                if self._is_full:
                    yield Found(name, problem=_TOO_MUCH)
                    return
                inside = f"{name}: {clean(info.filename)}"
                try:
                    with archive.open(info) as file:
                        content = file.read(self._bytes_left + 1)
                except _BROKEN as error:
                    yield Found(inside, problem=f"it cannot be read: {error}")
                    continue
                yield from self._unpacked(content, inside, depth)

    def _unpacked(self, content: bytes, name: str, depth: int) -> Iterator[Found]:
        self._bytes_left -= len(content)
        self._files_left -= 1
        if self._bytes_left < 0:
            yield Found(name, problem=_TOO_MUCH)
        else:
            yield from self.look(content, name, depth + 1)


def _may_be_report(octets: bytes) -> bool:
    """Whether gzip holds JSON, more gzip, or nothing that can be read: then the reader of reports says why."""
    try:
        start = zlib.decompressobj(wbits=31).decompress(octets, _PEEK)
    except zlib.error:
        return True
    return not start or is_json(start) or start.startswith(_GZIP)


def _out_of_base64(octets: bytes) -> bytes:
    """What `octets` are when base64 is taken off; empty if they are none."""
    compact = octets.translate(None, _WHITE_SPACE)
    if len(compact) % 4 or not _BASE64.fullmatch(compact):
        return b""
    return binascii.a2b_base64(compact)
