"""The commands that wait for the right day: promote, retire, plan."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Annotated

import typer

from policy_store.changes import operations
from policy_store.changes.change import Planned
from policy_store.changes.plan import Task
from policy_store.changes.plan import plan as plan_of
from policy_store.cli import session
from policy_store.cli.changing import Changing
from policy_store.cli.command import app
from policy_store.cli.options import (
    AllOption,
    DnsSecondsOption,
    DomainsArgument,
    DryRunOption,
    ForceOption,
    FormatOption,
    HttpsSecondsOption,
    JsonOption,
    ReasonOption,
    ResolverOption,
    SmtpSecondsOption,
    StoreOption,
    VerboseOption,
    WhereOption,
    YesOption,
    need_reason,
    read_selection,
)
from policy_store.cli.screen import print_json, print_rows, progress, say, shape_of
from policy_store.cli.session import open_desk, open_store
from policy_store.life import TESTING
from policy_store.sender.limits import DNS_SECONDS, HTTPS_SECONDS, SMTP_SECONDS, Limits
from policy_store.tables.entry import Entry
from policy_store.times import shown_due
from policy_store.tlsrpt.case import DEMANDS, Demands
from policy_store.tlsrpt.overview import recent_rows

_SHOWN = 5  # domains that are named of those for which the same is to be done


@app.command("promote")
def promote(
    domains: DomainsArgument = None,
    every: AllOption = False,
    where: WhereOption = None,
    after: Annotated[int, typer.Option(min=0, metavar="DAYS", help="How long testing has to last.")] = TESTING.days,
    report_days: Annotated[
        int, typer.Option(min=1, max=28, metavar="DAYS", help="On how many of these days there must be a TLS report.")
    ] = DEMANDS.days,
    report_window: Annotated[
        int, typer.Option(min=1, max=28, metavar="DAYS", help="How many of the last days count.")
    ] = DEMANDS.window,
    report_sessions: Annotated[
        int, typer.Option(min=1, metavar="NUMBER", help="How many sessions must have passed in these reports.")
    ] = DEMANDS.sessions,
    reporters: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="How many senders must have reported.")] = (
        DEMANDS.reporters
    ),
    failure_days: Annotated[
        int, typer.Option(min=1, max=28, metavar="DAYS", help="For how long a reported failure counts.")
    ] = DEMANDS.failure_days,
    without_reports: Annotated[
        bool,
        typer.Option("--without-reports", help="Go on without reports, if none has come in --silent-days of testing."),
    ] = False,
    silent_days: Annotated[
        int, typer.Option(min=1, metavar="DAYS", help="How long testing has to last without a report.")
    ] = DEMANDS.silent_days,
    note: ReasonOption = "",
    force: ForceOption = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    verbose: VerboseOption = False,
    json: JsonOption = False,
    dns_seconds: DnsSecondsOption = DNS_SECONDS,
    https_seconds: HttpsSecondsOption = HTTPS_SECONDS,
    smtp_seconds: SmtpSecondsOption = SMTP_SECONDS,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """Go from testing to enforce, once nothing in the policy or in DNS would stop mail.

    Example: mta-sts promote contoso.com fabrikam.com
    """
    need_reason(force=force, note=note)
    selection = read_selection(domains, every=every, where=where)
    desk = open_desk(store, resolver, Limits(dns_seconds, https_seconds, smtp_seconds))
    changing = Changing(
        desk.store, "promoted", dry_run=dry_run, yes=yes, verbose=verbose, json=json, reason=bool(note.strip())
    )

    demands = Demands(
        days=report_days,
        window=report_window,
        sessions=report_sessions,
        reporters=reporters,
        failure_days=failure_days,
        silent_days=silent_days,
    )

    def decide(entry: Entry) -> Planned:
        rows = recent_rows(desk.store.reports, desk.now, entry.domain)
        return operations.promote(
            desk,
            entry,
            reports=None if rows is None else tuple(rows),
            after=timedelta(days=after),
            demands=demands,
            without_reports=without_reports,
            why=note,
            force=force,
        )

    changing.run_selected(selection, decide, "looking as a sender does")


@app.command("retire")
def retire(
    domains: DomainsArgument = None,
    every: AllOption = False,
    where: WhereOption = None,
    note: ReasonOption = "",
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    verbose: VerboseOption = False,
    json: JsonOption = False,
    store: StoreOption = "",
) -> None:
    """Withdraw policies; prints from when the TXT record and the row may be deleted.

    Example: mta-sts retire contoso.com --note "the customer left"
    """
    selection = read_selection(domains, every=every, where=where)
    desk = open_desk(store)
    changing = Changing(
        desk.store, "retired", dry_run=dry_run, yes=yes, verbose=verbose, json=json, reason=bool(note.strip())
    )
    changing.run_selected(selection, lambda entry: operations.retire(desk, entry, why=note), "looking")


@app.command("plan")
def plan(
    where: WhereOption = None, format_: FormatOption = None, json: JsonOption = False, store: StoreOption = ""
) -> None:
    """List what has to be done next, and when, in all domains.

    Example: mta-sts plan --json
    """
    selection = read_selection((), every=True, where=where)
    tables = open_store(store)
    entries = progress(selection.entries(tables), "reading both tables")
    now = session.now()
    reports = recent_rows(tables.reports, now)
    tasks = plan_of(entries, now=now, fresh_seconds=tables.fresh_seconds, reports=reports)
    shape = shape_of(format_, json=json)
    if shape == "json":
        print_json(tasks)
    elif shape != "table":
        print_rows(("domain", "due", "what"), ((task.domain, _due(task), task.what) for task in tasks), shape)
    elif tasks:
        print_rows(("due", "domain", "what"), ((_due(task), *words) for task, words in _groups(tasks)), shape)
        say(f"{len(tasks)} tasks" if len(tasks) > 1 else "1 task")
    else:
        say("Nothing waits.")


def _due(task: Task) -> str:
    return shown_due(task.due) if task.waits_for == "date" else "now"


def _groups(tasks: Sequence[Task]) -> Iterator[tuple[Task, tuple[str, str]]]:
    """The tasks, with those that differ in the domain only in one group; the soonest first."""
    groups: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        groups.setdefault((_due(task), task.what.replace(task.domain, "DOMAIN")), []).append(task)
    for (_, what), alike in groups.items():
        first = alike[0]
        if len(alike) == 1:
            yield first, (first.domain, first.what)
        else:
            names = [task.domain for task in alike[:_SHOWN]]
            more = [f"and {len(alike) - _SHOWN} more: --format tsv has all"] if len(alike) > _SHOWN else []
            yield first, (f"{len(alike)} domains: {', '.join([*names, *more])}", what)
