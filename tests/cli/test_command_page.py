"""docs/command.md says of every command what the command says of itself, and docs/json.md what the models say."""

import re
from pathlib import Path

import pytest
import typer

from dev import json_page
from policy_store.cli import app
from policy_store.cli.command import COMMANDS

_PAGE = (Path(__file__).parents[2] / "docs" / "command.md").read_text(encoding="utf-8")
_COMMANDS = {
    f"{name} {part}".strip(): command
    for name, top in typer.main.get_group(app).commands.items()
    for part, command in (getattr(top, "commands", None) or {"": top}).items()
}


def test_the_page_of_json_is_that_of_the_models() -> None:
    assert json_page.PAGE.read_text(encoding="utf-8") == json_page.page(), "run 'python -m dev.json_page'"


@pytest.mark.parametrize(("name", "sentence"), [(n, s) for group in COMMANDS.values() for n, (_, s) in group.items()])
def test_the_help_says_of_each_command_what_the_command_says(name: str, sentence: str) -> None:
    said = typer.main.get_group(app).commands[name].help or ""
    assert " ".join(said.split("\n\n")[0].split()) == sentence


@pytest.mark.parametrize("name", _COMMANDS)
def test_the_page_has_each_command_with_its_examples(name: str) -> None:
    assert f"\n### `mta-sts {name.split(maxsplit=1)[0]}" in _PAGE
    said, *examples = re.split(r"\s*Example: ", _COMMANDS[name].help or "")
    assert said
    assert examples
    for example in examples:
        assert " ".join(example.split()) in _PAGE


@pytest.mark.parametrize("name", _COMMANDS)
def test_the_page_names_each_option_of_a_command(name: str) -> None:
    section = _PAGE.partition(f"\n### `mta-sts {name.split(maxsplit=1)[0]}")[2].partition("\n### ")[0]
    general = _PAGE.partition("\n### ")[0]
    for parameter in _COMMANDS[name].params:
        if parameter.param_type_name == "option":
            assert any(f"`{option}" in section or f"`{option}" in general for option in parameter.opts), parameter.opts
