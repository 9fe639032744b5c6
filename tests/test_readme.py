"""README.md holds what it says: every command of "A day with it" runs as printed, and every option it names exists."""

import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.data.tables import TableClient, UpdateMode
from typer.core import TyperGroup
from typer.main import get_command

from dev import samples
from dev.azurite import Azurite
from policy_store.cli import app, session
from policy_store.tables.store import Store
from tests.cli.conftest import Run, run, store
from tests.end_to_end.senders.names import DnsServer

__all__ = ["run", "store"]  # fixtures of the command's own tests

_ROOT = Path(__file__).parents[1]
_README = (_ROOT / "README.md").read_text(encoding="utf-8")
_SAMPLE_SETTINGS = "local.settings.sample.json"
_AZURITE = "UseDevelopmentStorage=true"  # in the README, since `make run` has Azurite on its usual port
_ANY_ID = "20261124193000Z"
_COPY = ("cp", _SAMPLE_SETTINGS, "local.settings.json")
_FOR_AZ = ("export", f"AZURE_STORAGE_CONNECTION_STRING={Azurite(10002).connection_string}")  # az knows no short form
_HAND_EDIT = ("az", "storage", "entity", "merge", "--table-name", "policies", "--entity")

# What the administrator's DNS holds at the start of the day: mail comes in, and no record for MTA-STS is there yet.
_ZONE = {
    "contoso.example": {"MX": ["0 contoso-example.mail.protection.outlook.com."]},
    "fabrikam.example": {"MX": ["0 fabrikam-example.a-v1.mx.microsoft."]},
    "northwind.example": {"MX": ["0 northwind-example.mail.protection.outlook.com."]},
    "tailspin.example": {"MX": ["10 mx1.tailspin.example.", "20 mx2.tailspin.example."]},
}


def _section(heading: str) -> str:
    _, found, rest = _README.partition(f"\n## {heading}\n")
    assert found, f"README.md has no section {heading!r}"
    return rest.partition("\n## ")[0]


def _blocks(text: str, language: str) -> Iterator[str]:
    """The contents of the code blocks in that language, in order."""
    yield from re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def _lines() -> list[str]:
    """The lines that the section has an administrator type."""
    return [line for block in _blocks(_section("A day with it"), "sh") for line in block.splitlines()]


def _expected(line: str) -> int:
    """The exit code that the remark behind the command says."""
    said = re.search(r"  # exit code ([0-9])", line)
    return int(said[1]) if said else 0


def _options() -> dict[str, set[str]]:
    """The options of each command, those of a group under both its words."""
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    found = {}
    for name, top in group.commands.items():
        for part, command in (getattr(top, "commands", None) or {"": top}).items():
            found[f"{name} {part}".strip()] = {"--help"}.union(*(parameter.opts for parameter in command.params))
    return found


def _command(words: Sequence[str], options: dict[str, set[str]]) -> str:
    """The name of the command that the words after `mta-sts` call."""
    return next(name for name in (" ".join(words[:2]), words[0]) if name in options)


@pytest.fixture
def samples_loaded(store: Store, azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store of a fresh `make run`, two minutes after it: every worker serves the samples."""
    samples.load(azurite.connection_string)
    monkeypatch.setattr(session, "now", lambda: datetime.now(UTC) + timedelta(minutes=2))
    monkeypatch.delenv("POLICY_STORE")
    return store


def test_every_command_of_the_day_runs_in_order_with_the_exit_code_that_the_text_says(
    run: Run,
    samples_loaded: Store,
    tables: tuple[TableClient, TableClient],
    azurite: Azurite,
    tmp_path: Path,
) -> None:
    """The store is found by the copied sample settings, and hand edits are made as `az` would make them."""
    sample_settings = (_ROOT / _SAMPLE_SETTINGS).read_text(encoding="utf-8")
    (tmp_path / _SAMPLE_SETTINGS).write_text(sample_settings.replace(_AZURITE, azurite.connection_string))
    (csv,) = _blocks(_section("A day with it"), "csv")
    (tmp_path / "accepted-domains.csv").write_text(csv)
    options = _options()
    with DnsServer(_ZONE) as dns:
        for line in _lines():
            words = tuple(shlex.split(line.replace(_AZURITE, azurite.connection_string), comments=True))
            if words == _COPY:
                shutil.copy(*words[1:])
            elif words == _FOR_AZ:
                pass  # so that the next line, which az runs, finds the tables of `make run`
            elif words[: len(_HAND_EDIT)] == _HAND_EDIT:
                cells = dict(word.split("=", 1) for word in words[len(_HAND_EDIT) :])
                tables[0].update_entity(cells, mode=UpdateMode.MERGE)
            else:
                assert words[0] == "mta-sts", f"nobody runs this line here: {line}"
                if words[1] == "rollback":
                    oldest = samples_loaded.history.revisions(words[2])[0]
                    words = tuple(oldest.id if word == _ANY_ID else word for word in words)
                if "--resolver" in options[_command(words[1:], options)] and words[1] != "list":
                    words += ("--resolver", f"127.0.0.1:{dns.port}")
                done = run(*words[1:])
                assert (line, done.exit_code) == (line, _expected(line)), done.output
    rows = {row.domain: row for row in samples_loaded.policies.rows()}
    assert set(rows) == {
        *("adatum.example", "contoso.example", "fabrikam.example", "litware.example", "northwind.example"),
        *("margiestravel.example", "tailspin.example", "treyresearch.example", "woodgrove.example"),
        "xn--bcher-kva.example",
    }


def test_every_command_and_option_that_the_readme_names_exists() -> None:
    options = _options()
    code = [*re.findall(r"`([^`\n]+)`", _README), *"".join(_blocks(_README, "sh")).splitlines()]
    for line in code:
        name = re.match(r"mta-sts [a-z][a-z-]*", line)
        if name or line.startswith(("-", "mta-sts -")):
            every = {"--version"}.union(*options.values())
            known = options[_command(line.split()[1:], options)] if name and line != "mta-sts dns" else every
            given = {word.partition("=")[0] for word in shlex.split(line, comments=True) if re.match("--?[a-z]", word)}
            assert given <= known, line


def _in_powershell(line: str) -> str:
    """A line of this page as PowerShell takes it."""
    if line.startswith("export "):
        name, _, value = line.removeprefix("export ").partition("=")
        return f"$env:{name} = {value}"
    line = re.sub(r"^make package$", "python -m dev.package", line)
    line = re.sub(r"^make ", "python -m dev ", line)
    line = re.sub(r"^cp ", "Copy-Item ", line)
    return re.sub(r"(\w+=\$\([^)]*\))", r'"\1"', line)


def test_the_page_for_windows_has_every_line_in_powershell() -> None:
    page = (_ROOT / "docs" / "windows.md").read_text(encoding="utf-8").partition("\n## The lines of README\n")[2]
    shown = "".join(_blocks(page, "powershell")).splitlines()
    assert shown == [_in_powershell(line) for block in _blocks(_README, "sh") for line in block.splitlines()]
