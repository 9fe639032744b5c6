"""Backup and restore, on a real table service: all comes back, and nothing that is newer is touched."""

import gzip
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from azure.data.tables import EdmType, EntityProperty, TableClient

from policy_store.exchange.backup import BackupError, back_up, check, compressing, to_json
from policy_store.exchange.restore import Restored, restore
from policy_store.policy import Policy
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.history import History
from policy_store.tables.policies import TABLE as POLICY_TABLE
from policy_store.tables.policies import PolicyTable
from policy_store.tables.row import Row

_NOW = datetime(2026, 11, 26, 7, 0, tzinfo=UTC)
_REPORTS = "tlsreports"

type Tables = dict[str, TableClient]


@pytest.fixture
def new_tables(new_table: Callable[[], TableClient]) -> Callable[[], Tables]:
    """Make the tables of a store, empty."""
    return lambda: {HISTORY_TABLE: new_table(), _REPORTS: new_table(), POLICY_TABLE: new_table()}


@pytest.fixture
def tables(new_tables: Callable[[], Tables]) -> Tables:
    """A store with three domains, of which one has two revisions and one a row without a policy, and a report."""
    tables = new_tables()
    _write(tables, "a.example", max_age=86400)
    _write(tables, "a.example", max_age=604800)
    _write(tables, "b.example")
    tables[POLICY_TABLE].create_entity({"PartitionKey": "c.example", "RowKey": "policy", "mode": "enforced"})
    tables[_REPORTS].create_entity({"PartitionKey": "20261125", "RowKey": "a.example~x", "count": 7})
    return tables


def _write(tables: Tables, domain: str, *, max_age: int = 604800) -> Row:
    """Write a policy and record it, as the command does."""
    policies, history = PolicyTable(tables[POLICY_TABLE]), History(tables[HISTORY_TABLE])
    policy = Policy(mode="testing", mx=("mx.contoso.com",), max_age=max_age)
    row = policies.get(domain)
    row = policies.replace(domain, row.etag, policy, "note") if row else policies.add(domain, policy, "note")
    history.record(row, policies, by="tests", note="why")
    return row


def _saved(tables: Tables, path: Path) -> dict[str, int]:
    with path.open("wb") as file, compressing(path, file) as content:
        return back_up(tables, content, now=_NOW)


def _cells(tables: Tables) -> dict[str, list[dict[str, Any]]]:
    return {name: [to_json(entity) for entity in client.list_entities()] for name, client in tables.items()}


def _counts(restored: list[Restored]) -> Counter[tuple[str, str]]:
    return Counter((one.table, one.result) for one in restored)


