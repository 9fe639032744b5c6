"""The code blocks of a page, and the commands of `mta-sts` that its lines can name: for the tests of pages."""

import re
from collections.abc import Iterator, Sequence

from typer.core import TyperGroup
from typer.main import get_command

from policy_store.cli import app


def blocks(text: str, language: str) -> Iterator[str]:
    """The contents of the code blocks in that language, in order."""
    yield from re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def options() -> dict[str, set[str]]:
    """The options of each command, those of a group under both its words."""
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    found = {}
    for name, top in group.commands.items():
        for part, command in (getattr(top, "commands", None) or {"": top}).items():
            found[f"{name} {part}".strip()] = {"--help"}.union(*(parameter.opts for parameter in command.params))
    return found


def command_of(words: Sequence[str], known: dict[str, set[str]]) -> str:
    """The name of the command, among those of `options`, that the words after `mta-sts` call."""
    return next(name for name in (" ".join(words[:2]), words[0]) if name in known)
