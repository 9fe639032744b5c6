"""The command `dns check`: whether the world sees the records and the texts that the store has."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from policy_store.changes.selection import Selection
from policy_store.cli import session
from policy_store.cli.errors import PROBLEM, CommandError
from policy_store.cli.options import (
    AllOption,
    DomainsArgument,
    FormatOption,
    JsonOption,
    ResolverOption,
    StoreOption,
    WhereOption,
    read_selection,
)
from policy_store.cli.screen import Shape, print_json, print_rows, print_table, printer, progress, shape_of
from policy_store.cli.session import lookup, open_store
from policy_store.sender.lookup import HTTPS_PORT
from policy_store.tables.entry import Entry
from policy_store.tables.store import Store

if TYPE_CHECKING:
    from policy_store.sender.dns_check import DnsCheck  # brings dnspython, which only the check needs

_FETCH_SECONDS = 10  # senders that matter have given up by then


def check(
    domains: DomainsArgument = None,
    every: AllOption = False,
    where: WhereOption = None,
    https_port: Annotated[int, typer.Option(min=1, max=65535, help="The policy hosts' port.")] = HTTPS_PORT,
    ca_file: Annotated[
        str, typer.Option(metavar="FILE", help="Authorities (PEM) to trust too.", show_default=False)
    ] = "",
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Ask policy hosts in private networks too.")
    ] = False,
    format_: FormatOption = None,
    json: JsonOption = False,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """Compare live DNS, and the text served, with the store.

    Example: mta-sts dns check --all
    """
    from policy_store.sender.dns_check import DnsChecker
    from policy_store.sender.network import Network
    from policy_store.sender.tls import strict_context

    selection = read_selection(domains, every=every, where=where)
    try:
        context = strict_context(ca_file or None)
    except OSError as error:  # ssl.SSLError is one
        raise CommandError(f"--ca-file {ca_file} cannot be read as PEM: {error.strerror or error}.") from error
    tables = open_store(store)
    network = Network(
        lookup(resolver).resolver,
        context,
        "",
        https_port=https_port,
        https_seconds=_FETCH_SECONDS,
        allow_private=allow_private,
    )
    checker = DnsChecker(network, tables.fresh_seconds, session.now(), tables.zone)
    checks = progress(
        checker.check_all(entries_with_records(tables, selection)), "checking", len(selection.domains) or None
    )
    _print_checks(checks, shape_of(format_, json=json))


def entries_with_records(store: Store, selection: Selection) -> Iterator[Entry]:
    """The domains that are selected and have a policy, or had one that was never taken back.

    Raises CommandError for a named one without any.
    """
    for entry in selection.entries(store):
        if entry.row or entry.vanished:
            yield entry
        elif selection.named:
            has = "was removed" if entry.revisions else "is not in the store"
            domain = entry.domain
            raise CommandError(f"{domain} {has}: it needs no records; 'mta-sts add {domain}' adds a policy.", PROBLEM)


def _print_checks(checks: "Iterable[DnsCheck]", shape: Shape) -> None:
    """Print what the world sees. Raises typer.Exit where a domain is not right."""
    counts: Counter[str] = Counter()

    def counted() -> "Iterator[DnsCheck]":
        for found in checks:
            counts[found.status] += 1
            yield found

    if shape == "json":
        print_json(counted())
    elif shape != "table":
        rows = ((found.domain, found.status, found.detail) for found in counted())
        print_rows(("domain", "status", "detail"), rows, shape)
    else:
        print_table(("domain", "status", "detail"), [(found.domain, found.status, found.detail) for found in counted()])
        words = ", ".join(f"{count} {word}" for word, count in counts.most_common())
        print()
        printer().print(f"{counts.total()} domains: {words}" if counts.total() != 1 else f"1 domain: {words}")
    if counts.total() != counts["right"]:
        raise typer.Exit(PROBLEM)
