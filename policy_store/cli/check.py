"""The command check: a domain as a sending server sees it, one domain or thousands."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from azure.core.exceptions import AzureError

from policy_store.cli.check_screen import COLUMNS, cells, print_check, print_checks, write_junit
from policy_store.cli.command import app
from policy_store.cli.errors import PROBLEM, UNREACHABLE, CommandError
from policy_store.cli.options import (
    DnsSecondsOption,
    FormatOption,
    HttpsSecondsOption,
    JsonOption,
    ResolverOption,
    SmtpSecondsOption,
    StoreOption,
    read_domains,
)
from policy_store.cli.screen import Shape, complain, print_json, print_rows, progress, shape_of
from policy_store.cli.session import NoStore, lookup, open_store
from policy_store.exchange.sources import STANDARD_INPUT, together
from policy_store.lint.findings import Finding
from policy_store.policy import LARGEST_TEXT
from policy_store.pool import concurrently
from policy_store.sender.facts import Facts
from policy_store.sender.gather import gather
from policy_store.sender.limits import DNS_SECONDS, HTTPS_SECONDS, SMTP_SECONDS, Limits
from policy_store.sender.network import Network
from policy_store.sender.published import compare, served_word
from policy_store.sender.report import Check, report
from policy_store.sender.rules import finding
from policy_store.sender.tls import strict_context
from policy_store.settings import SettingsError
from policy_store.tables.row import Row
from policy_store.tables.store import Store

_AT_ONCE = 50  # domains, each with a few questions to DNS at a time
_MINUTE = 60.0


@app.command("check")
def check(
    domains: Annotated[
        list[str] | None, typer.Argument(metavar="DOMAIN", help="Any domains of the Internet.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every domain of the store.")] = False,
    file: Annotated[
        str, typer.Option(metavar="FILE", help="Domains, one a line; - for standard input.", show_default=False)
    ] = "",
    watch: Annotated[
        float, typer.Option(metavar="MINUTES", min=0, help="Check again every MINUTES, and print only changes.")
    ] = 0,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a JUnit report for a pipeline.", show_default=False)
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Details of all domains, not only of those with problems.")
    ] = False,
    https_port: Annotated[int, typer.Option(min=1, max=65535, help="The policy hosts' port.")] = 443,
    smtp_port: Annotated[int, typer.Option(min=1, max=65535, help="The MX hosts' port.")] = 25,
    ca_file: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Authorities to trust besides the system's.", show_default=False)
    ] = None,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Ask addresses of private networks too.")
    ] = False,
    dns_seconds: DnsSecondsOption = DNS_SECONDS,
    https_seconds: HttpsSecondsOption = HTTPS_SECONDS,
    smtp_seconds: SmtpSecondsOption = SMTP_SECONDS,
    text_limit: Annotated[int, typer.Option(min=1, help="How many bytes of the policy are read.")] = LARGEST_TEXT,
    format_: FormatOption = None,
    json: JsonOption = False,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """Look at domains as a sending server does: what happens to a message, and why.

    Example: mta-sts check contoso.com
    """
    if watch and junit is not None:
        raise CommandError("--watch never ends, and --junit is written at the end: give one of them.")
    tables = _store(store, needed=every)
    limits = Limits(dns_seconds, https_seconds, smtp_seconds)

    def network() -> Network:
        return Network(
            lookup(resolver, limits).resolver,
            _context(ca_file),
            socket.gethostname(),
            https_port,
            smtp_port,
            limits.https,
            limits.smtp,
            text_limit,
            allow_private,
        )

    shape = shape_of(format_, json=json)
    named = _named(domains or (), file, every=every)

    def names() -> list[str]:
        return list(dict.fromkeys([*named, *(tables.domains() if every and tables is not None else ())]))

    if watch:
        _print_changes(_watch(names, network, tables, watch * _MINUTE), shape)
    all_names = names()
    found: list[Check] = []
    checks = progress(_check_all(all_names, network(), tables), "Checking", len(all_names))
    if shape == "json":
        print_json(_kept(checks, found))
    elif shape != "table":
        print_rows(COLUMNS, map(cells, _kept(checks, found)), shape)
    else:
        found += checks
        print_checks(found, verbose=verbose)
    if junit is not None:
        write_junit(found, junit)
    if any(item.is_bad and not item.saw_nothing for item in found):
        raise typer.Exit(PROBLEM)
    if blind := sum(item.saw_nothing for item in found):
        complain(
            f"Of {blind} of {len(found)} domains nothing could be looked up: check the network, or give --resolver."
        )
        raise typer.Exit(UNREACHABLE)


def _store(store: str, *, needed: bool) -> Store | None:
    """The store to compare with; none where no settings name one and none is needed. Raises SettingsError."""
    try:
        return open_store(store)
    except NoStore:
        if needed:
            raise
        return None
    except SettingsError as error:
        if needed or store:
            raise
        complain(f"Nothing was compared with the store: {error}.")
        return None


def _named(domains: Sequence[str], file: str, *, every: bool) -> list[str]:
    """The domains that were named, each once. Raises CommandError."""
    texts = list(domains)
    if file:
        if file != STANDARD_INPUT and not Path(file).exists():
            raise CommandError(f"{file} does not exist: name a file with a domain on each line.")
        found = together([file])
        if wrong := [problem for proposal in found for problem in proposal.sentences]:
            raise CommandError("\n".join(wrong))
        texts += [proposal.domain for proposal in found if proposal.domain]
    if not texts and not every:
        raise CommandError("Name the domains, or give --all or --file.")
    return read_domains(texts)


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return strict_context(str(ca_file) if ca_file else None)
    except OSError as error:
        raise CommandError(f"--ca-file {ca_file} contains no certificates in PEM: {error.strerror}.") from error


def _check_all(names: Sequence[str], network: Network, store: Store | None) -> Iterator[Check]:
    async def one(domain: str) -> Check:
        facts = await gather(domain, network)
        more = await asyncio.to_thread(_compare, facts, store) if store else []
        return report(facts, more)

    return concurrently(one, names, _AT_ONCE, in_order=True)


def _compare(facts: Facts, store: Store) -> list[Finding]:
    """What the store has to say of the facts; that it cannot be reached is a finding too."""
    domain = facts.domain
    try:
        entry = store.entry(domain)
    except AzureError as error:
        reason = " ".join(error.message.split())[:200]
        return [finding("store_unreachable", domain, f"the store cannot be reached: {reason}")]
    if entry.row is None and not entry.revisions:
        return [finding("row_missing", domain, f"the store has no row for {domain}")]
    findings = []
    status = compare(facts.txt, entry.revisions)
    if status.word == "older revision":
        findings.append(finding("id_old", domain, status.detail))
    elif status.word == "unknown id":
        findings.append(finding("id_unknown", domain, status.detail))
    if isinstance(entry.row, Row):
        texts = dict.fromkeys(each.text for _, each in facts.policy_host.counting if each.problem is None)
        words = (served_word(text, entry.known) for text in texts)
        findings += [finding("row_differs", domain, detail) for word, detail in words if word != "newest text"][:1]
    return findings


def _kept(checks: Iterable[Check], found: list[Check]) -> Iterator[Check]:
    for item in checks:
        found.append(item)
        yield item


def _watch(
    names: Callable[[], Sequence[str]],
    network: Callable[[], Network],
    store: Store | None,
    seconds: float,
) -> Iterator[Check]:
    """Check again and again; each check that says otherwise than the last one of its domain."""
    before: dict[str, Check] = {}
    while True:
        changed = [
            item
            for item in _check_all(names(), network(), store)
            if _essence(before.get(item.domain)) != _essence(item)
        ]
        for item in changed:
            before[item.domain] = item
            yield item
        time.sleep(seconds)


def _print_changes(changes: Iterator[Check], shape: Shape) -> None:
    """Print each as it comes; JSON in a line of its own, since the array would never end."""
    if shape in ("tsv", "csv"):
        print_rows(COLUMNS, map(cells, changes), shape)
    for item in changes:
        if shape == "json":
            print(item.model_dump_json(by_alias=True), flush=True)
        else:
            print_check(item)


def _essence(item: Check | None) -> object:
    """What counts as a change: words and codes, not the seconds in a sentence."""
    return item and (
        item.verdict,
        item.if_enforced,
        item.published,
        item.mail_hosts.state,
        item.result_type,
        item.mx,
        sorted(f.code for f in item.findings),
    )
