"""The command: how long it takes to start, beside Python with the packages it is made of, and two long lists."""

import subprocess
import sys
import time
from collections.abc import Sequence

from azure.data.tables import TableServiceClient

from bench.command import Run, run
from bench.common import ROOT, Figure, count, milliseconds, octets, progress, ratio
from dev.azurite import Azurite
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.policies import TABLE

_ROUNDS = 15
_DOMAINS = 20_000
_BARE = (sys.executable, "-c", "import typer, rich")
_COMMAND = (sys.executable, "-m", "policy_store")
_STARTS = ("--version", "--help")
_LISTS = ("list", "list --json", "plan", "plan --json")


def measure() -> list[Figure]:
    """The starts take turns; each list is one process, on a table service that it shares the machine with."""
    bare: list[float] = []
    ours: dict[str, list[float]] = {word: [] for word in _STARTS}
    for turn in range(-1, _ROUNDS):  # the first warms the page cache
        progress(f"command: round {turn + 1} of {_ROUNDS}")
        taken = _seconds(_BARE), *(_seconds((*_COMMAND, word)) for word in _STARTS)
        if turn >= 0:
            for seconds, one in zip((bare, *ours.values()), taken, strict=True):
                seconds.append(one)
    figures = []
    for word, seconds in ours.items():
        figures += [
            ratio(f"mta-sts {word} / import typer, rich", seconds, bare, 1.5),
            milliseconds(f"mta-sts {word}", seconds),
        ]
    for words, ran in _lists().items():
        figures += [
            milliseconds(f"mta-sts {words}: {_DOMAINS} domains", [ran.seconds]),
            octets(f"mta-sts {words}: peak of memory", ran.peak),
            count(f"mta-sts {words}: lines", ran.output.count("\n")),
        ]
    return figures


def _seconds(words: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(words, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def _lists() -> dict[str, Run]:
    with Azurite() as tables:
        _fill(tables.connection_string)
        runs = {}
        for words in _LISTS:
            progress(f"command: {words}, {_DOMAINS} domains")
            runs[words] = run(words.split(), {"POLICY_STORE": tables.connection_string})
        return runs


def _fill(connection_string: str) -> None:
    """Make the tables, with a row and a revision for each domain."""
    with TableServiceClient.from_connection_string(connection_string) as service:
        policies, history = (service.create_table(table) for table in (TABLE, HISTORY_TABLE))
        for number in range(_DOMAINS):
            if number % 2000 == 0:
                progress(f"command: {number} of {_DOMAINS} domains written")
            domain = f"tenant{number:05}.example"
            cells = {
                "mode": "testing",
                "mx": f"tenant{number:05}-example.mail.protection.outlook.com",
                "max_age": 604800,
            }
            text = f"version: STSv1\r\nmode: testing\r\nmx: {cells['mx']}\r\nmax_age: 604800\r\n"
            revision = {"PartitionKey": domain, "RowKey": "20260101000000Z", "id": "20260101000000Z", "text": text}
            history.create_entity({**revision, **cells, "by": "ada", "note": ""})
            policies.create_entity({"PartitionKey": domain, "RowKey": "policy", **cells})
