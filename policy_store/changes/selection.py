"""The expressions of `--where`, such as `mode = testing` and `mx ~ *.mail.protection.outlook.com`."""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated

import typer

from policy_store.cli.command import CommandError
from policy_store.policy import MODES, Policy

FIELDS = ("domain", "mode", "mx", "max_age", "note")

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

WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="EXPR",
        help="Only domains with FIELD OP VALUE: domain, mode, mx, max_age or note; = != < <= > >= or ~ (contains, "
        "or a glob with *). All of several must hold.",
    ),
]


@dataclass(frozen=True, slots=True)
class Condition:
    """One expression: a field, an operator and a value."""

    field: str
    op: str
    value: str

    def holds(self, domain: str, policy: Policy | None, note: str) -> bool:
        """Whether it holds; what asks for the policy of a domain without one never does."""
        if self.field == "domain":
            return self._text(domain)
        if self.field == "note":
            return self._text(note)
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


def read_conditions(expressions: Sequence[str] | None) -> tuple[Condition, ...]:
    """The conditions that a person typed. Raises CommandError with what is allowed."""
    return tuple(map(_read, expressions or ()))


def hold(conditions: Sequence[Condition], domain: str, policy: Policy | None, note: str) -> bool:
    """Whether all conditions hold; they do where there is none."""
    return all(condition.holds(domain, policy, note) for condition in conditions)


def _read(expression: str) -> Condition:
    match = _EXPRESSION.fullmatch(expression)
    if not match:
        raise CommandError(
            f"--where {expression!r} is not FIELD OP VALUE: write one of {', '.join(FIELDS)}, one of "
            f"{' '.join(_OPERATORS)}, and a value, as in --where 'mode = testing'."
        )
    field, op, value = match[1].lower().replace("-", "_"), match[2], match[3].strip("'\"")
    if field not in FIELDS:
        raise CommandError(f"--where {expression!r}: there is no field {field}, only {', '.join(FIELDS)}.")
    if field == "max_age":
        if op == "~" or not _NUMBER.fullmatch(value):
            raise CommandError(f"--where {expression!r}: max_age is compared by {' '.join(_COMPARE)} with seconds.")
    elif op not in ("=", "!=", "~"):
        raise CommandError(f"--where {expression!r}: {field} is compared by = != or ~ only.")
    if field == "mode" and op != "~" and value.lower() not in MODES:
        raise CommandError(f"--where {expression!r}: a mode is one of {', '.join(MODES)}.")
    return Condition(field, op, value)
