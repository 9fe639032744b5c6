"""One domain: the policy, the records, the MX hosts against the patterns, the history, and what comes next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from policy_store.changes.change import difference
from policy_store.changes.plan import in_order, tasks_of
from policy_store.changes.records import DnsItem, records_of
from policy_store.changes.runs import Step
from policy_store.changes.state import state_of
from policy_store.life import TESTING, in_testing_since
from policy_store.names import InvalidName, read_name
from policy_store.policy import Policy
from policy_store.sender.dns_check import served_by
from policy_store.sender.facts import Facts
from policy_store.sender.published import compare, with_served
from policy_store.tables.entry import Entry
from policy_store.tables.history import Revision
from policy_store.tlsrpt.case import LOOK_BACK
from policy_store.tlsrpt.overview import ReportedDay, details_of, recent_rows
from policy_store.web.charts import sessions_chart
from policy_store.web.pages import go, page, site_of
from policy_store.web.views.overview import Day

REVISIONS = 20  # on one page


@dataclass(frozen=True, slots=True)
class Moment:
    """One revision in the timeline: what changed, in words and as lines."""

    revision: Revision
    differences: tuple[str, ...]
    lines: tuple[str, ...]


def show(request: Request) -> Response:
    """The page of a domain; its history in pages of its own."""
    site, entry = site_of(request), entry_of(request)
    desk, checking = site.desk(), site.checks.of(entry.domain)
    facts = checking.facts if checking else None
    found = recent_rows(desk.store.reports, desk.now, entry.domain)
    rows = None if found is None else tuple(found)
    reports = None
    if rows is not None:
        reports = details_of(entry.domain, entry, rows, desk.now, desk.store.fresh_seconds, LOOK_BACK)
    problem, found_records = "", list[DnsItem]()
    try:
        found_records = records(entry, site.wanted, desk.store.fresh_seconds)
    except InvalidName as error:  # the domain is so long that its policy host cannot be named
        problem = str(error)
    text = request.query_params.get("page", "1")
    pages = max(1, -(-len(entry.revisions) // REVISIONS))
    number = min(max(int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1, 1), pages)
    return page(
        request,
        "domain.html",
        live=checking is not None and checking.running,
        entry=entry,
        state=state_of(entry),
        tasks=in_order(tasks_of(entry, rows, now=desk.now, fresh_seconds=desk.store.fresh_seconds)),
        reports=reports,
        by_day=[] if reports is None else by_day(reports.days),
        chart=None if reports is None else sessions_chart(reports.days, desk.now),
        records=found_records,
        record_problem=problem,
        moments=moments(entry, (number - 1) * REVISIONS, REVISIONS),
        number=number,
        pages=pages,
        checking=checking,
        dns=dns_status(entry, facts) if facts else None,
        hosts=hosts_of(entry.in_force, facts) if facts else None,
        testing_since=in_testing_since(entry.revisions),
        testing_days=TESTING.days,
    )


def by_day(lines: Sequence[ReportedDay]) -> list[Day]:
    """The lines of several senders as one for each day, the oldest first."""
    totals: dict[date, Day] = {}
    for line in lines:
        known = totals.get(line.day, Day(line.day, 0, 0))
        totals[line.day] = Day(line.day, known.sessions + line.sessions, known.failed + line.failed)
    return [totals[day] for day in sorted(totals)]


def check(request: Request, form: FormData) -> Response:
    """Begin to look at the domain as a sending server does."""
    site, entry = site_of(request), entry_of(request)
    desk = site.desk()
    site.checks.start(entry.domain, desk.world.facts, desk.now)
    return go(f"/domains/{entry.domain}#check")


def entry_of(request: Request) -> Entry:
    """All that the store holds of the domain in the address. Raises HTTPException where that is nothing."""
    text = request.path_params["domain"]
    try:
        name = read_name(text)
    except InvalidName as error:
        raise HTTPException(404, f"{error}.") from error
    site = site_of(request)
    entry = site.desk().store.entry(name)
    if entry.row is None and not entry.revisions:
        raise HTTPException(404, f"{name} is not in the store.")
    return entry


def records(entry: Entry, wanted: object, fresh_seconds: float) -> list[DnsItem]:
    """The DNS records to publish."""
    return [DnsItem.of(record) for record in records_of(entry, wanted, fresh_seconds)]  # type: ignore[arg-type]


def moments(entry: Entry, start: int, count: int) -> list[Moment]:
    """Some of the revisions, the newest first, counted from the newest."""
    revisions = entry.revisions
    found = []
    for place in range(len(revisions) - 1 - start, max(-1, len(revisions) - 1 - start - count), -1):
        before = revisions[place - 1] if place else None
        found.append(
            Moment(revisions[place], Step(revisions[place], before).differences, _lines(before, revisions[place]))
        )
    return found


def _lines(before: Revision | None, after: Revision) -> tuple[str, ...]:
    lines = difference(before.text if before else "", after.text, ("", ""))
    return tuple(line for line in lines if not line.startswith(("---", "+++", "@@")))


def dns_status(entry: Entry, facts: Facts) -> tuple[str, str]:
    """How DNS and the policy host stand to the store, in a word and a sentence."""
    served = served_by(entry.domain, facts.policy_host, entry.known)
    status = with_served(compare(facts.txt, entry.known), served)
    return status.word, status.detail


def hosts_of(policy: Policy | None, facts: Facts) -> tuple[list[tuple[str, str]], list[str]] | None:
    """Each MX host with the pattern that matches it, empty where none does; and the patterns that match no host. None
    where the MX records are unknown.
    """
    if facts.mx_records is None:
        return None
    patterns: Sequence[str] = policy.mx if policy else ()
    found = [(mx.host, _matching(patterns, mx.host)) for mx in facts.mx]
    used = {pattern for _, pattern in found}
    return found, [pattern for pattern in patterns if pattern not in used]


def _matching(patterns: Sequence[str], host: str) -> str:
    """The first pattern that matches the host."""
    for pattern in patterns:
        if Policy(mode="none", mx=(pattern,), max_age=0).matches(host):
            return pattern
    return ""
