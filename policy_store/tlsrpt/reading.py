"""Reading a TLS report (RFC 8460 section 4) as real senders write it: much is missing, null, misspelt or compressed.

Only a date range and a list of policies are required. Everything else that is unknown is kept as it is or left out.
"""

import re
import unicodedata
import zlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from policy_store.names import InvalidName, quoted, read_name

LARGEST_REPORT = 4 * 1024 * 1024  # bytes of JSON; a real report has some kilobytes, one with 10,000 failures 2 MB
LONGEST_TEXT = 200  # characters of a free text
LONGEST_HOST = 253
LONGEST_RANGE = timedelta(days=8)

_MOST_OBJECTS = 12_000  # a failure is one
_MOST_VALUES = 200_000
_MOST_POLICIES = 1000
_MOST_SESSIONS = 2_000_000_000
_SHOWN_PROBLEMS = 20
_LONGEST_LINE = 300
_LONGEST_POLICY = 30_000  # characters, so that it fits a table cell
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_PADDING = b"\0\r\n\t "  # what mail programs leave behind an attachment
_SPACES = re.compile(r"\s+")
_MIDNIGHT = re.compile(r"[T ]24:00(?::00(?:\.0+)?)?")
_LEAP_SECOND = re.compile(r"(:[0-9]{2}):60")
_CENTURY = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


