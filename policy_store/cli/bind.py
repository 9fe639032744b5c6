"""The commands that bind the policy hosts of domains to the app in Azure, and remove them: bind, unbind."""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from policy_store.azure.az import Az, AzFailed, NoAz
from policy_store.azure.binding import VERIFICATION_ID, App, Plan, azure_dns, binding, unbinding
from policy_store.azure.runner import Binding, BindOutcome, Runner, look_up_all, outcomes
from policy_store.cli.command import app
from policy_store.cli.errors import PROBLEM, UNREACHABLE, CommandError
from policy_store.cli.options import (
    AllOption,
    DomainsArgument,
    JsonOption,
    ResolverOption,
    StoreOption,
    WhereOption,
    read_domain,
    read_domains,
    read_selection,
    refuse_together,
)
from policy_store.cli.screen import complain, print_json, progress, suggest
from policy_store.cli.session import delegation_zone, open_store, read_place
from policy_store.cli.session import lookup as open_lookup
from policy_store.dns_records import DnsRecord, records_to_delegate
from policy_store.names import policy_host, quoted

_THUMBPRINT = re.compile(r"[0-9A-F]{40}")

AppOption = Annotated[
    str,
    typer.Option("--app", metavar="NAME", help="The function app's name; else that of the store.", show_default=False),
]
GroupOption = Annotated[
    str,
    typer.Option(
        "--resource-group",
        "-g",
        metavar="NAME",
        help="The app's resource group; else that of the store.",
        show_default=False,
    ),
]
RunOption = Annotated[bool, typer.Option("--run", help="Run the commands with your own az instead of printing them.")]


