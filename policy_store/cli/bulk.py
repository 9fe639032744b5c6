"""The commands that carry many policies in and out: import, export."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from policy_store.changes.change import Change, Planned, Reason, Refused, Unchanged
from policy_store.changes.many import decide_all
from policy_store.changes.selection import Selection, read_conditions
from policy_store.cli.changing import Changing, noticed_lines, refusal
from policy_store.cli.command import app
from policy_store.cli.errors import PROBLEM, CommandError
from policy_store.cli.options import (
    CustomerOption,
    DryRunOption,
    JsonOption,
    ResolverOption,
    StoreOption,
    VerboseOption,
    WhereOption,
    YesOption,
)
from policy_store.cli.screen import complain, progress, say
from policy_store.cli.session import open_desk, open_store
from policy_store.exchange.importer import Importer
from policy_store.exchange.sources import Proposal, proposals
from policy_store.exchange.targets import Target, target_of, write_policies
from policy_store.tables.entry import Entry
from policy_store.tables.row import Row

MxFromDnsOption = Annotated[
    bool, typer.Option("--mx-from-dns", help="Propose the patterns from the MX records where the file has none.")
]


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, JSON, or a folder of policy texts.")],
    mx_from_dns: MxFromDnsOption = False,
    keep_ids: Annotated[
        bool, typer.Option("--keep-ids", help="Take over the id that DNS shows, where the text is the same.")
    ] = False,
    update: Annotated[bool, typer.Option("--update", help="Change the domains that are here already, too.")] = False,
    customer: CustomerOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    verbose: VerboseOption = False,
    json: JsonOption = False,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """Add many policies from a file: CSV, JSON, accepted domains, or a folder of policy texts.

    Example: mta-sts import accepted-domains.csv --mx-from-dns --dry-run
    """
    if not source.exists():
        raise CommandError(f"{source} does not exist: name a CSV or JSON file, or a folder of policy texts.")
    found = list(proposals(source))
    desk = open_desk(store, resolver)
    importer = Importer(desk, mx_from_dns=mx_from_dns, keep_ids=keep_ids, update=update, customer=customer)
    importing = _Importing(desk.store, dry_run=dry_run, yes=yes, verbose=verbose, json=json, reason=True)
    places = _places(found)

    def decide(proposal: Proposal) -> Planned:
        twice = places.get(proposal.domain or "", [])
        if proposal.domain and len(twice) > 1:
            other = next(place for place in twice if place != proposal.place)
            message = f"{proposal.place}: {proposal.domain} is on {other} too"
            return Refused(proposal.domain, (Reason("twice", message, "keep one of them"),))
        return _placed(importer.decide(proposal), proposal)

    importing.run(decide_all(decide, found, lambda proposal: proposal.domain or ""), "importing", len(found))


@dataclass
class _Importing(Changing):
    """Tells of each domain by its place in the source; what was added counts apart."""

    added: int = 0
    left_out: int = 0

    def _counted(self, outcome: Planned, *, alone: bool = False) -> Planned:
        if isinstance(outcome, Change):
            self.added += outcome.entry.row is None
        elif isinstance(outcome, Unchanged):
            self.left_out += any(reason.code == "left_out" for reason in outcome.reasons)
        return super()._counted(outcome, alone=alone)

    def _tell(self, outcome: Planned) -> None:
        match outcome:
            case Change():
                if self.verbose:
                    super()._tell(outcome)
                else:
                    for line in noticed_lines(outcome):
                        say(line)
            case Unchanged():
                for reason in outcome.reasons:
                    say(str(reason))
            case Refused():
                complain("\n".join(map(str, outcome.reasons)))
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
        say(
            f"{self.added} {would}added, {counts['changed'] - self.added} {would}changed, "
            f"{counts['unchanged'] - self.left_out} unchanged, {self.left_out} left out, "
            f"{counts['refused'] + counts['failed']} with problems"
        )


def _placed(planned: Planned, proposal: Proposal) -> Planned:
    """The same with each reason led by the place in the source, where it does not begin with it."""

    def placed(reason: Reason) -> Reason:
        if reason.code == "invalid":
            return reason
        return replace(reason, message=f"{proposal.place}: {proposal.domain}: {reason.message}")

    return replace(planned, reasons=tuple(map(placed, planned.reasons)))


@app.command("export")
def export(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A .csv or .json file, a folder, or - to print.")],
    to: Annotated[
        Literal["csv", "json", "texts"] | None,
        typer.Option(metavar="csv|json|texts", help="What to write; else FILE's name says."),
    ] = None,
    where: WhereOption = None,
    store: StoreOption = "",
) -> None:
    """Write policies to a CSV or JSON file, or to a folder of policy texts.

    Example: mta-sts export policies.csv
    """
    kind: Target = target_of(target, to)
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
                complain(f"{row.domain} is left out, since its row holds no policy: {row}")

    count = write_policies(target, kind, rows())
    if str(target) != "-":
        print(f"{count} policies are in {target}")
    if left_out:
        raise typer.Exit(PROBLEM)


def _places(found: Iterable[Proposal]) -> dict[str, list[str]]:
    """Where each domain of the source stands, so that one that stands there twice is written by neither place."""
    places: dict[str, list[str]] = {}
    for proposal in found:
        places.setdefault(proposal.domain or "", []).append(proposal.place)
    return places
