"""What the checker can find besides lint's findings on the text: the rules as data, in `rules.toml`."""

from pathlib import Path

from policy_store.lint.findings import read_rules

HEADINGS, RULES = read_rules(Path(__file__).with_name("rules.toml"))
