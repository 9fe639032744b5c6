"""A backup: whole tables in one file, every cell with its type, in memory that stays flat however many rows there are.

The file is JSON, one object a line: a header, the rows of one table after the other in the order of their keys, and an
end with their counts and a digest of all before it, so that a file that was cut or changed is known.
"""

import base64
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast
from uuid import UUID

from azure.data.tables import EdmType, EntityProperty, TableClient, TableEntity

_FORMAT = "mta-sts backup"
_VERSION = 1
_COMPRESSED = ".gz"
_GZIP = b"\x1f\x8b"
_DOUBLES = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


class BackupError(ValueError):
    """A file is not a whole backup; the message says why."""


class Saved(NamedTuple):
    """One row of a table as the backup has it: when it was last written, and its cells as JSON."""

    table: str
    modified: str
    cells: dict[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        """PartitionKey and RowKey."""
        return self.cells["PartitionKey"], self.cells["RowKey"]


class Contents(NamedTuple):
    """What a backup holds: when it was begun, and how many rows of which tables."""

    made: datetime
    rows: dict[str, int]


def back_up(tables: Mapping[str, TableClient], file: BinaryIO, *, now: datetime) -> dict[str, int]:
    """Write every row of the tables, by their names and in that order, to `file`; how many of each.

    The history goes before the policies: what is changed meanwhile is then a row whose revision is still to come, which
    the next audit records, and never a row that is older than its history. Raises an AzureError where a table cannot be
    read.
    """
    digest, counts = hashlib.sha256(), Counter(dict.fromkeys(tables, 0))

    def write(item: dict[str, Any]) -> None:
        line = json.dumps(item, ensure_ascii=False).encode() + b"\n"
        digest.update(line)
        file.write(line)

    made = now.astimezone(UTC).isoformat(timespec="seconds")
    write({"format": _FORMAT, "version": _VERSION, "made": made, "tables": list(tables)})
    for name, client in tables.items():
        for entity in client.list_entities():
            write({"table": name, "modified": _modified(entity), "cells": to_json(entity)})
            counts[name] += 1
    file.write(json.dumps({"end": counts, "sha256": digest.hexdigest()}).encode() + b"\n")
    return dict(counts)


@contextmanager
def compressing(path: Path, file: BinaryIO) -> Iterator[BinaryIO]:
    """`file`, compressed where the name of `path` ends in .gz."""
    if path.suffix.lower() != _COMPRESSED:
        yield file
        return
    with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0) as compressed:
        yield cast("BinaryIO", compressed)


def check(path: Path) -> Contents:
    """What a backup holds, once it has been read to its end. Raises BackupError and OSError."""
    header: dict[str, Any] = {}
    counts: Counter[str] = Counter()
    digest = hashlib.sha256()
    end: dict[str, Any] | None = None
    for number, line in enumerate(_lines(path), 1):
        if end is not None:
            raise BackupError(f"{path}: something follows the end of the backup, in line {number}")
        item = _object(path, number, line)
        if number == 1:
            if item.get("format") != _FORMAT or item.get("version") != _VERSION:
                raise BackupError(f"{path} is not a backup that 'mta-sts backup' of this version made")
            header = item
        elif "end" in item:
            end = item
            continue
        else:
            counts[str(item.get("table"))] += 1
        digest.update(line)
    if not header:
        raise BackupError(f"{path} is empty")
    if end is None:
        raise BackupError(f"{path} is cut: its end is missing, so rows may be missing")
    if end.get("sha256") != digest.hexdigest() or +counts != +Counter(end["end"]):
        raise BackupError(f"{path} was changed or damaged since it was made")
    return Contents(datetime.fromisoformat(header["made"]), {name: counts[name] for name in header["tables"]})


def saved_rows(path: Path, table: str) -> Iterator[Saved]:
    """The rows of one table, in the file's order; of a file that `check` found whole."""
    for line in _lines(path):
        item = json.loads(line)
        if item.get("table") == table:
            yield Saved(table, item["modified"], item["cells"])


def to_json(entity: Mapping[str, Any]) -> dict[str, Any]:
    """The cells of a row as JSON: texts, truth values and Int32 as they are, others as their EDM type and a text."""
    return {name: _cell(value) for name, value in entity.items()}


def from_json(cells: Mapping[str, Any]) -> dict[str, Any]:
    """The cells that `to_json` wrote, as the SDK takes them."""
    return {name: _value(*cell) if isinstance(cell, list) else cell for name, cell in cells.items()}


def _cell(value: Any) -> Any:
    if isinstance(value, EntityProperty):
        return _cell(value.value) if value.edm_type == EdmType.STRING else [_name(value.edm_type), str(value.value)]
    if isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return [EdmType.DOUBLE.value, _DOUBLES.get(str(value), repr(value))]
    if isinstance(value, datetime):
        return [EdmType.DATETIME.value, getattr(value, "tables_service_value", None) or value.isoformat()]
    if isinstance(value, UUID):
        return [EdmType.GUID.value, str(value)]
    if isinstance(value, bytes):
        return [EdmType.BINARY.value, base64.b64encode(value).decode("ascii")]
    raise TypeError(f"a cell of type {type(value).__name__} has no place in a backup")


def _value(edm_type: str, text: str) -> EntityProperty:
    match EdmType(edm_type):
        case EdmType.BINARY:
            return EntityProperty(base64.b64decode(text), EdmType.BINARY)
        case EdmType.INT64:
            return EntityProperty(int(text), EdmType.INT64)
        case EdmType.DOUBLE:
            return EntityProperty(float(text), EdmType.DOUBLE)
        case other:
            return EntityProperty(text, other)


def _name(edm_type: EdmType | str) -> str:
    return edm_type.value if isinstance(edm_type, EdmType) else str(edm_type)


def _modified(entity: TableEntity) -> str:
    timestamp = entity.metadata["timestamp"]
    return "" if timestamp is None else timestamp.astimezone(UTC).isoformat()


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP
        file.seek(0)
        try:
            yield from gzip.GzipFile(fileobj=file) if compressed else file
        except (EOFError, gzip.BadGzipFile) as error:
            raise BackupError(f"{path} is cut or damaged: {error}") from error


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        item = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BackupError(f"{path} is not a backup, or it is cut: line {number} is not JSON") from error
    if not isinstance(item, dict):
        raise BackupError(f"{path} is not a backup: line {number} is not an object")
    return item
