"""Log lines in a worker that drops them as Azure's does: each arrives, once and in order."""

import asyncio
import logging
import random
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from azure.data.tables import TableClient, UpdateMode

from dev.azurite import Azurite
from dev.worker import Worker
from policy_store import log_queue as log_queue_module
from policy_store.log_queue import LogQueue
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.policies import TABLE
from tests.end_to_end.faults import FaultProxy

_ROOT = Path(__file__).parents[1]
_log = logging.getLogger("policy_store.test")


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> LogQueue:
    """A queue of the test's own, in the place of the app's."""
    monkeypatch.setattr(logging.getLogger("policy_store"), "parent", logging.getLogger())
    queue = LogQueue()
    queue.install()
    return queue


class Host:
    """Drops lines as the Functions host does; `arrived` has the others. As many invocations as wanted run at once."""

    def __init__(self, queue: LogQueue) -> None:
        self.arrived: list[str] = []
        self._queue = queue
        self._last = 0
        self._executing: set[int] = set()

    async def invoke(self, function: Callable[[], Awaitable[None]]) -> None:
        self._last += 1
        number = self._last
        self._executing.add(number)
        with self._queue.invocation():
            await function()
        self._executing.discard(number)

    def filter(self, record: logging.LogRecord) -> bool:
        if self._last in self._executing:
            self.arrived.append(record.getMessage())
        return False


@pytest.fixture
def host(queue: LogQueue, caplog: pytest.LogCaptureFixture) -> Iterator[Host]:
    host = Host(queue)
    caplog.set_level(logging.INFO, "policy_store")
    caplog.handler.addFilter(host)
    yield host
    caplog.handler.removeFilter(host)


async def _nothing() -> None:
    pass


class TestOneInvocation:
    def test_a_line_before_the_first_suspension_is_logged_at_once(self, host: Host) -> None:
        async def scenario() -> None:
            async def function() -> None:
                _log.info("one")
                assert host.arrived == ["one"]

            await host.invoke(function)

        asyncio.run(scenario())

    def test_a_line_after_another_invocation_came_and_went_is_logged_by_the_next(self, host: Host) -> None:
        async def scenario() -> None:
            async def slow() -> None:
                await asyncio.sleep(0.01)
                await host.invoke(_nothing)
                _log.info("late")

            await host.invoke(slow)
            assert host.arrived == []
            await host.invoke(_nothing)
            assert host.arrived == ["late"]
            await host.invoke(_nothing)

        asyncio.run(scenario())
        assert host.arrived == ["late"]

    def test_a_line_of_a_background_task_waits_for_an_invocation(self, host: Host) -> None:
        async def scenario() -> None:
            await host.invoke(_nothing)
            _log.info("a")
            _log.info("b")

            async def function() -> None:
                _log.info("c")

            await host.invoke(function)

        asyncio.run(scenario())
        assert host.arrived == ["a", "b", "c"]

    def test_a_line_of_a_thread_is_logged_by_the_invocation_that_waits_for_it(self, host: Host) -> None:
        async def scenario() -> None:
            await host.invoke(lambda: asyncio.to_thread(_log.info, "from a thread"))

        asyncio.run(scenario())
        assert host.arrived == ["from a thread"]


