"""Every reason against a change: cases of revisions, a clock and a world."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from policy_store.changes import operations
from policy_store.changes.change import Change, Planned, Refused, Unchanged
from policy_store.changes.guard import drop_reasons
from policy_store.settings import Settings
from policy_store.tables.entry import Entry
from policy_store.tables.store import Store
from tests.changes.world import World, desk_at, valid_row
from tests.conftest import load_cases
from tests.revisions import FRESH_SECONDS, read_policy, read_revision

_STORE = Store.open(Settings.read({"POLICY_STORE": "UseDevelopmentStorage=true"}))  # nothing here asks it


def _promote(case: dict[str, Any]) -> Planned:
    revisions = tuple(read_revision(text) for text in case["revisions"])
    policy = read_policy(case["row"]) if "row" in case else revisions[-1].policy
    served = case.get("served", "")
    world = World(
        case["mx_hosts"],
        revisions[-1].id if revisions and case.get("id_is_current", True) else "another",
        (read_policy(served).text if served else policy.text) if served is not None else None,
        "no_starttls" if case.get("would_defer") else case.get("smtp", "tls"),
    )
    desk = desk_at(datetime.fromisoformat(case["now"]), world, _STORE)
    entry = Entry("contoso.com", valid_row("contoso.com", policy), (), revisions)
    return operations.promote(desk, entry, reports=None, after=timedelta(days=case.get("after_days", 14)))


@pytest.mark.parametrize("case", load_cases("promotions.json"))
def test_promotion_is_refused_with_every_reason(case: dict[str, Any]) -> None:
    planned = _promote(case)
    codes = [reason.code for reason in planned.reasons] if isinstance(planned, Refused) else []
    assert codes == case["refusals"]
    if not codes:
        assert isinstance(planned, Change)
        assert planned.after is not None
        assert planned.after.mode == "enforce"


def test_promotion_too_soon_says_from_when() -> None:
    revisions = ["2026-01-01T00:00:00Z testing 604800 mx1.example"]
    planned = _promote({"revisions": revisions, "now": "2026-01-02T00:00:00Z", "mx_hosts": ["mx1.example"]})
    assert isinstance(planned, Refused)
    assert "2026-01-15 00:00 UTC" in str(planned.reasons[0])


@pytest.mark.parametrize(
    ("smtp", "remedy"),
    [("timeout", "give it more time with --smtp-seconds"), ("busy", "try again later"), ("unreachable", "port 25")],
)
def test_promotion_says_which_mail_hosts_were_not_checked(smtp: str, remedy: str) -> None:
    revisions = ["2026-01-01T00:00:00Z testing 604800 *.example"]
    planned = _promote(
        {"revisions": revisions, "now": "2026-03-01T00:00:00Z", "mx_hosts": ["mx1.example"], "smtp": smtp}
    )
    assert isinstance(planned, Change)
    [reason] = planned.reasons
    assert reason.code == "not_checked"
    assert str(reason).startswith("contoso.com: mx1.example was not checked: ")
    assert remedy in str(reason)


@pytest.mark.parametrize("smtp", ["no_starttls", "starttls_refused", "no_ehlo", "refused", "no_smtp", "tls_failed"])
def test_whatever_every_sender_meets_refuses_a_promotion(smtp: str) -> None:
    revisions = ["2026-01-01T00:00:00Z testing 604800 *.example"]
    planned = _promote(
        {"revisions": revisions, "now": "2026-03-01T00:00:00Z", "mx_hosts": ["mx1.example"], "smtp": smtp}
    )
    assert isinstance(planned, Refused)
    assert [reason.code for reason in planned.reasons] == ["would_defer"]


def test_one_that_is_enforced_already_is_as_it_should_be_and_nobody_is_asked() -> None:
    revision = read_revision("2026-01-01T00:00:00Z enforce 604800 mx1.example")
    world = World(None)
    desk = desk_at(datetime(2026, 3, 1, tzinfo=UTC), world, _STORE)
    entry = Entry("contoso.com", valid_row("contoso.com", revision.policy), (), (revision,))
    planned = operations.promote(desk, entry, reports=None)
    assert isinstance(planned, Unchanged)
    assert planned.id == revision.id
    assert world.asked == []


@pytest.mark.parametrize("mode", ["none", "testing"])
def test_the_world_is_asked_once_and_only_where_it_counts(mode: str) -> None:
    revision = read_revision(f"2026-01-01T00:00:00Z {mode} 604800 mx1.example")
    world = World(("mx1.example",), revision.id, revision.text)
    desk = desk_at(datetime(2026, 3, 1, tzinfo=UTC), world, _STORE)
    operations.promote(
        desk, Entry("contoso.com", valid_row("contoso.com", revision.policy), (), (revision,)), reports=None
    )
    assert world.asked == (["facts"] if mode == "testing" else [])


@pytest.mark.parametrize("case", load_cases("drops.json"))
def test_dropping_a_pattern_is_refused_with_every_reason(case: dict[str, Any]) -> None:
    revisions = tuple(read_revision(text) for text in case["revisions"])
    reasons = drop_reasons(
        Entry("contoso.com", valid_row("contoso.com", revisions[-1].policy), (), revisions),
        read_policy(case["after"]),
        now=datetime.fromisoformat(case["now"]),
        fresh_seconds=FRESH_SECONDS,
        mx_hosts=case["mx_hosts"],
    )
    assert [reason.code for reason in reasons] == case["refusals"]
