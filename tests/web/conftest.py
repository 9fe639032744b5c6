"""The page as the tests open it: a real server over empty tables, and a browser without a screen."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx2
import pytest
from azure.data.tables import TableClient

from dev.azurite import Azurite
from policy_store.changes.desk import Desk
from policy_store.changes.records import Wanted
from policy_store.settings import Settings
from policy_store.tables.store import Store
from policy_store.web.app import application
from policy_store.web.server import Server, listen
from policy_store.web.site import Site
from tests.changes.world import World
from tests.web.visitor import Visitor


@dataclass
class Office:
    """What a page of the tests works with; the world may be changed, and so may who works here."""

    store: Store
    world: World = field(default_factory=World)
    by: str = "ada@contoso"

    def desk(self) -> Desk:
        """The desk of this moment."""
        return Desk(self.store, self.by, datetime.now(UTC), self.world)


@contextmanager
def serving(site: Site) -> Iterator[int]:
    """Serve a page; its port."""
    sockets = listen(0)
    port = sockets[0].getsockname()[1]
    ready = threading.Event()
    server = Server(application(site, port), ready.set)
    thread = threading.Thread(target=server.run, args=(sockets,))
    thread.start()
    assert ready.wait(30)
    yield port
    server.should_exit = True
    thread.join()


@pytest.fixture
def office(azurite: Azurite, tables: tuple[TableClient, TableClient]) -> Office:
    """Two empty tables, and somebody who works on them."""
    return Office(Store.open(Settings.read({"POLICY_STORE": azurite.connection_string})))


@pytest.fixture
def site(office: Office) -> Site:
    """A page over the office."""
    return Site.over(office.desk, wanted=Wanted(app_host="contoso-sts.azurewebsites.net"))


@pytest.fixture
def port(site: Site) -> Iterator[int]:
    """The port of the page, which is served."""
    with serving(site) as port:
        yield port


@pytest.fixture
def stranger(port: int) -> Iterator[httpx2.Client]:
    """A browser that never saw the token."""
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
        yield client


@pytest.fixture
def visitor(port: int, site: Site) -> Iterator[Visitor]:
    """The browser that opened the page."""
    with Visitor.at(port, site.session.token) as visitor:
        yield visitor
