"""The commands `reports list`, `show`, `import` and `prune`: what senders say of sessions with our domains."""

import gzip
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from azure.core.exceptions import ResourceNotFoundError

from policy_store.cli import session
from policy_store.cli.command import app
from policy_store.cli.errors import PROBLEM, CommandError
from policy_store.cli.options import DomainArgument, DryRunOption, FormatOption, JsonOption, StoreOption, read_domain
from policy_store.cli.screen import complain, print_json, print_rows, print_table, progress, say, shape_of
from policy_store.cli.session import open_store
from policy_store.exchange.reports import ImportedReport, import_reports
from policy_store.tables.report_row import ReportRow
from policy_store.tables.reports import TABLE, table_is_missing
from policy_store.tlsrpt.case import LOOK_BACK
from policy_store.tlsrpt.mails import LARGEST_FILE, Found, find, find_in
from policy_store.tlsrpt.overview import ReportDetails, ReportState, details_of, first_day, state_of
from policy_store.tlsrpt.summary import by_domain

_SHORTEST_KEPT = 60  # days: a verdict looks back 30, and a late import adds to them
_DAY_COLUMNS = ("day", "sender", "sessions", "failed", "policy", "revision", "came by")
_AGE = re.compile(r"([0-9]{1,4})\s*(d|w|)")

group = typer.Typer(
    help="The TLS reports that senders write: look at them, and bring in those that came by mail.", no_args_is_help=True
)
app.add_typer(group, name="reports")

DaysOption = Annotated[int, typer.Option(min=1, max=400, metavar="DAYS", help="How many days to look back.")]


@group.command("list")
def list_(
    days: DaysOption = LOOK_BACK, format_: FormatOption = None, json: JsonOption = False, store: StoreOption = ""
) -> None:
    """List the domains that senders reported about: sessions, failures, who reported, and the verdict for enforce.

    Example: mta-sts reports list --days 7
    """
    tables = open_store(store)
    now, fresh_seconds = session.now(), tables.fresh_seconds
    with _one_sentence():
        rows = tables.reports.all(first_day(now, max(days, LOOK_BACK)), now.date() + timedelta(days=1))
        joined = by_domain(tables.entries(), rows)
        states = (
            state_of(domain, entry, found, now, fresh_seconds, days)
            for domain, entry, found in progress(joined, "walking the tables")
            if any(row.day >= first_day(now, days) for row in found)
        )
        shape = shape_of(format_, json=json)
        if shape == "json":
            print_json(states)
            return
        shown = [_cells(state) for state in states]
    if shown or shape != "table":
        print_rows(("domain", "sessions", "failed", "senders", "verdict", "why"), shown, shape)
    else:
        say(f"No report in the last {days} days.")


@group.command("show")
def show(
    domain: DomainArgument,
    days: DaysOption = LOOK_BACK,
    raw: Annotated[bool, typer.Option("--raw", help="Print the reports as they came, one JSON object a line.")] = False,
    format_: FormatOption = None,
    json: JsonOption = False,
    store: StoreOption = "",
) -> None:
    """Show what senders reported of one domain: by day and sender, and each failure with what to do.

    Example: mta-sts reports show contoso.com
    """
    name = read_domain(domain)
    tables = open_store(store)
    now = session.now()
    first = first_day(now, max(days, LOOK_BACK))
    with _one_sentence():
        rows = tables.reports.of_domain(name, first, now.date() + timedelta(days=1), raw=raw)
    if raw:
        _print_raw([row for row in rows if row.day >= first_day(now, days)])
        return
    entry = tables.entry(name)
    details = details_of(name, entry, rows, now, tables.fresh_seconds, days)
    shape = shape_of(format_, json=json)
    if shape == "json":
        print_json(details)
    elif shape == "table":
        _print_details(details, days)
    else:
        print_rows(("domain", *_DAY_COLUMNS), ((name, *cells) for cells in _day_cells(details)), shape)


@group.command("import")
def import_(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            show_default=False,
            help="Mails, mbox, zip, JSON, or folders of them; - is standard input.",
        ),
    ],
    json: JsonOption = False,
    store: StoreOption = "",
) -> None:
    """Import reports that came by mail: .eml, mbox, zip, .json, .json.gz and folders, whatever their names.

    Example: mta-sts reports import ~/Downloads/tls-reports
    """
    tables = open_store(store)
    found = (each for path in paths for each in _found(path))
    results: list[ImportedReport] = []

    def import_all() -> Iterator[ImportedReport]:
        imported = import_reports(found, tables.policies, tables.reports, now=session.now())
        for result in progress(imported, "importing reports"):
            results.append(result)
            yield result

    if json:
        print_json(import_all())
    else:
        try:
            for _ in import_all():
                pass
        finally:  # what was added is told, whatever failed then
            _print_results(results)
    if any(result.problem for result in results):
        raise typer.Exit(PROBLEM)


