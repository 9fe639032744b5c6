"""The commands that look at policies and change nothing: list, show, history, diff."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Annotated

import typer
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from policy_store.changes.change import coloured, difference, find_revision
from policy_store.changes.selection import WhereOption, hold, read_conditions
from policy_store.changes.write import in_force, note_of, read_entry, shown, with_row
from policy_store.cli import command
from policy_store.cli.command import (
    PROBLEM,
    CommandError,
    DomainArgument,
    JsonOption,
    ResolverOption,
    StoreOption,
    app,
    open_store,
    print_json,
    printer,
    progress,
    read_domain,
)
from policy_store.cli.shapes import Difference, PolicyDetails, PolicyState, RevisionItem
from policy_store.lint.linter import lint_row
from policy_store.pool import ordered
from policy_store.sender.lookup import Lookup
from policy_store.tables.entry import Entry, walk
from policy_store.tables.row import InvalidRow, Row

_BATCH = 100  # lines that are laid out at once
_NOT_RECORDED = "the row was changed by hand and has no id yet: 'mta-sts audit' records it"
_VANISHED = "the row is gone, but senders may hold the policy: add it again, then retire it"


@app.command("list")
def list_(
    where: WhereOption = None,
    dns: Annotated[bool, typer.Option("--dns", help="Ask DNS for each domain's TXT record too.")] = False,
    json: JsonOption = False,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """List the policies: mode, patterns, age of the revision, problems.

    Example: mta-sts list --where 'mode = testing' --dns
    """
    conditions = read_conditions(where)
    tables = open_store(store)
    lookup = Lookup(resolver)
    entries = (
        entry
        for entry in walk(tables.policies, tables.history)
        if (entry.row or entry.unreachable or entry.vanished)
        and hold(conditions, entry.domain, in_force(entry), note_of(entry))
    )

    def state(entry: Entry) -> PolicyState:
        return _state(entry, lookup.status(entry.domain, entry.revisions) if dns else None)

    states = progress(ordered(state, entries), "asking DNS") if dns else map(state, entries)
    if json:
        print_json(states)
    else:
        _print_states(states, dns=dns)


@app.command()
def show(domain: DomainArgument, json: JsonOption = False, store: StoreOption = "") -> None:
    """Show all about the policy of one domain.

    Example: mta-sts show contoso.com
    """
    entry = _existing(store, domain)
    row = entry.row
    if row is None:
        raise CommandError(
            f"{entry.domain} has no row: 'mta-sts add' makes one, 'mta-sts history' shows what there was.",
            PROBLEM,
        )
    policy = in_force(entry)
    details = PolicyDetails(
        **_state(entry).model_dump(),
        text=policy.text if policy else None,
        by=entry.revisions[-1].by if entry.revisions else None,
        modified=row.modified,
    )
    if json:
        print_json(details)
        return
    lines = [("domain", details.domain), *(("policy", line) for line in (details.text or "none").split("\r\n") if line)]
    if details.since:
        lines.append(("id", f"{details.id}, {_age(details.since)} old, by {details.by}"))
    lines.append(("row", f"written {shown(details.modified)}"))
    if details.note:
        lines.append(("note", details.note))
    lines += [("problem", problem) for problem in details.problems]
    _print_pairs(lines)


@app.command()
def history(domain: DomainArgument, json: JsonOption = False, store: StoreOption = "") -> None:
    """List the revisions of a domain, the newest first.

    Example: mta-sts history contoso.com
    """
    entry = _existing(store, domain)
    items = [RevisionItem.of(revision) for revision in reversed(entry.revisions)]
    if json:
        print_json(items)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("id", "since (UTC)", "mode", "by", "note"):
        table.add_column(name, overflow="fold", no_wrap=name in ("since (UTC)", "mode"))
    for item in items:
        table.add_row(*map(escape, (item.id, f"{item.since:%Y-%m-%d %H:%M}", _mode(item.text), item.by, item.note)))
    printer().print(table)


@app.command()
def diff(
    domain: DomainArgument,
    older: Annotated[str, typer.Argument(metavar="OLDER", show_default=False, help="The id of the older text.")] = "",
    newer: Annotated[str, typer.Argument(metavar="NEWER", show_default=False, help="The id of the newer text.")] = "",
    json: JsonOption = False,
    store: StoreOption = "",
) -> None:
    """Show what changed between two revisions: the newest two, or a given one and the newest, or two given ones.

    Example: mta-sts diff contoso.com 20261124193000Z
    """
    entry = _existing(store, domain)
    unrecorded = with_row(entry)[len(entry.revisions) :]
    known = [*entry.revisions, *unrecorded]
    after = find_revision(entry, newer) if newer else known[-1]
    earlier = known[-2] if len(known) > 1 else None
    before = find_revision(entry, older) if older else earlier
    ids = ["" if one is None or one in unrecorded else one.id for one in (before, after)]
    names = ["no policy" if before is None else ids[0], ids[1] or "the row, not recorded yet"]
    lines = difference(before.text if before else "", after.text, (names[0], names[1]))
    if json:
        print_json(Difference(domain=entry.domain, before=ids[0], after=ids[1], lines=lines))
    elif lines:
        for line in coloured(lines):
            printer().print(line, soft_wrap=True)
    else:
        print(f"The texts of {names[0]} and {names[1]} are equal.")


def _existing(store: str, domain: str) -> Entry:
    """All that the store holds of a domain. Raises CommandError where that is nothing."""
    name = read_domain(domain)
    entry = read_entry(open_store(store), name)
    if entry.row is None and not entry.revisions:
        raise CommandError(f"{name} is not in the store: add it with 'mta-sts add {name}'.", PROBLEM)
    return entry


def _state(entry: Entry, dns: str | None = None) -> PolicyState:
    policy = in_force(entry)
    newest = entry.revisions[-1] if entry.revisions else None
    return PolicyState(
        domain=entry.domain,
        mode=policy.mode if policy else None,
        mx=list(policy.mx) if policy else [],
        max_age=policy.max_age if policy else None,
        id=newest.id if newest else None,
        since=newest.since if newest else None,
        note=note_of(entry),
        dns=dns,
        problems=list(_problems(entry)),
    )


def _problems(entry: Entry) -> Iterator[str]:
    rows: list[Row | InvalidRow] = [*([entry.row] if entry.row else []), *entry.unreachable]
    for row in rows:
        yield from (finding.message for finding in lint_row(row) if finding.severity != "info")
    if isinstance(entry.row, Row) and not entry.recorded:
        yield _NOT_RECORDED
    if entry.vanished:
        yield _VANISHED


def _print_states(states: Iterable[PolicyState], *, dns: bool) -> None:
    """Print the states a batch at a time, so that memory stays flat; problems stand below their domain."""
    now, console = command.now(), printer()
    fixed = [("mode", 7), ("age", 7), *([("dns", 14)] if dns else [])]
    flexible = console.width - sum(width + 1 for _, width in fixed) - 2
    columns = [("domain", flexible // 2), ("mx", flexible - flexible // 2), *fixed]
    count, states = 0, iter(states)
    while batch := list(_until_problem(states)):
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", show_header=not count)
        for name, width in columns:
            table.add_column(name, width=width, overflow="fold")
        for state in batch:
            age = _age(state.since, now) if state.since else "-"
            cells = [state.domain, "\n".join(state.mx) or "-", state.mode or "-", age]
            table.add_row(*map(escape, [*cells, state.dns or "-"] if dns else cells))
        console.print(table)
        for problem in batch[-1].problems:
            console.print(Padding(Text(problem, style="red"), (0, 0, 0, 2)))
        count += len(batch)
    print(f"{count} domains" if count != 1 else "1 domain")


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
        table.add_row("" if name == last else name, escape(value))
        last = name
    printer().print(table)


def _mode(text: str) -> str:
    return next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("mode:")), "-")


def _age(since: datetime, now: datetime | None = None) -> str:
    """How long ago: `12 d`, `3 h`, `5 min`."""
    minutes = ((now or command.now()) - since) // timedelta(minutes=1)
    if minutes < 60:
        return f"{max(minutes, 0)} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"
