"""What one worker holds in memory of the policies, and how it answers for a domain: fresh, stale, last good, unknown.

A fresh copy is served without a storage call, everything else after one shared point read that no caller waits for
longer than a sending server would. All state is touched on the event loop only; reads run in threads of their own.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, NamedTuple

from policy_store.policy import Policy, PolicySyntaxError
from policy_store.tables.history import History, key_of
from policy_store.tables.policies import PolicyTable
from policy_store.tables.row import InvalidRow

type Outcome = Literal["fresh", "read", "stale", "last-good", "unknown", "unavailable"]

READ_THREADS = 32
KNOWN_LIMIT = 20_000  # domains with a row
UNKNOWN_LIMIT = 10_000  # domains without one: strangers decide how many there are, so they have a limit of their own

# Seconds. The quickest senders give up after 2, DNS and TLS included.
_WAIT = 1.0
_WAIT_WITH_COPY = 0.3
_PAUSE = 5.0  # of the breaker
_HEALTH_INTERVAL = 60.0
_HEALTH_DOMAIN = "invalid"  # a name that nobody can have: RFC 6761 section 6.4

RETRY_AFTER = int(_PAUSE)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Copy[T]:
    """One policy as a worker holds it: what `render` made of it, the time of its row version or revision as
    `YYYYMMDDhhmmssZ`, and when it was read (monotonic seconds).
    """

    rendered: T
    version: str
    read_at: float
    last_good: bool = False


class Served[T](NamedTuple):
    """How a request is to be answered: with the copy, or without one as the outcome says."""

    outcome: Outcome
    copy: Copy[T] | None


@dataclass(frozen=True, slots=True)
class Health:
    """A worker's state: whether the last read succeeded, the copies held, and the last-good answers given so far."""

    storage: Literal["ok", "failing"]
    copies: int
    last_good_answers: int


@dataclass(frozen=True, slots=True)
class _Reading[T]:
    """What a read found: a copy, no row, or an invalid row with or without a copy to serve instead."""

    copy: Copy[T] | None
    invalid: InvalidRow | None = None


class _Paused(Exception):
    """A read whose turn came after the breaker had opened."""


