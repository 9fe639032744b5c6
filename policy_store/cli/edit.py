"""The commands that change policies: add, edit, rollback, remove."""

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from rich.text import Text

from policy_store.changes.change import (
    DEFAULT_MAX_AGE,
    DEFAULT_MODE,
    Change,
    Changes,
    attempt,
    find_revision,
    make_policy,
    read_patterns,
    tell,
)
from policy_store.changes.guard import refuse
from policy_store.changes.selection import WhereOption, hold, read_conditions
from policy_store.changes.write import in_force, note_of, read_entry, shown_due, with_row, write
from policy_store.cli import command
from policy_store.cli.command import (
    PROBLEM,
    CommandError,
    DomainArgument,
    DryRunOption,
    ResolverOption,
    StoreOption,
    app,
    open_store,
    printer,
    progress,
    read_domain,
)
from policy_store.life import removal_date, retired
from policy_store.names import quoted
from policy_store.policy import LONGEST_MAX_AGE, MODES, Mode, PolicySyntaxError
from policy_store.pool import ordered
from policy_store.sender.lookup import Lookup
from policy_store.tables.entry import Entry, walk
from policy_store.tables.row import InvalidRow, Row

_MODE_HELP = "What senders do: enforce, testing (only report) or none."
_MAX_AGE_HELP = "How long senders keep the policy."


def _read_mode(text: str) -> Mode:
    for mode in MODES:
        if text.strip().lower() == mode:
            return mode
    raise CommandError(f"{quoted(text)} is no mode: it must be testing, enforce or none.")


NoteOption = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="A note for people: it stays in the row and is recorded with the revision."),
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Do it in spite of a refusal; needs --note, which says why.")
]
MxFromDnsOption = Annotated[bool, typer.Option("--mx-from-dns", help="Propose the patterns from the MX records.")]


@app.command()
def add(
    domain: DomainArgument,
    mx: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="A pattern, or several with commas between them; may be repeated."),
    ] = None,
    mx_from_dns: MxFromDnsOption = False,
    mode: Annotated[Mode, typer.Option(metavar="MODE", parser=_read_mode, help=_MODE_HELP)] = DEFAULT_MODE,
    max_age: Annotated[
        int, typer.Option(metavar="SECONDS", min=0, max=LONGEST_MAX_AGE, help=_MAX_AGE_HELP)
    ] = DEFAULT_MAX_AGE,
    note: NoteOption = None,
    dry_run: DryRunOption = False,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """Add the policy of a domain, in testing unless you say otherwise.

    Example: mta-sts add contoso.com --mx-from-dns
    """
    name = read_domain(domain)
    if mx and mx_from_dns:
        raise CommandError("--mx and --mx-from-dns both say the patterns: give one of them.")
    patterns = Lookup(resolver).patterns(name) if mx_from_dns else read_patterns(mx)
    if not patterns and mode != "none":
        raise CommandError(f"{name} needs its MX patterns: give --mx PATTERN or --mx-from-dns.")
    policy = make_policy(mode, patterns, max_age)
    tables = open_store(store)
    entry = read_entry(tables, name)
    if entry.row is not None:
        raise CommandError(f"{name} has a row already: change it with 'mta-sts edit {name}'.", PROBLEM)
    _print(Change(entry, policy, note or "", note).apply(tables, dry_run=dry_run))


