"""Many domains at once, in threads or on one event loop: results in the order of the input, in bounded memory."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

WORKERS = 8  # fewer than the connections that a table client keeps open

_AHEAD = 4 * WORKERS


def ordered[T, R](function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """What `function` makes of each item, in order; the items are fetched only a little ahead of the results.

    The first exception ends it; what is under way then is finished and dropped.
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
    function: Callable[[T], Coroutine[None, None, R]], items: Iterable[T], at_once: int
) -> Iterator[R]:
    """What `function` returns for each item, in order, for `at_once` items at a time on an event loop of its own."""
    waiting: deque[asyncio.Task[R]] = deque()
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        for item in items:
            waiting.append(loop.create_task(function(item)))
            if len(waiting) >= at_once:
                yield loop.run_until_complete(waiting.popleft())
        while waiting:
            yield loop.run_until_complete(waiting.popleft())
