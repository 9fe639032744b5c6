"""The app's log lines on their way to Application Insights, where not every line arrives.

The Functions host passes a line on only while the invocation that the line names is executing, and the Python worker
names in every line the invocation that arrived last in the process. A line that is logged after that invocation has
ended is lost, whoever logs it: a request that waited for storage, a thread, a background task. So such a line is kept,
and the next invocation logs it before anything else, with the time at which it was first logged.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import threading
import time
from collections import deque
from datetime import UTC, datetime
from types import TracebackType

KEPT_LIMIT = 10_000  # lines that wait for an invocation

LATE = 1.0  # seconds from which on a kept line is logged with its own time
_APP = "policy_store"  # the parent of all the app's loggers
_log = logging.getLogger(__name__)
_root = logging.getLogger()
_formatter = logging.Formatter()


class LogQueue(logging.Handler):
    """The handler of the app's loggers: passes a line on to the root logger's handlers where it will arrive, else keeps
    it. Lines keep their order, and none is passed on twice.

    Every trigger runs within `with lines.invocation():`. Outside of any event loop that had an invocation, as in the
    command and in tests, each line is passed on at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: deque[logging.LogRecord] = deque()
        self._dropped = 0
        self.arrived = 0
        self.executing = False  # whether the invocation that arrived last is
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread = 0

    def install(self) -> None:
        """Stand between the app's loggers and the root logger.

        A logger that no name leads to is put there: handlers that others add to the app's own loggers stay as they are.
        """
        between = logging.Logger(_APP)
        between.parent, between.propagate = _root, False
        between.addHandler(self)
        logging.getLogger(_APP).parent = between

    def invocation(self) -> _Invocation:
        """The context of one invocation, on the event loop: entered before anything else, left last."""
        return _Invocation(self)

    def handle(self, record: logging.LogRecord) -> bool:
        """Pass the line on, or keep it."""
        if self.executing and not self.kept and threading.get_ident() == self.thread:
            _root.handle(record)  # without a lock: hits come this way
            return True
        return super().handle(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the line on, or keep it. Called with the handler's lock held."""
        if self.loop is None or self.loop.is_closed():
            _root.handle(record)
        elif threading.get_ident() == self.thread:
            if self.executing:
                self.release()
                _root.handle(record)
            else:
                self._keep(record)
        else:
            # In a thread an invocation could arrive and end between the question and the line.
            self._keep(record)
            if self.executing:
                self.loop.call_soon_threadsafe(self._release_if_executing)

    def _keep(self, record: logging.LogRecord) -> None:
        if len(self.kept) >= KEPT_LIMIT:
            self._dropped += 1
            return
        kept = copy.copy(record)
        kept.msg, kept.args = record.getMessage(), None
        if record.exc_info:
            kept.exc_text, kept.exc_info = _formatter.formatException(record.exc_info), None
        self.kept.append(kept)

    def _release_if_executing(self) -> None:
        if self.executing:
            self.release()

    def release(self) -> None:
        """Log what is kept, the oldest first."""
        while self.kept:  # only the event loop takes lines out
            record = self.kept.popleft()
            if time.time() - record.created >= LATE:
                record.msg += f" [{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%SZ}]"
            _root.handle(record)
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            _log.warning("%d log lines were dropped, since too many waited for the next request", dropped)


class _Invocation:
    """One invocation: it arrives when this is entered, and ends when this is left."""

    __slots__ = ("_number", "_queue")

    def __init__(self, queue: LogQueue) -> None:
        self._queue = queue

    def __enter__(self) -> None:
        queue = self._queue
        loop = asyncio.get_running_loop()
        if loop is not queue.loop:
            queue.loop, queue.thread = loop, threading.get_ident()
        queue.arrived += 1
        self._number = queue.arrived
        queue.executing = True
        if queue.kept:
            queue.release()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        queue = self._queue
        if self._number == queue.arrived:
            if queue.kept:
                queue.release()
            queue.executing = False


lines = LogQueue()
