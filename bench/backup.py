"""A backup of 5,000 domains with 10 revisions each, and its way back: seconds, and memory beside that of a tenth."""

import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from azure.data.tables import TableServiceClient

from bench.command import Run, run
from bench.common import Figure, milliseconds, octets, progress, ratio
from dev.azurite import Azurite
from policy_store.policy import Policy
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.policies import TABLE

_FEW, _MANY = 500, 5_000
_REVISIONS = 10


def measure() -> list[Figure]:
    """Each command is a process of its own, on a table service that it shares the machine with."""
    with tempfile.TemporaryDirectory() as name:
        few, _ = _there_and_back(Path(name) / "few.jsonl", _FEW)
        many, size = _there_and_back(Path(name) / "many.jsonl", _MANY)
    figures = [octets(f"backup: {_MANY} domains, {_REVISIONS} revisions each", size)]
    for what in many:
        figures += [
            milliseconds(f"{what}: {_MANY} domains", [many[what].seconds]),
            Figure(f"{what}: peak of memory", many[what].peak, many[what].peak, "bytes"),
            ratio(f"{what}: peak, {_MANY} domains / {_FEW}", [many[what].peak], [few[what].peak], 1.25),
        ]
    return figures


def _there_and_back(file: Path, size: int) -> tuple[dict[str, Run], int]:
    with _store() as (source, service):
        progress(f"backup: filling {size} domains")
        _fill(service, size)
        runs = {"backup": _run(source, f"backup, {size} domains", "backup", str(file))}
    with _store() as (target, service):
        runs["restore, dry run"] = _run(target, f"restore, dry run, {size} domains", "restore", str(file), "--dry-run")
        runs["restore to empty tables"] = _run(target, f"restore, {size} domains", "restore", str(file))
        runs["restore where all is there"] = _run(target, f"restore again, {size} domains", "restore", str(file))
        rows = sum(1 for _ in service.get_table_client(HISTORY_TABLE).list_entities(select=["RowKey"]))
        if rows != size * _REVISIONS:
            raise RuntimeError(f"{rows} revisions came back")
    return runs, file.stat().st_size


def _fill(service: TableServiceClient, size: int) -> None:
    policies, history = service.get_table_client(TABLE), service.get_table_client(HISTORY_TABLE)

    def write(number: int) -> None:
        domain = f"tenant{number:05}.example"
        policy = Policy(mode="enforce", mx=(f"tenant{number:05}-example.mail.protection.outlook.com",), max_age=1209600)
        cells: dict[str, Any] = {"mode": "enforce", "mx": " ".join(policy.mx), "max_age": policy.max_age}
        keys = [f"202611{day:02}070000Z" for day in range(1, _REVISIONS + 1)]
        words = {"text": policy.text, "by": "ada@contoso", "note": "moved to Exchange Online"}
        rows = [{"PartitionKey": domain, "RowKey": key, "id": key, **words, **cells} for key in keys]
        history.submit_transaction([("create", row) for row in rows])
        policies.create_entity({"PartitionKey": domain, "RowKey": "policy", "note": "customer", **cells})

    with ThreadPoolExecutor(8) as threads:
        for _ in threads.map(write, range(size)):
            pass


@contextmanager
def _store() -> Iterator[tuple[str, TableServiceClient]]:
    with Azurite() as tables, TableServiceClient.from_connection_string(tables.connection_string) as service:
        for table in (TABLE, HISTORY_TABLE):
            service.create_table(table)
        yield tables.connection_string, service


def _run(store: str, what: str, *words: str) -> Run:
    progress(f"backup: {what}")
    done = run(words, {"POLICY_STORE": store})
    if done.code:
        raise RuntimeError(json.dumps(done.output[-4000:]))
    return done
