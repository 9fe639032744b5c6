"""The audit on the real table service: alone, at once with another or with the command, and as the worker runs it."""

import asyncio
import logging
import multiprocessing
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from datetime import timedelta
from math import inf
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableClient, TableServiceClient, UpdateMode

from dev.azurite import Azurite
from dev.worker import Worker
from policy_store import audit as audit_module
from policy_store import instance as instance_module
from policy_store import looking as looking_module
from policy_store.audit import Auditor, AuditProblem, AuditReport, audit
from policy_store.lint.linter import lint_row
from policy_store.policy import Policy
from policy_store.tables.entry import walk
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.history import History, Revision, key_of
from policy_store.tables.policies import TABLE, PolicyTable
from policy_store.tables.row import Row
from tests.loopback import LoopbackServer

_ROOT = Path(__file__).parents[1]
_ROUNDS = 50
_SECONDS_AT_BARRIER = 30
_HOST = {"Host": "mta-sts.contoso.com"}


def _policy(max_age: int = 604800) -> Policy:
    return Policy(mode="enforce", mx=("mx.contoso.com",), max_age=max_age)


def _cells(domain: str = "contoso.com", row_key: str = "policy", **others: str | int) -> dict[str, str | int]:
    """A row as somebody types it into Storage Explorer."""
    columns: dict[str, str | int] = {"mode": "Enforce", "mx": "MX.contoso.com", "max_age": "604800"}
    return {"PartitionKey": domain, "RowKey": row_key, **columns, **others}


class Told(list[AuditProblem]):
    """The problems that an audit tells."""

    @property
    def codes(self) -> list[tuple[str, str]]:
        return [(problem.domain, problem.code) for problem in self]


@pytest.fixture
def told() -> Told:
    return Told()


type Run = Callable[..., AuditReport]


@pytest.fixture
def run(policies: PolicyTable, history: History, told: Told) -> Run:
    """Audit the domains after one, all of them by default, and gather what is told."""

    def run_audit(after: str = "", deadline: float = inf) -> AuditReport:
        entries = walk(policies, history, after=after)
        return audit(entries, policies, history, by="audit", tell=told.append, deadline=deadline)

    return run_audit


