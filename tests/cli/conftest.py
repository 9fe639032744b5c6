"""The command `mta-sts` as the tests run it: on two empty tables of a real table service, 80 columns wide."""

from collections.abc import Callable

import pytest
from azure.data.tables import TableClient
from typer.testing import CliRunner, Result

from dev.azurite import Azurite
from policy_store.cli import app, screen
from policy_store.cli.session import open_store
from policy_store.tables.store import Store

type Run = Callable[..., Result]


@pytest.fixture
def store(azurite: Azurite, tables: tuple[TableClient, TableClient], monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store that the command finds by its setting, with both tables empty."""
    monkeypatch.setenv("POLICY_STORE", azurite.connection_string)
    monkeypatch.setattr(screen, "on_terminal", lambda: True)
    return open_store()


@pytest.fixture
def run(store: Store) -> Run:
    """Run the command with these words: `run("list", "--json").stdout`, `.stderr`, `.exit_code`."""

    def run_command(*words: str) -> Result:
        return CliRunner().invoke(app, words, prog_name="mta-sts")

    return run_command
