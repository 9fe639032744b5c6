"""The audit of many rows, beside paging both tables with the bare client, and the memory that it takes.

Run as a program it is the process that walks: for each line of JSON it answers with seconds or its peak of memory.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from azure.data.tables import TableClient

from bench.common import Child, Figure, milliseconds, progress, ratio
from bench.many_rows import many_rows
from policy_store.audit import audit
from policy_store.settings import Settings
from policy_store.tables.connection import open_table
from policy_store.tables.entry import walk
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.history import History
from policy_store.tables.policies import TABLE, PolicyTable

_TIMED, _FEW, _MANY = 20_000, 5_000, 50_000
_ROUNDS = 9


def measure() -> list[Figure]:
    """Both sides page the same tables by turns in one process; the peaks are those of processes that walk once."""
    with many_rows(_TIMED) as environment:
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
    with many_rows(rows) as environment, Child("bench.audit", environment=environment) as child:
        answer = child.ask("audit")
        if answer["rows"] != rows:
            raise RuntimeError(f"the audit saw {answer['rows']} of {rows} rows")
        return float(answer["peak"])


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
