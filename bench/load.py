"""A client that keeps connections open and sends the next request on each as soon as the last is answered.

Each line of standard input is a JSON object with the `port`, the number of `connections`, the `seconds` to go on, and
the `host`, the `hosts` in turn, or a `template` for hosts that nobody asked for before. Each line out tells the
requests a second, the seconds that half (`p50`), 99 of 100 (`p99`) and all (`slowest`) took at most, and how many
answers `failed` to be 200.
"""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import count, cycle, repeat
from typing import Any

_REQUEST = "GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: {}\r\nUser-Agent: postfix-tlspol/1.8\r\n\r\n"
_OK = b"HTTP/1.1 200 "


class _Load:
    """What all connections share: the end (of time.perf_counter), the hosts, and what was found."""

    def __init__(self, hosts: Iterator[str], end: float) -> None:
        self.hosts = hosts
        self.end = end
        self.taken: list[float] = []
        self.failed = 0


class _Connection(asyncio.Protocol):
    """Sends until the end and notes how long each answer took."""

    def __init__(self, load: _Load) -> None:
        self.closed = asyncio.get_running_loop().create_future()
        self._load = load
        self._octets = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(_REQUEST.format(next(self._load.hosts)).encode())

    def data_received(self, data: bytes) -> None:
        self._octets += data
        head, divider, body = self._octets.partition(b"\r\n\r\n")
        if not divider or len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]):
            return
        now = time.perf_counter()
        self._load.taken.append(now - self._sent)
        self._load.failed += not head.startswith(_OK)
        self._octets = b""
        if now < self._load.end:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


async def _load(
    port: int,
    connections: int,
    seconds: float,
    host: str = "d0.example",
    hosts: Sequence[str] = (),
    template: str = "",
) -> dict[str, Any]:
    asked = (template.format(f"x{secrets.token_hex(6)}") for _ in count()) if template else cycle(hosts)
    start = time.perf_counter()
    load = _Load(asked if template or hosts else repeat(f"mta-sts.{host}"), start + seconds)
    loop = asyncio.get_running_loop()
    opened = [await loop.create_connection(lambda: _Connection(load), "127.0.0.1", port) for _ in range(connections)]
    await asyncio.gather(*(connection.closed for _, connection in opened))
    rate = len(load.taken) / (time.perf_counter() - start)
    taken = sorted(load.taken)
    found = {"p50": taken[len(taken) // 2], "p99": taken[len(taken) * 99 // 100], "slowest": taken[-1]}
    return {"rate": rate, "failed": load.failed, **found}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(asyncio.run(_load(**json.loads(line)))), flush=True)
