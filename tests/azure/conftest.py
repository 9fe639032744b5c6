"""An Azure DNS on loopback, and a process that finds it as the app does."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from policy_store.azure.publisher import Publisher
from policy_store.azure.zones import Zone, open_zone
from policy_store.settings import Settings
from policy_store.tables.entry import entry_of, walk
from policy_store.tables.history import History
from policy_store.tables.policies import PolicyTable
from policy_store.zone_id import ZoneId
from tests.lab.azure_dns import AzureDns

ZONE = "sts.provider.example"
SETTINGS = Settings.read({"POLICY_STORE": "UseDevelopmentStorage=true"})


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[AzureDns]:
    """An Azure DNS with an empty zone, which this process finds at management.azure.com."""
    with AzureDns(ZONE) as service:
        for name, value in service.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        yield service


@pytest.fixture
def zone(azure: AzureDns) -> Zone:
    """The zone as the app sees it."""
    return open_zone(ZoneId.parse(azure.zone_id(ZONE)), SETTINGS)


class Clock:
    """What a publisher takes for the time, ahead of the real one by `ahead`."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def seconds(self) -> float:
        return self.now().timestamp()


@pytest.fixture
def clock() -> Clock:
    """A clock two minutes ahead: what is written to a table now is served everywhere."""
    clock = Clock()
    clock.ahead = timedelta(minutes=2)
    return clock


@pytest.fixture
def new_publisher(zone: Zone, policies: PolicyTable, history: History, clock: Clock) -> Callable[[], Publisher]:
    """Give a function that makes a publisher with the memory of a new process."""

    def make(reports: str = "") -> Publisher:
        read = partial(entry_of, policies, history)
        return Publisher(zone, ZONE, read, fresh_seconds=60, reports=reports, now=clock.now, clock=clock.seconds)

    return make


def note_all(publisher: Publisher, policies: PolicyTable, history: History) -> None:
    """Walk both tables, as an audit does."""
    for entry in walk(policies, history):
        publisher.note(entry)
