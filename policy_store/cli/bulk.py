"""The commands that carry many policies in and out: import, export."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from policy_store.changes.change import Change, Planned, Refused, Unchanged
from policy_store.changes.many import decide_all
from policy_store.changes.selection import Selection, read_conditions
from policy_store.cli.changing import Changing, noticed_lines, refusal
from policy_store.cli.command import app
from policy_store.cli.errors import PROBLEM, CommandError
from policy_store.cli.options import (
    CustomerOption,
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
)
from policy_store.cli.screen import complain, progress, say
from policy_store.cli.session import open_desk, open_store
from policy_store.exchange.importer import LEFT_OUT, Importer
from policy_store.exchange.proposal import Proposal
from policy_store.exchange.sources import STANDARD_INPUT, together, unread_lines
from policy_store.exchange.targets import Target, list_separator, target_of, write_policies
from policy_store.tables.entry import Entry
from policy_store.tables.row import Row

MxFromDnsOption = Annotated[
    bool, typer.Option("--mx-from-dns", help="Take the patterns from the MX records where the file has none.")
]


@app.command("import")
def import_(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="CSV, JSON, lists of domains, folders of policy texts; - is standard input.",
            show_default=False,
        ),
    ],
    mx_from_dns: MxFromDnsOption = False,
    keep_ids: Annotated[
        bool, typer.Option("--keep-ids", help="Keep the id that DNS shows, if the policy is the same.")
    ] = False,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="With --keep-ids: ask policy hosts in private networks too.")
    ] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Also change domains that are already in the store.")
    ] = False,
    customer: CustomerOption = None,
    note: ReasonOption = "",
    force: ForceOption = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    verbose: VerboseOption = False,
    json: JsonOption = False,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """Add many policies from files: CSV, JSON, accepted domains, or a folder of policy texts.

    Example: mta-sts import accepted-domains.csv --mx-from-dns --dry-run
    """
    for source in sources:
        if source != STANDARD_INPUT and not Path(source).exists():
            raise CommandError(f"{source} does not exist: name a CSV or JSON file, or a folder of policy texts.")
    found = together(sources)
    need_reason(force=force, note=note)
    desk = open_desk(store, resolver, allow_private=allow_private)
    importer = Importer(
        desk, mx_from_dns=mx_from_dns, keep_ids=keep_ids, update=update, customer=customer, why=note, force=force
    )
    importing = _Importing(desk.store, dry_run=dry_run, yes=yes, verbose=verbose, json=json, reason=True)
    for line in unread_lines(found):
        complain(f"{line}.")
    importing.places = {proposal.domain: proposal.place for proposal in found if proposal.domain}

    def decide(proposal: Proposal) -> Planned:
        return _placed(importer.decide(proposal), proposal)

    importing.run(decide_all(decide, found, lambda proposal: proposal.domain or ""), "importing", len(found))


@dataclass
class _Importing(Changing):
    """Says of each domain from which place of the source it comes; what was added counts apart."""

    added: int = 0
    left_out: list[str] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)

    def _counted(self, outcome: Planned, *, alone: bool = False) -> Planned:
        if isinstance(outcome, Change):
            self.added += outcome.entry.row is None
        elif isinstance(outcome, Unchanged) and any(reason.code == LEFT_OUT for reason in outcome.reasons):
            self.left_out.append(outcome.domain)
        return super()._counted(outcome, alone=alone)

    def _tell(self, outcome: Planned) -> None:
        match outcome:
            case Change():
                say(f"{self.places[outcome.domain]}: {outcome.domain}: {', '.join(outcome.differences)}")
                if self.verbose:
                    super()._tell(outcome)
                else:
                    for line in noticed_lines(outcome):
                        say(line)
            case Unchanged():
                for reason in outcome.reasons:
                    if reason.code != LEFT_OUT:
                        say(str(reason))
            case Refused():
                remedy = " (or --force with --note)" if outcome.forcible else ""
                complain("\n".join(f"{reason}{remedy}" for reason in outcome.reasons))
            case _:
                complain(refusal(outcome, "imported"))

    def _next(self) -> str:
        if self.dry_run:
            return "the same line without --dry-run."
        if not self.added:
            return ""
        return (
            "'mta-sts dns show --all' prints the records to publish, 'mta-sts bind --all' gives each policy host its "
            "certificate, and 'mta-sts plan' lists what is still to do."
        )

    def _tally(self) -> None:
        counts, would = self.counts, "would be " if self.dry_run else ""
        if self.left_out:
            places = ", ".join(f"{domain} ({self.places[domain]})" for domain in self.left_out)
            say(f"left out, because Microsoft runs their DNS and they cannot have a policy: {places}")
        say(
            f"{self.added} {would}added, {counts['changed'] - self.added} {would}changed, "
            f"{counts['unchanged'] - len(self.left_out)} unchanged, {len(self.left_out)} left out, "
            f"{counts['refused'] + counts['failed']} with problems"
        )


def _placed(planned: Planned, proposal: Proposal) -> Planned:
    """The same with each reason led by the place in the source; the problems of the source itself have theirs."""
    if proposal.problems:
        return planned
    placed = (
        replace(reason, message=f"{proposal.place}: {proposal.domain}: {reason.message}") for reason in planned.reasons
    )
    return replace(planned, reasons=tuple(placed))


@app.command("export")
def export(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A .csv or .json file, a folder, or - to print.")],
    to: Annotated[
        Literal["csv", "json", "texts"] | None,
        typer.Option(metavar="csv|json|texts", help="What to write; else FILE's name says."),
    ] = None,
    where: WhereOption = None,
    excel: Annotated[
        bool, typer.Option("--excel", help="CSV with the separator of this machine's language, as Excel opens it.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE if it exists.")] = False,
    store: StoreOption = "",
) -> None:
    """Write policies to a CSV or JSON file, or to a folder of policy texts.

    Example: mta-sts export policies.csv
    """
    kind: Target = target_of(target, to)
    if excel and kind != "csv":
        raise CommandError("--excel is for CSV: name a file that ends in .csv, or give --to csv.")
    selection = Selection((), read_conditions(where or ()))
    tables = open_store(store)
    left_out = 0

    def rows() -> Iterator[Row]:
        nonlocal left_out
        entries = (Entry(row.domain, row) for row in progress(tables.policies.rows(), "exporting"))
        for row in (entry.row for entry in selection.chosen(entries)):
            if isinstance(row, Row):
                yield row
            elif row is not None:
                left_out += 1
                complain(f"{row.domain} is left out, because its row is not a valid policy: {row}")

    count = write_policies(target, kind, rows(), force=force, separator=list_separator() if excel else ",")
    if str(target) != "-":
        print(f"{count} policies are in {target}")
    if left_out:
        raise typer.Exit(PROBLEM)
