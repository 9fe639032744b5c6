"""Point reads in threads, shared by all who ask for the same domain.

Domains that are known to have a row, and all other names, have threads of their own: strangers decide how many names
there are. A read that nobody waits for any more is dropped before it starts.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from azure.core.exceptions import HttpResponseError

from policy_store.breaker import Breaker, clock

READ_THREADS = 32
STRANGER_THREADS = 4
STRANGER_QUEUE = 32  # reads of strangers' names that wait for a thread; more are refused at once

_BUSY = frozenset({429, 500, 502, 503, 504})
_REPEAT_AFTER = 0.05  # seconds


class Dropped(Exception):
    """The read made no request: nobody waited for it any more, or the breaker had opened before its turn."""


@dataclass(slots=True, eq=False)
class Read[T]:
    """A read under way; `future` holds what it found. `started` is when its request was made, None before that."""

    future: asyncio.Future[T]
    stranger: bool
    waiters: int = 0
    started: float | None = None
    wanted: bool = True  # asked for by the thread, before it starts


class Reads[T]:
    """Reads by `read`, a function that takes a domain and blocks; `found` is called with what it returned, on the event
    loop, before anybody who waits goes on. One event loop only.
    """

    def __init__(
        self,
        read: Callable[[str], T],
        found: Callable[[str, T, float], None],
        breaker: Breaker,
        now: Callable[[], float] = clock,
    ) -> None:
        self._read = read
        self._found = found
        self._breaker = breaker
        self._now = now
        self._threads = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="policy-read")
        self._stranger_threads = ThreadPoolExecutor(STRANGER_THREADS, thread_name_prefix="stranger-read")
        self._under_way: dict[str, Read[T]] = {}
        self._strangers = 0

    def start(self, domain: str, *, stranger: bool) -> Read[T] | None:
        """The read of `domain` that is under way, or a new one; None while the breaker is open or, for a stranger's
        name, while too many wait.
        """
        if read := self._under_way.get(domain):
            return read
        if stranger and self._strangers >= STRANGER_THREADS + STRANGER_QUEUE:
            return None
        probe = self._breaker.admit()
        if probe is None:
            return None
        began = self._now()
        loop = asyncio.get_running_loop()
        read = Read(loop.create_future(), stranger)
        read.future.add_done_callback(_retrieved)
        self._under_way[domain] = read
        self._strangers += stranger
        threads = self._stranger_threads if stranger else self._threads
        running = loop.run_in_executor(threads, self._run, domain, read, probe)
        running.add_done_callback(lambda running: self._finish(domain, read, began, running))
        return read

    async def wait(self, read: Read[T] | None, seconds: float, *others: asyncio.Future[None]) -> None:
        """Wait until the read has ended, one of the others is done, or the time is over."""
        waited_for = {*others, *([read.future] if read else ())}
        if not waited_for:
            return
        if read:
            read.waiters += 1
            read.wanted = True
        try:
            await asyncio.wait(waited_for, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if read:
                read.waiters -= 1
                read.wanted = read.waiters > 0 or read.started is not None

    def given_up(self, domain: str, read: Read[T]) -> None:
        """Note that a caller's time was over before the read ended."""
        if read.started is not None:
            self._breaker.silent(domain, read.started)

    def _run(self, domain: str, read: Read[T], probe: bool) -> T:
        """Read, in a thread; once more where the service says that it is busy."""
        if not read.wanted or (not probe and self._breaker.paused):
            raise Dropped
        read.started = self._now()
        try:
            return self._read(domain)
        except HttpResponseError as error:
            if error.status_code not in _BUSY or self._now() - read.started > 0.5:
                raise
        time.sleep(_REPEAT_AFTER)
        return self._read(domain)

    def _finish(self, domain: str, read: Read[T], began: float, running: asyncio.Future[T]) -> None:
        """Take in what a read found, whether or not somebody still waits for it."""
        del self._under_way[domain]
        self._strangers -= read.stranger
        if running.cancelled():
            read.future.cancel()
            return
        error = running.exception()
        if error is None:
            self._breaker.succeeded()
            self._found(domain, running.result(), began)
            read.future.set_result(running.result())
            return
        if not isinstance(error, Dropped):  # whatever it is: promise no answer on a read that failed
            self._breaker.failed(domain, error, began if read.started is None else read.started)
        read.future.set_exception(error)


def _retrieved[R](future: asyncio.Future[R]) -> None:
    """Mark the exception as seen: maybe nobody waits any more."""
    if not future.cancelled():
        future.exception()
