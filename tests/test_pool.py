"""Many items at once: whoever reads, and however slow one of them is."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from policy_store.pool import concurrently


async def _twice(item: int) -> int:
    await asyncio.sleep(0.001 * (item % 7))
    return 2 * item


def test_results_come_as_they_end() -> None:
    first = asyncio.Event()

    async def one(item: int) -> int:
        if item == 0:
            await first.wait()
        if item == 9:
            first.set()
        return item

    found = list(concurrently(one, range(10), 10))
    assert found[-1] == 0
    assert sorted(found) == list(range(10))


def test_the_order_of_the_items_is_kept_where_it_is_asked_for() -> None:
    assert list(concurrently(_twice, range(300), 20, in_order=True)) == [2 * item for item in range(300)]


def test_a_slow_reader_makes_no_work_look_slow() -> None:
    async def answers_in_time(item: int) -> bool:
        try:
            async with asyncio.timeout(1):
                await asyncio.sleep(0.05)
        except TimeoutError:
            return False
        return True

    found: list[bool] = []
    for answer in concurrently(answers_in_time, range(20), 8):
        if not found:
            time.sleep(1.5)
        found.append(answer)
    assert found == [True] * 20


def test_a_slow_source_of_items_stops_no_work() -> None:
    def items() -> Iterator[int]:
        yield 0
        time.sleep(1.5)
        yield 1

    async def in_time(item: int) -> bool:
        try:
            async with asyncio.timeout(1):
                await asyncio.sleep(0.05)
        except TimeoutError:
            return False
        return True

    assert list(concurrently(in_time, items(), 8)) == [True, True]


@pytest.mark.parametrize("in_order", [True, False])
def test_slow_items_hold_up_no_other(in_order: bool) -> None:
    """As many slow ones as there is room for at first: all others end before the first of them."""
    others = threading.Semaphore(0)
    all_others = asyncio.Event()

    async def one(item: int) -> int:
        if item < 5:
            await all_others.wait()
        else:
            others.release()
            if item == 199:
                all_others.set()
        return item

    found = list(concurrently(one, range(200), 5, in_order=in_order, patience=0.05))
    assert sorted(found) == list(range(200))


def test_only_so_many_are_begun_at_a_time() -> None:
    at_work = most = 0

    async def one(item: int) -> int:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0.01)
        at_work -= 1
        return item

    assert len(list(concurrently(one, range(60), 6))) == 60
    assert most <= 6


def test_items_are_fetched_a_little_ahead_only() -> None:
    fetched = 0

    def items() -> Iterator[int]:
        nonlocal fetched
        for item in range(100_000):
            fetched += 1
            yield item

    results = concurrently(_twice, items(), 5)
    next(results)
    time.sleep(0.5)
    results.close()  # type: ignore[attr-defined]
    assert fetched <= 1_010


@pytest.mark.parametrize("in_order", [True, False])
def test_the_first_exception_ends_the_run(in_order: bool) -> None:
    async def one(item: int) -> int:
        if item == 7:
            raise ValueError("seven")
        return item

    with pytest.raises(ValueError, match="seven"):
        list(concurrently(one, range(1_000), 3, in_order=in_order))


def test_an_exception_of_the_items_ends_the_run() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the store is gone")

    with pytest.raises(OSError, match="the store is gone"):
        list(concurrently(_twice, items(), 3))


def test_who_stops_reading_ends_the_run() -> None:
    ended = threading.Event()

    async def one(item: int) -> int:
        try:
            await asyncio.sleep(0.2 if item == 0 else 3600)
        except asyncio.CancelledError:
            ended.set()
            raise
        return item

    results = concurrently(one, range(3), 3)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert ended.is_set()
