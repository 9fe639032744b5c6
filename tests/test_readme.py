"""README.md keeps its promises: it is short, and every command and option that it names exists."""

import re
import shlex
from pathlib import Path

from tests.command_lines import blocks, command_of, options

_ROOT = Path(__file__).parents[1]
_README = (_ROOT / "README.md").read_text(encoding="utf-8")


def test_it_has_at_most_200_lines() -> None:
    assert len(_README.splitlines()) <= 200


def test_every_command_and_option_that_it_names_exists() -> None:
    known = options()
    code = [*re.findall(r"`([^`\n]+)`", _README), *"".join(blocks(_README, "sh")).splitlines()]
    for line in code:
        name = re.match(r"mta-sts [a-z][a-z-]*", line)
        if name or line.startswith(("-", "mta-sts -")):
            every = {"--version"}.union(*known.values())
            allowed = known[command_of(line.split()[1:], known)] if name else every
            given = {word.partition("=")[0] for word in shlex.split(line, comments=True) if re.match("--?[a-z]", word)}
            assert given <= allowed, line


def _in_powershell(line: str) -> str:
    """A line of this page as PowerShell takes it."""
    if line.startswith("export "):
        name, _, value = line.removeprefix("export ").partition("=")
        return f"$env:{name} = {value}"
    line = re.sub(r"^make package$", "python -m dev.package", line)
    line = re.sub(r"^make ", "python -m dev ", line)
    return re.sub(r"(\w+=\$\([^)]*\))", r'"\1"', line)


def test_the_page_for_windows_has_every_line_in_powershell() -> None:
    page = (_ROOT / "docs" / "windows.md").read_text(encoding="utf-8").partition("\n## The lines of README\n")[2]
    shown = "".join(blocks(page, "powershell")).splitlines()
    assert shown == [_in_powershell(line) for block in blocks(_README, "sh") for line in block.splitlines()]
