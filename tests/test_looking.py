"""The look at the whole table, over the real table service: what it takes in, when, and what a failing one does."""

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from azure.data.tables import TableClient, UpdateMode

from dev.azurite import ACCOUNT, ACCOUNT_KEY, Azurite
from policy_store import looking as looking_module
from policy_store.looking import Look
from policy_store.policy import Policy
from policy_store.recording import Recorder
from policy_store.serving import Outcome, Serving
from policy_store.settings import Settings
from policy_store.tables.connection import open_table
from policy_store.tables.history import History
from policy_store.tables.policies import PolicyTable
from policy_store.tables.row import Row
from tests.end_to_end.faults import FaultProxy
from tests.loopback import LoopbackServer, answer, read_request

_POLICY = Policy(mode="testing", mx=("mx.example.net",), max_age=86400)


class Worker:
    """What a worker is made of, over the tables of a test; `begin` starts its look."""

    def __init__(self, settings: Settings, policies: TableClient, history: TableClient, fresh_seconds: float) -> None:
        with ExitStack() as opened:

            def open_one(name: str, *, pages: bool = False) -> TableClient:
                return opened.enter_context(open_table(settings, name, pages=pages))

            walked = PolicyTable(open_one(policies.table_name, pages=True))
            self.recorder = Recorder(History(open_one(history.table_name, pages=True)), walked)
            self.serving: Serving[str] = Serving(
                PolicyTable(open_one(policies.table_name)),
                History(open_one(history.table_name)),
                fresh_seconds=fresh_seconds,
                on_text=self.recorder.add,
                on_unrecorded=self.recorder.record,
            )
            self.look = Look(walked, self.serving, self.recorder)
            self._close = opened.pop_all().close

    def close(self) -> None:
        """Close the clients once all is recorded: its thread would write into the log of another test."""
        until = time.monotonic() + 5
        while not self.recorder.idle and time.monotonic() < until:
            time.sleep(0.01)
        self._close()

    def begin(self) -> None:
        self.look.begin()

    async def looked(self) -> None:
        """Wait until a look that began after this call has ended well."""
        before = self.serving._now()
        while (self.serving.looked_at or 0) < before:  # noqa: ASYNC110 - the worker has no event for it
            await asyncio.sleep(0.01)

    async def outcomes(self, *domains: str) -> list[Outcome]:
        return [(await self.serving.answer(domain)).outcome for domain in domains]


type MakeWorker = Callable[..., Worker]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking_module, "INTERVAL", 0.2)
    monkeypatch.setattr(looking_module, "_AFTER_FAILURE", 0.2)
    monkeypatch.setattr("policy_store.recording._DELAY", 0.0)
    monkeypatch.setattr("policy_store.recording._AFTER_FAILURE", 0.2)


@pytest.fixture
def proxy(azurite: Azurite) -> Iterator[FaultProxy]:
    with FaultProxy(azurite.port) as proxy:
        yield proxy


@pytest.fixture
def make(
    azurite: Azurite, proxy: FaultProxy, policies_client: TableClient, history_client: TableClient
) -> Iterator[MakeWorker]:
    """Give a function that makes a worker; its requests go through the proxy."""
    store = azurite.connection_string.replace(f":{azurite.port}/", f":{proxy.port}/")
    settings = Settings.read({"POLICY_STORE": store})
    with ExitStack() as closing:

        def make_worker(fresh_seconds: float = 60) -> Worker:
            worker = Worker(settings, policies_client, history_client, fresh_seconds)
            closing.callback(worker.close)
            return worker

        yield make_worker


def _write(client: TableClient, domain: str, **cells: object) -> None:
    valid = {"mode": _POLICY.mode, "mx": " ".join(_POLICY.mx), "max_age": _POLICY.max_age}
    entity = {"PartitionKey": domain, "RowKey": "policy", **valid, **cells}
    client.upsert_entity(entity, mode=UpdateMode.REPLACE)


