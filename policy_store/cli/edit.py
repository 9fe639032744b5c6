"""The commands that change policies: add, edit, rollback."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import ValidationError

from policy_store.changes import operations
from policy_store.changes.change import Planned
from policy_store.changes.many import attempt
from policy_store.changes.operations import DEFAULT_MODE, Wanted
from policy_store.cli.changing import Changing
from policy_store.cli.command import app
from policy_store.cli.errors import PROBLEM, CommandError
from policy_store.cli.options import (
    AllOption,
    CustomerOption,
    DomainArgument,
    DomainsArgument,
    DryRunOption,
    ForceOption,
    JsonOption,
    ReasonOption,
    ResolverOption,
    StoreOption,
    VerboseOption,
    WhereOption,
    YesOption,
    need_reason,
    read_domain,
    read_selection,
    refuse_together,
)
from policy_store.cli.session import open_desk
from policy_store.durations import DEFAULT_MAX_AGE
from policy_store.names import InvalidName, mail_domain, quoted
from policy_store.policy import Mode, Policy
from policy_store.sender.lookup import NoPatterns
from policy_store.tables.entry import Entry
from policy_store.tables.row import ColumnProblem, read_max_age, read_mode, read_pattern, split_patterns

_MODE_HELP = "What senders do: enforce, testing (only report) or none."
_MAX_AGE_HELP = "How long senders keep the policy."


def _read_mode(text: str) -> Mode:
    problems: list[ColumnProblem] = []
    mode = read_mode(("--mode", text), problems)
    if mode is None:
        raise CommandError(f"{problems[0]}.")
    return mode


def _read_max_age(text: str | int) -> int:
    problems: list[ColumnProblem] = []
    seconds = read_max_age(("--max-age", text), problems)
    if seconds is None:
        raise CommandError(f"{problems[0]}.")
    return seconds


NoteOption = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="A note for people: it stays in the row and is recorded with the revision."),
]
MxFromDnsOption = Annotated[bool, typer.Option("--mx-from-dns", help="Take the patterns from the MX records.")]


@app.command("add")
def add(
    domain: DomainArgument,
    mx: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="A pattern, or several with commas between them; may be repeated."),
    ] = None,
    mx_from_dns: MxFromDnsOption = False,
    mode: Annotated[Mode, typer.Option(metavar="MODE", parser=_read_mode, help=_MODE_HELP)] = DEFAULT_MODE,
    max_age: Annotated[
        int, typer.Option(metavar="SECONDS|60d|8w", parser=_read_max_age, help=_MAX_AGE_HELP)
    ] = DEFAULT_MAX_AGE,
    customer: CustomerOption = None,
    note: NoteOption = None,
    force: ForceOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """Add the policy of a domain, in testing unless you say otherwise.

    Example: mta-sts add contoso.com --mx-from-dns
    """
    try:
        name = mail_domain(domain)
    except InvalidName as error:
        raise CommandError(f"{error}.") from error
    refuse_together(mx=mx, mx_from_dns=mx_from_dns)
    need_reason(force=force, note=note)
    desk = open_desk(store, resolver)
    patterns = read_patterns(mx)
    if mx_from_dns:
        try:
            patterns = desk.world.patterns(name)
        except NoPatterns as error:
            raise CommandError(f"{name} was not added: {error}.", PROBLEM) from error
    if not patterns and mode != "none":
        raise CommandError(f"{name} needs its MX patterns: give --mx PATTERN or --mx-from-dns.")
    try:
        policy = Policy(mode=mode, mx=patterns, max_age=max_age)
    except ValidationError as error:
        reasons = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        raise CommandError(f"That is not a policy: {reasons}.") from None

    def decide() -> Planned:
        return operations.add(desk, desk.store.entry(name), policy, note=note, customer=customer, force=force)

    _Adding(desk.store, "added", dry_run=dry_run, json=json, domain=name).run([attempt(decide, name)])


@dataclass
class _Adding(Changing):
    """Says of a new domain what comes next."""

    domain: str = ""

    def _next(self) -> str:
        if self.dry_run:
            return ""
        return (
            f"'mta-sts dns show {self.domain}' prints the records to publish, 'mta-sts bind {self.domain}' gives the "
            f"policy host its certificate, and 'mta-sts check {self.domain}' shows what senders see."
        )


@app.command("edit")
def edit(
    domains: DomainsArgument = None,
    every: AllOption = False,
    where: WhereOption = None,
    mode: Annotated[Mode | None, typer.Option(metavar="MODE", parser=_read_mode, help=_MODE_HELP)] = None,
    max_age: Annotated[
        int | None, typer.Option(metavar="SECONDS|60d|8w", parser=_read_max_age, help=_MAX_AGE_HELP)
    ] = None,
    mx: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Patterns that replace the present ones.")
    ] = None,
    add_mx: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="A pattern to add; says from when MX records may use it."),
    ] = None,
    drop_mx: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="A pattern to remove, once no sender needs it.")
    ] = None,
    customer: CustomerOption = None,
    note: NoteOption = None,
    force: ForceOption = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    verbose: VerboseOption = False,
    json: JsonOption = False,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """Change the policies of some domains, each only if nobody else changed it meanwhile.

    Example: mta-sts edit --where 'mx ~ contoso' --max-age 1209600 --dry-run
    """
    selection = read_selection(domains, every=every, where=where)
    need_reason(force=force, note=note)
    wanted = Wanted(mode, max_age, read_patterns(mx), read_patterns(add_mx), read_patterns(drop_mx), note, customer)
    if wanted == Wanted():
        raise CommandError(
            "There is nothing to change: give --mode, --max-age, --mx, --add-mx, --drop-mx, --customer or --note."
        )
    if mx and (add_mx or drop_mx):
        raise CommandError("--mx replaces all patterns: give it alone, or --add-mx and --drop-mx without it.")
    desk = open_desk(store, resolver)

    def decide(entry: Entry) -> Planned:
        return operations.edit(desk, entry, wanted, force=force, named=selection.named)

    changing = Changing(
        desk.store, dry_run=dry_run, yes=yes, verbose=verbose, json=json, reason=bool((note or "").strip())
    )
    changing.run_selected(selection, decide, "looking")


@app.command("rollback")
def rollback(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DOMAIN ID", help="The domain and a revision's id; with --to, domains.", show_default=False
        ),
    ] = None,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="TIME", help="Back to what was in force at this time, in UTC.", show_default=False
        ),
    ] = "",
    every: AllOption = False,
    where: WhereOption = None,
    note: ReasonOption = "",
    force: ForceOption = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    verbose: VerboseOption = False,
    json: JsonOption = False,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """Put an older policy in force again, as a new revision with a new id.

    Example: mta-sts rollback contoso.com 20261124193000Z

    Example: mta-sts rollback --to 2026-11-24T19:30 --all --dry-run
    """
    need_reason(force=force, note=note)
    desk = open_desk(store, resolver)
    changing = Changing(desk.store, dry_run=dry_run, yes=yes, verbose=verbose, json=json, reason=bool(note.strip()))
    if not to:
        if len(words or ()) != 2 or every or where:
            raise CommandError("Name a domain and a revision's id, or give --to TIME with domains, --all or --where.")
        name, id_ = read_domain((words or [])[0]), (words or [])[1]

        def back() -> Planned:
            return operations.roll_back(desk, desk.store.entry(name), id_, why=note, force=force)

        changing.run([attempt(back, name)])
        return
    time = read_time(to)
    if time > desk.now:
        raise CommandError(f"--to {quoted(to)} is later than now: give a time of the past, in UTC.")
    selection = read_selection(words, every=every, where=where)

    def decide(entry: Entry) -> Planned:
        return operations.restore(desk, entry, time, why=note, force=force)

    changing.run_selected(selection, decide, "looking", gone=True)


def read_patterns(texts: Sequence[str] | None) -> tuple[str, ...]:
    """The patterns that a person typed, each once. Raises CommandError."""
    try:
        return tuple(dict.fromkeys(read_pattern(part) for text in texts or () for part in split_patterns(text)))
    except InvalidName as error:
        raise CommandError(f"{error}.") from error


def read_time(text: str) -> datetime:
    """A time in UTC that a person typed, as `2026-11-24T19:30` or an id. Raises CommandError."""
    for form in ("%Y%m%d%H%M%SZ",):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"{quoted(text)} is not a time: write it as 2026-11-24T19:30, in UTC.") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
