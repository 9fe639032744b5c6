"""The command check: a domain as a sending server sees it, one domain or thousands."""

import asyncio
import socket
import ssl
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from azure.core.exceptions import AzureError
from rich.padding import Padding
from rich.text import Text

from policy_store.cli.command import app
from policy_store.cli.errors import PROBLEM, CommandError
from policy_store.cli.lint import print_findings
from policy_store.cli.options import JsonOption, ResolverOption, StoreOption, read_domain
from policy_store.cli.screen import print_json, print_table, printer, progress
from policy_store.cli.session import lookup, open_store
from policy_store.exchange.sources import together
from policy_store.lint.findings import Finding
from policy_store.policy import LARGEST_TEXT
from policy_store.pool import concurrently
from policy_store.sender.facts import Facts
from policy_store.sender.gather import Network, gather
from policy_store.sender.published import compare, served_word
from policy_store.sender.report import Check, finding, report
from policy_store.sender.tls import strict_context
from policy_store.sender.verdict import Word
from policy_store.settings import SettingsError
from policy_store.tables.row import Row
from policy_store.tables.store import Store

_AT_ONCE = 50  # domains, each with a few questions to DNS at a time
_MINUTE = 60.0
_WORST_FIRST: tuple[Word, ...] = ("deferred", "unprotected", "unknown", "verified")
_STYLES: dict[Word, str] = {"deferred": "bold red", "unprotected": "yellow", "unknown": "cyan", "verified": "green"}
_MEANING: dict[Word, str] = {
    "verified": "a message goes to a verified host over TLS, or not at all",
    "unprotected": "a message is delivered, but nothing stops an attacker on the way",
    "deferred": "no MX host passes: a message waits, and bounces after some days",
    "unknown": "cannot be told from here",
}
_EXCHANGE = {"5.4.8": "5.4.8 (4.4.8 while it retries)", "5.7.5": "5.7.5 (4.7.5 while it retries)"}


@dataclass(frozen=True, slots=True)
class _Limits:
    """The limits in seconds and octets that the options set."""

    dns: float
    https: float
    smtp: float
    text: int


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
        float, typer.Option(metavar="MINUTES", min=0, help="Check again so often and print changes only.")
    ] = 0,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a JUnit report for a pipeline.", show_default=False)
    ] = None,
    https_port: Annotated[int, typer.Option(min=1, max=65535, help="The policy hosts' port.")] = 443,
    smtp_port: Annotated[int, typer.Option(min=1, max=65535, help="The MX hosts' port.")] = 25,
    ca_file: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Authorities to trust besides the system's.", show_default=False)
    ] = None,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Ask addresses of private networks too.")
    ] = False,
    dns_seconds: Annotated[float, typer.Option(min=0.1, help="How long a DNS answer may take.")] = 5,
    https_seconds: Annotated[float, typer.Option(min=0.1, help="How long the policy may take.")] = 60,
    smtp_seconds: Annotated[float, typer.Option(min=0.1, help="How long an SMTP step may take.")] = 10,
    text_limit: Annotated[int, typer.Option(min=1, help="How many octets of the policy are read.")] = LARGEST_TEXT,
    json: JsonOption = False,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """Walk the way of a sending server: what becomes of a message to a domain, and why.

    Example: mta-sts check contoso.com
    """
    tables = _store(store, needed=every)
    names = _names(domains or (), file, every, tables)
    limits = _Limits(dns_seconds, https_seconds, smtp_seconds, text_limit)

    def network() -> Network:
        return Network(
            lookup(resolver, limits.dns).resolver,
            _context(ca_file),
            socket.gethostname(),
            https_port,
            smtp_port,
            limits.https,
            limits.smtp,
            limits.text,
            allow_private,
        )

    if watch:
        _watch(names, network, tables, watch * _MINUTE, json=json)
    found: list[Check] = []
    checks = progress(_check_all(names, network(), tables), "Checking", len(names))
    if json:
        print_json(_kept(checks, found))
    else:
        found += checks
        for item in sorted(found, key=lambda item: _WORST_FIRST.index(item.verdict)):
            _print(item)
    if junit is not None:
        _write_junit(found, junit)
    if any(map(_is_bad, found)):
        raise typer.Exit(PROBLEM)


def _store(store: str, *, needed: bool) -> Store | None:
    """The store to compare with; none where no settings name one and none is needed."""
    try:
        return open_store(store)
    except SettingsError:
        if needed or store:
            raise
        return None


