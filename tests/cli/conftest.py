"""The command `mta-sts` as the tests run it: on two empty tables of a real table service, 80 columns wide."""

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableClient, TableServiceClient
from typer.testing import CliRunner, Result

from dev.azurite import Azurite
from policy_store.cli import app
from policy_store.cli.session import open_store
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.policies import TABLE as POLICY_TABLE
from policy_store.tables.store import Store

type Run = Callable[..., Result]


@pytest.fixture
def tables(azurite: Azurite) -> Iterator[tuple[TableClient, TableClient]]:
    """The tables of policies and of revisions, empty, as the SDK sees them."""
    with TableServiceClient.from_connection_string(azurite.connection_string) as service:
        for name in (POLICY_TABLE, HISTORY_TABLE):
            with suppress(ResourceNotFoundError):
                service.delete_table(name)
            service.create_table(name)
        yield service.get_table_client(POLICY_TABLE), service.get_table_client(HISTORY_TABLE)


@pytest.fixture
def store(azurite: Azurite, tables: tuple[TableClient, TableClient], monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store that the command finds by its setting, with both tables empty."""
    monkeypatch.setenv("POLICY_STORE", azurite.connection_string)
    return open_store()


@pytest.fixture
def run(store: Store) -> Run:
    """Run the command with these words: `run("list", "--json").stdout`, `.stderr`, `.exit_code`."""

    def run_command(*words: str) -> Result:
        return CliRunner().invoke(app, words, prog_name="mta-sts")

    return run_command
