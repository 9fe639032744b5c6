"""How commands print: tables, JSON, progress bars, and messages for people on standard error."""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from policy_store.printable import clean

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console
    from rich.text import Text

_BAR = 20  # characters

# Columns that a spreadsheet may take for what they are.
_PLAIN = (
    "line",
    "max_age",
    "ttl",
    "count",
    "unavailable",
    "slowest_ms",
    "late_s",
    "sessions",
    "failed",
    "senders",
    "day",
)

type Shape = Literal["table", "tsv", "csv", "json"]


@dataclass
class Manner:
    """How this run of the command talks, and to which store: set again by each run."""

    quiet: bool = False
    verbose: bool = False
    store: str = ""
    named: bool = False

    def begin(self) -> None:
        """Forget the run before: one process runs several only in tests."""
        self.quiet = self.verbose = self.named = False
        self.store = ""

    def name_store(self, *, before: str = "", after: str = "") -> None:
        """Say to people what comes before and after, and in between, once in a run, which store it is."""
        store = f"Store: {self.store}" if self.store and not self.named else ""
        if text := f"{before} {store}{after}".strip():
            complain(text)
        self.named = True


manner = Manner()


def prepare_output() -> None:
    """Have what cannot be written in the encoding of the output, as that of a file on Windows, written as numbers."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # no stream, or one of somebody else's make
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def end_output() -> None:
    """Write out what is left; where nobody reads on, leave it, so that Python does not complain of it at the end."""
    try:
        if sys.__stdout__ is not None:
            sys.__stdout__.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def printer() -> "Console":
    """Standard output: styled on a terminal without NO_COLOR only, 80 columns if the width is unknown."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False, color_system=None if os.environ.get("NO_COLOR") else "auto")


def suggest(message: str) -> None:
    """Say to people what comes next, on standard error, so that it is no part of what is piped on."""
    if not manner.quiet:
        complain(f"Next: {message}")


def complain(message: str) -> None:
    """Print a message for people on standard error."""
    print(clean(message), file=sys.stderr, flush=True)


def say(message: str) -> None:
    """Print a line for people on standard output, unfolded."""
    if not manner.quiet:
        print(clean(message), flush=True)


def print_json(items: "BaseModel | Iterable[BaseModel]") -> None:
    """Print a model, or an array of models as they come, as JSON with the characters of ASCII."""
    if not isinstance(items, Iterable) or hasattr(items, "model_dump"):
        print(json.dumps(items.model_dump(mode="json", by_alias=True), indent=2))
        return
    separator = "[\n"
    for item in items:
        print(separator + json.dumps(item.model_dump(mode="json", by_alias=True)), end="", flush=True)
        separator = ",\n"
    print("[]" if separator == "[\n" else "\n]")


def on_terminal() -> bool:
    """Whether a person reads standard output: elsewhere output is data."""
    return sys.stdout.isatty()


def shape_of(wanted: Shape | None, *, json: bool) -> Shape:
    """How rows are printed: as `--format` or `--json` says, else as a table on a terminal and as TSV elsewhere."""
    return "json" if json else wanted or ("table" if on_terminal() else "tsv")


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[str]], shape: Shape) -> None:
    """Print rows as a table for people, or as data: TSV has no header and no line break in a cell, CSV has both."""
    if shape == "table":
        print_table(columns, rows)
    elif shape == "tsv":
        for row in rows:
            print("\t".join(" ".join(clean(cell).split()) for cell in row), flush=True)
    else:
        from csv import writer

        from policy_store.exchange.cells import to_cell

        lines = writer(sys.stdout, lineterminator="\n")
        lines.writerow(columns)
        for row in rows:
            cells = zip(columns, row, strict=True)
            lines.writerow([cell if column in _PLAIN else to_cell(clean(cell)) for column, cell in cells])
            sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a plain table for people; long cells are folded, so that it fits the width."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(clean(cell)) for cell in row))
    printer().print(table)


def coloured(lines: Sequence[str]) -> "list[Text]":
    """The lines of a difference in colours."""
    from rich.text import Text

    colours = {"+": "green", "-": "red", "@": "cyan"}
    return [
        Text(clean(line), style="bold" if line.startswith(("+++ ", "--- ")) else colours.get(line[:1], ""))
        for line in lines
    ]


def progress[T](items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """The items. If standard error is a terminal, a bar says how many are done while the next one is in work.

    The bar is gone whenever an item is returned, so that what is printed then begins a line.
    """
    if manner.quiet or not sys.stderr.isatty():
        yield from items
        return
    shown = ""

    def show(text: str) -> None:
        nonlocal shown
        if shown or text:
            sys.stderr.write(f"\r{' ' * len(shown)}\r{text}")
            sys.stderr.flush()
        shown = text

    start = time.monotonic()
    try:
        show(what)
        for done, item in enumerate(items, 1):
            show("")
            yield item
            show(_how_far(what, done, total, time.monotonic() - start))
    finally:
        show("")


def _how_far(what: str, done: int, total: int | None, seconds: float) -> str:
    if not total:
        return f"{what} {done}"
    bar = "#" * (_BAR * done // total)
    return f"{what} [{bar:-<{_BAR}}] {done}/{total}, {timedelta(seconds=round(seconds / done * (total - done)))} left"
