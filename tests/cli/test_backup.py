"""backup and restore, on a real table service."""

from pathlib import Path

import pytest
from azure.data.tables import TableClient

from policy_store.policy import Policy
from policy_store.tables.store import Store
from tests.cli.conftest import Run

_POLICY = Policy(mode="testing", mx=("mx.contoso.com",), max_age=604800)


@pytest.fixture
def backup(run: Run, store: Store, tmp_path: Path) -> str:
    """A backup of two domains."""
    for domain in ("a.example", "b.example"):
        store.history.record(store.policies.add(domain, _POLICY, "note"), store.policies, by="tests")
    file = str(tmp_path / "all.jsonl.gz")
    done = run("backup", file)
    assert (done.exit_code, done.stdout) == (0, f"2 revisions, 2 policies are in {file}\n")
    return file


def test_rows_that_were_deleted_come_back_with_their_ids(
    run: Run, store: Store, tables: tuple[TableClient, TableClient], backup: str
) -> None:
    before = store.history.revisions("a.example")
    tables[0].delete_entity("a.example", "policy")
    dry = run("restore", backup, "--dry-run")
    assert dry.exit_code == 0
    assert "a.example: would be put back\n" in dry.stdout
    assert store.policies.get("a.example") is None
    done = run("restore", backup)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1:] == [
        "a.example: put back",
        "revisions: 0 put back, 2 there already, 0 kept unchanged, 0 held back",
        "policies: 1 put back, 1 there already, 0 kept unchanged, 0 held back",
    ]
    row = store.policies.get("a.example")
    assert row
    assert (row.policy, row.note) == (_POLICY, "note")
    assert run("audit").exit_code == 0
    assert store.history.revisions("a.example") == before


def test_an_older_policy_is_held_back_and_that_is_a_problem(
    run: Run, store: Store, tables: tuple[TableClient, TableClient], backup: str
) -> None:
    row = store.policies.get("a.example")
    assert row
    row = store.policies.replace("a.example", row.etag, _POLICY.model_copy(update={"max_age": 1209600}))
    revision = store.history.record(row, store.policies, by="tests")
    tables[0].delete_entity("a.example", "policy")
    done = run("restore", backup)
    assert done.exit_code == 1
    assert f"mta-sts rollback a.example {revision.key}" in done.stderr


def test_a_file_that_is_there_is_overwritten_by_force_only(run: Run, backup: str) -> None:
    refused = run("backup", backup)
    assert (refused.exit_code, "--force" in refused.stderr) == (2, True)
    assert run("backup", backup, "--force").exit_code == 0


def test_a_file_that_is_cut_writes_nothing(run: Run, backup: str) -> None:
    Path(backup).write_bytes(Path(backup).read_bytes()[:-20])
    done = run("restore", backup)
    assert done.exit_code == 2
    assert done.stderr.endswith("Nothing was written.\n")


def test_what_is_not_a_backup_is_wrong_use(run: Run, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("domain,mx\n")
    assert run("restore", str(tmp_path / "list.csv")).exit_code == 2
    assert run("restore", str(tmp_path / "nowhere")).exit_code == 2
    assert run("backup", str(tmp_path / "nowhere" / "x")).exit_code == 2
