"""docs/errors.md has a line for every error and warning that the app can log."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from dev import package
from policy_store.audit import AuditProblem

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


def _problems(tree: ast.AST) -> Iterator[str]:
    """The messages of the audit, whose log line is nothing but a domain and one of these."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="_row_problem"), args=[_, ast.Constant(value=str(text)), _]):
                yield text
            case ast.Assign(
                targets=[ast.Name(id="message")], value=ast.JoinedStr(values=[ast.Constant(value=text), *_])
            ):
                yield str(text)
            case ast.keyword(arg="message", value=ast.Constant(value=str(text))):
                yield text


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


def test_every_problem_that_the_audit_logs_is_on_the_page() -> None:
    tree = ast.parse((_ROOT / "policy_store" / "audit.py").read_text(encoding="utf-8"))
    found = set(_problems(tree))
    codes = AuditProblem.model_json_schema()["properties"]["code"]["enum"]
    assert len(found) == len(codes)
    for text in found:
        assert f"| `DOMAIN: {text}" in _PAGE, text
    assert {code for code in codes if f"{code}=" in _PAGE} == set(codes)
