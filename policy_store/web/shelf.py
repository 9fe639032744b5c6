"""What the store holds, read as a whole once and kept for a short time, so that 20,000 domains are looked through
without waiting. Nothing is decided by it: operations read the store itself.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from threading import Condition, Thread

from azure.core.exceptions import AzureError

from policy_store.changes.plan import Task, plan
from policy_store.changes.runs import Run, runs
from policy_store.changes.state import PolicyState, state_of
from policy_store.names import unicode_name
from policy_store.pool import ordered
from policy_store.tables.entry import Entry
from policy_store.tables.store import Store

_PATIENCE = 1.0  # seconds that a page waits for a new reading
_YOUNG = 5.0  # seconds that a reading counts as new
_REST = 10  # a reading that took long is not repeated before so many times that long
_FEW = 40  # domains that are read one by one after a change


@dataclass(frozen=True, slots=True)
class Line:
    """One domain in the table of all: its state, the name as people write it, and the text that is searched."""

    state: PolicyState
    name: str
    text: str

    @classmethod
    def of(cls, entry: Entry) -> "Line":
        """The line of an entry."""
        state = state_of(entry)
        name = unicode_name(state.domain)
        text = " ".join((state.domain, name, state.customer, state.note, *state.mx)).lower()
        return cls(state, name, text)


@dataclass(frozen=True)
class Reading:
    """The whole store at `time`, in the order of the domains."""

    time: datetime
    lines: Mapping[str, Line]
    entries: Mapping[str, Entry]
    fresh_seconds: float

    @cached_property
    def tasks(self) -> list[Task]:
        """What has to be done next, and when."""
        return plan(self.entries.values(), now=self.time, fresh_seconds=self.fresh_seconds)

    @cached_property
    def runs(self) -> list[Run]:
        """Everybody's changes, the newest first."""
        return runs(self.entries.values())

    def customers(self) -> list[str]:
        """Every customer that a domain names, in order."""
        return sorted({line.state.customer for line in self.lines.values()} - {""}, key=str.casefold)


class Shelf:
    """Holds the newest reading; a page that finds it old starts a new one, and waits for it a moment."""

    def __init__(self, store: Callable[[], Store], now: Callable[[], datetime]) -> None:
        self._store, self._now = store, now
        self._condition = Condition()
        self._reading: Reading | None = None
        self._error: AzureError | None = None
        self._running = self._again = False
        self._ended = -1e9  # of the monotonic clock
        self._took = 0.0
        self.seen = 0  # domains that the present reading has come to

    def reading(self) -> Reading | None:
        """The newest reading, None while the first one goes on. Raises the AzureError that ended it."""
        with self._condition:
            age = time.monotonic() - self._ended
            if self._again or age > max(_YOUNG, _REST * self._took):
                self._start()
            if self._running and not (self._reading is not None and self._took > _PATIENCE):
                self._condition.wait_for(lambda: not self._running, _PATIENCE)
            if self._reading is None and self._error is not None and not self._running:
                raise self._error
            return self._reading

    def read_again(self) -> None:
        """Begin a new reading, whatever the age of the last one."""
        with self._condition:
            self._again = True
            self._start()

    def changed(self, domains: Iterable[str]) -> None:
        """Read these domains again: an operation changed them. Raises an AzureError."""
        names = list(domains)
        if len(names) > _FEW or self._reading is None:
            self.read_again()
            return
        store = self._store()
        found = list(ordered(store.entry, names))
        with self._condition:
            if self._running:  # it may have passed them already
                self._again = True
            if self._reading is not None:
                self._reading = _with(self._reading, found, self._now())

    def _start(self) -> None:
        """Start a reading unless one is under way; the condition is held."""
        if not self._running:
            self._running, self._again, self.seen = True, False, 0
            Thread(target=self._read, name="reading the store", daemon=True).start()

    def _read(self) -> None:
        start, reading, failed = time.monotonic(), None, None
        try:
            store, now = self._store(), self._now()
            entries: dict[str, Entry] = {}
            for entry in store.entries():
                entries[entry.domain] = entry
                self.seen = len(entries)
            lines = {
                domain: Line.of(entry)
                for domain, entry in entries.items()
                if entry.row or entry.unreachable or entry.vanished
            }
            reading = Reading(now, lines, entries, store.fresh_seconds)
        except AzureError as error:
            failed = error
        finally:
            with self._condition:
                self._running, self._error = False, failed
                self._reading = reading or self._reading
                self._ended = time.monotonic()
                self._took = self._ended - start
                self._condition.notify_all()


def _with(reading: Reading, found: Iterable[Entry], now: datetime) -> Reading:
    """The reading with these entries in place of what it has of their domains."""
    entries, lines = dict(reading.entries), dict(reading.lines)
    for entry in found:
        entries[entry.domain] = entry
        if entry.row or entry.unreachable or entry.vanished:
            lines[entry.domain] = Line.of(entry)
        else:
            lines.pop(entry.domain, None)
    return Reading(now, dict(sorted(lines.items())), dict(sorted(entries.items())), reading.fresh_seconds)
