"""The commands that look at policies and change nothing: list, show, history, diff."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Annotated

import typer
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from policy_store.changes.selection import Selection, read_conditions
from policy_store.changes.state import (
    Difference,
    PolicyDetails,
    PolicyState,
    RevisionItem,
    details_of,
    difference_of,
    state_of,
)
from policy_store.cli import session
from policy_store.cli.command import app
from policy_store.cli.errors import PROBLEM, CommandError
from policy_store.cli.options import (
    AllOption,
    DomainArgument,
    DomainsArgument,
    FormatOption,
    JsonOption,
    ResolverOption,
    StoreOption,
    WhereOption,
    read_domain,
    read_domains,
)
from policy_store.cli.screen import coloured, print_json, print_rows, printer, progress, shape_of
from policy_store.cli.session import lookup, open_store
from policy_store.pool import ordered
from policy_store.printable import clean
from policy_store.tables.entry import Entry
from policy_store.tables.history import Revision
from policy_store.tables.report_row import ReportRow
from policy_store.tables.store import Store
from policy_store.times import age, shown
from policy_store.tlsrpt.overview import recent_rows, verdict_of
from policy_store.tlsrpt.summary import by_domain

_COLUMNS = ("domain", "mode", "mx", "max_age", "id", "since", "customer", "note", "dns", "problems")
_MORE_COLUMNS = ("by", "modified", "reports")  # of `show`
_BATCH = 100  # lines that are laid out at once


@app.command("list")
def list_(
    domains: DomainsArgument = None,
    every: AllOption = False,
    where: WhereOption = None,
    dns: Annotated[bool, typer.Option("--dns", help="Ask DNS for each domain's TXT record too.")] = False,
    reports: Annotated[bool, typer.Option("--reports", help="Read the TLS reports of 30 days too.")] = False,
    format_: FormatOption = None,
    json: JsonOption = False,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """List the policies: mode, patterns, age of the revision, problems.

    Example: mta-sts list --where 'mode = testing' --dns
    """
    if domains and (every or where):
        raise CommandError("Name the domains, or give --all or --where; not both.")
    if resolver and not dns:
        raise CommandError("--resolver is for --dns: give both, or neither.")
    shape = shape_of(format_, json=json)
    selection = Selection(tuple(read_domains(domains or ())), read_conditions(where or ()))
    tables = open_store(store)
    world = lookup(resolver)
    entries = (entry for entry in selection.entries(tables) if entry.row or entry.unreachable or entry.vanished)
    now = session.now()
    received = recent_rows(tables.reports, now) if reports else None
    joined = ((entry, rows) for _, entry, rows in by_domain(entries, received or ()) if entry is not None)

    def state(found: tuple[Entry, Sequence[ReportRow]]) -> PolicyState:
        entry, rows = found
        shown_id = world.status(entry.domain, entry.revisions) if dns else None
        return state_of(
            entry, shown_id, verdict_of(entry, rows, now, tables.fresh_seconds) if received is not None else None
        )

    states = progress(ordered(state, joined), "asking DNS") if dns else map(state, joined)
    count = 0

    def counted() -> Iterator[PolicyState]:
        nonlocal count
        for one in states:
            count += 1
            yield one

    if shape == "json":
        print_json(counted())
    elif shape == "table":
        _print_states(counted(), dns=dns, reports=reports)
    else:
        print_rows(_COLUMNS, map(_cells, counted()), shape)
    if not count and selection.named:
        raise CommandError("None of these domains is in the store: 'mta-sts list' shows what there is.", PROBLEM)


@app.command("show")
def show(
    domain: DomainArgument, format_: FormatOption = None, json: JsonOption = False, store: StoreOption = ""
) -> None:
    """Show everything about the policy of one domain.

    Example: mta-sts show contoso.com
    """
    tables = open_store(store)
    entry = _existing(tables, domain)
    if entry.row is None:
        raise CommandError(
            f"{entry.domain} has no row: 'mta-sts add' makes one, 'mta-sts history' shows what there was.",
            PROBLEM,
        )
    now = session.now()
    rows = recent_rows(tables.reports, now, entry.domain)
    details = details_of(entry, None if rows is None else verdict_of(entry, tuple(rows), now, tables.fresh_seconds))
    shape = shape_of(format_, json=json)
    if shape == "json":
        print_json(details)
        return
    if shape != "table":
        print_rows((*_COLUMNS, *_MORE_COLUMNS), [_more_cells(details)], shape)
        return
    lines = [("domain", details.domain), *(("policy", line) for line in (details.text or "none").split("\r\n") if line)]
    if details.since:
        lines.append(("id", f"{details.id}, {age(details.since, session.now())} old, by {details.by}"))
    lines.append(("row", f"written {shown(details.modified)}"))
    lines += [(name, text) for name, text in (("customer", details.customer), ("note", details.note)) if text]
    if details.reports:
        lines.append(("reports", f"{details.reports.verdict}: {details.reports.sentence}"))
    lines += [("problem", problem) for problem in details.problems]
    _print_pairs(lines)


@app.command("history")
def history(
    domain: DomainArgument, format_: FormatOption = None, json: JsonOption = False, store: StoreOption = ""
) -> None:
    """List the revisions of a domain, the newest first.

    Example: mta-sts history contoso.com
    """
    entry = _existing(open_store(store), domain)
    items = [RevisionItem.of(revision) for revision in reversed(entry.revisions)]
    shape = shape_of(format_, json=json)
    if shape == "json":
        print_json(items)
        return
    if shape != "table":
        rows = ((item.domain, item.id, _time(item.since), _mode(item.text), item.by, item.note) for item in items)
        print_rows(("domain", "id", "since", "mode", "by", "note"), rows, shape)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("id", "since (UTC)", "mode", "by", "note"):
        table.add_column(name, overflow="fold", no_wrap=name in ("since (UTC)", "mode"))
    for item in items:
        cells = (item.id, f"{item.since:%Y-%m-%d %H:%M}", _mode(item.text), item.by, item.note)
        table.add_row(*(escape(clean(cell)) for cell in cells))
    printer().print(table)


@app.command("diff")
def diff(
    domain: DomainArgument,
    older: Annotated[str, typer.Argument(metavar="OLDER", show_default=False, help="The id of the older policy.")] = "",
    newer: Annotated[str, typer.Argument(metavar="NEWER", show_default=False, help="The id of the newer policy.")] = "",
    format_: FormatOption = None,
    json: JsonOption = False,
    store: StoreOption = "",
) -> None:
    """Show what changed between two revisions of a domain.

    Example: mta-sts diff contoso.com 20261124193000Z
    """
    entry = _existing(open_store(store), domain)
    known = entry.known
    if not known:
        raise CommandError(
            f"{entry.domain} has no policy to compare: its row is invalid and never was valid, "
            f"'mta-sts show {entry.domain}' says why.",
            PROBLEM,
        )
    after = _revision(entry, newer) if newer else known[-1]
    before = _revision(entry, older) if older else known[-2] if len(known) > 1 else None
    found = difference_of(entry, before, after)
    shape = shape_of(format_ or "table", json=json)  # a difference is data already
    if shape == "json":
        print_json(found)
    elif shape != "table":
        print_rows(("domain", "before", "after", "change", "line"), _changes(found), shape)
    elif found.lines:
        for line in coloured(found.lines):
            printer().print(line, soft_wrap=True)
    else:
        print(f"The texts of {found.before or 'the row'} and {found.after or 'the row'} are equal.")


def _changes(found: Difference) -> Iterator[tuple[str, str, str, str, str]]:
    """A line for each line of the texts that is in one of them only."""
    words = {"-": "removed", "+": "added"}
    for line in found.lines[2:]:  # after the names of the two texts
        if line[:1] in words:
            yield found.domain, found.before, found.after, words[line[0]], line[1:]


def _existing(tables: Store, domain: str) -> Entry:
    """Everything about a domain in the store. Raises CommandError if there is nothing."""
    name = read_domain(domain)
    entry = tables.entry(name)
    if entry.row is None and not entry.revisions:
        near = tables.near(name)
        remedy = f"did you mean {near}?" if near else f"add it with 'mta-sts add {name}'."
        raise CommandError(f"{name} is not in the store: {remedy}", PROBLEM)
    return entry


def _revision(entry: Entry, id_: str) -> Revision:
    """The newest revision with this id or key. Raises CommandError."""
    for revision in reversed(entry.revisions):
        if id_ in (revision.id, revision.key):
            return revision
    known = ", ".join(revision.id for revision in entry.revisions[-3:]) or "none"
    raise CommandError(f"{entry.domain} has no revision {id_}: the latest are {known}; see 'mta-sts history'.", PROBLEM)


def _print_states(states: Iterable[PolicyState], *, dns: bool, reports: bool) -> None:
    """Print the states a batch at a time, so that memory stays flat; problems are below their domain."""
    now, console = session.now(), printer()
    fixed = [("mode", 7), ("age", 7), *([("dns", 14)] if dns else []), *([("reports", 7)] if reports else [])]
    flexible = console.width - sum(width + 1 for _, width in fixed) - 2
    columns = [("domain", flexible // 2), ("mx", flexible - flexible // 2), *fixed]
    count, states = 0, iter(states)
    while batch := list(_until_problem(states)):
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", show_header=not count)
        for name, width in columns:
            table.add_column(name, width=width, overflow="fold")
        for state in batch:
            old = age(state.since, now) if state.since else "-"
            cells = [clean(state.domain), "\n".join(state.mx) or "-", state.mode or "-", old]
            cells += [state.dns or "-"] if dns else []
            cells += [state.reports.verdict if state.reports else "-"] if reports else []
            table.add_row(*map(escape, cells))
        console.print(table)
        for problem in batch[-1].problems:
            console.print(Padding(Text(clean(problem), style="red"), (0, 0, 0, 2)))
        count += len(batch)
    print(f"{count} domains" if count != 1 else "1 domain")


def _cells(state: PolicyState) -> tuple[str, ...]:
    """A state as one row of data."""
    since, max_age = _time(state.since), state.max_age
    values = (state.mode or "", " ".join(state.mx), "" if max_age is None else str(max_age), state.id or "", since)
    return (state.domain, *values, state.customer, state.note, state.dns or "", "; ".join(state.problems))


def _more_cells(details: PolicyDetails) -> tuple[str, ...]:
    """The same with what `show` has in addition."""
    reports = f"{details.reports.verdict}: {details.reports.sentence}" if details.reports else ""
    return (*_cells(details), details.by or "", _time(details.modified), reports)


def _time(time: datetime | None) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}" if time else ""


def _until_problem(states: Iterator[PolicyState]) -> Iterator[PolicyState]:
    """The next states, at most a batch, up to one with a problem."""
    for state in islice(states, _BATCH):
        yield state
        if state.problems:
            return


def _print_pairs(lines: Sequence[tuple[str, str]]) -> None:
    """Print names and values, each name once."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    last = ""
    for name, value in lines:
        table.add_row("" if name == last else name, escape(clean(value)))
        last = name
    printer().print(table)


def _mode(text: str) -> str:
    return next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("mode:")), "-")
