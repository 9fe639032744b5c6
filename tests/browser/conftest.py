"""A real browser on a real page over a store with a story: with JavaScript and without."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from azure.data.tables import TableClient

from dev import story
from dev.azurite import Azurite
from dev.browser import Browser, NoBrowser
from policy_store.changes.records import Wanted
from policy_store.settings import Settings
from policy_store.tables.store import Store
from policy_store.web.site import Site
from tests.web.conftest import Office, serving


@pytest.fixture(scope="session", params=["script", "no script"])
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """One browser for all tests; the run ends with one sentence where there is none."""
    try:
        with Browser.started(script=request.param == "script") as browser:
            yield browser
    except NoBrowser as error:
        pytest.exit(str(error), 1)


@pytest.fixture
def office(azurite: Azurite, tables: tuple[TableClient, TableClient]) -> Office:
    """A store with a story, and somebody who works on it."""
    story.tell(azurite.connection_string, datetime.now(UTC))
    office = Office(Store.open(Settings.read({"POLICY_STORE": azurite.connection_string})))
    office.world.hosts = ("contoso-example.mail.protection.outlook.com",)
    return office


@pytest.fixture
def address(browser: Browser, office: Office) -> Iterator[str]:
    """The address of the page, which the browser has opened with the token."""
    site = Site.over(office.desk, wanted=Wanted(app_host="contoso-sts.azurewebsites.net"))
    with serving(site) as port:
        address = f"http://127.0.0.1:{port}"
        browser.look()
        browser.open(f"{address}/enter?token={site.session.token}")
        browser.wait_for("Overview")
        yield address
