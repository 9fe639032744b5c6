"""When changes are safe: cases of revisions and a clock, with the dates and the refusals that the rules give."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_store.life import (
    cached_until,
    drop_refusals,
    in_testing_since,
    mx_usable_from,
    new_patterns,
    promotion_refusals,
    removal_date,
    retired,
    served_everywhere,
)
from policy_store.lint.findings import Finding
from policy_store.policy import Policy
from policy_store.tables.history import Revision, key_of
from tests.conftest import load_cases
from tests.strategies import policies as any_policy

FRESH_SECONDS = 60


def read_policy(text: str) -> Policy:
    """The policy of `mode max_age pattern…`."""
    mode, max_age, *mx = text.split()
    return Policy.model_validate({"mode": mode, "max_age": int(max_age), "mx": mx})


def read_revision(text: str) -> Revision:
    """The revision of `time mode max_age pattern…`; of the mode `broken`, one whose text is no policy."""
    time, _, policy = text.partition(" ")
    key = key_of(datetime.fromisoformat(time))
    return Revision("contoso.com", key, key, "no policy" if "broken" in policy else read_policy(policy).text)


def read_time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


@pytest.mark.parametrize("case", load_cases("lifecycle.json"))
def test_dates(case: dict[str, Any]) -> None:
    """Each date follows from the revisions alone."""
    revisions = [read_revision(text) for text in case["revisions"]]
    assert in_testing_since(revisions) == read_time(case["testing_since"])
    assert cached_until(revisions, FRESH_SECONDS) == read_time(case["cached_until"])
    assert removal_date(revisions, FRESH_SECONDS) == read_time(case["removal_date"])
    expected = {pattern: read_time(time) for pattern, time in case["new_patterns"].items()}
    assert new_patterns(revisions, FRESH_SECONDS) == expected
    if "mx_usable_from" in case:
        assert mx_usable_from(revisions, FRESH_SECONDS) == read_time(case["mx_usable_from"])


@pytest.mark.parametrize("case", load_cases("promotions.json"))
def test_promotion_is_refused_with_every_reason(case: dict[str, Any]) -> None:
    revisions = [read_revision(text) for text in case["revisions"]]
    refusals = promotion_refusals(
        read_policy(case["row"]) if "row" in case else revisions[-1].policy,
        revisions,
        now=datetime.fromisoformat(case["now"]),
        mx_hosts=case["mx_hosts"],
        id_is_current=case.get("id_is_current", True),
        findings=[
            Finding(code="a_code", severity=severity, message="it is so", remedy="mend it")
            for severity in case.get("severities", [])
        ],
        would_defer=case.get("would_defer", False),
        after=timedelta(days=case.get("after_days", 14)),
    )
    assert [refusal.code for refusal in refusals] == case["refusals"]


def test_promotion_too_soon_says_from_when() -> None:
    revisions = [read_revision("2026-01-01T00:00:00Z testing 604800 mx1.example")]
    (refusal,) = promotion_refusals(
        revisions[-1].policy,
        revisions,
        now=datetime(2026, 1, 2, tzinfo=UTC),
        mx_hosts=["mx1.example"],
        id_is_current=True,
        findings=[],
    )
    assert "2026-01-15 00:00 UTC" in refusal.message


@pytest.mark.parametrize("case", load_cases("drops.json"))
def test_dropping_a_pattern_is_refused_with_every_reason(case: dict[str, Any]) -> None:
    revisions = [read_revision(text) for text in case["revisions"]]
    refusals = drop_refusals(
        revisions[-1].policy,
        read_policy(case["after"]),
        revisions,
        now=datetime.fromisoformat(case["now"]),
        fresh_seconds=FRESH_SECONDS,
        mx_hosts=case["mx_hosts"],
    )
    assert [refusal.code for refusal in refusals] == case["refusals"]


@given(any_policy())
def test_a_retired_policy_keeps_its_patterns_for_a_day(policy: Policy) -> None:
    """RFC 8461 section 8.3: mode none and a day, whatever it was."""
    assert retired(policy) == Policy(mode="none", mx=policy.mx, max_age=86400)


@given(st.lists(st.tuples(any_policy(), st.integers(1, 10**8)), min_size=1, max_size=6))
def test_no_older_text_is_held_after_the_date(steps: list[tuple[Policy, int]]) -> None:
    """The law behind every date: all older texts have expired by then, and the last of them not much earlier."""
    time = datetime(2026, 1, 1, tzinfo=UTC)
    revisions = []
    for policy, seconds in steps:
        revisions.append(Revision("contoso.com", key_of(time), key_of(time), policy.text))
        time += timedelta(seconds=seconds)
    until = cached_until(revisions, FRESH_SECONDS)
    ends = [
        served_everywhere(successor, FRESH_SECONDS) + timedelta(seconds=old.policy.max_age)
        for old, successor in pairwise(revisions)
    ]
    assert (until is None) == (not ends)
    assert until is None or max(ends) <= until <= max(ends) + timedelta(days=7)
    removal = removal_date([*revisions], FRESH_SECONDS)
    assert (removal is None) == (steps[-1][0].mode != "none")
    assert removal is None or until is None or removal >= until
