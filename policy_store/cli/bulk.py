"""The commands that carry many policies in and out: import, export."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from policy_store.changes.selection import WhereOption, hold, read_conditions
from policy_store.cli.command import (
    PROBLEM,
    CommandError,
    DryRunOption,
    ResolverOption,
    StoreOption,
    app,
    complain,
    open_store,
    progress,
)
from policy_store.exchange.importer import Importer, Outcome
from policy_store.exchange.sources import Proposal, proposals
from policy_store.exchange.targets import Target, target_of, write_policies
from policy_store.pool import ordered
from policy_store.sender.lookup import Lookup
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
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="With --keep-ids: ask policy hosts in private networks too.")
    ] = False,
    update: Annotated[bool, typer.Option("--update", help="Change the domains that are here already, too.")] = False,
    dry_run: DryRunOption = False,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """Bring in many policies: CSV, JSON, Exchange Online's accepted domains, or a folder of mta-sts.txt files.

    Example: mta-sts import accepted-domains.csv --mx-from-dns --dry-run
    """
    if not source.exists():
        raise CommandError(f"{source} does not exist: name a CSV or JSON file, or a folder of policy texts.")
    places = _places(source)
    total = sum(map(len, places.values()))
    tables = open_store(store)
    lookup = Lookup(resolver, allow_private=allow_private)
    importer = Importer(tables, lookup, mx_from_dns=mx_from_dns, keep_ids=keep_ids, update=update)

    def bring_in(proposal: Proposal) -> Outcome:
        twice = places.get(proposal.domain or "", [])
        if proposal.domain and len(twice) > 1:
            other = next(place for place in twice if place != proposal.place)
            return Outcome("refused", (f"{proposal.place}: {proposal.domain} is on {other} too: keep one of them",))
        return importer.bring_in(proposal, dry_run=dry_run)

    counts: Counter[str] = Counter()
    for outcome in progress(ordered(bring_in, proposals(source)), "importing", total):
        counts[outcome.result] += 1
        for line in outcome.lines:
            complain(line) if outcome.result == "refused" else print(line)
    would = "would be " if dry_run else ""
    print(
        f"{counts['added']} {would}added, {counts['changed']} {would}changed, {counts['unchanged']} unchanged, "
        f"{counts['left out']} left out, {counts['refused']} with problems"
    )
    if counts["refused"]:
        raise typer.Exit(PROBLEM)


@app.command()
def export(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A .csv or .json file, a folder, or - to print.")],
    to: Annotated[
        Literal["csv", "json", "texts"] | None,
        typer.Option(metavar="csv|json|texts", help="What to write; else FILE's name says."),
    ] = None,
    where: WhereOption = None,
    store: StoreOption = "",
) -> None:
    """Write all policies to a CSV or JSON file, or to a folder of policy texts; 'mta-sts import' reads each of them.

    Example: mta-sts export policies.csv
    """
    kind: Target = target_of(target, to)
    conditions = read_conditions(where)
    tables = open_store(store)
    left_out = 0

    def rows() -> Iterator[Row]:
        nonlocal left_out
        for row in progress(tables.policies.rows(), "exporting"):
            if not isinstance(row, Row):
                left_out += 1
                complain(f"{row.domain} is left out, since its row holds no policy: {row}")
            elif hold(conditions, row.domain, row.policy, row.note):
                yield row

    count = write_policies(target, kind, rows())
    if str(target) != "-":
        print(f"{count} policies are in {target}")
    if left_out:
        raise typer.Exit(PROBLEM)


def _places(source: Path) -> dict[str, list[str]]:
    """Where each domain of `source` stands, so that one that stands there twice is written by neither place."""
    places: dict[str, list[str]] = {}
    for proposal in proposals(source):
        places.setdefault(proposal.domain or "", []).append(proposal.place)
    return places
