"""The command `stats`: who fetched what and what went wrong, counted from exported lines of the app's log."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Annotated

import typer

from policy_store.cli.command import app
from policy_store.cli.errors import CommandError
from policy_store.cli.options import FormatOption, JsonOption
from policy_store.cli.screen import complain, print_json, print_rows, print_table, shape_of
from policy_store.exchange.text import UnreadableText, lines_of, opened
from policy_store.log_lines import NoLog, ReportPost, read_answers
from policy_store.log_stats import LIMIT, Stats, Tally

_LONGEST_LINE = 65_536  # characters
_SHOWN = 20
_TABLES = ("fetches", "unknown_hosts", "last_good", "slow", "old_versions", "reports")
_COLUMNS = (
    *("domain", "table", "sender", "outcome", "status", "version", "newer"),
    *("count", "unavailable", "slowest_ms", "late_s", "last"),
)
_AS_COLUMN = {
    **dict.fromkeys(("answers", "fetches", "posts"), "count"),
    **{"host": "domain", "reporter": "sender", "slowest": "slowest_ms", "late": "late_s"},
}


@app.command("stats")
def stats(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", show_default=False, help="Exported logs; - is standard input.")
    ],
    format_: FormatOption = None,
    json: JsonOption = False,
) -> None:
    """Count exported log lines: fetches by domain and sender, unknown hosts, slow answers.

    Example: mta-sts stats query_data.csv
    """
    tally = Tally()
    for file in files:
        try:
            with opened(file) as content:
                for answer in read_answers(lines_of(content, _LONGEST_LINE)):
                    tally.lines += 1
                    if isinstance(answer, ReportPost):
                        tally.take_report(answer)
                    elif answer is not None:
                        tally.take(answer)
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
        except UnreadableText as error:
            raise CommandError(f"{file} cannot be read: {error}.") from error
        except NoLog as error:
            raise CommandError(f"{file} is not CSV: {error}. Export it again, or cut it before that line.") from error
    shape = shape_of(format_, json=json)
    found = tally.stats()
    if shape == "json":
        print_json(found)
    elif shape == "table":
        for line in _head(found):
            print(line)
        _print(found)
    else:
        for line in _head(found):
            complain(line)
        print_rows(_COLUMNS, _rows(found), shape)


def _head(stats: Stats) -> Iterator[str]:
    yield (
        f"{stats.answers} answers in {stats.lines} lines"
        + (f", {_when(stats.first)} to {_when(stats.last)} UTC" if stats.first else "")
    )
    if stats.not_counted:
        yield f"{stats.not_counted} answers are missing below: a table takes {LIMIT} lines. Cut the log by time."


def _rows(stats: Stats) -> Iterator[tuple[str, ...]]:
    """All tables as one: by the names that they have in JSON, with the cells that a table lacks empty."""
    for name in _TABLES:
        for row in getattr(stats, name):
            cells = {_AS_COLUMN.get(field, field): value for field, value in row}
            yield (cells["domain"], name, *(_cell(cells.get(column)) for column in _COLUMNS[2:]))


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return "" if value is None else str(value)


def _print(stats: Stats) -> None:
    _table(
        "Fetches",
        ("domain", "sender", "fetches", "unavailable"),
        stats.fetches,
        lambda row: (row.domain, row.sender, str(row.fetches), str(row.unavailable)),
    )
    _table(
        "Unknown hosts",
        ("host", "answers", "last"),
        stats.unknown_hosts,
        lambda row: (row.host, str(row.answers), _when(row.last)),
    )
    _table(
        "Last-good answers",
        ("domain", "answers", "last"),
        stats.last_good,
        lambda row: (row.domain, str(row.answers), _when(row.last)),
    )
    _table(
        "Slow answers",
        ("domain", "outcome", "answers", "slowest ms"),
        stats.slow,
        lambda row: (row.domain, row.outcome, str(row.answers), str(row.slowest)),
    )
    _table(
        "Old versions",
        ("domain", "version", "newer", "fetches", "late s"),
        stats.old_versions,
        lambda row: (row.domain, row.version, row.newer, str(row.fetches), "?" if row.late is None else str(row.late)),
    )
    if stats.reports:
        _table(
            "Posted TLS reports",
            ("domain", "sender", "status", "posts", "last"),
            stats.reports,
            lambda row: (row.domain, row.reporter, str(row.status), str(row.posts), _when(row.last)),
        )


def _table[T](title: str, columns: Sequence[str], rows: Sequence[T], cells: Callable[[T], Iterable[str]]) -> None:
    """Print the first rows under their title."""
    print(f"\n{title}" if rows else f"\n{title}: none")
    if rows:
        print_table(columns, [tuple(cells(row)) for row in rows[:_SHOWN]])
    if len(rows) > _SHOWN:
        print(f"and {len(rows) - _SHOWN} more: --format csv or json has them all")


def _when(time: datetime | None) -> str:
    return "?" if time is None else f"{time:%Y-%m-%d %H:%M}"