@app.command()
def edit(
    domains: Annotated[
        list[str] | None, typer.Argument(metavar="DOMAIN", help="The policy domains.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every domain, or every one that --where leaves.")] = False,
    where: WhereOption = None,
    mode: Annotated[Mode | None, typer.Option(metavar="MODE", parser=_read_mode, help=_MODE_HELP)] = None,
    max_age: Annotated[
        int | None, typer.Option(metavar="SECONDS", min=0, max=LONGEST_MAX_AGE, help=_MAX_AGE_HELP)
    ] = None,
    mx: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Patterns in place of those that are there.")
    ] = None,
    add_mx: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="A pattern to add; says from when MX may use it.")
    ] = None,
    drop_mx: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="A pattern to take out, once nobody needs it.")
    ] = None,
    note: NoteOption = None,
    force: ForceOption = False,
    dry_run: DryRunOption = False,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """Change the policies of some domains, each only if nobody else changed it meanwhile.

    Example: mta-sts edit --all --where 'mx ~ contoso' --max-age 1209600 --dry-run
    """
    if bool(domains) == every:
        raise CommandError("Name the domains, or give --all (with --where for some of them); not both, not neither.")
    if force and not note:
        raise CommandError("--force needs --note with the reason: it is recorded with the revision.")
    changes = Changes(mode, max_age, read_patterns(mx), read_patterns(add_mx), read_patterns(drop_mx), note)
    if changes == Changes():
        raise CommandError("There is nothing to change: give --mode, --max-age, --mx, --add-mx, --drop-mx or --note.")
    if mx and (add_mx or drop_mx):
        raise CommandError("--mx replaces all patterns: give it alone, or --add-mx and --drop-mx without it.")
    conditions = read_conditions(where)
    names = [read_domain(domain) for domain in domains or ()]
    tables = open_store(store)
    entries = walk(tables.policies, tables.history) if every else (read_entry(tables, name) for name in names)
    lookup = Lookup(resolver)

    def change(entry: Entry) -> Sequence[Text] | None:
        wanted = changes.to(entry)
        if wanted and not force:
            refuse(tables, entry, wanted.policy, lookup.mx_hosts)
        return wanted.apply(tables, dry_run=dry_run) if wanted else None

    chosen = (
        entry
        for entry in entries
        if (entry.row or not every) and hold(conditions, entry.domain, in_force(entry), note_of(entry))
    )
    results = ordered(lambda entry: attempt(lambda: change(entry)), chosen)
    tell(progress(results, "editing") if every else results, dry_run=dry_run)


@app.command()
def rollback(
    domain: DomainArgument,
    id_: Annotated[str, typer.Argument(metavar="ID", help="The revision's id, from 'mta-sts history'.")],
    note: NoteOption = None,
    force: ForceOption = False,
    dry_run: DryRunOption = False,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """Put an older text in force again, as a new revision with a new id.

    Example: mta-sts rollback contoso.com 20261124193000Z
    """
    if force and not note:
        raise CommandError("--force needs --note with the reason: it is recorded with the revision.")
    name = read_domain(domain)
    tables = open_store(store)
    entry = read_entry(tables, name)
    revision = find_revision(entry, id_)
    try:
        policy = revision.policy
    except PolicySyntaxError as error:
        raise CommandError(f"The text of {revision.id} is no policy: {error}.", PROBLEM) from error
    if isinstance(entry.row, Row) and entry.row.policy == policy:
        raise CommandError(f"{name} has this text now: there is nothing to roll back.", PROBLEM)
    if not force:
        refuse(tables, entry, policy, Lookup(resolver).mx_hosts)
    _print(Change(entry, policy, note or f"rollback to {revision.id}", note).apply(tables, dry_run=dry_run))


@app.command()
def remove(
    domain: DomainArgument,
    note: Annotated[str | None, typer.Option(metavar="TEXT", help="The reason, with --force.")] = None,
    force: ForceOption = False,
    dry_run: DryRunOption = False,
    store: StoreOption = "",
) -> None:
    """Remove the row of a domain that was retired and that no sender holds any more; its history stays.

    Example: mta-sts remove contoso.com
    """
    if force and not note:
        raise CommandError("--force needs --note with the reason: it is recorded with a last revision of mode none.")
    name = read_domain(domain)
    tables = open_store(store)
    entry = read_entry(tables, name)
    row = entry.row
    if row is None:
        raise CommandError(f"{name} has no row: there is nothing to remove.", PROBLEM)
    never_served = isinstance(row, InvalidRow) and not entry.revisions
    if not force and not never_served:
        due = removal_date(with_row(entry), tables.settings.fresh_seconds)
        if due is None:
            raise CommandError(f"{name} was not removed: retire it first, 'mta-sts retire {name}'.", PROBLEM)
        if command.now() < due:
            raise CommandError(
                f"{name} was not removed: senders may hold an older text until {shown_due(due)}, repeat this then.",
                PROBLEM,
            )
    if dry_run:
        print(f"{name} would be removed.")
        return
    policy = in_force(entry)
    if force and policy is not None:
        # The reason is worth keeping, and the audit takes a domain that ends with another mode for one that vanished.
        row, _ = write(tables, entry, retired(policy), note=f"removed by force: {note}")
    tables.policies.delete(name, row.etag)
    print(f"{name} is removed. Delete its TXT record _mta-sts.{name} too, if it is still there.")


def _print(lines: Iterable[Text]) -> None:
    for line in lines:
        printer().print(line, soft_wrap=True)
