"""Several workers over one domain of a real table, with editors, the command, the audit, faults and a clock, in any
order: what hypothesis tries against the promises of serving.

Only the time is made up: each version of the row is ten seconds younger than the one before, however quickly they are
written, and a worker's own clock goes only when it is told to.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.data.tables import TableClient, UpdateMode
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from policy_store.audit import audit
from policy_store.looking import Look
from policy_store.policy import Policy
from policy_store.recording import Recorder
from policy_store.serving import Served, Serving
from policy_store.tables.entry import walk
from policy_store.tables.history import History, Revision
from policy_store.tables.policies import Page, PolicyTable
from policy_store.tables.row import InvalidRow, Row

WORKERS = 3
_numbers = count(1)
_STEP = timedelta(seconds=10)


def quicken(patch: pytest.MonkeyPatch) -> None:
    """Let nothing wait: the order is what counts."""
    patch.setattr("policy_store.recording._DELAY", 0.0)
    patch.setattr("policy_store.recording._AFTER_FAILURE", 0.01)
    patch.setattr("policy_store.recording._TRIES", 10_000)
    patch.setattr("policy_store.looking._PAGE_REST", 0.0)


class Storage:
    """The table service of one worker, or of people (which never fails), with the times of row versions made up."""

    def __init__(self, policies: TableClient, history: TableClient, times: dict[str, datetime]) -> None:
        storage = self
        self.policies_fail = self.history_fails = False

        class Policies(PolicyTable):
            def get(self, domain: str) -> Row | None:
                storage._check(storage.policies_fail)
                try:
                    row = super().get(domain)
                except InvalidRow as invalid:
                    invalid.modified = times[invalid.etag]
                    raise
                return row and replace(row, modified=times[row.etag])

            def rows(self, *, after: str = "") -> Iterator[Row | InvalidRow]:
                for row in super().rows(after=after):
                    if isinstance(row, InvalidRow):
                        row.modified = times[row.etag]
                        yield row
                    else:
                        yield replace(row, modified=times[row.etag])

            def pages(self, *, since: datetime | None = None) -> Iterator[Page]:
                storage._check(storage.policies_fail)
                for page in super().pages(since=since):
                    for entity in page.entities:
                        entity.metadata["timestamp"] = times[str(entity.metadata["etag"])]
                    yield page

        class Revisions(History):
            def revisions(self, domain: str) -> list[Revision]:
                storage._check(storage.history_fails)
                return super().revisions(domain)

        self.policies, self.history = Policies(policies), Revisions(history)

    def _check(self, fails: bool) -> None:
        if fails:
            raise ServiceRequestError("no connection")


class Worker:
    """One worker; nothing runs in it unless it is told to."""

    def __init__(self, storage: Storage, fresh_seconds: float, started: datetime) -> None:
        self.storage = storage
        self.time = 1000.0
        self.served = -1  # the youngest text that it answered with
        self.recorder = Recorder(storage.history, storage.policies)
        self.recorder.begin(started)
        self.serving: Serving[str] = Serving(
            storage.policies,
            storage.history,
            fresh_seconds=fresh_seconds,
            on_text=self.recorder.add,
            on_unrecorded=self.recorder.record,
            now=lambda: self.time,
        )
        self.look = Look(storage.policies, self.serving, self.recorder, now=lambda: self.time)


class ServingModel(RuleBasedStateMachine):
    """The machine; `clients` gives the two tables."""

    clients: Callable[[], tuple[TableClient, TableClient]]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.domain = f"model{next(_numbers)}.example"
        self.policies_client, self.history_client = type(self).clients()
        self.times: dict[str, datetime] = {}
        self.now = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=12)
        self.texts: list[str] = []  # of the valid versions of the row, the oldest first
        self.people = self._storage()
        self.workers = [Worker(self._storage(), 0 if number else 60, self.now) for number in range(WORKERS)]

    def teardown(self) -> None:
        self._settle()
        self._delete()
        self.loop.close()

    def _storage(self) -> Storage:
        return Storage(self.policies_client, self.history_client, self.times)

    # What people do.

    @rule(mode=st.sampled_from(["enforce", "testing", "none"]))
    def edit_by_hand(self, mode: str) -> None:
        self._write(mode=mode, mx="mx.example.net", max_age=1000 + len(self.texts))

    @precondition(lambda self: self.texts)
    @rule(back=st.integers(1, 3))
    def undo_by_hand(self, back: int) -> None:
        policy = Policy.parse(self.texts[-min(back, len(self.texts))])
        self._write(mode=policy.mode, mx=" ".join(policy.mx), max_age=policy.max_age)

    @rule()
    def break_by_hand(self) -> None:
        self._write(mode="enforced", mx="mx.example.net", max_age=86400)

    @rule()
    def delete_by_hand(self) -> None:
        self._delete()

    @rule(mode=st.sampled_from(["enforce", "testing", "none"]), ends_half_way=st.booleans())
    def edit_by_command(self, mode: str, ends_half_way: bool) -> None:
        self.edit_by_hand(mode)
        if not ends_half_way:
            row = self.people.policies.get(self.domain)
            assert row
            self.people.history.record(row, self.people.policies, by="ann")

    @rule()
    def run_audit(self) -> None:
        entries = walk(self.people.policies, self.people.history)
        audit(entries, self.people.policies, self.people.history, by="audit", tell=lambda _: None)

    # What happens to workers.

    @rule(number=st.integers(0, WORKERS - 1))
    def look(self, number: int) -> None:
        self._look(self.workers[number])

    @rule(number=st.integers(0, WORKERS - 1), seconds=st.sampled_from([1, 6, 61]))
    def wait(self, number: int, seconds: int) -> None:
        self.workers[number].time += seconds

    @rule(number=st.integers(0, WORKERS - 1))
    def restart(self, number: int) -> None:
        self._settle()
        fresh = self.workers[number].serving._fresh_seconds
        self.workers[number] = Worker(self._storage(), fresh, self.now)

    @rule(number=st.integers(0, WORKERS - 1), policies=st.booleans(), history=st.booleans())
    def faults(self, number: int, policies: bool, history: bool) -> None:
        storage = self.workers[number].storage
        storage.policies_fail, storage.history_fails = policies, history

    @rule(number=st.integers(0, WORKERS - 1))
    def ask(self, number: int) -> None:
        worker = self.workers[number]
        worker.time += 6  # so that no pause after a failure stands between
        storage_works = not (worker.storage.policies_fail or worker.storage.history_fails)
        newest = self._newest_revision()
        served = self._ask(worker)
        if served.copy is None:
            if storage_works and served.outcome != "unknown":
                assert newest is None or worker.serving._fresh_seconds
            return
        age = self._age(served.copy.text)
        assert age >= worker.served, "an older text came back"
        worker.served = age
        if storage_works and not worker.serving._fresh_seconds and newest is not None:
            assert age >= self._age(newest.text.encode()), "older than the newest readable revision"

    @rule()
    def quiet(self) -> None:
        """Nothing fails and nobody edits: one look and what it records later, all answer alike, and rightly."""
        for worker in self.workers:
            worker.storage.policies_fail = worker.storage.history_fails = False
        for _ in range(2):
            for worker in self.workers:
                worker.time += 20
                self._look(worker)
            self._settle()
        answers = {served.copy and served.copy.text for served in map(self._ask, self.workers)}
        try:
            row = self.people.policies.get(self.domain)
            expected = row.policy.text if row else None
        except InvalidRow:
            newest = self._newest_revision()
            expected = newest.text if newest else None
        assert answers == {expected.encode() if expected else None}

    # How.

    def _write(self, **cells: Any) -> None:
        self.now += _STEP
        entity = {"PartitionKey": self.domain, "RowKey": "policy", **cells}
        written = self.policies_client.upsert_entity(entity, mode=UpdateMode.REPLACE)
        self.times[str(written["etag"])] = self.now
        if cells["mode"] != "enforced":
            self.texts.append(Policy.model_validate({**cells, "mx": tuple(cells["mx"].split())}).text)

    def _delete(self) -> None:
        self.policies_client.delete_entity(self.domain, "policy")

    def _look(self, worker: Worker) -> None:
        try:
            self.loop.run_until_complete(worker.look._look(worker.time))
        except ServiceRequestError:
            worker.serving.looked(None)

    def _ask(self, worker: Worker) -> Served[str]:
        return self.loop.run_until_complete(worker.serving.answer(self.domain))

    def _settle(self) -> None:
        """Wait until every worker has recorded what it took in."""
        for worker in self.workers:
            failed, worker.storage.history_fails = worker.storage.history_fails, False
            while not worker.recorder.idle:
                time.sleep(0.002)
            worker.storage.history_fails = failed

    def _newest_revision(self) -> Revision | None:
        revisions = self.people.history.revisions(self.domain)
        return revisions[-1] if revisions else None

    def _age(self, text: bytes) -> int:
        """The number of the youngest version with this text. Fails where no version ever had it."""
        return len(self.texts) - 1 - self.texts[::-1].index(text.decode())
