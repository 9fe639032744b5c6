"""Loopback addresses for many servers that share one port, and a thread with an event loop to run them in."""

import asyncio
import errno
import socket
import threading
from collections.abc import Coroutine, Iterable
from typing import Any, Self

_PORTS_TO_TRY = 20


def listeners(addresses: Iterable[str]) -> dict[str, socket.socket]:
    """A bound socket, which does not listen yet, for each address; all have the same port, a free one."""
    wanted = list(addresses)
    for _ in range(_PORTS_TO_TRY):
        bound: dict[str, socket.socket] = {}
        port = 0
        try:
            for address in wanted:
                bound[address] = socket.socket()
                bound[address].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                bound[address].bind((address, port))
                port = bound[address].getsockname()[1]
        except OSError as error:
            for each in bound.values():
                each.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return bound
    raise OSError(errno.EADDRINUSE, f"no port free on all addresses in {_PORTS_TO_TRY} tries")


class LoopThread:
    """An event loop in a thread of its own for a `with` block, at whose end it closes `servers` with their connections
    and cancels every task.
    """

    def __enter__(self) -> Self:
        self.servers: list[asyncio.Server] = []
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="lab", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns once the loop has done it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    async def _end(self) -> None:
        for server in self.servers:
            server.close()
            server.abort_clients()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