class TestBackup:
    @pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz"])
    def test_a_backup_in_empty_tables_is_the_store_again(
        self, tables: Tables, new_tables: Callable[[], Tables], tmp_path: Path, name: str
    ) -> None:
        assert _saved(tables, tmp_path / name) == {HISTORY_TABLE: 3, _REPORTS: 1, POLICY_TABLE: 3}
        others = new_tables()
        done = _counts(list(restore(tmp_path / name, others, dry_run=False)))
        assert done == {(HISTORY_TABLE, "put back"): 3, (_REPORTS, "put back"): 1, (POLICY_TABLE, "put back"): 3}
        assert _cells(others) == _cells(tables)

    def test_every_type_of_cell_comes_back(self, new_tables: Callable[[], Tables], tmp_path: Path) -> None:
        tables, others = new_tables(), new_tables()
        cells = {
            "PartitionKey": "k'1 é", "RowKey": "policy", "text": "ü\u2028\n", "empty": "", "yes": True, "int": -5,
            "whole": 604800.0, "part": 0.1, "nan": float("nan"), "minus": float("-inf"),
            "long": EntityProperty(2**40, EdmType.INT64), "bytes": b"\0\xff", "guid": UUID(int=7),
            "time": EntityProperty("2026-11-24T19:30:00.1234567Z", EdmType.DATETIME),
        }  # fmt: skip
        tables[POLICY_TABLE].create_entity(cells)
        _saved(tables, tmp_path / "all.jsonl")
        list(restore(tmp_path / "all.jsonl", others, dry_run=False))
        assert _cells(others) == _cells(tables)
        [read] = others[POLICY_TABLE].list_entities()
        assert read["time"].tables_service_value == "2026-11-24T19:30:00.1234567Z"
        assert isinstance(read["whole"], float)

    def test_the_ids_that_dns_shows_stay(
        self, tables: Tables, new_tables: Callable[[], Tables], tmp_path: Path
    ) -> None:
        _saved(tables, tmp_path / "all.jsonl")
        others = new_tables()
        list(restore(tmp_path / "all.jsonl", others, dry_run=False))
        policies, history = PolicyTable(others[POLICY_TABLE]), History(others[HISTORY_TABLE])
        row = policies.get("a.example")
        assert row
        before = History(tables[HISTORY_TABLE]).revisions("a.example")
        assert history.record(row, policies, by="audit") == before[-1]
        assert history.revisions("a.example") == before

    def test_what_it_holds_is_said(self, tables: Tables, tmp_path: Path) -> None:
        counts = _saved(tables, tmp_path / "all.jsonl")
        contents = check(tmp_path / "all.jsonl")
        assert (contents.made, contents.rows) == (_NOW, counts)

    def test_a_table_may_have_more_rows_than_one_page_and_one_request(
        self, new_tables: Callable[[], Tables], tmp_path: Path
    ) -> None:
        tables, others = new_tables(), new_tables()
        for start in range(0, 1200, 100):
            rows = [{"PartitionKey": "a.example", "RowKey": f"{number:05}"} for number in range(start, start + 100)]
            tables[HISTORY_TABLE].submit_transaction([("create", row) for row in rows])
        _saved(tables, tmp_path / "all.jsonl")
        done = list(restore(tmp_path / "all.jsonl", others, dry_run=False))
        assert [one.row_key for one in done] == [f"{number:05}" for number in range(1200)]
        assert _cells(others) == _cells(tables)


