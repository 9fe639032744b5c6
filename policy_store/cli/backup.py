"""The commands that keep whole tables in a file and put back what is missing: backup, restore."""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from azure.data.tables import TableClient

from policy_store.cli.command import app
from policy_store.cli.errors import PROBLEM, CommandError
from policy_store.cli.options import DryRunOption, StoreOption
from policy_store.cli.screen import complain, progress, say
from policy_store.cli.session import now, read_settings
from policy_store.exchange.backup import BackupError, back_up, check, compressing
from policy_store.exchange.restore import Restored
from policy_store.exchange.restore import restore as restored
from policy_store.exchange.targets import whole_bytes
from policy_store.settings import Settings
from policy_store.tables.connection import open_table
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.policies import TABLE as POLICY_TABLE

_REPORTS_TABLE = "tlsreports"
_WORDS = {POLICY_TABLE: "policies", HISTORY_TABLE: "revisions", _REPORTS_TABLE: "reports"}

ReportsOption = Annotated[bool, typer.Option("--reports", help="The TLS reports as well.")]


@app.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write; compressed if it ends in .gz.")],
    reports: ReportsOption = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE if it exists.")] = False,
    store: StoreOption = "",
) -> None:
    """Save both tables in one file: every row with all its cells, every revision.

    Example: mta-sts backup mta-sts-2026-11-26.jsonl.gz
    """
    tables = _tables(read_settings(store), reports=reports)
    try:
        with whole_bytes(file, force=force) as content, compressing(file, content) as out:
            counts = back_up(tables, out, now=now())
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}.") from error
    say(f"{_said(counts)} are in {file}")


@app.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What 'mta-sts backup' wrote.")],
    reports: ReportsOption = False,
    dry_run: DryRunOption = False,
    store: StoreOption = "",
) -> None:
    """Put back what is in a backup and missing in the tables; what is there stays.

    Example: mta-sts restore mta-sts-2026-11-26.jsonl.gz --dry-run
    """
    tables = _tables(read_settings(store), reports=reports)
    counts: Counter[tuple[str, str]] = Counter()
    try:
        contents = check(file)
        age = now() - contents.made
        say(f"{_said(contents.rows)} are in {file}, of {contents.made:%Y-%m-%d %H:%M} UTC, {_days(age)}")
        outcomes = restored(file, tables, dry_run=dry_run)
        for one in progress(
            outcomes, "restoring", sum(contents.rows[name] for name in contents.rows if name in tables)
        ):
            counts[one.table, one.result] += 1
            _tell(one, dry_run=dry_run)
    except BackupError as error:
        raise CommandError(f"{error}. Nothing was written.") from error
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
    would = "would be put back" if dry_run else "put back"
    for table in tables:
        if table in contents.rows:
            done = {result: counts[table, result] for result in ("put back", "there", "kept", "held back")}
            say(
                f"{_WORDS[table]}: {done['put back']} {would}, {done['there']} there already, "
                f"{done['kept']} kept unchanged, {done['held back']} held back"
            )
    if counts[POLICY_TABLE, "held back"]:
        raise typer.Exit(PROBLEM)


def _tables(settings: Settings, *, reports: bool) -> dict[str, TableClient]:
    """The tables in the order in which they are saved: the history first."""
    names = [HISTORY_TABLE, *([_REPORTS_TABLE] if reports else []), POLICY_TABLE]
    return {name: open_table(settings, name, operator=True) for name in names}


def _tell(one: Restored, *, dry_run: bool) -> None:
    """Print what matters to people: the policies, and whatever is not as in the backup."""
    if one.result == "put back" and one.table == POLICY_TABLE:
        say(f"{one.domain}: {'would be ' if dry_run else ''}put back")
    elif one.result == "held back":
        complain(f"{one.domain}: held back: {one.reason}")
    elif one.result == "kept":
        say(f"{one.domain}: {_WORDS[one.table]}: {one.row_key} is kept: {one.reason}")


def _said(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {_WORDS.get(table, table)}" for table, count in counts.items())


def _days(age: timedelta) -> str:
    return "today's" if age < timedelta(days=1) else f"{age.days} days old"
