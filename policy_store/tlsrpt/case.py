"""One domain as its reports show it, and what the rules for enforce count of that.

Pure: rows, revisions and the clock come from the caller.
"""

import ipaddress
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

from pydantic import BaseModel, ConfigDict, Field

from policy_store.life import in_testing_since, served_everywhere
from policy_store.policy import Policy, PolicySyntaxError
from policy_store.tables.history import Revision
from policy_store.tables.report_row import Failure, ReportRow
from policy_store.tlsrpt.causes import Cause, failures_of
from policy_store.tlsrpt.texts import policy_in, same

LOOK_BACK = 30  # days of reports that a verdict needs
_COMES_WITHIN = timedelta(hours=48)  # reports come up to 22 hours after the end of their day
_NOT_FOUND_AFTER = timedelta(days=2)


class Demands(BaseModel):
    """What a promotion asks of reports; each is an option of `promote`. Days are UTC days."""

    model_config = ConfigDict(frozen=True)

    days: int = Field(default=5, description="days with a report under this policy")
    window: int = Field(default=14, description="the last days that count")
    reporters: int = Field(default=1, description="different senders")
    sessions: int = Field(default=10, description="sessions that passed")
    failure_days: int = Field(default=7, description="days for which a failure counts")
    silent_days: int = Field(default=28, description="days of testing after which reports may be done without")


DEMANDS = Demands()


@dataclass(frozen=True, slots=True)
class Case:
    """One domain as the reports show it, and what is known besides.

    `policy` is in force, and `revisions` has it as the newest. `mx_hosts` are those in DNS, None where nobody looked;
    `failing_hosts` are those that a check found wrong. `names_us` tells whether the domain's record for reports leads
    here, None where nobody looked.
    """

    policy: Policy
    revisions: Sequence[Revision]
    rows: Sequence[ReportRow]
    now: datetime
    fresh_seconds: float
    demands: Demands = DEMANDS
    mx_hosts: Collection[str] | None = None
    failing_hosts: Collection[str] = ()
    names_us: bool | None = None
    without_reports: bool = False


@dataclass(frozen=True, slots=True)
class Met:
    """A failure that somebody met."""

    row: ReportRow
    failure: Failure
    cause: Cause


class Facts:
    """What the rules ask of a case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.demands = case.demands
        self.today = case.now.astimezone(UTC).date()
        self.since = _since(case)
        self.sts = [row for row in case.rows if row.type == "sts"]
        self.under_this_text = [row for row in self.sts if _is(row, case.policy)]

    @cached_property
    def counted(self) -> int:
        """How many days count: whole ones since the text is served, 48 hours ago or more, the last ones."""
        first, last = self._span
        return max(0, min((last - first).days + 1, self.demands.window))

    @cached_property
    def _span(self) -> tuple[date, date]:
        first = (self.since + timedelta(days=1) - timedelta(microseconds=1)).date()
        return first, (self.case.now.astimezone(UTC) - _COMES_WITHIN).date() - timedelta(days=1)

    @cached_property
    def good(self) -> list[ReportRow]:
        """The rows under this policy on the days that count."""
        last = self._span[1]
        return [row for row in self.under_this_text if last - timedelta(days=self.counted) < row.day <= last]

    @property
    def days(self) -> int:
        """How many days that count have a report under this policy."""
        return len({row.day for row in self.good})

    @property
    def sessions(self) -> int:
        """How many sessions passed on them."""
        return sum(row.ok for row in self.good)

    @cached_property
    def met(self) -> list[Met]:
        """The failures of the last days, today included, that tell of this text or of what it would meet."""
        return [
            Met(row, failure, cause)
            for row in self.sts
            if row.day > self.failures_from
            for failure, cause in failures_of(row)
            if failure.sessions and self._counts(row, failure, cause)
        ]

    def _counts(self, row: ReportRow, failure: Failure, cause: Cause) -> bool:
        seen = policy_in(row.text)
        if seen is None or same(seen, self.case.policy):
            return True  # a report without a text, or with one that cannot be read, may be about this one
        # Under an older text it is over, but for a certificate of an MX host that is still in use.
        return cause.code.startswith("certificate-") and failure.mx_host in (self.case.mx_hosts or ())

    def of_weight(self, weight: str) -> list[Met]:
        """The failures whose cause has this weight."""
        return [met for met in self.met if met.cause.weight == weight]

    def credible(self, met: Sequence[Met]) -> bool:
        """Whether failures are more than one stranger's word for one day: a person vouches, a check saw the same, two
        senders from different networks tell of it, or one on two days.
        """
        if any(each.row.via == "imported" or each.failure.mx_host in self.case.failing_hosts for each in met):
            return True
        days = Counter(reporter for reporter, _ in {(each.row.reporter, each.row.day) for each in met})
        return independent([each.row for each in met]) >= 2 or max(days.values(), default=0) >= 2

    @cached_property
    def not_found(self) -> list[ReportRow]:
        """The rows of senders that lately found no policy, although it had been there for days."""
        from_day = max((self.since + _NOT_FOUND_AFTER).date(), self.failures_from)
        return [row for row in self.case.rows if row.type == "no-policy-found" and row.day > from_day]

    @cached_property
    def failures_from(self) -> date:
        """The last day whose failures are over."""
        return self.today - timedelta(days=self.demands.failure_days)

    @property
    def testing_for(self) -> timedelta:
        """For how long the policy has been in testing."""
        since = in_testing_since(self.case.revisions)
        return timedelta(0) if since is None else self.case.now - since

    @cached_property
    def needed(self) -> int:
        """The days until there is enough at this pace."""
        if not self.days or not self.sessions:
            return self.demands.window
        by_days = (self.demands.days - self.days) * self.counted / self.days
        by_sessions = (self.demands.sessions - self.sessions) * self.counted / self.sessions
        return max(1, math.ceil(max(by_days, by_sessions)))

    @property
    def senders(self) -> int:
        """How many different senders wrote the reports that count."""
        return independent(self.good)

    @property
    def enforced_rows(self) -> list[ReportRow]:
        """The rows under an enforced text, the days that are not over included."""
        from_day = self.today - timedelta(days=self.demands.window)
        return [row for row in self.under_this_text if row.day > from_day]


def _is(row: ReportRow, policy: Policy) -> bool:
    seen = policy_in(row.text)
    return seen is not None and same(seen, policy)


def _since(case: Case) -> datetime:
    """Since when every worker serves this policy: that of the newest revisions that all ask the same."""
    since = case.now
    for revision in reversed(case.revisions):
        try:
            if not same(revision.policy, case.policy):
                break
        except PolicySyntaxError:
            continue
        since = served_everywhere(revision, case.fresh_seconds)
    return since.astimezone(UTC)


def independent(rows: Sequence[ReportRow]) -> int:
    """How many different senders wrote the rows: of those that anybody may have posted, no more than the networks that
    they came from.
    """
    vouched = {row.reporter for row in rows if row.via == "imported"}
    posted = [row for row in rows if row.reporter not in vouched]
    return len(vouched) + min(len({row.reporter for row in posted}), len({_network(row.client) for row in posted}))


def _network(client: str) -> str:
    """The network of an address: 24 bits of IPv4, 48 of IPv6."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return ""
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))
