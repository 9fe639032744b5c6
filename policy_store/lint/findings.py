"""What lint and the checker can find: the rules as data, read from a table beside the module, and one finding."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

type Severity = Literal["error", "warning", "info"]

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
    """One thing to mend or to know: its place (domain or file, and the line where there is one), what is wrong, and
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


def findings_of(notes: Iterable[Note], domain: str | None = None, file: str | None = None) -> list[Finding]:
    """The findings that the notes become, the worst first, then by line."""
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
        for note in notes
    ]
    return worst_first(findings)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """The findings in the order of their severity, then by line."""
    return sorted(findings, key=lambda finding: (SEVERITIES.index(finding.severity), finding.line or 0))