@app.command("bind")
def bind(
    domains: DomainsArgument = None,
    app_name: AppOption = "",
    group: GroupOption = "",
    every: AllOption = False,
    where: WhereOption = None,
    run: RunOption = False,
    thumbprint: Annotated[
        str,
        typer.Option(
            metavar="SHA1",
            help="A certificate of your own that Azure has, instead of a free one; DNS leads to the app last.",
            show_default=False,
        ),
    ] = "",
    dns_group: Annotated[
        str,
        typer.Option(metavar="NAME", help="The zones are in Azure DNS, in this resource group: make the records too."),
    ] = "",
    zone: Annotated[
        str, typer.Option(metavar="ZONE", help="The DNS zone of the domains, if not each domain is a zone.")
    ] = "",
    app_host: Annotated[
        str, typer.Option(metavar="NAME", help="Without az: the app's default host name.", show_default=False)
    ] = "",
    verification_id: Annotated[
        str, typer.Option(metavar="ID", help="Without az: the text of the TXT record.", show_default=False)
    ] = "",
    plan: Annotated[Plan, typer.Option(metavar="dedicated|flex", help="Without az: the app's plan.")] = "dedicated",
    json: JsonOption = False,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """Bind mta-sts.DOMAIN to the app, with a free certificate or your own.

    Example: mta-sts bind contoso.com --app contoso-sts -g mta-sts

    Example: mta-sts bind --all --app contoso-sts -g mta-sts --dns-group dns --run
    """
    selection = read_selection(domains, every=every, where=where)
    app_name, group = _named_app(app_name, group, store)
    refuse_together(run=run, app_host=app_host)
    thumbprint = thumbprint.replace(":", "").upper()
    if thumbprint and not _THUMBPRINT.fullmatch(thumbprint):
        raise CommandError(f"--thumbprint {quoted(thumbprint)} is not the SHA-1 of a certificate, 40 hex digits.")
    if bool(app_host) != bool(verification_id):
        raise CommandError("--app-host and --verification-id go together.")
    if verification_id and not re.fullmatch(VERIFICATION_ID, verification_id):
        raise CommandError(
            f"--verification-id {quoted(verification_id)} is not a verification ID: that has letters and digits only."
        )
    if selection.named:
        names = list(selection.domains)
    else:
        names = [entry.domain for entry in selection.entries(open_store(store)) if entry.row]
    az = None if app_host else _open_az()
    if az is None:
        found = App(app_name, group, read_domain(app_host), verification_id, plan)
    else:
        found = _read_app(az, app_name, group)
    zone = read_domain(zone) if zone else ""
    lookup = open_lookup(resolver).resolver
    todos, room = [], found.room
    seen = progress(look_up_all(lookup, names), "Looking at DNS", len(names))
    for name, dns in zip(names, list(seen), strict=True):
        todo = binding(name, found, dns, thumbprint=thumbprint, zone=zone, room=room)
        todos.append(todo)
        room -= policy_host(name) not in found.bound and not todo.problems
    runner = Runner(az, lookup, dns_group) if run and az else None
    _tell(
        progress(outcomes(todos, runner), "Binding", len(todos)) if runner else outcomes(todos, None),
        "bound",
        dns_group,
        delegation_zone(store),
        json=json,
    )
    if run and not json:
        suggest("'mta-sts dns show' prints the TXT records to publish, and 'mta-sts check' shows what senders see.")


@app.command("unbind")
def unbind(
    domains: Annotated[list[str], typer.Argument(metavar="DOMAIN", help="The policy domains.", show_default=False)],
    app_name: AppOption = "",
    group: GroupOption = "",
    run: RunOption = False,
    force: Annotated[bool, typer.Option("--force", help="Even if senders may still use it.")] = False,
    json: JsonOption = False,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """Remove mta-sts.DOMAIN from the app, with its free certificate.

    Example: mta-sts unbind contoso.com --app contoso-sts -g mta-sts
    """
    app_name, group = _named_app(app_name, group, store)
    az, lookup, names = _open_az(), open_lookup(resolver).resolver, read_domains(domains)
    found = _read_app(az, app_name, group)
    seen = list(progress(look_up_all(lookup, names), "Looking at DNS", len(names)))
    todos = [unbinding(name, found, dns, force=force) for name, dns in zip(names, seen, strict=True)]
    _tell(outcomes(todos, Runner(az, lookup) if run else None), "unbound", json=json)


def _named_app(name: str, group: str, store: str) -> tuple[str, str]:
    """The app's name and its resource group, as given or as the store has them. Raises CommandError without them."""
    place = read_place(store)
    name, group = name or place.app, group or place.resource_group
    if not name or not group:
        raise CommandError(
            "Name the app with --app and --resource-group (-g), or write both into the file of your stores "
            "('mta-sts stores' says where it is)."
        )
    return name, group


def _open_az() -> Az:
    """The operator's Azure CLI. Raises CommandError if there is none on this machine."""
    try:
        return Az()
    except NoAz as error:
        raise CommandError(f"{error}.", UNREACHABLE) from error


def _read_app(az: Az, name: str, group: str) -> App:
    """The app as Azure has it. Raises CommandError if the Azure CLI cannot show it."""
    try:
        found = App.read(name, group, az.ask("functionapp", "show", "-g", group, "-n", name))
        return found.with_certificates(az.ask(*found.certificate_command("list")))
    except (AzFailed, ValueError) as error:
        raise CommandError(f"The app {quoted(name)} cannot be read: {error}.", UNREACHABLE) from error


def _tell(outcomes: Iterable[BindOutcome], word: str, dns_group: str = "", zone: str = "", *, json: bool) -> None:
    """Print each outcome as it comes, with the steps as a script for a shell. Raises typer.Exit if one is bad."""
    well = True

    def watched() -> Iterator[BindOutcome]:
        nonlocal well
        for outcome in outcomes:
            well = well and outcome.status in ("done", "to do")
            yield outcome

    if json:
        print_json(map(Binding.of, watched()))
    else:
        for outcome in watched():
            _print(outcome, word, dns_group, zone)
    if not well:
        raise typer.Exit(PROBLEM)


def _print(outcome: BindOutcome, word: str, dns_group: str, zone: str) -> None:
    todo = outcome.todo
    if outcome.problems:
        complain(f"{todo.domain} was not {word}: {'; '.join(outcome.problems)}.")
        return
    print(f"# {todo.domain}: {word if outcome.status == 'done' else outcome.status}")
    lines: list[str] = []
    if not dns_group:
        lines += _record_lines("publish first", todo.before)
    if outcome.status == "to do":
        for step in todo.steps:
            lines += (*(azure_dns(record, dns_group).text() for record in step.before if dns_group), step.text())
    if outcome.status in ("to do", "done"):
        if dns_group and todo.steps:
            lines += (azure_dns(record, dns_group).text() for record in todo.after)
        else:
            lines += _record_lines("publish now" if outcome.status == "done" else "publish last", todo.after)
        lines += _record_lines("remove", todo.obsolete)
    if zone:
        lines += _record_lines("set once", records_to_delegate(todo.domain, delegate=zone))
    print("\n".join(lines), end="\n" if lines else "", flush=True)


def _record_lines(what: str, records: Iterable[DnsRecord]) -> Iterator[str]:
    """The records as comments for whoever keeps the zone."""
    return (f"# {what}: {record.zone_line}" for record in records)
