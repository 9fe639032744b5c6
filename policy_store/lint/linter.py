"""Lint: what the RFC forbids, what real senders refuse or misinterpret, and advice, for a policy, a text or a row.

The codes and their remedies are in `rules.toml`; every function gives its findings the worst first, then by line.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

from policy_store.lint.findings import Finding, Note, findings_of
from policy_store.lint.patterns import pattern_notes
from policy_store.lint.reading import LONGEST_MISSPELT, NO_LETTER, Reader
from policy_store.names import quoted
from policy_store.policy import LARGEST_TEXT, LONGEST_MAX_AGE, Policy, PolicySyntaxError, Problem
from policy_store.tables.row import ColumnProblem, InvalidRow, Row

_DAY, _WEEK = 86400, 604800
_CHASQUID_READS = 10 * 1024  # bytes
_UNREADABLE = ("too_large", "utf16", "not_utf8")  # nothing can be said of the lines
_KNOWN_COLUMNS = {"mode": "mode", "mx": "mx", "maxage": "max_age", "note": "note"}
_ROW_CODES = {"partitionkey": "partition_key", "rowkey": "row_key"}


def lint_policy(policy: Policy, *, domain: str | None = None) -> list[Finding]:
    """What there is to say of a policy, of which the RFC is satisfied already."""
    notes = [*_size(len(policy.text)), *_advice(policy.mode, policy.mx, policy.max_age), *_domain(domain, policy.mode)]
    return findings_of(notes, domain)


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
        return findings_of([Note(problem.code, problem.message, problem.line) for problem in problems], domain, file)
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    lines = text.decode("utf-8") if isinstance(text, bytes) else text
    reader = Reader(lines.removeprefix("\ufeff"), problems)
    notes = [*reader.notes, *_size(size), *_domain(domain, reader.mode)]
    return findings_of([*notes, *_advice(reader.mode, list(reader.mx), reader.max_age, reader.lines)], domain, file)


def lint_row(row: Row | InvalidRow) -> list[Finding]:
    """What there is to say of a row: its keys, its columns, and the policy in it as far as it can be read."""
    mode: str | None
    mx: Sequence[str] | None
    max_age: int | None
    if isinstance(row, Row):
        mode, mx, max_age = row.policy.mode, row.policy.mx, row.policy.max_age
        notes = [*_size(len(row.policy.text))]
        notes += [Note("spelt_twice", f"{name} repeats another column") for name in row.spelt_twice]
    else:
        mode, mx, max_age = row.readable.get("mode"), row.readable.get("mx"), row.readable.get("max_age")
        notes = [Note(_column_code(problem), str(problem)) for problem in row.problems]
    notes += [*_columns(row.others), *_advice(mode, mx or (), max_age), *_domain(row.domain, mode)]
    return findings_of(notes, row.domain)


def _size(octets: int) -> Iterator[Note]:
    if octets > LARGEST_TEXT:
        yield Note("too_large", f"the text has {octets} octets: senders stop reading at {LARGEST_TEXT}")
    elif octets > _CHASQUID_READS:
        yield Note("over_10_kib", f"the text has {octets} octets: chasquid reads only {_CHASQUID_READS}")


def _domain(domain: str | None, mode: str | None) -> Iterator[Note]:
    if domain and mode != "none" and domain.lower().endswith(".onmicrosoft.com"):
        yield Note("onmicrosoft_domain", f"{domain} lies in Microsoft's zone onmicrosoft.com")


def _advice(
    mode: str | None, mx: Sequence[str], max_age: int | None, lines: Mapping[str, int] | None = None
) -> Iterator[Note]:
    """Advice on what could be read of a policy; `lines` says where `mode`, `max_age` and each pattern stand."""
    at = lines or {}
    if max_age is not None:
        for code, message in _max_age_advice(mode, max_age):
            yield Note(code, message, at.get("max_age"))
    if mode == "none":  # senders do not compare its patterns with anything
        if not mx:
            yield Note("none_without_mx", "mode is none and there is no mx: some senders refuse that", at.get("mode"))
        return
    for found, code, message in pattern_notes(mx):
        yield Note(code, message, at.get(found))


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


def _columns(others: Iterable[str]) -> Iterator[Note]:
    for name in others:
        near = get_close_matches(NO_LETTER.sub("", name).lower()[:LONGEST_MISSPELT], _KNOWN_COLUMNS, n=1)
        if near:
            yield Note("near_column", f"nothing reads the column {quoted(name)}: is it {_KNOWN_COLUMNS[near[0]]}?")
        else:
            yield Note("unknown_column", f"nothing reads the column {quoted(name)}")
