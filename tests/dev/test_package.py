"""What ships, and the app as publish would send it and the remote build would leave it, served from there alone."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import TableClient

from dev import package, publish
from dev.azurite import Azurite
from policy_store.policy import Policy
from policy_store.tables.policies import PolicyTable
from tests.dev import answer_and_tell
from tests.environment import machine_environment
from tests.planted import plant

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
        package.build(_ROOT, folder / "publish")
        publish.write_zip(folder / "publish", self.archive)
        publish.remote_build(self.archive, self.app, machine_environment())
        self._path = publish.isolated_path(self.app, self.worker, Path(answer_and_tell.__file__))

    def ask(self, domain: str, connection_string: str) -> dict[str, Any]:
        """Start the app in a process of its own and return what it tells about one request."""
        command = [sys.executable, *publish.ISOLATED, "-m", "answer_and_tell", str(self.app), domain]
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


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the app's files, in which all that people save lies about."""
    for file in package.shipping(_ROOT):
        (tmp_path / "checkout" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_ROOT / file, tmp_path / "checkout" / file)
    plant(tmp_path / "checkout")
    return tmp_path / "checkout"


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


class TestFolder:
    def test_it_holds_the_app_whatever_else_lies_in_the_checkout(self, checkout: Path, tmp_path: Path) -> None:
        built = package.build(checkout, tmp_path / "publish")
        assert set(built) == set(package.shipping(_ROOT))
        assert files(tmp_path / "publish") == {*built, ".funcignore"}
        assert publish.shipped(tmp_path / "publish") == built

    def test_it_holds_what_serving_needs_and_nothing_of_the_command(self) -> None:
        names = [Path(path).parts for path in package.shipping(_ROOT)]
        assert {parts[0] for parts in names} == {"function_app.py", "host.json", "policy_store", "requirements.txt"}
        assert not [parts for parts in names if {"cli", "web", "sender", "lint", "exchange", "changes"} & {*parts}]
        assert {"/".join(parts) for parts in names if parts[0] == "policy_store" and not parts[-1].endswith(".py")} == {
            "policy_store/tlsrpt/causes.toml"
        }

    def test_what_is_saved_in_it_later_does_not_ship(self, checkout: Path, tmp_path: Path) -> None:
        built = package.build(checkout, tmp_path / "publish")
        for path in ("policies.csv", "contoso.pfx", "policy_store/export.csv", "sites/contoso.com/mta-sts.txt"):
            (tmp_path / "publish" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "publish" / path).touch()
        assert publish.shipped(tmp_path / "publish") == built

    def test_what_is_saved_in_it_is_not_deleted(self, checkout: Path, tmp_path: Path) -> None:
        package.build(checkout, tmp_path / "publish")
        (tmp_path / "publish" / "policies.csv").write_text("a person's")
        with pytest.raises(package.PackageError, match=r"contains policies\.csv, which does not belong to the app"):
            package.build(checkout, tmp_path / "publish")
        assert (tmp_path / "publish" / "policies.csv").read_text() == "a person's"

    def test_a_folder_that_no_build_made_is_not_deleted(self, checkout: Path, tmp_path: Path) -> None:
        (tmp_path / "publish").mkdir()
        (tmp_path / "publish" / "function_app.py").touch()
        with pytest.raises(package.PackageError, match=r"contains function_app\.py"):
            package.build(checkout, tmp_path / "publish")

    def test_another_build_leaves_nothing_of_the_last_one(self, checkout: Path, tmp_path: Path) -> None:
        package.build(checkout, tmp_path / "publish")
        (tmp_path / "publish" / ".python_packages").mkdir()  # as Core Tools leave it
        (checkout / "function_app.py").write_text("import policy_store.names\n")
        assert package.build(checkout, tmp_path / "publish") == [
            *("function_app.py", "host.json", "policy_store/__init__.py", "policy_store/names.py", "requirements.txt")
        ]
        assert files(tmp_path / "publish") == {*package.shipping(checkout), ".funcignore"}

    @pytest.mark.parametrize(
        ("line", "found"),
        [
            ("import policy_store.a.b", ["a/__init__", "a/b"]),
            ("from policy_store import a", ["a/__init__"]),
            ("from policy_store.a import b as c, NAME", ["a/__init__", "a/b"]),
            ("def f():\n    from policy_store.a import b", ["a/__init__", "a/b"]),
            ("import policy_store.d", ["a/__init__", "a/b", "d"]),
            ("import os, policy_store_of_mine", None),
        ],
    )
    def test_a_module_ships_where_the_app_imports_it(self, tmp_path: Path, line: str, found: list[str] | None) -> None:
        for name, text in {"__init__": "", "a/__init__": "", "a/b": "", "d": "from .a import b", "e": ""}.items():
            (tmp_path / "policy_store" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "policy_store" / f"{name}.py").write_text(text)
        (tmp_path / "function_app.py").write_text(line)
        modules = [] if found is None else ["__init__", *found]
        assert package.shipping(tmp_path) == sorted(
            ["function_app.py", "host.json", "requirements.txt", *(f"policy_store/{name}.py" for name in modules)]
        )

    def test_the_module_builds_it_with_a_bare_python(self, tmp_path: Path) -> None:
        """A pipeline has no package installed; without site-packages a process here has none either."""
        (tmp_path / "dev").mkdir()
        for file in ("dev/__init__.py", "dev/package.py"):
            shutil.copy(_ROOT / file, tmp_path / file)
        for file in package.shipping(_ROOT):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(_ROOT / file, tmp_path / file)
        command = [
            sys.executable,
            "-I",
            "-S",
            "-c",
            "import sys; sys.path.insert(0, '.'); from dev import package; package.main()",
        ]
        said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        assert said.splitlines()[: len(package.shipping(_ROOT))] == package.shipping(_ROOT)
        assert "func azure functionapp publish APP --python --script-root .publish" in said
        assert files(tmp_path / ".publish") == {*package.shipping(_ROOT), ".funcignore"}


def test_the_zip_holds_the_files_of_the_folder_byte_for_byte(deployed: Deployed) -> None:
    with zipfile.ZipFile(deployed.archive) as archive:
        entries = archive.infolist()
        assert [entry.filename for entry in entries] == package.shipping(_ROOT)
        assert all(archive.read(entry) == (_ROOT / entry.filename).read_bytes() for entry in entries)
        # As ZipHelper.CreateZip writes it, so that the host may read what it mounts.
        assert {(entry.create_system, entry.external_attr >> 16) for entry in entries} == {(3, 0o100666)}


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
    packages = publish.packages_folder(deployed.app)
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
