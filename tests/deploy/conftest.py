"""The real Azure CLI, from the folder that dev/set_up_azure_cli.sh makes, signed in to an Azure on loopback."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.deploy.resource_manager import Azure, Names, Portal
from tests.dns_server import DnsServer

_ROOT = Path(__file__).parents[2]
_FOLDER = _ROOT / ".venv-azure-cli" / "bin"

type Parse = Callable[[Sequence[Sequence[str]]], list[str | None]]
type SignedIn = tuple[Azure, DnsServer, dict[str, str]]


@pytest.fixture(scope="session")
def az_folder() -> Path:
    """The folder of the command `az`."""
    assert (_FOLDER / "az").exists(), "the Azure CLI is not there: run make test-deploy"
    return _FOLDER


@pytest.fixture(scope="session")
def parse(az_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Parse:
    """Have the Azure CLI parse commands, each in words after `az`: None, or what it says is wrong. It makes no call."""
    config = tmp_path_factory.mktemp("parser")

    def ask(commands: Sequence[Sequence[str]]) -> list[str | None]:
        done = subprocess.run(
            [az_folder / "python", Path(__file__).with_name("parse.py")],
            input=json.dumps(list(commands)),
            env={**os.environ, "AZURE_CONFIG_DIR": str(config), "AZURE_CORE_COLLECT_TELEMETRY": "false"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        said: list[str | None] = json.loads(done.stdout)
        return said

    return ask


@pytest.fixture(scope="session")
def signed_in(az_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedIn]:
    """An Azure on loopback, DNS as it shows it, and the environment in which `az` is signed in there."""
    folder = tmp_path_factory.mktemp("azure")
    names: Names = {}
    azure = Azure(names)
    with DnsServer(names) as dns_server, Portal(azure) as portal:
        (folder / "authority.pem").write_bytes(portal.authority)
        environment = {
            "PATH": f"{az_folder}{os.pathsep}{os.environ['PATH']}",
            "AZURE_CONFIG_DIR": str(folder / "config"),
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
            "REQUESTS_CA_BUNDLE": str(folder / "authority.pem"),
            "IDENTITY_ENDPOINT": f"{portal.url}/token",
            "IDENTITY_HEADER": "loopback",
        }
        endpoints = ("resource-manager", "active-directory", "active-directory-resource-id", "management")
        register = ["cloud", "register", "-n", "loopback", "--skip-endpoint-discovery"]
        register += [word for name in endpoints for word in (f"--endpoint-{name}", portal.url)]
        for words in (register, ["cloud", "set", "-n", "loopback"], ["login", "--identity"]):
            done = subprocess.run(
                ["az", *words], env={**os.environ, **environment}, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
        yield azure, dns_server, environment
