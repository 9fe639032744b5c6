"""A proxy on loopback between the app and the table service that counts requests and fails in the ways of a network."""

import asyncio
import re
import threading
import time
from typing import Literal, Self

type Fault = Literal["late", "silent", "cut", "503", "503 Retry-After", "slow body", "slow headers"]

_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n%b\r\n"
_DRIP_SECONDS = 0.2
_LATE_SECONDS = 0.2


class FaultProxy:
    """Forwards to the table service on 127.0.0.1:`upstream` from a free `port` of its own, for a `with` block.

    `fault` says what happens to the requests that come from now on; without one they are answered. A connection that
    was open when the fault became "silent" is lost for good, as when a firewall has forgotten it.
    """

    port: int

    def __init__(self, upstream: int) -> None:
        self.requests = 0
        self.point_reads = 0  # those of one entity each
        self.waiting = 0  # requests that the app still wants an answer to
        self._upstream = upstream
        self._fault: Fault | None = None
        self._silences = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    @property
    def fault(self) -> Fault | None:
        """What is wrong now."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault | None) -> None:
        if fault == "silent":
            self._silences += 1
        self._fault = fault

    def wait_until_given_up(self, seconds: float) -> None:
        """Wait until the app waits for no request any more. Raises TimeoutError when it does after that time."""
        deadline = time.monotonic() + seconds
        while self.waiting:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.waiting} requests are still waited for after {seconds} s")
            time.sleep(0.01)

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=256)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _close(self) -> None:
        self._server.close()
        self._server.abort_clients()
        await self._server.wait_closed()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other."""
        silences = self._silences
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                if length := re.search(rb"\r\nContent-Length: ([0-9]+)", head, re.IGNORECASE):
                    head += await reader.readexactly(int(length[1]))
                self.point_reads += b"RowKey=" in head.partition(b"\r\n")[0]
                self.waiting += 1
                fault = self._fault if silences == self._silences else "silent"
                answering = asyncio.create_task(self._answer(head, fault, writer))
                closed = asyncio.create_task(reader.read(1))  # before its answer comes the app only ever closes
                await asyncio.wait((answering, closed), return_when=asyncio.FIRST_COMPLETED)
                answering.cancel()
                closed.cancel()
                failed, _ = await asyncio.gather(answering, closed, return_exceptions=True)
                self.waiting -= 1
                if isinstance(failed, OSError):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: bytes, fault: Fault | None, writer: asyncio.StreamWriter) -> None:
        match fault:
            case "silent":
                await asyncio.Event().wait()
            case "503":
                writer.write(_BUSY % b"")
            case "503 Retry-After":
                writer.write(_BUSY % b"Retry-After: 30\r\n")
            case "late":
                await asyncio.sleep(_LATE_SECONDS)
                writer.write(await self._forward(head))
            case "cut":
                answer = await self._forward(head)
                writer.write(answer[: len(answer) - 20])
                writer.close()
            case "slow body":
                answer = await self._forward(head)
                headers = answer.index(b"\r\n\r\n") + 4
                writer.write(answer[:headers])
                await _drip(answer[headers:], writer)
            case "slow headers":
                await _drip(await self._forward(head), writer)
            case None:
                writer.write(await self._forward(head))

    async def _forward(self, head: bytes) -> bytes:
        """The table service's whole answer, as one of a connection that stays open."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        try:
            writer.write(re.sub(rb"\r\nConnection: [^\r]*", b"\r\nConnection: close", head, flags=re.IGNORECASE))
            answer = await reader.read()
        finally:
            writer.close()
        return re.sub(rb"\r\nConnection: close", b"", answer, count=1, flags=re.IGNORECASE)


async def _drip(octets: bytes, writer: asyncio.StreamWriter) -> None:
    for octet in octets:
        writer.write(bytes((octet,)))
        await writer.drain()
        await asyncio.sleep(_DRIP_SECONDS)
