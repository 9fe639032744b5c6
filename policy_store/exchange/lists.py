"""Lists of domains as text: CSV with a header, and one domain a line.

Every row has to be whole. A quote that is not closed, and a row that is cut, would make one domain out of two, or a
policy with half of its hosts.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from policy_store.exchange.cells import from_cell
from policy_store.exchange.columns import field_of, is_weak, near_names, said, unread
from policy_store.exchange.proposal import Proposal
from policy_store.lint.findings import Note
from policy_store.names import InvalidName, mail_domain, quoted, trimmed
from policy_store.tables.row import read_pattern, split_patterns

_SEPARATORS = ",;\t|"
_SEP = re.compile(r'\W*sep\s*=\s*(?P<separator>[,;\t|])["\s,;|]*', re.IGNORECASE)  # Excel's own first line
_UNDERLINE = re.compile(r"[-:\s]*")
_REMARK = re.compile(r"\s*\((?P<text>[^()]*)\)\s*$")  # the admin centre writes "contoso.com (default domain)"
_LINE_END = re.compile(r"\r\n|\r|\n")
_FOR_PEOPLE = ("customer", "note")


def read_list(text: str, file: str) -> Iterator[Proposal]:
    """What a text says of domains, in its order, with the lines that are wrong."""
    lines = io.StringIO(text, newline="").readlines()
    at, separator = 0, ""
    while at < len(lines) and _is_preamble(lines[at]):
        if match := _SEP.fullmatch(lines[at].rstrip("\r\n")):
            separator = match["separator"]
        at += 1
    if at == len(lines):
        return
    if _listed(lines[at]) is not None:
        yield from _one_a_line(lines, file)
    else:
        yield from _table(lines, at, separator or _separator(lines[at]), file)


def _is_preamble(line: str) -> bool:
    """Whether a line says nothing of domains: a blank one, a remark, `#TYPE …` of PowerShell's Export-Csv, `sep=;`."""
    return not trimmed(line) or trimmed(line).startswith("#") or _SEP.fullmatch(line.rstrip("\r\n")) is not None


def _separator(header: str) -> str:
    """The separator with which the header has most cells."""
    return max(_SEPARATORS, key=lambda separator: len(next(csv.reader([header], delimiter=separator), [])))


def _listed(line: str) -> str | None:
    """The domain that is all there is in a line; None where there is more, or something else."""
    try:
        return None if field_of(_bare(line)) else mail_domain(_bare(line))
    except InvalidName:
        return None


def _bare(line: str) -> str:
    """A line of a list without a remark, quotes, and separators at its end."""
    line = trimmed(line.partition("#")[0]).rstrip(_SEPARATORS + " ")
    return _without_remark(line.removeprefix('"').removesuffix('"'))


def _without_remark(text: str) -> str:
    """A domain without the remark in parentheses after it, unless that is a domain, too."""
    match = _REMARK.search(text)
    return text if match is None or _is_domain(match["text"]) else text[: match.start()]


def _is_domain(text: str) -> bool:
    try:
        return bool(mail_domain(text))
    except InvalidName:
        return False


def _one_a_line(lines: Sequence[str], file: str) -> Iterator[Proposal]:
    for number, line in enumerate(lines, 1):
        if _bare(line) and not _is_preamble(line):
            yield Proposal.of(file, number, {"domain": _bare(line)})


@dataclass(frozen=True, slots=True)
class _Header:
    """The first line of a table: how many cells each row has, in which of them the fields are, and what the others are
    called that nothing reads.
    """

    cells: tuple[str, ...]
    separator: str
    columns: dict[str, int] = field(default_factory=dict)
    others: dict[int, str] = field(default_factory=dict)

    @property
    def width(self) -> int:
        return len(self.cells)

    def is_row(self, cells: Sequence[str]) -> bool:
        """Whether cells have the form of a row, with a domain in its place."""
        return len(cells) == self.width and _listed(cells[self.columns["domain"]]) is not None

    def goes_on(self, cells: Sequence[str]) -> bool:
        """Whether a row that is too short may be the rest of the row before it, whose last cell had a line break."""
        last = next((column for column, at in self.columns.items() if at == self.width - 1), None)
        return last == "mx" or (last in _FOR_PEOPLE and _listed(cells[0]) is None)


def _table(lines: Sequence[str], at: int, separator: str, file: str) -> Iterator[Proposal]:
    rows = _Rows(lines, at, separator)
    try:
        names = [trimmed(cell) for cell in next(rows.whole)]
        while names and not names[-1]:
            names.pop()
        body = list(rows)
    except csv.Error as error:
        yield Proposal.refused(file, at + 1, [Note("quote_open", f"the first line is not CSV: {error}", at + 1)])
        return
    header, notes = _read_header(names, body, at + 1, separator)
    if notes:
        yield Proposal.refused(file, at + 1, notes)
        return
    yield from _checked(header, body, file)
    if rows.error:
        yield Proposal.refused(file, rows.line, [Note("quote_open", rows.error, rows.line)])


class _Rows:
    """The rows of CSV with the lines on which they begin, up to the first that is not CSV, which `error` says."""

    def __init__(self, lines: Sequence[str], at: int, separator: str) -> None:
        self.line, self.error = at + 1, ""
        self.whole = csv.reader(lines[at:], delimiter=separator, strict=True)
        self._at = at

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        while True:
            self.line = self._at + self.whole.line_num + 1
            try:
                cells = next(self.whole, None)
            except csv.Error as error:
                self.error = f"a quote opens in this row and is not closed ({error}); nothing below is read"
                return
            if cells is None:
                return
            if any(map(trimmed, cells)):
                yield self.line, cells


