"""Evidence for enforce: one verdict for each domain out of its reports, by the rules in evidence.toml.

Pure: rows, revisions and the clock come from the caller. Anybody may post a report, so reports may refuse a promotion
and never excuse one: fake successes gain nothing, fake failures a delay.
"""

import ipaddress
import math
import tomllib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from policy_store.life import in_testing_since, served_everywhere
from policy_store.policy import Policy, PolicySyntaxError
from policy_store.tables.history import Revision
from policy_store.tables.reports import Failure, ReportRow
from policy_store.tlsrpt.causes import Cause
from policy_store.tlsrpt.summary import failures_of
from policy_store.tlsrpt.texts import policy_in, same

type State = Literal["ready", "wait", "fix"]
type Code = Literal["reports_ready", "reports_fix", "reports_wait", "reports_missing"]

LOOK_BACK = 30  # days of reports that a verdict needs
_COMES_WITHIN = timedelta(hours=48)  # reports come up to 22 hours after the end of their day
_NOT_FOUND_AFTER = timedelta(days=2)
_SHOWN = 2


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


class Verdict(BaseModel):
    """What the reports say of a domain."""

    model_config = ConfigDict(frozen=True)

    verdict: State = Field(description="`ready`, `wait` or `fix`")
    code: Code = Field(description="what kind of verdict it is, the same in every version")
    rule: str = Field(description="the rule behind it, the same in every version")
    sentence: str = Field(description="why, and what to do")


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
class Rule:
    """One row of evidence.toml."""

    name: str
    verdict: State
    code: Code
    sentence: str


RULES = tuple(
    Rule(**rule)
    for rule in tomllib.loads(Path(__file__).with_name("evidence.toml").read_text(encoding="utf-8"))["rules"]
)


def verdict(case: Case) -> Verdict | None:
    """The verdict of the first rule that holds; None for a policy of mode none, and for an enforced one that nobody
    reports about.
    """
    if case.policy.mode == "none":
        return None
    facts = _Facts(case)
    for rule in RULES:
        if _HOLDS[rule.name](facts):
            sentence = rule.sentence.format_map(facts.words(rule.name))
            return Verdict(verdict=rule.verdict, code=rule.code, rule=rule.name, sentence=sentence)
    return None


@dataclass(frozen=True, slots=True)
class _Met:
    """A failure that somebody met."""

    row: ReportRow
    failure: Failure
    cause: Cause


class _Facts:
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
        return len({row.day for row in self.good})

    @property
    def sessions(self) -> int:
        return sum(row.ok for row in self.good)

    @cached_property
    def met(self) -> list[_Met]:
        """The failures of the last days, today included, that tell of this text or of what it would meet."""
        return [
            _Met(row, failure, cause)
            for row in self.sts
            if row.day > self._failures_from
            for failure, cause in failures_of(row)
            if failure.sessions and self._counts(row, failure, cause)
        ]

    def _counts(self, row: ReportRow, failure: Failure, cause: Cause) -> bool:
        if _is(row, self.case.policy) or not row.text:
            return True
        if cause.weight == "text" and policy_in(row.text) is None:
            return True  # the sender shows the text that it refuses
        # Under an older text it is over, but for a certificate of an MX host that is still in use.
        return cause.code.startswith("certificate-") and failure.mx_host in (self.case.mx_hosts or ())

    def of_weight(self, weight: str) -> list[_Met]:
        return [met for met in self.met if met.cause.weight == weight]

    def credible(self, met: Sequence[_Met]) -> bool:
        """Whether failures are more than one stranger's word for one day: a person vouches, a check saw the same, two
        senders from different networks tell of it, or one on two days.
        """
        if any(each.row.via == "imported" or each.failure.mx_host in self.case.failing_hosts for each in met):
            return True
        days = Counter(reporter for reporter, _ in {(each.row.reporter, each.row.day) for each in met})
        return _independent([each.row for each in met]) >= 2 or max(days.values(), default=0) >= 2

    @cached_property
    def not_found(self) -> list[ReportRow]:
        """The rows of senders that lately found no policy, although it had been there for days."""
        from_day = max((self.since + _NOT_FOUND_AFTER).date(), self._failures_from)
        return [row for row in self.case.rows if row.type == "no-policy-found" and row.day > from_day]

    @cached_property
    def _failures_from(self) -> date:
        return self.today - timedelta(days=self.demands.failure_days)

    @property
    def testing_for(self) -> timedelta:
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
        return _independent(self.good)

    def words(self, rule: str) -> dict[str, Any]:
        """What the sentences name."""
        weight = {"text_refused": "text", "fetch_errors": "fetch"}.get(rule, "blocks")
        met = self.of_weight(weight)
        rows = {"no_policy_seen": self.not_found, "enforced": self.enforced_rows}.get(rule, self.good)
        passed = sum(row.ok for row in rows)
        last_failure = max((each.row.day for each in met), default=self.today)
        silent_since = in_testing_since(self.case.revisions) or self.case.now
        return {
            "failures": self._told(met),
            "clear_on": last_failure + timedelta(days=self.demands.failure_days),
            "who": _names(rows),
            "by_sender": _by_sender(rows if rows else self.sts),
            "sessions": passed,
            "none_failed": self._none_failed(rows, passed),
            "senders": self.senders,
            "wanted_senders": self.demands.reporters,
            "days": self.days,
            "counted": self.counted,
            "window": self.demands.window,
            "wanted_days": self.demands.days,
            "wanted_sessions": self.demands.sessions,
            "ready_on": self.today + timedelta(days=self.needed),
            "silent_days": self.demands.silent_days,
            "silent_on": (silent_since + timedelta(days=self.demands.silent_days)).astimezone(UTC).date(),
        }

    @property
    def enforced_rows(self) -> list[ReportRow]:
        """The rows under an enforced text, the days that are not over included."""
        from_day = self.today - timedelta(days=self.demands.window)
        return [row for row in self.under_this_text if row.day > from_day]

    def _none_failed(self, rows: Sequence[ReportRow], passed: int) -> str:
        """That none failed, and what that proves: the rule of three, at 95 %."""
        if any(row.failed for row in rows):
            return f"none failed in the last {self.demands.failure_days} days"
        proof = f"fewer than {300 / passed:.2g} % fail, 95 % sure" if passed > 3 else "too few to tell a rate"
        return f"none failed ({proof})"

    def _told(self, met: Sequence[_Met]) -> str:
        """The failures as sentences: by sender, cause and MX host, the most frequent first, and each remedy once."""
        groups: dict[tuple[str, str, str], list[_Met]] = {}
        for each in met:
            groups.setdefault((each.row.reporter, each.cause.code, each.failure.mx_host), []).append(each)
        ordered = sorted(groups.values(), key=lambda group: -sum(each.failure.sessions for each in group))
        sentences = [self._sentence(group) for group in ordered[:_SHOWN]]
        if len(ordered) > _SHOWN:
            sentences.append(f"And {len(ordered) - _SHOWN} more: 'mta-sts reports show' has them.")
        remedies = dict.fromkeys(group[0].cause.remedy for group in ordered[:_SHOWN])
        return " ".join([*sentences, *remedies])

    def _sentence(self, group: Sequence[_Met]) -> str:
        first = group[0]
        days = {each.row.day for each in group}
        failed = sum(each.failure.sessions for each in group)
        theirs = [row for row in self.sts if row.reporter == first.row.reporter and row.day > self._failures_from]
        total = max(failed, sum(row.ok + row.failed for row in theirs))
        where = f" at {first.failure.mx_host}" if first.failure.mx_host else ""
        when = f"on {max(days)}" if len(days) == 1 else f"on {len(days)} days, last on {max(days)}"
        return (
            f"{first.row.organization or first.row.reporter} reports failures{where} {when}: {first.cause.what} "
            f"({first.cause.code}), {failed} of {total} sessions."
        )


