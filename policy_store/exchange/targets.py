"""Writing many policies: CSV, JSON, or a folder of policy texts, each as `import` reads it again."""

import csv
import io
import json
import locale
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, TextIO, cast

from policy_store.exchange.cells import to_cell
from policy_store.exchange.proposal import FIELDS
from policy_store.tables.row import Row

type Target = Literal["csv", "json", "texts"]

_STANDARD_OUTPUT = "-"


class TargetError(ValueError):
    """Nothing can be written there; the message says why and what to do."""


def target_of(path: Path, to: Target | None) -> Target:
    """What to write to `path`: what `to` says, else what its name does. Raises TargetError."""
    if to == "texts" and str(path) == _STANDARD_OUTPUT:
        raise TargetError("texts go into a folder: name one in place of -")
    if to:
        return to
    match path.suffix.lower():
        case ".csv":
            return "csv"
        case ".json":
            return "json"
        case "" if str(path) != _STANDARD_OUTPUT:
            return "texts"
    raise TargetError(f"{path} does not say what to write: give --to csv, --to json or --to texts")


def list_separator() -> str:
    """What stands between the cells of a CSV file that Excel opens here: the list separator of Windows, elsewhere a
    semicolon where the locale of this machine has a decimal comma.
    """
    if sys.platform == "win32":
        import winreg

        with winreg.OpenKey(winreg.HKEY_CURRENT_USER, r"Control Panel\International") as key:
            return str(winreg.QueryValueEx(key, "sList")[0])
    kept = locale.setlocale(locale.LC_NUMERIC)
    try:
        locale.setlocale(locale.LC_NUMERIC, "")
        return ";" if locale.localeconv()["decimal_point"] == "," else ","
    except locale.Error:  # the environment names one that is not installed
        return ","
    finally:
        locale.setlocale(locale.LC_NUMERIC, kept)


def write_policies(
    path: Path, target: Target, rows: Iterable[Row], *, force: bool = False, separator: str = ","
) -> int:
    """Write the policies and return how many; a file appears only when it is whole. CSV has `separator` between cells.

    Raises TargetError where nothing can be written, and where something would be overwritten without `force`.
    """
    try:
        if target == "texts":
            return _write_texts(path, rows)
        with whole(path, force=force, mark=target == "csv") as file:
            return _write_csv(file, rows, separator) if target == "csv" else _write_json(file, rows)
    except BrokenPipeError:  # nobody reads on
        raise
    except OSError as error:
        raise TargetError(f"{path} cannot be written: {error.strerror}") from error


def _write_csv(file: TextIO, rows: Iterable[Row], separator: str) -> int:
    writer, count = csv.writer(file, delimiter=separator), 0
    writer.writerow(FIELDS)
    for row in rows:
        policy, words = row.policy, map(to_cell, (row.customer, row.note))
        writer.writerow([row.domain, policy.mode, " ".join(policy.mx), policy.max_age, *words])
        count += 1
    return count


def _write_json(file: TextIO, rows: Iterable[Row]) -> int:
    count, separator = 0, "[\n"
    for row in rows:
        item = {"domain": row.domain, **row.policy.model_dump(mode="json"), "customer": row.customer, "note": row.note}
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
def whole(path: Path, *, force: bool = False, mark: bool = False) -> Iterator[TextIO]:
    """A text file, UTF-8, that takes the place of `path` once it is written to the end; standard output for -.

    With `mark` a file begins with a byte order mark, by which Excel knows UTF-8. A device, a pipe and standard output
    are written to as they are. Raises TargetError where a file is there and `force` is not given, and OSError.
    """
    encoding = "utf-8-sig" if mark else "utf-8"
    if str(path) == _STANDARD_OUTPUT:
        with _standard_output() as file:
            yield file
        return
    with whole_bytes(path, force=force) as content:
        text = io.TextIOWrapper(content, encoding, newline="")
        yield text
        text.flush()
        text.detach()


@contextmanager
def whole_bytes(path: Path, *, force: bool = False) -> Iterator[BinaryIO]:
    """As `whole`, for bytes and not for standard output."""
    path = path.resolve()  # what a link leads to is written, and the link stays
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    if path.exists() and not force:
        raise TargetError(f"{path} is there already: give --force to overwrite it, or another name")
    part = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False)  # noqa: SIM115
    try:
        with part:
            yield cast("BinaryIO", part)
            part.flush()
            os.fsync(part.fileno())
        _let_others_read(Path(part.name))
        _take_place(Path(part.name), path, force=force)
    finally:
        Path(part.name).unlink(missing_ok=True)


def _take_place(part: Path, path: Path, *, force: bool) -> None:
    if path.exists() and not force:  # somebody else wrote it meanwhile
        raise TargetError(f"{path} is there already: give --force to overwrite it, or another name")
    part.replace(path)


def _let_others_read(part: Path) -> None:
    """The rights that a file of this process has; a temporary one is for its owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    part.chmod(0o666 & ~mask)


@contextmanager
def _standard_output() -> Iterator[TextIO]:
    """Standard output in UTF-8, whatever the terminal's encoding, with line ends as they are written."""
    sys.stdout.flush()
    text = io.TextIOWrapper(sys.stdout.buffer, "utf-8", newline="", write_through=True)
    try:
        yield text
    finally:
        text.detach()
