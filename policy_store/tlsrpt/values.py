"""What single values of a TLS report mean, as real senders write them: texts, numbers, times, hosts and lists.

Each reader takes a value out of JSON and returns what it means; what means nothing goes back as it is, so that pydantic
names it.
"""

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import from_json

from policy_store.names import InvalidName, quoted, read_name

LONGEST_TEXT = 200  # characters of a free text
LONGEST_POLICY = 32_768  # UTF-16 units, as many as a table cell has
_LONGEST_HOST = 253
_LONGEST_KIND = 60
_LONGEST_LINE = 300
_MOST_SESSIONS = 2_000_000_000
_SPACES = re.compile(r"\s+")
_MIDNIGHT = re.compile(r"[T ]24:00(?::00(?:\.0+)?)?")
_LEAP_SECOND = re.compile(r"(:[0-9]{2}):60")
_SECONDS = re.compile(r"[0-9]{9,13}(?:\.[0-9]*)?")
# The name of a zone behind its offset, as Java ([Europe/Berlin]) and Go (+0100 CET) write it, or UTC for the offset.
_ZONE_NAME = re.compile(r"(?<=[0-9Z]) ?(?:\[[^\[\]]*\]|UTC|GMT)$|(?<=[+-][0-9]{4}) [A-Z]{3,5}$")
_MILLISECONDS = 10**11  # a number of seconds since 1970 has fewer digits for another millennium
_CENTURY = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def clean(text: str, longest: int = LONGEST_TEXT) -> str:
    """`text` in one line without control, format and private characters, which terminals and pages would obey, cut
    after `longest` characters.
    """
    text = text[: 4 * longest]
    if not (text.isascii() and text.isprintable()):
        text = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)
    return _SPACES.sub(" ", text).strip()[:longest]


def _one(value: Any) -> Any:
    """A value that stands in a list of its own is that value."""
    if isinstance(value, list) and len(value) < 2:
        return value[0] if value else ""
    return value


def _text(value: Any, longest: int = LONGEST_TEXT) -> Any:
    value = _one(value)
    if value is None:
        return ""
    return clean(str(value), longest) if isinstance(value, (str, int, float)) else value


def _host(value: Any) -> Any:
    host = _text(value, _LONGEST_HOST)
    return host.lower().removesuffix(".") if isinstance(host, str) else host


def _kind(value: Any) -> Any:
    kind = _text(value, _LONGEST_KIND)
    return kind.lower().replace("_", "-") if isinstance(kind, str) else kind


def _domain(value: Any) -> Any:
    """A policy domain as A-labels, empty where it is missing or none."""
    value = _one(value)
    try:
        return read_name(value) if isinstance(value, str) else ""
    except InvalidName:
        return ""


def _time(value: Any) -> Any:
    """A time in UTC, which is also the zone where none is given; 24:00 and a leap second are times too."""
    value = _one(value)
    if isinstance(value, str):
        value = _written_time(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**53:
        value = _since_1970(value)  # the file name of a report has seconds too
    if isinstance(value, datetime):
        try:
            value = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        except OverflowError:
            value = datetime.min.replace(tzinfo=UTC)
        if not _CENTURY[0] <= value < _CENTURY[1]:
            raise ValueError("it must be a time of this century")
    return value


def _written_time(value: str) -> datetime:
    text = value.strip().upper().replace("\N{MINUS SIGN}", "-")
    if len(text) < LONGEST_TEXT and _SECONDS.fullmatch(text):
        return _since_1970(float(text))
    text = _ZONE_NAME.sub("", _LEAP_SECOND.sub(r"\1:59", text[:LONGEST_TEXT]))
    next_day = _MIDNIGHT.search(text) is not None
    try:
        return datetime.fromisoformat(_MIDNIGHT.sub("T00:00:00", text)) + timedelta(days=next_day)
    except (ValueError, OverflowError):
        raise ValueError(f"{quoted(value)} is not a date and time as 2026-11-25T00:00:00Z") from None


def _since_1970(seconds: float) -> datetime:
    seconds = seconds / 1000 if abs(seconds) > _MILLISECONDS else seconds
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.min.replace(tzinfo=UTC)


def _object(value: Any) -> Any:
    """An object, which some write as an empty list where it is empty."""
    return {} if value == [] else value


def _listed(value: Any) -> Any:
    """A list, where one thing stands alone or some are null."""
    return [item for item in value if item is not None] if isinstance(value, list) else [value]


def _lines(values: tuple[Any, ...]) -> tuple[str, ...]:
    """The lines of a policy as served, each stripped and without empty ones, whatever they were packed into."""
    lines: list[str] = []
    left = LONGEST_POLICY
    for line in _unpacked(values):
        cleaned = clean(line, _LONGEST_LINE)
        left -= len(cleaned.encode("utf-16-le")) // 2 + 1
        if left < 0:
            break
        if cleaned:
            lines.append(cleaned)
    return tuple(lines)


def _unpacked(values: Any, depth: int = 0) -> Iterator[str]:
    """The lines in lists, in one text, and in a list that stands in a text, as Microsoft writes TLSA records."""
    for value in values:
        if isinstance(value, list) and depth < 2:
            yield from _unpacked(value, depth + 1)
        elif isinstance(value, str):
            text = value[:LONGEST_POLICY]
            if text.startswith("[") and depth < 2:
                try:
                    yield from _unpacked(_listed(from_json(text)), depth + 1)
                    continue
                except ValueError:
                    pass
            yield from text.replace("\\r", "\n").replace("\\n", "\n").splitlines()


type Text = Annotated[str, BeforeValidator(_text)]
type Host = Annotated[str, BeforeValidator(_host)]
type Kind = Annotated[str, BeforeValidator(_kind)]
type Domain = Annotated[str, BeforeValidator(_domain)]
type Count = Annotated[int, BeforeValidator(_one), Field(ge=0, le=_MOST_SESSIONS)]
type Time = Annotated[datetime, BeforeValidator(_time)]
type Lines = Annotated[tuple[Any, ...], BeforeValidator(_listed), AfterValidator(_lines)]
type Object[T] = Annotated[T, BeforeValidator(_object)]
type List[T] = Annotated[list[T], BeforeValidator(_listed)]
