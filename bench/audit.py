"""The audit of many rows, beside paging both tables with the bare client, and the memory that it takes.

Run as a program it is the process that walks: for each line of JSON it answers with seconds or its peak of memory.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from azure.data.tables import TableClient

from bench.common import Child, Figure, milliseconds, progress, ratio
from dev.azurite import Azurite
from policy_store.audit import audit
from policy_store.policy import Policy
from policy_store.settings import Settings
from policy_store.tables.connection import open_table
from policy_store.tables.entry import walk
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.history import History
from policy_store.tables.policies import TABLE, PolicyTable
from policy_store.tables.row import ROW_KEY

_TIMED, _FEW, _MANY = 20_000, 5_000, 50_000
_ROUNDS = 9
_KEY = "20261124193000Z"


def measure() -> list[Figure]:
    """Both sides page the same tables by turns in one process; the peaks are those of processes that walk once."""
    with tables(_TIMED) as environment:
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
    few, many = _peak(_FEW), _peak(_MANY)
    return [
        ratio(f"audit of {_TIMED} rows / bare pages", seconds["audit"], seconds["pages"], 1.25),
        milliseconds(f"audit of {_TIMED} rows", seconds["audit"]),
        milliseconds("bare pages of both tables", seconds["pages"]),
        Figure(f"peak of memory, audit of {_FEW} rows", few, few, "bytes"),
        Figure(f"peak of memory, audit of {_MANY} rows", many, many, "bytes"),
        ratio("peak of memory, many rows / few rows", [many], [few], 1.1),
    ]


def _peak(rows: int) -> float:
    """The greatest resident octets of a process that has walked so many rows once."""
    with tables(rows) as environment, Child("bench.audit", environment=environment) as child:
        answer = child.ask("audit")
        if answer["rows"] != rows:
            raise RuntimeError(f"the audit saw {answer['rows']} of {rows} rows")
        return float(answer["peak"])


@contextmanager
def tables(rows: int) -> Iterator[dict[str, str]]:
    """A table service with so many rows, each with its revision, and the settings that lead to it.

    The service keeps its tables in a file when it stops, and reads them from there when it starts. All but the first
    row are written into that file: by requests each would take it longer than the one before, since it compares the new
    row with all others of the same RowKey.
    """
    progress(f"audit: {rows} rows")
    with TemporaryDirectory() as folder:
        tables = Azurite(location=Path(folder))
        tables.start()
        for name in (TABLE, HISTORY_TABLE):
            with TableClient.from_connection_string(tables.connection_string, name) as client:
                client.create_table()
                client.create_entity(_entity(name, 0))
        tables.stop()
        (file,) = Path(folder).glob("*.json")
        database = json.loads(file.read_text(encoding="utf-8"))
        for collection in database["collections"]:
            _, _, name = collection["name"].rpartition("$")
            if name in (TABLE, HISTORY_TABLE):
                _multiply(collection, name, rows)
        file.write_text(json.dumps(database), encoding="utf-8")
        with tables:
            yield {"POLICY_STORE": tables.connection_string}


def _multiply(collection: dict[str, Any], table: str, rows: int) -> None:
    """Make so many entities of the one in a table as the service keeps it, in the order of their keys."""
    (first,) = collection["data"]
    collection["data"] = []
    for number in range(rows):
        entity = _entity(table, number)
        properties = {**first["properties"], **entity}
        collection["data"].append(
            {**first, "PartitionKey": entity["PartitionKey"], "properties": properties, "$loki": number + 1}
        )
    for index in collection["binaryIndices"].values():
        index["values"] = list(range(rows))
    collection["maxId"] = rows


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
    return {"seconds": seconds, "rows": rows, "peak": _peak_octets()}


def _peak_octets() -> int:
    """The greatest resident octets of this process so far.

    Linux counts into getrusage what the process was before it began to run this program: a copy of its parent.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        (peak,) = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    _settings = Settings.read(os.environ)
    _clients = [open_table(_settings, table, pages=True) for table in (TABLE, HISTORY_TABLE)]
    for _line in sys.stdin:
        print(json.dumps(_answer(json.loads(_line), _clients)), flush=True)
