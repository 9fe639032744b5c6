"""The table `policyhistory`: recording is idempotent whoever does it at whatever time, and nothing is lost."""

import logging
import multiprocessing
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import batched, pairwise
from multiprocessing.synchronize import Barrier

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableClient

from dev.azurite import Azurite
from policy_store.policy import Policy, PolicySyntaxError
from policy_store.tables.entry import Entry, walk
from policy_store.tables.history import History, Revision, key_of
from policy_store.tables.policies import PolicyTable, RowExists
from policy_store.tables.row import InvalidRow, Row

_A = Policy(mode="testing", mx=("mx.contoso.com",), max_age=604800)
_B = Policy(mode="enforce", mx=("mx.contoso.com",), max_age=604800)
_C = Policy(mode="enforce", mx=("*.contoso.com",), max_age=604800)
_START = datetime(2026, 1, 31, 23, 59, 58, 700_000, tzinfo=UTC)
_ROUNDS = 50
_SECONDS_AT_BARRIER = 30


def _write(policies: PolicyTable, policy: Policy, second: int, domain: str = "contoso.com") -> Row:
    """Write the row and take it to have been written so many seconds after the start."""
    try:
        written = policies.add(domain, policy)
    except RowExists:
        row = policies.get(domain)
        assert row is not None
        written = policies.replace(domain, row.etag, policy)
    return replace(written, modified=_START + timedelta(seconds=second))


def _keys_and_texts(revisions: Sequence[Revision]) -> list[tuple[str, str]]:
    return [(revision.key, revision.text) for revision in revisions]


class TestKeyOf:
    def test_utc_seconds(self) -> None:
        """The key is the time in UTC, cut to whole seconds, wherever the clock stands."""
        there = _START.astimezone(timezone(timedelta(hours=5, minutes=30)))
        assert key_of(_START) == key_of(there) == "20260131235958Z"


