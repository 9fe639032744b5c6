"""The command lint: what is wrong, risky or worth knowing in rows of the store and in policy texts."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.padding import Padding
from rich.text import Text

from policy_store.cli.command import app
from policy_store.cli.errors import PROBLEM, CommandError
from policy_store.cli.options import FormatOption, JsonOption, StoreOption, WhereOption, read_domain, read_selection
from policy_store.cli.screen import print_json, print_rows, printer, say, shape_of
from policy_store.cli.session import open_store
from policy_store.lint.findings import SEVERITIES, Finding, Severity
from policy_store.lint.linter import lint_row, lint_text
from policy_store.names import quoted
from policy_store.printable import clean
from policy_store.tables.policies import PolicyTable
from policy_store.tables.row import InvalidRow, Row

_COLUMNS = ("place", "line", "severity", "code", "message", "remedy")
_SHOWN = 5  # places that are named of those with the same finding
_STYLES: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "info": "cyan"}


@app.command("lint")
def lint(
    places: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE|DOMAIN", show_default=False, help="Policy texts, folders of them, domains."),
    ] = None,
    where: WhereOption = None,
    format_: FormatOption = None,
    json: JsonOption = False,
    store: StoreOption = "",
) -> None:
    """Find what senders refuse or misinterpret, in the rows of the store or in files.

    Example: mta-sts lint contoso.com ./mta-sts.txt
    """
    if places and where:
        raise CommandError("Name files and domains, or give --where; not both.")
    groups = _named(places, store) if places else _stored(store, where)
    counts: Counter[str] = Counter()

    def counted() -> Iterator[list[Finding]]:
        for findings in groups:
            counts.update(["", *(finding.severity for finding in findings)])
            yield findings

    shape = shape_of(format_, json=json)
    found = (finding for findings in counted() for finding in findings)
    if shape == "json":
        print_json(found)
    elif shape == "table":
        _print_worst_first(list(found))
        looked_at = "1 policy" if counts[""] == 1 else f"{counts['']} policies"
        say(f"{looked_at}, {', '.join(f'{severity}: {counts[severity]}' for severity in SEVERITIES)}")
    else:
        print_rows(_COLUMNS, map(_cells, found), shape)
    if counts["error"]:
        raise typer.Exit(PROBLEM)


def _stored(store: str, where: list[str] | None) -> Iterator[list[Finding]]:
    """The findings of each row of the store, or of those that match."""
    tables = open_store(store)
    if not where:
        yield from map(lint_row, tables.policies.rows())
        return
    for entry in read_selection((), every=True, where=where).entries(tables):
        if entry.row is not None:
            yield lint_row(entry.row)


def _named(places: list[str], store: str) -> Iterator[list[Finding]]:
    """The findings of each file or domain. All places are looked up first, so that a wrong one spoils no output."""
    files = {place: _files(Path(place)) for place in places if Path(place).exists()}
    domains = {place: _domain(place) for place in places if place not in files}
    rows = _rows(open_store(store).policies, domains.values()) if domains else {}  # texts need no store
    for place in places:
        if place in files:
            yield from map(_lint_file, files[place])
        else:
            yield lint_row(rows[domains[place]])


def _files(path: Path) -> list[Path]:
    """The file itself, or the texts in a folder. Raises CommandError."""
    found = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not found:
        raise CommandError(f"No file in {path} ends in .txt: name the policy texts one by one.")
    return found


def _lint_file(path: Path) -> list[Finding]:
    try:
        return lint_text(path.read_bytes(), file=str(path))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error


def _domain(place: str) -> str:
    if "/" in place or "\\" in place:
        raise CommandError(f"There is no file {quoted(place)}: name one that exists, or a domain.")
    return read_domain(place)


def _rows(policies: PolicyTable, domains: Iterable[str]) -> dict[str, Row | InvalidRow]:
    """The rows of the domains. Raises CommandError for one that has none."""
    rows: dict[str, Row | InvalidRow] = {}
    for domain in domains:
        try:
            row = policies.get(domain)
        except InvalidRow as invalid:
            rows[domain] = invalid
            continue
        if row is None:
            raise CommandError(f"{domain} is neither a file nor in the store: 'mta-sts list' shows what is.", PROBLEM)
        rows[domain] = row
    return rows


def _cells(finding: Finding) -> tuple[str, ...]:
    """A finding as one row of data."""
    place = finding.domain or finding.file or ""
    line = "" if finding.line is None else str(finding.line)
    return place, line, finding.severity, finding.code, finding.message, finding.remedy


def _print_worst_first(findings: list[Finding]) -> None:
    """Print the findings, the worst first; one that several places have is printed once, with their names."""
    alike: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        alike.setdefault((finding.code, finding.message.replace(_place(finding), "it")), []).append(finding)
    shared = [group for group in alike.values() if len({_place(finding) for finding in group}) > 1]
    in_groups = {id(finding) for group in shared for finding in group}
    places: dict[str, list[Finding]] = {}
    for finding in findings:
        if id(finding) not in in_groups:
            places.setdefault(_place(finding), []).append(finding)
    for severity in SEVERITIES:
        for one in places.values():
            if one[0].severity == severity:
                print_findings(one)
        for group in sorted(shared, key=len, reverse=True):
            if group[0].severity == severity:
                _print_group(group)


def _print_group(group: list[Finding]) -> None:
    first = group[0]
    names = list(dict.fromkeys(map(_place, group)))
    more = [f"and {len(names) - _SHOWN} more: --format tsv has all"] if len(names) > _SHOWN else []
    console = printer()
    console.print(Text(f"{len(names)} places: {', '.join([*names[:_SHOWN], *more])}"), style="bold")
    message = first.message.replace(_place(first), "it")
    sentence = Text.assemble((first.severity, _STYLES[first.severity]), f" {first.code}: {message}")
    console.print(Padding(sentence, (0, 0, 0, 2)))
    console.print(Padding(Text(first.remedy, style="dim"), (0, 0, 0, 4)))


def _place(finding: Finding) -> str:
    return finding.file or finding.domain or ""


def print_findings(findings: list[Finding], *, title: bool = True) -> None:
    """Print the findings on one place, the worst first, under the name of the place."""
    console = printer()
    for number, finding in enumerate(findings):
        if title and not number:
            console.print(Text(clean(finding.file or finding.domain or "")), style="bold")
        line = f"line {finding.line}: " if finding.line else ""
        sentence = Text.assemble(
            (finding.severity, _STYLES[finding.severity]), f" {finding.code}: {line}{clean(finding.message)}"
        )
        console.print(Padding(sentence, (0, 0, 0, 2)))
        console.print(Padding(Text(finding.remedy, style="dim"), (0, 0, 0, 4)))
