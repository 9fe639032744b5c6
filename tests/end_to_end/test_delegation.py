"""From an edit in the table to the id in DNS to a sender's fetch by it, with nobody in between: the app publishes its
ids in a zone of Azure DNS, to which the customer's DNS has three CNAME records.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.data.tables import TableClient, TableServiceClient, UpdateMode

from dev.azurite import Azurite
from dev.worker import Worker
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.policies import TABLE
from tests.end_to_end.conftest import HostProcess
from tests.end_to_end.senders.asking import RUNNERS, SenderWorld
from tests.lab.azure_dns import AzureDns, Internet
from tests.lab.name_server import NameServer

_ROOT = Path(__file__).parents[2]
_DOMAIN, _ZONE = "contoso.com", "sts.provider.example"
_NAME = f"_mta-sts.{_DOMAIN}"
_FRESH = 2  # seconds, in place of 60, as nobody wants to wait
_WAIT = timedelta(seconds=_FRESH + 5 + 30)  # that an id waits after the edit, by the rule
_TIMER = 5.0  # seconds, in place of 2 minutes
_REPORTS = "v=TLSRPTv1; rua=mailto:tls@provider.example;"


@dataclass(frozen=True)
class Place:
    """The app with its zone, and the world that senders see."""

    azure: AzureDns
    host: HostProcess
    world: SenderWorld
    rows: TableClient


@pytest.fixture(scope="module")
def place(
    start_host: Callable[[Mapping[str, str]], HostProcess], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """An app whose timer runs in this process, by the real worker library, and which serves in another."""
    with (
        Azurite() as tables,
        AzureDns(_ZONE) as azure,
        pytest.MonkeyPatch.context() as patch,
        TableServiceClient.from_connection_string(tables.connection_string) as service,
    ):
        for table in (TABLE, HISTORY_TABLE):
            service.create_table(table)
        environment = {
            **azure.environment(tmp_path_factory.mktemp("azure")),
            "POLICY_STORE": tables.connection_string,
            "POLICY_DNS_ZONE": azure.zone_id(_ZONE),
            "POLICY_REPORTS_RECORD": _REPORTS,
            "POLICY_FRESH_SECONDS": str(_FRESH),
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        customer = {
            f"mta-sts.{_DOMAIN}": {"A": ["127.0.0.1"]},
            _NAME: {"CNAME": [f"{_NAME}.{_ZONE}"]},
            f"_smtp._tls.{_DOMAIN}": {"CNAME": [f"_smtp._tls.{_ZONE}"]},
        }
        host = start_host(environment)
        internet = Internet(azure, customer)
        world = SenderWorld(internet, ("127.0.0.1", host.port), name_server=lambda records: NameServer(records, ()))
        with world, service.get_table_client(TABLE) as rows:
            yield Place(azure, host, world, rows)


async def _run_timer_until(place: Place, condition: Callable[[], bool], seconds: float) -> None:
    """Have the timer come again and again, as the Functions host does. Raises TimeoutError."""
    async with Worker(_ROOT) as worker, asyncio.timeout(seconds):
        await worker.invoke_timer("audit")
        while not condition():
            await asyncio.sleep(_TIMER)
            await worker.invoke_timer("audit")


def _edit(place: Place, **cells: object) -> datetime:
    """Merge cells into the row as another client does, and say when that was by the clock of the table service."""
    entity = {"PartitionKey": _DOMAIN, "RowKey": "policy", **cells}
    place.rows.upsert_entity(entity, mode=UpdateMode.MERGE)
    written = place.rows.get_entity(_DOMAIN, "policy").metadata["timestamp"]
    assert written
    return written.astimezone(UTC)


def _seen(place: Place) -> dict[str, dict[str, object]]:
    return {sender: place.world.ask(sender, [_DOMAIN])[_DOMAIN] for sender in RUNNERS}


def test_an_edit_is_in_dns_by_itself_and_senders_fetch_it_and_a_broken_row_changes_nothing(place: Place) -> None:
    azure = place.azure
    _edit(place, mode="testing", mx="mx.contoso.com", max_age=86400)
    asyncio.run(_run_timer_until(place, lambda: True, 60))
    assert azure.names(_ZONE) == ["_smtp._tls"], "the id has to wait"
    assert azure.texts(_ZONE, "_smtp._tls") == [_REPORTS]
    before = "v=STSv1; id=20200101000000Z;"  # as at the provider that the domain comes from
    azure.set_texts(_ZONE, _NAME, before)
    assert {answer["mode"] for answer in _seen(place).values()} == {"testing"}

    edited = _edit(place, mode="enforce")
    published: list[datetime] = []

    def is_there() -> bool:
        if azure.texts(_ZONE, _NAME) != [before] and not published:
            published.append(datetime.now(UTC))
        return bool(published)

    asyncio.run(_run_timer_until(place, is_there, 120))
    assert published[0] - edited >= _WAIT - timedelta(seconds=1)  # ids are whole seconds
    (record,) = azure.texts(_ZONE, _NAME)
    match = re.fullmatch(r"v=STSv1; id=(20[0-9]{12}Z);", record)
    assert match
    expected = {"id": match[1], "mode": "enforce", "mx": ["mx.contoso.com"], "max_age": 86400}
    assert _seen(place) == dict.fromkeys(RUNNERS, expected)

    _edit(place, mode="enforcd")
    asyncio.run(_run_timer_until(place, lambda: True, 60))
    assert azure.texts(_ZONE, _NAME) == [record]
    time.sleep(_FRESH)
    assert _seen(place) == dict.fromkeys(RUNNERS, expected)
    assert all(" 429" not in request and " 4" not in request[-4:] for request in azure.requests)


def test_no_request_to_azure_dns_is_made_by_the_process_that_answers_senders(place: Place) -> None:
    asked = len(place.azure.requests)
    for _ in range(3):
        assert place.host.ask(_DOMAIN).status == 200
    assert len(place.azure.requests) == asked
