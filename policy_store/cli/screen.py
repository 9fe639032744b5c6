"""How commands print: tables, JSON, progress bars, and messages for people on standard error."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console
    from rich.text import Text


def printer() -> "Console":
    """Standard output: coloured on a terminal only, 80 columns where nothing says how wide it is."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False)


def complain(message: str) -> None:
    """Print a message for people on standard error."""
    print(clean(message), file=sys.stderr, flush=True)


def say(message: str) -> None:
    """Print a line for people on standard output, unfolded."""
    print(clean(message), flush=True)


def clean(text: str) -> str:
    """`text` without what a terminal would obey: control and bidirectional characters are shown by their numbers."""
    if text.isprintable():
        return text
    return "".join(
        mark
        if mark.isprintable() or mark in "\n\t"
        else f"\\x{ord(mark):02x}"
        if ord(mark) < 256
        else f"\\u{ord(mark):04x}"
        for mark in text
    )


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
    """The items, with a progress bar on standard error while they are worked on, where that is a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        # What is printed meanwhile goes above the bar, but never from a file into the terminal.
        redirect_stdout=sys.stdout.isatty(),
    ) as bar:
        task = bar.add_task(what, total=total)
        for item in items:
            yield item
            bar.advance(task)