class TestRecord:
    def test_first(self, policies: PolicyTable, history: History, history_client: TableClient) -> None:
        """The revision's key and id are the row's Timestamp in UTC seconds; its columns show people what it holds."""
        row = policies.add("contoso.com", _A)
        revision = history.record(row, policies, by="ann", note="moved in")
        assert revision == Revision(
            "contoso.com", key_of(row.modified), key_of(row.modified), _A.text, "ann", "moved in"
        )
        assert revision.since == row.modified.replace(microsecond=0)
        assert revision.policy == _A
        assert history.revisions("contoso.com") == [revision]
        assert dict(history_client.get_entity("contoso.com", revision.key)) == {
            "PartitionKey": "contoso.com",
            "RowKey": revision.key,
            "id": revision.key,
            "text": _A.text,
            "mode": "testing",
            "mx": "mx.contoso.com",
            "max_age": 604800,
            "by": "ann",
            "note": "moved in",
        }

    def test_again(self, policies: PolicyTable, history: History) -> None:
        """Recording a version twice gives the revision that is there, with its first recorder."""
        row = _write(policies, _A, 0)
        first = history.record(row, policies, by="ann")
        assert history.record(row, policies, by="audit") == first
        assert history.revisions("contoso.com") == [first]

    def test_same_text(self, policies: PolicyTable, history: History) -> None:
        """A new version of the row with the same text is no revision: its id may stay in DNS."""
        first = history.record(_write(policies, _A, 0), policies, by="ann")
        assert history.record(_write(policies, _A, 10), policies, by="ann") == first
        assert history.revisions("contoso.com") == [first]

    def test_an_old_text_comes_back(self, policies: PolicyTable, history: History) -> None:
        """Going back to an old text is a revision with an id of its own, or senders would keep the text between."""
        for second, policy in enumerate([_A, _B, _A]):
            history.record(_write(policies, policy, second), policies, by="ann")
        revisions = history.revisions("contoso.com")
        assert [revision.text for revision in revisions] == [_A.text, _B.text, _A.text]
        assert len({revision.id for revision in revisions}) == 3

    def test_two_edits_in_one_second(self, policies: PolicyTable, history: History) -> None:
        """Two texts of one second, recorded as they were written, are two revisions a second apart."""
        history.record(_write(policies, _A, 0), policies, by="ann")
        current = _write(policies, _B, 0)
        second = history.record(current, policies, by="ann")
        assert history.record(current, policies, by="audit") == second
        assert _keys_and_texts(history.revisions("contoso.com")) == [
            ("20260131235958Z", _A.text),
            ("20260131235959Z", _B.text),
        ]

    def test_three_edits_in_one_second_and_one_in_the_next(self, policies: PolicyTable, history: History) -> None:
        """However many texts fall into one second, keys grow and the newest revision is the row's text."""
        for second, policy in [(0, _A), (0, _B), (0, _C), (1, _A), (1, _B)]:
            row = _write(policies, policy, second)
            history.record(row, policies, by="ann")
            assert history.revisions("contoso.com")[-1].text == row.policy.text
        revisions = history.revisions("contoso.com")
        assert [revision.text for revision in revisions] == [_A.text, _B.text, _C.text, _A.text, _B.text]
        assert all(older.key < newer.key for older, newer in pairwise(revisions))

    def test_the_older_of_two_edits_in_one_second_is_recorded_last(
        self, policies: PolicyTable, history: History
    ) -> None:
        """A version that was replaced within its second leaves no revision behind the newer one."""
        old, current = _write(policies, _A, 0), _write(policies, _B, 0)
        newest = history.record(current, policies, by="ann")
        assert history.record(old, policies, by="bob") == newest
        assert history.revisions("contoso.com") == [newest]

    def test_a_row_that_is_gone(self, policies: PolicyTable, history: History) -> None:
        """A version whose second is taken, and whose row was deleted or broken since, leaves no revision."""
        first = history.record(_write(policies, _A, 0), policies, by="ann")
        row = _write(policies, _B, 0)
        policies.delete("contoso.com", row.etag)
        assert history.record(row, policies, by="ann") == first

    def test_a_row_that_is_broken_now(
        self, policies: PolicyTable, policies_client: TableClient, history: History
    ) -> None:
        """A version whose second is taken, and whose row was broken since, leaves no revision."""
        first = history.record(_write(policies, _A, 0), policies, by="ann")
        row = _write(policies, _B, 0)
        policies_client.upsert_entity({"PartitionKey": "contoso.com", "RowKey": "policy", "mode": "on"})
        assert history.record(row, policies, by="ann") == first

    def test_a_late_recorder(self, policies: PolicyTable, history: History) -> None:
        """An old version recorded late takes its own place, and the newest revision stays the newest."""
        old = _write(policies, _A, 0)
        newest = history.record(_write(policies, _B, 10), policies, by="ann")
        late = history.record(old, policies, by="bob")
        assert late.key == "20260131235958Z"
        assert history.record(old, policies, by="audit") == late
        assert history.revisions("contoso.com") == [late, newest]

    def test_a_late_recorder_of_the_same_text(self, policies: PolicyTable, history: History) -> None:
        """An old version recorded late, whose text was in force already, is the revision of that text."""
        first = history.record(_write(policies, _A, 0), policies, by="ann")
        again = _write(policies, _A, 5)
        newest = history.record(_write(policies, _B, 10), policies, by="ann")
        assert history.record(again, policies, by="bob") == first
        assert history.revisions("contoso.com") == [first, newest]

    def test_policy_id(self, policies: PolicyTable, history: History) -> None:
        """An import keeps the id that DNS shows; the key is the row's time all the same."""
        revision = history.record(_write(policies, _A, 0), policies, by="import", policy_id="1")
        assert (revision.key, revision.id) == ("20260131235958Z", "1")
        assert history.revisions("contoso.com") == [revision]

    def test_a_broken_row_holds_the_key(
        self, policies: PolicyTable, history: History, history_client: TableClient
    ) -> None:
        """A row that is no revision is passed over, by every recorder alike."""
        row = _write(policies, _A, 0)
        history_client.create_entity({"PartitionKey": "contoso.com", "RowKey": key_of(row.modified), "id": "no id"})
        revision = history.record(row, policies, by="ann")
        assert revision.key == "20260131235959Z"
        assert history.record(row, policies, by="bob") == revision
        newest = history.record(_write(policies, _B, 5), policies, by="ann")
        assert history.record(row, policies, by="bob") == revision
        assert history.revisions("contoso.com") == [revision, newest]

    def test_no_table(self, policies: PolicyTable, history: History, history_client: TableClient) -> None:
        """A missing table is a failure of storage, not an empty history."""
        history_client.delete_table()
        with pytest.raises(ResourceNotFoundError, match="TableNotFound"):
            history.record(_write(policies, _A, 0), policies, by="ann")


