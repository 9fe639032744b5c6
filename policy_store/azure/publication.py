"""The same by hand: what records of domains come to in a zone of Azure DNS, and writing them as the operator.

First what would be written is decided, without a write; then each record is decided again and written.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from azure.core.exceptions import AzureError

from policy_store.azure.held import HeldRecords, TxtRecordSets
from policy_store.azure.zones import RecordChanged, ZoneError, ZoneThrottled
from policy_store.delegation import Left, Wanted, record_name, wanted
from policy_store.dns_records import REPORTS_NAME
from policy_store.life import removal_date
from policy_store.tables.entry import Entry
from policy_store.tables.row import InvalidRow
from policy_store.tables.store import Store, storage_problem
from policy_store.txt_records import StsRecord

type PublishState = Literal["publish", "published", "right", "wait", "delete", "deleted", "left", "failed"]

_SECONDS = 10.0  # of one request
_FEW = 10  # domains, whose records are looked up one by one and not with the whole zone


@dataclass(frozen=True, slots=True)
class Planned:
    """What becomes of the record of one domain, or where `domain` is empty of the one for reports.

    `name` is the full name, `before` what it holds, `text` what it has to hold, empty where it is to be deleted,
    `since` from when (UTC), `detail` why it is left or failed.
    """

    domain: str
    zone: str
    name: str
    state: PublishState
    before: tuple[str, ...] = ()
    text: str = ""
    since: datetime | None = None
    detail: str = ""


class Publication:
    """The records of domains in one zone. `name_of` a domain is the name of its record, relative to the zone; `reports`
    is the text of the one for reports that they share there, empty for none.

    `pause` waits for the seconds that Azure DNS asks for; `clock` counts seconds, `now` is the time in UTC. An id that
    counts only from when it was first seen, as that of an invalid row does, counts from when this was made.
    """

    def __init__(
        self,
        zone: TxtRecordSets,
        zone_name: str,
        store: Store,
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float],
        pause: Callable[[float], None],
        name_of: Callable[[str], str] = record_name,
        reports: str = "",
    ) -> None:
        self._held = HeldRecords(zone, clock)
        self._zone_name = zone_name
        self._store = store
        self._now = now
        self._pause = pause
        self._name_of = name_of
        self._reports = reports
        self._began = now()

    def plan(self, entries: Sequence[Entry]) -> list[Planned]:
        """What becomes of the record for reports, if there is to be one, and of each domain. Raises ZoneError where the
        zone cannot be looked at.
        """
        reports = [REPORTS_NAME] if self._reports else []
        if len(entries) <= _FEW:
            names = [*reports, *(self._name_of(entry.domain) for entry in entries)]
            self._patiently(lambda: self._held.look_at(names, _seconds))
        else:
            self._patiently(lambda: self._held.look(_seconds))
        return [*map(self._plan_reports, reports), *map(self._plan, entries)]

    def carry_out(self, planned: Planned) -> Planned:
        """What became of a domain whose record was to be published or deleted; others are returned as they are."""
        if planned.state not in ("publish", "delete"):
            return planned
        try:
            return self._patiently(lambda: self._delete(planned) if planned.state == "delete" else self._write(planned))
        except RecordChanged:
            return replace(planned, state="failed", detail="somebody changed the record meanwhile: try again")
        except ZoneError as error:
            return replace(planned, state="failed", detail=str(error))
        except AzureError as error:
            message, remedy = storage_problem(error)
            return replace(planned, state="failed", detail=f"{message}: {remedy}")

    def again(self, planned: Planned) -> Planned:
        """What becomes of a domain now, by what the tables hold now."""
        return self._plan(self._store.entry(planned.domain))

    def _plan_reports(self, name: str) -> Planned:
        state: PublishState = "right" if self._held.holds(name, self._reports) else "publish"
        before = self._held.texts(name)
        return Planned("", self._zone_name, f"{name}.{self._zone_name}", state, before, self._reports)

    def _plan(self, entry: Entry) -> Planned:
        name = self._name_of(entry.domain)
        want = self._wanted(entry)
        before = self._held.texts(name)
        planned = Planned(entry.domain, self._zone_name, f"{name}.{self._zone_name}", "right", before)
        if isinstance(want, Left):
            if want.reason == "no row" and entry.revisions and not entry.vanished:
                return self._plan_removed(entry, planned)
            remedy = ": run 'mta-sts audit'" if want.reason == "not recorded" else ""
            return replace(planned, state="left", detail=want.message + remedy)
        planned = replace(planned, text=want.text, since=want.since)
        if self._held.holds(name, want.text):
            return planned
        return replace(planned, state="wait" if want.since > self._now() else "publish")

    def _plan_removed(self, entry: Entry, planned: Planned) -> Planned:
        """What becomes of the record of a domain that was retired and whose row is gone: it goes from the same date on
        as the row (RFC 8461 section 8.3), unless somebody else published it.
        """
        if not planned.before:
            return planned
        if not set(planned.before) <= {StsRecord(revision.id).text for revision in entry.revisions}:
            return replace(planned, state="left", detail="it has no row, and its record was never published for it")
        due = removal_date(entry.revisions, self._store.fresh_seconds)
        if due is not None and due > self._now():
            return replace(planned, state="wait", since=due)
        return replace(planned, state="delete")

    def _write(self, planned: Planned) -> Planned:
        """Write one record, by what the tables hold now."""
        newest = planned
        if not planned.domain:
            done = self._held.publish(REPORTS_NAME, lambda: (self._reports, []), _seconds)
            return replace(planned, state="published" if done else "right")

        def decide() -> tuple[str, list[str]] | None:
            nonlocal newest
            entry = self._store.entry(planned.domain)
            newest = self._plan(entry)
            if newest.state != "publish":
                return None
            return newest.text, [StsRecord(revision.id).text for revision in entry.revisions]

        done = self._held.publish(self._name_of(planned.domain), decide, _seconds)
        return replace(newest, state="published", before=done.before) if done else newest

    def _delete(self, planned: Planned) -> Planned:
        newest = self.again(planned)
        if newest.state != "delete":
            return newest
        self._held.delete(self._name_of(planned.domain), _seconds)
        return replace(newest, state="deleted")

    def _wanted(self, entry: Entry) -> Wanted | Left:
        name = f"{self._name_of(entry.domain)}.{self._zone_name}"
        want = wanted(entry, name, self._store.fresh_seconds)
        if isinstance(want, Wanted) and isinstance(entry.row, InvalidRow):
            return replace(want, in_force=max(want.in_force, self._began))
        return want

    def _patiently[T](self, ask: Callable[[], T]) -> T:
        """Ask again as often as Azure DNS says that it takes no more requests for now."""
        while True:
            try:
                return ask()
            except ZoneThrottled as error:
                self._pause(error.seconds)


def _seconds() -> float:
    return _SECONDS