def _read_header(
    names: Sequence[str], body: list[tuple[int, list[str]]], line: int, separator: str
) -> tuple[_Header, list[Note]]:
    columns: dict[str, int] = {}
    notes: list[Note] = []
    for at, name in enumerate(names):
        if (column := field_of(name)) is None:
            continue
        if column in columns:
            message = f"two columns are for {column}: {said([names[columns[column]], name])}"
            notes.append(Note("column_twice", message, line))
        columns.setdefault(column, at)
    if "domain" not in columns:
        columns |= dict(zip(["domain"], _weak(names, body), strict=False))
    if "domain" not in columns and any(map(_listed, names)):
        message = f"the first line does not name the columns: {said(names)}"
        return _Header(tuple(names), separator), [Note("no_domain_column", message, line)]
    notes += [
        Note("near_header", f"the column {quoted(name)} is not read: is it {column}?", line)
        for name, column in near_names(names)
    ]
    if "domain" not in columns:
        message = f"no column is named domain: the first line names {said(names)}"
        if body and _UNDERLINE.fullmatch("".join(body[0][1])):
            message += "; this is a table printed for people: use Export-Csv -NoTypeInformation -Encoding UTF8"
        notes.append(Note("no_domain_column", message, line))
    return _Header(tuple(names), separator, columns, unread(names, columns.values())), notes


def _weak(names: Sequence[str], body: list[tuple[int, list[str]]]) -> list[int]:
    """The columns named as in Entra whose first value is a domain."""
    _, first = next(((line, row) for line, row in body if not _is_underline(row)), (0, []))
    return [at for at, name in enumerate(names) if is_weak(name) and at < len(first) and _listed(first[at])]


def _is_underline(cells: Sequence[str]) -> bool:
    """Whether a row is what PowerShell prints under the names of the columns."""
    return all(_UNDERLINE.fullmatch(cell) for cell in cells)


def _checked(header: _Header, body: list[tuple[int, list[str]]], file: str) -> Iterator[Proposal]:
    """The rows as proposals. Each waits for the next one, which may be the rest of a cell that had a line break."""
    waiting: Proposal | None = None
    for number, (line, cells) in enumerate(body):
        if not number and _is_underline(cells):
            continue
        note = _row_note(header, line, cells)
        if note and note.code == "row_cut" and waiting and header.goes_on(cells):
            waiting = waiting.with_problem("row_cut", f"the row seems to go on in line {line}")
        if waiting:
            yield waiting
        found = {column: cells[at] for column, at in header.columns.items() if at < len(cells)}
        others = [name for at, name in header.others.items() if at < len(cells) and trimmed(cells[at])]
        waiting = Proposal.refused(file, line, [note]) if note else Proposal.of(file, line, _unquoted(found), others)
    if waiting:
        yield waiting


def _unquoted(found: dict[str, str]) -> dict[str, str]:
    read = {column: from_cell(cell) if column in _FOR_PEOPLE else cell for column, cell in found.items()}
    return read | {"domain": _without_remark(read.get("domain", ""))}


def _row_note(header: _Header, line: int, cells: list[str]) -> Note | None:
    """What is wrong with a row as a row."""
    while len(cells) > header.width and not trimmed(cells[-1]):
        cells.pop()
    has = f"the row has {len(cells)} cells under {header.width} columns"
    if [trimmed(cell).casefold() for cell in cells] == [name.casefold() for name in header.cells]:
        return Note("header_repeated", "the row repeats the first line", line)
    if field_of(cells[min(header.columns["domain"], len(cells) - 1)]) == "domain":
        return Note("header_repeated", "the row is the first line of another table", line)
    if len(cells) > header.width:
        return Note("row_too_long", has, line)
    if len(cells) < header.width:
        return Note("row_cut", has, line)
    for at in range(header.width):
        if swallowed := _swallowed(header, at, cells):
            return Note("quote_open", f"the quote before {quoted(swallowed)} is not closed in its row", line)
    if divided := _divided(header, cells):
        return Note("mx_divided", f"the cell after the patterns holds {quoted(divided)}, which seems to be one", line)
    return None


def _divided(header: _Header, cells: list[str]) -> str | None:
    """What a cell for people holds if it seems to be one more pattern: it stands right after them, and is the name of a
    host that is neither the domain nor above it. A separator between two patterns that are not in quotes does that.
    """
    at = header.columns.get("mx", header.width) + 1
    if at >= header.width or header.columns.get("customer") != at != header.columns.get("note"):
        return None
    try:
        name = read_pattern(cells[at])
    except InvalidName:
        return None
    known = (cells[header.columns["domain"]], *split_patterns(cells[at - 1]))
    above = any(f".{trimmed(other).lower()}".endswith(f".{name}") for other in known)
    return name if name.startswith("*.") or (name.count(".") > 1 and not above) else None


def _swallowed(header: _Header, at: int, cells: list[str]) -> str | None:
    """A line inside a cell that seems to be a row of its own, or to begin one that goes on after the cell: a quote took
    it in.
    """
    lines = _LINE_END.split(trimmed(cells[at]))
    if len(lines) == 1:
        return None
    column = next((column for column, place in header.columns.items() if place == at), None)
    if column and column not in _FOR_PEOPLE:
        # Patterns may stand on lines of their own, without the separator. No other cell that is served has two lines.
        return lines[1] if column != "mx" or header.separator in cells[at] else None
    if found := next((line for line in lines[1:] if header.is_row(line.split(header.separator))), None):
        return found
    first = [*cells[:at], *lines[0].split(header.separator)]
    last = [*lines[-1].split(header.separator), *cells[at + 1 :]]
    return lines[-1] if header.is_row(first) and header.is_row(last) else None
