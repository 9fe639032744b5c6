"""What a file or a folder says of many domains: CSV, JSON, the CSV of Exchange Online's accepted domains, policy texts.

Everything is read as the table's rows are, forgiving what has one meaning only, and every problem names its line.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from policy_store.names import InvalidName, quoted, read_name
from policy_store.policy import LARGEST_TEXT, Mode, Policy, PolicySyntaxError
from policy_store.tables.row import ColumnProblem, read_max_age, read_mode, read_mx

FIELDS = ("domain", "mode", "mx", "max_age", "note")
TEXT_NAME = "mta-sts.txt"

# Spelt without letter case, spaces and punctuation. Exchange Online's PowerShell writes DomainName, its admin centre
# "Accepted domain", Storage Explorer PartitionKey.
_COLUMNS = {
    "domain": "domain",
    "domainname": "domain",
    "accepteddomain": "domain",
    "partitionkey": "domain",
    "mode": "mode",
    "mx": "mx",
    "maxage": "max_age",
    "note": "note",
}
_PUNCTUATION = re.compile(r"[\s_-]+")
_REMARK = re.compile(r"\s*\([^()]*\)\s*$")  # the admin centre writes "contoso.com (default domain)"
_SEPARATORS = ",;\t"
_POLICY_HOST = "mta-sts."
_WELL_KNOWN = ".well-known"
_SITE_ROOT = "home"  # where Microsoft's guide to Azure Static Web Apps and `mta-sts site` put .well-known


class SourceError(ValueError):
    """A source cannot be read at all; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one place of a source says of one domain; None is said of a field where the source is silent.

    `place` is the line or the file; each of `problems` is a sentence that begins with it.
    """

    place: str
    domain: str | None
    mode: Mode | None = None
    mx: tuple[str, ...] | None = None
    max_age: int | None = None
    note: str | None = None
    problems: tuple[str, ...] = ()


def proposals(source: Path) -> Iterator[Proposal]:
    """What `source` says, in its order. A folder holds policy texts, `.json` an array of objects, else it is CSV.

    Raises SourceError where nothing can be read at all.
    """
    try:
        if source.is_dir():
            yield from _texts(source)
        elif source.suffix.lower() == ".json":
            yield from _objects(source)
        else:
            yield from _lines(source)
    except OSError as error:
        raise SourceError(f"{source} cannot be read: {error.strerror}") from error
    except UnicodeError as error:
        raise SourceError(f"{source} is not UTF-8 or UTF-16 text: save it as UTF-8 (in Excel 'CSV UTF-8')") from error
    except csv.Error as error:
        raise SourceError(f"{source} is not CSV: {error}") from error


def _open(source: Path) -> TextIO:
    """The characters of a file as Excel, PowerShell and everybody else write them."""
    with source.open("rb") as file:
        start = file.read(4)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif start[1:2] == b"\0":
        encoding = "utf-16-le"
    else:
        encoding = "utf-8-sig"
    return source.open(encoding=encoding, newline="")


def _lines(source: Path) -> Iterator[Proposal]:
    with _open(source) as file:
        first, skipped, separator = file.readline(), 0, ""
        while first and (not first.strip() or first.startswith(("#TYPE ", "sep="))):
            # PowerShell's Export-Csv begins with the type of what follows, Excel with the separator.
            separator = first[4:5] if first.startswith("sep=") else separator
            first, skipped = file.readline(), skipped + 1
        separator = separator or max(_SEPARATORS, key=first.count)
        header = next(csv.reader([first], delimiter=separator), [])
        columns = _columns(source, header)
        rows = csv.reader(file, delimiter=separator)
        while True:
            line = skipped + 2 + rows.line_num
            cells = next(rows, None)
            if cells is None:
                return
            if not any(cell.strip() for cell in cells):
                continue
            place = f"line {line}"
            if len(cells) > len(header):
                problem = f"{place}: there are {len(cells)} cells under {len(header)} columns: put mx in quotes"
                yield Proposal(place, None, problems=(problem,))
            else:
                found = {column: cells[at] for column, at in columns.items() if at < len(cells) and cells[at].strip()}
                yield _proposal(place, found)


def _columns(source: Path, header: Sequence[str]) -> dict[str, int]:
    """Where the columns that count are."""
    columns: dict[str, int] = {}
    for at, name in enumerate(header):
        column = _COLUMNS.get(_PUNCTUATION.sub("", name).lower())
        if column in columns:
            raise SourceError(f"{source} has two columns for {column}, {header[columns[column]]} and {name}")
        if column:
            columns[column] = at
    if "domain" not in columns:
        raise SourceError(
            f"{source} has no column with the domain: its header is to name one domain, and where they are known "
            "mode, mx, max_age and note."
        )
    return columns


def _objects(source: Path) -> Iterator[Proposal]:
    with _open(source) as file:
        text = file.read()
    decoder, space = json.JSONDecoder(), re.compile(r"\s*")
    line, counted = 1, 0
    at = _after(space, text, 0)
    if text[at : at + 1] != "[":
        raise SourceError(f"{source} is not a JSON array of objects with at least a domain")
    at = _after(space, text, at + 1)
    while text[at : at + 1] not in ("]", ""):
        line, counted = line + text.count("\n", counted, at), at
        try:
            item, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise SourceError(f"{source} is not JSON: line {error.lineno}: {error.msg}") from error
        yield _object(f"line {line}", item)
        at = _after(space, text, at)
        if text[at : at + 1] == ",":
            at = _after(space, text, at + 1)
    if text[at : at + 1] != "]" or text[at + 1 :].strip():
        raise SourceError(f"{source} is not JSON: the array does not end with ] and nothing after it")


def _after(space: re.Pattern[str], text: str, at: int) -> int:
    match = space.match(text, at)
    return match.end() if match else at


def _object(place: str, item: object) -> Proposal:
    if not isinstance(item, dict):
        return Proposal(place, None, problems=(f"{place}: this is no object with at least a domain",))
    found: dict[str, Any] = {}
    for name, value in item.items():
        column = _COLUMNS.get(_PUNCTUATION.sub("", name).lower())
        if column and value not in (None, "", []):
            found[column] = value
    if isinstance(found.get("mx"), list) and all(isinstance(pattern, str) for pattern in found["mx"]):
        found["mx"] = " ".join(found["mx"])
    return _proposal(place, found)


def _proposal(place: str, found: Mapping[str, Any]) -> Proposal:
    problems: list[ColumnProblem] = []
    sentences: list[str] = []
    domain = None
    try:
        domain = read_name(_REMARK.sub("", str(found.get("domain", ""))))
    except InvalidName as error:
        sentences.append(f"{place}: {error}")
    mode = read_mode(("mode", found["mode"]), problems) if "mode" in found else None
    mx = read_mx(("mx", found["mx"]), mode, problems) if "mx" in found else None
    max_age = read_max_age(("max_age", found["max_age"]), problems) if "max_age" in found else None
    note = str(found["note"]) if "note" in found else None
    who = f"{domain}: " if domain else ""
    sentences += [f"{place}: {who}{problem}" for problem in problems]
    return Proposal(place, domain, mode, mx, max_age, note, tuple(sentences))


def _texts(folder: Path) -> Iterator[Proposal]:
    for path in sorted(folder.rglob("*.txt")):
        name = _text_of(folder, path)
        if name is None:
            continue
        place = str(path.relative_to(folder))
        try:
            domain = read_name(name)
            if "." not in domain:
                raise InvalidName(f"{quoted(domain)} is no policy domain")
        except InvalidName as error:
            yield Proposal(place, None, problems=(f"{place}: {error}: name the file or its folder after the domain",))
            continue
        try:
            with path.open("rb") as file:
                policy = Policy.parse(file.read(LARGEST_TEXT + 1))
        except PolicySyntaxError as error:
            sentences = (
                f"{place}{'' if problem.line is None else f' line {problem.line}'}: {domain}: {problem.message}"
                for problem in error.problems
            )
            yield Proposal(place, domain, problems=tuple(sentences))
        else:
            yield Proposal(place, domain, policy.mode, policy.mx, policy.max_age)


def _text_of(folder: Path, path: Path) -> str | None:
    """The domain that a text is for: after its file, or its folder as `mta-sts.contoso.com/.well-known/mta-sts.txt` and
    `contoso.com/home/.well-known/mta-sts.txt`.

    A `CNAME` file beside `.well-known`, as GitHub Pages has it, counts more than the folder's name. None for a text
    that is something else, such as robots.txt.
    """
    if path.name.lower() != TEXT_NAME:
        name = path.name[: -len(".txt")].lower().removeprefix(_POLICY_HOST)
        return name if "." in name else None
    site = path.parent.resolve()
    if site.name == _WELL_KNOWN:
        site = site.parent
    alias = site / "CNAME"
    if alias.is_file():
        name = alias.read_text(encoding="utf-8-sig").strip()
    else:
        name = site.parent.name if site.name == _SITE_ROOT else site.name
    return name.lower().removeprefix(_POLICY_HOST)