def _names(domains: Sequence[str], file: str, every: bool, store: Store | None) -> list[str]:
    """The domains to check, each once. Raises CommandError."""
    texts = list(domains)
    if file:
        found = together([file])
        if wrong := [problem for proposal in found for problem in proposal.sentences]:
            raise CommandError("\n".join(wrong))
        texts += [proposal.domain for proposal in found if proposal.domain]
    names = [read_domain(text) for text in texts]
    if every and store is not None:
        names += store.domains()
    if not names and not every:
        raise CommandError("Name the domains, or give --all or --file.")
    return list(dict.fromkeys(names))


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return strict_context(str(ca_file) if ca_file else None)
    except OSError as error:
        raise CommandError(f"--ca-file {ca_file} holds no certificates in PEM: {error.strerror}.") from error


def _check_all(names: Sequence[str], network: Network, store: Store | None) -> Iterator[Check]:
    async def one(domain: str) -> Check:
        facts = await gather(domain, network)
        more = await asyncio.to_thread(_compare, facts, store) if store else []
        return report(facts, more)

    return concurrently(one, names, _AT_ONCE)


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
    fetched = facts.policy_host.fetched
    if fetched is not None and fetched.problem is None and isinstance(entry.row, Row):
        word, detail = served_word(fetched.text, entry.known)
        if word != "newest text":
            findings.append(finding("row_differs", domain, detail))
    return findings


def _kept(checks: Iterable[Check], found: list[Check]) -> Iterator[Check]:
    for item in checks:
        found.append(item)
        yield item


def _watch(
    names: Sequence[str], network: Callable[[], Network], store: Store | None, seconds: float, *, json: bool
) -> None:
    """Check again and again, and print each check that says otherwise than the last one."""
    before: dict[str, Check] = {}
    while True:
        changed = [
            item for item in _check_all(names, network(), store) if _essence(before.get(item.domain)) != _essence(item)
        ]
        for item in changed:
            before[item.domain] = item
            if json:
                print(item.model_dump_json(by_alias=True), flush=True)
            else:
                _print(item)
        time.sleep(seconds)


def _essence(item: Check | None) -> object:
    """What counts as a change: words and codes, not the seconds in a sentence."""
    return item and (item.verdict, item.if_enforced, item.result_type, item.mx, sorted(f.code for f in item.findings))


def _is_bad(item: Check) -> bool:
    return item.verdict == "deferred" or any(found.severity == "error" for found in item.findings)


def _print(item: Check) -> None:
    """One domain for people: the verdict, the MX hosts, the findings with their remedies."""
    console = printer()
    enforced = "" if item.if_enforced == item.verdict else f" (if enforced: {item.if_enforced})"
    console.print(Text.assemble((item.domain, "bold"), ": ", (item.verdict, _STYLES[item.verdict]), enforced))
    console.print(Padding(Text(_MEANING[item.verdict]), (0, 0, 0, 2)))
    if item.result_type:
        console.print(Padding(Text(f"a report would say {item.result_type}"), (0, 0, 0, 2)))
    if item.reports_to:
        here = "an app such as this takes them" if item.reports_posted_here else "none is posted to an app such as this"
        console.print(Padding(Text(f"reports go to {', '.join(item.reports_to)}: {here}"), (0, 0, 0, 2)))
    if item.mx:
        rows = [
            (mx.host, mx.verdict, mx.if_enforced, _EXCHANGE.get(mx.exchange_code or "", ""), mx.result_type or "")
            for mx in item.mx
        ]
        print_table(("MX host", "verdict", "enforced", "Exchange", "report"), rows)
    print_findings(item.findings, title=False)
    console.print()


def _write_junit(found: Sequence[Check], path: Path) -> None:
    """A test case for each domain; one that is deferred or has an error is a failure."""
    suite = ET.Element("testsuite", name="mta-sts check", tests=str(len(found)), failures=str(sum(map(_is_bad, found))))
    for item in found:
        case = ET.SubElement(suite, "testcase", classname="mta-sts", name=item.domain)
        lines = [f"{found.severity} {found.code}: {found.message}" for found in item.findings]
        if _is_bad(item):
            ET.SubElement(case, "failure", message=f"{item.verdict}: {_MEANING[item.verdict]}").text = "\n".join(lines)
        else:
            ET.SubElement(case, "system-out").text = "\n".join(lines)
    try:
        ET.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
