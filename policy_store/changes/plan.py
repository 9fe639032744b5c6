"""What has to be done next, and when, in all domains: the rules of life.py applied to the tables.

Pure: entries of both tables and the clock come from the caller.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from policy_store.life import TESTING, cached_until, in_testing_since, new_patterns, removal_date
from policy_store.tables.entry import Entry, ProblemCode
from policy_store.tables.report_row import ReportRow
from policy_store.tlsrpt.overview import verdict_of
from policy_store.tlsrpt.summary import by_domain

type Code = (
    ProblemCode | Literal["promote", "reports_fix", "reports_wait", "reports_missing", "mx_usable", "mx_drop", "remove"]
)

# Nothing in the tables tells a second MX host from a move that somebody forgot to finish, so the reminder ends.
MOVE_REMEMBERED = timedelta(days=30)

_BROKEN = ("invalid_row", "unreachable_row", "vanished_row", "unrecorded_edit", "reports_fix")


class Task(BaseModel):
    """One task: until it is due it waits for the date, then for a person."""

    model_config = ConfigDict(frozen=True)

    domain: str = Field(description="the policy domain; for a row that no request finds, its PartitionKey as stored")
    due: datetime = Field(description="when it may be done; for what is overdue, now")
    what: str = Field(description="what is to be done")
    waits_for: Literal["date", "person"] = Field(description="`date` until it is due, then `person`")
    code: Code = Field(description="says what is to be done and stays the same between versions")


def plan(
    entries: Iterable[Entry], *, now: datetime, fresh_seconds: float, reports: Iterable[ReportRow] | None = None
) -> list[Task]:
    """The tasks of all domains, the soonest first; among those due now, broken domains first.

    `reports` are those of all domains in their order, None where nobody receives any.
    """
    now = now.astimezone(UTC).replace(microsecond=0)
    tasks = [
        task
        for _, entry, rows in by_domain(entries, reports or ())
        if entry is not None
        for task in tasks_of(entry, None if reports is None else rows, now=now, fresh_seconds=fresh_seconds)
    ]
    return in_order(tasks)


def in_order(tasks: Iterable[Task]) -> list[Task]:
    """The tasks, the soonest first; of what is due now, that which is broken first."""
    return sorted(tasks, key=lambda task: (task.due, task.code not in _BROKEN, task.domain))


def tasks_of(entry: Entry, rows: Sequence[ReportRow] | None, *, now: datetime, fresh_seconds: float) -> Iterator[Task]:
    """The tasks of one domain. There are dates only if the newest revision is the row's policy."""
    for problem in entry.problems():
        yield _task(entry, problem.code, now, now, str(problem))
    if entry.recorded:
        yield from _promotion(entry, rows, now, fresh_seconds)
        yield from _dated(entry, now, fresh_seconds)


def _dated(entry: Entry, now: datetime, fresh_seconds: float) -> Iterator[Task]:
    yield from _move(entry, now, fresh_seconds)
    yield from _removal(entry, now, fresh_seconds)


def _promotion(entry: Entry, rows: Sequence[ReportRow] | None, now: datetime, fresh_seconds: float) -> Iterator[Task]:
    """Testing should end once the reports were read: `life.TESTING`. Where reports are received, they say when; and
    what they say has to be fixed is a task whatever the mode.
    """
    since = in_testing_since(entry.revisions)
    due = now if since is None else since + TESTING
    found = None if rows is None else verdict_of(entry, rows, now, fresh_seconds)
    if found is not None and found.code != "reports_ready":
        yield _task(entry, found.code, now if found.code == "reports_fix" else due, now, found.sentence)
    elif since is not None:
        read = f"read the reports: {found.sentence}" if found else "read the reports"
        yield _task(entry, "promote", due, now, f"in testing since {since:%Y-%m-%d}: {read}, then promote it")


def _move(entry: Entry, now: datetime, fresh_seconds: float) -> Iterator[Task]:
    """New MX hosts wait until every sender knows them, and old patterns until no sender keeps an older policy: the
    rules of `life.new_patterns` and `guard.drop_reasons`, after RFC 8461 sections 5 and 8.1.
    """
    new = new_patterns(entry.revisions, fresh_seconds)
    for pattern, usable in new.items():
        if now < usable:
            yield _task(entry, "mx_usable", usable, now, f"only then may MX records name {pattern}")
    old = [pattern for pattern in entry.revisions[-1].policy.mx if pattern not in new]
    expiry = cached_until(entry.revisions, fresh_seconds)
    if new and old and expiry is not None and now < expiry + MOVE_REMEMBERED:
        yield _task(entry, "mx_drop", expiry, now, f"if the mail has moved to {', '.join(new)}, drop {', '.join(old)}")


def _removal(entry: Entry, now: datetime, fresh_seconds: float) -> Iterator[Task]:
    """A retired domain's record and row may be deleted when no sender keeps an older policy (RFC 8461 section 8.3)."""
    due = removal_date(entry.revisions, fresh_seconds)
    if due is not None:
        yield _task(entry, "remove", due, now, "retired: delete the TXT record, then remove the row")


def _task(entry: Entry, code: Code, due: datetime, now: datetime, what: str) -> Task:
    return Task(
        domain=entry.domain, due=max(due, now), what=what, waits_for="date" if now < due else "person", code=code
    )
