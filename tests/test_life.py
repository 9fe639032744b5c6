"""When changes are safe: cases of revisions and a clock, with the dates and the refusals that the rules give."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_store.life import (
    cached_until,
    in_testing_since,
    mx_usable_from,
    new_patterns,
    removal_date,
    retired,
    served_everywhere,
)
from policy_store.policy import Policy
from policy_store.tables.history import Revision, key_of
from tests.conftest import load_cases
from tests.revisions import FRESH_SECONDS, read_revision, read_time
from tests.strategies import policies as any_policy


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
