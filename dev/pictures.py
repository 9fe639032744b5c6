"""`make pictures`: the pictures of the page that README and docs show, taken by a real browser of a store that is made
up, so that they never go stale.
"""

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from dev import story
from dev.azurite import Azurite
from dev.browser import Browser, NoBrowser
from policy_store.changes.desk import Desk
from policy_store.changes.records import Wanted
from policy_store.sender.lookup import Lookup
from policy_store.settings import Settings
from policy_store.tables.store import Store
from policy_store.web.app import application
from policy_store.web.server import Server, listen
from policy_store.web.site import Site

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
_WIDE, _NARROW = (1280, 800), (360, 740)
_NO_DNS = "127.0.0.1:9"  # nothing of this store is in DNS, and nobody is to be asked


@dataclass(frozen=True)
class _Picture:
    name: str
    path: str
    size: tuple[int, int] = _WIDE
    dark: bool = False
    before: Callable[[Browser], None] = lambda _: None


def _edit(browser: Browser) -> None:
    browser.fill("mx", "smtp.google.com\nmx2.woodgrove.example")
    browser.press("Show what it does")
    browser.wait_for("What changes")


_PICTURES = (
    _Picture("overview", "/"),
    _Picture("overview-dark", "/", dark=True),
    _Picture("domains", "/domains"),
    _Picture("domain", "/domains/humongousinsurance.example"),
    _Picture("domain-narrow", "/domains/humongousinsurance.example", _NARROW),
    _Picture("domains-narrow", "/domains", _NARROW),
    _Picture("change", "/domains/woodgrove.example/edit", before=_edit),
    _Picture("history", "/history"),
    _Picture("reports", "/reports"),
)


def main() -> None:
    """Take every picture again."""
    FOLDER.mkdir(exist_ok=True)
    try:
        with Azurite() as tables, Browser.started() as browser:
            now = datetime.now(UTC)
            story.tell(tables.connection_string, now)
            store = Store.open(Settings.read({"POLICY_STORE": tables.connection_string}))
            _take(browser, store)
    except NoBrowser as error:
        sys.exit(str(error))


def _take(browser: Browser, store: Store) -> None:
    named = replace(store, name="contosostore")

    def desk() -> Desk:
        return Desk(named, "ada@contoso-desk", datetime.now(UTC), Lookup(_NO_DNS))

    site = Site.over(desk, wanted=Wanted(app_host="contoso-sts.azurewebsites.net"))
    sockets = listen(0)
    port = sockets[0].getsockname()[1]
    server = Server(application(site, port))
    thread = threading.Thread(target=server.run, args=(sockets,))
    thread.start()
    try:
        address = f"http://127.0.0.1:{port}"
        browser.open(f"{address}/enter?token={site.session.token}")
        browser.wait_for("Overview")
        for picture in _PICTURES:
            browser.look(*picture.size, dark=picture.dark)
            browser.open(address + picture.path)
            picture.before(browser)
            path = FOLDER / f"{picture.name}.png"
            browser.picture(path, whole=False)
            print(f"{path} {path.stat().st_size // 1024} kB", flush=True)
    finally:
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    main()
