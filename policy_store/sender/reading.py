"""How senders read a policy text: strictly by RFC 8461, and as Postfix does through postfix-mta-sts-resolver.

The two differ where mail is at stake: a text that the RFC refuses, and so protects nothing, may be one that Postfix
takes and then finds no MX host in.
"""

from dataclasses import dataclass
from typing import Protocol

from policy_store.policy import LARGEST_TEXT, LONGEST_MAX_AGE, MODES, Policy, PolicySyntaxError


class Reading(Protocol):
    """A policy as some sender understands it."""

    @property
    def mode(self) -> str:
        """One of enforce, testing and none."""

    def matches(self, mx_host: str, /) -> bool:
        """Whether the sender finds the MX host allowed."""


@dataclass(frozen=True, slots=True)
class PostfixReading:
    """What postfix-mta-sts-resolver 1.5 tells Postfix: the last of repeated fields counts, blank lines and lines that
    it does not know are passed over, and a pattern is whatever stands after `mx:`.
    """

    mode: str
    mx: tuple[str, ...]

    def matches(self, mx_host: str) -> bool:
        """Whether Postfix finds the host in `match=`: the name itself, or any name below a pattern that starts with a
        dot once its asterisks are gone. A trailing dot matches nothing, and `*` leaves an entry that stops all mail.
        """
        host = mx_host.lower().removesuffix(".")
        patterns = [mx.lstrip("*").lower() for mx in self.mx]
        if "" in patterns:
            return False
        return any(host.endswith(name) if name.startswith(".") else host == name for name in patterns)


def strict_reading(text: bytes) -> Policy | None:
    """The policy by RFC 8461 section 3.2; None where the text is none."""
    try:
        return Policy.parse(text)
    except PolicySyntaxError:
        return None


def postfix_reading(text: bytes) -> PostfixReading | None:
    """The policy as postfix-mta-sts-resolver reads the text of an answer in UTF-8; None where it refuses it."""
    if len(text) > LARGEST_TEXT:
        return None
    fields: dict[str, str] = {}
    patterns: list[str] = []
    try:
        lines = text.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        return None
    for line in lines:
        name, _, value = line.rstrip().partition(":")
        if name == "mx":
            patterns.append(value.lstrip())
        else:
            fields[name] = value.lstrip()
    try:
        max_age = int(fields.get("max_age", "-1"))
    except ValueError:
        return None
    mode = fields.get("mode")
    usable = fields.get("version") == "STSv1" and 0 <= max_age <= LONGEST_MAX_AGE and mode in MODES
    if mode is None or not usable or (mode != "none" and not patterns):
        return None
    return PostfixReading(mode, tuple(patterns))
