"""The pipelines of Azure DevOps and GitHub: their form, their scripts, and that these fit the Bicep and the command."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from azure.data.tables import TableClient
from check_jsonschema.builtin_schemas import get_builtin_schema
from pycep import BicepParser
from typer.core import TyperGroup
from typer.main import get_command

from dev import package
from dev.azurite import Azurite
from policy_store.cli import app
from policy_store.cli.errors import DONE, PROBLEM
from policy_store.cli.session import open_store
from tests.checkout import tracked
from tests.lab.situation import PolicyHost, Situation
from tests.lab.test_store import put, served
from tests.lab.world import World

ROOT = Path(__file__).parents[2]
AZURE = "azure-pipelines.yml"
DEPLOY = ".github/workflows/deploy.yml"
TEXTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (ROOT / AZURE, *tracked(".github/workflows/*.yml"))
}
BICEP: Any = BicepParser().parse(text=(ROOT / "infra" / "main.bicep").read_text(encoding="utf-8"))
# Microsoft's and SchemaStore's schemas, which come with check-jsonschema.
_SCHEMAS = {
    name: jsonschema.Draft7Validator(get_builtin_schema(f"vendor.{name}"))
    for name in ("azure-pipelines", "github-workflows")
}
# Below these the names are the file's own, an action's inputs, or whatever a pool is asked for.
_FREE = {"variables", "env", "jobs", "with", "pool"}
_SCRIPT_KEYS = {"script", "inlineScript", "run"}
_BIN = Path(sys.executable).parent


def read(name: str, text: str) -> Any:
    """The file as its system reads it: to Azure DevOps all is text, to GitHub "on" is no boolean."""
    if name == AZURE:
        return yaml.load(text, yaml.BaseLoader)  # noqa: S506 - which makes nothing but text
    return yaml.safe_load(text.replace("\non:", "\n'on':"))


TREES = {name: read(name, text) for name, text in TEXTS.items()}


def is_valid(name: str, tree: Any) -> bool:
    return bool(_SCHEMAS["azure-pipelines" if name == AZURE else "github-workflows"].is_valid(tree))


def nodes(tree: Any, parent: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every key of every mapping: the key that the mapping is under, the key itself, and the mapping."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield parent, key, tree
            yield from nodes(value, key)
    elif isinstance(tree, list):
        for value in tree:
            yield from nodes(value, parent)


def scripts(name: str) -> list[str]:
    return [mapping[key] for _, key, mapping in nodes(TREES[name]) if key in _SCRIPT_KEYS]


def lines(name: str) -> list[str]:
    """The lines of its scripts, those that go on in the next one in one piece."""
    return [line for script in scripts(name) for line in script.replace("\\\n", " ").splitlines()]


def shell_findings(script: str) -> str:
    """What bash and ShellCheck have to say of the script."""
    said = ""
    for words in (("bash", "-n"), (str(_BIN / "shellcheck"), "--shell=bash", "-")):
        done = subprocess.run(words, input=script, capture_output=True, text=True, check=False)
        said += done.stdout + done.stderr
    return said


class TestForm:
    @pytest.mark.parametrize("name", TREES)
    def test_the_schema_has_nothing_against_it(self, name: str) -> None:
        assert is_valid(name, TREES[name])

    @pytest.mark.parametrize("name", TREES)
    def test_every_key_without_its_last_letter_is_found(self, name: str) -> None:
        count = len(list(nodes(TREES[name])))
        missed = []
        for number in range(count):
            tree = deepcopy(TREES[name])
            parent, key, mapping = list(nodes(tree))[number]
            mapping[key[:-1]] = mapping.pop(key)
            if parent not in _FREE and is_valid(name, tree):
                missed.append(f"{parent}.{key}")
        assert missed == []
        assert count > 20

    @pytest.mark.parametrize(
        ("name", "right", "wrong"),
        [
            (AZURE, "AzureCLI@2", "AzureCLI@12"),
            (AZURE, "scriptType: bash", "scriptType: shell"),
            (AZURE, "testResultsFormat: JUnit", "testResultsFormat: Junit5"),
            (AZURE, "always: true", "always: often"),
            (DEPLOY, "  pull_request:", "  pull_requests:"),
            (DEPLOY, "id-token: write", "id-token: all"),
            (DEPLOY, "runs-on: ubuntu-latest", "runs-on: []"),
        ],
    )
    def test_a_wrong_value_is_found(self, name: str, right: str, wrong: str) -> None:
        assert right in TEXTS[name]
        assert not is_valid(name, read(name, TEXTS[name].replace(right, wrong, 1)))


class TestScripts:
    @pytest.mark.parametrize("name", TREES)
    def test_bash_and_shellcheck_have_nothing_against_them(self, name: str) -> None:
        assert [shell_findings(script) for script in scripts(name)] == [""] * len(scripts(name))

    @pytest.mark.parametrize("slip", ["if true; do", 'echo "$HOST', "cd $HOME", "mta-sts check $store"])
    def test_a_slip_of_the_shell_is_found(self, slip: str) -> None:
        assert shell_findings(f"set -e\n{slip}\n")

    def test_both_systems_do_the_same(self) -> None:
        others = [script for name in (DEPLOY, ".github/workflows/check.yml") for script in scripts(name)]
        assert scripts(AZURE) == others

    def test_a_script_ends_at_the_first_line_that_fails(self) -> None:
        several = [script for name in TREES for script in scripts(name) if len(script.splitlines()) > 1]
        assert all(script.startswith(("set -e\n", "az ")) for script in several)

    def test_what_is_published_was_just_built(self) -> None:
        for name in (AZURE, DEPLOY):
            (script,) = (script for script in scripts(name) if "func " in script)
            assert script.splitlines()[:3] == [
                "set -e",
                "python -m dev.package",
                f'func azure functionapp publish "$APP_NAME" --python --script-root {package.FOLDER}',
            ]

    def test_every_line_for_the_command_is_one_that_it_takes(self) -> None:
        group = get_command(app)
        assert isinstance(group, TyperGroup)
        words = [shlex.split(line)[1:] for name in TREES for line in lines(name) if line.startswith("mta-sts ")]
        assert {command for command, *_ in words} == {"check"}
        for command, *options in words:
            group.commands[command].make_context(command, list(options))  # raises what is wrong with them

    @pytest.mark.parametrize("name", TREES)
    def test_every_variable_is_set_in_the_file(self, name: str) -> None:
        for script in scripts(name):
            asked = set(re.findall(r"\$\{?(\w+)", script))
            own = set(re.findall(r"^(\w+)=", script, re.MULTILINE))
            known = {key for parent, key, _ in nodes(TREES[name]) if parent == "env"}
            if name == AZURE:
                known = {variable.upper() for variable in TREES[name]["variables"]}
            assert asked - own <= known
        assert set(re.findall(r"\$\((\w+)\)", TEXTS[AZURE])) <= set(TREES[AZURE]["variables"])

    def test_every_variable_of_a_github_repository_is_named_in_the_instructions(self) -> None:
        instructions = TEXTS[DEPLOY].partition("\nname:")[0]
        asked = {variable for text in TEXTS.values() for variable in re.findall(r"\bvars\.(\w+)", text)}
        assert asked == set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b|\bPLAN\b", instructions))


class TestBicep:
    def test_every_parameter_is_given_but_the_region(self) -> None:
        deployments = [line for name in TREES for line in lines(name) if "deployment group create" in line]
        assert len(deployments) == 2
        for line in deployments:
            words = shlex.split(line)
            assert (ROOT / words[words.index("-f") + 1]).is_file()
            given = [word.partition("=")[0] for word in words[words.index("-p") + 1 :]]
            assert sorted(given) == sorted(set(BICEP["parameters"]) - {"location"})

    def test_every_output_that_is_asked_for_exists(self) -> None:
        asked = {output for text in TEXTS.values() for output in re.findall(r"properties\.outputs\.(\w+)\.value", text)}
        assert asked == {"appHost", "store"} <= set(BICEP["outputs"])

    def test_the_plan_is_one_of_those_that_there_are(self) -> None:
        (allowed,) = (
            part["argument"] for part in BICEP["parameters"]["plan"]["decorators"] if part["type"] == "allowed"
        )
        assert TREES[AZURE]["variables"]["plan"] in allowed
        assert re.findall(r"vars\.PLAN \|\| '(\w+)'", TEXTS[DEPLOY])[0] in allowed

    def test_the_tests_run_on_the_python_that_serves(self) -> None:
        files = [*TEXTS.values(), (ROOT / "infra" / "main.bicep").read_text(encoding="utf-8")]
        versions = "versionSpec: '(.+)'|python-version: '(.+)'|PYTHON=python(.+)|'Python\\|(.+)'|  version: '(.+)'"
        found = ["".join(match) for text in files for match in re.findall(versions, text)]
        assert set(found) == {"3.13"}
        assert len(found) == 10


@pytest.mark.parametrize(
    ("certificate", "code", "said"),
    [("good", DONE, ""), ("ends_soon", PROBLEM, "https_certificate_ends_soon"), ("expired", PROBLEM, "expired")],
)
def test_the_morning_check_fails_for_a_certificate_that_ends_soon(
    azurite: Azurite,
    tables: tuple[TableClient, TableClient],
    tmp_path: Path,
    certificate: Any,
    code: int,
    said: str,
) -> None:
    """The script as it stands, on a store and a policy host of the lab; `az` only hands it the store."""
    del tables  # empty, and there
    (revision,) = put(open_store(azurite.connection_string), "domain.example", served("domain.example"))
    situation = Situation(
        name="domain",
        source="RFC 8461 section 3.3: the certificate of the policy host",
        dns={"_mta-sts": {"TXT": [f"v=STSv1; id={revision.id};"]}},
        policy=PolicyHost(certificate=certificate),
        verdict="verified",
        if_enforced="verified",
        findings=frozenset(),
    )
    (script,) = (script for script in scripts(AZURE) if "mta-sts check" in script)
    with World([situation]) as world:
        options = shlex.join([*world.options, "--allow-private"])
        commands = {
            "az": f"echo {shlex.quote(azurite.connection_string)}",
            "mta-sts": f'exec {shlex.quote(str(_BIN / "mta-sts"))} "$@" {options}',
        }
        for command, line in commands.items():
            (tmp_path / command).write_text(f"#!/bin/sh\n{line}\n")
            (tmp_path / command).chmod(0o755)
        path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "RESOURCE_GROUP": "contoso-sts"}
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env={**os.environ, **path},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, said in done.stdout) == (code, True), done.stdout + done.stderr
    assert (tmp_path / "check.xml").is_file()
