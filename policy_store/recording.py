"""Records the texts that a worker takes in of rows written since it started: whatever was served is a revision, however
short it stood in the table.

Older rows are the audit's. Recording is idempotent with the command, the audit and other workers.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime

from policy_store.breaker import clock
from policy_store.tables.failures import reason
from policy_store.tables.history import History
from policy_store.tables.policies import PolicyTable
from policy_store.tables.row import Row

BY, NOTE = "audit", "changed by hand"  # as the audit records

WAITING_LIMIT = 10_000  # rows
_DELAY = 3.0  # seconds: the command records what it wrote itself, with who and why
_AFTER_FAILURE = 10.0
_TRIES = 6

_log = logging.getLogger(__name__)


class Recorder:
    """Records rows in the order in which they are added, in a thread that lives while there are any."""

    def __init__(self, history: History, policies: PolicyTable, now: Callable[[], float] = clock) -> None:
        self._history = history
        self._policies = policies
        self._now = now
        self._since: datetime | None = None
        self._early: deque[Row] = deque(maxlen=WAITING_LIMIT)  # before `since` is known
        self._rows: deque[tuple[float, Row]] = deque()
        self._lock = threading.Lock()
        self._running = False

    def begin(self, since: datetime) -> None:
        """Record rows that were written at `since` or later; only the first call counts."""
        if self._since is None:
            self._since = since
            while self._early:
                self.add(self._early.popleft())

    def add(self, row: Row) -> None:
        """Have the row's text recorded, unless it is older than the worker."""
        if self._since is None:
            self._early.append(row)
        elif row.modified >= self._since:
            self.record(row)

    def record(self, row: Row) -> None:
        """Have the row's text recorded, in a few seconds."""
        with self._lock:
            if len(self._rows) < WAITING_LIMIT:
                self._rows.append((self._now() + _DELAY, row))
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, daemon=True, name="recorder").start()

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be recorded."""
        return not self._running

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._rows:
                    self._running = False
                    return
                due, row = self._rows[0]
            time.sleep(max(0.0, due - self._now()))
            self._record(row)
            with self._lock:
                self._rows.popleft()

    def _record(self, row: Row) -> None:
        for tries in range(1, _TRIES + 1):
            try:
                self._history.record(row, self._policies, by=BY, note=NOTE)
            except Exception as error:
                if tries == _TRIES:
                    why = reason(error)
                    _log.error("the text of %s could not be recorded, the audit tries again: %s", row.domain, why)
                    return
                time.sleep(_AFTER_FAILURE)
            else:
                return
