"""A change is whole: wherever it breaks off, whoever comes next records it with its reason and its id, once."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from azure.data.tables import TableClient

from dev.azurite import ACCOUNT, ACCOUNT_KEY, Azurite
from policy_store.audit import audit
from policy_store.changes import operations
from policy_store.changes.change import Change, Failed, Planned, Unchanged
from policy_store.changes.many import attempt, write_all
from policy_store.changes.operations import Wanted
from policy_store.exchange.importer import Importer
from policy_store.exchange.proposal import Proposal
from policy_store.policy import Policy
from policy_store.settings import Settings
from policy_store.tables.history import key_of
from policy_store.tables.row import Row
from policy_store.tables.store import Store
from tests.changes.cutting import CuttingProxy, Phase
from tests.changes.world import World, desk_at

_TESTING = Policy(mode="testing", mx=("mx1.example.com",), max_age=604800)
_ENFORCED = Policy(mode="enforce", mx=("mx1.example.com",), max_age=604800)
_DOMAIN = "contoso.com"
_WHY = "asked for by Ann"
_KEPT = "20200101a"

type Step = Callable[[Store], Planned]
type Merge = Callable[..., object]

_PROGRAM = "from policy_store.cli import main; main()"


def _address(port: int) -> str:
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
        f"TableEndpoint=http://127.0.0.1:{port}/{ACCOUNT};"
    )


def _open(port: int) -> Store:
    return Store.open(Settings.read({"POLICY_STORE": _address(port)}))


@pytest.fixture
def store(azurite: Azurite, tables: tuple[TableClient, TableClient]) -> Store:
    """The store, with both tables empty, without anything between."""
    return _open(azurite.port)


@pytest.fixture
def merge(tables: tuple[TableClient, TableClient]) -> Merge:
    """Edit some cells of the row by hand."""
    return lambda **cells: tables[0].update_entity({"PartitionKey": _DOMAIN, "RowKey": "policy", **cells})


def _add(store: Store) -> Planned:
    desk = desk_at(datetime.now(UTC), World(), store)
    return operations.add(desk, store.entry(_DOMAIN), _TESTING, why=_WHY)


def _edit(store: Store) -> Planned:
    desk = desk_at(datetime.now(UTC), World(), store)
    return operations.edit(desk, store.entry(_DOMAIN), Wanted(max_age=1209600, note=_WHY))


def _promote(store: Store) -> Planned:
    desk = desk_at(datetime.now(UTC), World(("mx1.example.com",), "1", _TESTING.text), store)
    return operations.promote(desk, store.entry(_DOMAIN), reports=None, why=_WHY, force=True)


def _retire(store: Store) -> Planned:
    return operations.retire(desk_at(datetime.now(UTC), World(), store), store.entry(_DOMAIN), why=_WHY)


def _import(store: Store) -> Planned:
    desk = desk_at(datetime.now(UTC), World(id=_KEPT), store)
    proposal = Proposal("a.csv", 2, _DOMAIN, "testing", ("mx1.example.com",), 604800)
    return Importer(desk, keep_ids=True).decide(proposal)


def _carry_out(step: Step, store: Store) -> Planned:
    planned = attempt(lambda: step(store), _DOMAIN)
    return next(write_all(store, [planned])) if isinstance(planned, Change) else planned


def _record(store: Store) -> None:
    audit(store.entries(), store.policies, store.history, by="audit", tell=lambda _: None)


# The operations, and whether the domain has a policy before.
STEPS: dict[str, tuple[Step, bool]] = {
    "add": (_add, False),
    "edit": (_edit, True),
    "promote": (_promote, True),
    "retire": (_retire, True),
    "import": (_import, False),
}


@pytest.mark.parametrize("number", range(2, 7))
@pytest.mark.parametrize("phase", ["before", "after"])
@pytest.mark.parametrize("name", ["add", "edit", "import"])
def test_a_change_that_breaks_off_is_there_whole_after_it_is_repeated(
    azurite: Azurite, store: Store, name: str, number: int, phase: Phase
) -> None:
    """The reason and the id are in the history once, whoever recorded them."""
    breaks_off(azurite, store, name, number, phase, audited=number % 2 == 0)


def breaks_off(azurite: Azurite, store: Store, name: str, number: int, phase: Phase, *, audited: bool) -> None:
    """Cut the line of an operation at a point, have the store audited meanwhile or not, and repeat the operation."""
    step, exists = STEPS[name]
    if exists:
        store.history.record(store.policies.add(_DOMAIN, _TESTING), store.policies, by="before")
    with CuttingProxy(azurite.port, number, phase) as proxy:
        first = _carry_out(step, _open(proxy.port))
        was_cut = proxy.cut.is_set()
    if not was_cut:
        assert isinstance(first, Change)
    if audited:
        _record(store)
    again = _carry_out(step, store)
    assert isinstance(again, (Change, Unchanged)), again
    newest = store.history.revisions(_DOMAIN)[-1]
    row = store.policies.get(_DOMAIN)
    assert row
    assert row.policy.text == newest.text
    assert again.id == newest.id
    assert again.publish_from is not None
    assert [revision.note for revision in store.history.revisions(_DOMAIN)].count(newest.note) == 1
    assert newest.by == "ada@contoso"
    assert newest.note.startswith("imported" if name == "import" else _WHY)
    if name == "import":
        assert newest.id == _KEPT


class TestHandEdits:
    def test_one_that_leaves_the_text_does_not_matter(
        self, store: Store, merge: Merge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A note that somebody writes between the write and its read-back."""
        _between(monkeypatch, lambda: merge(note="by hand"))
        made = _carry_out(_add, store)
        assert isinstance(made, Change)
        (revision,) = store.history.revisions(_DOMAIN)
        assert (made.id, revision.note) == (revision.id, _WHY)

    @pytest.mark.parametrize("cells", [{"mode": "none"}, {"mode": "enforced"}])
    def test_one_that_replaces_the_text_is_told_and_the_text_is_recorded(
        self, store: Store, merge: Merge, monkeypatch: pytest.MonkeyPatch, cells: dict[str, str]
    ) -> None:
        _between(monkeypatch, lambda: merge(**cells))
        failed = _carry_out(_add, store)
        assert isinstance(failed, Failed)
        assert "somebody else changed the row right after" in str(failed.reasons[0])
        (revision,) = store.history.revisions(_DOMAIN)
        assert (revision.text, revision.note) == (_TESTING.text, _WHY)

    def test_the_reason_of_a_text_that_comes_back_by_hand_is_not_given_again(self, store: Store, merge: Merge) -> None:
        assert isinstance(_carry_out(_add, store), Change)
        merge(mode="none")
        _record(store)
        merge(mode="testing")
        _record(store)
        assert [revision.note for revision in store.history.revisions(_DOMAIN)] == [
            _WHY,
            "changed by hand",
            "changed by hand",
        ]


