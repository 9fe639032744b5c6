"""Whatever happens to the table service, an answer comes in time: the copy where one is held, else 503; and once the
fault is over every answer is the right one again within the breaker's pause.
"""

import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from azure.data.tables import TableClient, TableServiceClient

from dev.azurite import ACCOUNT_KEY, Azurite
from tests.end_to_end.conftest import Answer, HostProcess, wait_for, write_row
from tests.end_to_end.faults import Fault, FaultProxy

_TEXT = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.example.net\r\nmx: *.example.net\r\nmax_age: 604800\r\n"
_HELD = [f"held{number}.example" for number in range(64)]
_COLD = [f"cold{number}.example" for number in range(64)]  # without a row, which only storage can tell

_IN_TIME = 1.5  # seconds: 1 from the worker library on, the rest for loopback, 64 senders and a busy machine
_START = 2.0  # seconds of processor time
_MENDED = 6.0  # the breaker's pause of 5 and a read
_GIVEN_UP = 3.0  # two attempts of at most 1.5 each


@pytest.fixture(scope="module", autouse=True)
def _rows(policies_client: TableClient) -> None:
    for domain in _HELD:
        write_row(policies_client, domain)


@pytest.fixture
def proxy(azurite: Azurite) -> Iterator[FaultProxy]:
    with FaultProxy(azurite.port) as proxy:
        yield proxy


@pytest.fixture
def start(tmp_path: Path) -> Callable[[str], HostProcess]:
    """Give a function that makes a host of a store; no copy is fresh in it, so that each request wants to read."""
    return lambda store: HostProcess({"POLICY_STORE": store, "POLICY_FRESH_SECONDS": "0"}, tmp_path / "log")


