"""One row of the table `policies`, made for editing by hand: its cells and the policy that they hold.

The PartitionKey is the domain, the RowKey always `policy`. Reading forgives whatever has one meaning only and calls
everything else an InvalidRow.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from azure.data.tables import EntityProperty, TableEntity

from policy_store.durations import read_seconds
from policy_store.names import InvalidName, domain_name, invisible_in, quoted, read_name, refuse_invisible, trimmed
from policy_store.policy import LONGEST_MAX_AGE, MODES, Mode, Policy, pattern
from policy_store.tables.intent import Intent

ROW_KEY = "policy"

# Spelt without letter case and underscores; the last three are for people and for recorders, and never served.
_COLUMNS = {"mode": "mode", "mx": "mx", "maxage": "max_age", "customer": "customer", "note": "note", "change": "change"}
_SEPARATORS = re.compile(r"[\s,;]+")
_SAID = 10  # problems of one row in its message
LONGEST_TEXT = 32_768  # characters of a policy's text: what a cell of the history holds


@dataclass(frozen=True, slots=True)
class ColumnProblem:
    """What is wrong with one cell: the column as the row spells it, its value in quotes, a sentence with the remedy,
    and the code of lint for it.
    """

    column: str
    value: str
    message: str
    code: str

    def __str__(self) -> str:
        return f"{self.column} is {self.value}: {self.message}"


class InvalidRow(ValueError):
    """A row that holds no policy; `problems` has every cell that is wrong, the message the first ten.

    `domain` and `row_key` are the row's keys as stored, `etag` and `modified` (UTC) tell the version of the row.
    To repair it, `readable` has what could be read of `mode`, `mx`, `max_age`, `customer` and `note`, and `others` the
    cells of unknown columns.
    """

    def __init__(
        self,
        domain: str,
        row_key: str,
        etag: str,
        modified: datetime,
        problems: tuple[ColumnProblem, ...],
        readable: Mapping[str, Any] | None = None,
        others: Mapping[str, Any] | None = None,
    ) -> None:
        self.domain, self.row_key, self.etag, self.modified, self.problems = domain, row_key, etag, modified, problems
        self.readable, self.others = readable or {}, others or {}
        said = [str(problem) for problem in problems[:_SAID]]
        if len(problems) > _SAID:
            said.append(f"and {len(problems) - _SAID} more")
        super().__init__("; ".join(said))

    @property
    def reachable(self) -> bool:
        """Whether a point read finds the row: its PartitionKey is a domain as requests ask for it, its RowKey right."""
        return all(problem.column not in ("PartitionKey", "RowKey") for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Row:
    """A valid row: the policy of `domain`, the note for people, the version (`etag`, `modified` in UTC), the cells of
    unknown columns, which edits keep, columns that repeat another in a second spelling, the customer, and what a
    command says of its change (see `tables.intent`).
    """

    domain: str
    policy: Policy
    note: str
    etag: str
    modified: datetime
    others: Mapping[str, Any] = field(default_factory=dict)
    spelt_twice: tuple[str, ...] = ()
    customer: str = ""
    intent: Intent | None = None

    @classmethod
    def read(cls, entity: TableEntity) -> Self:
        """The row that `entity` holds. Raises InvalidRow."""
        cells, others, spelt_twice, problems = _cells(entity)
        problems += _key_problems(entity)
        mode = read_mode(cells.get("mode"), problems)
        mx = read_mx(cells.get("mx"), mode, problems)
        max_age = read_max_age(cells.get("max_age"), problems)
        policy = None if problems else Policy.model_validate({"mode": mode, "mx": mx, "max_age": max_age})
        if policy is not None and (reason := too_long(policy)):
            problems.append(
                ColumnProblem(cells["mx"][0], _shown(cells["mx"][1]), f"{reason}: remove patterns", "too_large")
            )
        domain, row_key = str(entity["PartitionKey"]), str(entity["RowKey"])
        etag, modified = str(entity.metadata["etag"]), _utc(entity.metadata["timestamp"])
        note, customer = _text(cells.get("note")), _text(cells.get("customer"))
        if policy is None or problems:
            wrong = {_column_of(problem.column) for problem in problems}
            read = {"mode": mode, "mx": mx, "max_age": max_age, "customer": customer, "note": note}
            readable = {column: value for column, value in read.items() if column not in wrong}
            raise InvalidRow(domain, row_key, etag, modified, tuple(problems), readable, others)
        intent = Intent.read(cells.get("change", ("change", None))[1])
        return cls(domain, policy, note, etag, modified, others, tuple(spelt_twice), customer, intent)


def _text(cell: tuple[str, Any] | None) -> str:
    """What a cell for people says, whatever its type."""
    return "" if cell is None or cell[1] is None else str(cell[1])


def too_long(policy: Policy) -> str:
    """Why the policy cannot be kept; empty if its text fits the cell of a revision."""
    length = len(policy.text)
    return f"the text has {length} characters, and {LONGEST_TEXT} can be kept" if length > LONGEST_TEXT else ""


def split_patterns(text: str) -> list[str]:
    """The patterns in a text that has white space, commas or semicolons between them."""
    return [part for part in map(trimmed, _SEPARATORS.split(text)) if part]


def read_pattern(text: str) -> str:
    """The pattern that a person meant: the host name in it is read as names.read_name does. Raises InvalidName."""
    text = trimmed(text)
    refuse_invisible(text)
    name = text.removeprefix("*.")
    return pattern(text if "*" in name else text[: len(text) - len(name)] + read_name(name))


def _column_of(name: str) -> str | None:
    """The column that a name stands for, whatever its letter case and underscores; None for an unknown one."""
    return _COLUMNS.get(trimmed(name).lower().replace("_", ""))


def _utc(timestamp: datetime | None) -> datetime:
    return datetime.fromtimestamp(0, UTC) if timestamp is None else timestamp.astimezone(UTC)


type _Cells = dict[str, tuple[str, Any]]  # canonical column -> (the column as spelt, the value)


def _cells(entity: Mapping[str, Any]) -> tuple[_Cells, dict[str, Any], list[str], list[ColumnProblem]]:
    """The known columns by their canonical names, the unknown ones, and second spellings with the same value and with
    another.
    """
    cells: _Cells = {}
    others: dict[str, Any] = {}
    spelt_twice: list[str] = []
    problems: list[ColumnProblem] = []
    for name, cell in entity.items():
        if name in ("PartitionKey", "RowKey"):
            continue
        column = _column_of(name)
        value = cell.value if isinstance(cell, EntityProperty) else cell  # an Int64 comes wrapped
        if column is None:
            others[name] = cell
        elif column not in cells:
            cells[column] = (name, value)
        elif cells[column][1] == value:
            spelt_twice.append(name)
        else:
            reason = f"{cells[column][0]} is the same column: delete one of them"
            problems.append(ColumnProblem(name, quoted(str(value)), reason, "two_spellings"))
    return cells, others, spelt_twice, problems


def _key_problems(entity: Mapping[str, Any]) -> list[ColumnProblem]:
    problems = []
    domain, row_key = str(entity["PartitionKey"]), str(entity["RowKey"])
    found: str | None
    try:
        found = domain_name(domain)
        reason = f"it must be the domain in lower case, {found}"
    except InvalidName as error:
        found, reason = None, f"it must be the domain as lower-case A-labels; {error}"
    if found != domain:
        problems.append(ColumnProblem("PartitionKey", quoted(domain), reason, "partition_key"))
    if row_key != ROW_KEY:
        reason = "it must be 'policy', or no request finds the row"
        problems.append(ColumnProblem("RowKey", quoted(row_key), reason, "row_key"))
    return problems


def read_mode(cell: tuple[str, Any] | None, problems: list[ColumnProblem]) -> Mode | None:
    """The mode that a cell, its column's name and its value, holds; None and one more problem where it holds none."""
    column, value = cell or ("mode", None)
    mode = trimmed(value).lower() if isinstance(value, str) else None
    for known in MODES:
        if mode == known:
            return known
    problems.append(_problem(column, value, "it must be testing, enforce or none", "mode"))
    return None


