"""What the checker can find besides lint's findings on the text: the rules as data, in `rules.toml`."""

from pathlib import Path

from policy_store.lint.findings import Finding, read_rules

HEADINGS, RULES = read_rules(Path(__file__).with_name("rules.toml"))


def finding(code: str, domain: str, message: str) -> Finding:
    """A finding of the checker's own table."""
    rule = RULES[code]
    return Finding(code=code, severity=rule.severity, domain=domain, message=message, remedy=rule.remedy)