class TestRestore:
    def test_a_dry_run_says_the_same_and_writes_nothing(
        self, tables: Tables, new_tables: Callable[[], Tables], tmp_path: Path
    ) -> None:
        _saved(tables, tmp_path / "all.jsonl")
        others = new_tables()
        dry = list(restore(tmp_path / "all.jsonl", others, dry_run=True))
        assert _cells(others) == {HISTORY_TABLE: [], _REPORTS: [], POLICY_TABLE: []}
        assert dry == list(restore(tmp_path / "all.jsonl", others, dry_run=False))

    def test_a_second_time_all_is_there(self, tables: Tables, tmp_path: Path) -> None:
        _saved(tables, tmp_path / "all.jsonl")
        assert {one.result for one in restore(tmp_path / "all.jsonl", tables, dry_run=False)} == {"there"}

    def test_only_what_is_missing_is_put_back(self, tables: Tables, tmp_path: Path) -> None:
        _saved(tables, tmp_path / "all.jsonl")
        before = _cells(tables)
        for table, keys in ((POLICY_TABLE, ("b.example", "policy")), (_REPORTS, ("20261125", "a.example~x"))):
            tables[table].delete_entity(*keys)
        done = list(restore(tmp_path / "all.jsonl", tables, dry_run=False))
        assert [(one.table, one.domain) for one in done if one.result == "put back"] == [
            (_REPORTS, "20261125"),
            (POLICY_TABLE, "b.example"),
        ]
        assert _cells(tables) == before

    def test_a_row_that_was_changed_since_stays(self, tables: Tables, tmp_path: Path) -> None:
        _saved(tables, tmp_path / "all.jsonl")
        _write(tables, "b.example", max_age=1209600)
        before = _cells(tables)
        done = list(restore(tmp_path / "all.jsonl", tables, dry_run=False))
        assert [(one.domain, one.reason) for one in done if one.result == "kept"] == [
            ("b.example", "it is there with other cells")
        ]
        assert _cells(tables) == before

    def test_a_row_whose_history_went_on_does_not_come_back_older(self, tables: Tables, tmp_path: Path) -> None:
        """It was changed after the backup, and deleted: what was in force last is in the history."""
        _saved(tables, tmp_path / "all.jsonl")
        _write(tables, "a.example", max_age=1209600)
        tables[POLICY_TABLE].delete_entity("a.example", "policy")
        newest = History(tables[HISTORY_TABLE]).revisions("a.example")[-1]
        for dry_run in (True, False):
            done = list(restore(tmp_path / "all.jsonl", tables, dry_run=dry_run))
            [held] = [one for one in done if one.result == "held back"]
            assert (held.table, held.domain) == (POLICY_TABLE, "a.example")
            assert f"mta-sts rollback a.example {newest.key}" in held.reason
        assert PolicyTable(tables[POLICY_TABLE]).get("a.example") is None

    def test_a_table_that_is_gone_is_made(
        self, tables: Tables, new_tables: Callable[[], Tables], tmp_path: Path
    ) -> None:
        _saved(tables, tmp_path / "all.jsonl")
        others = new_tables()
        for client in others.values():
            client.delete_table()
        assert {one.result for one in restore(tmp_path / "all.jsonl", others, dry_run=True)} == {"put back"}
        assert {one.result for one in restore(tmp_path / "all.jsonl", others, dry_run=False)} == {"put back"}
        assert _cells(others) == _cells(tables)

    def test_a_table_that_is_not_asked_for_is_left_alone(
        self, tables: Tables, new_tables: Callable[[], Tables], tmp_path: Path
    ) -> None:
        _saved(tables, tmp_path / "all.jsonl")
        others = new_tables()
        reports = others.pop(_REPORTS)
        list(restore(tmp_path / "all.jsonl", others, dry_run=False))
        assert list(reports.list_entities()) == []

    def test_a_revision_that_somebody_adds_meanwhile_is_kept(
        self, tables: Tables, new_tables: Callable[[], Tables], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _saved(tables, tmp_path / "all.jsonl")
        others = new_tables()
        history = others[HISTORY_TABLE]
        submit = history.submit_transaction

        def submit_late(operations: Any, **options: Any) -> Any:
            history.create_entity({key: operations[0][1][key] for key in ("PartitionKey", "RowKey")})
            return submit(operations, **options)

        monkeypatch.setattr(history, "submit_transaction", submit_late)
        done = [one for one in restore(tmp_path / "all.jsonl", others, dry_run=False) if one.table == HISTORY_TABLE]
        assert [(one.domain, one.result) for one in done] == [
            ("a.example", "kept"),
            ("a.example", "put back"),
            ("b.example", "put back"),
        ]


class TestDamage:
    @pytest.fixture
    def lines(self, tables: Tables, tmp_path: Path) -> list[bytes]:
        _saved(tables, tmp_path / "all.jsonl")
        return (tmp_path / "all.jsonl").read_bytes().splitlines(keepends=True)

    @pytest.mark.parametrize(
        ("damage", "said"),
        [
            (lambda lines: lines[:-1], "its end is missing"),
            (lambda lines: [*lines[:-1], lines[-1][:20]], "is not JSON"),
            (lambda lines: [*lines[:2], *lines[3:]], "changed or damaged"),
            (lambda lines: [lines[0], lines[1].replace(b"note", b"nose"), *lines[2:]], "changed or damaged"),
            (lambda lines: [*lines, lines[1]], "something follows the end"),
            (lambda lines: [b'[{"domain": "a.example"}]\n'], "is not an object"),
            (lambda lines: [b'{"domain": "a.example"}\n'], "is not a backup that"),
            (lambda lines: [b"domain,mx\n"], "is not JSON"),
            (lambda lines: [], "is empty"),
            (lambda lines: [gzip.compress(b"".join(lines))[:-9]], "is cut or damaged"),
        ],
        ids=[
            "without the end",
            "cut in the last line",
            "without a row",
            "with another letter",
            "put together",
            "an export",
            "another object",
            "CSV",
            "empty",
            "compressed and cut",
        ],
    )
    def test_a_file_that_is_not_whole_changes_nothing(
        self, lines: list[bytes], new_tables: Callable[[], Tables], tmp_path: Path, damage: Any, said: str
    ) -> None:
        path = tmp_path / "damaged"
        path.write_bytes(b"".join(damage(lines)))
        others = new_tables()
        with pytest.raises(BackupError, match=said):
            list(restore(path, others, dry_run=False))
        assert _cells(others) == {HISTORY_TABLE: [], _REPORTS: [], POLICY_TABLE: []}

    def test_each_line_is_json_for_other_programs(self, lines: list[bytes]) -> None:
        assert json.loads(lines[0])["tables"] == [HISTORY_TABLE, _REPORTS, POLICY_TABLE]
        assert all(isinstance(json.loads(line), dict) for line in lines)
