"""Serving on one event loop over the real table service: what is held, for how long, and what a failing read does."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterator

import pytest
from azure.data.tables import TableClient, UpdateMode

from dev.azurite import Azurite
from policy_store import breaker as breaker_module
from policy_store import copies as copies_module
from policy_store import reads as reads_module
from policy_store import serving as serving_module
from policy_store.policy import Policy
from policy_store.serving import Health, Outcome, Served, Serving
from policy_store.settings import Settings
from policy_store.tables.connection import open_table
from policy_store.tables.history import History
from policy_store.tables.policies import PolicyTable
from policy_store.tables.row import Row

_POLICY = Policy(mode="testing", mx=("mx.example.net",), max_age=86400)
_EDITED = Policy(mode="enforce", mx=("mx.example.net",), max_age=86400)


class Table(PolicyTable):
    """A policy table that counts its reads, holds them up while `gate` is closed, and raises `error` if that is set."""

    def __init__(self, client: TableClient) -> None:
        super().__init__(client)
        self.client = client
        self.reads = 0
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None

    def get(self, domain: str) -> Row | None:
        self.reads += 1
        assert self.gate.wait(10)
        if self.error:
            raise self.error
        return super().get(domain)

    def write(self, domain: str, **cells: object) -> None:
        """Write a row as somebody does who edits by hand; what `cells` leaves out is valid."""
        valid = {"mode": _POLICY.mode, "mx": " ".join(_POLICY.mx), "max_age": _POLICY.max_age}
        entity = {"PartitionKey": domain, "RowKey": "policy", **valid, **cells}
        self.client.upsert_entity(entity, mode=UpdateMode.REPLACE)


@pytest.fixture
def settings(azurite: Azurite) -> Settings:
    return Settings.read({"POLICY_STORE": azurite.connection_string})


@pytest.fixture
def table(settings: Settings, policies_client: TableClient) -> Iterator[Table]:
    """Give an empty table, read with the app's bounds."""
    with open_table(settings, policies_client.table_name) as client:
        yield Table(client)


type MakeServing = Callable[[float], Serving[str]]


@pytest.fixture
def serve(table: Table, history: History) -> MakeServing:
    """Give a function that makes a Serving with so many fresh seconds."""
    return lambda fresh_seconds: Serving(table, history, fresh_seconds=fresh_seconds)


async def _outcomes(serving: Serving[str], *domains: str) -> list[Outcome]:
    return [(await serving.answer(domain)).outcome for domain in domains]


async def _when_not_fresh(serving: Serving[str], domain: str) -> Served[str]:
    """The first answer for the domain after its copy's fresh time."""
    while True:
        served = await serving.answer(domain)
        if served.outcome != "fresh":
            return served
        await asyncio.sleep(0.02)


def _run[T](coroutine: Coroutine[object, object, T]) -> T:
    return asyncio.run(coroutine)


class TestFreshTime:
    def test_a_copy_is_read_again_when_its_time_is_over(self, table: Table, serve: MakeServing) -> None:
        table.write("a.example")

        async def scenario() -> tuple[Served[str], Served[str]]:
            serving = serve(1)
            first = await serving.answer("a.example")
            table.write("a.example", mode="enforce")
            assert await serving.answer("a.example") == Served("fresh", first.copy)
            return first, await _when_not_fresh(serving, "a.example")

        start = time.monotonic()
        read, again = _run(scenario())
        assert time.monotonic() - start >= 1
        assert (read.outcome, again.outcome, table.reads) == ("read", "read", 2)
        assert read.copy
        assert again.copy
        assert (read.copy.text, again.copy.text) == (_POLICY.text.encode(), _EDITED.text.encode())

    def test_a_new_row_is_found_when_the_time_of_no_row_is_over(self, table: Table, serve: MakeServing) -> None:
        async def scenario() -> list[Outcome]:
            serving = serve(0)
            before = await _outcomes(serving, "a.example")
            table.write("a.example")
            return before + await _outcomes(serving, "a.example")

        assert _run(scenario()) == ["unknown", "read"]


