"""docs/command.md says of every command what the command says of itself, and of its JSON what the models say."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeAliasType, get_args, get_origin

import pytest
import typer
from pydantic import BaseModel
from typer.core import TyperCommand, TyperGroup

from policy_store.audit import AuditProblem
from policy_store.changes.plan import Task
from policy_store.cli import app
from policy_store.cli.audit import AuditResult
from policy_store.cli.bind import Binding
from policy_store.cli.dns import DnsItem
from policy_store.cli.shapes import Difference, PolicyDetails, PolicyState, RevisionItem
from policy_store.cli.stats import FetchCount, LastGood, OldVersion, SlowAnswers, Stats, UnknownHost
from policy_store.exchange.reports import ImportedReport
from policy_store.lint.findings import Finding
from policy_store.sender.dns_check import DnsCheck
from policy_store.sender.report import Check, MxCheck
from policy_store.tlsrpt.overview import ReportDetails, ReportedDay, ReportedFailure, ReportState

_PAGE = (Path(__file__).parents[2] / "docs" / "command.md").read_text(encoding="utf-8")
_MODELS: dict[str, type[BaseModel]] = {
    model.__name__: model
    for model in (
        PolicyState,
        PolicyDetails,
        RevisionItem,
        Difference,
        Finding,
        DnsItem,
        DnsCheck,
        Binding,
        Task,
        AuditResult,
        AuditProblem,
        Check,
        MxCheck,
        Stats,
        FetchCount,
        UnknownHost,
        LastGood,
        SlowAnswers,
        OldVersion,
        ReportState,
        ReportDetails,
        ReportedDay,
        ReportedFailure,
        ImportedReport,
    )
}


def _commands(group: TyperGroup, before: str = "") -> Iterator[tuple[str, TyperCommand]]:
    """Each command by its words, those of a group behind the group's name."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _commands(command, f"{before}{name} ")
        else:
            assert isinstance(command, TyperCommand)
            yield f"{before}{name}", command


_COMMANDS = dict(_commands(typer.main.get_group(app)))


@pytest.mark.parametrize("name", _MODELS)
def test_the_page_has_the_fields_of_the_model(name: str) -> None:
    assert f"<!-- {name} -->\n{fields_table(_MODELS[name])}" in _PAGE


@pytest.mark.parametrize("name", _COMMANDS)
def test_the_page_has_each_command_with_its_examples(name: str) -> None:
    assert f"\n### `mta-sts {name}" in _PAGE
    said, *examples = re.split(r"\s*Example: ", _COMMANDS[name].help or "")
    assert said
    assert examples
    for example in examples:
        assert " ".join(example.split()) in _PAGE


@pytest.mark.parametrize("name", _COMMANDS)
def test_the_page_names_each_option_of_a_command(name: str) -> None:
    section = _PAGE.partition(f"\n### `mta-sts {name}")[2].partition("\n### ")[0]
    general = _PAGE.partition("\n## ")[0]
    for parameter in _COMMANDS[name].params:
        if parameter.param_type_name == "option":
            assert any(f"`{option}" in section or f"`{option}" in general for option in parameter.opts), parameter.opts


def fields_table(model: type[BaseModel]) -> str:
    """The fields of a model as a table of Markdown."""
    lines = ["| field | type | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{name} has no description"
        lines.append(f"| `{field.alias or name}` | {_type(field.annotation)} | {field.description} |")
    return "\n".join(lines) + "\n"


def _type(annotation: Any) -> str:
    if isinstance(annotation, TypeAliasType):
        return _type(annotation.__value__)
    if isinstance(annotation, UnionType):
        return " or ".join(map(_type, get_args(annotation)))
    if get_origin(annotation) is list:
        return f"array of {_type(get_args(annotation)[0])}s"
    if get_origin(annotation) is Literal:
        return "string"
    names = {str: "string", int: "number", NoneType: "null", bool: "boolean"}
    return names.get(annotation, "object" if hasattr(annotation, "model_fields") else "time")
