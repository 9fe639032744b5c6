"""Finding TLS reports in what people save: mails, mbox, zip, folders, JSON, each known by its content and not by its
name (RFC 8460 sections 5.1 and 5.3).
"""

import email
import io
import mailbox
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.policy import compat32
from pathlib import Path

LARGEST_FILE = 256 * 1024 * 1024  # bytes of a mbox or a zip
_LARGEST_MAIL = 16 * 1024 * 1024
_MOST_IN_ZIP = 10_000
_DEEPEST = 3  # a zip with mails with a zip
_GZIP, _ZIP, _OUTLOOK = b"\x1f\x8b", b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_JSON = (b"{", b"\xef\xbb\xbf{", b"\xff\xfe{", b"\xfe\xff\0{")
_BOM = b"\xef\xbb\xbf"
_WHITE_SPACE = b" \t\r\n"


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
    if path.is_dir():
        for each in sorted(path.iterdir()):
            if not each.name.startswith("."):
                yield from find(each)
        return
    try:
        if path.stat().st_size > LARGEST_FILE:
            yield Found(str(path), problem=f"the file has more than {LARGEST_FILE} bytes")
            return
        octets = path.read_bytes()
    except OSError as error:
        yield Found(str(path), problem=f"it cannot be read: {error.strerror}")
        return
    yield from find_in(octets, str(path))


def find_in(octets: bytes, name: str, depth: int = 0) -> Iterator[Found]:
    """Every report in the bytes of one file named `name`."""
    start = octets[:4096].lstrip(_WHITE_SPACE)
    if octets.startswith(_GZIP) or start.startswith(_JSON):
        yield Found(name, octets)
    elif octets.startswith(_ZIP):
        yield from _in_zip(octets, name, depth)
    elif start.startswith(b"From "):
        yield from _in_mbox(octets, name, depth)
    elif octets.startswith(_OUTLOOK):
        yield Found(name, problem="it is a .msg file of Outlook: save the mail as .eml, or save its attachment")
    elif not octets.strip(_WHITE_SPACE):
        yield Found(name, problem="it is empty")
    else:
        yield from _in_mail(octets, name, depth)


def _in_mail(octets: bytes, name: str, depth: int) -> Iterator[Found]:
    """The parts of a mail that are reports: some senders name the media type wrongly, some give no file name."""
    if len(octets) > _LARGEST_MAIL:
        yield Found(name, problem=f"the mail has more than {_LARGEST_MAIL} bytes")
        return
    mail: Message = email.message_from_bytes(octets.removeprefix(_BOM), policy=compat32)
    if not mail.keys():
        yield Found(name, problem="it is neither a mail nor a TLS report")
        return
    count = 0
    for part in mail.walk():
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes):
            continue
        if payload.startswith((_GZIP, _ZIP)) or (payload.lstrip(_WHITE_SPACE).startswith(_JSON)):
            count += 1
            if depth < _DEEPEST:
                yield from find_in(payload, name if count == 1 else f"{name} ({count})", depth + 1)
    if not count:
        yield Found(name, problem="the mail has no TLS report in it")


def _in_mbox(octets: bytes, name: str, depth: int) -> Iterator[Found]:
    with tempfile.NamedTemporaryFile() as file:  # the module mailbox reads files only
        file.write(octets)
        file.flush()
        box = mailbox.mbox(file.name, create=False)
        try:
            for number, key in enumerate(box.iterkeys(), 1):
                yield from _in_mail(box.get_bytes(key), f"{name} (mail {number})", depth)
        finally:
            box.close()


def _in_zip(octets: bytes, name: str, depth: int) -> Iterator[Found]:
    if depth >= _DEEPEST:
        yield Found(name, problem="archives are in one another too deeply")
        return
    try:
        with zipfile.ZipFile(io.BytesIO(octets)) as archive:
            left = LARGEST_FILE
            for number, info in enumerate(archive.infolist()):
                if number >= _MOST_IN_ZIP or left <= 0:
                    yield Found(name, problem=f"it has more than {number} files or too much in them: unzip it first")
                    return
                if info.is_dir():
                    continue
                inside = f"{name}: {info.filename}"
                with archive.open(info) as file:
                    content = file.read(_LARGEST_MAIL + 1)
                left -= len(content)
                if len(content) > _LARGEST_MAIL:
                    yield Found(inside, problem=f"the file has more than {_LARGEST_MAIL} bytes")
                else:
                    yield from find_in(content, inside, depth + 1)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError, ValueError) as error:
        yield Found(name, problem=f"the zip file cannot be read: {error}")
