"""The app as publish would send it and the remote build would leave it, served from that folder alone."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import TableClient

from dev import package
from dev.azurite import Azurite
from policy_store.policy import Policy
from policy_store.tables.policies import PolicyTable
from tests.cli.conftest import tables
from tests.dev import answer_and_tell

__all__ = ["tables"]  # a fixture of the command's own tests

_ROOT = Path(__file__).parents[2]
_BESIDE = {"__main__", "azure_functions_runtime", "dev"}  # what a process on Azure has that the app does not bring
_LISTED = {"azure.functions", "pydantic", "azure.data.tables", "azure.identity"}  # requirements.txt

type Ask = Callable[[str], dict[str, Any]]


class Deployed:
    """The app unpacked, with its packages, and a folder with the worker library: all that the process may import."""

    def __init__(self, folder: Path) -> None:
        self.archive = folder / "app.zip"
        self.app = folder / "wwwroot"
        self.worker = folder / "worker"
        package.write_zip(_ROOT, self.archive)
        package.build(self.archive, self.app)
        self._path = package.isolated_path(self.app, self.worker, Path(answer_and_tell.__file__))

    def ask(self, domain: str, connection_string: str) -> dict[str, Any]:
        """Start the app in a process of its own and return what it tells about one request."""
        command = [sys.executable, *package.ISOLATED, "-m", "answer_and_tell", str(self.app), domain]
        environment = {**os.environ, **self._path, "POLICY_STORE": connection_string}
        told = subprocess.run(command, env=environment, cwd=self.app, stdout=subprocess.PIPE, check=True, text=True)
        found: dict[str, Any] = json.loads(told.stdout)
        return found


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """The package, built once: pip installs for several seconds."""
    return Deployed(tmp_path_factory.mktemp("deployed"))


@pytest.fixture
def ask(deployed: Deployed, azurite: Azurite, tables: tuple[TableClient, TableClient]) -> Ask:
    """Ask the deployed app for the policy of a domain, over a store that has that of contoso.example."""
    policy = Policy(mode="enforce", mx=("contoso-example.mail.protection.outlook.com",), max_age=604800)
    PolicyTable(tables[0]).add("contoso.example", policy)
    return lambda domain: deployed.ask(domain, azurite.connection_string)


def test_the_zip_holds_the_app_and_nothing_else(deployed: Deployed) -> None:
    """It is made from what lies in the folder, with what git ignores: so is the one that publish sends."""
    modules = {
        module.relative_to(_ROOT).as_posix()
        for folder in ("policy_store", "policy_store/tables", "policy_store/tlsrpt")
        for module in (_ROOT / folder).glob("*.*")
    }
    with zipfile.ZipFile(deployed.archive) as archive:
        entries = archive.infolist()
        assert {entry.filename for entry in entries} == {"function_app.py", "host.json", "requirements.txt", *modules}
        assert all(archive.read(entry) == (_ROOT / entry.filename).read_bytes() for entry in entries)
        # As ZipHelper.CreateZip writes it, so that the host may read what it mounts.
        assert {(entry.create_system, entry.external_attr >> 16) for entry in entries} == {(3, 0o100666)}


def test_packages_left_by_another_build_do_not_ship(tmp_path: Path) -> None:
    """Publish deletes them first, wherever .funcignore stands to them."""
    for path in ("function_app.py", ".python_packages/lib/site-packages/x.py", "module/.python_packages/y.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()

    assert package.shipped(tmp_path) == ["function_app.py", "module/.python_packages/y.py"]


def test_it_serves_a_policy_byte_for_byte(ask: Ask) -> None:
    told = ask("contoso.example")

    assert told["functions"] == ["audit", "health", "policy"]
    assert told["status"] == 200
    assert told["headers"]["content-type"] == "text/plain; charset=utf-8"
    assert told["body"] == (
        "version: STSv1\r\nmode: enforce\r\nmx: contoso-example.mail.protection.outlook.com\r\nmax_age: 604800\r\n"
    )


def test_it_imports_only_what_is_deployed(deployed: Deployed, ask: Ask) -> None:
    told = ask("fabrikam.example")
    assert told["status"] == 404

    modules = {name: Path(file) for name, file in told["modules"].items()}
    packages = package.packages_folder(deployed.app)
    standard = Path(sysconfig.get_path("stdlib"))
    beside = {name for name, file in modules.items() if not file.is_relative_to(deployed.app)}
    from_worker = {name for name in beside if modules[name].is_relative_to(deployed.worker)}
    assert {name.partition(".")[0] for name in from_worker} == _BESIDE
    assert all(
        modules[name].is_relative_to(standard) and "site-packages" not in modules[name].parts
        for name in beside - from_worker
    )
    assert all(modules[name].is_relative_to(packages) for name in _LISTED)
    assert modules["function_app"] == deployed.app / "function_app.py"
    assert modules["policy_store"] == deployed.app / "policy_store" / "__init__.py"
