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
_formatter = logging.Formatter()


class LogQueue(logging.Handler):
    """The handler of the app's loggers: passes a line on to the root logger's handlers where it will arrive, else keeps
    it. Lines keep their order, and none is passed on twice.

    Every trigger runs within `with lines.invocation():`. Outside of any event loop that had an invocation, as in the
    command and in tests, each line is passed on at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: deque[logging.LogRecord] = deque()
        self._dropped = 0
        self._arrived = 0
        self._executing = False  # whether the invocation that arrived last is
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0

    def install(self) -> None:
        """Stand between the app's loggers and the root logger.

        A logger that no name leads to is put there: handlers that others add to the app's own loggers stay as they are.
        """
        between = logging.Logger(_APP)
        between.parent, between.propagate = logging.getLogger(), False
        between.addHandler(self)
        logging.getLogger(_APP).parent = between

    def invocation(self) -> _Invocation:
        """The context of one invocation, on the event loop: entered before anything else, left last."""
        return _Invocation(self)

    def arrive(self) -> int:
        """Note that an invocation has arrived, and log what was kept; returns the invocation's number."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._thread = loop, threading.get_ident()
        self._arrived += 1
        self._executing = True
        if self._kept:
            self._release()
        return self._arrived

    def leave(self, number: int) -> None:
        """Note that the invocation of that number ends."""
        if number == self._arrived:
            if self._kept:
                self._release()
            self._executing = False

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the line on, or keep it. Called with the handler's lock held."""
        if self._loop is None or self._loop.is_closed():
            _pass_on(record)
        elif threading.get_ident() == self._thread:
            if self._executing:
                self._release()
                _pass_on(record)
            else:
                self._keep(record)
        else:
            # In a thread an invocation could arrive and end between the question and the line.
            self._keep(record)
            if self._executing:
                self._loop.call_soon_threadsafe(self._release_if_executing)

    def _keep(self, record: logging.LogRecord) -> None:
        if len(self._kept) >= KEPT_LIMIT:
            self._dropped += 1
            return
        kept = copy.copy(record)
        kept.msg, kept.args = record.getMessage(), None
        if record.exc_info:
            kept.exc_text, kept.exc_info = _formatter.formatException(record.exc_info), None
        self._kept.append(kept)

    def _release_if_executing(self) -> None:
        if self._executing:
            self._release()

    def _release(self) -> None:
        """Log what is kept, the oldest first."""
        while self._kept:  # only the event loop takes lines out
            record = self._kept.popleft()
            if time.time() - record.created >= LATE:
                record.msg += f" [{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%SZ}]"
            _pass_on(record)
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            _log.warning("%d log lines were dropped, since too many waited for the next request", dropped)


class _Invocation:
    __slots__ = ("_lines", "_number")

    def __init__(self, lines: LogQueue) -> None:
        self._lines = lines

    def __enter__(self) -> None:
        self._number = self._lines.arrive()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.leave(self._number)


def _pass_on(record: logging.LogRecord) -> None:
    logging.getLogger().handle(record)


lines = LogQueue()
