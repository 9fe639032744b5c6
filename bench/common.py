"""What the parts of the benchmark share: figures, the processes measured, rows to ask for, a counting proxy."""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from azure.data.tables import TableClient

from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.policies import TABLE
from policy_store.tables.row import ROW_KEY

ROOT = Path(__file__).parent.parent
BASELINES = Path(__file__).parent / "baselines"
FUNCTION = "policy"

_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the result: the best and the median of the rounds, and what the median is held against, if anything.

    A `ratio` has the app above and the baseline below.
    """

    name: str
    best: float
    median: float
    unit: Literal["ratio", "ms", "bytes", "count"] = "ratio"
    goal: float | None = None
    at_least: bool = False  # the goal is a lower limit

    @property
    def met(self) -> bool | None:
        """Whether the median meets the goal; None without one."""
        if self.goal is None:
            return None
        return self.median >= self.goal if self.at_least else self.median <= self.goal


def ratio(
    name: str, ours: Sequence[float], theirs: Sequence[float], goal: float | None = None, *, at_least: bool = False
) -> Figure:
    """The app's best over the baseline's best, and the median of the rounds' own ratios."""
    best = max if at_least else min
    median = statistics.median(our / their for our, their in zip(ours, theirs, strict=True))
    return Figure(name, best(ours) / best(theirs), median, goal=goal, at_least=at_least)


def milliseconds(name: str, seconds: Sequence[float]) -> Figure:
    """Absolute times, for information."""
    return Figure(name, min(seconds) * 1000, statistics.median(seconds) * 1000, "ms")


def count(name: str, number: float, goal: float | None = None) -> Figure:
    """A number that has no rounds and, with a goal, must not exceed it."""
    return Figure(name, number, number, "count", goal)


def octets(name: str, number: float) -> Figure:
    """A size, for information."""
    return Figure(name, number, number, "bytes")


def progress(text: str) -> None:
    """Tell whoever waits what goes on."""
    print(text, file=sys.stderr, flush=True)


class Child:
    """A Python process of its own, with these `options`, that runs the module `module`, for a `with` block.

    Its standard error is shown only when it fails, as a RuntimeError.
    """

    def __init__(
        self,
        module: str,
        *arguments: object,
        environment: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, *options, "-m", module, *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def line(self) -> str:
        """Wait for the next line that the process prints."""
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            raise RuntimeError(self._log.read().decode(errors="replace")[-4000:])
        return line.strip()

    def ask(self, question: object = None) -> Any:
        """Send one line of JSON and return the one that answers it."""
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        return json.loads(self.line())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()
        self._log.close()


def fill(connection_string: str, domains: Sequence[str], *, ca: Path | None = None) -> None:
    """Make the tables and write one row for each domain; `ca` is the authority (PEM) of a store on HTTPS."""
    trust: dict[str, Any] = {"connection_verify": str(ca)} if ca else {}
    with TableClient.from_connection_string(connection_string, HISTORY_TABLE, **trust) as history:
        history.create_table()
    with (
        TableClient.from_connection_string(connection_string, TABLE, **trust) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        client.create_table()
        rows: Iterator[dict[str, Any]] = (
            {
                "PartitionKey": domain,
                "RowKey": ROW_KEY,
                "mode": "enforce",
                "mx": f"{domain.replace('.', '-')}.mail.protection.outlook.com",
                "max_age": 604800,
            }
            for domain in domains
        )
        for _ in threads.map(client.create_entity, rows):
            pass


class CountingProxy:
    """Passes connections on to `port` and counts the requests that go through, for a `with` block: all `requests`, and
    the `reads` of one entity each. Each request is held up for `delay` seconds.
    """

    def __init__(self, port: int, delay: float = 0) -> None:
        self.requests = self.reads = 0
        self.delay = delay
        self._upstream = port
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._listener = socket.create_server((_HOST, 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @contextmanager
    def counting(self) -> Iterator[list[int]]:
        """A list that holds, after the block, the number of reads of one entity that came within it."""
        counted: list[int] = []
        before = self.reads
        yield counted
        counted.append(self.reads - before)

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection((_HOST, self._upstream))
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pass_on, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(far, near, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, are_requests: bool) -> None:
        with suppress(OSError):
            while octets := source.recv(65536):
                if are_requests:  # a client sends the head of a small request in one piece
                    with self._lock:
                        self.requests += octets.count(b" HTTP/1.1\r\n")
                        self.reads += octets.count(b"RowKey=")
                    time.sleep(self.delay)
                target.sendall(octets)
            target.shutdown(socket.SHUT_WR)