class _HeldHistory(History):
    """Waits for another recorder between its first read of a domain's history and its first insert."""

    def __init__(self, client: TableClient, barrier: Barrier) -> None:
        super().__init__(client)
        self._barrier = barrier
        self._held: set[str] = set()

    def _add(self, revision: Revision, policy: Policy) -> bool:
        if revision.domain not in self._held:
            self._held.add(revision.domain)
            self._barrier.wait(_SECONDS_AT_BARRIER)
        return super()._add(revision, policy)


_barrier: Barrier


def _take_barrier(barrier: Barrier) -> None:
    global _barrier  # noqa: PLW0603 a barrier reaches a process of a pool only at its start
    _barrier = barrier


def _record_all(connection_string: str, tables: tuple[str, str], rows: list[Row], by: str) -> list[Revision]:
    policies, history = (TableClient.from_connection_string(connection_string, table) for table in tables)
    with policies, history:
        held = _HeldHistory(history, _barrier)
        return [held.record(row, PolicyTable(policies), by=by) for row in rows]


class TestRecordersAtOnce:
    def test_two_processes(self, azurite: Azurite, policies_client: TableClient, history_client: TableClient) -> None:
        """Two processes, both held between reading the history and inserting, record one version once; of two
        versions of one second, the row's is the newest revision.
        """
        policies, history = PolicyTable(policies_client), History(history_client)
        alike = [_write(policies, _A, 0, f"alike{number}.example") for number in range(_ROUNDS)]
        old = [_write(policies, _A, 0, f"two{number}.example") for number in range(_ROUNDS // 2)]
        current = [_write(policies, _B, 0, row.domain) for row in old]
        tables = policies_client.table_name, history_client.table_name
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(2, spawn, _take_barrier, (spawn.Barrier(2),)) as processes:
            ann = processes.submit(_record_all, azurite.connection_string, tables, alike + old, "ann")
            bob = processes.submit(_record_all, azurite.connection_string, tables, alike + current, "bob")
            of_ann, of_bob = ann.result(), bob.result()
        recorded = defaultdict(list)
        for revision in history.all_revisions():
            recorded[revision.domain].append(revision)
        for row, first, second in zip(alike, of_ann, of_bob, strict=False):
            assert first == second
            assert recorded[row.domain] == [first]
        for row, revision in zip(current, of_bob[_ROUNDS:], strict=True):
            assert recorded[row.domain][-1] == revision
            assert revision.text == _B.text
            assert len(recorded[row.domain]) <= 2


class TestRevisions:
    def test_more_than_a_page(self, history: History, history_client: TableClient) -> None:
        """All revisions of a domain come, the oldest first, over the 1,000 of a page; other domains' do not."""
        keys = [key_of(_START + timedelta(seconds=number)) for number in range(1050)]
        cells = {"text": _A.text, "by": "ann"}
        for chunk in batched(keys, 100, strict=False):
            history_client.submit_transaction(
                ("create", {"PartitionKey": "contoso.com", "RowKey": key, "id": key, **cells}) for key in chunk
            )
        history_client.create_entity({"PartitionKey": "fabrikam.com", "RowKey": keys[0], "id": "1", **cells})
        assert [revision.key for revision in history.revisions("contoso.com")] == keys
        assert [revision.key for revision in history.all_revisions()] == [*keys, keys[0]]
        assert [revision.domain for revision in history.all_revisions(after="contoso.com")] == ["fabrikam.com"]

    @pytest.mark.parametrize(
        "broken",
        [
            {"RowKey": "1"},
            {"RowKey": "20261301000000Z"},
            {"RowKey": "20260101000000"},
            {"id": None},
            {"id": "not an id"},
            {"id": "a" * 33},
            {"id": 20260101},
            {"text": None},
            {"text": 1},
        ],
        ids=str,
    )
    def test_broken_rows(
        self, broken: dict[str, object], history: History, history_client: TableClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A row that no recorder wrote is left out and logged as an error that names it."""
        entity = {"PartitionKey": "contoso.com", "RowKey": "20260101000000Z", "id": "1", "text": _A.text}
        changed = {name: value for name, value in (entity | broken).items() if value is not None}
        history_client.create_entity({**entity, "RowKey": "20250101000000Z"})
        history_client.create_entity(changed)
        with caplog.at_level(logging.ERROR, "policy_store"):
            assert [revision.key for revision in history.revisions("contoso.com")] == ["20250101000000Z"]
        (record,) = caplog.records
        assert record.name == "policy_store.tables.history"
        assert str(changed["RowKey"]) in record.message
        assert "contoso.com" in record.message

    def test_a_text_that_is_no_policy(self, history: History, history_client: TableClient) -> None:
        """A text is shown as it is stored; who wants its policy is told what is wrong."""
        history_client.create_entity(
            {"PartitionKey": "contoso.com", "RowKey": "20260101000000Z", "id": "1", "text": "mode: on"}
        )
        (revision,) = history.revisions("contoso.com")
        assert revision.text == "mode: on"
        with pytest.raises(PolicySyntaxError):
            _ = revision.policy

    def test_a_quote_in_the_domain(self, history: History) -> None:
        """A domain never becomes a part of the query."""
        assert history.revisions("' or PartitionKey ne '") == []


class TestWalk:
    def test_merges_both_tables(self, policies: PolicyTable, policies_client: TableClient, history: History) -> None:
        """Every domain of either table comes once in key order, with its row, unreachable rows and revisions."""
        both = policies.add("b.example", _A)
        revisions = (history.record(_write(policies, _B, 0, "b.example"), policies, by="ann"),)
        gone = policies.add("a.example", _A)
        history.record(gone, policies, by="ann")
        policies.delete("a.example", gone.etag)
        new = policies.add("c.example", _C)
        policies_client.upsert_entity({"PartitionKey": "c.example", "RowKey": "Policy", "mode": "none", "max_age": 1})
        policies_client.upsert_entity({"PartitionKey": "d.example", "RowKey": "policy", "mode": "on"})
        entries = {entry.domain: entry for entry in walk(policies, history)}
        assert list(entries) == ["a.example", "b.example", "c.example", "d.example"]
        assert entries["a.example"].row is None
        assert [revision.text for revision in entries["a.example"].revisions] == [_A.text]
        assert entries["b.example"] == Entry("b.example", policies.get("b.example"), (), revisions)
        assert entries["b.example"].row != both
        assert entries["c.example"].row == new
        assert [row.row_key for row in entries["c.example"].unreachable] == ["Policy"]
        assert isinstance(entries["d.example"].row, InvalidRow)
        assert [entry.domain for entry in walk(policies, history, after="b.example")] == ["c.example", "d.example"]
