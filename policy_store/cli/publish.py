"""The command `dns publish`: what the app's timer does, by hand and as the operator; and for customers' own zones."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Self

import typer
from pydantic import BaseModel, ConfigDict, Field

from policy_store.azure.publication import Planned, Publication, PublishState
from policy_store.azure.zones import ZoneError, open_zone, zones_of
from policy_store.changes.brake import MANY
from policy_store.cli import session
from policy_store.cli.errors import PROBLEM, UNREACHABLE, WRONG_USE, CommandError
from policy_store.cli.options import (
    AllOption,
    DomainsArgument,
    DryRunOption,
    JsonOption,
    StoreOption,
    WhereOption,
    YesOption,
    read_selection,
)
from policy_store.cli.screen import complain, print_json, progress, say
from policy_store.delegation import record_name, shared_reports
from policy_store.tables.entry import Entry
from policy_store.tables.store import Store
from policy_store.times import shown_due
from policy_store.txt_records import RecordSyntaxError
from policy_store.zone_id import ZoneId

if TYPE_CHECKING:
    from policy_store.settings import Settings

_WORDS = {
    "publish": "would be published",
    "delete": "would be deleted",
    "published": "published",
    "deleted": "deleted",
    "right": "right already",
    "wait": "not due yet",
    "left": "left unchanged",
    "failed": "failed",
}


class PublishItem(BaseModel):
    """What became of the record of a domain; in a dry run, what would become of it."""

    model_config = ConfigDict(frozen=True)

    domain: str = Field(description="the policy domain; empty for the one record for reports in the delegation zone")
    zone: str = Field(description="the zone in Azure DNS; empty if none was found")
    name: str = Field(description="the full name of the record, without a final dot")
    state: PublishState = Field(
        description="`published` or `deleted`; `publish` or `delete` in a dry run; `right`, because nothing had to "
        "change; `wait`, because some worker may still serve an older policy, or some sender may still apply one; "
        "`left`; `failed`"
    )
    before: list[str] = Field(description="the TXT records that were there")
    value: str | None = Field(description="the TXT record that should be there; null if none should")
    not_before: datetime | None = Field(description="from when it may be published, or deleted")
    detail: str = Field(description="why it was left, or failed; else empty")

    @classmethod
    def of(cls, planned: Planned) -> Self:
        """What is said of `planned`."""
        return cls(
            domain=planned.domain,
            zone=planned.zone,
            name=planned.name,
            state=planned.state,
            before=list(planned.before),
            value=planned.text or None,
            not_before=planned.since,
            detail=planned.detail,
        )


def publish(
    domains: DomainsArgument = None,
    every: AllOption = False,
    where: WhereOption = None,
    subscription: Annotated[
        str,
        typer.Option(metavar="ID", help="Publish in the domains' own zones in Azure DNS, in this subscription."),
    ] = "",
    resource_group: Annotated[
        str, typer.Option("--resource-group", "-g", metavar="NAME", help="Only zones of this resource group.")
    ] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all of it is published.")] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    json: JsonOption = False,
    store: StoreOption = "",
) -> None:
    """Publish the ids in Azure DNS: in the delegation zone, or in the domains' own zones.

    Example: mta-sts dns publish contoso.com --wait

    Example: mta-sts dns publish --all --subscription 11111111-2222-3333-4444-555555555555 --dry-run
    """
    if resource_group and not subscription:
        raise CommandError("--resource-group is for the domains' own zones: give --subscription too.")
    if wait and dry_run:
        raise CommandError("--wait and --dry-run do not go together: give one of them.")
    selection = read_selection(domains, every=every, where=where)
    settings = session.read_settings(store)
    tables = session.open_store(store)
    entries = list(progress(selection.entries(tables), "reading", len(selection.domains) or None))
    if not entries:
        raise CommandError("No domain is selected: 'mta-sts list' shows what there is.", PROBLEM)
    plans, lost = _plans(entries, settings, tables, subscription, resource_group)
    changes = [planned for _, planned in plans if planned.state in ("publish", "delete")]
    counts: Counter[str] = Counter()
    if not dry_run:
        _brake(changes, yes=yes)
    outcomes = _outcomes(plans, lost, dry_run=dry_run, wait=wait)
    if json:
        print_json(PublishItem.of(_counted(planned, counts)) for planned in outcomes)
    else:
        for planned in outcomes:
            _tell(_counted(planned, counts))
        say(", ".join(f"{count} {_WORDS[state]}" for state, count in counts.most_common()))
    if counts["failed"] or counts["left"]:
        raise typer.Exit(PROBLEM)


type _Plans = list[tuple[Publication, Planned]]


def _plans(
    entries: list[Entry], settings: "Settings", store: Store, subscription: str, resource_group: str
) -> tuple[_Plans, list[Planned]]:
    """What becomes of each domain, with the zone that it is in, and the domains without a zone. Raises CommandError."""
    lost: list[Planned] = []
    try:
        if subscription:
            found, lost = _own_zones(entries, zones_of(subscription, settings, resource_group))
            places = [(_publication(zone, settings, store, _name_in(zone.name)), here) for zone, here in found]
        else:
            places = [(delegation(settings, store, _reports(settings)), entries)]
        plans = [(publication, planned) for publication, here in places for planned in publication.plan(here)]
    except ZoneError as error:
        raise CommandError(f"{error}.", UNREACHABLE) from error
    return plans, lost


def delegation(settings: "Settings", store: Store, reports: str = "") -> Publication:
    """The delegation zone that the settings name, as its operator. Raises CommandError where they name none."""
    try:
        zone = ZoneId.parse(settings.dns_zone)
    except ValueError as error:
        missing = "POLICY_DNS_ZONE is not set: there is no delegation zone. For the domains' own zones in Azure DNS"
        reason = f"POLICY_DNS_ZONE: {error}. For the domains' own zones" if settings.dns_zone else missing
        raise CommandError(f"{reason}, give --subscription.", WRONG_USE) from error
    return _publication(zone, settings, store, record_name, reports)


def _publication(
    zone: ZoneId, settings: "Settings", store: Store, name_of: Callable[[str], str], reports: str = ""
) -> Publication:
    return Publication(
        open_zone(zone, settings, operator=True),
        zone.name,
        store,
        now=session.now,
        clock=time.monotonic,
        pause=_pause,
        name_of=name_of,
        reports=reports,
    )


def _reports(settings: "Settings") -> str:
    """The record for reports that customers share. Raises CommandError for a wrong setting."""
    try:
        return shared_reports(settings.reports_record)
    except RecordSyntaxError as error:
        raise CommandError(f"POLICY_REPORTS_RECORD: {error}.") from error


def _own_zones(entries: list[Entry], known: Iterable[ZoneId]) -> tuple[list[tuple[ZoneId, list[Entry]]], list[Planned]]:
    """The zones with the domains that are in each, and the domains without one."""
    zones = {zone.name: zone for zone in known}
    found: dict[str, list[Entry]] = {}
    lost = []
    for entry in entries:
        labels = entry.domain.split(".")
        names = (".".join(labels[at:]) for at in range(len(labels)))
        name = next((name for name in names if name in zones), None)
        if name is None:
            detail = "no zone in Azure DNS that you may see holds it"
            lost.append(Planned(entry.domain, "", record_name(entry.domain), "left", detail=detail))
        else:
            found.setdefault(name, []).append(entry)
    return [(zones[name], here) for name, here in found.items()], lost


def _name_in(zone: str) -> Callable[[str], str]:
    """What names the record of a domain in its own zone, relative to that."""
    return lambda domain: f"{record_name(domain)}.".removesuffix(f".{zone}.")


def _outcomes(plans: _Plans, lost: Iterable[Planned], *, dry_run: bool, wait: bool) -> Iterator[Planned]:
    """What becomes of each domain as it ends."""
    yield from lost
    if dry_run:
        yield from (planned for _, planned in plans)
        return
    waiting: _Plans = []
    for publication, planned in plans:
        outcome = publication.carry_out(planned)
        if wait and outcome.state == "wait" and outcome.text:  # a record to delete may have to stay for weeks
            waiting.append((publication, outcome))
        else:
            yield outcome
    for publication, planned in waiting:
        outcome = planned
        while outcome.state == "wait" and outcome.since is not None:
            _wait_until(outcome.since)
            outcome = publication.carry_out(publication.again(outcome))
        yield outcome


def _brake(changes: list[Planned], *, yes: bool) -> None:
    """Have many writes confirmed. Raises CommandError."""
    if len(changes) <= MANY or yes:
        return
    zones = sorted({planned.zone for planned in changes})
    where = f"the zone {zones[0]}" if len(zones) == 1 else f"{len(zones)} zones"
    complain(f"This writes or deletes {len(changes)} TXT records in {where} of Azure DNS.")
    if not sys.stdin.isatty():
        raise CommandError("Nothing was changed: --yes goes ahead without asking.", WRONG_USE)
    print(f"Type {len(changes)} to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != str(len(changes)):
        raise CommandError("Nothing was changed.", PROBLEM)


def _counted(planned: Planned, counts: Counter[str]) -> Planned:
    counts[planned.state] += 1
    return planned


def _tell(planned: Planned) -> None:
    match planned.state:
        case "published" | "publish":
            word = "publish" if planned.state == "publish" else "published"
            say(f"{word} TXT {planned.name} {planned.text}")
        case "deleted" | "delete":
            say(f"{planned.state} TXT {planned.name}")
        case "wait" if planned.since:
            record = f"TXT {planned.name} {planned.text}".strip()
            done = "published" if planned.text else "deleted"
            say(f"{planned.domain}: {record} may be {done} from {shown_due(planned.since)} on")
        case "left" | "failed":
            complain(f"{planned.domain or planned.name}: {planned.detail}.")


def _pause(seconds: float) -> None:
    complain(f"Azure DNS takes no more requests for now: waiting for {seconds:.0f} s.")
    time.sleep(seconds)


def _wait_until(end: datetime) -> None:
    seconds = (end - session.now()).total_seconds()
    if seconds > 0:
        complain(f"Waiting until {shown_due(end)}, {seconds:.0f} s: until then some worker may serve an older policy.")
        time.sleep(seconds)
