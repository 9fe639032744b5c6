"""The checker's own table of findings is neither short nor long, and the page says the same."""

import pytest

from dev.findings import PAGE, page
from policy_store.lint import findings as lint
from policy_store.lint.findings import SEVERITIES, Rule
from policy_store.sender.rules import HEADINGS, RULES
from tests.cli.test_check import STORE_CODES
from tests.lab.situation import load


def test_every_code_occurs_in_a_situation_or_beside_a_store_and_no_other_does() -> None:
    found = {code for situation in load() for code in situation.findings} | STORE_CODES
    assert RULES.keys() <= found
    assert found <= RULES.keys() | lint.RULES.keys()


def test_no_code_is_lints_too() -> None:
    assert RULES.keys() & lint.RULES.keys() == set()


def test_the_page_has_every_rule_under_its_code() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run 'python -m dev.findings'"
    assert all(f"| `{code}` |" in page() for code in RULES)


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: str(rule.code))
def test_every_rule_is_whole(rule: Rule) -> None:
    assert rule.severity in SEVERITIES
    assert rule.about in HEADINGS
    assert rule.what.endswith(".")
    assert rule.remedy.endswith(".")
    assert rule.source
