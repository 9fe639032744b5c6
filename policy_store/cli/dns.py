"""The command `dns`: the records to publish for each domain and from when, and whether the world sees them."""

import re
import shlex
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal, Self

import typer
from pydantic import BaseModel, ConfigDict, Field

from policy_store.changes.write import read_entry, shown_due
from policy_store.cli import command
from policy_store.cli.command import (
    PROBLEM,
    CommandError,
    JsonOption,
    ResolverOption,
    Store,
    StoreOption,
    app,
    complain,
    open_store,
    print_json,
    print_table,
    printer,
    progress,
    read_domain,
    read_domains,
)
from policy_store.dns_records import (
    DnsRecord,
    RecordSyntaxError,
    RecordType,
    TlsrptRecord,
    records_to_publish,
)
from policy_store.life import served_everywhere
from policy_store.names import InvalidName
from policy_store.sender.lookup import HTTPS_PORT, Lookup
from policy_store.tables.entry import Entry, walk

if TYPE_CHECKING:
    from policy_store.sender.dns_check import DnsChecker  # brings dnspython, which only --check needs

_RESOURCE_GROUP = '"$RESOURCE_GROUP"'
_FETCH_SECONDS = 10  # senders that matter have given up by then
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")


class DnsItem(BaseModel):
    """What `dns` says of a record."""

    model_config = ConfigDict(frozen=True)

    domain: str = Field(description="the policy domain")
    zone: str = Field(description="the zone that the record belongs in")
    name: str = Field(description="the full name of the record, without a final dot")
    type: RecordType = Field(description="`TXT` or `CNAME`")
    value: str = Field(description="the text of a TXT record, or the name that a CNAME leads to")
    strings: list[str] = Field(description="the value in the strings of at most 255 octets that a TXT record has")
    not_before: datetime | None = Field(description="from when the record may be published; null for at once")

    @classmethod
    def of(cls, record: DnsRecord) -> Self:
        """What is said of `record`."""
        return cls.model_validate({name: getattr(record, name) for name in cls.model_fields})


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the options say about the records."""

    zone: str
    app_host: str
    rua: tuple[str, ...]
    delegate: str


@app.command()
def dns(
    domains: Annotated[
        list[str] | None, typer.Argument(metavar="DOMAIN", help="The policy domains.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every domain.")] = False,
    app_host: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            envvar="POLICY_APP_HOST",
            help="The app's default host name, for the CNAME at mta-sts.DOMAIN.",
            show_default=False,
        ),
    ] = "",
    rua: Annotated[
        list[str] | None,
        typer.Option(metavar="URI", help="Where TLS reports go (mailto: or https:), for _smtp._tls; may be repeated."),
    ] = None,
    delegate: Annotated[
        str,
        typer.Option(
            metavar="ZONE", help="Keep the TXT records in this zone of yours: a tenant sets a CNAME to it once."
        ),
    ] = "",
    zone: Annotated[
        str, typer.Option(metavar="ZONE", help="The DNS zone that holds the domains, where not each is its own.")
    ] = "",
    format_: Annotated[
        Literal["table", "zone", "az"],
        typer.Option("--format", help="A table, lines of a zone file (BIND), or commands of the Azure CLI."),
    ] = "table",
    resource_group: Annotated[
        str, typer.Option("--resource-group", "-g", metavar="NAME", help="The resource group of the zones, for az.")
    ] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all of it may be published.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Compare with live DNS and with the text served.")] = False,
    https_port: Annotated[
        int, typer.Option(min=1, max=65535, help="With --check: the policy hosts' port.")
    ] = HTTPS_PORT,
    ca_file: Annotated[
        str, typer.Option(metavar="FILE", help="With --check: authorities (PEM) to trust too.", show_default=False)
    ] = "",
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="With --check: ask policy hosts in private networks too.")
    ] = False,
    json: JsonOption = False,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """Print the DNS records to publish, and from when; or check that they are there.

    Example: mta-sts dns contoso.com --app-host contoso-sts.azurewebsites.net

    Example: mta-sts dns --all --check
    """
    if bool(domains) == every:
        raise CommandError("Name the domains, or give --all; not both, not neither.")
    if json and format_ != "table":
        raise CommandError(f"--json and --format {format_} both say what to print: give one of them.")
    if check and format_ != "table":
        raise CommandError(f"--check prints a table or JSON: leave out --format {format_}.")
    wanted = _Wanted(
        read_domain(zone) if zone else "",
        read_domain(app_host) if app_host else "",
        _read_rua(rua or ()),
        read_domain(delegate) if delegate else "",
    )
    names = read_domains(domains or ())
    tables = open_store(store)
    if check:
        checker = _checker(resolver, https_port, ca_file, tables, allow_private=allow_private)
        _print_checks(checker, _entries(tables, names), len(names) or None, json=json)
        return
    records, problems = _records(tables, names, wanted)
    latest = max((record.not_before for record in records if record.not_before), default=command.now())
    if wait:
        time.sleep(max(0.0, (latest - command.now()).total_seconds()))
    if json:
        print_json(map(DnsItem.of, records))
    elif format_ == "table":
        _print_table(records, wanted)
    else:
        _print_lines(records, wanted, resource_group, az=format_ == "az")
    for problem in problems:
        complain(problem)
    if problems:
        raise typer.Exit(PROBLEM)


def _entries(store: Store, names: Sequence[str]) -> Iterator[Entry]:
    """The domains named, else every one that has a policy, or had one that was never taken back.

    Raises CommandError for a name without any.
    """
    if not names:
        yield from (entry for entry in walk(store.policies, store.history) if entry.row or entry.vanished)
        return
    for name in names:
        entry = read_entry(store, name)
        if entry.row is None and not entry.vanished:
            has = "was removed" if entry.revisions else "is not in the store"
            raise CommandError(f"{name} {has}: it needs no records; 'mta-sts add {name}' adds a policy.", PROBLEM)
        yield entry


def _records(store: Store, names: Sequence[str], wanted: _Wanted) -> tuple[list[DnsRecord], list[str]]:
    """The records of the domains, and what is wrong with the domains."""
    records: list[DnsRecord] = []
    problems: list[str] = []
    for entry in progress(_entries(store, names), "reading", len(names) or None):
        newest = entry.revisions[-1] if entry.revisions else None
        problems += _problems(entry)
        try:
            records += records_to_publish(
                entry.domain,
                policy_id=newest.id if newest else None,
                not_before=served_everywhere(newest, store.settings.fresh_seconds) if newest else None,
                zone=wanted.zone,
                app_host=wanted.app_host,
                rua=wanted.rua,
                delegate=wanted.delegate,
            )
        except InvalidName as error:
            problems.append(f"{entry.domain} is left out: {error}.")
    return records, problems


def _problems(entry: Entry) -> Iterator[str]:
    if entry.row is None:
        yield f"{entry.domain}: the row is gone, but senders may hold the policy: add it again, then retire it."
    elif not entry.revisions and isinstance(entry.row, ValueError):
        yield f"{entry.domain} has no id yet: its row is invalid, mend it with 'mta-sts edit'."
    elif not isinstance(entry.row, ValueError) and not entry.recorded:
        yield f"{entry.domain}: the row was changed by hand and has no id yet: run 'mta-sts audit', then this again."


def _print_table(records: Sequence[DnsRecord], wanted: _Wanted) -> None:
    lines = ((record.name, record.type, record.value, _from(record) or "now") for record in records)
    print_table(("name", "type", "value", "publish from"), lines)
    if not wanted.app_host:
        print()
        print("The CNAME at mta-sts.DOMAIN is left out: 'mta-sts bind' finds out the app's")
        print("default host name, and --app-host gives it here.")


def _print_lines(records: Iterable[DnsRecord], wanted: _Wanted, resource_group: str, *, az: bool) -> None:
    """Print one line for each record, as comments those that belong in a zone of the tenant's."""
    group = _RESOURCE_GROUP
    if resource_group:
        group = resource_group if _PLAIN.fullmatch(resource_group) else shlex.quote(resource_group)
    mark = "#" if az else ";"
    latest = ""
    for record in records:
        line = record.az_command(group) if az else record.zone_line
        if since := _from(record):
            latest = max(latest, since)
            print(f"{mark} publish from {since} on, not before:")
        print(f"{mark} in the zone {record.zone}: {line}" if wanted.delegate not in ("", record.zone) else line)
    if latest:
        complain(f"Publish this from {latest} on: until then some worker may serve an older text (--wait waits).")


