"""The look at the whole table of policies that keeps a worker's knowledge young without requests.

Every 20 seconds or so a worker asks for the rows that changed since its last look; now and then, and always where the
table is small, it asks for all rows, which also shows what was deleted. "Since" is the service's own time when the last
complete look began, less an overlap, since partition servers have clocks of their own.
"""

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from policy_store.breaker import clock
from policy_store.recording import Recorder
from policy_store.serving import Serving
from policy_store.tables.failures import reason
from policy_store.tables.policies import PolicyTable, read_row
from policy_store.tables.row import ROW_KEY, InvalidRow, Row

INTERVAL = 20.0  # seconds from the beginning of one look to that of the next, give or take the jitter
OVERLAP = timedelta(minutes=1)
FULL_INTERVAL = 600.0  # seconds between two looks at all rows
FULL_ROWS = 20_000  # with more rows that time grows
SMALL = 5  # requests for all rows: a table that needs no more is looked at as a whole each time

_JITTER = 0.15
_AFTER_FAILURE = 5.0
_LONGEST = 600.0  # of one look, whatever the service answers
_CONFIRMING = 15.0  # seconds of one look to ask for rows that are missing
_RESOLVED = 50  # invalid rows of which one look reads the history
_REPORTED_AFTER = 60.0
_SLICE, _REST, _PAGE_REST = 0.0003, 0.001, 0.02  # of the walk: seconds of work, and the rest for whoever answers
_BATCH = 50  # rows that the event loop takes in at once

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Walk:
    """What a walk over the rows found out: the service's time at its beginning, its requests, and the names it saw."""

    date: datetime | None = None
    pages: int = 0
    names: set[str] = field(default_factory=set)


