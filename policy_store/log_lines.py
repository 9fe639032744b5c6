"""The app's log line for an answer, read back from what logs are exported as: text, JSON lines, or the CSV of
Application Insights.

The lines hold what strangers sent. What is taken from them here is printable ASCII, whatever a line holds.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

_TEXT = r"""'(?:[ -&(-\[\]-~]|\\[ -~])*'|"(?:[ !#-\[\]-~]|\\[ -~])*\""""  # as ascii() quotes it
_ANSWER = re.compile(
    r"answer domain=(?P<domain>[a-z0-9.-]{1,253}) outcome=(?P<outcome>[a-z-]{1,20}) status=(?P<status>[0-9]{3}) "
    r"version=(?P<version>[0-9]{14}Z|-) ms=(?P<ms>[0-9]{1,9}) "
    rf"host=(?P<host>{_TEXT}) agent=(?P<agent>{_TEXT})"
    r"(?: \[(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)\])?"  # of a line that was logged late
)
_REPORT = re.compile(
    r"report status=(?P<status>[0-9]{3}) domain=(?P<domain>[a-z0-9.-]{1,253}) reporter=(?P<reporter>[a-z0-9.-]{1,80}) "
    rf"new=[0-9]{{1,4}} bytes=[0-9]{{1,9}} ms=[0-9]{{1,9}} type=(?:{_TEXT}) client=(?:{_TEXT}) agent=(?:{_TEXT}) "
    rf"said=(?:{_TEXT})"
)
_PRODUCT = re.compile(r"[A-Za-z0-9_.+-]+")  # a product's name: RFC 9110 section 10.1.5
_ISO_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9:]{5})?")
_PORTAL_TIME = "%m/%d/%Y, %I:%M:%S.%f %p"
_TIME_NAMES = ("timestamp", "timegenerated", "time")


class NoLog(ValueError):
    """A file cannot be read as the CSV that its first line announces; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the app. `host` and `agent` are as logged, without the quotes: what is not printable is escaped."""

    time: datetime | None
    domain: str
    outcome: str
    version: str
    ms: int
    host: str
    agent: str

    @property
    def sender(self) -> str:
        """The product that the User-Agent begins with; `-` if there is none."""
        product = _PRODUCT.match(self.agent)
        return product[0] if product else "-"


@dataclass(frozen=True, slots=True)
class ReportPost:
    """One TLS report that somebody posted, and the status that it got; `-` if it could not be read."""

    time: datetime | None
    status: int
    domain: str
    reporter: str


def read_answers(lines: Iterable[str]) -> Iterator[Answer | ReportPost | None]:
    """The answers and the reports in the lines of one file, and None for each line or CSV row that is none of them.

    Raises NoLog.

    A time without a zone is taken as UTC.
    """
    lines = iter(lines)
    first = next((line for line in lines if line.strip()), "")
    names = [] if first.lstrip().startswith("{") else _column_names(first)
    if "message" in names:
        yield from _rows(lines, names)
    else:
        yield from map(_line, chain([first] if first else [], lines))


def _column_names(line: str) -> list[str]:
    """The columns in lower case, without the zone that the portal adds: `timestamp [UTC]`."""
    try:
        cells = next(csv.reader([line]), [])
    except csv.Error:
        return []
    return [cell.partition("[")[0].strip().lower() for cell in cells]


def _rows(lines: Iterator[str], names: list[str]) -> Iterator[Answer | ReportPost | None]:
    message = names.index("message")
    time = next((names.index(name) for name in _TIME_NAMES if name in names), None)
    rows = csv.reader(lines)
    try:
        for cells in rows:
            if len(cells) > message:
                said = cells[time] if time is not None and time < len(cells) else ""
                yield _read(cells[message].strip(), said)
    except csv.Error as error:
        raise NoLog(f"row near line {rows.line_num + 1}: {error}") from error


def _line(line: str) -> Answer | ReportPost | None:
    """What a line of JSON or text holds; in text anything may stand before it, a time among it."""
    if line.lstrip().startswith("{"):
        try:
            cells = {name.lower(): value for name, value in json.loads(line).items()}
        except (ValueError, RecursionError):
            return None
        time = next((cells[name] for name in _TIME_NAMES if name in cells), "")
        return _read(str(cells.get("message", "")).strip(), str(time))
    for begins in ("answer domain=", "report status="):
        before, found, rest = line.partition(begins)
        if found and (said := _read((found + rest).strip(), before)):
            return said
    return None


def _read(message: str, time: str) -> Answer | ReportPost | None:
    if report := _REPORT.fullmatch(message):
        return ReportPost(_time(time), int(report["status"]), report["domain"], report["reporter"])
    return _answer(_ANSWER.fullmatch(message), time)


def _answer(match: re.Match[str] | None, time: str) -> Answer | None:
    if match is None:
        return None
    return Answer(
        time=_time(match["time"] or time),
        domain=match["domain"],
        outcome=match["outcome"],
        version=match["version"],
        ms=int(match["ms"]),
        host=match["host"][1:-1],
        agent=match["agent"][1:-1],
    )


def _time(text: str) -> datetime | None:
    try:
        if iso := _ISO_TIME.search(text):
            time = datetime.fromisoformat(iso[0])
        else:
            time = datetime.strptime(text.strip(), _PORTAL_TIME)  # noqa: DTZ007 - it gets its zone below
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
