"""What lint and the checker can find: the rules as data, read from a table beside the module, and one finding."""

import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

type Severity = Literal["error", "warning", "info"]

MOST_ALIKE = 10  # findings of one code that are told one by one: a hostile text may have 65,000

_MORE = "and {} more of these"

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")  # the worst first


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding. `code` stays the same between versions, `about` is one of the table's headings, `source`
    names the section of the RFC, or the senders and checkers whose behaviour is behind it.
    """

    code: str
    severity: Severity
    about: str
    what: str
    remedy: str
    source: str


def read_rules(table: Path) -> tuple[dict[str, str], dict[str, Rule]]:
    """The headings and the rules, each by its key, that a TOML table has."""
    read = tomllib.loads(table.read_text(encoding="utf-8"))
    return read["headings"], {code: Rule(code, **columns) for code, columns in read["rules"].items()}


HEADINGS, RULES = read_rules(Path(__file__).with_name("rules.toml"))


class Finding(BaseModel):
    """One thing to fix or to know: its place (domain or file, and the line where there is one), what is wrong, and
    what to do. `code` is one of RULES.
    """

    model_config = ConfigDict(frozen=True)

    code: str = Field(description="what is wrong, the same in every version; the page of findings has all")
    severity: Severity = Field(description="`error`, `warning` or `info`")
    domain: str | None = Field(default=None, description="the policy domain of a row; null for a file")
    file: str | None = Field(default=None, description="the file; null for a row")
    line: int | None = Field(default=None, description="the line in the file, the first is 1; null for the whole")
    message: str = Field(description="what is wrong")
    remedy: str = Field(description="what to do")


class Note(NamedTuple):
    """A finding before it has its place."""

    code: str
    message: str
    line: int | None = None


def capped(findings: Iterable[Finding]) -> list[Finding]:
    """The findings in their order, of one code the first ten: what follows them is one more that counts the rest."""
    kept, more = _first([(finding.code, finding) for finding in findings])
    return [
        *kept,
        *(finding.model_copy(update={"message": _MORE.format(count)}) for finding, count in more),
    ]


def findings_of(notes: Iterable[Note], domain: str | None = None, file: str | None = None) -> list[Finding]:
    """The findings that the notes become, the worst first, then by line; of one code ten, and how many more."""
    ordered = sorted(notes, key=lambda note: note.line or 0)
    kept, more = _first([(note.code, note) for note in ordered])
    findings = [
        Finding(
            code=note.code,
            severity=RULES[note.code].severity,
            domain=domain,
            file=file,
            line=note.line,
            message=note.message,
            remedy=RULES[note.code].remedy,
        )
        for note in [*kept, *(note._replace(message=_MORE.format(count)) for note, count in more)]
    ]
    return worst_first(findings)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """The findings in the order of their severity, then by line."""
    return sorted(findings, key=lambda finding: (SEVERITIES.index(finding.severity), finding.line or 0))


def _first[T](items: Sequence[tuple[str, T]]) -> tuple[list[T], list[tuple[T, int]]]:
    """The first ten items of each key, and for each key that has more the next one, with how many there are."""
    seen: Counter[str] = Counter()
    kept: list[T] = []
    more: dict[str, T] = {}
    for key, item in items:
        seen[key] += 1
        if seen[key] <= MOST_ALIKE:
            kept.append(item)
        else:
            more.setdefault(key, item)
    return kept, [(item, seen[key] - MOST_ALIKE) for key, item in more.items()]
