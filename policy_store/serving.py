"""How one worker answers for a domain: fresh, read, stale, last good, unknown or unavailable.

While the worker's knowledge of the whole table is young (`policy_store.looking` sees to that), an answer costs no
storage call, for known and unknown names alike. Otherwise the row is read, once for all who ask, and no caller waits
longer than a sending server would. All state is touched on the event loop only; reads run in threads of their own.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, NamedTuple

from policy_store.breaker import PAUSE, Breaker, clock
from policy_store.copies import Copies, Copy
from policy_store.policy import Policy
from policy_store.reads import Reads
from policy_store.tables.failures import reason
from policy_store.tables.history import History, Revision, newest_readable
from policy_store.tables.policies import PolicyTable
from policy_store.tables.row import InvalidRow, Row

type Outcome = Literal["fresh", "read", "stale", "last-good", "unknown", "unavailable"]

RETRY_AFTER = int(PAUSE)

# Seconds. The quickest senders give up after 2, DNS and TLS included.
_WAIT = 1.0
_HISTORY_PAUSE = 5.0  # before a history that could not be read is read again
_HISTORY_THREADS = 4
_HEALTH_INTERVAL = 60.0
_HEALTH_DOMAIN = "invalid"  # a name that nobody can have: RFC 6761 section 6.4

_log = logging.getLogger(__name__)


class Served[T](NamedTuple):
    """How a request is to be answered: with the copy, or without one as the outcome says."""

    outcome: Outcome
    copy: Copy[T] | None


@dataclass(frozen=True, slots=True)
class Health:
    """A worker's state: whether the last read succeeded, the copies held, the last-good answers given so far, and how
    many seconds ago the last look at the whole table began that succeeded.
    """

    storage: Literal["ok", "failing"]
    copies: int
    last_good_answers: int
    look_age: int | None


class Serving[T]:
    """Answers for domains on one event loop. What is known is fresh for `fresh_seconds`; `on_text` and `on_unrecorded`
    get the rows whose text is to be recorded (`policy_store.copies`). T is what an answer needs to be made of a copy;
    the caller makes it.
    """

    def __init__(
        self,
        policies: PolicyTable,
        history: History,
        *,
        fresh_seconds: float,
        on_text: Callable[[Row], None] = lambda _: None,
        on_unrecorded: Callable[[Row], None] = lambda _: None,
        now: Callable[[], float] = clock,
    ) -> None:
        self._policies = policies
        self._history = history
        self._fresh_seconds = fresh_seconds
        self._now = now
        self.copies: Copies[T] = Copies(on_text, on_unrecorded, _report)
        self.breaker = Breaker(now)
        self._reads = Reads(self._read, self._found, self.breaker, now)
        self._histories: dict[str, asyncio.Future[None]] = {}
        self._history_threads = ThreadPoolExecutor(_HISTORY_THREADS, thread_name_prefix="history-read")
        self._unreadable: set[tuple[str, str]] = set()  # revisions that were reported
        self.looked_at: float | None = None
        self._first_look_under_way = False
        self._awaited: dict[str, asyncio.Future[None]] = {}  # names that the first look may find
        self._last_good_answers = 0

    async def answer(self, domain: str) -> Served[T]:
        """How to answer for `domain` (lower-case A-labels): at once from fresh knowledge, otherwise within a second.
        Raises nothing.
        """
        return self.from_memory(domain) or await self._ask(domain, self._now() + _WAIT)

    def from_memory(self, domain: str) -> Served[T] | None:
        """The answer that fresh knowledge holds, None where it holds none."""
        copies, now = self.copies, self._now()
        looked = self.looked_at is not None and now - self.looked_at < self._fresh_seconds
        copy = copies.texts.get(domain)
        if copies.broken and (broken := copies.broken.get(domain)):
            if not looked and now - broken.read_at >= self._fresh_seconds:
                return None
            if now - broken.resolved_at >= self._fresh_seconds and now >= broken.retry_at:
                return None
            return self._last_good(copy)
        if copy is not None:
            if looked or now - copy.read_at < self._fresh_seconds:
                copies.texts.move_to_end(domain)
                return Served("fresh", copy)
            return None
        if looked:
            return None if domain in copies.names else Served("unknown", None)
        found_absent = copies.absent.get(domain)
        if found_absent is not None and now - found_absent < self._fresh_seconds:
            copies.absent.move_to_end(domain)
            return Served("unknown", None)
        return None

    async def health(self) -> Health:
        """The worker's state by its last read; causes a read where there was none within a minute."""
        now = self._now()
        last = self.breaker.last_read_at
        if last is None or now - last >= _HEALTH_INTERVAL:
            read = self._reads.start(_HEALTH_DOMAIN, stranger=False)
            if read is not None:
                await self._reads.wait(read, _WAIT)
                if not read.future.done():
                    self._reads.given_up(_HEALTH_DOMAIN, read)
        age = None if self.looked_at is None else int(self._now() - self.looked_at)
        storage: Literal["ok", "failing"] = "failing" if self.breaker.failing else "ok"
        return Health(storage, len(self.copies.texts), self._last_good_answers, age)

    def expect_look(self) -> None:
        """Note that the first look has begun: who asks for a name may wait for it."""
        self._first_look_under_way = True

    def take(self, rows: Iterable[Row | InvalidRow], began: float) -> None:
        """Take in rows that a look found with a request which began at `began`."""
        for row in rows:
            self.copies.take(row, began, asked_for=False)
            if self._awaited and (awaited := self._awaited.pop(row.domain, None)) and not awaited.done():
                awaited.set_result(None)

    def looked(self, began: float | None) -> None:
        """Note that a look has ended: all of the table is known as it was at `began`; None where it failed."""
        self._first_look_under_way = False
        if began is not None:
            self.looked_at = began if self.looked_at is None else max(began, self.looked_at)
        for awaited in self._awaited.values():
            if not awaited.done():
                awaited.set_result(None)
        self._awaited.clear()

    def resolve(self, domain: str) -> asyncio.Future[None]:
        """Read the history of a domain whose row is invalid; the future is done when what was found is taken in."""
        under_way = self._histories.get(domain)
        if under_way is None:
            loop = asyncio.get_running_loop()
            under_way = self._histories[domain] = loop.create_future()
            began = self._now()
            reading = loop.run_in_executor(self._history_threads, self._newest_readable, domain)
            reading.add_done_callback(lambda reading: self._resolved(domain, began, reading))
        return under_way

    async def _ask(self, domain: str, deadline: float) -> Served[T]:
        """The answer after a read, or without one where storage does not answer in time."""
        copies = self.copies
        stranger = domain not in copies.names
        read = self._reads.start(domain, stranger=stranger)
        waits = []
        if stranger and self._first_look_under_way and not self.breaker.paused:
            waits.append(self._await_look(domain))
        await self._reads.wait(read, _WAIT, *waits)
        if any(wait.done() for wait in waits) and (domain in copies.broken or self.from_memory(domain)):
            return await self._as_read(domain, deadline, "fresh")
        await self._reads.wait(read, max(0.0, deadline - self._now()))
        if read and read.future.done() and not read.future.cancelled() and read.future.exception() is None:
            return await self._as_read(domain, deadline, "read")
        if read and not read.future.done():
            self._reads.given_up(domain, read)
        copy = copies.texts.get(domain)
        if domain in copies.broken:
            return self._last_good(copy)
        return Served("unavailable" if copy is None else "stale", copy)

    async def _as_read(self, domain: str, deadline: float, outcome: Outcome) -> Served[T]:
        """The answer by what was just taken in; for an invalid row after a look into the history."""
        broken = self.copies.broken.get(domain)
        if broken is not None:
            now = self._now()
            if now - broken.resolved_at >= self._fresh_seconds and now >= broken.retry_at:
                await asyncio.wait((self.resolve(domain),), timeout=max(0, deadline - now))
            if domain in self.copies.broken:
                return self._last_good(self.copies.texts.get(domain))
        copy = self.copies.texts.get(domain)
        if copy is not None:
            return Served(outcome, copy)
        return Served("unavailable" if domain in self.copies.names else "unknown", None)

    def _await_look(self, domain: str) -> asyncio.Future[None]:
        awaited = self._awaited.get(domain)
        if awaited is None:
            awaited = self._awaited[domain] = asyncio.get_running_loop().create_future()
        return awaited

    def _last_good(self, copy: Copy[T] | None) -> Served[T]:
        if copy is None:
            return Served("unavailable", None)
        self._last_good_answers += 1
        return Served("last-good", copy)

    def _read(self, domain: str) -> Row | InvalidRow | None:
        """Read the row, in a thread."""
        try:
            return self._policies.get(domain)
        except InvalidRow as invalid:
            return invalid

    def _found(self, domain: str, row: Row | InvalidRow | None, began: float) -> None:
        if row is None:
            self.copies.gone(domain, began, self._now())
        else:
            self.copies.take(row, began)

    def _newest_readable(self, domain: str) -> tuple[Revision, Policy] | None:
        """The newest revision that holds a policy, in a thread."""
        revisions = self._history.revisions(domain)
        newest = newest_readable(revisions)
        for revision in reversed(revisions):
            if newest is not None and revision is newest[0]:
                break
            if (domain, revision.key) not in self._unreadable:
                self._unreadable.add((domain, revision.key))
                _log.error("revision %s of %s is not a policy", revision.key, domain)
        return newest

    def _resolved(self, domain: str, began: float, reading: asyncio.Future[tuple[Revision, Policy] | None]) -> None:
        under_way = self._histories.pop(domain)
        error = reading.exception()
        if error is None:
            self.copies.resolve(domain, reading.result(), began)
        elif broken := self.copies.broken.get(domain):
            broken.retry_at = self._now() + _HISTORY_PAUSE
            if not broken.reported:
                broken.reported = True
                _log.error("the history of %s cannot be read: %s", domain, reason(error))
        under_way.set_result(None)


def _report(invalid: InvalidRow) -> None:
    _log.error("the row of %s is invalid, its last good revision stays in force: %s", invalid.domain, invalid)
