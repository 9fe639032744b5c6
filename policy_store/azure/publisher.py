"""Publishes the ids of all domains in the provider's zone: what differs from what the zone is known to hold.

Each record is decided again from both tables right before it is written. What the zone held is remembered and looked at
again once an hour, so that nothing is asked of Azure DNS as long as nothing has to be published. A run takes the
seconds that it is given; where it stops, the next one goes on.
"""

import logging
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial

from azure.core.exceptions import AzureError

from policy_store.azure.held import HeldRecords, Published, TxtRecordSets
from policy_store.azure.zones import (
    RecordRefused,
    ZoneError,
    ZoneForbidden,
    ZoneThrottled,
    open_zone,
)
from policy_store.delegation import MOST_RECORD_SETS, Left, Wanted, record_name, shared_reports, wanted
from policy_store.dns_records import REPORTS_NAME
from policy_store.names import quoted
from policy_store.settings import Settings
from policy_store.tables.connection import open_table
from policy_store.tables.entry import Entry, entry_of
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.history import History
from policy_store.tables.policies import PolicyTable
from policy_store.tables.row import InvalidRow
from policy_store.txt_records import RecordSyntaxError, StsRecord
from policy_store.zone_id import ZoneId

SECONDS = 25.0  # of one run beside an audit, which with reads of the tables that are begun last costs it 30

_LEAST_SECONDS = 1.0  # that a call must have left to be begun
_FAILURES = 3  # in a row, after which a run ends: the service is down
_LONGEST_PAUSE = 600.0  # seconds that a refusal for too many requests is obeyed for

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tally:
    """One run in numbers: records written, ids that are not due yet, and ids that are due and are not in the zone."""

    published: int
    waiting: int
    late: int
    record_sets: int