class TestAudit:
    def test_a_row_typed_by_hand_becomes_a_revision(
        self, run: Run, policies: PolicyTable, history: History, policies_client: TableClient, told: Told
    ) -> None:
        policies_client.create_entity(_cells())
        report = run()
        row = policies.get("contoso.com")
        assert row is not None
        (revision,) = history.revisions("contoso.com")
        assert (revision.text, revision.key, revision.id) == (_policy().text, key_of(row.modified), revision.key)
        assert (revision.by, revision.note) == ("audit", "changed by hand")
        assert (report, told) == (AuditReport(domains=1, recorded=1), [])

    def test_what_is_recorded_is_left_alone(self, run: Run, history: History, policies_client: TableClient) -> None:
        """Neither a second audit nor a row typed again with the same meaning adds a revision."""
        policies_client.create_entity(_cells())
        run()
        revisions = history.revisions("contoso.com")
        policies_client.update_entity(_cells(mode=" enforce "), mode=UpdateMode.REPLACE)
        assert run() == AuditReport(domains=1)
        assert history.revisions("contoso.com") == revisions

    def test_an_invalid_row_is_told_with_every_reason(self, run: Run, policies_client: TableClient, told: Told) -> None:
        policies_client.create_entity(_cells(mode="enforced", max_age="a week"))
        assert run() == AuditReport(domains=1, invalid_row=1)
        assert told.codes == [("contoso.com", "invalid_row")]
        assert "mode is 'enforced'" in told[0].message
        assert "max_age is 'a week'" in told[0].message

    def test_a_row_with_a_thousand_mistakes_is_told_in_a_few_sentences(
        self, run: Run, policies_client: TableClient, told: Told
    ) -> None:
        policies_client.create_entity(_cells(mx=" ".join(f"mx_{number}" for number in range(1000))))
        run()
        assert "; and 990 more: " in told[0].message
        assert len(told[0].message) < 5000

    def test_rows_that_no_request_finds_are_told(self, run: Run, policies_client: TableClient, told: Told) -> None:
        """A key in upper case and another RowKey, beside a good row of the same domain or without one."""
        policies_client.create_entity(_cells("Fabrikam.com"))
        policies_client.create_entity(_cells())
        policies_client.create_entity(_cells(row_key="Policy"))
        report = run()
        assert report == AuditReport(domains=2, recorded=1, unreachable_row=2)
        assert told.codes == [("Fabrikam.com", "unreachable_row"), ("contoso.com", "unreachable_row")]

    def test_a_row_under_the_name_of_a_policy_host_is_warned_of_as_lint_does(
        self, run: Run, policies: PolicyTable, policies_client: TableClient, told: Told
    ) -> None:
        policies_client.create_entity(_cells("mta-sts.contoso.com"))
        policies_client.create_entity(_cells("mta-sts.fabrikam.com", mode="none"))
        policies_client.create_entity(_cells("mta-sts.com"))
        assert run() == AuditReport(domains=3, recorded=3, policy_host_domain=1)
        assert told.codes == [("mta-sts.contoso.com", "policy_host_domain")]
        row = policies.get("mta-sts.contoso.com")
        assert row
        (finding,) = (found for found in lint_row(row) if found.code == "policy_host_domain")
        assert (told[0].message, told[0].severity) == (finding.message, finding.severity)

    def test_a_row_that_vanished_is_told(self, run: Run, policies_client: TableClient, told: Told) -> None:
        policies_client.create_entity(_cells())
        run()
        policies_client.delete_entity(_cells())
        assert run() == AuditReport(domains=1, vanished_row=1)
        assert told.codes == [("contoso.com", "vanished_row")]

    def test_a_retired_domain_without_a_row_is_not(self, run: Run, policies_client: TableClient, told: Told) -> None:
        policies_client.create_entity(_cells(mode="none"))
        run()
        policies_client.delete_entity(_cells())
        assert run() == AuditReport(domains=1)
        assert told == []

    def test_a_row_added_while_the_audit_walks_has_not_vanished(
        self, policies: PolicyTable, history: History, policies_client: TableClient
    ) -> None:
        """The page of rows was fetched before the row was there, the page of revisions may come after."""
        policies_client.create_entity(_cells("a.example", mode="wrong"))
        row = policies.add("b.example", _policy())
        history.record(row, policies, by="ann")
        policies.delete("b.example", row.etag)
        problems = Told()

        def tell(problem: AuditProblem) -> None:
            problems.append(problem)
            policies.add("b.example", _policy())

        report = audit(walk(policies, history), policies, history, by="audit", tell=tell)
        assert report == AuditReport(domains=2, invalid_row=1)
        assert problems.codes == [("a.example", "invalid_row")]

    def test_a_text_that_no_cell_can_keep_is_an_invalid_row(
        self, run: Run, history: History, policies_client: TableClient, told: Told
    ) -> None:
        """The text of many short patterns is longer than the cell that holds them, and a cell has its limit."""
        policies_client.create_entity(_cells("a.example", mx=" ".join(f"x{number}.example" for number in range(2000))))
        policies_client.create_entity(_cells("b.example"))
        report = run()
        assert report == AuditReport(domains=2, recorded=1, invalid_row=1)
        assert "32768 can be kept" in told[0].message
        assert history.revisions("b.example") != []

    @pytest.mark.parametrize("error", [OverflowError("date value out of range"), RuntimeError("a bug")])
    def test_any_exception_of_one_domain_is_that_domains_problem(
        self,
        policies: PolicyTable,
        history: History,
        policies_client: TableClient,
        history_client: TableClient,
        told: Told,
        error: Exception,
    ) -> None:
        class Fails(History):
            def record(self, row: Row, *args: Any, **kwargs: Any) -> Revision:
                if row.domain == "a.example":
                    raise error
                return history.record(row, *args, **kwargs)

        for domain in ("a.example", "b.example"):
            policies_client.create_entity(_cells(domain))
        report = audit(walk(policies, history), policies, Fails(history_client), by="audit", tell=told.append)
        assert report == AuditReport(domains=2, recorded=1, not_recorded=1)
        assert told.codes == [("a.example", "not_recorded")]

    def test_a_revision_of_the_far_future_is_left_out(
        self, run: Run, history: History, history_client: TableClient, policies_client: TableClient, told: Told
    ) -> None:
        far = {"PartitionKey": "a.example", "RowKey": "99991231235959Z", "id": "1", "text": _policy().text}
        history_client.create_entity(far)
        for domain in ("a.example", "b.example"):
            policies_client.create_entity(_cells(domain))
        assert run() == AuditReport(domains=2, recorded=2)
        assert [len(history.revisions(domain)) for domain in ("a.example", "b.example")] == [1, 1]

    def test_a_row_with_an_empty_partition_key_is_told(
        self, run: Run, policies_client: TableClient, told: Told
    ) -> None:
        policies_client.create_entity(_cells(""))
        assert run() == AuditReport(domains=1, unreachable_row=1)
        assert told.codes == [("", "unreachable_row")]

    def test_it_stops_at_its_deadline_and_goes_on_from_there(
        self, policies: PolicyTable, history: History, policies_client: TableClient, told: Told
    ) -> None:
        for domain in ("a.example", "b.example", "c.example"):
            policies_client.create_entity(_cells(domain))
        after, stops = "", []
        while True:
            report = audit(
                walk(policies, history, after=after),
                policies,
                history,
                by="audit",
                tell=told.append,
                deadline=time.monotonic(),
            )
            after = report.next_after
            stops.append(after)
            if not report.domains:
                break
            assert report.recorded == 1
        assert stops == ["a.example", "b.example", "c.example", ""]
        assert all(history.revisions(domain) for domain in ("a.example", "b.example", "c.example"))


