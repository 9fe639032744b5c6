"""Writing many policies: CSV, JSON, or a folder of policy texts, each as `import` reads it again."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TextIO

from policy_store.exchange.sources import FIELDS
from policy_store.tables.row import Row

type Target = Literal["csv", "json", "texts"]


class TargetError(ValueError):
    """Policies cannot be written there; the message says why and what to do."""


def target_of(path: Path, to: Target | None) -> Target:
    """What to write to `path`: what `to` says, else what its name does. Raises TargetError."""
    if to == "texts" and str(path) == "-":
        raise TargetError("Texts go into a folder: name one in place of -")
    if to:
        return to
    match path.suffix.lower():
        case ".csv":
            return "csv"
        case ".json":
            return "json"
        case "" if str(path) != "-":
            return "texts"
    raise TargetError(f"What to write to {path}? Give --to csv, --to json or --to texts")


def write_policies(path: Path, target: Target, rows: Iterable[Row]) -> int:
    """Write the policies and return how many; a file appears only when it is whole. Raises TargetError."""
    try:
        if target == "texts":
            return _write_texts(path, rows)
        with whole(path) as file:
            return _write_csv(file, rows) if target == "csv" else _write_json(file, rows)
    except OSError as error:
        raise TargetError(f"{path} cannot be written: {error.strerror}") from error


def _write_csv(file: TextIO, rows: Iterable[Row]) -> int:
    writer, count = csv.writer(file), 0
    writer.writerow(FIELDS)
    for row in rows:
        writer.writerow([row.domain, row.policy.mode, " ".join(row.policy.mx), row.policy.max_age, row.note])
        count += 1
    return count


def _write_json(file: TextIO, rows: Iterable[Row]) -> int:
    count, separator = 0, "[\n"
    for row in rows:
        item = {"domain": row.domain, **row.policy.model_dump(mode="json"), "note": row.note}
        file.write(separator + json.dumps(item))
        separator = ",\n"
        count += 1
    file.write("[]\n" if not count else "\n]\n")
    return count


def _write_texts(folder: Path, rows: Iterable[Row]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise TargetError(f"{folder} is not empty, and what is left in it would count: name a new folder")
    count = 0
    for row in rows:
        (folder / f"{row.domain}.txt").write_bytes(row.policy.text.encode("ascii"))
        count += 1
    return count


@contextmanager
def whole(path: Path) -> Iterator[TextIO]:
    """A file that takes the place of `path` once it is written to the end; standard output for -."""
    if str(path) == "-":
        yield sys.stdout
        return
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