def _from(record: DnsRecord) -> str:
    """From when the record may be published, for people; empty for now."""
    due = record.not_before
    return shown_due(due) if due and command.now() < due else ""


def _print_checks(checker: "DnsChecker", entries: Iterable[Entry], total: int | None, *, json: bool) -> None:
    """Print what the world sees. Raises typer.Exit where a domain is not right."""
    checks = progress(checker.check_all(entries), "checking", total)
    counts: Counter[str] = Counter()

    if json:

        def counted() -> Iterator[BaseModel]:
            for found in checks:
                counts[found.status] += 1
                yield found

        print_json(counted())
    else:
        lines = []
        for found in checks:
            counts[found.status] += 1
            lines.append((found.domain, found.status, found.detail))
        print_table(("domain", "status", "detail"), lines)
        words = ", ".join(f"{count} {word}" for word, count in counts.most_common())
        print()
        printer().print(f"{counts.total()} domains: {words}" if counts.total() != 1 else f"1 domain: {words}")
    if counts.total() != counts["right"]:
        raise typer.Exit(PROBLEM)


def _checker(resolver: str, port: int, ca_file: str, store: Store, *, allow_private: bool) -> "DnsChecker":
    from policy_store.sender.dns_check import DnsChecker
    from policy_store.sender.network import Network
    from policy_store.sender.tls import strict_context

    try:
        context = strict_context(ca_file or None)
    except OSError as error:  # ssl.SSLError is one
        raise CommandError(f"--ca-file {ca_file} cannot be read as PEM: {error.strerror or error}.") from error
    network = Network(
        Lookup(resolver).resolver,
        context,
        "",
        https_port=port,
        https_seconds=_FETCH_SECONDS,
        allow_private=allow_private,
    )
    return DnsChecker(network, store.settings.fresh_seconds)


def _read_rua(texts: Sequence[str]) -> tuple[str, ...]:
    try:
        return TlsrptRecord(tuple(texts)).rua if texts else ()
    except RecordSyntaxError as error:
        raise CommandError(f"--rua: {error}.") from error
