"""The read-only pages as files, for a boss or a customer: a folder for each customer that can be handed on by itself.

Nothing in a customer's folder comes from the rows of another, nor from what people and senders wrote in their own
words: a note, a reason, a cell that is no value, or the name of a sender may be that of another customer.
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from string import ascii_uppercase

from policy_store.changes.desk import Desk
from policy_store.changes.plan import Task, in_order, tasks_of
from policy_store.changes.runs import Step
from policy_store.changes.selection import NoMatch, Selection
from policy_store.changes.state import PolicyState, state_of
from policy_store.policy import MODES
from policy_store.tables.entry import Entry
from policy_store.tables.report_row import ReportRow
from policy_store.tlsrpt.case import LOOK_BACK
from policy_store.tlsrpt.overview import ReportDetails, details_of, recent_rows
from policy_store.tlsrpt.summary import by_domain
from policy_store.web.charts import sessions_chart, share
from policy_store.web.pages import FOLDER, plural, render
from policy_store.web.views.domain import by_day

_STYLE = "page.css"
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
_HISTORY = 100  # revisions of one page


class FolderInUse(ValueError):
    """The folder holds something already; the message says so."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One domain of a report."""

    entry: Entry
    state: PolicyState
    tasks: Sequence[Task]
    reports: ReportDetails | None

    @property
    def file(self) -> str:
        """The name of its page."""
        return f"{file_name(self.entry.domain)}.html"

    @property
    def steps(self) -> list[Step]:
        """What changed, the newest first."""
        revisions = self.entry.revisions
        steps = [Step(after, revisions[at - 1] if at else None) for at, after in enumerate(revisions)]
        return steps[::-1][:_HISTORY]


def write_pages(folder: Path, desk: Desk, selection: Selection) -> int:
    """Write the pages of the domains that are selected, and return how many there are. Raises FolderInUse, NoMatch."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderInUse(f"{folder} is not empty: name a new folder")
    rows = recent_rows(desk.store.reports, desk.now)
    customers: dict[str, list[Subject]] = {}
    for _, entry, found in by_domain(desk.store.entries(), rows or ()):
        if entry is not None and entry.row is not None and selection.holds(entry):
            reports = None if rows is None else found
            customers.setdefault(entry.customer, []).append(_subject(desk, entry, reports))
    if not customers:
        words = " and ".join(f"{one.field} {one.op} {one.value}" for one in selection.conditions)
        raise NoMatch(f"No domain matches {words}" if words else "There is no domain in the store")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(FOLDER / "static" / _STYLE, folder / _STYLE)
    index = []
    for customer, subjects in sorted(customers.items(), key=lambda pair: (not pair[0], pair[0].casefold())):
        name = file_name(customer) if customer else "without-customer"
        index.append((customer, name, _modes(subjects), subjects))
        _write_customer(folder / name, customer, subjects, desk)
    everybody = [subject for subjects in customers.values() for subject in subjects]
    _write(
        folder / "index.html",
        "report_index.html",
        desk,
        customers=index,
        chart=_chart(everybody),
        total=_modes(everybody),
    )
    return 1 + len(customers) + len(everybody)


def file_name(text: str) -> str:
    """A name for a file or a folder, the same for the same text and another for every other, safe on every system."""
    plain = _NOT_IN_A_NAME.sub("-", text.lower()).strip("-")[:60]
    return f"{plain or 'customer'}-{sha256(text.encode('utf-8', 'replace')).hexdigest()[:8]}"


def _subject(desk: Desk, entry: Entry, rows: Sequence[ReportRow] | None) -> Subject:
    fresh_seconds = desk.store.fresh_seconds
    rows = None if rows is None else _unnamed(entry, rows)
    tasks = in_order(map(_without_cells, tasks_of(entry, rows, now=desk.now, fresh_seconds=fresh_seconds)))
    reports = None
    if rows:
        reports = details_of(entry.domain, entry, rows, desk.now, fresh_seconds, LOOK_BACK)
    return Subject(entry, state_of(entry), tasks, reports)


def _unnamed(entry: Entry, rows: Sequence[ReportRow]) -> list[ReportRow]:
    """The rows with a letter for each sender, and without MX hosts that are not in the policy by name."""
    senders = list(dict.fromkeys(row.reporter for row in rows))
    names = {sender: f"sender {(*ascii_uppercase, at)[min(at, 26)]}" for at, sender in enumerate(senders)}
    ours = entry.in_force.mx if entry.in_force else ()
    return [
        replace(
            row,
            organization=names[row.reporter],
            failures=tuple(each if each.mx_host in ours else replace(each, mx_host="") for each in row.failures),
        )
        for row in rows
    ]


def _without_cells(task: Task) -> Task:
    """The task; what is wrong with a row, without the cells that it quotes."""
    broken = task.code in ("invalid_row", "unreachable_row")
    return task.model_copy(update={"what": task.what.partition(":")[0]}) if broken else task


def _write_customer(folder: Path, customer: str, subjects: Sequence[Subject], desk: Desk) -> None:
    folder.mkdir()
    shutil.copyfile(FOLDER / "static" / _STYLE, folder / _STYLE)
    lines = [line for one in subjects if one.reports for line in one.reports.days]
    days = by_day(lines)
    context = {"customer": customer, "subjects": subjects, "modes": _modes(subjects), "chart": _chart(subjects)}
    _write(folder / "index.html", "report.html", desk, sessions=sessions_chart(days, desk.now), days=days, **context)
    for one in subjects:
        chart = sessions_chart(one.reports.days, desk.now) if one.reports else None
        days = by_day(one.reports.days) if one.reports else []
        _write(folder / one.file, "report_domain.html", desk, customer=customer, one=one, chart=chart, days=days)


def _modes(subjects: Sequence[Subject]) -> dict[str, int]:
    modes: list[str] = [one.state.mode or "no policy" for one in subjects]
    return {mode: modes.count(mode) for mode in (*MODES, "no policy")}


def _chart(subjects: Sequence[Subject]) -> object:
    modes = _modes(subjects)
    said = ", ".join(f"{plural(count, 'domain')} in {mode}" for mode, count in modes.items() if count)
    return share("Domains by mode", said, modes)


def _write(path: Path, template: str, desk: Desk, **context: object) -> None:
    path.write_text(render(template, now=desk.now, **context), encoding="utf-8")
