"""The texts of the TXT records for MTA-STS (RFC 8461 section 3.1) and for TLS reports (RFC 8460 section 3): reading and
writing them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from policy_store.names import quoted

REPORT_PATH = "/v1/tlsrpt"  # where the app takes TLS reports, at its own host name

_LONGEST_STRING = 255  # bytes of one string of a TXT record: RFC 1035 section 3.3
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_FIELD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_FIELD_VALUE = re.compile(r"[\x21-\x3a\x3c\x3e-\x7e]+")  # no '=', no ';', no white space
_WHITE_SPACE = " \t"
_URI = re.compile(r"[\x21-\x7e]+")


class RecordSyntaxError(ValueError):
    """A TXT record is not what its RFC asks for; the message says why."""


@dataclass(frozen=True, slots=True)
class StsRecord:
    """The TXT record `_mta-sts.<domain>` with the id of the text in force (RFC 8461 section 3.1).

    Raises RecordSyntaxError for an id that is none.
    """

    id: str

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise RecordSyntaxError(f"the id is {quoted(self.id)}: it must be 1 to 32 letters and digits")

    @property
    def text(self) -> str:
        """The record in the form that every known sender reads."""
        return f"v=STSv1; id={self.id};"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The record that `text` holds. Unknown fields are ignored; an id given twice is refused, as senders differ.

        Raises RecordSyntaxError.
        """
        ids = [value for name, value in _fields(text, "STSv1") if name == "id"]
        if len(ids) != 1:
            raise RecordSyntaxError("the id is given twice" if ids else "there is no id")
        return cls(ids[0])


@dataclass(frozen=True, slots=True)
class TlsrptRecord:
    """The TXT record `_smtp._tls.<domain>` with the addresses for reports on TLS (RFC 8460 section 3), each `mailto:`
    or `https:`. Raises RecordSyntaxError for what is none.
    """

    rua: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.rua:
            raise RecordSyntaxError("there is no address for reports: give one such as mailto:tls-reports@example.com")
        for uri in self.rua:
            _check_report_address(uri)

    @property
    def text(self) -> str:
        """The record as it is published."""
        return f"v=TLSRPTv1; rua={','.join(self.rua)};"

    @property
    def posted_here(self) -> bool:
        """Whether reports are posted to an app such as this: to the path where it takes them."""
        return any(uri.startswith("https:") and urlsplit(uri).path.rstrip("/") == REPORT_PATH for uri in self.rua)

    @property
    def leads_here(self) -> bool:
        """Whether reports can come to an app such as this: posted, or mailed and imported."""
        return self.posted_here or any(uri.startswith("mailto:") for uri in self.rua)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The record that `text` holds; unknown fields are ignored. Raises RecordSyntaxError."""
        values = [value for name, value in _fields(text, "TLSRPTv1") if name == "rua"]
        if len(values) > 1:
            raise RecordSyntaxError("rua is given twice: write one, with commas between the addresses")
        return cls(tuple(uri.strip(_WHITE_SPACE) for uri in values[0].split(",")) if values else ())


def sts_records(texts: Iterable[str]) -> list[str]:
    """The records for MTA-STS among the TXT records of a name; a domain has a policy if it is exactly one (RFC 8461
    section 3.1, whose prose lets no white space stand before the first semicolon: erratum 6285).
    """
    return [text for text in texts if text.startswith("v=STSv1;")]


def tlsrpt_records(texts: Iterable[str]) -> list[str]:
    """The records for TLS reports among the TXT records of a name; it must be exactly one (RFC 8460 section 3)."""
    return [text for text in texts if text.startswith("v=TLSRPTv1;")]


def report_record(texts: Iterable[str] | None) -> TlsrptRecord | None:
    """The record for TLS reports among the TXT records of a name; None where senders find none that they can use."""
    records = tlsrpt_records(texts or ())
    try:
        return TlsrptRecord.parse(records[0]) if len(records) == 1 else None
    except RecordSyntaxError:
        return None


def strings_of(text: str) -> list[str]:
    """The strings of at most 255 bytes that a TXT record holds `text` in (RFC 1035 section 3.3)."""
    return [text[at : at + _LONGEST_STRING] for at in range(0, len(text), _LONGEST_STRING)]


def _fields(text: str, version: str) -> list[tuple[str, str]]:
    """The fields after the version. Raises RecordSyntaxError."""
    first, *rest = text.split(";")
    if first != f"v={version}":
        raise RecordSyntaxError(f"it must begin with 'v={version};'")
    if rest and not rest[-1].strip(_WHITE_SPACE):
        rest.pop()  # one semicolon may stand at the end
    fields = []
    for part in rest:
        name, equals, value = part.strip(_WHITE_SPACE).partition("=")
        allowed = _URI if version == "TLSRPTv1" and name == "rua" else _FIELD_VALUE
        value_to_check = re.sub(r"[ \t]*,[ \t]*", ",", value) if allowed is _URI else value
        if not _FIELD_NAME.fullmatch(name) or not equals:
            raise RecordSyntaxError(f"{quoted(part.strip(_WHITE_SPACE))} is not name=value")
        if name != "id" and not allowed.fullmatch(value_to_check):
            raise RecordSyntaxError(f"the value of {name} is {quoted(value)}: it is empty or has a forbidden character")
        fields.append((name, value))
    return fields


def _check_report_address(uri: str) -> None:
    """Raise RecordSyntaxError where reports cannot be sent to `uri`."""
    if not _URI.fullmatch(uri) or any(mark in uri for mark in ",!;"):
        raise RecordSyntaxError(
            f"the report address {quoted(uri)} has a forbidden character: write %2C for a comma, %21 for an "
            "exclamation mark, %3B for a semicolon, and no white space"
        )
    try:
        parts = urlsplit(uri)
    except ValueError:
        parts = urlsplit("")
    mailbox, at, domain = parts.path.partition("@")
    if not ((parts.scheme == "mailto" and mailbox and at and domain) or (parts.scheme == "https" and parts.netloc)):
        raise RecordSyntaxError(
            f"the report address {quoted(uri)} is neither mailto: and a mail address nor an https address"
        )
