"""A client that keeps connections open and sends the next request on each as soon as the last is answered.

Each line of standard input is a JSON object with the `port`, the number of `connections` and the `seconds` to go on;
each line out tells the requests a second and the seconds that half (`p50`) and 99 of 100 (`p99`) took at most.
"""

import asyncio
import json
import sys
import time
from typing import Any

_REQUEST = (
    b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.d0.example\r\nUser-Agent: postfix-tlspol/1.8\r\n\r\n"
)
_OK = b"HTTP/1.1 200 "


class _Connection(asyncio.Protocol):
    """Sends until `end` (of time.perf_counter) and notes how long each answer took."""

    def __init__(self, end: float, taken: list[float]) -> None:
        self.closed = asyncio.get_running_loop().create_future()
        self._end = end
        self._taken = taken
        self._octets = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        self._octets += data
        head, divider, body = self._octets.partition(b"\r\n\r\n")
        if not divider or len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]):
            return
        now = time.perf_counter()
        self._taken.append(now - self._sent)
        self._octets = b""
        if not head.startswith(_OK):
            self.closed.set_exception(RuntimeError(head.decode("latin-1")))
        elif now < self._end:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


async def _load(port: int, connections: int, seconds: float) -> dict[str, Any]:
    taken: list[float] = []
    start = time.perf_counter()
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: _Connection(start + seconds, taken), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.closed for _, connection in opened))
    rate = len(taken) / (time.perf_counter() - start)
    taken.sort()
    return {"rate": rate, "p50": taken[len(taken) // 2], "p99": taken[len(taken) * 99 // 100]}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(asyncio.run(_load(**json.loads(line)))), flush=True)
