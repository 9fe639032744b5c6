"""docs/reports.md has every cause with its words, every rule with its verdict, and the numbers of the code."""

import re
from pathlib import Path

from dev.causes import tables
from policy_store import intake
from policy_store.tlsrpt import reading
from policy_store.tlsrpt.case import DEMANDS, LOOK_BACK
from policy_store.tlsrpt.evidence import RULES
from policy_store.tlsrpt.rows import MOST_ENTRIES, MOST_FAILURES
from policy_store.tlsrpt.values import LONGEST_TEXT

_PAGE = (Path(__file__).parents[1] / "docs" / "reports.md").read_text(encoding="utf-8")


def test_the_page_has_every_cause_with_its_words() -> None:
    assert tables() in _PAGE, "run 'python -m dev.causes'"


def test_the_page_has_every_rule_in_their_order() -> None:
    assert re.findall(r"^\| `(\w+)` \| (ready|wait|fix) \|", _PAGE, re.MULTILINE) == [
        (rule.name, rule.verdict) for rule in RULES
    ]


def test_the_numbers_are_those_of_the_code() -> None:
    assert (intake.LARGEST_BODY, reading.LARGEST_REPORT) == (1024**2, 4 * 1024**2)
    for words in (
        f"more than {intake.OLDEST.days} days ago",
        f"more than {intake.ROWS_OF_A_DOMAIN} new entries",
        f"or {intake.ROWS_IN_ALL:,} in all",
        f"within {intake.WAIT:.0f} seconds",
        f"{MOST_ENTRIES} entries are kept",
        f"the {MOST_FAILURES} worst failures",
        f"{LONGEST_TEXT} characters",
        f"{DEMANDS.days} of the last {DEMANDS.window} days, {DEMANDS.sessions} sessions that passed",
        f"within {DEMANDS.failure_days} days",
        f"{DEMANDS.silent_days} days of testing",
        f"looks back {LOOK_BACK}",
    ):
        assert words in _PAGE, words
