"""The command `remove`: the row of a retired domain, and its record in the delegation zone, which the app may not
delete.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import typer
from azure.core.exceptions import AzureError

from policy_store.azure.publication import Publication
from policy_store.azure.zones import ZoneError
from policy_store.changes import operations
from policy_store.changes.change import Change, Planned, Reason, Unchanged
from policy_store.changes.many import attempt
from policy_store.cli import session
from policy_store.cli.changing import Changing
from policy_store.cli.command import app
from policy_store.cli.errors import PROBLEM
from policy_store.cli.options import (
    DomainArgument,
    DryRunOption,
    ForceOption,
    JsonOption,
    ReasonOption,
    StoreOption,
    YesOption,
    need_reason,
    read_domain,
)
from policy_store.cli.publish import delegation
from policy_store.delegation import record_name
from policy_store.tables.entry import Entry
from policy_store.tables.store import storage_problem
from policy_store.times import shown_due


@app.command("remove")
def remove(
    domain: DomainArgument,
    note: ReasonOption = "",
    force: ForceOption = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
    store: StoreOption = "",
) -> None:
    """Remove a retired domain, row and DNS record; its history stays.

    Example: mta-sts remove contoso.com
    """
    need_reason(force=force, note=note)
    name = read_domain(domain)
    desk = session.open_desk(store)

    def decide() -> Planned:
        return operations.remove(desk, desk.store.entry(name), why=note, force=force)

    publication = delegation(session.read_settings(store), desk.store) if desk.store.zone else None
    removing = _Removing(desk.store, "removed", dry_run=dry_run, yes=yes, json=json, publication=publication)
    removing.run([attempt(decide, name)])
    if removing.record_failed:
        raise typer.Exit(PROBLEM)


@dataclass
class _Removing(Changing):
    """Deletes the record after the row, since the app would publish it again while there is a row."""

    publication: Publication | None = None
    record_failed: bool = False

    def _outcomes(self, planned: Iterable[Planned]) -> Iterator[Planned]:
        for outcome in super()._outcomes(planned):
            forced = self.dry_run and isinstance(outcome, Change) and outcome.why  # its date comes with its revision
            if self.publication and isinstance(outcome, Change | Unchanged) and not forced:
                yield replace(outcome, reasons=tuple(self._record(self.publication, outcome.entry)))
            else:
                yield outcome

    def _record(self, publication: Publication, entry: Entry) -> Iterator[Reason]:
        """What becomes of the record once the row is gone."""
        name = f"its TXT record {record_name(entry.domain)}.{self.store.zone}"
        remedy = f"'mta-sts dns publish {entry.domain}' deletes it"
        try:
            entry = replace(entry, row=None) if self.dry_run else self.store.entry(entry.domain)
            (record,) = publication.plan([entry])
            record = record if self.dry_run else publication.carry_out(record)
        except (ZoneError, AzureError) as error:
            self.record_failed = True
            why = str(error) if isinstance(error, ZoneError) else storage_problem(error)[0]
            yield Reason("record_stays", f"{name} may still be there: {why}", remedy)
            return
        match record.state:
            case "delete" | "deleted":
                yield Reason("record_deleted", f"{name} {'would be' if self.dry_run else 'is'} deleted")
            case "wait" if record.since:
                until = shown_due(record.since)
                yield Reason("record_stays", f"{name} has to stay until {until}", f"{remedy} then")
            case "left" if record.before:
                yield Reason("record_stays", f"{name} is still there: {record.detail}")
            case "failed":
                self.record_failed = True
                yield Reason("record_stays", f"{name} is still there: {record.detail}", remedy)