class TestKnowledge:
    def test_known_and_unknown_names_cost_no_read_after_the_first_look(
        self, make: MakeWorker, proxy: FaultProxy, policies_client: TableClient
    ) -> None:
        _write(policies_client, "a.example")
        _write(policies_client, "broken.example", mode="wrong")

        async def scenario() -> list[Outcome]:
            worker = make()
            worker.begin()
            await worker.looked()
            await worker.looked()  # the second one read the history of the broken row
            before = proxy.point_reads
            strangers = [f"{number}.example" for number in range(100)]
            outcomes = await worker.outcomes("a.example", "broken.example", *strangers)
            assert proxy.point_reads == before
            return outcomes

        assert asyncio.run(scenario()) == ["fresh", "unavailable", *["unknown"] * 100]

    def test_an_edit_a_new_row_and_a_deletion_are_taken_in(
        self, make: MakeWorker, policies_client: TableClient
    ) -> None:
        for domain in ("edited.example", "deleted.example"):
            _write(policies_client, domain)

        async def scenario() -> None:
            worker = make()
            worker.begin()
            await worker.looked()
            _write(policies_client, "edited.example", mode="enforce")
            _write(policies_client, "new.example")
            policies_client.delete_entity("deleted.example", "policy")
            await worker.looked()
            await worker.looked()
            edited = await worker.serving.answer("edited.example")
            assert edited.copy
            assert b"mode: enforce" in edited.copy.text
            assert await worker.outcomes("new.example", "deleted.example") == ["fresh", "unknown"]

        asyncio.run(scenario())

    def test_a_table_of_many_pages_is_asked_for_what_changed(
        self, make: MakeWorker, policies_client: TableClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A deleted row stays until the next look at all rows, and then until a read of it says that it is gone."""
        monkeypatch.setattr(looking_module, "SMALL", 0)
        for domain in ("edited.example", "deleted.example"):
            _write(policies_client, domain)

        async def scenario() -> None:
            worker = make()
            worker.begin()
            await worker.looked()
            _write(policies_client, "edited.example", mode="enforce")
            policies_client.delete_entity("deleted.example", "policy")
            await worker.looked()
            edited = await worker.serving.answer("edited.example")
            assert edited.copy
            assert b"mode: enforce" in edited.copy.text
            assert await worker.outcomes("deleted.example") == ["fresh"]
            worker.look._full_due_at = 0
            await worker.looked()
            await worker.looked()
            assert await worker.outcomes("deleted.example") == ["unknown"]

        asyncio.run(scenario())

    def test_who_asks_before_the_first_look_has_ended_is_answered_by_it(
        self, make: MakeWorker, policies_client: TableClient
    ) -> None:
        """More names than there are threads and places in the queue for strangers."""
        domains = [f"{number}.example" for number in range(100)]
        for domain in domains:
            _write(policies_client, domain)

        async def scenario() -> set[Outcome]:
            worker = make()
            worker.begin()
            served = await asyncio.gather(*(worker.serving.answer(domain) for domain in domains))
            return {one.outcome for one in served}

        assert asyncio.run(scenario()) <= {"read", "fresh"}

    @pytest.mark.parametrize("began_before", [0.0, 3600.0])
    def test_a_look_that_is_too_old_when_it_ends_answers_nobody(
        self, make: MakeWorker, proxy: FaultProxy, policies_client: TableClient, began_before: float
    ) -> None:
        """It may have passed the place of a row that was written since it began."""
        _write(policies_client, "new.example")

        async def scenario() -> Outcome:
            worker = make(fresh_seconds=60 if began_before else 0)
            began = worker.serving._now() - began_before
            worker.serving.expect_look()
            proxy.fault = "late"
            asking = asyncio.create_task(worker.serving.answer("new.example"))
            await asyncio.sleep(0.05)
            worker.serving.looked(began)
            return (await asking).outcome

        assert asyncio.run(scenario()) == "read"


class TestOrder:
    """What arrives late does not undo what is newer."""

    @pytest.fixture
    def worker(self, make: MakeWorker) -> Worker:
        return make()

    def _row(self, client: TableClient, domain: str) -> Row:
        row = PolicyTable(client).get(domain)
        assert isinstance(row, Row)
        return row

    def test_an_older_version_is_not_taken(self, worker: Worker, policies_client: TableClient) -> None:
        _write(policies_client, "a.example")
        old = self._row(policies_client, "a.example")
        _write(policies_client, "a.example", mode="enforce")
        new = self._row(policies_client, "a.example")
        copies = worker.serving.copies
        copies.take(new, began=1)
        copies.take(old, began=2)
        assert b"enforce" in copies.texts["a.example"].text

    def test_a_page_that_was_asked_for_before_a_deletion_brings_nothing_back(
        self, worker: Worker, policies_client: TableClient
    ) -> None:
        _write(policies_client, "a.example")
        row = self._row(policies_client, "a.example")
        copies = worker.serving.copies
        copies.take(row, began=1)
        copies.gone("a.example", began=3, now=4)
        copies.take(row, began=2)
        assert "a.example" not in copies.names
        copies.take(row, began=5)
        assert "a.example" in copies.names

    def test_a_read_that_began_before_a_row_was_added_takes_nothing_away(
        self, worker: Worker, policies_client: TableClient
    ) -> None:
        _write(policies_client, "a.example")
        copies = worker.serving.copies
        copies.take(self._row(policies_client, "a.example"), began=2)
        copies.gone("a.example", began=1, now=3)
        assert "a.example" in copies.names


class TestFailure:
    def test_a_failing_look_is_tried_again_and_trips_no_breaker(
        self, make: MakeWorker, proxy: FaultProxy, policies_client: TableClient
    ) -> None:
        _write(policies_client, "a.example")

        async def scenario() -> None:
            worker = make()
            proxy.fault = "503"
            worker.begin()
            await asyncio.sleep(0.5)
            assert (await worker.serving.health()).look_age is None
            assert not worker.serving.breaker.paused
            proxy.fault = None
            await worker.looked()
            assert (await worker.serving.health()).look_age == 0

        asyncio.run(scenario())

    def test_it_is_told_once_when_no_look_has_succeeded_for_a_while(
        self, make: MakeWorker, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(looking_module, "_REPORTED_AFTER", 0.3)

        async def scenario() -> None:
            worker = make()
            proxy.fault = "503"
            worker.begin()
            await asyncio.sleep(1.5)
            proxy.fault = None
            await worker.looked()
            await worker.looked()

        asyncio.run(scenario())
        told = [record for record in caplog.records if record.name == "policy_store.looking"]
        assert [record.levelno for record in told] == [logging.ERROR, logging.WARNING]

    def test_while_no_look_succeeds_requests_read(
        self, make: MakeWorker, proxy: FaultProxy, policies_client: TableClient
    ) -> None:
        _write(policies_client, "a.example")

        async def scenario() -> list[Outcome]:
            worker = make(fresh_seconds=0.3)
            worker.begin()
            await worker.looked()
            worker.look._task.cancel()  # type: ignore[union-attr] # it has begun
            await asyncio.sleep(0.4)
            return await worker.outcomes("a.example", "stranger.example")

        assert asyncio.run(scenario()) == ["read", "unknown"]


class TestPages:
    def test_empty_pages_are_followed_and_since_is_the_services_time(self) -> None:
        """As the service answers a query that it cannot end within 5 seconds."""
        asked: list[str] = []
        row = {
            "odata.etag": "W/\"datetime'2026-01-01T00%3A00%3A00.0000000Z'\"",
            "PartitionKey": "a.example",
            "RowKey": "policy",
            "Timestamp": "2026-01-01T00:00:00.0000000Z",
            "mode": "none",
            "max_age": 86400,
        }
        more = ("x-ms-continuation-NextPartitionKey: a", "x-ms-continuation-NextRowKey: b")
        date = "Date: Thu, 01 Jan 2026 12:00:00 GMT"

        def behave(connection: socket.socket, ended: threading.Event) -> None:
            while head := read_request(connection):
                asked.append(head.split(b" ")[1].decode())
                rows, headers = ([], more) if len(asked) < 3 else ([row], ())
                connection.sendall(answer("200 OK", json.dumps({"value": rows}).encode(), date, *headers))

        with LoopbackServer(behave) as server:
            store = f"AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};TableEndpoint=http://127.0.0.1:{server.port}/x"
            with open_table(Settings.read({"POLICY_STORE": store}), pages=True) as client:
                pages = list(PolicyTable(client).pages(since=datetime(2026, 1, 1, tzinfo=UTC)))
        assert [len(page.entities) for page in pages] == [0, 0, 1]
        assert {page.date for page in pages} == {datetime(2026, 1, 1, 12, tzinfo=UTC)}
        assert "Timestamp%20ge" in asked[0]
        assert "NextPartitionKey=a" in asked[1]


class TestRecording:
    def test_rows_written_since_shortly_before_the_start_are_recorded(
        self,
        make: MakeWorker,
        policies_client: TableClient,
        history: History,
    ) -> None:
        _write(policies_client, "a.example")

        async def scenario() -> None:
            worker = make()
            worker.begin()
            while not history.revisions("a.example"):  # noqa: ASYNC110 - somebody else records it
                await asyncio.sleep(0.05)

        asyncio.run(scenario())
        (revision,) = history.revisions("a.example")
        assert (revision.text, revision.by, revision.note) == (_POLICY.text, "audit", "changed by hand")

    def test_older_rows_are_left_to_the_audit(
        self,
        make: MakeWorker,
        policies_client: TableClient,
        history: History,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(looking_module, "OVERLAP", timedelta(seconds=-5))
        _write(policies_client, "a.example")

        async def scenario() -> None:
            worker = make()
            worker.begin()
            await worker.looked()
            await asyncio.sleep(0.5)

        asyncio.run(scenario())
        assert history.revisions("a.example") == []
