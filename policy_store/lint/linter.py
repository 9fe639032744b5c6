"""Lint: what the RFC forbids, what real senders refuse or misinterpret, and advice, for a policy, a text or a row.

The codes and their remedies are in `rules.toml`; every function gives its findings the worst first, then by line.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

from policy_store.durations import DAY, WEEK, in_words
from policy_store.lint.findings import Finding, Note, findings_of, worst_first
from policy_store.lint.known_names import has_top_level_domain, is_microsofts
from policy_store.lint.patterns import pattern_notes
from policy_store.lint.reading import LONGEST_MISSPELT, NO_LETTER, Reader
from policy_store.names import named_for_host, quoted
from policy_store.policy import LARGEST_TEXT, LONGEST_MAX_AGE, Policy, PolicySyntaxError, Problem
from policy_store.tables.row import InvalidRow, Row

_CHASQUID_READS = 10 * 1024  # bytes
_UNREADABLE = ("too_large", "not_utf8")  # nothing can be said of the lines
_KNOWN_COLUMNS = {"mode": "mode", "mx": "mx", "maxage": "max_age", "note": "note"}


def lint_policy(policy: Policy, *, domain: str | None = None) -> list[Finding]:
    """What there is to say of a policy, of which the RFC is satisfied already."""
    notes = [*_size(len(policy.text)), *_domain(domain, policy.mode)]
    return findings_of([*notes, *_advice(policy.mode, policy.mx, policy.max_age, domain)], domain)


def lint_text(text: str | bytes, *, domain: str | None = None, file: str | None = None) -> list[Finding]:
    """The findings about the text of a policy, with their lines.

    Everything that Policy.parse refuses is an error here, under the same code. A misspelt field name is reported once,
    as `near_key`, not also as a missing field.
    """
    try:
        Policy.parse(text)
        problems: Sequence[Problem] = ()
    except PolicySyntaxError as error:
        problems = error.problems
    if isinstance(text, bytes) and any(problem.code == "utf16" for problem in problems):
        notes = [Note(problem.code, problem.message, problem.line) for problem in problems]
        lines = text.decode("utf-16", "replace")
        return worst_first([*findings_of(notes, domain, file), *lint_text(lines, domain=domain, file=file)])
    if any(problem.code in _UNREADABLE for problem in problems):
        return findings_of([Note(problem.code, problem.message, problem.line) for problem in problems], domain, file)
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    lines = text.decode("utf-8") if isinstance(text, bytes) else text
    reader = Reader(lines.removeprefix("\ufeff"), problems)
    notes = [*reader.notes, *_size(size), *_domain(domain, reader.mode)]
    notes += _advice(reader.mode, list(reader.mx), reader.max_age, domain, reader.lines)
    return findings_of(notes, domain, file)


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
        notes = [Note(problem.code, str(problem)) for problem in row.problems]
    notes += [*_columns(row.others), *_advice(mode, mx or (), max_age, row.domain), *_domain(row.domain, mode)]
    return findings_of(notes, row.domain)


def _size(octets: int) -> Iterator[Note]:
    if octets > LARGEST_TEXT:
        yield Note("too_large", f"the text has {octets} bytes: senders stop reading at {LARGEST_TEXT}")
    elif octets > _CHASQUID_READS:
        yield Note("over_10_kib", f"the text has {octets} bytes: chasquid reads only {_CHASQUID_READS}")


def _domain(domain: str | None, mode: str | None) -> Iterator[Note]:
    name = (domain or "").lower()
    if not name or mode == "none":
        return
    if is_microsofts(name):
        yield Note("onmicrosoft_domain", f"{domain} is one of Microsoft's own domains")
    elif message := named_for_host(domain or "", mode):
        yield Note("policy_host_domain", message)
    elif "." in name and not has_top_level_domain(name):
        yield Note("unknown_top_level", f"{domain}: there is no top-level domain {name.rpartition('.')[2]}")


def _advice(
    mode: str | None,
    mx: Sequence[str],
    max_age: int | None,
    domain: str | None,
    lines: Mapping[str, int] | None = None,
) -> Iterator[Note]:
    """Advice on what could be read of a policy, of `domain` where it is known; `lines` says where `mode`, `max_age` and
    each pattern stand.
    """
    at = lines or {}
    if max_age is not None:
        for code, message in _max_age_advice(mode, max_age):
            yield Note(code, message, at.get("max_age"))
    if mode == "none":  # senders do not compare its patterns with anything
        if not mx:
            yield Note("none_without_mx", "mode is none and there is no mx: some senders refuse that", at.get("mode"))
        return
    for found, code, message in pattern_notes(mx, domain):
        yield Note(code, message, at.get(found))


def _max_age_advice(mode: str | None, max_age: int) -> Iterator[tuple[str, str]]:
    if max_age == 0:
        yield "max_age_zero", "max_age is 0: chasquid and postfix-tlspol refuse the policy"
    elif max_age < DAY:
        yield "max_age_under_a_day", f"max_age is {max_age} ({in_words(max_age)}), less than a day ({DAY})"
    elif max_age < WEEK and mode == "enforce":
        yield "max_age_under_a_week", f"max_age is {max_age} ({in_words(max_age)}), less than a week ({WEEK})"
    elif max_age < WEEK and mode == "testing":
        yield "max_age_under_a_week_testing", f"max_age is {max_age} ({in_words(max_age)}), less than a week ({WEEK})"
    elif max_age < 2 * WEEK and mode == "enforce":
        yield "max_age_under_two_weeks", f"max_age is {max_age} ({in_words(max_age)}), less than two weeks ({2 * WEEK})"
    elif max_age == LONGEST_MAX_AGE:
        yield "max_age_longest", f"max_age is {max_age}: Stalwart reads that as a day"


def _columns(others: Iterable[str]) -> Iterator[Note]:
    for name in others:
        near = get_close_matches(NO_LETTER.sub("", name).lower()[:LONGEST_MISSPELT], _KNOWN_COLUMNS, n=1)
        if near:
            yield Note("near_column", f"nothing reads the column {quoted(name)}: is it {_KNOWN_COLUMNS[near[0]]}?")
        else:
            yield Note("unknown_column", f"nothing reads the column {quoted(name)}")
