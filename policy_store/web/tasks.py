"""Work that outlasts a request: it goes on in a thread of its own, and pages show how far it is."""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock, Thread

from azure.core.exceptions import AzureError

from policy_store.audit import AuditProblem, AuditReport, audit, recorder
from policy_store.changes.desk import Desk
from policy_store.sender.facts import Facts
from policy_store.sender.report import Check, report
from policy_store.tables.entry import Entry
from policy_store.tables.store import storage_problem

_KEPT = 50  # of each kind
_AT_ONCE = 8  # of each kind


class Busy(Exception):
    """So much is under way that nothing more is begun; the message says what to do."""

    def __init__(self) -> None:
        super().__init__("a lot is under way already: wait until some of it has ended")


class Keep[T]:
    """The newest things of one kind, each under an id that cannot be guessed."""

    def __init__(self) -> None:
        self._things: OrderedDict[str, T] = OrderedDict()
        self._lock = Lock()

    def put(self, thing: T, *, running: Callable[[T], bool]) -> str:
        """Keep a thing; the oldest ones that are not running go. Raises Busy."""
        with self._lock:
            if sum(map(running, self._things.values())) >= _AT_ONCE:
                raise Busy
            id_ = secrets.token_urlsafe(12)
            self._things[id_] = thing
            idle = [old for old, kept in self._things.items() if not running(kept) and old != id_]
            for old in idle[: max(0, len(self._things) - _KEPT)]:
                del self._things[old]
            return id_

    def get(self, id_: str) -> T | None:
        """The thing with this id; None where there is none, or no longer."""
        return self._things.get(id_)


def failure(error: Exception) -> str:
    """The sentence for work that failed."""
    if isinstance(error, AzureError):
        message, remedy = storage_problem(error)
        return f"{message[0].upper()}{message[1:]}: {remedy}."
    return f"An error that nobody expected, {type(error).__name__}. Please report it."


def in_background(work: Callable[[], None], name: str) -> None:
    """Begin some work that handles its own errors."""
    Thread(target=work, name=name, daemon=True).start()


@dataclass
class Checking:
    """A look at one domain as a sending server has it; `facts` and `check` are there once it has ended well."""

    domain: str
    begun: datetime
    facts: Facts | None = None
    check: Check | None = None
    error: str = ""

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self.check is None and not self.error


class Checks:
    """The looks that were asked for, one at a time for each domain."""

    def __init__(self) -> None:
        self._keep: Keep[Checking] = Keep()
        self._newest: OrderedDict[str, Checking] = OrderedDict()

    def of(self, domain: str) -> Checking | None:
        """The newest look at a domain."""
        return self._newest.get(domain)

    def start(self, domain: str, facts: Callable[[str], Facts], now: datetime) -> None:
        """Begin to look, unless that is under way. Raises Busy."""
        known = self._newest.get(domain)
        if known is not None and known.running:
            return
        checking = Checking(domain, now)
        self._keep.put(checking, running=lambda one: one.running)
        self._newest[domain] = checking
        self._newest.move_to_end(domain)
        while len(self._newest) > _KEPT:
            self._newest.popitem(last=False)

        def look() -> None:
            try:
                found = facts(domain)
                checking.facts, checking.check = found, report(found)
            except Exception as error:
                checking.error = f"The check failed: {type(error).__name__}."

        in_background(look, f"checking {domain}")


@dataclass
class Auditing:
    """An audit that somebody runs here; `report` is there once it has ended well."""

    begun: datetime
    seen: int = 0
    problems: list[AuditProblem] = field(default_factory=list)
    report: AuditReport | None = None
    error: str = ""

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self.report is None and not self.error


class Audits:
    """The audits that are run here, one at a time; `newest` is the last one."""

    def __init__(self) -> None:
        self.newest: Auditing | None = None
        self._lock = Lock()

    def start(self, desk: Desk, ended: Callable[[], None]) -> None:
        """Begin one, unless one is under way; `ended` is called after it."""
        with self._lock:
            if self.newest is not None and self.newest.running:
                return
            auditing = self.newest = Auditing(desk.now)
        store = desk.store

        def entries() -> Iterator[Entry]:
            for entry in store.entries():
                auditing.seen += 1
                yield entry

        def run() -> None:
            try:
                told, by = auditing.problems.append, recorder(desk.by)
                auditing.report = audit(entries(), store.policies, store.history, by=by, tell=told)
            except Exception as error:
                auditing.error = failure(error)
            ended()

        in_background(run, "audit")