class Serving[T]:
    """Answers for domains on one event loop. `render` turns a policy and the time of its version into what is served;
    it is called once for each copy. A copy is fresh for `fresh_seconds`.
    """

    def __init__(
        self,
        policies: PolicyTable,
        history: History,
        render: Callable[[Policy, datetime], T],
        *,
        fresh_seconds: float,
    ) -> None:
        self._policies = policies
        self._history = history
        self._render = render
        self._fresh_seconds = fresh_seconds
        self._threads = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="policy-read")
        self._known: OrderedDict[str, Copy[T]] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()  # when it was read
        self._reads: dict[str, asyncio.Future[_Reading[T]]] = {}
        self._reported: OrderedDict[str, str] = OrderedDict()  # the version of the invalid row last logged
        self._storage_fails = False
        self._tripped = False  # the breaker: set by a time-out, cleared by the next read that succeeds
        self._paused_until = 0.0
        self._last_read_at: float | None = None
        self._last_good_answers = 0

    async def answer(self, domain: str) -> Served[T]:
        """How to answer for `domain` (lower-case A-labels): at once for what is held fresh, otherwise within a second,
        or a third of one where any copy is held. Raises nothing.
        """
        now = time.monotonic()
        copy = self._known.get(domain)
        if copy is not None:
            self._known.move_to_end(domain)
            if now - copy.read_at < self._fresh_seconds:
                return self._served("fresh", copy)
        elif (read_at := self._unknown.get(domain)) is not None and now - read_at < self._fresh_seconds:
            self._unknown.move_to_end(domain)
            return Served("unknown", None)
        read = self._reads.get(domain) or self._start(domain, now)
        if read is None:
            return self._without_storage(copy)
        await asyncio.wait((read,), timeout=_WAIT if copy is None else _WAIT_WITH_COPY)
        if not read.done():
            if copy is None:
                self._trip(domain, "no answer in time")
            return self._without_storage(copy)
        if read.exception() is not None:
            return self._without_storage(copy)
        reading = read.result()
        if reading.copy is not None:
            return self._served("read", reading.copy)
        return Served("unavailable" if reading.invalid else "unknown", None)

    async def health(self) -> Health:
        """The worker's state by its last read; causes a read where there was none within a minute."""
        now = time.monotonic()
        if self._last_read_at is None or now - self._last_read_at >= _HEALTH_INTERVAL:
            read = self._reads.get(_HEALTH_DOMAIN) or self._start(_HEALTH_DOMAIN, now)
            if read is not None:
                await asyncio.wait((read,), timeout=_WAIT)
                if not read.done():
                    self._trip(_HEALTH_DOMAIN, "no answer in time")
        return Health("failing" if self._storage_fails else "ok", len(self._known), self._last_good_answers)

    def _served(self, outcome: Outcome, copy: Copy[T]) -> Served[T]:
        if copy.last_good:
            self._last_good_answers += 1
            outcome = "last-good"
        return Served(outcome, copy)

    def _without_storage(self, copy: Copy[T] | None) -> Served[T]:
        return Served("unavailable" if copy is None else "stale", copy)

    def _start(self, domain: str, now: float) -> asyncio.Future[_Reading[T]] | None:
        """A read of `domain`; None while the breaker is open. Of a pause's end the first read is the only probe."""
        if now < self._paused_until:
            return None
        probe = self._tripped
        if probe:
            self._paused_until = now + _PAUSE
        self._last_read_at = now
        read = asyncio.get_running_loop().run_in_executor(self._threads, self._read, domain, probe)
        self._reads[domain] = read
        read.add_done_callback(lambda read: self._finish(domain, now, read))
        return read

    def _read(self, domain: str, probe: bool) -> _Reading[T]:
        """Read the row, and for an invalid one without a copy the history. Runs in a thread."""
        if not probe and time.monotonic() < self._paused_until:
            raise _Paused
        try:
            row = self._policies.get(domain)
        except InvalidRow as invalid:
            return _Reading(self._last_good(domain), invalid)
        return _Reading(None if row is None else self._copy(row.policy, row.modified))

    def _last_good(self, domain: str) -> Copy[T] | None:
        copy = self._known.get(domain)
        if copy is None:
            try:
                copy = self._newest_revision(domain)
            except Exception:
                _log.exception("the history of %s cannot be read", domain)
                return None
            if copy is None:
                return None
        return replace(copy, read_at=time.monotonic(), last_good=True)

    def _newest_revision(self, domain: str) -> Copy[T] | None:
        for revision in reversed(self._history.revisions(domain)):
            try:
                return self._copy(revision.policy, revision.since)
            except PolicySyntaxError as error:
                _log.error("revision %s of %s holds no policy: %s", revision.key, domain, error)
        return None

    def _copy(self, policy: Policy, modified: datetime) -> Copy[T]:
        return Copy(self._render(policy, modified), key_of(modified), time.monotonic())

    def _finish(self, domain: str, started: float, read: asyncio.Future[_Reading[T]]) -> None:
        """Take in what a read found, whether or not somebody still waits for it."""
        del self._reads[domain]
        error = read.exception()
        if isinstance(error, _Paused):
            return
        if error is not None:  # whatever it is: promise no answer on a read that failed
            if time.monotonic() - started >= _WAIT:
                self._trip(domain, error)
            self._fail(domain, error)
            return
        self._recover()
        reading = read.result()
        if reading.invalid is not None:
            self._report(domain, reading.invalid)
        if reading.copy is not None:
            self._unknown.pop(domain, None)
            _remember(self._known, domain, reading.copy, KNOWN_LIMIT)
        elif reading.invalid is None:
            self._known.pop(domain, None)
            _remember(self._unknown, domain, time.monotonic(), UNKNOWN_LIMIT)

    def _trip(self, domain: str, why: object) -> None:
        """Open the breaker, unless it is open."""
        if time.monotonic() >= self._paused_until:
            self._tripped = True
            self._paused_until = time.monotonic() + _PAUSE
        self._fail(domain, why)

    def _fail(self, domain: str, why: object) -> None:
        if not self._storage_fails:
            self._storage_fails = True
            _log.error("storage fails, copies are served where held: reading %s: %s", domain, _one_line(why))

    def _recover(self) -> None:
        if self._storage_fails:
            _log.warning("storage answers again")
        self._storage_fails = self._tripped = False
        self._paused_until = 0.0

    def _report(self, domain: str, invalid: InvalidRow) -> None:
        if self._reported.get(domain) != invalid.etag:
            _remember(self._reported, domain, invalid.etag, KNOWN_LIMIT)
            _log.error("the row of %s is invalid, its last good revision stays in force: %s", domain, invalid)


def _remember[V](held: OrderedDict[str, V], domain: str, value: V, limit: int) -> None:
    """Hold `value` as the most recently used; beyond the limit the least recently used goes."""
    held[domain] = value
    held.move_to_end(domain)
    if len(held) > limit:
        held.popitem(last=False)


def _one_line(error: object) -> str:
    text = f"{type(error).__name__}: {error}" if isinstance(error, Exception) else str(error)
    return " ".join(text.split())[:500]
