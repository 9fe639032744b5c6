"""docs/tour.md: every line runs as printed, in its order, with the exit code that the remark behind it says."""

import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.data.tables import TableClient, UpdateMode

from dev import samples
from dev.azurite import Azurite
from policy_store.cli import session
from policy_store.tables.store import Store
from tests.cli.conftest import Run, run, store
from tests.command_lines import blocks, command_of, options
from tests.end_to_end.senders.names import DnsServer

__all__ = ["run", "store"]  # fixtures of the command's own tests

_PAGE = (Path(__file__).parents[1] / "docs" / "tour.md").read_text(encoding="utf-8")
_ANY_ID = "20261124193000Z"
_NOT_RUN = {"make run", 'export AZURE_STORAGE_CONNECTION_STRING="$POLICY_STORE"'}
_HAND_EDIT = ("az", "storage", "entity", "merge", "--table-name", "policies", "--entity")

# What the administrator's DNS holds: mail comes in, and no record for MTA-STS is there.
_ZONE = {
    "contoso.example": {"MX": ["0 contoso-example.mail.protection.outlook.com."]},
    "fabrikam.example": {"MX": ["0 fabrikam-example.a-v1.mx.microsoft."]},
}


def _expected(line: str) -> int:
    """The exit code that the remark behind the command says."""
    said = re.search(r"  # exit code ([0-9])", line)
    return int(said[1]) if said else 0


@pytest.fixture
def samples_loaded(store: Store, azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store of a fresh `make run`, two minutes after it: every worker serves the samples."""
    samples.load(azurite.connection_string)
    monkeypatch.setattr(session, "now", lambda: datetime.now(UTC) + timedelta(minutes=2))
    monkeypatch.setenv("POLICY_STORE", azurite.connection_string)  # the line that `make run` prints
    return store


def test_every_command_runs_in_order_with_the_exit_code_that_the_page_says(
    run: Run, samples_loaded: Store, tables: tuple[TableClient, TableClient], tmp_path: Path
) -> None:
    """Hand edits are made as `az` would make them. The command runs in `tmp_path`."""
    (csv,) = blocks(_PAGE, "csv")
    (tmp_path / "domains.csv").write_text(csv)
    known = options()
    with DnsServer(_ZONE) as dns:
        for line in "".join(blocks(_PAGE, "sh")).splitlines():
            words = tuple(shlex.split(line, comments=True))
            if line in _NOT_RUN:
                continue
            if words[: len(_HAND_EDIT)] == _HAND_EDIT:
                cells = dict(word.split("=", 1) for word in words[len(_HAND_EDIT) :])
                tables[0].update_entity(cells, mode=UpdateMode.MERGE)
                continue
            assert words[0] == "mta-sts", f"nobody runs this line here: {line}"
            if words[1] == "rollback":
                oldest = samples_loaded.history.revisions(words[2])[0]
                words = tuple(oldest.id if word == _ANY_ID else word for word in words)
            if "--resolver" in known[command_of(words[1:], known)] and words[1] != "list":
                words += ("--resolver", f"127.0.0.1:{dns.port}")
            done = run(*words[1:])
            assert (line, done.exit_code) == (line, _expected(line)), done.output
    rows = {row.domain: row for row in samples_loaded.policies.rows()}
    assert set(rows) == {
        *("adatum.example", "contoso.example", "fabrikam.example", "litware.example", "northwind.example"),
        *("margiestravel.example", "tailspin.example", "treyresearch.example", "woodgrove.example"),
        "xn--bcher-kva.example",
    }