class Publisher:
    """Keeps the records of the zone named `zone_name` right, by `read`, which gets the entry of a domain from both
    tables. `name_of` a domain is the name of its record, relative to the zone.

    `note` is called for each entry of a walk and makes no request; `run` publishes. Not to be shared between threads.
    """

    def __init__(
        self,
        zone: TxtRecordSets,
        zone_name: str,
        read: Callable[[str], Entry],
        *,
        fresh_seconds: float,
        reports: str = "",
        name_of: Callable[[str], str] = record_name,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._held = HeldRecords(zone, clock)
        self._zone_name = zone_name
        self._read = read
        self._fresh_seconds = fresh_seconds
        self._reports = reports
        self._name_of = name_of
        self._now = now
        self._clock = clock
        self._noted: dict[str, Wanted | Left] = {}
        self._fallen_back: dict[str, tuple[str, datetime]] = {}  # invalid rows: the record, and when it was first seen
        self._last = ""  # the domain whose record was tried last
        self._paused_until = 0.0
        self._told: set[str] = set()

    def note(self, entry: Entry) -> None:
        """Remember the domain if its record has to be written, or may have to be."""
        want = self._wanted(entry)
        name = self._name_of(entry.domain)
        if isinstance(want, Left) and want.reason != "not recorded":
            if want.reason != "no row" or name in self._held:
                self._tell(want.message)
        elif len(self._noted) < MOST_RECORD_SETS and (self._held.look_is_due or not self._holds(name, want)):
            self._noted[entry.domain] = want

    def run(self, seconds: float = SECONDS) -> Tally:
        """Publish what is due within about `seconds`, and log it; nothing that Azure DNS or storage says is raised."""
        published = 0
        try:
            for done in self.publish(self._clock() + seconds):
                published += 1
                _log_published(done, self._zone_name)
        except ZoneThrottled as error:
            pause = min(error.seconds, _LONGEST_PAUSE)
            self._paused_until = self._clock() + pause
            _log.warning("%s: nothing is asked for %d s, then the next run goes on", error, pause)
        except (ZoneError, AzureError) as error:
            _log.error("ids are not published: %s", " ".join(str(error).split())[:500])
        tally = Tally(published, *self._remaining(), len(self._held))
        self._noted.clear()
        counts = " ".join(f"{name}={value}" for name, value in asdict(tally).items())
        _log.info("publish %s", counts)
        return tally

    def publish(self, deadline: float) -> Iterator[Published]:
        """Write the records noted that are due, and say which; those that remain noted are not in the zone.

        Ends when `deadline` has come (as `clock` counts). Raises ZoneError where no other record would fare better, and
        an AzureError where storage fails.
        """
        if self._clock() < self._paused_until:
            return
        seconds = partial(self._left, deadline)
        failures = 0
        try:
            self._held.look(seconds)
            for name, decide in self._in_turn():
                try:
                    if done := self._held.publish(name, decide, seconds):
                        yield done
                    failures = 0
                except RecordRefused as error:
                    self._tell(str(error))
                except (ZoneThrottled, ZoneForbidden):
                    raise
                except ZoneError:
                    failures += 1
                    if failures == _FAILURES:
                        raise
        except _OutOfTime:
            _log.warning("the seconds of this run are over: the next one goes on")

    def _remaining(self) -> tuple[int, int]:
        """How many of the domains noted are not due yet, and how many are due and not in the zone."""
        waiting = late = 0
        now = self._now()
        for domain, want in self._noted.items():
            if isinstance(want, Wanted) and want.since > now:
                waiting += 1
            elif not (isinstance(want, Left) and want.reason != "not recorded") and not self._holds(
                self._name_of(domain), want
            ):
                late += 1
        return waiting, late

    def _in_turn(self) -> Iterator[tuple[str, Callable[[], tuple[str, list[str]] | None]]]:
        """The records to write, each with what decides on it: the one for reports, then those of the domains noted,
        beginning after the one that was tried last.
        """
        if self._reports:
            yield REPORTS_NAME, lambda: (self._reports, [])
        domains = sorted(self._noted)
        after = bisect_right(domains, self._last)
        for domain in domains[after:] + domains[:after]:
            want = self._noted[domain]
            if self._holds(self._name_of(domain), want):
                del self._noted[domain]
            elif isinstance(want, Left) or want.since <= self._now():
                self._last = domain
                yield self._name_of(domain), partial(self._decide, domain)

    def _decide(self, domain: str) -> tuple[str, list[str]] | None:
        """The record of a domain by what both tables hold now, and those of all its ids; None where it has to wait or
        is left.
        """
        entry = self._read(domain)
        want = self._noted[domain] = self._wanted(entry)
        if isinstance(want, Left) or want.since > self._now():
            return None
        return want.text, [StsRecord(revision.id).text for revision in entry.revisions]

    def _wanted(self, entry: Entry) -> Wanted | Left:
        """What the domain has to have. For an invalid row workers serve the newest revision, which may have been added
        long after the row version that it records: it counts from when it was first seen here.
        """
        want = wanted(entry, f"{self._name_of(entry.domain)}.{self._zone_name}", self._fresh_seconds)
        if isinstance(want, Left) or not isinstance(entry.row, InvalidRow):
            self._fallen_back.pop(entry.domain, None)
            return want
        text, seen = self._fallen_back.get(entry.domain, ("", self._now()))
        if text != want.text:
            seen = self._now()
            self._fallen_back[entry.domain] = want.text, seen
        return replace(want, in_force=max(want.in_force, seen))

    def _holds(self, name: str, want: Wanted | Left) -> bool:
        return isinstance(want, Wanted) and self._held.holds(name, want.text)

    def _left(self, deadline: float) -> float:
        """The seconds that a call may take."""
        left = deadline - self._clock()
        if left < _LEAST_SECONDS:
            raise _OutOfTime
        return left

    def _tell(self, message: str) -> None:
        """Log a message that stays true, once."""
        if message not in self._told:
            if len(self._told) >= MOST_RECORD_SETS:
                self._told.clear()
            self._told.add(message)
            _log.warning("left unchanged in DNS: %s", message)


class Unusable:
    """In place of a publisher where a setting is wrong: the app serves and records all the same."""

    def __init__(self, problem: str) -> None:
        self._problem = problem

    def note(self, entry: Entry) -> None:
        """Do nothing."""

    def run(self) -> None:
        """Log what is wrong."""
        _log.error("ids are not published: %s", self._problem)


def open_publisher(settings: Settings) -> Publisher | Unusable:
    """The publisher that the settings ask for, by the app's identity; makes no request."""
    try:
        zone_id = ZoneId.parse(settings.dns_zone)
    except ValueError as error:
        return Unusable(f"POLICY_DNS_ZONE: {error}")
    try:
        reports = shared_reports(settings.reports_record)
    except RecordSyntaxError as error:
        return Unusable(f"POLICY_REPORTS_RECORD: {error}")
    read = partial(entry_of, PolicyTable(open_table(settings)), History(open_table(settings, HISTORY_TABLE)))
    zone = open_zone(zone_id, settings)
    return Publisher(zone, zone_id.name, read, fresh_seconds=settings.fresh_seconds, reports=reports)


def _log_published(done: Published, zone: str) -> None:
    if done.repaired:
        held = ", ".join(quoted(text) for text in done.before)
        _log.warning("%s.%s had %s, which somebody else wrote: it has '%s' again", done.name, zone, held, done.text)
    else:
        _log.info("%s.%s has '%s'", done.name, zone, done.text)


class _OutOfTime(Exception):
    """The seconds of this run are over."""
