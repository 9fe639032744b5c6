"""Whether the table of policies answers: the breaker that spares requests a wait for nothing, and what the log hears.

Only silence of the table opens it: a read that took too long, while no other read of the same table has succeeded since
that one began. So neither one bad partition nor a long queue is taken for storage that fails.
"""

import logging
import time
from collections.abc import Callable
from functools import partial

from policy_store.tables.failures import reason

SILENCE = 1.0  # seconds after which a read counts as not answered
PAUSE = 5.0  # seconds without reads once the breaker has opened
QUIET = 60.0  # seconds without a failure after which an episode of failures has ended

_log = logging.getLogger(__name__)

# Seconds that never go back, and go on where the machine sleeps.
clock: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


class Breaker:
    """The state of reads of one table. Touched on the event loop; `paused` may be asked in any thread.

    An episode of failures is logged once at its start and once at its end, which is the first success after QUIET
    seconds without a failure: faults that come and go are one episode.
    """

    def __init__(self, now: Callable[[], float] = clock) -> None:
        self._now = now
        self.failing = False  # whether the last read failed
        self.last_read_at: float | None = None
        self._succeeded_at = float("-inf")
        self._failed_at = float("-inf")
        self._in_episode = False
        self._tripped = False
        self._paused_until = 0.0

    @property
    def paused(self) -> bool:
        """Whether no read may start now."""
        return self._now() < self._paused_until

    def admit(self) -> bool | None:
        """Whether a read that starts now is the one probe after a pause; None while no read may start."""
        now = self._now()
        if now < self._paused_until:
            return None
        self.last_read_at = now
        if self._tripped:
            self._paused_until = now + PAUSE
        return self._tripped

    def succeeded(self) -> None:
        """Note that a read of the table was answered."""
        now = self._now()
        self.failing = self._tripped = False
        self._paused_until = 0.0
        self._succeeded_at = self.last_read_at = now
        if self._in_episode and now - self._failed_at >= QUIET:
            self._in_episode = False
            _log.warning("storage answers again")

    def failed(self, domain: str, error: BaseException, started: float) -> None:
        """Note that a read that began at `started` has failed."""
        if self._now() - started >= SILENCE:
            self._trip(started)
        self._fail(domain, reason(error))

    def silent(self, domain: str, started: float) -> None:
        """Note that a caller gave up a read that began at `started` and still goes on."""
        if self._now() - started >= SILENCE * 0.9 and self._trip(started):
            self._fail(domain, "no answer in time")

    def _trip(self, started: float) -> bool:
        """Open the breaker, unless a read has succeeded since `started`; returns whether the table is silent."""
        if self._succeeded_at >= started:
            return False
        now = self._now()
        if now >= self._paused_until:
            self._tripped = True
            self._paused_until = now + PAUSE
        return True

    def _fail(self, domain: str, why: str) -> None:
        self.failing = True
        self._failed_at = self._now()
        if not self._in_episode:
            self._in_episode = True
            _log.error("storage fails, copies in memory are served: reading %s: %s", domain, why)
