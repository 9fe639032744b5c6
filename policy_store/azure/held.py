"""What a zone is known to hold: looked at whole once an hour, and kept right by what is written in between."""

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from policy_store.azure.zones import RecordChanged, RecordRefused, TxtRecordSet, ZoneError, ZoneThrottled
from policy_store.delegation import MOST_RECORD_SETS

_LOOK_SECONDS = 3600.0
_NEARLY_FULL = 9 * MOST_RECORD_SETS // 10
_TRIES = 3  # where somebody else writes the same record

_log = logging.getLogger(__name__)


class TxtRecordSets(Protocol):
    """What is asked of a zone: see `zones.Zone`."""

    def page(self, token: str = "", *, seconds: float) -> tuple[list[TxtRecordSet], str]:
        """A page of the record sets, and the token of the next one."""

    def get(self, name: str, *, seconds: float) -> TxtRecordSet | None:
        """The record set of a name."""

    def put(self, name: str, text: str, etag: str | None, *, seconds: float) -> TxtRecordSet:
        """Replace or make the record set of a name, on condition."""

    def delete(self, name: str, etag: str, *, seconds: float) -> None:
        """Delete the record set of a name, on condition."""


@dataclass(frozen=True, slots=True)
class Published:
    """A record that was written: its name in the zone, the texts that were there before, and the one that is there now.

    `repaired` tells that what was there was no id of the domain's: somebody else had written it.
    """

    name: str
    before: tuple[str, ...]
    text: str
    repaired: bool


class HeldRecords:
    """The TXT record sets of `zone` as they were last seen; `clock` counts seconds.

    Every call gets a function that says how many seconds a request may take, and may raise what that raises.
    """

    def __init__(self, zone: TxtRecordSets, clock: Callable[[], float]) -> None:
        self._zone = zone
        self._clock = clock
        self._held: dict[str, TxtRecordSet] = {}
        self._look_after: float | None = None  # None before the first look has ended
        self._seen: dict[str, TxtRecordSet] = {}  # by a look that has not ended yet
        self._token = ""

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, name: str) -> bool:
        return name in self._held

    @property
    def look_is_due(self) -> bool:
        """Whether what is remembered is older than an hour, or is nothing yet."""
        return self._look_after is None or self._clock() >= self._look_after

    def texts(self, name: str) -> tuple[str, ...]:
        """What `name` is known to hold."""
        return self._held[name].texts if name in self._held else ()

    def holds(self, name: str, text: str) -> bool:
        """Whether `name` is known to hold exactly this record."""
        return name in self._held and self._held[name].holds(text)

    def look(self, seconds: Callable[[], float]) -> None:
        """Look at the whole zone, where that is due; a look that breaks off is gone on with by the next call.

        What is remembered serves on while a later look is throttled, since writing has a limit of its own. Raises
        ZoneError.
        """
        if not self.look_is_due:
            return
        try:
            while True:
                page, self._token = self._zone.page(self._token, seconds=seconds())
                self._seen.update((record_set.name, record_set) for record_set in page)
                if not self._token:
                    break
        except RecordRefused:  # the token is too old
            self._token, self._seen = "", {}
            raise
        except ZoneThrottled:
            if self._look_after is None:
                raise
            return
        self._held, self._seen = self._seen, {}
        self._look_after = self._clock() + _LOOK_SECONDS
        if len(self) >= _NEARLY_FULL:
            _log.warning(
                "the zone has %d TXT record sets, and a zone takes %d record sets: ask Azure support for more, or have "
                "further customers delegate to another zone",
                len(self),
                MOST_RECORD_SETS,
            )

    def look_at(self, names: Iterable[str], seconds: Callable[[], float]) -> None:
        """Look at these names alone, one request each. Raises ZoneError."""
        for name in names:
            found = self._zone.get(name, seconds=seconds())
            self._forget(name)
            if found is not None:
                self._remember(found)

    def publish(
        self,
        name: str,
        decide: Callable[[], tuple[str, Collection[str]] | None],
        seconds: Callable[[], float],
    ) -> Published | None:
        """Have `name` hold what `decide` says, with the texts that are known as the domain's own; None where it says
        that nothing is to be written, or where that is there.

        It is asked again where somebody else writes the record meanwhile. Raises ZoneError, and what `decide` raises.
        """
        for _ in range(_TRIES):
            decided = decide()
            if decided is None or self.holds(name, decided[0]):
                return None
            text, known = decided
            try:
                before = self._write(name, text, seconds)
            except RecordChanged:
                continue
            repaired = bool(before) and (len(before) > 1 or before[0] not in known or before[0] == text)
            return Published(name, before, text, repaired)
        raise ZoneError(f"somebody else keeps writing the record {name}: see who does")

    def delete(self, name: str, seconds: Callable[[], float]) -> None:
        """Delete the record set of `name`, if it is as it is remembered. Raises RecordChanged, ZoneError."""
        if name in self._held:
            self._zone.delete(name, self._held[name].etag, seconds=seconds())
            self._forget(name)

    def _write(self, name: str, text: str, seconds: Callable[[], float]) -> tuple[str, ...]:
        """Write the record on condition that it is as remembered; returns what it held before. Raises RecordChanged
        once what is there now is remembered.
        """
        before = self._held.get(name)
        wait = seconds()
        self._forget(name)  # a call that fails may have written all the same
        try:
            written = self._zone.put(name, text, before.etag if before else None, seconds=wait)
        except RecordChanged:
            found = self._zone.get(name, seconds=seconds())
            if found is not None:
                self._remember(found)
            raise
        self._remember(written)
        return before.texts if before else ()

    def _remember(self, record_set: TxtRecordSet) -> None:
        self._held[record_set.name] = record_set
        if self._token:
            self._seen[record_set.name] = record_set

    def _forget(self, name: str) -> None:
        self._held.pop(name, None)
        self._seen.pop(name, None)
