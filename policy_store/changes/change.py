"""One change of one policy: what is to be, the difference to what is, and the write; and the tally of many."""

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import typer
from pydantic import ValidationError
from rich.text import Text

from policy_store.changes.write import findings_of, in_force, shown_due, to_publish, with_row, write
from policy_store.cli import command
from policy_store.cli.command import PROBLEM, CommandError, Store, complain, printer
from policy_store.life import mx_usable_from
from policy_store.names import InvalidName
from policy_store.policy import Mode, Policy
from policy_store.tables.entry import Entry
from policy_store.tables.history import Revision, key_of
from policy_store.tables.policies import RowChanged, RowExists
from policy_store.tables.row import InvalidRow, Row, read_pattern, split_patterns

DEFAULT_MODE: Mode = "testing"
DEFAULT_MAX_AGE = 604800  # seconds, a week: shorter ones are ignored by some senders

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@dataclass(frozen=True, slots=True)
class Change:
    """A policy that is to replace what `entry` holds, with the note to record and the row's new one (None keeps it)."""

    entry: Entry
    policy: Policy
    note: str = ""
    row_note: str | None = None

    def apply(self, store: Store, *, dry_run: bool) -> list[Text]:
        """Write the policy, unless this is a dry run; what people are told. Raises what `_write.write` raises."""
        domain, before = self.entry.domain, in_force(self.entry)
        refusing, others = findings_of(self.entry, self.policy)
        if dry_run:
            revision = Revision(domain, key_of(command.now()), "", self.policy.text)
        else:
            _, revision = write(store, self.entry, self.policy, note=self.note, row_note=self.row_note)
        lines = coloured(self._difference(before))
        if not lines:
            changes = "the row is mended" if isinstance(self.entry.row, InvalidRow) else "the note changes"
            lines.append(Text(f"{domain}: {changes}, the policy in force stays"))
        lines += [
            Text(f"{domain}: {finding.severity}: {finding.message} ({finding.code}): {finding.remedy}")
            for finding in (*refusing, *others)
            if finding.severity != "info"
        ]
        if not dry_run and revision not in self.entry.revisions:
            lines.append(Text(f"{domain}: {to_publish(store, revision)}"))
        new = [pattern for pattern in self.policy.mx if before and pattern not in before.mx]
        if new and before and before.mode != "none" and self.policy.mode != "none":
            usable = mx_usable_from([*with_row(self.entry), revision], store.settings.fresh_seconds)
            lines.append(Text(f"{domain}: MX records may name {', '.join(new)} from {shown_due(usable)} on"))
        if dry_run and refusing:
            raise Refused(lines)
        return lines

    def _difference(self, before: Policy | None) -> list[str]:
        domain = self.entry.domain
        name = "no policy" if before is None else "in force"
        if before and isinstance(self.entry.row, InvalidRow):
            name = "in force, the row is invalid"
        return difference(before.text if before else "", self.policy.text, (f"{domain} ({name})", f"{domain} (new)"))


class Refused(CommandError):
    """A dry run shows what lint refuses."""

    def __init__(self, lines: Sequence[Text]) -> None:
        super().__init__("\n".join(line.plain for line in lines), PROBLEM)


@dataclass(frozen=True, slots=True)
class Changes:
    """What `edit` is asked to change; what is None or empty stays."""

    mode: Mode | None = None
    max_age: int | None = None
    mx: tuple[str, ...] = ()
    add_mx: tuple[str, ...] = ()
    drop_mx: tuple[str, ...] = ()
    note: str | None = None

    def to(self, entry: Entry) -> Change | None:
        """The change of one domain, None where there is nothing to change. Raises CommandError."""
        if entry.row is None:
            raise CommandError(f"{entry.domain} has no row: add it with 'mta-sts add {entry.domain}'.", PROBLEM)
        fields: dict[str, Any] = {
            "mode": self.mode or self._kept(entry.row, "mode"),
            "max_age": self._kept(entry.row, "max_age") if self.max_age is None else self.max_age,
            "mx": self.mx or self._kept(entry.row, "mx"),
        }
        fields["mx"] = tuple(p for p in (*fields["mx"], *self.add_mx) if p not in self.drop_mx)
        policy = make_policy(**fields)
        row = entry.row
        if isinstance(row, Row) and row.policy == policy and self.note in (None, row.note):
            return None
        return Change(entry, policy, self.note or "", self.note)

    def _kept(self, row: Row | InvalidRow, column: str) -> Any:
        if isinstance(row, Row):
            return getattr(row.policy, column)
        if column not in row.readable:
            option = column.replace("_", "-")
            wrong = "; ".join(map(str, row.problems))
            raise CommandError(f"The row of {row.domain} is invalid: {wrong}: mend it with --{option}.", PROBLEM)
        return row.readable[column]


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one domain, and what people are told of it."""

    result: Literal["changed", "unchanged", "refused"]
    lines: Sequence[Text]


def attempt(change: Callable[[], Sequence[Text] | None]) -> Told:
    """What `change` tells, None for nothing to change; a refusal is a result, since other domains go on."""
    try:
        lines = change()
    except (CommandError, RowExists) as error:
        return Told("refused", [Text(str(error))])
    except RowChanged as error:
        return Told("refused", [Text(f"{error}. Nothing was overwritten.")])
    return Told("unchanged" if lines is None else "changed", lines or ())


def tell(results: Iterable[Told], *, dry_run: bool) -> None:
    """Print what became of the domains as they come, and the counts. Raises typer.Exit where one was refused."""
    counts: Counter[str] = Counter()
    for told in results:
        counts[told.result] += 1
        for line in told.lines:
            if told.result == "refused":
                complain(line.plain)
            else:
                printer().print(line, soft_wrap=True)
    if counts.total() != 1 or not counts["changed"]:
        would = "would be changed" if dry_run else "changed"
        print(f"{counts['changed']} {would}, {counts['unchanged']} unchanged, {counts['refused']} refused")
    if counts["refused"]:
        raise typer.Exit(PROBLEM)


def find_revision(entry: Entry, id_: str) -> Revision:
    """The newest revision with this id or key. Raises CommandError."""
    for revision in reversed(entry.revisions):
        if id_ in (revision.id, revision.key):
            return revision
    known = ", ".join(revision.id for revision in entry.revisions[-3:]) or "none"
    raise CommandError(f"{entry.domain} has no revision {id_}: the latest are {known}; see 'mta-sts history'.", PROBLEM)


def make_policy(mode: Mode, mx: Sequence[str], max_age: int) -> Policy:
    """The policy of these fields. Raises CommandError where there is none."""
    try:
        return Policy(mode=mode, mx=tuple(mx), max_age=max_age)
    except ValidationError as error:
        reasons = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        raise CommandError(f"That is no policy: {reasons}.") from None


def read_patterns(texts: Sequence[str] | None) -> tuple[str, ...]:
    """The patterns that a person typed, each once. Raises CommandError."""
    try:
        return tuple(dict.fromkeys(read_pattern(part) for text in texts or () for part in split_patterns(text)))
    except InvalidName as error:
        raise CommandError(f"{error}.") from error


def difference(before: str, after: str, names: tuple[str, str]) -> list[str]:
    """The lines of a unified difference between two policy texts."""
    return list(difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm=""))


def coloured(lines: Sequence[str]) -> list[Text]:
    """The lines of a difference in colours."""
    return [
        Text(line, style="bold" if line.startswith(("+++ ", "--- ")) else _COLOURS.get(line[:1], "")) for line in lines
    ]