def read_mx(cell: tuple[str, Any] | None, mode: str | None, problems: list[ColumnProblem]) -> tuple[str, ...]:
    """The patterns that a cell holds, with one more problem for each text in it that is not a pattern."""
    column, value = cell or ("mx", None)
    if value is not None and not isinstance(value, str):
        problems.append(_problem(column, value, "it must be a string of host names", "mx"))
        return ()
    texts = split_patterns(value or "")
    if not texts and mode != "none":
        reason = "at least one host name is needed unless mode is none"
        problems.append(ColumnProblem(column, _shown(value), reason, "missing_mx"))
    patterns = []
    for text in texts:
        try:
            patterns.append(read_pattern(text))
        except InvalidName as error:
            problems.append(ColumnProblem(column, _shown(value), str(error), "mx_value"))
    return tuple(patterns)


def read_max_age(cell: tuple[str, Any] | None, problems: list[ColumnProblem]) -> int | None:
    """The seconds that a cell holds; None and one more problem where it holds none."""
    column, value = cell or ("max_age", None)
    seconds = read_seconds(value)
    if seconds is not None and seconds <= LONGEST_MAX_AGE:
        return seconds
    reason = f"it must be a whole number of seconds from 0 to {LONGEST_MAX_AGE}, or days or weeks as in 60d and 8w"
    if isinstance(value, float):
        reason += "; its type is Double"
    problems.append(_problem(column, value, reason, "max_age"))
    return None


def _problem(column: str, value: object, reason: str, field: str) -> ColumnProblem:
    if isinstance(value, str) and (found := invisible_in(trimmed(value))):
        reason += f"; delete the invisible character {found}"
    code = f"missing_{field}" if value is None else f"{field}_value"
    return ColumnProblem(column, _shown(value), reason, code)


def _shown(value: object) -> str:
    return "missing" if value is None else quoted(str(value))
