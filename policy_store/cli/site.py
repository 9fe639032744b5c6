"""The command that writes policies as static sites: site."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from policy_store.cli.command import app
from policy_store.cli.errors import PROBLEM
from policy_store.cli.options import StoreOption, read_domains
from policy_store.cli.screen import complain, say
from policy_store.cli.session import open_store
from policy_store.exchange.site import SiteHost, SiteRefused, write_site
from policy_store.tables.row import Row
from policy_store.tables.store import Store


@app.command("site")
def site(
    domains: Annotated[list[str], typer.Argument(metavar="DOMAIN", help="The policy domains.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder in which each domain gets a folder.")],
    host: Annotated[
        SiteHost, typer.Option("--for", metavar="static-web-apps|github-pages", help="Who will serve the sites.")
    ] = "static-web-apps",
    store: StoreOption = "",
) -> None:
    """Write policies as static sites, for Azure Static Web Apps or GitHub Pages.

    Example: mta-sts site contoso.com fabrikam.com --out sites
    """
    names = read_domains(domains)
    tables, counts = open_store(store), Counter[str]()
    for name in names:
        try:
            lines = _write(tables, name, out / name, host)
        except SiteRefused as error:
            complain(f"{name}: {error}.")
            counts["refused"] += 1
            continue
        for line in lines:
            say(line)
        counts["changed" if lines else "unchanged"] += 1
    if len(names) > 1 or not counts["changed"]:
        say(f"{counts['changed']} changed, {counts['unchanged']} unchanged, {counts['refused']} refused")
    if counts["refused"]:
        raise typer.Exit(PROBLEM)


def _write(store: Store, name: str, folder: Path, host: SiteHost) -> list[str]:
    """Write the site of one domain. Raises SiteRefused."""
    row = store.entry(name).row
    if row is None:
        raise SiteRefused(f"it has no row: 'mta-sts add {name}' makes one")
    if not isinstance(row, Row):
        raise SiteRefused(f"its row is not a policy: {row}")
    try:
        return write_site(folder, name, row.policy, host)
    except OSError as error:
        raise SiteRefused(f"{error.filename or folder} cannot be read or written: {error.strerror}") from error
