"""The audit: a walk over both tables that records every text changed by hand, and tells what is broken.

It reads the policies, and reads and adds revisions; it changes nothing else.
"""

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from policy_store.names import named_for_host, quoted
from policy_store.recording import BY, NOTE
from policy_store.tables.entry import Entry, walk
from policy_store.tables.failures import reason
from policy_store.tables.history import History
from policy_store.tables.policies import PolicyTable
from policy_store.tables.row import Row

REMEMBERED = 20_000  # problems whose logging a worker remembers

_log = logging.getLogger(__name__)


class AuditProblem(BaseModel):
    """One thing that a person has to fix. As long as nobody does, every audit finds an equal one."""

    model_config = ConfigDict(frozen=True)

    domain: str = Field(description="the PartitionKey as stored")
    code: Literal["invalid_row", "unreachable_row", "vanished_row", "not_recorded", "policy_host_domain"] = Field(
        description="stays the same between versions"
    )
    severity: Literal["error", "warning"] = Field(
        default="error", description="`warning` where it may be so on purpose: for `policy_host_domain`"
    )
    message: str = Field(description="what is wrong and how to fix it")
    version: str = Field(description="the ETag of the row; the key of the newest revision where the row is gone")


class AuditReport(BaseModel):
    """What one audit found, in numbers."""

    model_config = ConfigDict(frozen=True)

    domains: Annotated[int, Field(description="domains of both tables that were looked at")] = 0
    recorded: Annotated[int, Field(description="texts changed by hand that became a revision")] = 0
    invalid_row: Annotated[
        int, Field(description="rows that are not a valid policy: the last good revision stays in force")
    ] = 0
    unreachable_row: Annotated[int, Field(description="rows under keys that no request asks for")] = 0
    vanished_row: Annotated[int, Field(description="domains without a row that were not retired")] = 0
    not_recorded: Annotated[int, Field(description="revisions that could not be added")] = 0
    policy_host_domain: Annotated[
        int, Field(description="rows whose domain is the name of a policy host, a slip as a rule")
    ] = 0
    next_after: Annotated[
        str, Field(description="after which domain the next audit has to go on; empty after the last")
    ] = ""

    def __str__(self) -> str:
        """The numbers in a sentence, without a full stop."""
        return (
            f"{self.domains} domains: {self.recorded} recorded, {self.invalid_row} invalid, "
            f"{self.unreachable_row} that no request finds, {self.vanished_row} vanished"
            + (f", {self.not_recorded} that could not be recorded" if self.not_recorded else "")
            + (f", {self.policy_host_domain} under the name of a policy host" if self.policy_host_domain else "")
        )


def recorder(person: str) -> str:
    """As whom an audit that a person runs records."""
    return f"{BY} by {person}"


def is_audit(by: str) -> bool:
    """Whether this one recorded an edit by hand: the app, or an audit that a person ran."""
    return by == BY or by.startswith(recorder(""))


def audit(
    entries: Iterable[Entry],
    policies: PolicyTable,
    history: History,
    *,
    by: str,
    tell: Callable[[AuditProblem], None],
    deadline: float = inf,
) -> AuditReport:
    """See to every domain in `entries`, a walk over the tables: record for `by` what was changed by hand, and `tell`
    of each problem as it is found.

    Once `deadline` (monotonic seconds) has passed it ends behind the domain at hand. Raises an AzureError where the
    tables cannot be read; a revision that cannot be added is a problem of its domain, and the others are seen to.
    """
    counts: Counter[str] = Counter()
    for entry in entries:
        counts["domains"] += 1
        for problem in _problems(entry):
            counts[problem.code] += 1
            tell(problem)
        if isinstance(entry.row, Row) and not entry.recorded:
            try:
                history.record(entry.row, policies, by=by, note=NOTE)
            except Exception as error:  # whatever it is, it is this domain's
                counts["not_recorded"] += 1
                message = f"its revision could not be added: {reason(error)}"
                tell(AuditProblem(domain=entry.domain, code="not_recorded", message=message, version=entry.row.etag))
            else:
                counts["recorded"] += 1
        if time.monotonic() >= deadline:
            return AuditReport.model_validate({**counts, "next_after": entry.domain})
    return AuditReport.model_validate(dict(counts))


class Publishing(Protocol):
    """What publishes ids beside the audits: see `azure.publisher.Publisher`."""

    def note(self, entry: Entry) -> None:
        """Take in what the walk found; makes no request."""

    def run(self) -> object:
        """Publish what is due; raises nothing."""


class Auditor:
    """The audit as a worker repeats it: each goes on where the last one stopped, and logs a problem that it logged
    before only for a new version of the row. Ids are published after it, where there is something that `publishes`.
    """

    def __init__(self, policies: PolicyTable, history: History, publishes: Publishing | None = None) -> None:
        self._policies = policies
        self._history = history
        self._publishes = publishes
        self._after = ""
        self._told: OrderedDict[int, None] = OrderedDict()  # the hashes of problems, the latest seen last

    def run(self, seconds: float) -> AuditReport:
        """One audit that ends after about `seconds`. Raises an AzureError where the tables cannot be read."""
        deadline = time.monotonic() + seconds
        report = audit(self._entries(), self._policies, self._history, by=BY, tell=self._tell, deadline=deadline)
        self._after = report.next_after
        _log.info("audit %s", " ".join(f"{name}={value}" for name, value in report if name != "next_after"))
        if report.next_after:
            _log.warning("the audit stopped after %d s: the next one goes on after %s", seconds, report.next_after)
        if self._publishes:
            self._publishes.run()
        return report

    def _entries(self) -> Iterator[Entry]:
        for entry in walk(self._policies, self._history, after=self._after):
            if self._publishes:
                self._publishes.note(entry)
            yield entry

    def _tell(self, problem: AuditProblem) -> None:
        told = hash(problem)
        if told not in self._told:
            level = logging.WARNING if problem.severity == "warning" else logging.ERROR
            _log.log(level, "%s: %s", quoted(problem.domain), problem.message)
        self._told[told] = None
        self._told.move_to_end(told)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)


def _problems(entry: Entry) -> Iterator[AuditProblem]:
    """What a person has to fix; a text that was changed by hand is recorded instead."""
    for problem in entry.problems():
        if problem.code != "unrecorded_edit":
            yield AuditProblem(domain=entry.domain, code=problem.code, message=str(problem), version=problem.version)
    policy, row = entry.in_force, entry.row
    if row is not None and (message := named_for_host(entry.domain, policy.mode if policy else None)):
        yield AuditProblem(
            domain=entry.domain, code="policy_host_domain", severity="warning", message=message, version=row.etag
        )
