"""What the tests share: an environment and a folder of their own, one real table service for the session, tables for
each test, and the data files.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableClient, TableServiceClient
from hypothesis import HealthCheck, settings

from dev.azurite import Azurite
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.history import History
from policy_store.tables.policies import TABLE as POLICY_TABLE
from policy_store.tables.policies import PolicyTable
from policy_store.tables.reports import TABLE as REPORT_TABLE
from tests import environment

_DATA = Path(__file__).parent / "data"
_numbers = count(1)

# On a busy machine a law takes longer, and holds all the same.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    """Replace the environment before any test is imported; where pytest-xdist has workers, in each of those."""
    if config.getoption("dist", "no") == "no":
        environment.replace_environment()


@pytest.fixture(scope="session", autouse=True)
def of_our_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run every fixture, and all that it starts, in a folder where nothing lies, with an empty home."""
    with environment.of_our_own(tmp_path_factory.mktemp("current"), tmp_path_factory.mktemp("home")):
        yield


@pytest.fixture(autouse=True)
def in_its_own_folder(of_our_own: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test in its `tmp_path`: what one saves, none of the others finds."""
    monkeypatch.chdir(tmp_path)


def load_cases(file_name: str) -> list[Any]:
    """The cases of a JSON file of tests/data, as parameters named by their `name`."""
    cases = json.loads((_DATA / file_name).read_text(encoding="utf-8"))
    return [pytest.param(case, id=case["name"]) for case in cases]


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """A table service in memory for the whole session."""
    with Azurite() as service:
        yield service


@pytest.fixture
def tables(azurite: Azurite) -> Iterator[tuple[TableClient, TableClient]]:
    """The tables of policies and of revisions, empty, as the SDK sees them; there is none of reports."""
    with TableServiceClient.from_connection_string(azurite.connection_string) as service:
        with suppress(ResourceNotFoundError):
            service.delete_table(REPORT_TABLE)
        for name in (POLICY_TABLE, HISTORY_TABLE):
            with suppress(ResourceNotFoundError):
                service.delete_table(name)
            service.create_table(name)
        yield service.get_table_client(POLICY_TABLE), service.get_table_client(HISTORY_TABLE)


@pytest.fixture
def new_table(azurite: Azurite) -> Iterator[Callable[[], TableClient]]:
    """Give a function that makes an empty table of its own."""
    with ExitStack() as opened:

        def make() -> TableClient:
            name = f"table{next(_numbers)}"
            client = opened.enter_context(TableClient.from_connection_string(azurite.connection_string, name))
            client.create_table()
            return client

        yield make


@pytest.fixture
def policies_client(new_table: Callable[[], TableClient]) -> TableClient:
    """An empty table for rows, as the SDK sees it."""
    return new_table()


@pytest.fixture
def history_client(new_table: Callable[[], TableClient]) -> TableClient:
    """An empty table for revisions, as the SDK sees it."""
    return new_table()


@pytest.fixture
def policies(policies_client: TableClient) -> PolicyTable:
    """The rows of `policies_client`."""
    return PolicyTable(policies_client)


@pytest.fixture
def history(history_client: TableClient) -> History:
    """The revisions of `history_client`."""
    return History(history_client)