class NotAReport(ValueError):
    """Bytes are not a TLS report; `problems` has a sentence for each thing that is wrong."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class TooLarge(NotAReport):
    """A report is larger than any real one, compressed or not."""


def clean(text: str, longest: int = LONGEST_TEXT) -> str:
    """`text` in one line without control, format and private characters, which terminals and pages would obey, cut
    after `longest` characters.
    """
    text = text[: 4 * longest]
    if not (text.isascii() and text.isprintable()):
        text = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)
    return _SPACES.sub(" ", text).strip()[:longest]


def _text(value: Any) -> Any:
    if value is None:
        return ""
    return clean(str(value)) if isinstance(value, (str, int, float)) else value


def _listed(value: Any) -> Any:
    """A list, where one thing stands alone or some are null."""
    if value is None:
        return []
    return [item for item in value if item is not None] if isinstance(value, list) else [value]


def _count(value: Any) -> Any:
    return 0 if value is None else value


def _object(value: Any) -> Any:
    return {} if value is None else value


def _time(value: Any) -> Any:
    """A time with its zone, UTC where none is given; 24:00 and a leap second are times too."""
    if isinstance(value, str):
        text = _LEAP_SECOND.sub(r"\1:59", value.strip().upper())
        next_day = _MIDNIGHT.search(text) is not None
        try:
            time = datetime.fromisoformat(_MIDNIGHT.sub("T00:00:00", text) if next_day else text)
            value = time + timedelta(days=next_day)
        except (ValueError, OverflowError):
            raise ValueError(f"{quoted(value)} is not a date and time as 2026-11-25T00:00:00Z") from None
    elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**33:
        value = datetime.fromtimestamp(value, UTC)  # the file name of a report has seconds too
    if isinstance(value, datetime):
        try:
            value = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        except OverflowError:
            value = datetime.min.replace(tzinfo=UTC)
        if not _CENTURY[0] <= value < _CENTURY[1]:
            raise ValueError("it must be a time of this century")
    return value


def _host(value: Any) -> Any:
    return clean(value, LONGEST_HOST).lower().removesuffix(".") if isinstance(value, str) else _text(value)


def _kind(value: Any) -> Any:
    return clean(value, 60).lower().replace("_", "-") if isinstance(value, str) else _text(value)


def _lines(values: Sequence[Any]) -> tuple[str, ...]:
    """The lines of a policy as served, each stripped and without empty ones, whatever they were packed into."""
    lines: list[str] = []
    left = _LONGEST_POLICY
    for value in values:
        for line in value[:_LONGEST_POLICY].splitlines() if isinstance(value, str) else ():
            cleaned = clean(line, _LONGEST_LINE)
            left -= len(cleaned) + 2
            if left < 0:
                return tuple(lines)
            if cleaned:
                lines.append(cleaned)
    return tuple(lines)


def _domain(value: Any) -> Any:
    """A policy domain as A-labels, empty where it is missing or none."""
    if not isinstance(value, str):
        return ""
    try:
        return read_name(value)
    except InvalidName:
        return ""


def _spelled(name: str, *misspelt: str) -> AliasChoices:
    """The spellings of a key: as in RFC 8460, with underscores, in camel case, and those that senders have come up
    with.
    """
    forms: dict[str, None] = {}
    for each in (name, *misspelt):
        first, *others = each.split("-")
        forms |= dict.fromkeys((each, each.replace("-", "_"), first + "".join(other.title() for other in others)))
    return AliasChoices(*forms)


type Text = Annotated[str, BeforeValidator(_text)]
type Host = Annotated[str, BeforeValidator(_host)]
type Kind = Annotated[str, BeforeValidator(_kind)]
type Domain = Annotated[str, BeforeValidator(_domain)]
type Count = Annotated[int, BeforeValidator(_count), Field(ge=0, le=_MOST_SESSIONS)]
type Time = Annotated[datetime, BeforeValidator(_time)]
type Lines = Annotated[tuple[Any, ...], BeforeValidator(_listed), AfterValidator(_lines)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class DateRange(_Part):
    """When the sessions took place; some senders write local times and call them UTC, some leave the end out."""

    start: Time = Field(validation_alias=_spelled("start-datetime", "start-date-time", "start"))
    end: Time | None = Field(default=None, validation_alias=_spelled("end-datetime", "end-date-time", "end"))

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.until < self.start:
            raise ValueError("it ends before it begins")
        return self

    @property
    def until(self) -> datetime:
        """The end; a day after the beginning where none is given."""
        return self.start + timedelta(days=1) if self.end is None else self.end

    @property
    def day(self) -> date:
        """The UTC day that the middle of the range is in: right for the UTC day that RFC 8460 section 4.1 asks for,
        and for one that is given in local time with a false `Z`.
        """
        return (self.start + (self.until - self.start) / 2).date()

    def problem(self, now: datetime, oldest: timedelta | None = None) -> str:
        """Why a report about this time is not taken; empty if it is."""
        if oldest is not None and self.start < now - oldest:
            return f"it begins more than {oldest.days} days ago"
        if self.until > now + timedelta(days=1):
            return "it ends in the future"
        if self.until - self.start > LONGEST_RANGE:
            return f"it is about more than {LONGEST_RANGE.days} days"
        return ""


class Detail(_Part):
    """Failed sessions of one kind (RFC 8460 section 4.3)."""

    type: Kind = Field(default="", validation_alias=_spelled("result-type"))
    mx_host: Host = Field(
        default="",
        validation_alias=_spelled("receiving-mx-hostname", "receiving-mx-host-name", "receiving-mx-host"),
    )
    reason: Text = Field(default="", validation_alias=_spelled("failure-reason-code", "failure-reason"))
    sessions: Annotated[int, Field(ge=0, le=_MOST_SESSIONS)] | None = Field(
        default=None, validation_alias=_spelled("failed-session-count", "failed-sessions-count")
    )


class PolicyPart(_Part):
    """The policy that the sender applied to the sessions: its type, its domain and its text as the sender saw it."""

    type: Kind = Field(default="", validation_alias=_spelled("policy-type"))
    domain: Domain = Field(default="", validation_alias=_spelled("policy-domain"))
    lines: Lines = Field(default=(), validation_alias=_spelled("policy-string"))


class Summary(_Part):
    """How many sessions there were."""

    ok: Count = Field(
        default=0, validation_alias=_spelled("total-successful-session-count", "total-success-session-count")
    )
    failed: Count = Field(default=0, validation_alias=_spelled("total-failure-session-count", "total-failure-count"))


class PolicyEntry(_Part):
    """What a report says of one policy."""

    policy: Annotated[PolicyPart, BeforeValidator(_object)] = PolicyPart()
    summary: Annotated[Summary, BeforeValidator(_object)] = Summary()
    details: Annotated[list[Detail], BeforeValidator(_listed)] = Field(
        default=[], validation_alias=_spelled("failure-details", "failure-detail")
    )


class Report(_Part):
    """One report. Texts are clean: one line, printable, at most 200 characters."""

    organization: Text = Field(default="", validation_alias=_spelled("organization-name", "organisation-name"))
    range: DateRange = Field(validation_alias=_spelled("date-range"))
    contact: Text = Field(default="", validation_alias=_spelled("contact-info"))
    id: Text = Field(default="", validation_alias=_spelled("report-id"))
    policies: Annotated[list[PolicyEntry], Field(max_length=_MOST_POLICIES), BeforeValidator(_listed)] = Field(
        validation_alias=_spelled("policies")
    )


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


def parse(json: bytes) -> Report:
    """The report that `json` holds. Raises TooLarge, NotAReport with all that is wrong."""
    if json.startswith(_UTF16):
        try:
            json = json.decode("utf-16").encode()
        except UnicodeError:
            raise NotAReport("it is UTF-16 with an invalid character") from None
    json = json.removeprefix(_BOM).strip()
    if not json.startswith(b"{"):
        raise NotAReport(f"it is not a JSON object: it begins with {quoted(json[:20].decode('latin-1'))}")
    if json.count(b"{") > _MOST_OBJECTS or json.count(b",") > _MOST_VALUES:
        raise TooLarge(f"the report has more than {_MOST_OBJECTS} objects or {_MOST_VALUES} values")
    try:
        return Report.model_validate_json(json)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise NotAReport(*(_sentence(problem) for problem in problems[:_SHOWN_PROBLEMS])) from None


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
