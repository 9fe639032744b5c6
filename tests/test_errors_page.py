"""docs/errors.md has a line for every error and warning that the app can log."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dev import package
from policy_store.audit import AuditProblem
from policy_store.policy import Policy
from policy_store.tables.entry import Entry
from policy_store.tables.history import Revision, key_of
from policy_store.tables.row import ColumnProblem, InvalidRow

_ROOT = Path(__file__).parents[1]
_PAGE = (_ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
# What the app is made of: the command and the checker log nothing.
_SOURCES = [_ROOT / path for path in package.shipping(_ROOT) if path.endswith(".py")]
_LEVELS = {"warning", "error", "exception", "critical"}


def _logged(tree: ast.AST) -> Iterator[str]:
    """The format of each line at these levels."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=level), args=[ast.Constant(value=str(text)), *_]) if level in _LEVELS:
                yield text
            case ast.Call(func=ast.Attribute(attr=level), args=[_, *_]) if level in _LEVELS:
                raise AssertionError(f"line {node.lineno}: the text of a log line is to be a constant")


def _constant_parts(format_: str) -> list[str]:
    return [part for part in re.split(r"%\w", format_) if re.search(r"[a-z]{2}", part)]


def test_every_error_and_warning_of_the_app_is_on_the_page() -> None:
    lines = {line for path in _SOURCES for line in _logged(ast.parse(path.read_text(encoding="utf-8")))}
    assert len(lines) > 8
    rows = [row for row in _PAGE.splitlines() if row.startswith("| `")]
    for line in lines:
        parts = _constant_parts(line)
        assert parts or line == "%s: %s", line
        assert any(all(part in row for part in parts) for row in rows), line


_THEN = datetime(2026, 1, 1, tzinfo=UTC)
_INVALID = InvalidRow(
    "a.example", "policy", "etag", _THEN, (ColumnProblem("mode", "'on'", "it must be so", "mode_value"),)
)
_UNREACHABLE = InvalidRow(
    "a.example", "Policy", "etag", _THEN, (ColumnProblem("RowKey", "'Policy'", "it must be 'policy'", "row_key"),)
)
_REVISION = Revision("a.example", key_of(_THEN), "1", Policy(mode="enforce", mx=("mx.a.example",), max_age=86400).text)


@pytest.mark.parametrize(
    "entry",
    [
        Entry("a.example", _INVALID),
        Entry("a.example", _INVALID, (), (_REVISION,)),
        Entry("a.example", None, (_UNREACHABLE,)),
        Entry("a.example", None, (), (_REVISION,)),
    ],
    ids=["never valid", "invalid", "unreachable", "vanished"],
)
def test_every_problem_that_the_audit_logs_is_on_the_page(entry: Entry) -> None:
    (problem,) = entry.problems()
    assert f"| `DOMAIN: {problem.message.partition(': ')[0]}: " in _PAGE


def test_every_problem_that_the_audit_counts_is_on_the_page() -> None:
    codes = AuditProblem.model_json_schema()["properties"]["code"]["enum"]
    assert {code for code in codes if f"{code}=" in _PAGE} == set(codes)
