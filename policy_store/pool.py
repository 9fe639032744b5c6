"""Many domains at once, in threads or on an event loop in a thread of its own, in bounded memory."""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

WORKERS = 8  # fewer than the connections that a table client keeps open
PATIENCE = 5.0  # seconds

_AHEAD = 4 * WORKERS
_MOST_WAITING = 1_000  # items that were begun and whose results nobody has read yet
_MOST_AT_WORK = 8  # times `at_once`


class Turns:
    """Lets `at_once` pieces of work begin at a time. Work that takes longer than `patience` seconds goes on, and makes
    room for the next: what is slow holds up nothing else.
    """

    def __init__(self, at_once: int, patience: float = PATIENCE) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._patience = patience

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it for the `with` block."""
        await self._free.acquire()
        timer = asyncio.get_running_loop().call_later(self._patience, self._free.release)
        try:
            yield
        finally:
            if not timer.cancelled() and timer.when() > asyncio.get_running_loop().time():
                timer.cancel()
                self._free.release()


def ordered[T, R](function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """What `function` makes of each item, in order; the items are fetched only a little ahead of the results.

    The first exception ends the run: calls in progress still finish, but their results are lost.
    """
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def concurrently[T, R](
    function: Callable[[T], Coroutine[None, None, R]],
    items: Iterable[T],
    at_once: int,
    *,
    in_order: bool = False,
    patience: float = PATIENCE,
) -> Iterator[R]:
    """What `function` returns for each item, as it ends, or with `in_order` in the order of the items.

    The event loop runs in a thread of its own, so that work goes on while nobody reads; at most 1,000 results wait for
    the reader. `at_once` items begin at a time, and one that takes longer than `patience` seconds makes room for
    another. The first exception ends the run, and what is in progress is cancelled.
    """
    return _Run(function, items, at_once, patience).results(in_order=in_order)


class _Run[T, R]:
    """One run over the items: the thread with the loop, and the queue to the reader."""

    def __init__(
        self, function: Callable[[T], Coroutine[None, None, R]], items: Iterable[T], at_once: int, patience: float
    ) -> None:
        self._function = function
        self._items = iter(items)
        self._at_once = at_once
        self._patience = patience
        self._done: queue.Queue[tuple[int, R] | BaseException | None] = queue.Queue()
        self._loop = asyncio.new_event_loop()
        self._room = asyncio.Semaphore(_MOST_WAITING)

    def results(self, *, in_order: bool) -> Iterator[R]:
        """The results, read in the thread of the caller."""
        thread = threading.Thread(target=self._work, name="concurrently", daemon=True)
        thread.start()
        try:
            early: dict[int, R] = {}
            due = 0
            while (found := self._done.get()) is not None:
                if isinstance(found, BaseException):
                    raise found
                place, result = found
                if not in_order:
                    self._made_room()
                    yield result
                    continue
                early[place] = result
                while due in early:
                    self._made_room()
                    yield early.pop(due)
                    due += 1
        finally:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._end)
            thread.join()

    def _made_room(self) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._room.release)

    def _work(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._all())
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._done.put(error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error)
        self._done.put(None)

    async def _all(self) -> None:
        turns = Turns(self._at_once, self._patience)
        at_work = asyncio.Semaphore(_MOST_AT_WORK * self._at_once)
        end = object()

        async def one(place: int, item: T) -> None:
            try:
                async with turns.turn():
                    begun.release()
                    self._done.put((place, await self._function(item)))
            finally:
                at_work.release()

        begun = asyncio.Semaphore(1)  # an item is fetched once the one before it has begun
        place = 0
        async with asyncio.TaskGroup() as group:
            while True:
                await begun.acquire()
                await self._room.acquire()
                await at_work.acquire()
                item = await asyncio.to_thread(next, self._items, end)
                if item is end:
                    break
                group.create_task(one(place, item))  # type: ignore[arg-type]
                place += 1

    def _end(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
