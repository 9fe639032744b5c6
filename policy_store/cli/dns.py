"""The group `dns`, and its command `show`: the records to publish for each domain, and from when."""

import re
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

import typer

from policy_store.changes.records import DnsItem, Wanted, records_of
from policy_store.changes.selection import Selection
from policy_store.cli import session
from policy_store.cli.command import app
from policy_store.cli.dns_check import check, entries_with_records
from policy_store.cli.errors import PROBLEM, CommandError
from policy_store.cli.options import (
    AllOption,
    DomainsArgument,
    JsonOption,
    StoreOption,
    WhereOption,
    read_domain,
    read_selection,
    refuse_together,
)
from policy_store.cli.publish import publish
from policy_store.cli.screen import (
    Shape,
    complain,
    print_json,
    print_rows,
    progress,
    shape_of,
)
from policy_store.cli.session import open_store
from policy_store.dns_records import DnsRecord
from policy_store.names import InvalidName
from policy_store.printable import clean
from policy_store.record_texts import CSV_COLUMNS, block, csv_row, letter
from policy_store.record_texts import state as record_state
from policy_store.tables.store import Store
from policy_store.times import shown_due
from policy_store.txt_records import RecordSyntaxError, TlsrptRecord

_RESOURCE_GROUP = '"$RESOURCE_GROUP"'
_NEXT_URI = re.compile(r",(?=\s*(?:mailto|https):)", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")

group = typer.Typer(help="The DNS records: print, check and publish them.", no_args_is_help=True)
app.add_typer(group, name="dns")


@group.command("show")
def show(
    domains: DomainsArgument = None,
    every: AllOption = False,
    where: WhereOption = None,
    app_host: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The app's default host name, for the CNAME at mta-sts.DOMAIN; else that of the store, or "
            "POLICY_APP_HOST.",
            show_default=False,
        ),
    ] = "",
    rua: Annotated[
        list[str] | None,
        typer.Option(metavar="URI", help="Where TLS reports go (mailto: or https:), for _smtp._tls; may be repeated."),
    ] = None,
    verification_id: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="The app's verification id, for the TXT record asuid.mta-sts.DOMAIN; else that of the store, or "
            "POLICY_VERIFICATION_ID.",
            show_default=False,
        ),
    ] = "",
    delegate: Annotated[
        str,
        typer.Option(
            metavar="ZONE",
            help="The TXT records are in this zone of yours, to which a customer sets CNAME records once; that of "
            "POLICY_DNS_ZONE where it is set.",
            show_default=False,
        ),
    ] = "",
    zone: Annotated[
        str, typer.Option(metavar="ZONE", help="The DNS zone that holds the domains, where not each is its own.")
    ] = "",
    format_: Annotated[
        Literal["table", "tsv", "csv", "json", "zone", "az"] | None,
        typer.Option(
            "--format",
            metavar="table|tsv|csv|json|zone|az",
            help="Blocks to copy from on a terminal, TSV elsewhere; a CSV file with all there is to know, lines of a "
            "zone file (BIND), or commands of the Azure CLI.",
            show_default=False,
        ),
    ] = None,
    as_letter: Annotated[
        bool, typer.Option("--letter", help="A short text for a customer, with the records to set once.")
    ] = False,
    resource_group: Annotated[
        str, typer.Option("--resource-group", "-g", metavar="NAME", help="The resource group of the zones, for az.")
    ] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all of it may be published.")] = False,
    json: JsonOption = False,
    store: StoreOption = "",
) -> None:
    """Print the DNS records to publish, and from when.

    Example: mta-sts dns show contoso.com --app-host contoso-sts.azurewebsites.net
    """
    tables = open_store(store)
    refuse_together(json=json, format=format_, letter=as_letter)
    if resource_group and format_ != "az":
        raise CommandError("--resource-group is for --format az: give both, or neither.")
    place = session.read_place(store)
    app_host, verification_id = app_host or place.app_host, verification_id or place.verification_id
    wanted = Wanted(
        read_domain(zone) if zone else "",
        read_domain(app_host) if app_host else "",
        _read_rua(rua or ()),
        read_domain(delegate) if delegate else tables.zone,
        verification_id.strip(),
    )
    if as_letter and not wanted.delegate:
        raise CommandError("--letter is for a delegation zone: set POLICY_DNS_ZONE, or give --delegate.")
    selection = read_selection(domains, every=every, where=where)
    records, problems, customers = _records(tables, selection, wanted)
    latest = max((record.not_before for record in records if record.not_before), default=session.now())
    if wait:
        _wait_until(latest)
    shape = shape_of(None if format_ == "zone" or format_ == "az" else format_, json=json)
    if as_letter:
        print(letter([record for record in records if record.zone != wanted.delegate]))
    elif format_ in ("zone", "az"):
        _print_lines(records, wanted, resource_group, az=format_ == "az")
    elif shape == "json":
        print_json(map(DnsItem.of, records))
    elif shape == "table":
        _print_blocks(records, wanted)
    else:
        _print_rows(records, wanted, customers, shape)
    for problem in problems:
        complain(problem)
    if problems:
        raise typer.Exit(PROBLEM)


