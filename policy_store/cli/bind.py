"""The commands that bind the policy hosts of domains to the app in Azure, and take them from it: bind, unbind."""

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal, Self

import typer
from pydantic import BaseModel, ConfigDict, Field

from policy_store.azure.az import Az, AzFailed
from policy_store.azure.binding import (
    VERIFICATION_ID,
    App,
    HostDns,
    Plan,
    Todo,
    azure_dns,
    binding,
    look_up,
    unbinding,
)
from policy_store.changes.write import domains_with_rows
from policy_store.cli.command import (
    PROBLEM,
    UNREACHABLE,
    CommandError,
    JsonOption,
    ResolverOption,
    StoreOption,
    app,
    complain,
    open_store,
    print_json,
    progress,
    read_domain,
    read_domains,
)
from policy_store.cli.dns import DnsItem
from policy_store.dns_records import DnsRecord
from policy_store.names import policy_host, quoted
from policy_store.pool import concurrently
from policy_store.sender.dns import LookupFailed, Resolver
from policy_store.sender.lookup import Lookup

_AT_ONCE = 50  # domains, each with a few questions to DNS
_PAUSE = 10  # seconds between two looks at what takes a while
_DNS_SECONDS = 300
_CERTIFICATE_SECONDS = 600
_THUMBPRINT = re.compile(r"[0-9A-F]{40}")

type Status = Literal["done", "to do", "refused", "waits for DNS", "failed"]

AppOption = Annotated[str, typer.Option("--app", metavar="NAME", help="The function app's name.", show_default=False)]
GroupOption = Annotated[
    str, typer.Option("--resource-group", "-g", metavar="NAME", help="The app's resource group.", show_default=False)
]
RunOption = Annotated[bool, typer.Option("--run", help="Run the commands, by your own az, in place of printing them.")]


class Binding(BaseModel):
    """What `bind` and `unbind` say of a domain."""

    model_config = ConfigDict(frozen=True)

    domain: str = Field(description="the policy domain")
    host: str = Field(description="the policy host, `mta-sts.` and the domain")
    status: Status = Field(
        description="`done`, now or before; `to do`; `refused`; `waits for DNS`, for the records to publish first; "
        "`failed`, at one of the commands"
    )
    records_first: list[DnsItem] = Field(description="the records that must be in DNS before the commands")
    commands: list[str] = Field(description="the commands of the Azure CLI, for a shell; empty where all is done")
    records_last: list[DnsItem] = Field(description="the records to publish after the commands")
    records_to_remove: list[DnsItem] = Field(description="the records that nothing needs after the commands")
    problems: list[str] = Field(description="why it was refused or failed")

    @classmethod
    def of(cls, outcome: "_Outcome") -> Self:
        """What is said of this outcome."""
        todo = outcome.todo
        return cls(
            domain=todo.domain,
            host=policy_host(todo.domain),
            status=outcome.status,
            records_first=list(map(DnsItem.of, todo.before)),
            commands=[step.text() for step in todo.steps],
            records_last=list(map(DnsItem.of, todo.after)),
            records_to_remove=list(map(DnsItem.of, todo.obsolete)),
            problems=list(outcome.problems),
        )