class TestKeptLines:
    def test_a_line_that_waited_has_its_time(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(log_queue_module, "LATE", 0.0)

        async def scenario() -> None:
            await host.invoke(_nothing)
            _log.info("a %s", "line")
            await host.invoke(_nothing)

        asyncio.run(scenario())
        (line,) = host.arrived
        assert line.startswith("a line [20")
        assert line.endswith("Z]")

    def test_they_are_bounded_and_the_loss_is_told(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(log_queue_module, "KEPT_LIMIT", 2)

        async def scenario() -> None:
            await host.invoke(_nothing)
            for number in range(5):
                _log.info("%d", number)
            await host.invoke(_nothing)

        asyncio.run(scenario())
        assert host.arrived[:2] == ["0", "1"]
        assert host.arrived[2].startswith("3 log lines were dropped")

    def test_a_traceback_is_kept_as_text(self, queue: LogQueue, caplog: pytest.LogCaptureFixture) -> None:
        async def scenario() -> None:
            with queue.invocation():
                pass
            try:
                raise RuntimeError("a bug")
            except RuntimeError:
                _log.exception("it failed")
            with queue.invocation():
                pass

        asyncio.run(scenario())
        (record,) = caplog.records
        assert record.exc_info is None
        assert "RuntimeError: a bug" in str(record.exc_text)


def test_without_an_event_loop_each_line_is_logged_at_once(queue: LogQueue, caplog: pytest.LogCaptureFixture) -> None:
    _log.error("in the command")
    asyncio.run(_invoke_once(queue))
    _log.error("after the worker")
    assert caplog.messages == ["in the command", "after the worker"]


async def _invoke_once(queue: LogQueue) -> None:
    with queue.invocation():
        pass


def test_a_thousand_interleaved_invocations_with_threads_lose_no_line_and_double_none(host: Host) -> None:
    expected: Counter[str] = Counter()
    pauses = random.Random(1)  # noqa: S311 - no secret

    def log(text: str) -> None:
        expected[text] += 1
        _log.info("%s", text)

    async def scenario() -> None:
        async def function(number: int) -> None:
            log(f"{number} begins")
            await asyncio.sleep(pauses.random() * 0.02)
            log(f"{number} goes on")
            if number % 7 == 0:
                await asyncio.to_thread(log, f"{number} in a thread")
            if number % 11 == 0:
                threading.Thread(target=log, args=(f"{number} in a thread that nobody waits for",)).start()
            if number % 3 == 0:
                await asyncio.sleep(0)
                log(f"{number} ends")

        running = []
        for number in range(1000):
            running.append(asyncio.create_task(host.invoke(lambda number=number: function(number))))  # type: ignore[misc]
            if number % 5 == 0:
                await asyncio.sleep(0.001)
        await asyncio.gather(*running)
        await asyncio.sleep(0.05)
        await host.invoke(_nothing)

    asyncio.run(scenario())
    assert Counter(host.arrived) == expected
    for number in range(0, 1000, 3):
        assert host.arrived.index(f"{number} begins") < host.arrived.index(f"{number} ends")


class TestWholeApp:
    """The app in the local worker, which drops what Azure would drop."""

    def test_no_line_is_lost_or_doubled_with_broken_rows_failing_storage_and_audits(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.delitem(sys.modules, "function_app", raising=False)
        caplog.set_level(logging.INFO, "policy_store")
        with Azurite() as tables, FaultProxy(tables.port) as proxy:
            for name in (TABLE, HISTORY_TABLE):
                with TableClient.from_connection_string(tables.connection_string, name) as client:
                    client.create_table()
                    for number in range(20 if name == TABLE else 0):
                        row = {"PartitionKey": f"d{number}.example", "RowKey": "policy", "mx": "mx.example.net"}
                        mode = "wrong" if number < 5 else "enforce"
                        client.upsert_entity({**row, "mode": mode, "max_age": 86400}, mode=UpdateMode.REPLACE)
            store = tables.connection_string.replace(f":{tables.port}/", f":{proxy.port}/")
            monkeypatch.setenv("POLICY_STORE", store)
            monkeypatch.setenv("POLICY_FRESH_SECONDS", "0")

            async def scenario() -> None:
                async with Worker(_ROOT) as worker:

                    async def ask(number: int) -> None:
                        host = f"mta-sts.d{number % 25}.example"
                        await worker.invoke_http("policy", headers={"Host": host, "User-Agent": f"agent-{number}-"})

                    for begin in range(0, 1000, 50):
                        proxy.fault = "503" if begin == 500 else None
                        asked = [asyncio.create_task(ask(number)) for number in range(begin, begin + 50)]
                        if begin % 200 == 0:
                            asked.append(asyncio.create_task(worker.invoke_timer("audit")))
                        await asyncio.sleep(0.01)
                        await worker.invoke_http("health")
                        await asyncio.gather(*asked)
                    await worker.invoke_http("health")

            asyncio.run(scenario())
        answers = Counter(
            line.partition("agent=")[2].split("'")[1] for line in caplog.messages if "answer domain" in line
        )
        assert answers == Counter(f"agent-{number}-" for number in range(1000))
        told = Counter(line for line in caplog.messages if "is invalid" in line)
        assert sum("the row of d" in line for line in told) == 5
        assert set(told.values()) == {1}
        assert sum(line.startswith("storage fails") for line in caplog.messages) == 1
        assert sum(line.startswith("audit domains=") for line in caplog.messages) == 5
