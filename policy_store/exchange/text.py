"""Text files as Excel, PowerShell and everybody else write them: UTF-8 or UTF-16, with a byte order mark or without.

One reader for lists, logs and policy texts. What is no such text is named as what it is, with the way to save it right.
"""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

LARGEST = 64 * 1024 * 1024  # bytes of a file that is read whole; 100,000 domains have a tenth of that

_SNIFFED = 4096  # bytes
_SAVE = "Save it as UTF-8: 'CSV UTF-8' in Excel, Export-Csv -Encoding UTF8 in PowerShell"
_KINDS = (
    (b"PK\x03\x04", "an Excel workbook (.xlsx) or another archive: open it and save it as 'CSV UTF-8'"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls): open it and save it as 'CSV UTF-8'"),
    (b"%PDF", "a PDF file: export the list as CSV"),
    (b"\x1f\x8b", "compressed (gzip): unpack it"),
    (b"BZh", "compressed (bzip2): unpack it"),
    (b"\xfd7zXZ", "compressed (xz): unpack it"),
    (b"7z\xbc\xaf", "compressed (7-Zip): unpack it"),
    (b"\x28\xb5\x2f\xfd", "compressed (Zstandard): unpack it"),
    (b"{\\rtf", "a Word document (.rtf): save it as plain text"),
)


class UnreadableText(ValueError):
    """A file is not text that can be read; the message says why and what to do, `line` where that is if it is known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def read_text(path: str | Path) -> str:
    """The characters of a file, of standard input for `-`, without a byte order mark; line ends are as they are.

    Raises UnreadableText and OSError.
    """
    with opened(path) as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise UnreadableText(f"the file is larger than {LARGEST // 1024 // 1024} MiB: give it in parts")
    return decoded(content)


def decoded(content: bytes) -> str:
    """The characters of the bytes of a whole file. Raises UnreadableText."""
    encoding = encoding_of(content[:_SNIFFED])
    try:
        text = content.decode(encoding).lstrip("\ufeff").removesuffix("\x1a")  # how DOS programs end a text
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding, "replace")
        line = lines_in(before) + 1
        if encoding != "utf-8":
            raise UnreadableText(f"the file is UTF-16 that is cut or damaged. {_SAVE}", line) from error
        byte = content[error.start]
        raise UnreadableText(f"the byte 0x{byte:02x} is neither UTF-8 nor UTF-16. {_SAVE}", line) from error
    if "\0" in text:
        raise UnreadableText("it has a NUL byte in it, so it is not a text file", lines_in(text.partition("\0")[0]) + 1)
    return text


def lines_of(file: BinaryIO, longest: int) -> Iterator[str]:
    """The lines of a file of any size as they come, one that is longer than `longest` characters in pieces.

    Bytes that are no character are replaced. Raises UnreadableText for what is no text at all.
    """
    start = file.read(_SNIFFED)
    text = io.TextIOWrapper(cast("BinaryIO", _Rest(start, file)), encoding_of(start), errors="replace", newline="")
    first = True
    while line := text.readline(longest):
        yield line.lstrip("\ufeff") if first else line
        first = False


def encoding_of(start: bytes) -> str:
    """The encoding of a text that starts with these bytes, by its byte order mark or by its zeros; UTF-8 as a rule.

    Raises UnreadableText where the bytes are the beginning of something else, such as a workbook.
    """
    for signature, kind in _KINDS:
        if start.startswith(signature):
            raise UnreadableText(f"the file is {kind}")
    if start.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    # Every second byte of a UTF-16 text is zero where the characters are of ASCII, as most are in a list of domains.
    even, odd = start[::2].count(0), start[1::2].count(0)
    if 4 * max(even, odd) > len(start) and 8 * min(even, odd) <= len(start):
        return "utf-16-le" if odd > even else "utf-16-be"
    # Where most are other letters, the line ends give it away.
    if not (even and odd) and start.count(b"\n\0" if odd else b"\0\n") > 1:
        return "utf-16-le" if odd else "utf-16-be"
    return "utf-8"


@contextmanager
def opened(path: str | Path) -> Iterator[BinaryIO]:
    """The bytes of a file, of standard input for `-`, which stays open afterwards. Raises OSError."""
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    with Path(path).open("rb") as file:
        yield file


def lines_in(text: str) -> int:
    """How many lines end in `text`, by LF, CRLF or CR."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")


class _Rest(io.BufferedIOBase):
    """The bytes of another file, of which the start was read already, and which stays open when this one is closed."""

    def __init__(self, start: bytes, file: BinaryIO) -> None:
        self._start, self._file = start, file

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes. The first call gives the start, whatever the size."""
        read, self._start = self._start, b""
        return read or self._file.read(size or -1)

    def read1(self, size: int = -1) -> bytes:
        """As `read`; TextIOWrapper asks for one read at a time."""
        return self.read(size)