@app.command()
def bind(
    app_name: AppOption,
    group: GroupOption,
    domains: Annotated[
        list[str] | None, typer.Argument(metavar="DOMAIN", help="The policy domains.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every domain of the store.")] = False,
    run: RunOption = False,
    thumbprint: Annotated[
        str,
        typer.Option(
            metavar="SHA1",
            help="A certificate of your own that Azure has, in place of a free one; DNS leads to the app last.",
            show_default=False,
        ),
    ] = "",
    dns_group: Annotated[
        str,
        typer.Option(metavar="NAME", help="The zones are in Azure DNS, in this resource group: make the records too."),
    ] = "",
    zone: Annotated[
        str, typer.Option(metavar="ZONE", help="The DNS zone that holds the domains, where not each is its own.")
    ] = "",
    app_host: Annotated[
        str, typer.Option(metavar="NAME", help="Without az: the app's default host name.", show_default=False)
    ] = "",
    verification_id: Annotated[
        str, typer.Option(metavar="ID", help="Without az: what the TXT record shows.", show_default=False)
    ] = "",
    plan: Annotated[Plan, typer.Option(metavar="dedicated|flex", help="Without az: the app's plan.")] = "dedicated",
    json: JsonOption = False,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """Bind mta-sts.DOMAIN to the app, with a free certificate or your own: print what is left to do, or run it.

    Example: mta-sts bind contoso.com --app contoso-sts -g mta-sts

    Example: mta-sts bind --all --app contoso-sts -g mta-sts --dns-group dns --run
    """
    if bool(domains) == every:
        raise CommandError("Name the domains, or give --all; not both, not neither.")
    thumbprint = thumbprint.replace(":", "").upper()
    if thumbprint and not _THUMBPRINT.fullmatch(thumbprint):
        raise CommandError(f"--thumbprint {quoted(thumbprint)} is not the SHA-1 of a certificate, 40 hex digits.")
    if bool(app_host) != bool(verification_id):
        raise CommandError("--app-host and --verification-id go together.")
    if verification_id and not re.fullmatch(VERIFICATION_ID, verification_id):
        raise CommandError(f"--verification-id {quoted(verification_id)} is none: it has letters and digits only.")
    names = read_domains(domains) if domains else domains_with_rows(open_store(store))
    az = None if app_host and not run else Az()
    if az is None:
        found = App(app_name, group, read_domain(app_host), verification_id, plan)
    else:
        found = _read_app(az, app_name, group)
    zone = read_domain(zone) if zone else ""
    lookup = Lookup(resolver).resolver
    todos, room = [], found.room
    for name, dns in _look_up(lookup, names):
        todo = binding(name, found, dns, thumbprint=thumbprint, zone=zone, room=room)
        todos.append(todo)
        room -= policy_host(name) not in found.bound and not todo.problems
    _tell(_outcomes(todos, _Runner(az, lookup, dns_group) if run and az else None), "bound", dns_group, json=json)


@app.command()
def unbind(
    domains: Annotated[list[str], typer.Argument(metavar="DOMAIN", help="The policy domains.", show_default=False)],
    app_name: AppOption,
    group: GroupOption,
    run: RunOption = False,
    force: Annotated[bool, typer.Option("--force", help="Although senders may still come to it.")] = False,
    json: JsonOption = False,
    resolver: ResolverOption = "",
) -> None:
    """Take mta-sts.DOMAIN from the app, with its free certificate: print what is left to do, or run it.

    Example: mta-sts unbind contoso.com --app contoso-sts -g mta-sts
    """
    az, lookup = Az(), Lookup(resolver).resolver
    found = _read_app(az, app_name, group)
    todos = [unbinding(name, found, dns, force=force) for name, dns in _look_up(lookup, read_domains(domains))]
    _tell(_outcomes(todos, _Runner(az, lookup) if run else None), "unbound", json=json)


def _read_app(az: Az, name: str, group: str) -> App:
    """The app as Azure has it. Raises CommandError where the Azure CLI cannot say."""
    try:
        found = App.read(name, group, az.ask("functionapp", "show", "-g", group, "-n", name))
        return found.with_certificates(az.ask(*found.certificate_command("list")))
    except (AzFailed, ValueError) as error:
        raise CommandError(f"The app {quoted(name)} cannot be looked at: {error}.", UNREACHABLE) from error


def _look_up(resolver: Resolver, names: Sequence[str]) -> Iterable[tuple[str, HostDns]]:
    """What DNS says of each policy host: all of them at once, since the commands after it take minutes."""
    found = concurrently(lambda name: look_up(resolver, name), names, _AT_ONCE)
    return zip(names, list(progress(found, "Looking at DNS", len(names))), strict=True)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one domain, or would."""

    todo: Todo
    status: Status
    problems: tuple[str, ...] = ()


def _planned(todo: Todo) -> _Outcome:
    """What would become of it."""
    if todo.problems:
        return _Outcome(todo, "refused", todo.problems)
    return _Outcome(todo, "to do" if todo.before or todo.steps or todo.after else "done")


@dataclass(frozen=True, slots=True)
class _Runner:
    """Does what is left to do for a domain, one step after the other; what ended early goes on with the next run."""

    az: Az
    resolver: Resolver
    dns_group: str = ""

    def run(self, todo: Todo) -> _Outcome:
        """Do it, or as much of it as can be done now."""
        if todo.problems:
            return _Outcome(todo, "refused", todo.problems)
        if todo.before and not self.dns_group:
            return _Outcome(todo, "waits for DNS")
        try:
            for step in todo.steps:
                self._publish(step.before)
                self.az.ask(*step.with_thumbprint(self._thumbprint(step.certificate)))
            if todo.steps:  # else DNS may lead elsewhere on purpose, as to a proxy
                self._publish(todo.after)
        except AzFailed as error:
            return _Outcome(todo, "failed", (str(error),))
        published = self.dns_group and todo.steps
        return _Outcome(replace(todo, steps=(), after=() if published else todo.after), "done")

    def _publish(self, records: Sequence[DnsRecord]) -> None:
        """Make the records where the zones are in Azure DNS, and wait until they are seen. Raises AzFailed."""
        if not self.dns_group:
            return
        for record in records:
            self.az.ask(*azure_dns(record, self.dns_group).words)
        for record in records:
            if not _wait(partial(self._shows, record), _DNS_SECONDS):
                raise AzFailed(f"DNS does not show {record.name} yet: run this again in some minutes")

    def _shows(self, record: DnsRecord) -> bool:
        try:
            if record.type == "CNAME":
                return asyncio.run(self.resolver.cname(record.name)) == record.value
            return record.value in asyncio.run(self.resolver.txt(record.name))
        except LookupFailed:
            return False

    def _thumbprint(self, show: Sequence[str]) -> str:
        """The thumbprint of a certificate that is being issued, which takes minutes. Raises AzFailed."""
        if not show:
            return ""
        if thumbprint := _wait(partial(self._issued, show), _CERTIFICATE_SECONDS):
            return thumbprint
        raise AzFailed("the certificate is not issued yet: run this again in some minutes")

    def _issued(self, show: Sequence[str]) -> str:
        try:
            return str(self.az.ask(*show) or "")
        except AzFailed as error:
            if "notfound" in str(error).lower().replace(" ", ""):  # as it is before it is issued
                return ""
            raise


def _outcomes(todos: Sequence[Todo], runner: _Runner | None) -> Iterator[_Outcome]:
    """What becomes of each domain, one after the other, since Azure takes one change of an app at a time."""
    if runner is None:
        yield from map(_planned, todos)
    else:
        yield from map(runner.run, progress(todos, "Binding"))


def _wait[T](look: Callable[[], T], seconds: float) -> T:
    """What `look` finds as soon as it finds something, at the latest after so many seconds."""
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        time.sleep(_PAUSE)
    return found


def _tell(outcomes: Iterable[_Outcome], word: str, dns_group: str = "", *, json: bool) -> None:
    """Print each outcome as it comes: what is to do as a script for a shell. Raises typer.Exit where one is bad."""
    well = True

    def watched() -> Iterator[_Outcome]:
        nonlocal well
        for outcome in outcomes:
            well = well and outcome.status in ("done", "to do")
            yield outcome

    if json:
        print_json(map(Binding.of, watched()))
    else:
        for outcome in watched():
            _print(outcome, word, dns_group)
    if not well:
        raise typer.Exit(PROBLEM)


def _print(outcome: _Outcome, word: str, dns_group: str) -> None:
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
    print("\n".join(lines), end="\n" if lines else "", flush=True)


def _record_lines(what: str, records: Iterable[DnsRecord]) -> Iterator[str]:
    """The records as comments for whoever keeps the zone."""
    return (f"# {what}: {record.zone_line}" for record in records)
