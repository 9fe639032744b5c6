"""What a backup has and the tables lack is put back; what is there stays as it is, and nothing older comes back.

Backup and tables are walked together in the order of their keys, so that memory stays flat.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables import TableClient, TableErrorCode, TableTransactionError

from policy_store.exchange.backup import Contents, Saved, check, from_json, saved_rows, to_json
from policy_store.pool import ordered
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.history import key_of
from policy_store.tables.policies import TABLE as POLICY_TABLE
from policy_store.tables.policies import entities_after

_AT_ONCE = 100  # rows of one partition that one request may add
_REQUEST = 3_000_000  # bytes of them; the service takes 4 MiB

type _Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of one row of a backup: put back; there already with the same cells; there with others, and kept; or
    missing, and held back all the same, with the reason.
    """

    table: str
    domain: str  # the PartitionKey
    row_key: str
    result: Literal["put back", "there", "kept", "held back"]
    reason: str = ""


def restore(path: Path, tables: Mapping[str, TableClient], *, dry_run: bool) -> Iterator[Restored]:
    """Put back the rows of `tables` that the backup has, the history before the policies, or only say which.

    Nothing is written unless the whole file is a backup: BackupError, before the first row. A revision or a report is
    put back where its key is free. The row of a policy is put back where the domain has none, unless the history has
    got a newer revision since: an old text must not come back. Tables that are missing are made. Raises an AzureError
    where a table cannot be read or written; what was put back until then is there, and the next run goes on.
    """
    contents = check(path)
    for name in sorted(contents.rows, key=lambda name: name == POLICY_TABLE):
        if name in tables:
            if not dry_run:
                with suppress(ResourceExistsError):
                    tables[name].create_table()
            yield from _restore_table(path, name, tables, contents, dry_run=dry_run)


def _restore_table(
    path: Path, name: str, tables: Mapping[str, TableClient], contents: Contents, *, dry_run: bool
) -> Iterator[Restored]:
    outcomes = _compared(saved_rows(path, name), tables[name])
    if name == POLICY_TABLE and HISTORY_TABLE in tables:
        outcomes = _without_old(outcomes, path, tables[HISTORY_TABLE])
    if dry_run:
        yield from (outcome for outcome, _ in outcomes)
        return
    for batch in ordered(lambda batch: _put_back(tables[name], batch), _batches(outcomes)):
        yield from batch


def _compared(saved: Iterable[Saved], client: TableClient) -> Iterator[tuple[Restored, Saved]]:
    """Each row of the backup, and whether the table has it."""
    there = _Cursor((_key(entity), to_json(entity)) for entity in _entities(client))
    for row in saved:
        cells = there.at(row.key)
        if cells is None:
            yield Restored(row.table, *row.key, "put back"), row
        elif cells == row.cells:
            yield Restored(row.table, *row.key, "there"), row
        else:
            yield Restored(row.table, *row.key, "kept", "it is there with other cells"), row


def _without_old(
    outcomes: Iterator[tuple[Restored, Saved]], path: Path, history: TableClient
) -> Iterator[tuple[Restored, Saved]]:
    """The rows of policies; one whose history went on after the backup stays away."""
    before = _Cursor(_newest(row.key for row in saved_rows(path, HISTORY_TABLE)))
    since = _Cursor(_newest(map(_key, _entities(history, ["PartitionKey", "RowKey"]))))
    for outcome, row in outcomes:
        domain = outcome.domain
        known = before.at((domain, "")) or (key_of(datetime.fromisoformat(row.modified)) if row.modified else "")
        newest = since.at((domain, "")) or ""
        if outcome.result == "put back" and newest > known:
            reason = f"revision {newest} is newer than the backup: 'mta-sts rollback {domain} {newest}' puts that back"
            yield replace(outcome, result="held back", reason=reason), row
        else:
            yield outcome, row


def _newest(keys: Iterable[_Key]) -> Iterator[tuple[_Key, str]]:
    """The greatest RowKey of each partition."""
    for domain, group in groupby(keys, key=itemgetter(0)):
        yield (domain, ""), max(row_key for _, row_key in group)


type _Outcomes = list[tuple[Restored, Saved]]


def _batches(outcomes: Iterator[tuple[Restored, Saved]]) -> Iterator[_Outcomes]:
    """The rows of one partition at a time, in parts that one request may hold."""
    for _, group in groupby(outcomes, key=lambda outcome: outcome[0].domain):
        batch: _Outcomes = []
        size = 0
        for outcome in group:
            length = sum(len(str(cell)) for cell in outcome[1].cells.values()) * 4
            if batch and (len(batch) == _AT_ONCE or size + length > _REQUEST):
                yield batch
                batch, size = [], 0
            batch.append(outcome)
            size += length
        yield batch


def _put_back(client: TableClient, batch: _Outcomes) -> list[Restored]:
    """Add the rows of the batch that are to be put back. One that is there meanwhile is kept."""
    wanted = [row for outcome, row in batch if outcome.result == "put back"]
    if len(wanted) > 1:
        with suppress(TableTransactionError):  # one of them is there meanwhile: then they go one by one
            client.submit_transaction([("create", from_json(row.cells)) for row in wanted])
            wanted = []
    kept = {row.key for row in wanted if not _add(client, row)}
    return [
        replace(outcome, result="kept", reason="somebody added it meanwhile") if row.key in kept else outcome
        for outcome, row in batch
    ]


def _add(client: TableClient, row: Saved) -> bool:
    try:
        client.create_entity(from_json(row.cells))
    except ResourceExistsError:
        return False
    return True


def _entities(client: TableClient, columns: list[str] | None = None) -> Iterator[Mapping[str, Any]]:
    """The rows of a table in the order of their keys; none where the table is missing."""
    try:
        yield from entities_after(client, "", columns)
    except ResourceNotFoundError as error:
        if getattr(error, "error_code", None) != TableErrorCode.TABLE_NOT_FOUND:
            raise


def _key(entity: Mapping[str, Any]) -> _Key:
    return str(entity["PartitionKey"]), str(entity["RowKey"])


class _Cursor[T]:
    """Walks pairs that are sorted by key, forwards only."""

    def __init__(self, pairs: Iterator[tuple[_Key, T]]) -> None:
        self._pairs = pairs
        self._pair = next(pairs, None)

    def at(self, key: _Key) -> T | None:
        """What stands at the key; None where nothing does."""
        while self._pair is not None and self._pair[0] < key:
            self._pair = next(self._pairs, None)
        return self._pair[1] if self._pair is not None and self._pair[0] == key else None
