"""What the store holds, read as a whole once and kept for a short time, so that 20,000 domains are looked through
without waiting. Nothing is decided by it: operations read the store itself.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from threading import Condition, Thread

from azure.core.exceptions import AzureError

from policy_store.audit import is_audit
from policy_store.changes.plan import Task, in_order, tasks_of
from policy_store.changes.runs import Run, runs
from policy_store.changes.state import PolicyState, state_of
from policy_store.names import unicode_name
from policy_store.pool import ordered
from policy_store.tables.entry import Entry
from policy_store.tables.report_row import ReportRow
from policy_store.tables.row import Row
from policy_store.tables.store import Store
from policy_store.tlsrpt.case import LOOK_BACK
from policy_store.tlsrpt.overview import ReportState, recent_rows
from policy_store.tlsrpt.overview import state_of as state_of_reports
from policy_store.tlsrpt.summary import Sessions, by_domain, sessions

_PATIENCE = 1.0  # seconds that a page waits for a new reading
_YOUNG = 5.0  # seconds that a reading counts as new
_REST = 10  # a reading that took long is not repeated before so many times that long
_FEW = 10  # domains that are read one by one after a change


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


@dataclass(frozen=True, slots=True)
class Reported:
    """What senders reported of one domain lately: the state as `reports list` has it, and the sessions by day."""

    state: ReportState
    days: Mapping[date, Sessions]

    @classmethod
    def of(cls, entry: Entry, rows: Sequence[ReportRow], now: datetime, fresh_seconds: float) -> "Reported":
        """What the rows of a domain say."""
        state = state_of_reports(entry.domain, entry, rows, now, fresh_seconds, LOOK_BACK)
        by_day: dict[date, list[ReportRow]] = {}
        for row in rows:
            by_day.setdefault(row.day, []).append(row)
        return cls(state, {day: sessions(found) for day, found in by_day.items()})


@dataclass(frozen=True)
class Reading:
    """The whole store at `time`, in the order of the domains. `todo` has the tasks of each domain, `reported` those
    that senders reported of; it is None where nobody receives reports.
    """

    time: datetime
    lines: Mapping[str, Line]
    entries: Mapping[str, Entry]
    todo: Mapping[str, Sequence[Task]]
    reported: Mapping[str, Reported] | None

    @cached_property
    def tasks(self) -> list[Task]:
        """What has to be done next, and when."""
        return in_order(task for tasks in self.todo.values() for task in tasks)

    @cached_property
    def runs(self) -> list[Run]:
        """Everybody's changes, the newest first."""
        return runs(self.entries.values())

    @cached_property
    def recorded(self) -> datetime | None:
        """When an edit by hand was recorded last; None where none was."""
        found = (one for entry in self.entries.values() for one in entry.revisions if is_audit(one.by))
        return max((one.since for one in found), default=None)

    @cached_property
    def waiting(self) -> int:
        """How many edits by hand are not recorded yet."""
        return sum(isinstance(entry.row, Row) and not entry.recorded for entry in self.entries.values())

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
        store, now = self._store(), self._now()

        def look(name: str) -> tuple[Entry, Sequence[ReportRow] | None]:
            rows = recent_rows(store.reports, now, name)
            return store.entry(name), None if rows is None else tuple(rows)

        found = list(ordered(look, names))
        with self._condition:
            if self._running:  # it may have passed them already
                self._again = True
            if self._reading is not None:
                gathered = _Gathered.after(self._reading, now, store.fresh_seconds)
                for entry, rows in found:
                    gathered.take(entry, rows or ())
                self._reading = gathered.reading()

    def _start(self) -> None:
        """Start a reading unless one is under way; the condition is held."""
        if not self._running:
            self._running, self._again, self.seen = True, False, 0
            Thread(target=self._read, name="reading the store", daemon=True).start()

    def _read(self) -> None:
        start, reading, failed = time.monotonic(), None, None
        try:
            store, now = self._store(), self._now()
            rows = recent_rows(store.reports, now)
            gathered = _Gathered(now, store.fresh_seconds, receives=rows is not None)
            for _, entry, found in by_domain(store.entries(), rows or ()):
                if entry is not None:
                    gathered.take(entry, found)
                    self.seen = len(gathered.entries)
            reading = gathered.reading()
        except AzureError as error:
            failed = error
        finally:
            with self._condition:
                self._running, self._error = False, failed
                self._reading = reading or self._reading
                self._ended = time.monotonic()
                self._took = self._ended - start
                self._condition.notify_all()


class _Gathered:
    """What becomes a reading, domain by domain."""

    def __init__(self, now: datetime, fresh_seconds: float, *, receives: bool) -> None:
        self._now, self._fresh_seconds, self._receives = now, fresh_seconds, receives
        self.entries: dict[str, Entry] = {}
        self._lines: dict[str, Line] = {}
        self._todo: dict[str, Sequence[Task]] = {}
        self._reported: dict[str, Reported] = {}

    @classmethod
    def after(cls, reading: Reading, now: datetime, fresh_seconds: float) -> "_Gathered":
        """What the reading has, to be changed in some domains."""
        made = cls(now, fresh_seconds, receives=reading.reported is not None)
        made.entries, made._lines, made._todo = dict(reading.entries), dict(reading.lines), dict(reading.todo)
        made._reported = dict(reading.reported or {})
        return made

    def take(self, entry: Entry, rows: Sequence[ReportRow]) -> None:
        """Put in one domain, in place of what is there of it."""
        domain = entry.domain
        self.entries[domain] = entry
        if entry.row or entry.unreachable or entry.vanished:
            self._lines[domain] = Line.of(entry)
        else:
            self._lines.pop(domain, None)
        reports = rows if self._receives else None
        self._todo[domain] = tuple(tasks_of(entry, reports, now=self._now, fresh_seconds=self._fresh_seconds))
        if rows:
            self._reported[domain] = Reported.of(entry, rows, self._now, self._fresh_seconds)

    def reading(self) -> Reading:
        """The reading, in the order of the domains."""
        return Reading(
            self._now,
            dict(sorted(self._lines.items())),
            dict(sorted(self.entries.items())),
            self._todo,
            self._reported if self._receives else None,
        )
