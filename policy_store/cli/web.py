"""The command `web`: the page for this machine's own browser, or its read-only pages as files."""

import contextlib
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Annotated

import typer

from policy_store.changes.desk import Desk
from policy_store.changes.records import Wanted
from policy_store.changes.selection import Selection, read_conditions
from policy_store.cli import session
from policy_store.cli.command import app
from policy_store.cli.errors import CommandError
from policy_store.cli.options import ResolverOption, StoreOption, WhereOption, read_domain
from policy_store.cli.screen import complain, say

DEFAULT_PORT = 8461  # the number of the RFC


@app.command("web")
def web(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on this machine; 0 for a free one.")] = (
        DEFAULT_PORT
    ),
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address, and open no browser.")] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="Look only: nothing can be changed.")] = False,
    app_host: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            envvar="POLICY_APP_HOST",
            help="The app's default host name, for the CNAME at mta-sts.DOMAIN.",
            show_default=False,
        ),
    ] = "",
    export: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write read-only pages as files, and end.", show_default=False),
    ] = None,
    where: WhereOption = None,
    resolver: ResolverOption = "",
    store: StoreOption = "",
) -> None:
    """Open a page in the browser for all of this, on this machine only.

    Example: mta-sts web --read-only
    """
    if where and export is None:
        raise CommandError("--where is for --export: give both, or neither.")
    tables, world = session.open_store(store), session.lookup(resolver)

    def desk() -> Desk:
        return Desk(tables, session.operator(), session.now(), world)

    if export is not None:
        from policy_store.web.export import write_pages

        count = write_pages(export, desk(), Selection((), read_conditions(where or ())))
        say(f"{count} pages are in {export}: open {export / 'index.html'}")
        return
    place = session.read_place(store)
    wanted = Wanted(
        app_host=read_domain(app_host or place.app_host) if app_host or place.app_host else "",
        delegate=tables.zone,
        verification_id=place.verification_id,
    )
    _serve(desk, port, wanted, read_only=read_only, browser=not no_browser)


def _serve(desk: Callable[[], Desk], port: int, wanted: Wanted, *, read_only: bool, browser: bool) -> None:
    """Serve until Ctrl-C."""
    from policy_store.web.app import application
    from policy_store.web.server import Server, listen
    from policy_store.web.site import Site

    site = Site.over(desk, wanted=wanted, read_only=read_only)
    sockets = listen(port)
    port = sockets[0].getsockname()[1]
    address = f"http://127.0.0.1:{port}/enter?token={site.session.token}"
    with contextlib.ExitStack() as stack:

        def ready() -> None:
            say(f"The store {desk().store.name} is at {address}")
            complain("This address opens one browser, once. Stop with Ctrl-C.")
            if browser:
                webbrowser.open(stack.enter_context(_way_in(address)).as_uri())

        with contextlib.suppress(KeyboardInterrupt):
            Server(application(site, port), ready).run(sockets)


@contextlib.contextmanager
def _way_in(address: str) -> Iterator[Path]:
    """A file that leads a browser to the address: others on this machine see what a program is started with."""
    with tempfile.TemporaryDirectory(prefix="mta-sts-") as folder:  # nobody else may look into it
        path = Path(folder) / "open.html"
        page = f'<!doctype html><meta http-equiv="refresh" content="0; url={escape(address)}"><title>MTA-STS</title>'
        path.write_text(page, encoding="utf-8")
        yield path
