"""Ids into Azure DNS: the first fill of 5,000 domains, an audit after it, the hourly look, and one edit.

Azure DNS is the tests' stand-in on the same machine, with no distance and no limits; the requests are what counts. With
the limit that Microsoft documents, 200 writes a minute in a zone, the first fill takes 25 minutes whatever the machine.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from math import inf
from pathlib import Path

from bench.common import Figure, count, milliseconds, progress
from bench.many_rows import many_rows
from policy_store.azure.publisher import Publisher
from policy_store.azure.zones import open_zone
from policy_store.settings import Settings
from policy_store.tables.connection import open_table
from policy_store.tables.entry import entry_of, walk
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.history import History
from policy_store.tables.policies import PolicyTable
from policy_store.zone_id import ZoneId
from tests.lab.azure_dns import DOCUMENTED_LIMITS, AzureDns

_DOMAINS = 5_000
_ZONE = "sts.provider.example"


def measure() -> list[Figure]:
    """Each step once: what it takes, and what it asks of Azure DNS."""
    with many_rows(_DOMAINS) as environment, AzureDns(_ZONE) as azure, _leading_to(azure):
        settings = Settings.read(environment)
        policies = PolicyTable(open_table(settings, pages=True))
        history = History(open_table(settings, HISTORY_TABLE, pages=True))
        zone = open_zone(ZoneId.parse(azure.zone_id(_ZONE)), settings)
        ahead = timedelta(minutes=2)  # so that what was just written is served everywhere

        def new_publisher() -> Publisher:
            return Publisher(
                zone,
                _ZONE,
                partial(entry_of, policies, history),
                fresh_seconds=60,
                now=lambda: datetime.now(UTC) + ahead,
                clock=lambda: time.monotonic() + ahead.total_seconds(),
            )

        def run(publisher: Publisher) -> None:
            for entry in walk(policies, history):
                publisher.note(entry)
            publisher.run(inf)

        def step(what: str, do: Callable[[], object]) -> Iterator[Figure]:
            progress(f"zones: {what}")
            azure.requests.clear()
            start = time.perf_counter()
            do()
            yield milliseconds(what, [time.perf_counter() - start])
            yield count(f"{what}: requests to Azure DNS", len(azure.requests))

        publisher = new_publisher()
        figures = [*step(f"first fill of {_DOMAINS} domains", lambda: run(publisher))]
        if len(azure.names(_ZONE)) != _DOMAINS:
            raise RuntimeError(f"{len(azure.names(_ZONE))} of {_DOMAINS} ids are in the zone")
        figures += step("audit with nothing to publish", lambda: run(publisher))
        figures += step("the first audit of a new worker", lambda: run(new_publisher()))
        ahead = timedelta(hours=2)
        figures += step("the hourly look", lambda: run(publisher))
        minutes = _DOMAINS / DOCUMENTED_LIMITS["write"]
        return [*figures, count("first fill at 200 writes a minute: minutes", minutes)]


@contextmanager
def _leading_to(azure: AzureDns) -> Iterator[None]:
    """Have this process find management.azure.com there."""
    with tempfile.TemporaryDirectory() as folder:
        added = azure.environment(Path(folder))
        before = {name: os.environ.get(name) for name in added}
        os.environ.update(added)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