@group.command("prune")
def prune(
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Such as 400d or 60w; at least 60 days.")
    ] = "400d",
    dry_run: DryRunOption = False,
    store: StoreOption = "",
) -> None:
    """Delete old reports, whole days at a time.

    Example: mta-sts reports prune --older-than 400d
    """
    age = _AGE.fullmatch(older_than.strip().lower())
    days = int(age[1]) * (7 if age[2] == "w" else 1) if age else 0
    if days < _SHORTEST_KEPT:
        raise CommandError(f"--older-than {older_than}: write a number of days or weeks, at least {_SHORTEST_KEPT}d.")
    before = first_day(session.now(), days)
    tables = open_store(store)
    with _one_sentence():
        count = tables.reports.delete_before(before, dry_run=dry_run)
    say(f"{count} rows of days before {before} {'would be' if dry_run else 'were'} deleted.")


@contextmanager
def _one_sentence() -> Iterator[None]:
    """A missing table is one sentence with the next step."""
    try:
        yield
    except ResourceNotFoundError as error:
        if not table_is_missing(error):
            raise
        raise CommandError(
            f"The store has no table {TABLE} yet: 'mta-sts reports import' makes it, and so does infra/main.bicep with "
            "tlsReports=true.",
            PROBLEM,
        ) from error


def _cells(state: ReportState) -> tuple[str, ...]:
    numbers = (str(number) for number in (state.sessions, state.failed, len(state.reporters)))
    return (state.domain, *numbers, state.verdict or "-", state.sentence)


def _print_results(results: Sequence[ImportedReport]) -> None:
    shape = shape_of(None, json=False)
    print_rows(("file", "result"), ((result.file, _said(result)) for result in results), shape)
    tell = say if shape == "table" else complain
    tell(
        f"{len(results)} reports: {sum(result.new for result in results)} entries added, "
        f"{sum(result.known for result in results)} known already, "
        f"{sum(bool(result.problem) for result in results)} not taken"
    )


def _found(path: str) -> Iterator[Found]:
    if path == "-":
        return find_in(sys.stdin.buffer.read(LARGEST_FILE + 1), "-")
    return find(Path(path))


def _day_cells(details: ReportDetails) -> Iterator[tuple[str, ...]]:
    for line in details.days:
        yield (
            line.day.isoformat(),
            line.organization,
            str(line.sessions),
            str(line.failed),
            " ".join(line.types),
            line.revision or "-",
            "import" if line.imported else "https",
        )


def _print_details(details: ReportDetails, days: int) -> None:
    say(f"{details.domain}: {details.sessions} sessions in {days} days, {details.failed} failed")
    if details.verdict:
        say(f"{details.verdict}: {details.sentence}")
    if details.days:
        print()
        print_table(_DAY_COLUMNS, _day_cells(details))
    if details.failures:
        print()
        print_table(
            ("cause", "MX host", "sender", "sessions", "days", "last", "revision"),
            (
                (
                    line.cause,
                    line.mx_host or "-",
                    line.reporter,
                    str(line.sessions),
                    str(line.days),
                    f"{line.last}, over" if line.over else str(line.last),
                    line.revision or "-",
                )
                for line in details.failures
            ),
        )
        for cause, line in {line.cause: line for line in details.failures}.items():
            say(f"\n{cause}: {line.what}.\n  {line.remedy}")
            for reason in line.reasons[:3]:
                say(f"  The sender says: {reason}")
    for clash in details.clashes:
        say(f"\nTwo reports with different contents have one id, so that one of them may be made up: {clash}")


def _print_raw(rows: Sequence[ReportRow]) -> None:
    """The reports as they came, in one line each, without what a terminal would obey."""
    for row in rows:
        if row.raw:
            text = gzip.decompress(row.raw).decode("utf-8", "replace")
            print("".join(letter if letter.isprintable() else " " for letter in text))
    left_out = len({row.whole for row in rows} - {row.whole for row in rows if row.raw})
    if left_out:
        complain(f"{left_out} reports were too large to be kept as they came.")


def _said(result: ImportedReport) -> str:
    if result.problem:
        return result.problem
    return f"{', '.join(result.domains)} by {result.reporter}: {result.new} added, {result.known} known"