class TestAuditor:
    def test_a_problem_is_logged_once_for_each_version_of_the_row(
        self,
        policies: PolicyTable,
        history: History,
        policies_client: TableClient,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        auditor = Auditor(policies, history)
        logged = []
        for mode in ("wrong", None, "wrong", "enforce", "wrong"):
            if mode:
                policies_client.upsert_entity(_cells(mode=mode), mode=UpdateMode.REPLACE)
            caplog.clear()
            auditor.run(240)
            logged.append([record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR])
        assert [len(lines) for lines in logged] == [1, 0, 1, 0, 1]
        assert "contoso.com" in logged[0][0]
        assert "mode is 'wrong'" in logged[0][0]

    def test_what_it_remembers_is_bounded(
        self,
        policies: PolicyTable,
        history: History,
        policies_client: TableClient,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Past the bound the problem seen longest ago is logged again; one within it never is."""
        monkeypatch.setattr(audit_module, "REMEMBERED", 1)
        auditor = Auditor(policies, history)
        policies_client.create_entity(_cells("a.example", mode="wrong"))
        auditor.run(240)
        auditor.run(240)
        assert sum("a.example" in record.getMessage() for record in caplog.records) == 1
        policies_client.create_entity(_cells("b.example", mode="wrong"))
        auditor.run(240)
        auditor.run(240)
        assert sum("a.example" in record.getMessage() for record in caplog.records) == 2

    def test_a_warning_is_logged_as_one(
        self, policies: PolicyTable, history: History, policies_client: TableClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        policies_client.create_entity(_cells("mta-sts.contoso.com"))
        auditor = Auditor(policies, history)
        for _ in range(2):
            auditor.run(240)
        assert [record.levelname for record in caplog.records if "is contoso.com meant?" in record.getMessage()] == [
            "WARNING"
        ]

    def test_counts_end_each_audit(
        self, policies: PolicyTable, history: History, policies_client: TableClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "policy_store")
        policies_client.create_entity(_cells())
        Auditor(policies, history).run(240)
        counts = "recorded=1 invalid_row=0 unreachable_row=0 vanished_row=0 not_recorded=0 policy_host_domain=0"
        assert f"audit domains=1 {counts}" in caplog.messages


_barrier: Barrier


def _take_barrier(barrier: Barrier) -> None:
    global _barrier  # noqa: PLW0603 a barrier reaches a process of a pool only at its start
    _barrier = barrier


def _audit_rounds(connection_string: str, tables: tuple[str, str]) -> list[int]:
    """Audit at the barrier in every round; the numbers of problems."""
    clients = [TableClient.from_connection_string(connection_string, table) for table in tables]
    policies, history = PolicyTable(clients[0]), History(clients[1])
    found = []
    for number in range(_ROUNDS):
        told = Told()
        _barrier.wait(_SECONDS_AT_BARRIER)
        audit(
            walk(policies, history, after=f"d{number - 1:03}.example" if number else ""),
            policies,
            history,
            by="audit",
            tell=told.append,
        )
        _barrier.wait(_SECONDS_AT_BARRIER)
        found.append(len(told))
    for client in clients:
        client.close()
    return found


def _edit_rounds(connection_string: str, tables: tuple[str, str]) -> None:
    """Edit the one row as the command does, at the barrier in every round."""
    clients = [TableClient.from_connection_string(connection_string, table) for table in tables]
    policies, history = PolicyTable(clients[0]), History(clients[1])
    for number in range(_ROUNDS):
        row = policies.get("contoso.com")
        assert row is not None
        _barrier.wait(_SECONDS_AT_BARRIER)
        row = policies.replace(row.domain, row.etag, _policy(number))
        history.record(row, policies, by="ann")
        _barrier.wait(_SECONDS_AT_BARRIER)
    for client in clients:
        client.close()


class TestAtOnce:
    """Real processes, held at a barrier in each of 50 rounds."""

    @pytest.fixture
    def processes(self) -> Iterator[ProcessPoolExecutor]:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(2, spawn, _take_barrier, (spawn.Barrier(2),)) as pool:
            yield pool

    def test_two_audits(
        self,
        processes: ProcessPoolExecutor,
        azurite: Azurite,
        policies_client: TableClient,
        history_client: TableClient,
    ) -> None:
        """In each round both find one more row without a revision: they leave one revision, with the row's text."""
        for number in range(_ROUNDS):
            policies_client.create_entity(_cells(f"d{number:03}.example", max_age=number))
        tables = (policies_client.table_name, history_client.table_name)
        audits = [processes.submit(_audit_rounds, azurite.connection_string, tables) for _ in range(2)]
        assert [audit.result() for audit in audits] == [[0] * _ROUNDS] * 2
        for number in range(_ROUNDS):
            (revision,) = History(history_client).revisions(f"d{number:03}.example")
            assert revision.text == _policy(number).text

    def test_an_audit_and_the_command(
        self,
        processes: ProcessPoolExecutor,
        azurite: Azurite,
        policies: PolicyTable,
        history: History,
        policies_client: TableClient,
        history_client: TableClient,
    ) -> None:
        """In each round the command writes a text and records it while an audit walks: one revision for each text."""
        history.record(policies.add("contoso.com", _policy()), policies, by="ann")
        tables = (policies_client.table_name, history_client.table_name)
        edits = processes.submit(_edit_rounds, azurite.connection_string, tables)
        audits = processes.submit(_audit_rounds, azurite.connection_string, tables)
        edits.result()
        assert audits.result() == [0] * _ROUNDS
        texts = [revision.text for revision in history.revisions("contoso.com")]
        assert texts == [_policy().text, *(_policy(number).text for number in range(_ROUNDS))]
        row = policies.get("contoso.com")
        assert row is not None
        assert texts[-1] == row.policy.text


@pytest.fixture(scope="module")
def service() -> Iterator[Azurite]:
    """A table service that may be paused and stopped."""
    with Azurite() as service:
        yield service


@pytest.fixture
def store(service: Azurite, monkeypatch: pytest.MonkeyPatch) -> Azurite:
    """The service with both tables empty, which the app finds by its settings."""
    with TableServiceClient.from_connection_string(service.connection_string) as tables:
        for table in (TABLE, HISTORY_TABLE):
            with suppress(ResourceNotFoundError):
                tables.delete_table(table)
            tables.create_table(table)
    monkeypatch.setenv("POLICY_STORE", service.connection_string)
    return service


def _client(store: Azurite, table: str = TABLE) -> TableClient:
    return TableClient.from_connection_string(store.connection_string, table)


class TestTimer:
    def test_its_schedule_is_a_setting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every 5 minutes where it is missing, or 2 where ids are published: the function is there either way."""

        async def schedule() -> str:
            async with Worker(_ROOT) as worker:
                return worker.function("audit").schedule

        assert asyncio.run(schedule()) == "0 */5 * * * *"
        monkeypatch.setenv("POLICY_DNS_ZONE", "/subscriptions/…")
        assert asyncio.run(schedule()) == "0 */2 * * * *"
        monkeypatch.setenv("POLICY_AUDIT_SCHEDULE", "0 30 * * * *")
        assert asyncio.run(schedule()) == "0 30 * * * *"

    def test_it_records_and_logs(self, store: Azurite, caplog: pytest.LogCaptureFixture) -> None:
        with _client(store) as rows, _client(store, HISTORY_TABLE) as revisions:
            rows.create_entity(_cells())
            rows.create_entity(_cells("fabrikam.com", mode="wrong"))

            async def audits() -> None:
                async with Worker(_ROOT) as worker:
                    await worker.invoke_timer("audit")
                    await worker.invoke_timer("audit")

            asyncio.run(audits())
            (revision,) = History(revisions).revisions("contoso.com")
        assert (revision.text, revision.by) == (_policy().text, "audit")
        told = [line for name, _, line in caplog.record_tuples if name == "policy_store.audit"]
        assert sum("fabrikam.com" in line for line in told) == 1

    def test_it_goes_on_where_it_stopped(self, store: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
        """Here after no time at all: each audit sees to one domain. The rows are older than the worker by an hour."""
        monkeypatch.setattr(looking_module, "OVERLAP", timedelta(hours=-1))
        with _client(store) as rows, _client(store, HISTORY_TABLE) as revisions:
            for domain in ("a.example", "b.example"):
                rows.create_entity(_cells(domain))

            async def audits() -> list[int]:
                recorded = []
                async with Worker(_ROOT) as worker:
                    monkeypatch.setattr(instance_module, "AUDIT_SECONDS", 0)
                    for _ in range(2):
                        await worker.invoke_timer("audit")
                        recorded.append(sum(1 for _ in revisions.list_entities()))
                return recorded

            assert asyncio.run(audits()) == [1, 2]

    def test_requests_are_answered_while_it_walks(self, store: Azurite) -> None:
        """Even while storage keeps the audit waiting."""
        with _client(store) as rows:
            rows.create_entity(_cells())

        async def meanwhile() -> tuple[int, bool]:
            async with Worker(_ROOT) as worker:
                assert (await worker.invoke_http("policy", headers=_HOST)).status == 200
                store.pause()
                try:
                    walk = asyncio.create_task(worker.invoke_timer("audit"))
                    await asyncio.sleep(0)
                    answer = await worker.invoke_http("policy", headers=_HOST)
                    waits = not walk.done()
                finally:
                    store.resume()
                await walk
                return answer.status, waits

        assert asyncio.run(meanwhile()) == (200, True)

    def test_an_error_is_logged_and_not_raised(self, store: Azurite, caplog: pytest.LogCaptureFixture) -> None:
        async def fail() -> None:
            async with Worker(_ROOT) as worker:
                await worker.invoke_timer("audit")

        store.stop()
        try:
            asyncio.run(fail())
        finally:
            store.start()
        assert any("the audit failed" in line for line in caplog.messages)

    def test_storage_that_asks_for_patience_does_not_hold_it(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The host restarts a worker whose function outlasts its time-out, and with it goes every copy."""

        def busy(connection: socket.socket, _: threading.Event) -> None:
            connection.recv(65536)
            connection.sendall(
                b"HTTP/1.1 503 Busy\r\nRetry-After: 3600\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )

        async def audits(seconds: float) -> None:
            async with Worker(_ROOT) as worker, asyncio.timeout(seconds):
                await worker.invoke_timer("audit")

        with LoopbackServer(busy) as server:
            endpoint = f"http://127.0.0.1:{server.port}/a"
            monkeypatch.setenv("POLICY_STORE", f"AccountName=a;AccountKey=YQ==;TableEndpoint={endpoint};")
            asyncio.run(audits(seconds=30))
        assert any("the audit failed" in line for line in caplog.messages)

    def test_missing_settings_are_told_once(self, caplog: pytest.LogCaptureFixture) -> None:
        async def audits() -> None:
            async with Worker(_ROOT) as worker:
                await worker.invoke_timer("audit")
                await worker.invoke_timer("audit")

        asyncio.run(audits())
        assert sum("POLICY_STORE is missing" in line for line in caplog.messages) == 1


def test_the_app_imports_nothing_of_the_command() -> None:
    """What the audit needs is what serving needs: a cold start costs no more."""
    others = ("cli", "dns_records", "lifecycle", "lint", "plan", "sender")
    program = f"import sys, function_app; print(*(n for n in {others!r} if f'policy_store.{{n}}' in sys.modules))"
    imported = subprocess.run([sys.executable, "-c", program], cwd=_ROOT, capture_output=True, text=True, check=True)
    assert imported.stdout.split() == []
