"""What the reports say of one domain: sessions by day and sender, failures by cause and MX host, by revision.

Pure: rows and revisions come from the caller.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from operator import attrgetter

from policy_store.policy import PolicySyntaxError
from policy_store.tables.entry import Entry
from policy_store.tables.history import Revision
from policy_store.tables.report_row import Failure, ReportRow
from policy_store.tlsrpt.case import DEMANDS
from policy_store.tlsrpt.causes import CAUSES, Cause, failures_of
from policy_store.tlsrpt.texts import policy_in, same

# Microsoft reports the same sessions under `sts` and `tlsa`; within one of these groups the entries add up.
_GROUPS = {"sts": "sts", "no-policy-found": "sts", "tlsa": "tlsa"}


@dataclass(frozen=True, slots=True)
class Sessions:
    """How many sessions there were, each counted once."""

    ok: int = 0
    failed: int = 0

    def __add__(self, other: "Sessions") -> "Sessions":
        return Sessions(self.ok + other.ok, self.failed + other.failed)


@dataclass(frozen=True, slots=True)
class SenderDay:
    """What one sender reported of one day."""

    day: date
    reporter: str
    organization: str
    sessions: Sessions
    types: tuple[str, ...]
    revision: Revision | None
    vouched: bool


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """The failures of one cause at one MX host that one sender met under one text. They are over when they are too old
    to count for a verdict and sessions of the same sender have passed since.
    """

    cause: Cause
    mx_host: str
    reporter: str
    organization: str
    sessions: int
    days: tuple[date, ...]
    reasons: tuple[str, ...]
    revision: Revision | None
    over: bool


def by_domain(
    entries: Iterable[Entry], rows: Iterable[ReportRow]
) -> Iterator[tuple[str, Entry | None, tuple[ReportRow, ...]]]:
    """Each domain that has an entry, a report or both; both come in the order of the domains."""
    groups = groupby(rows, attrgetter("domain"))
    waiting = next(groups, None)
    for entry in entries:
        while waiting is not None and waiting[0] < entry.domain:
            yield waiting[0], None, tuple(waiting[1])
            waiting = next(groups, None)
        if waiting is not None and waiting[0] == entry.domain:
            yield entry.domain, entry, tuple(waiting[1])
            waiting = next(groups, None)
        else:
            yield entry.domain, entry, ()
    while waiting is not None:
        yield waiting[0], None, tuple(waiting[1])
        waiting = next(groups, None)


def sessions(rows: Iterable[ReportRow]) -> Sessions:
    """The sessions in the rows, each counted once: of one report the kind of policy that counts the most."""
    counts: dict[tuple[str, date, str], dict[str, Sessions]] = defaultdict(lambda: defaultdict(Sessions))
    for row in rows:
        counts[row.whole, row.day, row.reporter][_GROUPS.get(row.type, "")] += Sessions(row.ok, row.failed)
    total = Sessions()
    for kinds in counts.values():
        total += max(kinds.values(), key=lambda kind: (kind.ok + kind.failed, kind.failed))
    return total


def revision_of(row: ReportRow, revisions: Sequence[Revision]) -> Revision | None:
    """The revision that the sender applied, None where the text is that of none: a report names the text and not the
    id, so that of several revisions with one text the newest that was written by then counts.
    """
    seen = policy_in(row.text)
    if seen is None:
        return None
    alike = []
    for revision in revisions:
        try:
            if same(seen, revision.policy):
                alike.append(revision)
        except PolicySyntaxError:
            continue
    by_then = [revision for revision in alike if revision.since <= row.end]
    return by_then[-1] if by_then else alike[0] if alike else None


def sender_days(rows: Iterable[ReportRow], revisions: Sequence[Revision]) -> list[SenderDay]:
    """One line for each day and sender, the newest first."""
    groups: dict[tuple[date, str], list[ReportRow]] = defaultdict(list)
    for row in rows:
        groups[row.day, row.reporter].append(row)
    lines = [
        SenderDay(
            day=day,
            reporter=reporter,
            organization=group[0].organization or reporter,
            sessions=sessions(group),
            types=tuple(sorted({row.type for row in group})),
            revision=next((found for row in group if (found := revision_of(row, revisions))), None),
            vouched=any(row.via == "imported" for row in group),
        )
        for (day, reporter), group in groups.items()
    ]
    return sorted(lines, key=lambda line: (-line.day.toordinal(), line.reporter))


def failure_groups(rows: Iterable[ReportRow], revisions: Sequence[Revision], today: date) -> list[FailureGroup]:
    """The failures by cause, MX host, sender and revision; those that block mail and the latest first."""
    groups: dict[tuple[str, str, str, str], list[tuple[ReportRow, Failure]]] = defaultdict(list)
    found: dict[tuple[str, str, str, str], Revision | None] = {}
    passed: dict[str, date] = {}  # the last day, by sender
    counts_from = today - timedelta(days=DEMANDS.failure_days - 1)
    for row in rows:
        if row.type == "sts" and row.ok:
            passed[row.reporter] = max(row.day, passed.get(row.reporter, date.min))
        revision = revision_of(row, revisions)
        for failure, cause in failures_of(row):
            key = (cause.code, failure.mx_host, row.reporter, revision.key if revision else "")
            groups[key].append((row, failure))
            found[key] = revision
    lines = [
        FailureGroup(
            cause=CAUSES[code],
            mx_host=mx_host,
            reporter=reporter,
            organization=group[0][0].organization or reporter,
            sessions=sum(failure.sessions for _, failure in group),
            days=tuple(sorted({row.day for row, _ in group})),
            reasons=tuple(dict.fromkeys(failure.reason for _, failure in group if failure.reason)),
            revision=found[code, mx_host, reporter, key],
            over=max(row.day for row, _ in group) < min(passed.get(reporter, date.min), counts_from),
        )
        for (code, mx_host, reporter, key), group in groups.items()
    ]
    return sorted(
        lines,
        key=lambda line: (line.cause.weight != "blocks", -line.days[-1].toordinal(), -line.sessions, line.mx_host),
    )


def clashes(rows: Iterable[ReportRow]) -> list[tuple[str, str]]:
    """Reporter and id of reports that say different things under one id: one of them may be made up."""
    wholes: dict[tuple[str, str, date], set[str]] = defaultdict(set)
    for row in rows:
        if row.report_id:
            wholes[row.reporter, row.report_id, row.day].add(row.whole)
    return sorted({(reporter, report_id) for (reporter, report_id, _), found in wholes.items() if len(found) > 1})
