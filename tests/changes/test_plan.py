"""What waits for a date or a person, for cases of what the tables hold."""

from datetime import UTC, datetime
from typing import Any

import pytest

from policy_store.changes.plan import plan
from policy_store.tables.entry import Entry
from policy_store.tables.row import ColumnProblem, InvalidRow, Row
from tests.conftest import load_cases
from tests.revisions import FRESH_SECONDS, read_policy, read_revision

_THEN = datetime(2026, 1, 1, tzinfo=UTC)


def entry(case: dict[str, Any], domain: str = "contoso.com") -> Entry:
    """The entry that a case describes."""
    row: Row | InvalidRow | None = None
    if case["row"] == "invalid":
        row = _invalid(domain, "policy", "mode")
    elif case["row"]:
        row = Row(domain, read_policy(case["row"]), "", "etag", _THEN)
    unreachable = (_invalid(domain, "Policy", "RowKey"),) if case.get("unreachable") else ()
    return Entry(domain, row, unreachable, tuple(map(read_revision, case["revisions"])))


def _invalid(domain: str, row_key: str, column: str) -> InvalidRow:
    return InvalidRow(domain, row_key, "etag", _THEN, (ColumnProblem(column, "'so'", "it must be otherwise", "x"),))


@pytest.mark.parametrize("case", load_cases("plans.json"))
def test_plan_of_one_domain(case: dict[str, Any]) -> None:
    now = datetime.fromisoformat(case["now"])
    tasks = plan([entry(case)], now=now, fresh_seconds=FRESH_SECONDS)
    assert [f"{task.due:%Y-%m-%dT%H:%M:%SZ} {task.waits_for} {task.code}" for task in tasks] == case["tasks"]


def test_the_soonest_comes_first_and_of_what_is_due_now_that_which_is_broken() -> None:
    """However late a promotion is, a broken row stands above it."""
    overdue = {"row": "testing 604800 mx1.example", "revisions": ["2026-01-01T00:00:00Z testing 604800 mx1.example"]}
    soon = {"row": "testing 604800 mx1.example", "revisions": ["2026-05-30T00:00:00Z testing 604800 mx1.example"]}
    later = {"row": "testing 604800 mx1.example", "revisions": ["2026-05-31T00:00:00Z testing 604800 mx1.example"]}
    broken = {"row": "invalid", "revisions": []}
    entries = [
        entry(later, "a.example"),
        entry(overdue, "b.example"),
        entry(soon, "c.example"),
        entry(broken, "d.example"),
    ]
    now = datetime(2026, 6, 1, 12, 0, 0, 999, tzinfo=UTC)
    tasks = plan(entries, now=now, fresh_seconds=FRESH_SECONDS)
    assert [task.domain for task in tasks] == ["d.example", "b.example", "c.example", "a.example"]
    assert [task.due for task in tasks] == sorted(task.due for task in tasks)
    assert tasks[0].model_dump(mode="json")["due"] == "2026-06-01T12:00:00Z"
