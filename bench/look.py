"""The look at the whole table: what it costs the answers of the same worker, and storage."""

import json
import time
from http.client import HTTPConnection
from typing import Any

from bench.common import Child, CountingProxy, Figure, count, milliseconds, progress, ratio
from bench.many_rows import domain, many_rows

_ROWS = 20_000
_CONNECTIONS = 4
_ROUNDS = 5
_SECONDS = 1.0
_COUNTED = (100, 5_000, 100_000)
_MINUTES = 1


def measure() -> list[Figure]:
    """Hosts are started in turn: the first seconds of each are those of its look at all rows."""
    looking: list[float] = []
    quiet: list[float] = []
    with many_rows(_ROWS) as environment, Child("bench.load") as client:
        for turn in range(_ROUNDS):
            progress(f"look: round {turn + 1} of {_ROUNDS}")
            with Child("dev.host", "--port", 0, environment=environment) as host:
                port = int(host.line().rpartition(":")[2])
                question = {"port": port, "connections": _CONNECTIONS, "seconds": _SECONDS, "host": domain(0)}
                client.ask({**question, "seconds": 0.2})  # the imports, and the first page of the look
                looking.append(client.ask(question)["p99"])
                if _health(port)["look_age"] is not None:
                    raise RuntimeError("the look ended before it was measured")
                while _health(port)["look_age"] is None:
                    time.sleep(0.2)
                time.sleep(0.5)
                quiet.append(client.ask(question)["p99"])
    figures = [
        ratio(f"p99 of hits during a look at {_ROWS} rows / without", looking, quiet, 2.0),
        milliseconds("p99 of hits during the look", looking),
        milliseconds("p99 of hits without", quiet),
    ]
    return figures + [_requests(rows) for rows in _COUNTED]


def _requests(rows: int) -> Figure:
    """The requests to storage in a minute of a worker that has looked once, whatever it is asked."""
    with many_rows(rows) as environment:
        store = environment["POLICY_STORE"]
        port = int(store.rpartition(":")[2].partition("/")[0])
        with CountingProxy(port) as proxy:
            counted = {"POLICY_STORE": store.replace(f":{port}/", f":{proxy.port}/")}
            with Child("dev.host", "--port", 0, environment=counted) as host:
                app = int(host.line().rpartition(":")[2])
                while _health(app)["look_age"] is None:
                    time.sleep(0.2)
                progress(f"look: the requests of {_MINUTES} minutes, {rows} rows")
                before = proxy.requests
                time.sleep(_MINUTES * 60)
                return count(f"storage requests a minute, {rows} rows", (proxy.requests - before) / _MINUTES)


def _health(port: int) -> dict[str, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/health")
        state: dict[str, Any] = json.loads(connection.getresponse().read())
        return state
    finally:
        connection.close()
