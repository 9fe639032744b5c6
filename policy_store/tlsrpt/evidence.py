"""Evidence for enforce: one verdict for each domain out of its reports, by the rules in evidence.toml.

Anybody may post a report, so reports may refuse a promotion and never excuse one: fake successes gain nothing, fake
failures a delay.
"""

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from policy_store.tlsrpt.case import Case, Facts, Met, independent
from policy_store.tlsrpt.wording import words

type State = Literal["ready", "wait", "fix"]
type Code = Literal["reports_ready", "reports_fix", "reports_wait", "reports_missing"]


class Verdict(BaseModel):
    """What the reports say of a domain."""

    model_config = ConfigDict(frozen=True)

    verdict: State = Field(description="`ready`, `wait` or `fix`")
    code: Code = Field(description="what kind of verdict it is, the same in every version")
    rule: str = Field(description="the rule behind it, the same in every version")
    sentence: str = Field(description="why, and what to do")


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
    facts = Facts(case)
    for rule in RULES:
        if _HOLDS[rule.name](facts):
            sentence = rule.sentence.format_map(words(facts, rule.name))
            return Verdict(verdict=rule.verdict, code=rule.code, rule=rule.name, sentence=sentence)
    return None


_HOLDS: dict[str, Callable[[Facts], bool]] = {
    "failures": lambda facts: facts.credible(facts.of_weight("blocks")),
    "one_unverified_failure": lambda facts: bool(facts.of_weight("blocks")),
    "text_refused": lambda facts: bool(facts.of_weight("text")),
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


def _is_tested(facts: Facts) -> bool:
    return facts.case.policy.mode == "testing"


def _repeated(met: Sequence[Met]) -> bool:
    """Whether fetching failed for more than a moment of one sender's own network."""
    return len({each.row.day for each in met}) >= 3 or independent([each.row for each in met]) >= 2