def _records(
    store: Store, selection: Selection, wanted: Wanted
) -> tuple[list[DnsRecord], list[str], Mapping[str, str]]:
    """The records of the domains, what is wrong with the domains, and whose each domain is."""
    customers: dict[str, str] = {}
    records: list[DnsRecord] = []
    problems: list[str] = []
    for entry in progress(entries_with_records(store, selection), "reading", len(selection.domains) or None):
        problems += [
            f"{entry.domain}: {problem}."
            for problem in entry.problems()
            if problem.code in ("vanished_row", "unrecorded_edit") or not entry.revisions
        ]
        customers[entry.domain] = entry.customer
        try:
            records += records_of(entry, wanted, store.fresh_seconds)
        except InvalidName as error:
            problems.append(f"{entry.domain} is left out: {error}.")
    return records, problems, customers


def _wait_until(end: datetime) -> None:
    """Wait, and say for how long."""
    seconds = (end - session.now()).total_seconds()
    if seconds > 0:
        complain(f"Waiting until {shown_due(end)}, {seconds:.0f} s: until then some worker may serve an older policy.")
        time.sleep(seconds)


def _print_blocks(records: Sequence[DnsRecord], wanted: Wanted) -> None:
    """Print each record with its type, name and value on lines of their own."""
    now = session.now()
    for record in records:
        kept = record_state(record, now, wanted.delegate) == "published by the app"
        print(clean(block(replace(record, not_before=None) if not _from(record) else record)))
        print("        The app publishes this one by itself.\n" if kept else "")
    if not wanted.app_host:
        print("The CNAME at mta-sts.DOMAIN is left out: 'mta-sts bind' finds out the app's")
        print("default host name, and --app-host gives it here.")


def _print_rows(records: Iterable[DnsRecord], wanted: Wanted, customers: Mapping[str, str], shape: Shape) -> None:
    """Print all records as one table for programs, with what is to be done about each: CSV by CSV_COLUMNS, and TSV with
    the domain first.
    """
    columns = CSV_COLUMNS if shape == "csv" else (*CSV_COLUMNS[1:], CSV_COLUMNS[0])

    def cells(record: DnsRecord) -> list[str]:
        state = record_state(record, session.now(), wanted.delegate)
        row = csv_row(record, customer=customers.get(record.domain, ""), state=state)
        return [row[column] for column in columns]

    print_rows(columns, map(cells, records), shape)


def _print_lines(records: Iterable[DnsRecord], wanted: Wanted, resource_group: str, *, az: bool) -> None:
    """Print one line for each record, as comments those that belong in a zone of the tenant's."""
    shell_group = _RESOURCE_GROUP
    if resource_group:
        shell_group = resource_group if _PLAIN.fullmatch(resource_group) else shlex.quote(resource_group)
    mark = "#" if az else ";"
    latest = ""
    for record in records:
        line = record.az_command(shell_group) if az else record.zone_line
        if since := _from(record):
            latest = max(latest, since)
            print(f"{mark} publish from {since} on, not before:")
        print(f"{mark} in the zone {record.zone}: {line}" if wanted.delegate not in ("", record.zone) else line)
    if latest:
        complain(f"Publish this from {latest} on: until then some worker may serve an older policy (--wait waits).")


def _from(record: DnsRecord) -> str:
    """From when the record may be published, for people; empty for now."""
    due = record.not_before
    return shown_due(due) if due and session.now() < due else ""


def _read_rua(texts: Sequence[str]) -> tuple[str, ...]:
    try:
        # Records have several addresses with commas between them; a comma inside an address is written %2C.
        uris = (uri.strip() for text in texts for uri in _NEXT_URI.split(text))
        return TlsrptRecord(tuple(uris)).rua if texts else ()
    except RecordSyntaxError as error:
        raise CommandError(f"--rua: {error}.") from error


group.command("check")(check)
group.command("publish")(publish)