class TestBounds:
    """Known and unknown domains are held separately, each up to a limit, and the least recently asked goes first."""

    @pytest.fixture(autouse=True)
    def _limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(copies_module, "COPIES_LIMIT", 2)
        monkeypatch.setattr(copies_module, "ABSENT_LIMIT", 2)

    def test_the_least_recently_asked_known_domain_goes(self, table: Table, serve: MakeServing) -> None:
        for domain in ("a.example", "b.example", "c.example"):
            table.write(domain)

        async def scenario() -> list[Outcome]:
            serving = serve(60)
            await _outcomes(serving, "a.example", "b.example", "a.example", "c.example")
            return await _outcomes(serving, "a.example", "c.example", "b.example")

        assert _run(scenario()) == ["fresh", "fresh", "read"]

    def test_the_least_recently_asked_unknown_domain_goes(self, table: Table, serve: MakeServing) -> None:
        async def scenario() -> int:
            serving = serve(60)
            await _outcomes(serving, "a.example", "b.example", "a.example", "c.example")
            before = table.reads
            await _outcomes(serving, "a.example", "c.example")
            assert table.reads == before
            await _outcomes(serving, "b.example")
            return table.reads - before

        assert _run(scenario()) == 1

    def test_strangers_push_no_tenant_out(self, table: Table, serve: MakeServing) -> None:
        table.write("tenant.example")

        async def scenario() -> list[Outcome]:
            serving = serve(60)
            await _outcomes(serving, "tenant.example", *(f"{number}.invalid" for number in range(20)))
            return await _outcomes(serving, "tenant.example")

        assert _run(scenario()) == ["fresh"]


class TestSharedRead:
    def test_callers_at_once_share_it(self, table: Table, serve: MakeServing) -> None:
        table.write("a.example")

        async def scenario() -> set[Outcome]:
            serving = serve(60)
            served = await asyncio.gather(*(serving.answer("a.example") for _ in range(50)))
            return {one.outcome for one in served}

        assert (_run(scenario()), table.reads) == ({"read"}, 1)

    def test_a_caller_that_goes_away_does_not_end_it(self, table: Table, serve: MakeServing) -> None:
        table.write("a.example")
        table.gate.clear()

        async def scenario() -> Outcome:
            serving = serve(60)
            goes, stays = (asyncio.create_task(serving.answer("a.example")) for _ in range(2))
            await asyncio.sleep(0)
            goes.cancel()
            await asyncio.wait((goes,))
            assert goes.cancelled()
            table.gate.set()
            return (await stays).outcome

        assert (_run(scenario()), table.reads) == ("read", 1)

    def test_it_refreshes_the_copy_after_its_callers_have_left(self, table: Table, serve: MakeServing) -> None:
        table.write("a.example")

        async def scenario() -> None:
            serving = serve(0.5)
            first = await serving.answer("a.example")
            table.write("a.example", mode="enforce")
            table.gate.clear()
            served = await _when_not_fresh(serving, "a.example")
            assert (served.outcome, served.copy) == ("stale", first.copy)
            table.gate.set()
            while (served := await serving.answer("a.example")).copy == first.copy:  # read by nobody but that one read
                pass
            assert served.copy
            assert served.copy.text == _EDITED.text.encode()

        _run(scenario())
        assert table.reads == 2


