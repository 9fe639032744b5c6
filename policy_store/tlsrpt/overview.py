"""What is said of a domain's reports, as data for the command, its JSON and the page.

Pure: what the tables hold and the clock come from the caller.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

from policy_store.tables.entry import Entry
from policy_store.tables.history import Revision
from policy_store.tables.report_row import ReportRow
from policy_store.tables.reports import ReportTable
from policy_store.tlsrpt.case import LOOK_BACK, Case
from policy_store.tlsrpt.evidence import Code, State, Verdict, verdict
from policy_store.tlsrpt.summary import clashes, failure_groups, sender_days, sessions

_NOT_HERE = "the store has no policy of this domain"


class ReportState(BaseModel):
    """What `reports list` says of a domain."""

    model_config = ConfigDict(frozen=True)

    domain: str = Field(description="the policy domain")
    sessions: int = Field(description="sessions reported, each counted once")
    failed: int = Field(description="those of them that failed")
    reporters: list[str] = Field(description="who reported: registrable domains, as far as they are known")
    last: date | None = Field(description="the last day that a report is about; null without one")
    verdict: State | None = Field(description="`ready`, `wait` or `fix`; null if the reports have nothing to say")
    code: Code | None = Field(description="the kind of verdict, the same in every version")
    sentence: str = Field(description="why, and what to do")


class ReportedDay(BaseModel):
    """What one sender reported of one day."""

    model_config = ConfigDict(frozen=True)

    day: date = Field(description="the UTC day, `YYYY-MM-DD`")
    reporter: str = Field(description="who reported")
    organization: str = Field(description="the name that the sender gives itself")
    sessions: int = Field(description="sessions reported, each counted once")
    failed: int = Field(description="those of them that failed")
    types: list[str] = Field(
        description="the kinds of policy that the sender applied: `sts`, `tlsa`, `no-policy-found`"
    )
    revision: str | None = Field(
        description="the id of the revision that the sender applied; null if it was none of ours"
    )
    imported: bool = Field(description="whether a person imported it; else anybody may have posted it")


class ReportedFailure(BaseModel):
    """Failures of one cause at one MX host, as one sender met them under one text."""

    model_config = ConfigDict(frozen=True)

    cause: str = Field(description="the cause, the same in every version; docs/reports.md has all")
    mx_host: str = Field(description="the MX host; empty if the sender names none")
    reporter: str = Field(description="who reported")
    sessions: int = Field(description="sessions that failed so")
    days: int = Field(description="on how many days")
    last: date = Field(description="on which day last, `YYYY-MM-DD`")
    revision: str | None = Field(
        description="the id of the revision that the sender applied; null if it was none of ours"
    )
    what: str = Field(description="what is wrong")
    reasons: list[str] = Field(description="the sender's own words")
    remedy: str = Field(description="what to do")
    blocks: bool = Field(description="whether the sender refuses to deliver there under enforce")
    over: bool = Field(
        description="whether it is too old to count for a verdict, and sessions of this sender have passed since"
    )


class ReportDetails(ReportState):
    """What `reports show` says of a domain besides."""

    days: list[ReportedDay] = Field(description="by day and sender, the newest first")
    failures: list[ReportedFailure] = Field(description="those that block mail first")
    clashes: list[str] = Field(description="ids under which one sender seems to have reported different things")


def first_day(now: datetime, days: int) -> date:
    """The first UTC day of the last `days`."""
    return now.date() - timedelta(days=days)


def recent_rows(reports: ReportTable, now: datetime, domain: str = "") -> Iterable[ReportRow] | None:
    """The rows that verdicts need, of one domain or of all in their order; None where nobody receives reports.

    Raises an AzureError of the storage.
    """
    if not reports.exists():
        return None
    first, last = first_day(now, LOOK_BACK), first_day(now, -1)
    return reports.of_domain(domain, first, last) if domain else reports.all(first, last)


def verdict_of(entry: Entry, rows: Sequence[ReportRow], now: datetime, fresh_seconds: float) -> Verdict | None:
    """The verdict on a domain by what the tables hold alone."""
    if entry.in_force is None:
        return None
    lately = [row for row in rows if row.day >= first_day(now, LOOK_BACK)]
    return verdict(Case(entry.in_force, entry.revisions, lately, now, fresh_seconds))


def state_of(
    domain: str, entry: Entry | None, rows: Sequence[ReportRow], now: datetime, fresh_seconds: float, days: int
) -> ReportState:
    """What the reports of the last `days` say of a domain; `rows` has those of LOOK_BACK days at least, since the
    verdict needs them.
    """
    found = verdict_of(entry, rows, now, fresh_seconds) if entry else None
    shown = [row for row in rows if row.day >= first_day(now, days)]
    total = sessions(shown)
    return ReportState(
        domain=domain,
        sessions=total.ok + total.failed,
        failed=total.failed,
        reporters=sorted({row.reporter for row in shown}),
        last=max((row.day for row in shown), default=None),
        verdict=found.verdict if found else None,
        code=found.code if found else None,
        sentence=found.sentence if found else "" if entry and entry.in_force else _NOT_HERE,
    )


def details_of(
    domain: str, entry: Entry, rows: Sequence[ReportRow], now: datetime, fresh_seconds: float, days: int
) -> ReportDetails:
    """What `state_of` says, with each day and each failure."""
    state = state_of(domain, entry, rows, now, fresh_seconds, days)
    rows = [row for row in rows if row.day >= first_day(now, days)]
    return ReportDetails(
        **state.model_dump(),
        days=[
            ReportedDay(
                day=line.day,
                reporter=line.reporter,
                organization=line.organization,
                sessions=line.sessions.ok + line.sessions.failed,
                failed=line.sessions.failed,
                types=list(line.types),
                revision=_id(line.revision),
                imported=line.vouched,
            )
            for line in sender_days(rows, entry.revisions)
        ],
        failures=[
            ReportedFailure(
                cause=line.cause.code,
                mx_host=line.mx_host,
                reporter=line.reporter,
                sessions=line.sessions,
                days=len(line.days),
                last=line.days[-1],
                revision=_id(line.revision),
                what=line.cause.what,
                reasons=list(line.reasons),
                remedy=line.cause.remedy,
                blocks=line.cause.weight == "blocks",
                over=line.over,
            )
            for line in failure_groups(rows, entry.revisions, now.date())
        ],
        clashes=[f"{reporter}: {report_id}" for reporter, report_id in clashes(rows)],
    )


def _id(revision: Revision | None) -> str | None:
    return revision.id if revision else None
