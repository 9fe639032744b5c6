"""Lint: what the RFC forbids, what real senders refuse or misread, and advice, for a policy, a text or a row.

The codes and their remedies are in RULES; every function gives its findings the worst first, then by line.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from policy_store._lint_patterns import pattern_notes
from policy_store._lint_rules import HEADINGS, RULES, SEVERITIES, Rule, Severity
from policy_store.names import InvalidName, quoted
from policy_store.policy import LARGEST_TEXT, LONGEST_MAX_AGE, MODES, Policy, PolicySyntaxError, Problem, pattern
from policy_store.row import ColumnProblem, InvalidRow, Row

__all__ = ["HEADINGS", "RULES", "SEVERITIES", "Finding", "Rule", "Severity", "lint_policy", "lint_row", "lint_text"]

_DAY, _WEEK = 86400, 604800
_CHASQUID_READS = 10 * 1024  # octets
_ONCE = ("version", "mode", "max_age")
_UNREADABLE = ("too_large", "utf16", "not_utf8")  # nothing can be said of the lines
_NO_FIELD = ("blank_line", "leading_space", "comment", "lone_cr", "control_character", "no_colon")
_SECONDS = re.compile(r"[0-9]{1,10}")
_NO_LETTER = re.compile(r"[\W_]+")
_KNOWN_COLUMNS = {"mode": "mode", "mx": "mx", "maxage": "max_age", "note": "note"}
_ROW_CODES = {"partitionkey": "partition_key", "rowkey": "row_key"}
_LONGEST_MISSPELT = 40  # characters


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


class _Note(NamedTuple):
    """A finding before it has its place."""

    code: str
    message: str
    line: int | None = None


def lint_policy(policy: Policy, *, domain: str | None = None) -> list[Finding]:
    """What there is to say of a policy, of which the RFC is satisfied already."""
    notes = [*_size(len(policy.text)), *_advice(policy.mode, policy.mx, policy.max_age), *_domain(domain, policy.mode)]
    return _findings(notes, domain)


def lint_text(text: str | bytes, *, domain: str | None = None, file: str | None = None) -> list[Finding]:
    """What there is to say of a policy's text, with the lines.

    All that Policy.parse refuses is an error here, under the same code. Where the misspelt name of a field is the
    reason, `near_key` stands for it and for the field that seems to be missing.
    """
    try:
        Policy.parse(text)
        problems: Sequence[Problem] = ()
    except PolicySyntaxError as error:
        problems = error.problems
    if any(problem.code in _UNREADABLE for problem in problems):
        return _findings([_Note(problem.code, problem.message, problem.line) for problem in problems], domain, file)
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    lines = text.decode("utf-8") if isinstance(text, bytes) else text
    reader = _Reader(lines.removeprefix("\ufeff"), problems)
    notes = [*reader.notes, *_size(size), *_domain(domain, reader.mode)]
    return _findings([*notes, *_advice(reader.mode, list(reader.mx), reader.max_age, reader.lines)], domain, file)


def lint_row(row: Row | InvalidRow) -> list[Finding]:
    """What there is to say of a row: its keys, its columns, and the policy in it as far as it can be read."""
    mode: str | None
    mx: Sequence[str] | None
    max_age: int | None
    if isinstance(row, Row):
        mode, mx, max_age = row.policy.mode, row.policy.mx, row.policy.max_age
        notes = [*_size(len(row.policy.text))]
        notes += [_Note("spelt_twice", f"{name} repeats another column") for name in row.spelt_twice]
    else:
        mode, mx, max_age = row.readable.get("mode"), row.readable.get("mx"), row.readable.get("max_age")
        notes = [_Note(_column_code(problem), str(problem)) for problem in row.problems]
    notes += [*_columns(row.others), *_advice(mode, mx or (), max_age), *_domain(row.domain, mode)]
    return _findings(notes, row.domain)


def _findings(notes: Iterable[_Note], domain: str | None = None, file: str | None = None) -> list[Finding]:
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
    return sorted(findings, key=lambda finding: (SEVERITIES.index(finding.severity), finding.line or 0))


def _size(octets: int) -> Iterator[_Note]:
    if octets > LARGEST_TEXT:
        yield _Note("too_large", f"the text has {octets} octets: senders stop reading at {LARGEST_TEXT}")
    elif octets > _CHASQUID_READS:
        yield _Note("over_10_kib", f"the text has {octets} octets: chasquid reads only {_CHASQUID_READS}")


def _domain(domain: str | None, mode: str | None) -> Iterator[_Note]:
    if domain and mode != "none" and domain.lower().endswith(".onmicrosoft.com"):
        yield _Note("onmicrosoft_domain", f"{domain} lies in Microsoft's zone onmicrosoft.com")


def _advice(
    mode: str | None, mx: Sequence[str], max_age: int | None, lines: Mapping[str, int] | None = None
) -> Iterator[_Note]:
    """Advice on what could be read of a policy; `lines` says where `mode`, `max_age` and each pattern stand."""
    at = lines or {}
    if max_age is not None:
        for code, message in _max_age_advice(mode, max_age):
            yield _Note(code, message, at.get("max_age"))
    if mode == "none":  # senders do not compare its patterns with anything
        if not mx:
            yield _Note("none_without_mx", "mode is none and there is no mx: some senders refuse that", at.get("mode"))
        return
    for found, code, message in pattern_notes(mx):
        yield _Note(code, message, at.get(found))


def _max_age_advice(mode: str | None, max_age: int) -> Iterator[tuple[str, str]]:
    if max_age == 0:
        yield "max_age_zero", "max_age is 0: chasquid and postfix-tlspol refuse the policy"
    elif max_age < _DAY:
        yield "max_age_under_a_day", f"max_age is {max_age}, less than a day (86400)"
    elif max_age < _WEEK and mode == "enforce":
        yield "max_age_under_a_week", f"max_age is {max_age}, less than a week (604800)"
    elif max_age < _WEEK and mode == "testing":
        yield "max_age_under_a_week_testing", f"max_age is {max_age}, less than a week (604800)"
    elif max_age < 2 * _WEEK and mode == "enforce":
        yield "max_age_under_two_weeks", f"max_age is {max_age}, less than two weeks (1209600)"
    elif max_age == LONGEST_MAX_AGE:
        yield "max_age_longest", f"max_age is {max_age}: Stalwart reads that as a day"


def _column_code(problem: ColumnProblem) -> str:
    letters = problem.column.lower().replace("_", "")
    if letters in _ROW_CODES:
        return _ROW_CODES[letters]
    if "is the same column" in problem.message:
        return "two_spellings"
    column = _KNOWN_COLUMNS[letters]
    return f"missing_{column}" if problem.value == "missing" else f"{column}_value"


def _columns(others: Iterable[str]) -> Iterator[_Note]:
    for name in others:
        near = get_close_matches(_NO_LETTER.sub("", name).lower()[:_LONGEST_MISSPELT], _KNOWN_COLUMNS, n=1)
        if near:
            yield _Note("near_column", f"nothing reads the column {quoted(name)}: is it {_KNOWN_COLUMNS[near[0]]}?")
        else:
            yield _Note("unknown_column", f"nothing reads the column {quoted(name)}")


class _Reader:
    """Reads the lines of one text again, for what the strict reader forgives, and for what a person meant."""

    def __init__(self, text: str, problems: Sequence[Problem]) -> None:
        self.notes: list[_Note] = []
        self.lines: dict[str, int] = {}  # where version, mode, max_age and each pattern stand first
        self.mx: dict[str, None] = {}
        self.mode: str | None = None
        self.max_age: int | None = None
        self._values: dict[str, str] = {}
        self._meant: set[str] = set()  # fields that stand there, if only people can see it
        self._near: set[int] = set()
        codes = {problem.line: problem.code for problem in problems}
        for number, line in enumerate(text.split("\n"), 1):
            self._line(number, line.removesuffix("\r"), codes.get(number))
        self._whole(text)
        self.notes += [
            _Note(problem.code, problem.message, problem.line) for problem in problems if not self._explained(problem)
        ]

    def _explained(self, problem: Problem) -> bool:
        """Whether another finding says already what is behind the problem."""
        if problem.code == "field_name":
            return problem.line in self._near
        return problem.code.removeprefix("missing_") in self._meant

    def _note(self, code: str, message: str, line: int | None) -> None:
        self.notes.append(_Note(code, message, line))

    def _line(self, number: int, line: str, problem: str | None) -> None:
        name, colon, value = line.partition(":")
        value = value.strip(" \t")
        if problem == "leading_space":
            self._meant.add(name.strip())
        if not colon or problem in _NO_FIELD:
            return
        if name == "mx":
            self._mx(number, value)
        elif name in _ONCE:
            self._once(number, name, value)
        elif meant := _meant_field(name, value):
            self._meant.add(meant)
            self._near.add(number)
            self._note("near_key", f"the field is named {quoted(name)}: it must be {meant}", number)
            return
        elif problem is None:
            self._unknown(number, name, value)
        if line != f"{name}: {value}" and problem is None and all(note.code != "spacing" for note in self.notes):
            self._note("spacing", "not exactly one space after the colon and none at the line's end", number)

    def _mx(self, number: int, value: str) -> None:
        try:
            read = pattern(value)
        except InvalidName:
            return
        if read in self.mx:
            self._note("mx_twice", f"{read} stands in line {self.lines[read]} already", number)
        elif read != value:
            self._note("mx_upper_case", f"{value} is not in lower case", number)
        self.mx[read] = None
        self.lines.setdefault(read, number)

    def _once(self, number: int, name: str, value: str) -> None:
        if name not in self._values:
            if name == "version" and (self._values or self.mx):
                self._note("version_not_first", "version is not the first field", number)
            self._values[name], self.lines[name] = value, number
            if name == "mode" and value in MODES:
                self.mode = value
            if name == "max_age" and _SECONDS.fullmatch(value) and int(value) <= LONGEST_MAX_AGE:
                self.max_age = int(value)
        elif value == self._values[name]:
            self._note("duplicate_field", f"{name} stands in line {self.lines[name]} already", number)
        else:
            first = quoted(self._values[name])
            message = f"{name} is {quoted(value)}, but {first} in line {self.lines[name]}: some senders take the last"
            self._note("contradiction", message, number)

    def _unknown(self, number: int, name: str, value: str) -> None:
        self._note("unknown_field", f"senders do not know the field {name}", number)
        if ":" in value:
            self._note("field_colon", f"the value of {name} holds a colon: some senders refuse the policy", number)
        if not value.isascii():
            self._note("not_ascii", f"the value of {name} is not ASCII: some senders refuse the policy", number)

    def _whole(self, text: str) -> None:
        crlf = text.count("\r\n")
        lf = text.count("\n") - crlf
        if crlf and lf:
            self._note("line_ends_mixed", f"{crlf} lines end with CRLF, {lf} with LF", None)
        elif lf:
            self._note("line_ends_lf", "the lines end with LF", None)
        if not text.endswith("\n"):
            self._note("no_final_line_end", "the last line has no line end", None)


def _meant_field(name: str, value: str) -> str | None:
    """The field that a person meant by the name of an unknown one: one with the same letters, or one with a similar
    name whose value it has. A name that is like none of the four is an extension (RFC 8461 section 3.2), no mistake.
    """
    letters = _NO_LETTER.sub("", name).lower()
    if len(letters) > _LONGEST_MISSPELT:
        return None
    if letters in ("version", "mode", "mx", "maxage"):
        return "max_age" if letters == "maxage" else letters

    def alike(field: str) -> float:  # 0.5: half of the letters are the same and in order, as with ms and mx
        return SequenceMatcher(None, letters, field).ratio()

    if value.lower() == "stsv1":
        return "version"
    if value.lower() in MODES and alike("mode") >= 0.6:
        return "mode"
    if value.isdecimal() and alike("maxage") >= 0.6:
        return "max_age"
    return "mx" if alike("mx") >= 0.5 and "." in value and _is_pattern(value) else None


def _is_pattern(value: str) -> bool:
    try:
        return bool(pattern(value.removesuffix(".")))
    except InvalidName:
        return False
