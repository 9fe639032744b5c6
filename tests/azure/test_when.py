"""When ids are published, held against a model of workers that serve, a person who edits, and a zone and storage that
fail: never an id while some worker that can read storage may serve an older text, and always the right one in the end.

The publisher is the real one. Time, the tables and the zone are plain objects here, so that every order of events can
be tried; `test_publisher.py` has the real table service. `make test-long` tries for longer.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from policy_store.azure.publisher import Publisher
from policy_store.azure.zones import RecordChanged, TxtRecordSet, ZoneError, ZoneThrottled
from policy_store.delegation import Wanted, wanted
from policy_store.policy import Policy
from policy_store.tables.entry import Entry
from policy_store.tables.history import Revision, key_of
from policy_store.tables.row import InvalidRow, Row
from policy_store.txt_records import StsRecord

_START = datetime(2026, 11, 26, 12, tzinfo=UTC)
_DOMAIN = "contoso.com"
_NAME = f"_mta-sts.{_DOMAIN}"
_FRESH = 60.0
_LONGEST_READ = 5.0  # of a worker: connection.py bounds it to less
_CLOCKS = st.floats(-5, 5)  # so that two of them differ by 10 seconds at most
_SECONDS = st.one_of(
    st.floats(0.1, 4), st.floats(4, 70), st.sampled_from([30.0, 59.0, 61.0, 94.0, 96.0, 120.0, 3601.0])
)
_POLICIES = {
    name: Policy(mode="enforce", mx=(f"{name}.contoso.com",), max_age=604800) for name in ("mx1", "mx2", "mx3")
}


@dataclass(frozen=True)
class Version:
    """A version of the row: which it is, and its policy; None is a row that is invalid, or gone."""

    number: int
    policy: Policy | None
    modified: datetime
    gone: bool = False


@dataclass(frozen=True)
class Copy:
    """What a worker serves: the text, the version of the row that had it, the version that the worker looked at, and
    since when it is held (true seconds).
    """

    text: str
    source: int
    version: int
    read_at: float


@dataclass
class Worker:
    copy: Copy | None = None
    reading: Copy | None = None  # `read_at` is when the read began

    def serves(self, now: float) -> list[Copy]:
        """What it serves from memory, and what it will serve once its read ends."""
        live = [self.copy] if self.copy and now - self.copy.read_at < _FRESH else []
        return live + ([self.reading] if self.reading else [])


class Zone:
    """One name of a zone. What befalls the next calls stands in `faults`."""

    def __init__(self, machine: "When") -> None:
        self.record: TxtRecordSet | None = None
        self.faults: list[str] = []
        self.meanwhile: Callable[[], object] | None = None
        self._machine = machine
        self._etags = 0

    def set(self, *texts: str) -> TxtRecordSet:
        self._etags += 1
        self.record = TxtRecordSet(_NAME, texts, 300, str(self._etags))
        return self.record

    def page(self, token: str = "", *, seconds: float) -> tuple[list[TxtRecordSet], str]:
        self._fail()
        return [self.record] if self.record else [], ""

    def get(self, name: str, *, seconds: float) -> TxtRecordSet | None:
        self._fail()
        return self.record

    def put(self, name: str, text: str, etag: str | None, *, seconds: float) -> TxtRecordSet:
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        fault = self._fail(also_after=True)
        if etag != (self.record.etag if self.record else None):
            raise RecordChanged
        self._machine.published(text)
        written = self.set(text)
        if fault:
            raise ZoneError("the answer was lost")
        return written

    def delete(self, name: str, etag: str, *, seconds: float) -> None:
        raise AssertionError("a publisher deletes nothing")

    def _fail(self, *, also_after: bool = False) -> bool:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "throttled":
            raise ZoneThrottled("not now", 30)
        if fault == "refused":
            raise ZoneError("500")
        return also_after and fault == "lost answer"


class When(RuleBasedStateMachine):
    """One domain: its row, its revisions, three workers, two publishers, and the zone."""

    @initialize(storage_clock=_CLOCKS, clock=_CLOCKS)
    def begin(self, storage_clock: float, clock: float) -> None:
        self.now = 0.0
        self.storage_clock = storage_clock
        self.storage_fails = False
        self.versions = [Version(0, None, self.storage_time(), gone=True)]
        self.revisions: list[Revision] = []
        self.sources: dict[str, int] = {}  # of each revision: the version that it records
        self.workers = [Worker() for _ in range(3)]
        self.zone = Zone(self)
        self.clocks = [clock, 0.0]
        self.publishers = [self.new_publisher(0), self.new_publisher(1)]
        self.decided: Version | None = None
        self.edit_by_hand("mx1")

    def storage_time(self) -> datetime:
        return _START + timedelta(seconds=self.now + self.storage_clock)

    def publishers_clock(self, which: int) -> datetime:
        return _START + timedelta(seconds=self.now + self.clocks[which])

    def new_publisher(self, which: int) -> Publisher:
        return Publisher(
            self.zone,
            "sts.example",
            self.read,
            fresh_seconds=_FRESH,
            now=lambda: self.publishers_clock(which),
            clock=lambda: self.now,
        )

    # The tables.

    @property
    def row(self) -> Version:
        return self.versions[-1]

    def entry(self) -> Entry:
        row: Row | InvalidRow | None = None
        version = self.row
        if version.policy:
            row = Row(_DOMAIN, version.policy, "", str(version.number), version.modified)
        elif not version.gone:
            row = InvalidRow(_DOMAIN, "policy", str(version.number), version.modified, ())
        return Entry(_DOMAIN, row, (), tuple(self.revisions))

    def read(self, _: str) -> Entry:
        if self.storage_fails:
            raise ServiceRequestError("storage fails")
        self.decided = self.row
        return self.entry()

    def record(self, version: Version) -> None:
        """Record a version of the row as `History.record` does."""
        if version.policy is None:
            return
        text, key = version.policy.text, key_of(version.modified)
        until = [revision for revision in self.revisions if revision.key <= key]
        if self.revisions and self.revisions[-1].text == text:
            return
        if until and until[-1].key == key:
            if version is not self.row:
                return
            key = key_of(self.revisions[-1].since + timedelta(seconds=1))
        elif until and until[-1].text == text:
            return
        self.revisions.append(Revision(_DOMAIN, key, key, text))
        self.sources[key] = version.number
        self.revisions.sort(key=lambda revision: revision.key)

    def serves(self, held: Copy | None) -> tuple[str, int] | None:
        """The text that a worker has after it read both tables now, and the version of the row that had it."""
        row = self.row
        if row.policy:
            return row.policy.text, row.number
        if row.gone or not self.revisions:
            return None
        newest = self.revisions[-1]
        if held and key_of(self.versions[held.source].modified) > newest.key:
            return held.text, held.source  # newer than the newest revision
        return newest.text, self.sources[newest.key]

    # What happens.

    @rule(seconds=_SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for worker in self.workers:
            if worker.reading and self.now - worker.reading.read_at > _LONGEST_READ:
                worker.reading = None  # it failed

    @rule(which=st.integers(0, 1), seconds=st.sampled_from([-1.0, 0.0, 1.0, 8.0]))
    def the_newest_id_is_just_due(self, which: int, seconds: float) -> None:
        """By the clock of a publisher, whatever time that is; then it walks and runs."""
        self.an_audit_walks(which)
        want = wanted(self.entry(), f"{_NAME}.sts.example", _FRESH)
        if isinstance(want, Wanted):
            ahead = (want.since - self.publishers_clock(which)).total_seconds()
            self.time_passes(max(0.0, ahead + seconds))
            self.the_timer_comes(which)

    @rule(name=st.sampled_from(sorted(_POLICIES)), late=st.sampled_from([0.0, 4.9]))
    def an_edit_while_all_workers_read(self, name: str, late: float) -> None:
        """They get the text before it, and serve that for as long as they may."""
        for which in range(3):
            self.a_worker_begins_to_read(which)
        self.edit_by_hand(name)
        self.time_passes(late)
        for which in range(3):
            self.a_workers_read_ends(which, records=False)

    @precondition(lambda self: self.row.policy is not None)
    @rule(name=st.sampled_from(sorted(_POLICIES)), seconds=_SECONDS)
    def another_text_for_a_moment(self, name: str, seconds: float) -> None:
        """A worker gets it, nobody records it, and the text before comes back."""
        (before,) = (each for each, policy in _POLICIES.items() if policy == self.row.policy)
        self.time_passes(seconds)
        self.edit_by_hand(name)
        self.a_worker_begins_to_read(0)
        self.a_workers_read_ends(0, records=False)
        self.edit_by_hand(before)
        self.the_timer_comes(0)

    @rule(name=st.sampled_from(sorted(_POLICIES)), seconds=_SECONDS)
    def a_text_is_recorded_long_after_its_row_was_broken(self, name: str, seconds: float) -> None:
        self.edit_by_hand(name)
        self.break_the_row()
        self.time_passes(seconds)
        for which in range(3):
            self.a_worker_begins_to_read(which)
            self.a_workers_read_ends(which, records=False)
        self.record(self.versions[-2])
        self.the_timer_comes(0)

    @rule(name=st.sampled_from(sorted(_POLICIES)))
    def edit_by_hand(self, name: str) -> None:
        self.versions.append(Version(len(self.versions), _POLICIES[name], self.storage_time()))

    @rule()
    def break_the_row(self) -> None:
        if not self.row.gone:
            self.versions.append(Version(len(self.versions), None, self.storage_time()))

    @rule()
    def delete_the_row(self) -> None:
        self.versions.append(Version(len(self.versions), None, self.storage_time(), gone=True))

    @rule(which=st.integers(0, 2))
    def a_worker_begins_to_read(self, which: int) -> None:
        worker = self.workers[which]
        if worker.reading or (worker.copy and self.now - worker.copy.read_at < _FRESH):
            return
        serves = self.serves(worker.copy)
        if serves:
            worker.reading = Copy(*serves, self.row.number, self.now)
        else:
            worker.copy = None

    @rule(which=st.integers(0, 2), records=st.booleans())
    def a_workers_read_ends(self, which: int, records: bool) -> None:
        worker = self.workers[which]
        if worker.reading:
            worker.copy = replace(worker.reading, read_at=self.now)
            worker.reading = None
            if records and not self.storage_fails:
                self.record(self.versions[worker.copy.source])

    @rule(which=st.integers(0, 2))
    def a_worker_restarts(self, which: int) -> None:
        self.workers[which] = Worker()

    @rule(which=st.integers(0, 1), clock=_CLOCKS)
    def a_publisher_restarts(self, which: int, clock: float) -> None:
        self.clocks[which] = clock
        self.publishers[which] = self.new_publisher(which)

    @rule(version=st.integers(0, 3))
    def somebody_records_late(self, version: int) -> None:
        if version < len(self.versions):
            self.record(self.versions[-1 - version])

    @rule(which=st.integers(0, 1))
    def an_audit_walks(self, which: int) -> None:
        if not self.storage_fails:
            self.record(self.row)
            self.publishers[which].note(self.entry())

    @rule(which=st.integers(0, 1))
    def a_publisher_runs(self, which: int) -> None:
        self.publishers[which].run()

    @rule(which=st.integers(0, 1))
    def the_timer_comes(self, which: int) -> None:
        self.an_audit_walks(which)
        self.a_publisher_runs(which)

    @rule(name=st.sampled_from(sorted(_POLICIES)), publishes=st.booleans())
    def something_happens_before_the_next_write(self, name: str, publishes: bool) -> None:
        """Between a publisher's look at the tables and its write: an edit, or all of another publisher's run."""

        def meanwhile() -> None:
            decided = self.decided
            if publishes:
                self.the_timer_comes(1)
            else:
                self.edit_by_hand(name)
            self.decided = decided

        self.zone.meanwhile = meanwhile

    @rule(faults=st.lists(st.sampled_from(["throttled", "refused", "lost answer", ""]), max_size=3))
    def the_zone_fails(self, faults: list[str]) -> None:
        self.zone.faults = list(faults)

    @rule(fails=st.booleans())
    def storage_fails_or_recovers(self, fails: bool) -> None:
        self.storage_fails = fails

    @rule(texts=st.sampled_from([("v=STSv1; id=mine;",), ("a", "b"), ()]))
    def a_person_changes_the_record(self, texts: tuple[str, ...]) -> None:
        if texts:
            self.zone.set(*texts)
        else:
            self.zone.record = None

    # What has to be so.

    def published(self, text: str) -> None:
        """Called as a record is written."""
        version = self.decided
        assert version is not None
        assert not version.gone, "a domain without a row keeps what it has"
        (revision,) = (each for each in self.revisions if StsRecord(each.id).text == text)
        if version.policy:
            assert revision.text == version.policy.text, "the id of a text that is not in force"
        for worker in self.workers:
            for copy in worker.serves(self.now):
                later = copy.version > version.number
                # A worker whose copy nobody has recorded keeps it while the row is invalid.
                kept = version.policy is None and copy.source > self.sources[revision.key]
                assert copy.text == revision.text or later or kept, "an older text is still served"

    @precondition(lambda self: self.row.policy is not None)
    @rule(which=st.integers(0, 1))
    def in_the_end_the_zone_is_right(self, which: int) -> None:
        """An hour without edits and faults; then two runs of the timer."""
        self.storage_fails, self.zone.faults, self.zone.meanwhile = False, [], None
        self.time_passes(3601)
        for _ in range(2):
            self.the_timer_comes(which)
            self.time_passes(120)
        self.shows_what_is_in_force()

    @precondition(lambda self: self.row.policy is not None)
    @rule(name=st.sampled_from(sorted(_POLICIES)), phase=st.floats(0.1, 119.9))
    def an_edit_is_in_dns_within_five_minutes(self, name: str, phase: float) -> None:
        """The timer comes every 2 minutes, at any time after the edit for the first time."""
        self.in_the_end_the_zone_is_right(0)
        self.edit_by_hand(name)
        self.time_passes(phase)
        edited = self.now - phase
        while True:
            self.the_timer_comes(0)
            if self.now + 120 > edited + 300:
                break
            self.time_passes(120)
        self.shows_what_is_in_force()

    def shows_what_is_in_force(self) -> None:
        assert self.row.policy
        assert self.zone.record is not None
        assert self.zone.record.texts == (StsRecord(self.revisions[-1].id).text,)
        assert self.revisions[-1].text == self.row.policy.text

    @invariant()
    def there_is_one_record_at_most_of_ours(self) -> None:
        if hasattr(self, "zone") and self.zone.record:
            assert len(self.zone.record.texts) <= 1 or self.zone.record.texts == ("a", "b")


TestWhen: Any = When.TestCase
TestWhen.settings = settings(max_examples=100, stateful_step_count=60)


@pytest.mark.parametrize("storage_clock", [-5.0, 0.0, 5.0])
@pytest.mark.parametrize("publishers_clock", [-5.0, 0.0, 5.0])
def test_the_last_worker_to_read_the_old_text_has_dropped_it_when_the_new_id_comes(
    storage_clock: float, publishers_clock: float
) -> None:
    """The narrowest way, which chance rarely takes: all read right before the edit and as late as they may."""
    machine = When()
    machine.begin(storage_clock, publishers_clock)
    machine.in_the_end_the_zone_is_right(0)
    machine.an_edit_while_all_workers_read("mx2", 4.9)
    machine.the_newest_id_is_just_due(0, 0.0)
    machine.shows_what_is_in_force()