_HOLDS: dict[str, Callable[[_Facts], bool]] = {
    "failures": lambda facts: facts.credible(facts.of_weight("blocks")),
    "one_unverified_failure": lambda facts: bool(facts.of_weight("blocks")),
    "text_refused": lambda facts: facts.credible(facts.of_weight("text")),
    "fetch_errors": lambda facts: _repeated(facts.of_weight("fetch")),
    "no_policy_seen": lambda facts: (
        bool(facts.not_found) and not any(row.day >= min(each.day for each in facts.not_found) for row in facts.sts)
    ),
    "enforced": lambda facts: facts.case.policy.mode == "enforce" and bool(facts.enforced_rows),
    "enough": lambda facts: (
        _is_tested(facts)
        and facts.days >= facts.demands.days
        and facts.sessions >= facts.demands.sessions
        and facts.senders >= facts.demands.reporters
    ),
    "few_senders": lambda facts: (
        _is_tested(facts)
        and bool(facts.days)
        and facts.days >= facts.demands.days
        and facts.senders < facts.demands.reporters
    ),
    "too_slow": lambda facts: _is_tested(facts) and bool(facts.days) and facts.counted >= facts.demands.window,
    "some": lambda facts: _is_tested(facts) and bool(facts.days),
    "first": lambda facts: _is_tested(facts) and bool(facts.sts),
    "no_record": lambda facts: _is_tested(facts) and facts.case.names_us is False,
    "without_reports": lambda facts: (
        _is_tested(facts)
        and facts.case.without_reports
        and facts.case.names_us is True
        and facts.testing_for >= timedelta(days=facts.demands.silent_days)
    ),
    "silence": lambda facts: _is_tested(facts) and facts.testing_for >= timedelta(days=facts.demands.silent_days),
    "nothing_yet": lambda facts: facts.case.policy.mode == "testing",
}


def _is_tested(facts: _Facts) -> bool:
    return facts.case.policy.mode == "testing"


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


def _independent(rows: Sequence[ReportRow]) -> int:
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


def _repeated(met: Sequence[_Met]) -> bool:
    """Whether fetching failed for more than a moment of one sender's own network."""
    return len({each.row.day for each in met}) >= 3 or _independent([each.row for each in met]) >= 2


def _names(rows: Sequence[ReportRow]) -> str:
    """The senders' names, those with the most sessions first."""
    counts: Counter[str] = Counter()
    names: dict[str, str] = {}
    for row in rows:
        counts[row.reporter] += row.ok + row.failed
        names.setdefault(row.reporter, row.organization or row.reporter)
    listed = [names[reporter] for reporter, _ in counts.most_common(3)]
    if len(counts) > 3:
        listed.append(f"{len(counts) - 3} more")
    return " and ".join(filter(None, (", ".join(listed[:-1]), listed[-1] if listed else "")))


def _by_sender(rows: Sequence[ReportRow]) -> str:
    """The senders' names with the days of each."""
    days = Counter(reporter for reporter, _ in {(row.reporter, row.day) for row in rows})
    names = {row.reporter: row.organization or row.reporter for row in rows}
    return ", ".join(f"{names[reporter]} {count}" for reporter, count in days.most_common(4))
