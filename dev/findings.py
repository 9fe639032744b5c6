"""Writes docs/findings.md, the page with everything that lint and the checker can find, from their own tables:
`python -m dev.findings`.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path

from policy_store.lint import findings as lint
from policy_store.lint.findings import SEVERITIES, Rule
from policy_store.sender import rules as checker

PAGE = Path(__file__).parent.parent / "docs" / "findings.md"
_LINT = """# What lint finds

`mta-sts lint` and every edit report findings, the worst first. An *error* is what the RFC forbids, or what keeps mail
from arriving: edits refuse it. A *warning* is what some senders or checkers refuse or misinterpret. An *info* is
advice. The codes stay the same between versions.

The app serves every policy in one form that all known senders read. So findings about line ends, spaces, letter case
and unknown fields occur only in policies from elsewhere.
"""
_CHECK = """
# What check finds

`mta-sts check` reports the findings of lint on the policy that it fetched, and these on the way to it and to the MX
hosts. Here an *error* means that senders use no policy, or that mail is held back. A *warning* is a problem for some
senders, or something that could not be found out. An *info* is good to know.
"""


def page() -> str:
    """The text of the page."""
    parts = [_LINT, *_tables(lint.HEADINGS, lint.RULES.values())]
    return "".join([*parts, _CHECK, *_tables(checker.HEADINGS, checker.RULES.values())])


def _tables(headings: Mapping[str, str], rules: Iterable[Rule]) -> Iterator[str]:
    by_severity = sorted(rules, key=lambda rule: SEVERITIES.index(rule.severity))
    for about, heading in headings.items():
        yield f"\n## {heading}\n"
        for severity, group in groupby(
            (rule for rule in by_severity if rule.about == about), lambda rule: rule.severity
        ):
            yield f"\n| {severity} | what it is | what to do | who says so |\n|---|---|---|---|\n"
            for rule in group:
                cells = (f"`{rule.code}`", *map(_cell, (rule.what, rule.remedy, rule.source)))
                yield f"| {' | '.join(cells)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "\\<")


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
