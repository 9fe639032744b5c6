"""The commands that wait for the right day: promote, retire, plan."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated

import typer
from rich.text import Text

from policy_store.changes.change import Change, Told, attempt, tell
from policy_store.changes.plan import plan as plan_of
from policy_store.changes.write import in_force, read_entry, shown_due, with_row
from policy_store.cli import command
from policy_store.cli.command import (
    PROBLEM,
    CommandError,
    DryRunOption,
    JsonOption,
    ResolverOption,
    Store,
    StoreOption,
    app,
    open_store,
    print_json,
    print_table,
    progress,
    read_domain,
)
from policy_store.life import TESTING, promotion_refusals, removal_date, retired
from policy_store.lint.linter import lint_policy
from policy_store.policy import Policy
from policy_store.pool import ordered
from policy_store.sender.lookup import Lookup
from policy_store.tables.entry import Entry, walk
from policy_store.tables.history import Revision, key_of
from policy_store.tables.row import Row

DomainsArgument = Annotated[list[str], typer.Argument(metavar="DOMAIN...", show_default=False)]
NoteOption = Annotated[str, typer.Option(help="The reason: it is recorded with the revision.", show_default=False)]


@app.command()
def promote(
    domains: DomainsArgument,
    after: Annotated[int, typer.Option(min=0, metavar="DAYS", help="How long testing has to last.")] = TESTING.days,
    note: NoteOption = "",
    force: Annotated[
        bool, typer.Option("--force", help="Do it in spite of all reasons against it; needs --note, which says why.")
    ] = False,
    dry_run: DryRunOption = False,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """Go from testing to enforce, once testing has lasted 14 days and nothing in the policy or DNS would stop mail.

    Example: mta-sts promote contoso.com fabrikam.com
    """
    if force and not note:
        raise CommandError("--force needs --note with the reason: it is recorded with the revision.")
    names = [read_domain(domain) for domain in domains]
    tables, lookup = open_store(store), Lookup(resolver)

    def change(name: str) -> Sequence[Text]:
        entry = read_entry(tables, name)
        return _promote(entry, lookup, timedelta(days=after), note, force=force).apply(tables, dry_run=dry_run)

    tell(ordered(lambda name: attempt(lambda: change(name)), names), dry_run=dry_run)


@app.command()
def retire(
    domains: DomainsArgument, note: NoteOption = "", dry_run: DryRunOption = False, store: StoreOption = ""
) -> None:
    """Take policies back: mode none, the patterns kept, max_age a day; says when the record and the row may go.

    Example: mta-sts retire contoso.com --note "the customer left"
    """
    names = [read_domain(domain) for domain in domains]
    tables = open_store(store)

    def change(name: str) -> Told:
        told = attempt(lambda: _retire(tables, read_entry(tables, name), note, dry_run=dry_run))
        return told if told.result == "refused" else replace(told, lines=[*told.lines, _farewell(tables, name)])

    tell(ordered(change, names), dry_run=dry_run)


@app.command()
def plan(json: JsonOption = False, store: StoreOption = "") -> None:
    """List what waits for a date or for a person, in all domains, the soonest first.

    Example: mta-sts plan --json
    """
    tables = open_store(store)
    now = command.now()
    entries = progress(walk(tables.policies, tables.history), "walking both tables")
    tasks = plan_of(entries, now=now, fresh_seconds=tables.settings.fresh_seconds)
    if json:
        print_json(tasks)
    elif tasks:
        print_table(
            ("due", "domain", "what"),
            ((shown_due(task.due) if task.waits_for == "date" else "now", task.domain, task.what) for task in tasks),
        )
    else:
        print("Nothing waits.")


def _promote(entry: Entry, lookup: Lookup, after: timedelta, note: str, *, force: bool) -> Change:
    """The change to enforce. Raises CommandError with every reason against it, unless it may be forced and is."""
    if not isinstance(entry.row, Row):
        wrong = f"its row is invalid: {entry.row}: mend it" if entry.row else "it has no row: add it"
        raise CommandError(f"{entry.domain} was not promoted: {wrong} first.", PROBLEM)
    policy = entry.row.policy
    enforced = Policy(mode="enforce", mx=policy.mx, max_age=policy.max_age)
    refusals = promotion_refusals(
        policy,
        entry.revisions,
        now=command.now(),
        mx_hosts=lookup.mx_hosts(entry.domain),
        id_is_current=lookup.status(entry.domain, entry.revisions) == "right",
        findings=lint_policy(enforced, domain=entry.domain),
        would_defer=lookup.if_enforced(entry.domain) == "deferred",
        after=after,
    )
    forcible = policy.mode == "testing"
    if refusals and not (force and forcible):
        reasons = "; ".join(refusal.message for refusal in refusals)
        remedy = " (or --force with --note)" if forcible else ""
        raise CommandError(f"{entry.domain} was not promoted: {reasons}{remedy}.", PROBLEM)
    if refusals:
        note += f" (forced: {', '.join(dict.fromkeys(refusal.code for refusal in refusals))})"
    return Change(entry, enforced, note)


def _retire(store: Store, entry: Entry, note: str, *, dry_run: bool) -> Sequence[Text] | None:
    """What people are told of the change to none, None where that is in force. Raises CommandError."""
    policy = in_force(entry)
    if policy is None:
        raise CommandError(f"{entry.domain} was not retired: it has no policy, 'mta-sts show' says why.", PROBLEM)
    if isinstance(entry.row, Row) and policy == retired(policy):
        return None
    return Change(entry, retired(policy), note or "retired").apply(store, dry_run=dry_run)


def _farewell(store: Store, name: str) -> Text:
    """From when the record and the row of a domain may go, if it was retired now or is retired already."""
    entry = read_entry(store, name)
    revisions = with_row(entry)
    policy = in_force(entry)
    if policy is not None and policy.mode != "none":  # a dry run
        key = key_of(command.now())
        revisions = (*revisions, Revision(name, key, key, retired(policy).text))
    due = removal_date(revisions, store.settings.fresh_seconds)
    return Text(f"{name}: the TXT record and the row have to stay until {shown_due(due or command.now())}")