class TestFailingReads:
    @pytest.mark.parametrize("error", [RuntimeError("no AzureError"), OSError("no route"), MemoryError()])
    def test_any_exception_is_a_failure_of_storage(
        self, table: Table, serve: MakeServing, caplog: pytest.LogCaptureFixture, error: Exception
    ) -> None:
        table.write("held.example")

        async def scenario() -> tuple[list[Outcome], Health, list[Outcome]]:
            serving = serve(0)
            await serving.answer("held.example")
            table.error = error
            failing = await _outcomes(serving, "held.example", "other.example", "held.example")
            health = await serving.health()
            table.error = None
            return failing, health, await _outcomes(serving, "held.example", "other.example")

        failing, health, mended = _run(scenario())
        assert failing == ["stale", "unavailable", "stale"]
        assert health == Health("failing", 1, 0, None)
        assert mended == ["read", "unknown"]
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert type(error).__name__ in caplog.messages[0]

    def test_a_time_out_opens_the_breaker_for_all_domains(
        self, table: Table, serve: MakeServing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While it is open nothing is read; after its pause of all that ask one reads, and its answer closes it."""
        monkeypatch.setattr(serving_module, "_WAIT", 0.1)
        monkeypatch.setattr(breaker_module, "SILENCE", 0.1)
        monkeypatch.setattr(breaker_module, "PAUSE", 0.6)
        domains = [f"{number}.example" for number in range(5)]
        for domain in domains:
            table.write(domain)

        async def scenario() -> None:
            serving = serve(60)
            table.gate.clear()
            assert await _outcomes(serving, domains[0]) == ["unavailable"]
            opened = time.monotonic()
            assert await _outcomes(serving, *domains[1:]) == ["unavailable"] * 4
            assert table.reads == 1
            table.error = RuntimeError("no success closes the breaker before the probe")
            table.gate.set()
            while table.reads == 1:
                assert set(await _outcomes(serving, domains[1])) == {"unavailable"}
                await asyncio.sleep(0.02)
            assert time.monotonic() - opened >= 0.5
            assert table.reads == 2, "the probe failed: another pause begins"
            assert await _outcomes(serving, *domains) == ["unavailable"] * 5
            assert table.reads == 2
            table.error = None
            outcomes: list[Outcome] = []
            while table.reads == 2:
                outcomes = [one.outcome for one in await asyncio.gather(*map(serving.answer, domains))]
                await asyncio.sleep(0.02)
            assert (sorted(outcomes), table.reads) == (["read", *["unavailable"] * 4], 3), "one probe goes"
            assert set(await _outcomes(serving, *domains)) == {"fresh", "read"}

        _run(scenario())

    def test_reads_still_queued_when_the_breaker_opens_make_no_request(
        self, table: Table, serve: MakeServing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reads_module, "STRANGER_THREADS", 2)
        monkeypatch.setattr(serving_module, "_WAIT", 0.1)
        monkeypatch.setattr(breaker_module, "SILENCE", 0.1)
        monkeypatch.setattr(breaker_module, "PAUSE", 0.6)
        table.gate.clear()

        async def scenario() -> None:
            serving = serve(60)
            served = await asyncio.gather(*(serving.answer(f"{number}.example") for number in range(20)))
            assert {one.outcome for one in served} == {"unavailable"}
            table.error = RuntimeError("no success closes the breaker")
            table.gate.set()
            while table.reads == 2:
                await serving.answer("probe.example")
                await asyncio.sleep(0.02)
            assert table.reads == 3, "the two under way and the probe"

        _run(scenario())


class TestInvalidRow:
    def test_the_last_copy_is_remembered_like_a_fresh_one(
        self, table: Table, serve: MakeServing, caplog: pytest.LogCaptureFixture
    ) -> None:
        table.write("a.example")

        async def scenario() -> list[Served[str]]:
            serving = serve(0.3)
            first = await serving.answer("a.example")
            table.write("a.example", mode="wrong")
            served = await _when_not_fresh(serving, "a.example")
            assert await serving.health() == Health("ok", 1, 1, None)
            return [first, served, await serving.answer("a.example")]

        first, invalid, again = _run(scenario())
        assert (first.outcome, invalid.outcome, again.outcome, table.reads) == ("read", "last-good", "last-good", 2)
        assert first.copy
        for served in (invalid, again):
            assert served.copy
            assert (served.copy.text, served.copy.version) == (_POLICY.text.encode(), first.copy.version)
        (record,) = caplog.records
        assert record.levelname == "ERROR"
        assert "a.example" in record.message
        assert "mode is 'wrong'" in record.message

    def test_it_is_reported_once_for_each_version(
        self, table: Table, serve: MakeServing, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def scenario() -> list[Outcome]:
            serving = serve(0)
            outcomes = []
            for mode in ("wrong", "worse"):
                table.write("a.example", mode=mode)
                outcomes += await _outcomes(serving, "a.example", "a.example", "a.example")
            return outcomes

        assert _run(scenario()) == ["unavailable"] * 6
        assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2

    def test_a_new_worker_takes_the_newest_revision(self, table: Table, history: History, serve: MakeServing) -> None:
        domain = "a.example"
        row = table.add(domain, _POLICY)
        revision = history.record(row, table, by="test")
        table.write(domain, mode="wrong")
        reads = table.reads

        async def scenario() -> list[Served[str]]:
            serving = serve(60)
            return [await serving.answer(domain) for _ in range(2)]

        for served in _run(scenario()):
            assert served.outcome == "last-good"
            assert served.copy
            assert (served.copy.text, served.copy.version) == (_POLICY.text.encode(), revision.key)
        assert table.reads == reads + 1

    def test_a_history_that_cannot_be_read_leaves_nothing_to_serve(
        self, table: Table, settings: Settings, caplog: pytest.LogCaptureFixture
    ) -> None:
        table.write("a.example", mode="wrong")

        async def scenario() -> list[Outcome]:
            with open_table(settings, "nosuchtable") as client:
                return await _outcomes(Serving(table, History(client), fresh_seconds=60), "a.example")

        assert _run(scenario()) == ["unavailable"]
        assert "the history of a.example cannot be read: ResourceNotFoundError: 404 TableNotFound" in caplog.messages


class TestHealth:
    def test_it_reads_where_nobody_has_and_then_speaks_from_that(self, table: Table, serve: MakeServing) -> None:
        async def scenario() -> list[Health]:
            serving = serve(60)
            return [await serving.health() for _ in range(3)]

        assert (_run(scenario()), table.reads) == ([Health("ok", 0, 0, None)] * 3, 1)

    def test_it_reads_nothing_within_a_minute_of_a_request(self, table: Table, serve: MakeServing) -> None:
        table.write("a.example")

        async def scenario() -> Health:
            serving = serve(60)
            await serving.answer("a.example")
            return await serving.health()

        assert (_run(scenario()), table.reads) == (Health("ok", 1, 0, None), 1)
