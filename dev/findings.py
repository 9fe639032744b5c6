"""Writes docs/findings.md, the page with all that lint can find, out of lint's own table: `python -m dev.findings`."""

from itertools import groupby
from pathlib import Path

from policy_store.lint import HEADINGS, RULES, SEVERITIES

PAGE = Path(__file__).parent.parent / "docs" / "findings.md"
_OPENING = """# What lint finds

`mta-sts lint` and every edit report findings, the worst first. An *error* is what the RFC forbids, or what keeps mail
from arriving: edits refuse it. A *warning* is what some senders or checkers refuse or misread. An *info* is advice.
The codes stay the same between versions.

The app serves every policy in one form that all known senders read, so what is said here of line ends, spacing, letter
case and unknown fields can only be found in texts from elsewhere.
"""


def page() -> str:
    """The text of the page."""
    parts = [_OPENING]
    for about, heading in HEADINGS.items():
        rules = sorted(
            (rule for rule in RULES.values() if rule.about == about), key=lambda rule: SEVERITIES.index(rule.severity)
        )
        parts.append(f"\n## {heading}\n")
        for severity, group in groupby(rules, key=lambda rule: rule.severity):
            parts.append(f"\n| {severity} | what it is | what to do | who says so |\n|---|---|---|---|\n")
            for rule in group:
                cells = (f"`{rule.code}`", *map(_cell, (rule.what, rule.remedy, rule.source)))
                parts.append(f"| {' | '.join(cells)} |\n")
    return "".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "\\<")


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
