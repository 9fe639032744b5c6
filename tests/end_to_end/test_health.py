"""What the app says of itself: with settings it cannot use, and at /health."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import TableClient

from dev.azurite import Azurite
from policy_store import __version__
from tests.end_to_end.conftest import HostProcess, wait_for, write_row
from tests.end_to_end.faults import FaultProxy

type StartHost = Callable[[Mapping[str, str]], HostProcess]


@pytest.fixture
def start_host(tmp_path: Path) -> Iterator[StartHost]:
    """Give a function that starts the app with more environment variables, until the end of the test."""
    with ExitStack() as started:
        yield lambda environment: started.enter_context(HostProcess(environment, tmp_path / "log"))


@pytest.fixture
def proxy(azurite: Azurite) -> Iterator[FaultProxy]:
    with FaultProxy(azurite.port) as proxy:
        yield proxy


def _health(host: HostProcess) -> dict[str, Any]:
    answer = host.send({"Host": "127.0.0.1"}, path="/health")
    assert (answer.status, answer.headers["content-type"], answer.headers["cache-control"]) == (
        200,
        "application/json",
        "no-store",
    )
    body: dict[str, Any] = json.loads(answer.body)
    return body


class TestHealth:
    def test_counts_copies_and_last_good_answers_and_names_no_tenant(
        self, azurite: Azurite, policies_client: TableClient, start_host: StartHost
    ) -> None:
        host = start_host({"POLICY_STORE": azurite.connection_string, "POLICY_FRESH_SECONDS": "0"})
        for domain in ("tenant1.example", "tenant2.example"):
            write_row(policies_client, domain)
            host.ask(domain)
        write_row(policies_client, "tenant1.example", mode="wrong")
        host.ask("tenant1.example")
        wait_for(lambda: _health(host)["look_age"] is not None, 5)
        said = _health(host)
        assert said.pop("copies") >= 2
        assert said.pop("look_age") <= 5
        assert said == {"storage": "ok", "last_good_answers": 1, "version": __version__}

    def test_reads_once_a_minute_at_most(self, azurite: Azurite, proxy: FaultProxy, start_host: StartHost) -> None:
        """A worker that nobody asked has not read yet, and the check's own read lasts for a minute."""
        host = start_host({"POLICY_STORE": azurite.connection_string.replace(f":{azurite.port}/", f":{proxy.port}/")})
        assert {_health(host)["storage"] for _ in range(5)} == {"ok"}
        assert proxy.point_reads <= 1

    def test_failing_storage_is_no_reason_to_restart_the_worker(
        self, azurite: Azurite, proxy: FaultProxy, start_host: StartHost
    ) -> None:
        proxy.fault = "503"
        host = start_host({"POLICY_STORE": azurite.connection_string.replace(f":{azurite.port}/", f":{proxy.port}/")})
        state = {"storage": "failing", "copies": 0, "last_good_answers": 0, "look_age": None, "version": __version__}
        assert _health(host) == state
        assert _health(host)["storage"] == "failing"
        assert proxy.point_reads <= 2, "one read, repeated once since the service is busy"
        assert not host.logged("^ERROR(?!.*storage fails)")

    def test_silent_storage_does_not_hold_the_check_up(
        self, azurite: Azurite, proxy: FaultProxy, start_host: StartHost
    ) -> None:
        proxy.fault = "silent"
        host = start_host({"POLICY_STORE": azurite.connection_string.replace(f":{azurite.port}/", f":{proxy.port}/")})
        answer = host.send({"Host": "127.0.0.1"}, path="/health")
        assert (answer.status, json.loads(answer.body)["storage"]) == (200, "failing")
        assert answer.seconds <= 1.5

    def test_head_has_no_body(self, azurite: Azurite, start_host: StartHost) -> None:
        host = start_host({"POLICY_STORE": azurite.connection_string})
        answer = host.send({"Host": "127.0.0.1"}, "HEAD", "/health")
        assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"POLICY_STORE": ""}, "POLICY_STORE is missing"),
        ({"POLICY_STORE": "the-account"}, "POLICY_STORE is not a connection string"),
        (
            {"POLICY_STORE": "UseDevelopmentStorage=true", "POLICY_STORE__tableServiceUri": "https://a.example"},
            "POLICY_STORE and POLICY_STORE__tableServiceUri are both set",
        ),
        ({"POLICY_STORE": "UseDevelopmentStorage=true", "POLICY_FRESH_SECONDS": "soon"}, "POLICY_FRESH_SECONDS"),
    ],
)
def test_unusable_settings_are_named_and_the_app_starts(
    start_host: StartHost, environment: dict[str, str], named: str
) -> None:
    """Health fails, since only a restart with other settings helps; the log has one error however often it is asked."""
    host = start_host(environment)
    health = host.send({"Host": "127.0.0.1"}, path="/health")
    assert (health.status, health.headers["content-type"]) == (503, "application/json")
    assert named in json.loads(health.body)["settings"]
    for _ in range(2):
        answer = host.ask("contoso.example")
        assert (answer.status, answer.body, answer.headers["retry-after"]) == (503, b"", "5")
    (error,) = host.logged("^ERROR")
    assert named in error
