"""The audit of many rows, beside paging both tables with the bare client, and the memory that it takes.

Run as a program it is the process that walks: for each line of JSON it answers with seconds or its peak of memory.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from azure.data.tables import TableClient

from bench.common import Child, Figure, milliseconds, progress, ratio
from dev.azurite import Azurite
from policy_store.audit import audit
from policy_store.connection import open_table
from policy_store.history import TABLE as HISTORY_TABLE
from policy_store.history import History, walk
from policy_store.policy import Policy
from policy_store.row import ROW_KEY
from policy_store.settings import Settings
from policy_store.table import TABLE, PolicyTable

_TIMED, _FEW, _MANY = 20_000, 5_000, 50_000
_ROUNDS = 9
_KEY = "20261124193000Z"


def measure() -> list[Figure]:
    """Both sides page the same tables by turns in one process; the peaks are those of processes that walk once."""
    with Azurite() as tables:
        environment = {"POLICY_STORE": tables.connection_string}
        _fill(tables.connection_string, 0, _FEW)
        few = _peak(environment, _FEW)
        _fill(tables.connection_string, _FEW, _TIMED)
        seconds: dict[str, list[float]] = {"audit": [], "pages": []}
        with Child("bench.audit", environment=environment) as child:
            for turn in range(-1, _ROUNDS):  # the first warms up
                for side, times in seconds.items():
                    answer = child.ask(side)
                    if answer["rows"] != _TIMED:
                        raise RuntimeError(f"{side} saw {answer['rows']} of {_TIMED} rows")
                    if turn >= 0:
                        times.append(answer["seconds"])
                progress(f"audit: round {turn + 1} of {_ROUNDS}")
        _fill(tables.connection_string, _TIMED, _MANY)
        many = _peak(environment, _MANY)
    return [
        ratio(f"audit of {_TIMED} rows / bare pages of both tables", seconds["audit"], seconds["pages"], 1.25),
        milliseconds(f"audit of {_TIMED} rows", seconds["audit"]),
        milliseconds(f"bare pages of {_TIMED} rows and revisions", seconds["pages"]),
        Figure(f"peak of memory, audit of {_FEW} rows", few, few, "bytes"),
        Figure(f"peak of memory, audit of {_MANY} rows", many, many, "bytes"),
        ratio(f"peak of memory, {_MANY} rows / {_FEW} rows", [many], [few], 1.1),
    ]


def _peak(environment: dict[str, str], rows: int) -> float:
    """The greatest resident octets of a process that has walked all rows once."""
    with Child("bench.audit", environment=environment) as child:
        answer = child.ask("audit")
        if answer["rows"] != rows:
            raise RuntimeError(f"the audit saw {answer['rows']} of {rows} rows")
        return float(answer["peak"])


def _fill(connection_string: str, first: int, end: int) -> None:
    """Add rows, each with its revision, up to the number `end`; the tables are made before the first."""
    progress(f"audit: writing rows {first} to {end}")
    for table in (TABLE, HISTORY_TABLE):
        with TableClient.from_connection_string(connection_string, table) as client, ThreadPoolExecutor(4) as threads:
            if not first:
                client.create_table()
            for _ in threads.map(client.create_entity, (_entity(table, number) for number in range(first, end))):
                pass


def _entity(table: str, number: int) -> dict[str, str | int]:
    domain = f"tenant{number:06}.example"
    policy = Policy(mode="enforce", mx=(f"{domain.replace('.', '-')}.mail.protection.outlook.com",), max_age=604800)
    columns: dict[str, str | int] = {"mode": policy.mode, "mx": policy.mx[0], "max_age": policy.max_age}
    if table == TABLE:
        return {"PartitionKey": domain, "RowKey": ROW_KEY, **columns}
    revision: dict[str, str | int] = {"PartitionKey": domain, "RowKey": _KEY, "id": _KEY, "text": policy.text}
    return {**revision, **columns, "by": "bench", "note": ""}


def _answer(side: str, clients: Sequence[TableClient]) -> dict[str, float]:
    start = time.perf_counter()
    if side == "audit":
        problems: list[object] = []
        policies, history = PolicyTable(clients[0]), History(clients[1])
        report = audit(walk(policies, history), policies, history, by="bench", tell=problems.append)
        rows = report.domains - report.recorded - len(problems)
    else:
        rows, _ = (sum(1 for _ in client.list_entities()) for client in clients)
    seconds = time.perf_counter() - start
    octets = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"seconds": seconds, "rows": rows, "peak": octets}


if __name__ == "__main__":
    _settings = Settings.read(os.environ)
    _clients = [open_table(_settings, table, pages=True) for table in (TABLE, HISTORY_TABLE)]
    for _line in sys.stdin:
        print(json.dumps(_answer(json.loads(_line), _clients)), flush=True)
