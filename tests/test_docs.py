"""The pages of docs/ hold what they say: commands that the real parser takes, links that lead somewhere, and the ways
to bring rows and whole stores back.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import TableClient, TableServiceClient
from typer.core import TyperGroup
from typer.main import get_command

from dev import package
from dev.azurite import Azurite
from policy_store.cli import app
from policy_store.policy import Policy
from policy_store.tables.store import Store
from tests.checkout import tracked
from tests.cli.conftest import Run, run, store
from tests.doc_lines import commands, pairs, words

__all__ = ["run", "store"]  # fixtures of the command's own tests

_ROOT = Path(__file__).parents[1]
_PAGES = {
    path.relative_to(_ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (_ROOT / "README.md", *tracked("docs/*.md"))
}
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)


def _lines(program: str) -> list[tuple[str, str]]:
    """Each command of `program` in a page, with where it stands."""
    return [(f"{page}:{line}", command) for page, text in _PAGES.items() for line, command in commands(program, text)]


def _links() -> Iterator[tuple[str, str]]:
    """Each link within the project: the page it is on, and where it leads."""
    for page, text in _PAGES.items():
        for target in _LINK.findall(_FENCED.sub("", text)):
            if not target.startswith(("https:", "mailto:")):
                yield page, target


def _anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _parse(line: str) -> None:
    """Have the command read the line, without running it. Raises what it says of a line that it does not take."""
    command: Any = get_command(app)
    name: str | None = "mta-sts"
    rest, context = words(line)[1:], None
    while isinstance(command, TyperGroup):
        context = command.make_context(name, rest, parent=context)
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
    command.make_context(name, rest, parent=context)


@pytest.mark.parametrize(("where", "line"), _lines("mta-sts"))
def test_the_command_takes_each_line(where: str, line: str) -> None:
    del where  # in the test's name
    _parse(line)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("mta-sts edit $DOMAIN --moed none", "No such option"),
        ("mta-sts edit $DOMAIN --max-age week", "it must be a whole number of seconds"),
        ("mta-sts site $DOMAIN", "Missing parameter"),
        ("mta-sts revert $DOMAIN", "No such command"),
        ("mta-sts show $DOMAIN $(mta-sts history $DOMAIN) more", "unexpected extra argument"),
    ],
)
def test_the_command_does_not_take_a_wrong_line(line: str, reason: str) -> None:
    with pytest.raises(Exception, match=reason):
        _parse(line)


def test_func_publishes_what_was_just_built_and_never_the_checkout() -> None:
    published = _lines("func")
    assert len(published) > 3
    for where, line in published:
        _, *given = words(line)
        assert given[:3] == ["azure", "functionapp", "publish"], f"{where}: {line}"
        assert given[4:] == ["--python", "--script-root", package.FOLDER], f"{where}: {line}"
    for page, text in _PAGES.items():
        before = re.findall(r"(.*)\nfunc azure functionapp publish", text)
        assert set(before) <= {"make package", "python -m dev.package"}, page


@pytest.mark.parametrize("page", [page for page, text in _PAGES.items() if any(pairs(text))])
def test_a_page_for_both_shells_gives_the_same_commands_for_both(page: str) -> None:
    for pair in pairs(_PAGES[page]):
        sh, powershell = (
            [
                words(command)
                for program in ("az", "func", "mta-sts", "python")
                for _, command in commands(program, block)
            ]
            for block in (f"```sh\n{pair[0]}```", f"```powershell\n{pair[1]}```")
        )
        assert powershell == sh


@pytest.mark.parametrize(("page", "target"), list(dict.fromkeys(_links())))
def test_each_link_leads_somewhere(page: str, target: str) -> None:
    file, _, anchor = target.partition("#")
    path = (_ROOT / page).parent / file if file else _ROOT / page
    assert path.exists()
    if anchor:
        assert anchor in _anchors(path.read_text(encoding="utf-8"))


def test_the_index_names_each_page() -> None:
    index = "docs/README.md"
    linked = {(Path("docs") / target.partition("#")[0]).as_posix() for page, target in _links() if page == index}
    assert set(_PAGES) - {"README.md", index} <= {name.removeprefix("docs/../") for name in linked}


class TestReader:
    def test_it_finds_the_commands_and_their_lines(self) -> None:
        text = (
            "az not this\n```sh\nID=$(az group show \\\n  --name a)   # az nor this\n"
            "az b --scope \"$(az c --query 'a | b')\" | az d && mta-sts e\n"
            "for D in f g; do mta-sts edit $D; done\nN=1 'az' az\n```\n```csv\naz nor this\n```\n"
        )
        assert list(commands("az", text)) == [
            (3, "az group show --name a"),
            (5, "az c --query 'a | b'"),
            (5, "az b --scope \"$(az c --query 'a | b')\" | az d"),
            (5, "az d"),
        ]
        assert list(commands("mta-sts", text)) == [(5, "mta-sts e"), (6, "mta-sts edit $D")]

    def test_it_finds_those_for_powershell_too(self) -> None:
        text = (
            "```powershell\n$GROUP = 'a'; $N = 1\n$ID = az group show `\n  --name $GROUP   # az not this\n"
            "$env:STORE = $ID\naz c --ids $(az d --query 'e | f') | Out-File g\nmta-sts bind (Get-Content h.txt)\n```\n"
        )
        assert list(commands("az", text)) == [
            (3, "az group show --name $GROUP"),
            (6, "az d --query 'e | f'"),
            (6, "az c --ids $(az d --query 'e | f') | Out-File g"),
        ]
        assert [words(command) for _, command in commands("mta-sts", text)] == [["mta-sts", "bind", "SUBSTITUTED"]]

    def test_blocks_for_both_shells_are_told_by_the_word_between_them(self) -> None:
        text = "```sh\nz\n```\n\n```sh\na\n```\n\nPowerShell:\n\n```powershell\nb\n```\n\n```sh\nc\n```\n"
        assert list(pairs(text)) == [("a\n", "b\n")]

    def test_the_words_are_those_that_the_program_gets(self) -> None:
        line = "az b --scope \"$(az c --query 'd(e)')\" --tags 'f | g' $H | jq . > i"
        assert words(line) == ["az", "b", "--scope", "SUBSTITUTED", "--tags", "f | g", "$H"]


def test_a_deleted_row_comes_back_from_the_history_with_its_id(store: Store, run: Run) -> None:
    row = store.policies.add("contoso.com", Policy(mode="enforce", mx=("mx.contoso.com",), max_age=604800))
    revision = store.history.record(row, store.policies, by="ada", policy_id="20200101000000Z")
    store.policies.delete(row.domain, row.etag)
    assert [problem["domain"] for problem in json.loads(run("audit", "--json").stdout)["problems"]] == ["contoso.com"]
    (newest, *_) = json.loads(run("history", "contoso.com", "--json").stdout)
    assert run("rollback", "contoso.com", newest["id"]).exit_code == 0
    assert store.history.revisions("contoso.com") == [revision]
    back = store.policies.get("contoso.com")
    assert back is not None
    assert back.policy == row.policy


def test_a_store_moves_with_every_cell(
    store: Store, tables: tuple[TableClient, TableClient], run: Run, tmp_path: Path
) -> None:
    row = store.policies.add("contoso.com", Policy(mode="testing", mx=("mx.contoso.com",), max_age=604800), "a note")
    store.history.record(row, store.policies, by="ada", policy_id="20200101000000Z")
    tables[0].upsert_entity(
        {"PartitionKey": "fabrikam.com", "RowKey": "policy", "mode": "enforced", "owner": (2**40, "Edm.Int64")}
    )
    file = str(tmp_path / "move.jsonl.gz")
    assert run("backup", file).exit_code == 0
    with Azurite() as other, TableServiceClient.from_connection_string(other.connection_string) as service:
        copies = [service.get_table_client(table.table_name) for table in tables]
        for _ in range(2):
            assert run("restore", file, "--store", other.connection_string).exit_code == 0
        assert [list(copy.list_entities()) for copy in copies] == [list(table.list_entities()) for table in tables]