@pytest.fixture(scope="module")
def own_azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Run a table service for this module alone, whose rows are on disk."""
    with Azurite(location=tmp_path_factory.mktemp("tables")) as service:
        _fill(service)
        service.restart()
        yield service


def _fill(service: Azurite) -> None:
    with TableServiceClient.from_connection_string(service.connection_string) as client:
        policies_client = client.create_table("policies")
        for domain in _HELD:
            write_row(policies_client, domain)


def _through(proxy: FaultProxy, azurite: Azurite) -> str:
    return azurite.connection_string.replace(f":{azurite.port}/", f":{proxy.port}/")


def _assert_unavailable(answers: list[Answer]) -> None:
    assert {(answer.status, answer.body) for answer in answers} == {(503, b"")}
    assert {answer.headers["retry-after"] for answer in answers} == {"5"}
    assert max(answer.seconds for answer in answers) <= _IN_TIME


def _assert_copies(answers: list[Answer]) -> None:
    assert {(answer.status, answer.body) for answer in answers} == {(200, _TEXT)}
    assert max(answer.seconds for answer in answers) <= _IN_TIME


def _hold_copies(host: HostProcess) -> None:
    _assert_copies(host.ask_all(_HELD))


def _assert_answers_in_time(host: HostProcess) -> None:
    """While storage fails, domains with and without a copy are asked, all at once and alone."""
    _assert_copies(host.ask_all(_HELD))
    _assert_unavailable(host.ask_all(_COLD))
    _assert_copies([host.ask(_HELD[0])])
    _assert_unavailable([host.ask(_COLD[0])])


def _assert_mends(host: HostProcess) -> None:
    """The fault is over: what has no row is soon known to have none, and domains with a copy are read again."""
    waiting = list(_COLD)

    def known() -> bool:
        waiting[:] = [
            domain for domain, answer in zip(waiting, host.ask_all(waiting), strict=True) if answer.status != 404
        ]
        return not waiting

    wait_for(known, _MENDED)
    before = len(host.log_lines)

    def read_again() -> bool:
        _assert_copies(host.ask_all(_HELD))
        return {line.split()[3] for line in host.log_lines[before:] if "outcome=read " in line} >= held

    held = {f"domain={domain}" for domain in _HELD}
    wait_for(read_again, _MENDED)


@pytest.mark.parametrize("fault", ["silent", "cut", "503", "503 Retry-After", "slow body", "slow headers"])
def test_network_fault(azurite: Azurite, proxy: FaultProxy, start: Callable[[str], HostProcess], fault: Fault) -> None:
    with start(_through(proxy, azurite)) as host:
        _hold_copies(host)
        proxy.fault = fault
        _assert_answers_in_time(host)
        proxy.wait_until_given_up(_GIVEN_UP)
        proxy.fault = None
        _assert_mends(host)
        assert len(host.logged("^ERROR.*storage fails")) == 1, "one line however many reads failed"


def test_connections_lost_while_idle(azurite: Azurite, proxy: FaultProxy, start: Callable[[str], HostProcess]) -> None:
    """All connections that the worker kept open are dead, though nobody told it; new ones work."""
    with start(_through(proxy, azurite)) as host:
        proxy.fault = "late"  # so that many are open at once
        _hold_copies(host)
        proxy.fault = "silent"
        proxy.fault = None
        wait_for(lambda: host.ask(_COLD[0]).status == 404, _MENDED)


def test_killed_service(own_azurite: Azurite, start: Callable[[str], HostProcess]) -> None:
    with start(own_azurite.connection_string) as host:
        _hold_copies(host)
        own_azurite.kill()
        _assert_answers_in_time(host)
        own_azurite.start()
        _assert_mends(host)


def test_frozen_service(own_azurite: Azurite, start: Callable[[str], HostProcess]) -> None:
    """The service accepts connections and says nothing; when it goes on it answers what nobody waits for any more."""
    with start(own_azurite.connection_string) as host:
        _hold_copies(host)
        own_azurite.pause()
        try:
            _assert_answers_in_time(host)
        finally:
            own_azurite.resume()
        _assert_mends(host)


def test_missing_table(own_azurite: Azurite, start: Callable[[str], HostProcess]) -> None:
    """A table that is gone is a fault of storage, not the end of every policy in it."""
    with start(own_azurite.connection_string) as host:
        _hold_copies(host)
        with TableServiceClient.from_connection_string(own_azurite.connection_string) as client:
            client.delete_table("policies")
        _assert_answers_in_time(host)
        _fill(own_azurite)
        _assert_mends(host)


@pytest.mark.parametrize("key", ["d3Jvbmcga2V5", "not base64!"])
def test_wrong_account_key(azurite: Azurite, start: Callable[[str], HostProcess], key: str) -> None:
    with start(azurite.connection_string.replace(ACCOUNT_KEY, key)) as host:
        _assert_unavailable(host.ask_all(_COLD))
        (error,) = host.logged("^ERROR")
        assert "storage fails" in error
        assert key not in error


def _assert_first_answers_in_time(start: Callable[[str], HostProcess], store: str) -> None:
    """A new worker's very first requests are answered within two seconds of the start of its process.

    One second is the wait for storage. The other is the start's, and that one is counted in processor time: other work
    on the machine slows a start down, and says nothing of the app.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with start(store) as host:
        _assert_unavailable(host.ask_all(_COLD))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime <= _START


def test_new_process_with_silent_storage(
    azurite: Azurite, proxy: FaultProxy, start: Callable[[str], HostProcess]
) -> None:
    proxy.fault = "silent"
    _assert_first_answers_in_time(start, _through(proxy, azurite))


def test_new_process_with_storage_that_no_connection_reaches(start: Callable[[str], HostProcess]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as unreachable, socket.socket() as only_one:
        only_one.connect(unreachable.getsockname())  # fills the queue: the kernel drops who comes next
        _assert_first_answers_in_time(start, Azurite(unreachable.getsockname()[1]).connection_string)


def test_new_process_without_storage(own_azurite: Azurite, start: Callable[[str], HostProcess]) -> None:
    own_azurite.stop()
    try:
        _assert_first_answers_in_time(start, own_azurite.connection_string)
    finally:
        own_azurite.start()
