"""The command that writes policies as static sites: site."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from policy_store.changes.change import attempt, tell
from policy_store.cli.command import PROBLEM, CommandError, StoreOption, app, open_store, read_domains
from policy_store.exchange.site import CNAME, POLICY_PATH, SiteHost, site_files
from policy_store.exchange.targets import whole
from policy_store.policy import Policy, PolicySyntaxError
from policy_store.pool import ordered
from policy_store.tables.row import InvalidRow


@app.command()
def site(
    domains: Annotated[list[str], typer.Argument(metavar="DOMAIN", help="The policy domains.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where each domain gets a folder.")],
    host: Annotated[
        SiteHost, typer.Option("--for", metavar="static-web-apps|github-pages", help="Who is to serve the sites.")
    ] = "static-web-apps",
    store: StoreOption = "",
) -> None:
    """Write policies as static sites, for Azure Static Web Apps or GitHub Pages, a folder for each domain.

    Example: mta-sts site contoso.com fabrikam.com --out sites
    """
    names = read_domains(domains)
    tables = open_store(store)

    def write(name: str) -> Sequence[Text] | None:
        try:
            row = tables.policies.get(name)
        except InvalidRow as error:
            raise CommandError(f"{name}: its row holds no policy: {error}", PROBLEM) from error
        if row is None:
            raise CommandError(f"{name} has no row: 'mta-sts add {name}' makes one.", PROBLEM)
        return _write(out / name, site_files(name, row.policy, host))

    tell(ordered(lambda name: attempt(lambda: write(name)), names), dry_run=False)


def _write(folder: Path, files: dict[str, str]) -> list[Text] | None:
    """Write the files that are not there, and a new policy text over an old one; what people are told, None where all
    was there. Raises CommandError, before anything is written, where the folder serves something else.
    """
    lines: list[Text] = []
    try:
        there = {path: _there(folder / path) for path in files}
        for path, content in there.items():
            _refuse_foreign(folder / path, content, files[path])
        for path, content in there.items():
            if content is None or (path.endswith(POLICY_PATH) and content != files[path].encode()):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                with whole(folder / path, force=True) as file:
                    file.write(files[path])
                lines.append(Text(f"{folder / path} is written"))
            elif content != files[path].encode():
                lines.append(Text(f"{folder / path} is kept, though it differs: to have it written, remove it"))
    except OSError as error:
        raise CommandError(f"{error.filename or folder} cannot be read or written: {error.strerror}.") from error
    return lines or None


def _there(path: Path) -> bytes | None:
    """What the file holds; None where there is none. Raises OSError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _refuse_foreign(path: Path, content: bytes | None, wanted: str) -> None:
    """Raise CommandError where the folder is the site of another domain, or its policy text is none."""
    if content is None:
        return
    if path.name == CNAME and content.strip().lower() != wanted.strip().encode():
        raise CommandError(f"{path} names another host than {wanted.strip()}: write to another folder.", PROBLEM)
    if path.match(POLICY_PATH):
        try:
            Policy.parse(content)
        except PolicySyntaxError as error:
            raise CommandError(f"{path} holds no policy and was left as it is: move it away.", PROBLEM) from error