class Look[T]:
    """Looks at `policies`, with a client of its own, for as long as its event loop runs; `begin` starts it."""

    def __init__(
        self, policies: PolicyTable, serving: Serving[T], recorder: Recorder, now: Callable[[], float] = clock
    ) -> None:
        self._policies = policies
        self._serving = serving
        self._recorder = recorder
        self._now = now
        self.running = False
        self._task: asyncio.Task[None] | None = None
        self._since: datetime | None = None
        self._small = False
        self._full_due_at = float("-inf")
        self._caught_up_at = float("-inf")
        self._failing_since: float | None = None
        self._reported = False

    def begin(self) -> None:
        """Look from now on; called by every invocation that finds it not `running`: the first may be of any trigger."""
        self._serving.expect_look()
        self.running = True
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(self._end)

    def _end(self, _: asyncio.Task[None]) -> None:
        self.running = False

    async def _run(self) -> None:
        while True:
            began = self._now()
            try:
                await self._look(began)
            except Exception as error:
                self._serving.looked(None)
                self._fail(began, error)
                pause = _AFTER_FAILURE
            else:
                self._succeed()
                pause = max(1.0, began + INTERVAL - self._now())
            await asyncio.sleep(pause * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311 - no secret

    async def _look(self, began: float) -> None:
        """One look. Raises whatever a request for a page raises."""
        full = self._since is None or self._small or began >= self._full_due_at
        if full and self._since is not None:
            self._full_due_at = began + 60.0  # should this one fail
        since = None if full or self._since is None else self._since - OVERLAP
        known = set(self._serving.copies.names) if full else set()
        loop = asyncio.get_running_loop()
        walk = await _in_thread(lambda: self._walk(loop, since))
        if self._since is None or not full:
            self._since = walk.date
        if full and self._now() - max(began, self._caught_up_at) > INTERVAL:
            await _in_thread(lambda: self._catch_up(loop))
        else:
            self._serving.looked(began)
        if full:
            self._small = walk.pages <= SMALL
            self._full_due_at = began + FULL_INTERVAL * max(1.0, len(walk.names) / FULL_ROWS)
            if missing := known - walk.names:
                await _in_thread(lambda: self._confirm(loop, missing))
        await self._resolve()

    def _walk(self, loop: asyncio.AbstractEventLoop, since: datetime | None) -> _Walk:
        """Walk over the rows, in a thread, and hand over to the event loop what is new."""
        walk = _Walk()
        serving, copies = self._serving, self._serving.copies
        started = self._now()
        deadline = started + _LONGEST
        pages = self._policies.pages(since=since)
        breath = _Breath()
        while True:
            began = self._now()
            if began > deadline:
                raise TimeoutError(f"the look took longer than {_LONGEST:.0f} s")
            page = next(pages, None)
            if page is None:
                return walk
            walk.pages += 1
            if walk.date is None:
                walk.date = page.date
                if page.date is not None:
                    loop.call_soon_threadsafe(self._recorder.begin, page.date - OVERLAP)
            loop.call_soon_threadsafe(serving.breaker.succeeded)
            found: list[Row | InvalidRow] = []
            for entity in page.entities:
                breath.take()
                domain, timestamp = entity.get("PartitionKey"), entity.metadata["timestamp"]
                if entity.get("RowKey") != ROW_KEY or not isinstance(domain, str):
                    continue
                if timestamp is not None and copies.holds(domain, timestamp.astimezone(UTC)):
                    walk.names.add(domain)
                    continue
                row = read_row(entity)
                if isinstance(row, InvalidRow) and not row.reachable:
                    continue
                walk.names.add(domain)
                found.append(row)
                if len(found) >= _BATCH:
                    loop.call_soon_threadsafe(serving.take, found, began)
                    found = []
            if found:
                loop.call_soon_threadsafe(serving.take, found, began)
            time.sleep(_PAGE_REST)
            if since is None and self._now() - max(started, self._caught_up_at) > INTERVAL:
                self._catch_up(loop)

    def _catch_up(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ask, in a thread, for what changed while a look at all rows takes its time."""
        if self._since is not None:
            began = self._now()
            self._since = self._walk(loop, self._since - OVERLAP).date
            self._caught_up_at = began
            loop.call_soon_threadsafe(self._serving.looked, began)

    def _confirm(self, loop: asyncio.AbstractEventLoop, missing: set[str]) -> None:
        """Ask, in a thread, for rows that a look at all rows did not show, since pages are not a snapshot. A row is
        gone only if the service says so. What there is no time for, the next look at all rows shows again.
        """
        deadline = self._now() + _CONFIRMING
        for domain in sorted(missing):
            began = self._now()
            if began > deadline:
                return
            try:
                row: Row | InvalidRow | None = self._policies.get(domain)
            except InvalidRow as invalid:
                row = invalid
            if row is None:
                loop.call_soon_threadsafe(self._serving.copies.gone, domain, began, self._now())
            else:
                loop.call_soon_threadsafe(self._serving.take, [row], began)

    async def _resolve(self) -> None:
        """Read the histories of invalid rows: a revision may have been added since the last look."""
        broken = self._serving.copies.broken
        oldest = sorted(broken, key=lambda domain: broken[domain].resolved_at)[:_RESOLVED]
        if oldest:
            await asyncio.wait([self._serving.resolve(domain) for domain in oldest], timeout=_CONFIRMING)

    def _fail(self, began: float, error: Exception) -> None:
        if self._failing_since is None:
            self._failing_since = began
        seconds = self._now() - self._failing_since
        if seconds >= _REPORTED_AFTER and not self._reported:
            self._reported = True
            _log.error(
                "no look at the table has succeeded for %d s, requests read their rows: %s", seconds, reason(error)
            )

    def _succeed(self) -> None:
        if self._reported:
            _log.warning("a look at the table has succeeded again")
        self._failing_since, self._reported = None, False


class _Breath:
    """Rests after each slice of work, so that whoever answers on the event loop gets the interpreter at once."""

    def __init__(self) -> None:
        self._until = time.perf_counter() + _SLICE

    def take(self) -> None:
        if time.perf_counter() > self._until:
            time.sleep(_REST)
            self._until = time.perf_counter() + _SLICE


def _in_thread[R](work: Callable[[], R]) -> asyncio.Future[R]:
    """What `work` returns, from a thread that does not outlive the process: a look may wait for silent storage."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[R] = loop.create_future()

    def end(result: R | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type] # there is a result where there is no error

    def run() -> None:
        result, raised = None, None
        try:
            result = work()
        except Exception as error:
            raised = error
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(end, result, raised)

    threading.Thread(target=run, daemon=True, name="look").start()
    return future