class TestIds:
    def test_an_id_that_a_revision_has_is_never_given_again(self, store: Store) -> None:
        """Neither a kept one, nor one that is the time of a later row."""
        assert isinstance(_carry_out(_import, store), Change)
        assert isinstance(_carry_out(_edit, store), Change)
        row = store.policies.get(_DOMAIN)
        assert isinstance(row, Row)
        back = store.policies.replace(_DOMAIN, row.etag, _TESTING)
        revision = store.history.record(back, store.policies, by="test", policy_id=_KEPT)
        assert revision.id != _KEPT
        ids = [revision.id for revision in store.history.revisions(_DOMAIN)]
        assert len(ids) == len(set(ids))

    def test_behind_a_revision_dated_ahead_the_next_one_is_still_the_newest(
        self, store: Store, tables: tuple[TableClient, TableClient]
    ) -> None:
        """One text has one id: the one that was told stays."""
        key = key_of(datetime.now(UTC) + timedelta(hours=1))
        tables[1].create_entity({"PartitionKey": _DOMAIN, "RowKey": key, "id": key, "text": _ENFORCED.text})
        made = _carry_out(_add, store)
        assert isinstance(made, Change)
        _record(store)
        revisions = store.history.revisions(_DOMAIN)
        assert revisions[-1].text == _TESTING.text
        assert made.id == revisions[-1].id
        assert len(revisions) == 2


@pytest.mark.parametrize("number", range(1, 6))
def test_a_process_that_is_killed_leaves_a_change_that_the_next_one_finishes(
    azurite: Azurite, store: Store, number: int
) -> None:
    """Killed at each point of the conversation, as by a power cut."""
    words = ("add", _DOMAIN, "--mx", "mx1.example.com", "--note", _WHY)
    running: list[subprocess.Popen[str]] = []

    def kill() -> None:
        running[0].kill()

    with CuttingProxy(azurite.port, number, "after", kill) as proxy:
        running.append(_mta_sts(words, proxy.port))
        assert running[0].wait(60) != 0
        running[0].communicate()
    done = _mta_sts(words, azurite.port)
    said, _ = done.communicate(timeout=60)
    assert done.returncode == 0, said
    (revision,) = store.history.revisions(_DOMAIN)
    assert revision.note == _WHY
    assert revision.id in said


def _mta_sts(words: tuple[str, ...], port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *words],
        env=os.environ | {"POLICY_STORE": _address(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _between(monkeypatch: pytest.MonkeyPatch, edit: Callable[[], object]) -> None:
    """Have somebody edit by hand between the command's write of a row and its read-back."""
    create = TableClient.create_entity

    def create_then_edit(self: TableClient, entity: dict[str, object], **words: object) -> object:
        written = create(self, entity, **words)
        if entity["RowKey"] == "policy":
            edit()
        return written

    monkeypatch.setattr(TableClient, "create_entity", create_then_edit)
