"""The domains that a command or a page works on: named, all, or those that match conditions.

A condition is FIELD OP VALUE: one of the fields, `=`, `!=`, `<`, `<=`, `>`, `>=` or `~` (contains, or a glob with *),
and a value. Like names, values may have Unicode, a final dot and capital letters.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from policy_store.names import InvalidName, read_name
from policy_store.policy import MODES
from policy_store.tables.entry import Entry
from policy_store.tables.store import Store

FIELDS = ("domain", "customer", "mode", "mx", "max_age", "note")

_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_OPERATORS = (*_COMPARE, "~")
_EXPRESSION = re.compile(r"\s*([a-z_-]+)\s*(!=|<=|>=|=|<|>|~)\s*(.*?)\s*", re.IGNORECASE | re.DOTALL)
_NUMBER = re.compile(r"[0-9]{1,10}")


class InvalidCondition(ValueError):
    """An expression is not a condition; the message says what is allowed."""


class NoMatch(Exception):
    """No domain matches the conditions; the message names them."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One expression: a field, an operator and a value."""

    field: str
    op: str
    value: str

    def holds(self, entry: Entry) -> bool:
        """Whether the entry matches. A condition on the policy never matches a domain without one."""
        match self.field:
            case "domain":
                return self._text(entry.domain)
            case "note":
                return self._text(entry.note)
            case "customer":
                return self._text(entry.customer)
        policy = entry.in_force
        if policy is None:
            return False
        if self.field == "max_age":
            return _COMPARE[self.op](policy.max_age, int(self.value))
        if self.field == "mode":
            return self._text(policy.mode)
        if self.op == "!=":  # no pattern is that one
            return all(map(self._text, policy.mx))
        return any(map(self._text, policy.mx))

    def _text(self, text: str) -> bool:
        text, value = text.lower(), self.value.lower()
        if self.op == "~":
            return fnmatchcase(text, value) if set(value) & set("*?[") else value in text
        return (text == value) == (self.op == "=")


@dataclass(frozen=True, slots=True)
class Selection:
    """The named domains, or all that match every condition."""

    domains: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()

    @property
    def named(self) -> bool:
        """Whether the domains were named one by one."""
        return bool(self.domains)

    def entries(self, store: Store) -> Iterator[Entry]:
        """The entries of the named domains, or of all in key order. Raises NoMatch."""
        return self.chosen(map(store.entry, self.domains) if self.named else store.entries())

    def chosen(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The entries that match. Raises NoMatch at the end if there are conditions and no entry matches."""
        found = False
        for entry in entries:
            if self.holds(entry):
                found = True
                yield entry
        if not found and self.conditions:
            words = " and ".join(f"{one.field} {one.op} {one.value}" for one in self.conditions)
            raise NoMatch(f"No domain matches {words}: 'mta-sts list' shows what there is")

    def holds(self, entry: Entry) -> bool:
        """Whether the entry matches all conditions; without conditions it does."""
        return all(condition.holds(entry) for condition in self.conditions)


def read_conditions(expressions: Iterable[str]) -> tuple[Condition, ...]:
    """The conditions that a person typed. Raises InvalidCondition with what is allowed."""
    return tuple(map(_read, expressions))


def _read(expression: str) -> Condition:
    match = _EXPRESSION.fullmatch(expression)
    if not match:
        raise InvalidCondition(
            f"--where {expression!r} is not FIELD OP VALUE: write one of {', '.join(FIELDS)}, one of "
            f"{' '.join(_OPERATORS)}, and a value, as in --where 'mode = testing'"
        )
    field, op, value = match[1].lower().replace("-", "_"), match[2], match[3].strip("'\"").strip()
    if field not in FIELDS:
        raise InvalidCondition(f"--where {expression!r}: there is no field {field}, only {', '.join(FIELDS)}")
    if field == "max_age":
        if op == "~" or not _NUMBER.fullmatch(value):
            raise InvalidCondition(f"--where {expression!r}: max_age is compared by {' '.join(_COMPARE)} with seconds")
    elif op not in ("=", "!=", "~"):
        raise InvalidCondition(f"--where {expression!r}: {field} is compared by = != or ~ only")
    if field == "mode" and op != "~" and value.lower() not in MODES:
        raise InvalidCondition(f"--where {expression!r}: a mode is one of {', '.join(MODES)}")
    return Condition(field, op, _as_name(value) if field in ("domain", "mx") else value)


def _as_name(value: str) -> str:
    """The value as names are stored, if it is a name; part of a name stays unchanged."""
    star = "*." if value.startswith("*.") else ""
    name = value.removeprefix(star)
    if set(name) & set("*?["):
        return value
    try:
        return star + read_name(name)
    except InvalidName:
        return value
