"""The command `audit` on a real table service: what it records, tells and returns."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from azure.data.tables import TableClient

from dev.azurite import Azurite
from policy_store.cli import session
from policy_store.tables.store import Store
from tests.cli.conftest import Run

_MTA_STS = Path(sys.executable).parent / "mta-sts"


def _cells(domain: str, row_key: str = "policy", mode: str = "testing") -> dict[str, str | int]:
    return {"PartitionKey": domain, "RowKey": row_key, "mode": mode, "mx": "mx1.example.com", "max_age": 604800}


@pytest.fixture
def rows(tables: tuple[TableClient, TableClient]) -> TableClient:
    return tables[0]


def test_a_hand_edit_is_recorded_with_who_ran_the_audit(run: Run, store: Store, rows: TableClient) -> None:
    rows.create_entity(_cells("contoso.com"))
    done = run("audit")
    assert done.exit_code == 0, done.output
    assert done.stdout == "1 domains: 1 recorded, 0 invalid, 0 that no request finds, 0 vanished\n"
    (revision,) = store.history.revisions("contoso.com")
    assert (revision.by, revision.note) == (f"audit by {session.operator()}", "changed by hand")


def test_what_a_person_has_to_mend_is_shown_in_80_columns(run: Run, rows: TableClient) -> None:
    rows.create_entity(_cells("contoso.com", mode="enforced"))
    rows.create_entity(_cells("fabrikam.com", row_key="Policy"))
    rows.create_entity(_cells("gone.example"))
    run("audit")
    rows.delete_entity(_cells("gone.example"))
    done = run("audit")
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "domain        problem                                                           ",
        "contoso.com   the row is invalid, nothing is served: mode is 'enforced': it must",
        "              be testing, enforce or none: fix it with 'mta-sts edit'           ",
        "fabrikam.com  no request finds the row: RowKey is 'Policy': it must be 'policy',",
        "              or no request finds the row: add it under the right keys          ",
        "gone.example  the row is gone, but senders may keep the policy: bring it back   ",
        "              with 'mta-sts rollback', then retire it                           ",
        "",
        "3 domains: 0 recorded, 1 invalid, 1 that no request finds, 1 vanished",
    ]


def test_a_row_under_the_name_of_a_policy_host_is_a_warning(run: Run, rows: TableClient) -> None:
    rows.create_entity(_cells("mta-sts.contoso.com"))
    done = run("audit")
    assert done.exit_code == 0
    assert "is contoso.com meant?" in " ".join(done.stdout.split())
    assert done.stdout.splitlines()[-1].endswith("0 vanished, 1 under the name of a policy host")


def test_json(run: Run, rows: TableClient) -> None:
    rows.create_entity(_cells("contoso.com"))
    rows.create_entity(_cells("fabrikam.com", mode="enforced"))
    done = run("audit", "--json")
    assert done.exit_code == 1
    result = json.loads(done.stdout)
    version = result["problems"][0].pop("version")
    assert version == rows.get_entity("fabrikam.com", "policy").metadata["etag"]
    assert result == {
        "domains": 2,
        "recorded": 1,
        "invalid_row": 1,
        "unreachable_row": 0,
        "vanished_row": 0,
        "not_recorded": 0,
        "policy_host_domain": 0,
        "next_after": "",
        "problems": [
            {
                "domain": "fabrikam.com",
                "code": "invalid_row",
                "severity": "error",
                "message": "the row is invalid, nothing is served: mode is 'enforced': "
                "it must be testing, enforce or none: fix it with 'mta-sts edit'",
            }
        ],
    }


def test_an_empty_store_is_no_problem(run: Run) -> None:
    assert run("audit").exit_code == 0


@pytest.mark.usefixtures("store")
def test_a_real_process(azurite: Azurite, rows: TableClient) -> None:
    """The installed command, on the store that --store names."""
    rows.create_entity(_cells("contoso.com"))
    command = [str(_MTA_STS), "audit", "--store", azurite.connection_string]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[-1].startswith("1 domains: 1 recorded")


def test_storage_that_cannot_be_reached_is_one_sentence(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    nowhere = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;TableEndpoint=http://127.0.0.1:9/a;"
    monkeypatch.setenv("POLICY_STORE", nowhere)
    done = run("audit")
    assert done.exit_code == 3
    assert done.stdout == ""
    assert done.stderr.startswith("The store cannot be reached: ")
    assert done.stderr.count("\n") == 1


def test_an_identity_that_is_not_there_is_one_sentence() -> None:
    """A real process: azure-identity has much to say about what it tried, and the command says it in one line."""
    # Without "dev" it would also ask the metadata service of a virtual machine.
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "AZURE_TOKEN_CREDENTIALS": "dev"}
    command = [str(Path(sys.executable).with_name("mta-sts")), "audit", "--store", "https://nowhere.invalid"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "az login" in done.stderr
